//! From a frame's bytes to events.

use bytes::Bytes;

use crate::event::{Event, Text, Value, json};
use crate::pipeline::pattern::Pattern;

/// Events that one JSON list may hold.
const LIST_EVENTS_MAX: usize = 100_000;

/// How the bytes of one frame become events.
#[derive(Clone, Debug)]
pub(crate) enum Codec {
    /// The frame is the message.
    Plain,
    /// The frame is JSON: an object is an event, a list of objects is several.
    Json,
    /// Lines that belong together become one event.
    Multiline(MultilineRule),
}

/// Which lines belong together.
#[derive(Clone, Debug)]
pub(crate) struct MultilineRule {
    /// The pattern that is looked for in each line.
    pub pattern: Pattern,
    /// Lines without it are meant.
    pub negate: bool,
    /// The lines meant belong to the one after them; else to the one before.
    pub next: bool,
    /// Lines of one event.
    pub lines_max: usize,
    /// Bytes of one event.
    pub bytes_max: usize,
}

impl Codec {
    /// A decoder of one stream.
    pub fn decoder(&self) -> Decoder {
        Decoder { codec: self.clone(), held: String::new(), held_lines: 0 }
    }
}

/// The state of one stream. Holds the lines of at most one event.
#[derive(Debug)]
pub(crate) struct Decoder {
    codec: Codec,
    held: String,
    held_lines: usize,
}

impl Decoder {
    /// Appends the events that a frame completes.
    pub fn frame(&mut self, frame: &Bytes, events: &mut Vec<Event>) {
        match &self.codec {
            Codec::Plain => events.push(Event::from_message(text(frame))),
            Codec::Json if frame.iter().all(u8::is_ascii_whitespace) => {}
            Codec::Json => json(frame, events),
            Codec::Multiline(rule) => {
                let rule = rule.clone();
                self.line(&rule, &text(frame), events);
            }
        }
    }

    /// Appends what is held back, when no more will come for a while.
    pub fn flush(&mut self, events: &mut Vec<Event>) {
        if self.held_lines > 0 {
            let mut event = Event::from_message(std::mem::take(&mut self.held));
            if self.held_lines > 1 {
                event.add_tag("multiline");
            }
            self.held_lines = 0;
            events.push(event);
        }
    }

    /// Whether lines are held back.
    pub fn holds(&self) -> bool {
        self.held_lines > 0
    }

    fn line(&mut self, rule: &MultilineRule, line: &str, events: &mut Vec<Event>) {
        let belongs = rule.pattern.is_match(line) != rule.negate;
        if !rule.next && !belongs {
            self.flush(events);
        }
        if self.held_lines > 0 {
            self.held.push('\n');
        }
        self.held.push_str(line);
        self.held_lines += 1;
        let full = self.held_lines >= rule.lines_max || self.held.len() >= rule.bytes_max;
        if (rule.next && !belongs) || full {
            self.flush(events);
        }
    }
}

fn text(bytes: &Bytes) -> Text {
    match Text::try_from(bytes.clone()) {
        Ok(text) => text,
        Err(_) => String::from_utf8_lossy(bytes).into_owned().into(),
    }
}

fn json(frame: &Bytes, events: &mut Vec<Event>) {
    let Ok(text) = Text::try_from(frame.clone()) else { return events.push(Event::undecodable(frame)) };
    match json::parse(&text) {
        Ok(Value::Object(object)) => events.push(Event::from_object(object)),
        Ok(Value::Array(items)) if items.len() <= LIST_EVENTS_MAX => {
            for item in items {
                match item {
                    Value::Object(object) => events.push(Event::from_object(object)),
                    other => events.push(Event::undecodable(other.to_text().as_bytes())),
                }
            }
        }
        _ => events.push(Event::undecodable(frame)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::FieldPath;

    fn messages(codec: &Codec, frames: &[&'static str]) -> Vec<String> {
        let mut decoder = codec.decoder();
        let mut events = Vec::new();
        for frame in frames {
            decoder.frame(&Bytes::from_static(frame.as_bytes()), &mut events);
        }
        decoder.flush(&mut events);
        let message = FieldPath::of(&["message"]);
        events.iter().map(|event| event.get_str(&message).unwrap_or("").to_owned()).collect()
    }

    #[test]
    fn json_objects_lists_and_nonsense() {
        let frames = [r#"{"message":"a"}"#, r#"[{"message":"b"},7]"#, " ", "nope"];
        assert_eq!(messages(&Codec::Json, &frames), ["a", "b", "7", "nope"]);
    }

    #[test]
    fn lines_that_belong_together() {
        let rule = |pattern: &str, negate, next| {
            let pattern = Pattern::new(pattern).unwrap();
            Codec::Multiline(MultilineRule { pattern, negate, next, lines_max: 4, bytes_max: 100 })
        };
        let stack = ["one", "  at a", "  at b", "two", "three"];
        assert_eq!(messages(&rule(r"^\s", false, false), &stack), ["one\n  at a\n  at b", "two", "three"]);
        let dated = ["2024 a", "b", "2024 c"];
        assert_eq!(messages(&rule(r"^\d{4}", true, false), &dated), ["2024 a\nb", "2024 c"]);
        let joined = ["a \\", "b \\", "c", "d"];
        assert_eq!(messages(&rule(r"\\$", false, true), &joined), ["a \\\nb \\\nc", "d"]);
        assert_eq!(
            messages(&rule("^ ", false, false), &["a", " 1", " 2", " 3", " 4", "b"]),
            ["a\n 1\n 2\n 3", " 4", "b"]
        );
    }
}
