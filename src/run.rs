//! Runs roles: binds their addresses, starts them, waits for a signal, and stops them in the order in which a line meets
//! them, so that each can hand on what it holds.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use weir_daemon::{Metrics, Shutdown, service};

/// What one role may take to stop. Docker and Swarm kill a container ten seconds after asking it to stop; three roles in
/// one process and a little air have to fit into that.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(3);

/// A second signal this soon after the first is the same wish: `timeout`, and shells, signal a process and its group.
const SAME_WISH: Duration = Duration::from_millis(500);

type Running = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// How one role ended: its name and what it said.
type End = Result<(&'static str, Result<(), String>), tokio::task::JoinError>;

/// A role that is ready to run.
pub struct Role {
    name: &'static str,
    shutdown: Shutdown,
    running: Running,
}

impl Role {
    /// The shipper.
    pub fn shipper(config: weir_shipper::Config, metrics: &Metrics) -> Self {
        let (shutdown, metrics) = (Shutdown::new(), metrics.clone());
        let told = shutdown.clone();
        let running = async move { weir_shipper::run(config, metrics, told).await.map_err(|error| error.to_string()) };
        Self { name: "shipper", shutdown, running: Box::pin(running) }
    }

    /// The aggregator, on its Beats port.
    pub fn aggregator(config: weir_aggregator::Config, listener: TcpListener, metrics: &Metrics) -> Self {
        let (shutdown, metrics) = (Shutdown::new(), metrics.clone());
        let told = shutdown.clone();
        let running = async move {
            weir_aggregator::run(config, listener, metrics, told).await.map_err(|error| error.to_string())
        };
        Self { name: "aggregator", shutdown, running: Box::pin(running) }
    }

    /// The indexer, on its HTTP port.
    pub fn indexer(config: weir_indexer::Config, listener: TcpListener, metrics: &Metrics) -> Self {
        let (shutdown, metrics) = (Shutdown::new(), metrics.clone());
        let told = shutdown.clone();
        let running =
            async move { weir_indexer::run(config, listener, metrics, told).await.map_err(|error| error.to_string()) };
        Self { name: "indexer", shutdown, running: Box::pin(running) }
    }
}

/// Listens on `address`.
///
/// # Errors
/// A sentence that names the role and what to do.
pub async fn listen(role: &str, address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|error| {
        format!("the {role} cannot listen on {address}: {error} (is another weir running? choose another with {role}.listen)")
    })
}

/// Runs roles until SIGINT, SIGTERM, or the end of one of them, then stops them in the order given.
///
/// # Errors
/// What the first failing role said.
pub async fn until_signal(roles: Vec<Role>) -> Result<(), String> {
    let unusable = |error| format!("cannot wait for signals: {error}");
    let mut interrupt = signal(SignalKind::interrupt()).map_err(unusable)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(unusable)?;
    let mut tasks = JoinSet::new();
    let mut told = Vec::new();
    for role in roles {
        told.push((role.name, role.shutdown));
        tasks.spawn(async move { (role.name, role.running.await) });
    }
    let stopping = Shutdown::new();
    tokio::spawn(service::notify(stopping.clone()));
    let mut ended = Vec::new();
    let first = tokio::select! {
        _ = interrupt.recv() => None,
        _ = terminate.recv() => None,
        first = tasks.join_next() => first,
    };
    let mut outcome = Ok(());
    let mut note = |end: Option<End>, ended: &mut Vec<&'static str>| {
        let failed = match end {
            Some(Ok((name, result))) => {
                ended.push(name);
                result.err().map(|reason| format!("{name}: {reason}"))
            }
            Some(Err(error)) => Some(format!("a role broke down: {error}")),
            None => None,
        };
        if let (Some(reason), true) = (failed, outcome.is_ok()) {
            outcome = Err(reason);
        }
    };
    if first.is_some() {
        note(first, &mut ended);
    } else {
        tracing::info!("stopping");
    }
    stopping.cancel();
    let asked = tokio::time::Instant::now();
    for (name, shutdown) in told {
        shutdown.cancel();
        let deadline = tokio::time::Instant::now() + DRAIN_TIME_MAX;
        while !ended.contains(&name) && !tasks.is_empty() {
            tokio::select! {
                end = tasks.join_next() => note(end, &mut ended),
                // A second signal: the person does not want to wait.
                _ = interrupt.recv() => {
                    if asked.elapsed() > SAME_WISH {
                        return Err("stopped at once, as asked twice".to_owned());
                    }
                }
                () = tokio::time::sleep_until(deadline) => {
                    tracing::warn!(role = name, "did not stop in time; nothing acknowledged is lost by that");
                    break;
                }
            }
        }
    }
    outcome
}
