//! What the harvester tells of itself: gauges, the state of every log for `status`, and what the node watch warns of.

use std::time::{Duration, Instant};

use crate::node::{LogReport, unlimited};
use crate::status::LogStatus;

use super::Harvester;

/// How often the gauges are set and the node is looked at.
const GAUGE_INTERVAL: Duration = Duration::from_secs(5);
/// Warnings of the node watch in one look: a thousand containers must not become a thousand events at once.
const WARNINGS_MAX: usize = 10;
/// How long until a warning about the same container is repeated.
const REPEAT: Duration = Duration::from_secs(24 * 3600);

impl Harvester {
    pub(super) fn set_gauges(&mut self, now: Instant) {
        self.next_gauges = now + GAUGE_INTERVAL;
        for slot in self.slots.iter_mut().flatten() {
            let chain = &slot.stream.chain;
            slot.growth.note(now, chain.position() + chain.lag());
        }
        let slots = || self.slots.iter().flatten();
        self.counters.logs.set(slots().count() as i64);
        self.counters.lag_bytes.set(slots().map(|slot| slot.stream.chain.lag()).sum::<u64>() as i64);
        let behind = slots().map(|slot| self.behind(slot, now)).max().unwrap_or_default();
        self.counters.lag_seconds.set(behind.as_secs() as i64);
        let headroom = slots().filter(|slot| !slot.excluded).filter_map(super::slot::Slot::headroom).min();
        self.counters.headroom_bytes.set(headroom.map_or(-1, |bytes| bytes as i64));
        let unlimited =
            slots().filter(|slot| slot.limits.as_ref().is_some_and(crate::docker::Limits::unlimited)).count();
        self.counters.unlimited.set(unlimited as i64);
        self.counters.growth.set(slots().map(|slot| slot.growth.rate).sum::<f64>() as i64);
        self.counters.spool_bytes.set(self.spool.used() as i64);
        self.counters.watched.set(self.watch.len() as i64);
        self.limit_held();
        self.watch_node(now);
    }

    fn behind(&self, slot: &super::slot::Slot, now: Instant) -> Duration {
        let waits = !slot.excluded && slot.stream.chain.lag() > 0;
        if waits { now.saturating_duration_since(slot.caught_up) } else { Duration::ZERO }
    }

    /// Warns of containers whose logs are never rotated, and of a disk that fills up.
    fn watch_node(&mut self, now: Instant) {
        // While nothing goes out there is no place for warnings either; they come later.
        if self.ready.is_some() {
            return;
        }
        let growth: f64 = self.slots.iter().flatten().map(|slot| slot.growth.rate).sum();
        if let Some(warning) = self.node.look(now, growth, &self.counters) {
            self.node.push(&warning, None, &mut self.batch);
        }
        let due = |slot: &super::slot::Slot| {
            let forever = slot.limits.as_ref().is_some_and(crate::docker::Limits::unlimited);
            forever && slot.warned.is_none_or(|at| now > at + REPEAT)
        };
        for slot in self.slots.iter_mut().flatten().filter(|slot| due(slot)).take(WARNINGS_MAX) {
            slot.warned = Some(now);
            let chain = &slot.stream.chain;
            let report = LogReport {
                name: slot.name(),
                bytes: chain.size_on_disk(),
                growth: slot.growth.rate,
                metadata: slot.stream.metadata.as_ref(),
                key: &slot.stream.key,
            };
            let warning = unlimited(&report);
            self.node.push(&warning, Some(&report), &mut self.batch);
        }
    }

    /// Answers those who ask for the state of every log.
    pub(super) fn answer(&mut self) {
        while let Ok(asker) = self.asked.try_recv() {
            let now = Instant::now();
            let logs = self.slots.iter().flatten().map(|slot| {
                let chain = &slot.stream.chain;
                let position = chain.position();
                LogStatus {
                    name: slot.name().to_owned(),
                    key: slot.stream.key.clone(),
                    path: chain.path().to_owned(),
                    state: if slot.excluded { "excluded" } else { "followed" },
                    offset: chain.file_offset(position),
                    size: chain.file_offset(position) + chain.lag(),
                    files: chain.files(),
                    lag_bytes: if slot.excluded { 0 } else { chain.lag() },
                    lag_seconds: self.behind(slot, now).as_secs_f64(),
                    unacknowledged_bytes: position.saturating_sub(slot.stream.acked[0].min(slot.stream.acked[1]))
                        % crate::tail::JUMP,
                    headroom_bytes: slot.headroom(),
                    held_bytes: chain.held(),
                    growth_bytes_per_second: slot.growth.rate as u64,
                    error: slot.error.clone(),
                }
            });
            // Who asked may have gone.
            let _ = asker.send(logs.collect());
        }
    }
}
