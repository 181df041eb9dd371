//! The disk guard: weir never takes more than its budget, never fills the file system, and can start when somebody else
//! has filled it.
//!
//! - Bytes are counted before they are written: a request that would not fit is answered with 429.
//! - Over the budget, less room for a merge and the journal, the oldest closed partitions are dropped. That is done for
//!   our own growth only: when other people's files fill the disk, weir refuses writes and keeps what it has.
//! - The file `reserve` holds some megabytes that are given back to the file system when a start needs them.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};
use crate::settings::Config;

/// Part of what is free at start that weir takes at most, when `max_bytes` is unset.
const BUDGET_PERCENT: u64 = 70;
/// Part of the file system that is left free, when `min_free_bytes` is unset, and the most that this comes to.
const FLOOR_PERCENT: u64 = 5;
const FLOOR_BYTES_MAX: u64 = 2_000_000_000;
/// Size of the reserve: enough for the small files of a start, after which the oldest partition can be dropped.
const RESERVE_BYTES_MAX: u64 = 4_000_000;
/// For every byte of a request, a journal and an index are written; the index is smaller than the text.
const BYTES_PER_BYTE: u64 = 2;
/// Seconds after which a refused client is to come again: the oldest partition is dropped within one.
const RETRY_SECONDS: u32 = 2;

/// See the top of the file.
pub(crate) struct Guard {
    folder: PathBuf,
    /// Most bytes of the data folder.
    pub(crate) budget: u64,
    floor: u64,
    /// Largest partition within this budget.
    pub(crate) partition_bytes: u64,
    /// Largest journal within this budget.
    pub(crate) journal_bytes: u64,
    reserve_bytes: u64,
    used: AtomicU64,
    /// Bytes that were admitted since `used` was measured.
    admitted: AtomicU64,
}

impl Guard {
    /// Looks at the disk. `own` is what the data folder takes now.
    ///
    /// # Errors
    /// When the file system cannot be asked.
    pub(crate) fn new(config: &Config, own: u64) -> io::Result<Self> {
        let (free, total) = space(&config.data_dir)?;
        let budget = config.max_bytes.unwrap_or((free + own) / 100 * BUDGET_PERCENT);
        let floor = config.min_free_bytes.unwrap_or((total / 100 * FLOOR_PERCENT).min(FLOOR_BYTES_MAX));
        Ok(Self {
            folder: config.data_dir.clone(),
            budget,
            floor,
            partition_bytes: config.partition_bytes.min(budget / 5),
            journal_bytes: config.journal_bytes.min(budget / 8),
            reserve_bytes: RESERVE_BYTES_MAX.min(budget / 50),
            used: AtomicU64::new(own),
            admitted: AtomicU64::new(0),
        })
    }

    /// Counts a request of that many bytes, or refuses it.
    ///
    /// # Errors
    /// 429 when it would not fit.
    pub(crate) fn admit(&self, bytes: u64) -> Result<()> {
        self.admit_exactly(bytes.saturating_mul(BYTES_PER_BYTE))
    }

    /// Counts bytes that are written as they are, or refuses them.
    ///
    /// # Errors
    /// 429 when they would not fit.
    pub(crate) fn admit_exactly(&self, bytes: u64) -> Result<()> {
        let used = self.used.load(Ordering::Relaxed) + self.admitted.load(Ordering::Relaxed);
        if used.saturating_add(bytes) > self.budget {
            return Err(full(format!(
                "the data folder has {used} of its {} bytes; the oldest partition will be dropped",
                self.budget
            )));
        }
        let (free, _) = space(&self.folder)?;
        if free < self.floor.saturating_add(bytes) {
            return Err(full(format!(
                "the file system has {free} bytes left, and {} are always kept free",
                self.floor
            )));
        }
        self.admitted.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// What is used was measured anew.
    pub(crate) fn measured(&self, used: u64) {
        self.used.store(used, Ordering::Relaxed);
        self.admitted.store(0, Ordering::Relaxed);
    }

    /// Bytes used when last measured.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// How many bytes of partitions must go.
    pub(crate) fn surplus(&self) -> u64 {
        self.used().saturating_sub(self.budget - self.partition_bytes - self.journal_bytes)
    }

    /// Bytes free on the file system and in all of it.
    pub(crate) fn space(&self) -> io::Result<(u64, u64)> {
        space(&self.folder)
    }

    /// Whether writes are refused for the sake of the file system.
    pub(crate) fn is_starved(&self) -> bool {
        space(&self.folder).is_ok_and(|(free, _)| free < self.floor)
    }

    /// At start, on a disk without room: gives the reserve back, so that there is some to work with.
    pub(crate) fn release_reserve(&self) {
        if self.is_starved() {
            match fs::remove_file(self.folder.join("reserve")) {
                Ok(()) => tracing::warn!("the disk is full: the reserve was released to start"),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => tracing::error!(%error, "the disk is full, and the reserve cannot be released"),
            }
        }
    }

    /// Puts the reserve aside again when there is room.
    pub(crate) fn keep_reserve(&self) -> io::Result<()> {
        let path = self.folder.join("reserve");
        let is_whole = fs::metadata(&path).is_ok_and(|metadata| metadata.len() >= self.reserve_bytes);
        let (free, _) = space(&self.folder)?;
        if is_whole || free < self.floor + 2 * self.reserve_bytes {
            return Ok(());
        }
        // Written, not only sized: a hole would reserve nothing.
        let mut file = File::create(&path)?;
        let zeros = vec![0; 1 << 16];
        let mut left = self.reserve_bytes as usize;
        while left > 0 {
            let step = left.min(zeros.len());
            file.write_all(&zeros[..step])?;
            left -= step;
        }
        file.sync_all()
    }
}

fn full(reason: String) -> Error {
    Error::too_many_requests(
        "cluster_block_exception",
        format!("blocked by: [TOO_MANY_REQUESTS/12/disk guard]: {reason}"),
        RETRY_SECONDS,
    )
}

fn space(folder: &Path) -> io::Result<(u64, u64)> {
    let stat = rustix::fs::statvfs(folder)?;
    Ok((stat.f_bavail * stat.f_frsize, stat.f_blocks * stat.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    #[test]
    fn bytes_are_counted_before_they_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings {
            data_dir: folder.path().to_owned(),
            max_bytes: Some(weir_daemon::settings::Bytes(100_000_000)),
            min_free_bytes: Some(weir_daemon::settings::Bytes(0)),
            ..Settings::default()
        };
        let config = settings.check().unwrap();
        let guard = Guard::new(&config, 0).unwrap();
        guard.admit(30_000_000).unwrap();
        let refused = guard.admit(30_000_000).unwrap_err();
        assert_eq!((refused.status, refused.retry_after), (429, Some(RETRY_SECONDS)));
        guard.measured(30_000_000);
        guard.admit(30_000_000).unwrap();
        guard.measured(90_000_000);
        assert!(guard.surplus() > 0);
        guard.keep_reserve().unwrap();
        assert_eq!(fs::metadata(folder.path().join("reserve")).unwrap().len(), 2_000_000);
    }

    #[test]
    fn the_file_system_is_kept_from_filling() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings {
            data_dir: folder.path().to_owned(),
            max_bytes: Some(weir_daemon::settings::Bytes(u64::MAX / 4)),
            min_free_bytes: Some(weir_daemon::settings::Bytes(u64::MAX / 4)),
            ..Settings::default()
        };
        let guard = Guard::new(&settings.check().unwrap(), 0).unwrap();
        assert!(guard.is_starved());
        assert_eq!(guard.admit(1).unwrap_err().status, 429);
        fs::write(folder.path().join("reserve"), b"x").unwrap();
        guard.release_reserve();
        assert!(!folder.path().join("reserve").exists());
    }
}
