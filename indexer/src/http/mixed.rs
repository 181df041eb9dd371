//! `_bulk` bodies with updates among the actions: an update reads what is there, so what stands before it is written
//! first. The runs of other actions between updates are written as one request each.

use std::time::Instant;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::bulk::{item, make_visible, put};
use super::doc::SourceFilter;
use super::update::{Change, Target, apply};
use super::{Call, Reply};
use crate::error::{Error, Result};
use crate::store::{Condition, Defaults};

/// A part of a body.
pub(super) enum Step {
    /// Actions that are no updates.
    Others(Bytes),
    /// An update: the members of its action line, and its body.
    Update(Map<String, Value>, Bytes),
}

/// Takes a body apart; `None` when it has no updates, or cannot be read (then the usual way says why).
pub(super) fn steps(body: &Bytes) -> Option<Vec<Step>> {
    memchr::memmem::find(body, b"\"update\"")?;
    let (mut steps, mut at, mut from, mut updates) = (Vec::new(), 0, 0, false);
    let line = |at: usize| memchr::memchr(b'\n', body.get(at..)?).map(|len| (at, at + len));
    while let Some((start, end)) = line(at) {
        at = end + 1;
        if body[start..end].trim_ascii().is_empty() {
            continue;
        }
        let action: Map<String, Value> = serde_json::from_slice(&body[start..end]).ok()?;
        let (kind, options) = action.iter().next()?;
        if kind == "delete" {
            continue;
        }
        let (doc_start, doc_end) = line(at)?;
        at = doc_end + 1;
        if kind == "update" {
            if from < start {
                steps.push(Step::Others(body.slice(from..start)));
            }
            steps.push(Step::Update(options.as_object()?.clone(), body.slice(doc_start..doc_end)));
            (from, updates) = (at, true);
        }
    }
    if from < body.len() {
        steps.push(Step::Others(body.slice(from..)));
    }
    updates.then_some(steps)
}

/// Works the parts in order and answers for all of them together.
pub(super) async fn run(
    call: &Call,
    steps: Vec<Step>,
    defaults: Defaults,
    visible: bool,
    began: Instant,
) -> Result<Reply> {
    let (mut items, mut errors) = (Vec::new(), false);
    for step in steps {
        match step {
            Step::Others(body) if body.iter().all(u8::is_ascii_whitespace) => {}
            Step::Others(body) => {
                let written = call.context.store.bulk(body, defaults.clone()).await?;
                if visible {
                    make_visible(&call.context, &written).await?;
                }
                for (action, outcome) in written.actions.iter().zip(&written.outcomes) {
                    errors |= outcome.error.is_some();
                    let mut out = String::new();
                    put(&mut out, format_args!("{{\"{}\":{{", action.kind.name()));
                    item(&mut out, &written, action, outcome);
                    out.push_str("}}");
                    items.push(out);
                }
            }
            Step::Update(options, body) => {
                let target = target(&options, &defaults)?;
                let done = match change(call, &options, &body) {
                    Ok(change) => apply(&call.context, &target, &change, visible).await,
                    Err(error) => Err(error),
                };
                let answer = done.map_or_else(
                    |error| {
                        errors = true;
                        let mut answer = json!({"_index": target.index, "_id": target.id});
                        answer["status"] = error.status.into();
                        answer["error"] = error.object();
                        answer
                    },
                    |(status, mut answer)| {
                        answer["status"] = status.into();
                        answer
                    },
                );
                items.push(json!({"update": answer}).to_string());
            }
        }
    }
    let took = began.elapsed().as_millis();
    let mut out = String::new();
    put(&mut out, format_args!("{{\"errors\":{errors},\"took\":{took},\"items\":[{}]}}", items.join(",")));
    Ok(Reply::raw(200, out))
}

/// Reads the action line of an update.
fn target(options: &Map<String, Value>, defaults: &Defaults) -> Result<Target> {
    let text = |names: [&str; 2]| match names.iter().find_map(|name| options.get(*name)) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let number = |name: &str| options.get(name).and_then(Value::as_u64);
    let validation = |reason: &str| {
        Error::new(400, "action_request_validation_exception", format!("Validation Failed: 1: {reason};"))
    };
    let index = text(["_index", "index"]).or_else(|| defaults.index.clone());
    Ok(Target {
        index: index.ok_or_else(|| validation("index is missing"))?,
        id: text(["_id", "id"]).ok_or_else(|| validation("id is missing"))?,
        routing: text(["routing", "_routing"]).or_else(|| defaults.routing.clone()),
        condition: Condition {
            if_seq: number("if_seq_no").map(|seq| (seq, number("if_primary_term").unwrap_or(1))),
            external: None,
            version: number("version"),
        },
        retries: options.get("retry_on_conflict").and_then(Value::as_i64).unwrap_or(0).clamp(0, 100),
    })
}

fn change(call: &Call, options: &Map<String, Value>, body: &Bytes) -> Result<Change> {
    let body: Value = serde_json::from_slice(body)
        .map_err(|error| Error::parsing(format!("the body of an update is not valid JSON: {error}")))?;
    let mut change = Change::parse(&body)?;
    if change.shown.is_none() {
        change.shown = match options.get("_source") {
            Some(given) => Some(SourceFilter::of_json(given)?),
            None if call.query.0.iter().any(|(name, _)| name.starts_with("_source")) => {
                Some(SourceFilter::of_query(call)?)
            }
            None => None,
        };
    }
    Ok(change)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_cut_at_updates() {
        let shape = |body: &str| {
            steps(&Bytes::from(body.to_owned())).map(|steps| {
                let one = |step: &Step| match step {
                    Step::Others(body) => format!("others {}", body.iter().filter(|b| **b == b'\n').count()),
                    Step::Update(..) => "update".to_owned(),
                };
                steps.iter().map(one).collect::<Vec<_>>()
            })
        };
        let index = "{\"index\":{}}\n{\"a\":\"\\\"update\\\"\"}\n";
        let update = "{\"update\":{\"_id\":1}}\n{\"doc\":{}}\n";
        assert_eq!(shape(index), None);
        assert_eq!(
            shape(&[index, update, "{\"delete\":{}}\n", index].concat()).unwrap(),
            ["others 2", "update", "others 3"]
        );
        assert_eq!(shape(&[update, update].concat()).unwrap(), ["update", "update"]);
        assert_eq!(shape("{\"update\":{}}\n"), None);
    }
}
