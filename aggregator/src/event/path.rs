//! Field references: `message`, `[log][level]`, `[@metadata][x]`, `[tags][0]`, read once when a pipeline is loaded.

use std::fmt;

use super::value::{Object, Text, Value, lasting};

/// Segments a reference may have. Deeper than any JSON we accept, so nothing reachable is refused.
const SEGMENTS_MAX: usize = 128;
/// A list may be grown by writing to an index up to this; it keeps `[a][999999999]` from eating the memory.
const INDEX_MAX: usize = 10_000;

/// One step of a reference: a name, and the index that it is where the value is a list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Segment {
    /// The name between the brackets.
    pub name: Text,
    /// The same as a number, if it is one; negative counts from the end.
    pub index: Option<i64>,
}

/// A field reference that has been read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldPath {
    text: Text,
    segments: Box<[Segment]>,
    place: Place,
}

/// Where in an event a reference leads, as far as events treat it in a way of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// `[@metadata]` and below.
    Metadata,
    /// `[log][level]`, which conditions ask for more often than for all else.
    LogLevel,
    /// `message`, which comes next.
    Message,
    Other,
}

/// Why a text is not a field reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a field reference: {problem}")]
pub struct PathError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl FieldPath {
    /// Reads `name` or `[a][b]`.
    ///
    /// # Errors
    /// Brackets that do not close, an empty name, text outside the brackets.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let fail = |problem| PathError { text: text.to_owned(), problem };
        if text.is_empty() {
            return Err(fail("it is empty"));
        }
        let mut segments = Vec::new();
        if text.starts_with('[') {
            let mut rest = text;
            while !rest.is_empty() {
                let inner = rest.strip_prefix('[').ok_or_else(|| fail("there is text outside the brackets"))?;
                let end = inner.find(']').ok_or_else(|| fail("a bracket is not closed"))?;
                let name = &inner[..end];
                if name.is_empty() {
                    return Err(fail("there is nothing between two brackets"));
                }
                if name.contains('[') {
                    return Err(fail("a bracket opens inside a name"));
                }
                segments.push(Segment::new(name));
                rest = &inner[end + 1..];
            }
        } else if text.contains(['[', ']']) {
            return Err(fail("write every step in brackets, as in `[a][b]`"));
        } else {
            segments.push(Segment::new(text));
        }
        if segments.len() > SEGMENTS_MAX {
            return Err(fail("it has too many steps"));
        }
        Ok(Self::new(text.into(), segments.into()))
    }

    /// A reference made of plain names; for names that the program itself knows.
    pub fn of(names: &[&str]) -> Self {
        let text = if let [name] = names {
            (*name).to_owned()
        } else {
            names.iter().map(|name| format!("[{name}]")).collect()
        };
        Self::new(text.into(), names.iter().map(|name| Segment::new(name)).collect())
    }

    fn new(text: Text, segments: Box<[Segment]>) -> Self {
        let place = match &*segments {
            [root, ..] if *root.name == *"@metadata" => Place::Metadata,
            [root, leaf] if *root.name == *"log" && *leaf.name == *"level" => Place::LogLevel,
            [root] if *root.name == *"message" => Place::Message,
            _ => Place::Other,
        };
        Self { text, segments, place }
    }

    /// The same with names that live as long as the program, for what pipeline files say.
    pub fn lasting(mut self) -> Self {
        for segment in &mut self.segments {
            segment.name = lasting(&segment.name);
        }
        self
    }

    pub(super) fn place(&self) -> Place {
        self.place
    }

    /// This reference below `parent`.
    pub fn below(&self, parent: &FieldPath) -> Self {
        let segments: Box<[Segment]> = parent.segments.iter().chain(&self.segments).cloned().collect();
        let text: String = segments.iter().map(|segment| format!("[{}]", segment.name)).collect();
        Self::new(text.into(), segments)
    }

    /// The reference as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The first step.
    pub fn root(&self) -> &Text {
        &self.segments[0].name
    }

    /// All steps; there is at least one.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Whether it lies in `[@metadata]`, which is never written out.
    pub fn is_metadata(&self) -> bool {
        self.place == Place::Metadata
    }
}

impl Segment {
    fn new(name: &str) -> Self {
        Self { index: name.parse().ok(), name: name.into() }
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn position(segment: &Segment, len: usize) -> Option<usize> {
    let index = segment.index?;
    let index = if index < 0 { index + i64::try_from(len).ok()? } else { index };
    usize::try_from(index).ok()
}

/// Follows `segments` down from `value`.
pub(super) fn find<'a>(mut value: &'a Value, segments: &[Segment]) -> Option<&'a Value> {
    for segment in segments {
        value = match value {
            Value::Object(object) => object.get(&segment.name)?,
            Value::Array(items) => items.get(position(segment, items.len())?)?,
            _ => return None,
        };
    }
    Some(value)
}

/// Follows `segments` down from `value`, to change what is there.
pub(super) fn find_mut<'a>(mut value: &'a mut Value, segments: &[Segment]) -> Option<&'a mut Value> {
    for segment in segments {
        value = match value {
            Value::Object(object) => object.get_mut(&segment.name)?,
            Value::Array(items) => {
                let index = position(segment, items.len())?;
                items.get_mut(index)?
            }
            _ => return None,
        };
    }
    Some(value)
}

/// Writes `new` at the end of `segments` below `value`, making objects on the way. False when a step on the way is
/// neither an object nor a list with such an index.
pub(super) fn put(value: &mut Value, segments: &[Segment], new: Value) -> bool {
    let Some((first, rest)) = segments.split_first() else {
        *value = new;
        return true;
    };
    if matches!(value, Value::Null) {
        *value = Value::Object(Object::new());
    }
    match value {
        Value::Object(object) => match object.get_mut(&first.name) {
            Some(slot) => put(slot, rest, new),
            None => {
                let mut slot = Value::Null;
                let done = put(&mut slot, rest, new);
                if done {
                    object.push(first.name.clone(), slot);
                }
                done
            }
        },
        Value::Array(items) => match position(first, items.len()) {
            Some(index) if index <= INDEX_MAX => {
                if index >= items.len() {
                    items.resize(index + 1, Value::Null);
                }
                put(&mut items[index], rest, new)
            }
            _ => false,
        },
        _ => false,
    }
}

/// Takes the value at the end of `segments` (at least one) out.
pub(super) fn take(value: &mut Value, segments: &[Segment]) -> Option<Value> {
    let (last, way) = segments.split_last()?;
    match find_mut(value, way)? {
        Value::Object(object) => object.remove(&last.name),
        Value::Array(items) => {
            let index = position(last, items.len())?;
            (index < items.len()).then(|| items.remove(index))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_and_brackets() {
        let path = FieldPath::parse("[a][b c][-1]").unwrap();
        assert_eq!(path.segments().len(), 3);
        assert_eq!(path.segments()[2].index, Some(-1));
        assert_eq!(FieldPath::parse("foo-bar").unwrap().segments().len(), 1);
        for wrong in ["", "[a", "[]", "[a]b", "a[b]", "[a[b]]"] {
            assert!(FieldPath::parse(wrong).is_err(), "{wrong}");
        }
    }
}
