//! The Beats port: a permit before each accept, TLS, then a [`connection::Connection`] each.

pub(crate) mod budget;
pub(crate) mod connection;
mod offer;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use weir_daemon::peers::{Peers, Place};
use weir_daemon::tls::Reloading;
use weir_daemon::{Counter, Gauge, Metrics, Shutdown};

use crate::engine::Engine;
use crate::input::Additions;
use budget::Budget;
use connection::{Connection, End};

/// Time that a peer has for its TLS handshake; Logstash gives 10 s too.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);
/// Pause after a failed accept: the usual cause is that the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections that end badly are logged no more often than this; the rest is counted.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// Bounds of the Beats port.
#[derive(Clone, Debug)]
pub(crate) struct ReceiveLimits {
    /// Bounds of frames.
    pub frames: weir_lumberjack::Limits,
    /// Connections in all.
    pub connections_max: usize,
    /// Connections of one address.
    pub connections_per_peer_max: usize,
    /// Bytes that one connection may hold filtered and not handed over.
    pub connection_bytes_max: usize,
    /// Silence in the middle of a window.
    pub window_timeout: Duration,
    /// Silence between windows.
    pub idle_timeout: Duration,
}

/// What is counted.
pub(crate) struct Counts {
    metrics: Metrics,
    open: Gauge,
    accepted: Counter,
    /// Bytes read, as they came.
    pub bytes: Counter,
    /// Windows received whole.
    pub windows: Counter,
    /// Windows that a new one cut short.
    pub short_windows: Counter,
    /// Times that a connection had to wait for memory.
    pub memory_waits: Counter,
}

impl Counts {
    fn new(metrics: &Metrics) -> Self {
        let counter = |name, help| metrics.counter(name, help, &[]);
        Self {
            metrics: metrics.clone(),
            open: metrics.gauge("weir_aggregator_connections", "Lumberjack connections open now.", &[]),
            accepted: counter("weir_aggregator_connections_total", "Lumberjack connections accepted."),
            bytes: counter("weir_aggregator_received_bytes_total", "Bytes read from Lumberjack connections."),
            windows: counter("weir_aggregator_windows_total", "Lumberjack windows received."),
            short_windows: counter(
                "weir_aggregator_short_windows_total",
                "Lumberjack windows that held fewer events than announced.",
            ),
            memory_waits: counter(
                "weir_aggregator_memory_waits_total",
                "Times that a connection was not read because all connections together held their limit of bytes.",
            ),
        }
    }

    fn ended(&self, reason: &str) {
        let help = "Lumberjack connections that ended, by reason.";
        self.metrics.counter("weir_aggregator_connections_ended_total", help, &[("reason", reason)]).inc();
    }
}

/// What all connections share.
pub(crate) struct Receiver {
    pub(crate) engine: Arc<Engine>,
    pub(crate) limits: ReceiveLimits,
    pub(crate) budget: Arc<Budget>,
    pub(crate) counts: Counts,
    peers: Arc<Peers>,
    last_log: Mutex<Option<Instant>>,
}

impl Receiver {
    /// A receiver that feeds `engine`. `budget` bounds what all connections hold together.
    pub fn new(engine: Arc<Engine>, limits: ReceiveLimits, budget: Arc<Budget>, metrics: &Metrics) -> Arc<Self> {
        let peers = Arc::new(Peers::new(limits.connections_max, limits.connections_per_peer_max));
        Arc::new(Self { engine, limits, budget, counts: Counts::new(metrics), peers, last_log: Mutex::default() })
    }

    /// Accepts and serves until shutdown, then lets the connections finish what they hold.
    pub async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        tls: Option<Arc<Reloading<rustls::ServerConfig>>>,
        additions: Arc<Additions>,
        shutdown: Shutdown,
    ) {
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = shutdown.cancelled() => break,
                accepted = self.accept(&listener) => accepted,
                // Ended ones are collected, so that the set holds no more than the open ones.
                Some(ended) = connections.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "a connection broke down");
                    }
                    continue;
                }
            };
            if let Some((stream, peer, place)) = accepted {
                let (receiver, tls, additions, shutdown) =
                    (self.clone(), tls.clone(), additions.clone(), shutdown.clone());
                connections.spawn(async move {
                    receiver.serve_one(stream, peer, place, tls, &additions, &shutdown).await;
                });
            }
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
    }

    async fn accept(&self, listener: &TcpListener) -> Option<(TcpStream, SocketAddr, Place)> {
        let permit = self.peers.room().await?;
        match listener.accept().await {
            Ok((stream, peer)) => {
                self.counts.accepted.inc();
                let place = self.peers.place(permit, peer.ip());
                if place.is_none() {
                    self.counts.ended("too_many_of_peer");
                    self.log(peer, "too many connections of this address");
                }
                place.map(|place| (stream, peer, place))
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                None
            }
        }
    }

    async fn serve_one(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        place: Place,
        tls: Option<Arc<Reloading<rustls::ServerConfig>>>,
        additions: &Arc<Additions>,
        shutdown: &Shutdown,
    ) {
        // An acknowledgement is six bytes that a peer waits for. Failing to set it costs only time.
        let _ = stream.set_nodelay(true);
        self.counts.open.add(1);
        let end = match tls {
            None => Connection::new(stream, &self, additions).serve(shutdown).await,
            Some(tls) => {
                let handshake = TlsAcceptor::from(tls.get()).accept(stream);
                match tokio::time::timeout(HANDSHAKE_TIME_MAX, handshake).await {
                    Ok(Ok(stream)) => Connection::new(stream, &self, additions).serve(shutdown).await,
                    Ok(Err(error)) => End::Socket(error),
                    Err(_) => End::Socket(std::io::ErrorKind::TimedOut.into()),
                }
            }
        };
        self.counts.open.add(-1);
        self.counts.ended(end.reason());
        match end {
            End::Refused(refused) => self.log(peer, &format!("connection refused: {refused}")),
            End::Socket(error) => self.log(peer, &format!("connection lost: {error}")),
            End::WindowTimeout | End::Memory | End::Replaced | End::DeliveryFailed => {
                self.log(peer, &format!("connection given up: {}", end.reason()));
            }
            End::Closed | End::ClosedInWindow | End::Idle | End::Shutdown => {
                tracing::debug!(%peer, reason = end.reason(), "connection ended");
            }
        }
        drop(place);
    }

    fn log(&self, peer: SocketAddr, what: &str) {
        let mut last = self.last_log.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() >= LOG_INTERVAL) {
            *last = Some(Instant::now());
            tracing::warn!(%peer, what, "Beats port");
        }
    }
}
