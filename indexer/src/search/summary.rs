//! What was counted of whole segments, whose files never change, and is kept for the next search: how many documents have a
//! date in each second or minute, of which histograms of any step are made, between which dates each block of documents
//! lies, and the parts of aggregations as they were asked for. A page that is looked at again counts the newest segments
//! only, and documents that come in the order of time are counted by the block.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tantivy::columnar::{Cardinality, Column, MonotonicallyMappableToU64};
use tantivy::index::SegmentId;
use tantivy::{DocId, SegmentReader};

use crate::aggs::partial::Partial;

/// What tables count by, in nanoseconds, the coarsest first. Any step that is a multiple of one is made of it.
const GRAINS: [i64; 2] = [60_000_000_000, 1_000_000_000];
/// Places of a table at most: 18 hours by the second, 45 days by the minute. A larger one would cost more than it saves.
const PLACES_MAX: i64 = 65_536;
/// Documents of a block: few enough to lie in one step of a histogram mostly, and 64 KB for a million documents.
pub const BLOCK_DOCS: u32 = 256;
/// Bytes of all tables, of all blocks, and of all parts. Beyond it they are forgotten, and made anew when they are asked for.
const BYTES_MAX: usize = 4 * 1024 * 1024;
/// About what a table, or the parts of a segment, take beside what they hold.
const TABLE_BYTES: usize = 160;
/// Values that are read in one go.
const VALUES: usize = 1_024;

/// A segment's living documents by grain of a date.
#[derive(Debug, PartialEq)]
pub struct Table {
    /// Nanoseconds of a grain.
    grain: i64,
    /// Number of the first grain since 1970.
    first: i64,
    counts: Vec<u32>,
}

/// The smallest and the largest date, in nanoseconds, of each block of documents of a segment.
pub type Blocks = Vec<(i64, i64)>;

/// Files of a segment never change, and every deletion makes it have fewer documents.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Which {
    segment: SegmentId,
    documents: u32,
    column: String,
    grain: i64,
}

/// A segment, how many of its documents live, and the aggregations' name.
type Of = (SegmentId, u32, Arc<str>);

/// What is kept of a store's segments.
#[derive(Debug, Default)]
pub struct Summaries {
    tables: Mutex<Kept<Which, Table>>,
    blocks: Mutex<Kept<(SegmentId, String), Blocks>>,
    parts: Mutex<Kept<Of, Vec<Partial>>>,
}

#[derive(Debug)]
struct Kept<K, V> {
    all: HashMap<K, Arc<V>>,
    bytes: usize,
}

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Self { all: HashMap::new(), bytes: 0 }
    }
}

impl<K: Eq + std::hash::Hash, V> Kept<K, V> {
    fn keep(&mut self, which: K, what: Arc<V>, bytes: usize) {
        if self.bytes + bytes > BYTES_MAX {
            *self = Self::default();
        }
        if bytes <= BYTES_MAX && self.all.insert(which, what).is_none() {
            self.bytes += bytes;
        }
    }
}

fn locked<T>(kept: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Summaries {
    /// The table of a column for steps of so many nanoseconds that begin at `shift`. `None` where it would not be exact,
    /// or not small.
    pub fn table(
        &self,
        reader: &SegmentReader,
        name: &str,
        column: &Column<u64>,
        step: i64,
        shift: i64,
    ) -> Option<Arc<Table>> {
        let grain = GRAINS.into_iter().find(|grain| step % grain == 0 && shift % grain == 0)?;
        if column.get_cardinality() != Cardinality::Full || column.num_docs() == 0 {
            return None;
        }
        let place = |raw: u64| i64::from_u64(raw).div_euclid(grain);
        let (first, last) = (place(column.min_value()), place(column.max_value()));
        let places = last - first + 1;
        if places > PLACES_MAX.min(i64::from(reader.max_doc())) {
            return None;
        }
        let segment = reader.segment_id();
        let which = Which { segment, documents: reader.num_docs(), column: name.to_owned(), grain };
        if let Some(table) = locked(&self.tables).all.get(&which) {
            return Some(Arc::clone(table));
        }
        // Not under the lock: searches of other segments go on. Two that make the same one make the same.
        let mut counts = vec![0u32; places as usize];
        let mut values = [0; VALUES];
        let alive = reader.alive_bitset();
        for from in (0..reader.max_doc()).step_by(VALUES) {
            let values = &mut values[..VALUES.min((reader.max_doc() - from) as usize)];
            column.values.get_range(u64::from(from), values);
            for (doc, raw) in (from..).zip(values) {
                if alive.is_none_or(|alive| alive.is_alive(doc)) {
                    counts[(place(*raw) - first) as usize] += 1;
                }
            }
        }
        let table = Arc::new(Table { grain, first, counts });
        let bytes = TABLE_BYTES + places as usize * size_of::<u32>();
        locked(&self.tables).keep(which, Arc::clone(&table), bytes);
        Some(table)
    }

    /// Between which dates each block of [`BLOCK_DOCS`] documents of a column lies, if that is kept, or is to be found out
    /// now. `None` also where not every document has one date.
    pub fn blocks(
        &self,
        reader: &SegmentReader,
        name: &str,
        column: &Column<u64>,
        find_out: bool,
    ) -> Option<Arc<Blocks>> {
        if column.get_cardinality() != Cardinality::Full {
            return None;
        }
        let which = (reader.segment_id(), name.to_owned());
        if let Some(blocks) = locked(&self.blocks).all.get(&which) {
            return Some(Arc::clone(blocks));
        }
        if !find_out {
            return None;
        }
        let mut values = [0; BLOCK_DOCS as usize];
        let ends = |from: DocId| {
            let values = &mut values[..BLOCK_DOCS.min(reader.max_doc() - from) as usize];
            column.values.get_range(u64::from(from), values);
            let (mut first, mut last) = (u64::MAX, 0);
            for raw in values {
                first = first.min(*raw);
                last = last.max(*raw);
            }
            (i64::from_u64(first), i64::from_u64(last))
        };
        let blocks: Arc<Blocks> = Arc::new((0..reader.max_doc()).step_by(BLOCK_DOCS as usize).map(ends).collect());
        let bytes = TABLE_BYTES + blocks.len() * size_of::<(i64, i64)>();
        locked(&self.blocks).keep(which, Arc::clone(&blocks), bytes);
        Some(blocks)
    }

    /// The parts that aggregations of this name (see [`crate::aggs::whole`]) have for the whole of a segment, if they are
    /// kept.
    pub fn parts(&self, reader: &SegmentReader, name: &Arc<str>) -> Option<Arc<Vec<Partial>>> {
        let which = (reader.segment_id(), reader.num_docs(), Arc::clone(name));
        locked(&self.parts).all.get(&which).map(Arc::clone)
    }

    /// Keeps such parts, if it is known how large they are.
    pub fn keep(&self, reader: &SegmentReader, name: &Arc<str>, parts: &[Partial]) {
        let bytes: Option<usize> = parts.iter().map(|part| Some(size_of::<Partial>() + part.heap()?)).sum();
        let Some(bytes) = bytes else { return };
        let which = (reader.segment_id(), reader.num_docs(), Arc::clone(name));
        locked(&self.parts).keep(which, Arc::new(parts.to_vec()), TABLE_BYTES + bytes);
    }
}

impl Table {
    /// Beginning, in nanoseconds, and number of documents of each grain that has some.
    pub fn counts(&self) -> impl Iterator<Item = (i64, u32)> {
        let begins = |n: usize| (self.first + n as i64) * self.grain;
        self.counts.iter().enumerate().filter(|(_, count)| **count > 0).map(move |(n, count)| (begins(n), *count))
    }
}
