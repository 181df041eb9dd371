//! `drop`: the event goes no further. `percentage` drops that share of events only.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Filter, Outcome, Scratch};
use crate::event::Event;
use crate::pipeline::options::Options;

#[derive(Debug)]
struct Drop {
    /// Of so many events in 100,000; all if there is no such option.
    share: Option<u64>,
    seen: AtomicU64,
}

/// Parts that `percentage` is counted in, so that fractions of a percent work.
const PARTS: u64 = 100_000;

pub(super) fn build(options: &mut Options<'_>) -> Option<Box<dyn Filter>> {
    let share = match options.number("percentage") {
        Some((percentage, span)) => {
            if !(0.0..=100.0).contains(&percentage) {
                options.error(&span, "`percentage` must be between 0 and 100", "");
                return None;
            }
            Some((percentage / 100.0 * PARTS as f64).round() as u64).filter(|share| *share < PARTS)
        }
        None => None,
    };
    Some(Box::new(Drop { share, seen: AtomicU64::new(0) }))
}

impl Filter for Drop {
    fn apply(&self, _: &mut Event, _: &mut Scratch) -> Outcome {
        let Some(share) = self.share else { return Outcome::Dropped };
        // Spread evenly instead of by chance: exactly that share of any long run is dropped.
        let count = self.seen.fetch_add(1, Ordering::Relaxed) % PARTS;
        if (count + 1) * share / PARTS > count * share / PARTS { Outcome::Dropped } else { Outcome::Matched }
    }
}
