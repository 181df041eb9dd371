//! `level`: finds the level of a line, without configuration, and writes it to `[log][level]`.
//!
//! `source` (default `message`), `target` (default `[log][level]`), `overwrite` (default false: a level that an earlier
//! filter found stays).

use super::{Filter, Outcome, Scratch};
use crate::event::{Event, FieldPath, Value, ValueRef};
use crate::level::{Level, detect};
use crate::pipeline::options::Options;

#[derive(Debug)]
struct FindLevel {
    source: FieldPath,
    target: FieldPath,
    overwrite: bool,
}

pub(super) fn build(options: &mut Options<'_>) -> Option<Box<dyn Filter>> {
    let source = options.field("source").unwrap_or_else(|| FieldPath::of(&["message"]));
    let target = options.field("target").unwrap_or_else(|| FieldPath::of(&["log", "level"]));
    let overwrite = options.bool("overwrite", false);
    Some(Box::new(FindLevel { source, target, overwrite }))
}

impl Filter for FindLevel {
    fn apply(&self, event: &mut Event, _: &mut Scratch) -> Outcome {
        if !self.overwrite && event.get(&self.target).is_some_and(|value| value != ValueRef::Null) {
            return Outcome::Unmatched;
        }
        let Some(level) = event.get_str(&self.source).and_then(detect) else { return Outcome::Unmatched };
        event.set(&self.target, Value::fixed(name(level)));
        Outcome::Matched
    }
}

/// A level as it is written to `log.level`.
pub fn name(level: Level) -> &'static str {
    match level {
        Level::Trace => "trace",
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Notice => "notice",
        Level::Warn => "warn",
        Level::Error => "error",
        Level::Critical => "critical",
    }
}
