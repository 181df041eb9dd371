//! `%{[a][b]}`, `%{+yyyy.MM.dd}`, `%{+%s}` and `%{{yyyy}}` in option values: read once, filled in per event.

use crate::event::{Event, FieldPath, Text};
use crate::filter::time::format::Format;

/// A text with places to fill in.
#[derive(Clone, Debug)]
pub struct Template {
    source: Text,
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Fixed(Text),
    /// A field, and how it was written, which stays where the field is missing.
    Field(FieldPath, Text),
    /// The event's time in this form, and how it was written.
    Time(Format, Text),
    /// The event's time in seconds since 1970, and how it was written.
    Epoch(Text),
}

impl Template {
    /// Reads a text. What is no reference and no known time form stays as it is.
    pub fn parse(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut fixed = String::new();
        let mut rest = text;
        while let Some(start) = rest.find("%{") {
            fixed.push_str(&rest[..start]);
            let tail = &rest[start..];
            let (part, len) = if let Some(inner) = tail.strip_prefix("%{{") {
                match inner.find("}}") {
                    Some(end) => (time(&inner[..end], &tail[..end + 5]), end + 5),
                    None => (None, 2),
                }
            } else {
                match tail.find('}') {
                    Some(end) => (part(&tail[2..end], &tail[..=end]), end + 1),
                    None => (None, 2),
                }
            };
            match part {
                Some(part) => {
                    if !fixed.is_empty() {
                        parts.push(Part::Fixed(std::mem::take(&mut fixed).into()));
                    }
                    parts.push(part);
                }
                None => fixed.push_str(&tail[..len]),
            }
            rest = &tail[len..];
        }
        fixed.push_str(rest);
        if !fixed.is_empty() || parts.is_empty() {
            parts.push(Part::Fixed(fixed.into()));
        }
        Self { source: text.into(), parts }
    }

    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// The text, if nothing is to be filled in.
    pub fn fixed(&self) -> Option<&Text> {
        if let [Part::Fixed(text)] = &self.parts[..] { Some(text) } else { None }
    }

    /// The fields it reads.
    pub fn fields(&self) -> impl Iterator<Item = &FieldPath> {
        self.parts.iter().filter_map(|part| if let Part::Field(path, _) = part { Some(path) } else { None })
    }

    /// The text for this event. Without anything to fill in it is shared, not copied.
    pub fn render(&self, event: &Event) -> Text {
        if let Some(text) = self.fixed() {
            return text.clone();
        }
        let mut out = String::new();
        self.render_into(event, &mut out);
        out.into()
    }

    /// Appends the text for this event.
    pub fn render_into(&self, event: &Event, out: &mut String) {
        for part in &self.parts {
            match part {
                Part::Fixed(text) => out.push_str(text),
                Part::Field(path, written) => match event.get_owned(path) {
                    Some(value) if value != crate::event::Value::Null => value.as_ref().write_text(out),
                    _ => out.push_str(written),
                },
                Part::Time(format, written) => match event.timestamp() {
                    Some(time) => format.write(time, out),
                    None => out.push_str(written),
                },
                Part::Epoch(written) => match event.timestamp() {
                    Some(time) => out.push_str(&time.as_second().to_string()),
                    None => out.push_str(written),
                },
            }
        }
    }
}

fn part(inner: &str, written: &str) -> Option<Part> {
    match inner.strip_prefix('+') {
        Some("%s") => Some(Part::Epoch(written.into())),
        Some(form) => time(form, written),
        None => FieldPath::parse(inner).ok().map(|path| Part::Field(path, written.into())),
    }
}

fn time(form: &str, written: &str) -> Option<Part> {
    Format::parse(form).ok().map(|format| Part::Time(format, written.into()))
}
