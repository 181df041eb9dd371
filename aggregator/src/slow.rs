//! The log of slow filters: which one took how long on which line, now and then.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use weir_daemon::{Counter, Metrics};

use crate::pipeline::Slow;

/// A slow filter is told of this often at most, or a bad expression would fill the log.
const TELL_INTERVAL: Duration = Duration::from_secs(10);
/// Messages of this many bytes or more are always timed: time grows with the length of a line, by nothing else.
pub(crate) const WATCHED_BYTES: usize = 16 << 10;

/// See the module.
pub(crate) struct SlowFilters {
    /// Runs that take this long are told; none where there is none.
    pub min: Option<Duration>,
    told: Mutex<Option<Instant>>,
    count: Counter,
}

impl SlowFilters {
    /// Tells of runs that take `min` or longer; of none when it is zero.
    pub fn new(min: Duration, metrics: &Metrics) -> Self {
        let help = "Runs of a filter that took longer than slow_filter, of those that were timed.";
        Self {
            min: (!min.is_zero()).then_some(min),
            told: Mutex::default(),
            count: metrics.counter("weir_aggregator_slow_filters_total", help, &[]),
        }
    }

    /// Notes a slow run of the filter with this id.
    pub fn note(&self, filter: &str, slow: &Slow) {
        self.count.inc();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|told| told.elapsed() >= TELL_INTERVAL) {
            *told = Some(Instant::now());
            let took_ms = slow.took.as_secs_f64() * 1e3;
            tracing::warn!(filter, took_ms, message = %slow.message, "a filter is slow on this line");
        }
    }
}
