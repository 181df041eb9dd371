//! Explaining a program: an event's way through the filters, with what each one changed.

use std::time::{Duration, Instant};

use super::program::{Node, Program};
use super::tally::Tally;
use crate::event::{Event, Object, Value};

/// What happened to an event at one place.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A condition was taken; or none of an `if` was.
    Branch {
        /// The condition's text, or `else`.
        condition: String,
        /// Whether it held.
        taken: bool,
        /// How deep in conditions.
        depth: usize,
    },
    /// A filter ran.
    Filter {
        /// Its id: name, file and line, or what the file calls it.
        id: String,
        /// Fields as they were and are, by reference; missing on one side where they came or went.
        changes: Vec<(String, Option<Value>, Option<Value>)>,
        /// Whether it dropped the event.
        dropped: bool,
        /// How many more events it made.
        made: usize,
        /// How long it took.
        took: Duration,
        /// How deep in conditions.
        depth: usize,
    },
}

/// An event's way through a program.
#[derive(Clone, Debug)]
pub struct Trace {
    /// The steps in order.
    pub steps: Vec<Step>,
    /// What became of it: nothing if it was dropped, several where filters made more.
    pub events: Vec<Event>,
}

/// Runs `event` through `program` and notes every step. Events that filters made are run through the rest, without
/// notes.
pub fn explain(program: &Program, event: Event) -> Trace {
    let mut walk = Walk { program, tally: Tally::new(), steps: Vec::new() };
    walk.tally.begin(program.rules().len());
    let mut event = event;
    let mut others = Vec::new();
    let kept = walk.block(&program.filters, &mut event, &mut others, 0);
    let mut events = if kept { vec![event] } else { Vec::new() };
    events.append(&mut others);
    Trace { steps: walk.steps, events }
}

struct Walk<'a> {
    program: &'a Program,
    tally: Tally,
    steps: Vec<Step>,
}

impl Walk<'_> {
    fn block(&mut self, nodes: &[Node], event: &mut Event, others: &mut Vec<Event>, depth: usize) -> bool {
        for node in nodes {
            let kept = match node {
                Node::Rule(rule) => self.filter(*rule, event, others, depth),
                Node::If(arms) => {
                    let mut kept = true;
                    for (condition, text, body) in arms {
                        let taken = condition.as_ref().is_none_or(|condition| condition.holds(event));
                        self.steps.push(Step::Branch { condition: text.clone(), taken, depth });
                        if taken {
                            kept = self.block(body, event, others, depth + 1);
                            break;
                        }
                    }
                    kept
                }
            };
            if !kept {
                return false;
            }
        }
        true
    }

    fn filter(&mut self, rule: usize, event: &mut Event, others: &mut Vec<Event>, depth: usize) -> bool {
        let before = event.to_object();
        let made = others.len();
        let start = Instant::now();
        let kept = self.program.apply(rule, event, others, &mut self.tally);
        let took = start.elapsed();
        let mut changes = Vec::new();
        compare("", &before, &event.to_object(), &mut changes);
        self.steps.push(Step::Filter {
            id: self.program.rules[rule].info.id.clone(),
            changes,
            dropped: !kept,
            made: others.len() - made,
            took,
            depth,
        });
        kept
    }
}

/// Notes where two objects differ; objects in objects are followed.
fn compare(way: &str, before: &Object, after: &Object, changes: &mut Vec<(String, Option<Value>, Option<Value>)>) {
    let names = before
        .iter()
        .map(|(name, _)| name)
        .chain(after.iter().map(|(name, _)| name).filter(|name| before.get(name).is_none()));
    for name in names {
        let here = format!("{way}[{name}]");
        match (before.get(name), after.get(name)) {
            (Some(Value::Object(old)), Some(Value::Object(new))) => compare(&here, old, new, changes),
            (old, new) if old == new => {}
            (old, new) => changes.push((here, old.cloned(), new.cloned())),
        }
    }
}

impl Trace {
    /// The trace as text for a terminal, with colours if wanted.
    pub fn show(&self, colours: bool) -> String {
        use std::fmt::Write as _;
        let paint =
            |code: &str, text: &str| if colours { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() };
        let shown = |value: &Value| {
            let mut out = Vec::new();
            crate::event::json::write(&mut out, value.as_ref());
            String::from_utf8_lossy(&out).into_owned()
        };
        let mut out = String::new();
        for step in &self.steps {
            // Writing to a String cannot fail.
            let _ = match step {
                Step::Branch { condition, taken, depth } => {
                    let mark = if *taken { paint("32", "yes") } else { paint("90", "no") };
                    writeln!(out, "{:indent$}if {condition}: {mark}", "", indent = depth * 2)
                }
                Step::Filter { id, changes, dropped, made, took, depth } => {
                    let indent = depth * 2;
                    let _ = writeln!(out, "{:indent$}{} ({took:.1?})", "", paint("1", id));
                    for (field, old, new) in changes {
                        if let Some(old) = old {
                            let _ =
                                writeln!(out, "{:indent$}  {}", "", paint("31", &format!("- {field}: {}", shown(old))));
                        }
                        if let Some(new) = new {
                            let _ =
                                writeln!(out, "{:indent$}  {}", "", paint("32", &format!("+ {field}: {}", shown(new))));
                        }
                    }
                    if *made > 0 {
                        let _ = writeln!(out, "{:indent$}  made {made} more", "");
                    }
                    if *dropped { writeln!(out, "{:indent$}  {}", "", paint("33", "dropped")) } else { Ok(()) }
                }
            };
        }
        out
    }
}
