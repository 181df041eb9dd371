//! `throttle`: acts on events of a key that come too rarely or too often.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::{Filter, Outcome, Scratch};
use crate::event::{Event, Text};
use crate::pipeline::options::Options;
use crate::pipeline::template::Template;

/// Keys that are counted when no other number is given.
const KEYS_MAX_DEFAULT: u64 = 100_000;
/// A file may ask for so many at most, at about 150 bytes each.
const KEYS_MAX: u64 = 1_000_000;

#[derive(Debug)]
struct Throttle {
    key: Template,
    before: i64,
    after: i64,
    period_s: i64,
    keys_max: usize,
    counts: Mutex<HashMap<Text, Count>>,
}

#[derive(Debug)]
struct Count {
    since_s: i64,
    events: i64,
}

pub(super) fn build(options: &mut Options<'_>) -> Option<Box<dyn Filter>> {
    let key = options.required_text("key");
    let number = |options: &mut Options<'_>, name, default: i64| match options.number(name) {
        // Counts are far below what an i64 holds.
        Some((number, _)) => number as i64,
        None => default,
    };
    let before = number(options, "before_count", -1);
    let after = number(options, "after_count", -1);
    let period_s = match options.text("period") {
        Some((text, span)) => match text.parse::<i64>() {
            Ok(period) if period > 0 => period,
            _ => {
                options.error(&span, "`period` must be a number of seconds", "");
                return None;
            }
        },
        None => 60,
    };
    options.number("max_age");
    let keys_max = match options.number("max_counters") {
        Some((number, _)) if number >= 1.0 => (number as u64).min(KEYS_MAX),
        _ => KEYS_MAX_DEFAULT,
    };
    Some(Box::new(Throttle {
        key: Template::parse(&key?.0),
        before,
        after,
        period_s,
        keys_max: usize::try_from(keys_max).unwrap_or(usize::MAX),
        counts: Mutex::default(),
    }))
}

impl Filter for Throttle {
    fn apply(&self, event: &mut Event, scratch: &mut Scratch) -> Outcome {
        let now_s = event.timestamp().unwrap_or(scratch.now).as_second();
        let key = self.key.render(event);
        // A panic of another worker leaves whole counts only.
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= self.keys_max && !counts.contains_key(&key) {
            counts.retain(|_, count| now_s - count.since_s < self.period_s);
            if counts.len() >= self.keys_max {
                // All of them are in use: an event that cannot be counted is not throttled.
                return Outcome::Unmatched;
            }
        }
        let count = match counts.get_mut(&key) {
            Some(count) => count,
            None => counts.entry(Text::from(&*key)).or_insert(Count { since_s: now_s, events: 0 }),
        };
        if now_s - count.since_s >= self.period_s {
            *count = Count { since_s: now_s, events: 0 };
        }
        count.events += 1;
        let outside =
            (self.before != -1 && count.events < self.before) || (self.after != -1 && count.events > self.after);
        if outside { Outcome::Matched } else { Outcome::Unmatched }
    }
}
