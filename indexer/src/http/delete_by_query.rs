//! `_delete_by_query`: finds documents in one view and deletes them by their ids, batch by batch.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use super::search::{blocking, choice, uri_query};
use super::{Call, Endpoint, Reply};
use crate::error::{Error, Result};
use crate::query::dsl;
use crate::search::budget::Budget;
use crate::search::request::{Request, Track};
use crate::search::run;
use crate::search::sort::{By, Key};
use crate::time::now;

/// This file's endpoints.
pub static ENDPOINTS: &[Endpoint] = &[Endpoint {
    methods: &["POST"],
    path: "/{index}/_delete_by_query",
    params: PARAMS,
    run: |call| Box::pin(delete(call)),
}];

const PARAMS: &[&str] = &[
    "allow_no_indices",
    "analyze_wildcard",
    "analyzer",
    "conflicts",
    "default_operator",
    "df",
    "expand_wildcards",
    "ignore_unavailable",
    "lenient",
    "max_docs",
    "preference",
    "q",
    "refresh",
    "request_cache",
    "requests_per_second",
    "routing",
    "scroll",
    "scroll_size",
    "search_timeout",
    "search_type",
    "slices",
    "stats",
    "terminate_after",
    "timeout",
    "version",
    "wait_for_active_shards",
    "wait_for_completion",
];

/// Documents deleted by one request to the store.
const BATCH: usize = 1_000;

async fn delete(call: Call) -> Result<Reply> {
    let started = Instant::now();
    if call.query.flag("wait_for_completion")? == Some(false) {
        return Err(Error::illegal_argument(
            "[wait_for_completion] false is not supported: the deletion is waited for",
        ));
    }
    let mut query = uri_query(&call.query)?;
    let mut most = call.query.number("max_docs")?;
    if let Some(body) = call.json()? {
        for (key, value) in body.as_object().into_iter().flatten() {
            match key.as_str() {
                "query" => query = Some(dsl::parse(value)?),
                "max_docs" | "size" => most = value.as_i64(),
                "conflicts" => {}
                _ => return Err(Error::parsing(format!("[delete_by_query] unknown field [{key}]"))),
            }
        }
    }
    let query = query.ok_or_else(|| crate::query::Refusal::validation("query is missing"))?;
    let most = most.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
    let choice = choice(&call.query)?;
    let chosen = call.context.store.resolve_filtered(call.part("index").unwrap_or("_all"), choice)?;
    let (mut total, mut deleted, mut conflicts, mut batches) = (0, 0, 0, 0);
    let mut failures: Vec<Value> = Vec::new();
    for one in &chosen {
        let index = &one.index;
        // What was accepted before this request is to be found by it, whatever the refresh interval.
        let (store, fresh) = (Arc::clone(&call.context.store), Arc::clone(index));
        tokio::task::spawn_blocking(move || store.refresh(&[fresh])).await.map_err(Error::internal)??;
        let mut after = None;
        while total < most {
            let request = Request {
                query: query.clone(),
                size: BATCH.min(most - total),
                sort: vec![Key { by: By::Arrival, descending: false }],
                after: after.clone(),
                track: Track::No,
                ..Request::default()
            };
            let one = one.clone();
            let (ids, last) = blocking(&call.context, move |context| {
                let view = context.store.view_of(&[one])?;
                let outcome = run::run(&view, &request, false, now(), &Budget::new(None, None))?;
                let mut ids = Vec::new();
                for found in &outcome.top.found {
                    ids.extend(view.parts[found.part as usize].ids(&[found.address])?);
                }
                Ok((ids, outcome.top.found.last().map(|f| f.seq)))
            })
            .await?;
            let Some(last) = last else { break };
            total += ids.len();
            batches += 1;
            let written = call.context.store.delete_many(index, &ids).await?;
            for (id, outcome) in ids.iter().zip(&written.outcomes) {
                match &outcome.error {
                    None => deleted += 1,
                    Some(e) if e.status == 404 || e.status == 409 => conflicts += 1,
                    Some(e) => {
                        failures.push(json!({"index": &*index.name, "id": id, "cause": e.object(), "status": e.status}))
                    }
                }
            }
            after = Some(vec![json!(last)]);
        }
    }
    if call.query.text("refresh").is_some_and(|r| r != "false") {
        let store = Arc::clone(&call.context.store);
        let indices: Vec<_> = chosen.into_iter().map(|one| one.index).collect();
        tokio::task::spawn_blocking(move || store.refresh(&indices)).await.map_err(Error::internal)??;
    }
    let status = if failures.is_empty() { 200 } else { 500 };
    let answer = json!({
        "took": started.elapsed().as_millis() as u64,
        "timed_out": false,
        "total": total,
        "deleted": deleted,
        "batches": batches,
        "version_conflicts": conflicts,
        "noops": 0,
        "retries": {"bulk": 0, "search": 0},
        "throttled_millis": 0,
        "requests_per_second": -1.0,
        "throttled_until_millis": 0,
        "failures": failures,
    });
    Ok(Reply::json(&answer).with_status(status))
}
