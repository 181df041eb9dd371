//! `mutate`: renames, sets, converts and edits fields, always in Logstash's order whatever the order in the file.

use super::{Filter, Outcome, Scratch, json::tags_on_failure};
use crate::event::{Event, MutField, Text, Value};
use crate::pipeline::ast::Literal;
use crate::pipeline::options::{Options, Target, scalar};
use crate::pipeline::pattern::Pattern;
use crate::pipeline::template::Template;

pub(super) mod convert;

use convert::Kind;

#[derive(Debug)]
struct Mutate {
    coerce: Vec<(Target, Template)>,
    rename: Vec<(Target, Target)>,
    update: Vec<(Target, Template)>,
    replace: Vec<(Target, Template)>,
    convert: Vec<(Target, Kind)>,
    gsub: Vec<(Target, Search, Template)>,
    /// `uppercase`, `capitalize`, `lowercase` and `strip` of texts.
    edits: Vec<(Target, Edit)>,
    split: Vec<(Target, Template)>,
    join: Vec<(Target, Template)>,
    merge: Vec<(Target, Vec<Target>)>,
    copy: Vec<(Target, Target)>,
    tags: Vec<String>,
}

/// What `gsub` looks for; with something to fill in it is read anew for every event.
#[derive(Debug)]
enum Search {
    Fixed(Pattern),
    Changing(Template),
}

#[derive(Clone, Copy, Debug)]
enum Edit {
    Upper,
    Capitalize,
    Lower,
    Strip,
}

/// Why an operation could not be done; the ones after it are left out.
struct Failed;

pub(super) fn build(options: &mut Options<'_>) -> Option<Box<dyn Filter>> {
    let before = options.diagnostics.len();
    let coerce = templates(options, "coerce");
    let rename = targets(options, "rename");
    let update = templates(options, "update");
    let replace = templates(options, "replace");
    let mut convert = Vec::new();
    for (key, (kind, span)) in options.text_pairs("convert") {
        match Kind::of(&kind) {
            Some(kind) => convert.push((options.target(&key), kind)),
            None => {
                let hint = crate::pipeline::diagnostic::nearest(&kind, Kind::NAMES.iter().copied());
                let list = Kind::NAMES.join(", ");
                let hint = hint.map_or_else(|| format!("there are {list}"), |near| format!("did you mean `{near}`?"));
                options.error(&span, format!("`{kind}` is no type to convert to"), hint);
            }
        }
    }
    let gsub = gsub(options);
    let mut edits = Vec::new();
    for (name, edit) in [
        ("uppercase", Edit::Upper),
        ("capitalize", Edit::Capitalize),
        ("lowercase", Edit::Lower),
        ("strip", Edit::Strip),
    ] {
        for placed in options.list(name) {
            edits.push((options.target(&placed), edit));
        }
    }
    let split = templates(options, "split");
    let join = templates(options, "join");
    let mut merge = Vec::new();
    for (key, value) in options.pairs("merge") {
        let sources = match &value.literal {
            Literal::Array(items) => {
                items.iter().map(|item| scalar(item).map(|text| (text, item.span.clone()))).collect()
            }
            _ => scalar(value).map(|text| vec![(text, value.span.clone())]),
        };
        match sources {
            Some(sources) => {
                let sources = sources.iter().map(|source| options.target(source)).collect();
                merge.push((options.target(&key), sources));
            }
            None => options.error(&value.span, "`merge` takes the names of fields", ""),
        }
    }
    let copy = targets(options, "copy");
    let tags = tags_on_failure(options, "_mutate_error");
    let right = options.diagnostics.len() == before;
    right.then(|| {
        Box::new(Mutate { coerce, rename, update, replace, convert, gsub, edits, split, join, merge, copy, tags })
            as Box<dyn Filter>
    })
}

fn templates(options: &mut Options<'_>, name: &'static str) -> Vec<(Target, Template)> {
    let pairs = options.text_pairs(name);
    pairs.iter().map(|(key, (text, _))| (options.target(key), Template::parse(text))).collect()
}

fn targets(options: &mut Options<'_>, name: &'static str) -> Vec<(Target, Target)> {
    let pairs = options.text_pairs(name);
    pairs.iter().map(|(key, value)| (options.target(key), options.target(value))).collect()
}

fn gsub(options: &mut Options<'_>) -> Vec<(Target, Search, Template)> {
    let list = options.list("gsub");
    if let (Some((_, span)), true) = (list.last(), !list.len().is_multiple_of(3)) {
        options.error(span, "`gsub` takes three texts each time: field, expression, replacement", "");
    }
    let mut gsub = Vec::new();
    for triple in list.chunks_exact(3) {
        let template = Template::parse(&triple[1].0);
        let search = if template.fixed().is_some() {
            match Pattern::new(&triple[1].0) {
                Ok(pattern) => Search::Fixed(pattern),
                Err(error) => {
                    options.error(&triple[1].1, error.to_string(), "");
                    continue;
                }
            }
        } else {
            Search::Changing(template)
        };
        gsub.push((options.target(&triple[0]), search, Template::parse(&triple[2].0)));
    }
    gsub
}

/// Changes a text, or every text of a list.
fn each_text(value: &mut Value, change: &mut impl FnMut(&Text) -> Option<Text>) {
    match value {
        Value::Text(text) => {
            if let Some(new) = change(text) {
                *text = new;
            }
        }
        Value::Array(items) => {
            for item in items {
                if let Value::Text(text) = item
                    && let Some(new) = change(text)
                {
                    *text = new;
                }
            }
        }
        _ => {}
    }
}

fn edit_field(event: &mut Event, target: &Target, mut change: impl FnMut(&Text) -> Option<Text>) {
    let Some(path) = target.path(event).map(std::borrow::Cow::into_owned) else { return };
    if event.get(&path).is_none() {
        return;
    }
    if let Some(MutField::Value(value)) = event.field_mut(&path) {
        each_text(value, &mut change);
    }
}

impl Edit {
    fn of(self, text: &Text) -> Option<Text> {
        Some(match self {
            Edit::Upper => text.to_uppercase().into(),
            Edit::Lower => text.to_lowercase().into(),
            Edit::Capitalize => capitalize(text).into(),
            Edit::Strip => {
                let stripped = text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\u{b}' || c == '\0');
                if stripped.is_empty() { Text::new() } else { text.slice_ref(stripped) }
            }
        })
    }
}

/// The first letter large, all others small.
pub(super) fn capitalize(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters.as_str().to_lowercase().chars()).collect())
}

impl Mutate {
    fn run(&self, event: &mut Event) -> Result<(), Failed> {
        for (target, value) in &self.coerce {
            let Some(path) = target.path(event) else { continue };
            if event.get_owned(&path) == Some(Value::Null) {
                let value = Value::Text(value.render(event));
                set(event, &path, value)?;
            }
        }
        for (from, to) in &self.rename {
            let (Some(from), Some(to)) = (from.path(event), to.path(event)) else { continue };
            if let Some(value) = event.remove(&from) {
                set(event, &to, value)?;
            }
        }
        for (target, value) in &self.update {
            let Some(path) = target.path(event) else { continue };
            if event.get(&path).is_some() {
                let value = Value::Text(value.render(event));
                set(event, &path, value)?;
            }
        }
        for (target, value) in &self.replace {
            let Some(path) = target.path(event) else { continue };
            let value = Value::Text(value.render(event));
            set(event, &path, value)?;
        }
        for (target, kind) in &self.convert {
            let Some(path) = target.path(event) else { continue };
            let Some(value) = event.get_owned(&path) else { continue };
            if !kind.takes(&value) {
                return Err(Failed);
            }
            set(event, &path, kind.convert(value))?;
        }
        for (target, search, replacement) in &self.gsub {
            let replacement = replacement.render(event);
            let changing;
            let pattern = match search {
                Search::Fixed(pattern) => pattern,
                Search::Changing(template) => {
                    changing = Pattern::new(&template.render(event)).map_err(|_| Failed)?;
                    &changing
                }
            };
            edit_field(event, target, |text| match pattern.replace_all(text, &replacement) {
                std::borrow::Cow::Borrowed(_) => None,
                std::borrow::Cow::Owned(new) => Some(new.into()),
            });
        }
        for (target, edit) in &self.edits {
            edit_field(event, target, |text| edit.of(text));
        }
        for (target, separator) in &self.split {
            let Some(path) = target.path(event) else { continue };
            let Some(Value::Text(text)) = event.get_owned(&path) else { continue };
            let parts = split(&text, &separator.render(event));
            set(event, &path, Value::Array(parts))?;
        }
        for (target, separator) in &self.join {
            let Some(path) = target.path(event) else { continue };
            let Some(Value::Array(items)) = event.get_owned(&path) else { continue };
            let parts: Vec<Text> = items.iter().map(Value::to_text).collect();
            let joined = parts.iter().map(|part| &**part).collect::<Vec<_>>().join(&separator.render(event));
            set(event, &path, Value::Text(joined.into()))?;
        }
        for (target, sources) in &self.merge {
            for source in sources {
                merge(event, target, source)?;
            }
        }
        for (from, to) in &self.copy {
            let (Some(from), Some(to)) = (from.path(event), to.path(event)) else { continue };
            if let Some(value) = event.get_owned(&from) {
                set(event, &to, value)?;
            }
        }
        Ok(())
    }
}

fn set(event: &mut Event, path: &crate::event::FieldPath, value: Value) -> Result<(), Failed> {
    if event.set(path, value) { Ok(()) } else { Err(Failed) }
}

/// Ruby's `split`: a single space splits at any white space; empty parts at the end are left out.
fn split(text: &Text, separator: &str) -> Vec<Value> {
    let part = |part: &str| Value::Text(if part.is_empty() { Text::new() } else { text.slice_ref(part) });
    if separator == " " {
        return text.split_ascii_whitespace().map(part).collect();
    }
    let mut parts: Vec<&str> = if separator.is_empty() {
        text.char_indices().map(|(at, c)| &text[at..at + c.len_utf8()]).collect()
    } else {
        text.split(separator).collect()
    };
    while parts.last().is_some_and(|last| last.is_empty()) {
        parts.pop();
    }
    parts.into_iter().map(part).collect()
}

fn merge(event: &mut Event, target: &Target, source: &Target) -> Result<(), Failed> {
    let (Some(target), Some(source)) = (target.path(event), source.path(event)) else { return Ok(()) };
    let added = event.get_owned(&source).unwrap_or(Value::Null);
    let list = |value| match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items,
        value => vec![value],
    };
    let merged = match (event.get_owned(&target).unwrap_or(Value::Null), added) {
        (Value::Object(mut old), Value::Object(added)) => {
            for (name, value) in added {
                old.insert(name, value);
            }
            Value::Object(old)
        }
        // A hash and something else, nothing included, cannot be merged: Logstash says so in its log and leaves both.
        (Value::Object(_), _) | (_, Value::Object(_)) => return Ok(()),
        (Value::Null, Value::Null) => return Ok(()),
        (old, added) => {
            let mut items = list(old);
            items.extend(list(added));
            Value::Array(items)
        }
    };
    set(event, &target, merged)
}

impl Filter for Mutate {
    fn apply(&self, event: &mut Event, _: &mut Scratch) -> Outcome {
        match self.run(event) {
            Ok(()) => Outcome::Matched,
            Err(Failed) => {
                for tag in &self.tags {
                    event.add_tag(tag.as_str());
                }
                Outcome::Failed
            }
        }
    }
}
