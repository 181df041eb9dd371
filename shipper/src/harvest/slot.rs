//! A log with its place in the harvester's schedule, and what is known of it beside its lines.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use crate::discover::FoundLog;
use crate::docker::{Limits, Metadata};
use crate::registry::Kind;
use crate::settings::Config;
use crate::stream::{Rules, Stream};
use crate::tail::{JUMP, News};

use super::POLL_MIN;

/// How long a new container's first lines wait for its `config.v2.json`, which Docker writes about when it starts.
const METADATA_WAIT: Duration = Duration::from_secs(1);
/// How often `config.v2.json` is looked at for a late arrival or a new name.
const METADATA_INTERVAL: Duration = Duration::from_secs(5);
/// Over how long a growth rate is a mean: long enough to be calm, short enough to warn of a runaway.
const GROWTH_MEAN: Duration = Duration::from_secs(60);

/// A log with its place in the schedule.
pub(super) struct Slot {
    pub(super) stream: Stream,
    pub(super) serial: u64,
    /// When it is looked at next; entries of the schedule with another time are stale.
    pub(super) next: Instant,
    pub(super) interval: Duration,
    /// What the last reading could not get past.
    pub(super) tried: Option<News>,
    /// Is among those that are read first when the queue is free again.
    pub(super) waiting: bool,
    /// Has a mark to get in the open batch.
    pub(super) touched: bool,
    pub(super) metadata_next: Instant,
    pub(super) metadata_until: Instant,
    metadata_modified: Option<SystemTime>,
    /// Not chosen by the settings.
    pub(super) excluded: bool,
    /// When the driver rotates; `None`: not known, or a plain file.
    pub(super) limits: Option<Limits>,
    pub(super) growth: Growth,
    /// When everything that was known was read last.
    pub(super) caught_up: Instant,
    /// What went wrong at the last look.
    pub(super) error: Option<String>,
    /// It was looked at since the kernel was asked to tell of writes.
    pub(super) told: bool,
    /// The node watch has said that the log is never rotated.
    pub(super) warned: Option<Instant>,
}

impl Slot {
    /// A log that was found just now.
    pub(super) fn new(log: &FoundLog, stream: Stream, serial: u64, now: Instant) -> Self {
        let wait = if log.kind == Kind::Docker { METADATA_WAIT } else { Duration::ZERO };
        Self {
            stream,
            serial,
            next: now,
            interval: POLL_MIN,
            tried: None,
            waiting: false,
            touched: false,
            metadata_next: now,
            metadata_until: now + wait,
            metadata_modified: None,
            excluded: false,
            limits: None,
            growth: Growth::default(),
            caught_up: now,
            error: None,
            told: false,
            warned: None,
        }
    }

    /// Reads `config.v2.json` if it is new, and decides whether the container is shipped.
    pub(super) fn describe(&mut self, rules: &Rules, config: &Config, now: Instant) {
        let Some(folder) = self.stream.chain.path().parent().map(Path::to_owned) else { return };
        let path = folder.join("config.v2.json");
        let modified = std::fs::metadata(&path).and_then(|metadata| metadata.modified()).ok();
        if modified.is_some() && modified != self.metadata_modified {
            // A file that is being written is read again at the next look.
            if let Ok(metadata) = Metadata::read(&path) {
                self.metadata_modified = modified;
                self.excluded = !config.choice.takes(&metadata);
                self.stream.describe(Some(metadata), rules);
                self.limits = Limits::read(&folder.join("hostconfig.json")).ok();
            }
        }
        let found = self.stream.metadata.is_some();
        self.metadata_next = if found || now >= self.metadata_until { now + METADATA_INTERVAL } else { now };
    }

    /// The name by which people know it: the container's, else the key.
    pub(super) fn name(&self) -> &str {
        self.stream.metadata.as_ref().and_then(|metadata| metadata.name.as_deref()).unwrap_or(&self.stream.key)
    }

    /// Bytes that may still be written before unread ones can be deleted by rotation; none: no rotation is known.
    pub(super) fn headroom(&self) -> Option<u64> {
        let capacity = self.limits.as_ref()?.capacity()?;
        Some(capacity.saturating_sub(self.stream.chain.lag()))
    }
}

/// How fast a log grows.
#[derive(Default)]
pub(super) struct Growth {
    last: Option<(Instant, u64)>,
    /// Bytes a second, over the last minute or so.
    pub(super) rate: f64,
}

impl Growth {
    /// Takes note of the position of a log's last known byte.
    pub(super) fn note(&mut self, now: Instant, end: u64) {
        if let Some((then, before)) = self.last {
            let seconds = now.duration_since(then).as_secs_f64();
            if seconds <= 0.0 {
                return;
            }
            // A loss of unknown size is not growth.
            let grown = (end.saturating_sub(before) % JUMP) as f64 / seconds;
            let weight = 1.0 - (-seconds / GROWTH_MEAN.as_secs_f64()).exp();
            self.rate += (grown - self.rate) * weight;
        }
        self.last = Some((now, end));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_growth_rate_comes_near_to_what_is_written_and_knows_no_jumps() {
        let mut growth = Growth::default();
        let begin = Instant::now();
        for second in 0..600_u64 {
            let jump = if second > 300 { JUMP } else { 0 };
            growth.note(begin + Duration::from_secs(second), second * 1000 + jump);
        }
        assert!((growth.rate - 1000.0).abs() < 1.0, "{}", growth.rate);
    }
}
