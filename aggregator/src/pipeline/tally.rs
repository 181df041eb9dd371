//! What a worker counts while it runs a program: events per filter, and what was dropped by which rule, of which level
//! and service. No locks: each worker has its own and hands it over between batches.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;
use std::time::Duration;

use crate::event::{Event, FieldPath, Text};
use crate::filter::Scratch;
use crate::front::front;

/// Different (rule, level, service) that are counted apart between two hand-overs; beyond it the service is left out.
const DROPPED_KEYS_MAX: usize = 4096;
/// Keys that are looked at one by one before they are looked up.
const FEW_KEYS: usize = 8;
/// Service and level names are cut to so many bytes in the ledger.
const NAME_BYTES_MAX: usize = 128;
/// A sample message is cut to so many bytes.
const SAMPLE_BYTES_MAX: usize = 300;
/// One event in so many is timed: looking at the clock around every filter would cost as much as a cheap filter does.
const TIMED_ONE_IN: u32 = 64;

static LEVEL: LazyLock<FieldPath> = LazyLock::new(|| FieldPath::of(&["log", "level"]));
static MESSAGE: LazyLock<FieldPath> = LazyLock::new(|| FieldPath::of(&["message"]));
static SERVICE: LazyLock<FieldPath> = LazyLock::new(|| FieldPath::of(&["service", "name"]));

/// What a filter did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FilterCount {
    /// Events it was given.
    pub events_in: u64,
    /// Events it dropped.
    pub dropped: u64,
    /// Events it could not work on, and tagged.
    pub failed: u64,
    /// New events that it made.
    pub made: u64,
    /// New events that were too many of one and cut off.
    pub cut_off: u64,
    /// The time that it took, in nanoseconds; of most events it is an estimate from those that were timed.
    pub nanoseconds: u64,
}

/// The slowest single run of a filter.
#[derive(Clone, Debug)]
pub struct Slow {
    /// The filter's place in the program.
    pub rule: usize,
    /// How long it took.
    pub took: Duration,
    /// The beginning of the event's message.
    pub message: Text,
}

/// By which rule, of which level and service something was dropped.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Dropped {
    /// The rule's place in the program.
    pub rule: usize,
    /// The level; empty where there is none.
    pub level: Text,
    /// The service; empty where there is none.
    pub service: Text,
}

/// A worker's counts.
#[derive(Debug, Default)]
pub struct Tally {
    /// What filters may use while they run.
    pub scratch: Scratch,
    filters: Vec<FilterCount>,
    dropped: Vec<(Dropped, u64)>,
    /// Places in `dropped` by the hash of their key.
    places: HashMap<u64, usize>,
    hasher: RandomState,
    /// The place that was counted last: lines of one container follow each other, and this saves the look-up.
    last: usize,
    /// The message of the first event of the last key that is new.
    sample: Option<Text>,
    /// Events until one is timed.
    until_timed: u32,
    timing: Timing,
    watch_next: bool,
    /// Runs of filters that take this long or longer are noted; none does when there is none.
    slow_min: Option<Duration>,
    slowest: Option<Slow>,
}

/// Whether the event at hand is timed, and for how many it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Timing {
    #[default]
    No,
    Sample,
    /// This one alone, because it may take long.
    Watched,
}

impl Tally {
    /// Counts of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes runs of a filter that take this long or longer.
    pub fn note_slow(&mut self, min: Option<Duration>) {
        self.slow_min = min;
    }

    /// Times the next event in any case: a large one is what may be slow.
    pub fn watch(&mut self) {
        self.watch_next = true;
    }

    pub(super) fn begin(&mut self, rules: usize) {
        if self.filters.len() != rules {
            self.filters = vec![FilterCount::default(); rules];
        }
        if std::mem::take(&mut self.watch_next) {
            // It stands for itself, and the sampling goes on behind it.
            self.timing = Timing::Watched;
            return;
        }
        (self.until_timed, self.timing) = match self.until_timed {
            0 => (TIMED_ONE_IN - 1, Timing::Sample),
            left => (left - 1, Timing::No),
        };
    }

    pub(super) fn is_timed(&self) -> bool {
        self.timing != Timing::No
    }

    pub(super) fn took(&mut self, rule: usize, took: Duration, event: &Event) {
        let weight = if self.timing == Timing::Sample { u64::from(TIMED_ONE_IN) } else { 1 };
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let count = self.count(rule);
        count.nanoseconds = count.nanoseconds.saturating_add(nanoseconds.saturating_mul(weight));
        let is_slowest = self.slowest.as_ref().is_none_or(|slowest| slowest.took < took);
        if is_slowest && self.slow_min.is_some_and(|min| took >= min) {
            let message = Text::from(front(event.get_str(&MESSAGE).unwrap_or_default(), SAMPLE_BYTES_MAX));
            self.slowest = Some(Slow { rule, took, message });
        }
    }

    /// The slowest run of a filter since the last call, if one was slow.
    pub fn take_slowest(&mut self) -> Option<Slow> {
        self.slowest.take()
    }

    pub(super) fn count(&mut self, rule: usize) -> &mut FilterCount {
        &mut self.filters[rule]
    }

    pub(super) fn dropped(&mut self, rule: usize, event: &Event) {
        self.count(rule).dropped += 1;
        let level = front(event.get_str(&LEVEL).unwrap_or_default(), NAME_BYTES_MAX);
        let service = front(event.get_str(&SERVICE).unwrap_or_default(), NAME_BYTES_MAX);
        let is = |key: &Dropped| key.rule == rule && *key.level == *level && *key.service == *service;
        if let Some((key, count)) = self.dropped.get_mut(self.last)
            && is(key)
        {
            *count += 1;
            return;
        }
        // A few keys are found sooner by looking at each than by a hash.
        if let Some(place) = self.dropped.iter().take(FEW_KEYS).position(|(key, _)| is(key)) {
            self.last = place;
            self.dropped[place].1 += 1;
            return;
        }
        let hash = self.hasher.hash_one((rule, level, service));
        self.last = match self.places.get(&hash) {
            Some(place) if is(&self.dropped[*place].0) => *place,
            _ if self.dropped.len() >= DROPPED_KEYS_MAX => self.others(rule, level),
            _ => {
                // Copies of their own, so that a short text does not hold a whole batch in memory.
                let key = Dropped { rule, level: Text::from(level), service: Text::from(service) };
                self.sample = Some(Text::from(front(event.get_str(&MESSAGE).unwrap_or_default(), SAMPLE_BYTES_MAX)));
                self.places.insert(hash, self.dropped.len());
                self.dropped.push((key, 0));
                self.dropped.len() - 1
            }
        };
        self.dropped[self.last].1 += 1;
    }

    /// The place that counts for all services there is no room for. One for each rule and level, which are few.
    fn others(&mut self, rule: usize, level: &str) -> usize {
        let service = Text::from_static("(other services)");
        let hash = self.hasher.hash_one((rule, level, &*service));
        *self.places.entry(hash).or_insert_with(|| {
            self.dropped.push((Dropped { rule, level: Text::from(level), service }, 0));
            self.dropped.len() - 1
        })
    }

    /// What was dropped last, since the last call of [`Tally::take_dropped`].
    pub fn last_dropped(&self) -> Option<&Dropped> {
        self.dropped.get(self.last).map(|(key, _)| key)
    }

    /// The message of the event that was dropped last, if it was the first of its key since the last call of
    /// [`Tally::take_dropped`].
    pub fn take_sample(&mut self) -> Option<Text> {
        self.sample.take()
    }

    /// What was counted per filter since the last call; in order of the program's rules.
    pub fn take_filters(&mut self) -> Vec<FilterCount> {
        let empty = vec![FilterCount::default(); self.filters.len()];
        std::mem::replace(&mut self.filters, empty)
    }

    /// What was dropped since the last call.
    pub fn take_dropped(&mut self) -> Vec<(Dropped, u64)> {
        self.places.clear();
        self.last = 0;
        std::mem::take(&mut self.dropped)
    }
}
