//! Writes container logs the way Docker's json-file driver does: the folder layout, the record, the 16 KB split and
//! the rotation. The demo and the whole-system tests share it.
//!
//! Rotation, as in moby's `loggerutils/logfile.go`: *before* a write, when the file already holds `max-size` bytes or
//! more, `.N-1` becomes `.N` and so on, the live file becomes `.1`, and a new file takes its name (a new inode, and
//! from then on without O_APPEND). With `max-file=1` the live file is unlinked and created anew.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// The longest piece of a line in one record; dockerd reads a container's output through a buffer of this size, and
/// a line that does not fit becomes several records of which only the last ends in a newline.
pub const PIECE_BYTES_MAX: usize = 16 * 1024;

/// Which of its two outputs a container wrote to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// What `config.v2.json` says about a container.
#[derive(Debug, Clone)]
pub struct Container {
    /// 64 hexadecimal digits.
    pub id: String,
    /// The name without Docker's leading slash.
    pub name: String,
    /// The image as it was asked for, such as `nginx:1.27`.
    pub image: String,
    /// Labels of the container.
    pub labels: Vec<(String, String)>,
}

/// The options `max-size` and `max-file` of the json-file driver.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A file that holds this many bytes is rotated away before the next record; `None` never rotates.
    pub size_bytes_max: Option<u64>,
    /// How many files there may be, the live one included.
    pub files_max: u32,
}

/// The log of one container: the live file, and the rotated ones beside it.
#[derive(Debug)]
pub struct JsonFile {
    path: PathBuf,
    limits: Limits,
    file: File,
    size_bytes: u64,
    record: Vec<u8>,
}

impl JsonFile {
    /// Makes the container's folder under `root` (Docker's `containers` folder) with `config.v2.json` and
    /// `hostconfig.json`, and opens its log.
    pub fn create(root: &Path, container: &Container, limits: Limits, at: Timestamp) -> io::Result<Self> {
        let folder = root.join(&container.id);
        fs::create_dir_all(&folder)?;
        let path = folder.join(format!("{}-json.log", container.id));
        fs::write(folder.join("config.v2.json"), config(container, &path, at).to_string())?;
        fs::write(folder.join("hostconfig.json"), host_config(limits).to_string())?;
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        let size_bytes = file.metadata()?.len();
        Ok(Self { path, limits, file, size_bytes, record: Vec::new() })
    }

    /// The live file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends one line (`text` without its newline) that the container wrote to `stream` at the time `at`.
    pub fn write(&mut self, stream: Stream, text: &[u8], at: Timestamp) -> io::Result<()> {
        let mut rest = text;
        while rest.len() >= PIECE_BYTES_MAX {
            let (piece, after) = rest.split_at(PIECE_BYTES_MAX);
            self.write_record(stream, piece, false, at)?;
            rest = after;
        }
        self.write_record(stream, rest, true, at)
    }

    fn write_record(&mut self, stream: Stream, piece: &[u8], whole: bool, at: Timestamp) -> io::Result<()> {
        if self.limits.size_bytes_max.is_some_and(|max| self.size_bytes >= max) {
            self.rotate()?;
        }
        self.record.clear();
        self.record.extend_from_slice(b"{\"log\":\"");
        escape(&String::from_utf8_lossy(piece), &mut self.record);
        if whole {
            self.record.extend_from_slice(b"\\n");
        }
        writeln!(self.record, "\",\"stream\":\"{}\",\"time\":\"{at}\"}}", stream.name())?;
        self.file.write_all(&self.record)?;
        self.size_bytes += self.record.len() as u64;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        if self.limits.files_max < 2 {
            fs::remove_file(&self.path)?;
        } else {
            let rotated = |n: u32| PathBuf::from(format!("{}.{n}", self.path.display()));
            for n in (2..self.limits.files_max).rev() {
                match fs::rename(rotated(n - 1), rotated(n)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {} // There are not yet as many rotated files as there may be.
                }
            }
            fs::rename(&self.path, rotated(1))?;
        }
        self.file = OpenOptions::new().create(true).write(true).truncate(true).open(&self.path)?;
        self.size_bytes = 0;
        Ok(())
    }
}

/// Escapes as Docker's own encoder (`jsonlog`) does, which follows Go's: HTML's special characters too.
fn escape(text: &str, out: &mut Vec<u8>) {
    for character in text.chars() {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\0'..='\x1f' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.extend_from_slice(format!("\\u{:04x}", u32::from(character)).as_bytes());
            }
            _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

fn config(container: &Container, path: &Path, at: Timestamp) -> Value {
    let labels: Map<String, Value> = container.labels.iter().map(|(k, v)| (k.clone(), v.clone().into())).collect();
    json!({
        "StreamConfig": {},
        "State": {"Running": true, "Paused": false, "Restarting": false, "OOMKilled": false, "Dead": false,
                  "Pid": 1, "ExitCode": 0, "Error": "", "StartedAt": at.to_string()},
        "ID": container.id,
        "Created": at.to_string(),
        "Managed": false,
        "Path": "/entrypoint",
        "Args": [],
        "Config": {"Hostname": container.id.get(..12), "Image": container.image, "Env": [], "Labels": labels},
        "LogPath": path,
        "Name": format!("/{}", container.name),
        "Driver": "overlay2",
        "RestartCount": 0,
    })
}

fn host_config(limits: Limits) -> Value {
    let mut options = Map::new();
    if let Some(bytes) = limits.size_bytes_max {
        options.insert("max-size".into(), bytes.to_string().into());
        options.insert("max-file".into(), limits.files_max.to_string().into());
    }
    json!({"Binds": null, "LogConfig": {"Type": "json-file", "Config": options}, "NetworkMode": "default"})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container() -> Container {
        Container {
            id: "ab".repeat(32),
            name: "shop_web.1".into(),
            image: "web:1".into(),
            labels: vec![("com.docker.swarm.service.name".into(), "shop_web".into())],
        }
    }

    fn open(root: &Path, size_bytes_max: Option<u64>, files_max: u32) -> JsonFile {
        JsonFile::create(root, &container(), Limits { size_bytes_max, files_max }, Timestamp::UNIX_EPOCH).unwrap()
    }

    fn records(path: &Path) -> Vec<Value> {
        fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn writes_dockers_layout_and_record() {
        let root = tempfile::tempdir().unwrap();
        let mut log = open(root.path(), None, 1);
        log.write(Stream::Stderr, b"a <b> \"c\" \t\\ \xff", "2026-01-02T03:04:05.12Z".parse().unwrap()).unwrap();
        let id = "ab".repeat(32);
        let text = fs::read_to_string(root.path().join(&id).join(format!("{id}-json.log"))).unwrap();
        assert_eq!(
            text,
            "{\"log\":\"a \\u003cb\\u003e \\\"c\\\" \\u0009\\\\ \u{fffd}\\n\",\"stream\":\"stderr\",\
             \"time\":\"2026-01-02T03:04:05.12Z\"}\n"
        );
        let config: Value =
            serde_json::from_slice(&fs::read(root.path().join(&id).join("config.v2.json")).unwrap()).unwrap();
        assert_eq!(config["Name"], "/shop_web.1");
        assert_eq!(config["Config"]["Labels"]["com.docker.swarm.service.name"], "shop_web");
    }

    #[test]
    fn rotates_before_the_write_that_finds_the_file_full() {
        let root = tempfile::tempdir().unwrap();
        let mut log = open(root.path(), Some(200), 3);
        for n in 0..12 {
            log.write(Stream::Stdout, format!("line {n}").as_bytes(), Timestamp::UNIX_EPOCH).unwrap();
        }
        let name = log.path().display().to_string();
        let mut lines = Vec::new();
        for suffix in [".2", ".1", ""] {
            let records = records(Path::new(&format!("{name}{suffix}")));
            lines.push(records.iter().map(|r| r["log"].as_str().unwrap().to_owned()).collect::<Vec<_>>());
        }
        // A record has 69 or 70 bytes, so three of them fill a file, and the first file of the four is gone.
        let expected: Vec<Vec<String>> =
            [3..6, 6..9, 9..12].map(|range| range.map(|n| format!("line {n}\n")).collect()).to_vec();
        assert_eq!(lines, expected);
        assert!(!Path::new(&format!("{name}.3")).exists());
    }

    #[test]
    fn one_file_only_is_unlinked_and_made_anew() {
        let root = tempfile::tempdir().unwrap();
        let mut log = open(root.path(), Some(1), 1);
        log.write(Stream::Stdout, b"first", Timestamp::UNIX_EPOCH).unwrap();
        log.write(Stream::Stdout, b"second", Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(records(log.path()).len(), 1);
        assert_eq!(records(log.path())[0]["log"], "second\n");
        assert_eq!(fs::read_dir(log.path().parent().unwrap()).unwrap().count(), 3);
    }

    #[test]
    fn splits_long_lines_into_pieces_of_16_kb() {
        let root = tempfile::tempdir().unwrap();
        let mut log = open(root.path(), None, 1);
        log.write(Stream::Stdout, &vec![b'x'; 2 * PIECE_BYTES_MAX + 5], Timestamp::UNIX_EPOCH).unwrap();
        let lengths: Vec<usize> = records(log.path()).iter().map(|r| r["log"].as_str().unwrap().len()).collect();
        assert_eq!(lengths, [PIECE_BYTES_MAX, PIECE_BYTES_MAX, 6]);
    }
}
