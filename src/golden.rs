//! `weir test`: runs a folder's pipeline files on their samples, and shows where something else came out.

use std::path::Path;
use std::process::ExitCode;

use weir_aggregator::pipeline::{LoadOptions, golden, test_golden};

/// Prints a line for each sample, and the count. Exit code 0 when all are as expected, 1 otherwise.
///
/// # Errors
/// When the folder cannot be read, or holds no sample.
pub fn run(folder: &Path) -> Result<ExitCode, String> {
    let results = test_golden(folder, &LoadOptions::default())
        .map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    if results.is_empty() {
        return Err(format!("{} holds no NAME.in beside a NAME.conf", folder.display()));
    }
    let mut failed = 0;
    for result in &results {
        match &result.failure {
            None => println!("ok      {}", result.name),
            Some(failure) => {
                failed += 1;
                println!("FAILED  {}\n{failure}", result.name);
            }
        }
    }
    println!("{} passed, {failed} failed", results.len() - failed);
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Writes what comes out of every sample beside it.
///
/// # Errors
/// The first sample that cannot be run, or file that cannot be written.
pub fn write(folder: &Path) -> Result<(), String> {
    let options = LoadOptions::default();
    let results =
        test_golden(folder, &options).map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    for result in results.iter().filter(|result| result.failure.is_some()) {
        let sample = folder.join(&result.name).with_extension("in");
        let conf = if result.name == "whole" { folder.to_owned() } else { sample.with_extension("conf") };
        let lines = golden::outputs(&conf, &sample, &options).map_err(|failure| failure.to_string())?;
        let path = sample.with_extension("out");
        let text: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
        std::fs::write(&path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        println!("wrote {}", path.display());
    }
    Ok(())
}
