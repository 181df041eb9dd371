//! What an index knows of its fields: dotted path → type, grown by the documents themselves or given by `PUT _mapping`.
//!
//! A mapping is immutable behind an [`Arc`](std::sync::Arc); growing it makes a new one whose nodes keep their numbers,
//! so that documents parsed against an older one stay right. It never holds more than [`FIELDS_MAX`] fields.

mod declare;
mod grow;
mod limits;
mod resolve;

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde_json::{Map, Value};

pub use declare::MappingError;
pub use grow::{Seen, Unmapped, wildcard};
pub use limits::{Limits, flat};
pub use resolve::{FieldRef, Place};

use crate::schema::KEYWORDS;

/// Most fields of one index, as Elasticsearch's `index.mapping.total_fields.limit`. Each one costs a column a segment.
pub const FIELDS_MAX: usize = 1_000;
/// Deepest level of objects that is indexed, as Elasticsearch's `index.mapping.depth.limit`.
pub const DEPTH_MAX: usize = 20;
/// Longest dotted path of a field in bytes; terms of the JSON fields carry it.
pub const PATH_BYTES_MAX: usize = 512;
/// Longest exact value in bytes; longer strings are found by their words only. Also tantivy's terms are limited.
pub const KEYWORD_BYTES_MAX: u32 = 1_024;

/// The type of a field, as far as searching is concerned. Narrower Elasticsearch types (`integer`, `half_float`,
/// `wildcard`, …) behave as the wider one here, and `_mapping` still shows them as they were declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EsType {
    /// Words.
    Text,
    /// Exact value.
    Keyword,
    /// Integers.
    Long,
    /// Floating point numbers.
    Double,
    /// `true` and `false`.
    Boolean,
    /// A moment, milliseconds.
    Date,
    /// An address, kept as an exact value.
    Ip,
    /// Only other fields beneath it.
    Object,
}

impl EsType {
    /// The name in `_mapping` and `_field_caps`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Keyword => "keyword",
            Self::Long => "long",
            Self::Double => "double",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::Ip => "ip",
            Self::Object => "object",
        }
    }
}

/// What happens to a field that the mapping does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dynamic {
    /// It is added.
    #[default]
    True,
    /// It is kept in `_source` only.
    False,
    /// The document is refused.
    Strict,
}

/// A field with a place of its own in the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typed {
    /// `@timestamp`
    Timestamp,
    /// `message`
    Message,
    /// The n-th of [`KEYWORDS`].
    Keyword(u8),
    /// `log.offset`
    Offset,
}

/// How the values of one field are indexed.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaf {
    /// Its type.
    pub es_type: EsType,
    /// A place of its own in the schema, else the JSON fields.
    pub typed: Option<Typed>,
    /// Strings are split into words.
    pub words: bool,
    /// Strings are kept as exact values.
    pub exact: bool,
    /// Strings longer than this many bytes are not kept as exact values.
    pub ignore_above: u32,
    /// False: kept in `_source` only, and known to `exists`. So are types that weir does not search (`geo_point`, …).
    pub indexed: bool,
    /// Seen in a document or declared, and so shown in `_mapping`.
    pub seen: bool,
    /// Names of exact subfields (`keyword` for dynamic strings).
    pub exact_subfields: Vec<String>,
    /// Names of subfields that are words (of a keyword field, say).
    pub word_subfields: Vec<String>,
    /// Date formats that were declared, joined by `||`.
    pub format: Option<String>,
    /// As given by `PUT _mapping`.
    pub declared: Option<Arc<Value>>,
    /// Exact values are kept in lower case: a `normalizer` with the filter `lowercase`.
    pub lowercase: bool,
    /// The words of a text have a column, for aggregations and sorting: `fielddata: true`.
    pub fielddata: bool,
    /// Another name for the field at this path.
    pub alias: Option<Box<str>>,
}

/// A place in the tree of paths: a field, an object, or (when documents disagree) both.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) path: Arc<str>,
    pub(crate) key: Box<str>,
    pub(crate) depth: usize,
    /// Bounded by [`FIELDS_MAX`], so that a fast hash, which can be made to collide, does no harm.
    pub(crate) children: FxHashMap<Box<str>, u32>,
    pub(crate) leaf: Option<Leaf>,
    /// `dynamic` of this object, when it was declared.
    pub(crate) dynamic: Option<Dynamic>,
    /// `enabled: false`: nothing beneath is looked at.
    pub(crate) disabled: bool,
    /// Declared as an object or `nested`: its name, shown even when empty.
    pub(crate) declared_object: Option<Box<str>>,
    parent: u32,
}

/// Number of the node at the top.
pub const ROOT: u32 = 0;

/// The fields of one index.
#[derive(Clone, Debug)]
pub struct Mapping {
    nodes: Vec<Node>,
    fields: usize,
    date_detection: bool,
    numeric_detection: bool,
    templates: Vec<Value>,
    /// Normalizers of the index's settings: whether they put values into lower case.
    normalizers: BTreeMap<String, bool>,
    /// What else was given at the top (`_meta`, `dynamic_templates`, …), shown again by `GET _mapping`.
    extras: Map<String, Value>,
    /// Limits of searches, by the index's settings.
    pub limits: Limits,
    /// Grows with every change, so that a saved one can be told from a newer one.
    pub generation: u64,
}

impl Default for Mapping {
    fn default() -> Self {
        let root = Node {
            path: "".into(),
            key: "".into(),
            depth: 0,
            children: FxHashMap::default(),
            leaf: None,
            dynamic: None,
            disabled: false,
            declared_object: None,
            parent: ROOT,
        };
        let mut mapping = Self {
            nodes: vec![root],
            fields: 0,
            date_detection: true,
            numeric_detection: false,
            templates: Vec::new(),
            normalizers: BTreeMap::from([("lowercase".to_owned(), true)]),
            extras: Map::new(),
            limits: Limits::default(),
            generation: 0,
        };
        mapping.install("@timestamp", EsType::Date, Typed::Timestamp);
        mapping.install("message", EsType::Text, Typed::Message);
        for (n, path) in KEYWORDS.iter().enumerate() {
            mapping.install(path, EsType::Keyword, Typed::Keyword(n as u8));
        }
        mapping.install("log.offset", EsType::Long, Typed::Offset);
        mapping
    }
}

impl Mapping {
    fn install(&mut self, path: &str, es_type: EsType, typed: Typed) {
        let node = self.node_at(path);
        self.nodes[node as usize].leaf = Some(Leaf { typed: Some(typed), seen: false, ..Leaf::of(es_type) });
    }

    /// The node of a dotted path, made when it is not there.
    fn node_at(&mut self, path: &str) -> u32 {
        path.split('.').fold(ROOT, |node, key| self.child_or_new(node, key))
    }

    fn child_or_new(&mut self, parent: u32, key: &str) -> u32 {
        if let Some(child) = self.child(parent, key) {
            return child;
        }
        let number = self.nodes.len() as u32;
        let above = &mut self.nodes[parent as usize];
        above.children.insert(key.into(), number);
        let path: Arc<str> = if parent == ROOT { key.into() } else { format!("{}.{key}", above.path).into() };
        let depth = above.depth + 1;
        self.nodes.push(Node {
            path,
            key: key.into(),
            depth,
            children: FxHashMap::default(),
            leaf: None,
            dynamic: None,
            disabled: false,
            declared_object: None,
            parent,
        });
        number
    }

    /// The child of `parent` under `key`, which has no dots.
    pub(crate) fn child(&self, parent: u32, key: &str) -> Option<u32> {
        self.nodes[parent as usize].children.get(key).copied()
    }

    /// The node of that number.
    pub(crate) fn node(&self, number: u32) -> &Node {
        &self.nodes[number as usize]
    }

    /// The dotted path of a node.
    pub fn path(&self, node: u32) -> &Arc<str> {
        &self.nodes[node as usize].path
    }

    /// What happens to unknown fields beneath `node`: its own setting, or the nearest one above.
    pub(crate) fn dynamic_at(&self, mut node: u32) -> Dynamic {
        loop {
            let here = &self.nodes[node as usize];
            match here.dynamic {
                Some(dynamic) => return dynamic,
                None if node == ROOT => return Dynamic::True,
                None => node = here.parent,
            }
        }
    }

    /// The number of fields, as limited by [`FIELDS_MAX`].
    pub fn len(&self) -> usize {
        self.fields
    }

    /// No field was seen or declared.
    pub fn is_empty(&self) -> bool {
        self.fields == 0
    }
}

impl Leaf {
    /// A field of that type, as a dynamic mapping makes it.
    pub fn of(es_type: EsType) -> Self {
        Self {
            es_type,
            typed: None,
            words: es_type == EsType::Text,
            exact: true,
            ignore_above: KEYWORD_BYTES_MAX,
            indexed: true,
            seen: true,
            exact_subfields: if es_type == EsType::Text { vec!["keyword".to_owned()] } else { Vec::new() },
            word_subfields: Vec::new(),
            format: None,
            declared: None,
            lowercase: false,
            fielddata: false,
            alias: None,
        }
    }
}
