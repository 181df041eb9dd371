//! `weir test`: runs a folder's pipeline files on their samples, and shows where something else came out.

use std::path::Path;
use std::process::ExitCode;

use weir_aggregator::pipeline::{LoadOptions, test_golden};

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
