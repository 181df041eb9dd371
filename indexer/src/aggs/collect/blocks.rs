//! Which blocks of a segment's documents lie in one step of a histogram: those are counted without reading each date.

use std::ops::Range;

use tantivy::DocId;
use tantivy::columnar::Column;

use super::Segment;
use crate::query::Refusal;
use crate::search::summary::BLOCK_DOCS;

/// Place of a block of documents that are in several.
const MIXED: u32 = u32::MAX;
/// When a search has read the dates of this share of a segment's documents, it finds out what the blocks are.
const FROM_SHARE: u32 = 8;

/// The places of a segment's blocks, as far as they are known.
#[derive(Default)]
pub struct Blocks {
    /// In what place all documents of a block are, or [`MIXED`]; empty while that is not known.
    places: Vec<u32>,
    /// Number of documents whose dates were read while it was not.
    read: u32,
}

impl Blocks {
    /// Learns the places: at the beginning if they are kept, and when the dates of so many documents were read that it is
    /// worth finding out. `more` are about to be counted; `place` is that of a date in nanoseconds, from 0 on.
    pub fn learn(
        &mut self,
        segment: &Segment,
        name: &str,
        column: &Column<u64>,
        more: usize,
        place: impl Fn(i64) -> i64,
    ) -> Result<(), Refusal> {
        let enough = segment.reader.max_doc() / FROM_SHARE;
        if !self.places.is_empty() || self.read > enough {
            return Ok(());
        }
        let begins = self.read == 0;
        self.read = self.read.saturating_add(more as u32);
        if !begins && self.read <= enough {
            return Ok(());
        }
        let ends = segment.part.summaries.blocks(segment.reader, name, column, self.read > enough);
        let Some(ends) = ends else { return Ok(()) };
        segment.budget.charge(ends.len() * size_of::<u32>())?;
        let one = |(first, last): &(i64, i64)| match (place(*first), place(*last)) {
            (first, last) if first == last => u32::try_from(first).unwrap_or(MIXED),
            _ => MIXED,
        };
        let places: Vec<u32> = ends.iter().map(one).collect();
        // Where documents come in any order, it costs more to look at blocks than it saves.
        if places.iter().filter(|place| **place == MIXED).count() * 2 <= places.len() {
            self.places = places;
        }
        Ok(())
    }

    /// The documents (not falling) in runs, each with the place that all of them are in, if that is known.
    pub fn runs(&self, docs: &[DocId]) -> impl Iterator<Item = (Option<u32>, Range<usize>)> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let left = &docs[at..];
            let (first, last) = (left.first()?, left.last()?);
            if self.places.is_empty() {
                at = docs.len();
                return Some((None, 0..at));
            }
            let block = first / BLOCK_DOCS;
            let next = (block + 1) * BLOCK_DOCS;
            let here = if *last < next { left.len() } else { left.partition_point(|doc| *doc < next) };
            at += here;
            let place = self.places.get(block as usize).copied().filter(|place| *place != MIXED);
            Some((place, at - here..at))
        })
    }
}
