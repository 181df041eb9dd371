//! A dissect pattern on a line.
#![no_main]
mod filter;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((option, line)) = filter::split(data) else { return };
    filter::run(format!(r#"dissect {{ mapping => {{ "message" => '{option}' }} }}"#), line);
});
