//! Pipelines: text to checked program, and the program run on events. In the order in which a file meets them:
//! `grammar` makes an `ast` of the text; `options`, `condition`, `template` and `pattern` check what it says, `program`
//! holds what came of it and `run` runs it; `diagnostic` shows mistakes. `explain` and `golden` help people who write
//! pipelines.
//!
//! Nothing here knows where events come from or go.

pub mod ast;
pub mod condition;
mod confine;
pub mod diagnostic;
pub mod explain;
pub mod golden;
mod grammar;
pub mod options;
pub mod pattern;
mod program;
mod run;
mod tally;
pub mod template;

pub use confine::file_options;
pub use diagnostic::{Diagnostic, Severity};
pub use explain::{Step, Trace, explain};
pub use golden::{Golden, test_golden};
pub use options::Ecs;
pub(crate) use program::texts;
pub use program::{LoadOptions, PluginSettings, Program, RuleInfo};
pub use tally::{Dropped, FilterCount, Tally};

use std::path::PathBuf;

/// Reads pipeline files and tells every mistake in them: errors, and what is suspicious.
pub fn check(paths: &[PathBuf], options: &LoadOptions) -> Vec<Diagnostic> {
    match Program::load(paths, options) {
        Ok(program) => program.warnings().to_vec(),
        Err(diagnostics) => diagnostics,
    }
}
