//! The spool: copies of rotated files that are not read yet, on the shipper's own disk, made while no aggregator takes
//! anything. They are there when Docker deletes the originals, also after a kill. Off unless `spool_max` is set.
//!
//! Constraints: never more bytes than the cap; a file under its final name is a whole copy (written under another name,
//! synced, renamed); a copy goes when its bytes are acknowledged. Only what the registry knows of is read again: a copy
//! that belongs to nothing is deleted after the start.
//!
//! Layout: `<data_dir>/spool/<log>-<base>`, both in hex: a hash of the log's key, and the position of the file's first
//! byte. One that is being written ends in `.part`.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::identity::{hash, read_full_at};

/// Bytes copied in one step, between which logs are looked at: some milliseconds.
const STEP_BYTES: u64 = 4 << 20;

/// Which file a copy is of: the log, and the position of the file's first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CopyOf {
    pub(crate) log: u64,
    pub(crate) base: u64,
}

impl CopyOf {
    /// The file of the log of this key that begins at `base`.
    pub(crate) fn new(key: &str, base: u64) -> Self {
        Self { log: hash(&[key.as_bytes()]), base }
    }

    fn name(self) -> String {
        format!("{:016x}-{:016x}", self.log, self.base)
    }

    fn parse(name: &str) -> Option<Self> {
        let (log, base) = name.split_once('-')?;
        let number = |text: &str| u64::from_str_radix(text, 16).ok().filter(|_| text.len() == 16);
        Some(Self { log: number(log)?, base: number(base)? })
    }
}

/// A copy that is being made.
struct Copying {
    of: CopyOf,
    from: File,
    to: File,
    path: PathBuf,
    at: u64,
    size: u64,
}

/// The folder of copies.
pub(crate) struct Spool {
    folder: PathBuf,
    bytes_max: u64,
    /// Bytes of whole copies and of the one that is being made.
    used: u64,
    copies: HashMap<CopyOf, u64>,
    /// Found at the start and not asked for yet.
    unclaimed: HashMap<CopyOf, u64>,
    copying: Option<Copying>,
}

impl Spool {
    /// Opens the spool of a data folder. With `bytes_max` 0 nothing is copied; what is there is still read.
    ///
    /// # Errors
    /// When the folder cannot be made or read.
    pub(crate) fn open(data_dir: &Path, bytes_max: u64) -> io::Result<Self> {
        let folder = data_dir.join("spool");
        let mut spool =
            Self { folder, bytes_max, used: 0, copies: HashMap::new(), unclaimed: HashMap::new(), copying: None };
        if bytes_max > 0 {
            std::fs::create_dir_all(&spool.folder)?;
        }
        let entries = match std::fs::read_dir(&spool.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(spool),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            match entry.file_name().to_str().and_then(CopyOf::parse) {
                Some(of) => {
                    let size = entry.metadata()?.len();
                    spool.used += size;
                    spool.unclaimed.insert(of, size);
                }
                // Half a copy, of a life that ended in the middle of it.
                None => std::fs::remove_file(entry.path())?,
            }
        }
        Ok(spool)
    }

    /// Bytes on disk.
    pub(crate) fn used(&self) -> u64 {
        self.used
    }

    /// Whether a copy is being made.
    pub(crate) fn busy(&self) -> bool {
        self.copying.is_some()
    }

    /// The copy that an earlier life made of this file, if there is one.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(crate) fn claim(&mut self, of: CopyOf) -> io::Result<Option<File>> {
        let Some(size) = self.unclaimed.remove(&of) else { return Ok(None) };
        self.copies.insert(of, size);
        File::open(self.folder.join(of.name())).map(Some)
    }

    /// Deletes what no log has asked for.
    pub(crate) fn sweep(&mut self) {
        for of in self.unclaimed.drain().collect::<Vec<_>>() {
            self.used -= of.1;
            self.delete(of.0);
        }
    }

    /// Whether a file of this size may be copied.
    pub(crate) fn has_room(&self, size: u64) -> bool {
        self.bytes_max > 0 && self.copying.is_none() && self.used + size <= self.bytes_max
    }

    /// Begins a copy of a file to which nothing is added any more.
    ///
    /// # Errors
    /// What the file system said.
    pub(crate) fn begin(&mut self, of: CopyOf, from: &File, size: u64) -> io::Result<()> {
        let path = self.folder.join(format!("{}.part", of.name()));
        let to = OpenOptions::new().write(true).create(true).truncate(true).open(&path)?;
        self.copying = Some(Copying { of, from: from.try_clone()?, to, path, at: 0, size });
        self.used += size;
        Ok(())
    }

    /// Copies some more. Answers which copy is whole now, opened for reading.
    ///
    /// # Errors
    /// What the file system said; the copy is given up.
    pub(crate) fn step(&mut self, buffer: &mut [u8]) -> io::Result<Option<(CopyOf, File)>> {
        let Some(mut copying) = self.copying.take() else { return Ok(None) };
        let done = copying.step(buffer).and_then(|whole| {
            if !whole {
                return Ok(None);
            }
            copying.to.sync_data()?;
            let path = self.folder.join(copying.of.name());
            std::fs::rename(&copying.path, &path)?;
            File::open(path).map(Some)
        });
        match done {
            Ok(Some(file)) => {
                self.copies.insert(copying.of, copying.size);
                Ok(Some((copying.of, file)))
            }
            Ok(None) => {
                self.copying = Some(copying);
                Ok(None)
            }
            Err(error) => {
                self.used -= copying.size;
                // It is deleted at the next start otherwise.
                let _ = std::fs::remove_file(&copying.path);
                Err(error)
            }
        }
    }

    /// Deletes a copy whose bytes are acknowledged or given up.
    pub(crate) fn remove(&mut self, of: CopyOf) {
        if let Some(size) = self.copies.remove(&of) {
            self.used -= size;
            self.delete(of);
        }
    }

    fn delete(&self, of: CopyOf) {
        let path = self.folder.join(of.name());
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!(%error, path = %path.display(), "cannot delete a spooled file");
        }
    }
}

impl Copying {
    /// Copies at most [`STEP_BYTES`]. Answers whether that was all.
    fn step(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        let until = self.size.min(self.at + STEP_BYTES);
        while self.at < until {
            let wanted = buffer.len().min((until - self.at) as usize);
            let read = read_full_at(&self.from, &mut buffer[..wanted], self.at)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.to.write_all(&buffer[..read])?;
            self.at += read as u64;
        }
        Ok(self.at == self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_whole_or_not_there_and_the_cap_holds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let bytes: Vec<u8> = (0..6_000_000_u32).map(|n| n as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        let from = File::open(&path).unwrap();
        let of = CopyOf::new("abc", 77);
        let mut buffer = vec![0; 256 << 10];
        let mut spool = Spool::open(folder.path(), 10_000_000).unwrap();
        assert!(spool.has_room(6_000_000) && !spool.has_room(10_000_001));
        spool.begin(of, &from, 6_000_000).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(spool.step(&mut buffer).unwrap().is_none(), "more than one step");
        // A kill here leaves nothing that is taken for a copy.
        let mut after = Spool::open(folder.path(), 10_000_000).unwrap();
        assert_eq!((after.used(), after.claim(of).unwrap().is_none()), (0, true));
        drop(after);
        assert!(spool.step(&mut buffer).is_err(), "its file was taken away");
        assert_eq!(spool.used(), 0);
        spool.begin(of, &from, 6_000_000).unwrap();
        let made = loop {
            if let Some((made, file)) = spool.step(&mut buffer).unwrap() {
                assert_eq!(file.metadata().unwrap().len(), 6_000_000);
                break made;
            }
        };
        assert_eq!(made, of);
        assert!(!spool.has_room(6_000_000));
        drop(spool);
        let mut spool = Spool::open(folder.path(), 0).unwrap();
        let mut copy = vec![0; bytes.len()];
        read_full_at(&spool.claim(of).unwrap().unwrap(), &mut copy, 0).unwrap();
        assert!(copy == bytes);
        assert_eq!(spool.used(), 6_000_000);
        spool.sweep();
        assert_eq!(spool.used(), 6_000_000, "what was asked for stays");
        spool.remove(of);
        assert_eq!((spool.used(), std::fs::read_dir(folder.path().join("spool")).unwrap().count()), (0, 0));
    }
}
