//! Pages after the first: `_search/scroll`, and points in time (`_pit`, and OpenSearch's `_search/point_in_time`).

use std::sync::Arc;

use serde_json::{Value, json};

use super::search::{Look, blocking, choice, next_page, shards, span_of, text};
use super::{Call, Endpoint, Reply};
use crate::error::{Error, Result};
use crate::query::Refusal;
use crate::search::state::ContextKind;

/// This file's endpoints.
pub static ENDPOINTS: &[Endpoint] = &[
    Endpoint { methods: &["GET", "POST"], path: "/_search/scroll", params: NEXT, run: |call| Box::pin(scroll(call)) },
    Endpoint {
        methods: &["GET", "POST"],
        path: "/_search/scroll/{scroll_id}",
        params: NEXT,
        run: |call| Box::pin(scroll(call)),
    },
    Endpoint { methods: &["DELETE"], path: "/_search/scroll", params: NEXT, run: |call| Box::pin(clear(call)) },
    Endpoint {
        methods: &["DELETE"],
        path: "/_search/scroll/{scroll_id}",
        params: NEXT,
        run: |call| Box::pin(clear(call)),
    },
    Endpoint { methods: &["POST"], path: "/{index}/_pit", params: OPEN, run: |call| Box::pin(open(call)) },
    Endpoint { methods: &["DELETE"], path: "/_pit", params: &[], run: |call| Box::pin(close(call)) },
    // elasticdump names the index.
    Endpoint { methods: &["DELETE"], path: "/{index}/_pit", params: &[], run: |call| Box::pin(close(call)) },
    Endpoint {
        methods: &["POST"],
        path: "/{index}/_search/point_in_time",
        params: OPEN,
        run: |call| Box::pin(open(call)),
    },
    Endpoint { methods: &["DELETE"], path: "/_search/point_in_time", params: &[], run: |call| Box::pin(close(call)) },
    Endpoint {
        methods: &["DELETE"],
        path: "/_search/point_in_time/_all",
        params: &[],
        run: |call| Box::pin(close_all(call)),
    },
];

const NEXT: &[&str] = &["scroll", "scroll_id", "rest_total_hits_as_int"];
const OPEN: &[&str] = &[
    "keep_alive",
    "allow_no_indices",
    "expand_wildcards",
    "ignore_unavailable",
    "preference",
    "routing",
    "allow_partial_pit_creation",
    "allow_partial_search_results",
    "max_concurrent_shard_requests",
];

fn ids(value: &Value) -> Vec<String> {
    match value {
        Value::String(s) => vec![s.clone()],
        Value::Array(list) => list.iter().filter_map(Value::as_str).map(str::to_string).collect(),
        _ => Vec::new(),
    }
}

async fn scroll(call: Call) -> Result<Reply> {
    let mut id = call.query.text("scroll_id").or(call.part("scroll_id")).map(str::to_string);
    let mut keep = call.query.text("scroll").map(str::to_string);
    if let Some(body) = call.json()? {
        let map = body.as_object().ok_or_else(|| Error::illegal_argument("Failed to parse request body"))?;
        for (key, value) in map {
            match (key.as_str(), value) {
                ("scroll_id", Value::String(s)) => id = Some(s.clone()),
                ("scroll", Value::String(s)) => keep = Some(s.clone()),
                _ => {
                    return Err(Error::illegal_argument(format!(
                        "Unknown parameter [{key}] in request body or parameter is of the wrong type[{value}]"
                    )));
                }
            }
        }
    }
    let id = id.ok_or_else(|| Refusal::validation("scrollId is missing"))?;
    let keep = keep.map(|t| span_of("scroll", &t)).transpose()?;
    let look = Look::of(&call.query)?;
    let answer = blocking(&call.context, move |context| next_page(context, &id, keep, look)).await?;
    Ok(Reply::raw(200, text(&answer)?))
}

async fn clear(call: Call) -> Result<Reply> {
    let mut list: Vec<String> = call
        .query
        .text("scroll_id")
        .or(call.part("scroll_id"))
        .map_or_else(Vec::new, |t| t.split(',').map(str::to_string).collect());
    if let Some(body) = call.json()? {
        match body.get("scroll_id") {
            Some(value) => list = ids(value),
            None => return Err(Error::illegal_argument("Unknown parameter in request body: [scroll_id] is needed")),
        }
    }
    if list.is_empty() {
        return Err(Refusal::validation("no scroll ids specified").into());
    }
    let state = &call.context.search;
    let closed = if list.iter().any(|id| id == "_all") {
        state.close_all(false);
        return Ok(Reply::json(&json!({"succeeded": true, "num_freed": 0})));
    } else {
        list.iter().filter(|id| state.close(id)).count()
    };
    let status = if closed == 0 { 404 } else { 200 };
    Ok(Reply::json(&json!({"succeeded": true, "num_freed": closed})).with_status(status))
}

async fn open(call: Call) -> Result<Reply> {
    let keep = call.query.text("keep_alive").ok_or_else(|| Refusal::validation("[keep_alive] is not specified"))?;
    let keep = span_of("keep_alive", keep)?;
    let choice = choice(&call.query)?;
    let expression = call.part("index").unwrap_or("_all").to_string();
    let opensearch = call.uri.path().ends_with("point_in_time");
    let (id, shards) = blocking(&call.context, move |context| {
        let view = Arc::new(context.store.search_view(&expression, choice)?);
        let shards = shards(&view);
        Ok((context.search.open(view, ContextKind::Pit, keep)?, shards))
    })
    .await?;
    let mut answer = json!({"id": id, "_shards": shards});
    if opensearch {
        let millis = crate::time::to_millis(crate::time::now());
        answer = json!({"pit_id": id, "_shards": shards, "creation_time": millis});
    }
    Ok(Reply::json(&answer))
}

async fn close(call: Call) -> Result<Reply> {
    let body = call.json()?.unwrap_or(Value::Null);
    let opensearch = call.uri.path().ends_with("point_in_time");
    let given = body.get("id").or_else(|| body.get("pit_id"));
    let list = given.map(ids).filter(|l| !l.is_empty()).ok_or_else(|| Refusal::validation("[id] is not specified"))?;
    let state = &call.context.search;
    let each: Vec<(String, bool)> = list
        .into_iter()
        .map(|id| {
            let ok = state.close(&id);
            (id, ok)
        })
        .collect();
    if opensearch {
        let pits: Vec<Value> = each.iter().map(|(id, ok)| json!({"pit_id": id, "successful": ok})).collect();
        return Ok(Reply::json(&json!({"pits": pits})));
    }
    let closed = each.iter().filter(|(_, ok)| *ok).count();
    let status = if closed == 0 { 404 } else { 200 };
    Ok(Reply::json(&json!({"succeeded": closed > 0, "num_freed": closed})).with_status(status))
}

async fn close_all(call: Call) -> Result<Reply> {
    call.context.search.close_all(true);
    Ok(Reply::json(&json!({"pits": []})))
}
