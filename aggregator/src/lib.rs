//! The aggregator: Lumberjack in, Logstash pipelines in the middle, `_bulk` out. In the order in which an event meets
//! them:
//! - `settings`: what was typed, and what it means;
//! - `receive`: the Beats port, and one connection on it;
//! - `event`: the one event type;
//! - `pipeline`: text to checked program, and running it; `filter`: the filters, one to a file;
//! - `work`: from a received document to the buffers of the outputs;
//! - `level`: which level a line states;
//! - `batch`: what some windows have become, and which acknowledgements wait for it;
//! - `output`: delivery.
//!
//! It keeps nothing on disk, acknowledges nothing before it is delivered, and can be killed at any moment.

mod batch;
pub mod event;
pub mod filter;
pub mod level;
mod output;
pub mod pipeline;
mod receive;
mod settings;
mod stand_in;
mod work;

pub use settings::{Config, Settings};

use std::sync::Arc;

use thiserror::Error;
use tokio::net::TcpListener;
use weir_daemon::{Health, Metrics, Shutdown, admin};

use output::Output;
use output::elasticsearch::Elasticsearch;
use receive::Receiver;
use receive::budget::Budget;
use work::Engine;

/// Why an aggregator cannot start, or had to stop.
#[derive(Debug, Error)]
pub enum Error {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address.
        address: String,
        /// What the system said.
        reason: std::io::Error,
    },
}

/// Runs the aggregator on a bound Beats listener until shutdown; then what was received whole is delivered and
/// acknowledged, within ten seconds.
///
/// # Errors
/// When it cannot start.
pub async fn run(config: Config, listener: TcpListener, metrics: Metrics, shutdown: Shutdown) -> Result<(), Error> {
    let health = Health::new();
    let mut admin_server = None;
    if let Some(address) = config.admin {
        let listener = TcpListener::bind(address)
            .await
            .map_err(|reason| Error::Listen { address: address.to_string(), reason })?;
        admin_server = Some(tokio::spawn(admin::serve(listener, metrics.clone(), health.clone(), shutdown.clone())));
    }
    let output = Elasticsearch::new(config.hosts, config.bulk, &metrics, health.clone());
    let outputs: Arc<[Output]> = Arc::new([Output::Elasticsearch(Arc::new(output))]);
    let engine = Engine::new(outputs, config.index, &metrics);
    let budget = Budget::new(config.memory_bytes_max);
    Receiver::new(engine, config.receive, budget, &metrics).serve(listener, config.tls, shutdown).await;
    if let Some(server) = admin_server {
        match server.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the admin port broke"),
            Err(error) => tracing::warn!(%error, "the admin port broke"),
        }
    }
    Ok(())
}
