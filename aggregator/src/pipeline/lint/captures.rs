//! Captures of `grok` and `dissect` that are taken out again before anything reads them.

use super::{each_text, written};
use crate::pipeline::ast::{Branch, Expression, Operand, Plugin, Section, SectionKind, Term, Value};
use crate::pipeline::diagnostic::{Diagnostic, Span};
use crate::pipeline::pattern::Pattern;

/// Something in the order in which an event meets it.
enum Met<'a> {
    Plugin { plugin: &'a Plugin, always: bool },
    Condition(&'a Expression),
}

/// Warns of them.
pub(super) fn check(sections: &[Section], diagnostics: &mut Vec<Diagnostic>) {
    let mut way = Vec::new();
    for section in sections.iter().filter(|section| section.kind == SectionKind::Filter) {
        walk(&section.body, true, &mut way);
    }
    // Outputs read fields wherever they stand in the files.
    let mut outputs = Vec::new();
    for section in sections.iter().filter(|section| section.kind == SectionKind::Output) {
        walk(&section.body, false, &mut outputs);
    }
    for (index, met) in way.iter().enumerate() {
        let Met::Plugin { plugin, .. } = met else { continue };
        for (name, span) in captures(plugin) {
            let last = name.trim_end_matches(']').rsplit('[').next().unwrap_or(&name);
            // What names the field in any other way may read it.
            let is_read = reads(plugin, last, true)
                || way[index + 1..].iter().chain(&outputs).any(|later| match later {
                    Met::Plugin { plugin, .. } => reads(plugin, last, false),
                    Met::Condition(expression) => mentions(expression, last),
                });
            let is_removed = || {
                removes(plugin, &name)
                    || way[index + 1..].iter().any(|later| {
                        matches!(later, Met::Plugin { plugin, always: true } if removes(plugin, &name) || prunes(plugin, &name))
                    })
            };
            if !is_read && is_removed() {
                let hint = match plugin.name.as_str() {
                    "grok" => "leave the name away: `%{PATTERN}` matches and keeps nothing",
                    _ => "begin the name with `?`: that part is skipped",
                };
                let message = format!("`{name}` is captured and taken out again, and nothing reads it");
                diagnostics.push(Diagnostic::warning(&span, message, hint));
            }
        }
    }
}

fn walk<'a>(branches: &'a [Branch], always: bool, way: &mut Vec<Met<'a>>) {
    for branch in branches {
        match branch {
            Branch::Plugin(plugin) => way.push(Met::Plugin { plugin, always }),
            Branch::If(condition) => {
                way.extend(condition.arms.iter().map(|arm| Met::Condition(&arm.condition)));
                condition.arms.iter().for_each(|arm| walk(&arm.body, false, way));
                condition.otherwise.iter().for_each(|body| walk(body, false, way));
            }
        }
    }
}

/// The options that hold patterns.
fn pattern_option(plugin: &Plugin) -> Option<&'static str> {
    match plugin.name.as_str() {
        "grok" => Some("match"),
        "dissect" => Some("mapping"),
        _ => None,
    }
}

/// The names that a filter captures, and where they stand.
fn captures(plugin: &Plugin) -> Vec<(String, Span)> {
    let mut found: Vec<(String, Span)> = Vec::new();
    let Some(option) = pattern_option(plugin) else { return found };
    for attribute in plugin.attributes.iter().filter(|attribute| attribute.name == option) {
        each_text(&attribute.value, &mut |text| {
            let names = if option == "match" { grok_names(text) } else { dissect_names(text) };
            for name in names {
                if !found.iter().any(|(known, _)| known == name) {
                    found.push((name.to_owned(), place(&attribute.value, name)));
                }
            }
        });
    }
    found
}

/// Where a capture stands in a value.
fn place(value: &Value, name: &str) -> Span {
    let text = value.span.text();
    let at =
        [":", "<", "{"].iter().find_map(|before| text.find(&format!("{before}{name}")).map(|at| at + before.len()));
    match at {
        Some(at) => {
            Span { start: value.span.start + at, end: value.span.start + at + name.len(), ..value.span.clone() }
        }
        None => value.span.clone(),
    }
}

fn grok_names(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for piece in text.split("%{").skip(1) {
        let Some((inner, _)) = piece.split_once('}') else { continue };
        names.extend(inner.split(':').nth(1).filter(|name| !name.is_empty()));
    }
    for piece in text.split("(?<").skip(1) {
        let name = piece.split_once('>').map(|(name, _)| name);
        names.extend(name.filter(|name| !name.is_empty() && !name.starts_with(['=', '!'])));
    }
    names
}

fn dissect_names(text: &str) -> Vec<&str> {
    let inner = text.split("%{").skip(1).filter_map(|piece| piece.split_once('}').map(|(inner, _)| inner));
    let names = inner.map(|name| name.strip_suffix("->").unwrap_or(name));
    // Skipped parts, and those that are joined, name or are named by others.
    names.filter(|name| !name.is_empty() && !name.starts_with(['?', '+', '*', '&']) && !name.contains('/')).collect()
}

/// Whether an option of a plugin names a field. Of the capturing plugin itself the patterns do not count.
fn reads(plugin: &Plugin, name: &str, own: bool) -> bool {
    let patterns = if own { pattern_option(plugin) } else { None };
    let others = plugin.attributes.iter().filter(|attribute| {
        let removes = matches!(attribute.name.as_str(), "remove_field" | "whitelist_names" | "blacklist_names");
        !removes && Some(attribute.name.as_str()) != patterns
    });
    let mut found = false;
    others.for_each(|attribute| each_text(&attribute.value, &mut |text| found |= has_word(text, name)));
    // Filters that take the whole event when they are not told what.
    found || matches!(plugin.name.as_str(), "fingerprint" | "truncate" | "clone")
}

fn mentions(expression: &Expression, name: &str) -> bool {
    let operand = |operand: &Operand| match &operand.term {
        Term::Field(_) | Term::Array(_) => has_word(written(operand), name),
        _ => false,
    };
    match expression {
        Expression::Join(left, _, right) => mentions(left, name) || mentions(right, name),
        Expression::Not(inner) => mentions(inner, name),
        Expression::Compare(left, _, right) | Expression::In(left, right, _) | Expression::Match(left, right, _) => {
            operand(left) || operand(right)
        }
        Expression::Truthy(side) => operand(side),
    }
}

fn has_word(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_' || c == '@';
    text.match_indices(word).any(|(at, _)| !text[..at].ends_with(part) && !text[at + word.len()..].starts_with(part))
}

fn removes(plugin: &Plugin, name: &str) -> bool {
    let plain = |text: &str| if text.starts_with('[') { text.to_owned() } else { format!("[{text}]") };
    let mut found = false;
    for attribute in plugin.attributes.iter().filter(|attribute| attribute.name == "remove_field") {
        each_text(&attribute.value, &mut |text| found |= plain(text) == plain(name));
    }
    found
}

fn prunes(plugin: &Plugin, name: &str) -> bool {
    let root = name.trim_start_matches('[').split(']').next().unwrap_or(name);
    let (mut lists, mut kept) = (false, false);
    let whitelists = plugin.attributes.iter().filter(|attribute| attribute.name == "whitelist_names");
    for attribute in whitelists.filter(|_| plugin.name == "prune") {
        lists = true;
        // An expression that is wrong is told elsewhere.
        each_text(&attribute.value, &mut |text| {
            kept |= Pattern::new(text).map_or(true, |pattern| pattern.is_match(root))
        });
    }
    lists && !kept
}
