//! The connection to an aggregator: windows out in order, acknowledgements back, and again from the first
//! unacknowledged window after any failure.
//!
//! One connection at a time, so that a source never goes over two at once. Windows that were sent and not acknowledged
//! stay in memory until they are; a window that reaches two aggregators is stored once, by the identity of its events.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use weir_daemon::tls::Reloading;
use weir_daemon::{Health, Shutdown};
use weir_lumberjack::{AckDecoder, Answer, PARTS_VERSION};

use crate::batch::Batch;
use crate::counters::Counters;
use crate::outgoing::Outgoing;
use crate::pace::Pace;
use crate::settings::Config;
use crate::watch::Bell;

/// How long one address may take to answer, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// First wait after every address has failed.
const BACKOFF_MIN: Duration = Duration::from_millis(100);

/// What the sender needs.
pub(crate) struct Sender {
    pub(crate) config: Config,
    pub(crate) counters: Counters,
    pub(crate) health: Health,
    pub(crate) tls: Option<Reloading<ClientConfig>>,
    pub(crate) batches: mpsc::Receiver<Batch>,
    pub(crate) acked: std::sync::mpsc::Sender<Batch>,
    pub(crate) bell: Arc<Bell>,
    pub(crate) stop: Shutdown,
}

/// A connection, plain or TLS.
enum Link {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Why a connection ended that did not break.
enum Ended {
    /// No more windows can come.
    Done,
    /// It has been used long enough.
    Old,
}

/// A window that is under way.
struct Flight {
    batch: Batch,
    /// What the peer has acknowledged of it on this connection.
    acked: u32,
}

impl Sender {
    /// Sends until it is stopped or nothing more comes.
    pub(crate) async fn run(mut self) {
        let mut flights: VecDeque<Flight> = VecDeque::new();
        let mut backoff = BACKOFF_MIN;
        let mut outgoing = Outgoing::new(self.config.compression);
        loop {
            let stop = self.stop.clone();
            let connected = tokio::select! {
                () = stop.cancelled() => return,
                connected = self.connect() => connected,
            };
            let (link, address) = match connected {
                Ok(connected) => connected,
                Err(error) => {
                    self.counters.connect_failures.inc();
                    self.health.trouble("aggregator", format!("{error}"));
                    tracing::warn!(%error, wait_ms = backoff.as_millis() as u64, "no aggregator can be reached");
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = sleep(jittered(backoff)) => {}
                    }
                    backoff = (backoff * 2).min(self.config.backoff_max);
                    continue;
                }
            };
            tracing::info!(%address, "connected to aggregator");
            self.counters.connections.inc();
            self.counters.connected.set(1);
            self.health.well("aggregator");
            for flight in &mut flights {
                flight.acked = 0;
            }
            let before = self.counters.windows.get();
            let ended = tokio::select! {
                () = stop.cancelled() => return,
                ended = self.converse(link, &mut flights, &mut outgoing) => ended,
            };
            outgoing.done();
            self.counters.connected.set(0);
            match ended {
                Ok(Ended::Done) => return,
                Ok(Ended::Old) => {
                    tracing::debug!(%address, "connection to aggregator has had its time");
                    backoff = BACKOFF_MIN;
                    continue;
                }
                Err(error) => {
                    self.counters.connect_failures.inc();
                    tracing::warn!(%address, %error, unacknowledged = flights.len(), "connection to aggregator ended");
                }
            }
            if self.counters.windows.get() > before {
                backoff = BACKOFF_MIN;
            }
            // An aggregator that accepts and hangs up at once must not be hammered.
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(jittered(backoff)) => {}
            }
            backoff = (backoff * 2).min(self.config.backoff_max);
        }
    }

    /// Tries every address of every aggregator once, in random order. Names are resolved anew each time.
    async fn connect(&self) -> io::Result<(Link, SocketAddr)> {
        let mut addresses = Vec::new();
        let mut last = io::Error::new(io::ErrorKind::NotFound, "no address");
        for aggregator in &self.config.aggregators {
            match tokio::net::lookup_host(aggregator).await {
                Ok(found) => addresses.extend(found.map(|address| (address, aggregator))),
                Err(error) => last = io::Error::new(error.kind(), format!("{aggregator}: {error}")),
            }
        }
        shuffle(&mut addresses);
        for (address, aggregator) in addresses {
            match timeout(CONNECT_TIMEOUT, self.connect_to(address, aggregator)).await {
                Ok(Ok(link)) => return Ok((link, address)),
                Ok(Err(error)) => last = io::Error::new(error.kind(), format!("{address}: {error}")),
                Err(_) => last = io::Error::new(io::ErrorKind::TimedOut, format!("{address}: no answer")),
            }
        }
        Err(last)
    }

    async fn connect_to(&self, address: SocketAddr, aggregator: &str) -> io::Result<Link> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return Ok(Link::Plain(stream)) };
        let host = aggregator.rsplit_once(':').map_or(aggregator, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let stream = TlsConnector::from(tls.get()).connect(name, stream).await?;
        Ok(Link::Tls(Box::new(stream)))
    }

    /// Speaks on one connection until it breaks (`Err`), is old, or no more windows can come.
    async fn converse(
        &mut self,
        link: Link,
        flights: &mut VecDeque<Flight>,
        buffers: &mut Outgoing,
    ) -> io::Result<Ended> {
        let (mut reader, mut writer) = tokio::io::split(link);
        let mut decoder = AckDecoder::new();
        let mut incoming = [0_u8; 512];
        // The aggregator has offered to take events in parts.
        let mut parts = false;
        // Windows that are written whole on this connection; the one behind them is being written.
        let mut sent = 0;
        let mut written = 0;
        let mut closed = false;
        let mut flushed = true;
        let mut deadline = Instant::now() + self.config.timeout;
        let ends = self.config.connection_ttl.map(|ttl| Instant::now() + jittered(ttl));
        let mut pace = Pace::new(self.config.bandwidth_max);
        loop {
            let over = ends.is_some_and(|ends| Instant::now() >= ends);
            let under_way = flights.len();
            let outgoing: &[u8] = match flights.get_mut(sent) {
                None => &[],
                Some(flight) => buffers
                    .bytes(&mut flight.batch.window, parts)
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?,
            };
            if !outgoing.is_empty() && written == outgoing.len() {
                buffers.done();
                written = 0;
                sent += 1;
                continue;
            }
            if closed && under_way == 0 {
                return Ok(Ended::Done);
            }
            if over && under_way == 0 && flushed {
                return Ok(Ended::Old);
            }
            let room = under_way < self.config.pipelining && !closed && !over;
            let allowed = pace.allowed(outgoing.len() - written);
            let waits = sent > 0 || written > 0;
            tokio::select! {
                wrote = write_or_flush(&mut writer, &outgoing[written..written + allowed]),
                    if allowed > 0 || outgoing.is_empty() && !flushed => {
                    let wrote = wrote?;
                    if !waits {
                        deadline = Instant::now() + self.config.timeout;
                    }
                    flushed = wrote == 0;
                    pace.sent(wrote);
                    written += wrote;
                    self.counters.sent_bytes.add(wrote as u64);
                }
                read = reader.read(&mut incoming) => {
                    let read = read?;
                    if read == 0 {
                        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the aggregator hung up"));
                    }
                    deadline = Instant::now() + self.config.timeout;
                    let mut bytes = &incoming[..read];
                    while let Some(answer) = decoder.next(&mut bytes).map_err(io::Error::other)? {
                        match answer {
                            Answer::Ack(sequence) => self.acknowledge(sequence, flights, &mut sent)?,
                            Answer::Offer(version) => parts |= version == PARTS_VERSION,
                        }
                    }
                }
                batch = self.batches.recv(), if room => match batch {
                    Some(batch) => flights.push_back(Flight { batch, acked: 0 }),
                    None => closed = true,
                },
                () = pace.wait(), if allowed == 0 && !outgoing.is_empty() => {
                    // Our own slowness is not the peer's.
                    deadline = Instant::now() + self.config.timeout;
                }
                () = sleep_until(ends.unwrap_or(deadline)), if under_way == 0 && ends.is_some() && !over => {}
                () = sleep_until(deadline), if under_way > 0 => {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "no sign of life while a window waits"));
                }
            }
        }
    }

    fn acknowledge(&self, sequence: u32, flights: &mut VecDeque<Flight>, sent: &mut usize) -> io::Result<()> {
        if sequence == 0 {
            return Ok(());
        }
        let Some(flight) = flights.front_mut() else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{sequence} acknowledged, nothing sent")));
        };
        let events = flight.batch.window.events();
        if sequence > events || sequence < flight.acked {
            let what = format!("{sequence} acknowledged of a window of {events}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        flight.acked = sequence;
        if sequence == events && *sent == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a window acknowledged before it was sent"));
        }
        if sequence == events
            && let Some(flight) = flights.pop_front()
        {
            *sent -= 1;
            self.counters.windows.inc();
            self.counters.acked_events.add(u64::from(events));
            // The harvester is gone only when all is over.
            let _ = self.acked.send(flight.batch);
            self.bell.ring();
        }
        Ok(())
    }
}

/// Writes some of `bytes`; with none left, flushes and answers 0. May be dropped at any moment.
async fn write_or_flush(writer: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<usize> {
    if bytes.is_empty() {
        writer.flush().await?;
        return Ok(0);
    }
    match writer.write(bytes).await? {
        0 => Err(io::ErrorKind::WriteZero.into()),
        wrote => Ok(wrote),
    }
}

/// Between half and all of `span`, so that shippers that lost the same aggregator do not come back as one.
fn jittered(span: Duration) -> Duration {
    span / 2 + span.mul_f64(random() as f64 / u64::MAX as f64 / 2.0)
}

/// Random enough to spread load: the standard library seeds its hashers from the system.
fn random() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

fn shuffle<T>(items: &mut [T]) {
    for at in (1..items.len()).rev() {
        items.swap(at, (random() % (at as u64 + 1)) as usize);
    }
}

impl AsyncRead for Link {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Link {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
