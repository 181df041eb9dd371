//! A tantivy query: documents with a value between two ends, read from a column.

use std::ops::RangeInclusive;

use tantivy::columnar::{Column, MonotonicallyMappableToU64};
use tantivy::query::{AllScorer, ConstScorer, EmptyScorer, EnableScoring, Explanation, Query, Scorer, Weight};
use tantivy::{DateTime, DocId, DocSet, Score, SegmentReader, TERMINATED, TantivyError};

use crate::search::columns::{Kind, Values, open_named};

/// How many documents are looked at in one go, at first and at most.
const WINDOW_MIN: u32 = 128;
const WINDOW_MAX: u32 = 8192;

/// One end of a range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    /// A whole number.
    Int(i128),
    /// Any other number.
    Float(f64),
    /// Nanoseconds since 1970.
    Nanos(i128),
    /// A bool.
    Bool(bool),
}

/// See the top of the file. `true` beside an end: it is in.
#[derive(Clone, Debug)]
pub struct ColumnRange {
    /// The column's name.
    pub column: String,
    /// Lower end.
    pub from: Option<(End, bool)>,
    /// Upper end.
    pub to: Option<(End, bool)>,
}

/// The smallest raw value that is in, and the largest; `None` when nothing is.
fn raw_range(kind: &Kind, from: Option<(End, bool)>, to: Option<(End, bool)>) -> Option<RangeInclusive<u64>> {
    match kind {
        Kind::F64 => {
            let number = |e: End| match e {
                End::Int(n) => Some(n as f64),
                End::Float(f) => Some(f),
                _ => None,
            };
            let low = match from {
                None => f64::NEG_INFINITY.to_u64(),
                Some((e, closed)) => number(e)?.to_u64().checked_add(u64::from(!closed))?,
            };
            let high = match to {
                None => f64::INFINITY.to_u64(),
                Some((e, closed)) => number(e)?.to_u64().checked_sub(u64::from(!closed))?,
            };
            (low <= high).then_some(low..=high)
        }
        Kind::Str(_) => None,
        _ => {
            let (least, most) = match kind {
                Kind::U64 => (0, i128::from(u64::MAX)),
                Kind::Bool => (0, 1),
                _ => (i128::from(i64::MIN), i128::from(i64::MAX)),
            };
            let whole = |e: End, up: bool, closed: bool| -> Option<i128> {
                let step = if closed {
                    0
                } else if up {
                    1
                } else {
                    -1
                };
                Some(match (e, kind) {
                    (End::Int(n), Kind::I64 | Kind::U64) => n + step,
                    (End::Float(f), Kind::I64 | Kind::U64) if f.is_nan() => return None,
                    (End::Float(f), Kind::I64 | Kind::U64) if f.fract() == 0.0 => f as i128 + step,
                    (End::Float(f), Kind::I64 | Kind::U64) => {
                        if up {
                            f.ceil() as i128
                        } else {
                            f.floor() as i128
                        }
                    }
                    (End::Nanos(n), Kind::Date) => n + step,
                    (End::Bool(b), Kind::Bool) => i128::from(b) + step,
                    _ => return None,
                })
            };
            let low = from.map_or(Some(least), |(e, c)| whole(e, true, c))?.max(least);
            let high = to.map_or(Some(most), |(e, c)| whole(e, false, c))?.min(most);
            if low > high {
                return None;
            }
            let raw = |n: i128| match kind {
                Kind::I64 => (n as i64).to_u64(),
                Kind::Date => DateTime::from_timestamp_nanos(n as i64).to_u64(),
                _ => n as u64,
            };
            Some(raw(low)..=raw(high))
        }
    }
}

impl Query for ColumnRange {
    fn weight(&self, _: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        Ok(Box::new(self.clone()))
    }
}

impl Weight for ColumnRange {
    fn scorer(&self, reader: &SegmentReader, boost: Score) -> tantivy::Result<Box<dyn Scorer>> {
        let columns = open_named(reader, &self.column).map_err(|e| TantivyError::InternalError(e.reason))?;
        let mut sets = Vec::new();
        for Values { column, kind } in columns {
            let Some(range) = raw_range(&kind, self.from, self.to) else { continue };
            if column.num_docs() == 0 || *range.start() > column.max_value() || *range.end() < column.min_value() {
                continue;
            }
            let whole = *range.start() <= column.min_value() && *range.end() >= column.max_value();
            if whole && column.index.get_cardinality() == tantivy::columnar::Cardinality::Full {
                // Bare, so that a clause that takes everything is seen to be one.
                if boost == 1.0 {
                    return Ok(Box::new(AllScorer::new(reader.max_doc())));
                }
                return Ok(Box::new(ConstScorer::new(AllScorer::new(reader.max_doc()), boost)));
            }
            sets.push(RangeDocs::new(column, range, reader.max_doc()));
        }
        match sets.len() {
            0 => Ok(Box::new(EmptyScorer)),
            1 => Ok(Box::new(ConstScorer::new(sets.remove(0), boost))),
            // A field with columns of several number types is rare: put together by a bitset.
            _ => {
                let mut bits = tantivy::BitSet::with_max_value(reader.max_doc());
                for mut set in sets {
                    while set.doc() != TERMINATED {
                        bits.insert(set.doc());
                        set.advance();
                    }
                }
                Ok(Box::new(ConstScorer::new(tantivy::query::BitSetDocSet::from(bits), boost)))
            }
        }
    }

    fn explain(&self, _: &SegmentReader, _: DocId) -> tantivy::Result<Explanation> {
        Ok(Explanation::new("ColumnRange", 1.0))
    }
}

/// Documents found window by window.
struct RangeDocs {
    column: Column<u64>,
    range: RangeInclusive<u64>,
    max_doc: u32,
    /// Documents of the present window, in order.
    found: Vec<DocId>,
    at: usize,
    /// Where the next window begins.
    next: u32,
    window: u32,
}

impl RangeDocs {
    fn new(column: Column<u64>, range: RangeInclusive<u64>, max_doc: u32) -> RangeDocs {
        let mut docs = RangeDocs { column, range, max_doc, found: Vec::new(), at: 0, next: 0, window: WINDOW_MIN };
        docs.fill();
        docs
    }

    /// Looks at windows until one has a document.
    fn fill(&mut self) {
        self.at = 0;
        self.found.clear();
        while self.found.is_empty() && self.next < self.max_doc {
            let end = self.next.saturating_add(self.window).min(self.max_doc);
            self.column.get_docids_for_value_range(self.range.clone(), self.next..end, &mut self.found);
            // A document with several values in range is found several times.
            self.found.dedup();
            self.next = end;
            self.window = (self.window * 2).min(WINDOW_MAX);
        }
    }
}

impl DocSet for RangeDocs {
    fn advance(&mut self) -> DocId {
        self.at += 1;
        if self.at >= self.found.len() {
            self.fill();
        }
        self.doc()
    }

    fn seek(&mut self, target: DocId) -> DocId {
        if self.found.last().is_none_or(|last| *last < target) {
            if target > self.next {
                self.next = target.min(self.max_doc);
                self.window = WINDOW_MIN;
            }
            self.fill();
        }
        while self.doc() < target {
            self.advance();
        }
        self.doc()
    }

    fn doc(&self) -> DocId {
        self.found.get(self.at).copied().unwrap_or(TERMINATED)
    }

    fn size_hint(&self) -> u32 {
        // Nothing is known of how values are spread; a third lets cheaper clauses lead.
        self.max_doc / 3
    }

    fn cost(&self) -> u64 {
        // Looking at a value costs more than going through a posting list.
        u64::from(self.max_doc) * 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_put_into_the_columns_numbers() {
        let r = |kind: &Kind, from, to| raw_range(kind, from, to);
        let i = |n: i64| n.to_u64();
        assert_eq!(r(&Kind::I64, Some((End::Int(5), false)), Some((End::Float(7.5), true))), Some(i(6)..=i(7)));
        assert_eq!(r(&Kind::I64, Some((End::Float(5.5), true)), None), Some(i(6)..=i(i64::MAX)));
        assert_eq!(r(&Kind::U64, Some((End::Int(-5), true)), Some((End::Int(3), false))), Some(0..=2));
        assert_eq!(r(&Kind::U64, None, Some((End::Int(-1), true))), None);
        assert_eq!(
            r(&Kind::F64, Some((End::Int(5), true)), Some((End::Int(5), true))),
            Some(5f64.to_u64()..=5f64.to_u64())
        );
        assert_eq!(r(&Kind::Bool, Some((End::Bool(true), true)), Some((End::Bool(true), true))), Some(1..=1));
        assert_eq!(r(&Kind::Date, Some((End::Nanos(i128::MAX / 2), true)), None), None);
        assert_eq!(r(&Kind::I64, Some((End::Int(7), true)), Some((End::Int(5), true))), None);
    }
}
