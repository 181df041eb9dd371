//! `kv`: names and values out of a text such as `a=1 b="two words"`.

use std::cell::RefCell;

use super::json::tags_on_failure;
use super::mutate::capitalize;
use super::{Filter, Outcome, Scratch};
use crate::event::{Event, FieldPath, Object, Text, Value, ValueRef};
use crate::pipeline::options::{Options, Placed};
use crate::pipeline::pattern::engine::{Cache, Engine, Verdict};
use crate::pipeline::pattern::{Pattern, syntax};
use crate::pipeline::template::Template;

/// Values in values are followed this deep.
const RECURSION_MAX: usize = 16;

#[derive(Debug)]
struct Kv {
    source: FieldPath,
    target: Option<FieldPath>,
    scan: Engine,
    groups: usize,
    value_split: Pattern,
    prefix: Template,
    include: Vec<Template>,
    exclude: Vec<Template>,
    defaults: Vec<(String, Template)>,
    keep_empty: bool,
    keep_same: bool,
    recursive: bool,
    key: Edits,
    value: Edits,
    tags: Vec<String>,
}

/// What is done to every name, or every value.
#[derive(Debug)]
struct Edits {
    trim: Option<Pattern>,
    remove: Option<Pattern>,
    transform: &'static str,
}

thread_local! {
    static CACHE: RefCell<Cache> = RefCell::default();
}

pub(super) fn build(options: &mut Options<'_>) -> Option<Box<dyn Filter>> {
    let before = options.diagnostics.len();
    let source = options.field("source").unwrap_or_else(|| FieldPath::of(&["message"]));
    let target = options.field("target");
    let split = |options: &mut Options<'_>, name, default: &str| {
        let given = options.text(name);
        if let Some((text, span)) = &given
            && text.is_empty()
        {
            options.error(span, format!("`{name}` must not be empty"), "");
        }
        given.map_or_else(|| default.to_owned(), |(text, _)| text)
    };
    let field_chars = split(options, "field_split", " ");
    let value_chars = split(options, "value_split", "=");
    let field_pattern = options.has("field_split_pattern").then(|| split(options, "field_split_pattern", " "));
    let value_pattern = options.has("value_split_pattern").then(|| split(options, "value_split_pattern", "="));
    options.known(&["field_split_pattern", "value_split_pattern"]);
    let strict = options.choice("whitespace", &["strict", "lenient"], "lenient") == "strict";
    let brackets = options.bool("include_brackets", true);
    let prefix = options.text("prefix").map(|(text, _)| text).unwrap_or_default();
    let templates = |list: Vec<Placed>| list.iter().map(|(text, _)| Template::parse(text)).collect();
    let include = templates(options.list("include_keys"));
    let exclude = templates(options.list("exclude_keys"));
    let defaults = options.text_pairs("default_keys");
    let defaults = defaults.into_iter().map(|((key, _), (value, _))| (key, Template::parse(&value))).collect();
    let keep_empty = options.bool("allow_empty_values", false);
    let keep_same = options.bool("allow_duplicate_values", true);
    let recursive = options.bool("recursive", false);
    let key = edits(options, ["trim_key", "remove_char_key", "transform_key"]);
    let value = edits(options, ["trim_value", "remove_char_value", "transform_value"]);
    let tags = tags_on_failure(options, "_kv_filter_error");
    options.ecs();
    options.whole("timeout_millis");
    options.list("tag_on_timeout");
    let field = field_pattern.clone().unwrap_or_else(|| format!("[{field_chars}]"));
    let mut splitter = value_pattern.clone().unwrap_or_else(|| format!("[{value_chars}]"));
    if !strict {
        splitter = format!(" *(?:{splitter}) *");
    }
    // A backslash keeps the character behind it, whatever that separates or closes.
    let until = |pattern: &str| format!(r"((?:\\.|(?!{pattern}).)+)");
    let key_text = if field_pattern.is_some() || value_pattern.is_some() {
        until(&format!("(?:{splitter}|{field})"))
    } else {
        format!(r"((?:\\.|[^{value_chars}{field_chars}])+)")
    };
    let mut values = vec![r#""((?:\\.|[^"])+)?""#, r"'((?:\\.|[^'])+)?'"];
    if brackets {
        values.extend([r"\(((?:\\.|[^)])+)?\)", r"\[((?:\\.|[^\]])+)?\]", r"<((?:\\.|[^>])+)?>"]);
    }
    let plain =
        if field_pattern.is_some() { until(&format!("(?:{field})")) } else { format!(r"((?:\\.|[^{field_chars}])+)") };
    let scan = format!("{key_text}(?:{splitter})(?:{}|{plain})?(?:{field}|$)", values.join("|"));
    let span = options.span();
    let mut wrong = |error: String| options.error(span, error, "look at the split options");
    let parsed = syntax::parse(&scan).map_err(|error| wrong(error.to_string())).ok()?;
    let engine = Engine::new(&parsed).map_err(|error| wrong(error.to_string())).ok()?;
    let value_split = Pattern::new(&splitter).map_err(|error| wrong(error.to_string())).ok()?;
    if options.diagnostics.len() > before {
        return None;
    }
    Some(Box::new(Kv {
        source,
        target,
        scan: engine,
        groups: parsed.names.len(),
        value_split,
        prefix: Template::parse(&prefix),
        include,
        exclude,
        defaults,
        keep_empty,
        keep_same,
        recursive,
        key: key?,
        value: value?,
        tags,
    }))
}

fn edits(options: &mut Options<'_>, [trim, remove, transform]: [&'static str; 3]) -> Option<Edits> {
    let mut pattern = |name, form: fn(&str) -> String| match options.text(name) {
        None => Some(None),
        Some((chars, span)) => match Pattern::new(&form(&chars)) {
            Ok(pattern) => Some(Some(pattern)),
            Err(error) => {
                options.error(&span, error.to_string(), "");
                None
            }
        },
    };
    let trim = pattern(trim, |chars| format!(r"\A[{chars}]+|[{chars}]+\z"))?;
    let remove = pattern(remove, |chars| format!("[{chars}]"))?;
    let transform = options.choice(transform, &["lowercase", "uppercase", "capitalize"], "");
    Some(Edits { trim, remove, transform })
}

impl Edits {
    fn apply(&self, text: Text) -> Text {
        let mut text = text;
        for pattern in [&self.trim, &self.remove].into_iter().flatten() {
            text = match pattern.replace_all(&text, "") {
                std::borrow::Cow::Borrowed(_) => text.clone(),
                std::borrow::Cow::Owned(new) => new.into(),
            };
        }
        match self.transform {
            "lowercase" => text.to_lowercase().into(),
            "uppercase" => text.to_uppercase().into(),
            "capitalize" => capitalize(&text).into(),
            _ => text,
        }
    }
}

/// What an event says about names, filled in.
struct Names {
    prefix: Text,
    include: Vec<Text>,
    exclude: Vec<Text>,
}

impl Kv {
    /// Adds what is found in `text`; false where it would have taken too long.
    fn parse(&self, text: &Text, names: &Names, found: &mut Object, depth: usize) -> bool {
        if !self.value_split.is_match(text) {
            return true;
        }
        let mut from = 0;
        while from <= text.len() {
            let next = CACHE.with_borrow_mut(|cache| match self.scan.find(text, from, cache) {
                Verdict::Match => {
                    let cut = |(start, end): (usize, usize)| text.slice_ref(&text[start..end]);
                    let key = cache.capture(0).map(cut).unwrap_or_default();
                    let value = (1..self.groups).find_map(|group| cache.capture(group)).map(cut).unwrap_or_default();
                    Ok(Some((key, value, cache.span())))
                }
                Verdict::NoMatch => Ok(None),
                Verdict::GaveUp => Err(()),
            });
            let (key, value, (start, end)) = match next {
                Ok(Some(next)) => next,
                Ok(None) => break,
                Err(()) => return false,
            };
            from = if end > start { end } else { end + 1 };
            if !self.add(key, value, names, found, depth) {
                return false;
            }
        }
        true
    }

    fn add(&self, key: Text, value: Text, names: &Names, found: &mut Object, depth: usize) -> bool {
        if value.is_empty() && !self.keep_empty {
            return true;
        }
        let key = self.key.apply(key);
        if (!names.include.is_empty() && !names.include.contains(&key))
            || names.exclude.contains(&key)
            || key.is_empty()
        {
            return true;
        }
        let key = if names.prefix.is_empty() { key } else { format!("{}{key}", names.prefix).into() };
        let value = self.value.apply(value);
        let mut new = Value::Text(value.clone());
        if self.recursive && depth < RECURSION_MAX {
            let mut inner = Object::new();
            if !self.parse(&value, names, &mut inner, depth + 1) {
                return false;
            }
            if !inner.is_empty() {
                new = Value::Object(inner);
            }
        }
        match found.get_mut(&key) {
            None => found.insert(key, new),
            Some(Value::Array(items)) => {
                if self.keep_same || !items.contains(&new) {
                    items.push(new);
                }
            }
            Some(old) => {
                if self.keep_same || *old != new {
                    let first = std::mem::replace(old, Value::Null);
                    *old = Value::Array(vec![first, new]);
                }
            }
        }
        true
    }
}

impl Filter for Kv {
    fn apply(&self, event: &mut Event, _: &mut Scratch) -> Outcome {
        let texts: Vec<Text> = match event.get(&self.source) {
            Some(ValueRef::Text(text)) => vec![text.clone()],
            Some(ValueRef::Array(items)) => items
                .iter()
                .filter_map(|item| if let Value::Text(text) = item { Some(text.clone()) } else { None })
                .collect(),
            _ => Vec::new(),
        };
        let names = Names {
            prefix: self.prefix.render(event),
            include: self.include.iter().map(|template| template.render(event)).collect(),
            exclude: self.exclude.iter().map(|template| template.render(event)).collect(),
        };
        let mut found = Object::new();
        if !texts.iter().all(|text| self.parse(text, &names, &mut found, 0)) {
            for tag in &self.tags {
                event.add_tag(tag.as_str());
            }
            return Outcome::Failed;
        }
        for (key, template) in &self.defaults {
            if found.get(key).is_none() {
                found.insert(key.as_str().into(), Value::Text(template.render(event)));
            }
        }
        if found.is_empty() {
            return Outcome::Unmatched;
        }
        match &self.target {
            Some(target) => drop(event.set(target, Value::Object(found))),
            None => {
                for (key, value) in found {
                    let path = FieldPath::parse(&key).unwrap_or_else(|_| FieldPath::of(&[&key]));
                    event.set(&path, value);
                }
            }
        }
        Outcome::Matched
    }
}
