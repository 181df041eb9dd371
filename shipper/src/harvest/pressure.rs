//! What the harvester does while windows do not go out as fast as logs grow: rotated files are held open up to a limit,
//! copied to the spool where there is one, and given up only then. And the limit on its own use of the processor.

use std::time::{Duration, Instant};

use crate::spool::CopyOf;

use super::Harvester;

/// How long the queue must be full before files are copied: a slow second is no outage.
const STUCK_MIN: Duration = Duration::from_secs(1);
/// Over how long the processor's use is a mean.
const CPU_WINDOW: Duration = Duration::from_millis(200);
/// The kernel counts a process's time in hundredths of a second in `/proc`, on every architecture that Docker runs on.
const TICKS_PER_SECOND: f64 = 100.0;

impl Harvester {
    /// Copies rotated files to the spool while nothing goes out. Answers whether there is more to copy at once.
    pub(super) fn fill_spool(&mut self, now: Instant) -> bool {
        if !self.spool.busy() {
            if self.stuck.is_none_or(|since| now < since + STUCK_MIN) {
                return false;
            }
            let Some((of, begun)) = self.begin_copy() else { return false };
            if let Err(error) = begun {
                self.spool_failed(of, &error);
                return false;
            }
        }
        match self.spool.step(&mut self.buffer) {
            Ok(None) => true,
            Ok(Some((of, copy))) => {
                let slot = self.slots.iter_mut().flatten().find(|slot| CopyOf::new(&slot.stream.key, 0).log == of.log);
                let used = slot.map(|slot| slot.stream.chain.use_copy(of.base, copy));
                if matches!(used, Some(Ok(true))) {
                    self.counters.spooled.inc();
                    // The copy stands for the file only if the registry knows the file.
                    self.save_durably();
                } else {
                    self.spool.remove(of);
                }
                true
            }
            Err(error) => {
                self.counters.io_errors.inc();
                self.health.trouble("spool", format!("cannot write the spool: {error}"));
                tracing::warn!(%error, "a rotated file could not be copied to the spool");
                self.stuck = Some(now);
                false
            }
        }
    }

    /// Begins to copy the first file that has room, if any has.
    fn begin_copy(&mut self) -> Option<(CopyOf, std::io::Result<()>)> {
        for slot in self.slots.iter().flatten().filter(|slot| !slot.excluded) {
            if let Some((base, file, size)) = slot.stream.chain.to_spool()
                && size > 0
                && self.spool.has_room(size)
            {
                let of = CopyOf::new(&slot.stream.key, base);
                return Some((of, self.spool.begin(of, file, size)));
            }
        }
        None
    }

    fn spool_failed(&mut self, of: CopyOf, error: &std::io::Error) {
        self.counters.io_errors.inc();
        self.health.trouble("spool", format!("cannot write the spool: {error}"));
        tracing::warn!(%error, ?of, "a rotated file could not be copied to the spool");
        // Tried again after a while, not at once.
        self.stuck = Some(Instant::now());
    }

    /// Lets go of deleted files beyond the limit, those of the log that holds most first. Each becomes a gap record.
    pub(super) fn limit_held(&mut self) {
        let mut held: Vec<(u64, usize)> = (self.slots.iter().enumerate())
            .filter_map(|(index, slot)| slot.as_ref().map(|slot| (slot.stream.chain.held(), index)))
            .filter(|(bytes, _)| *bytes > 0)
            .collect();
        let mut total: u64 = held.iter().map(|(bytes, _)| bytes).sum();
        self.counters.held_bytes.set(total as i64);
        while total > self.config.held_bytes_max {
            let Some((bytes, index)) = held.iter_mut().max() else { return };
            let index = *index;
            let let_go = self.slots[index].as_mut().and_then(|slot| {
                slot.tried = None;
                slot.stream.chain.let_go()
            });
            let Some(size) = let_go.filter(|_| *bytes > 0) else { return };
            *bytes = bytes.saturating_sub(size);
            total = total.saturating_sub(size);
            self.counters.let_go.inc();
            self.schedule_at(index, Instant::now(), super::POLL_MIN);
        }
        self.counters.held_bytes.set(total as i64);
    }

    /// How long to rest so that this process stays under the limit of processor time.
    pub(super) fn rest(&mut self, now: Instant) -> Option<Duration> {
        if self.config.cpu_percent_max == 0 {
            return None;
        }
        let share = f64::from(self.config.cpu_percent_max) / 100.0;
        let used = cpu_seconds();
        let (since, before) = *self.cpu.get_or_insert((now, used));
        let elapsed = now.duration_since(since);
        let due = Duration::from_secs_f64((used - before).max(0.0) / share);
        if due <= elapsed {
            if elapsed > CPU_WINDOW {
                self.cpu = Some((now, used));
            }
            return None;
        }
        Some(due - elapsed)
    }
}

/// Processor time of this process, user and system.
fn cpu_seconds() -> f64 {
    // Without /proc there is no limit: it is missing only where nothing else of this works either.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok());
    ticks.sum::<f64>() / TICKS_PER_SECOND
}
