//! How fast bytes may go out: a bucket that fills at the allowed rate, and holds a tenth of a second's worth at most.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// How much of a second may go out at once: short enough to be smooth, long enough for whole network packets.
const BURST: Duration = Duration::from_millis(100);

/// The pace of one connection.
pub(crate) struct Pace {
    /// Bytes a second; 0: no limit.
    rate: u64,
    /// Bytes that may go out now, as of `at`. Writes of a known size take from it.
    bytes: f64,
    at: Instant,
}

impl Pace {
    /// A pace of `rate` bytes a second; 0: as fast as it goes.
    pub(crate) fn new(rate: u64) -> Self {
        Self { rate, bytes: 0.0, at: Instant::now() }
    }

    /// How many of `wanted` bytes may go out now.
    pub(crate) fn allowed(&mut self, wanted: usize) -> usize {
        if self.rate == 0 {
            return wanted;
        }
        self.fill(Instant::now());
        wanted.min(self.bytes as usize)
    }

    fn fill(&mut self, now: Instant) {
        let burst = self.rate as f64 * BURST.as_secs_f64();
        let filled = self.bytes + self.rate as f64 * now.duration_since(self.at).as_secs_f64();
        self.bytes = filled.min(burst);
        self.at = now;
    }

    /// Says that bytes went out.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.bytes -= bytes as f64;
    }

    /// Waits until some may go out again.
    pub(crate) async fn wait(&self) {
        sleep_until(self.at + BURST / 4).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_out_is_what_the_rate_allows() {
        let mut pace = Pace::new(1000);
        let begin = pace.at;
        let mut out = 0;
        for step in 1..=400 {
            pace.fill(begin + Duration::from_millis(step * 25));
            let may = pace.bytes as usize;
            pace.sent(may);
            out += may;
        }
        assert!((9_900..=10_000).contains(&out), "{out} bytes in ten seconds");
        pace.fill(begin + Duration::from_secs(3600));
        assert_eq!(pace.bytes as usize, 100, "an hour of rest allows no flood");
        assert_eq!(Pace::new(0).allowed(usize::MAX), usize::MAX);
    }
}
