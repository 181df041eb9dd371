//! Documents between the request and tantivy: one text, and for each value a small record that says where in it the
//! value is and where it goes. tantivy reads them through its `Document` trait; nothing is copied.

use std::sync::Arc;

use tantivy::DateTime;
use tantivy::schema::Field;
use tantivy::schema::document::{Document, ReferenceValue, ReferenceValueLeaf, Value};

use super::flow::Share;
use crate::mapping::Mapping;
use crate::schema::Fields;

/// A value of a document: 24 bytes, and no pointer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leaf {
    pub(crate) value: Scalar,
    /// The mapping's node, for the JSON fields and for paths.
    pub(crate) node: u32,
    pub(crate) target: Target,
}

/// Where a value goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Timestamp,
    Message,
    Keyword(u8),
    Offset,
    /// `_kw`
    Exact,
    /// `_txt`
    Words,
    /// `_kw` and `_txt`
    Both,
    /// The path, into `_exists`
    Exists,
    /// The path, into `_ignored`
    Ignored,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Scalar {
    /// A string without escapes, in the text of the batch.
    Text {
        start: u32,
        len: u32,
    },
    /// A string that had escapes, in `unescaped` of the batch.
    Unescaped {
        start: u32,
        len: u32,
    },
    I64(i64),
    U64(u64),
    F64(f64),
    Bool(bool),
    /// Nanoseconds.
    Date(i64),
    /// Only the path matters.
    Path,
}

/// Who a document is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// It got its id from its arrival number.
    Arrival,
    /// A foreign client gave it.
    Given(Box<str>),
    /// It stands for a stretch of a source.
    Position {
        /// The source.
        source: u64,
        /// Start of the stretch.
        start: u64,
        /// Its end.
        end: u64,
        /// Which of several documents of one stretch.
        sub: u64,
    },
}

/// One document of a batch.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// Number of the index within the batch.
    pub(crate) index: u16,
    pub(crate) extent: Extent,
    pub(crate) identity: Identity,
    pub(crate) seq: u64,
    pub(crate) version: u64,
    /// `_routing`, where the request gave one.
    pub(crate) routing: Option<Box<str>>,
}

/// The parsed values of some documents.
#[derive(Debug, Default)]
pub(crate) struct Values {
    pub(crate) unescaped: String,
    pub(crate) leaves: Vec<Leaf>,
    /// What the document store keeps of each document, one behind the other (see `source`).
    pub(crate) stored: Vec<u8>,
}

impl Values {
    /// Makes room for other documents.
    pub(crate) fn clear(&mut self) {
        self.unescaped.clear();
        self.leaves.clear();
        self.stored.clear();
    }
}

/// Where the parts of one document are.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Extent {
    /// Its JSON in the text.
    pub(crate) start: u32,
    pub(crate) len: u32,
    /// Its values: `leaves[first_leaf..last_leaf]`.
    pub(crate) first_leaf: u32,
    pub(crate) last_leaf: u32,
    /// What is stored of it: `stored[first_stored..last_stored]`, of which the first `shape` bytes go into `_shape`.
    pub(crate) first_stored: u32,
    pub(crate) last_stored: u32,
    pub(crate) shape: u32,
}

/// The documents of one request, ready to be indexed.
pub(crate) struct Batch {
    pub(crate) text: Arc<String>,
    pub(crate) values: Values,
    pub(crate) entries: Vec<Entry>,
    /// One for each index of the batch.
    pub(crate) mappings: Vec<Arc<Mapping>>,
    pub(crate) fields: Fields,
    /// Room in the queue, given back when the last document of the batch is indexed.
    pub(crate) share: Option<Share>,
}

impl Batch {
    fn str(&self, scalar: Scalar) -> Option<&str> {
        match scalar {
            Scalar::Text { start, len } => self.text.get(start as usize..(start + len) as usize),
            Scalar::Unescaped { start, len } => self.values.unescaped.get(start as usize..(start + len) as usize),
            _ => None,
        }
    }

    fn value(&self, scalar: Scalar) -> Val<'_> {
        match scalar {
            Scalar::Text { .. } | Scalar::Unescaped { .. } => Val::Str(self.str(scalar).unwrap_or("")),
            Scalar::I64(n) => Val::I64(n),
            Scalar::U64(n) => Val::U64(n),
            Scalar::F64(n) => Val::F64(n),
            Scalar::Bool(on) => Val::Bool(on),
            Scalar::Date(nanos) => Val::Date(DateTime::from_timestamp_nanos(nanos)),
            Scalar::Path => Val::Str(""),
        }
    }

    pub(crate) fn leaves(&self, entry: &Entry) -> &[Leaf] {
        self.values.leaves.get(entry.extent.first_leaf as usize..entry.extent.last_leaf as usize).unwrap_or(&[])
    }
}

/// One document as tantivy takes it: cheap to make, to clone and to send.
#[derive(Clone)]
pub(crate) struct Doc {
    pub(crate) batch: Arc<Batch>,
    pub(crate) entry: u32,
}

impl Document for Doc {
    type Value<'a> = Val<'a>;
    type FieldsValuesIter<'a> = FieldValues<'a>;

    fn iter_fields_and_values(&self) -> FieldValues<'_> {
        let entry = &self.batch.entries[self.entry as usize];
        let leaves = self.batch.leaves(entry);
        FieldValues {
            batch: &self.batch,
            entry,
            leaves,
            step: Step::Seq,
            at: 0,
            unique: 0,
            exact: entry.routing.is_some(),
            words: false,
            message: false,
        }
    }
}

#[derive(Clone, Copy)]
enum Step {
    Seq,
    Source,
    Start,
    End,
    Sub,
    Id,
    Version,
    Leaves,
    Unique,
    Exact,
    Words,
    NoMessage,
    Shape,
    Stored,
    Done,
}

/// The fields of one document, nearly in the order of the schema.
pub(crate) struct FieldValues<'a> {
    batch: &'a Batch,
    entry: &'a Entry,
    leaves: &'a [Leaf],
    step: Step,
    at: usize,
    unique: usize,
    exact: bool,
    words: bool,
    message: bool,
}

impl<'a> FieldValues<'a> {
    fn walk(&self, words: bool) -> Val<'a> {
        let mapping = &self.batch.mappings[self.entry.index as usize];
        let routing = self.entry.routing.as_deref().filter(|_| !words);
        Val::Object(Walk { batch: self.batch, mapping, leaves: self.leaves.iter(), words, routing })
    }

    fn leaf(&mut self, leaf: Leaf) -> Option<(Field, Val<'a>)> {
        let fields = &self.batch.fields;
        let path = || Val::Str(self.batch.mappings[self.entry.index as usize].path(leaf.node).as_ref());
        let field = match leaf.target {
            Target::Timestamp => fields.timestamp,
            Target::Message => {
                self.message = true;
                fields.message
            }
            Target::Keyword(n) => fields.keywords[n as usize],
            Target::Offset => fields.offset,
            Target::Exists => return Some((fields.exists, path())),
            Target::Ignored => return Some((fields.ignored, path())),
            Target::Exact => {
                self.exact = true;
                return None;
            }
            Target::Words => {
                self.words = true;
                return None;
            }
            Target::Both => {
                self.exact = true;
                self.words = true;
                return None;
            }
        };
        Some((field, self.batch.value(leaf.value)))
    }
}

impl<'a> Iterator for FieldValues<'a> {
    type Item = (Field, Val<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let fields = &self.batch.fields;
        let position = match self.entry.identity {
            Identity::Position { source, start, end, sub } => Some((source, start, end, sub)),
            _ => None,
        };
        loop {
            let (next, item) = match self.step {
                Step::Seq => {
                    let next = if position.is_some() { Step::Source } else { Step::Id };
                    (next, Some((fields.seq, Val::U64(self.entry.seq))))
                }
                Step::Source => (Step::Start, position.map(|p| (fields.src, Val::U64(p.0)))),
                Step::Start => (Step::End, position.map(|p| (fields.pos, Val::U64(p.1)))),
                Step::End => (Step::Sub, position.map(|p| (fields.end, Val::U64(p.2)))),
                Step::Sub => (Step::Version, position.filter(|p| p.3 > 0).map(|p| (fields.sub, Val::U64(p.3)))),
                Step::Id => match &self.entry.identity {
                    Identity::Given(id) => (Step::Version, Some((fields.id, Val::Str(id)))),
                    _ => (Step::Version, None),
                },
                Step::Version => {
                    let version = self.entry.version;
                    (Step::Leaves, (version > 1).then_some((fields.version, Val::U64(version))))
                }
                Step::Leaves => match self.leaves.get(self.at) {
                    Some(leaf) => {
                        self.at += 1;
                        (Step::Leaves, self.leaf(*leaf))
                    }
                    None => (Step::Unique, None),
                },
                Step::Unique => match self.leaves[self.unique..].iter().position(|leaf| leaf.target == Target::Message)
                {
                    Some(ahead) => {
                        let leaf = self.leaves[self.unique + ahead];
                        self.unique += ahead + 1;
                        (Step::Unique, Some((fields.unique, self.batch.value(leaf.value))))
                    }
                    None => (Step::Exact, None),
                },
                Step::Exact => (Step::Words, self.exact.then(|| (fields.kw, self.walk(false)))),
                Step::Words => (Step::NoMessage, self.words.then(|| (fields.txt, self.walk(true)))),
                Step::NoMessage => {
                    (Step::Shape, (!self.message).then_some((fields.exists, Val::Str(crate::schema::NO_MESSAGE))))
                }
                Step::Shape => {
                    let extent = &self.entry.extent;
                    let shape = extent.first_stored as usize..extent.first_stored as usize + extent.shape as usize;
                    let shape = self.batch.values.stored.get(shape).and_then(|shape| std::str::from_utf8(shape).ok());
                    (Step::Stored, shape.filter(|shape| !shape.is_empty()).map(|shape| (fields.shape, Val::Str(shape))))
                }
                Step::Stored => {
                    let extent = &self.entry.extent;
                    let stored = extent.first_stored as usize + extent.shape as usize..extent.last_stored as usize;
                    let source = self.batch.values.stored.get(stored).unwrap_or(b"{}");
                    (Step::Done, Some((fields.source, Val::Bytes(source))))
                }
                Step::Done => return None,
            };
            self.step = next;
            if item.is_some() {
                return item;
            }
        }
    }
}

/// A value as tantivy reads it.
#[derive(Clone, Debug)]
pub(crate) enum Val<'a> {
    Str(&'a str),
    U64(u64),
    I64(i64),
    F64(f64),
    Bool(bool),
    Date(DateTime),
    Bytes(&'a [u8]),
    Object(Walk<'a>),
}

impl<'a> Value<'a> for Val<'a> {
    type ArrayIter = std::iter::Empty<Self>;
    type ObjectIter = Walk<'a>;

    fn as_value(&self) -> ReferenceValue<'a, Self> {
        ReferenceValue::Leaf(match self {
            Self::Str(text) => ReferenceValueLeaf::Str(text),
            Self::U64(n) => ReferenceValueLeaf::U64(*n),
            Self::I64(n) => ReferenceValueLeaf::I64(*n),
            Self::F64(n) => ReferenceValueLeaf::F64(*n),
            Self::Bool(on) => ReferenceValueLeaf::Bool(*on),
            Self::Date(date) => ReferenceValueLeaf::Date(*date),
            Self::Bytes(bytes) => ReferenceValueLeaf::Bytes(bytes),
            Self::Object(walk) => return ReferenceValue::Object(walk.clone()),
        })
    }
}

/// The members of `_kw` or of `_txt`: dotted paths and values.
#[derive(Clone)]
pub(crate) struct Walk<'a> {
    batch: &'a Batch,
    mapping: &'a Mapping,
    leaves: std::slice::Iter<'a, Leaf>,
    words: bool,
    /// Still to be given, behind the others.
    routing: Option<&'a str>,
}

impl std::fmt::Debug for Walk<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Walk").field("left", &self.leaves.len()).finish()
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = (&'a str, Val<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let words = self.words;
        let wanted = if words { Target::Words } else { Target::Exact };
        let Some(leaf) = self.leaves.find(|leaf| leaf.target == wanted || leaf.target == Target::Both) else {
            return self.routing.take().map(|routing| (crate::schema::ROUTING, Val::Str(routing)));
        };
        Some((self.mapping.path(leaf.node), self.batch.value(leaf.value)))
    }
}
