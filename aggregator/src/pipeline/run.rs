//! Running a program on events.

use std::time::Instant;

use super::program::{Node, Program};
use super::tally::Tally;
use crate::event::Event;
use crate::filter::Outcome;

/// Events that one event may become by `clone` and `split`; more are cut off and counted, so that a line cannot flood
/// the aggregator.
const EVENTS_OF_ONE_MAX: usize = 10_000;

impl Program {
    /// Runs the filters of its pipeline on `event`, and says which that was. What is kept is appended to `out`, the event
    /// itself before those made of it; what is dropped is counted in `tally`.
    #[inline]
    pub fn run(&self, event: Event, out: &mut Vec<Event>, tally: &mut Tally) -> usize {
        let pipeline = self.choose(&event);
        self.run_pipeline(pipeline, event, out, tally);
        pipeline
    }

    /// As [`Program::run`], in a pipeline that is known.
    pub fn run_pipeline(&self, pipeline: usize, mut event: Event, out: &mut Vec<Event>, tally: &mut Tally) {
        tally.begin(self.rules.len());
        let mut others = Vec::new();
        if self.block(&self.pipelines[pipeline].filters, &mut event, &mut others, tally) {
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
                // The new ones have not met the steps behind this one yet; they do so after the one that they are of.
                let new = others.split_off(made);
                let rest = &nodes[index + 1..];
                let kept = kept && self.block(rest, event, others, tally);
                for mut other in new {
                    let mut more = Vec::new();
                    if self.block(rest, &mut other, &mut more, tally) {
                        others.push(other);
                    }
                    others.append(&mut more);
                }
                return kept;
            }
            if !kept {
                return false;
            }
        }
        true
    }

    /// Runs one filter. False when the event was dropped.
    pub(super) fn apply(&self, index: usize, event: &mut Event, others: &mut Vec<Event>, tally: &mut Tally) -> bool {
        if !tally.is_timed() {
            return self.apply_untimed(index, event, others, tally);
        }
        let start = Instant::now();
        let kept = self.apply_untimed(index, event, others, tally);
        tally.took(index, start.elapsed(), event);
        kept
    }

    fn apply_untimed(&self, index: usize, event: &mut Event, others: &mut Vec<Event>, tally: &mut Tally) -> bool {
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
                tally.count(index).made += new.len() as u64;
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

#[cfg(test)]
mod tests {
    use crate::event::Event;
    use crate::pipeline::{LoadOptions, Program, Tally};

    #[test]
    fn what_was_made_meets_the_rest_behind_what_it_was_made_of() {
        let text = "filter { clone { clones => [copy] } throttle { key => all after_count => 1 add_tag => late } }";
        let program = Program::parse(vec![("test".into(), text.into())], &LoadOptions::default()).unwrap();
        let (mut kept, mut tally) = (Vec::new(), Tally::new());
        program.run(Event::from_message("x"), &mut kept, &mut tally);
        let late: Vec<bool> = kept.iter().map(|event| event.has_tag("late")).collect();
        assert_eq!(late, [false, true]);
        let filters = tally.take_filters();
        assert_eq!((filters[0].events_in, filters[0].made, filters[1].events_in), (1, 1, 2));
        assert!(filters[1].nanoseconds > 0, "the first event is timed");
    }
}
