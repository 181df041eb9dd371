//! Asks what a rule wants to know: the store, or the cluster that keeps the lines in its place.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::rule::{Rule, When};
use crate::http::Shared;
use crate::query::ast::{Kind, Range};
use crate::query::{Query, Refusal};
use crate::search::budget::Budget;
use crate::search::request::{Request, Track};
use crate::search::run;
use crate::store::{Choice, View};
use crate::time::{now, to_millis};
use crate::upstream::Upstream;

/// Most groups of one rule that are looked at: those with the most lines.
const GROUPS_MAX: usize = 200;
/// Longest time of one rule's search: what takes longer would take the machine from those who search.
const SEARCH_TIME_MAX: Duration = Duration::from_secs(10);
/// Longest part of a line in a message, in characters.
const SAMPLE_CHARS_MAX: usize = 300;
/// In so many of ten parts of the window a group must have written for its silence to mean something.
const STEADY_TENTHS: u64 = 8;
/// Windows of history without which nobody knows what is usual.
const HISTORY_WINDOWS: f64 = 6.0;

/// What an evaluation found of one group.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The group; `None` for a rule without groups.
    pub group: Option<String>,
    /// The number that was compared.
    pub value: f64,
    /// Whether it is an alert.
    pub holds: bool,
    /// What the message says.
    pub text: String,
}

/// Evaluates one rule.
///
/// # Errors
/// Why the search could not be made, as a sentence.
pub(crate) async fn measure(
    shared: &Arc<Shared>,
    rule: &Rule,
    disk_full_in: Option<Duration>,
) -> Result<Vec<Reading>, String> {
    if let When::DiskFullWithin(limit) = rule.when {
        let hours = disk_full_in.map_or(f64::MAX, |span| span.as_secs_f64() / 3600.0);
        let holds = disk_full_in.is_some_and(|span| span < limit);
        return Ok(vec![reading(rule, None, (hours * 10.0).round() / 10.0, holds, "")]);
    }
    let permit = shared.state.permit().await.map_err(|refusal| refusal.reason)?;
    let (shared, rule) = (Arc::clone(shared), rule.clone());
    let done = tokio::task::spawn_blocking(move || {
        let found = match &shared.upstream {
            Some(upstream) => read(upstream, &rule).map_err(|refusal| refusal.reason),
            None => {
                let lenient = Choice { ignore_unavailable: true, allow_no_indices: true };
                let view = shared.all.search_view(&rule.index, lenient).map_err(|error| error.reason);
                view.and_then(|view| read(&view, &rule).map_err(|refusal| refusal.reason))
            }
        };
        drop(permit);
        found
    });
    done.await.map_err(|error| error.to_string())?
}

/// One group's lines in a stretch of time.
struct Group {
    key: Option<String>,
    count: u64,
    newest: f64,
    slices: u64,
    sample: String,
}

fn read(lines: &impl Lines, rule: &Rule) -> Result<Vec<Reading>, Refusal> {
    let at = to_millis(now());
    let window = rule.window.as_millis() as i64;
    match &rule.when {
        When::Above(limit) => {
            let groups = count(lines, rule, at - window, None, None)?;
            Ok(groups.iter().map(|g| of(rule, g, g.count as f64, g.count > *limit)).collect())
        }
        When::Below(limit) => {
            let groups = count(lines, rule, at - window, None, None)?;
            Ok(groups.iter().map(|g| of(rule, g, g.count as f64, g.count < *limit)).collect())
        }
        When::Absent(absent) => {
            let absent = absent.as_millis() as i64;
            let groups = count(lines, rule, at - window - absent, None, Some(absent))?;
            let slices = (window / absent).max(1) as u64;
            let silent = |g: &Group| (at as f64 - g.newest) >= absent as f64;
            let steady = |g: &Group| g.slices * 10 >= slices * STEADY_TENTHS;
            Ok(groups
                .iter()
                // Who wrote now and then says nothing by not writing; who is silent already is not judged again.
                .filter(|g| !silent(g) || steady(g))
                .map(|g| of(rule, g, ((at as f64 - g.newest) / 1000.0).round(), silent(g)))
                .collect())
        }
        When::TimesUsual { times, usual, at_least } => {
            let usual_ms = usual.as_millis() as i64;
            let before = count(lines, rule, at - window - usual_ms, Some(at - window), None)?;
            let Some(oldest) = oldest(lines, rule, at - window - usual_ms)? else { return Ok(Vec::new()) };
            let windows = ((at - window) as f64 - oldest) / window as f64;
            if windows < HISTORY_WINDOWS {
                return Ok(Vec::new());
            }
            let groups = count(lines, rule, at - window, None, None)?;
            Ok(groups
                .iter()
                .map(|g| {
                    let usually = before.iter().find(|b| b.key == g.key).map_or(0.0, |b| b.count as f64 / windows);
                    let holds = g.count >= *at_least && g.count as f64 >= times * usually;
                    of(rule, g, g.count as f64, holds)
                })
                .collect())
        }
        When::DiskFullWithin(_) => Ok(Vec::new()),
    }
}

fn of(rule: &Rule, group: &Group, value: f64, holds: bool) -> Reading {
    reading(rule, group.key.clone(), value, holds, &group.sample)
}

fn reading(rule: &Rule, group: Option<String>, value: f64, holds: bool, sample: &str) -> Reading {
    let sample: String = sample.chars().take(SAMPLE_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let text = fill(&rule.text, group.as_deref().unwrap_or(""), &value.to_string(), &sample);
    Reading { group, value, holds, text }
}

/// Fills in a text, once from left to right: what is filled in may hold braces of its own.
fn fill(text: &str, group: &str, value: &str, sample: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len() + sample.len()), text);
    while let Some(at) = rest.find('{') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let known = [("{group}", group), ("{value}", value), ("{sample}", sample)];
        match known.iter().find(|(name, _)| rest.starts_with(name)) {
            Some((name, with)) => {
                out.push_str(with);
                rest = &rest[name.len()..];
            }
            None => {
                out.push('{');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out.trim().to_owned()
}

/// Which lines a rule is to be told of.
struct Asked<'a> {
    rule: &'a Rule,
    /// All lines of its index instead of those that its query finds.
    any: bool,
    /// The time, in milliseconds since 1970; the end is not in it.
    from: i64,
    to: Option<i64>,
}

/// Where the lines are.
trait Lines {
    /// How many lines there are (`total`), and aggregations over them (`aggs`, which may be missing when there are none).
    fn search(&self, asked: &Asked<'_>, aggs: &Value) -> Result<Value, Refusal>;
}

fn too_long() -> Refusal {
    Refusal::argument(format!("it takes longer than {} s", SEARCH_TIME_MAX.as_secs()))
}

impl Lines for View {
    fn search(&self, asked: &Asked<'_>, aggs: &Value) -> Result<Value, Refusal> {
        if self.parts.iter().all(|part| part.searcher.num_docs() == 0) {
            return Ok(json!({"total": 0}));
        }
        let range = Range {
            field: "@timestamp".into(),
            from: Some((asked.from.into(), true)),
            // A clock that runs ahead must not hide what it stamps.
            to: asked.to.map(|to| (to.into(), false)),
            format: Some("epoch_millis".into()),
            ..Range::default()
        };
        let query = if asked.any { Query::all() } else { asked.rule.query.clone() };
        let query = Query::filter(vec![query, Kind::Range(range).into()]);
        let aggs = crate::aggs::parse::parse(aggs)?;
        let request = Request { query, size: 0, track: Track::All, aggs, ..Request::default() };
        let budget = Budget::new(Some(SEARCH_TIME_MAX), None);
        let outcome = run::run(self, &request, false, now(), &budget)?;
        if outcome.timed_out {
            return Err(too_long());
        }
        Ok(json!({"total": outcome.total.unwrap_or(0), "aggs": outcome.aggs.unwrap_or_default()}))
    }
}

impl Lines for Arc<Upstream> {
    fn search(&self, asked: &Asked<'_>, aggs: &Value) -> Result<Value, Refusal> {
        let mut range = json!({"gte": asked.from, "format": "epoch_millis"});
        if let Some(to) = asked.to {
            range["lt"] = to.into();
        }
        let query = if asked.any { json!({"match_all": {}}) } else { asked.rule.json.clone() };
        let body = json!({
            "query": {"bool": {"filter": [query, {"range": {"@timestamp": range}}]}},
            "size": 0, "track_total_hits": true, "aggs": aggs,
            "timeout": format!("{}s", SEARCH_TIME_MAX.as_secs()),
        });
        // Rules are evaluated on a thread that may wait.
        let found = tokio::runtime::Handle::current().block_on(self.find(&asked.rule.index, body));
        let found = found.map_err(|error| Refusal::argument(error.reason))?;
        if found["timed_out"] == true {
            return Err(too_long());
        }
        Ok(json!({"total": found["hits"]["total"]["value"], "aggs": found["aggregations"]}))
    }
}

/// Lines by group. Without groups there is one, with or without lines.
fn count(
    lines: &impl Lines,
    rule: &Rule,
    from: i64,
    to: Option<i64>,
    slice: Option<i64>,
) -> Result<Vec<Group>, Refusal> {
    let mut inside = json!({
        "newest": {"max": {"field": "@timestamp"}},
        "sample": {"top_hits": {"size": 1, "sort": [{"@timestamp": "desc"}], "_source": ["message", "error.message"]}},
    });
    if let Some(slice) = slice {
        inside["slices"] = json!({"date_histogram": {
            "field": "@timestamp", "fixed_interval": format!("{slice}ms"), "min_doc_count": 1}});
    }
    let asked = Asked { rule, any: false, from, to };
    let Some(field) = &rule.group_by else {
        let found = lines.search(&asked, &inside)?;
        return Ok(vec![group(None, found["total"].as_u64().unwrap_or(0), &found["aggs"])]);
    };
    let aggs = json!({"groups": {"terms": {"field": field, "size": GROUPS_MAX}, "aggs": inside}});
    let found = lines.search(&asked, &aggs)?;
    let buckets = found["aggs"]["groups"]["buckets"].as_array().map_or(&[][..], Vec::as_slice);
    let key = |bucket: &Value| match &bucket["key"] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let one = |bucket| group(Some(key(bucket)), bucket["doc_count"].as_u64().unwrap_or(0), bucket);
    Ok(buckets.iter().map(one).collect())
}

fn group(key: Option<String>, count: u64, aggs: &Value) -> Group {
    let source = &aggs["sample"]["hits"]["hits"][0]["_source"];
    let message = source["message"].as_str().or(source["error"]["message"].as_str()).unwrap_or("");
    Group {
        key,
        count,
        newest: aggs["newest"]["value"].as_f64().unwrap_or(0.0),
        slices: aggs["slices"]["buckets"].as_array().map_or(0, |slices| slices.len() as u64),
        sample: message.to_owned(),
    }
}

/// The time of the oldest line at all since then: how long there has been anybody to be usual.
fn oldest(lines: &impl Lines, rule: &Rule, from: i64) -> Result<Option<f64>, Refusal> {
    let asked = Asked { rule, any: true, from, to: None };
    let found = lines.search(&asked, &json!({"oldest": {"min": {"field": "@timestamp"}}}))?;
    Ok(found["aggs"]["oldest"]["value"].as_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_filled_in_once() {
        assert_eq!(
            fill("{group}: {value} {sample} {other}", "a{value}", "3", "{group}"),
            "a{value}: 3 {group} {other}"
        );
    }
}
