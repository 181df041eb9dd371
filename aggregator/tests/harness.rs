//! An aggregator under test, with its ports, its metrics and its end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use weir_aggregator::Settings;
use weir_daemon::settings::Span;
use weir_daemon::{Metrics, Shutdown};

use crate::bulk_server::BulkServer;

pub struct Aggregator {
    pub address: SocketAddr,
    pub metrics: Metrics,
    shutdown: Shutdown,
    task: JoinHandle<Result<(), weir_aggregator::Error>>,
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
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (metrics, shutdown) = (Metrics::new(), Shutdown::new());
        let task = tokio::spawn(weir_aggregator::run(config, listener, metrics.clone(), shutdown.clone()));
        Self { address, metrics, shutdown, task }
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

    pub fn begin_stop(&self) {
        self.shutdown.cancel();
    }

    /// Waits until it ends by itself.
    pub async fn ended(self) {
        self.task.await.unwrap().unwrap();
    }

    pub async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap().unwrap();
    }
}

/// The folder of shared test data, if it is there.
pub fn shared() -> Option<PathBuf> {
    let root = std::env::var_os("WEIR_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")), PathBuf::from);
    root.is_dir().then_some(root)
}
