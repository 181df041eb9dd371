//! Slices of a scroll: documents shared out by their arrival number.

use tantivy::query::{BitSetDocSet, ConstScorer, EnableScoring, Explanation, Query, Scorer, Weight};
use tantivy::{BitSet, DocId, Score, SegmentReader};

use super::request::Slice;
use crate::aggs::hash::mix;
use crate::query::plan::Planned;

/// A query for one slice's documents.
pub fn query(slice: Slice) -> Planned {
    Box::new(SliceQuery(slice))
}

#[derive(Clone, Debug)]
struct SliceQuery(Slice);

impl Query for SliceQuery {
    fn weight(&self, _: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        Ok(Box::new(self.clone()))
    }
}

impl Weight for SliceQuery {
    fn scorer(&self, reader: &SegmentReader, boost: Score) -> tantivy::Result<Box<dyn Scorer>> {
        let mut bits = BitSet::with_max_value(reader.max_doc());
        let seq = reader.fast_fields().u64("_seq")?;
        for doc in 0..reader.max_doc() {
            let number = seq.first(doc).unwrap_or(u64::from(doc));
            if mix(number) % u64::from(self.0.max) == u64::from(self.0.id) {
                bits.insert(doc);
            }
        }
        Ok(Box::new(ConstScorer::new(BitSetDocSet::from(bits), boost)))
    }

    fn explain(&self, _: &SegmentReader, _: DocId) -> tantivy::Result<Explanation> {
        Ok(Explanation::new("Slice", 1.0))
    }
}
