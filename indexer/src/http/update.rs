//! `_update`: a document changed in part, alone or in a `_bulk`. The part is laid over the document that is there, and
//! the whole is written under the condition that nobody else has written it meanwhile.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::bulk::{make_visible, refresh};
use super::doc::{SourceFilter, on_shard};
use super::{Call, Context, Endpoint, Reply};
use crate::error::{Error, Result};
use crate::store::{Condition, Kind};

/// This file's endpoints.
pub static ENDPOINTS: &[Endpoint] = &[Endpoint {
    methods: &["POST"],
    path: "/{index}/_update/{id}",
    params: PARAMS,
    run: |call| Box::pin(update(call)),
}];

const PARAMS: &[&str] = &[
    "refresh",
    "if_seq_no",
    "if_primary_term",
    "version",
    "version_type",
    "timeout",
    "routing",
    "retry_on_conflict",
    "wait_for_active_shards",
    "require_alias",
    "lang",
    "_source",
    "_source_includes",
    "_source_excludes",
    "_source_include",
    "_source_exclude",
];

/// Most times that an update is tried again when somebody else was faster.
const RETRIES_MAX: i64 = 100;

/// Which document, and under which conditions.
#[derive(Clone, Debug, Default)]
pub(super) struct Target {
    pub index: String,
    pub id: String,
    pub routing: Option<String>,
    pub condition: Condition,
    pub retries: i64,
}

/// What is to be done to it: the body of an update.
#[derive(Clone, Debug, Default)]
pub(super) struct Change {
    doc: Option<Map<String, Value>>,
    upsert: Option<Value>,
    doc_as_upsert: bool,
    detect_noop: bool,
    /// What of the new document the answer shows.
    pub shown: Option<SourceFilter>,
}

impl Change {
    /// Reads a body.
    ///
    /// # Errors
    /// 400 for what cannot be read, or needs scripts.
    pub(super) fn parse(body: &Value) -> Result<Self> {
        let mut change = Self { detect_noop: true, ..Self::default() };
        let Some(members) = body.as_object() else {
            return Err(Error::parsing("the body of an update is an object"));
        };
        let flag = |key: &str, value: &Value| {
            value.as_bool().ok_or_else(|| Error::parsing(format!("[UpdateRequest] [{key}] is true or false")))
        };
        for (key, value) in members {
            match (key.as_str(), value) {
                ("doc", Value::Object(doc)) => change.doc = Some(doc.clone()),
                ("upsert", Value::Object(_)) => change.upsert = Some(value.clone()),
                ("doc_as_upsert", _) => change.doc_as_upsert = flag(key, value)?,
                ("detect_noop", _) => change.detect_noop = flag(key, value)?,
                ("_source", _) => change.shown = Some(SourceFilter::of_json(value)?),
                ("script" | "scripted_upsert", _) => {
                    return Err(Error::illegal_argument("updates by [script] are not supported: send [doc]"));
                }
                ("doc" | "upsert", _) => {
                    return Err(Error::parsing(format!("[UpdateRequest] [{key}] must be an object")));
                }
                _ => {
                    return Err(Error::new(
                        400,
                        "x_content_parse_exception",
                        format!("[UpdateRequest] unknown field [{key}]"),
                    ));
                }
            }
        }
        if change.doc.is_none() {
            let reason = if change.doc_as_upsert {
                "doc must be specified if doc_as_upsert is enabled"
            } else {
                "script or doc is missing"
            };
            return Err(validation(reason));
        }
        Ok(change)
    }
}

fn validation(reason: &str) -> Error {
    Error::new(400, "action_request_validation_exception", format!("Validation Failed: 1: {reason};"))
}

/// Lays `part` over `whole`, objects member by member; true when that changed anything.
fn lay_over(whole: &mut Map<String, Value>, part: &Map<String, Value>) -> bool {
    let mut changed = false;
    for (key, value) in part {
        match (whole.get_mut(key), value) {
            (Some(Value::Object(inner)), Value::Object(part)) => changed |= lay_over(inner, part),
            (Some(there), _) if there == value => {}
            _ => {
                whole.insert(key.clone(), value.clone());
                changed = true;
            }
        }
    }
    changed
}

/// Makes the change. The answer has its HTTP status beside it.
///
/// # Errors
/// 404 when there is no such document and nothing to put in its place; 409 when it is another one than expected.
pub(super) async fn apply(
    context: &Arc<Context>,
    target: &Target,
    change: &Change,
    visible: bool,
) -> Result<(u16, Value)> {
    let mut left = target.retries;
    loop {
        match attempt(context, target, change, visible).await {
            Err(error) if error.status == 409 && left > 0 => left -= 1,
            other => return other,
        }
    }
}

async fn attempt(context: &Arc<Context>, target: &Target, change: &Change, visible: bool) -> Result<(u16, Value)> {
    let (store, name) = (Arc::clone(&context.store), target.index.clone());
    let (id, routing) = (target.id.clone(), target.routing.clone());
    let (index, there) = tokio::task::spawn_blocking(move || {
        let index = store.index_for_writing(&name)?;
        store.refresh(std::slice::from_ref(&index))?;
        let there = store.get(&index, &id)?.filter(|got| on_shard(&index, &id, routing.as_deref(), got));
        Ok::<_, Error>((index, there))
    })
    .await
    .map_err(Error::internal)??;
    let conflict = |reason: String| {
        Error::new(409, "version_conflict_engine_exception", format!("[{}]: version conflict, {reason}", target.id))
    };
    let (text, kind, condition) = match &there {
        Some(got) => {
            match target.condition.version {
                Some(version) if version != got.version => {
                    return Err(conflict(format!(
                        "current version [{}] is different than the one provided [{version}]",
                        got.version
                    )));
                }
                _ => {}
            }
            if let Some((seq, term)) = target.condition.if_seq
                && (got.seq, 1) != (seq, term)
            {
                return Err(conflict(format!(
                    "required seqNo [{seq}], primary term [{term}]. current document has seqNo [{}] and primary term [1]",
                    got.seq
                )));
            }
            let mut whole: Map<String, Value> = serde_json::from_str(&got.source).map_err(Error::internal)?;
            let changed = change.doc.as_ref().is_some_and(|part| lay_over(&mut whole, part));
            if !changed && change.detect_noop {
                let mut answer = json!({
                    "_index": &*index.name, "_id": target.id, "_version": got.version, "result": "noop",
                    "_shards": {"total": 0, "successful": 0, "failed": 0}, "_seq_no": got.seq, "_primary_term": 1
                });
                show(&mut answer, change, &Value::Object(whole), got.seq)?;
                return Ok((200, answer));
            }
            let condition = Condition { if_seq: Some((got.seq, 1)), ..Condition::default() };
            (Value::Object(whole), Kind::Index, condition)
        }
        None => {
            let fresh = match (&change.upsert, change.doc_as_upsert, &change.doc) {
                (Some(upsert), false, _) => Some(upsert.clone()),
                (_, true, Some(doc)) => Some(Value::Object(doc.clone())),
                _ => None,
            };
            let fresh = fresh.filter(|_| target.condition.if_seq.is_none());
            let Some(fresh) = fresh else {
                let reason = format!("[{}]: document missing", target.id);
                return Err(Error::new(404, "document_missing_exception", reason)
                    .with("index_uuid", index.uuid().into())
                    .with("shard", "0".into())
                    .with("index", index.name.as_ref().into()));
            };
            if let Some(version) = target.condition.version {
                return Err(conflict(format!("current version [-1] is different than the one provided [{version}]")));
            }
            (fresh, Kind::Create, Condition::default())
        }
    };
    let routing = target.routing.clone().or_else(|| there.as_ref().and_then(|got| got.routing.clone()));
    let body = text.to_string().into();
    let id = Some(target.id.clone());
    let written = context.store.single(body, index.name.to_string(), kind, id, routing, condition).await?;
    let Some(outcome) = written.outcomes.first() else { return Err(Error::internal("a request without an outcome")) };
    if let Some(error) = &outcome.error {
        return Err(error.as_ref().clone());
    }
    if visible {
        make_visible(context, &written).await?;
    }
    let mut answer = json!({
        "_index": &*index.name, "_id": target.id, "_version": outcome.version, "result": outcome.result,
        "_shards": {"total": 1, "successful": 1, "failed": 0}, "_seq_no": outcome.seq, "_primary_term": 1
    });
    show(&mut answer, change, &text, outcome.seq)?;
    Ok((outcome.status, answer))
}

/// Puts the document into the answer, where that was asked for.
fn show(answer: &mut Value, change: &Change, document: &Value, seq: u64) -> Result<()> {
    let Some(filter) = change.shown.as_ref().filter(|filter| !filter.is_none()) else { return Ok(()) };
    answer["get"] = json!({"_seq_no": seq, "_primary_term": 1, "found": true});
    if let Some(source) = filter.apply(&document.to_string())? {
        answer["get"]["_source"] = source;
    }
    Ok(())
}

async fn update(call: Call) -> Result<Reply> {
    let visible = refresh(&call)?;
    let body = call.json()?.ok_or_else(|| Error::new(400, "parse_exception", "request body is required"))?;
    let mut change = Change::parse(&body)?;
    if ["_source", "_source_includes", "_source_excludes", "_source_include", "_source_exclude"]
        .iter()
        .any(|name| call.query.text(name).is_some())
    {
        change.shown = Some(SourceFilter::of_query(&call)?);
    }
    if call.query.text("require_alias") == Some("true") {
        return Err(Error::illegal_argument("[require_alias] is not supported"));
    }
    let target = Target {
        index: call.part("index").unwrap_or("").to_owned(),
        id: call.part("id").unwrap_or("").to_owned(),
        routing: call.query.text("routing").map(str::to_owned),
        condition: super::doc::condition(&call, Kind::Update)?,
        retries: call.query.number("retry_on_conflict")?.unwrap_or(0).clamp(0, RETRIES_MAX),
    };
    if target.condition.external.is_some() {
        return Err(validation("version type [external] is not supported by the update API"));
    }
    if target.condition.if_seq.is_some() && (change.upsert.is_some() || change.doc_as_upsert) {
        return Err(validation("upsert requests don't support `if_seq_no` and `if_primary_term`"));
    }
    let (status, mut answer) = apply(&call.context, &target, &change, visible).await?;
    if visible && call.query.text("refresh") != Some("wait_for") && answer["result"] != "noop" {
        answer["forced_refresh"] = true.into();
    }
    Ok(Reply::raw(status, answer.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_laid_over_the_whole() {
        let mut whole = json!({"a": {"b": 1, "c": [1]}, "d": 1}).as_object().unwrap().clone();
        assert!(!lay_over(&mut whole, json!({"a": {"b": 1}}).as_object().unwrap()));
        assert!(lay_over(&mut whole, json!({"a": {"c": [2], "e": null}, "d": {"f": 1}}).as_object().unwrap()));
        assert_eq!(Value::Object(whole), json!({"a": {"b": 1, "c": [2], "e": null}, "d": {"f": 1}}));
    }

    #[test]
    fn bodies_that_cannot_be() {
        for bad in
            [json!([]), json!({}), json!({"dac": {}}), json!({"script": "x"}), json!({"doc": 1}), json!({"upsert": {}})]
        {
            assert_eq!(Change::parse(&bad).unwrap_err().status, 400, "{bad}");
        }
    }
}
