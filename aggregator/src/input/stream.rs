//! The inputs `tcp` and `syslog` over TCP: a permit before each accept, then frames until the peer is done.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use weir_daemon::Shutdown;
use weir_daemon::tls::Reloading;

use crate::event::Event;
use crate::input::codec::{Codec, Decoder};
use crate::input::feed::{Chunk, Sender};
use crate::input::frames::{Frame, Frames, Framing};
use crate::input::syslog_event;
use weir_daemon::peers::Peers;

/// Connections of one input, in all and of one address.
const CONNECTIONS_MAX: usize = 256;
const CONNECTIONS_PER_PEER_MAX: usize = 128;
/// Bytes of one line. Syslog's are far shorter; what is longer is cut and tagged.
pub(crate) const LINE_BYTES_MAX: usize = 1 << 20;
/// Time that a peer has for its TLS handshake.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);
/// Lines held back by a multiline codec are sent when nothing more came for this long.
pub(crate) const MULTILINE_WAIT: Duration = Duration::from_secs(2);
/// A peer that sends nothing for this long is let go.
const IDLE_TIME_MAX: Duration = Duration::from_secs(3600);
/// Pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How frames become events.
#[derive(Clone, Debug)]
pub(crate) enum Dialect {
    /// By a codec.
    Codec(Codec),
    /// As syslog lines.
    Syslog,
}

/// Accepts and reads until shutdown.
pub(crate) async fn serve(
    listener: TcpListener,
    dialect: Dialect,
    tls: Option<Arc<Reloading<rustls::ServerConfig>>>,
    sender: Sender,
    shutdown: Shutdown,
) {
    let peers = Peers::new(CONNECTIONS_MAX, CONNECTIONS_PER_PEER_MAX);
    let mut connections = JoinSet::new();
    loop {
        let accepting = async {
            let permit = peers.room().await?;
            Some((permit, listener.accept().await))
        };
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = accepting => match accepted {
                Some((permit, Ok((stream, peer)))) => {
                    let Some(place) = peers.place(permit, peer.ip()) else {
                        tracing::warn!(%peer, "too many connections of this address");
                        continue;
                    };
                    let (dialect, sender, tls, shutdown) =
                        (dialect.clone(), sender.clone(), tls.clone(), shutdown.clone());
                    connections.spawn(async move {
                        let reading = async {
                            match tls {
                                None => read(stream, peer, &dialect, &sender).await,
                                Some(tls) => {
                                    let handshake = TlsAcceptor::from(tls.get()).accept(stream);
                                    let stream = tokio::time::timeout(HANDSHAKE_TIME_MAX, handshake).await??;
                                    read(stream, peer, &dialect, &sender).await
                                }
                            }
                        };
                        tokio::select! {
                            () = shutdown.cancelled() => {}
                            result = reading => if let Err(error) = result {
                                tracing::debug!(%peer, %error, "connection lost");
                            }
                        }
                        drop(place);
                    });
                }
                Some((_, Err(error))) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                None => break,
            }
        }
    }
    while connections.join_next().await.is_some() {}
}

async fn read(
    mut stream: impl AsyncRead + Unpin,
    peer: SocketAddr,
    dialect: &Dialect,
    sender: &Sender,
) -> std::io::Result<()> {
    let framing = if matches!(dialect, Dialect::Syslog) { Framing::Syslog } else { Framing::Lines };
    let mut frames = Frames::new(framing, LINE_BYTES_MAX);
    let mut reader = Reader::new(dialect, peer);
    loop {
        let wait = if reader.holds() { MULTILINE_WAIT } else { IDLE_TIME_MAX };
        let mut events = Vec::new();
        let mut is_over = false;
        match tokio::time::timeout(wait, stream.read_buf(frames.space())).await {
            Ok(read) => {
                is_over = read? == 0;
                while let Some(frame) = frames.next() {
                    reader.frame(&frame, &mut events);
                }
                if is_over {
                    if let Some(frame) = frames.last() {
                        reader.frame(&frame, &mut events);
                    }
                    reader.flush(&mut events);
                }
            }
            Err(_) if reader.holds() => reader.flush(&mut events),
            Err(error) => return Err(error.into()),
        }
        if !events.is_empty() && sender.send(Chunk { events, delivered: None }).await.is_err() {
            return Ok(());
        }
        if is_over {
            return Ok(());
        }
    }
}

/// Makes events of the frames of one peer.
pub(crate) struct Reader {
    decoder: Option<Decoder>,
    peer: SocketAddr,
}

impl Reader {
    /// A reader in this dialect.
    pub fn new(dialect: &Dialect, peer: SocketAddr) -> Self {
        let decoder = match dialect {
            Dialect::Codec(codec) => Some(codec.decoder()),
            Dialect::Syslog => None,
        };
        Self { decoder, peer }
    }

    /// Appends the events of a frame.
    pub fn frame(&mut self, frame: &Frame, events: &mut Vec<Event>) {
        match &mut self.decoder {
            Some(decoder) => decoder.frame(&frame.bytes, events),
            None if frame.bytes.is_empty() => {}
            None => events.push(syslog_event::event(&frame.bytes, self.peer.ip())),
        }
        if frame.cut
            && let Some(event) = events.last_mut()
        {
            event.add_tag("_truncated");
        }
    }

    /// Whether lines are held back.
    pub fn holds(&self) -> bool {
        self.decoder.as_ref().is_some_and(Decoder::holds)
    }

    /// Appends what is held back.
    pub fn flush(&mut self, events: &mut Vec<Event>) {
        if let Some(decoder) = &mut self.decoder {
            decoder.flush(events);
        }
    }
}
