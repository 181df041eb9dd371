//! `weir check`: everything that is wrong with settings and pipelines, all at once.

use std::process::ExitCode;

use weir_aggregator::pipeline::Severity;

use crate::cli::{Common, PipelineFlags};
use crate::settings::Typed;

/// Prints every mistake. Exit code 0 when there is none, 1 otherwise.
///
/// # Errors
/// When the settings cannot be read at all.
pub fn run(common: &Common, flags: &PipelineFlags) -> Result<ExitCode, String> {
    let mut typed = Typed::read(common).map_err(crate::told)?;
    typed.pipeline_flags(flags);
    let mut mistakes = Vec::new();
    mistakes.extend(typed.shipper().err().unwrap_or_default());
    let aggregator = typed.aggregator();
    mistakes.extend(typed.indexer().err().unwrap_or_default());
    let mut wrong = false;
    match aggregator {
        Ok(config) => {
            for diagnostic in weir_aggregator::check(&config) {
                wrong |= diagnostic.severity == Severity::Error;
                println!("{diagnostic}");
            }
        }
        Err(more) => mistakes.extend(more),
    }
    for mistake in &mistakes {
        println!("{mistake}");
    }
    if mistakes.is_empty() && !wrong {
        println!("settings and pipelines are good");
    }
    Ok(if mistakes.is_empty() && !wrong { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
