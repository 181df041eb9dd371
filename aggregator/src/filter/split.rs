//! `split`: one event for each part of a text, or each item of a list.

use super::{Filter, Outcome, Scratch};
use crate::event::{Event, FieldPath, Value, ValueRef};
use crate::pipeline::options::Options;

#[derive(Debug)]
struct Split {
    field: FieldPath,
    target: FieldPath,
    terminator: String,
}

pub(super) fn build(options: &mut Options<'_>) -> Option<Box<dyn Filter>> {
    let field = options.field("field").unwrap_or_else(|| FieldPath::of(&["message"]));
    let target = options.field("target").unwrap_or_else(|| field.clone());
    let terminator = options.text("terminator").map_or_else(|| "\n".to_owned(), |(text, _)| text.replace("\\n", "\n"));
    options.ecs();
    Some(Box::new(Split { field, target, terminator }))
}

impl Filter for Split {
    fn apply(&self, event: &mut Event, _: &mut Scratch) -> Outcome {
        let parts: Vec<Value> = match event.get(&self.field) {
            Some(ValueRef::Text(text)) => {
                // Like Ruby's `split`: empty parts at the end are left out.
                let trimmed = text.trim_end_matches(&self.terminator);
                let parts = trimmed.split(&self.terminator);
                parts.filter(|part| !part.is_empty()).map(|part| Value::Text(text.slice_ref(part))).collect()
            }
            Some(ValueRef::Array(items)) => items.iter().filter(|item| **item != Value::Null).cloned().collect(),
            None | Some(ValueRef::Null) => return Outcome::Unmatched,
            Some(_) => {
                event.add_tag("_split_type_failure");
                return Outcome::Failed;
            }
        };
        if parts.is_empty() || (parts.len() == 1 && matches!(event.get(&self.field), Some(ValueRef::Text(_)))) {
            return Outcome::Unmatched;
        }
        let mut others = Vec::with_capacity(parts.len() - 1);
        let mut parts = parts.into_iter();
        let first = parts.next().unwrap_or(Value::Null);
        for part in parts {
            let mut other = event.clone();
            other.set(&self.target, part);
            others.push(other);
        }
        event.set(&self.target, first);
        Outcome::Many { first: true, others }
    }
}
