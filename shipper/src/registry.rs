//! Acknowledged positions on disk, in one file of two slots.
//!
//! Constraints: a kill or a power cut at any moment leaves at least the state before the last write; a file that is
//! torn, empty, foreign or of a newer version never keeps the shipper from starting (it is put aside, said and
//! counted, and everything is read again, which the identity of the events makes harmless).
//!
//! Layout: the file has an even length `2 * C`; slot 0 lies at 0 and slot 1 at `C`. A slot is
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `WEIRREG` and the version, 1 |
//! | 8 | generation, little-endian: the slot with the higher one is the newer |
//! | 4 | length of the payload |
//! | 4 | CRC-32 of generation, length and payload |
//! | … | payload: the state as JSON |
//!
//! Writes go to the slot that does not hold the newest state. When the state outgrows its slot, a new file of larger
//! slots takes the place of the old one (temporary file, fsync, rename).

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use serde::{Deserialize, Serialize};
use weir_daemon::files::write_durably;

use crate::identity::{Head, Inode};

const MAGIC: [u8; 8] = *b"WEIRREG\x01";
const HEADER_BYTES: usize = 24;
/// Smallest slot: a dozen containers.
const SLOT_BYTES_MIN: usize = 16 << 10;
/// Largest file that is read back: some hundred thousand containers. What is larger is not ours.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// Everything that is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// One entry for each log.
    pub(crate) entries: Vec<Entry>,
}

/// What kind of log an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// The log of a container; its key is the container id.
    Docker,
    /// A plain file; its key is made of its inode.
    Plain,
}

/// One log: its source id, how far each of its sources is acknowledged, and the files it is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    pub(crate) key: String,
    /// The live file.
    pub(crate) path: PathBuf,
    /// Source id of standard output; the others differ in their low bits. 0: not known yet.
    pub(crate) id: u64,
    /// Positions of standard output, standard error, and our own records.
    pub(crate) acked: [u64; 3],
    pub(crate) files: Vec<FileEntry>,
    /// Files that are done with and may lie in the folder still, compressed or not: not to be taken for new ones.
    #[serde(default)]
    pub(crate) past: Vec<Past>,
}

/// A file that is read and acknowledged to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Past {
    pub(crate) inode: Inode,
    pub(crate) head: Head,
}

/// One file of a log, oldest first in [`Entry::files`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileEntry {
    pub(crate) inode: Inode,
    pub(crate) head: Head,
    /// Position of its first byte.
    pub(crate) base: u64,
    /// Its size, when it is known that nothing will be added.
    pub(crate) end: Option<u64>,
    /// The largest size seen.
    pub(crate) seen: u64,
    /// Bytes that were lost before this file.
    pub(crate) gap: Option<Gap>,
    /// Whether it is read through gzip.
    pub(crate) gzip: bool,
}

/// Bytes that went away unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Gap {
    /// Position of the first lost byte.
    pub(crate) from: u64,
    /// How many bytes, where that is known.
    pub(crate) bytes: Option<u64>,
    /// Why.
    pub(crate) cause: Cause,
}

/// Why bytes went away unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Cause {
    /// Rotated away before they could be read.
    Rotated,
    /// The file was truncated.
    Truncated,
    /// The container was removed.
    Removed,
}

/// How the last state was found at start.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// There was no registry: a first start.
    Nothing,
    /// The newest slot is whole.
    Whole,
    /// One slot is damaged; the other one was used.
    Torn,
    /// Nothing could be used. The file was put aside under this name.
    Unusable(PathBuf),
}

/// The open registry.
pub(crate) struct Registry {
    path: PathBuf,
    file: File,
    slot_bytes: usize,
    generation: u64,
    buffer: Vec<u8>,
    unsynced: bool,
    /// The thread that makes the file durable at this moment.
    syncing: Option<JoinHandle<io::Result<()>>>,
}

impl Registry {
    /// Opens the registry of a data folder, or makes it.
    ///
    /// # Errors
    /// Only when the folder cannot be written: a damaged registry is no error.
    pub(crate) fn open(folder: &Path) -> io::Result<(Self, State, Found)> {
        let path = folder.join("registry");
        let (state, generation, found) = match read(&path) {
            Ok(None) => (State::default(), 0, Found::Nothing),
            Ok(Some((state, generation, true))) => (state, generation, Found::Whole),
            Ok(Some((state, generation, false))) => (state, generation, Found::Torn),
            Err(_) => {
                let aside = folder.join("registry.unusable");
                std::fs::rename(&path, &aside)?;
                (State::default(), 0, Found::Unusable(aside))
            }
        };
        let payload = serde_json::to_vec(&state)?;
        let slot_bytes = slot_bytes(payload.len());
        let file = create(&path, slot_bytes, generation + 1, &payload)?;
        let generation = generation + 1;
        let registry = Self { path, file, slot_bytes, generation, buffer: Vec::new(), unsynced: false, syncing: None };
        Ok((registry, state, found))
    }

    /// Writes a state. It survives a kill of this process at once, and a power cut after [`Registry::sync`].
    ///
    /// # Errors
    /// What the file system said; the state before is still there then.
    pub(crate) fn write(&mut self, state: &State) -> io::Result<()> {
        let payload = serde_json::to_vec(state)?;
        let generation = self.generation + 1;
        if HEADER_BYTES + payload.len() > self.slot_bytes {
            let slot_bytes = slot_bytes(payload.len());
            self.file = create(&self.path, slot_bytes, generation, &payload)?;
            self.slot_bytes = slot_bytes;
        } else {
            self.buffer.clear();
            push_slot(generation, &payload, &mut self.buffer);
            // `create` puts its generation into slot 0; from there the slots take turns.
            let slot = (generation % 2) as usize;
            self.file.write_all_at(&self.buffer, (slot * self.slot_bytes) as u64)?;
            self.unsynced = true;
        }
        self.generation = generation;
        Ok(())
    }

    /// Makes the last written state survive a power cut.
    ///
    /// # Errors
    /// What the file system said.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        let ended = self.end_sync();
        if self.unsynced {
            self.file.sync_data()?;
            self.unsynced = false;
        }
        ended
    }

    /// Has another thread make the last written state survive a power cut: a busy disk takes a second for that, in which
    /// logs are rotated more than once. An error is told by the next call.
    ///
    /// # Errors
    /// What the file system said, this time or the last.
    pub(crate) fn begin_sync(&mut self) -> io::Result<()> {
        if self.syncing.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return Ok(());
        }
        self.end_sync()?;
        if self.unsynced {
            let file = self.file.try_clone()?;
            let thread = std::thread::Builder::new().name("weir-sync".to_owned());
            self.syncing = Some(thread.spawn(move || file.sync_data())?);
            self.unsynced = false;
        }
        Ok(())
    }

    /// Whether the last written state is durable, or on its way.
    pub(crate) fn is_synced(&self) -> bool {
        !self.unsynced
    }

    fn end_sync(&mut self) -> io::Result<()> {
        let Some(thread) = self.syncing.take() else { return Ok(()) };
        let ended = thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that syncs has panicked")));
        self.unsynced |= ended.is_err();
        ended
    }
}

fn slot_bytes(payload: usize) -> usize {
    (2 * (HEADER_BYTES + payload)).next_power_of_two().max(SLOT_BYTES_MIN)
}

/// A new file whose slot of this generation is filled, durably in the place of the old one.
fn create(path: &Path, slot_bytes: usize, generation: u64, payload: &[u8]) -> io::Result<File> {
    let mut slot = Vec::new();
    push_slot(generation, payload, &mut slot);
    let at = (generation % 2) as usize * slot_bytes;
    let mut bytes = vec![0; 2 * slot_bytes];
    bytes[at..at + slot.len()].copy_from_slice(&slot);
    write_durably(path, &bytes)?;
    OpenOptions::new().read(true).write(true).open(path)
}

fn push_slot(generation: u64, payload: &[u8], out: &mut Vec<u8>) {
    // A payload is bounded by the number of logs on one machine, far from 4 GiB.
    let length = payload.len() as u32;
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&generation.to_le_bytes());
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&checksum(generation, payload).to_le_bytes());
    out.extend_from_slice(payload);
}

fn checksum(generation: u64, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&generation.to_le_bytes());
    hasher.update(&(payload.len() as u32).to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

/// The newest usable state, its generation, and whether the other slot is as it should be. `None`: no file.
fn read(path: &Path) -> io::Result<Option<(State, u64, bool)>> {
    let length = match std::fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if length > FILE_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    newest(&std::fs::read(path)?).map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The newest usable state of a registry file's bytes, its generation, and whether the other slot is whole or unused.
pub(crate) fn newest(bytes: &[u8]) -> Option<(State, u64, bool)> {
    let (first, second) = bytes.split_at(bytes.len() / 2);
    let unused = |slot: &[u8]| slot.iter().take(HEADER_BYTES).all(|byte| *byte == 0);
    match (read_slot(first), read_slot(second)) {
        (Some(a), Some(b)) => Some(if a.1 > b.1 { (a.0, a.1, true) } else { (b.0, b.1, true) }),
        (Some(a), None) => Some((a.0, a.1, unused(second))),
        (None, Some(b)) => Some((b.0, b.1, unused(first))),
        (None, None) => None,
    }
}

fn read_slot(slot: &[u8]) -> Option<(State, u64)> {
    let rest = slot.strip_prefix(&MAGIC)?;
    let generation = u64::from_le_bytes(rest.get(..8)?.try_into().ok()?);
    let length = u32::from_le_bytes(rest.get(8..12)?.try_into().ok()?);
    let stored = u32::from_le_bytes(rest.get(12..16)?.try_into().ok()?);
    let payload = rest.get(16..)?.get(..usize::try_from(length).ok()?)?;
    if checksum(generation, payload) != stored {
        return None;
    }
    Some((serde_json::from_slice(payload).ok()?, generation))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(entries: usize) -> State {
        let entry = |n: usize| Entry {
            kind: Kind::Docker,
            key: format!("container-{n}"),
            path: PathBuf::from("/x"),
            id: u64::MAX - 3,
            acked: [n as u64, 7, 0],
            files: vec![],
            past: vec![],
        };
        State { entries: (0..entries).map(entry).collect() }
    }

    #[test]
    fn the_last_state_comes_back_however_large() {
        let folder = tempfile::tempdir().unwrap();
        let (mut registry, first, found) = Registry::open(folder.path()).unwrap();
        assert_eq!((first, found), (State::default(), Found::Nothing));
        for entries in [1, 2, 3, 500, 3] {
            registry.write(&state(entries)).unwrap();
            // A second reader stands for the process after a kill.
            let (kept, _, whole) = read(&folder.path().join("registry")).unwrap().unwrap();
            assert_eq!((kept, whole), (state(entries), true));
        }
        registry.sync().unwrap();
        drop(registry);
        let (_, kept, found) = Registry::open(folder.path()).unwrap();
        assert_eq!((kept, found), (state(3), Found::Whole));
    }

    #[test]
    fn a_write_torn_at_any_byte_leaves_the_state_before_or_after() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("registry");
        let (mut registry, ..) = Registry::open(folder.path()).unwrap();
        registry.write(&state(1)).unwrap();
        let before = std::fs::read(&path).unwrap();
        registry.write(&state(2)).unwrap();
        let after = std::fs::read(&path).unwrap();
        let end = after.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        for cut in 0..=end {
            let torn = [&after[..cut], &before[cut..]].concat();
            let kept = newest(&torn).unwrap().0;
            assert!(kept == state(1) || kept == state(2), "cut at {cut}");
        }
        assert_eq!(newest(&after).unwrap().0, state(2));
    }

    #[test]
    fn row_16_a_ruined_registry_never_stops_the_start() {
        for ruin in [&b""[..], &[0; 4096], b"{\"filebeat\":1}", b"WEIRREG\x02of the future"] {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("registry"), ruin).unwrap();
            let (mut registry, kept, found) = Registry::open(folder.path()).unwrap();
            let aside = folder.path().join("registry.unusable");
            assert_eq!((kept, found), (State::default(), Found::Unusable(aside.clone())));
            assert_eq!(std::fs::read(aside).unwrap(), ruin);
            registry.write(&state(1)).unwrap();
            assert_eq!(Registry::open(folder.path()).unwrap().1, state(1));
        }
    }
}
