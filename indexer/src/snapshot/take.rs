//! Taking a snapshot: indices are frozen one after the other, each complete at the moment of its freezing, and then
//! their files are copied, without haste and beside writes, merges and searches. A file that is in the repository is
//! neither read nor copied again.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};

use serde_json::Value;

use super::manifest::{FilePart, IndexPart, Manifest, PartitionPart, seal};
use super::repository::{Repository, digest};
use super::{Progress, SNAPSHOTS_MAX, Snapshots, check_writable, fresh_uuid, names, storage_error};
use crate::error::{Error, Result};
use crate::store::freeze::{self, FrozenIndex, FrozenPartition};
use crate::store::{Choice, Index, check_name, now_ms};

/// What is to be taken.
#[derive(Clone, Debug)]
pub struct Take {
    /// Expression of indices.
    pub indices: String,
    /// How it is read.
    pub choice: Choice,
    /// Templates too.
    pub global_state: bool,
    /// Without the indices that cannot be taken; else they make it fail.
    pub partial: bool,
    /// Kept with it.
    pub metadata: Option<Value>,
    /// Taken by the schedule.
    pub scheduled: bool,
}

/// A snapshot that may be taken: its name is free, its indices are known.
pub(crate) struct Ready {
    pub(crate) progress: Arc<Progress>,
    take: Take,
    indices: Vec<Arc<Index>>,
}

/// What is in the repository before.
struct Known {
    /// Size of each object.
    objects: HashMap<String, u64>,
    /// Checksum of a file by its name and size: a file that is written never changes, and its name is unique.
    checksums: HashMap<(String, u64), String>,
}

impl Snapshots {
    /// Checks what can be checked before anything is done. Blocks.
    ///
    /// # Errors
    /// 400 for a name that is taken or cannot be; 404 for a missing index or repository.
    pub(crate) fn prepare(&self, repository: &str, snapshot: &str, take: Take) -> Result<Ready> {
        let (registered, storage) = self.repository(repository)?;
        check_writable(repository, &registered)?;
        let invalid = |problem: &str| {
            Error::new(
                400,
                "invalid_snapshot_name_exception",
                format!("[{repository}:{snapshot}] Invalid snapshot name [{snapshot}], {problem}"),
            )
        };
        check_name(snapshot).map_err(|error| {
            invalid(error.reason.split_once("], ").map_or(error.reason.as_str(), |(_, problem)| problem))
        })?;
        if snapshot.ends_with(".tmp") || snapshot.starts_with('.') {
            return Err(invalid("must not start with '.' nor end with '.tmp'"));
        }
        let taken = names(repository, &storage)?;
        let runs = self.current(repository).is_some_and(|progress| progress.snapshot == snapshot);
        if runs || taken.iter().any(|name| name == snapshot) {
            return Err(invalid("snapshot with the same name already exists"));
        }
        if taken.len() >= SNAPSHOTS_MAX {
            return Err(invalid(&format!("there are {SNAPSHOTS_MAX} snapshots already; delete some")));
        }
        let indices = self.store.resolve(&take.indices, take.choice)?;
        let progress = Progress {
            repository: repository.to_owned(),
            snapshot: snapshot.to_owned(),
            uuid: fresh_uuid(),
            started_ms: now_ms(),
            indices: indices.iter().map(|index| index.name.to_string()).collect(),
            indices_done: AtomicUsize::new(0),
            total: (AtomicU64::new(0), AtomicU64::new(0)),
            copied: (AtomicU64::new(0), AtomicU64::new(0)),
            scheduled: take.scheduled,
            cancelled: AtomicBool::new(false),
        };
        Ok(Ready { progress: Arc::new(progress), take, indices })
    }

    /// Takes a snapshot. Blocks.
    ///
    /// # Errors
    /// 500 with what the storage says, or why an index cannot be taken: there is then no such snapshot.
    pub(crate) fn take(&self, ready: &Ready) -> Result<Manifest> {
        let progress = &ready.progress;
        let _operation = self.wait()?;
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(progress));
        let taken = self.take_now(ready);
        freeze::thaw_all(&self.store.config().data_dir);
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = None;
        match &taken {
            Ok(manifest) => {
                self.taken.inc();
                self.newest.set((manifest.started_ms / 1_000) as i64);
                tracing::info!(
                    snapshot = manifest.snapshot,
                    repository = progress.repository,
                    state = manifest.state(),
                    files = manifest.added.0,
                    bytes = manifest.added.1,
                    "took a snapshot"
                );
            }
            Err(error) => {
                self.failed.inc();
                tracing::error!(snapshot = progress.snapshot, repository = progress.repository, %error, "no snapshot");
            }
        }
        taken
    }

    fn take_now(&self, ready: &Ready) -> Result<Manifest> {
        let (progress, repository) = (&ready.progress, ready.progress.repository.as_str());
        let (_, storage) = self.repository(repository)?;
        // Whoever waited before this one may have taken the name.
        if storage
            .len(&format!("snapshots/{}", progress.snapshot))
            .map_err(|e| storage_error(repository, &e))?
            .is_some()
        {
            return Err(Error::new(
                400,
                "invalid_snapshot_name_exception",
                format!("[{repository}:{}] snapshot with the same name already exists", progress.snapshot),
            ));
        }
        let known = self.known(repository, &storage)?;
        let mut frozen: Vec<(String, FrozenIndex)> = Vec::new();
        let mut failures: Vec<(String, String)> = Vec::new();
        for index in &ready.indices {
            match self.store.freeze(index) {
                Ok(Some(files)) => frozen.push((index.name.to_string(), files)),
                Ok(None) => failures.push((index.name.to_string(), "it was deleted meanwhile".to_owned())),
                Err(error) => failures.push((index.name.to_string(), error.reason)),
            }
        }
        let mut indices = BTreeMap::new();
        for (name, files) in frozen {
            let mut part = IndexPart { meta: files.meta, partitions: Vec::new() };
            for partition in files.partitions {
                match self.copy(ready, &storage, &known, &partition)? {
                    Some(files) => {
                        part.partitions.push(PartitionPart { number: partition.number, meta: partition.meta, files })
                    }
                    None => {
                        failures.push((name.clone(), format!("partition {} was dropped meanwhile", partition.number)))
                    }
                }
            }
            progress.indices_done.fetch_add(1, Ordering::Relaxed);
            if !part.partitions.is_empty() {
                indices.insert(name, part);
            }
        }
        if !ready.take.partial
            && let Some((index, reason)) = failures.first()
        {
            return Err(Error::new(
                500,
                "snapshot_exception",
                format!(
                    "[{repository}:{}] index [{index}]: {reason}; \"partial\": true leaves it out",
                    progress.snapshot
                ),
            ));
        }
        let manifest = Manifest {
            snapshot: progress.snapshot.clone(),
            uuid: progress.uuid.clone(),
            started_ms: progress.started_ms,
            ended_ms: now_ms(),
            scheduled: progress.scheduled,
            templates: ready.take.global_state.then(|| self.store.templates()),
            metadata: ready.take.metadata.clone(),
            indices,
            failures,
            added: (progress.copied.0.load(Ordering::Relaxed), progress.copied.1.load(Ordering::Relaxed)),
        };
        let written =
            seal(&manifest).and_then(|bytes| storage.put(&format!("snapshots/{}", manifest.snapshot), &bytes));
        written.map_err(|error| storage_error(repository, &error))?;
        Ok(manifest)
    }

    fn known(&self, repository: &str, storage: &Repository) -> Result<Known> {
        let objects = storage.list("objects").map_err(|error| storage_error(repository, &error))?;
        let mut checksums = HashMap::new();
        for name in names(repository, storage)? {
            match self.manifest(repository, storage, &name) {
                Ok(manifest) => checksums
                    .extend(manifest.files().map(|file| ((file.name.clone(), file.bytes), file.sha256.clone()))),
                // A damaged one does not stop the next.
                Err(error) => tracing::error!(snapshot = name, repository, %error, "a snapshot cannot be read"),
            }
        }
        Ok(Known { objects: objects.into_iter().collect(), checksums })
    }

    /// Copies the files of a partition; `None` when it was dropped meanwhile.
    fn copy(
        &self,
        ready: &Ready,
        storage: &Repository,
        known: &Known,
        partition: &FrozenPartition,
    ) -> Result<Option<Vec<FilePart>>> {
        let progress = &ready.progress;
        match self.copy_files(progress, storage, known, partition) {
            Ok(files) => Ok(Some(files)),
            Err(_) if !partition.folder.exists() => Ok(None),
            Err(error) if progress.cancelled.load(Ordering::Acquire) => Err(Error::new(
                500,
                "snapshot_exception",
                format!("[{}:{}] {error}", progress.repository, progress.snapshot),
            )),
            Err(error) => Err(storage_error(&progress.repository, &error)),
        }
    }

    fn copy_files(
        &self,
        progress: &Progress,
        storage: &Repository,
        known: &Known,
        partition: &FrozenPartition,
    ) -> io::Result<Vec<FilePart>> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&partition.folder)? {
            if progress.cancelled.load(Ordering::Acquire) {
                return Err(io::Error::new(io::ErrorKind::Interrupted, "it was deleted while it was taken"));
            }
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let bytes = entry.metadata()?.len();
            let before = known.checksums.get(&(name.clone(), bytes)).cloned();
            let sha256 = match before {
                Some(sha256) => sha256,
                None => digest(&entry.path())?.0,
            };
            progress.total.0.fetch_add(1, Ordering::Relaxed);
            progress.total.1.fetch_add(bytes, Ordering::Relaxed);
            if known.objects.get(&sha256) != Some(&bytes)
                && storage.put_file(&format!("objects/{sha256}"), &entry.path())?
            {
                progress.copied.0.fetch_add(1, Ordering::Relaxed);
                progress.copied.1.fetch_add(bytes, Ordering::Relaxed);
            }
            files.push(FilePart { name, bytes, sha256 });
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(files)
    }
}
