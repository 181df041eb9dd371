//! What a worker counts while it runs a program: events per filter, and what was dropped by which rule, of which level
//! and service. No locks: each worker has its own and hands it over between batches.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::event::{Event, FieldPath, Text};
use crate::filter::Scratch;

/// Different (rule, level, service) that are counted apart between two hand-overs; beyond it the service is left out.
const DROPPED_KEYS_MAX: usize = 4096;
/// Service and level names are cut to so many bytes in the ledger.
const NAME_BYTES_MAX: usize = 128;

static LEVEL: LazyLock<FieldPath> = LazyLock::new(|| FieldPath::of(&["log", "level"]));
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
    /// New events that were too many of one and cut off.
    pub cut_off: u64,
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
    dropped: HashMap<Dropped, u64>,
    /// The key that was counted last, and its count that is not in the map yet: lines of one container follow each
    /// other, and this saves the look-up.
    last: Option<(Dropped, u64)>,
}

impl Tally {
    /// Counts of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn begin(&mut self, rules: usize) {
        if self.filters.len() != rules {
            self.filters = vec![FilterCount::default(); rules];
        }
    }

    pub(super) fn count(&mut self, rule: usize) -> &mut FilterCount {
        &mut self.filters[rule]
    }

    pub(super) fn dropped(&mut self, rule: usize, event: &Event) {
        self.count(rule).dropped += 1;
        let level = event.get_str(&LEVEL).unwrap_or_default();
        let service = event.get_str(&SERVICE).unwrap_or_default();
        if let Some((last, count)) = &mut self.last
            && last.rule == rule
            && *last.level == *level
            && *last.service == *service
        {
            *count += 1;
            return;
        }
        self.settle();
        let key = Dropped { rule, level: name(level), service: name(service) };
        self.last = Some((key, 1));
    }

    /// What was dropped last, since the last call of [`Tally::take_dropped`].
    pub fn last_dropped(&self) -> Option<&Dropped> {
        self.last.as_ref().map(|(dropped, _)| dropped)
    }

    fn settle(&mut self) {
        let Some((mut key, count)) = self.last.take() else { return };
        if self.dropped.len() >= DROPPED_KEYS_MAX && !self.dropped.contains_key(&key) {
            key.service = Text::from_static("(other services)");
        }
        *self.dropped.entry(key).or_default() += count;
    }

    /// What was counted per filter since the last call; in order of the program's rules.
    pub fn take_filters(&mut self) -> Vec<FilterCount> {
        let empty = vec![FilterCount::default(); self.filters.len()];
        std::mem::replace(&mut self.filters, empty)
    }

    /// What was dropped since the last call.
    pub fn take_dropped(&mut self) -> HashMap<Dropped, u64> {
        self.settle();
        std::mem::take(&mut self.dropped)
    }
}

/// A copy of its own, so that a short name does not hold a whole batch in memory.
fn name(text: &str) -> Text {
    let mut end = text.len().min(NAME_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Text::from(&text[..end])
}
