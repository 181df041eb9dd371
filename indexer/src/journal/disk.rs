//! The few things that the journal asks of a disk, so that tests can put one in its place that forgets.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::path::PathBuf;

/// A folder of files that grow at their end.
pub(crate) trait Disk: Send + Sync {
    /// Names of the files, in no order.
    fn names(&self) -> io::Result<Vec<String>>;
    /// A new, empty file; its name is durable after [`sync_names`](Self::sync_names).
    fn create(&self, name: &str) -> io::Result<Box<dyn Out>>;
    /// A file from its beginning, and its length.
    fn read(&self, name: &str) -> io::Result<(Box<dyn Read>, u64)>;
    /// Cuts a file and syncs it.
    fn truncate(&self, name: &str, len: u64) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes created and removed names durable.
    fn sync_names(&self) -> io::Result<()>;
}

/// A file that is written.
pub(crate) trait Out: Send {
    /// Appends; not durable before [`sync`](Self::sync).
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes all that was appended durable.
    fn sync(&mut self) -> io::Result<()>;
}

/// A real folder.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Disk for Folder {
    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let name = entry?.file_name();
            names.extend(name.to_str().map(str::to_owned));
        }
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Out>> {
        Ok(Box::new(OpenOptions::new().create_new(true).append(true).open(self.0.join(name))?))
    }

    fn read(&self, name: &str) -> io::Result<(Box<dyn Read>, u64)> {
        let file = File::open(self.0.join(name))?;
        let len = file.metadata()?.len();
        Ok((Box::new(file), len))
    }

    fn truncate(&self, name: &str, len: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(self.0.join(name))?;
        file.set_len(len)?;
        file.sync_all()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.0.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    fn sync_names(&self) -> io::Result<()> {
        weir_daemon::files::sync_dir(&self.0)
    }
}

impl Out for File {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        io::Write::write_all(self, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.flush()?;
        self.sync_data()
    }
}
