//! Pipelines: text to checked program, and the program run on events. In the order in which a file meets them:
//! `files` says which belong together; `grammar` makes an `ast` of the text, `escapes` resolves what is in it; `lint`,
//! `options`, `condition`, `template` and `pattern` check what it says, `program` holds what came of it and `run` runs
//! it; `diagnostic` shows mistakes. `explain` and `golden` help people who write pipelines.
//!
//! Nothing here knows where events come from or go.

pub mod ast;
pub mod condition;
mod confine;
pub mod diagnostic;
mod escapes;
pub mod explain;
mod files;
pub mod golden;
mod grammar;
mod lint;
pub mod options;
pub mod pattern;
mod program;
mod run;
mod tally;
pub mod template;

pub use confine::file_options;
pub use diagnostic::{Diagnostic, Severity};
pub use explain::{Step, Trace, explain};
pub(crate) use files::{texts, watched};
pub use golden::{Golden, test_golden};
pub use options::Ecs;
pub use program::{LoadOptions, MAIN, PluginSettings, Program, RuleInfo};
pub use tally::{Dropped, FilterCount, Slow, Tally};
