//! `level`: finds the level of a line, without configuration, and writes it to `[log][level]`.
//!
//! `source` (default `message`), `target` (default `[log][level]`), `overwrite` (default false: a level that an earlier
//! filter found stays).

use super::{Filter, Outcome, Scratch};
use crate::event::{Event, FieldPath, Value, ValueRef};
use crate::level::detect;
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
        event.set(&self.target, Value::fixed(level.as_str()));
        Outcome::Matched
    }
}
