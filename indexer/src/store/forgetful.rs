//! Commits on a disk that forgets what was not synced, through thousands of power cuts: what is found afterwards is a
//! state that was committed as a whole, documents and payload together, and never one before the last that was promised.
//!
//! The model is that of a journaling file system: what happened to names since the last sync of the folder survives up to
//! some moment, in order; the bytes of a file that was not synced are anything.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tantivy::directory::error::{DeleteError, LockError, OpenReadError, OpenWriteError};
use tantivy::directory::{
    AntiCallToken, Directory, DirectoryLock, FileHandle, Lock, OwnedBytes, TerminatingWrite, WatchCallback,
    WatchHandle, WritePtr,
};
use tantivy::indexer::{IndexWriterOptions, LogMergePolicy};
use tantivy::{Index, IndexWriter, TantivyDocument};

use super::partition::{Payload, commit};
use crate::schema;

/// Power cuts. `WEIR_COMMIT_CUTS` sets another number.
const CUTS: u64 = 200;

#[derive(Clone, Debug, Default)]
struct Forgetful(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    files: Vec<Contents>,
    names: BTreeMap<PathBuf, usize>,
    durable: BTreeMap<PathBuf, usize>,
    /// What happened to names since they were synced: a file got a name, or lost it.
    log: Vec<(PathBuf, Option<usize>)>,
}

#[derive(Clone, Debug, Default)]
struct Contents {
    bytes: Vec<u8>,
    synced: bool,
}

impl State {
    fn name(&mut self, path: &Path, file: Option<usize>) {
        match file {
            Some(file) => {
                self.names.insert(path.to_owned(), file);
            }
            None => {
                self.names.remove(path);
            }
        }
        self.log.push((path.to_owned(), file));
    }

    fn add(&mut self, bytes: &[u8], synced: bool) -> usize {
        self.files.push(Contents { bytes: bytes.to_vec(), synced });
        self.files.len() - 1
    }
}

struct Writing {
    disk: Forgetful,
    file: usize,
}

impl Write for Writing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.disk.0.lock().unwrap().files[self.file].bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl TerminatingWrite for Writing {
    fn terminate_ref(&mut self, _: AntiCallToken) -> io::Result<()> {
        self.disk.0.lock().unwrap().files[self.file].synced = true;
        Ok(())
    }
}

impl Directory for Forgetful {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        Ok(Arc::new(OwnedBytes::new(self.atomic_read(path)?)))
    }

    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        let mut state = self.0.lock().unwrap();
        if !state.names.contains_key(path) {
            return Err(DeleteError::FileDoesNotExist(path.to_owned()));
        }
        state.name(path, None);
        Ok(())
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        Ok(self.0.lock().unwrap().names.contains_key(path))
    }

    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        let mut state = self.0.lock().unwrap();
        if state.names.contains_key(path) {
            return Err(OpenWriteError::FileAlreadyExists(path.to_owned()));
        }
        let file = state.add(&[], false);
        state.name(path, Some(file));
        Ok(io::BufWriter::new(Box::new(Writing { disk: self.clone(), file })))
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        let state = self.0.lock().unwrap();
        let file = state.names.get(path).ok_or_else(|| OpenReadError::FileDoesNotExist(path.to_owned()))?;
        Ok(state.files[*file].bytes.clone())
    }

    fn atomic_write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        let file = state.add(bytes, true);
        state.name(path, Some(file));
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.durable = state.names.clone();
        state.log.clear();
        Ok(())
    }

    fn acquire_lock(&self, _: &Lock) -> Result<DirectoryLock, LockError> {
        // The real one is the kernel's, and ends with the process.
        Ok(DirectoryLock::from(Box::new(())))
    }

    fn watch(&self, _: WatchCallback) -> tantivy::Result<WatchHandle> {
        Ok(WatchHandle::empty())
    }
}

impl Forgetful {
    /// The disk as it is found when the power comes back.
    fn after_a_cut(&self, random: &mut Random) -> Self {
        let state = self.0.lock().unwrap();
        let mut names = state.durable.clone();
        let survives = random.below(state.log.len() as u64 + 1) as usize;
        for (path, file) in &state.log[..survives] {
            match file {
                Some(file) => {
                    names.insert(path.clone(), *file);
                }
                None => {
                    names.remove(path);
                }
            }
        }
        let mut files = state.files.clone();
        for file in names.values() {
            let file = &mut files[*file];
            if !file.synced {
                match random.below(3) {
                    0 => file.bytes.truncate(random.below(file.bytes.len() as u64 + 1) as usize),
                    1 => file.bytes.fill(0),
                    _ => file.bytes.clear(),
                }
            }
        }
        let state = State { files, durable: names.clone(), names, log: Vec::new() };
        Self(Arc::new(Mutex::new(state)))
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit.max(1)
    }
}

/// The arrival numbers that are there, in order, and the record that the payload names.
fn look(index: &Index) -> (Vec<u64>, u64) {
    let damaged = index.validate_checksum().unwrap();
    assert!(damaged.is_empty(), "{damaged:?}");
    let payload = Payload::parse(index.load_metas().unwrap().payload.as_deref().unwrap_or("")).unwrap();
    let mut found = Vec::new();
    for segment in index.reader().unwrap().searcher().segment_readers() {
        let column = segment.fast_fields().u64("_seq").unwrap();
        found.extend(segment.doc_ids_alive().map(|doc| column.first(doc).unwrap()));
    }
    found.sort_unstable();
    (found, payload.record)
}

#[test]
fn a_commit_is_there_as_a_whole_or_not_at_all() {
    let cuts = std::env::var("WEIR_COMMIT_CUTS").map_or(CUTS, |cuts| cuts.parse().unwrap());
    let (mut random, fields) = (Random(0x5eed_1234_5678_9abc), schema::schema().1);
    let mut disk = Forgetful::default();
    let (mut promised, mut expected, mut lost_work) = (0, 0, 0);
    for cut in 0..cuts {
        // From time to time an empty disk, so that the first commit is cut short too.
        if cut % 50 == 0 {
            (disk, promised, expected) = (Forgetful::default(), 0, 0);
            let index = schema::index_builder().open_or_create(disk.clone()).unwrap();
            let mut writer: IndexWriter = index.writer_with_num_threads(1, 15_000_000).unwrap();
            commit(&mut writer, &Payload::default()).unwrap();
        }
        let mut index = Index::open(disk.clone()).unwrap();
        index.set_tokenizers(schema::tokenizers());
        let (found, record) = look(&index);
        assert!(record >= promised, "cut {cut}: {record} is found, and {promised} was promised");
        assert!(record <= expected, "cut {cut}: {record} was never committed");
        assert_eq!(found, (1..=record).collect::<Vec<_>>(), "cut {cut}: documents and payload disagree");
        lost_work += expected - record;
        (promised, expected) = (record, record);
        let options = IndexWriterOptions::builder()
            .num_worker_threads(1)
            .num_merge_threads(1)
            .memory_budget_per_thread(15_000_000);
        let mut writer: IndexWriter = index.writer_with_options(options.build()).unwrap();
        let mut policy = LogMergePolicy::default();
        policy.set_min_num_segments(2);
        writer.set_merge_policy(Box::new(policy));
        // Merges go on by themselves, so the cut falls into any moment of them.
        for _ in 0..random.below(4) {
            for _ in 0..=random.below(20) {
                expected += 1;
                let mut document = TantivyDocument::default();
                document.add_u64(fields.seq, expected);
                document.add_text(fields.message, format!("number {expected}"));
                writer.add_document(document).unwrap();
            }
            commit(&mut writer, &Payload { record: expected, ..Payload::default() }).unwrap();
            promised = expected;
        }
        if random.below(2) == 0 {
            // Cut between preparing a commit and its end.
            expected += 1;
            let mut document = TantivyDocument::default();
            document.add_u64(fields.seq, expected);
            writer.add_document(document).unwrap();
            let mut prepared = writer.prepare_commit().unwrap();
            prepared.set_payload(&Payload { record: expected, ..Payload::default() }.render());
            if random.below(2) == 0 {
                prepared.commit().unwrap();
            }
        }
        disk = disk.after_a_cut(&mut random);
    }
    println!(
        "{cuts} power cuts on a disk that forgets: no commit was lost or torn, {lost_work} unpromised documents were gone"
    );
}
