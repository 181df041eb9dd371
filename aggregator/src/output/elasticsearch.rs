//! Delivery by `_bulk`, to weir's indexer, Elasticsearch, OpenSearch or Quickwit: post, see what became of each item,
//! try again what could not be taken now, and put what never will be into the dead-letter index.
//!
//! [`Elasticsearch::deliver`] ends when every document is stored or in the dead-letter index, and not before. Requests
//! of one call follow each other in order; calls are independent.

use std::collections::{HashSet, VecDeque};
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use weir_daemon::{Counter, Health, Metrics};

use crate::output::answer::{Fate, fates};
use crate::output::backoff::Backoff;
use crate::output::bulk::{Body, Chunk, Item};
use crate::output::dead::{self, Reason};
use weir_daemon::client::{Answer, Host, HttpError, Payload};

/// What of the answer is read; hosts that know `filter_path` leave out the rest.
const BULK_PATH: &str = "/_bulk?filter_path=errors,items.*.error,items.*.status";
/// Attempts that fail before health shows it: one restarted indexer is no trouble.
const QUIET_ATTEMPTS: u32 = 4;
/// Bytes of an answer that go into a log line.
const ANSWER_SHOWN_BYTES_MAX: usize = 300;

const KIND_UNKNOWN: u8 = 0;
const KIND_WEIR: u8 = 1;
const KIND_OTHER: u8 = 2;

/// What bounds and names one Elasticsearch output.
#[derive(Clone, Debug)]
pub(crate) struct BulkSettings {
    /// Index of dead letters.
    pub dead_index: String,
    /// Documents of one request at most.
    pub request_items_max: usize,
    /// Bytes of one request at most (of one document more, if that is larger).
    pub request_bytes_max: usize,
    /// Longest wait between two attempts.
    pub wait_max: Duration,
    /// Elasticsearch's ingest pipeline that documents go through there.
    pub ingest_pipeline: Option<String>,
    /// Whether requests are compressed; none: unless the host is this machine.
    pub gzip: Option<bool>,
}

/// One Elasticsearch output.
pub(crate) struct Elasticsearch {
    hosts: Vec<Host>,
    /// The host in use; the next one after a failure.
    current: AtomicUsize,
    /// What answers there, see [`Elasticsearch::writes_ends`].
    kind: AtomicU8,
    settings: BulkSettings,
    path: String,
    health: Health,
    troubled: AtomicBool,
    requests: Counter,
    retries: Counter,
    delivered: Counter,
    dead: Counter,
}

/// What an attempt came to.
enum Outcome {
    /// All items are accounted for, except these, which are to be sent again; after a wait if so.
    Done { again: Option<Chunk>, wait: bool, retry_after: Option<Duration>, why: String },
    /// Nothing was taken; the request is to be sent again as it is.
    Failed { retry_after: Option<Duration>, why: String },
    /// The request is too large for the host, or one item spoils it: cut it in half.
    Split { status: u16, why: String },
}

impl Elasticsearch {
    /// An output to one cluster, of one host at least.
    pub fn new(hosts: Vec<Host>, settings: BulkSettings, metrics: &Metrics, health: Health) -> Self {
        let counter = |name, help| metrics.counter(name, help, &[]);
        let path = match &settings.ingest_pipeline {
            Some(name) => format!("{BULK_PATH}&pipeline={name}"),
            None => BULK_PATH.to_owned(),
        };
        Self {
            hosts,
            path,
            current: AtomicUsize::new(0),
            kind: AtomicU8::new(KIND_UNKNOWN),
            settings,
            health,
            troubled: AtomicBool::new(false),
            requests: counter("weir_aggregator_bulk_requests_total", "Requests sent to _bulk, every attempt."),
            retries: counter("weir_aggregator_bulk_retries_total", "Requests to _bulk that were tried again."),
            delivered: counter(
                "weir_aggregator_documents_delivered_total",
                "Documents that an output has stored, or had stored before.",
            ),
            dead: counter("weir_aggregator_dead_letters_total", "Documents put into the dead-letter index."),
        }
    }

    /// Whether documents should carry `_end`: unless what answers is known not to be weir's indexer. If it turns out so
    /// afterwards, `_end` is taken out again.
    pub fn writes_ends(&self) -> bool {
        self.kind.load(Ordering::Relaxed) != KIND_OTHER
    }

    /// Delivers all documents of a body. Waits and tries again for as long as it takes; drop it to give up.
    pub async fn deliver(&self, body: Body) {
        if body.is_empty() {
            return;
        }
        let mut work = VecDeque::from([body.finish()]);
        let (mut items_max, mut bytes_max) = (self.settings.request_items_max, self.settings.request_bytes_max);
        let mut backoff = Backoff::new(self.settings.wait_max);
        let mut failures = 0;
        while let Some(mut rest) = work.pop_front() {
            let chunk = rest.split_front(items_max, bytes_max);
            if !rest.items.is_empty() {
                work.push_front(rest);
            }
            let (wait, retry_after, why) = match self.attempt(&chunk).await {
                Outcome::Done { again, wait, retry_after, why } => {
                    if let Some(again) = again {
                        work.push_front(again);
                    }
                    (wait, retry_after, why)
                }
                Outcome::Failed { retry_after, why } => {
                    work.push_front(chunk);
                    (true, retry_after, why)
                }
                Outcome::Split { status, why } if chunk.is_one_event() => {
                    let wait = chunk.items.iter().any(|item| item.dead);
                    work.push_front(if wait { chunk } else { self.bury_all(&chunk, status, &why) });
                    (wait, None, why)
                }
                Outcome::Split { why, .. } => {
                    // The host's limit holds for what follows too.
                    items_max = chunk.items.len().div_ceil(2);
                    bytes_max = bytes_max.min(chunk.payload().len());
                    work.push_front(chunk);
                    tracing::debug!(why, items_max, "a _bulk request is cut in half");
                    (false, None, why)
                }
            };
            if wait {
                failures += 1;
                self.retries.inc();
                let time = backoff.wait(retry_after);
                self.trouble(failures, &why, time);
                tokio::time::sleep(time).await;
            } else {
                if failures > 0 {
                    failures = 0;
                    backoff = Backoff::new(self.settings.wait_max);
                    tracing::info!("output goes on");
                }
                // Who was in trouble may have been another delivery, which was given up since.
                if self.troubled.swap(false, Ordering::Relaxed) {
                    self.health.well("output");
                }
            }
        }
    }

    /// One request, and what became of it.
    async fn attempt(&self, chunk: &Chunk) -> Outcome {
        let at = self.current.load(Ordering::Relaxed) % self.hosts.len();
        let host = &self.hosts[at];
        let answer = match self.post(host, chunk).await {
            Ok(answer) => answer,
            Err(error) => {
                // Another host, and whatever listens there may be of another kind.
                self.current.store((at + 1) % self.hosts.len(), Ordering::Relaxed);
                self.kind.store(KIND_UNKNOWN, Ordering::Relaxed);
                return Outcome::Failed { retry_after: None, why: error.to_string() };
            }
        };
        let why = || format!("{} answers {}: {}", host.address(), answer.status, shown(&answer.body));
        match answer.status {
            200..=299 => match fates(&answer.body, chunk.items.len()) {
                Ok(None) => {
                    self.delivered.add(count(chunk.items.iter().filter(|item| !item.dead).count()));
                    Outcome::Done { again: None, wait: false, retry_after: None, why: String::new() }
                }
                Ok(Some(fates)) => self.sort(chunk, &fates, &answer),
                Err(why) => Outcome::Failed { retry_after: None, why },
            },
            status @ (400 | 413 | 422) => Outcome::Split { status, why: why() },
            _ => {
                if answer.status >= 500 {
                    self.current.store((at + 1) % self.hosts.len(), Ordering::Relaxed);
                }
                Outcome::Failed { retry_after: answer.retry_after, why: why() }
            }
        }
    }

    async fn post(&self, host: &Host, chunk: &Chunk) -> Result<Answer, HttpError> {
        if self.kind.load(Ordering::Relaxed) == KIND_UNKNOWN {
            let answer = host.send(Method::GET, "/", Payload::default()).await?;
            match answer.status {
                200..=299 => {
                    let kind = if is_weir(&answer.body) { KIND_WEIR } else { KIND_OTHER };
                    self.kind.store(kind, Ordering::Relaxed);
                }
                // It is there but not ready, or wants other credentials: the same holds for _bulk.
                401 | 403 | 429 | 500..=599 => return Ok(answer),
                _ => self.kind.store(KIND_OTHER, Ordering::Relaxed),
            }
        }
        let plain =
            if self.kind.load(Ordering::Relaxed) == KIND_WEIR { chunk.payload() } else { chunk.payload_without_ends() };
        let gzip = self.settings.gzip.unwrap_or(!host.is_loopback());
        let bytes = if gzip { compress(&plain) } else { plain };
        self.requests.inc();
        host.send(Method::POST, &self.path, Payload { bytes, content_type: Some("application/x-ndjson"), gzip }).await
    }

    /// Sorts items by their fate, and puts what is to be sent again into one chunk, in order.
    fn sort(&self, chunk: &Chunk, fates: &[Fate], answer: &Answer) -> Outcome {
        let mut again = Body::default();
        let mut held_back = HashSet::new();
        let mut delivered = 0;
        let mut wait = false;
        let mut why = String::new();
        for (item, fate) in chunk.items.iter().zip(fates) {
            // What follows a failed item in its source goes after it again, whatever became of it here.
            let is_held_back = item.source != 0 && held_back.contains(&item.source);
            match fate {
                Fate::Delivered if !is_held_back => delivered += u64::from(!item.dead),
                Fate::Rejected { status, kind, reason } if !is_held_back && !item.dead => {
                    let reason = Reason { status: *status, kind, text: reason };
                    self.bury(&mut again, chunk, item, &reason);
                }
                fate => {
                    if item.source != 0 {
                        held_back.insert(item.source);
                    }
                    again.copy(&chunk.bytes, *item);
                    wait = true;
                    if why.is_empty() {
                        why = format!("items of a _bulk request cannot be taken now: {fate:?}");
                    }
                }
            }
        }
        self.delivered.add(delivered);
        let again = if again.is_empty() { None } else { Some(again.finish()) };
        Outcome::Done { again, wait, retry_after: answer.retry_after, why }
    }

    /// The dead letters of a request that is refused as a whole and cannot be made smaller.
    fn bury_all(&self, chunk: &Chunk, status: u16, why: &str) -> Chunk {
        let mut letters = Body::default();
        for item in &chunk.items {
            self.bury(&mut letters, chunk, item, &Reason { status, kind: "request_refused", text: why });
        }
        letters.finish()
    }

    fn bury(&self, letters: &mut Body, chunk: &Chunk, item: &Item, reason: &Reason<'_>) {
        self.dead.inc();
        tracing::warn!(
            status = reason.status,
            kind = reason.kind,
            reason = reason.text,
            index = self.settings.dead_index,
            "a document was refused for good and goes to the dead-letter index"
        );
        dead::push(letters, &self.settings.dead_index, chunk, item, reason);
    }

    fn trouble(&self, failures: u32, why: &str, wait: Duration) {
        // Each attempt at first, then at 16, 32, 64, …
        if failures <= QUIET_ATTEMPTS || failures.is_power_of_two() {
            tracing::warn!(
                attempt = failures,
                wait_ms = u64::try_from(wait.as_millis()).unwrap_or(0),
                why,
                "output waits"
            );
        }
        if failures >= QUIET_ATTEMPTS {
            self.troubled.store(true, Ordering::Relaxed);
            self.health.trouble("output", why.to_owned());
        }
    }
}

/// Whether an answer to `GET /` is that of weir's indexer.
fn is_weir(body: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(body).is_ok_and(|hello| hello["weir"].is_object())
}

fn compress(plain: &Bytes) -> Bytes {
    let mut encoder = flate2::write::GzEncoder::new(Vec::with_capacity(plain.len() / 6), flate2::Compression::fast());
    match encoder.write_all(plain).and_then(|()| encoder.finish()) {
        Ok(bytes) => bytes.into(),
        // Writing to memory cannot fail, and flate2 has no other error here.
        Err(error) => unreachable!("gzip into memory: {error}"),
    }
}

fn shown(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(ANSWER_SHOWN_BYTES_MAX)]).replace('\n', " ")
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
