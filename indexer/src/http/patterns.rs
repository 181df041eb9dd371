//! `/api/patterns`: messages that are alike, with counts, trend, first time, and which of them are new since yesterday.
//!
//! Patterns are made of the newest messages in the time asked for. A pattern is new when no line from before the last
//! day of that time has its words: that is looked up in the index, and so also true of lines that are in no sample.

use serde_json::{Value, json};

use super::api::{Asked, LENIENT, asked};
use super::search::blocking;
use super::{Call, Endpoint, Reply};
use crate::error::Result;
use crate::query::ast::{Kind, Range, Text};
use crate::query::{Query, Refusal};
use crate::search::budget::Budget;
use crate::search::fetch::{self, Wanted};
use crate::search::patterns::{Miner, Template};
use crate::search::request::{Request, Track};
use crate::search::run;
use crate::search::sort::{By, FieldKey, Key, Missing, Sorted};
use crate::store::View;
use crate::time::now;

/// This file's endpoints.
pub static ENDPOINTS: &[Endpoint] = &[Endpoint {
    methods: &["GET", "POST"],
    path: "/api/patterns",
    params: &["index", "query", "q", "lang", "size", "from", "to"],
    run: |call| Box::pin(patterns(call)),
}];

/// Newest messages that patterns are made of.
pub(crate) const SAMPLE: usize = 10_000;
/// Bars of a pattern's trend.
const TREND_BARS: usize = 24;
/// What is older than this was there yesterday, in milliseconds.
pub(crate) const DAY_MILLIS: i64 = 86_400_000;
/// Patterns that are looked up in what is older; each costs one search. The others are told without a word on it.
pub(crate) const LOOKED_UP_MAX: usize = 200;

type Found<T> = std::result::Result<T, Refusal>;

async fn patterns(call: Call) -> Result<Reply> {
    let asked = asked(&call)?;
    let answer = blocking(&call.context, move |ctx| {
        let view = ctx.store.search_view(&asked.index, LENIENT)?;
        mine(&view, &asked)
    })
    .await?;
    Ok(Reply::json(&answer))
}

fn mine(view: &View, asked: &Asked) -> Found<Value> {
    let budget = Budget::new(None, None);
    let query = between(&asked.query, asked.from, asked.to);
    let request = Request { query, size: SAMPLE, sort: vec![by_time(true)], track: Track::All, ..Request::default() };
    let outcome = run::run(view, &request, false, now(), &budget)?;
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
        miner.add(number, message, time_of(&hit.values), text(&["log", "level"]), text(&["service", "name"]));
    }
    let templates = miner.finish();
    let trends = trends(&templates);
    let last = templates.iter().map(|t| t.seen.1).max().unwrap_or(0);
    let old = Old::look(view, asked, last, &budget)?;
    let mut list = Vec::new();
    for (n, t) in templates.iter().take(asked.size).enumerate() {
        let sample = std::slice::from_ref(&found[t.sample]);
        let sample = fetch::hits(view, sample, &[], false, false, &Wanted::default(), None, now())?;
        let sample = serde_json::to_value(sample.first()).map_err(|e| Refusal::internal(e.to_string()))?;
        let is_new = if n < LOOKED_UP_MAX { old.lacks(t)? } else { None };
        let since = if is_new == Some(true) { old.first(t)?.unwrap_or(t.seen.0) } else { t.seen.0 };
        list.push(row(t, &trends[n], is_new, since, Some(&sample)));
    }
    Ok(json!({"total": outcome.total, "sampled": found.len(), "new_since": old.until(), "patterns": list}))
}

/// How many messages each template has in each part of the time that all of them take.
pub(crate) fn trends(templates: &[Template]) -> Vec<[u64; TREND_BARS]> {
    let first = templates.iter().map(|t| t.seen.0).min().unwrap_or(0);
    let last = templates.iter().map(|t| t.seen.1).max().unwrap_or(0);
    let width = ((last - first) / TREND_BARS as i64 + 1).max(1);
    let trend = |t: &Template| {
        let mut trend = [0; TREND_BARS];
        for at in &t.times {
            trend[(((at - first) / width) as usize).min(TREND_BARS - 1)] += 1;
        }
        trend
    };
    templates.iter().map(trend).collect()
}

/// A template as the answer shows it; `since` is when the first message of it was logged.
pub(crate) fn row(t: &Template, trend: &[u64], is_new: Option<bool>, since: i64, sample: Option<&Value>) -> Value {
    json!({
        "template": t.text(),
        "count": t.count,
        "first_seen": since.min(t.seen.0),
        "last_seen": t.seen.1,
        "new": is_new,
        "trend": trend,
        "levels": t.levels,
        "services": t.services,
        "sample": sample,
    })
}

/// What is older than the last day of the time asked for.
struct Old<'a> {
    view: &'a View,
    /// What was asked, without its time.
    query: &'a Query,
    /// Where it ends, in milliseconds since 1970; `None` when nothing is that old, and so nothing can be called new.
    until: Option<i64>,
    budget: &'a Budget,
}

impl<'a> Old<'a> {
    fn look(view: &'a View, asked: &'a Asked, last: i64, budget: &'a Budget) -> Found<Self> {
        let until = asked.to.unwrap_or(last) - DAY_MILLIS;
        let mut old = Self { view, query: &asked.query, until: Some(until), budget };
        if !old.any(Vec::new())? {
            old.until = None;
        }
        Ok(old)
    }

    fn until(&self) -> Option<i64> {
        self.until
    }

    /// Whether no old line has the template's words in their order; `None` when that cannot be told.
    fn lacks(&self, template: &Template) -> Found<Option<bool>> {
        let phrases = phrases(template);
        if phrases.is_empty() || self.until.is_none() {
            return Ok(None);
        }
        Ok(Some(!self.any(phrases)?))
    }

    /// When the first line with the template's words was logged.
    fn first(&self, template: &Template) -> Found<Option<i64>> {
        let mut all = phrases(template);
        all.push(self.query.clone());
        let sort = vec![by_time(false)];
        let request = Request { query: Query::filter(all), size: 1, sort, track: Track::No, ..Request::default() };
        let outcome = run::run(self.view, &request, false, now(), self.budget)?;
        Ok(outcome.top.found.first().map(|hit| time_of(&hit.values)))
    }

    fn any(&self, mut all: Vec<Query>) -> Found<bool> {
        let Some(until) = self.until else { return Ok(false) };
        all.push(between(self.query, None, Some(until)));
        let query = Query::filter(all);
        let request = Request { query, size: 0, track: Track::UpTo(1), terminate_after: Some(1), ..Request::default() };
        let outcome = run::run(self.view, &request, false, now(), self.budget)?;
        Ok(outcome.total.unwrap_or(0) > 0)
    }
}

/// The fixed stretches of a template, as phrases to search for.
fn phrases(template: &Template) -> Vec<Query> {
    let phrase =
        |text: String| Query::from(Kind::Phrase { field: "message".to_owned(), text: Text::new(text.as_str()) });
    template.stretches().into_iter().map(phrase).collect()
}

fn between(query: &Query, from: Option<i64>, to: Option<i64>) -> Query {
    if from.is_none() && to.is_none() {
        return query.clone();
    }
    let end = |at: Option<i64>| at.map(|at| (Value::from(at), true));
    let format = Some("epoch_millis".to_owned());
    let range = Range { field: "@timestamp".to_owned(), from: end(from), to: end(to), format, ..Range::default() };
    Query::filter(vec![query.clone(), Kind::Range(range).into()])
}

fn by_time(descending: bool) -> Key {
    let by = FieldKey {
        name: "@timestamp".into(),
        missing: Missing::Last,
        unmapped: true,
        largest: descending,
        format: None,
    };
    Key { by: By::Field(by), descending }
}

/// The time in milliseconds that a hit was sorted by.
fn time_of(values: &[Sorted]) -> i64 {
    match values.first() {
        Some(Sorted::Date(nanos)) => nanos / 1_000_000,
        _ => 0,
    }
}
