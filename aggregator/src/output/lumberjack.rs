//! The output `lumberjack`: events to the Beats port of another aggregator (or of Logstash).

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;
use weir_daemon::tls::Reloading;
use weir_lumberjack::{AckDecoder, Answer, Compressor, Window};

use crate::event::{Event, Identity, json};
use crate::output::backoff::Backoff;

/// Events of one window, as Filebeat's.
const WINDOW_EVENTS_MAX: u32 = 2048;
/// Bytes of one window, plain.
const WINDOW_BYTES_MAX: usize = 4 << 20;
/// Filebeat's level.
const COMPRESSION_LEVEL: u32 = 3;
/// A server says within this time that it is alive.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// Time for a connection and its TLS handshake.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// Longest wait between two attempts.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Documents to be sent.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Documents {
    /// Appends an event. `identity` goes along in `[@metadata][weir]`, so that the next aggregator knows it too.
    pub fn push(&mut self, event: &Event, identity: Option<Identity>) {
        let start = self.bytes.len();
        event.write_json(&mut self.bytes);
        if let Some(identity) = identity {
            // Behind the opening brace; an event with an identity has fields, so a comma fits.
            let mut metadata = b"\"@metadata\":{\"weir\":{\"start\":".to_vec();
            json::write_u64(&mut metadata, identity.start);
            metadata.extend_from_slice(b",\"end\":");
            json::write_u64(&mut metadata, identity.end);
            metadata.extend_from_slice(format!(",\"source\":\"{:016x}\"}}}},", identity.source).as_bytes());
            self.bytes.splice(start + 1..start + 1, metadata);
        }
        self.ends.push(self.bytes.len());
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Documents held.
    pub fn count(&self) -> usize {
        self.ends.len()
    }

    /// Cuts it back to `count` documents.
    pub fn truncate(&mut self, count: usize) {
        self.ends.truncate(count);
        self.bytes.truncate(self.ends.last().copied().unwrap_or(0));
    }

    /// Moves what lies behind `count` documents into documents of their own.
    pub fn split_off(&mut self, count: usize) -> Self {
        let start = if count == 0 { 0 } else { self.ends[count - 1] };
        let tail = Self {
            bytes: self.bytes[start..].to_vec(),
            ends: self.ends[count..].iter().map(|end| end - start).collect(),
        };
        self.truncate(count);
        tail
    }
}

/// See the module.
pub(crate) struct Lumberjack {
    /// Host names with ports, tried in turn.
    hosts: Vec<String>,
    tls: Option<Arc<Reloading<rustls::ClientConfig>>>,
    /// The connection and which of the hosts it leads to. Windows go one at a time, so one connection is enough.
    link: Mutex<Link>,
}

#[derive(Default)]
struct Link {
    stream: Option<Box<dyn Stream>>,
    host: usize,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send + Sync {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send + Sync> Stream for S {}

impl Lumberjack {
    /// An output to one of `hosts`.
    pub fn new(hosts: Vec<String>, tls: Option<Arc<Reloading<rustls::ClientConfig>>>) -> Self {
        Self { hosts, tls, link: Mutex::default() }
    }

    /// Sends all documents, and waits until the other side has taken them over. Tries again for as long as it takes.
    pub async fn deliver(&self, documents: Documents) {
        let mut link = self.link.lock().await;
        let mut backoff = Backoff::new(WAIT_MAX);
        let mut compressor = Compressor::new(COMPRESSION_LEVEL);
        let mut window = Window::new();
        let mut bytes = Vec::new();
        let mut next = 0;
        while next < documents.ends.len() {
            window.clear();
            let mut end = next;
            while end < documents.ends.len() && window.events() < WINDOW_EVENTS_MAX && window.bytes() < WINDOW_BYTES_MAX
            {
                let start = if end == 0 { 0 } else { documents.ends[end - 1] };
                let mut slot = window.event();
                slot.buffer().extend_from_slice(&documents.bytes[start..documents.ends[end]]);
                if let Err(error) = slot.commit() {
                    // A batch is far under 4 GiB, and a document has at least its braces.
                    tracing::error!(%error, "a document cannot be sent by Lumberjack");
                }
                end += 1;
            }
            bytes.clear();
            let sent = match window.compress(&mut compressor, &mut bytes) {
                Ok(()) => self.exchange(&mut link, &bytes, window.events()).await,
                Err(error) => Err(std::io::Error::other(error)),
            };
            match sent {
                Ok(()) => next = end,
                Err(error) => {
                    tracing::warn!(host = self.hosts[link.host], %error, "lumberjack output waits");
                    *link = Link { stream: None, host: (link.host + 1) % self.hosts.len() };
                    tokio::time::sleep(backoff.wait(None)).await;
                }
            }
        }
    }

    /// Sends one window and waits for its acknowledgement.
    async fn exchange(&self, link: &mut Link, bytes: &[u8], events: u32) -> std::io::Result<()> {
        let mut stream = match link.stream.take() {
            Some(stream) => stream,
            None => tokio::time::timeout(CONNECT_TIME_MAX, self.connect(&self.hosts[link.host])).await??,
        };
        tokio::time::timeout(SILENCE_MAX, stream.write_all(bytes)).await??;
        stream.flush().await?;
        let mut decoder = AckDecoder::new();
        let mut buffer = [0; 256];
        loop {
            let read = tokio::time::timeout(SILENCE_MAX, stream.read(&mut buffer)).await??;
            if read == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            let mut input = &buffer[..read];
            while let Some(answer) = decoder.next(&mut input).map_err(std::io::Error::other)? {
                if matches!(answer, Answer::Ack(acknowledged) if acknowledged >= events) {
                    link.stream = Some(stream);
                    return Ok(());
                }
            }
        }
    }

    async fn connect(&self, host: &str) -> std::io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect(host).await?;
        // Failing to set it costs only time.
        let _ = stream.set_nodelay(true);
        let Some(tls) = &self.tls else { return Ok(Box::new(stream)) };
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_matches(['[', ']']).to_owned();
        let name = rustls_pki_types::ServerName::try_from(name).map_err(std::io::Error::other)?;
        Ok(Box::new(TlsConnector::from(tls.get()).connect(name, stream).await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_carry_their_identity_and_can_be_parted() {
        let identity = Identity { source: 0xabc, start: 5, end: 9 };
        let mut documents = Documents::default();
        documents.push(&Event::from_message("a"), Some(identity));
        documents.push(&Event::from_message("b"), None);
        let tail = documents.split_off(1);
        let event = Event::from_json(documents.bytes.clone().into()).unwrap();
        assert_eq!(event.identity(), Some(identity));
        assert_eq!(String::from_utf8(tail.bytes).unwrap(), "{\"message\":\"b\"}");
        documents.truncate(0);
        assert_eq!((documents.bytes(), documents.count()), (0, 0));
    }
}
