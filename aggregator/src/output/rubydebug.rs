//! Events as Logstash's `rubydebug` codec prints them: for people who try a pipeline out.

use crate::event::{Event, Object, Value, push_float, push_time};

/// Blanks of one level.
const INDENT: usize = 4;

/// Appends the event as a block of lines.
pub(crate) fn write(event: &Event, with_metadata: bool, out: &mut Vec<u8>) {
    let mut object = event.to_object();
    if !with_metadata {
        object.remove("@metadata");
    }
    let mut text = String::new();
    block(&object, 0, &mut text);
    text.push('\n');
    out.extend_from_slice(text.as_bytes());
}

fn block(object: &Object, depth: usize, out: &mut String) {
    if object.is_empty() {
        return out.push_str("{}");
    }
    let width = object.iter().map(|(name, _)| quoted(name).chars().count()).max().unwrap_or(0) + (depth + 1) * INDENT;
    out.push_str("{\n");
    for (n, (name, field)) in object.iter().enumerate() {
        let name = quoted(name);
        out.extend(std::iter::repeat_n(' ', width - name.chars().count()));
        out.push_str(&name);
        out.push_str(" => ");
        value(field, depth + 1, out);
        out.push_str(if n + 1 < object.len() { ",\n" } else { "\n" });
    }
    out.extend(std::iter::repeat_n(' ', depth * INDENT));
    out.push('}');
}

fn value(field: &Value, depth: usize, out: &mut String) {
    match field {
        Value::Null => out.push_str("nil"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Int(number) => out.push_str(&number.to_string()),
        Value::Float(number) => push_float(out, *number),
        Value::Big(digits) => out.push_str(digits),
        Value::Text(text) => out.push_str(&quoted(text)),
        Value::Time(time) => push_time(out, *time),
        Value::Object(object) => block(object, depth, out),
        Value::Array(items) if items.is_empty() => out.push_str("[]"),
        Value::Array(items) => {
            out.push_str("[\n");
            for (n, item) in items.iter().enumerate() {
                out.extend(std::iter::repeat_n(' ', (depth + 1) * INDENT));
                out.push_str(&format!("[{n}] "));
                value(item, depth + 1, out);
                out.push_str(if n + 1 < items.len() { ",\n" } else { "\n" });
            }
            out.extend(std::iter::repeat_n(' ', depth * INDENT));
            out.push(']');
        }
    }
}

/// Text in quotes as Ruby's `inspect` writes it.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{1b}' => out.push_str("\\e"),
            control if control < ' ' => out.push_str(&format!("\\x{:02X}", u32::from(control))),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_looks_as_in_logstash() {
        let json = r#"{"message":"say \"hi\"","log":{"level":"info","n":[1,{"a":null}]},"tags":[],"x":1.5}"#;
        let event = Event::from_json(json.into()).unwrap();
        let mut out = Vec::new();
        write(&event, false, &mut out);
        let expected = r#"{
    "message" => "say \"hi\"",
        "log" => {
        "level" => "info",
            "n" => [
            [0] 1,
            [1] {
                "a" => nil
            }
        ]
    },
       "tags" => [],
          "x" => 1.5
}
"#;
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
