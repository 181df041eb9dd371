//! `weir --demo`: a small make-believe stack (nginx, a Ruby web application, PostgreSQL, a Python worker, a Go
//! gateway) whose logs are written in the true Docker layout, with rotation, stack traces and bursts of trouble, so
//! that a machine without Docker sees weir work within a minute.
//!
//! `service` says what each service writes, `stack` when it writes, `json_file` how Docker keeps it on disk.

pub mod json_file;
pub mod rng;
mod service;
mod stack;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use weir_daemon::Shutdown;

use self::stack::Stack;

/// Any number will do; this one makes every service have its trouble within the opening backlog (see the tests).
const SEED: u64 = 1;

/// How much of the past is written at once at the start, so that the first search finds something.
const BACKLOG: SignedDuration = SignedDuration::from_secs(180);

/// How often the stack writes what has fallen due: often enough to look alive, seldom enough to cost nothing.
const BEAT: Duration = Duration::from_millis(200);

/// Writes the logs of the make-believe stack under `root` (as Docker does under `/var/lib/docker/containers`) until
/// `shutdown`: first three minutes of the past at once, then about 25 messages a second. `root` is made when it is
/// not there.
///
/// # Errors
/// The first file that cannot be written ends it.
pub async fn run(root: PathBuf, shutdown: Shutdown) -> io::Result<()> {
    let mut stack = Stack::create(&root, SEED, Timestamp::now() - BACKLOG)?;
    let mut beat = tokio::time::interval(BEAT);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            _ = beat.tick() => {}
        }
        // A few kilobytes into the page cache: not worth a thread of their own.
        stack.advance(Timestamp::now())?;
    }
}
