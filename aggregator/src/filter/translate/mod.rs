//! `translate`: a value looked up in a dictionary, in the file or beside it.

use std::collections::HashMap;

use super::{Filter, Outcome, Scratch};
use crate::event::{Event, FieldPath, Text, Value, ValueRef, json};
use crate::pipeline::ast;
use crate::pipeline::options::{Ecs, Options, scalar};
use crate::pipeline::pattern::Pattern;
use crate::pipeline::template::Template;

/// A dictionary file has at most so many bytes.
const FILE_BYTES_MAX: u64 = 64 << 20;

#[derive(Debug)]
struct Translate {
    source: FieldPath,
    target: FieldPath,
    iterate_on: Option<FieldPath>,
    dictionary: Dictionary,
    fallback: Option<Template>,
    overwrite: bool,
}

#[derive(Debug)]
enum Dictionary {
    /// The whole value is a name.
    Exact(HashMap<String, Value>),
    /// The first expression that is found in the value.
    Regex(Vec<(Pattern, Value)>),
    /// Every name that is found in the value is replaced.
    Within(Vec<(String, Value)>),
}

pub(super) fn build(options: &mut Options<'_>) -> Option<Box<dyn Filter>> {
    let before = options.diagnostics.len();
    let ecs = options.ecs();
    let source = options.field("source").or_else(|| options.field("field"));
    options.known(&["source", "field"]);
    if source.is_none() && options.diagnostics.len() == before {
        let span = options.span();
        options.error(span, "`translate` needs the option `source`", "");
    }
    let target = options.field("target").or_else(|| options.field("destination"));
    options.known(&["target", "destination"]);
    let iterate_on = options.field("iterate_on");
    let exact = options.bool("exact", true);
    let regex = options.bool("regex", false);
    let fallback = options.text("fallback").map(|(text, _)| Template::parse(&text));
    let override_given = options.has("override");
    let overwrite = options.bool("override", false);
    options.whole("refresh_interval");
    options.choice("refresh_behaviour", &["merge", "replace"], "merge");
    options.whole("yaml_dictionary_code_point_limit");
    options.choice("yaml_load_strategy", &["one_shot", "streaming"], "one_shot");
    let mut entries: Vec<(String, Value)> = Vec::new();
    for ((key, _), value) in options.pairs("dictionary") {
        entries.push((key, literal(value)));
    }
    if let Some((path, span)) = options.text("dictionary_path") {
        match read(&path) {
            Ok(read) => entries.extend(read),
            Err(problem) => options.error(&span, format!("cannot read the dictionary {path}: {problem}"), ""),
        }
    }
    let dictionary = match (exact, regex) {
        (true, false) => Dictionary::Exact(entries.into_iter().collect()),
        (false, false) => Dictionary::Within(entries),
        (_, true) => {
            let mut rules = Vec::new();
            for (key, value) in entries {
                match Pattern::new(&key) {
                    Ok(pattern) => rules.push((pattern, value)),
                    Err(error) => {
                        let span = options.span();
                        options.error(span, format!("in the dictionary, `{key}`: {error}"), "");
                    }
                }
            }
            Dictionary::Regex(rules)
        }
    };
    if options.diagnostics.len() > before {
        return None;
    }
    let source = source?;
    let target =
        target.unwrap_or_else(|| if ecs == Ecs::V8 { source.clone() } else { FieldPath::of(&["translation"]) });
    // What is written over the source must replace it, or nothing would ever happen.
    let overwrite = overwrite || (!override_given && target == source);
    Some(Box::new(Translate { source, target, iterate_on, dictionary, fallback, overwrite }))
}

/// A value as it is written in a pipeline file.
fn literal(value: &ast::Value) -> Value {
    match &value.literal {
        ast::Literal::Array(items) => Value::Array(items.iter().map(literal).collect()),
        ast::Literal::Hash(entries) => Value::Object(
            entries.iter().filter_map(|(key, value)| Some((scalar(key)?.into(), literal(value)))).collect(),
        ),
        _ => scalar(value).map_or(Value::Null, |text| Value::Text(text.into())),
    }
}

/// A dictionary in JSON, CSV, or YAML as long as that has one name and value to a line.
fn read(path: &str) -> Result<Vec<(String, Value)>, String> {
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > FILE_BYTES_MAX {
        return Err(format!("it has {size} bytes, more than {FILE_BYTES_MAX}"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    if path.ends_with(".json") {
        return match json::parse(&Text::from(text)).map_err(|error| error.to_string())? {
            Value::Object(object) => Ok(object.into_iter().map(|(name, value)| (name.to_string(), value)).collect()),
            _ => Err("it must be an object".to_owned()),
        };
    }
    let separator = if path.ends_with(".csv") { ',' } else { ':' };
    let mut entries = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let content = line.trim();
        if content.is_empty() || (separator == ':' && (content.starts_with('#') || content == "---")) {
            continue;
        }
        let wrong = || format!("line {} has no name and value", index + 1);
        if separator == ':' && line.starts_with([' ', '\t', '-']) {
            return Err(format!("line {}: only one name and value to a line can be read; write it as JSON", index + 1));
        }
        let (key, value) = match content.strip_prefix(['"', '\'']) {
            Some(rest) => {
                let quote = if content.starts_with('"') { '"' } else { '\'' };
                let (key, after) = rest.split_once(quote).ok_or_else(wrong)?;
                (key, after.trim_start().strip_prefix(separator).ok_or_else(wrong)?)
            }
            None => content.split_once(separator).ok_or_else(wrong)?,
        };
        let value = value.trim();
        let quoted = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
        entries.push((key.trim().to_owned(), Value::Text(quoted.unwrap_or(value).into())));
    }
    Ok(entries)
}

impl Translate {
    fn look_up(&self, text: &str) -> Option<Value> {
        match &self.dictionary {
            Dictionary::Exact(entries) => entries.get(text).cloned(),
            Dictionary::Regex(rules) => {
                rules.iter().find(|(pattern, _)| pattern.is_match(text)).map(|(_, value)| value.clone())
            }
            Dictionary::Within(entries) => {
                let replaced =
                    entries.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, &value.to_text()));
                (replaced != text).then(|| Value::Text(replaced.into()))
            }
        }
    }

    fn translate(&self, event: &Event, value: ValueRef<'_>) -> Option<Value> {
        self.look_up(&value.to_text())
            .or_else(|| self.fallback.as_ref().map(|fallback| Value::Text(fallback.render(event))))
    }
}

impl Filter for Translate {
    fn apply(&self, event: &mut Event, _: &mut Scratch) -> Outcome {
        if let Some(list) = &self.iterate_on {
            return self.each(event, list);
        }
        if !self.overwrite && event.get(&self.target).is_some() {
            return Outcome::Unmatched;
        }
        let value = match event.get(&self.source) {
            None | Some(ValueRef::Null) => return Outcome::Unmatched,
            Some(ValueRef::Array([first, ..])) => first.as_ref(),
            Some(value) => value,
        };
        match self.translate(event, value) {
            Some(value) => {
                event.set(&self.target, value);
                Outcome::Matched
            }
            None => Outcome::Unmatched,
        }
    }
}

impl Translate {
    /// Every item of a list: a value itself, or an object in which source and target are.
    fn each(&self, event: &mut Event, list: &FieldPath) -> Outcome {
        let Some(Value::Array(items)) = event.get_owned(list) else { return Outcome::Unmatched };
        let mut any = false;
        let mut translated = Vec::with_capacity(items.len());
        let whole = *list == self.source;
        for item in items {
            let mut part = match item {
                Value::Object(object) if !whole => Event::from_object(object),
                item => {
                    let value = self.translate(event, item.as_ref());
                    any |= value.is_some();
                    translated.push(value.unwrap_or(item));
                    continue;
                }
            };
            if self.overwrite || part.get(&self.target).is_none() {
                let value = part.get(&self.source).and_then(|value| self.translate(event, value));
                if let Some(value) = value {
                    any |= part.set(&self.target, value);
                }
            }
            translated.push(Value::Object(part.to_object()));
        }
        event.set(if whole { &self.target } else { list }, Value::Array(translated));
        if any { Outcome::Matched } else { Outcome::Unmatched }
    }
}
