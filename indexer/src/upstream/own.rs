//! weir's own endpoints over a cluster's `_search`: live tail, the lines around one, values of a field, patterns, status.
//!
//! A cluster knows neither the order of arrival nor positions in a log: a tail goes by `@timestamp`, and looks back for
//! lines that come late; the lines around one are those of its container by `@timestamp` and `log.offset`.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use serde_json::{Map, Value, json};

use super::reach::Scope;
use super::{Upstream, body};
use crate::error::{Error, Result};
use crate::http::patterns::{DAY_MILLIS, LOOKED_UP_MAX, SAMPLE, row, trends};
use crate::http::tail::{Events, Source, events};
use crate::http::{Asked, Call, Reply, around_of, asked};
use crate::search::patterns::{Miner, Template};

/// How often a tail looks for new lines: a cluster shows them after its own refresh, a second by default.
const TAIL_EVERY: Duration = Duration::from_secs(1);
/// Lines of one look.
const TAIL_BATCH: usize = 500;
/// How far back a tail looks for lines that came late: by the time that shipper, aggregator and refresh take.
const TAIL_BACK_MILLIS: i64 = 15_000;

/// A search of a reader, within what they may see.
struct Search<'a> {
    upstream: &'a Upstream,
    scope: Scope,
    index: String,
}

impl<'a> Search<'a> {
    fn new(upstream: &'a Upstream, call: &Call, index: &str) -> Result<Self> {
        let scope = Scope::of(call.context.principal.as_ref());
        let index = scope.indices(index)?;
        Ok(Self { upstream, scope, index })
    }

    async fn run(&self, body: Value) -> Result<Value> {
        let body = self.scope.body(self.upstream, &self.index, body).await?;
        self.upstream.search(&self.index, &body).await
    }
}

/// The hits of an answer.
fn hits(answer: &Value) -> &[Value] {
    answer["hits"]["hits"].as_array().map_or(&[], Vec::as_slice)
}

/// All of these.
fn all_of(queries: Vec<Value>) -> Value {
    json!({"bool": {"filter": queries}})
}

/// A stretch of time in milliseconds since 1970, both ends included.
fn between(from: Option<i64>, to: Option<i64>) -> Value {
    let ends = [("gte", from), ("lte", to)].into_iter().filter_map(|(end, at)| Some((end.to_owned(), at?.into())));
    let mut range = Map::from_iter(ends);
    range.insert("format".to_owned(), "epoch_millis".into());
    json!({"range": {"@timestamp": range}})
}

/// The time that a hit was sorted by, in milliseconds.
fn time_of(hit: &Value) -> i64 {
    let value = &hit["sort"][0];
    let number = value.as_i64().or_else(|| value.as_f64().map(|at| at as i64)).unwrap_or(0);
    // A field of nanoseconds is sorted by these.
    if number > 100_000_000_000_000 { number / 1_000_000 } else { number }
}

/// `GET /api/fields/{name}/values`.
pub(super) async fn values(upstream: &Upstream, call: &Call) -> Result<Reply> {
    let Asked { index, json: query, size, .. } = asked(call)?;
    let field = call.part("name").unwrap_or("").to_owned();
    let mut ask = body(query, 0);
    ask["track_total_hits"] = true.into();
    ask["aggs"] = json!({"values": {"terms": {"field": field, "size": size}}});
    let _permit = call.context.search.permit().await?;
    let answer = Search::new(upstream, call, &index)?.run(ask).await?;
    let found = &answer["aggregations"]["values"];
    let one = |b: &Value| json!({"value": b.get("key_as_string").unwrap_or(&b["key"]), "count": b["doc_count"]});
    let list: Vec<Value> = found["buckets"].as_array().into_iter().flatten().map(one).collect();
    let (total, other) = (&answer["hits"]["total"]["value"], &found["sum_other_doc_count"]);
    Ok(Reply::json(&json!({"field": field, "total": total, "other": other, "values": list})))
}

/// `GET /api/context/{id}`.
pub(super) async fn around(upstream: &Upstream, call: &Call) -> Result<Reply> {
    let (id, index, before, after) = around_of(call)?;
    let within = call.query.text("within").unwrap_or("container.id");
    let _permit = call.context.search.permit().await?;
    let search = Search::new(upstream, call, &index)?;
    let sorted = |query: Value, size: usize, order: &str| {
        let mut ask = body(query, size);
        // A line without an offset stands before those of its time that have one, in both directions.
        let offset = json!({"order": order, "unmapped_type": "long", "missing": 0});
        ask["sort"] = json!([{"@timestamp": {"order": order, "unmapped_type": "date"}}, {"log.offset": offset}]);
        ask["track_total_hits"] = false.into();
        ask
    };
    let found = search.run(sorted(json!({"ids": {"values": [id]}}), 1, "asc")).await?;
    let Some(line) = hits(&found).first().cloned() else {
        let reason = format!("there is no document with the id [{id}]");
        return Err(Error::new(404, "resource_not_found_exception", reason));
    };
    let mut filter = vec![json!({"bool": {"must_not": {"ids": {"values": [id]}}}})];
    let mut shared = None;
    crate::search::source::leaves(&line["_source"], &mut String::new(), &mut |path, leaf| {
        if shared.is_none() && path == within {
            shared = Some(leaf.clone());
        }
    });
    filter.extend(shared.map(|value| json!({"term": {within: {"value": value}}})));
    // The line's own index, as the ones around it are looked for in one index where the lines are ours too.
    let home = line["_index"].as_str().unwrap_or(&search.index).to_owned();
    let search = Search { index: home, ..search };
    let mut sides = Vec::new();
    for (size, order) in [(before, "desc"), (after, "asc")] {
        let mut ask = sorted(all_of(filter.clone()), size, order);
        ask["search_after"] = line["sort"].clone();
        let mut side = if size == 0 { Vec::new() } else { hits(&search.run(ask).await?).to_vec() };
        if order == "desc" {
            side.reverse();
        }
        sides.push(side.into_iter().map(unsorted).collect::<Value>());
    }
    let after = sides.pop();
    Ok(Reply::json(&json!({"before": sides.pop(), "hit": unsorted(line), "after": after})))
}

/// A hit without what only the search for it needed.
fn unsorted(mut hit: Value) -> Value {
    if let Some(hit) = hit.as_object_mut() {
        hit.remove("sort");
    }
    hit
}

/// `GET /api/tail`.
pub(super) async fn tail(upstream: Arc<Upstream>, call: Call) -> Result<Reply> {
    let Asked { index, json: query, .. } = asked(&call)?;
    let scope = Scope::of(call.context.principal.as_ref());
    let index = scope.indices(&index)?;
    let context = Arc::clone(&call.context);
    let mut tail = Tail { upstream, scope, index, query, told: VecDeque::new(), others: VecDeque::new(), newest: 0 };
    // What is there already is not new. A query that cannot be answered is refused here.
    tail.begin().await?;
    Ok(events(context, TAIL_EVERY, tail))
}

/// How far a tail has come.
struct Tail {
    upstream: Arc<Upstream>,
    scope: Scope,
    index: String,
    query: Value,
    /// Lines that are told, with their times, the oldest first, as far back as a look goes.
    told: VecDeque<(i64, String)>,
    /// Lines that were not told, or are no longer remembered: at which time, and how many.
    others: VecDeque<(i64, u64)>,
    /// The time of the newest line so far.
    newest: i64,
}

impl Tail {
    /// Asks for the newest lines since `from`, and how many there are.
    async fn newest(&self, from: Option<i64>, size: usize) -> Result<(Vec<Value>, u64)> {
        let mut ask = body(all_of(vec![self.query.clone(), between(from, None)]), size);
        ask["sort"] = json!([{"@timestamp": {"order": "desc", "unmapped_type": "date"}}]);
        ask["track_total_hits"] = true.into();
        let ask = self.scope.body(&self.upstream, &self.index, ask).await?;
        let answer = self.upstream.search(&self.index, &ask).await?;
        Ok((hits(&answer).to_vec(), answer["hits"]["total"]["value"].as_u64().unwrap_or(0)))
    }

    /// Begins where the newest line is.
    async fn begin(&mut self) -> Result<()> {
        let (page, _) = self.newest(None, 1).await?;
        self.newest = page.first().map_or_else(|| crate::time::to_millis(crate::time::now()), time_of);
        self.look().await.map(drop)
    }

    /// Looks once; gives lines that are new, the oldest first, and how many more there are.
    async fn look(&mut self) -> Result<(Vec<Value>, u64)> {
        let from = self.newest - TAIL_BACK_MILLIS;
        let (page, total) = self.newest(Some(from), TAIL_BATCH).await?;
        while self.told.front().is_some_and(|(at, _)| *at < from) {
            self.told.pop_front();
        }
        while self.others.front().is_some_and(|(at, _)| *at < from) {
            self.others.pop_front();
        }
        let mut new = Vec::new();
        for hit in page.into_iter().rev() {
            let (at, id) = (time_of(&hit), format!("{}/{}", hit["_index"], hit["_id"]));
            if !self.told.iter().any(|(_, told)| *told == id) {
                self.newest = self.newest.max(at);
                self.told.push_back((at, id));
                new.push(unsorted(hit));
            }
        }
        self.told.make_contiguous().sort_unstable_by_key(|(at, _)| *at);
        let known = self.told.len() as u64 + self.others.iter().map(|(_, others)| others).sum::<u64>();
        let missed = total.saturating_sub(known);
        // Only the newest can be found again.
        let forgotten = self.told.len().saturating_sub(2 * TAIL_BATCH);
        self.told.drain(..forgotten);
        let others = missed + forgotten as u64;
        if others > 0 {
            self.others.push_back((self.newest, others));
        }
        Ok((new, missed))
    }
}

impl Source for Tail {
    async fn next(&mut self, context: &Arc<crate::http::Context>) -> Result<Events> {
        let _permit = context.search.permit().await?;
        let (lines, missed) = self.look().await?;
        let mut events = Events::default();
        events.missed(missed);
        lines.iter().for_each(|line| events.line(&line.to_string()));
        Ok(events)
    }
}

/// `/api/patterns`.
pub(super) async fn patterns(upstream: &Upstream, call: &Call) -> Result<Reply> {
    let asked = asked(call)?;
    let _permit = call.context.search.permit().await?;
    let search = Search::new(upstream, call, &asked.index)?;
    let mut ask = body(all_of(vec![asked.json.clone(), between(asked.from, asked.to)]), SAMPLE);
    ask["sort"] = json!([{"@timestamp": {"order": "desc", "unmapped_type": "date"}}]);
    ask["track_total_hits"] = true.into();
    // One of each pattern is fetched whole afterwards.
    ask["_source"] = json!(["message", "log.level", "service.name"]);
    let answer = search.run(ask).await?;
    let sampled = hits(&answer);
    let mut miner = Miner::default();
    for (number, hit) in sampled.iter().enumerate() {
        let source = &hit["_source"];
        let text = |name: &str, path: &[&str]| {
            let nested = path.iter().try_fold(source, |value, key| value.get(key));
            nested.or_else(|| source.get(name)).and_then(Value::as_str)
        };
        let Some(message) = text("message", &["message"]) else { continue };
        let (level, service) = (text("log.level", &["log", "level"]), text("service.name", &["service", "name"]));
        miner.add(number, message, time_of(hit), level, service);
    }
    let templates = miner.finish();
    let trends = trends(&templates);
    let templates = &templates[..templates.len().min(asked.size)];
    let last = templates.iter().map(|template| template.seen.1).max().unwrap_or(0);
    let until = asked.to.unwrap_or(last) - DAY_MILLIS;
    let old = Old { search: &search, query: &asked.json, until };
    let is_any = old.any().await?;
    let known = if is_any { old.count(templates).await? } else { HashMap::new() };
    let samples = samples(&search, templates, sampled).await?;
    let mut list = Vec::new();
    for (number, template) in templates.iter().enumerate() {
        let found = known.get(&number);
        let is_new = found.map(|(count, _)| *count == 0);
        let since = found.filter(|(count, _)| *count == 0).and_then(|(_, first)| *first);
        let sample = samples.get(&template.sample);
        list.push(row(template, &trends[number], is_new, since.unwrap_or(template.seen.0), sample));
    }
    let (total, new_since) = (&answer["hits"]["total"]["value"], is_any.then_some(until));
    Ok(Reply::json(&json!({"total": total, "sampled": sampled.len(), "new_since": new_since, "patterns": list})))
}

/// The whole documents that patterns are shown by, by the number of the hit.
async fn samples(search: &Search<'_>, templates: &[Template], sampled: &[Value]) -> Result<HashMap<usize, Value>> {
    let ids: Vec<&Value> = templates.iter().map(|template| &sampled[template.sample]["_id"]).collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let found = search.run(body(json!({"ids": {"values": ids}}), ids.len())).await?;
    let same = |a: &Value, b: &Value| a["_id"] == b["_id"] && a["_index"] == b["_index"];
    let whole = |n: usize| hits(&found).iter().find(|hit| same(hit, &sampled[n])).cloned();
    Ok(templates.iter().filter_map(|template| Some((template.sample, unsorted(whole(template.sample)?)))).collect())
}

/// What is older than the last day of the time asked for.
struct Old<'a> {
    search: &'a Search<'a>,
    query: &'a Value,
    /// Where it ends, in milliseconds since 1970.
    until: i64,
}

impl Old<'_> {
    /// Whether there is anything that old, so that something can be called new.
    async fn any(&self) -> Result<bool> {
        let mut ask = body(all_of(vec![self.query.clone(), between(None, Some(self.until))]), 0);
        ask["track_total_hits"] = 1.into();
        ask["terminate_after"] = 1.into();
        let answer = self.search.run(ask).await?;
        Ok(answer["hits"]["total"]["value"].as_u64().unwrap_or(0) > 0)
    }

    /// How many old lines have a template's words, and when the first line at all with them was logged.
    async fn count(&self, templates: &[Template]) -> Result<HashMap<usize, (u64, Option<i64>)>> {
        let mut aggs = Map::new();
        for (number, template) in templates.iter().enumerate().take(LOOKED_UP_MAX) {
            let phrases = template.stretches();
            if !phrases.is_empty() {
                let phrases = phrases.iter().map(|phrase| json!({"match_phrase": {"message": phrase}})).collect();
                let inside = json!({
                    "old": {"filter": between(None, Some(self.until))},
                    "first": {"min": {"field": "@timestamp"}},
                });
                aggs.insert(format!("p{number}"), json!({"filter": all_of(phrases), "aggs": inside}));
            }
        }
        if aggs.is_empty() {
            return Ok(HashMap::new());
        }
        let mut ask = body(self.query.clone(), 0);
        ask["aggs"] = aggs.into();
        let answer = self.search.run(ask).await?;
        let one = |(name, found): (&String, &Value)| {
            let first = found["first"]["value"].as_f64().map(|at| at as i64);
            Some((name.strip_prefix('p')?.parse().ok()?, (found["old"]["doc_count"].as_u64()?, first)))
        };
        Ok(answer["aggregations"].as_object().into_iter().flatten().filter_map(one).collect())
    }
}

/// `GET /api/status`: what the cluster says of its indices; a budget and a free disk are its own affair.
pub(super) async fn status(upstream: &Upstream, call: &Call) -> Result<Reply> {
    let scope = Scope::of(call.context.principal.as_ref());
    let path = format!("/_cat/indices/{}?format=json&bytes=b", super::pass::encode(&scope.indices("")?));
    let _permit = call.context.search.permit().await?;
    let rows = upstream.json(Method::GET, &path, bytes::Bytes::new()).await?;
    let number = |row: &Value, name: &str| row[name].as_str().and_then(|text| text.parse().ok()).unwrap_or(0_u64);
    let indices: Vec<Value> = rows
        .as_array()
        .into_iter()
        .flatten()
        .map(|row| {
            let (documents, bytes) = (number(row, "docs.count"), number(row, "store.size"));
            json!({"name": row["index"], "documents": documents, "bytes": bytes})
        })
        .collect();
    let used: u64 = indices.iter().filter_map(|index| index["bytes"].as_u64()).sum();
    let mut answer = crate::http::own_status(&call.context);
    answer["retention_days"] = Value::Null;
    answer["disk"] = json!({"used": used, "budget": null, "free": null, "total": null});
    answer["indices"] = indices.into();
    Ok(Reply::json(&answer))
}
