//! How many bytes are between the journal and the index at once: a queue that is bounded in bytes.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Bytes of request bodies that wait to be indexed. A body, its values and its journal record are about three times
/// that.
pub(crate) const WAITING_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// The count of bytes that are on their way.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    bytes: Mutex<u64>,
    changed: Condvar,
}

impl Flow {
    /// Waits for room. A share that is larger than the limit gets all of it.
    pub(crate) fn enter(self: &Arc<Self>, bytes: u64) -> Share {
        let bytes = bytes.min(WAITING_BYTES_MAX);
        let mut held = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        while *held + bytes > WAITING_BYTES_MAX {
            held = self.changed.wait(held).unwrap_or_else(PoisonError::into_inner);
        }
        *held += bytes;
        Share { flow: Arc::clone(self), bytes }
    }
}

/// Room that is given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    flow: Arc<Flow>,
    bytes: u64,
}

impl Drop for Share {
    fn drop(&mut self) {
        *self.flow.bytes.lock().unwrap_or_else(PoisonError::into_inner) -= self.bytes;
        self.flow.changed.notify_all();
    }
}
