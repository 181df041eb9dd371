//! The one event type. Made for lines that are mostly dropped: what every line of a container has in common is parsed
//! once and shared, text is a slice of the batch it came in, and nothing is allocated until a filter keeps or changes
//! something.
//!
//! `value` are the values, `path` the field references, `json` reads and writes, `decode` is the quick way for our own
//! shipper's lines, `names` what is kept by name, `tags` the field `tags`, `whole` all of an event at once.

mod decode;
pub mod json;
mod names;
mod path;
mod tags;
mod value;
mod whole;

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use smallvec::SmallVec;

pub use decode::EventDecoder;
pub use json::JsonError;
pub use names::KnownNames;
use path::Place;
pub use path::{FieldPath, PathError, Segment};
pub use value::{Object, Text, Value, ValueRef, lasting, push_float, push_time};

/// Top-level fields that fit an event without an allocation: `@timestamp`, `message`, `stream` and one to spare.
const FIELDS_INLINE: usize = 4;
/// Shared fields are hidden by bits of a `u64`; the two highest bits are for `log` and `@metadata`.
const SHARED_FIELDS_MAX: usize = 60;
const LOG_BIT: u64 = 1 << 63;
const METADATA_BIT: u64 = 1 << 62;

/// Where an event stands in its source; see the rules of exactly-once delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The source id.
    pub source: u64,
    /// Position of the first byte of its first line.
    pub start: u64,
    /// Position after its last line.
    pub end: u64,
}

/// Why bytes are not an event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// The bytes are not UTF-8, or not JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// It is JSON, but not an object.
    #[error("an event must be a JSON object")]
    NotAnObject,
}

/// One log event.
#[derive(Clone, Debug, Default)]
pub struct Event {
    fields: SmallVec<[(Text, Value); FIELDS_INLINE]>,
    metadata: Object,
    identity: Option<Identity>,
    shared: Option<Arc<Shared>>,
    /// Which of the shared fields are removed or replaced by own ones.
    hidden: u64,
    log_offset: u64,
    log_level: Option<Value>,
}

/// What all lines of one source have in common, parsed once.
#[derive(Debug)]
struct Shared {
    /// The source id as text.
    source: Text,
    /// `[@metadata]` without `[weir][start]`, `[end]` and `[source]`.
    metadata: Object,
    /// `[log]` without `offset`.
    log: Object,
    /// The other fields, each with its bytes as they came, name and colon included.
    fields: Vec<(Text, Value, Bytes)>,
    /// All bytes after `"log":{"offset":N`, closing brace of the event included.
    tail: Bytes,
}

impl Event {
    /// An event without fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// An event that has only a message.
    pub fn from_message(message: impl Into<Text>) -> Self {
        let mut event = Self::default();
        event.fields.push((Text::from_static("message"), Value::Text(message.into())));
        event
    }

    /// Reads any JSON object.
    ///
    /// # Errors
    /// Bytes that are not UTF-8 or not JSON, and JSON that is not an object.
    pub fn from_json(bytes: Bytes) -> Result<Self, EventError> {
        let text = Text::try_from(bytes).map_err(|_| JsonError { at: 0, problem: "it is not UTF-8" })?;
        match json::parse(&text)? {
            Value::Object(object) => Ok(Self::from_object(object)),
            _ => Err(EventError::NotAnObject),
        }
    }

    /// An event of these fields. `[@metadata][weir]` becomes its identity if it is whole.
    pub fn from_object(object: Object) -> Self {
        let mut event = Self::default();
        for (name, value) in object {
            match value {
                Value::Object(metadata) if *name == *"@metadata" => event.metadata = metadata,
                value => event.fields.push((name, value)),
            }
        }
        event.identity = event.metadata.get("weir").and_then(identity_of);
        event
    }

    /// An event for bytes that could not be decoded: their text, and a tag that says so.
    pub fn undecodable(bytes: &[u8]) -> Self {
        let mut event = Self::from_message(String::from_utf8_lossy(bytes).into_owned());
        event.add_tag("_jsonparsefailure");
        event
    }

    /// Where it stands in its source, if its shipper said so.
    pub fn identity(&self) -> Option<Identity> {
        self.identity
    }

    fn shared_if(&self, bit: u64) -> Option<&Shared> {
        self.shared.as_deref().filter(|_| self.hidden & bit == 0)
    }

    fn own(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|(have, _)| **have == *name).map(|(_, value)| value)
    }

    /// What a reference leads to. `[log]` alone shows the shared part only, `[@metadata]` likewise: use
    /// [`Event::get_owned`] where the whole object matters.
    pub fn get(&self, path: &FieldPath) -> Option<ValueRef<'_>> {
        // While `log` is shared it has no level of its own (see `decode`), and none of the event's fields is called so.
        if path.place() == Place::LogLevel && self.shared.is_some() && self.hidden & LOG_BIT == 0 {
            return self.log_level.as_ref().map(Value::as_ref);
        }
        // A shipper's line has it in this place.
        if path.place() == Place::Message
            && let Some((name, value)) = self.fields.get(1)
            && **name == *"message"
        {
            return Some(value.as_ref());
        }
        let (root, rest) = path.segments().split_first()?;
        if let Some(value) = self.own(&root.name) {
            return path::find(value, rest).map(Value::as_ref);
        }
        if path.is_metadata() {
            return self.get_metadata(rest);
        }
        let shared = self.shared.as_deref()?;
        if *root.name == *"log" {
            return self.get_log(self.shared_if(LOG_BIT)?, rest);
        }
        let index = shared.fields.iter().position(|(name, ..)| *name == root.name)?;
        if self.hidden & 1 << index != 0 {
            return None;
        }
        path::find(&shared.fields[index].1, rest).map(Value::as_ref)
    }

    fn get_log<'a>(&'a self, shared: &'a Shared, rest: &[Segment]) -> Option<ValueRef<'a>> {
        let Some((first, deeper)) = rest.split_first() else { return Some(ValueRef::Object(&shared.log)) };
        match &*first.name {
            "offset" if deeper.is_empty() => Some(ValueRef::Int(i64::try_from(self.log_offset).unwrap_or(i64::MAX))),
            "level" if self.log_level.is_some() => {
                self.log_level.as_ref().and_then(|level| path::find(level, deeper)).map(Value::as_ref)
            }
            name => path::find(shared.log.get(name)?, deeper).map(Value::as_ref),
        }
    }

    fn get_metadata(&self, rest: &[Segment]) -> Option<ValueRef<'_>> {
        let Some(shared) = self.shared_if(METADATA_BIT) else {
            return match rest.split_first() {
                None => Some(ValueRef::Object(&self.metadata)),
                Some((first, deeper)) => path::find(self.metadata.get(&first.name)?, deeper).map(Value::as_ref),
            };
        };
        let Some((first, deeper)) = rest.split_first() else { return Some(ValueRef::Object(&shared.metadata)) };
        if let ("weir", [last], Some(identity)) = (&*first.name, deeper, self.identity) {
            let position = |value: u64| Some(ValueRef::Int(i64::try_from(value).unwrap_or(i64::MAX)));
            match &*last.name {
                "start" => return position(identity.start),
                "end" => return position(identity.end),
                "source" => return Some(ValueRef::Text(&shared.source)),
                _ => {}
            }
        }
        path::find(shared.metadata.get(&first.name)?, deeper).map(Value::as_ref)
    }

    /// An owned copy of what a reference leads to; whole also where it is partly shared.
    pub fn get_owned(&self, path: &FieldPath) -> Option<Value> {
        if path.segments().len() <= 2 && self.shared.is_some() {
            let root = path.root();
            let (split, bit) = (**root == *"log", LOG_BIT);
            if (split && self.shared_if(bit).is_some())
                || (path.is_metadata() && self.shared_if(METADATA_BIT).is_some())
            {
                let mut copy = self.clone();
                return copy.field_mut(path).map(|value| value.clone());
            }
        }
        self.get(path).map(ValueRef::to_value)
    }

    /// The text a reference leads to, if it is text.
    pub fn get_str(&self, path: &FieldPath) -> Option<&str> {
        self.get(path)?.as_str()
    }

    /// Makes the top-level field `name` this event's own, if it is shared.
    fn take_over(&mut self, name: &str) {
        let Some(shared) = &self.shared else { return };
        // Most names are of no shared field: then nobody needs to be counted.
        if name != "@metadata" && name != "log" {
            let index = shared.fields.iter().position(|(have, ..)| **have == *name);
            if let Some(index) = index.filter(|index| self.hidden & 1 << index == 0) {
                self.hidden |= 1 << index;
                let (name, value, _) = &shared.fields[index];
                self.fields.push((name.clone(), value.clone()));
            }
            return;
        }
        let shared = Arc::clone(shared);
        if name == "@metadata" {
            if self.hidden & METADATA_BIT == 0 {
                self.hidden |= METADATA_BIT;
                self.metadata = shared.metadata.clone();
                if let Some(identity) = self.identity {
                    let number = |value: u64| i64::try_from(value).map_or(Value::Null, Value::Int);
                    let mut weir = match self.metadata.remove("weir") {
                        Some(Value::Object(weir)) => weir,
                        _ => Object::new(),
                    };
                    weir.insert(Text::from_static("start"), number(identity.start));
                    weir.insert(Text::from_static("end"), number(identity.end));
                    weir.insert(Text::from_static("source"), Value::Text(shared.source.clone()));
                    self.metadata.insert(Text::from_static("weir"), Value::Object(weir));
                }
            }
        } else if self.hidden & LOG_BIT == 0 {
            self.hidden |= LOG_BIT;
            let mut log = Object::new();
            log.push(Text::from_static("offset"), Value::Int(i64::try_from(self.log_offset).unwrap_or(i64::MAX)));
            for (name, value) in shared.log.iter() {
                log.push(name.clone(), value.clone());
            }
            if let Some(level) = self.log_level.take() {
                log.insert(Text::from_static("level"), level);
            }
            self.fields.push((Text::from_static("log"), Value::Object(log)));
        }
    }

    /// What a reference leads to, to change it in place.
    pub fn field_mut(&mut self, path: &FieldPath) -> Option<MutField<'_>> {
        let (root, rest) = path.segments().split_first()?;
        self.take_over(&root.name);
        if path.is_metadata() {
            return match rest.split_first() {
                None => Some(MutField::Metadata(&mut self.metadata)),
                Some((first, deeper)) => {
                    path::find_mut(self.metadata.get_mut(&first.name)?, deeper).map(MutField::Value)
                }
            };
        }
        let (_, value) = self.fields.iter_mut().find(|(have, _)| *have == root.name)?;
        path::find_mut(value, rest).map(MutField::Value)
    }

    /// Sets a field, making the objects on the way. False, and nothing changed, where a step on the way is neither an
    /// object nor a list that has such an index.
    pub fn set(&mut self, path: &FieldPath, value: Value) -> bool {
        let Some((root, rest)) = path.segments().split_first() else { return false };
        if self.shared.is_some() {
            if let [level] = rest
                && *level.name == *"level"
                && *root.name == *"log"
                && self.hidden & LOG_BIT == 0
            {
                self.log_level = Some(value);
                return true;
            }
            self.take_over(&root.name);
        }
        if path.is_metadata() {
            let Some((first, deeper)) = rest.split_first() else {
                let Value::Object(object) = value else { return false };
                self.metadata = object;
                return true;
            };
            if let Some(slot) = self.metadata.get_mut(&first.name) {
                return path::put(slot, deeper, value);
            }
            let mut slot = Value::Null;
            let done = path::put(&mut slot, deeper, value);
            if done {
                self.metadata.push(first.name.clone(), slot);
            }
            return done;
        }
        if let Some((_, slot)) = self.fields.iter_mut().find(|(have, _)| *have == root.name) {
            return path::put(slot, rest, value);
        }
        let mut slot = Value::Null;
        let done = path::put(&mut slot, rest, value);
        if done {
            self.fields.push((root.name.clone(), slot));
        }
        done
    }

    /// Appends a top-level field, for which [`Event::get`] has just found nothing; not `@metadata`.
    pub(crate) fn append(&mut self, name: Text, value: Value) {
        self.fields.push((name, value));
    }

    /// Takes a field out.
    pub fn remove(&mut self, path: &FieldPath) -> Option<Value> {
        let (root, rest) = path.segments().split_first()?;
        if path.is_metadata() {
            self.take_over(&root.name);
            return match rest.split_first() {
                None => Some(Value::Object(std::mem::take(&mut self.metadata))),
                Some((first, [])) => self.metadata.remove(&first.name),
                Some((first, deeper)) => path::take(self.metadata.get_mut(&first.name)?, deeper),
            };
        }
        // Most removals of shared fields are of whole ones, by prune: those need no copy first.
        if !rest.is_empty() && self.get(path).is_some() {
            self.take_over(&root.name);
        } else if rest.is_empty() && self.own(&root.name).is_none() {
            let value = self.get_owned(path)?;
            self.hide(&root.name);
            return Some(value);
        }
        let index = self.fields.iter().position(|(have, _)| *have == root.name)?;
        if rest.is_empty() {
            return Some(self.fields.remove(index).1);
        }
        path::take(&mut self.fields[index].1, rest)
    }

    fn hide(&mut self, name: &str) {
        let Some(shared) = &self.shared else { return };
        if name == "log" {
            self.hidden |= LOG_BIT;
            self.log_level = None;
        } else if let Some(index) = shared.fields.iter().position(|(have, ..)| **have == *name) {
            self.hidden |= 1 << index;
        }
    }

    /// The event's time: `@timestamp`, if it is there and a time.
    pub fn timestamp(&self) -> Option<Timestamp> {
        match self.own("@timestamp")? {
            Value::Time(time) => Some(*time),
            Value::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// Sets `@timestamp` where there is none, or one that is not a time (which is then kept as
    /// `_@timestamp`, with a tag, as Logstash does).
    pub fn ensure_timestamp(&mut self, now: Timestamp) {
        if self.timestamp().is_some() {
            return;
        }
        let path = FieldPath::of(&["@timestamp"]);
        if let Some(wrong) = self.remove(&path) {
            self.fields.push((Text::from_static("_@timestamp"), wrong));
            self.add_tag("_timestampparsefailure");
        }
        self.fields.insert(0, (Text::from_static("@timestamp"), Value::Time(now)));
    }
}

/// A field that may be changed in place.
#[derive(Debug)]
pub enum MutField<'a> {
    /// An ordinary value.
    Value(&'a mut Value),
    /// `[@metadata]` itself, which is always an object.
    Metadata(&'a mut Object),
}

impl MutField<'_> {
    fn clone(self) -> Value {
        match self {
            MutField::Value(value) => value.clone(),
            MutField::Metadata(object) => Value::Object(object.clone()),
        }
    }
}

fn identity_of(weir: &Value) -> Option<Identity> {
    let Value::Object(weir) = weir else { return None };
    let number = |name| match weir.get(name)? {
        Value::Int(value) => u64::try_from(*value).ok(),
        Value::Big(digits) => digits.parse().ok(),
        _ => None,
    };
    let source = u64::from_str_radix(weir.get("source")?.as_str()?, 16).ok()?;
    Some(Identity { source, start: number("start")?, end: number("end")? })
}

#[cfg(test)]
mod tests;
