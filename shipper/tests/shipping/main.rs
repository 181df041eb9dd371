//! The shipper as a process of its own, into a sink that acknowledges and stores as the indexer does.
//!
//! Tests named `row_NN_…` reproduce a known failure of other shippers, by the number of its row in the field notes on
//! tailing Docker logs (some of them stand beside the code, in `src`).

mod container;
mod delivery;
mod docker;
#[allow(dead_code, reason = "what only the whole-system tests need of it")]
#[path = "../../../tests/all/support/docker.rs"]
mod engine;
mod lines;
mod node;
mod plain;
mod pressure;
mod rotation;
mod rows;
mod shipper;
mod sink;
mod tls;

use std::time::{Duration, Instant};

/// Asks `probe` until it answers; after `limit` the test fails with what `probe` said last.
fn until<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match probe() {
            Ok(value) => return value,
            Err(why) => assert!(start.elapsed() < limit, "waited {} s for {what}: {why}", limit.as_secs()),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
