//! Is this the file I knew? Files are known by what they are: device, inode, time of birth, and a checksum of their
//! first bytes; never by name alone, and never by the checksum alone.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

/// How much of a file's beginning its checksum covers. Docker's lines carry nanoseconds, so that the first kilobyte of
/// two logs is never the same.
pub(crate) const HEAD_BYTES: usize = 1024;
/// A head shorter than this says too little to know a copy of a file (a `.gz`, a moved Docker root) by it.
const COPY_HEAD_BYTES_MIN: u16 = 64;

/// Device, inode and time of birth. The birth (nanoseconds since 1970; 0 where the file system has none) tells a new
/// file from an old one whose inode came back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Inode {
    pub(crate) dev: u64,
    pub(crate) ino: u64,
    pub(crate) birth_ns: u64,
}

/// What one look at a file tells.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stat {
    pub(crate) inode: Inode,
    pub(crate) size: u64,
    /// 0 when the file was deleted and only lives on in open descriptors.
    pub(crate) links: u64,
}

impl From<Metadata> for Stat {
    fn from(metadata: Metadata) -> Self {
        let birth = metadata.created().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let birth_ns = birth.map_or(0, |birth| u64::try_from(birth.as_nanos()).unwrap_or(0));
        Self {
            inode: Inode { dev: metadata.dev(), ino: metadata.ino(), birth_ns },
            size: metadata.size(),
            links: metadata.nlink(),
        }
    }
}

/// Looks at a path, through symbolic links.
pub(crate) fn stat_path(path: &Path) -> io::Result<Stat> {
    Ok(std::fs::metadata(path)?.into())
}

/// Looks at an open file.
pub(crate) fn stat_file(file: &File) -> io::Result<Stat> {
    Ok(file.metadata()?.into())
}

/// A checksum of a file's first `len` bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) len: u16,
    pub(crate) crc: u32,
}

impl Head {
    /// The head of these bytes, of which at most [`HEAD_BYTES`] count.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let bytes = &bytes[..bytes.len().min(HEAD_BYTES)];
        Self { len: bytes.len() as u16, crc: crc32fast::hash(bytes) }
    }

    /// The head of an open file, over as much as is there.
    pub(crate) fn read(file: &File) -> io::Result<Self> {
        let mut bytes = [0; HEAD_BYTES];
        let length = read_full_at(file, &mut bytes, 0)?;
        Ok(Self::of(&bytes[..length]))
    }

    /// Whether the file still begins with the same bytes. An empty head fits everything.
    pub(crate) fn fits(self, file: &File) -> io::Result<bool> {
        let mut bytes = [0; HEAD_BYTES];
        let wanted = &mut bytes[..usize::from(self.len).min(HEAD_BYTES)];
        let length = read_full_at(file, wanted, 0)?;
        Ok(length == wanted.len() && Self::of(wanted) == self)
    }

    /// Whether bytes begin as the file did.
    pub(crate) fn fits_bytes(self, bytes: &[u8]) -> bool {
        bytes.get(..usize::from(self.len)).is_some_and(|bytes| Self::of(bytes) == self)
    }

    /// Whether the head says enough to know a copy of the file by it.
    pub(crate) fn tells_copies(self) -> bool {
        self.len >= COPY_HEAD_BYTES_MIN
    }

    /// Whether more of the file would make a better head.
    pub(crate) fn can_grow(self) -> bool {
        usize::from(self.len) < HEAD_BYTES
    }
}

/// Reads until `buffer` is full or the file ends.
pub(crate) fn read_full_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// A 64-bit hash for source ids: FNV-1a over the parts, each closed by its length, then mixed (splitmix64's finisher).
pub(crate) fn hash(parts: &[&[u8]]) -> u64 {
    let mut state: u64 = 0xcbf2_9ce4_8422_2325;
    let mut eat = |bytes: &[u8]| {
        for byte in bytes {
            state = (state ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    };
    for part in parts {
        eat(part);
        eat(&(part.len() as u64).to_le_bytes());
    }
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_fits_a_grown_file_and_not_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "one line\n").unwrap();
        let head = Head::read(&File::open(&path).unwrap()).unwrap();
        assert_eq!(head.len, 9);
        std::fs::write(&path, "one line\nand another\n").unwrap();
        assert!(head.fits(&File::open(&path).unwrap()).unwrap());
        std::fs::write(&path, "two line\nand another\n").unwrap();
        assert!(!head.fits(&File::open(&path).unwrap()).unwrap());
        std::fs::write(&path, "one").unwrap();
        assert!(!head.fits(&File::open(&path).unwrap()).unwrap());
        assert!(Head::default().fits(&File::open(&path).unwrap()).unwrap());
    }

    #[test]
    fn parts_of_a_hash_do_not_run_together() {
        assert_ne!(hash(&[b"ab", b"c"]), hash(&[b"a", b"bc"]));
        assert_eq!(hash(&[b"ab"]), hash(&[b"ab"]));
    }
}
