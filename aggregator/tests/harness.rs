//! An aggregator under test, with its ports, its metrics and its end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use weir_aggregator::Settings;
use weir_daemon::settings::Span;
use weir_daemon::{Metrics, Shutdown};

use crate::bulk_server::BulkServer;

pub struct Aggregator {
    pub address: SocketAddr,
    pub metrics: Metrics,
    shutdown: Shutdown,
    task: Option<JoinHandle<Result<(), weir_aggregator::Error>>>,
    /// Its own, so that it can be killed with everything that it has started.
    runtime: Option<Runtime>,
}

impl Drop for Aggregator {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Settings that suit a test: no pipeline file unless it names one, short waits.
pub fn settings(server: &BulkServer) -> Settings {
    Settings {
        output: vec![format!("http://{}", server.address)],
        admin: String::new(),
        pipelines: Vec::new(),
        retry_wait_max: Span(Duration::from_millis(50)),
        drop_ledger: false,
        ..Settings::default()
    }
}

impl Aggregator {
    pub async fn start(settings: Settings) -> Self {
        let config = settings.check().map_err(|mistakes| format!("{mistakes:?}")).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (metrics, shutdown) = (Metrics::new(), Shutdown::new());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (counted, told) = (metrics.clone(), shutdown.clone());
        let task = runtime.spawn(async move {
            weir_aggregator::run(config, TcpListener::from_std(listener).unwrap(), counted, told).await
        });
        Self { address, metrics, shutdown, task: Some(task), runtime: Some(runtime) }
    }

    /// The value of a series, by its name and labels as Prometheus shows them; 0 when there is none.
    pub fn metric(&self, series: &str) -> i64 {
        let text = self.metrics.render();
        let line = text.lines().find(|line| line.rsplit_once(' ').is_some_and(|(name, _)| name == series));
        line.map_or(0, |line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
    }

    /// Waits until a series has at least this value.
    pub async fn metric_reaches(&self, series: &str, value: i64) {
        while self.metric(series) < value {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Ends it at once, whatever it is at.
    pub fn kill(self) {
        drop(self);
    }

    pub fn begin_stop(&self) {
        self.shutdown.cancel();
    }

    /// Waits until it ends by itself.
    pub async fn ended(mut self) {
        self.task.take().unwrap().await.unwrap().unwrap();
    }

    pub async fn stop(self) {
        self.shutdown.cancel();
        self.ended().await;
    }
}

/// A port that was free a moment ago: an input's port is a number in its file.
pub async fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

/// The folder of shared test data, if it is there.
pub fn shared() -> Option<PathBuf> {
    let root = std::env::var_os("WEIR_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")), PathBuf::from);
    root.is_dir().then_some(root)
}
