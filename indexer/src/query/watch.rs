//! What a query that is at work looks at and tells: whether there is time left, and what could not be read. tantivy's
//! scorers can neither be stopped from outside nor fail.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::Refusal;

/// Shared by all parts of one search.
#[derive(Debug)]
pub struct Watch {
    deadline: Instant,
    over: AtomicBool,
    damage: OnceLock<String>,
}

impl Watch {
    /// A watch that starts now.
    pub fn new(time: Duration) -> Self {
        Self { deadline: Instant::now() + time, over: AtomicBool::new(false), damage: OnceLock::new() }
    }

    /// Whether there is still time. Once there is none, there never is again.
    pub fn in_time(&self) -> bool {
        if self.is_over() {
            return false;
        }
        if Instant::now() < self.deadline {
            return true;
        }
        self.over.store(true, Ordering::Relaxed);
        false
    }

    /// Whether something was left out for lack of time.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Takes note of what could not be read; the first of it is told.
    pub fn damaged(&self, what: String) {
        self.damage.get_or_init(|| what);
    }

    /// # Errors
    /// 500 when something could not be read: what was found without it is no answer.
    pub fn check(&self) -> Result<(), Refusal> {
        self.damage.get().map_or(Ok(()), |what| Err(Refusal::internal(what.clone())))
    }
}
