//! Accepts the connections of an input: a permit before each accept, so that who must wait does so in the kernel's queue,
//! then a TLS handshake where there is TLS.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use weir_daemon::Shutdown;
use weir_daemon::peers::Peers;

use super::listener::ServerTls;

/// Connections of one input, in all and of one address.
const CONNECTIONS_MAX: usize = 256;
const CONNECTIONS_PER_PEER_MAX: usize = 128;
/// Time that a peer has for its TLS handshake.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);
/// Pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Both ways of a connection, plain or TLS.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// Accepts until shutdown, and has `connection` serve each peer; then waits for those that are left, which have to see
/// the shutdown themselves.
pub(crate) async fn serve<F>(
    listener: TcpListener,
    tls: ServerTls,
    shutdown: Shutdown,
    connection: impl Fn(Box<dyn Wire>, SocketAddr) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let peers = Peers::new(CONNECTIONS_MAX, CONNECTIONS_PER_PEER_MAX);
    let mut handshakes = JoinSet::new();
    let mut connections = JoinSet::new();
    loop {
        let accepting = async {
            let permit = peers.room().await?;
            Some((permit, listener.accept().await))
        };
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_) = connections.join_next() => {}
            Some(greeted) = handshakes.join_next() => {
                if let Ok(Some((stream, peer, place))) = greeted {
                    let serving = connection(stream, peer);
                    connections.spawn(async move {
                        serving.await;
                        drop(place);
                    });
                }
            }
            accepted = accepting => match accepted {
                Some((permit, Ok((stream, peer)))) => {
                    let Some(place) = peers.place(permit, peer.ip()) else {
                        tracing::warn!(%peer, "too many connections of this address");
                        continue;
                    };
                    let tls = tls.clone();
                    handshakes.spawn(async move { greet(stream, peer, tls).await.map(|stream| (stream, peer, place)) });
                }
                Some((_, Err(error))) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                None => break,
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn greet(stream: TcpStream, peer: SocketAddr, tls: ServerTls) -> Option<Box<dyn Wire>> {
    let Some(tls) = tls else { return Some(Box::new(stream)) };
    match tokio::time::timeout(HANDSHAKE_TIME_MAX, TlsAcceptor::from(tls.get()).accept(stream)).await {
        Ok(Ok(stream)) => Some(Box::new(stream)),
        Ok(Err(error)) => {
            tracing::warn!(%peer, %error, "no TLS handshake");
            None
        }
        Err(_) => {
            tracing::warn!(%peer, "the TLS handshake took too long");
            None
        }
    }
}
