//! What clients ask of an Elasticsearch that needs upkeep: `_forcemerge` and `_cache/clear`. weir merges by itself and has
//! no caches to be cleared, so both are answered once what was accepted is in the files; `_segments` and
//! `_cat/segments`, `_cat/shards` and `_cat/nodes` tell what there is.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::cat::{Column, PARAMS as TABLE, bytes, left, right, table};
use super::indices::{blocking, chosen};
use super::root::ES_VERSION;
use super::{Call, Endpoint, Reply};
use crate::error::Result;
use crate::store::{Index, SegmentInfo};

/// This file's endpoints.
pub static ENDPOINTS: &[Endpoint] = &[
    Endpoint { methods: &["POST"], path: "/_forcemerge", params: MERGE, run: |call| Box::pin(settle(call)) },
    Endpoint { methods: &["POST"], path: "/{index}/_forcemerge", params: MERGE, run: |call| Box::pin(settle(call)) },
    Endpoint { methods: &["POST"], path: "/_cache/clear", params: CLEAR, run: |call| Box::pin(settle(call)) },
    Endpoint { methods: &["POST"], path: "/{index}/_cache/clear", params: CLEAR, run: |call| Box::pin(settle(call)) },
    Endpoint { methods: &["GET"], path: "/_segments", params: CHOICE, run: |call| Box::pin(segments(call)) },
    Endpoint { methods: &["GET"], path: "/{index}/_segments", params: CHOICE, run: |call| Box::pin(segments(call)) },
    Endpoint { methods: &["GET"], path: "/_cat/segments", params: TABLE, run: |call| Box::pin(cat_segments(call)) },
    Endpoint {
        methods: &["GET"],
        path: "/_cat/segments/{index}",
        params: TABLE,
        run: |call| Box::pin(cat_segments(call)),
    },
    Endpoint { methods: &["GET"], path: "/_cat/shards", params: TABLE, run: |call| Box::pin(cat_shards(call)) },
    Endpoint { methods: &["GET"], path: "/_cat/shards/{index}", params: TABLE, run: |call| Box::pin(cat_shards(call)) },
    Endpoint { methods: &["GET"], path: "/_cat/nodes", params: TABLE, run: |call| Box::pin(cat_nodes(call)) },
];

const CHOICE: &[&str] = &["ignore_unavailable", "allow_no_indices", "expand_wildcards", "verbose"];
const MERGE: &[&str] = &[
    "ignore_unavailable",
    "allow_no_indices",
    "expand_wildcards",
    "flush",
    "max_num_segments",
    "only_expunge_deletes",
    "wait_for_completion",
];
const CLEAR: &[&str] = &[
    "ignore_unavailable",
    "allow_no_indices",
    "expand_wildcards",
    "fielddata",
    "fields",
    "query",
    "request",
    "request_cache",
];

async fn settle(call: Call) -> Result<Reply> {
    let indices = chosen(&call)?;
    let (count, store) = (indices.len(), Arc::clone(&call.context.store));
    blocking(move || store.refresh(&indices)).await?;
    Ok(Reply::json(&json!({"_shards": {"total": count, "successful": count, "failed": 0}})))
}

/// What only the file system knows is asked where it blocks nobody.
async fn parts(call: &Call) -> Result<Vec<(Arc<Index>, Vec<SegmentInfo>)>> {
    let indices = chosen(call)?;
    blocking(move || Ok(indices.into_iter().map(|index| (Arc::clone(&index), index.segment_list())).collect())).await
}

async fn segments(call: Call) -> Result<Reply> {
    let all = parts(&call).await?;
    let mut indices = Map::new();
    for (index, segments) in &all {
        let about: Map<String, Value> = segments
            .iter()
            .map(|segment| {
                let about = json!({
                    "generation": segment.generation, "num_docs": segment.documents, "deleted_docs": segment.deleted,
                    "size_in_bytes": segment.bytes, "committed": true, "search": true, "version": "", "compound": false
                });
                (segment.name.clone(), about)
            })
            .collect();
        let shard = json!([{
            "routing": {"state": "STARTED", "primary": true, "node": "weir"},
            "num_committed_segments": about.len(), "num_search_segments": about.len(), "segments": about
        }]);
        indices.insert(index.name.to_string(), json!({"shards": {"0": shard}}));
    }
    let count = indices.len();
    Ok(Reply::json(&json!({"_shards": {"total": count, "successful": count, "failed": 0}, "indices": indices})))
}

async fn cat_segments(call: Call) -> Result<Reply> {
    static COLUMNS: [Column; 13] = [
        left("index", &["i", "idx"], "index name"),
        left("shard", &["s", "sh"], "shard name"),
        left("prirep", &["p", "pr", "primaryOrReplica"], "primary or replica"),
        left("ip", &[], "ip of node where it lives"),
        left("segment", &["seg"], "segment name"),
        right("generation", &["g", "gen"], "segment generation"),
        right("docs.count", &["dc", "docsCount"], "number of docs in segment"),
        right("docs.deleted", &["dd", "docsDeleted"], "number of deleted docs in segment"),
        right("size", &["si"], "segment size in bytes"),
        right("size.memory", &["sm", "sizeMemory"], "segment memory in bytes"),
        left("committed", &["ic", "isCommitted"], "is segment committed"),
        left("searchable", &["is", "isSearchable"], "is segment searched"),
        left("version", &["v", "ver"], "version"),
    ];
    let ip = call.context.config.listen.ip().to_string();
    let mut rows = Vec::new();
    for (index, segments) in parts(&call).await? {
        for segment in segments {
            rows.push(vec![
                index.name.to_string(),
                "0".to_owned(),
                "p".to_owned(),
                ip.clone(),
                segment.name.clone(),
                segment.generation.to_string(),
                segment.documents.to_string(),
                segment.deleted.to_string(),
                bytes(&call, segment.bytes)?,
                "0".to_owned(),
                "true".to_owned(),
                "true".to_owned(),
                ES_VERSION.to_owned(),
            ]);
        }
    }
    table(&call, &COLUMNS, rows)
}

async fn cat_shards(call: Call) -> Result<Reply> {
    static COLUMNS: [Column; 8] = [
        left("index", &["i", "idx"], "index name"),
        left("shard", &["s", "sh"], "shard name"),
        left("prirep", &["p", "pr", "primaryOrReplica"], "primary or replica"),
        left("state", &["st"], "shard state"),
        right("docs", &["d", "dc"], "number of docs in shard"),
        right("store", &["sto"], "store size of shard (how much disk it uses)"),
        left("ip", &[], "ip of node where it lives"),
        left("node", &["n"], "name of node where it lives"),
    ];
    let ip = call.context.config.listen.ip().to_string();
    let row = |index: &Arc<Index>| {
        let size = bytes(&call, index.bytes())?;
        let (name, documents) = (index.name.to_string(), index.counts().0.to_string());
        Ok(vec![name, "0".into(), "p".into(), "STARTED".into(), documents, size, ip.clone(), "weir".into()])
    };
    let rows = chosen(&call)?.iter().map(row).collect::<Result<Vec<_>>>()?;
    table(&call, &COLUMNS, rows)
}

async fn cat_nodes(call: Call) -> Result<Reply> {
    static COLUMNS: [Column; 10] = [
        left("ip", &["i"], "ip address"),
        right("heap.percent", &["hp", "heapPercent"], "used heap ratio"),
        right("ram.percent", &["rp", "ramPercent"], "used machine memory ratio"),
        right("cpu", &[], "recent cpu usage"),
        right("load_1m", &["l"], "1m load avg"),
        right("load_5m", &["l"], "5m load avg"),
        right("load_15m", &["l"], "15m load avg"),
        left("node.role", &["r", "role", "nodeRole"], "m:master eligible node, d:data node, i:ingest node"),
        left("master", &["m"], "*:current master"),
        left("name", &["n"], "node name"),
    ];
    let (load, memory) = super::call::aside(|| {
        // Where the kernel does not tell, nothing is shown.
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        (read("/proc/loadavg"), read("/proc/meminfo"))
    })
    .await?;
    let load = |n: usize| load.split(' ').nth(n).unwrap_or("").to_owned();
    let kilobytes = |name: &str| {
        let line = memory.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
    };
    let used = match (kilobytes("MemTotal"), kilobytes("MemAvailable")) {
        (Some(total), Some(free)) if total > 0 => ((total - free.min(total)) * 100 / total).to_string(),
        _ => String::new(),
    };
    let ip = call.context.config.listen.ip().to_string();
    let empty = String::new;
    let row = vec![ip, empty(), used, empty(), load(0), load(1), load(2), "dim".into(), "*".into(), "weir".into()];
    table(&call, &COLUMNS, vec![row])
}
