//! `weir test`: runs a folder's pipeline files on their samples, and shows where something else came out.

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;

use serde_json::Value;
use weir_aggregator::pipeline::golden::Failure;
use weir_aggregator::pipeline::{LoadOptions, golden, test_golden};

/// Prints a line for each sample, and the count. Exit code 0 when all are as expected, 1 otherwise.
///
/// # Errors
/// When the folder cannot be read, or holds no sample.
pub fn run(folder: &Path, options: &LoadOptions) -> Result<ExitCode, String> {
    let results = test_golden(folder, options).map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    if results.is_empty() {
        return Err(format!("{} holds no NAME.in beside a NAME.conf", folder.display()));
    }
    let paint = Paint(std::io::stdout().is_terminal());
    let mut failed = 0;
    for result in &results {
        match &result.failure {
            None => println!("{}  {}", paint.on("32", "ok    "), result.name),
            Some(failure) => {
                failed += 1;
                println!("{}  {}\n{}", paint.on("1;31", "FAILED"), result.name, shown(failure, &paint));
            }
        }
    }
    println!("{} passed, {failed} failed", results.len() - failed);
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Colours, where there is somebody to see them.
struct Paint(bool);

impl Paint {
    fn on(&self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A failure; of two events that differ, only the fields that do.
fn shown(failure: &Failure, paint: &Paint) -> String {
    let Failure::Differs { line, expected: Some(expected), found: Some(found) } = failure else {
        return failure.to_string();
    };
    let (Ok(before), Ok(after)) = (serde_json::from_str(expected), serde_json::from_str(found)) else {
        return failure.to_string();
    };
    let mut out = format!("  line {line} of the .out file: - expected, + found\n");
    differences("", &before, &after, &mut |field, old, new| {
        for (code, sign, value) in [("31", '-', old), ("32", '+', new)] {
            if let Some(value) = value {
                out.push_str(&format!("    {}\n", paint.on(code, &format!("{sign} {field} {value}"))));
            }
        }
    });
    out
}

/// Tells of every field in which two values differ; objects in objects are followed.
fn differences(way: &str, old: &Value, new: &Value, tell: &mut impl FnMut(&str, Option<&Value>, Option<&Value>)) {
    let (Value::Object(before), Value::Object(after)) = (old, new) else {
        if old != new {
            tell(way, Some(old), Some(new));
        }
        return;
    };
    let added = after.keys().filter(|name| !before.contains_key(*name));
    for name in before.keys().chain(added) {
        let here = format!("{way}[{name}]");
        match (before.get(name), after.get(name)) {
            (Some(old), Some(new)) => differences(&here, old, new, tell),
            (old, new) => tell(&here, old, new),
        }
    }
}

/// Writes what comes out of every sample beside it.
///
/// # Errors
/// The first sample that cannot be run, or file that cannot be written.
pub fn write(folder: &Path, options: &LoadOptions) -> Result<(), String> {
    let results = test_golden(folder, options).map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    for result in results.iter().filter(|result| result.failure.is_some()) {
        let sample = folder.join(&result.name).with_extension("in");
        let conf = if result.name == "whole" { folder.to_owned() } else { sample.with_extension("conf") };
        let lines = golden::outputs(&conf, &sample, options).map_err(|failure| failure.to_string())?;
        let path = sample.with_extension("out");
        let text: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
        std::fs::write(&path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        println!("wrote {}", path.display());
    }
    Ok(())
}
