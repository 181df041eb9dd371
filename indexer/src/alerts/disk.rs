//! How fast our own disk fills: the mean of the rate at which free space falls.

use std::time::{Duration, Instant};

/// Over how long the rate is a mean: what a merge writes and removes again is no trend.
const MEAN: Duration = Duration::from_secs(1800);
/// How long the disk is looked at before an estimate is believed.
const SETTLED: Duration = Duration::from_secs(900);

/// See the top of the file.
#[derive(Default)]
pub(super) struct Trend {
    begun: Option<Instant>,
    last: Option<(Instant, u64)>,
    falling: f64,
}

impl Trend {
    /// Notes the bytes that are free now.
    pub fn note(&mut self, free: u64) {
        self.note_at(Instant::now(), free);
    }

    fn note_at(&mut self, now: Instant, free: u64) {
        self.begun.get_or_insert(now);
        if let Some((then, before)) = self.last {
            let seconds = now.duration_since(then).as_secs_f64();
            if seconds > 0.0 {
                let fell = (before as f64 - free as f64) / seconds;
                self.falling += (fell - self.falling) * (1.0 - (-seconds / MEAN.as_secs_f64()).exp());
            }
        }
        self.last = Some((now, free));
    }

    /// When the disk will be full; `None` when it does not fill, or it is too early to say.
    pub fn full_in(&self) -> Option<Duration> {
        let ((now, free), begun) = (self.last?, self.begun?);
        // A thousand years are as good as never.
        let seconds = (self.falling >= 1.0).then(|| free as f64 / self.falling).filter(|seconds| *seconds < 3.2e10)?;
        (now.duration_since(begun) >= SETTLED).then(|| Duration::from_secs_f64(seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_fills_steadily_is_seen_and_one_that_breathes_is_not() {
        let (begin, mut filling, mut breathing) = (Instant::now(), Trend::default(), Trend::default());
        for second in (0..3 * 3600).step_by(30) {
            let at = begin + Duration::from_secs(second);
            filling.note_at(at, 100_000_000_000 - second * 2_000_000);
            breathing.note_at(at, 100_000_000_000 - (second / 30 % 2) * 500_000_000);
            if second < 600 {
                assert!(filling.full_in().is_none(), "too early");
            }
        }
        let hours = filling.full_in().unwrap().as_secs_f64() / 3600.0;
        assert!((8.0..16.0).contains(&hours), "{hours}");
        assert!(breathing.full_in().is_none_or(|span| span > Duration::from_secs(3600)));
    }
}
