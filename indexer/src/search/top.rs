//! The best documents: of a segment by number keys, of all by their values.

use std::sync::Arc;

use tantivy::{DocAddress, DocId, SegmentOrdinal};

use super::columns::Values;
use super::sort::{self, Key, MAX_KEYS, Reader, Sorted};
use crate::query::Refusal;

/// A document found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Which partition of the view.
    pub part: u32,
    /// Where in it.
    pub address: DocAddress,
    /// Its values under the sort keys.
    pub values: Vec<Sorted>,
    /// Its score, where scores were made.
    pub score: f32,
    /// Its arrival number: breaks ties.
    pub seq: u64,
}

/// The best documents so far, best first.
#[derive(Clone, Debug)]
pub struct Top {
    /// What they are sorted by.
    pub keys: Arc<[Key]>,
    /// How many are wanted.
    pub wanted: usize,
    /// They themselves.
    pub found: Vec<Found>,
    /// How many documents were looked at.
    pub total: u64,
    /// The best score.
    pub max_score: Option<f32>,
}

impl Top {
    /// None yet.
    pub fn new(keys: Arc<[Key]>, wanted: usize) -> Top {
        Top { keys, wanted, found: Vec::new(), total: 0, max_score: None }
    }

    /// Adds those of another.
    pub fn merge(&mut self, other: Top) {
        self.total += other.total;
        self.max_score = match (self.max_score, other.max_score) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        };
        if other.found.is_empty() {
            return;
        }
        self.found.extend(other.found);
        let keys = Arc::clone(&self.keys);
        self.found.sort_by(|a, b| {
            sort::compare(&keys, &a.values, &b.values).then_with(|| a.part.cmp(&b.part)).then_with(|| a.seq.cmp(&b.seq))
        });
        self.found.truncate(self.wanted);
    }

    /// The worst of them, once there are as many as are wanted.
    pub fn worst(&self) -> Option<&Found> {
        self.found.last().filter(|_| self.found.len() >= self.wanted)
    }
}

/// The best documents of one segment.
pub struct SegmentTop {
    wanted: usize,
    keys: usize,
    best: Vec<([u64; MAX_KEYS], DocId, f32)>,
    /// Documents whose first key is larger are not wanted.
    pub limit: u64,
    after: Option<Vec<(u64, bool)>>,
    total: u64,
    max_score: Option<f32>,
    scratch: Vec<u64>,
}

impl SegmentTop {
    /// For so many documents by so many keys; `after`: only those beyond these.
    pub fn new(wanted: usize, keys: usize, after: Option<Vec<(u64, bool)>>) -> SegmentTop {
        SegmentTop {
            wanted,
            keys,
            best: Vec::new(),
            limit: u64::MAX,
            after,
            total: 0,
            max_score: None,
            scratch: Vec::new(),
        }
    }

    /// Bytes that it takes.
    pub fn bytes(wanted: usize) -> usize {
        Self::room(wanted) * std::mem::size_of::<([u64; MAX_KEYS], DocId, f32)>()
    }

    fn room(wanted: usize) -> usize {
        wanted * 2 + 256
    }

    /// Adds documents in growing order.
    pub fn collect(&mut self, reader: &Reader, docs: &[DocId], scores: Option<&[f32]>) {
        self.total += docs.len() as u64;
        if let Some(scores) = scores {
            for score in scores {
                self.max_score = Some(self.max_score.map_or(*score, |m| m.max(*score)));
            }
        }
        if self.wanted == 0 {
            return;
        }
        let mut first = std::mem::take(&mut self.scratch);
        reader.first_keys(docs, scores, &mut first);
        for (i, key) in first.iter().enumerate() {
            if *key > self.limit {
                continue;
            }
            let (doc, score) = (docs[i], scores.map_or(0.0, |s| s[i]));
            let mut keys = [0; MAX_KEYS];
            if self.keys == 1 {
                keys[0] = *key;
            } else {
                reader.keys(doc, score, &mut keys);
            }
            if self.after.as_ref().is_some_and(|after| !beyond(&keys, after)) {
                continue;
            }
            self.best.push((keys, doc, score));
            if self.best.len() >= Self::room(self.wanted) {
                self.shrink();
            }
        }
        self.scratch = first;
    }

    /// Leaves the best, and from now on takes none that cannot be better.
    pub fn shrink(&mut self) {
        if self.best.len() <= self.wanted {
            return;
        }
        let at = self.wanted - 1;
        self.best.select_nth_unstable_by(at, |a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        self.best.truncate(self.wanted);
        self.limit = self.limit.min(self.best[at].0[0]);
    }

    /// Whether there are as many as are wanted.
    pub fn is_full(&self) -> bool {
        self.best.len() >= self.wanted
    }

    /// Those found, with their values.
    pub fn finish(
        mut self,
        keys: &Arc<[Key]>,
        reader: &Reader,
        seq: Option<&Values>,
        part: u32,
        segment: SegmentOrdinal,
    ) -> Result<Top, Refusal> {
        self.shrink();
        self.best.sort_unstable_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        let mut found = Vec::with_capacity(self.best.len());
        for (doc_keys, doc, score) in &self.best {
            found.push(Found {
                part,
                address: DocAddress::new(segment, *doc),
                values: reader.values(doc_keys)?,
                score: *score,
                seq: seq.and_then(|s| s.column.first(*doc)).unwrap_or(u64::from(*doc)),
            });
        }
        Ok(Top { keys: Arc::clone(keys), wanted: self.wanted, found, total: self.total, max_score: self.max_score })
    }
}

/// Whether keys go after a position.
fn beyond(keys: &[u64; MAX_KEYS], after: &[(u64, bool)]) -> bool {
    for (key, (at, exact)) in keys.iter().zip(after) {
        if key > at {
            return true;
        }
        if key < at || !exact {
            return false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions() {
        let keys = |a, b| {
            let mut k = [0; MAX_KEYS];
            (k[0], k[1]) = (a, b);
            k
        };
        let after = [(5, true), (7, true)];
        assert!(!beyond(&keys(5, 7), &after) && beyond(&keys(5, 8), &after) && beyond(&keys(6, 0), &after));
        assert!(!beyond(&keys(5, 9), &[(5, false), (7, true)]));
    }
}
