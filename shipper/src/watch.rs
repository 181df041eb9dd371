//! What the kernel tells about folders: one inotify instance for the whole process. It only wakes the scans early and
//! counts how often a live log file was created; the periodic scan is the truth. Where inotify is not to be had, or has
//! no watches left, everything works by polling.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};

/// Bytes of notifications that are taken from the kernel at once: some hundred.
const READ_BYTES: usize = 16 << 10;

/// What is told of a log's folder. Removals are asked for so that they stand between two creations: the kernel makes one
/// of equal notifications that follow each other.
const NAMES: WatchFlags =
    WatchFlags::CREATE.union(WatchFlags::MOVED_TO).union(WatchFlags::DELETE).union(WatchFlags::ONLYDIR);

/// Wakes the harvester from another thread.
#[derive(Debug)]
pub(crate) struct Bell(OwnedFd);

impl Bell {
    /// A bell that was not rung yet.
    ///
    /// # Errors
    /// When the process has no descriptors left.
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?))
    }

    /// Wakes the one who waits, or lets the next wait return at once.
    pub(crate) fn ring(&self) {
        // The only error is a full counter: the bell has been rung then.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    fn hush(&self) {
        // The only error is a bell that was not rung.
        let _ = rustix::io::read(&self.0, &mut [0_u8; 8]);
    }
}

/// One log whose folder is watched.
struct Watched {
    slot: usize,
    name: OsString,
}

/// The inotify instance and what it has told.
pub(crate) struct Watch {
    fd: Option<OwnedFd>,
    root: Option<i32>,
    logs: HashMap<i32, Vec<Watched>>,
    watch_of: HashMap<usize, i32>,
    /// Logs of which the kernel also tells that something was written.
    idle: HashSet<usize>,
    created: HashMap<usize, u64>,
    /// Logs whose files have changed names.
    pub(crate) woken: Vec<usize>,
    /// Something came into, or left, the Docker root.
    pub(crate) root_changed: bool,
    /// Notifications were lost: look at everything.
    pub(crate) overflown: bool,
}

impl Watch {
    /// An instance, or the promise to poll when the kernel has none left.
    pub(crate) fn new() -> Self {
        let fd = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC);
        if let Err(error) = &fd {
            tracing::warn!(%error, "no inotify instance: new files are found by polling only");
        }
        Self { fd: fd.ok(), ..Self::polling() }
    }

    /// Nothing is asked of the kernel: everything is found by looking.
    pub(crate) fn polling() -> Self {
        Self {
            fd: None,
            root: None,
            logs: HashMap::new(),
            watch_of: HashMap::new(),
            idle: HashSet::new(),
            created: HashMap::new(),
            woken: Vec::new(),
            root_changed: false,
            overflown: false,
        }
    }

    /// Watches the Docker root, unless it is watched already.
    pub(crate) fn root(&mut self, path: &Path) {
        if let Some(fd) = &self.fd
            && self.root.is_none()
        {
            let flags = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
            self.root = inotify::add_watch(fd, path, flags).ok();
        }
    }

    /// Watches the folder of a log. When there are no watches left, the log is polled.
    pub(crate) fn log(&mut self, slot: usize, live: &Path) {
        let (Some(fd), Some(folder), Some(name)) = (&self.fd, live.parent(), live.file_name()) else { return };
        if let Ok(watch) = inotify::add_watch(fd, folder, NAMES) {
            self.logs.entry(watch).or_default().push(Watched { slot, name: name.to_owned() });
            self.watch_of.insert(slot, watch);
            self.created.insert(slot, 0);
        }
    }

    /// Has the kernel tell when something is written to a log (or no longer, when it is busy: it is looked at often
    /// enough then). Answers whether it will be told: the log need not be looked at meanwhile.
    pub(crate) fn idle(&mut self, slot: usize, live: &Path, idle: bool) -> bool {
        let (Some(fd), Some(folder), true) = (&self.fd, live.parent(), self.watch_of.contains_key(&slot)) else {
            return false;
        };
        if self.idle.contains(&slot) == idle {
            return idle;
        }
        let flags = if idle { NAMES | WatchFlags::MODIFY } else { NAMES };
        // The same folder has the same watch: only what is told changes.
        let told = inotify::add_watch(fd, folder, flags).is_ok_and(|watch| self.watch_of.get(&slot) == Some(&watch));
        if told && idle {
            self.idle.insert(slot);
        } else {
            self.idle.remove(&slot);
        }
        told && idle
    }

    /// Whether the kernel tells of new containers.
    pub(crate) fn tells_of_root(&self) -> bool {
        self.root.is_some()
    }

    /// Folders that are watched.
    pub(crate) fn len(&self) -> usize {
        self.logs.len() + usize::from(self.root.is_some())
    }

    /// Ends the watch of a log.
    pub(crate) fn forget(&mut self, slot: usize) {
        self.created.remove(&slot);
        self.idle.remove(&slot);
        let Some(watch) = self.watch_of.remove(&slot) else { return };
        if let Some(logs) = self.logs.get_mut(&watch) {
            logs.retain(|log| log.slot != slot);
            if logs.is_empty() {
                self.logs.remove(&watch);
                if let Some(fd) = &self.fd {
                    // Gone already when its folder is gone.
                    let _ = inotify::remove_watch(fd, watch);
                }
            }
        }
    }

    /// How often the live file of a log was created since it is watched; `None` when it is not, or when notifications
    /// were lost.
    pub(crate) fn created(&mut self, slot: usize) -> Option<u64> {
        self.take();
        self.created.get(&slot).copied()
    }

    /// Takes over everything that the kernel has to tell.
    pub(crate) fn take(&mut self) {
        let Self { fd: Some(fd), root, logs, created, woken, root_changed, overflown, .. } = self else { return };
        let mut buffer = [MaybeUninit::<u8>::uninit(); READ_BYTES];
        let mut reader = inotify::Reader::new(fd.as_fd(), &mut buffer);
        // An error says that there is nothing more for now.
        while let Ok(event) = reader.next() {
            let flags = event.events();
            if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                *overflown = true;
                // Who missed a notification can prove nothing by counting.
                created.clear();
                continue;
            }
            if Some(event.wd()) == *root {
                *root_changed = true;
                if flags.contains(ReadFlags::IGNORED) {
                    *root = None;
                }
                continue;
            }
            if flags.contains(ReadFlags::IGNORED) {
                logs.remove(&event.wd());
                continue;
            }
            let Some(watched) = logs.get(&event.wd()) else { continue };
            let name = event.file_name().map_or(&b""[..], |name| name.to_bytes());
            for log in watched {
                if name.starts_with(log.name.as_bytes()) {
                    woken.push(log.slot);
                }
                if flags.contains(ReadFlags::CREATE)
                    && name == log.name.as_bytes()
                    && let Some(created) = created.get_mut(&log.slot)
                {
                    *created += 1;
                }
            }
        }
    }

    /// Waits until the kernel tells something, the bell is rung, or the time is over.
    pub(crate) fn wait(&self, bell: &Bell, timeout: Duration) {
        let bell_fd: BorrowedFd<'_> = bell.0.as_fd();
        let mut fds = vec![PollFd::new(&bell_fd, PollFlags::IN)];
        if let Some(fd) = &self.fd {
            fds.push(PollFd::new(fd, PollFlags::IN));
        }
        let timeout = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        };
        // An interrupted wait is a short one.
        let _ = poll(&mut fds, Some(&timeout));
        if fds[0].revents().contains(PollFlags::IN) {
            bell.hush();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn creations_of_the_live_name_are_counted_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let live = folder.path().join("a-json.log");
        let mut watch = Watch::new();
        watch.log(7, &live);
        assert_eq!(watch.created(7), Some(0));
        for _ in 0..3 {
            std::fs::write(&live, "x").unwrap();
            std::fs::rename(&live, folder.path().join("a-json.log.1")).unwrap();
            std::fs::write(folder.path().join("config.v2.json"), "{}").unwrap();
        }
        assert_eq!(watch.created(7), Some(3));
        for _ in 0..3 {
            std::fs::write(&live, "x").unwrap();
            std::fs::remove_file(&live).unwrap();
        }
        assert_eq!(watch.created(7), Some(6), "equal notifications are not made one");
        assert!(watch.woken.iter().all(|slot| *slot == 7));
        watch.forget(7);
        assert_eq!((watch.created(7), watch.len()), (None, 0));
    }

    #[test]
    fn a_bell_rung_before_the_wait_is_heard() {
        let (watch, bell) = (Watch::new(), Bell::new().unwrap());
        bell.ring();
        // Would hang for an hour otherwise.
        watch.wait(&bell, Duration::from_secs(3600));
    }
}
