//! One Lumberjack connection: bytes in, windows through the pipeline into batches, one delivery under way at a time,
//! and an acknowledgement for each window whose events are all delivered.
//!
//! While a delivery is under way the following windows are decoded and filtered, up to a bound of bytes, and go
//! together in the next one. Order within a connection is kept from end to end.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use weir_daemon::Shutdown;
use weir_lumberjack::{Decoder, Item, Refused, Version, encode_ack};

use crate::batch::{Batch, WindowMark};
use crate::input::Additions;
use crate::receive::Receiver;
use crate::receive::budget::Share;
use crate::receive::offer::Offer;
use crate::work::Worker;

/// How often timers are looked at.
const TICK: Duration = Duration::from_secs(1);
/// A pending window gets a sign of life when nothing was written for this long. Beats give up after 30 s without one;
/// go-lumber's server sends it every 3 s.
const KEEPALIVE: Duration = Duration::from_secs(3);
/// Time that a peer has to take an acknowledgement of six bytes.
const WRITE_TIME_MAX: Duration = Duration::from_secs(10);
/// Time in which whole windows are still delivered and acknowledged after a connection is to end.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(10);
/// Time that the last acknowledgement gets to reach a peer which is still sending what nobody will read.
const LINGER: Duration = Duration::from_millis(500);
/// A window may take this many times the window timeout in all, if something arrives now and then.
const WINDOW_TIMEOUTS_MAX: u32 = 10;
/// How long a connection waits for memory that other connections hold, before it gives back its own.
const MEMORY_WAIT_MAX: Duration = Duration::from_secs(20);
/// How long a delivery by a pipeline that has been replaced may go on.
const REPLACED_TIME_MAX: Duration = Duration::from_secs(10);

/// Why a connection came to its end.
#[derive(Debug)]
pub(crate) enum End {
    /// The peer closed it.
    Closed,
    /// The peer closed it in the middle of a window.
    ClosedInWindow,
    /// The peer sent what is no Lumberjack, or passes a limit.
    Refused(Refused),
    /// A window was not completed in time.
    WindowTimeout,
    /// Nothing came for a long time.
    Idle,
    /// It could not get the memory that it needed.
    Memory,
    /// The socket failed.
    Socket(std::io::Error),
    /// The pipeline was replaced while a delivery hung.
    Replaced,
    /// A delivery ended without an answer.
    DeliveryFailed,
    /// The process stops.
    Shutdown,
}

impl End {
    /// A constant name, for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::ClosedInWindow => "closed_in_window",
            Self::Refused(refused) => refused.reason(),
            Self::WindowTimeout => "window_timeout",
            Self::Idle => "idle",
            Self::Memory => "memory",
            Self::Socket(_) => "socket",
            Self::Replaced => "pipeline_replaced",
            Self::DeliveryFailed => "delivery_failed",
            Self::Shutdown => "shutdown",
        }
    }
}

/// A connection being served.
pub(crate) struct Connection<S> {
    socket: S,
    receiver: Arc<Receiver>,
    decoder: Decoder,
    worker: Worker,
    share: Share,
    /// What is filtered and not handed to a delivery yet.
    batch: Batch,
    /// The delivery under way, if there is one, and what it holds.
    delivery: JoinSet<Result<(), JoinError>>,
    delivering: Vec<WindowMark>,
    delivering_bytes: usize,
    delivering_since: Instant,
    delivering_generation: u64,
    /// The decoder has nothing more to give without further bytes.
    starved: bool,
    version: Version,
    offer: Offer,
    last_read: Instant,
    last_write: Instant,
    /// Ticks that the open window has been waited for.
    window_ticks: u32,
    waits_for_memory_since: Option<Instant>,
    end: Option<(End, Instant)>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// A connection that was accepted (and whose TLS handshake is done).
    pub fn new(socket: S, receiver: &Arc<Receiver>, additions: &Arc<Additions>) -> Self {
        let mut worker = Worker::new(&receiver.engine, additions);
        let now = Instant::now();
        Self {
            socket,
            decoder: Decoder::new(receiver.limits.frames.clone()),
            share: Share::new(&receiver.budget),
            batch: worker.new_batch(),
            worker,
            receiver: receiver.clone(),
            delivery: JoinSet::new(),
            delivering: Vec::new(),
            delivering_bytes: 0,
            delivering_since: now,
            delivering_generation: 0,
            starved: true,
            version: Version::V2,
            offer: Offer::default(),
            last_read: now,
            last_write: now,
            window_ticks: 0,
            waits_for_memory_since: None,
            end: None,
        }
    }

    /// Serves it to its end.
    pub async fn serve(mut self, shutdown: &Shutdown) -> End {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let end = loop {
            if self.end.is_none() {
                self.decode();
            }
            if self.delivery.is_empty()
                && let Err(end) = self.hand_over().await
            {
                break end;
            }
            self.share.set(self.decoder.held_bytes() + self.batch.bytes() + self.delivering_bytes);
            if self.end.is_some() && self.delivery.is_empty() && self.batch.windows().is_empty() {
                break self.finish().await;
            }
            let wants_bytes = self.end.is_none() && self.starved;
            let may_read = wants_bytes && !self.share.budget().is_spent();
            self.note_memory(wants_bytes && !may_read);
            let deadline = self.end.as_ref().map(|(_, deadline)| *deadline);
            let budget = self.share.budget().clone();
            tokio::select! {
                Some(result) = self.delivery.join_next(), if !self.delivery.is_empty() => {
                    if let Err(error) | Ok(Err(error)) = result {
                        tracing::error!(%error, "a delivery broke down");
                        break End::DeliveryFailed;
                    }
                    self.delivering_bytes = 0;
                    let windows = std::mem::take(&mut self.delivering);
                    if let Err(end) = self.acknowledge(&windows).await {
                        break end;
                    }
                }
                read = self.socket.read_buf(self.decoder.space()), if may_read => {
                    self.last_read = Instant::now();
                    match read {
                        Ok(0) if self.decoder.is_idle() => self.begin_end(End::Closed),
                        Ok(0) => self.begin_end(End::ClosedInWindow),
                        Ok(bytes) => self.receiver.counts.bytes.add(u64::try_from(bytes).unwrap_or(0)),
                        Err(error) => self.begin_end(End::Socket(error)),
                    }
                }
                () = budget.freed(), if wants_bytes && !may_read => {}
                () = shutdown.cancelled(), if self.end.is_none() => self.begin_end(End::Shutdown),
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    break self.finish().await;
                }
                _ = tick.tick() => {
                    if let Err(end) = self.look_at_timers(may_read).await {
                        break end;
                    }
                }
            }
        };
        self.share.set(0);
        end
    }

    /// Takes from the decoder what is there, as long as there is room for it.
    fn decode(&mut self) {
        self.starved = false;
        while self.batch.bytes() < self.receiver.limits.connection_bytes_max {
            match self.decoder.next() {
                Ok(None) => {
                    self.starved = true;
                    return;
                }
                Ok(Some(Item::Event { document, .. })) => {
                    self.offer.look(&document);
                    self.worker.document(document, &mut self.batch);
                }
                Ok(Some(Item::Window { version, .. })) => {
                    self.version = version;
                    self.window_ticks = 0;
                    if self.batch.is_untouched() {
                        self.batch = self.worker.new_batch();
                    }
                }
                Ok(Some(Item::WindowEnd { version, sequence, missing })) => {
                    if missing > 0 {
                        self.receiver.counts.short_windows.inc();
                        tracing::debug!(missing, "a window ended early");
                    }
                    self.window_ticks = 0;
                    self.receiver.counts.windows.inc();
                    self.batch.end_window(WindowMark { version, sequence });
                    self.worker.end_window();
                }
                Err(refused) => return self.begin_end(End::Refused(refused)),
            }
        }
    }

    /// Starts the next delivery, or acknowledges at once what leaves nothing to deliver.
    async fn hand_over(&mut self) -> Result<(), End> {
        let is_full = self.batch.bytes() >= self.receiver.limits.connection_bytes_max;
        if self.batch.windows().is_empty() && !(is_full && self.end.is_none()) {
            return Ok(());
        }
        let next = self.worker.new_batch();
        // The start of an open window stays here, so that nothing of it is delivered if the rest never comes; unless
        // there is no room for the whole of it.
        let mut batch = if self.batch.windows().is_empty() {
            std::mem::replace(&mut self.batch, next)
        } else {
            self.batch.take_whole_windows(next)
        };
        let windows = batch.take_windows();
        if batch.is_empty() {
            return self.acknowledge(&windows).await;
        }
        self.delivering = windows;
        self.delivering_bytes = batch.bytes();
        self.delivering_since = Instant::now();
        self.delivering_generation = batch.generation();
        self.delivery.spawn(batch.deliver());
        Ok(())
    }

    async fn acknowledge(&mut self, windows: &[WindowMark]) -> Result<(), End> {
        if windows.is_empty() {
            return Ok(());
        }
        let mut frames = self.offer.take();
        frames.extend(windows.iter().flat_map(|mark| encode_ack(mark.version, mark.sequence)));
        self.write(&frames).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), End> {
        self.last_write = Instant::now();
        let writing = async {
            self.socket.write_all(bytes).await?;
            self.socket.flush().await
        };
        match timeout(WRITE_TIME_MAX, writing).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(End::Socket(error)),
            Err(_) => Err(End::Socket(std::io::ErrorKind::TimedOut.into())),
        }
    }

    async fn look_at_timers(&mut self, may_read: bool) -> Result<(), End> {
        let is_pending = self.decoder.in_window() || !self.batch.windows().is_empty() || !self.delivery.is_empty();
        if is_pending && self.last_write.elapsed() >= KEEPALIVE {
            self.write(&encode_ack(self.version, 0)).await?;
        }
        let limits = &self.receiver.limits;
        if may_read && !self.decoder.is_idle() {
            self.window_ticks = self.window_ticks.saturating_add(1);
            let in_all = limits.window_timeout * WINDOW_TIMEOUTS_MAX;
            if self.last_read.elapsed() >= limits.window_timeout || TICK * self.window_ticks >= in_all {
                self.begin_end(End::WindowTimeout);
            }
        } else if may_read && !is_pending && self.last_read.elapsed() >= limits.idle_timeout {
            self.begin_end(End::Idle);
        }
        if self.waits_for_memory_since.is_some_and(|since| since.elapsed() >= MEMORY_WAIT_MAX)
            && self.delivery.is_empty()
            && self.decoder.held_bytes() > 0
        {
            self.begin_end(End::Memory);
        }
        if !self.delivery.is_empty()
            && self.receiver.engine.generation() != self.delivering_generation
            && self.delivering_since.elapsed() >= REPLACED_TIME_MAX
        {
            return Err(End::Replaced);
        }
        Ok(())
    }

    fn note_memory(&mut self, is_waiting: bool) {
        if !is_waiting {
            self.waits_for_memory_since = None;
        } else if self.waits_for_memory_since.is_none() {
            self.waits_for_memory_since = Some(Instant::now());
            self.receiver.counts.memory_waits.inc();
        }
    }

    /// Reads nothing more, and lets go of the window that is open.
    fn begin_end(&mut self, end: End) {
        if self.end.is_none() {
            self.batch.drop_open_window();
            self.end = Some((end, Instant::now() + DRAIN_TIME_MAX));
        }
    }

    /// Closes the socket so that what was written last can arrive: closing one with unread bytes would reset it.
    async fn finish(&mut self) -> End {
        let end = self.end.take().map_or(End::Closed, |(end, _)| end);
        if matches!(end, End::Socket(_)) {
            return end;
        }
        let lingering = async {
            self.socket.shutdown().await?;
            let mut discarded = [0; 4096];
            while self.socket.read(&mut discarded).await? > 0 {}
            Ok::<(), std::io::Error>(())
        };
        match timeout(LINGER, lingering).await {
            // All was said already; how the peer takes its leave changes nothing.
            Ok(Ok(()) | Err(_)) | Err(_) => end,
        }
    }
}
