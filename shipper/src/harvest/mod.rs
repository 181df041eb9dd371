//! The harvester: one thread that finds logs, reads them in turn, fills windows, and keeps the registry.
//!
//! It owns all state of all logs. Windows go to the sender through a bounded queue and come back when they are
//! acknowledged; only then do positions move. While the queue is full nothing is read, but folders are still looked at:
//! files that are rotated away meanwhile stay open, or go to the spool.

mod pressure;
mod report;
mod slot;
mod windows;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use weir_daemon::{Health, Shutdown};

use crate::batch::Batch;
use crate::counters::Counters;
use crate::discover::{self, FoundLog};
use crate::node::Node;
use crate::registry::{Entry, Kind, Registry, State};
use crate::settings::Config;
use crate::spool::{CopyOf, Spool};
use crate::status::Question;
use crate::stream::{Out, Rules, Stream};
use crate::tail::Look;
use crate::watch::{Bell, Watch};

use self::slot::Slot;

/// Bytes read from one log before the next one has its turn.
const QUANTUM_BYTES: usize = 256 << 10;
/// Size of the one read buffer: it stays in the processor's own cache beside the end of the window.
const BUFFER_BYTES: usize = 128 << 10;
/// How soon a log that gave something is looked at again. Renames wake us at once; this is for plain growth.
const POLL_MIN: Duration = Duration::from_millis(20);
/// How seldom an idle log is looked at.
const POLL_MAX: Duration = Duration::from_secs(1);
/// How seldom an idle log is looked at of which the kernel tells: only in case it does not.
const POLL_TOLD: Duration = Duration::from_secs(10);
/// Idle logs are looked at together: one wake-up for all of them, not one for each.
const POLL_GRID: Duration = Duration::from_millis(100);
/// How much less often folders are looked through when the kernel tells of new ones.
const SCAN_TOLD: u32 = 10;
/// Longest rest for the sake of the processor before folders are looked at again.
const REST_MAX: Duration = Duration::from_millis(100);
/// How often at most the registry is written and fsynced because of acknowledgements.
const REGISTRY_INTERVAL: Duration = Duration::from_secs(1);

/// What the harvester is made of.
pub(crate) struct Harvester {
    config: Config,
    rules: Rules,
    counters: Counters,
    health: Health,
    registry: Registry,
    /// Logs of the registry that were not found yet.
    unclaimed: HashMap<String, Entry>,
    slots: Vec<Option<Slot>>,
    by_key: HashMap<String, usize>,
    schedule: BinaryHeap<Reverse<(Instant, usize)>>,
    /// Logs that have something to read and could not be read because the queue was full, the longest waiting first:
    /// they come before all others when it is free, else the one that fills the queue would win it again and again.
    waiting: Vec<usize>,
    serial: u64,
    batch: Batch,
    touched: Vec<usize>,
    /// A closed batch that found the queue full.
    ready: Option<Batch>,
    /// Since when the queue has been full.
    stuck: Option<Instant>,
    spare: Vec<Batch>,
    outstanding: usize,
    batches: mpsc::Sender<Batch>,
    acked: Receiver<Batch>,
    watch: Watch,
    bell: Arc<Bell>,
    buffer: Vec<u8>,
    spool: Spool,
    node: Node,
    asked: Receiver<Question>,
    /// Processor time, and when it was looked at.
    cpu: Option<(Instant, f64)>,
    /// Files came or went: what is held open is to be counted.
    rotated: bool,
    /// Every log that the registry knows was found or added.
    swept: bool,
    begun: Instant,
    unsaved: bool,
    /// When the registry was made durable last.
    synced: Instant,
    next_scan: Instant,
    next_gauges: Instant,
    stop: Shutdown,
}

/// What the harvester is given.
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) rules: Rules,
    pub(crate) counters: Counters,
    pub(crate) health: Health,
    pub(crate) registry: Registry,
    pub(crate) state: State,
    pub(crate) batches: mpsc::Sender<Batch>,
    pub(crate) acked: Receiver<Batch>,
    pub(crate) spool: Spool,
    pub(crate) node: Node,
    pub(crate) asked: Receiver<Question>,
    pub(crate) bell: Arc<Bell>,
    pub(crate) stop: Shutdown,
}

impl Harvester {
    /// A harvester that has not looked at anything yet.
    pub(crate) fn new(parts: Parts) -> Self {
        let now = Instant::now();
        let watch = if parts.config.inotify { Watch::new() } else { Watch::polling() };
        Self {
            config: parts.config,
            rules: parts.rules,
            counters: parts.counters,
            health: parts.health,
            registry: parts.registry,
            unclaimed: parts.state.entries.into_iter().map(|entry| (entry.key.clone(), entry)).collect(),
            slots: Vec::new(),
            by_key: HashMap::new(),
            schedule: BinaryHeap::new(),
            waiting: Vec::new(),
            serial: 0,
            batch: Batch::default(),
            touched: Vec::new(),
            ready: None,
            stuck: None,
            spare: Vec::new(),
            outstanding: 0,
            batches: parts.batches,
            acked: parts.acked,
            watch,
            bell: parts.bell,
            buffer: vec![0; BUFFER_BYTES],
            spool: parts.spool,
            node: parts.node,
            asked: parts.asked,
            cpu: None,
            rotated: false,
            swept: false,
            begun: now,
            unsaved: false,
            synced: now,
            next_scan: now,
            next_gauges: now,
            stop: parts.stop,
        }
    }

    /// Harvests until it is told to stop, then waits for acknowledgements, as long as the settings allow.
    pub(crate) fn run(mut self) {
        while !self.stop.is_cancelled() {
            self.take_acks();
            let now = Instant::now();
            self.watch.take();
            if self.watch.overflown {
                self.watch.overflown = false;
                self.counters.rescans.inc();
                self.next_scan = now;
                self.wake_all(now);
            }
            if now >= self.next_scan || std::mem::take(&mut self.watch.root_changed) {
                self.scan(now);
            }
            for slot in std::mem::take(&mut self.watch.woken) {
                self.schedule_at(slot, now, POLL_MIN);
            }
            let rest = self.rest(now);
            let mut busy = rest.is_none() && self.turns();
            self.flush();
            busy |= self.fill_spool(now);
            if std::mem::take(&mut self.rotated) {
                self.limit_held();
            }
            self.answer();
            if (self.unsaved || !self.registry.is_synced()) && self.synced.elapsed() >= REGISTRY_INTERVAL {
                self.synced = Instant::now();
                if self.save() {
                    let begun = self.registry.begin_sync();
                    self.judge(begun);
                }
            }
            if now >= self.next_gauges {
                self.set_gauges(now);
            }
            if !busy {
                let timeout = self.next_deadline().saturating_duration_since(Instant::now());
                let timeout = rest.map_or(timeout, |rest| timeout.max(rest.min(REST_MAX)));
                self.watch.wait(&self.bell, timeout);
            }
        }
        self.drain();
    }

    fn next_deadline(&self) -> Instant {
        if self.ready.is_none() && !self.waiting.is_empty() {
            return self.begun;
        }
        let mut deadline = self.next_scan.min(self.next_gauges);
        if let Some(Reverse((at, _))) = self.schedule.peek() {
            deadline = deadline.min(*at);
        }
        if let Some(born) = self.batch.born
            && self.ready.is_none()
        {
            deadline = deadline.min(born + self.config.linger);
        }
        if self.unsaved || !self.registry.is_synced() {
            deadline = deadline.min(self.synced + REGISTRY_INTERVAL);
        }
        deadline
    }

    fn schedule_at(&mut self, index: usize, at: Instant, interval: Duration) {
        if let Some(Some(slot)) = self.slots.get_mut(index) {
            slot.next = at;
            slot.interval = interval;
            self.schedule.push(Reverse((at, index)));
        }
    }

    fn wake_all(&mut self, now: Instant) {
        for index in 0..self.slots.len() {
            self.schedule_at(index, now, POLL_MIN);
        }
    }

    /// Finds new logs. What is gone is noticed when its log is looked at.
    fn scan(&mut self, now: Instant) {
        let mut found = Vec::new();
        let mut complete = true;
        if let Some(root) = &self.config.docker_root {
            self.watch.root(root);
            match discover::containers(root, &mut found) {
                Ok(()) => self.health.well("docker_root"),
                Err(error) => {
                    complete = false;
                    self.counters.io_errors.inc();
                    self.health.trouble("docker_root", format!("cannot read {}: {error}", root.display()));
                }
            }
        }
        discover::files(&self.config.paths, &mut found);
        if let Some(root) = self.config.docker_root.as_deref().and_then(|root| root.canonicalize().ok()) {
            // A glob that reaches into Docker's folders finds what is followed already.
            found.retain(|log| log.kind == Kind::Docker || !log.live.starts_with(&root));
        }
        let told = self.watch.tells_of_root() && self.config.paths.is_empty();
        self.next_scan = now + self.config.scan_interval * if told { SCAN_TOLD } else { 1 };
        for log in found {
            if !self.by_key.contains_key(&log.key) {
                self.add(log, now);
            }
        }
        if complete {
            // What the registry knows and no scan finds went away while we were not there.
            let gone: Vec<String> = self.unclaimed.keys().cloned().collect();
            for key in gone {
                if let Some(entry) = self.unclaimed.remove(&key) {
                    let log = FoundLog { kind: entry.kind, key: key.clone(), live: entry.path.clone(), history: false };
                    self.unclaimed.insert(key, entry);
                    self.add(log, now);
                }
            }
            if !self.swept {
                self.swept = true;
                self.spool.sweep();
            }
        }
    }

    fn add(&mut self, log: FoundLog, now: Instant) {
        let mut stream = match self.unclaimed.remove(&log.key) {
            Some(entry) => Stream::resume(entry, log.live.clone()),
            None => Stream::new(log.kind, log.key.clone(), log.live.clone()),
        };
        if log.history {
            stream.chain.read_history();
        }
        for base in stream.chain.not_open() {
            let copy = self.spool.claim(CopyOf::new(&log.key, base));
            let used = copy.and_then(|copy| copy.map_or(Ok(true), |copy| stream.chain.use_copy(base, copy)));
            if let Err(error) = used {
                self.counters.io_errors.inc();
                tracing::warn!(%error, log = %log.key, "a spooled file cannot be read");
            }
        }
        stream.describe(None, &self.rules);
        let index = self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len());
        if index == self.slots.len() {
            self.slots.push(None);
        }
        self.watch.log(index, &log.live);
        self.serial += 1;
        self.slots[index] = Some(Slot::new(&log, stream, self.serial, now));
        self.by_key.insert(log.key, index);
        self.schedule_at(index, now, POLL_MIN);
    }

    /// Gives every log that is due its turn. Answers whether there is more to do at once.
    fn turns(&mut self) -> bool {
        let now = Instant::now();
        let mut due = if self.ready.is_none() { std::mem::take(&mut self.waiting) } else { Vec::new() };
        for index in &due {
            if let Some(slot) = &mut self.slots[*index] {
                slot.waiting = false;
                // This is its turn; an entry of the schedule would give it a second one.
                slot.next = self.begun;
            }
        }
        while let Some(Reverse((at, index))) = self.schedule.peek().copied() {
            if at > now {
                break;
            }
            self.schedule.pop();
            if self.slots[index].as_ref().is_some_and(|slot| slot.next == at) {
                due.push(index);
            }
        }
        let mut busy = false;
        for index in due {
            busy |= self.turn(index, now);
        }
        busy && self.ready.is_none()
    }

    /// One log's turn: look at its files, read, and say when it is due again. Answers whether it has more at once.
    fn turn(&mut self, index: usize, now: Instant) -> bool {
        let Some(slot) = self.slots[index].as_mut() else { return false };
        let watch = &mut self.watch;
        slot.error = None;
        match slot.stream.chain.look(&mut || watch.created(index)) {
            Ok(Look::Same) => {}
            Ok(Look::Changed) => {
                slot.stream.unsaved = true;
                slot.tried = None;
                self.rotated = true;
            }
            Err(error) => {
                self.counters.io_errors.inc();
                slot.error = Some(format!("cannot look at it: {error}"));
                tracing::debug!(%error, log = %slot.stream.chain.path().display(), "cannot look at log");
            }
        }
        if slot.stream.kind == Kind::Docker && now >= slot.metadata_next {
            let until = slot.metadata_until;
            slot.describe(&self.rules, &self.config, now);
            if slot.stream.metadata.is_none() && now < until {
                let again = now + POLL_MIN;
                self.schedule_at(index, again, POLL_MIN);
                return false;
            }
        }
        let mut more = false;
        let mut moved = false;
        let may_read = !slot.excluded && self.ready.is_none();
        let mut out = Out { batch: &mut self.batch, rules: &self.rules, counters: &self.counters };
        if may_read && let Some(news) = slot.stream.chain.news(slot.tried) {
            match slot.stream.read(&mut self.buffer, QUANTUM_BYTES, &mut out) {
                Ok(turn) => {
                    moved |= turn.moved;
                    more = turn.more || turn.full;
                    slot.tried = if turn.moved || more { None } else { Some(news) };
                }
                Err(error) => {
                    self.counters.io_errors.inc();
                    slot.error = Some(format!("cannot read it: {error}"));
                    tracing::warn!(%error, log = %slot.stream.chain.path().display(), "cannot read log");
                }
            }
        }
        if !may_read && !slot.excluded && !slot.waiting {
            let unread = slot.stream.chain.news(slot.tried).is_some();
            // An event that waited long enough for its next line wants to go, too.
            if unread || slot.stream.patience_ends().is_some_and(|ends| ends <= now) {
                slot.waiting = true;
                self.waiting.push(index);
            }
        }
        if may_read && !more && slot.stream.waits() {
            moved |= slot.stream.give_up_waiting(now, &mut out);
        }
        if slot.stream.chain.lag() == 0 {
            slot.caught_up = now;
        }
        if moved && !slot.touched {
            slot.touched = true;
            self.touched.push(index);
        }
        if slot.stream.finished() && !slot.touched && slot.stream.in_flight == 0 {
            self.release(index);
            return false;
        }
        // A log that may not be read because the queue is full is not idle: its files rotate on, and must be seen.
        let free = self.ready.is_none();
        let idle = slot.stream.kind == Kind::Docker && free && slot.interval >= POLL_MAX && !moved && !more;
        let told = self.watch.idle(index, slot.stream.chain.path(), idle) && slot.told;
        slot.told = idle;
        let longest = if told { POLL_TOLD } else { POLL_MAX };
        let interval = if moved || more { POLL_MIN } else { (slot.interval * 2).min(longest) };
        let mut at = if more { now } else { now + interval };
        if interval > POLL_GRID {
            at = on_grid(self.begun, at);
        }
        if let Some(ends) = slot.stream.patience_ends() {
            // Not before the next tick: while the queue is full, patience may have ended long ago.
            at = at.min(ends.max(now + POLL_MIN));
        }
        self.schedule_at(index, at, interval);
        if self.rules.full(&self.batch) {
            self.close_batch();
        }
        more
    }

    fn release(&mut self, index: usize) {
        if let Some(slot) = self.slots[index].take() {
            self.by_key.remove(&slot.stream.key);
            self.watch.forget(index);
            for base in slot.stream.chain.spooled() {
                self.spool.remove(CopyOf::new(&slot.stream.key, base));
            }
            self.unsaved = true;
        }
    }
}

/// The next moment at which idle logs are looked at together.
fn on_grid(begun: Instant, at: Instant) -> Instant {
    let past = at.duration_since(begun).as_nanos() % POLL_GRID.as_nanos();
    at + POLL_GRID - Duration::from_nanos(past as u64)
}
