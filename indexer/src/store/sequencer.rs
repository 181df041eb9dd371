//! Gives requests their order: one thread owns the journal, the marks and the ids that searches do not see yet, and is
//! fed by one bounded queue of [`Message`].
//!
//! Requests that come while a sync runs are written together and share the next one. A request is answered when its
//! record is synced and handed on to the indexing thread, so that a refresh asked for afterwards covers it.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::Shared;
use super::decide::{Decided, Outcome, Shard, decide};
use super::document::Batch;
use super::index::Index;
use super::indexing::{Accepted, Work};
use super::request::{Action, Request, Target};
use super::{id, record};
use crate::error::{Error, Result};
use crate::journal::Journal;

/// How often the journal is trimmed when nothing else happens.
const TICK: Duration = Duration::from_millis(500);
/// Bytes of requests that share one sync at most: more would only make the first of them wait longer.
const GROUP_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Ids that are held in memory until searches see them; then a commit is asked for.
const PENDING_IDS_MAX: usize = 200_000;

/// What the thread is asked to do.
pub(crate) enum Message {
    /// Decide, journal, and hand on.
    Write { request: Request, answer: oneshot::Sender<Result<Written>> },
    /// A new index.
    Open { shard: Box<Shard>, answer: SyncSender<()> },
    /// An index is being deleted: accept nothing more for it.
    Close { uid: u64, answer: SyncSender<()> },
    /// Sync and end.
    Stop,
}

/// A request that is safe.
pub struct Written {
    /// Its actions, in order.
    pub actions: Vec<Action>,
    /// The indices that they name.
    pub targets: Vec<Target>,
    /// What became of each action.
    pub outcomes: Vec<Outcome>,
}

impl Written {
    /// The indices that were written.
    pub fn indices(&self) -> Vec<Arc<Index>> {
        self.targets.iter().filter_map(|target| target.index.as_ref().ok().cloned()).collect()
    }

    /// `_index` of an item's answer.
    pub fn index_name(&self, action: &Action) -> &str {
        let target = &self.targets[action.target as usize];
        target.index.as_ref().map_or(target.name.as_ref(), |index| index.name.as_ref())
    }

    /// `_id` of an item's answer: as given, or as made from its arrival number.
    pub fn id(&self, action: &Action, outcome: &Outcome) -> Option<String> {
        match (&action.id, &self.targets[action.target as usize].index) {
            (Some(id), _) => Some(id.to_string()),
            (None, Ok(index)) if outcome.error.is_none() => Some(id::arrival(index.salt, outcome.seq)),
            (None, _) => None,
        }
    }
}

/// See the top of the file.
pub(crate) struct Sequencer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) journal: Journal,
    pub(crate) shards: HashMap<u64, Shard>,
    pub(crate) indexing: SyncSender<Work>,
    /// The indexing thread is gone: nothing more is accepted.
    pub(crate) is_alone: bool,
    /// First record of what failed and is not yet taken back.
    pub(crate) first_failed: Option<u64>,
}

struct Waiting {
    answer: oneshot::Sender<Result<Written>>,
    written: Written,
    accepted: Option<Accepted>,
}

impl Sequencer {
    /// The thread.
    pub(crate) fn run(mut self, queue: &Receiver<Message>) {
        loop {
            let first = match queue.recv_timeout(TICK) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let mut group = Vec::new();
            let (mut bytes, mut stop) = (0, false);
            let mut next = first;
            while let Some(message) = next {
                match message {
                    Message::Write { request, answer } => {
                        bytes += request.text.len();
                        group.extend(self.write(request, answer));
                    }
                    Message::Open { shard, answer } => {
                        self.shards.insert(shard.index.uid, *shard);
                        // The asker may have given up; there is nobody to tell then.
                        let _ = answer.send(());
                    }
                    Message::Close { uid, answer } => {
                        self.shards.remove(&uid);
                        let _ = answer.send(());
                    }
                    Message::Stop => stop = true,
                }
                next = if bytes < GROUP_BYTES_MAX && !stop { queue.try_recv().ok() } else { None };
            }
            self.finish(group);
            self.tidy();
            if stop {
                break;
            }
        }
    }

    /// Decides a request and writes it to the journal. What is given back waits for the sync.
    fn write(&mut self, request: Request, answer: oneshot::Sender<Result<Written>>) -> Option<Waiting> {
        match self.try_write(request) {
            Ok((written, accepted)) => Some(Waiting { answer, written, accepted }),
            Err(error) => {
                let _ = answer.send(Err(error));
                None
            }
        }
    }

    fn try_write(&mut self, request: Request) -> Result<(Written, Option<Accepted>)> {
        if self.journal.is_broken() || self.is_alone {
            return Err(unavailable("the journal cannot be written at the moment"));
        }
        if request
            .targets
            .iter()
            .any(|target| target.index.as_ref().is_ok_and(|index| !self.shards.contains_key(&index.uid)))
        {
            return Err(stale());
        }
        self.shared.guard.admit(request.text.len() as u64).inspect_err(|_| self.shared.counters.refused.inc())?;
        let now_ms = super::now_ms();
        let number = self.journal.next();
        for shard in self.shards.values_mut().filter(|shard| shard.pending() > 0) {
            shard.tidy(now_ms);
        }
        let decided = decide(&request, &mut self.shards, &self.shared.fields, number, now_ms);
        let Decided { outcomes, entries, ops } = decided;
        let Request { text, values, actions, targets } = request;
        if ops.is_empty() {
            return Ok((Written { actions, targets, outcomes }, None));
        }
        let mut indices = Vec::with_capacity(targets.len());
        for target in &targets {
            let uid = target.index.as_ref().map_or(0, |index| index.uid);
            indices.push((uid, self.shards.get(&uid).map_or(0, |shard| shard.next_seq)));
        }
        let mut head = Vec::with_capacity(32 + ops.len() * 24);
        record::encode(now_ms, &indices, &entries, &ops, &mut head);
        self.journal.append(&head, text.as_bytes()).map_err(|error| self.broken(&error))?;
        self.shared.journal_bytes.store(self.journal.bytes(), Ordering::Relaxed);
        self.shared.guard.journalled();
        self.shared.counters.documents.add(entries.len() as u64);
        let mappings = targets.iter().map(|target| Arc::clone(&target.mapping)).collect();
        let share = None;
        let batch = Arc::new(Batch { text, values, entries, mappings, fields: self.shared.fields, share });
        let accepted = Accepted { record: number, arrival_ms: now_ms, batch, ops, indices };
        Ok((Written { actions, targets, outcomes }, Some(accepted)))
    }

    fn broken(&self, error: &io::Error) -> Error {
        tracing::error!(%error, "the journal cannot be written");
        self.shared.health.trouble("journal", error.to_string());
        unavailable("the journal cannot be written")
    }

    /// Syncs, hands on, answers. After a failure, nothing of the group was accepted.
    fn finish(&mut self, group: Vec<Waiting>) {
        if group.is_empty() && !self.journal.is_broken() {
            return;
        }
        let began = Instant::now();
        let synced =
            if self.journal.is_broken() { Err(io::Error::other("a write failed")) } else { self.journal.sync() };
        if let Err(error) = synced {
            let error = self.broken(&error);
            let first =
                group.iter().filter_map(|waiting| waiting.accepted.as_ref()).map(|accepted| accepted.record).min();
            for waiting in group {
                let _ = waiting.answer.send(Err(error.clone()));
            }
            self.first_failed = self.first_failed.or(first).or(Some(self.journal.next()));
            self.roll_back();
            return;
        }
        self.shared.counters.syncs.inc();
        self.shared.counters.sync_micros.add(began.elapsed().as_micros() as u64);
        self.shared.journal_bytes.store(self.journal.bytes(), Ordering::Relaxed);
        for Waiting { answer, written, accepted } in group {
            if let Some(mut accepted) = accepted {
                for target in &written.targets {
                    if let Ok(index) = &target.index {
                        index.accepted.fetch_max(accepted.record, Ordering::AcqRel);
                    }
                }
                if let Some(batch) = Arc::get_mut(&mut accepted.batch) {
                    batch.share = Some(self.shared.flow.enter(batch.text.len() as u64));
                }
                if self.indexing.send(Work::Batch(accepted)).is_err() {
                    tracing::error!("the indexing thread is gone");
                    self.shared.health.trouble("index", "the indexing thread is gone; restart weir");
                    self.is_alone = true;
                }
            }
            // The client may be gone; its documents are safe all the same.
            let _ = answer.send(Ok(written));
        }
    }

    /// Goes back to what was accepted before a failure. When that fails too, it is tried again with the next tick.
    fn roll_back(&mut self) {
        let Some(first) = self.first_failed else { return };
        if let Err(error) = self.journal.roll_back() {
            tracing::error!(%error, "the journal cannot be mended yet");
            return;
        }
        let (answer, states) = std::sync::mpsc::sync_channel(1);
        let states = if self.indexing.send(Work::States { answer }).is_ok() { states.recv().ok() } else { None };
        let Some(mut states) = states else {
            self.is_alone = true;
            return;
        };
        for (uid, shard) in &mut self.shards {
            // An index that the indexing thread does not know is new, and empty.
            let (next_seq, marks) = states.remove(uid).unwrap_or_default();
            shard.roll_back(first, next_seq, marks);
        }
        self.first_failed = None;
        self.shared.health.well("journal");
        tracing::info!("the journal is mended; requests are accepted again");
    }

    fn tidy(&mut self) {
        if self.first_failed.is_some() {
            self.roll_back();
        }
        let trimmable = self.shared.trimmable.load(Ordering::Acquire);
        if let Err(error) = self.journal.trim(trimmable) {
            tracing::warn!(%error, "a journal segment cannot be removed");
        }
        self.shared.journal_bytes.store(self.journal.bytes(), Ordering::Relaxed);
        // Also what was all known already, and got no record.
        self.shared.guard.journalled();
        let now_ms = super::now_ms();
        let config = &self.shared.config;
        for shard in self.shards.values_mut() {
            if shard.marks.len() > config.marks_max + config.marks_max / 8 {
                shard.marks.forget(now_ms, config.marks_retention, config.marks_max);
            }
        }
        for uid in self
            .shards
            .values()
            .filter(|shard| shard.pending() > PENDING_IDS_MAX)
            .map(|shard| shard.index.uid)
            .collect::<Vec<_>>()
        {
            let (answer, done) = std::sync::mpsc::sync_channel(1);
            if self.indexing.send(Work::Refresh { uids: vec![uid], answer }).is_ok()
                && let Ok(Err(error)) = done.recv()
            {
                tracing::warn!(error, "ids cannot be let go of");
            }
            if let Some(shard) = self.shards.get_mut(&uid) {
                shard.tidy(now_ms);
            }
        }
    }
}

fn unavailable(reason: &str) -> Error {
    Error { retry_after: Some(10), ..Error::new(503, "unavailable_shards_exception", reason) }
}

/// The index was deleted between parsing and deciding.
pub(crate) fn stale() -> Error {
    Error::new(503, "stale_index", "an index of this request was deleted meanwhile")
}

/// Whether parsing the request again is all that is needed.
pub(crate) fn is_stale(error: &Error) -> bool {
    error.kind == "stale_index"
}
