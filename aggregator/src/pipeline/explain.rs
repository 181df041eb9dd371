//! Explaining a program: an event's way through the filters, with what each one changed.

use std::time::{Duration, Instant};

use super::program::{Node, Program};
use super::tally::Tally;
use crate::event::{Event, FieldPath, Object, Value};

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
    /// The message as it was.
    pub message: String,
    /// The pipeline that the event met, where there are several.
    pub pipeline: Option<String>,
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
    let message = event.get_str(&FieldPath::of(&["message"])).unwrap_or_default().to_owned();
    let chosen = program.choose(&event);
    let pipeline = &program.pipelines[chosen];
    let kept = walk.block(&pipeline.filters, &mut event, &mut others, 0);
    let mut events = if kept { vec![event] } else { Vec::new() };
    events.append(&mut others);
    let pipeline = (program.pipelines.len() > 1).then(|| pipeline.name.clone());
    Trace { message, pipeline, steps: walk.steps, events }
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

/// Where times stand in a line, in characters.
const TIME_COLUMN: usize = 60;

impl Trace {
    /// The trace as text for a terminal, with colours if wanted: the line, what each condition and filter did to it, and
    /// what became of it.
    pub fn show(&self, colours: bool) -> String {
        let mut out = Shown { text: String::new(), colours };
        out.line(0, "1", &self.message);
        if let Some(pipeline) = &self.pipeline {
            out.line(1, "2", &format!("in the pipeline {pipeline}"));
        }
        let mut whole = Duration::ZERO;
        for step in &self.steps {
            match step {
                Step::Branch { condition, taken, depth } => {
                    let (code, sign) = if *taken { ("32", "yes") } else { ("2", "no ") };
                    let sign = out.paint(code, sign);
                    let question = if condition == "else" { condition.clone() } else { format!("if {condition}") };
                    let question = out.paint(if *taken { "0" } else { "2" }, &question);
                    out.line(1 + depth, "0", &format!("{sign} {question}"));
                }
                Step::Filter { id, changes, dropped, made, took, depth } => {
                    whole += *took;
                    let width = TIME_COLUMN.saturating_sub(2 * (1 + depth));
                    let (id, took) = (out.paint("36", &format!("{id:<width$}")), out.paint("2", &micros(*took)));
                    out.line(1 + depth, "0", &format!("{id} {took}"));
                    for (field, old, new) in changes {
                        old.iter().for_each(|old| out.line(2 + depth, "31", &format!("- {field} {}", shown(old))));
                        new.iter().for_each(|new| out.line(2 + depth, "32", &format!("+ {field} {}", shown(new))));
                    }
                    if *made > 0 {
                        out.line(2 + depth, "33", &format!("made {made} more"));
                    }
                    if *dropped {
                        out.line(2 + depth, "33", "dropped");
                    }
                }
            }
        }
        let whole = out.paint("2", &format!("after {} in all", micros(whole).trim()));
        if self.events.is_empty() {
            let dropped = out.paint("1;33", "dropped");
            out.line(1, "0", &format!("{dropped} {whole}"));
        }
        for event in &self.events {
            let kept = out.paint("1;32", "kept");
            out.line(1, "0", &format!("{kept} {whole}"));
            out.line(2, "0", &shown(&Value::Object(event.to_object())));
        }
        out.text
    }
}

/// What is shown, as it grows.
struct Shown {
    text: String,
    colours: bool,
}

impl Shown {
    /// A text in a colour (a number of ANSI's) where colours are wanted.
    fn paint(&self, code: &str, text: &str) -> String {
        if self.colours && code != "0" { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn line(&mut self, depth: usize, code: &str, text: &str) {
        let text = self.paint(code, text);
        self.text.extend([&"  ".repeat(depth), text.trim_end(), "\n"]);
    }
}

fn micros(took: Duration) -> String {
    format!("{:>8.1} µs", took.as_secs_f64() * 1e6)
}

fn shown(value: &Value) -> String {
    let mut json = Vec::new();
    crate::event::json::write(&mut json, value.as_ref());
    String::from_utf8_lossy(&json).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::LoadOptions;

    #[test]
    fn a_way_is_shown_step_by_step() {
        let text = "filter {\n mutate { add_field => { \"a\" => \"b\" } }\n if [x] { drop { } }\n \
                    else if [a] == \"b\" {\n mutate { id => \"change\" replace => { \"a\" => \"c\" } }\n drop { }\n }\n}";
        let program = Program::parse(vec![("p.conf".into(), text.into())], &LoadOptions::default()).unwrap();
        let trace = explain(&program, Event::from_message("hello"));
        let shown = trace.show(false);
        // Times differ from run to run.
        let untimed = |line: &'_ str| match line.strip_suffix(" µs") {
            Some(line) => line.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.').trim_end().to_owned(),
            None => line.to_owned(),
        };
        let lines: Vec<String> = shown.lines().map(untimed).collect();
        let whole = lines.last().unwrap();
        assert!(whole.starts_with("  dropped after ") && whole.ends_with("µs in all"), "{whole}");
        assert_eq!(
            lines[..lines.len() - 1],
            [
                "hello",
                "  mutate@p.conf:2",
                "    + [a] \"b\"",
                "  no  if [x]",
                "  yes if [a] == \"b\"",
                "    change",
                "      - [a] \"b\"",
                "      + [a] \"c\"",
                "    drop@p.conf:6",
                "      dropped",
            ]
        );
        let coloured = trace.show(true);
        assert!(coloured.contains("\u{1b}[32m+ [a] \"c\"\u{1b}[0m"), "{coloured:?}");
        assert!(coloured.contains("\u{1b}[31m- [a] \"b\"\u{1b}[0m"), "{coloured:?}");
    }
}
