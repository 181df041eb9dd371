//! What every weir role has, in the order in which a starting process meets it: `settings` are read and checked,
//! `logging` starts, `exposure` decides whether an address may be listened on, `tls` loads certificates, `peers` bounds
//! connections, `files` locks the data folder and writes durably, `metrics` counts, `admin` answers `/metrics` and
//! `/health`, `service` tells systemd; `client` asks others over HTTP, with `base64` for credentials.
//!
//! This crate knows nothing of log lines, pipelines or indices.

pub mod admin;
pub mod base64;
pub mod client;
pub mod exposure;
pub mod files;
pub mod logging;
pub mod metrics;
pub mod peers;
pub mod service;
pub mod settings;
pub mod tls;

pub use admin::Health;
pub use metrics::{Counter, Gauge, Metrics};
/// Told to every long-running part: when it is cancelled, finish what was begun, with a deadline, and return.
pub use tokio_util::sync::CancellationToken as Shutdown;
