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

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tantivy::directory::MmapDirectory;
use tantivy::{Index, IndexReader, ReloadPolicy, Searcher};

use super::marks::Marks;
use crate::base64;
use crate::schema;

/// Blocks of the document store that a reader keeps decompressed, of 64 KB each.
const STORE_CACHE_BLOCKS: usize = 16;

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

/// A partition that is open for searching.
pub(crate) struct Partition {
    pub(crate) number: u32,
    pub(crate) folder: PathBuf,
    pub(crate) index: Index,
    reader: IndexReader,
    /// Of the last commit.
    payload: Mutex<Arc<Payload>>,
    bytes: AtomicU64,
}

impl Partition {
    /// Makes an empty partition whose first commit carries `payload`.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub(crate) fn create(index_folder: &Path, number: u32, payload: Payload) -> tantivy::Result<Self> {
        let folder = index_folder.join(format!("p{number}"));
        fs::create_dir_all(&folder)?;
        let directory = MmapDirectory::open(&folder)?;
        let index = schema::index_builder().open_or_create(directory)?;
        let mut writer = index.writer_with_num_threads::<tantivy::TantivyDocument>(1, 15_000_000)?;
        let mut commit = writer.prepare_commit()?;
        commit.set_payload(&payload.render());
        commit.commit()?;
        drop(writer);
        weir_daemon::files::sync_dir(&folder)?;
        weir_daemon::files::sync_dir(index_folder)?;
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
        let open = || -> tantivy::Result<(Index, Option<String>)> {
            let mut index = Index::open(MmapDirectory::open(&folder)?)?;
            index.set_tokenizers(schema::tokenizers());
            let payload = index.load_metas()?.payload;
            Ok((index, payload))
        };
        let (index, payload) = open().map_err(|error| error.to_string())?;
        if index.schema() != schema::schema().0 {
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
        let partition =
            Self { number, folder, index, reader, payload: Mutex::new(Arc::new(payload)), bytes: AtomicU64::new(0) };
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

    /// Measures the bytes on disk.
    pub(crate) fn measure(&self) -> u64 {
        let bytes = folder_bytes(&self.folder);
        self.bytes.store(bytes, Ordering::Relaxed);
        bytes
    }
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
