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
//! thread (put into partitions, committed). A search goes: `search_view` → searchers of the partitions, after a commit
//! when something new was accepted.

mod catalog;
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
mod marks;
mod narrow;
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

#[cfg(test)]
mod forgetful;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;
use weir_daemon::{Counter, Gauge, Health, Metrics};

pub use catalog::{Chosen, INDICES_MAX};
pub use decide::Outcome;
pub use index::{Index, SegmentInfo, check_name};
pub(crate) use lines::Lines;
pub use narrow::Narrow;
pub use request::{Action, Condition, Defaults, Kind, Request, Target};
pub use sequencer::Written;
pub use view::{Choice, PartitionView, View};

pub(crate) use id::fresh as fresh_id;
pub(crate) use index::write_meta;

use catalog::{Catalog, Templates};
use decide::Shard;
use flow::Flow;
use guard::Guard;
use indexing::{Indexing, Work};
use partition::{Partition, Payload};
use request::Targets;
use sequencer::{Message, Sequencer};

use crate::error::{Error, Result};
use crate::journal::{Disk, Folder, Journal};
use crate::schema::{self, Fields, schema};
use crate::search::summary::Summaries;
use crate::settings::Config;

/// Version of the layout above. The partitions of version 1 have another schema (see `schema`) and stay as they are;
/// their folder becomes version 2, because a weir that knows version 1 could not open what is added.
const FORMAT: u32 = 2;
/// Parts of a full journal that are segments of their own: a part is what can be removed at once.
const JOURNAL_SEGMENTS: u64 = 8;
/// Requests that wait for the sequencer. Their bytes are bounded where bodies are read.
const MESSAGES_MAX: usize = 1_024;
/// Batches that wait for the indexing thread. Their bytes are bounded by `flow`.
const WORK_MAX: usize = 1_024;
/// Part of the byte budget that may be taken by what was damaged and set aside.
const DAMAGED_PART: u64 = 10;
/// How often a request is parsed again because an index was deleted under it.
const STALE_RETRIES: usize = 3;

/// Why a data folder cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process owns it, or the file system refuses.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It was written by a newer weir.
    #[error("the data folder has format {found}, and this weir knows {known}: use the newer weir, or another folder")]
    Format {
        /// The folder's.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

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
    /// Opens a data folder, made when it is not there. Blocks while the journal is replayed.
    ///
    /// # Errors
    /// When it is in use, unreadable, or of a newer format.
    pub fn open(config: &Config, metrics: &Metrics, health: &Health) -> std::result::Result<Self, OpenError> {
        let folder = &config.data_dir;
        let lock = weir_daemon::files::lock(folder)?;
        check_format(folder)?;
        let (indices_folder, journal_folder) = (folder.join("indices"), folder.join("journal"));
        fs::create_dir_all(&indices_folder)?;
        fs::create_dir_all(&journal_folder)?;
        let guard = Arc::new(Guard::new(config, partition::folder_bytes(folder))?);
        guard.release_reserve();
        freeze::thaw_all(folder);
        match fs::remove_dir_all(folder.join("restoring")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let disk: Arc<dyn Disk> = Arc::new(Folder(journal_folder));
        let shared = Arc::new(Shared {
            config: config.clone(),
            catalog: Catalog::open(folder)?,
            fields: schema().1,
            health: health.clone(),
            counters: Counters::new(metrics),
            guard,
            summaries: Arc::default(),
            flow: Arc::new(Flow::default()),
            disk: Arc::clone(&disk),
            trimmable: AtomicU64::new(0),
            journal_bytes: AtomicU64::new(0),
        });
        open_indices(&shared, &indices_folder)?;
        let mut indexing = Indexing::new(Arc::clone(&shared));
        for index in shared.catalog.all() {
            indexing.add(&index);
        }
        trim_damaged(folder, shared.guard.budget / DAMAGED_PART)?;
        // Old data goes before the replay writes anything.
        indexing.make_room();
        let journal = replay(&shared, disk, &mut indexing)?;
        let mut shards = HashMap::new();
        for index in shared.catalog.all() {
            if let Some((next_seq, marks)) = indexing.state(index.uid) {
                shards.insert(index.uid, Shard::new(Arc::clone(&index), next_seq, marks));
            }
        }
        let (to_sequencer, messages) = sync_channel(MESSAGES_MAX);
        let (to_indexing, work) = sync_channel(WORK_MAX);
        let sequencer = Sequencer {
            shared: Arc::clone(&shared),
            journal,
            shards,
            indexing: to_indexing.clone(),
            is_alone: false,
            first_failed: None,
        };
        let threads = vec![
            std::thread::Builder::new().name("weir-journal".to_owned()).spawn(move || sequencer.run(&messages))?,
            std::thread::Builder::new().name("weir-index".to_owned()).spawn(move || indexing.run(&work))?,
        ];
        Ok(Self {
            shared,
            sequencer: to_sequencer,
            indexing: to_indexing,
            threads: Mutex::new(threads),
            changing: Mutex::new(()),
            auto_create: RwLock::default(),
            _lock: lock,
        })
    }

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

    /// Parses and writes a `_bulk` body; the answer comes when it is on the disk.
    ///
    /// # Errors
    /// What concerns the request as a whole: malformed, no room (429), not writable (503).
    pub async fn bulk(self: &Arc<Self>, body: Bytes, defaults: Defaults) -> Result<Written> {
        let parse = move |store: &Self, body: Bytes| request::bulk(body, &defaults, store);
        self.write_with(body, parse).await
    }

    /// Writes or deletes one document; the answer comes when it is on the disk. An item's own error is in its outcome.
    ///
    /// # Errors
    /// What concerns the request as a whole.
    pub async fn single(
        self: &Arc<Self>,
        body: Bytes,
        index: String,
        kind: Kind,
        id: Option<String>,
        routing: Option<String>,
        condition: Condition,
    ) -> Result<Written> {
        let parse = move |store: &Self, body: Bytes| {
            let who = (id.as_deref(), routing.as_deref());
            request::single(body, &index, kind, who, condition.clone(), store)
        };
        self.write_with(body, parse).await
    }

    /// Deletes documents by their ids, as `_delete_by_query` finds them.
    ///
    /// # Errors
    /// What concerns the request as a whole.
    pub async fn delete_many(self: &Arc<Self>, index: &Arc<Index>, ids: &[String]) -> Result<Written> {
        let mut body = String::new();
        for id in ids {
            body.push_str(&json!({"delete": {"_index": &*index.name, "_id": id}}).to_string());
            body.push('\n');
        }
        self.bulk(body.into(), Defaults::default()).await
    }

    async fn write_with<F>(self: &Arc<Self>, body: Bytes, parse: F) -> Result<Written>
    where
        F: Fn(&Self, Bytes) -> Result<Request> + Send + Sync + 'static,
    {
        let parse = Arc::new(parse);
        for _ in 0..STALE_RETRIES {
            let (store, parse, body) = (Arc::clone(self), Arc::clone(&parse), body.clone());
            let parsed = tokio::task::spawn_blocking(move || parse(&store, body)).await;
            let request = parsed.map_err(Error::internal)??;
            match self.write(request).await {
                Err(error) if sequencer::is_stale(&error) => {}
                other => return other,
            }
        }
        Err(sequencer::stale())
    }

    async fn write(&self, request: Request) -> Result<Written> {
        let (answer, done) = oneshot::channel();
        self.sequencer.try_send(Message::Write { request, answer }).map_err(|error| match error {
            std::sync::mpsc::TrySendError::Full(_) => Error::too_many_requests(
                "es_rejected_execution_exception",
                "too many requests are waiting to be written",
                1,
            ),
            std::sync::mpsc::TrySendError::Disconnected(_) => shutting_down(),
        })?;
        done.await.map_err(|_| shutting_down())?
    }

    /// The index that writes to `name` go to, made when it is not there.
    ///
    /// # Errors
    /// 400 for a name that cannot be.
    pub fn index_for_writing(&self, name: &str) -> Result<Arc<Index>> {
        self.target(name)
    }

    /// Makes an index. Blocks.
    ///
    /// # Errors
    /// 400 when it is there, or what was given cannot be.
    pub fn create_index(&self, name: &str, given: &Value) -> Result<Arc<Index>> {
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = self.shared.catalog.get(name) {
            return Err(Error::new(
                400,
                "resource_already_exists_exception",
                format!("index [{name}/{}] already exists", index.uuid()),
            )
            .with("index_uuid", index.uuid().into())
            .with("index", name.into()));
        }
        if self.shared.catalog.all().iter().any(|index| index.has_alias(name)) {
            return Err(Error::new(
                400,
                "invalid_index_name_exception",
                format!("Invalid index name [{name}], already exists as alias"),
            )
            .with("index", name.into()));
        }
        self.make(name, given)
    }

    /// With `changing` held.
    fn make(&self, name: &str, given: &Value) -> Result<Arc<Index>> {
        check_name(name)?;
        if self.shared.catalog.all().len() >= INDICES_MAX {
            return Err(Error::new(
                400,
                "validation_exception",
                format!("there are {INDICES_MAX} indices already; delete some"),
            ));
        }
        let folder = self.shared.config.data_dir.join("indices").join(name);
        let index = Index::new(name, folder.clone(), id::fresh() | 1, now_ms());
        let mut layers = self.shared.catalog.templates_for(name);
        layers.push(given.clone());
        for layer in &layers {
            if let Some(settings) = layer.get("settings").and_then(Value::as_object) {
                index.merge_settings(settings)?;
            }
            for (alias, options) in layer.get("aliases").and_then(Value::as_object).into_iter().flatten() {
                check_name(alias).map_err(|error| Error::new(400, "invalid_alias_name_exception", error.reason))?;
                index.set_alias(alias, Some(alias_options(options)?));
            }
        }
        fs::create_dir_all(&folder)?;
        for layer in &layers {
            if let Some(mappings) = layer.get("mappings").filter(|mappings| !mappings.is_null())
                && let Err(error) = index.put_mapping(mappings)
            {
                fs::remove_dir_all(&folder)?;
                return Err(error);
            }
        }
        let payload = Payload { created_ms: index.created_ms, ..Payload::default() };
        let partition = Partition::create(&folder, 1, payload).inspect_err(|_| {
            if let Err(error) = fs::remove_dir_all(&folder) {
                tracing::warn!(%error, "the folder of an index that could not be made is left");
            }
        })?;
        index.push_partition(Arc::new(partition));
        // With its meta.json an index is complete.
        index.save()?;
        weir_daemon::files::sync_dir(&self.shared.config.data_dir.join("indices"))?;
        self.take_on(index)
    }

    /// Lets an index that is on the disk be written and searched.
    fn take_on(&self, index: Index) -> Result<Arc<Index>> {
        let index = Arc::new(index);
        let newest = index.partitions().last().map(|partition| partition.payload()).unwrap_or_default();
        self.shared.catalog.insert(Arc::clone(&index));
        self.indexing.send(Work::Open(Arc::clone(&index))).map_err(|_| shutting_down())?;
        let (answer, done) = sync_channel(1);
        let shard = Box::new(Shard::new(Arc::clone(&index), newest.next_seq, newest.marks.clone()));
        self.sequencer.send(Message::Open { shard, answer }).map_err(|_| shutting_down())?;
        done.recv().map_err(|_| shutting_down())?;
        Ok(index)
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

    /// Makes a folder that was prepared below the data folder (see [`freeze::finish_partition`]) the index `name`.
    /// Blocks while every file of it is checked.
    ///
    /// # Errors
    /// 400 when there is an index or an alias of that name, or its files are damaged: the folder is then where it was.
    pub(crate) fn adopt(&self, name: &str, prepared: &Path) -> Result<Arc<Index>> {
        check_name(name)?;
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let catalog = &self.shared.catalog;
        if catalog.get(name).is_some() || catalog.all().iter().any(|index| index.has_alias(name)) {
            return Err(Error::new(
                400,
                "resource_already_exists_exception",
                format!("there is an index or alias [{name}] already"),
            ));
        }
        if catalog.all().len() >= INDICES_MAX {
            return Err(Error::new(
                400,
                "validation_exception",
                format!("there are {INDICES_MAX} indices already; delete some"),
            ));
        }
        let indices = self.shared.config.data_dir.join("indices");
        let folder = indices.join(name);
        fs::rename(prepared, &folder)?;
        let opened = open_index(name, &folder).and_then(|(index, damaged)| match damaged.into_iter().next() {
            None => Ok(index),
            Some((path, problem)) => Err(format!("{}: {problem}", path.display())),
        });
        let index = match opened {
            Ok(index) => index,
            Err(problem) => {
                fs::rename(&folder, prepared)?;
                return Err(Error::new(400, "corrupt_index_exception", format!("[{name}] is damaged: {problem}")));
            }
        };
        weir_daemon::files::sync_dir(&indices)?;
        self.take_on(index)
    }

    /// Settings that were checked.
    pub(crate) fn config(&self) -> &Config {
        &self.shared.config
    }

    /// Deletes an index and its bytes. Blocks.
    ///
    /// # Errors
    /// 500 when its files cannot be removed.
    pub fn delete_index(&self, index: &Arc<Index>) -> Result<()> {
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if index.gone.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.shared.catalog.remove(&index.name);
        let (answer, done) = sync_channel(1);
        self.sequencer.send(Message::Close { uid: index.uid, answer }).map_err(|_| shutting_down())?;
        done.recv().map_err(|_| shutting_down())?;
        let (answer, done) = sync_channel(1);
        self.indexing.send(Work::Close { uid: index.uid, answer }).map_err(|_| shutting_down())?;
        done.recv().map_err(|_| shutting_down())?;
        // Out of the way in one step: a crash in the middle of removing must not leave half an index.
        let trash = self.shared.config.data_dir.join(format!("deleted-{:016x}", index.uid));
        fs::rename(&index.folder, &trash)?;
        weir_daemon::files::sync_dir(&self.shared.config.data_dir.join("indices"))?;
        for partition in std::mem::take(&mut *index.partitions.write().unwrap_or_else(PoisonError::into_inner)) {
            partition.gone.store(true, Ordering::Release);
        }
        fs::remove_dir_all(&trash)?;
        Ok(())
    }

    /// All indices, by name.
    pub fn indices(&self) -> Vec<Arc<Index>> {
        self.shared.catalog.all()
    }

    /// Index templates by name.
    pub fn templates(&self) -> Map<String, Value> {
        self.shared.catalog.templates()
    }

    /// Sets or removes an index template, durably. False when there was none to remove.
    ///
    /// # Errors
    /// 400 past the limit, 500 when it cannot be saved.
    pub fn set_template(&self, name: &str, template: Option<Value>) -> Result<bool> {
        self.shared.catalog.set_template(Templates::Composable, name, template)
    }

    /// Templates of the older kind (`_template`) by name.
    pub fn legacy_templates(&self) -> Map<String, Value> {
        self.shared.catalog.legacy_templates()
    }

    /// Sets or removes a template of the older kind, durably. False when there was none to remove.
    ///
    /// # Errors
    /// 400 past the limit, 500 when it cannot be saved.
    pub fn set_legacy_template(&self, name: &str, template: Option<Value>) -> Result<bool> {
        self.shared.catalog.set_template(Templates::Legacy, name, template)
    }

    /// Which indices a write may make (`action.auto_create_index`); `None`: any.
    pub fn set_auto_create(&self, rule: Option<String>) {
        *self.auto_create.write().unwrap_or_else(PoisonError::into_inner) = rule;
    }

    fn may_create(&self, name: &str) -> Result<()> {
        let held = self.auto_create.read().unwrap_or_else(PoisonError::into_inner);
        let Some(rule) = held.as_deref() else { return Ok(()) };
        let verdict = match rule {
            "true" => Some(true),
            "false" => Some(false),
            patterns => patterns.split(',').map(str::trim).find_map(|pattern| {
                let (pattern, may) = match pattern.strip_prefix('-') {
                    Some(pattern) => (pattern, false),
                    None => (pattern.strip_prefix('+').unwrap_or(pattern), true),
                };
                crate::mapping::wildcard(pattern, name).then_some(may)
            }),
        };
        if verdict == Some(true) {
            return Ok(());
        }
        let missing = Error::index_not_found(name);
        let why = format!("{} and [action.auto_create_index] is [{rule}]", missing.reason);
        Err(Error { reason: why, ..missing })
    }

    /// Sets or removes an alias of an index, durably.
    ///
    /// # Errors
    /// 400 for a name that cannot be, 500 when it cannot be saved.
    pub fn set_alias(&self, index: &Index, alias: &str, options: Option<Value>) -> Result<()> {
        if options.is_some() {
            if self.shared.catalog.get(alias).is_some() {
                return Err(Error::new(
                    400,
                    "invalid_alias_name_exception",
                    format!(
                        "Invalid alias name [{alias}]: an index or data stream exists with the same name as the alias"
                    ),
                ));
            }
            check_name(alias).map_err(|error| Error::new(400, "invalid_alias_name_exception", error.reason))?;
        }
        index.set_alias(alias, options);
        Ok(index.save()?)
    }

    /// Lays settings over those of an index, durably.
    ///
    /// # Errors
    /// 500 when they cannot be saved.
    pub fn put_settings(&self, index: &Index, given: &Map<String, Value>) -> Result<()> {
        index.merge_settings(given)?;
        Ok(index.save()?)
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

impl Targets for Store {
    fn target(&self, name: &str) -> Result<Arc<Index>> {
        let name = catalog::date_math(name, now_ms())?;
        if let Some(index) = self.shared.catalog.write_target(&name)? {
            return Ok(index);
        }
        check_name(&name)?;
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        match self.shared.catalog.write_target(&name)? {
            Some(index) => Ok(index),
            None => {
                self.may_create(&name)?;
                self.make(&name, &json!({}))
            }
        }
    }
}

/// What stands beside an alias, as it is kept and shown: `routing` is both routings.
///
/// # Errors
/// 400 for an option that weir does not have, and for a filter that is no query.
pub fn alias_options(given: &Value) -> Result<Value> {
    let mut options = Map::new();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    for (option, value) in given.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
        match option.as_str() {
            "is_write_index" | "is_hidden" => _ = options.insert(option.clone(), value.clone()),
            "filter" => {
                crate::query::dsl::parse(value)?;
                options.insert(option.clone(), value.clone());
            }
            "index_routing" | "search_routing" => _ = options.insert(option.clone(), text(value).into()),
            "routing" => {
                for both in ["index_routing", "search_routing"] {
                    options.entry(both).or_insert_with(|| text(value).into());
                }
            }
            "index" | "alias" | "indices" | "aliases" | "must_exist" => {}
            other => return Err(Error::illegal_argument(format!("alias option [{other}] is not supported"))),
        }
    }
    Ok(Value::Object(options))
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

/// The line of the file `format`: the version, and a checksum, so that a flipped bit is not taken for a newer version.
fn format_line(version: u32) -> String {
    let line = format!("weir-indexer {version}");
    format!("{line} {:08x}\n", crc32fast::hash(line.as_bytes()))
}

fn check_format(folder: &Path) -> std::result::Result<(), OpenError> {
    let path = folder.join("format");
    let anew = || weir_daemon::files::write_durably(&path, format_line(FORMAT).as_bytes());
    let Ok(bytes) = fs::read(&path) else { return Ok(anew()?) };
    let text = String::from_utf8_lossy(&bytes);
    if text == format_line(FORMAT) {
        return Ok(());
    }
    // What version 1 wrote is opened, and is version 2 from now on. The first weir wrote no checksum.
    if text == format_line(1) || text.trim_end() == "weir-indexer 1" {
        return Ok(anew()?);
    }
    let found = text.split(' ').nth(1).and_then(|version| version.parse().ok());
    if let Some(found) = found.filter(|found| text == format_line(*found)) {
        return Err(OpenError::Format { found, known: FORMAT });
    }
    // The rest of the folder says what it is; only this one file lost its bytes.
    tracing::error!(file = %path.display(), "the format file is damaged; it is written anew");
    Ok(anew()?)
}

/// Opens every index folder; what cannot be opened is set aside.
fn open_indices(shared: &Shared, indices: &Path) -> io::Result<()> {
    for entry in fs::read_dir(&shared.config.data_dir)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("deleted-") {
            fs::remove_dir_all(entry.path())?;
        }
    }
    for entry in fs::read_dir(indices)? {
        let folder = entry?.path();
        let Some(name) = folder.file_name().and_then(|name| name.to_str()).map(str::to_owned) else { continue };
        if !folder.is_dir() || check_name(&name).is_err() {
            set_aside(shared, &folder, "it is no index")?;
            continue;
        }
        if !folder.join("meta.json").exists() && !folder.join("meta.bak").exists() {
            if holds_documents(&folder)? {
                set_aside(shared, &folder, "meta.json and its copy are missing")?;
            } else {
                // Making it was cut short; nothing was ever accepted for it.
                fs::remove_dir_all(&folder)?;
            }
            continue;
        }
        let (index, damaged) = match open_index(&name, &folder) {
            Ok(opened) => opened,
            Err(problem) => {
                set_aside(shared, &folder, &problem)?;
                continue;
            }
        };
        // The number after the newest partition, whole or not.
        let mut next = index.partitions().last().map_or(1, |partition| partition.number + 1);
        for (path, problem) in damaged {
            next = next.max(partition_number(&path).map_or(1, |number| number + 1));
            set_aside(shared, &path, &problem)?;
        }
        repair(shared, &index, next)?;
        shared.catalog.insert(Arc::new(index));
    }
    Ok(())
}

/// Whether one of the partitions in the folder of an index has a segment.
fn holds_documents(folder: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            for file in fs::read_dir(&path)? {
                if file?.path().extension().is_some_and(|extension| extension == "store") {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}

/// An index with those of its partitions that are whole; and the folders of the others, with what is wrong.
type Opened = (Index, Vec<(PathBuf, String)>);

fn open_index(name: &str, folder: &Path) -> std::result::Result<Opened, String> {
    let index = Index::load(name, folder.to_owned())?;
    let mut numbers: Vec<u32> = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| error.to_string())? {
        let path = entry.map_err(|error| error.to_string())?.path();
        numbers.extend(partition_number(&path));
        if path.to_string_lossy().ends_with(partition::UNFINISHED) {
            fs::remove_dir_all(&path).map_err(|error| error.to_string())?;
        }
    }
    numbers.sort_unstable();
    let mut damaged = Vec::new();
    for number in numbers {
        match Partition::open(folder, number) {
            Ok(partition) => index.push_partition(Arc::new(partition)),
            Err(problem) => damaged.push((folder.join(format!("p{number}")), problem)),
        }
    }
    Ok((index, damaged))
}

fn partition_number(path: &Path) -> Option<u32> {
    path.file_name()?.to_str()?.strip_prefix('p')?.parse().ok()
}

/// When the open partition was set aside, or was written by an earlier version, a new one takes its place.
fn repair(shared: &Shared, index: &Index, next: u32) -> io::Result<()> {
    let newest = index.partitions().last().map(|partition| (partition.number, partition.payload()));
    let create = |number: u32, payload: Payload| -> io::Result<()> {
        let partition =
            Partition::create(&index.folder, number, payload).map_err(|error| io::Error::other(error.to_string()))?;
        index.push_partition(Arc::new(partition));
        Ok(())
    };
    if let Some((number, payload)) = &newest
        && number + 1 == next
    {
        if index.partitions().last().is_some_and(|partition| schema::is_present(&partition.index.schema())) {
            return Ok(());
        }
        tracing::info!(index = %index.name, "what an earlier version wrote is kept; writing goes on in the next partition");
        return create(next, Payload { created_ms: now_ms(), times: None, ..payload.as_ref().clone() });
    }
    // What the lost one had accepted is gone with it; the marks of the one before are the best that is known. Arrival
    // numbers leave a gap, so that no id comes twice.
    let known = newest.map(|(_, payload)| payload.as_ref().clone()).unwrap_or_default();
    let payload = Payload { next_seq: known.next_seq + (1 << 40), created_ms: now_ms(), times: None, ..known };
    create(next.max(1), payload)?;
    shared.health.trouble(
        "damage",
        format!("index {} lost its newest partition; it is kept in the folder damaged/", index.name),
    );
    Ok(())
}

fn set_aside(shared: &Shared, path: &Path, problem: &str) -> io::Result<()> {
    let kept = keep_damaged(&shared.config.data_dir, path)?;
    tracing::error!(path = %path.display(), kept_as = %kept.display(), problem, "damaged: set aside; the rest goes on");
    shared.counters.damaged.inc();
    shared.health.trouble("damage", format!("{}: {problem}; kept as {}", path.display(), kept.display()));
    Ok(())
}

/// Moves something into `damaged/`, under a name that says where it was.
pub(crate) fn keep_damaged(data_dir: &Path, path: &Path) -> io::Result<PathBuf> {
    let folder = data_dir.join("damaged");
    fs::create_dir_all(&folder)?;
    let parts = path.strip_prefix(data_dir).unwrap_or(path).iter();
    let flat: Vec<String> = parts.map(|part| part.to_string_lossy().into_owned()).collect();
    let kept = folder.join(format!("{}-{}-{:08x}", flat.join("-"), now_ms(), id::fresh() as u32));
    fs::rename(path, &kept)?;
    Ok(kept)
}

/// Damaged things are for people to look at, not to fill the disk: beyond `bytes_max`, the oldest go.
fn trim_damaged(data_dir: &Path, bytes_max: u64) -> io::Result<()> {
    let folder = data_dir.join("damaged");
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut kept: Vec<(std::time::SystemTime, PathBuf, u64)> = Vec::new();
    for entry in entries {
        let entry = entry?;
        let metadata = entry.metadata()?;
        let bytes = if metadata.is_dir() { partition::folder_bytes(&entry.path()) } else { metadata.len() };
        kept.push((metadata.modified()?, entry.path(), bytes));
    }
    kept.sort();
    let mut all: u64 = kept.iter().map(|(_, _, bytes)| bytes).sum();
    for (_, path, bytes) in kept {
        if all <= bytes_max {
            break;
        }
        tracing::warn!(path = %path.display(), bytes, "removed from damaged/: there is too much in it");
        if path.is_dir() {
            fs::remove_dir_all(&path)?
        } else {
            fs::remove_file(&path)?
        }
        all -= bytes;
    }
    Ok(())
}

/// Brings the index files up to date from the journal.
fn replay(shared: &Arc<Shared>, disk: Arc<dyn Disk>, indexing: &mut Indexing) -> io::Result<Journal> {
    let mut replayed = 0u64;
    let segment_bytes = shared.guard.journal_bytes / JOURNAL_SEGMENTS;
    let (mut journal, found) = Journal::recover(disk, segment_bytes, &mut |number, payload| {
        // Most records after a clean stop are committed: their head tells so without parsing the documents.
        let needed = record::decode(&payload)
            .is_none_or(|head| head.indices.iter().any(|(uid, _)| indexing.is_needed(*uid, number)));
        if needed && let Some(accepted) = replay::accepted(shared, &shared.flow, number, payload) {
            indexing.apply(&accepted);
            replayed += 1;
        }
        Ok(())
    })?;
    shared.counters.torn_bytes.add(found.torn_bytes);
    if found.damaged_bytes > 0 {
        let folder = shared.config.data_dir.join("journal");
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("damaged-")) {
                keep_damaged(&shared.config.data_dir, &path)?;
            }
        }
        shared.counters.damaged.inc();
        shared
            .health
            .trouble("damage", format!("{} bytes of the journal were damaged and set aside", found.damaged_bytes));
    }
    if replayed > 0 {
        tracing::info!(records = replayed, "replayed the journal");
    }
    let newest = shared
        .catalog
        .all()
        .iter()
        .flat_map(|index| index.partitions())
        .map(|partition| partition.payload().record)
        .max();
    journal.start_at(newest.unwrap_or(0) + 1);
    if indexing.settle() {
        journal.trim(shared.trimmable.load(Ordering::Acquire))?;
    }
    for index in shared.catalog.all() {
        let record = journal.next() - 1;
        index.accepted.store(record, Ordering::Release);
        index.visible.store(record, Ordering::Release);
    }
    shared.journal_bytes.store(journal.bytes(), Ordering::Relaxed);
    Ok(journal)
}
