//! Running a program on events.

use super::program::{Node, Program};
use super::tally::Tally;
use crate::event::Event;
use crate::filter::Outcome;

/// Events that one event may become by `clone` and `split`; more are cut off and counted, so that a line cannot flood
/// the aggregator.
const EVENTS_OF_ONE_MAX: usize = 10_000;

impl Program {
    /// Runs the filters on `event`. What is kept is appended to `out`, the event itself before those made of it; what
    /// is dropped is counted in `tally`.
    pub fn run(&self, mut event: Event, out: &mut Vec<Event>, tally: &mut Tally) {
        tally.begin(self.rules.len());
        let mut others = Vec::new();
        if self.block(&self.filters, &mut event, &mut others, tally) {
            out.push(event);
        }
        out.append(&mut others);
    }

    /// Runs steps on `event`, and the steps after the one that made them on each of the events made of it. False when
    /// `event` was dropped.
    fn block(&self, nodes: &[Node], event: &mut Event, others: &mut Vec<Event>, tally: &mut Tally) -> bool {
        for (index, node) in nodes.iter().enumerate() {
            let made = others.len();
            let kept = match node {
                Node::Rule(rule) => self.apply(*rule, event, others, tally),
                Node::If(arms) => {
                    let arm = arms
                        .iter()
                        .find(|(condition, ..)| condition.as_ref().is_none_or(|condition| condition.holds(event)));
                    match arm {
                        Some((_, _, body)) => self.block(body, event, others, tally),
                        None => true,
                    }
                }
            };
            if others.len() > made {
                // The new ones have not met the steps behind this one yet.
                for mut other in others.split_off(made) {
                    let mut more = Vec::new();
                    if self.block(&nodes[index + 1..], &mut other, &mut more, tally) {
                        others.push(other);
                    }
                    others.append(&mut more);
                }
            }
            if !kept {
                return false;
            }
        }
        true
    }

    /// Runs one filter. False when the event was dropped.
    pub(super) fn apply(&self, index: usize, event: &mut Event, others: &mut Vec<Event>, tally: &mut Tally) -> bool {
        let rule = &self.rules[index];
        tally.count(index).events_in += 1;
        match rule.filter.apply(event, &mut tally.scratch) {
            Outcome::Matched => rule.common.apply(event),
            Outcome::Unmatched => {}
            Outcome::Failed => tally.count(index).failed += 1,
            Outcome::Dropped => {
                tally.dropped(index, event);
                return false;
            }
            Outcome::Many { first, others: mut new } => {
                if new.len() > EVENTS_OF_ONE_MAX {
                    tally.count(index).cut_off += (new.len() - EVENTS_OF_ONE_MAX) as u64;
                    new.truncate(EVENTS_OF_ONE_MAX);
                }
                if first {
                    rule.common.apply(event);
                }
                for mut other in new {
                    rule.common.apply(&mut other);
                    others.push(other);
                }
            }
        }
        true
    }
}
