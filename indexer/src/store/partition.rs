//! One partition: a tantivy index in a folder of its own, `indices/<name>/p<number>`.
//!
//! The payload of each of its commits is one line of text, written by tantivy into its `meta.json` in the same atomic
//! step as the list of segments:
//!
//! ```text
//! weir1 <record> <next seq> <created ms> <min ms or -> <max ms or -> <base64 marks> <crc32 hex of all before>
//! ```
//!
//! It says: everything of this index up to journal record `<record>` is in, and these are the marks of that moment.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tantivy::directory::{Directory as _, MmapDirectory};
use tantivy::schema::document::Document;
use tantivy::{Index, IndexReader, IndexWriter, ReloadPolicy, Searcher};

use super::marks::Marks;
use crate::base64;
use crate::schema;

/// Blocks of the document store that a reader keeps decompressed, of 64 KB each.
const STORE_CACHE_BLOCKS: usize = 16;

/// Ending of the folder of a partition that is being made.
pub(crate) const UNFINISHED: &str = ".new";

/// What a commit says about itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Payload {
    /// Journal record up to which the index is complete.
    pub(crate) record: u64,
    /// Arrival number of the next document.
    pub(crate) next_seq: u64,
    /// When the partition was made, milliseconds.
    pub(crate) created_ms: u64,
    /// Smallest and largest `@timestamp`, milliseconds.
    pub(crate) times: Option<(i64, i64)>,
    /// The marks at `record`.
    pub(crate) marks: Marks,
}

impl Payload {
    pub(crate) fn render(&self) -> String {
        let (min, max) = match self.times {
            Some((min, max)) => (min.to_string(), max.to_string()),
            None => ("-".to_owned(), "-".to_owned()),
        };
        let marks = base64::encode(&self.marks.save());
        let text = format!("weir1 {} {} {} {min} {max} {marks}", self.record, self.next_seq, self.created_ms);
        let crc = crc32fast::hash(text.as_bytes());
        format!("{text} {crc:08x}")
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (body, crc) = text.rsplit_once(' ')?;
        if u32::from_str_radix(crc, 16).ok()? != crc32fast::hash(body.as_bytes()) {
            return None;
        }
        let parts: Vec<&str> = body.split(' ').collect();
        let ["weir1", record, next_seq, created_ms, min, max, marks] = parts[..] else { return None };
        let times = if min == "-" { None } else { Some((min.parse().ok()?, max.parse().ok()?)) };
        Some(Self {
            record: record.parse().ok()?,
            next_seq: next_seq.parse().ok()?,
            created_ms: created_ms.parse().ok()?,
            times,
            marks: Marks::load(&base64::decode(marks)?)?,
        })
    }
}

/// Commits so that documents and payload survive a power cut together, and nothing less does after this returned.
///
/// # Errors
/// When the file system refuses.
pub(crate) fn commit<D: Document>(writer: &mut IndexWriter<D>, payload: &Payload) -> tantivy::Result<()> {
    let mut commit = writer.prepare_commit()?;
    commit.set_payload(&payload.render());
    commit.commit()?;
    // tantivy renames its meta.json last; the journal may only go when that name is durable.
    writer.index().directory().sync_directory()?;
    Ok(())
}

/// A partition that is open for searching.
pub(crate) struct Partition {
    pub(crate) number: u32,
    pub(crate) folder: PathBuf,
    pub(crate) index: Index,
    reader: IndexReader,
    /// Of the last commit.
    payload: Mutex<Arc<Payload>>,
    bytes: AtomicU64,
    /// It was dropped: whoever still holds its files is to let go of them.
    pub(crate) gone: Arc<AtomicBool>,
}

impl Partition {
    /// Makes an empty partition whose first commit carries `payload`.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub(crate) fn create(index_folder: &Path, number: u32, payload: Payload) -> tantivy::Result<Self> {
        // It gets its name when it is whole, so that one that was cut short is not taken for damage.
        let unfinished = index_folder.join(format!("p{number}{UNFINISHED}"));
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished)?;
        }
        fs::create_dir_all(&unfinished)?;
        let index = schema::index_builder().open_or_create(MmapDirectory::open(&unfinished)?)?;
        let mut writer = index.writer_with_num_threads::<tantivy::TantivyDocument>(1, 15_000_000)?;
        commit(&mut writer, &payload)?;
        drop(writer);
        drop(index);
        let folder = index_folder.join(format!("p{number}"));
        fs::rename(&unfinished, &folder)?;
        weir_daemon::files::sync_dir(index_folder)?;
        let mut index = Index::open(MmapDirectory::open(&folder)?)?;
        index.set_tokenizers(schema::tokenizers());
        Self::with(index, number, folder, payload)
    }

    /// Opens a partition, after every file was checked.
    ///
    /// # Errors
    /// When a file is missing, damaged or of another schema: the partition is to be set aside.
    pub(crate) fn open(index_folder: &Path, number: u32) -> Result<Self, String> {
        // tantivy trusts its files in some places, and panics on damaged ones.
        let opened = std::panic::catch_unwind(|| Self::open_and_verify(index_folder, number));
        opened.unwrap_or_else(|_| Err("its files are damaged beyond reading".to_owned()))
    }

    fn open_and_verify(index_folder: &Path, number: u32) -> Result<Self, String> {
        let folder = index_folder.join(format!("p{number}"));
        mend_managed(&folder);
        let open = || -> tantivy::Result<(Index, Option<String>)> {
            let mut index = Index::open(MmapDirectory::open(&folder)?)?;
            index.set_tokenizers(schema::tokenizers());
            let payload = index.load_metas()?.payload;
            Ok((index, payload))
        };
        let (index, payload) = open().map_err(|error| error.to_string())?;
        if !schema::is_known(&index.schema()) {
            return Err("its schema is not ours".to_owned());
        }
        let payload = payload.as_deref().and_then(Payload::parse).ok_or("its commit payload is damaged")?;
        let damaged = index.validate_checksum().map_err(|error| error.to_string())?;
        if !damaged.is_empty() {
            let mut names: Vec<String> = damaged.iter().map(|path| path.display().to_string()).collect();
            names.sort();
            return Err(format!("checksums differ: {}", names.join(", ")));
        }
        let partition = Self::with(index, number, folder, payload).map_err(|error| error.to_string())?;
        partition.verify()?;
        Ok(partition)
    }

    fn with(index: Index, number: u32, folder: PathBuf, payload: Payload) -> tantivy::Result<Self> {
        let reader = index
            .reader_builder()
            .reload_policy(ReloadPolicy::Manual)
            .doc_store_cache_num_blocks(STORE_CACHE_BLOCKS)
            .try_into()?;
        let partition = Self {
            number,
            folder,
            index,
            reader,
            payload: Mutex::new(Arc::new(payload)),
            bytes: AtomicU64::new(0),
            gone: Arc::default(),
        };
        partition.measure();
        Ok(partition)
    }

    /// Checks every segment against its columns: `meta.json` has no checksum of its own.
    fn verify(&self) -> Result<(), String> {
        for segment in self.searcher().segment_readers() {
            // Every document has an arrival number: the list of segments and the files must agree on how many there are.
            let documents = segment.fast_fields().u64("_seq").map_err(|error| error.to_string())?.num_docs();
            if documents != segment.max_doc() {
                return Err(format!("a segment has {documents} documents and not {}", segment.max_doc()));
            }
            let alive = segment.alive_bitset().map_or(segment.max_doc(), |alive| alive.num_alive_docs() as u32);
            if alive != segment.num_docs() {
                return Err(format!(
                    "a segment has {alive} documents that are not deleted and not {}",
                    segment.num_docs()
                ));
            }
        }
        Ok(())
    }

    pub(crate) fn payload(&self) -> Arc<Payload> {
        Arc::clone(&self.payload.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn set_payload(&self, payload: Payload) {
        *self.payload.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(payload);
    }

    /// Sees the newest commit and merges from now on.
    pub(crate) fn reload(&self) -> tantivy::Result<()> {
        self.reader.reload()
    }

    pub(crate) fn searcher(&self) -> Searcher {
        self.reader.searcher()
    }

    /// Bytes on disk when last measured.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bytes of each segment's files, by its id.
    pub(crate) fn segment_bytes(&self) -> HashMap<String, u64> {
        segment_bytes(&self.folder)
    }

    /// Measures the bytes on disk.
    pub(crate) fn measure(&self) -> u64 {
        let bytes = folder_bytes(&self.folder);
        self.bytes.store(bytes, Ordering::Relaxed);
        bytes
    }
}

/// tantivy's list of the files that it may remove is worth nothing by itself: damaged, it is made anew from what is there.
fn mend_managed(folder: &Path) {
    let path = folder.join(".managed.json");
    let known: Option<Vec<PathBuf>> = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let entries: Vec<PathBuf> = match fs::read_dir(folder) {
        Ok(entries) => entries.filter_map(|entry| Some(PathBuf::from(entry.ok()?.file_name()))).collect(),
        Err(_) => return,
    };
    let is_hidden = |path: &PathBuf| path.to_string_lossy().starts_with('.');
    let living: Vec<PathBuf> = entries.into_iter().filter(|path| !is_hidden(path)).collect();
    if known.is_some_and(|known| living.iter().all(|path| known.contains(path))) {
        return;
    }
    tracing::warn!(folder = %folder.display(), "the list of a partition's files is damaged; it is made anew");
    let written = serde_json::to_vec(&living).map_err(io::Error::from).and_then(|bytes| fs::write(&path, bytes));
    if let Err(error) = written {
        tracing::error!(file = %path.display(), %error, "it cannot be written");
    }
}

/// Bytes of the files of each segment in a partition's folder, by its id, after which they are named.
pub(crate) fn segment_bytes(folder: &Path) -> HashMap<String, u64> {
    let mut sizes = HashMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let id = name.split('.').next().unwrap_or_default();
        // What vanishes meanwhile has none.
        *sizes.entry(id.to_owned()).or_default() += entry.metadata().map_or(0, |metadata| metadata.len());
    }
    sizes
}

/// Bytes of the files in a folder and beneath it. Files that vanish meanwhile count as nothing.
pub(crate) fn folder_bytes(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .filter_map(io::Result::ok)
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => folder_bytes(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_there_and_back() {
        let mut payload = Payload { record: 7, next_seq: 9, created_ms: 1, times: Some((-5, 5)), ..Payload::default() };
        payload.marks.raise(3, 4, 60_000);
        let text = payload.render();
        assert_eq!(Payload::parse(&text), Some(payload.clone()));
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            if let Ok(flipped) = String::from_utf8(bytes) {
                assert_eq!(Payload::parse(&flipped), None, "byte {at}");
            }
        }
        payload.times = None;
        assert_eq!(Payload::parse(&payload.render()), Some(payload));
    }

    #[test]
    fn a_partition_remembers_its_payload() {
        let folder = tempfile::tempdir().unwrap();
        let payload = Payload { record: 3, ..Payload::default() };
        drop(Partition::create(folder.path(), 1, payload.clone()).unwrap());
        let again = Partition::open(folder.path(), 1).unwrap();
        assert_eq!(*again.payload(), payload);
        assert!(again.bytes() > 0 && Partition::open(folder.path(), 2).is_err());
    }
}
