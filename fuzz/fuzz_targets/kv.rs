//! Names and values in a line; the first line holds the characters that separate them.
#![no_main]
mod filter;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((option, line)) = filter::split(data) else { return };
    filter::run(
        format!(
            r#"kv {{ field_split => '{option}' recursive => true allow_empty_values => true trim_value => '<>' }}"#
        ),
        line,
    );
});
