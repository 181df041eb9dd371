//! One pass over a document's JSON: checks it, finds each value's field in the mapping (which grows where the field is
//! new), and notes where the value is.

mod json;
mod typed;

use std::sync::Arc;

use tantivy::tokenizer::{TokenStream as _, Tokenizer as _};

use super::document::{Extent, Leaf, Scalar, Target, Values};
use super::source::{self, Spelled};
use crate::error::Error;
use crate::mapping::{EsType, Mapping, ROOT, Typed, Unmapped};
use crate::tokenizer::Words;

/// Deepest nesting that is read; deeper JSON is refused, as Elasticsearch refuses it at 1,000. The parser recurses.
const NESTING_MAX: usize = 400;

/// Adds fields to a mapping that several requests share.
pub(crate) trait Grow {
    /// Makes the change to the newest mapping and gives back that mapping with the result.
    fn grow(
        &self,
        change: &mut dyn FnMut(&mut Mapping) -> Result<u32, Unmapped>,
    ) -> (Arc<Mapping>, Result<u32, Unmapped>);
}

/// Why a document is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Not JSON, or not an object: where, and what was wrong.
    Json { at: usize, problem: &'static str },
    /// `dynamic: strict` and this field is not in the mapping.
    Strict { field: String, within: String },
}

impl Refused {
    /// As Elasticsearch says it.
    pub(crate) fn error(&self) -> Error {
        match self {
            Self::Json { at, problem } => Error::mapper_parsing("failed to parse").caused_by(Error::new(
                400,
                "x_content_parse_exception",
                format!("[1:{}] {problem}", at + 1),
            )),
            Self::Strict { field, within } => Error::new(
                400,
                "strict_dynamic_mapping_exception",
                format!("mapping set to strict, dynamic introduction of [{field}] within [{within}] is not allowed"),
            ),
        }
    }
}

/// Parses documents of one index.
pub(crate) struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    /// The mapping as far as this parser knows it.
    pub(crate) mapping: Arc<Mapping>,
    grow: &'a dyn Grow,
    values: &'a mut Values,
    spelled: Spelled,
    /// The string that was read last: where it begins behind its quote, and its length.
    string: (usize, usize),
}

type Parsed<T> = Result<T, Refused>;

impl<'a> Parser<'a> {
    /// A parser over `text`, noting values into `values`.
    pub(crate) fn new(text: &'a str, mapping: Arc<Mapping>, grow: &'a dyn Grow, values: &'a mut Values) -> Self {
        Self { text, bytes: text.as_bytes(), at: 0, mapping, grow, values, spelled: Spelled::default(), string: (0, 0) }
    }

    /// Reads the one object in `text[start..end]`, and nothing behind it. When it is refused, no values are left.
    pub(crate) fn document(&mut self, start: usize, end: usize) -> Parsed<Extent> {
        let (leaves, unescaped) = (self.values.leaves.len(), self.values.unescaped.len());
        let stored = self.values.stored.len();
        self.spelled = Spelled::default();
        self.bytes = &self.text.as_bytes()[..end];
        self.at = start;
        let parsed = self.whole();
        if parsed.is_err() {
            self.values.leaves.truncate(leaves);
            self.values.unescaped.truncate(unescaped);
        }
        parsed.map_err(|refused| match refused {
            Refused::Json { at, problem } => Refused::Json { at: at - start, problem },
            strict => strict,
        })?;
        let Values { leaves: all, stored: out, .. } = &mut *self.values;
        let shape = source::cut(self.text, start, end, &all[leaves..], &self.spelled, out);
        Ok(Extent {
            shape: shape as u32,
            start: start as u32,
            len: (end - start) as u32,
            first_leaf: leaves as u32,
            last_leaf: all.len() as u32,
            first_stored: stored as u32,
            last_stored: out.len() as u32,
        })
    }

    fn whole(&mut self) -> Parsed<()> {
        self.space();
        if self.peek() != Some(b'{') {
            return self.wrong("a document must be a JSON object");
        }
        self.object(Some(ROOT), 1)?;
        self.space();
        if self.at < self.bytes.len() { self.wrong("unexpected text behind the document") } else { Ok(()) }
    }

    /// At `{`. `node` is where its members go; `None` reads without indexing.
    fn object(&mut self, node: Option<u32>, depth: usize) -> Parsed<()> {
        if depth > NESTING_MAX {
            return self.wrong("nested too deep");
        }
        self.at += 1;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            if self.peek() != Some(b'"') {
                return self.wrong("expected a member name in quotes");
            }
            let before = self.values.unescaped.len();
            let key = self.string()?;
            self.space();
            if self.peek() != Some(b':') {
                return self.wrong("expected a colon behind a member name");
            }
            self.at += 1;
            self.space();
            self.member(node, key, depth)?;
            if let Scalar::Unescaped { len, .. } = key {
                // Keys with escapes are rare and not needed any more; values that came behind them stay.
                if self.values.unescaped.len() == before + len as usize {
                    self.values.unescaped.truncate(before);
                }
            }
            self.space();
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    self.space();
                }
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return self.wrong("expected a comma or the end of the object"),
            }
        }
    }

    /// A member's value, once its parent's node and its key are known.
    fn member(&mut self, parent: Option<u32>, key: Scalar, depth: usize) -> Parsed<()> {
        let Some(parent) = parent else { return self.value(None, depth) };
        let text = self.text;
        let owned;
        let name = match key {
            Scalar::Text { start, len } => &text[start as usize..(start + len) as usize],
            Scalar::Unescaped { start, len } => {
                owned = self.values.unescaped[start as usize..(start + len) as usize].to_owned();
                &owned
            }
            _ => "",
        };
        // The fast way: a key without dots that is known.
        if let Some(child) = self.mapping.child(parent, name) {
            return self.value(Some(Spot { parent, child: Some(child), key: name }), depth);
        }
        if memchr::memchr(b'.', name.as_bytes()).is_none() {
            return self.value(Some(Spot { parent, child: None, key: name }), depth);
        }
        // `{"a.b": 1}` is `{"a": {"b": 1}}`.
        let mut node = parent;
        let (above, last) = name.rsplit_once('.').unwrap_or(("", name));
        for part in above.split('.') {
            match self.object_node(node, part)? {
                Some(child) => node = child,
                None => return self.value(None, depth),
            }
        }
        let child = self.mapping.child(node, last);
        self.value(Some(Spot { parent: node, child, key: last }), depth)
    }

    fn object_node(&mut self, parent: u32, key: &str) -> Parsed<Option<u32>> {
        if let Some(child) = self.mapping.child(parent, key) {
            return Ok(Some(child).filter(|child| !self.mapping.node(*child).disabled));
        }
        let (mapping, grown) = self.grow.grow(&mut |mapping| mapping.grow_object(parent, key));
        self.mapping = mapping;
        self.grown(grown, parent, key)
    }

    fn grown(&mut self, grown: Result<u32, Unmapped>, parent: u32, key: &str) -> Parsed<Option<u32>> {
        match grown {
            Ok(node) => Ok(Some(node)),
            Err(Unmapped::NotWanted) => Ok(None),
            Err(Unmapped::Limit) => {
                // The nearest path that does exist tells where something is missing, once.
                let last = self.values.leaves.last();
                if !last.is_some_and(|leaf| leaf.node == parent && leaf.target == Target::Ignored) {
                    self.note(parent, Target::Ignored, Scalar::Path);
                }
                Ok(None)
            }
            Err(Unmapped::Strict) => {
                let within = if parent == ROOT { "_doc".to_owned() } else { self.mapping.path(parent).to_string() };
                Err(Refused::Strict { field: key.to_owned(), within })
            }
        }
    }

    fn value(&mut self, spot: Option<Spot<'_>>, depth: usize) -> Parsed<()> {
        match self.peek() {
            Some(b'"') => {
                let from = self.at + 1;
                let scalar = self.string()?;
                self.string = (from, self.at - 1 - from);
                match spot {
                    Some(spot) => self.index(spot, scalar, None),
                    None => Ok(()),
                }
            }
            Some(b'{') => {
                let node = match &spot {
                    None => None,
                    Some(spot) => match spot.child {
                        Some(child) if self.mapping.node(child).disabled => {
                            // An object as the value of a type that is not searched: a point, a shape.
                            if self.mapping.node(child).leaf.as_ref().is_some_and(|leaf| leaf.seen) {
                                self.note(child, Target::Exists, Scalar::Path);
                            }
                            None
                        }
                        Some(child) => Some(child),
                        None => self.object_node(spot.parent, spot.key)?,
                    },
                };
                self.object(node, depth + 1)
            }
            Some(b'[') => {
                if depth >= NESTING_MAX {
                    return self.wrong("nested too deep");
                }
                self.at += 1;
                self.space();
                if self.peek() == Some(b']') {
                    self.at += 1;
                    return Ok(());
                }
                let mut spot = spot;
                loop {
                    self.value(spot, depth + 1)?;
                    if let Some(spot) = spot.as_mut().filter(|spot| spot.child.is_none()) {
                        // The first element may have made the field.
                        spot.child = self.mapping.child(spot.parent, spot.key);
                    }
                    self.space();
                    match self.peek() {
                        Some(b',') => {
                            self.at += 1;
                            self.space();
                        }
                        Some(b']') => {
                            self.at += 1;
                            return Ok(());
                        }
                        _ => return self.wrong("expected a comma or the end of the array"),
                    }
                }
            }
            Some(b't') => self.word("true", spot, Some(Scalar::Bool(true))),
            Some(b'f') => self.word("false", spot, Some(Scalar::Bool(false))),
            Some(b'n') => self.word("null", spot, None),
            Some(b'-' | b'0'..=b'9') => {
                let (scalar, start, end) = self.number()?;
                match spot {
                    Some(spot) => self.index(spot, scalar, Some((start, end))),
                    None => Ok(()),
                }
            }
            _ => self.wrong("expected a value"),
        }
    }

    fn word(&mut self, word: &str, spot: Option<Spot<'_>>, scalar: Option<Scalar>) -> Parsed<()> {
        let end = self.at + word.len();
        if self.bytes.get(self.at..end) != Some(word.as_bytes()) {
            return self.wrong("expected a value");
        }
        let start = self.at;
        self.at = end;
        match (spot, scalar) {
            (Some(spot), Some(scalar)) => self.index(spot, scalar, Some((start, end))),
            _ => Ok(()),
        }
    }

    fn note(&mut self, node: u32, target: Target, value: Scalar) {
        self.values.leaves.push(Leaf { value, node, target });
    }

    /// Notes a value. `spelled` is where a number or boolean stands in the text, for fields that hold strings.
    fn index(&mut self, spot: Spot<'_>, scalar: Scalar, spelled: Option<(usize, usize)>) -> Parsed<()> {
        let known = spot.child.filter(|child| self.mapping.node(*child).leaf.as_ref().is_some_and(|leaf| leaf.seen));
        let node = match known {
            Some(node) => node,
            None => {
                if spot.child.is_some_and(|child| self.mapping.node(child).disabled) {
                    return Ok(());
                }
                let seen = self.seen(scalar);
                let (mapping, grown) = self.grow.grow(&mut |mapping| mapping.grow_field(spot.parent, spot.key, seen));
                self.mapping = mapping;
                match self.grown(grown, spot.parent, spot.key)? {
                    Some(node) => node,
                    None => return Ok(()),
                }
            }
        };
        let Some(leaf) = &self.mapping.node(node).leaf else { return Ok(()) };
        if !leaf.indexed || leaf.alias.is_some() {
            // `exists` knows of it.
            self.note(node, Target::Exists, Scalar::Path);
            return Ok(());
        }
        let (lowercase, fielddata) = (leaf.lowercase, leaf.fielddata);
        let (typed, words, exact, above) = (leaf.typed, leaf.words, leaf.exact, leaf.ignore_above as usize);
        let as_text = || match spelled {
            Some((start, end)) => Scalar::Text { start: start as u32, len: (end - start) as u32 },
            None => scalar,
        };
        let fitting = match leaf.es_type {
            EsType::Text | EsType::Keyword | EsType::Ip => Some(as_text()),
            EsType::Long => self.whole_number(scalar),
            EsType::Double => self.any_number(scalar),
            EsType::Boolean => self.boolean(scalar),
            EsType::Date => self.moment(scalar, as_text(), leaf.format.as_deref()),
            EsType::Object => None,
        };
        let len = self.text_of(as_text()).len();
        let fitting = if lowercase { fitting.map(|scalar| self.lowered(scalar)) } else { fitting };
        let target = match (typed, fitting) {
            (Some(Typed::Timestamp), Some(_)) => {
                if let Scalar::Text { start, len } = scalar {
                    self.spelled.time = Some((start as usize, len as usize));
                }
                Target::Timestamp
            }
            (Some(Typed::Message), Some(_)) => {
                self.spelled.line = match scalar {
                    Scalar::Text { .. } | Scalar::Unescaped { .. } => Some(self.string),
                    _ => None,
                };
                Target::Message
            }
            (Some(Typed::Keyword(n)), Some(_)) if len <= above => Target::Keyword(n),
            (Some(Typed::Offset), Some(Scalar::U64(_))) => Target::Offset,
            (Some(Typed::Offset), Some(Scalar::I64(n))) if n >= 0 => {
                // A text may be spelled with signs and zeros in front.
                self.spelled.offset = spelled.map(|(start, end)| (start, end - start));
                self.note(node, Target::Offset, Scalar::U64(n as u64));
                return Ok(());
            }
            (Some(_), _) => {
                // A typed field has one place only; what does not fit stays in `_source`.
                self.note(node, Target::Ignored, Scalar::Path);
                return Ok(());
            }
            (None, Some(text @ (Scalar::Text { .. } | Scalar::Unescaped { .. }))) => {
                if fielddata {
                    self.words(node, text);
                }
                let fits = exact && len <= above;
                if !fits {
                    self.note(node, Target::Exists, Scalar::Path);
                    if exact && !words {
                        self.note(node, Target::Ignored, Scalar::Path);
                        return Ok(());
                    }
                }
                match (fits, words) {
                    (true, true) => Target::Both,
                    (true, false) => Target::Exact,
                    (false, _) => Target::Words,
                }
            }
            (None, Some(_)) => Target::Exact,
            (None, None) => {
                // It does not fit the type: findable by its words, and noted.
                self.note(node, Target::Words, as_text());
                self.note(node, Target::Exists, Scalar::Path);
                self.note(node, Target::Ignored, Scalar::Path);
                return Ok(());
            }
        };
        if let Some(fitting) = fitting {
            self.note(node, target, fitting);
        }
        Ok(())
    }

    /// Notes each word of a text as an exact value of its own.
    fn words(&mut self, node: u32, text: Scalar) {
        let mut words = Words::default();
        let mut found = Vec::new();
        let mut stream = words.token_stream(self.text_of(text));
        while stream.advance() {
            found.push(stream.token().text.clone());
        }
        found.sort_unstable();
        found.dedup();
        for word in found {
            let start = self.values.unescaped.len() as u32;
            self.values.unescaped.push_str(&word);
            self.note(node, Target::Exact, Scalar::Unescaped { start, len: word.len() as u32 });
        }
    }
}

/// Where in the mapping a value belongs.
#[derive(Clone, Copy)]
struct Spot<'k> {
    parent: u32,
    child: Option<u32>,
    key: &'k str,
}

#[cfg(test)]
mod tests;
