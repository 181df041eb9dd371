//! Where snapshots are kept: a folder, or a bucket of S3-compatible storage. Both hold the same keys and bytes, and one
//! call moves at most a few megabytes through memory. Everything here blocks.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ring::digest::{Context, SHA256};
use weir_daemon::files::{sync_dir, write_durably};

use super::bucket::Bucket;

/// Bytes that are read, sent or fetched at a time: the smallest part of an S3 multipart upload is 5 MB.
pub(super) const PART_BYTES: usize = 8 << 20;
/// Largest object that is held in memory as a whole, a manifest: a thousand partitions of a thousand files fit.
pub(super) const WHOLE_BYTES_MAX: u64 = 256 << 20;

/// A repository that is open.
pub(super) enum Repository {
    /// Type `fs`.
    Folder(PathBuf),
    /// Type `s3`.
    Bucket(Box<Bucket>),
}

impl Repository {
    /// Writes a small object; it is there as a whole, and to stay, or not at all.
    ///
    /// # Errors
    /// What the storage says.
    pub(super) fn put(&self, key: &str, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Folder(folder) => {
                let path = folder.join(key);
                make_parent(folder, &path)?;
                write_durably(&path, bytes)
            }
            Self::Bucket(bucket) => bucket.put(key, Bytes::copy_from_slice(bytes)),
        }
    }

    /// Copies a file of any size to an object. False when an object of that size is there already.
    ///
    /// # Errors
    /// What either side says.
    pub(super) fn put_file(&self, key: &str, from: &Path) -> io::Result<bool> {
        let mut file = File::open(from)?;
        let len = file.metadata()?.len();
        if self.len(key)? == Some(len) {
            return Ok(false);
        }
        match self {
            Self::Folder(folder) => {
                let path = folder.join(key);
                make_parent(folder, &path)?;
                let temporary = path.with_extension("tmp");
                let mut out = File::create(&temporary)?;
                io::copy(&mut file, &mut out)?;
                out.sync_all()?;
                fs::rename(&temporary, &path)?;
                sync_dir(path.parent().unwrap_or(folder))?;
            }
            Self::Bucket(bucket) => bucket.put_file(key, &mut file, len)?,
        }
        Ok(true)
    }

    /// A small object.
    ///
    /// # Errors
    /// `NotFound`, or what the storage says.
    pub(super) fn get(&self, key: &str) -> io::Result<Vec<u8>> {
        let len = self.len(key)?.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("{key} is missing")))?;
        if len > WHOLE_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{key} has {len} bytes: it is not ours")));
        }
        match self {
            Self::Folder(folder) => fs::read(folder.join(key)),
            Self::Bucket(_) if len == 0 => Ok(Vec::new()),
            Self::Bucket(bucket) => bucket.get(key, 0, len).map(|bytes| bytes.to_vec()),
        }
    }

    /// Copies an object into a new file, which is synced, and compares size and SHA-256.
    ///
    /// # Errors
    /// `InvalidData` when they differ; else what either side says.
    pub(super) fn get_file(&self, key: &str, to: &Path, len: u64, sha256: &str) -> io::Result<()> {
        let mut out = File::create_new(to)?;
        let mut digest = Context::new(&SHA256);
        let mut source = match self {
            Self::Folder(folder) => Some(File::open(folder.join(key))?),
            Self::Bucket(_) => None,
        };
        let mut at = 0;
        while at < len {
            let step = (PART_BYTES as u64).min(len - at);
            let part = match (self, &mut source) {
                (Self::Bucket(bucket), _) => bucket.get(key, at, at + step)?,
                (_, Some(file)) => {
                    let mut part = vec![0; step as usize];
                    file.read_exact(&mut part)?;
                    part.into()
                }
                (Self::Folder(_), None) => Bytes::new(),
            };
            if part.len() as u64 != step {
                return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{key} ends before its {len} bytes")));
            }
            digest.update(&part);
            out.write_all(&part)?;
            at += step;
        }
        if hex(digest.finish().as_ref()) != sha256 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{key} is damaged: its checksum differs")));
        }
        out.sync_all()
    }

    /// Size of an object; `None` when it is not there.
    ///
    /// # Errors
    /// What the storage says.
    pub(super) fn len(&self, key: &str) -> io::Result<Option<u64>> {
        match self {
            Self::Folder(folder) => match fs::metadata(folder.join(key)) {
                Ok(metadata) => Ok(Some(metadata.len())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            },
            Self::Bucket(bucket) => bucket.len(key),
        }
    }

    /// Names and sizes of the objects right below a folder.
    ///
    /// # Errors
    /// What the storage says.
    pub(super) fn list(&self, folder: &str) -> io::Result<Vec<(String, u64)>> {
        match self {
            Self::Folder(root) => {
                let entries = match fs::read_dir(root.join(folder)) {
                    Ok(entries) => entries,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                    Err(error) => return Err(error),
                };
                let mut found = Vec::new();
                for entry in entries {
                    let entry = entry?;
                    let metadata = entry.metadata()?;
                    if metadata.is_file() {
                        found.extend(entry.file_name().to_str().map(|name| (name.to_owned(), metadata.len())));
                    }
                }
                Ok(found)
            }
            Self::Bucket(bucket) => bucket.list(folder),
        }
    }

    /// Removes an object; it is no error when it is not there.
    ///
    /// # Errors
    /// What the storage says.
    pub(super) fn delete(&self, key: &str) -> io::Result<()> {
        match self {
            Self::Folder(folder) => match fs::remove_file(folder.join(key)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
            Self::Bucket(bucket) => bucket.delete(key),
        }
    }
}

/// SHA-256 and length of a file.
///
/// # Errors
/// When it cannot be read.
pub(super) fn digest(path: &Path) -> io::Result<(String, u64)> {
    let mut file = File::open(path)?;
    let mut digest = Context::new(&SHA256);
    let mut buffer = vec![0; 1 << 18];
    let mut len = 0;
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok((hex(digest.finish().as_ref()), len));
        }
        digest.update(&buffer[..n]);
        len += n as u64;
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Makes the folder of an object, so that its name survives a power cut.
fn make_parent(root: &Path, path: &Path) -> io::Result<()> {
    let Some(parent) = path.parent().filter(|parent| !parent.is_dir()) else { return Ok(()) };
    fs::create_dir_all(parent)?;
    for folder in parent.ancestors().skip(1) {
        sync_dir(folder)?;
        if folder == root {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_keeps_objects_and_notices_damage() {
        let (kept, work) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let repository = Repository::Folder(kept.path().join("deep/er"));
        assert!(repository.list("objects").unwrap().is_empty() && repository.len("objects/x").unwrap().is_none());
        let from = work.path().join("from");
        fs::write(&from, vec![7; 100_000]).unwrap();
        let (sha256, len) = digest(&from).unwrap();
        assert!(repository.put_file("objects/x", &from).unwrap() && !repository.put_file("objects/x", &from).unwrap());
        repository.get_file("objects/x", &work.path().join("to"), len, &sha256).unwrap();
        assert_eq!(fs::read(work.path().join("to")).unwrap(), fs::read(&from).unwrap());
        let object = kept.path().join("deep/er/objects/x");
        let mut bytes = fs::read(&object).unwrap();
        bytes[50_000] ^= 1;
        fs::write(&object, &bytes).unwrap();
        let damaged = repository.get_file("objects/x", &work.path().join("again"), len, &sha256).unwrap_err();
        assert_eq!(damaged.kind(), io::ErrorKind::InvalidData);
        fs::write(&object, &bytes[..10]).unwrap();
        assert!(repository.get_file("objects/x", &work.path().join("short"), len, &sha256).is_err());
        repository.put("small", b"text").unwrap();
        assert_eq!(repository.get("small").unwrap(), b"text");
        assert_eq!(repository.list("objects").unwrap(), [("x".to_owned(), 10)]);
        repository.delete("small").unwrap();
        repository.delete("small").unwrap();
        assert_eq!(repository.get("small").unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
