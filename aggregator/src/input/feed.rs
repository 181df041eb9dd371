//! From an input's events to delivery: one batch filled while another one is under way.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinSet};
use weir_daemon::Shutdown;

use crate::batch::Batch;
use crate::engine::Engine;
use crate::event::Event;
use crate::input::Additions;
use crate::work::Worker;

/// Chunks that wait for the pipeline. Each is what one read of one peer gave.
const CHUNKS_WAITING_MAX: usize = 16;
/// Time in which what was taken is still delivered after an input has ended.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(10);
/// Pause before an input's batch is tried again after its delivery broke down.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// Some events, in order.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    /// The events.
    pub events: Vec<Event>,
    /// Told when all of them are delivered; dropped if they never will be.
    pub delivered: Option<oneshot::Sender<()>>,
}

/// The end of an input that takes chunks.
pub(crate) type Sender = mpsc::Sender<Chunk>;

/// See the module.
pub(crate) struct Feed {
    worker: Worker,
    chunks: mpsc::Receiver<Chunk>,
    batch: Batch,
    batch_bytes_max: usize,
    waiting: Vec<oneshot::Sender<()>>,
    delivery: JoinSet<Result<(), JoinError>>,
    delivering: Vec<oneshot::Sender<()>>,
}

impl Feed {
    /// A feed of `engine`, and where to send events to.
    pub fn new(engine: &Arc<Engine>, additions: &Arc<Additions>, batch_bytes_max: usize) -> (Self, Sender) {
        let (sender, chunks) = mpsc::channel(CHUNKS_WAITING_MAX);
        let mut worker = Worker::new(engine, additions);
        let feed = Self {
            batch: worker.new_batch(),
            worker,
            chunks,
            batch_bytes_max,
            waiting: Vec::new(),
            delivery: JoinSet::new(),
            delivering: Vec::new(),
        };
        (feed, sender)
    }

    /// Runs until the input has dropped all of its senders and everything is delivered, or the time for that is over.
    /// At shutdown nothing more is taken from the input than what it has sent already.
    pub async fn run(mut self, shutdown: Shutdown) {
        let mut open = true;
        while open || !self.delivery.is_empty() || !self.batch.is_untouched() {
            self.hand_over();
            let room = open && self.batch.bytes() < self.batch_bytes_max;
            let drain = async {
                if open {
                    std::future::pending().await
                } else {
                    tokio::time::sleep(DRAIN_TIME_MAX).await;
                }
            };
            tokio::select! {
                chunk = self.chunks.recv(), if room => match chunk {
                    Some(chunk) => self.take(chunk),
                    None => open = false,
                },
                Some(result) = self.delivery.join_next(), if !self.delivery.is_empty() => {
                    self.delivered(result).await;
                }
                () = shutdown.cancelled(), if open && !self.chunks.is_closed() => self.chunks.close(),
                () = drain => {
                    tracing::warn!("an input ended, and what it had read could not be delivered in time");
                    return;
                }
            }
        }
    }

    fn take(&mut self, chunk: Chunk) {
        if self.batch.is_untouched() {
            self.batch = self.worker.new_batch();
        }
        for event in chunk.events {
            self.worker.event(event, &mut self.batch);
        }
        self.worker.end_window();
        self.waiting.extend(chunk.delivered);
    }

    fn hand_over(&mut self) {
        if !self.delivery.is_empty() {
            return;
        }
        let waiting = std::mem::take(&mut self.waiting);
        if self.batch.is_empty() {
            // All of it was dropped on purpose.
            return tell(waiting);
        }
        self.delivering = waiting;
        let next = self.worker.new_batch();
        let batch = std::mem::replace(&mut self.batch, next);
        self.delivery.spawn(batch.deliver());
    }

    async fn delivered(&mut self, result: Result<Result<(), JoinError>, JoinError>) {
        let senders = std::mem::take(&mut self.delivering);
        match result {
            Ok(Ok(())) => tell(senders),
            Ok(Err(error)) | Err(error) => {
                // A defect; who waits for an answer gets none and sends again.
                tracing::error!(%error, "a delivery broke down");
                tokio::time::sleep(FAILURE_PAUSE).await;
            }
        }
    }
}

fn tell(senders: Vec<oneshot::Sender<()>>) {
    for sender in senders {
        // A peer that has gone does not need the answer.
        let _ = sender.send(());
    }
}
