//! `urldecode`: `%41` back to `A`, in one field or in all.

use std::fmt::Write as _;

use super::json::tags_on_failure;
use super::{Filter, Outcome, Scratch};
use crate::event::{Event, FieldPath, MutField, Text, Value};
use crate::pipeline::options::Options;

#[derive(Debug)]
struct UrlDecode {
    field: FieldPath,
    all: bool,
    tags: Vec<String>,
}

pub(super) fn build(options: &mut Options<'_>) -> Option<Box<dyn Filter>> {
    let field = options.field("field").unwrap_or_else(|| FieldPath::of(&["message"]));
    let all = options.bool("all_fields", false);
    options.choice("charset", &["UTF-8"], "UTF-8");
    let tags = tags_on_failure(options, "_urldecodefailure");
    Some(Box::new(UrlDecode { field, all, tags }))
}

/// The text with its escapes filled in; none where nothing changes. An escape that is none stays as it is.
fn decode(text: &str) -> Option<Text> {
    if !text.contains('%') {
        return None;
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digit = |index: usize| bytes.get(index).and_then(|byte| char::from(*byte).to_digit(16));
        match (bytes[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                // Two hexadecimal digits always fit a byte.
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, ..) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    Some(String::from_utf8(out).unwrap_or_else(|error| shown(error.as_bytes())).into())
}

/// Bytes that are no text are shown as `\xD3`.
fn shown(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(text, "\\x{byte:02X}");
        }
    }
    text
}

fn decode_value(value: &mut Value) {
    match value {
        Value::Text(text) => {
            if let Some(decoded) = decode(text) {
                *text = decoded;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(decode_value),
        Value::Object(object) => object.retain(|(_, value)| {
            decode_value(value);
            true
        }),
        _ => {}
    }
}

impl Filter for UrlDecode {
    fn apply(&self, event: &mut Event, _: &mut Scratch) -> Outcome {
        let paths = if self.all {
            event.names().iter().map(|name| FieldPath::of(&[name])).collect()
        } else {
            vec![self.field.clone()]
        };
        for path in paths {
            if event.get(&path).is_none() {
                continue;
            }
            match event.field_mut(&path) {
                Some(MutField::Value(value)) => decode_value(value),
                _ => self.tags.iter().for_each(|tag| event.add_tag(tag.as_str())),
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
    fn bytes_that_are_no_text_are_shown() {
        let event = json!({"message": "/a?b=%C3%BB%D3%D0;%E2%82+%41%4"});
        assert_eq!(run("urldecode { }", event)["message"], "/a?b=û\\xD3\\xD0;\\xE2\\x82+A%4");
    }
}
