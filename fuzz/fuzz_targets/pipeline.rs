//! A whole pipeline file: reading it ends with a program or with mistakes whose text can be shown.
#![no_main]
use libfuzzer_sys::fuzz_target;
use weir_aggregator::pipeline::{LoadOptions, Program};

fuzz_target!(|text: &str| {
    // No file of the machine that runs this is to be read.
    if text.contains("path") || text.contains("regexes") || text.contains("dir") || text.contains("database") {
        return;
    }
    let options = LoadOptions { environment: Default::default(), ..LoadOptions::default() };
    match Program::parse(vec![("fuzz.conf".into(), text.into())], &options) {
        Ok(program) => program.diagnostics().iter().for_each(|warning| drop(warning.to_string())),
        Err(mistakes) => {
            assert!(!mistakes.is_empty(), "refused without a reason");
            mistakes.iter().for_each(|mistake| drop(mistake.to_string()));
        }
    }
});
