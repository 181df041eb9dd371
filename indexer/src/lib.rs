//! The indexer: takes `_bulk`, keeps what it accepted in a journal, indexes it with tantivy, and answers searches the
//! way Elasticsearch does. In the order in which a document meets them:
//!
//! `http` reads the request and finds the endpoint · `store` parses documents, decides by their identity, writes the
//! `journal`, answers after fsync, and indexes by `mapping` and `schema` into partitions · retention and the disk
//! guard drop the oldest · a search takes a `store::View` of everything accepted, or a cluster is asked instead
//! (`upstream`) · `snapshot` copies indices elsewhere and back.
//!
//! This crate knows nothing of Docker, of pipelines, or of where log lines come from.

pub mod access;
pub mod aggs;
pub mod alerts;
pub mod error;
pub mod http;
mod journal;
pub mod mapping;
pub mod query;
pub mod schema;
pub mod search;
mod settings;
pub mod snapshot;
pub mod store;
pub mod time;
pub mod tokenizer;
pub mod ui;
mod upstream;

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use weir_daemon::{Health, Metrics, Shutdown};

pub use error::Error;
pub use http::Workbench;
pub use settings::{Config, Settings};
pub use weir_daemon::base64;

/// Opens the store, answers on `listener` until shutdown, then commits and closes.
///
/// # Errors
/// When the data folder cannot be opened, is in use by another weir, or has a newer format.
pub async fn run(
    config: Config,
    listener: TcpListener,
    metrics: Metrics,
    shutdown: Shutdown,
) -> Result<(), store::OpenError> {
    if let Some(problem) = ui::missing() {
        tracing::warn!(problem, "this weir was built without its web page");
    }
    let health = Health::new();
    let (opened, opened_metrics, opened_health) = (config.clone(), metrics.clone(), health.clone());
    let store = tokio::task::spawn_blocking(move || store::Store::open(&opened, &opened_metrics, &opened_health))
        .await
        .map_err(|error| store::OpenError::Other(error.to_string()))??;
    let store = Arc::new(store);
    let own = config.own_user.as_ref().map(|(user, password)| (user.as_str(), password.as_str()));
    let gate = access::gate::Gate::open(&config.access_file, own, &config.data_dir).map_err(store::OpenError::Other)?;
    let state = Arc::new(search::state::State::default());
    let alerts = alerts::Alerts::open(&config.alerts, config.alerts_builtin, &config.data_dir);
    let alerts = alerts.map_err(store::OpenError::Other)?;
    let snapshots = Arc::new(snapshot::Snapshots::open(Arc::clone(&store), &metrics, &health)?);
    tokio::spawn(snapshot::schedule::run(Arc::clone(&snapshots), shutdown.clone()));
    let all = Arc::clone(&store);
    let hosts = config.upstream.clone();
    let upstream = hosts.map(|hosts| Arc::new(upstream::Upstream::new(hosts, health.clone())));
    let shared =
        Arc::new(http::Shared { config, all, snapshots, state, gate, alerts, upstream, metrics, health, shutdown });
    tokio::spawn(let_go(Arc::clone(&shared)));
    let watching = tokio::spawn(alerts::run(Arc::clone(&shared)));
    http::serve(listener, shared).await;
    // It ends with the shutdown; what it holds of the store must be gone before that closes.
    if let Err(error) = watching.await {
        tracing::error!(%error, "the alerts broke down");
    }
    tokio::task::spawn_blocking(move || store.close())
        .await
        .map_err(|error| store::OpenError::Other(error.to_string()))?;
    Ok(())
}

/// How soon points in time and scrolls let go of the files of a dropped partition.
const LET_GO_EVERY: Duration = Duration::from_millis(500);

async fn let_go(shared: Arc<http::Shared>) {
    loop {
        tokio::select! {
            () = shared.shutdown.cancelled() => return,
            () = tokio::time::sleep(LET_GO_EVERY) => shared.state.let_go(),
        }
    }
}
