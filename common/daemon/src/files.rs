//! Files that must survive a crash: written whole or not at all, and a data folder that has one owner.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// Replaces `path` by `bytes` so that a crash at any moment leaves the old or the new content: temporary file, fsync,
/// rename, fsync of the folder.
///
/// # Errors
/// Any error of the file system; the old content is then still there.
pub fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(".tmp");
    let temporary = folder.join(name);
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_dir(folder)
}

/// Makes the names in a folder durable: a new, renamed or removed file survives a power cut only after this.
///
/// # Errors
/// When the folder cannot be opened or synced.
pub fn sync_dir(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Held as long as a process owns a data folder; released when dropped, or by the kernel when the process dies.
#[derive(Debug)]
pub struct Lock {
    _file: File,
    folder: PathBuf,
}

impl Lock {
    /// The folder that is owned.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// Takes the data folder, which is made when it is not there, for this process alone.
///
/// # Errors
/// `WouldBlock` with a sentence for people when another process holds it; else what the file system said.
pub fn lock(folder: &Path) -> io::Result<Lock> {
    fs::create_dir_all(folder).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot make the data folder {}: {error}", folder.display()))
    })?;
    let path = folder.join("lock");
    let mut file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {
            // The process id is for people who look; the lock itself is the kernel's.
            file.set_len(0)?;
            writeln!(file, "{}", std::process::id())?;
            Ok(Lock { _file: file, folder: folder.to_owned() })
        }
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let holder = fs::read_to_string(&path).unwrap_or_default();
            let holder = holder.trim();
            Err(io::Error::new(
                io::ErrorKind::WouldBlock,
                format!(
                    "the data folder {} is in use by another weir (process {}): stop that one, or give this one a folder of its own",
                    folder.display(),
                    if holder.is_empty() { "unknown" } else { holder }
                ),
            ))
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_owner() {
        let folder = tempfile::tempdir().unwrap();
        let held = lock(folder.path()).unwrap();
        let refused = lock(folder.path()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        assert!(refused.to_string().contains(&std::process::id().to_string()), "{refused}");
        drop(held);
        lock(folder.path()).unwrap();
    }

    #[test]
    fn a_durable_write_replaces_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        write_durably(&path, b"old").unwrap();
        write_durably(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
