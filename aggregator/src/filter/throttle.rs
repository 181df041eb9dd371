//! `throttle`: acts on events of a key that come too rarely or too often.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use super::{Filter, Outcome, Scratch};
use crate::event::{Event, Text};
use crate::pipeline::options::Options;
use crate::pipeline::template::Template;

/// Seconds that are counted together when no other number is given.
const PERIOD_S_DEFAULT: i64 = 60;
/// Keys that are counted when no other number is given.
const KEYS_MAX_DEFAULT: u64 = 100_000;
/// A file may ask for so many at most, at about 150 bytes each.
const KEYS_MAX: u64 = 1_000_000;

#[derive(Debug)]
struct Throttle {
    key: Template,
    before: i64,
    after: i64,
    period: Period,
    keys_max: usize,
    counts: Mutex<Counts>,
}

/// Seconds; an event may bring them.
#[derive(Debug)]
enum Period {
    Fixed(i64),
    Changing(Template),
}

#[derive(Debug, Default)]
struct Counts {
    of: HashMap<Text, Count>,
    /// The keys, the one that was counted first at the front: it makes room for one too many.
    order: VecDeque<Text>,
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
    let period = match options.text("period") {
        Some((text, span)) => match (Template::parse(&text), text.parse::<i64>()) {
            (template, _) if template.fixed().is_none() => Period::Changing(template),
            (_, Ok(seconds)) if seconds > 0 => Period::Fixed(seconds),
            _ => {
                options.error(&span, "`period` must be a number of seconds", "");
                return None;
            }
        },
        None => Period::Fixed(PERIOD_S_DEFAULT),
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
        period,
        keys_max: usize::try_from(keys_max).unwrap_or(usize::MAX),
        counts: Mutex::default(),
    }))
}

impl Filter for Throttle {
    fn apply(&self, event: &mut Event, scratch: &mut Scratch) -> Outcome {
        let now_s = event.timestamp().unwrap_or(scratch.now).as_second();
        let key = self.key.render(event);
        let period_s = match &self.period {
            Period::Fixed(seconds) => *seconds,
            Period::Changing(template) => {
                template.render(event).parse().ok().filter(|seconds| *seconds > 0).unwrap_or(PERIOD_S_DEFAULT)
            }
        };
        // A panic of another worker leaves whole counts only.
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let Counts { of, order } = &mut *counts;
        let count = match of.get_mut(&key) {
            Some(count) => count,
            None => {
                if of.len() >= self.keys_max
                    && let Some(oldest) = order.pop_front()
                {
                    of.remove(&oldest);
                }
                // A copy of its own, so that a key does not hold a whole batch in memory.
                let key = Text::from(&*key);
                order.push_back(key.clone());
                of.entry(key).or_insert(Count { since_s: now_s, events: 0 })
            }
        };
        if now_s - count.since_s >= period_s {
            *count = Count { since_s: now_s, events: 0 };
        }
        count.events += 1;
        let outside =
            (self.before != -1 && count.events < self.before) || (self.after != -1 && count.events > self.after);
        if outside { Outcome::Matched } else { Outcome::Unmatched }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::filter::testing::run_each;

    fn late(filter: &str, keys: &str) -> String {
        let events = keys.chars().map(|key| json!({"message": key.to_string(), "seconds": 60}));
        let all = run_each(&format!("throttle {{ key => \"%{{message}}\" add_tag => late {filter} }}"), events);
        all.iter().map(|event| if event["tags"].is_null() { '-' } else { 'x' }).collect()
    }

    #[test]
    fn too_few_and_too_many_are_acted_on() {
        assert_eq!(late("before_count => 2 after_count => 3", "aaaab"), "x--xx");
        assert_eq!(late("after_count => 1 period => \"%{seconds}\"", "aba"), "--x");
    }

    #[test]
    fn the_oldest_key_makes_room() {
        assert_eq!(late("after_count => 1 max_counters => 2", "abca"), "----");
        assert_eq!(late("after_count => 1 max_counters => 3", "abca"), "---x");
    }
}
