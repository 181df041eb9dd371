//! `translate`: a value looked up in a dictionary, in the file or beside it.

mod dictionary;

use super::{Filter, Outcome, Scratch};
use crate::event::{Event, FieldPath, Value, ValueRef};
use crate::pipeline::ast;
use crate::pipeline::options::{Ecs, Options, scalar};
use crate::pipeline::template::Template;
use dictionary::{Dictionary, Way};

/// A dictionary file is looked at for a change so often when no other number is given, in seconds.
const REFRESH_S_DEFAULT: i64 = 300;

#[derive(Debug)]
struct Translate {
    source: FieldPath,
    target: FieldPath,
    iterate_on: Option<FieldPath>,
    dictionary: Dictionary,
    fallback: Option<Template>,
    overwrite: bool,
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
    let interval_s = options.number("refresh_interval").map_or(REFRESH_S_DEFAULT, |(seconds, _)| seconds as i64);
    let replace = options.choice("refresh_behaviour", &["merge", "replace"], "merge") == "replace";
    options.whole("yaml_dictionary_code_point_limit");
    options.choice("yaml_load_strategy", &["one_shot", "streaming"], "one_shot");
    let way = match (exact, regex) {
        (true, false) => Way::Exact,
        (true, true) => Way::Regex,
        (false, _) => Way::Within,
    };
    let written: Vec<(String, Value)> =
        options.pairs("dictionary").into_iter().map(|((key, _), value)| (key, literal(value))).collect();
    let path = options.text("dictionary_path");
    if let (Some((_, span)), false) = (&path, written.is_empty()) {
        options.error(span, "`dictionary` and `dictionary_path` exclude each other", "put all entries into the file");
    }
    let dictionary = match &path {
        None => Dictionary::written(way, written),
        Some((path, _)) => Dictionary::of_file(way, path, interval_s, replace),
    };
    let dictionary = match dictionary {
        Ok(dictionary) => Some(dictionary),
        Err(problem) => {
            let span = path.map_or_else(|| options.span().clone(), |(_, span)| span);
            options.error(&span, problem, "");
            None
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
    Some(Box::new(Translate { source, target, iterate_on, dictionary: dictionary?, fallback, overwrite }))
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

impl Translate {
    fn translate(&self, event: &Event, value: ValueRef<'_>) -> Option<Value> {
        self.dictionary
            .look_up(&value.to_text())
            .or_else(|| self.fallback.as_ref().map(|fallback| Value::Text(fallback.render(event))))
    }
}

impl Filter for Translate {
    fn apply(&self, event: &mut Event, scratch: &mut Scratch) -> Outcome {
        self.dictionary.refresh(scratch.now);
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::filter::testing::{mistakes, run};

    #[test]
    fn names_within_a_text_are_replaced_once() {
        let filter =
            r#"translate { source => s target => t exact => false dictionary => ["a", "b", "b", "c", "+", "plus"] }"#;
        assert_eq!(run(filter, json!({"s": "a+b"}))["t"], "bplusc");
        assert_eq!(run(filter, json!({"s": "xyz"})), json!({"s": "xyz"}));
    }

    #[test]
    fn a_file_holds_values_of_any_kind() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text, expected) in [
            (
                "d.yml",
                "# codes\n'200': OK\n300: {word: Redirect}\n\"a\": 1\nb: [x, 2.5]\n",
                json!(["OK", {"word": "Redirect"}, 1, ["x", 2.5]]),
            ),
            (
                "d.json",
                r#"{"200": "OK", "300": {"word": "Redirect"}, "a": 1, "b": ["x", 2.5]}"#,
                json!(["OK", {"word": "Redirect"}, 1, ["x", 2.5]]),
            ),
            ("d.csv", "200,OK\n\"300\",\"a, \"\"b\"\"\"\n\na,1\nb,x\n", json!(["OK", "a, \"b\"", "1", "x"])),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            let filter = format!("translate {{ source => s target => t dictionary_path => '{}' }}", path.display());
            let found: Vec<_> = ["200", "300", "a", "b"].map(|key| run(&filter, json!({"s": key}))["t"].clone()).into();
            assert_eq!(json!(found), expected, "{name}");
        }
        for (name, text, problem) in
            [("d.txt", "a: b", ".json, .csv"), ("e.yml", "no hash", "names and values"), ("e.json", "[]", "an object")]
        {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            let told = mistakes(&format!("translate {{ source => s dictionary_path => '{}' }}", path.display()));
            assert!(told.iter().any(|told| told.contains(problem)), "{name}: {told:?}");
        }
    }
}
