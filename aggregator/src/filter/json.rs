//! `json`: reads a field's JSON into the event, or into a target field.

use super::{Filter, Outcome, Scratch};
use crate::event::{self, Event, FieldPath, Value};
use crate::pipeline::options::Options;

#[derive(Debug)]
struct Json {
    source: FieldPath,
    target: Option<FieldPath>,
    skip_on_invalid: bool,
    tags: Vec<String>,
}

pub(super) fn build(options: &mut Options<'_>) -> Option<Box<dyn Filter>> {
    let source = options.required_text("source");
    let source = source.and_then(|placed| options.path(&placed));
    let target = options.field("target");
    let skip_on_invalid = options.bool("skip_on_invalid_json", false);
    let tags = tags_on_failure(options, "_jsonparsefailure");
    options.ecs();
    Some(Box::new(Json { source: source?, target, skip_on_invalid, tags }))
}

/// The option `tag_on_failure`.
pub(super) fn tags_on_failure(options: &mut Options<'_>, default: &str) -> Vec<String> {
    if !options.has("tag_on_failure") {
        options.list("tag_on_failure");
        return vec![default.to_owned()];
    }
    options.list("tag_on_failure").into_iter().map(|(tag, _)| tag).collect()
}

impl Json {
    /// Tags the event; with `skip_on_invalid_json` as well, which in Logstash only keeps its own log quiet. Here it
    /// keeps the event out of the count of failures.
    fn fail(&self, event: &mut Event) -> Outcome {
        for tag in &self.tags {
            event.add_tag(tag.as_str());
        }
        if self.skip_on_invalid { Outcome::Unmatched } else { Outcome::Failed }
    }
}

impl Filter for Json {
    fn apply(&self, event: &mut Event, _: &mut Scratch) -> Outcome {
        let text = match event.get(&self.source) {
            None | Some(event::ValueRef::Null) => return Outcome::Unmatched,
            Some(event::ValueRef::Text(text)) => text.clone(),
            Some(_) => return self.fail(event),
        };
        let parsed = match event::json::parse(&text) {
            Ok(parsed) => parsed,
            Err(_) => return self.fail(event),
        };
        match (&self.target, parsed) {
            (Some(target), parsed) => {
                event.set(target, parsed);
            }
            (None, Value::Object(object)) => {
                for (name, value) in object {
                    self.put(event, &name, value);
                }
            }
            (None, _) => return self.fail(event),
        }
        Outcome::Matched
    }
}

impl Json {
    fn put(&self, event: &mut Event, name: &str, value: Value) {
        let path = FieldPath::of(&[name]);
        if name == "@timestamp" {
            // Only a time can stand there; what is none is kept beside it, and nothing is nothing.
            let time = match &value {
                Value::Null | Value::Bool(false) => return,
                Value::Text(text) => super::time::parse::iso8601(text, &jiff::tz::TimeZone::UTC),
                _ => None,
            };
            match time {
                Some(time) => drop(event.set(&path, Value::Time(time))),
                None => {
                    event.set(&FieldPath::of(&["_@timestamp"]), value);
                    event.add_tag("_timestampparsefailure");
                }
            }
            return;
        }
        event.set(&path, value);
    }
}
