//! A tantivy query: documents with one of the terms that a matcher takes, found by walking a stretch of the dictionary.

use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use tantivy::query::{BitSetDocSet, ConstScorer, EnableScoring, Explanation, Query, Scorer, Weight};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{BitSet, DocId, DocSet, Score, SegmentReader, TERMINATED};

/// Says whether a term (without path and type) is one.
pub type Matcher = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// See the top of the file.
#[derive(Clone)]
pub struct Scan {
    /// The field.
    pub field: Field,
    /// What stands before the value in each term: path and type in JSON fields.
    pub head: Vec<u8>,
    /// Lower end of the values.
    pub from: Bound<String>,
    /// Upper end of the values.
    pub to: Bound<String>,
    /// Which of them; all when `None`.
    pub matcher: Option<Matcher>,
    /// At most so many terms a segment.
    pub limit: Option<u32>,
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scan({:?} {:?} {:?})", self.field, self.from, self.to)
    }
}

impl Scan {
    /// Terms that begin with `prefix`, and fit the matcher.
    pub fn prefix(field: Field, head: Vec<u8>, prefix: &str, matcher: Option<Matcher>) -> Scan {
        let to = match after_prefix(prefix) {
            Some(end) => Bound::Excluded(end),
            None => Bound::Unbounded,
        };
        Scan { field, head, from: Bound::Included(prefix.to_string()), to, matcher, limit: None }
    }

    fn matches(&self, reader: &SegmentReader) -> tantivy::Result<BitSet> {
        let mut bits = BitSet::with_max_value(reader.max_doc());
        let inverted = reader.inverted_index(self.field)?;
        let key = |value: &str| [&self.head[..], value.as_bytes()].concat();
        let mut range = inverted.terms().range();
        range = match &self.from {
            Bound::Included(v) => range.ge(key(v)),
            Bound::Excluded(v) => range.gt(key(v)),
            Bound::Unbounded => range.ge(&self.head),
        };
        range = match &self.to {
            Bound::Included(v) => range.le(key(v)),
            Bound::Excluded(v) => range.lt(key(v)),
            Bound::Unbounded => match after(&self.head) {
                Some(end) => range.lt(end),
                None => range,
            },
        };
        let mut stream = range.into_stream()?;
        let mut taken = 0;
        while stream.advance() {
            let value = stream.key().get(self.head.len()..).unwrap_or_default();
            if let Some(matcher) = &self.matcher
                && !std::str::from_utf8(value).is_ok_and(|v| matcher(v))
            {
                continue;
            }
            let mut postings = inverted.read_block_postings_from_terminfo(stream.value(), IndexRecordOption::Basic)?;
            loop {
                let docs = postings.docs();
                if docs.is_empty() {
                    break;
                }
                for doc in docs {
                    bits.insert(*doc);
                }
                postings.advance();
            }
            taken += 1;
            if self.limit.is_some_and(|l| taken >= l) {
                break;
            }
        }
        Ok(bits)
    }
}

/// The first key after all that begin with `head`.
pub fn after(head: &[u8]) -> Option<Vec<u8>> {
    let mut end = head.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

/// The first text after all that begin with `prefix`.
fn after_prefix(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        if let Some(next) = (last as u32 + 1..=0x10ffff).find_map(char::from_u32) {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

impl Query for Scan {
    fn weight(&self, _: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        Ok(Box::new(self.clone()))
    }
}

impl Weight for Scan {
    fn scorer(&self, reader: &SegmentReader, boost: Score) -> tantivy::Result<Box<dyn Scorer>> {
        Ok(Box::new(ConstScorer::new(BitSetDocSet::from(self.matches(reader)?), boost)))
    }

    fn explain(&self, reader: &SegmentReader, doc: DocId) -> tantivy::Result<Explanation> {
        let mut docs = BitSetDocSet::from(self.matches(reader)?);
        let there = doc != TERMINATED && docs.seek(doc) == doc;
        Ok(Explanation::new("Scan", if there { 1.0 } else { 0.0 }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_prefixes() {
        assert_eq!(after(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(after(&[1, 0xff]), Some(vec![2]));
        assert_eq!(after(&[0xff]), None);
        assert_eq!(after_prefix("az").as_deref(), Some("a{"));
        assert_eq!(after_prefix(""), None);
        assert_eq!(after_prefix("\u{10ffff}"), None);
    }
}
