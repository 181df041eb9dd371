//! `truncate`: cuts texts to a number of bytes, never inside of a character.

use super::{Filter, Outcome, Scratch};
use crate::event::{Event, FieldPath, MutField, Text, Value, ValueRef};
use crate::front::front;
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

/// Cuts a text, the texts of a list, and what is in an object, however deep.
fn cut(value: &mut Value, bytes_max: usize) {
    match value {
        Value::Text(text) if text.len() > bytes_max => {
            let end = front(text, bytes_max).len();
            *text = if end == 0 { Text::new() } else { text.slice_ref(&text[..end]) };
        }
        Value::Array(items) => {
            items.iter_mut().filter(|item| matches!(item, Value::Text(_))).for_each(|item| cut(item, bytes_max));
        }
        Value::Object(object) => object.retain(|(_, value)| {
            cut(value, bytes_max);
            true
        }),
        _ => {}
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
        for path in paths {
            let long = match event.get(&path) {
                Some(ValueRef::Text(text)) => text.len() > self.bytes_max,
                Some(ValueRef::Array(_) | ValueRef::Object(_)) => true,
                _ => false,
            };
            if long && let Some(MutField::Value(value)) = event.field_mut(&path) {
                cut(value, self.bytes_max);
            }
        }
        Outcome::Matched
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::filter::testing::run;

    #[test]
    fn texts_are_cut_in_lists_and_objects_too() {
        let event =
            json!({"message": "héllo", "a": {"b": {"c": "hello"}, "n": 12345}, "l": ["hello", 1, {"x": "hello"}]});
        assert_eq!(
            run("truncate { length_bytes => 2 add_tag => cut }", event.clone()),
            json!({"message": "h", "a": {"b": {"c": "he"}, "n": 12345}, "l": ["he", 1, {"x": "hello"}], "tags": ["cut"]})
        );
        let cut = run("truncate { fields => [\"[a][b]\"] length_bytes => 0 }", event);
        assert_eq!((&cut["a"]["b"]["c"], &cut["message"]), (&json!(""), &json!("héllo")));
    }
}
