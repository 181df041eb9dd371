//! The disk guard: weir never takes more than its budget, never fills the file system, and can start when somebody else
//! has filled it.
//!
//! - Bytes are counted before they are written: a request that would not fit is answered with 429. Counted are also
//!   those that are *owed*: what is in the journal is to be written to the index as well, and a merge writes its segments
//!   once more before the old ones go. So neither a commit nor a merge takes what is to be kept free.
//! - Over the budget, less what is owed and what comes until the next look, the oldest closed partitions are dropped.
//!   That is done for our own growth only: when other people's files fill the disk, weir refuses writes and keeps what
//!   it has.
//! - A merge begins only when its output fits ([`RoomyMerges`]).
//! - The file `reserve` holds some megabytes that are given back to the file system when a start needs them.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tantivy::SegmentMeta;
use tantivy::indexer::{LogMergePolicy, MergeCandidate, MergePolicy};

use super::partition::segment_bytes;
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
/// Parts of the budget: of the open partition, which a merge may double, and of the journal, whose index is owed. What
/// is left is for closed partitions.
const PARTITION_PART: u64 = 10;
const JOURNAL_PART: u64 = 16;
/// Most bytes that merges of one partition write before their old segments go.
pub(crate) const MERGE_BYTES_MAX: u64 = 256 * 1024 * 1024;
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
    /// What is to be written still for what is there, when last measured.
    owed: AtomicU64,
    /// All bytes that were ever admitted; of them those that are in the journal; of these those that were measured.
    admitted: AtomicU64,
    journalled: AtomicU64,
    measured: AtomicU64,
    /// Bytes of the largest request that was refused since the last look.
    wanted: AtomicU64,
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
            partition_bytes: config.partition_bytes.min(budget / PARTITION_PART),
            journal_bytes: config.journal_bytes.min(budget / JOURNAL_PART),
            reserve_bytes: RESERVE_BYTES_MAX.min(budget / 50),
            used: AtomicU64::new(own),
            owed: AtomicU64::new(0),
            admitted: AtomicU64::new(0),
            journalled: AtomicU64::new(0),
            measured: AtomicU64::new(0),
            wanted: AtomicU64::new(0),
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
        let used = self.used().saturating_add(self.coming());
        if used.saturating_add(bytes) > self.budget {
            self.wanted.fetch_max(bytes, Ordering::Relaxed);
            return Err(full(format!(
                "the data folder has or needs {used} of its {} bytes; the oldest partition will be dropped",
                self.budget
            )));
        }
        let (free, _) = space(&self.folder)?;
        if free < self.floor.saturating_add(self.coming()).saturating_add(bytes) {
            return Err(full(format!(
                "the file system has {free} bytes left, {} are always kept free, and {} are needed for what was accepted",
                self.floor,
                self.coming()
            )));
        }
        self.admitted.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// What was admitted is in the journal, whose bytes are told.
    pub(crate) fn journalled(&self) {
        self.journalled.store(self.admitted.load(Ordering::Relaxed), Ordering::Release);
    }

    /// How much of what was admitted will be seen by a measurement that begins now.
    pub(crate) fn begin_measuring(&self) -> u64 {
        self.journalled.load(Ordering::Acquire)
    }

    /// What is used and owed was measured anew.
    pub(crate) fn measured(&self, begun: u64, used: u64, owed: u64) {
        let reserve = fs::metadata(self.folder.join("reserve")).map_or(0, |reserve| reserve.len());
        self.used.store(used + reserve, Ordering::Relaxed);
        self.owed.store(owed, Ordering::Relaxed);
        self.measured.fetch_max(begun, Ordering::Relaxed);
    }

    /// So much was admitted since the last measurement that it is time for the next.
    pub(crate) fn is_due(&self) -> bool {
        self.unmeasured() > self.journal_bytes / 2
    }

    fn unmeasured(&self) -> u64 {
        self.admitted.load(Ordering::Relaxed).saturating_sub(self.measured.load(Ordering::Relaxed))
    }

    /// Bytes that will be written although nothing more is accepted.
    fn coming(&self) -> u64 {
        self.owed.load(Ordering::Relaxed).saturating_add(self.unmeasured())
    }

    /// Bytes used when last measured.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// How many bytes of partitions must go, for what is owed and what comes until the next look to fit.
    pub(crate) fn surplus(&self) -> u64 {
        // What can hardly ever fit is no reason to drop everything.
        let wanted = Some(self.wanted.swap(0, Ordering::Relaxed)).filter(|wanted| *wanted <= self.budget / 2);
        let growth = (BYTES_PER_BYTE * self.journal_bytes).max(wanted.unwrap_or(0));
        let needed = self.used().saturating_add(self.owed.load(Ordering::Relaxed)).saturating_add(growth);
        needed.saturating_sub(self.budget)
    }

    /// Whether so many bytes can be written now, and stay within budget and floor.
    pub(crate) fn has_room(&self, bytes: u64) -> bool {
        let fits = self.used().saturating_add(self.unmeasured()).saturating_add(bytes) <= self.budget;
        let needed = self.floor.saturating_add(self.unmeasured()).saturating_add(bytes);
        fits && space(&self.folder).is_ok_and(|(free, _)| free >= needed)
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

/// Merges like the policy that it holds, as far as there is room for what they write.
pub(crate) struct RoomyMerges {
    pub(crate) guard: Arc<Guard>,
    /// Of the partition.
    pub(crate) folder: PathBuf,
    pub(crate) policy: LogMergePolicy,
}

impl std::fmt::Debug for RoomyMerges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.policy.fmt(f)
    }
}

impl MergePolicy for RoomyMerges {
    fn compute_merge_candidates(&self, segments: &[SegmentMeta]) -> Vec<MergeCandidate> {
        let mut candidates = self.policy.compute_merge_candidates(segments);
        if candidates.is_empty() {
            return candidates;
        }
        let sizes = segment_bytes(&self.folder);
        let mut bytes = 0;
        candidates.retain(|candidate| {
            let more: u64 = candidate.0.iter().filter_map(|id| sizes.get(&id.uuid_string())).sum();
            let fits = bytes + more <= MERGE_BYTES_MAX && self.guard.has_room(bytes + more);
            bytes += if fits { more } else { 0 };
            fits
        });
        candidates
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
        guard.journalled();
        guard.measured(guard.begin_measuring(), 30_000_000, 0);
        guard.admit(30_000_000).unwrap();
        // In no journal yet: a measurement does not see it.
        guard.measured(guard.begin_measuring(), 30_000_000, 0);
        assert_eq!(guard.admit(10_000_000).unwrap_err().status, 429);
        guard.journalled();
        guard.measured(guard.begin_measuring(), 40_000_000, 30_000_000);
        guard.admit(15_000_000).unwrap();
        assert_eq!(guard.admit(1).unwrap_err().status, 429, "what is owed counts");
        guard.measured(guard.begin_measuring(), 90_000_000, 0);
        assert!(guard.surplus() > 0);
        guard.measured(guard.begin_measuring(), 60_000_000, 0);
        assert_eq!(guard.surplus(), 0);
        guard.admit(22_000_000).unwrap_err();
        assert_eq!(guard.surplus(), 4_000_000, "room is made for what was refused");
        guard.admit(40_000_000).unwrap_err();
        assert_eq!(guard.surplus(), 0, "but not for what is larger than half of the budget");
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
