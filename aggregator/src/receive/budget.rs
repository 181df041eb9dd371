//! The bytes that all connections may hold together, and the part of one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// What all connections hold, against a limit.
#[derive(Debug)]
pub(crate) struct Budget {
    max: usize,
    used: AtomicUsize,
    freed: Notify,
}

impl Budget {
    /// A budget of `max` bytes.
    pub fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, used: AtomicUsize::new(0), freed: Notify::new() })
    }

    /// Whether nothing more should be read. What is read already is counted even past the limit.
    pub fn is_spent(&self) -> bool {
        self.used.load(Ordering::Relaxed) >= self.max
    }

    /// Ends when some connection has let go of bytes after the call was polled first.
    pub async fn freed(&self) {
        self.freed.notified().await;
    }
}

/// What one connection holds. Let go of when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Share {
    /// A share of no bytes yet.
    pub fn new(budget: &Arc<Budget>) -> Self {
        Self { budget: budget.clone(), bytes: 0 }
    }

    /// Says how many bytes are held now.
    pub fn set(&mut self, bytes: usize) {
        if bytes >= self.bytes {
            self.budget.used.fetch_add(bytes - self.bytes, Ordering::Relaxed);
        } else {
            self.budget.used.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
            self.budget.freed.notify_waiters();
        }
        self.bytes = bytes;
    }

    /// The budget that it is a share of.
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_are_given_back() {
        let budget = Budget::new(100);
        let mut one = Share::new(&budget);
        let mut other = Share::new(&budget);
        one.set(60);
        other.set(39);
        assert!(!budget.is_spent());
        other.set(50);
        assert!(budget.is_spent(), "110 of 100");
        drop(one);
        assert!(!budget.is_spent());
        assert_eq!(budget.used.load(Ordering::Relaxed), 50);
    }
}
