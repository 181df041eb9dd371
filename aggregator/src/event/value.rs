//! The values an event holds: JSON's kinds, and points in time. Text is shared, never copied.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use bytestring::ByteString;
use jiff::Timestamp;

/// Text as events hold it: valid UTF-8, cheap to clone, usually a slice of the batch it came in.
pub type Text = ByteString;

/// Names that live as long as the program, at most; at most so long each. What pipeline files say are hundreds.
const LASTING_NAMES_MAX: usize = 10_000;
const LASTING_BYTES_MAX: usize = 128;

/// A name that a pipeline file says, as a text that lives as long as the program: events that get it need not count who
/// uses it. Each name is kept once, also when files are loaded again; one too many is an ordinary text.
pub fn lasting(name: &str) -> Text {
    keep(name, LASTING_NAMES_MAX).map_or_else(|| name.into(), Text::from_static)
}

/// A name that lives as long as the program: one that is kept, or a new one while fewer than `names_max` are.
pub(crate) fn keep(name: &str, names_max: usize) -> Option<&'static str> {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    // A panic of another thread leaves whole names only.
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    match names.get(name) {
        Some(name) => Some(name),
        None if names.len() < names_max && name.len() <= LASTING_BYTES_MAX => {
            let name: &'static str = Box::leak(name.into());
            names.insert(name);
            Some(name)
        }
        None => None,
    }
}

/// One value of an event.
///
/// The kind fills a register of its own: with a kind of one byte the compiler moves the other bytes of a value by odd
/// addresses, and every read behind such a write waits for it.
#[derive(Clone, Debug, PartialEq)]
#[repr(u64)]
pub enum Value {
    /// JSON's null. A field that is null counts as missing in conditions.
    Null,
    /// true or false.
    Bool(bool),
    /// A whole number of 64 bits.
    Int(i64),
    /// A finite floating-point number.
    Float(f64),
    /// A whole number beyond 64 bits, its digits as they came.
    Big(Text),
    /// Text.
    Text(Text),
    /// A point in time, as `date` sets it.
    Time(Timestamp),
    /// A list.
    Array(Vec<Value>),
    /// Names and values, in the order they came.
    Object(Object),
}

/// A borrowed look at a value; some of them are not stored as [`Value`] (the offset, the position).
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(u64)]
pub enum ValueRef<'a> {
    /// JSON's null.
    Null,
    /// true or false.
    Bool(bool),
    /// A whole number of 64 bits.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// The digits of a whole number beyond 64 bits.
    Big(&'a Text),
    /// Text; clone it to keep it without copying.
    Text(&'a Text),
    /// A point in time.
    Time(Timestamp),
    /// A list.
    Array(&'a [Value]),
    /// Names and values.
    Object(&'a Object),
}

impl Value {
    /// The borrowed look at this value.
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Value::Null => ValueRef::Null,
            Value::Bool(value) => ValueRef::Bool(*value),
            Value::Int(value) => ValueRef::Int(*value),
            Value::Float(value) => ValueRef::Float(*value),
            Value::Big(digits) => ValueRef::Big(digits),
            Value::Text(text) => ValueRef::Text(text),
            Value::Time(time) => ValueRef::Time(*time),
            Value::Array(items) => ValueRef::Array(items),
            Value::Object(object) => ValueRef::Object(object),
        }
    }

    /// The text, if this is text.
    pub fn as_str(&self) -> Option<&str> {
        if let Value::Text(text) = self { Some(text) } else { None }
    }

    /// Text that lives as long as the program; nothing is copied.
    pub fn fixed(text: &'static str) -> Self {
        Value::Text(Text::from_static(text))
    }

    /// What Ruby's `to_s` makes of it: the form that templates, `grok` and `convert => string` see.
    pub fn to_text(&self) -> Text {
        self.as_ref().to_text()
    }
}

impl<'a> ValueRef<'a> {
    /// An owned copy; text is shared, not copied.
    pub fn to_value(self) -> Value {
        match self {
            ValueRef::Null => Value::Null,
            ValueRef::Bool(value) => Value::Bool(value),
            ValueRef::Int(value) => Value::Int(value),
            ValueRef::Float(value) => Value::Float(value),
            ValueRef::Big(digits) => Value::Big(digits.clone()),
            ValueRef::Text(text) => Value::Text(text.clone()),
            ValueRef::Time(time) => Value::Time(time),
            ValueRef::Array(items) => Value::Array(items.to_vec()),
            ValueRef::Object(object) => Value::Object(object.clone()),
        }
    }

    /// The text, if this is text.
    pub fn as_str(self) -> Option<&'a str> {
        if let ValueRef::Text(text) = self { Some(text) } else { None }
    }

    /// See [`Value::to_text`].
    pub fn to_text(self) -> Text {
        if let ValueRef::Text(text) = self {
            return text.clone();
        }
        let mut out = String::new();
        self.write_text(&mut out);
        out.into()
    }

    /// Appends what a template shows of it: lists joined by commas, objects as JSON, null as nothing.
    pub fn write_text(self, out: &mut String) {
        match self {
            ValueRef::Null => {}
            ValueRef::Bool(value) => out.push_str(if value { "true" } else { "false" }),
            ValueRef::Int(value) => push_int(out, value),
            ValueRef::Float(value) => push_float(out, value),
            ValueRef::Big(text) | ValueRef::Text(text) => out.push_str(text),
            ValueRef::Time(time) => push_time(out, time),
            ValueRef::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.as_ref().write_text(out);
                }
            }
            ValueRef::Object(_) => {
                let mut bytes = Vec::new();
                super::json::write(&mut bytes, self);
                out.push_str(&String::from_utf8_lossy(&bytes));
            }
        }
    }

    /// The name of the kind as Ruby calls it, for messages to people.
    pub fn kind(self) -> &'static str {
        match self {
            ValueRef::Null => "nil",
            ValueRef::Bool(_) => "Boolean",
            ValueRef::Int(_) | ValueRef::Big(_) => "Integer",
            ValueRef::Float(_) => "Float",
            ValueRef::Text(_) => "String",
            ValueRef::Time(_) => "Timestamp",
            ValueRef::Array(_) => "Array",
            ValueRef::Object(_) => "Hash",
        }
    }
}

fn push_int(out: &mut String, value: i64) {
    use std::fmt::Write as _;
    // Writing to a String cannot fail.
    let _ = write!(out, "{value}");
}

/// A float as Ruby prints it: `123.0`, `1.0e+16`, `1.0e-05`.
pub fn push_float(out: &mut String, value: f64) {
    use std::fmt::Write as _;
    let size = value.abs();
    if size == 0.0 || (1e-4..1e16).contains(&size) {
        // Writing to a String cannot fail.
        let _ = write!(out, "{value:?}");
        return;
    }
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    out.push_str(mantissa);
    if !mantissa.contains('.') {
        out.push_str(".0");
    }
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    let _ = write!(out, "e{sign}{digits:0>2}");
}

/// A time as Logstash prints it: UTC, three digits of a second at least, up to nine where they are there.
pub fn push_time(out: &mut String, time: Timestamp) {
    use std::fmt::Write as _;
    let nanos = time.subsec_nanosecond();
    let digits = if nanos % 1_000_000 == 0 {
        3
    } else if nanos % 1_000 == 0 {
        6
    } else {
        9
    };
    // Writing to a String cannot fail.
    let _ = write!(out, "{time:.digits$}");
}

/// Names and values in the order they came. Looked up by walking: events have tens of fields, not thousands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object {
    entries: Vec<(Text, Value)>,
}

impl Object {
    /// An object without entries.
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.entries.iter().find(|(have, _)| **have == *name).map(|(_, value)| value)
    }

    /// The value of a name, to change it.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Value> {
        self.entries.iter_mut().find(|(have, _)| **have == *name).map(|(_, value)| value)
    }

    /// Sets a name, in its old place where it was there.
    pub fn insert(&mut self, name: Text, value: Value) {
        match self.get_mut(&name) {
            Some(slot) => *slot = value,
            None => self.entries.push((name, value)),
        }
    }

    /// Appends without looking whether the name is there; for readers that made sure.
    pub(crate) fn push(&mut self, name: Text, value: Value) {
        self.entries.push((name, value));
    }

    /// Makes room for so many more entries.
    pub(crate) fn reserve(&mut self, entries: usize) {
        self.entries.reserve_exact(entries);
    }

    /// Takes a name out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let index = self.entries.iter().position(|(have, _)| **have == *name)?;
        Some(self.entries.remove(index).1)
    }

    /// Keeps the entries that `keep` is true for.
    pub fn retain(&mut self, keep: impl FnMut(&mut (Text, Value)) -> bool) {
        self.entries.retain_mut(keep);
    }

    /// Names and values in order.
    pub fn iter(&self) -> std::slice::Iter<'_, (Text, Value)> {
        self.entries.iter()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Keeps the last value of a name that came several times, as JSON readers do.
    pub(crate) fn keep_last_of_each(&mut self) {
        /// Up to so many names a plain walk over all pairs is quicker than a hash set.
        const FEW: usize = 24;
        if self.entries.len() <= FEW {
            let mut index = self.entries.len();
            while index > 1 {
                index -= 1;
                let (before, from) = self.entries.split_at(index);
                let name = &*from[0].0;
                if let Some(earlier) = before.iter().position(|(have, _)| have.len() == name.len() && **have == *name) {
                    self.entries.remove(earlier);
                }
            }
            return;
        }
        let mut seen = std::collections::HashSet::with_capacity(self.entries.len());
        let mut kept: Vec<_> = self.entries.drain(..).rev().filter(|(name, _)| seen.insert(name.clone())).collect();
        kept.reverse();
        self.entries = kept;
    }
}

impl IntoIterator for Object {
    type Item = (Text, Value);
    type IntoIter = std::vec::IntoIter<(Text, Value)>;
    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

impl FromIterator<(Text, Value)> for Object {
    fn from_iter<I: IntoIterator<Item = (Text, Value)>>(entries: I) -> Self {
        let mut object = Self { entries: entries.into_iter().collect() };
        object.keep_last_of_each();
        object
    }
}
