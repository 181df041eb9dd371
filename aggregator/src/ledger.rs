//! The drop ledger: what pipelines drop on purpose is counted by service, level, rule and minute, with a few samples,
//! and indexed as small documents, so that a histogram can still show what is gone.
//!
//! Counts are kept in memory and written every half a minute; they are additive (several documents may tell of one
//! minute). A killed aggregator loses at most the counts since the last writing; events are another matter, they are
//! never counted before the pipeline has decided on them.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::json;
use weir_daemon::{Counter, Metrics, Shutdown};

use crate::event::Event;
use crate::front::front;
use crate::output::bulk::{Action, Body, Target};
use crate::output::elasticsearch::Elasticsearch;
use crate::pipeline::template::Template;
use crate::service_budget::ServiceBudgets;

/// How often the counts are written.
const WRITE_INTERVAL: Duration = Duration::from_secs(30);
/// Time that the last writing has at shutdown.
const LAST_WRITE_TIME_MAX: Duration = Duration::from_secs(5);
/// How often a connection hands its counts over.
const HAND_OVER_INTERVAL: Duration = Duration::from_secs(1);
/// Lines of the ledger held at once, at about 1 KB each with their samples: services times levels times rules times the
/// minutes that a backlog spans. What comes beyond is counted under `other`.
const ENTRIES_MAX: usize = 4_000;
/// Lines of the ledger that one connection holds between two hand-overs.
const PART_ENTRIES_MAX: usize = 500;
/// Samples kept of one line of the ledger.
const SAMPLES_MAX: usize = 3;
/// Bytes of a sample.
const SAMPLE_BYTES_MAX: usize = 300;
/// Bytes of a service's name or a level that are kept.
const NAME_BYTES_MAX: usize = 100;
/// A minute as RFC 3339 writes it: `2024-05-01T12:34`.
const MINUTE_BYTES: usize = 16;

/// What a dropped event says of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dropped<'a> {
    /// `service.name`.
    pub service: &'a str,
    /// `log.level`.
    pub level: &'a str,
    /// What dropped it, such as `99-policy.conf:12`.
    pub rule: &'a str,
    /// The minute that it counts for, see [`minute_of`].
    pub minute: [u8; MINUTE_BYTES],
    /// Bytes of the message.
    pub bytes: usize,
    /// The message, if it is worth keeping as a sample.
    pub sample: Option<&'a str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    service: Box<str>,
    level: Box<str>,
    rule: Box<str>,
    minute: [u8; MINUTE_BYTES],
}

#[derive(Debug, Default)]
struct Totals {
    events: u64,
    bytes: u64,
    samples: Vec<String>,
}

impl Totals {
    fn note(&mut self, dropped: &Dropped<'_>) {
        self.events += 1;
        self.bytes += u64::try_from(dropped.bytes).unwrap_or(0);
        if let Some(sample) = dropped.sample
            && self.samples.len() < SAMPLES_MAX
        {
            self.samples.push(front(sample, SAMPLE_BYTES_MAX).to_owned());
        }
    }

    fn add(&mut self, other: Self) {
        self.events += other.events;
        self.bytes += other.bytes;
        let room = SAMPLES_MAX.saturating_sub(self.samples.len());
        self.samples.extend(other.samples.into_iter().take(room));
    }
}

/// The counts of all connections.
pub(crate) struct Ledger {
    index: String,
    entries: Mutex<HashMap<Key, Totals>>,
    overflow: Counter,
    /// Makes the ids of this process' documents its own.
    process: u64,
    /// What services may have kept, and the index that tells where they had more.
    budgets: Option<(Arc<ServiceBudgets>, Template)>,
}

impl Ledger {
    /// An empty ledger that is written to `index`. It also tells, in another index, which services are over budget.
    pub fn new(index: String, budgets: Option<(Arc<ServiceBudgets>, Template)>, metrics: &Metrics) -> Arc<Self> {
        let help = "Dropped events that the ledger counts under other because it is full.";
        Arc::new(Self {
            index,
            entries: Mutex::default(),
            overflow: metrics.counter("weir_aggregator_ledger_overflow_total", help, &[]),
            process: RandomState::new().hash_one(Timestamp::now()),
            budgets,
        })
    }

    fn add(&self, counts: impl Iterator<Item = (Key, Totals)>) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        for (mut key, totals) in counts {
            if entries.len() >= ENTRIES_MAX && !entries.contains_key(&key) {
                self.overflow.add(totals.events);
                key = Key { service: "other".into(), level: "".into(), rule: "other".into(), minute: this_minute() };
            }
            entries.entry(key).or_default().add(totals);
        }
    }

    /// Writes the counts now and then until shutdown, and once more then.
    pub async fn keep(self: Arc<Self>, output: impl Fn() -> Option<Arc<Elasticsearch>>, shutdown: Shutdown) {
        let mut number = 0;
        let mut write = async || {
            let counts = std::mem::take(&mut *self.entries.lock().unwrap_or_else(PoisonError::into_inner));
            if let Some(output) = output() {
                output.deliver(self.documents(counts, &mut number)).await;
            }
        };
        loop {
            let stops = tokio::select! {
                () = shutdown.cancelled() => true,
                () = tokio::time::sleep(WRITE_INTERVAL) => false,
            };
            let writing = write();
            if stops {
                if tokio::time::timeout(LAST_WRITE_TIME_MAX, writing).await.is_err() {
                    tracing::warn!("the last counts of dropped lines could not be written");
                }
                return;
            }
            // An output that is away must not keep this from ending.
            let last_moment = async {
                shutdown.cancelled().await;
                tokio::time::sleep(LAST_WRITE_TIME_MAX).await;
            };
            tokio::select! {
                () = writing => {}
                () = last_moment => {
                    tracing::warn!("the last counts of dropped lines could not be written");
                    return;
                }
            }
        }
    }

    fn documents(&self, counts: HashMap<Key, Totals>, number: &mut u64) -> Body {
        let mut body = Body::default();
        for (key, totals) in counts {
            let minute = format!("{}:00.000Z", String::from_utf8_lossy(&key.minute));
            let mut document = json!({
                "@timestamp": minute,
                "message": format!("{} lines of {} were dropped by {}", totals.events, key.service, key.rule),
                "service": { "name": key.service },
                "rule": { "name": key.rule },
                "event": { "kind": "metric", "dataset": "weir.dropped" },
                "weir": { "dropped": { "events": totals.events, "bytes": totals.bytes, "samples": totals.samples } },
            });
            if !key.level.is_empty() {
                document["log"] = json!({ "level": key.level });
            }
            self.push(&self.index, "ledger", document.to_string().as_bytes(), number, &mut body);
        }
        if let Some((budgets, index)) = &self.budgets {
            for record in budgets.take_records() {
                let document = record.to_string();
                // An index may be named by fields of the record.
                let index = index.render(&Event::from_json(document.clone().into()).unwrap_or_default());
                self.push(&index, "budget", document.as_bytes(), number, &mut body);
            }
        }
        body
    }

    fn push(&self, index: &str, kind: &str, document: &[u8], number: &mut u64, body: &mut Body) {
        *number += 1;
        let id = format!("{kind}-{:016x}-{number}", self.process);
        let target = Target { index, id: Some(&id), end: None, source: 0, action: Action::Create, joined: false };
        body.push(target, |out| out.extend_from_slice(document));
    }
}

/// The counts of one connection. Nothing is allocated for an event like one before.
pub(crate) struct Part {
    ledger: Arc<Ledger>,
    counts: Vec<(Key, Totals)>,
    /// Places in `counts` by the hash of their key.
    places: HashMap<u64, usize>,
    last: usize,
    hasher: RandomState,
    handed_over: Instant,
}

impl Part {
    /// Counts for `ledger`.
    pub fn new(ledger: &Arc<Ledger>) -> Self {
        Self {
            ledger: ledger.clone(),
            counts: Vec::new(),
            places: HashMap::new(),
            last: 0,
            hasher: RandomState::new(),
            handed_over: Instant::now(),
        }
    }

    /// Counts one dropped event.
    pub fn note(&mut self, dropped: Dropped<'_>) {
        let service = front(dropped.service, NAME_BYTES_MAX);
        let level = front(dropped.level, NAME_BYTES_MAX);
        let minute = dropped.minute;
        let is = |key: &Key| {
            key.minute == minute && *key.level == *level && *key.service == *service && *key.rule == *dropped.rule
        };
        if let Some((key, totals)) = self.counts.get_mut(self.last)
            && is(key)
        {
            return totals.note(&dropped);
        }
        let hash = self.hasher.hash_one((service, level, dropped.rule, minute));
        let at = match self.places.get(&hash) {
            Some(at) if is(&self.counts[*at].0) => *at,
            _ => {
                let key = Key { service: service.into(), level: level.into(), rule: dropped.rule.into(), minute };
                self.counts.push((key, Totals::default()));
                self.places.insert(hash, self.counts.len() - 1);
                self.counts.len() - 1
            }
        };
        self.last = at;
        self.counts[at].1.note(&dropped);
        if self.counts.len() >= PART_ENTRIES_MAX {
            self.hand_over();
        }
    }

    /// To be called now and then, such as at the end of a window.
    pub fn tick(&mut self) {
        if !self.counts.is_empty() && self.handed_over.elapsed() >= HAND_OVER_INTERVAL {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        self.ledger.add(self.counts.drain(..));
        self.places.clear();
        self.handed_over = Instant::now();
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.hand_over();
    }
}

/// The minute of a time in UTC as RFC 3339 writes it, else the present one.
pub(crate) fn minute_of(time: &str) -> [u8; MINUTE_BYTES] {
    let bytes = time.as_bytes();
    let form = b"0000-00-00T00:00:";
    let fits = bytes.len() > form.len()
        && bytes.ends_with(b"Z")
        && form.iter().zip(bytes).all(|(form, byte)| if *form == b'0' { byte.is_ascii_digit() } else { form == byte });
    match bytes.first_chunk() {
        Some(minute) if fits => *minute,
        _ => this_minute(),
    }
}

fn this_minute() -> [u8; MINUTE_BYTES] {
    let text = Timestamp::now().to_string();
    // A present time has a year of four digits.
    text.as_bytes().first_chunk().copied().unwrap_or(*b"1970-01-01T00:00")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dropped<'a>(service: &'a str, level: &'a str, time: &'a str) -> Dropped<'a> {
        Dropped { service, level, rule: "99.conf:3", minute: minute_of(time), bytes: 11, sample: Some("GET /health") }
    }

    #[test]
    fn counts_are_kept_by_service_level_rule_and_minute() {
        let ledger = Ledger::new("ledger".into(), None, &Metrics::new());
        let mut part = Part::new(&ledger);
        for n in 0..10 {
            part.note(dropped("web", "info", &format!("2024-05-01T12:0{}:01.5Z", n % 2)));
        }
        part.note(dropped("db", "debug", "2024-05-01T12:00:59Z"));
        drop(part);
        let mut other = Part::new(&ledger);
        other.note(dropped("web", "info", "2024-05-01T12:00:00Z"));
        drop(other);
        let counts = std::mem::take(&mut *ledger.entries.lock().unwrap());
        assert_eq!(counts.len(), 3);
        let body = ledger.documents(counts, &mut 0).finish();
        let mut documents: Vec<serde_json::Value> =
            body.items.iter().map(|item| serde_json::from_slice(body.document(item)).unwrap()).collect();
        documents.sort_by_key(|document| document["weir"]["dropped"]["events"].as_u64());
        assert_eq!(documents[2]["weir"]["dropped"]["events"], 6);
        assert_eq!(documents[2]["weir"]["dropped"]["bytes"], 66);
        assert_eq!(documents[2]["weir"]["dropped"]["samples"].as_array().unwrap().len(), SAMPLES_MAX);
        assert_eq!(documents[2]["@timestamp"], "2024-05-01T12:00:00.000Z");
        assert_eq!(documents[2]["log"]["level"], "info");
        assert_eq!(documents[0]["service"]["name"], "db");
    }

    #[test]
    fn it_is_bounded_and_nothing_goes_uncounted() {
        let metrics = Metrics::new();
        let ledger = Ledger::new("ledger".into(), None, &metrics);
        let mut part = Part::new(&ledger);
        for n in 0..2 * ENTRIES_MAX {
            part.note(dropped(&format!("service-{n}-{}", "x".repeat(500)), "info", "2024-05-01T12:00:00Z"));
        }
        drop(part);
        let counts = ledger.entries.lock().unwrap();
        assert!(counts.len() <= ENTRIES_MAX + 1);
        assert_eq!(counts.values().map(|totals| totals.events).sum::<u64>(), 2 * ENTRIES_MAX as u64);
        assert_eq!(ledger.overflow.get(), ENTRIES_MAX as u64);
    }

    #[test]
    fn a_time_of_another_form_counts_now() {
        assert_eq!(&minute_of("2024-05-01T12:34:56.123456789Z"), b"2024-05-01T12:34");
        for text in ["", "2024-05-01T12:34:56+02:00", "1714566896", "yesterday at noon and some"] {
            assert!(minute_of(text)[..2] == *b"20" && &minute_of(text) != b"2024-05-01T12:34", "{text}");
        }
    }
}
