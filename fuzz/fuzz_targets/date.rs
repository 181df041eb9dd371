//! A form of time and a text that may be one.
#![no_main]
mod filter;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((option, line)) = filter::split(data) else { return };
    filter::run(
        format!(
            r#"date {{ match => [ "message", '{option}', "ISO8601", "UNIX", "UNIX_MS", "TAI64N" ] timezone => "Europe/Berlin" }}"#
        ),
        line,
    );
});
