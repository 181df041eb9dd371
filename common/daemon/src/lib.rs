//! What every weir role has, in the order in which a starting process meets it: `settings` are read and checked,
//! `logging` starts, `exposure` decides whether an address may be listened on, `tls` loads certificates, `files`
//! locks the data folder and writes durably, `metrics` counts, `admin` answers `/metrics` and `/health`, `service` tells
//! systemd.
//!
//! This crate knows nothing of log lines, pipelines or indices.

pub mod admin;
pub mod exposure;
pub mod files;
pub mod logging;
pub mod metrics;
pub mod service;
pub mod settings;
pub mod tls;

pub use admin::Health;
pub use metrics::{Counter, Gauge, Metrics};
/// Told to every long-running part: when it is cancelled, finish what was begun, with a deadline, and return.
pub use tokio_util::sync::CancellationToken as Shutdown;
