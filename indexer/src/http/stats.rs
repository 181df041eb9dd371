//! `_stats`: what indices hold and how often they were asked. weir keeps no caches, so what Elasticsearch tells of its
//! own is zero here.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::indices::chosen;
use super::{Call, Endpoint, Reply};
use crate::error::{Error, Result};
use crate::store::Index;

/// This file's endpoints.
pub static ENDPOINTS: &[Endpoint] = &[
    Endpoint { methods: &["GET"], path: "/_stats", params: PARAMS, run: |call| Box::pin(stats(call)) },
    Endpoint { methods: &["GET"], path: "/_stats/{metric}", params: PARAMS, run: |call| Box::pin(stats(call)) },
    Endpoint { methods: &["GET"], path: "/{index}/_stats", params: PARAMS, run: |call| Box::pin(stats(call)) },
    Endpoint { methods: &["GET"], path: "/{index}/_stats/{metric}", params: PARAMS, run: |call| Box::pin(stats(call)) },
];

const PARAMS: &[&str] = &[
    "level",
    "expand_wildcards",
    "forbid_closed_indices",
    "include_segment_file_sizes",
    "include_unloaded_segments",
    "ignore_unavailable",
    "allow_no_indices",
    "fields",
    "fielddata_fields",
    "completion_fields",
    "groups",
    "types",
];

/// The sections of the answer, by Elasticsearch's names of the metrics.
const METRICS: [&str; 16] = [
    "docs",
    "store",
    "indexing",
    "get",
    "search",
    "merge",
    "refresh",
    "flush",
    "warmer",
    "query_cache",
    "fielddata",
    "completion",
    "segments",
    "translog",
    "request_cache",
    "recovery",
];

/// What is added up.
#[derive(Clone, Copy, Default)]
struct Sum {
    docs: u64,
    deleted: u64,
    bytes: u64,
    segments: usize,
    searches: u64,
    gets: u64,
    refreshes: u64,
    arrived: u64,
    waiting: u64,
}

impl Sum {
    fn of(index: &Index) -> Self {
        let ((docs, deleted), (searches, gets, refreshes, arrived)) = (index.counts(), index.asked());
        let (bytes, segments) = (index.bytes(), index.segments());
        Self { docs, deleted, bytes, segments, searches, gets, refreshes, arrived, waiting: index.waiting() }
    }

    fn add(&mut self, other: Self) {
        self.docs += other.docs;
        self.deleted += other.deleted;
        self.bytes += other.bytes;
        self.segments += other.segments;
        self.searches += other.searches;
        self.gets += other.gets;
        self.refreshes += other.refreshes;
        self.arrived += other.arrived;
        self.waiting += other.waiting;
    }

    fn section(&self, metric: &str) -> Option<(&'static str, Value)> {
        Some(match metric {
            "docs" => ("docs", json!({"count": self.docs, "deleted": self.deleted})),
            "store" => (
                "store",
                json!({"size_in_bytes": self.bytes, "total_data_set_size_in_bytes": self.bytes, "reserved_in_bytes": 0}),
            ),
            "indexing" => ("indexing", json!({"index_total": self.arrived, "index_current": 0})),
            "get" => ("get", json!({"total": self.gets, "current": 0})),
            "search" => ("search", json!({"open_contexts": 0, "query_total": self.searches, "query_current": 0})),
            "merge" => ("merges", json!({"current": 0, "current_docs": 0, "current_size_in_bytes": 0})),
            "refresh" => ("refresh", json!({"total": self.refreshes, "listeners": 0})),
            "flush" => ("flush", json!({"total": self.refreshes})),
            "warmer" => ("warmer", json!({"current": 0, "total": 0, "total_time_in_millis": 0})),
            "query_cache" => (
                "query_cache",
                json!({"memory_size_in_bytes": 0, "total_count": 0, "hit_count": 0, "miss_count": 0, "cache_size": 0,
                    "cache_count": 0, "evictions": 0}),
            ),
            "fielddata" => ("fielddata", json!({"memory_size_in_bytes": 0, "evictions": 0})),
            "completion" => ("completion", json!({"size_in_bytes": 0})),
            "segments" => ("segments", json!({"count": self.segments})),
            "translog" => ("translog", json!({"operations": self.waiting, "uncommitted_operations": self.waiting})),
            "request_cache" => {
                ("request_cache", json!({"memory_size_in_bytes": 0, "evictions": 0, "hit_count": 0, "miss_count": 0}))
            }
            "recovery" => ("recovery", json!({"current_as_source": 0, "current_as_target": 0})),
            _ => return None,
        })
    }

    fn shown(&self, metrics: &[&str]) -> Value {
        let sections = metrics.iter().filter_map(|metric| self.section(metric));
        Value::Object(sections.map(|(name, section)| (name.to_owned(), section)).collect())
    }
}

/// The metrics that a path names.
fn metrics(named: Option<&str>) -> Result<Vec<&'static str>> {
    let named: Vec<&str> = named.unwrap_or("_all").split(',').filter(|name| !name.is_empty()).collect();
    if named.is_empty() || named.contains(&"_all") {
        return Ok(METRICS.to_vec());
    }
    for name in &named {
        if !METRICS.contains(name) {
            let near = METRICS.iter().find(|metric| is_near(metric, name));
            let hint = near.map_or_else(String::new, |near| format!(" -> did you mean [{near}]?"));
            return Err(Error::illegal_argument(format!(
                "request [/_stats/{}] contains unrecognized metric: [{name}]{hint}",
                named.join(",")
            )));
        }
    }
    Ok(METRICS.iter().filter(|metric| named.contains(metric)).copied().collect())
}

fn file_sizes(files: &BTreeMap<String, u64>) -> Value {
    let one = |(kind, bytes): (&String, &u64)| (kind.clone(), json!({"size_in_bytes": bytes}));
    Value::Object(files.iter().map(one).collect())
}

/// Whether one letter more or less makes one of the other.
fn is_near(one: &str, other: &str) -> bool {
    let (long, short) = if one.len() > other.len() { (one, other) } else { (other, one) };
    long.len() == short.len() + 1
        && (0..long.len()).any(|at| {
            long.is_char_boundary(at)
                && long.is_char_boundary(at + 1)
                && [&long[..at], &long[at + 1..]].concat() == *short
        })
}

async fn stats(call: Call) -> Result<Reply> {
    let metrics = metrics(call.part("metric"))?;
    let level = call.query.text("level").unwrap_or("indices");
    if !matches!(level, "cluster" | "indices" | "shards") {
        return Err(Error::illegal_argument(format!(
            "level parameter must be one of [cluster] or [indices] or [shards] but was [{level}]"
        )));
    }
    let with_files = call.query.flag("include_segment_file_sizes")?.unwrap_or(false) && metrics.contains(&"segments");
    let indices = chosen(&call)?;
    let mut files: BTreeMap<String, u64> = BTreeMap::new();
    let (mut all, mut each) = (Sum::default(), Map::new());
    for index in &indices {
        let sum = Sum::of(index);
        all.add(sum);
        let mut stats = sum.shown(&metrics);
        if with_files {
            let own = index.file_sizes()?;
            own.iter().for_each(|(kind, bytes)| *files.entry(kind.clone()).or_default() += bytes);
            stats["segments"]["file_sizes"] = file_sizes(&own);
        }
        let mut about =
            json!({"uuid": index.uuid(), "health": "green", "status": "open", "primaries": stats, "total": stats});
        if level == "shards" {
            let mut shard = stats.clone();
            shard["routing"] = json!({"state": "STARTED", "primary": true, "node": call.context.store.uuid()});
            about["shards"] = json!({"0": [shard]});
        }
        each.insert(index.name.to_string(), about);
    }
    let (count, mut all) = (indices.len(), all.shown(&metrics));
    if with_files {
        all["segments"]["file_sizes"] = file_sizes(&files);
    }
    let mut answer = json!({"_shards": {"total": count, "successful": count, "failed": 0},
        "_all": {"primaries": all, "total": all}});
    if level != "cluster" {
        answer["indices"] = Value::Object(each);
    }
    Ok(Reply::json(&answer))
}
