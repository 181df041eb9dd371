//! weir's own endpoints, for people and the web page: live tail, the lines around one, values of a field.
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
use crate::search::request::{Request, Track};
use crate::search::sort::{By, Key};
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
        params: &["index", "within", "before", "after"],
        run: |call| Box::pin(around(call)),
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
/// Most patterns and values in an answer.
const LISTED_MAX: usize = 1_000;
/// How often a tail looks for new lines.
const TAIL_EVERY: Duration = Duration::from_millis(500);
/// Most lines that a tail sends in one go; when there are more, it says how many it left out.
const TAIL_BATCH: usize = 500;
/// Without lines, a tail sends a comment so often, so that neither side takes the other for gone.
const TAIL_PULSE: u32 = 30;
/// Lines of one tail that may wait to be sent; a client that is slower slows its own tail only.
const TAIL_QUEUE: usize = 16;

/// Where, and what is asked.
pub(super) struct Asked {
    pub(super) index: String,
    pub(super) query: Query,
    /// Things wanted, within [`LISTED_MAX`].
    pub(super) size: usize,
    /// Ends of the time wanted beside the query, in milliseconds since 1970.
    pub(super) from: Option<i64>,
    pub(super) to: Option<i64>,
}

/// Reads parameters, or members of a body.
pub(super) fn asked(call: &Call) -> Result<Asked> {
    let mut members = Map::new();
    if let Some(Value::Object(map)) = call.json()? {
        members = map;
    }
    for (name, value) in &call.query.0 {
        members.insert(name.clone(), value.clone().into());
    }
    let mut asked = Asked { index: "_all".to_string(), query: Query::all(), size: 10, from: None, to: None };
    let lucene = members.get("lang").and_then(Value::as_str) == Some("lucene");
    for (key, value) in &members {
        match (key.as_str(), value) {
            ("index", Value::String(s)) => asked.index.clone_from(s),
            ("size", v) => asked.size = dsl::integer("api", key, v)?.clamp(1, LISTED_MAX as i64) as usize,
            ("query", Value::String(s)) => {
                let value =
                    serde_json::from_str(s).map_err(|e| Error::parsing(format!("[query] is not valid JSON: {e}")))?;
                asked.query = dsl::parse(&value)?;
            }
            ("query", Value::Null) => {}
            ("query", v) => asked.query = dsl::parse(v)?,
            ("q", Value::String(s)) if lucene => asked.query = dsl::from_uri(s, &[])?,
            ("q", Value::String(s)) => asked.query = kql::parse(s)?,
            ("from", v) => asked.from = Some(dsl::integer("api", key, v)?),
            ("to", v) => asked.to = Some(dsl::integer("api", key, v)?),
            ("lang" | "pretty" | "human" | "filter_path" | "error_trace" | "format", _) => {}
            _ => return Err(Error::illegal_argument(format!("unknown parameter [{key}]"))),
        }
    }
    Ok(asked)
}

pub(super) const LENIENT: Choice = Choice { ignore_unavailable: true, allow_no_indices: true };

async fn around(call: Call) -> Result<Reply> {
    let id = call.part("id").unwrap_or("").to_string();
    let index = call.query.text("index").unwrap_or("_all").to_string();
    let number = |name: &str| -> Result<usize> {
        Ok(call.query.number(name)?.unwrap_or(50).clamp(0, AROUND_MAX as i64) as usize)
    };
    let (before, after) = (number("before")?, number("after")?);
    let within = call.query.text("within").map(str::to_owned);
    let shown = id.clone();
    let answer = blocking(&call.context, move |ctx| {
        let view = ctx.store.search_view(&index, LENIENT)?;
        let Some(found) = context::around(&view, &id, within.as_deref(), before, after)? else { return Ok(None) };
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

async fn values(call: Call) -> Result<Reply> {
    let Asked { index, query, size, .. } = asked(&call)?;
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
    let Asked { index, query, .. } = asked(&call)?;
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
