//! `_async_search`: a search whose answer can be fetched again. It is run at once: searches here are bounded in time.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::search::{SEARCH, run_call, span_of, text};
use super::{Call, Endpoint, Reply};
use crate::error::{Error, Result};
use crate::query::Refusal;
use crate::search::state::ContextKind;
use crate::store::View;
use crate::time::{now, to_millis};

/// This file's endpoints.
pub static ENDPOINTS: &[Endpoint] = &[
    Endpoint { methods: &["POST"], path: "/_async_search", params: SEARCH, run: |call| Box::pin(submit(call)) },
    Endpoint { methods: &["POST"], path: "/{index}/_async_search", params: SEARCH, run: |call| Box::pin(submit(call)) },
    Endpoint { methods: &["GET"], path: "/_async_search/{id}", params: GET, run: |call| Box::pin(get(call)) },
    Endpoint { methods: &["GET"], path: "/_async_search/status/{id}", params: GET, run: |call| Box::pin(status(call)) },
    Endpoint { methods: &["DELETE"], path: "/_async_search/{id}", params: &[], run: |call| Box::pin(delete(call)) },
];

const GET: &[&str] = &["keep_alive", "typed_keys", "wait_for_completion_timeout", "rest_total_hits_as_int"];
/// How long an answer is kept when the request says nothing: less than Elasticsearch's 5 days, since it is in memory.
const KEEP: Duration = Duration::from_secs(3600);
/// Longest answer that is kept, in bytes.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

async fn submit(call: Call) -> Result<Reply> {
    let start = to_millis(now());
    let keep = call.query.text("keep_alive").map_or(Ok(KEEP), |t| span_of("keep_alive", t))?;
    let response = text(&run_call(&call).await?)?;
    let end = start + keep.as_millis() as i64;
    let mut id = None;
    if call.query.flag("keep_on_completion")? == Some(true) {
        if response.len() > ANSWER_BYTES_MAX {
            return Err(Error::illegal_argument(format!(
                "the answer is longer than the [{ANSWER_BYTES_MAX}] bytes that are kept"
            )));
        }
        let nothing = Arc::new(View { parts: Vec::new() });
        id = Some(call.context.search.open(nothing, ContextKind::Answer(response.clone().into()), keep)?);
    }
    let id = id.map_or(String::new(), |id| format!("\"id\":{},", json!(id)));
    Ok(Reply::raw(200, format!("{{{id}{}", rest(start, end, &response))))
}

fn rest(start: i64, end: i64, response: &str) -> String {
    let done = to_millis(now());
    format!(
        "\"is_partial\":false,\"is_running\":false,\"start_time_in_millis\":{start},\"expiration_time_in_millis\":{end},\
         \"completion_time_in_millis\":{done},\"response\":{response}}}"
    )
}

fn missing(id: &str) -> Error {
    Error::new(404, "resource_not_found_exception", id)
}

async fn get(call: Call) -> Result<Reply> {
    let id = call.part("id").unwrap_or("").to_string();
    let keep = call.query.text("keep_alive").map(|t| span_of("keep_alive", t)).transpose()?;
    match call.context.search.get(&id, keep).map(|c| c.kind) {
        Ok(ContextKind::Answer(response)) => {
            let start = to_millis(now());
            let end = start + keep.unwrap_or(KEEP).as_millis() as i64;
            Ok(Reply::raw(200, format!("{{\"id\":{},{}", json!(id), rest(start, end, &response))))
        }
        Err(Refusal { status: 404, .. }) | Ok(_) => Err(missing(&id)),
        Err(e) => Err(e.into()),
    }
}

async fn status(call: Call) -> Result<Reply> {
    let id = call.part("id").unwrap_or("").to_string();
    match call.context.search.get(&id, None).map(|c| c.kind) {
        Ok(ContextKind::Answer(_)) => Ok(Reply::json(&json!({
            "id": id, "is_running": false, "is_partial": false, "completion_status": 200,
            "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0},
        }))),
        _ => Err(missing(&id)),
    }
}

async fn delete(call: Call) -> Result<Reply> {
    let id = call.part("id").unwrap_or("");
    if call.context.search.close(id) { Ok(Reply::json(&json!({"acknowledged": true}))) } else { Err(missing(id)) }
}
