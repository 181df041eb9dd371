//! Snapshots: copies of indices in a folder or in S3-compatible storage, and back.
//!
//! `repository` moves bytes (to a `bucket` where it is one), `manifest` is the format, `take` freezes indices and copies
//! what is not there yet, `restore` brings them back under a new identity with the same documents and ids, `schedule`
//! does the first at intervals and forgets the oldest. Which repositories there are stands in `repositories.json` of the
//! data folder, sealed like a manifest.
//!
//! One operation runs at a time; others wait. A repository has one weir that writes to it; others register it with
//! `readonly`.

mod bucket;
mod manifest;
mod repository;
mod restore;
pub mod schedule;
mod take;

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::runtime::Handle;
use weir_daemon::files::write_durably;
use weir_daemon::{Counter, Gauge, Health, Metrics};

pub use bucket::S3;
pub use restore::Restore;
pub use take::Take;

use bucket::Bucket;
use manifest::{Manifest, read, seal, unseal};
use repository::Repository;

use crate::error::{Error, Result};
use crate::mapping::wildcard;
use crate::store::{Store, check_name};

/// Most repositories.
const REPOSITORIES_MAX: usize = 50;
/// Most snapshots in a repository: each one's manifest is read when one is deleted.
const SNAPSHOTS_MAX: usize = 1_000;
/// Operations that may wait for the one that runs.
const WAITING_MAX: usize = 8;

/// The part of the settings that concerns snapshots.
#[derive(Clone, Default)]
pub struct Config {
    /// Folders below which repositories of type `fs` may lie.
    pub paths: Vec<PathBuf>,
    /// How to reach S3-compatible storage; `None` when there are no credentials.
    pub s3: Option<S3>,
    /// Where the schedule writes to.
    pub to: Option<Place>,
    /// How often the schedule takes one, milliseconds.
    pub every_ms: u64,
    /// How many of the schedule's snapshots are kept.
    pub keep: usize,
}

/// A repository's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A folder.
    Folder(PathBuf),
    /// Bucket, and the part of its keys that is ours.
    Bucket(String, String),
}

impl Place {
    /// `s3://bucket/prefix`, or an absolute path.
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("s3://") {
            Some(rest) => {
                let (bucket, base) = rest.split_once('/').unwrap_or((rest, ""));
                (!bucket.is_empty()).then(|| Self::Bucket(bucket.to_owned(), base.trim_matches('/').to_owned()))
            }
            None => Path::new(text).is_absolute().then(|| Self::Folder(text.into())),
        }
    }

    fn registered(&self) -> Registered {
        let (kind, settings) = match self {
            Self::Folder(path) => ("fs", json!({"location": path})),
            Self::Bucket(bucket, base) => ("s3", json!({"bucket": bucket, "base_path": base})),
        };
        let settings = settings.as_object().cloned().unwrap_or_default();
        Registered { kind: kind.to_owned(), uuid: String::new(), settings }
    }
}

/// A repository as it was registered.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Registered {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) uuid: String,
    pub(crate) settings: Map<String, Value>,
}

impl Registered {
    fn is_readonly(&self) -> bool {
        matches!(self.settings.get("readonly"), Some(Value::Bool(true))) || self.text("readonly") == Some("true")
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.settings.get(key).and_then(Value::as_str)
    }
}

/// What identifies a repository in storage.
#[derive(Deserialize, Serialize)]
struct Marker {
    uuid: String,
}

/// A snapshot that is being taken.
#[derive(Debug)]
pub struct Progress {
    /// Name of the repository.
    pub repository: String,
    /// Name of the snapshot.
    pub snapshot: String,
    /// Its id.
    pub uuid: String,
    /// Milliseconds since 1970.
    pub started_ms: u64,
    /// Names of the indices that go into it.
    pub indices: Vec<String>,
    /// How many of them are in it.
    pub indices_done: AtomicUsize,
    /// Files and bytes that it is made of, as far as is known.
    pub total: (AtomicU64, AtomicU64),
    /// Files and bytes that were copied.
    pub copied: (AtomicU64, AtomicU64),
    pub(crate) scheduled: bool,
    cancelled: AtomicBool,
}

/// All repositories of a data folder.
pub struct Snapshots {
    store: Arc<Store>,
    runtime: Handle,
    health: Health,
    repositories: Mutex<BTreeMap<String, Registered>>,
    operation: Mutex<()>,
    waiting: AtomicUsize,
    current: Mutex<Option<Arc<Progress>>>,
    taken: Counter,
    failed: Counter,
    newest: Gauge,
    /// When the schedule is due, milliseconds; 0: not looked at yet.
    due_ms: AtomicU64,
}

impl Snapshots {
    /// Reads which repositories there are. To be made inside a tokio runtime.
    ///
    /// # Errors
    /// When `repositories.json` cannot be read; damaged, it is set aside and the list is empty.
    pub fn open(store: Arc<Store>, metrics: &Metrics, health: &Health) -> io::Result<Self> {
        let path = store.config().data_dir.join("repositories.json");
        let mut repositories = match std::fs::read(&path) {
            Ok(bytes) => unseal(&bytes).or_else(|error| {
                tracing::error!(%error, file = %path.display(), "damaged: register the repositories of snapshots again");
                health.trouble("damage", format!("{}: {error}; snapshots know no repository", path.display()));
                std::fs::rename(&path, path.with_extension("damaged"))?;
                Ok::<_, io::Error>(BTreeMap::new())
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        if let Some(place) = &store.config().snapshots.to {
            repositories.insert(schedule::REPOSITORY.to_owned(), place.registered());
        }
        let count =
            |result: &str| metrics.counter("weir_indexer_snapshots_total", "Snapshots taken", &[("result", result)]);
        Ok(Self {
            runtime: Handle::current(),
            health: health.clone(),
            repositories: Mutex::new(repositories),
            operation: Mutex::new(()),
            waiting: AtomicUsize::new(0),
            current: Mutex::new(None),
            taken: count("success"),
            failed: count("failure"),
            newest: metrics.gauge(
                "weir_indexer_snapshot_newest_seconds",
                "When the newest successful snapshot was begun, seconds since 1970",
                &[],
            ),
            due_ms: AtomicU64::new(0),
            store,
        })
    }

    /// Repositories whose names fit a list of names and patterns.
    ///
    /// # Errors
    /// 404 for a name that is missing.
    pub(crate) fn repositories(&self, expression: &str) -> Result<BTreeMap<String, Registered>> {
        let all = self.repositories.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = BTreeMap::new();
        for part in expression.split(',') {
            let part = if part.is_empty() || part == "_all" { "*" } else { part };
            let before = found.len();
            let fitting = all.iter().filter(|(name, _)| wildcard(part, name));
            found.extend(fitting.map(|(name, repository)| (name.clone(), repository.clone())));
            if found.len() == before && !part.contains('*') {
                return Err(missing(part));
            }
        }
        Ok(found)
    }

    /// Registers a repository, after it was written to and read from when `verify` says so. Blocks.
    ///
    /// # Errors
    /// 400 for what cannot be; 500 when the place cannot be used.
    pub(crate) fn register(&self, name: &str, kind: &str, settings: Map<String, Value>, verify: bool) -> Result<()> {
        check_plain_name("repository", name)?;
        if name == schedule::REPOSITORY && self.store.config().snapshots.to.is_some() {
            return Err(Error::illegal_argument(format!("[{name}] is the repository of the setting snapshot_to")));
        }
        let known: &[&str] = match kind {
            "fs" => &["location", "readonly", "compress"],
            "s3" => &["bucket", "base_path", "readonly", "compress", "client", "endpoint"],
            other => {
                return Err(repository_error(
                    name,
                    format!("repository type [{other}] does not exist: weir has fs and s3"),
                ));
            }
        };
        if let Some(unknown) = settings.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(Error::illegal_argument(format!(
                "unknown setting [{unknown}] of a repository of type [{kind}]: there are {}",
                known.join(", ")
            )));
        }
        let mut registered = Registered { kind: kind.to_owned(), uuid: String::new(), settings };
        let _operation = self.wait()?;
        let repository = self.open_repository(name, &registered)?;
        registered.uuid = self.mark(name, &registered, &repository)?;
        if verify && !registered.is_readonly() {
            try_out(name, &repository)?;
        }
        self.change(|all| {
            if all.len() >= REPOSITORIES_MAX && !all.contains_key(name) {
                return Err(Error::illegal_argument(format!("there are {REPOSITORIES_MAX} repositories already")));
            }
            all.insert(name.to_owned(), registered);
            Ok(())
        })
    }

    /// Forgets repositories; what is in them stays. Blocks.
    ///
    /// # Errors
    /// 404 when there is none.
    pub(crate) fn forget(&self, expression: &str) -> Result<()> {
        let found = self.repositories(expression)?;
        let _operation = self.wait()?;
        self.change(|all| {
            all.retain(|name, _| !found.contains_key(name));
            Ok(())
        })
    }

    /// Writes to a repository, reads it back, and removes it. Blocks.
    ///
    /// # Errors
    /// 500 with what the storage says.
    pub(crate) fn verify(&self, name: &str) -> Result<()> {
        let (registered, repository) = self.repository(name)?;
        if registered.is_readonly() {
            return repository.list("snapshots").map(drop).map_err(|error| storage_error(name, &error));
        }
        try_out(name, &repository)
    }

    /// Snapshots of a repository that fit a list of names and patterns, oldest first. Blocks.
    ///
    /// # Errors
    /// 404 for a name that is missing, unless `ignore_missing`.
    pub(crate) fn list(&self, repository: &str, expression: &str, ignore_missing: bool) -> Result<Vec<Listed>> {
        let (_, storage) = self.repository(repository)?;
        let names = names(repository, &storage)?;
        let mut found: Vec<Listed> = Vec::new();
        let running = self.current(repository);
        for part in expression.split(',') {
            let part = if part.is_empty() || part == "_all" { "*" } else { part };
            if part == "_current" {
                found.extend(running.iter().cloned().map(Listed::Running));
                continue;
            }
            let fits_running = running.iter().find(|progress| wildcard(part, &progress.snapshot));
            let mut fits = fits_running.is_some();
            found.extend(fits_running.cloned().map(Listed::Running));
            for name in names.iter().filter(|name| wildcard(part, name)) {
                fits = true;
                if found.iter().all(|known| known.name() != name) {
                    found.push(Listed::Taken(Box::new(self.manifest(repository, &storage, name)?)));
                }
            }
            if !fits && !part.contains('*') && !ignore_missing {
                return Err(snapshot_missing(repository, part));
            }
        }
        found.sort_by_key(Listed::started_ms);
        Ok(found)
    }

    /// The snapshot that is being taken into a repository, or into any for `*`.
    pub(crate) fn current(&self, repository: &str) -> Option<Arc<Progress>> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        current.filter(|progress| wildcard(repository, &progress.repository))
    }

    /// Deletes snapshots, and then what no other one needs. One that is being taken is broken off. Blocks. Gives number
    /// and bytes of the objects that went.
    ///
    /// # Errors
    /// 404 when a name is missing; 500 with what the storage says.
    pub(crate) fn delete(&self, repository: &str, expression: &str) -> Result<(u64, u64)> {
        let mut broken_off = HashSet::new();
        if let Some(progress) = self.current(repository)
            && expression.split(',').any(|part| wildcard(part, &progress.snapshot))
        {
            progress.cancelled.store(true, Ordering::Release);
            broken_off.insert(progress.snapshot.clone());
        }
        let _operation = self.wait()?;
        let (registered, storage) = self.repository(repository)?;
        check_writable(repository, &registered)?;
        let all = names(repository, &storage)?;
        let mut gone: HashSet<&String> = HashSet::new();
        for part in expression.split(',') {
            let before = gone.len();
            gone.extend(all.iter().filter(|name| wildcard(part, name)));
            if gone.len() == before && !part.contains('*') && !broken_off.contains(part) {
                return Err(snapshot_missing(repository, part));
            }
        }
        for name in &gone {
            storage.delete(&format!("snapshots/{name}")).map_err(|error| storage_error(repository, &error))?;
        }
        self.sweep(repository, &storage)
    }

    /// Removes objects that no snapshot needs. Blocks. Gives their number and bytes.
    ///
    /// # Errors
    /// 500 with what the storage says.
    pub(crate) fn clean(&self, repository: &str) -> Result<(u64, u64)> {
        let _operation = self.wait()?;
        let (registered, storage) = self.repository(repository)?;
        check_writable(repository, &registered)?;
        self.sweep(repository, &storage)
    }

    /// With `operation` held.
    fn sweep(&self, repository: &str, storage: &Repository) -> Result<(u64, u64)> {
        let mut needed = HashSet::new();
        for name in names(repository, storage)? {
            // One that cannot be read may need any of them.
            needed.extend(self.manifest(repository, storage, &name)?.files().map(|file| file.sha256.clone()));
        }
        let objects = storage.list("objects").map_err(|error| storage_error(repository, &error))?;
        let mut swept = (0, 0);
        for (object, bytes) in objects.into_iter().filter(|(object, _)| !needed.contains(object)) {
            storage.delete(&format!("objects/{object}")).map_err(|error| storage_error(repository, &error))?;
            swept = (swept.0 + 1, swept.1 + bytes);
        }
        Ok(swept)
    }

    /// Waits until no other operation runs.
    fn wait(&self) -> Result<MutexGuard<'_, ()>> {
        struct Waiting<'a>(&'a AtomicUsize);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if before >= WAITING_MAX {
            return Err(Error {
                retry_after: Some(30),
                ..Error::new(
                    503,
                    "concurrent_snapshot_execution_exception",
                    "too many snapshot operations are waiting for the one that runs",
                )
            });
        }
        Ok(self.operation.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn repository(&self, name: &str) -> Result<(Registered, Repository)> {
        let all = self.repositories.lock().unwrap_or_else(PoisonError::into_inner);
        let registered = all.get(name).cloned().ok_or_else(|| missing(name))?;
        drop(all);
        let repository = self.open_repository(name, &registered)?;
        Ok((registered, repository))
    }

    fn open_repository(&self, name: &str, registered: &Registered) -> Result<Repository> {
        let config = &self.store.config().snapshots;
        let needed = |key: &str| {
            let missing =
                || repository_error(name, format!("a repository of type [{}] needs [{key}]", registered.kind));
            registered.text(key).filter(|text| !text.is_empty()).ok_or_else(missing)
        };
        if registered.kind == "fs" {
            let location = needed("location")?;
            let folder = allowed(config, Path::new(location)).ok_or_else(|| {
                let allowed: Vec<String> = config.paths.iter().map(|path| path.display().to_string()).collect();
                let why = match allowed.as_slice() {
                    [] => "because the setting snapshot_paths is empty".to_owned(),
                    allowed => format!("[{}] of the setting snapshot_paths", allowed.join(", ")),
                };
                repository_error(name, format!("location [{location}] doesn't match any of the locations {why}"))
            })?;
            return Ok(Repository::Folder(folder));
        }
        let s3 = config.s3.as_ref().ok_or_else(|| {
            repository_error(
                name,
                "the settings snapshot_s3_access_key and snapshot_s3_secret_key are unset".to_owned(),
            )
        })?;
        if registered.text("endpoint").is_some_and(|given| Some(given) != s3.endpoint.as_deref()) {
            // The credentials are for the endpoint of the settings, and for nobody else.
            return Err(repository_error(
                name,
                "[endpoint] must be that of the setting snapshot_s3_endpoint".to_owned(),
            ));
        }
        let base = registered.text("base_path").unwrap_or_default();
        let bucket = Bucket::open(s3, needed("bucket")?, base, self.runtime.clone());
        Ok(Repository::Bucket(Box::new(bucket.map_err(|reason| repository_error(name, reason))?)))
    }

    /// The id of a repository, written there when it is new.
    fn mark(&self, name: &str, registered: &Registered, repository: &Repository) -> Result<String> {
        let failed = |error: io::Error| storage_error(name, &error);
        match repository.get("weir-repository") {
            Ok(bytes) => Ok(unseal::<Marker>(&bytes).map_err(failed)?.uuid),
            Err(error) if error.kind() == io::ErrorKind::NotFound && registered.is_readonly() => {
                Err(repository_error(name, "there is no repository of weir at this place".to_owned()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let marker = Marker { uuid: fresh_uuid() };
                repository.put("weir-repository", &seal(&marker).map_err(failed)?).map_err(failed)?;
                Ok(marker.uuid)
            }
            Err(error) => Err(failed(error)),
        }
    }

    fn manifest(&self, repository: &str, storage: &Repository, snapshot: &str) -> Result<Manifest> {
        let bytes = storage.get(&format!("snapshots/{snapshot}"));
        bytes.and_then(|bytes| read(&bytes)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => snapshot_missing(repository, snapshot),
            _ => Error::new(500, "snapshot_exception", format!("[{repository}:{snapshot}] cannot be read: {error}")),
        })
    }

    /// Changes the list of repositories, durably.
    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, Registered>) -> Result<()>) -> Result<()> {
        let mut all = self.repositories.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = all.clone();
        change(&mut next)?;
        let mut kept = next.clone();
        if self.store.config().snapshots.to.is_some() {
            kept.remove(schedule::REPOSITORY);
        }
        write_durably(&self.store.config().data_dir.join("repositories.json"), &seal(&kept)?)?;
        *all = next;
        Ok(())
    }
}

/// A snapshot in a list.
#[derive(Clone)]
pub(crate) enum Listed {
    /// In the repository.
    Taken(Box<Manifest>),
    /// Not yet.
    Running(Arc<Progress>),
}

impl Listed {
    fn name(&self) -> &str {
        match self {
            Self::Taken(manifest) => &manifest.snapshot,
            Self::Running(progress) => &progress.snapshot,
        }
    }

    fn started_ms(&self) -> u64 {
        match self {
            Self::Taken(manifest) => manifest.started_ms,
            Self::Running(progress) => progress.started_ms,
        }
    }
}

fn fresh_uuid() -> String {
    let bytes = [crate::store::fresh_id().to_be_bytes(), crate::store::fresh_id().to_be_bytes()].concat();
    crate::base64::encode_url(&bytes)
}

/// The folder of a location, when it lies below one that the settings allow.
fn allowed(config: &Config, location: &Path) -> Option<PathBuf> {
    let is_plain = |path: &Path| path.components().all(|part| !matches!(part, Component::ParentDir));
    let to = match &config.to {
        Some(Place::Folder(path)) => Some(path),
        _ => None,
    };
    let folder = match (location.is_absolute(), config.paths.first()) {
        (true, _) => location.to_owned(),
        (false, Some(first)) => first.join(location),
        (false, None) => return None,
    };
    if !is_plain(&folder) {
        return None;
    }
    let root = config.paths.iter().chain(to).find(|root| folder.starts_with(root))?;
    // A link must not lead out of it: the deepest part that exists decides.
    let existing = folder.ancestors().find(|path| path.exists())?;
    let is_inside = !existing.starts_with(root) || existing.canonicalize().ok()?.starts_with(root.canonicalize().ok()?);
    is_inside.then_some(folder)
}

/// Names of the snapshots in a repository.
fn names(repository: &str, storage: &Repository) -> Result<Vec<String>> {
    let listed = storage.list("snapshots").map_err(|error| storage_error(repository, &error))?;
    // What is being written has another ending.
    Ok(listed
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| check_name(name).is_ok() && !name.ends_with(".tmp"))
        .collect())
}

fn try_out(name: &str, repository: &Repository) -> Result<()> {
    let key = format!("verify-{:016x}", crate::store::fresh_id());
    let tried = repository.put(&key, key.as_bytes()).and_then(|()| repository.get(&key)).and_then(|bytes| {
        repository.delete(&key)?;
        if bytes == key.as_bytes() { Ok(()) } else { Err(io::Error::other("other bytes come back than were written")) }
    });
    tried.map_err(|error| {
        Error::new(500, "repository_verification_exception", format!("[{name}] cannot be written and read: {error}"))
    })
}

fn check_plain_name(what: &str, name: &str) -> Result<()> {
    let bad =
        name.is_empty() || name.len() > 255 || name.chars().any(|c| "\\/*?\"<>| ,#".contains(c) || c.is_control());
    if bad {
        return Err(repository_error(
            name,
            format!("{what} name must not be empty and must not contain \\ / * ? \" < > | , # or spaces"),
        ));
    }
    Ok(())
}

fn check_writable(name: &str, registered: &Registered) -> Result<()> {
    if registered.is_readonly() {
        return Err(repository_error(name, "the repository is readonly".to_owned()));
    }
    Ok(())
}

fn repository_error(name: &str, reason: String) -> Error {
    Error::new(400, "repository_exception", format!("[{name}] {reason}"))
}

fn storage_error(name: &str, error: &io::Error) -> Error {
    Error::new(500, "repository_exception", format!("[{name}] {error}"))
}

fn missing(name: &str) -> Error {
    Error::new(404, "repository_missing_exception", format!("[{name}] missing"))
}

fn snapshot_missing(repository: &str, snapshot: &str) -> Error {
    Error::new(404, "snapshot_missing_exception", format!("[{repository}:{snapshot}] is missing"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        assert_eq!(Place::parse("/backup"), Some(Place::Folder("/backup".into())));
        assert_eq!(Place::parse("s3://b/x/y/"), Some(Place::Bucket("b".to_owned(), "x/y".to_owned())));
        assert!(Place::parse("backup").is_none() && Place::parse("s3://").is_none());
    }

    #[test]
    fn a_location_stays_where_it_may() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("allowed");
        std::fs::create_dir(&root).unwrap();
        std::os::unix::fs::symlink("/etc", root.join("out")).unwrap();
        std::os::unix::fs::symlink("/", root.join("up")).unwrap();
        let config = Config { paths: vec![root.clone()], ..Config::default() };
        assert_eq!(allowed(&config, &root.join("a/b")), Some(root.join("a/b")));
        assert_eq!(allowed(&config, Path::new("a")), Some(root.join("a")));
        for bad in
            [Path::new("/etc"), &root.join("../other"), &root.join("out/x"), &root.join("up/x"), Path::new("../x")]
        {
            assert_eq!(allowed(&config, bad), None, "{}", bad.display());
        }
        assert_eq!(allowed(&Config::default(), Path::new("a")), None);
    }
}
