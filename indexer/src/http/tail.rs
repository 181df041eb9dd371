//! `GET /api/tail`: lines as they come, as server-sent events. Where they come from is a [`Source`]: what this process
//! accepted, by the order of arrival, or a cluster (`crate::upstream`).

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{CACHE_CONTROL, HeaderValue};
use serde_json::json;
use tokio::sync::mpsc;

use super::api::{Asked, LENIENT, asked};
use super::search::blocking;
use super::{Body, Call, Context, Endpoint, Reply};
use crate::error::Result;
use crate::query::ast::{Kind, Range};
use crate::query::{Query, Refusal};
use crate::search::budget::Budget;
use crate::search::fetch::{self, Wanted};
use crate::search::request::{Request, Track};
use crate::search::run;
use crate::search::sort::{By, Key};
use crate::store::View;
use crate::time::now;

/// This file's endpoints.
pub static ENDPOINTS: &[Endpoint] = &[Endpoint {
    methods: &["GET"],
    path: "/api/tail",
    params: &["index", "query", "q", "lang"],
    run: |call| Box::pin(tail(call)),
}];

/// How often a tail looks for new lines.
const TAIL_EVERY: Duration = Duration::from_millis(500);
/// Most lines that a tail sends in one go; when there are more, it says how many it left out.
const TAIL_BATCH: usize = 500;
/// Without lines, a tail sends a comment so often, so that neither side takes the other for gone.
const TAIL_PULSE: Duration = Duration::from_secs(15);
/// Lines of one tail that may wait to be sent; a client that is slower slows its own tail only.
const TAIL_QUEUE: usize = 16;

/// Where new lines come from.
pub(crate) trait Source: Send + 'static {
    /// What is new since the last time.
    fn next(&mut self, context: &Arc<Context>) -> impl Future<Output = Result<Events>> + Send;
}

/// Server-sent events, as text.
#[derive(Default)]
pub(crate) struct Events(String);

impl Events {
    /// A line, as JSON.
    pub(crate) fn line(&mut self, json: &str) {
        // The source is as the client sent it, and may hold line breaks between its members.
        self.0.push_str(&format!("data: {}\n\n", json.replace(['\n', '\r'], " ")));
    }

    /// That so many lines were left out.
    pub(crate) fn missed(&mut self, lines: u64) {
        if lines > 0 {
            self.0.push_str(&format!("event: missed\ndata: {lines}\n\n"));
        }
    }
}

/// The answer that goes on for as long as the client listens: looks at `source` so often.
pub(crate) fn events(ctx: Arc<Context>, every: Duration, mut source: impl Source) -> Reply {
    let (send, receive) = mpsc::channel::<Bytes>(TAIL_QUEUE);
    tokio::spawn(async move {
        let shutdown = ctx.shutdown.clone();
        let mut quiet = Duration::ZERO;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = send.closed() => return,
                () = tokio::time::sleep(every) => {}
            }
            let events = match source.next(&ctx).await {
                Ok(events) => events.0,
                Err(e) => {
                    // The client is told why, and begins anew.
                    let line = format!("event: failure\ndata: {}\n\n", json!({"reason": e.reason}));
                    // It may be gone: then there is nobody to tell.
                    drop(send.send(line.into()).await);
                    return;
                }
            };
            quiet = if events.is_empty() { quiet + every } else { Duration::ZERO };
            let events = if quiet >= TAIL_PULSE {
                quiet = Duration::ZERO;
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
    reply
}

async fn tail(call: Call) -> Result<Reply> {
    let Asked { index, query, .. } = asked(&call)?;
    // Where it begins: what is there already is not new. A query that cannot be answered is refused here.
    let (i, q) = (index.clone(), query.clone());
    let seen = blocking(&call.context, move |ctx| marks(&ctx.store.search_view(&i, LENIENT)?, &q)).await?;
    Ok(events(Arc::clone(&call.context), TAIL_EVERY, Arrivals { index, query, seen }))
}

/// What this process accepts, by the order of arrival.
struct Arrivals {
    index: String,
    query: Query,
    /// The arrival number that each index has come to.
    seen: HashMap<String, u64>,
}

impl Source for Arrivals {
    async fn next(&mut self, context: &Arc<Context>) -> Result<Events> {
        let (index, query) = (self.index.clone(), self.query.clone());
        let before = std::mem::take(&mut self.seen);
        let look = move |ctx: &Context| fresh(&ctx.store.search_view(&index, LENIENT)?, &query, before);
        let (after, events) = blocking(context, look).await?;
        self.seen = after;
        Ok(events)
    }
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

type Fresh = (HashMap<String, u64>, Events);

fn fresh(view: &View, query: &Query, before: HashMap<String, u64>) -> std::result::Result<Fresh, Refusal> {
    let after = marks(view, query)?;
    let mut events = Events::default();
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
        events.missed(outcome.total.unwrap_or(0).saturating_sub(page.len() as u64));
        for hit in fetch::hits(view, &page, &[], false, false, &Wanted::default(), None, now())? {
            events.line(&serde_json::to_string(&hit).map_err(|e| Refusal::internal(e.to_string()))?);
        }
    }
    Ok((after, events))
}
