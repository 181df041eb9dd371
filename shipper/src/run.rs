//! Starts the parts of the shipper, and stops them in order.

use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use weir_daemon::tls::{Reloading, TlsError, client_config};
use weir_daemon::{Health, Metrics, Shutdown, admin, files};

use crate::counters::Counters;
use crate::harvest::{Harvester, Parts};
use crate::identity::stat_path;
use crate::node::Node;
use crate::registry::{Found, Registry};
use crate::send::Sender;
use crate::settings::Config;
use crate::spool::Spool;
use crate::status::Asker;
use crate::stream::Rules;
use crate::watch::Bell;

/// Windows that wait between the harvester and the connection: one, so that reading goes on while another is written.
const QUEUE_WINDOWS: usize = 1;

/// Why the shipper could not start, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data folder cannot be used.
    #[error("{0}")]
    Data(std::io::Error),
    /// Certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The admin port cannot be had.
    #[error("cannot listen on {address} for /metrics and /health: {error}")]
    Admin {
        /// The address.
        address: std::net::SocketAddr,
        /// What the system said.
        error: std::io::Error,
    },
    /// The process has no threads or descriptors left.
    #[error("cannot start: {0}")]
    Start(std::io::Error),
    /// The harvester ended by itself, which is a defect.
    #[error("the harvester thread has died")]
    Harvester,
}

/// Ships until `shutdown` is cancelled, then waits for acknowledgements as long as the settings allow.
///
/// # Errors
/// When it cannot start: the data folder is in use or cannot be written, certificates or the admin port cannot be had.
pub async fn run(config: Config, metrics: Metrics, shutdown: Shutdown) -> Result<(), Error> {
    let lock = files::lock(&config.data_dir).map_err(Error::Data)?;
    raise_descriptor_limit();
    let counters = Counters::new(&metrics);
    let health = Health::new();
    let (registry, state, found) = Registry::open(&config.data_dir).map_err(Error::Data)?;
    match &found {
        Found::Nothing | Found::Whole => {}
        Found::Torn => {
            counters.registry_ruined.inc();
            tracing::warn!("the newest state in the registry is torn; the one before it is used");
        }
        Found::Unusable(aside) => {
            counters.registry_ruined.inc();
            tracing::error!(aside = %aside.display(), "the registry cannot be used: starting anew, every log is read again");
        }
    }
    let spool = Spool::open(&config.data_dir, config.spool_bytes_max).map_err(Error::Data)?;
    let tls = match &config.tls {
        Some(files) => Some(Reloading::new(files.clone(), client_config)?),
        None => None,
    };
    let admin = match config.admin {
        Some(address) => {
            let bound = TcpListener::bind(address).await;
            Some(bound.map_err(|error| Error::Admin { address, error })?)
        }
        None => None,
    };
    let stop_others = Shutdown::new();
    let _stop_on_return = stop_others.clone().drop_guard();
    let bell = Arc::new(Bell::new().map_err(Error::Start)?);
    let (batches_in, batches_out) = mpsc::channel(QUEUE_WINDOWS);
    let (acked_in, acked_out) = std::sync::mpsc::channel();
    let sender = Sender {
        config: config.clone(),
        counters: counters.clone(),
        health: health.clone(),
        tls,
        batches: batches_out,
        acked: acked_in,
        bell: bell.clone(),
        stop: stop_others.clone(),
    };
    let sender = tokio::spawn(sender.run());
    let (asker, asked) = Asker::new(bell.clone());
    let admin = admin.map(|listener| {
        let status: admin::Page = Arc::new(move || Box::pin(asker.clone().page()));
        let pages = vec![("/status", status)];
        tokio::spawn(admin::serve_pages(listener, metrics, health.clone(), pages, stop_others.clone()))
    });

    let rules = Rules {
        line_bytes_max: config.line_bytes_max,
        window_events: config.window_events,
        window_bytes: config.window_bytes,
        host_name: config.host_name.clone(),
        node: node(&config),
        labels: config.labels.clone(),
        grouping: config.grouping.clone(),
        strip_ansi: config.strip_ansi,
        format: config.format,
    };
    let node = Node::new(config.docker_root.as_deref(), &rules.node, &rules.host_name, &rules.labels);
    let parts = Parts {
        rules,
        counters,
        health,
        registry,
        state,
        batches: batches_in,
        acked: acked_out,
        spool,
        node,
        asked,
        bell: bell.clone(),
        stop: shutdown.clone(),
        config,
    };
    let (ended_in, ended_out) = oneshot::channel();
    let harvester = std::thread::Builder::new().name("weir-harvest".to_owned()).spawn(move || {
        Harvester::new(parts).run();
        // Nobody listens when `run` was dropped.
        let _ = ended_in.send(());
    });
    harvester.map_err(Error::Start)?;
    let ring = async {
        shutdown.cancelled().await;
        bell.ring();
        std::future::pending::<()>().await;
    };
    let ended = tokio::select! {
        ended = ended_out => ended.map_err(|_| Error::Harvester),
        () = ring => Ok(()),
    };
    stop_others.cancel();
    // Both end at once when they are told to; a task that panicked has said so.
    let _ = sender.await;
    if let Some(admin) = admin {
        let _ = admin.await;
    }
    drop(lock);
    ended
}

/// Every log keeps a file open; the soft limit of 1024 that most systems start with is for programs that use `select`.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, soft = limit.current, "the limit of open files stays where it is");
    }
}

/// What tells this node from others: the setting, else the machine id, else the identity of Docker's root.
fn node(config: &Config) -> String {
    if let Some(node) = &config.node_id {
        return node.clone();
    }
    let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    if !machine.trim().is_empty() {
        return machine.trim().to_owned();
    }
    let root = config.docker_root.as_deref().unwrap_or(Path::new("/"));
    stat_path(root).map_or_else(|_| config.host_name.clone(), |stat| format!("{:?}", stat.inode))
}
