//! The body of `_search` with its URI parameters: read, checked, complete.

use std::time::Duration;

use serde_json::{Map, Value};

use super::fetch::Wanted;
use super::sort::{self, Key};
use super::source::SourceFilter;
use crate::aggs::ast::Agg;
use crate::mapping::Limits;
use crate::query::{Query, Refusal, dsl};
use crate::time::span;

/// Hits are counted to here unless the request says otherwise.
pub const TRACK_DEFAULT: u64 = 10_000;

/// How far hits are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Track {
    /// Not at all.
    No,
    /// Up to here.
    UpTo(u64),
    /// All.
    All,
}

/// Half of a sliced scroll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Which slice.
    pub id: u32,
    /// Of how many.
    pub max: u32,
}

/// A point in time to search.
#[derive(Clone, Debug, PartialEq)]
pub struct Pit {
    /// Its id.
    pub id: String,
    /// How long it is to be kept from now on.
    pub keep_alive: Option<Duration>,
}

/// A search.
#[derive(Clone, Debug)]
pub struct Request {
    /// What hits must match.
    pub query: Query,
    /// What hits must match beside, after aggregations.
    pub post_filter: Option<Query>,
    /// First hit.
    pub from: usize,
    /// Number of hits.
    pub size: usize,
    /// Their order; empty: by score.
    pub sort: Vec<Key>,
    /// Only hits beyond.
    pub after: Option<Vec<Value>>,
    /// How far to count.
    pub track: Track,
    /// Whether scores are made though nobody sorts by them.
    pub track_scores: bool,
    /// Least score.
    pub min_score: Option<f32>,
    /// Aggregations.
    pub aggs: Vec<Agg>,
    /// What of hits is wanted.
    pub wanted: Wanted,
    /// Time.
    pub timeout: Option<Duration>,
    /// Documents to look at, at most.
    pub terminate_after: Option<u64>,
    /// Point in time.
    pub pit: Option<Pit>,
    /// Slice of a scroll.
    pub slice: Option<Slice>,
    /// Factors on the scores of indices, by name or pattern; the first that fits counts.
    pub index_boosts: Vec<(String, f32)>,
}

impl Default for Request {
    fn default() -> Self {
        Request {
            query: Query::all(),
            post_filter: None,
            from: 0,
            size: 10,
            sort: Vec::new(),
            after: None,
            track: Track::UpTo(TRACK_DEFAULT),
            track_scores: false,
            min_score: None,
            aggs: Vec::new(),
            wanted: Wanted::default(),
            timeout: None,
            terminate_after: None,
            pit: None,
            slice: None,
            index_boosts: Vec::new(),
        }
    }
}

const OWN: [&str; 19] = [
    "query",
    "post_filter",
    "from",
    "size",
    "sort",
    "search_after",
    "track_total_hits",
    "min_score",
    "aggs",
    "aggregations",
    "timeout",
    "terminate_after",
    "pit",
    "slice",
    "stats",
    "fields",
    "filter",
    "batched_reduce_size",
    "indices_boost",
];

fn count(key: &str, value: &Value) -> Result<usize, Refusal> {
    let n = dsl::integer("search", key, value)?;
    usize::try_from(n).map_err(|_| Refusal::argument(format!("[{key}] parameter cannot be negative, found [{n}]")))
}

fn time(key: &str, value: &Value) -> Result<Option<Duration>, Refusal> {
    let text = dsl::string("search", key, value)?;
    if text == "-1" {
        return Ok(None);
    }
    span::duration(&text).map(Some).ok_or_else(|| {
        Refusal::argument(format!(
            "failed to parse setting [{key}] with value [{text}] as a time value: unit is missing or unrecognized"
        ))
    })
}

fn track(value: &Value) -> Result<Track, Refusal> {
    match value {
        Value::Bool(true) => Ok(Track::All),
        Value::Bool(false) => Ok(Track::No),
        Value::String(s) if s == "true" => Ok(Track::All),
        Value::String(s) if s == "false" => Ok(Track::No),
        other => match dsl::integer("search", "track_total_hits", other)? {
            -1 => Ok(Track::No),
            n @ 0.. => Ok(Track::UpTo(n as u64)),
            n => Err(Refusal::argument(format!(
                "[track_total_hits] parameter must be positive or equals to -1, got {n}"
            ))),
        },
    }
}

impl Request {
    /// Reads a body.
    pub fn parse(body: Option<&Value>) -> Result<Request, Refusal> {
        let mut r = Request::default();
        let Some(body) = body else { return Ok(r) };
        let Some(map) = body.as_object() else {
            return Err(Refusal::parsing(format!("Expected [START_OBJECT] but found [{}]", super::fetch::token(body))));
        };
        for (key, value) in map {
            match key.as_str() {
                "query" if value.is_null() => {}
                "query" => r.query = dsl::parse(value)?,
                "post_filter" | "filter" => r.post_filter = Some(dsl::parse(value)?),
                "from" => r.from = count(key, value)?,
                "size" => r.size = count(key, value)?,
                "sort" => r.sort = sort::parse(value)?,
                "search_after" => {
                    let list = value.as_array().ok_or_else(|| Refusal::parsing("[search_after] must be a list"))?;
                    if list.is_empty() {
                        return Err(Refusal::argument("Values must contains at least one value."));
                    }
                    r.after = Some(list.clone());
                }
                "track_total_hits" => r.track = track(value)?,
                "track_scores" => r.track_scores = dsl::boolean("search", key, value)?,
                "min_score" => r.min_score = Some(dsl::number("search", key, value)? as f32),
                "aggs" | "aggregations" => r.aggs = crate::aggs::parse::parse(value)?,
                "timeout" => r.timeout = time(key, value)?,
                "terminate_after" => r.terminate_after = Some(count(key, value)? as u64).filter(|n| *n > 0),
                "pit" => r.pit = Some(pit(value)?),
                "slice" => r.slice = Some(slice(value)?),
                "indices_boost" => r.index_boosts = boosts(value)?,
                _ => {}
            }
        }
        r.wanted = Wanted::parse(map, "search", &OWN)?;
        Ok(r)
    }

    /// Takes a parameter of the URI; says whether it was one of a search. Those of `q=` are read together.
    pub fn parameter(&mut self, key: &str, text: &str) -> Result<bool, Refusal> {
        let value = || Value::String(text.to_string());
        match key {
            "from" => self.from = count(key, &value())?,
            "size" => self.size = count(key, &value())?,
            "sort" => self.sort = sort::parse_uri(text)?,
            "track_total_hits" => self.track = track(&value())?,
            "track_scores" => self.track_scores = dsl::boolean("search", key, &value())?,
            "timeout" => self.timeout = time(key, &value())?,
            "terminate_after" => self.terminate_after = Some(count(key, &value())? as u64).filter(|n| *n > 0),
            "version" => self.wanted.version = dsl::boolean("search", key, &value())?,
            "seq_no_primary_term" => self.wanted.seq_no = dsl::boolean("search", key, &value())?,
            "_source" => match text {
                "true" => self.wanted.source.none = false,
                "false" => self.wanted.source.none = true,
                list => self.wanted.source = SourceFilter { includes: names(list), ..SourceFilter::default() },
            },
            "_source_includes" | "_source_include" => {
                self.wanted.source.includes = names(text);
                self.wanted.source.none = false;
            }
            "_source_excludes" | "_source_exclude" => {
                self.wanted.source.excludes = names(text);
                self.wanted.source.none = false;
            }
            "stored_fields" | "docvalue_fields" => {
                let mut map = Map::new();
                map.insert(key.into(), names(text).into());
                let read = Wanted::parse(&map, "search", &[])?;
                self.wanted.columns.extend(read.columns);
                self.wanted.bare |= read.bare;
                self.wanted.source.none |= read.source.none;
            }
            "explain" => self.wanted.explain = dsl::boolean("search", key, &value())?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Checks what only makes sense together.
    pub fn check(&self, scroll: bool) -> Result<(), Refusal> {
        if scroll {
            if self.size == 0 {
                return Err(Refusal::validation("[size] cannot be [0] in a scroll context"));
            }
            if self.from > 0 {
                return Err(Refusal::validation("using [from] is not allowed in a scroll context"));
            }
            if self.after.is_some() {
                return Err(Refusal::validation("`search_after` cannot be used in a scroll context."));
            }
            if self.track == Track::No {
                return Err(Refusal::validation("disabling [track_total_hits] is not allowed in a scroll context"));
            }
        }
        if self.after.is_some() && self.from > 0 {
            return Err(Refusal::validation("`from` parameter must be set to 0 when `search_after` is used"));
        }
        if self.slice.is_some() && !scroll && self.pit.is_none() {
            return Err(Refusal::validation("[slice] can only be used with [scroll] or [point-in-time] requests"));
        }
        Ok(())
    }
}

impl Request {
    /// Checks what the settings of an index limit.
    pub fn check_limits(&self, limits: &Limits, scroll: bool) -> Result<(), Refusal> {
        let most = limits.result_window;
        if scroll && self.size > most {
            return Err(Refusal::shard_argument(format!(
                "Batch size is too large, size must be less than or equal to: [{most}] but was [{}]. Scroll batch sizes cost as \
                 much memory as result windows so they are controlled by the [index.max_result_window] index level setting.",
                self.size
            )));
        }
        let reached = self.from.saturating_add(self.size);
        if reached > most {
            return Err(Refusal::shard_argument(format!(
                "Result window is too large, from + size must be less than or equal to: [{most}] but was [{reached}]. See the scroll \
                 api for a more efficient way to request large data sets. This limit can be set by changing the \
                 [index.max_result_window] index level setting."
            )));
        }
        let (columns, most) = (self.wanted.columns.len(), limits.docvalue_fields);
        if columns > most {
            return Err(Refusal::shard_argument(format!(
                "Trying to retrieve too many docvalue_fields. Must be less than or equal to: [{most}] but was [{columns}]. \
                 This limit can be set by changing the [index.max_docvalue_fields_search] index level setting."
            )));
        }
        match self.slice {
            Some(slice) if slice.max as usize > limits.slices => {
                let mut refusal = Refusal::shard_argument(format!(
                    "The number of slices [{}] is too large. It must be less than [{}]. This limit can be set by changing the \
                     [index.max_slices_per_scroll] index level setting.",
                    slice.max, limits.slices
                ));
                refusal.kind = "query_phase_execution_exception";
                Err(refusal)
            }
            _ => Ok(()),
        }
    }
}

fn names(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|s| !s.is_empty()).map(str::to_string).collect()
}

fn boosts(value: &Value) -> Result<Vec<(String, f32)>, Refusal> {
    let maps: Vec<&Map<String, Value>> = match value {
        Value::Object(map) => vec![map],
        Value::Array(list) => list.iter().filter_map(Value::as_object).collect(),
        _ => return Err(Refusal::parsing("[indices_boost] must be an object or a list")),
    };
    let mut found = Vec::new();
    for (name, boost) in maps.into_iter().flatten() {
        found.push((name.clone(), dsl::number("search", "indices_boost", boost)? as f32));
    }
    Ok(found)
}

fn pit(value: &Value) -> Result<Pit, Refusal> {
    let map = value.as_object().ok_or_else(|| Refusal::parsing("[pit] must be an object"))?;
    let (mut id, mut keep_alive) = (None, None);
    for (key, value) in map {
        match key.as_str() {
            "id" => id = Some(dsl::string("pit", key, value)?),
            "keep_alive" => keep_alive = time(key, value)?,
            _ => return Err(Refusal::content(format!("[pit] unknown field [{key}]"))),
        }
    }
    let id = id.ok_or_else(|| Refusal::argument("point int time id is not provided"))?;
    Ok(Pit { id, keep_alive })
}

fn slice(value: &Value) -> Result<Slice, Refusal> {
    let map = value.as_object().ok_or_else(|| Refusal::parsing("[slice] must be an object"))?;
    let (mut id, mut max) = (None, None);
    for (key, value) in map {
        match key.as_str() {
            "id" => id = Some(count(key, value)?),
            "max" => max = Some(count(key, value)?),
            "field" => return Err(Refusal::unsupported("[slice] with [field]")),
            _ => return Err(Refusal::content(format!("[slice] unknown field [{key}]"))),
        }
    }
    let (Some(id), Some(max)) = (id, max) else { return Err(Refusal::content("Required [id, max] in [slice]")) };
    if max < 2 {
        return Err(Refusal::argument("max must be greater than 1"));
    }
    if id >= max {
        return Err(Refusal::argument("max must be greater than id"));
    }
    if max > u32::MAX as usize {
        return Err(Refusal::argument("max is too large"));
    }
    Ok(Slice { id: id as u32, max: max as u32 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bodies() {
        let r =
            Request::parse(Some(&json!({"size": 0, "track_total_hits": true, "timeout": "50s", "script_fields": {}})))
                .unwrap();
        assert_eq!((r.size, r.track, r.timeout), (0, Track::All, Some(Duration::from_secs(50))));
        for (body, want) in [
            (json!({"match": {}}), "Unknown key for a START_OBJECT in [match]."),
            (json!({"size": -1}), "[size] parameter cannot be negative, found [-1]"),
            (json!({"suggest": {"a": 1}}), "[suggest] is not supported"),
            (json!([]), "Expected [START_OBJECT] but found [START_ARRAY]"),
        ] {
            assert_eq!(Request::parse(Some(&body)).map(|_| ()).map_err(|r| r.reason), Err(want.to_string()));
        }
        let limits = Limits::default();
        assert!(Request { size: 10_001, ..Request::default() }.check_limits(&limits, false).is_err());
        assert!(
            Request { size: 5, from: 6, ..Request::default() }
                .check_limits(&Limits { result_window: 10, ..limits }, false)
                .is_err()
        );
        assert!(Request { size: 0, ..Request::default() }.check(true).is_err());
    }
}
