//! A container's folder, written as Docker's json-file driver writes it.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A container that logs.
pub struct Container {
    pub id: String,
    pub folder: PathBuf,
    live: PathBuf,
    file: Option<File>,
    clock: u64,
}

impl Container {
    /// A container with its `config.v2.json` and an empty log.
    pub fn create(root: &Path, id: &str) -> Self {
        let mut container = Self::open(root, id);
        let config = format!(
            r#"{{"Name":"/name-of-{id}","Config":{{"Image":"img:1","Labels":{{"com.docker.swarm.service.name":"service-of-{id}"}}}}}}"#
        );
        std::fs::write(container.folder.join("config.v2.json"), config).unwrap();
        container.file();
        container
    }

    /// A container's folder without a file in it.
    pub fn open(root: &Path, id: &str) -> Self {
        let folder = root.join(id);
        std::fs::create_dir_all(&folder).unwrap();
        let live = folder.join(format!("{id}-json.log"));
        Self { id: id.to_owned(), folder, live, file: None, clock: 0 }
    }

    /// The live log.
    pub fn live(&self) -> &Path {
        &self.live
    }

    /// The rotated log of this number.
    pub fn rotated(&self, number: u32) -> PathBuf {
        self.folder.join(format!("{}-json.log.{number}", self.id))
    }

    fn file(&mut self) -> &mut File {
        let live = &self.live;
        self.file.get_or_insert_with(|| OpenOptions::new().create(true).append(true).open(live).unwrap())
    }

    /// Writes bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.file().write_all(bytes).unwrap();
    }

    /// One record, whose text is given as it was printed (its newline included, if it had one).
    pub fn record(&mut self, stream: &str, text: &str) -> String {
        self.clock += 1_000_000;
        let (seconds, nanos) = (self.clock / 1_000_000_000, self.clock % 1_000_000_000);
        let text = serde_json::to_string(text).unwrap();
        format!(
            "{{\"log\":{text},\"stream\":\"{stream}\",\"time\":\"2024-05-01T12:{:02}:{:02}.{nanos:09}Z\"}}\n",
            seconds / 60 % 60,
            seconds % 60
        )
    }

    /// Lets Docker's clock run on.
    pub fn pass(&mut self, seconds: u64) {
        self.clock += seconds * 1_000_000_000;
    }

    /// Writes one record.
    pub fn log(&mut self, stream: &str, text: &str) {
        let record = self.record(stream, text);
        self.raw(record.as_bytes());
    }

    /// Writes lines `n=<from>` up to `n=<to - 1>` to standard output.
    pub fn count(&mut self, numbers: std::ops::Range<usize>) {
        for n in numbers {
            self.log("stdout", &format!("n={n:09} request completed method=GET\n"));
        }
    }

    /// Rotates as Docker does: closes, renames, drops the oldest, makes a new file. `max_file` 1: unlink and create.
    pub fn rotate(&mut self, max_file: u32) {
        self.rotate_away(max_file);
        self.file();
    }

    /// The first half of a rotation: there is no live file after it.
    pub fn rotate_away(&mut self, max_file: u32) {
        self.file = None;
        if max_file < 2 {
            std::fs::remove_file(&self.live).unwrap();
        } else {
            for number in (1..max_file - 1).rev() {
                // The first rotations have nothing to move.
                let _ = std::fs::rename(self.rotated(number), self.rotated(number + 1));
            }
            std::fs::rename(&self.live, self.rotated(1)).unwrap();
        }
    }

    /// Bytes of the live log.
    pub fn size(&self) -> u64 {
        std::fs::metadata(&self.live).map_or(0, |metadata| metadata.len())
    }

    /// Removes the container and its folder.
    pub fn remove(mut self) {
        self.file = None;
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}

/// The messages that [`Container::count`] leads to.
pub fn counted(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|n| format!("n={n:09} request completed method=GET")).collect()
}
