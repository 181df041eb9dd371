//! A grok pattern on a line: matching takes time linear in the line, whatever the pattern.
#![no_main]
mod filter;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((option, line)) = filter::split(data) else { return };
    filter::run(format!(r#"grok {{ match => {{ "message" => '{option}' }} }}"#), line);
});
