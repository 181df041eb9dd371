//! The shipper: follows container logs and plain files through every rotation, and sends their lines over Lumberjack.
//!
//! In the order in which a log line meets them:
//! - `discover` (which logs exist) and `choose` (which of them are shipped), woken early by `watch`;
//! - `identity` (is this the file I knew?) and `tail` (the files of one log, in order, through rotation);
//! - `docker` (the json-file line and what Docker writes beside it), `cri` (containerd's line), `escape` and `time` (text and times as JSON wants them);
//! - `stream` (one log from bytes to events), `multiline` (which lines belong together), `batch` (one window under way);
//! - `harvest` (the thread that owns all logs and gives each its turn), `send` (the connection to an
//!   aggregator), `outgoing` (a window in the form that this one takes) and its `pace`;
//! - `registry` (acknowledged positions on disk), `spool` (copies of rotated files while no aggregator takes anything);
//! - `counters`, `status` and `node` (what it tells of itself, and warns of).
//!
//! The shipper knows nothing of pipelines, levels or indices.

mod batch;
#[cfg(test)]
mod cases;
mod choose;
mod counters;
mod cri;
mod discover;
mod docker;
mod escape;
#[doc(hidden)]
pub mod fuzzing;
mod harvest;
mod identity;
#[cfg(test)]
mod model;
mod multiline;
mod node;
mod outgoing;
mod pace;
mod registry;
mod run;
mod send;
mod settings;
mod spool;
mod status;
mod stream;
mod tail;
mod time;
mod watch;

pub use run::{Error, run};
pub use settings::{Config, Settings};
pub use status::status;
