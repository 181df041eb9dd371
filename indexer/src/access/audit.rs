//! The audit log: who logged in or failed to, what was denied, and what admins changed. One JSON object a line in
//! `audit.jsonl` in the data folder, which is kept within a size; never a password, a key, or the text of a query.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::time::format::iso;
use crate::time::now;
use crate::time::zone::Zone;

/// The file's name.
const FILE: &str = "audit.jsonl";
/// A file of this size is put aside as `audit.1.jsonl`.
const FILE_BYTES_MAX: u64 = 5_000_000;
/// Files put aside: with the current one 20 MB at most.
const KEPT: u32 = 3;
/// Failures written in a second: whoever floods must not push older entries out. The rest is counted, and the number
/// written.
const FAILURES_PER_SECOND: u32 = 20;
/// Longest text of a member: names and paths come from outside.
const TEXT_CHARS_MAX: usize = 200;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A password was right. (Programs that send it with each request are named once in a while, not each time.)
    Login,
    /// A password, a token or a session was not good.
    LoginFailed,
    /// An address tried too often.
    LoginLimited,
    /// A session was ended by its user.
    Logout,
    /// Somebody known asked for what they may not do.
    Denied,
    /// An admin changed something.
    Changed,
}

impl Event {
    fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::LoginFailed => "login_failed",
            Self::LoginLimited => "login_limited",
            Self::Logout => "logout",
            Self::Denied => "denied",
            Self::Changed => "changed",
        }
    }

    fn is_failure(self) -> bool {
        matches!(self, Self::LoginFailed | Self::LoginLimited | Self::Denied)
    }
}

struct Open {
    file: File,
    bytes: u64,
    second: Instant,
    failures: u32,
    left_out: u64,
}

/// The file. What cannot be written goes to our own log, with the reason.
pub struct Audit {
    folder: PathBuf,
    open: Mutex<Option<Open>>,
}

impl Audit {
    /// In this folder; the file is made with the first entry.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), open: Mutex::new(None) }
    }

    /// Writes one entry. `what` is a method and a path, or a user's name and why.
    ///
    /// A line of some hundred bytes goes to the page cache: that is not worth another thread.
    pub fn note(&self, event: Event, who: &str, peer: IpAddr, what: &str) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = self.write(&mut open, event, who, peer, what) {
            *open = None;
            let event = event.name();
            tracing::warn!(%error, event, who = short(who), %peer, what = short(what), "the audit log cannot be written");
        }
    }

    fn write(&self, open: &mut Option<Open>, event: Event, who: &str, peer: IpAddr, what: &str) -> std::io::Result<()> {
        if open.as_ref().is_some_and(|open| open.bytes >= FILE_BYTES_MAX) {
            *open = None;
            for n in (1..KEPT).rev() {
                put_aside(&self.named(n), &self.named(n + 1))?;
            }
            put_aside(&self.folder.join(FILE), &self.named(1))?;
        }
        let open = match open {
            Some(open) => open,
            None => {
                fs::create_dir_all(&self.folder)?;
                let path = self.folder.join(FILE);
                let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
                let bytes = file.metadata()?.len();
                open.insert(Open { file, bytes, second: Instant::now(), failures: 0, left_out: 0 })
            }
        };
        if open.second.elapsed() >= Duration::from_secs(1) {
            (open.second, open.failures) = (Instant::now(), 0);
        }
        if event.is_failure() {
            open.failures += 1;
            if open.failures > FAILURES_PER_SECOND {
                open.left_out += 1;
                return Ok(());
            }
        }
        let mut entry = json!({
            "@timestamp": iso(now(), &Zone::utc(), false), "event": event.name(), "user": short(who),
            "peer": peer.to_string(), "what": short(what),
        });
        if open.left_out > 0 {
            entry["failures_left_out_before"] = open.left_out.into();
        }
        let line = format!("{entry}\n");
        open.file.write_all(line.as_bytes())?;
        (open.bytes, open.left_out) = (open.bytes + line.len() as u64, 0);
        Ok(())
    }

    fn named(&self, number: u32) -> PathBuf {
        self.folder.join(format!("audit.{number}.jsonl"))
    }
}

fn put_aside(from: &Path, to: &Path) -> std::io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn short(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_lines_and_floods_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let audit = Audit::new(folder.path());
        let peer = IpAddr::from([10, 0, 0, 1]);
        audit.note(Event::Login, "al\n\"ice", peer, &"x".repeat(1_000));
        let begun = Instant::now();
        for _ in 0..FAILURES_PER_SECOND * 3 {
            audit.note(Event::LoginFailed, "mallory", peer, "wrong password");
        }
        let in_one_second = begun.elapsed() < Duration::from_millis(900);
        audit.note(Event::Logout, "alice", peer, "");
        let text = fs::read_to_string(folder.path().join(FILE)).unwrap();
        let entries: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(entries[0]["user"], "al\n\"ice");
        assert_eq!(entries[0]["what"].as_str().unwrap().len(), TEXT_CHARS_MAX);
        assert_eq!(entries.last().unwrap()["event"], "logout");
        if in_one_second {
            assert_eq!(entries.len(), 2 + FAILURES_PER_SECOND as usize);
            assert_eq!(entries.last().unwrap()["failures_left_out_before"], FAILURES_PER_SECOND * 2);
        }
    }

    #[test]
    fn a_full_file_is_put_aside_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["audit.jsonl", "audit.1.jsonl", "audit.2.jsonl", "audit.3.jsonl"] {
            let file = File::create(folder.path().join(name)).unwrap();
            file.set_len(FILE_BYTES_MAX + u64::from(name == "audit.3.jsonl")).unwrap();
        }
        let audit = Audit::new(folder.path());
        audit.note(Event::Login, "alice", IpAddr::from([10, 0, 0, 1]), "");
        audit.note(Event::Login, "alice", IpAddr::from([10, 0, 0, 1]), "");
        let size = |name: &str| fs::metadata(folder.path().join(name)).unwrap().len();
        assert!(size("audit.jsonl") < 1_000);
        assert_eq!(size("audit.3.jsonl"), FILE_BYTES_MAX, "the oldest is gone");
        assert!(!folder.path().join("audit.4.jsonl").exists());
    }
}
