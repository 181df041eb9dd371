//! Binds the inputs of pipeline files, and runs them.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;
use weir_daemon::Shutdown;

use crate::Error;
use crate::input::Additions;
use crate::input::build::{Input, Kind};
use crate::input::feed::Feed;
use crate::input::file::{self, Files};
use crate::input::http::{self, Http};
use crate::input::listener::ServerTls;
use crate::input::stream::{self, Dialect};
use crate::input::{stdin, udp};
use crate::receive::Receiver;

/// An input whose ports are bound.
pub(crate) enum Bound {
    Beats(TcpListener, ServerTls, Additions),
    Tcp(TcpListener, Dialect, ServerTls, Additions),
    Udp(UdpSocket, Dialect, Additions),
    Syslog(TcpListener, UdpSocket, Additions),
    Http(TcpListener, Http, ServerTls, Additions),
    File(Files, Additions),
    Stdin(Dialect, Additions),
}

/// Binds the ports of all inputs. A `beats` input on the port that `beats_port` listens on is that one.
///
/// # Errors
/// The first address that cannot be had.
pub(crate) async fn bind(inputs: Vec<Input>, beats_port: &TcpListener) -> Result<Vec<Bound>, Error> {
    let mut bound = Vec::new();
    for Input { kind, additions } in inputs {
        bound.push(match kind {
            Kind::Beats(address, tls) => {
                if beats_port.local_addr().is_ok_and(|bound| bound.port() == address.port() && address.port() != 0) {
                    tracing::warn!(%address, "the input `beats` is the Beats port of the settings: its options are those");
                    continue;
                }
                Bound::Beats(listen(address).await?, tls, additions)
            }
            Kind::Tcp(address, dialect, tls) => Bound::Tcp(listen(address).await?, dialect, tls, additions),
            Kind::Udp(address, dialect) => Bound::Udp(listen_udp(address).await?, dialect, additions),
            Kind::Syslog(address) => {
                let stream = listen(address).await?;
                // The same port for both, also when the system chose it.
                let address = stream.local_addr().unwrap_or(address);
                Bound::Syslog(stream, listen_udp(address).await?, additions)
            }
            Kind::Http(address, http, tls) => Bound::Http(listen(address).await?, http, tls, additions),
            Kind::File(files) => Bound::File(files, additions),
            Kind::Stdin(dialect) => Bound::Stdin(dialect, additions),
        });
    }
    Ok(bound)
}

/// Binds a TCP port.
///
/// # Errors
/// When it cannot be had.
pub(crate) async fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|reason| Error::Listen { address: address.to_string(), reason })?;
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "listens");
    }
    Ok(listener)
}

async fn listen_udp(address: SocketAddr) -> Result<UdpSocket, Error> {
    let socket = UdpSocket::bind(address).await;
    socket.map_err(|reason| Error::Listen { address: format!("{address} (UDP)"), reason })
}

/// Runs the inputs until shutdown, and what they feed until it is delivered. If all of them come to an end by
/// themselves, it tells `shutdown` so; without any input it just waits.
pub(crate) async fn run(inputs: Vec<Bound>, receiver: &Arc<Receiver>, batch_bytes_max: usize, shutdown: &Shutdown) {
    if inputs.is_empty() {
        return shutdown.cancelled().await;
    }
    let mut tasks = JoinSet::new();
    for input in inputs {
        let feed = |additions: Additions| Feed::new(&receiver.engine, &Arc::new(additions), batch_bytes_max);
        let told = shutdown.clone();
        match input {
            Bound::Beats(listener, tls, additions) => {
                tasks.spawn(receiver.clone().serve(listener, tls, Arc::new(additions), told));
            }
            Bound::Tcp(listener, dialect, tls, additions) => {
                let (feed, sender) = feed(additions);
                tasks.spawn(stream::serve(listener, dialect, tls, sender, told.clone()));
                tasks.spawn(feed.run(told));
            }
            Bound::Udp(socket, dialect, additions) => {
                let (feed, sender) = feed(additions);
                tasks.spawn(udp::serve(socket, dialect, sender, told.clone()));
                tasks.spawn(feed.run(told));
            }
            Bound::Syslog(listener, socket, additions) => {
                let (feed, sender) = feed(additions);
                tasks.spawn(stream::serve(listener, Dialect::Syslog, None, sender.clone(), told.clone()));
                tasks.spawn(udp::serve(socket, Dialect::Syslog, sender, told.clone()));
                tasks.spawn(feed.run(told));
            }
            Bound::Http(listener, http, tls, additions) => {
                let (feed, sender) = feed(additions);
                tasks.spawn(http::serve(listener, http, tls, sender, told.clone()));
                tasks.spawn(feed.run(told));
            }
            Bound::File(files, additions) => {
                let (feed, sender) = feed(additions);
                file::start(files, sender, told.clone());
                tasks.spawn(feed.run(told));
            }
            Bound::Stdin(dialect, additions) => {
                let (feed, sender) = feed(additions);
                stdin::start(dialect, sender);
                tasks.spawn(feed.run(told));
            }
        }
    }
    while let Some(result) = tasks.join_next().await {
        if let Err(error) = result {
            tracing::error!(%error, "an input broke down");
        }
    }
    if !shutdown.is_cancelled() {
        tracing::info!("all inputs have come to their end");
        shutdown.cancel();
    }
}
