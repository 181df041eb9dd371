//! What clients ask about the cluster, which is one node: health, license, nodes, stats, `_resolve`, and our own
//! `/metrics` and `/health`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::indices::choice;
use super::{Call, Endpoint, Reply};
use crate::error::{Error, Result};
use crate::mapping::wildcard;
use crate::store::{Choice, Index};

/// This file's endpoints.
pub static ENDPOINTS: &[Endpoint] = &[
    Endpoint { methods: &["GET"], path: "/_cluster/health", params: HEALTH, run: |call| Box::pin(health(call)) },
    Endpoint {
        methods: &["GET"],
        path: "/_cluster/health/{index}",
        params: HEALTH,
        run: |call| Box::pin(health(call)),
    },
    Endpoint {
        methods: &["GET"],
        path: "/_license",
        params: &["local", "accept_enterprise"],
        run: |call| Box::pin(license(call)),
    },
    Endpoint { methods: &["GET"], path: "/_nodes", params: NODES, run: |call| Box::pin(nodes(call)) },
    Endpoint { methods: &["GET"], path: "/_nodes/{which}", params: NODES, run: |call| Box::pin(nodes(call)) },
    Endpoint { methods: &["GET"], path: "/_nodes/{which}/{what}", params: NODES, run: |call| Box::pin(nodes(call)) },
    Endpoint {
        methods: &["GET", "POST"],
        path: "/_resolve/index/{name}",
        params: RESOLVE,
        run: |call| Box::pin(resolve(call)),
    },
    Endpoint { methods: &["GET"], path: "/metrics", params: &[], run: |call| Box::pin(metrics(call)) },
    Endpoint { methods: &["GET"], path: "/health", params: &[], run: |call| Box::pin(own_health(call)) },
];

const HEALTH: &[&str] = &[
    "wait_for_status",
    "wait_for_nodes",
    "wait_for_active_shards",
    "wait_for_no_relocating_shards",
    "wait_for_no_initializing_shards",
    "wait_for_events",
    "timeout",
    "master_timeout",
    "level",
    "local",
    "expand_wildcards",
];
const NODES: &[&str] = &["timeout", "flat_settings"];
const RESOLVE: &[&str] = &["expand_wildcards", "ignore_unavailable", "allow_no_indices"];

async fn health(call: Call) -> Result<Reply> {
    let store = &call.context.store;
    let indices = match call.part("index") {
        None => store.indices(),
        // Elasticsearch answers for what is there.
        Some(name) => store.resolve(name, Choice { ignore_unavailable: true, allow_no_indices: true })?,
    };
    let asked_missing = call.part("index").is_some_and(|name| !name.contains('*') && indices.is_empty());
    let status = if call.context.health.troubles().is_empty() { "green" } else { "yellow" };
    let mut timed_out = asked_missing;
    if let Some(nodes) = call.query.text("wait_for_nodes") {
        timed_out |= !waits_for_one(nodes)?;
    }
    if let Some(shards) = call.query.text("wait_for_active_shards").filter(|shards| *shards != "all") {
        let wanted: usize =
            shards.parse().map_err(|_| Error::illegal_argument(format!("cannot parse ActiveShardCount[{shards}]")))?;
        timed_out |= wanted > indices.len();
    }
    if let Some(wanted) = call.query.text("wait_for_status") {
        let rank = |status: &str| ["green", "yellow", "red"].iter().position(|known| *known == status);
        let wanted =
            rank(wanted).ok_or_else(|| Error::illegal_argument(format!("unknown cluster health status [{wanted}]")))?;
        timed_out |= rank(status).is_some_and(|status| status > wanted);
    }
    let shards = indices.len();
    let mut answer = json!({
        "cluster_name": "weir",
        "status": if asked_missing { "red" } else { status },
        "timed_out": timed_out,
        "number_of_nodes": 1,
        "number_of_data_nodes": 1,
        "active_primary_shards": shards,
        "active_shards": shards,
        "relocating_shards": 0,
        "initializing_shards": 0,
        "unassigned_shards": 0,
        "delayed_unassigned_shards": 0,
        "number_of_pending_tasks": 0,
        "number_of_in_flight_fetch": 0,
        "task_max_waiting_in_queue_millis": 0,
        "active_shards_percent_as_number": 100.0,
    });
    match call.query.text("level") {
        None | Some("cluster") => {}
        Some(level @ ("indices" | "shards")) => {
            let about = |index: &Arc<Index>| {
                let mut about = json!({
                    "status": status, "number_of_shards": 1, "number_of_replicas": 0, "active_primary_shards": 1,
                    "active_shards": 1, "relocating_shards": 0, "initializing_shards": 0, "unassigned_shards": 0,
                });
                if level == "shards" {
                    about["shards"] = json!({"0": {"status": status, "primary_active": true, "active_shards": 1,
                        "relocating_shards": 0, "initializing_shards": 0, "unassigned_shards": 0}});
                }
                (index.name.to_string(), about)
            };
            answer["indices"] = Value::Object(indices.iter().map(about).collect());
        }
        Some(other) => return Err(Error::illegal_argument(format!("unknown level [{other}]"))),
    }
    Ok(Reply::json(&answer).with_status(if timed_out { 408 } else { 200 }))
}

/// `1`, `>=1`, `le(5)`: whether one node is enough.
fn waits_for_one(wanted: &str) -> Result<bool> {
    let split = wanted.find(|c: char| c.is_ascii_digit()).unwrap_or(wanted.len());
    let number: String = wanted[split..].chars().take_while(char::is_ascii_digit).collect();
    let number: u64 =
        number.parse().map_err(|_| Error::illegal_argument(format!("cannot parse wait_for_nodes [{wanted}]")))?;
    Ok(match wanted[..split].trim() {
        ">=" | "ge(" => 1 >= number,
        ">" | "gt(" => 1 > number,
        "<=" | "le(" => 1 <= number,
        "<" | "lt(" => 1 < number,
        _ => number == 1,
    })
}

async fn license(call: Call) -> Result<Reply> {
    let uid = call.context.store.uuid();
    Ok(Reply::json(
        &json!({"license": {"status": "active", "uid": uid, "type": "basic", "issued_to": "weir", "issuer": "weir",
        "issue_date": "2026-01-01T00:00:00.000Z", "issue_date_in_millis": 1_767_225_600_000u64, "max_nodes": 1000, "start_date_in_millis": -1}}),
    ))
}

async fn nodes(call: Call) -> Result<Reply> {
    let address = call.context.config.listen.to_string();
    let node = json!({
        "name": "weir", "transport_address": address, "host": call.context.config.listen.ip().to_string(),
        "ip": call.context.config.listen.ip().to_string(), "version": super::root::ES_VERSION, "build_flavor": "default",
        "build_type": "tar", "build_hash": "weir", "roles": ["data", "ingest", "master"],
        "http": {"bound_address": [address], "publish_address": address, "max_content_length_in_bytes": call.context.config.max_body_bytes},
    });
    let answer = json!({"_nodes": {"total": 1, "successful": 1, "failed": 0}, "cluster_name": "weir",
        "nodes": {call.context.store.uuid(): node}});
    Ok(Reply::json(&answer))
}

async fn resolve(call: Call) -> Result<Reply> {
    let name = call.part("name").unwrap_or("*");
    let indices = call.context.store.resolve(name, choice(&call)?)?;
    let mut aliases: std::collections::BTreeMap<String, Vec<String>> = std::collections::BTreeMap::new();
    let mut found = Vec::new();
    for index in &indices {
        let own: Vec<String> = index.aliases().keys().cloned().collect();
        for alias in own.iter().filter(|alias| name.split(',').any(|part| wildcard(part, alias))) {
            aliases.entry(alias.clone()).or_default().push(index.name.to_string());
        }
        let mut about = json!({"name": &*index.name, "attributes": ["open"]});
        if !own.is_empty() {
            about["aliases"] = json!(own);
        }
        found.push(about);
    }
    let aliases: Vec<Value> =
        aliases.into_iter().map(|(name, indices)| json!({"name": name, "indices": indices})).collect();
    Ok(Reply::json(&json!({"indices": found, "aliases": aliases, "data_streams": []})))
}

async fn metrics(call: Call) -> Result<Reply> {
    let mut reply = Reply::text(call.context.metrics.render());
    reply.content_type = "text/plain; version=0.0.4; charset=utf-8";
    Ok(reply)
}

async fn own_health(call: Call) -> Result<Reply> {
    let troubles = call.context.health.troubles();
    let (code, status) = if troubles.is_empty() { (200, "ok") } else { (503, "trouble") };
    if call.context.principal.is_none() {
        // A health check has no credentials; what is wrong is for those who have some.
        return Ok(Reply::json(&json!({"status": status})).with_status(code));
    }
    Ok(Reply::json(&json!({"status": status, "troubles": troubles})).with_status(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_node() {
        for (wanted, enough) in [("1", true), (">=1", true), ("2", false), ("ge(2)", false), ("<5", true), (">0", true)]
        {
            assert_eq!(waits_for_one(wanted).unwrap(), enough, "{wanted}");
        }
        assert!(waits_for_one("x").is_err());
    }
}
