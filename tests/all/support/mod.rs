//! What the whole-system tests are made of: `say` tells the person who waits, `http` asks weir, `weir` starts and
//! kills its roles, `beats` speaks Lumberjack by hand, `docker` runs an engine and containers of our own,
//! `cluster` several machines that are a swarm, `stack` weir's stack on it, `images` makes weir's own, `corpus` makes the
//! lines with their known truth, `writers` are containers that write them, `found` compares the index with it.

pub mod beats;
pub mod cluster;
pub mod corpus;
pub mod docker;
pub mod found;
pub mod http;
pub mod images;
pub mod say;
pub mod stack;
pub mod weir;
pub mod writers;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Tests that load the machine take turns, whatever number of threads the tests are run with.
pub fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    // A test that failed in its turn says so itself; the next one starts afresh.
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The root of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder of shared material outside the repository, where there is one.
pub fn shared() -> Option<PathBuf> {
    let path = std::env::var_os("WEIR_SHARED").map_or_else(|| repository().join("../shared"), PathBuf::from);
    path.is_dir().then_some(path)
}

/// Where tests keep what is costly to make, such as Python environments: cargo's own folder for that.
pub fn kept() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}

/// Asks `probe` until it answers; after `limit` the test fails with what `probe` said last.
pub fn until<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match probe() {
            Ok(value) => return value,
            Err(why) => assert!(start.elapsed() < limit, "waited {} s for {what}: {why}", limit.as_secs()),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The seed of random moments: from `WEIR_TEST_SEED`, else from the clock. Say it, so that a failure can be tried again.
pub fn seed() -> u64 {
    match std::env::var("WEIR_TEST_SEED") {
        Ok(text) => text.parse().expect("WEIR_TEST_SEED is a number"),
        Err(_) => std::time::UNIX_EPOCH.elapsed().expect("the clock is past 1970").as_nanos() as u64,
    }
}
