//! The inputs `udp` and `syslog` over UDP: one frame a datagram. What the kernel cannot hold is lost, as ever with UDP.

use bytes::{Bytes, BytesMut};
use tokio::net::UdpSocket;
use weir_daemon::Shutdown;

use crate::input::feed::{Chunk, Sender};
use crate::input::frames::Frame;
use crate::input::stream::{Dialect, Reader};

/// Largest datagram that there is.
const DATAGRAM_BYTES_MAX: usize = 65_536;
/// Datagrams of one chunk.
const CHUNK_DATAGRAMS_MAX: usize = 500;

/// Reads until shutdown.
pub(crate) async fn serve(socket: UdpSocket, dialect: Dialect, sender: Sender, shutdown: Shutdown) {
    let mut buffer = BytesMut::zeroed(DATAGRAM_BYTES_MAX);
    loop {
        let received = tokio::select! {
            () = shutdown.cancelled() => return,
            received = socket.recv_from(&mut buffer) => received,
        };
        let mut events = Vec::new();
        let mut next = Some(received);
        let mut count = 0;
        while let Some(received) = next.take() {
            match received {
                Ok((length, peer)) => {
                    let mut bytes = Bytes::copy_from_slice(&buffer[..length]);
                    while let [.., b'\n' | b'\r' | 0] = bytes[..] {
                        bytes.truncate(bytes.len() - 1);
                    }
                    let mut reader = Reader::new(&dialect, peer);
                    reader.frame(&Frame { bytes, cut: false }, &mut events);
                    reader.flush(&mut events);
                }
                Err(error) => tracing::warn!(%error, "cannot receive a datagram"),
            }
            count += 1;
            if count < CHUNK_DATAGRAMS_MAX {
                // What is there already goes along.
                next = socket.try_recv_from(&mut buffer).ok().map(Ok);
            }
        }
        if !events.is_empty() && sender.send(Chunk { events, delivered: None }).await.is_err() {
            return;
        }
    }
}
