//! The input `file`: for trying a pipeline out on files. It follows growth, and starts anew where a file was replaced or
//! truncated. Positions are not kept: that is the shipper's job.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use weir_daemon::Shutdown;

use crate::event::{FieldPath, Text, Value};
use crate::glob;
use crate::input::feed::{Chunk, Sender};
use crate::input::frames::{Frames, Framing};
use crate::input::stream::{Dialect, LINE_BYTES_MAX, Reader};

/// How often files are looked at.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Bytes of one read.
const READ_BYTES: usize = 64 << 10;
/// Files followed at once.
const FILES_MAX: usize = 1000;

/// What to read.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    /// Patterns of paths.
    pub paths: Vec<String>,
    /// Patterns of file names to leave out.
    pub exclude: Vec<String>,
    /// Start at the end of the files that are there at first.
    pub from_end: bool,
    /// End when all files are read.
    pub exit_after_read: bool,
    /// How lines become events.
    pub dialect: Dialect,
}

struct Followed {
    file: File,
    inode: u64,
    position: u64,
    frames: Frames,
    reader: Reader,
}

/// Reads in a thread of its own, until shutdown or until all is read.
pub(crate) fn start(files: Files, sender: Sender, shutdown: Shutdown) {
    std::thread::spawn(move || {
        let mut followed: HashMap<PathBuf, Followed> = HashMap::new();
        let mut is_first_look = true;
        while !shutdown.is_cancelled() {
            look(&files, &mut followed, is_first_look);
            is_first_look = false;
            for (path, one) in &mut followed {
                if !read(path, one, files.exit_after_read, &sender, &shutdown) {
                    return;
                }
            }
            if files.exit_after_read {
                return;
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    });
}

/// Opens what is new or was replaced, and forgets what is gone.
fn look(files: &Files, followed: &mut HashMap<PathBuf, Followed>, is_first_look: bool) {
    let mut paths: Vec<PathBuf> = files.paths.iter().flat_map(|pattern| glob::files(pattern)).collect();
    paths.retain(|path| {
        let name = path.file_name().unwrap_or_default();
        !files.exclude.iter().any(|pattern| glob::matches(pattern.as_bytes(), name.as_encoded_bytes()))
    });
    if paths.len() > FILES_MAX {
        tracing::warn!(files = paths.len(), limit = FILES_MAX, "the file input follows only some of the files");
        paths.truncate(FILES_MAX);
    }
    followed.retain(|path, _| paths.contains(path));
    for path in paths {
        let Ok(metadata) = path.metadata() else { continue };
        if let Some(one) = followed.get(&path)
            && one.inode == metadata.ino()
            && one.position <= metadata.len()
        {
            continue;
        }
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "cannot open");
                continue;
            }
        };
        let mut position = 0;
        if files.from_end && is_first_look {
            position = file.seek(SeekFrom::End(0)).unwrap_or(0);
        }
        let nobody = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let one = Followed {
            file,
            inode: metadata.ino(),
            position,
            frames: Frames::new(Framing::Lines, LINE_BYTES_MAX),
            reader: Reader::new(&files.dialect, nobody),
        };
        followed.insert(path, one);
    }
}

/// Reads a file to its present end. False when nobody takes events any more.
fn read(path: &Path, one: &mut Followed, to_the_last: bool, sender: &Sender, shutdown: &Shutdown) -> bool {
    let name: Text = path.to_string_lossy().into_owned().into();
    let path_field = FieldPath::of(&["log", "file", "path"]);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        if shutdown.is_cancelled() {
            return false;
        }
        let read = match one.file.read(&mut buffer) {
            Ok(read) => read,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "cannot read");
                0
            }
        };
        one.position += u64::try_from(read).unwrap_or(0);
        one.frames.space().extend_from_slice(&buffer[..read]);
        let mut events = Vec::new();
        while let Some(frame) = one.frames.next() {
            one.reader.frame(&frame, &mut events);
        }
        if read == 0 {
            if to_the_last && let Some(frame) = one.frames.last() {
                one.reader.frame(&frame, &mut events);
            }
            one.reader.flush(&mut events);
        }
        for event in &mut events {
            event.set(&path_field, Value::Text(name.clone()));
        }
        if !events.is_empty() && sender.blocking_send(Chunk { events, delivered: None }).is_err() {
            return false;
        }
        if read == 0 {
            return true;
        }
    }
}
