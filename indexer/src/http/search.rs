//! `_search`, `_count`, `_msearch`: by body, by URI (`q=`), by GET and POST.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Call, Context, Endpoint, Query, Reply};
use crate::error::{Error, Result};
use crate::query::{self, Refusal};
use crate::search::budget::Budget;
use crate::search::fetch::{self, Hit};
use crate::search::request::{Request, Track};
use crate::search::run;
use crate::search::sort::{By, Key, Sorted};
use crate::search::state::ContextKind;
use crate::store::{Choice, View};
use crate::time::{now, span};

/// This file's endpoints.
pub static ENDPOINTS: &[Endpoint] = &[
    Endpoint { methods: &["GET", "POST"], path: "/_search", params: SEARCH, run: |call| Box::pin(search(call)) },
    Endpoint {
        methods: &["GET", "POST"],
        path: "/{index}/_search",
        params: SEARCH,
        run: |call| Box::pin(search(call)),
    },
    Endpoint { methods: &["GET", "POST"], path: "/_count", params: COUNT, run: |call| Box::pin(count(call)) },
    Endpoint { methods: &["GET", "POST"], path: "/{index}/_count", params: COUNT, run: |call| Box::pin(count(call)) },
    Endpoint { methods: &["GET", "POST"], path: "/_msearch", params: MSEARCH, run: |call| Box::pin(msearch(call)) },
    Endpoint {
        methods: &["GET", "POST"],
        path: "/{index}/_msearch",
        params: MSEARCH,
        run: |call| Box::pin(msearch(call)),
    },
];

/// Parameters of `_search`. Those about shards and caches change nothing on one machine.
pub(super) const SEARCH: &[&str] = &[
    "allow_no_indices",
    "allow_partial_search_results",
    "analyze_wildcard",
    "analyzer",
    "batched_reduce_size",
    "ccs_minimize_roundtrips",
    "default_operator",
    "df",
    "docvalue_fields",
    "expand_wildcards",
    "explain",
    "from",
    "ignore_throttled",
    "ignore_unavailable",
    "lenient",
    "max_concurrent_shard_requests",
    "pre_filter_shard_size",
    "preference",
    "q",
    "request_cache",
    "rest_total_hits_as_int",
    "routing",
    "scroll",
    "search_type",
    "seq_no_primary_term",
    "size",
    "sort",
    "_source",
    "_source_excludes",
    "_source_includes",
    "_source_exclude",
    "_source_include",
    "source",
    "source_content_type",
    "stats",
    "stored_fields",
    "terminate_after",
    "timeout",
    "track_scores",
    "track_total_hits",
    "typed_keys",
    "version",
    "keep_alive",
    "keep_on_completion",
    "wait_for_completion_timeout",
];
const COUNT: &[&str] = &[
    "allow_no_indices",
    "analyze_wildcard",
    "analyzer",
    "default_operator",
    "df",
    "expand_wildcards",
    "ignore_throttled",
    "ignore_unavailable",
    "lenient",
    "min_score",
    "preference",
    "q",
    "routing",
    "terminate_after",
    "source",
    "source_content_type",
];
const MSEARCH: &[&str] = &[
    "allow_no_indices",
    "ccs_minimize_roundtrips",
    "expand_wildcards",
    "ignore_throttled",
    "ignore_unavailable",
    "include_named_queries_score",
    "index",
    "max_concurrent_searches",
    "max_concurrent_shard_requests",
    "pre_filter_shard_size",
    "rest_total_hits_as_int",
    "routing",
    "search_type",
    "typed_keys",
    "_source_includes",
    "_source_excludes",
];

/// Most searches of one `_msearch`.
const MSEARCH_MAX: usize = 1_000;

/// Runs blocking work of a search: with a permit, off the threads that answer others.
pub(super) async fn blocking<T: Send + 'static>(
    context: &Arc<Context>,
    work: impl FnOnce(&Context) -> std::result::Result<T, Refusal> + Send + 'static,
) -> Result<T> {
    let permit = context.search.permit().await?;
    let context = Arc::clone(context);
    let done = tokio::task::spawn_blocking(move || {
        let result = work(&context);
        drop(permit);
        result
    });
    Ok(done.await.map_err(Error::internal)??)
}

/// How the index expression is to be read.
pub(super) fn choice(query: &Query) -> Result<Choice> {
    let default = Choice::default();
    if query
        .list("expand_wildcards")
        .is_some_and(|l| l.iter().any(|w| !matches!(*w, "open" | "all" | "closed" | "hidden" | "none")))
    {
        return Err(Error::illegal_argument("No valid expand wildcard value"));
    }
    Ok(Choice {
        ignore_unavailable: query.flag("ignore_unavailable")?.unwrap_or(default.ignore_unavailable),
        allow_no_indices: query.flag("allow_no_indices")?.unwrap_or(default.allow_no_indices),
    })
}

/// The query of `q=` and its options.
pub(super) fn uri_query(query: &Query) -> Result<Option<query::Query>> {
    let Some(q) = query.text("q") else { return Ok(None) };
    let names = ["df", "default_operator", "lenient", "analyze_wildcard", "analyzer"];
    let options: Vec<(&str, &str)> = names.into_iter().filter_map(|n| Some((n, query.text(n)?))).collect();
    Ok(Some(query::dsl::from_uri(q, &options)?))
}

/// The body, or what stands for it in `source=`.
pub(crate) fn body(call: &Call) -> Result<Option<Value>> {
    match (call.json()?, call.query.text("source")) {
        (Some(body), _) => Ok(Some(body)),
        (None, Some(text)) => {
            serde_json::from_str(text).map(Some).map_err(|e| Error::parsing(format!("[source] is not valid JSON: {e}")))
        }
        (None, None) => Ok(None),
    }
}

/// How an answer is to look.
#[derive(Clone, Copy, Default)]
pub(super) struct Look {
    /// `typed_keys`
    pub typed: bool,
    /// `rest_total_hits_as_int`
    pub total_as_int: bool,
}

impl Look {
    pub(super) fn of(query: &Query) -> Result<Look> {
        Ok(Look {
            typed: query.flag("typed_keys")?.unwrap_or(false),
            total_as_int: query.flag("rest_total_hits_as_int")?.unwrap_or(false),
        })
    }
}

/// Reads body and parameters of a search.
pub(super) fn request(query: &Query, body: Option<&Value>, look: Look) -> Result<Request> {
    let mut request = Request::parse(body)?;
    for (name, value) in &query.0 {
        request.parameter(name, value)?;
    }
    if let Some(q) = uri_query(query)? {
        request.query = q;
    }
    if let Some(kind) = query.text("search_type")
        && !matches!(kind, "query_then_fetch" | "dfs_query_then_fetch")
    {
        return Err(Error::illegal_argument(format!("No search type for [{kind}]")));
    }
    for (name, least) in
        [("batched_reduce_size", 2), ("pre_filter_shard_size", 1), ("max_concurrent_shard_requests", 1)]
    {
        if query.number(name)?.is_some_and(|n| n < least) {
            return Err(Error::illegal_argument(format!("{name} must be >= {least}")));
        }
    }
    if look.total_as_int {
        let said =
            body.is_some_and(|b| b.get("track_total_hits").is_some()) || query.text("track_total_hits").is_some();
        match request.track {
            Track::UpTo(n) if said => {
                return Err(Error::illegal_argument(format!(
                    "[rest_total_hits_as_int] cannot be used if the tracking of total hits is not accurate, got {n}"
                )));
            }
            Track::UpTo(_) => request.track = Track::All,
            Track::All | Track::No => {}
        }
    }
    Ok(request)
}

/// An answer, before it is text.
#[derive(Serialize)]
pub(super) struct Answer {
    #[serde(rename = "_scroll_id", skip_serializing_if = "Option::is_none")]
    pub scroll_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pit_id: Option<String>,
    pub took: u64,
    pub timed_out: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminated_early: Option<bool>,
    #[serde(rename = "_shards")]
    pub shards: Value,
    pub hits: Hits,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aggregations: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
}

#[derive(Serialize)]
pub(super) struct Hits {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<Value>,
    pub max_score: Option<f32>,
    pub hits: Vec<Hit>,
}

/// `_shards` of a view: each index counts as one.
pub(super) fn shards(view: &View) -> Value {
    let n = view.parts.iter().map(|p| &*p.index_name).collect::<BTreeSet<_>>().len();
    json!({"total": n, "successful": n, "skipped": 0, "failed": 0})
}

fn total(count: Option<u64>, more: bool, look: Look) -> Option<Value> {
    if count.is_none() && look.total_as_int {
        return Some((-1).into());
    }
    count.map(|n| {
        if look.total_as_int { n.into() } else { json!({"value": n, "relation": if more { "gte" } else { "eq" }}) }
    })
}

/// Puts into `terms` queries the values that stand in documents.
pub(super) fn look_up(context: &Context, query: &mut query::Query) -> std::result::Result<(), Refusal> {
    query.walk_mut(&mut |query| look_up_one(context, query))
}

fn look_up_one(context: &Context, q: &mut query::Query) -> std::result::Result<(), Refusal> {
    let query::ast::Kind::TermsLookup { field, index, id, path } = &q.kind else { return Ok(()) };
    let mut values = Vec::new();
    let indices = context.store.resolve(index, Choice::default())?;
    let got = match indices.first() {
        Some(index) => context.store.get(index, id)?,
        None => None,
    };
    if let Some(got) = got {
        let source: Value = serde_json::from_str(&got.source).map_err(|e| Refusal::internal(e.to_string()))?;
        crate::search::source::leaves(&source, &mut String::new(), &mut |at, value| {
            if at == path {
                values.push(value.clone());
            }
        });
    }
    if values.len() > query::ast::MAX_TERMS {
        return Err(Refusal::shard_argument(format!("[terms] lookup of more than [{}] values", query::ast::MAX_TERMS)));
    }
    q.kind = query::ast::Kind::Terms { field: field.clone(), values };
    Ok(())
}

/// Runs a search over a view. With `scroll` its end is remembered.
pub(super) fn answer(
    context: &Context,
    view: &Arc<View>,
    mut request: Request,
    look: Look,
    scroll: Option<Duration>,
    started: Instant,
) -> std::result::Result<Answer, Refusal> {
    request.check(scroll.is_some())?;
    view.parts.iter().try_for_each(|part| request.check_limits(&part.mapping.limits, scroll.is_some()))?;
    let now = now();
    look_up(context, &mut request.query)?;
    if let Some(filter) = &mut request.post_filter {
        look_up(context, filter)?;
    }
    for agg in &mut request.aggs {
        agg.walk_queries(&mut |query| look_up_one(context, query))?;
    }
    let in_pit = request.pit.is_some();
    if request.sort.is_empty() && (scroll.is_some() || in_pit) {
        request.sort.push(Key { by: By::Score, descending: true });
    }
    let mut shown = request.sort.len();
    let tie = !request.sort.iter().any(|k| k.by == By::ShardDoc) && (scroll.is_some() || in_pit);
    if tie {
        // Places must be told apart, so that the next page begins right behind this one.
        request.sort.push(Key { by: By::ShardDoc, descending: false });
        if in_pit {
            shown += 1;
            if let Some(after) = &mut request.after
                && after.len() + 1 == request.sort.len()
            {
                after.push(json!(u64::MAX >> 1));
            }
        }
    }
    let budget = Budget::new(request.timeout, context.search.buckets());
    let outcome = run::run(view, &request, look.typed, now, &budget)?;
    let by_score = request.sort.is_empty() || request.sort.iter().any(|k| k.by == By::Score);
    let scored = by_score || request.track_scores;
    let score_first = request.sort.first().is_none_or(|k| k.by == By::Score);
    let page: Vec<_> = outcome.top.found.iter().skip(request.from).take(request.size).cloned().collect();
    let keys = outcome.top.keys.get(..shown.max(1)).unwrap_or(&outcome.top.keys);
    let hits = fetch::hits(
        view,
        &page,
        keys,
        shown > 0 && !(score_first && shown == 1 && !in_pit),
        scored,
        &request.wanted,
        Some(&request.query),
        now,
    )?;
    let max_score = if score_first || request.track_scores {
        outcome.top.max_score.filter(|_| outcome.total != Some(0))
    } else {
        None
    };
    let mut scroll_id = None;
    if let Some(keep) = scroll {
        let mut next = request.clone();
        next.aggs = Vec::new();
        next.after = page.last().map(|f| f.values.iter().map(after_value).collect());
        let kind = ContextKind::Scroll { request: Arc::new(next), shown, total: outcome.total.unwrap_or(0), max_score };
        scroll_id = Some(context.search.open(Arc::clone(view), kind, keep)?);
    }
    Ok(Answer {
        scroll_id,
        pit_id: request.pit.map(|p| p.id),
        took: started.elapsed().as_millis() as u64,
        timed_out: outcome.timed_out,
        terminated_early: outcome.terminated,
        shards: shards(view),
        hits: Hits { total: total(outcome.total, outcome.more, look), max_score, hits },
        aggregations: outcome.aggs,
        status: None,
    })
}

/// A sort value as `search_after` takes it back, exact to the nanosecond.
fn after_value(value: &Sorted) -> Value {
    match value {
        Sorted::Null => Value::Null,
        Sorted::Int(n) => (*n).into(),
        Sorted::UInt(n) => (*n).into(),
        Sorted::Float(n) => (*n).into(),
        Sorted::Bool(b) => (*b).into(),
        Sorted::Str(s) => s.clone().into(),
        Sorted::Date(n) => crate::time::format::iso(i128::from(*n), &crate::time::zone::Zone::utc(), true).into(),
    }
}

/// The next page of a scroll.
pub(super) fn next_page(
    context: &Context,
    id: &str,
    keep: Option<Duration>,
    look: Look,
) -> std::result::Result<Answer, Refusal> {
    let started = Instant::now();
    let kept = context.search.get(id, keep)?;
    let ContextKind::Scroll { request, shown, total: hits_total, max_score } = kept.kind else {
        return Err(Refusal::no_context(id));
    };
    let mut page = Vec::new();
    let mut timed_out = false;
    let now = now();
    if request.after.is_some() {
        let budget = Budget::new(request.timeout, context.search.buckets());
        let mut search = (*request).clone();
        search.track = Track::No;
        let outcome = run::run(&kept.view, &search, false, now, &budget)?;
        timed_out = outcome.timed_out;
        page = outcome.top.found;
        if let Some(last) = page.last() {
            let after = last.values.iter().map(after_value).collect();
            context.search.advance(id, Request { after: Some(after), ..(*request).clone() });
        }
    }
    let by_score = request.sort.iter().any(|k| k.by == By::Score);
    let only_score = shown == 1 && request.sort.first().is_some_and(|k| k.by == By::Score);
    let keys = request.sort.get(..shown).unwrap_or(&request.sort);
    let hits = fetch::hits(
        &kept.view,
        &page,
        keys,
        !only_score,
        by_score || request.track_scores,
        &request.wanted,
        Some(&request.query),
        now,
    )?;
    Ok(Answer {
        scroll_id: Some(id.to_string()),
        pit_id: None,
        took: started.elapsed().as_millis() as u64,
        timed_out,
        terminated_early: None,
        shards: shards(&kept.view),
        hits: Hits { total: total(Some(hits_total), false, look), max_score, hits },
        aggregations: None,
        status: None,
    })
}

/// Text of an answer.
pub(super) fn text(answer: &Answer) -> Result<String> {
    serde_json::to_string(answer).map_err(Error::internal)
}

/// Reads a time span of a parameter.
pub(super) fn span_of(name: &str, text: &str) -> Result<Duration> {
    span::duration(text).ok_or_else(|| {
        Error::illegal_argument(format!(
            "failed to parse setting [{name}] with value [{text}] as a time value: unit is missing or unrecognized"
        ))
    })
}

/// Reads a whole search from a call and runs it.
pub(super) async fn run_call(call: &Call) -> Result<Answer> {
    let started = Instant::now();
    let look = Look::of(&call.query)?;
    let request = request(&call.query, body(call)?.as_ref(), look)?;
    let scroll = call.query.text("scroll").map(|t| span_of("scroll", t)).transpose()?;
    let choice = choice(&call.query)?;
    let expression = call.part("index").map(str::to_string);
    if request.pit.is_some() && expression.is_some() {
        return Err(Refusal::validation(
            "[indices] cannot be used with point in time. Do not specify any index with point in time.",
        )
        .into());
    }
    if request.pit.is_some() && scroll.is_some() {
        return Err(Refusal::validation("using [point in time] is not allowed in a scroll context").into());
    }
    blocking(&call.context, move |context| {
        let view = match &request.pit {
            Some(pit) => {
                let kept = context.search.get(&pit.id, pit.keep_alive)?;
                if !matches!(kept.kind, ContextKind::Pit) {
                    return Err(Refusal::no_context(&pit.id));
                }
                kept.view
            }
            None => Arc::new(context.store.search_view(expression.as_deref().unwrap_or("_all"), choice)?),
        };
        answer(context, &view, request, look, scroll, started)
    })
    .await
}

async fn search(call: Call) -> Result<Reply> {
    let answer = run_call(&call).await?;
    Ok(Reply::raw(200, text(&answer)?))
}

async fn count(call: Call) -> Result<Reply> {
    let mut query = query::Query::all();
    if let Some(body) = body(&call)? {
        let map = body.as_object().ok_or_else(|| Error::parsing("Expected [START_OBJECT]"))?;
        for (key, value) in map {
            if key != "query" {
                return Err(Error::parsing(format!("request does not support [{key}]")));
            }
            query = query::dsl::parse(value)?;
        }
    }
    if let Some(q) = uri_query(&call.query)? {
        query = q;
    }
    let min_score = match call.query.text("min_score") {
        None => None,
        Some(t) => {
            Some(t.parse::<f32>().map_err(|_| Error::illegal_argument(format!("[min_score] is no number: [{t}]")))?)
        }
    };
    let terminate_after = call.query.number("terminate_after")?.and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0);
    let choice = choice(&call.query)?;
    let expression = call.part("index").unwrap_or("_all").to_string();
    let (count, shards) = blocking(&call.context, move |context| {
        look_up(context, &mut query)?;
        let view = context.store.search_view(&expression, choice)?;
        let budget = Budget::new(None, None);
        let n = run::count(&view, &query, min_score, terminate_after, now(), &budget)?;
        if budget.timed_out() {
            return Err(Refusal::internal("the time for counting is over"));
        }
        Ok((n, shards(&view)))
    })
    .await?;
    Ok(Reply::json(&json!({"count": count, "_shards": shards})))
}

async fn msearch(call: Call) -> Result<Reply> {
    let started = Instant::now();
    let look = Look::of(&call.query)?;
    let body = std::str::from_utf8(&call.body).map_err(|_| Error::parsing("the body is not UTF-8"))?;
    let mut lines: Vec<&str> = body.split('\n').map(|l| l.trim_end_matches('\r')).collect();
    while lines.last().is_some_and(|l| l.trim().is_empty()) {
        lines.pop();
    }
    if lines.is_empty() {
        return Err(Refusal::validation("no requests added").into());
    }
    if lines.len() % 2 == 1 {
        lines.push("{}");
    }
    if lines.len() / 2 > MSEARCH_MAX {
        return Err(Error::illegal_argument(format!("more than [{MSEARCH_MAX}] searches")));
    }
    let mut responses = Vec::with_capacity(lines.len() / 2);
    for pair in lines.chunks(2) {
        let read = |text: &str| -> Result<Map<String, Value>> {
            if text.trim().is_empty() {
                return Ok(Map::new());
            }
            serde_json::from_str(text).map_err(|e| Error::parsing(format!("a line of _msearch cannot be read: {e}")))
        };
        let (head, body) = (read(pair[0])?, read(pair[1])?);
        let one = one_of_many(&call, head, body, look).await;
        responses.push(match one {
            Ok(mut answer) => {
                answer.status = Some(200);
                text(&answer)?
            }
            Err(e) => json!({"error": e.value(), "status": e.status}).to_string(),
        });
    }
    let took = started.elapsed().as_millis();
    Ok(Reply::raw(200, format!("{{\"took\":{took},\"responses\":[{}]}}", responses.join(","))))
}

async fn one_of_many(call: &Call, head: Map<String, Value>, body: Map<String, Value>, look: Look) -> Result<Answer> {
    let started = Instant::now();
    let mut expression = call.part("index").or(call.query.text("index")).unwrap_or("_all").to_string();
    let mut choice = choice(&call.query)?;
    for (key, value) in &head {
        match key.as_str() {
            "index" | "indices" => match value {
                Value::String(s) if s.is_empty() => {}
                Value::String(s) => expression.clone_from(s),
                Value::Array(list) => {
                    let names: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
                    if !names.is_empty() {
                        expression = names.join(",");
                    }
                }
                Value::Null => {}
                _ => return Err(Error::illegal_argument("[index] of an _msearch must be a text or a list")),
            },
            "ignore_unavailable" | "ignoreUnavailable" => {
                choice.ignore_unavailable = query::dsl::boolean("msearch", key, value)?
            }
            "allow_no_indices" | "allowNoIndices" => {
                choice.allow_no_indices = query::dsl::boolean("msearch", key, value)?
            }
            // Nothing of these changes what is found here.
            "expand_wildcards"
            | "preference"
            | "routing"
            | "search_type"
            | "request_cache"
            | "type"
            | "types"
            | "allow_partial_search_results"
            | "ccs_minimize_roundtrips"
            | "ignore_throttled"
            | "max_concurrent_shard_requests" => {}
            _ => return Err(Error::illegal_argument(format!("key [{key}] is not supported in the metadata section"))),
        }
    }
    let request = request(&Query(only_source(&call.query)), Some(&Value::Object(body)), look)?;
    blocking(&call.context, move |context| {
        let view = match &request.pit {
            Some(pit) => context.search.get(&pit.id, pit.keep_alive)?.view,
            None => Arc::new(context.store.search_view(&expression, choice)?),
        };
        answer(context, &view, request, look, None, started)
    })
    .await
}

/// Of the parameters of `_msearch` those that concern each search.
fn only_source(query: &Query) -> Vec<(String, String)> {
    query.0.iter().filter(|(n, _)| n.starts_with("_source")).cloned().collect()
}
