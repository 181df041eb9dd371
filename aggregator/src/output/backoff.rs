//! Waiting between attempts: twice as long each time, up to a limit, with jitter so that many peers do not come back at
//! the same moment.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// The wait after the first failure. Short: most failures are one restarted connection.
const FIRST: Duration = Duration::from_millis(100);

/// The state of one chain of attempts.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    max: Duration,
    random: u64,
}

impl Backoff {
    /// No failure yet; waits grow up to `max`.
    pub fn new(max: Duration) -> Self {
        Self { next: FIRST.min(max), max, random: RandomState::new().hash_one(0) | 1 }
    }

    /// How long to wait after one more failure: between half and all of the step, and no less than `at_least`
    /// (what a host asked for by `Retry-After`) unless that is longer than the limit.
    pub fn wait(&mut self, at_least: Option<Duration>) -> Duration {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let share = 0.5 + (self.random >> 11) as f64 / (1_u64 << 53) as f64 / 2.0;
        let step = self.next.mul_f64(share);
        self.next = (self.next * 2).min(self.max);
        step.max(at_least.unwrap_or_default()).min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_limit_and_heed_retry_after() {
        let mut backoff = Backoff::new(Duration::from_secs(2));
        let waits: Vec<Duration> = (0..8).map(|_| backoff.wait(None)).collect();
        assert!(waits[0] >= FIRST / 2 && waits[0] <= FIRST, "{waits:?}");
        assert!(waits[7] >= Duration::from_secs(1) && waits[7] <= Duration::from_secs(2), "{waits:?}");
        let mut backoff = Backoff::new(Duration::from_secs(2));
        assert_eq!(backoff.wait(Some(Duration::from_millis(1500))), Duration::from_millis(1500));
        assert_eq!(backoff.wait(Some(Duration::from_secs(3600))), Duration::from_secs(2));
    }
}
