//! `truncate`: cuts texts to a number of bytes, never inside of a character.

use super::{Filter, Outcome, Scratch};
use crate::event::{Event, FieldPath, MutField, Text, Value};
use crate::pipeline::options::{Options, Target};

#[derive(Debug)]
struct Truncate {
    /// All top-level fields if there are none.
    fields: Vec<Target>,
    bytes_max: usize,
}

pub(super) fn build(options: &mut Options<'_>) -> Option<Box<dyn Filter>> {
    let fields = options.list("fields");
    let fields = fields.iter().map(|placed| options.target(placed)).collect();
    options.required_text("length_bytes")?;
    let (bytes_max, _) = options.whole("length_bytes")?;
    Some(Box::new(Truncate { fields, bytes_max: usize::try_from(bytes_max).unwrap_or(usize::MAX) }))
}

fn cut(value: &mut Value, bytes_max: usize) -> bool {
    match value {
        Value::Text(text) if text.len() > bytes_max => {
            let mut end = bytes_max;
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            *text = if end == 0 { Text::new() } else { text.slice_ref(&text[..end]) };
            true
        }
        Value::Array(items) => {
            let mut any = false;
            for item in items {
                any |= cut(item, bytes_max);
            }
            any
        }
        _ => false,
    }
}

impl Filter for Truncate {
    fn apply(&self, event: &mut Event, _: &mut Scratch) -> Outcome {
        let paths: Vec<FieldPath> = if self.fields.is_empty() {
            let names = event.names();
            names.iter().filter(|name| ***name != *"@timestamp").map(|name| FieldPath::of(&[name])).collect()
        } else {
            self.fields.iter().filter_map(|target| target.path(event).map(std::borrow::Cow::into_owned)).collect()
        };
        let mut any = false;
        for path in paths {
            let long = match event.get(&path) {
                Some(crate::event::ValueRef::Text(text)) => text.len() > self.bytes_max,
                Some(crate::event::ValueRef::Array(_)) => true,
                _ => false,
            };
            if long && let Some(MutField::Value(value)) = event.field_mut(&path) {
                any |= cut(value, self.bytes_max);
            }
        }
        if any { Outcome::Matched } else { Outcome::Unmatched }
    }
}
