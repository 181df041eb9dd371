//! Puts accepted batches into the index files: one thread owns every tantivy writer, and is fed by one bounded queue of
//! [`Work`].
//!
//! A commit comes when a search wants to see new documents, when the journal has its size, after some time, and at the
//! end. The order of a commit: removals in closed partitions, `meta.json` of the index when its mapping grew, then the
//! open partition with its payload. A crash in between replays the journal from the open partition's record on, and
//! every step can be done twice.

use std::collections::{HashMap, HashSet};
use std::io;
use std::ops::Bound;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tantivy::indexer::{IndexWriterOptions, LogMergePolicy, UserOperation};
use tantivy::query::{BooleanQuery, Occur, Query, RangeQuery, TermQuery};
use tantivy::schema::IndexRecordOption;
use tantivy::{IndexWriter, Term};

use super::Shared;
use super::decide::Op;
use super::document::{Batch, Doc, Identity, Scalar, Target};
use super::flow::Flow;
use super::freeze::{self, FrozenIndex};
use super::guard::{Guard, RoomyMerges};
use super::index::Index;
use super::lookup::Which;
use super::marks::Marks;
use super::partition::{self, Partition, Payload};
use super::sieve::Sieve;
use crate::journal;
use crate::schema::Fields;

/// How often time-driven work is looked at.
const TICK: Duration = Duration::from_secs(1);
/// A shard that was not written for this long is committed, so that the journal can go.
const IDLE_COMMIT: Duration = Duration::from_secs(5);
/// A writer that was not used for this long is closed, and its threads and memory with it.
const IDLE_CLOSE: Duration = Duration::from_secs(60);
/// Segments of about the same size that are merged into one. Fewer mean less to search and more to write.
const MERGE_SEGMENTS: usize = 8;
/// Segments of more documents are left alone. A writer that no search interrupts makes larger ones at once; merging
/// those would double the work of indexing, take memory for all that is merged, and spare a search some microseconds.
const MERGE_DOCS_MAX: usize = 30_000;
/// Segments smaller than this count as the same size.
const MERGE_LAYER_DOCS_MIN: u32 = 4_000;
/// So many powers of two apart, sizes count as the same: with the two limits above, each document is merged twice at
/// most.
const MERGE_LEVEL_LOG: f64 = 3.0;
/// A segment with more deleted documents than this part is written anew.
const MERGE_DELETED_RATIO: f32 = 0.3;

/// Partitions that the bytes of an index with a limit of its own are cut into.
const INDEX_PARTS: u64 = 5;

/// What the thread is asked to do.
pub(crate) enum Work {
    /// Index a batch that is in the journal.
    Batch(Accepted),
    /// A new index.
    Open(Arc<Index>),
    /// An index is being deleted: let go of its files.
    Close { uid: u64, answer: SyncSender<()> },
    /// Make everything accepted before visible.
    Refresh { uids: Vec<u64>, answer: SyncSender<Result<(), String>> },
    /// Commit an index and freeze its files, for a snapshot. An index that is gone meanwhile is no error.
    Freeze { uid: u64, answer: SyncSender<Result<Option<FrozenIndex>, String>> },
    /// Tell arrival number and marks of every index, as the batches so far made them.
    States { answer: SyncSender<HashMap<u64, (u64, Marks)>> },
    /// Commit everything and end.
    Stop,
}

/// A batch that is in the journal.
pub(crate) struct Accepted {
    pub(crate) record: u64,
    pub(crate) arrival_ms: u64,
    pub(crate) batch: Arc<Batch>,
    pub(crate) ops: Vec<Op>,
    /// Uid of each of the batch's indices, and the arrival number that follows.
    pub(crate) indices: Vec<(u64, u64)>,
}

/// One index that is written.
pub(super) struct Shard {
    pub(super) index: Arc<Index>,
    pub(super) open: Arc<Partition>,
    pub(super) writer: Option<IndexWriter<Doc>>,
    marks: Marks,
    next_seq: u64,
    created_ms: u64,
    times: Option<(i64, i64)>,
    /// Last record that is in the writer.
    applied: u64,
    /// Last record that is in the files.
    committed: u64,
    first_dirty: Option<u64>,
    dirty_since: Instant,
    used: Instant,
    /// Removals that closed partitions have not seen.
    removals: Vec<Which>,
    /// The writer failed: what is behind `committed` must be read from the journal again.
    failed: bool,
    /// Merges may have changed the files since searches last looked.
    pub(super) stale: bool,
}

impl Shard {
    /// Takes note of what was accepted, whether or not it can be indexed now.
    fn account(&mut self, target: usize, accepted: &Accepted) {
        for entry in accepted.batch.entries.iter().filter(|entry| usize::from(entry.index) == target) {
            if let Identity::Position { source, end, .. } = entry.identity {
                self.marks.raise(source, end, accepted.arrival_ms);
            }
        }
        self.next_seq = self.next_seq.max(accepted.indices[target].1);
    }
}

/// See the top of the file.
pub(crate) struct Indexing {
    pub(super) shared: Arc<Shared>,
    pub(super) shards: HashMap<u64, Shard>,
    /// Last record that came.
    last: u64,
    pub(super) sieve: Sieve,
}

impl Indexing {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, shards: HashMap::new(), last: 0, sieve: Sieve::default() }
    }

    /// Takes an index on. Its newest partition is the one that is written.
    pub(crate) fn add(&mut self, index: &Arc<Index>) {
        let Some(open) = index.partitions().last().cloned() else { return };
        let payload = open.payload();
        let now = Instant::now();
        self.shards.insert(
            index.uid,
            Shard {
                index: Arc::clone(index),
                marks: payload.marks.clone(),
                next_seq: payload.next_seq,
                created_ms: payload.created_ms,
                times: payload.times,
                applied: payload.record,
                committed: payload.record,
                first_dirty: None,
                dirty_since: now,
                used: now,
                removals: Vec::new(),
                failed: false,
                stale: false,
                writer: None,
                open,
            },
        );
        self.last = self.last.max(payload.record);
    }

    /// Record up to which each index is complete, for the replay.
    pub(crate) fn is_needed(&self, uid: u64, record: u64) -> bool {
        self.shards.get(&uid).is_some_and(|shard| record > shard.applied)
    }

    /// Arrival number and marks of an index, as its batches so far made them.
    pub(crate) fn state(&self, uid: u64) -> Option<(u64, Marks)> {
        self.shards.get(&uid).map(|shard| (shard.next_seq, shard.marks.clone()))
    }

    /// The thread.
    pub(crate) fn run(mut self, queue: &Receiver<Work>) {
        let mut ticked = Instant::now();
        loop {
            match queue.recv_timeout(TICK.saturating_sub(ticked.elapsed())) {
                Ok(Work::Batch(accepted)) => self.apply(&accepted),
                Ok(Work::Open(index)) => self.add(&index),
                Ok(Work::Close { uid, answer }) => {
                    self.sieve.wait_for(uid);
                    self.shards.remove(&uid);
                    // The asker may have given up; there is nobody to tell then.
                    let _ = answer.send(());
                }
                Ok(Work::Refresh { uids, answer }) => {
                    let refreshed = self.refresh(&uids);
                    let _ = answer.send(refreshed);
                }
                Ok(Work::Freeze { uid, answer }) => {
                    let frozen = self.freeze(uid);
                    let _ = answer.send(frozen);
                }
                Ok(Work::States { answer }) => {
                    let states = self.shards.keys().filter_map(|uid| Some((*uid, self.state(*uid)?)));
                    let _ = answer.send(states.collect());
                }
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Work::Stop) | Err(RecvTimeoutError::Disconnected) => break,
            }
            if ticked.elapsed() >= TICK || self.shared.guard.is_due() {
                self.tick();
                ticked = Instant::now();
            }
        }
        self.commit_all();
        self.sieve.finish();
        for shard in self.shards.values_mut() {
            if let Some(writer) = shard.writer.take()
                && let Err(error) = writer.wait_merging_threads()
            {
                tracing::warn!(index = %shard.index.name, %error, "a merge did not finish");
            }
        }
    }

    /// Indexes a batch. A failure is kept in the shard, and mended later from the journal.
    pub(crate) fn apply(&mut self, accepted: &Accepted) {
        self.last = self.last.max(accepted.record);
        for n in 0..accepted.indices.len() {
            let uid = accepted.indices[n].0;
            let Some(shard) = self.shards.get_mut(&uid).filter(|shard| accepted.record > shard.applied) else {
                continue;
            };
            shard.account(n, accepted);
            if shard.failed {
                continue;
            }
            if let Err(error) = self.apply_to(uid, n, accepted) {
                self.fail(uid, &error);
            }
        }
    }

    fn apply_to(&mut self, uid: u64, target: usize, accepted: &Accepted) -> tantivy::Result<()> {
        self.make_writer(uid)?;
        let fields = self.shared.fields;
        let Some(shard) = self.shards.get_mut(&uid) else { return Ok(()) };
        let Some(writer) = &shard.writer else { return Ok(()) };
        let closed = shard.index.partitions().len() > 1;
        let batch = &accepted.batch;
        let mut group: Vec<UserOperation<Doc>> = Vec::new();
        for op in &accepted.ops {
            match op {
                Op::Add(entry) => {
                    let entry = *entry as usize;
                    let Some(this) = batch.entries.get(entry).filter(|entry| usize::from(entry.index) == target) else {
                        continue;
                    };
                    for leaf in batch.leaves(this) {
                        if let (Target::Timestamp, Scalar::Date(nanos)) = (leaf.target, leaf.value) {
                            let at = nanos.div_euclid(1_000_000);
                            let (min, max) = shard.times.unwrap_or((at, at));
                            shard.times = Some((min.min(at), max.max(at)));
                        }
                    }
                    group.push(UserOperation::Add(Doc { batch: Arc::clone(batch), entry: entry as u32 }));
                }
                Op::Remove { target: other, which } if usize::from(*other) == target => {
                    match which {
                        Which::Id(id) => group.push(UserOperation::Delete(Term::from_field_text(fields.id, id))),
                        other => {
                            writer.run(std::mem::take(&mut group))?;
                            writer.delete_query(query(other, &fields))?;
                        }
                    }
                    if closed {
                        shard.removals.push(which.clone());
                    }
                }
                Op::Remove { .. } => {}
            }
        }
        writer.run(group)?;
        shard.applied = accepted.record;
        shard.used = Instant::now();
        if shard.first_dirty.is_none() {
            shard.first_dirty = Some(accepted.record);
            shard.dirty_since = shard.used;
        }
        Ok(())
    }

    fn fail(&mut self, uid: u64, error: &tantivy::TantivyError) {
        let Some(shard) = self.shards.get_mut(&uid) else { return };
        tracing::error!(index = %shard.index.name, %error, "indexing failed; it goes on from the journal when it can");
        self.shared.health.trouble("index", format!("{}: {error}", shard.index.name));
        self.shared.counters.index_failures.inc();
        shard.failed = true;
        shard.writer = None;
        shard.first_dirty = Some(shard.committed + 1);
    }

    /// Opens the writer of a shard; closes another one when there are too many.
    fn make_writer(&mut self, uid: u64) -> tantivy::Result<()> {
        if self.shards.get(&uid).is_none_or(|shard| shard.writer.is_some()) {
            return Ok(());
        }
        let open = self.shards.values().filter(|shard| shard.writer.is_some()).count();
        if open >= self.shared.config.open_writers {
            let idlest = self.shards.values().filter(|shard| shard.writer.is_some()).min_by_key(|shard| shard.used);
            if let Some(idlest) = idlest.map(|shard| shard.index.uid) {
                self.close_writer(idlest);
            }
        }
        let heap = self.shared.config.writer_heap_bytes;
        if let Some(shard) = self.shards.get_mut(&uid) {
            shard.writer = Some(writer(&shard.open, heap, &self.shared.guard)?);
        }
        Ok(())
    }

    fn close_writer(&mut self, uid: u64) {
        if let Err(error) = self.commit(uid) {
            self.fail(uid, &error);
        }
        let Some(shard) = self.shards.get_mut(&uid) else { return };
        if let Some(writer) = shard.writer.take()
            && let Err(error) = writer.wait_merging_threads()
        {
            tracing::warn!(%error, "a merge did not finish");
        }
        // Segments that were merged are gone, and their bytes come back when nobody reads them any more.
        if let Err(error) = shard.open.reload() {
            tracing::error!(index = %shard.index.name, %error, "the index files cannot be read");
        }
    }

    fn refresh(&mut self, uids: &[u64]) -> Result<(), String> {
        let mut result = Ok(());
        for uid in uids {
            let Some(shard) = self.shards.get(uid) else { continue };
            if shard.failed {
                result = Err(format!("index [{}] cannot be written at the moment", shard.index.name));
                continue;
            }
            if let Err(error) = self.commit(*uid) {
                self.fail(*uid, &error);
                result = Err(error.to_string());
            }
        }
        self.note_trimmable();
        result
    }

    fn freeze(&mut self, uid: u64) -> Result<Option<FrozenIndex>, String> {
        self.refresh(&[uid])?;
        let Some(shard) = self.shards.get(&uid) else { return Ok(None) };
        freeze::freeze(&self.shared.config.data_dir, &shard.index).map(Some).map_err(|error| error.to_string())
    }

    /// Commits what a shard has, and makes it visible.
    fn commit(&mut self, uid: u64) -> tantivy::Result<()> {
        let (config, fields) = (&self.shared.config, self.shared.fields);
        let now_ms = super::now_ms();
        let Some(shard) = self.shards.get_mut(&uid) else { return Ok(()) };
        if shard.failed || shard.first_dirty.is_none() {
            return Ok(());
        }
        let began = Instant::now();
        let removals = std::mem::take(&mut shard.removals);
        if !removals.is_empty() {
            self.sieve.wait_for(uid);
            remove_from_closed(shard, &removals, &fields, &self.shared.guard)?;
        }
        if shard.index.is_unsaved() {
            shard.index.save()?;
        }
        shard.marks.forget(now_ms, config.marks_retention, config.marks_max);
        let payload = Payload {
            record: shard.applied,
            next_seq: shard.next_seq,
            created_ms: shard.created_ms,
            times: shard.times,
            marks: shard.marks.clone(),
        };
        if let Some(writer) = &mut shard.writer {
            partition::commit(writer, &payload)?;
        }
        shard.open.reload()?;
        shard.open.set_payload(payload);
        shard.committed = shard.applied;
        shard.first_dirty = None;
        shard.stale = true;
        shard.index.visible.store(shard.applied, Ordering::Release);
        *shard.index.refreshed.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.shared.counters.commits.inc();
        tracing::debug!(index = %shard.index.name, record = shard.committed, ms = began.elapsed().as_millis() as u64, "committed");
        Ok(())
    }

    fn commit_all(&mut self) {
        let uids: Vec<u64> = self.shards.keys().copied().collect();
        for uid in uids {
            if let Err(error) = self.commit(uid) {
                self.fail(uid, &error);
            }
        }
        self.note_trimmable();
    }

    /// Commits everything after the replay. False when an index could not be.
    pub(crate) fn settle(&mut self) -> bool {
        self.commit_all();
        self.shards.values().all(|shard| !shard.failed)
    }

    /// Tells the journal's owner what is no longer needed.
    fn note_trimmable(&self) {
        let needed = self.shards.values().filter_map(|shard| shard.first_dirty).min();
        let trimmable = needed.map_or(self.last, |first| first.saturating_sub(1));
        self.shared.trimmable.fetch_max(trimmable, Ordering::AcqRel);
    }

    fn tick(&mut self) {
        let config = &self.shared.config;
        let journal_full = self.shared.journal_bytes.load(Ordering::Relaxed) > self.shared.guard.journal_bytes;
        let due: Vec<u64> = self
            .shards
            .values()
            .filter(|shard| shard.first_dirty.is_some() && !shard.failed)
            .filter(|shard| {
                journal_full
                    || shard.used.elapsed() >= IDLE_COMMIT
                    || shard.dirty_since.elapsed() >= config.commit_interval
            })
            .map(|shard| shard.index.uid)
            .collect();
        for uid in due {
            if let Err(error) = self.commit(uid) {
                self.fail(uid, &error);
            }
        }
        self.mend();
        self.roll_over();
        let idle = |shard: &&Shard| shard.writer.is_some() && shard.used.elapsed() >= IDLE_CLOSE;
        for uid in self.shards.values().filter(idle).map(|shard| shard.index.uid).collect::<Vec<_>>() {
            self.close_writer(uid);
        }
        self.note_trimmable();
        self.measure();
        self.expire();
    }

    /// Tries to bring failed shards up to date from the journal.
    fn mend(&mut self) {
        let failed: Vec<u64> = self.shards.values().filter(|shard| shard.failed).map(|shard| shard.index.uid).collect();
        if !failed.is_empty() {
            self.shared.guard.release_reserve();
        }
        for uid in failed {
            let Some(shard) = self.shards.get_mut(&uid) else { continue };
            // The files are as of the last commit; marks and arrival numbers went on with what was accepted.
            shard.applied = shard.committed;
            shard.removals.clear();
            shard.failed = false;
            let (from, to) = (shard.committed + 1, self.last);
            let shared = Arc::clone(&self.shared);
            // A count of its own: the usual one may be full of batches that wait for this very thread.
            let flow = Arc::new(Flow::default());
            let replayed = journal::read_again(&*shared.disk, from, to, &mut |record, payload| {
                if let Some(accepted) = super::replay::accepted(&shared, &flow, record, payload)
                    && let Some(n) = accepted.indices.iter().position(|(known, _)| *known == uid)
                {
                    self.apply_to(uid, n, &accepted).map_err(|error| io::Error::other(error.to_string()))?;
                }
                Ok(())
            });
            let mended = replayed.map_err(tantivy::TantivyError::from).and_then(|()| self.commit(uid));
            match mended {
                Err(error) => self.fail(uid, &error),
                Ok(()) => {
                    tracing::info!("indexing goes on");
                    self.shared.health.well("index");
                }
            }
        }
    }

    /// Closes partitions that are large or of another day, and opens the next ones.
    fn roll_over(&mut self) {
        let day = |ms: u64| ms / 86_400_000;
        let now_ms = super::now_ms();
        let (most, retention) = (self.shared.guard.partition_bytes, &self.shared.config.retention);
        // An index of few bytes is cut into some partitions all the same, or nothing of it could ever go.
        let limit =
            |shard: &Shard| retention.bytes(&shard.index.name).map_or(most, |bytes| most.min(bytes / INDEX_PARTS));
        let due: Vec<u64> = self
            .shards
            .values_mut()
            .filter(|shard| {
                !shard.failed && shard.next_seq > 0 && shard.times.is_some() | (shard.open.bytes() >= limit(shard))
            })
            .filter_map(|shard| {
                let full = shard.open.bytes() >= limit(shard);
                (full || day(shard.created_ms) != day(now_ms)).then_some(shard.index.uid)
            })
            .collect();
        for uid in due {
            self.close_writer(uid);
            let Some(shard) = self.shards.get_mut(&uid).filter(|shard| !shard.failed) else { continue };
            let payload = Payload {
                record: shard.committed,
                next_seq: shard.next_seq,
                created_ms: now_ms,
                times: None,
                marks: shard.marks.clone(),
            };
            match Partition::create(&shard.index.folder, shard.open.number + 1, payload) {
                Ok(partition) => {
                    tracing::info!(index = %shard.index.name, partition = partition.number, "opened the next partition");
                    shard.open.measure();
                    shard.open = Arc::new(partition);
                    shard.index.push_partition(Arc::clone(&shard.open));
                    (shard.created_ms, shard.times) = (now_ms, None);
                }
                Err(error) => tracing::error!(index = %shard.index.name, %error, "the next partition cannot be opened"),
            }
        }
    }
}

fn writer(partition: &Partition, heap: usize, guard: &Arc<Guard>) -> tantivy::Result<IndexWriter<Doc>> {
    let options =
        IndexWriterOptions::builder().num_worker_threads(1).num_merge_threads(1).memory_budget_per_thread(heap).build();
    let writer: IndexWriter<Doc> = partition.index.writer_with_options(options)?;
    let mut policy = LogMergePolicy::default();
    policy.set_min_num_segments(MERGE_SEGMENTS);
    policy.set_max_docs_before_merge(MERGE_DOCS_MAX);
    policy.set_min_layer_size(MERGE_LAYER_DOCS_MIN);
    policy.set_level_log_size(MERGE_LEVEL_LOG);
    policy.set_del_docs_ratio_before_merge(MERGE_DELETED_RATIO);
    let folder = partition.folder.clone();
    writer.set_merge_policy(Box::new(RoomyMerges { guard: Arc::clone(guard), folder, policy }));
    Ok(writer)
}

/// Removes documents from the partitions that are no longer written.
fn remove_from_closed(shard: &Shard, removals: &[Which], fields: &Fields, guard: &Arc<Guard>) -> tantivy::Result<()> {
    let partitions = shard.index.partitions();
    let mut asked: HashSet<Vec<u8>> = HashSet::new();
    let removals: Vec<&Which> =
        removals.iter().filter(|which| asked.insert(format!("{which:?}").into_bytes())).collect();
    for closed in partitions.iter().filter(|partition| partition.number != shard.open.number) {
        let searcher = closed.searcher();
        let mut concerned = Vec::new();
        for which in &removals {
            let query = query(which, fields);
            if query.count(&searcher)? > 0 {
                concerned.push(query);
            }
        }
        if concerned.is_empty() {
            continue;
        }
        let mut writer = writer(closed, 15_000_000, guard)?;
        for query in concerned {
            writer.delete_query(query)?;
        }
        partition::commit(&mut writer, &closed.payload())?;
        writer.wait_merging_threads()?;
        weir_daemon::files::sync_dir(&closed.folder)?;
        closed.reload()?;
        closed.measure();
    }
    Ok(())
}

fn query(which: &Which, fields: &Fields) -> Box<dyn Query> {
    let numbers = |field, from: u64, to: u64| -> Box<dyn Query> {
        Box::new(RangeQuery::new(
            Bound::Included(Term::from_field_u64(field, from)),
            Bound::Excluded(Term::from_field_u64(field, to)),
        ))
    };
    match which {
        Which::Id(id) => Box::new(TermQuery::new(Term::from_field_text(fields.id, id), IndexRecordOption::Basic)),
        Which::Seq(seq) => numbers(fields.seq, *seq, seq.saturating_add(1)),
        Which::Range { source, from, to } => {
            let source = TermQuery::new(Term::from_field_u64(fields.src, *source), IndexRecordOption::Basic);
            let must: Vec<(Occur, Box<dyn Query>)> =
                vec![(Occur::Must, Box::new(source)), (Occur::Must, numbers(fields.pos, *from, *to))];
            Box::new(BooleanQuery::new(must))
        }
    }
}
