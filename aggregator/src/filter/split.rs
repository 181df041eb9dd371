//! `split`: one event for each part of a text, or each item of a list.

use super::{Filter, Outcome, Scratch};
use crate::event::{Event, FieldPath, Value, ValueRef};
use crate::pipeline::options::Options;

#[derive(Debug)]
struct Split {
    field: FieldPath,
    target: FieldPath,
    terminator: String,
}

pub(super) fn build(options: &mut Options<'_>) -> Option<Box<dyn Filter>> {
    let field = options.field("field").unwrap_or_else(|| FieldPath::of(&["message"]));
    let target = options.field("target").unwrap_or_else(|| field.clone());
    let terminator = options.text("terminator").map_or_else(|| "\n".to_owned(), |(text, _)| text.replace("\\n", "\n"));
    options.ecs();
    Some(Box::new(Split { field, target, terminator }))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Text(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(object) => object.is_empty(),
        _ => false,
    }
}

impl Filter for Split {
    fn apply(&self, event: &mut Event, _: &mut Scratch) -> Outcome {
        let parts: Vec<Value> = match event.get(&self.field) {
            Some(ValueRef::Text(text)) => {
                if memchr::memmem::find(text.as_bytes(), self.terminator.as_bytes()).is_none() {
                    return Outcome::Unmatched;
                }
                let parts = text.split(&self.terminator).filter(|part| !part.is_empty());
                parts.map(|part| Value::Text(text.slice_ref(part))).collect()
            }
            Some(ValueRef::Array(items)) => items.iter().filter(|item| !is_empty(item)).cloned().collect(),
            _ => {
                event.add_tag("_split_type_failure");
                return Outcome::Failed;
            }
        };
        if parts.is_empty() {
            // Logstash would lose the event.
            return Outcome::Unmatched;
        }
        let mut others = Vec::with_capacity(parts.len() - 1);
        let mut parts = parts.into_iter();
        let first = parts.next().unwrap_or(Value::Null);
        for part in parts {
            let mut other = event.clone();
            other.set(&self.target, part);
            others.push(other);
        }
        event.set(&self.target, first);
        Outcome::Many { first: true, others }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::filter::testing::{run, run_all};

    #[test]
    fn parts_that_are_empty_make_no_events() {
        assert_eq!(run("split { }", json!({"message": "a\n"})), json!({"message": "a"}));
        let all = run_all("split { field => list target => one }", json!({"list": ["", "x", null, 7]}));
        assert_eq!(all.iter().map(|event| &event["one"]).collect::<Vec<_>>(), [&json!("x"), &json!(7)]);
        assert_eq!(run("split { }", json!({"message": "alone"})), json!({"message": "alone"}));
        assert_eq!(run("split { }", json!({"list": []}))["tags"], json!(["_split_type_failure"]));
        assert_eq!(run("split { field => list }", json!({"list": []})), json!({"list": []}));
    }
}
