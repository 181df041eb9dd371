//! `_cluster/settings`: the limits of searches that can be changed while weir runs. Others are refused by name.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::search::span_of;
use super::{Call, Endpoint, Reply};
use crate::error::{Error, Result};
use crate::search::state::Limits;

/// This file's endpoints.
pub static ENDPOINTS: &[Endpoint] = &[
    Endpoint { methods: &["GET"], path: "/_cluster/settings", params: PARAMS, run: |call| Box::pin(get(call)) },
    Endpoint { methods: &["PUT"], path: "/_cluster/settings", params: PARAMS, run: |call| Box::pin(put(call)) },
];

const PARAMS: &[&str] = &["flat_settings", "master_timeout", "timeout", "include_defaults"];

fn shown(limits: &Limits) -> Value {
    json!({"persistent": limits.given[0], "transient": limits.given[1]})
}

async fn get(call: Call) -> Result<Reply> {
    Ok(Reply::json(&shown(&call.context.search.limits())))
}

async fn put(call: Call) -> Result<Reply> {
    let body = call.json()?.ok_or_else(|| Error::new(400, "parse_exception", "request body is required"))?;
    let mut limits = call.context.search.limits();
    for (kind, value) in body.as_object().into_iter().flatten() {
        let at = match kind.as_str() {
            "persistent" => 0,
            "transient" => 1,
            other => return Err(Error::illegal_argument(format!("unknown section [{other}] of cluster settings"))),
        };
        let mut flat = Map::new();
        flatten(value, "", &mut flat);
        for (key, value) in flat {
            set(&mut limits, kind, &key, &value)?;
            if value.is_null() {
                limits.given[at].remove(&key);
            } else {
                limits.given[at].insert(key, value);
            }
        }
    }
    let mut answer = shown(&limits);
    call.context.store.set_auto_create(limits.auto_create.clone());
    call.context.search.set_limits(limits);
    answer["acknowledged"] = true.into();
    Ok(Reply::json(&answer))
}

fn flatten(value: &Value, prefix: &str, out: &mut Map<String, Value>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(value, &path, out);
            }
        }
        other => {
            out.insert(prefix.to_string(), other.clone());
        }
    }
}

fn set(limits: &mut Limits, kind: &str, key: &str, value: &Value) -> Result<()> {
    let text = match value {
        Value::Null => None,
        Value::String(s) => Some(s.clone()),
        other => Some(other.to_string()),
    };
    let bad = |text: &str| Error::illegal_argument(format!("Failed to parse value [{text}] for setting [{key}]"));
    match key {
        "search.max_buckets" => {
            limits.max_buckets = match text {
                None => None,
                Some(t) => Some(t.parse::<usize>().map_err(|_| bad(&t))?.min(crate::aggs::MAX_BUCKETS)),
            };
        }
        "search.max_keep_alive" => {
            let most = crate::search::state::KEEP_ALIVE_MAX;
            limits.max_keep_alive = text.map(|t| span_of(key, &t)).transpose()?.map(|d: Duration| d.min(most));
        }
        "action.auto_create_index" => limits.auto_create = text,
        // Every scroll says how long it is to be kept.
        "search.default_keep_alive" => {
            text.map(|t| span_of(key, &t)).transpose()?;
        }
        _ => return Err(Error::illegal_argument(format!("{kind} setting [{key}], not recognized"))),
    }
    Ok(())
}
