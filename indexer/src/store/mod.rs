//! The store: indices, their documents, and the two threads that write them.
//!
//! Disk layout of a data folder, version 2:
//!
//! ```text
//! lock                       held while a weir runs (see weir-daemon)
//! format                     "weir-indexer 2 <crc32 hex of what is before>\n"
//! cluster.json               id and index templates (see `catalog`)
//! reserve                    bytes given back when the disk is full (see `guard`)
//! journal/<number>.wal       accepted, not yet committed (see `journal`)
//! indices/<name>/meta.json   mapping, settings, aliases (see `index`), and its copy meta.bak
//! indices/<name>/p<n>/       one partition, a tantivy index (see `partition`)
//! frozen/                    links to files that a running snapshot reads (see `freeze`)
//! restoring/                 an index that is being restored; removed at start
//! repositories.json          where snapshots are kept (see `crate::snapshot`)
//! damaged/                   what could not be opened, for people to look at
//! ```
//!
//! A write goes: request (parsed, `request`) → `sequencer` thread (decided, journalled, synced, answered) → `indexing`
//! thread (put into partitions, committed; `bounds` drops what is too old or too much). A search goes: `search_view` → searchers of the partitions, after a commit
//! when something new was accepted.

mod bounds;
mod catalog;
mod damaged;
mod date;
mod decide;
mod document;
mod flow;
pub(crate) mod freeze;
mod guard;
mod id;
mod index;
mod indexing;
mod lines;
mod lookup;
mod manage;
mod marks;
mod narrow;
mod open;
mod parse;
mod partition;
mod record;
mod replay;
mod request;
pub mod retention;
mod sequencer;
mod sieve;
mod source;
pub mod view;
mod write;

#[cfg(test)]
mod forgetful;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;

use weir_daemon::{Counter, Gauge, Health, Metrics};

pub use catalog::{Chosen, INDICES_MAX};
pub use decide::Outcome;
pub use index::{Index, SegmentInfo, check_name};
pub(crate) use lines::Lines;
pub use manage::alias_options;
pub use narrow::Narrow;
pub use open::OpenError;
pub use request::{Action, Condition, Defaults, Kind, Request, Target};
pub use sequencer::Written;
pub use view::{Choice, PartitionView, View};

pub(crate) use damaged::keep as keep_damaged;
pub(crate) use id::fresh as fresh_id;
pub(crate) use index::write_meta;

use catalog::Catalog;
use flow::Flow;
use guard::Guard;
use indexing::Work;
use sequencer::Message;

use crate::error::{Error, Result};
use crate::journal::Disk;
use crate::schema::Fields;
use crate::search::summary::Summaries;
use crate::settings::Config;

/// What the threads and the requests share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) catalog: Catalog,
    pub(crate) fields: Fields,
    pub(crate) health: Health,
    pub(crate) counters: Counters,
    pub(crate) guard: Arc<Guard>,
    pub(crate) summaries: Arc<Summaries>,
    pub(crate) flow: Arc<Flow>,
    pub(crate) disk: Arc<dyn Disk>,
    /// Journal records up to here are committed everywhere.
    pub(crate) trimmable: AtomicU64,
    pub(crate) journal_bytes: AtomicU64,
}

/// What is counted.
pub(crate) struct Counters {
    pub(crate) documents: Counter,
    pub(crate) refused: Counter,
    pub(crate) syncs: Counter,
    pub(crate) sync_micros: Counter,
    pub(crate) commits: Counter,
    pub(crate) index_failures: Counter,
    pub(crate) dropped_partitions: Counter,
    pub(crate) damaged: Counter,
    pub(crate) torn_bytes: Counter,
    pub(crate) disk_bytes: Gauge,
}

impl Counters {
    fn new(metrics: &Metrics) -> Self {
        Self {
            documents: metrics.counter("weir_indexer_documents_total", "Documents accepted", &[]),
            refused: metrics.counter("weir_indexer_refused_total", "Requests refused with 429 by the disk guard", &[]),
            syncs: metrics.counter("weir_indexer_journal_syncs_total", "Syncs of the journal", &[]),
            sync_micros: metrics.counter("weir_indexer_journal_sync_microseconds_total", "Time spent in syncs", &[]),
            commits: metrics.counter("weir_indexer_commits_total", "Commits of index files", &[]),
            index_failures: metrics.counter("weir_indexer_index_failures_total", "Failures of an index writer", &[]),
            dropped_partitions: metrics.counter(
                "weir_indexer_dropped_partitions_total",
                "Partitions dropped by retention or for room",
                &[],
            ),
            damaged: metrics.counter("weir_indexer_damaged_total", "Damaged things set aside", &[]),
            torn_bytes: metrics.counter(
                "weir_indexer_journal_torn_bytes_total",
                "Unfinished bytes cut off the journal at start",
                &[],
            ),
            disk_bytes: metrics.gauge("weir_indexer_disk_bytes", "Bytes of index files and journal", &[]),
        }
    }
}

/// All indices of a data folder.
pub struct Store {
    shared: Arc<Shared>,
    sequencer: SyncSender<Message>,
    indexing: SyncSender<Work>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// One creation or deletion of an index at a time.
    changing: Mutex<()>,
    auto_create: RwLock<Option<String>>,
    _lock: weir_daemon::files::Lock,
}

impl Store {
    /// The id of this data folder, as `cluster_uuid`.
    pub fn uuid(&self) -> &str {
        self.shared.catalog.uuid()
    }

    /// Everything that was accepted in the indices of an expression (`a,b*,-c,<logs-{now/d}>`, `_all`, an alias).
    /// Blocks when newly accepted documents must be made visible first: call it where blocking is allowed.
    ///
    /// # Errors
    /// 404 for a missing index, as `choice` says.
    pub fn search_view(&self, expression: &str, choice: Choice) -> Result<View> {
        self.view_of(&self.resolve_filtered(expression, choice)?)
    }

    /// The same for indices that were resolved before. When what was accepted cannot be made visible, because the disk
    /// is full say, the view is of what was visible before, and `/health` tells why.
    ///
    /// # Errors
    /// Never at present.
    pub fn view(&self, indices: &[Arc<Index>]) -> Result<View> {
        let whole = |index: &Arc<Index>| Chosen { index: Arc::clone(index), filter: None };
        self.view_of(&indices.iter().map(whole).collect::<Vec<_>>())
    }

    /// The same, with the filters of aliases.
    ///
    /// # Errors
    /// Never at present.
    pub fn view_of(&self, chosen: &[Chosen]) -> Result<View> {
        let interval = self.shared.config.refresh_interval;
        let due: Vec<Arc<Index>> = chosen
            .iter()
            .map(|chosen| &chosen.index)
            .filter(|index| !index.mapping().limits.refresh_by_hand)
            .filter(|index| index.refreshed.lock().unwrap_or_else(PoisonError::into_inner).elapsed() >= interval)
            .cloned()
            .collect();
        if let Err(error) = self.refresh(&due) {
            // On a full disk what is in the files can still be searched.
            tracing::warn!(%error, "a search does not see the newest documents");
        }
        let mut parts = Vec::new();
        for Chosen { index, filter } in chosen {
            index.asked.searches.fetch_add(1, Ordering::Relaxed);
            let mapping = index.mapping();
            for partition in index.partitions() {
                parts.push(PartitionView {
                    searcher: partition.searcher(),
                    index_name: Arc::clone(&index.name),
                    mapping: Arc::clone(&mapping),
                    fields: self.shared.fields,
                    time_range: partition.payload().times,
                    filter: filter.clone(),
                    only: None,
                    salt: index.salt,
                    summaries: Arc::clone(&self.shared.summaries),
                    gone: Arc::clone(&partition.gone),
                });
            }
        }
        Ok(View { parts })
    }

    /// The indices that an expression names, by name.
    ///
    /// # Errors
    /// 404 for a missing index, as `choice` says.
    pub fn resolve(&self, expression: &str, choice: Choice) -> Result<Vec<Arc<Index>>> {
        Ok(self.resolve_filtered(expression, choice)?.into_iter().map(|chosen| chosen.index).collect())
    }

    /// The same, with what documents must fit where only filtered aliases name an index.
    ///
    /// # Errors
    /// 404 for a missing index, as `choice` says.
    pub fn resolve_filtered(&self, expression: &str, choice: Choice) -> Result<Vec<Chosen>> {
        self.shared.catalog.resolve(expression, choice, now_ms())
    }

    /// Makes everything that was accepted in these indices visible. Blocks.
    ///
    /// # Errors
    /// 503 when an index cannot be written at the moment.
    pub fn refresh(&self, indices: &[Arc<Index>]) -> Result<()> {
        let dirty =
            |index: &&Arc<Index>| index.accepted.load(Ordering::Acquire) > index.visible.load(Ordering::Acquire);
        let dirty: Vec<&Arc<Index>> = indices.iter().filter(dirty).collect();
        let uids: Vec<u64> = dirty.iter().map(|index| index.uid).collect();
        dirty.iter().for_each(|index| _ = index.asked.refreshes.fetch_add(1, Ordering::Relaxed));
        if uids.is_empty() {
            return Ok(());
        }
        let (answer, done) = sync_channel(1);
        let gone = || Error::new(503, "unavailable_shards_exception", "weir is shutting down");
        self.indexing.send(Work::Refresh { uids, answer }).map_err(|_| gone())?;
        done.recv().map_err(|_| gone())?.map_err(|problem| Error::new(503, "unavailable_shards_exception", problem))
    }

    /// Commits an index and freezes its files; `None` when it is gone meanwhile. Blocks.
    ///
    /// # Errors
    /// 503 when it cannot be written, or its files cannot be frozen.
    pub(crate) fn freeze(&self, index: &Index) -> Result<Option<freeze::FrozenIndex>> {
        let (answer, done) = sync_channel(1);
        self.indexing.send(Work::Freeze { uid: index.uid, answer }).map_err(|_| shutting_down())?;
        let frozen = done.recv().map_err(|_| shutting_down())?;
        frozen.map_err(|problem| Error::new(503, "unavailable_shards_exception", problem))
    }

    /// Room for bytes that come from elsewhere than a write.
    ///
    /// # Errors
    /// 429 when they would not fit.
    pub(crate) fn make_sure_of_room(&self, bytes: u64) -> Result<()> {
        self.shared.guard.admit_exactly(bytes)
    }

    /// Settings that were checked.
    pub(crate) fn config(&self) -> &Config {
        &self.shared.config
    }

    /// All indices, by name.
    pub fn indices(&self) -> Vec<Arc<Index>> {
        self.shared.catalog.all()
    }

    /// One document by id, as searches see it: `_source`, `_version`, `_seq_no`. Blocks.
    ///
    /// # Errors
    /// 500 when the index files are damaged.
    pub fn get(&self, index: &Arc<Index>, id: &str) -> Result<Option<Got>> {
        index.asked.gets.fetch_add(1, Ordering::Relaxed);
        let Some(found) = lookup::find(index, id, &self.shared.fields)? else { return Ok(None) };
        let part = PartitionView {
            searcher: found.searcher,
            index_name: Arc::clone(&index.name),
            mapping: index.mapping(),
            fields: self.shared.fields,
            time_range: None,
            filter: None,
            only: None,
            salt: index.salt,
            summaries: Arc::clone(&self.shared.summaries),
            gone: Arc::default(),
        };
        let (source, routing) = (part.source(found.address)?, part.routing(found.address)?);
        Ok(Some(Got { source, version: found.version, seq: found.seq, routing }))
    }

    /// Bytes used, the budget, bytes free on the file system and its size.
    pub fn disk(&self) -> DiskUse {
        let (free, total) = self.shared.guard.space().unwrap_or((0, 0));
        DiskUse { used: self.shared.guard.used(), budget: self.shared.guard.budget, free, total }
    }

    /// Commits what was accepted and stops. Blocks. Writes that come later are answered with 503.
    pub fn close(&self) {
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let mut stop = vec![false, true].into_iter();
        for thread in threads {
            let told = if stop.next() == Some(false) {
                self.sequencer.send(Message::Stop).is_ok()
            } else {
                self.indexing.send(Work::Stop).is_ok()
            };
            if thread.join().is_err() || !told {
                tracing::error!("a thread of the store had ended before its time");
            }
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}

/// Whether an id has the form of those that weir gives to documents without one.
pub fn is_made_here(index: &Index, id: &str) -> bool {
    id::parse_position(id).is_some() || id::parse_arrival(index.salt, id).is_some()
}

/// The shard of several that Elasticsearch puts a routing value on: Murmur3 over its UTF-16 units, spread over a
/// multiple of the number of shards that leaves room for splitting.
pub fn shard_of(value: &str, shards: u32) -> u32 {
    if shards <= 1 {
        return 0;
    }
    let splits = 10u32.saturating_sub(32 - (shards - 1).leading_zeros()).max(1);
    let spread = i64::from(shards) << splits;
    let bytes: Vec<u8> = value.encode_utf16().flat_map(u16::to_le_bytes).collect();
    (i64::from(id::murmur3(&bytes) as i32).rem_euclid(spread) / (1 << splits)) as u32
}

/// A document found by its id.
pub struct Got {
    /// `_source`, as sent.
    pub source: String,
    /// `_version`
    pub version: u64,
    /// `_seq_no`
    pub seq: u64,
    /// `_routing`, where it was written with one.
    pub routing: Option<String>,
}

/// What [`Store::disk`] tells, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct DiskUse {
    /// Taken by index files and journal.
    pub used: u64,
    /// The most that they may take.
    pub budget: u64,
    /// Free on the file system.
    pub free: u64,
    /// Size of the file system.
    pub total: u64,
}

fn shutting_down() -> Error {
    Error { retry_after: Some(5), ..Error::new(503, "unavailable_shards_exception", "weir is shutting down") }
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.as_millis() as u64)
}
