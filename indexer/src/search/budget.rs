//! What one search may use: memory, time, buckets. Over it, an error in Elasticsearch's shape (time: a partial answer).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::aggs::MAX_BUCKETS;
use crate::query::{Refusal, Watch};

/// Memory of one search's own tables, in bytes. With [`super::state::permits`] at once it bounds all of them.
pub const MEMORY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long a search may take when the request sets no `timeout`.
pub const TIME_MAX: Duration = Duration::from_secs(30);

/// One search's budget.
pub struct Budget {
    /// Time, and what could not be read.
    pub watch: Arc<Watch>,
    used: AtomicUsize,
    /// Most buckets of the answer.
    pub buckets: usize,
}

impl Budget {
    /// A budget that starts now.
    pub fn new(timeout: Option<Duration>, buckets: Option<usize>) -> Budget {
        let time = timeout.map_or(TIME_MAX, |t| t.min(TIME_MAX));
        Budget { watch: Arc::new(Watch::new(time)), used: AtomicUsize::new(0), buckets: buckets.unwrap_or(MAX_BUCKETS) }
    }

    /// Whether there is still time. Once there is none, there never is again.
    pub fn in_time(&self) -> bool {
        self.watch.in_time()
    }

    /// Whether the answer is partial for lack of time.
    pub fn timed_out(&self) -> bool {
        self.watch.is_over()
    }

    /// Takes memory for a table that grew.
    pub fn charge(&self, bytes: usize) -> Result<(), Refusal> {
        if self.used.fetch_add(bytes, Ordering::Relaxed) + bytes > MEMORY_BYTES_MAX {
            return Err(Refusal::memory(MEMORY_BYTES_MAX));
        }
        Ok(())
    }
}
