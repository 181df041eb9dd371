//! One index: its name, mapping, settings, aliases and partitions.
//!
//! `indices/<name>/meta.json` is `weir-index 1 <crc32 hex of the rest>` on the first line and JSON behind it; `meta.bak`
//! has the same content, for the day when a byte of the first is damaged.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use serde_json::{Map, Value, json};
use weir_daemon::files::write_durably;

use super::parse::Grow;
use super::partition::Partition;
use crate::error::{Error, Result};
use crate::mapping::{Mapping, MappingError, Unmapped, flat};

const META_VERSION: u32 = 1;

/// An index. Shared by everybody who reads or writes it.
pub struct Index {
    /// Distinguishes it from a later index of the same name.
    pub(crate) uid: u64,
    /// Its name.
    pub name: Arc<str>,
    pub(crate) folder: PathBuf,
    /// Mixed into the ids that it gives.
    pub(crate) salt: u64,
    /// When it was made, milliseconds since 1970.
    pub created_ms: u64,
    mapping: RwLock<Arc<Mapping>>,
    saved_generation: AtomicU64,
    settings: RwLock<Map<String, Value>>,
    aliases: RwLock<Map<String, Value>>,
    pub(crate) partitions: RwLock<Vec<Arc<Partition>>>,
    /// Record number of the last batch that was accepted and concerns this index.
    pub(crate) accepted: AtomicU64,
    /// Record number up to which searches see everything.
    pub(crate) visible: AtomicU64,
    pub(crate) refreshed: Mutex<Instant>,
    /// It was deleted; requests that still hold it start again.
    pub(crate) gone: AtomicBool,
    /// One writer of `meta.json` at a time.
    saving: Mutex<()>,
    /// Searches and look-ups by id since the start, as `_stats` shows them.
    pub(crate) asked: Asked,
}

/// How often an index was asked since the start.
#[derive(Default)]
pub(crate) struct Asked {
    pub(crate) searches: AtomicU64,
    pub(crate) gets: AtomicU64,
    pub(crate) refreshes: AtomicU64,
}

impl Index {
    pub(crate) fn new(name: &str, folder: PathBuf, uid: u64, now_ms: u64) -> Self {
        Self {
            uid,
            name: name.into(),
            folder,
            salt: super::id::mix(uid),
            created_ms: now_ms,
            mapping: RwLock::default(),
            saved_generation: AtomicU64::new(0),
            settings: RwLock::default(),
            aliases: RwLock::default(),
            partitions: RwLock::default(),
            accepted: AtomicU64::new(0),
            visible: AtomicU64::new(0),
            refreshed: Mutex::new(Instant::now()),
            gone: AtomicBool::new(false),
            saving: Mutex::new(()),
            asked: Asked::default(),
        }
    }

    /// Reads `meta.json`, or `meta.bak` where that is damaged.
    pub(crate) fn load(name: &str, folder: PathBuf) -> std::result::Result<Self, String> {
        let meta = read_meta(&folder.join("meta.json")).or_else(|problem| {
            let meta = read_meta(&folder.join("meta.bak"))?;
            tracing::error!(index = name, problem, "meta.json is damaged; its copy is used");
            Ok::<_, String>(meta)
        })?;
        let number = |key: &str| meta.get(key).and_then(Value::as_u64).ok_or(format!("meta.json lacks {key}"));
        let mut index = Self::new(name, folder, number("uid")?, number("created_ms")?);
        index.salt = number("salt")?;
        let mapping = meta.get("mapping").cloned().unwrap_or_else(|| json!({}));
        let object = |key: &str| meta.get(key).and_then(Value::as_object).cloned().unwrap_or_default();
        let settings = flat(&object("settings"));
        let mut fresh = Mapping::default();
        fresh.take_settings(&settings).map_err(|error| error.to_string())?;
        let mapping = fresh.declare(&mapping).map_err(|error| error.to_string())?;
        index.saved_generation = AtomicU64::new(mapping.generation);
        index.mapping = RwLock::new(Arc::new(mapping));
        index.settings = RwLock::new(settings);
        index.aliases = RwLock::new(object("aliases"));
        Ok(index)
    }

    /// Writes `meta.json` durably.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(crate) fn save(&self) -> std::io::Result<()> {
        let _one = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = self.mapping().generation;
        write_meta(&self.folder, &self.describe())?;
        self.saved_generation.store(generation, Ordering::Release);
        Ok(())
    }

    /// What `meta.json` says.
    pub(crate) fn describe(&self) -> Value {
        json!({
            "uid": self.uid, "salt": self.salt, "created_ms": self.created_ms, "mapping": self.mapping().render(),
            "settings": &*read(&self.settings), "aliases": &*read(&self.aliases),
        })
    }

    /// Whether the mapping grew since it was saved.
    pub(crate) fn is_unsaved(&self) -> bool {
        self.saved_generation.load(Ordering::Acquire) != self.mapping().generation
    }

    /// The newest mapping.
    pub fn mapping(&self) -> Arc<Mapping> {
        Arc::clone(&read(&self.mapping))
    }

    /// Adds declared fields and saves them.
    ///
    /// # Errors
    /// 400 for what cannot be; 500 when it cannot be saved.
    pub fn put_mapping(&self, given: &Value) -> Result<()> {
        {
            let mut mapping = self.mapping.write().unwrap_or_else(PoisonError::into_inner);
            *mapping = Arc::new(mapping.declare(given).map_err(mapping_error)?);
        }
        Ok(self.save()?)
    }

    /// As declared at creation and changed since: dotted keys that begin with `index.`.
    pub fn settings(&self) -> Map<String, Value> {
        read(&self.settings).clone()
    }

    /// Lays `given` over the settings, and takes away what is null in it; [`save`](Self::save) makes it last.
    ///
    /// # Errors
    /// 400 for a value that cannot be; nothing is changed then.
    pub(crate) fn merge_settings(&self, given: &Map<String, Value>) -> Result<()> {
        let mut settings = self.settings.write().unwrap_or_else(PoisonError::into_inner);
        let mut merged = settings.clone();
        merged.extend(flat(given));
        merged.retain(|_, value| !value.is_null());
        let mut mapping = self.mapping.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = Mapping::clone(&mapping);
        next.take_settings(&merged).map_err(mapping_error)?;
        *mapping = Arc::new(next);
        *settings = merged;
        Ok(())
    }

    /// Alias name → its options.
    pub fn aliases(&self) -> Map<String, Value> {
        read(&self.aliases).clone()
    }

    pub(crate) fn set_alias(&self, alias: &str, options: Option<Value>) {
        let mut aliases = self.aliases.write().unwrap_or_else(PoisonError::into_inner);
        match options {
            Some(options) => aliases.insert(alias.to_owned(), options),
            None => aliases.remove(alias),
        };
    }

    pub(crate) fn has_alias(&self, alias: &str) -> bool {
        read(&self.aliases).contains_key(alias)
    }

    /// Its partitions, oldest first.
    pub(crate) fn partitions(&self) -> Vec<Arc<Partition>> {
        read(&self.partitions).clone()
    }

    /// Bytes on disk when last measured.
    pub fn bytes(&self) -> u64 {
        read(&self.partitions).iter().map(|partition| partition.bytes()).sum()
    }

    /// Documents that searches see, and those that were deleted and are still in the files.
    pub fn counts(&self) -> (u64, u64) {
        let mut counts = (0, 0);
        for partition in self.partitions() {
            for segment in partition.searcher().segment_readers() {
                counts.0 += u64::from(segment.num_docs());
                counts.1 += u64::from(segment.num_deleted_docs());
            }
        }
        counts
    }

    /// Its segments, oldest partition first.
    pub fn segment_list(&self) -> Vec<SegmentInfo> {
        let mut found = Vec::new();
        for partition in self.partitions() {
            let sizes = partition.segment_bytes();
            for segment in partition.searcher().segment_readers() {
                let id = segment.segment_id();
                found.push(SegmentInfo {
                    name: format!("_{}", id.short_uuid_string()),
                    generation: partition.number,
                    documents: segment.num_docs(),
                    deleted: segment.num_deleted_docs(),
                    bytes: sizes.get(&id.uuid_string()).copied().unwrap_or(0),
                });
            }
        }
        found
    }

    /// Searches, look-ups by id and refreshes since the start, and documents that were ever given an arrival number.
    pub fn asked(&self) -> (u64, u64, u64, u64) {
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let arrived = self.partitions().last().map_or(0, |newest| newest.payload().next_seq);
        (read(&self.asked.searches), read(&self.asked.gets), read(&self.asked.refreshes), arrived)
    }

    /// Bytes of its files by what they hold, which is how tantivy names them: `idx`, `pos`, `store`, …
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub fn file_sizes(&self) -> Result<std::collections::BTreeMap<String, u64>> {
        let mut sizes = std::collections::BTreeMap::new();
        for partition in self.partitions() {
            for file in fs::read_dir(self.folder.join(format!("p{}", partition.number)))? {
                let file = file?;
                let kind = file.path().extension().map_or_else(String::new, |kind| kind.to_string_lossy().into_owned());
                *sizes.entry(kind).or_default() += file.metadata()?.len();
            }
        }
        Ok(sizes)
    }

    /// Requests that were accepted and are not yet visible.
    pub fn waiting(&self) -> u64 {
        self.accepted.load(Ordering::Acquire).saturating_sub(self.visible.load(Ordering::Acquire))
    }

    /// Segments over all partitions.
    pub fn segments(&self) -> usize {
        self.partitions().iter().map(|partition| partition.searcher().segment_readers().len()).sum()
    }

    /// The id of this index as Elasticsearch shows it.
    pub fn uuid(&self) -> String {
        crate::base64::encode_url(&[self.uid.to_be_bytes(), self.salt.to_be_bytes()].concat())
    }

    /// Adds an existing partition, or the first.
    pub(crate) fn push_partition(&self, partition: Arc<Partition>) {
        self.partitions.write().unwrap_or_else(PoisonError::into_inner).push(partition);
    }

    /// Takes a partition away; its files are still there.
    pub(crate) fn remove_partition(&self, number: u32) {
        self.partitions.write().unwrap_or_else(PoisonError::into_inner).retain(|partition| partition.number != number);
    }
}

impl Grow for Index {
    fn grow(
        &self,
        change: &mut dyn FnMut(&mut Mapping) -> std::result::Result<u32, Unmapped>,
    ) -> (Arc<Mapping>, std::result::Result<u32, Unmapped>) {
        let mut held = self.mapping.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = Mapping::clone(&held);
        let before = next.generation;
        let grown = change(&mut next);
        if next.generation != before {
            *held = Arc::new(next);
        }
        (Arc::clone(&held), grown)
    }
}

/// A mapping's mistake as an answer.
pub(crate) fn mapping_error(error: MappingError) -> Error {
    match error {
        MappingError::Parsing(reason) => Error::mapper_parsing(reason),
        MappingError::Conflict(reason) => Error::illegal_argument(reason),
    }
}

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

/// Writes `meta.json` and its copy into the folder of an index, durably.
pub(crate) fn write_meta(folder: &Path, meta: &Value) -> std::io::Result<()> {
    let meta = meta.to_string();
    let text = format!("weir-index {META_VERSION} {:08x}\n{meta}\n", crc32fast::hash(meta.as_bytes()));
    write_durably(&folder.join("meta.json"), text.as_bytes())?;
    write_durably(&folder.join("meta.bak"), text.as_bytes())
}

fn read_meta(path: &Path) -> std::result::Result<Value, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let wrong = |what: &str| format!("{}: {what}", path.display());
    let (head, body) = text.split_once('\n').ok_or_else(|| wrong("no first line"))?;
    let body = body.trim_end_matches('\n');
    let ["weir-index", version, crc] = head.split(' ').collect::<Vec<_>>()[..] else {
        return Err(wrong("not a weir index"));
    };
    if version != META_VERSION.to_string() {
        return Err(wrong(&format!("format {version}, and this weir knows {META_VERSION}")));
    }
    if u32::from_str_radix(crc, 16) != Ok(crc32fast::hash(body.as_bytes())) {
        return Err(wrong("its checksum differs"));
    }
    serde_json::from_str(body).map_err(|error| wrong(&error.to_string()))
}

/// Whether a new index may have this name, by Elasticsearch's rules (which also make it a safe name for a folder).
///
/// # Errors
/// 400 with the rule that is broken.
pub fn check_name(name: &str) -> Result<()> {
    let problem = if name.is_empty() {
        "must not be empty".to_owned()
    } else if name.chars().any(|c| c.is_uppercase()) {
        "must be lowercase".to_owned()
    } else if let Some(c) = name.chars().find(|c| "\\/*?\"<>| ,#:".contains(*c) || c.is_control()) {
        format!("must not contain the following characters ['\\\\','/','*','?','\"','<','>','|',' ',','], found [{c}]")
    } else if name.starts_with(['_', '-', '+']) {
        "must not start with '_', '-', or '+'".to_owned()
    } else if name == "." || name == ".." {
        "must not be '.' or '..'".to_owned()
    } else if name.len() > 255 {
        format!("index name is too long, ({} > 255)", name.len())
    } else {
        return Ok(());
    };
    Err(Error::new(400, "invalid_index_name_exception", format!("Invalid index name [{name}], {problem}"))
        .with("index_uuid", json!("_na_"))
        .with("index", json!(name)))
}

/// A segment as searches see it.
pub struct SegmentInfo {
    /// Beginning of its id.
    pub name: String,
    /// Number of its partition.
    pub generation: u32,
    /// Living documents.
    pub documents: u32,
    /// Deleted documents that are still in its files.
    pub deleted: u32,
    /// Of its files.
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert!(check_name("logs-weir").is_ok() && check_name(".hidden").is_ok() && check_name("größe").is_ok());
        for bad in ["", "A", "a b", "../x", "_x", "-x", ".", "..", "a/b", "a*", "a:b", "x\u{0}", &"x".repeat(256)] {
            assert_eq!(check_name(bad).unwrap_err().kind, "invalid_index_name_exception", "{bad}");
        }
    }

    #[test]
    fn meta_survives_the_loss_of_one_copy_but_not_a_wrong_one() {
        let folder = tempfile::tempdir().unwrap();
        let index = Index::new("x", folder.path().to_owned(), 5, 6);
        index.put_mapping(&json!({"properties": {"a": {"type": "long"}}})).unwrap();
        let path = folder.path().join("meta.json");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("long", "lung")).unwrap();
        let again = Index::load("x", folder.path().to_owned()).unwrap();
        assert_eq!((again.uid, again.mapping().render()), (5, index.mapping().render()));
        fs::write(folder.path().join("meta.bak"), "").unwrap();
        assert!(Index::load("x", folder.path().to_owned()).is_err());
    }
}
