//! `prune`: keeps or removes top-level fields by their names or values.

use std::sync::{LazyLock, Mutex};

use super::{Filter, Outcome, Scratch};
use crate::event::{Event, FieldPath, KnownNames, Value, ValueRef};
use crate::pipeline::diagnostic::Span;
use crate::pipeline::options::{Options, Placed};
use crate::pipeline::pattern::Pattern;
use crate::pipeline::template::Template;

/// What is removed by name when nothing else is said: names of templates that nothing filled in.
const BLACKLIST_NAMES: &str = r"%\{[^}]+\}";

/// What rules read that fill nothing in.
static NOTHING: LazyLock<Event> = LazyLock::new(Event::new);

#[derive(Debug)]
struct Prune {
    keep_names: Names,
    remove_names: Names,
    keep_values: Vec<(Template, Rule)>,
    remove_values: Vec<(Template, Rule)>,
    interpolate: bool,
    known: Mutex<KnownNames>,
}

/// What names are held against. Most rules are one name (`^message$`), which is compared as text.
#[derive(Debug)]
struct Names {
    exact: Vec<(String, Rule)>,
    others: Vec<Rule>,
}

/// An expression; with `interpolate`, one that each event may change.
#[derive(Debug)]
enum Rule {
    Fixed(Pattern),
    Changing(Template),
}

pub(super) fn build(options: &mut Options<'_>) -> Option<Box<dyn Filter>> {
    let interpolate = options.bool("interpolate", false);
    let keep_names = options.list("whitelist_names");
    let remove_names = if options.has("blacklist_names") {
        options.list("blacklist_names")
    } else {
        options.list("blacklist_names");
        vec![(BLACKLIST_NAMES.to_owned(), options.span().clone())]
    };
    let keep_values = options.text_pairs("whitelist_values");
    let remove_values = options.text_pairs("blacklist_values");
    let mut rules = |list: Vec<Placed>| list.iter().filter_map(|placed| rule(options, placed, interpolate)).collect();
    let (keep_names, remove_names) = (Names::of(rules(keep_names)), Names::of(rules(remove_names)));
    let mut value_rules = |pairs: Vec<(Placed, Placed)>| {
        pairs
            .iter()
            .filter_map(|(name, value)| Some((Template::parse(&name.0), rule(options, value, interpolate)?)))
            .collect()
    };
    let (keep_values, remove_values) = (value_rules(keep_values), value_rules(remove_values));
    Some(Box::new(Prune { keep_names, remove_names, keep_values, remove_values, interpolate, known: Mutex::default() }))
}

fn rule(options: &mut Options<'_>, (text, span): &(String, Span), interpolate: bool) -> Option<Rule> {
    let template = Template::parse(text);
    if interpolate && template.fixed().is_none() {
        return Some(Rule::Changing(template));
    }
    // Without interpolation `%{a}` is taken as it stands, where it would be no expression.
    match Pattern::new(text)
        .or_else(|error| if text.contains("%{") { Pattern::new(&regex::escape(text)) } else { Err(error) })
    {
        Ok(pattern) => Some(Rule::Fixed(pattern)),
        Err(error) => {
            options.error(span, error.to_string(), "");
            None
        }
    }
}

impl Rule {
    fn is_match(&self, text: &str, event: &Event) -> bool {
        match self {
            Rule::Fixed(pattern) => pattern.is_match(text),
            // An expression that an event breaks matches nothing.
            Rule::Changing(template) => {
                Pattern::new(&template.render(event)).is_ok_and(|pattern| pattern.is_match(text))
            }
        }
    }
}

impl Names {
    fn of(rules: Vec<Rule>) -> Self {
        let mut names = Self { exact: Vec::new(), others: Vec::new() };
        for rule in rules {
            let exact = if let Rule::Fixed(pattern) = &rule { pattern.exact().map(str::to_owned) } else { None };
            match exact {
                Some(name) => names.exact.push((name, rule)),
                None => names.others.push(rule),
            }
        }
        names
    }

    fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.others.is_empty()
    }

    fn is_fixed(&self) -> bool {
        self.others.iter().all(|rule| matches!(rule, Rule::Fixed(_)))
    }

    fn has(&self, name: &str, event: &Event) -> bool {
        self.exact.iter().any(|(exact, _)| exact == name)
            || self.others.iter().any(|rule| rule.is_match(name, event))
            // `^` and `$` are the ends of a line: a name of several is matched by one of them.
            || (!self.exact.is_empty() && name.contains('\n') && self.exact.iter().any(|(_, rule)| rule.is_match(name, event)))
    }
}

impl Prune {
    fn names(&self, event: &mut Event) {
        let fixed = self.keep_names.is_fixed() && self.remove_names.is_fixed();
        let copy;
        let read: &Event = if fixed {
            &NOTHING
        } else {
            copy = event.clone();
            &copy
        };
        let keep = |name: &str| {
            (self.keep_names.is_empty() || self.keep_names.has(name, read)) && !self.remove_names.has(name, read)
        };
        // Where another worker has it, this one does without.
        match self.known.try_lock() {
            Ok(mut known) if fixed => event.retain_names(&mut known, keep),
            _ => event.retain(|name, _| keep(name)),
        }
    }

    fn values(&self, event: &mut Event, rules: &[(Template, Rule)], keep: bool) {
        if rules.is_empty() {
            return;
        }
        // What is filled in comes from the event as it was before anything was removed.
        let copy = if self.interpolate { event.clone() } else { Event::new() };
        for (name, rule) in rules {
            let name = if self.interpolate { name.render(&copy) } else { name.as_str().into() };
            let path = FieldPath::of(&[&name]);
            let Some(value) = event.get(&path) else { continue };
            let fits = |value: ValueRef<'_>| rule.is_match(&value.to_text(), &copy) == keep;
            match value {
                ValueRef::Array(items) => {
                    let left: Vec<Value> = items.iter().filter(|item| fits(item.as_ref())).cloned().collect();
                    if left.is_empty() {
                        event.remove(&path);
                    } else if left.len() < items.len() {
                        event.set(&path, Value::Array(left));
                    }
                }
                value => {
                    if !fits(value) {
                        event.remove(&path);
                    }
                }
            }
        }
    }
}

impl Filter for Prune {
    fn apply(&self, event: &mut Event, _: &mut Scratch) -> Outcome {
        self.names(event);
        self.values(event, &self.keep_values, true);
        self.values(event, &self.remove_values, false);
        Outcome::Matched
    }
}
