//! weir's own endpoints, for people and the web page: live tail, the lines around one, patterns, values of a field.
//!
//! `index` says where (default: every index), `query` is a query as `_search` takes it, `q` is KQL (or Lucene with
//! `lang=lucene`).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{CACHE_CONTROL, HeaderValue};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use super::search::blocking;
use super::{Body, Call, Endpoint, Reply};
use crate::error::{Error, Result};
use crate::query::ast::{Kind, Range};
use crate::query::{Query, Refusal, dsl, kql};
use crate::search::budget::Budget;
use crate::search::fetch::{self, Wanted};
use crate::search::patterns::Miner;
use crate::search::request::{Request, Track};
use crate::search::sort::{By, FieldKey, Key, Missing};
use crate::search::{context, run};
use crate::store::{Choice, View};
use crate::time::now;

/// This file's endpoints.
pub static ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        methods: &["GET"],
        path: "/api/tail",
        params: &["index", "query", "q", "lang"],
        run: |call| Box::pin(tail(call)),
    },
    Endpoint {
        methods: &["GET"],
        path: "/api/context/{id}",
        params: &["index", "before", "after"],
        run: |call| Box::pin(around(call)),
    },
    Endpoint {
        methods: &["GET", "POST"],
        path: "/api/patterns",
        params: &["index", "query", "q", "lang", "size"],
        run: |call| Box::pin(patterns(call)),
    },
    Endpoint {
        methods: &["GET", "POST"],
        path: "/api/fields/{name}/values",
        params: &["index", "query", "q", "lang", "size"],
        run: |call| Box::pin(values(call)),
    },
];

/// Most lines before and after one.
const AROUND_MAX: usize = 500;
/// Newest messages that patterns are made of.
const SAMPLE: usize = 10_000;
/// Most patterns and values in an answer.
const LISTED_MAX: usize = 1_000;
/// Bars of a pattern's trend.
const TREND_BARS: usize = 24;
/// How often a tail looks for new lines.
const TAIL_EVERY: Duration = Duration::from_millis(500);
/// Most lines that a tail sends in one go; when there are more, it says how many it left out.
const TAIL_BATCH: usize = 500;
/// Without lines, a tail sends a comment so often, so that neither side takes the other for gone.
const TAIL_PULSE: u32 = 30;
/// Lines of one tail that may wait to be sent; a client that is slower slows its own tail only.
const TAIL_QUEUE: usize = 16;

/// Where, and what is asked: from parameters, or from members of a body.
async fn asked(call: &Call) -> Result<(String, Query, usize)> {
    let mut members = Map::new();
    if let Some(Value::Object(map)) = call.json()? {
        members = map;
    }
    for (name, value) in &call.query.0 {
        members.insert(name.clone(), value.clone().into());
    }
    let (mut index, mut size, mut query) = ("_all".to_string(), 10, Query::all());
    let lucene = members.get("lang").and_then(Value::as_str) == Some("lucene");
    for (key, value) in &members {
        match (key.as_str(), value) {
            ("index", Value::String(s)) => index.clone_from(s),
            ("size", v) => size = dsl::integer("api", key, v)?.clamp(1, LISTED_MAX as i64) as usize,
            ("query", Value::String(s)) => {
                let value =
                    serde_json::from_str(s).map_err(|e| Error::parsing(format!("[query] is not valid JSON: {e}")))?;
                query = dsl::parse(&value)?;
            }
            ("query", Value::Null) => {}
            ("query", v) => query = dsl::parse(v)?,
            ("q", Value::String(s)) if lucene => query = dsl::from_uri(s, &[])?,
            ("q", Value::String(s)) => query = kql::parse(s)?,
            ("lang" | "pretty" | "human" | "filter_path" | "error_trace" | "format", _) => {}
            _ => return Err(Error::illegal_argument(format!("unknown parameter [{key}]"))),
        }
    }
    Ok((index, query, size))
}

const LENIENT: Choice = Choice { ignore_unavailable: true, allow_no_indices: true };

fn newest() -> Key {
    let by =
        FieldKey { name: "@timestamp".into(), missing: Missing::Last, unmapped: true, largest: true, format: None };
    Key { by: By::Field(by), descending: true }
}

async fn around(call: Call) -> Result<Reply> {
    let id = call.part("id").unwrap_or("").to_string();
    let index = call.query.text("index").unwrap_or("_all").to_string();
    let number = |name: &str| -> Result<usize> {
        Ok(call.query.number(name)?.unwrap_or(50).clamp(0, AROUND_MAX as i64) as usize)
    };
    let (before, after) = (number("before")?, number("after")?);
    let shown = id.clone();
    let answer = blocking(&call.context, move |ctx| {
        let view = ctx.store.search_view(&index, LENIENT)?;
        let Some(found) = context::around(&view, &id, before, after)? else { return Ok(None) };
        let hits = |list: &[_]| -> std::result::Result<Value, Refusal> {
            let hits = fetch::hits(&view, list, &[], false, false, &Wanted::default(), None, now())?;
            serde_json::to_value(hits).map_err(|e| Refusal::internal(e.to_string()))
        };
        let line = hits(std::slice::from_ref(&found.line))?;
        Ok(Some(json!({"before": hits(&found.before)?, "hit": line.get(0), "after": hits(&found.after)?})))
    })
    .await?;
    match answer {
        Some(answer) => Ok(Reply::json(&answer)),
        None => {
            Err(Error::new(404, "resource_not_found_exception", format!("there is no document with the id [{shown}]")))
        }
    }
}

async fn patterns(call: Call) -> Result<Reply> {
    let (index, query, size) = asked(&call).await?;
    let answer = blocking(&call.context, move |ctx| {
        let view = ctx.store.search_view(&index, LENIENT)?;
        let request = Request { query, size: SAMPLE, sort: vec![newest()], track: Track::All, ..Request::default() };
        mine(&view, &request, size)
    })
    .await?;
    Ok(Reply::json(&answer))
}

fn mine(view: &View, request: &Request, size: usize) -> std::result::Result<Value, Refusal> {
    let outcome = run::run(view, request, false, now(), &Budget::new(None, None))?;
    let found = outcome.top.found;
    let mut miner = Miner::default();
    for (number, hit) in found.iter().enumerate() {
        let source = view.parts[hit.part as usize].source(hit.address)?;
        let source: Value = serde_json::from_str(&source).map_err(|e| Refusal::internal(e.to_string()))?;
        let text = |path: &[&str]| -> Option<&str> {
            let nested = path.iter().try_fold(&source, |v, key| v.get(key));
            nested.or_else(|| source.get(path.join("."))).and_then(Value::as_str)
        };
        let Some(message) = text(&["message"]) else { continue };
        let at = match hit.values.first() {
            Some(crate::search::sort::Sorted::Date(nanos)) => nanos / 1_000_000,
            _ => 0,
        };
        miner.add(number, message, at, text(&["log", "level"]), text(&["service", "name"]));
    }
    let templates = miner.finish();
    let all = |pick: fn((i64, i64)) -> i64| templates.iter().map(move |t| pick(t.seen));
    let (first, last) = (all(|s| s.0).min().unwrap_or(0), all(|s| s.1).max().unwrap_or(0));
    let width = ((last - first) / TREND_BARS as i64 + 1).max(1);
    let mut list = Vec::new();
    for t in templates.iter().take(size) {
        let mut trend = vec![0u64; TREND_BARS];
        for at in &t.times {
            trend[(((at - first) / width) as usize).min(TREND_BARS - 1)] += 1;
        }
        let sample = fetch::hits(
            view,
            std::slice::from_ref(&found[t.sample]),
            &[],
            false,
            false,
            &Wanted::default(),
            None,
            now(),
        )?;
        list.push(json!({
            "template": t.text(),
            "count": t.count,
            "first_seen": t.seen.0,
            "last_seen": t.seen.1,
            // All of its messages are in the newest tenth of the time looked at.
            "new": t.seen.0 > last - (last - first) / 10 && last > first,
            "trend": trend,
            "levels": t.levels,
            "services": t.services,
            "sample": sample.first(),
        }));
    }
    Ok(json!({"total": outcome.total, "sampled": found.len(), "patterns": list}))
}

async fn values(call: Call) -> Result<Reply> {
    let (index, query, size) = asked(&call).await?;
    let field = call.part("name").unwrap_or("").to_string();
    let aggs = crate::aggs::parse::parse(&json!({"values": {"terms": {"field": field, "size": size}}}))?;
    let answer = blocking(&call.context, move |ctx| {
        let view = ctx.store.search_view(&index, LENIENT)?;
        let request = Request { query, size: 0, track: Track::All, aggs, ..Request::default() };
        let outcome = run::run(&view, &request, false, now(), &Budget::new(None, None))?;
        let found = outcome.aggs.unwrap_or_default();
        let buckets = found["values"]["buckets"].as_array().cloned().unwrap_or_default();
        let list: Vec<Value> = buckets
            .iter()
            .map(|b| json!({"value": b.get("key_as_string").unwrap_or(&b["key"]), "count": b["doc_count"]}))
            .collect();
        Ok(json!({"field": field, "total": outcome.total, "other": found["values"]["sum_other_doc_count"], "values": list}))
    })
    .await?;
    Ok(Reply::json(&answer))
}

/// New lines, as server-sent events.
async fn tail(call: Call) -> Result<Reply> {
    let (index, query, _) = asked(&call).await?;
    let (send, receive) = mpsc::channel::<Bytes>(TAIL_QUEUE);
    let ctx = Arc::clone(&call.context);
    // Where it begins: what is there already is not new. A query that cannot be answered is refused here.
    let (i, q) = (index.clone(), query.clone());
    let mut seen = blocking(&ctx, move |ctx| marks(&ctx.store.search_view(&i, LENIENT)?, &q)).await?;
    tokio::spawn(async move {
        let shutdown = ctx.shutdown.clone();
        let mut quiet = 0;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = send.closed() => return,
                () = tokio::time::sleep(TAIL_EVERY) => {}
            }
            let (i, q) = (index.clone(), query.clone());
            let before = std::mem::take(&mut seen);
            let found = blocking(&ctx, move |ctx| fresh(&ctx.store.search_view(&i, LENIENT)?, &q, before)).await;
            let events = match found {
                Ok((after, events)) => {
                    seen = after;
                    events
                }
                Err(e) => {
                    // The client is told why, and begins anew.
                    let line = format!("event: failure\ndata: {}\n\n", json!({"reason": e.reason}));
                    // It may be gone: then there is nobody to tell.
                    drop(send.send(line.into()).await);
                    return;
                }
            };
            quiet = if events.is_empty() { quiet + 1 } else { 0 };
            let events = if quiet >= TAIL_PULSE {
                quiet = 0;
                ": still here\n\n".to_string()
            } else {
                events
            };
            if !events.is_empty() && send.send(events.into()).await.is_err() {
                return;
            }
        }
    });
    let mut reply = Reply::raw(200, Bytes::new());
    reply.content_type = "text/event-stream";
    reply.headers.push((CACHE_CONTROL, HeaderValue::from_static("no-store")));
    reply.body = Body::Stream(receive);
    Ok(reply)
}

/// The largest arrival number of each index.
fn marks(view: &View, query: &Query) -> std::result::Result<HashMap<String, u64>, Refusal> {
    let mut marks = HashMap::new();
    for part in &view.parts {
        crate::query::plan::Planner::new(part, now()).plan(query)?;
        let mark: &mut u64 = marks.entry(part.index_name.to_string()).or_default();
        for reader in part.searcher.segment_readers() {
            for column in crate::search::columns::open_named(reader, "_seq")? {
                if column.column.num_docs() > 0 {
                    *mark = (*mark).max(column.column.max_value() + 1);
                }
            }
        }
    }
    Ok(marks)
}

type Fresh = (HashMap<String, u64>, String);

fn fresh(view: &View, query: &Query, before: HashMap<String, u64>) -> std::result::Result<Fresh, Refusal> {
    let after = marks(view, query)?;
    let mut events = String::new();
    for (index, to) in &after {
        let from = before.get(index).copied().unwrap_or(0);
        if from >= *to {
            continue;
        }
        let new = Range { field: "_seq_no".into(), from: Some((from.into(), true)), ..Range::default() };
        let only = Kind::Term { field: "_index".into(), value: index.clone().into(), any_case: false };
        let all = Query::filter(vec![query.clone(), Kind::Range(new).into(), only.into()]);
        // The newest of them, shown oldest first.
        let sort = vec![Key { by: By::Arrival, descending: true }];
        let request = Request { query: all, size: TAIL_BATCH, sort, track: Track::All, ..Request::default() };
        let outcome = run::run(view, &request, false, now(), &Budget::new(None, None))?;
        let mut page = outcome.top.found;
        page.reverse();
        let missed = outcome.total.unwrap_or(0).saturating_sub(page.len() as u64);
        if missed > 0 {
            events.push_str(&format!("event: missed\ndata: {missed}\n\n"));
        }
        for hit in fetch::hits(view, &page, &[], false, false, &Wanted::default(), None, now())? {
            let line = serde_json::to_string(&hit).map_err(|e| Refusal::internal(e.to_string()))?;
            // The source is as the client sent it, and may hold line breaks between its members.
            events.push_str(&format!("data: {}\n\n", line.replace(['\n', '\r'], " ")));
        }
    }
    Ok((after, events))
}
