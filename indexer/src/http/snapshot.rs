//! `_snapshot`: repositories, snapshots in them, and restoring.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::{Map, Value, json};

use super::root::ES_VERSION;
use super::{Call, Endpoint, Reply};
use crate::error::{Error, Result};
use crate::snapshot::{Listed, Progress, Registered, Restore, Snapshots, Take};
use crate::store::{Choice, now_ms};

/// This file's endpoints.
pub static ENDPOINTS: &[Endpoint] = &[
    Endpoint { methods: &["GET"], path: "/_snapshot", params: READ, run: |call| Box::pin(repositories(call)) },
    Endpoint { methods: &["GET"], path: "/_snapshot/_status", params: READ, run: |call| Box::pin(status(call)) },
    Endpoint {
        methods: &["GET"],
        path: "/_snapshot/{repository}",
        params: READ,
        run: |call| Box::pin(repositories(call)),
    },
    Endpoint {
        methods: &["PUT", "POST"],
        path: "/_snapshot/{repository}",
        params: WRITE,
        run: |call| Box::pin(register(call)),
    },
    Endpoint {
        methods: &["DELETE"],
        path: "/_snapshot/{repository}",
        params: WRITE,
        run: |call| Box::pin(forget(call)),
    },
    Endpoint {
        methods: &["POST"],
        path: "/_snapshot/{repository}/_verify",
        params: WRITE,
        run: |call| Box::pin(verify(call)),
    },
    Endpoint {
        methods: &["POST"],
        path: "/_snapshot/{repository}/_cleanup",
        params: WRITE,
        run: |call| Box::pin(cleanup(call)),
    },
    Endpoint {
        methods: &["GET"],
        path: "/_snapshot/{repository}/_status",
        params: READ,
        run: |call| Box::pin(status(call)),
    },
    Endpoint {
        methods: &["GET"],
        path: "/_snapshot/{repository}/{snapshot}",
        params: READ,
        run: |call| Box::pin(list(call)),
    },
    Endpoint {
        methods: &["PUT", "POST"],
        path: "/_snapshot/{repository}/{snapshot}",
        params: WRITE,
        run: |call| Box::pin(take(call)),
    },
    Endpoint {
        methods: &["DELETE"],
        path: "/_snapshot/{repository}/{snapshot}",
        params: WRITE,
        run: |call| Box::pin(delete(call)),
    },
    Endpoint {
        methods: &["GET"],
        path: "/_snapshot/{repository}/{snapshot}/_status",
        params: READ,
        run: |call| Box::pin(status(call)),
    },
    Endpoint {
        methods: &["POST"],
        path: "/_snapshot/{repository}/{snapshot}/_restore",
        params: WRITE,
        run: |call| Box::pin(restore(call)),
    },
];

const READ: &[&str] =
    &["master_timeout", "local", "ignore_unavailable", "verbose", "index_details", "include_repository", "index_names"];
const WRITE: &[&str] = &["master_timeout", "timeout", "verify", "wait_for_completion"];

/// Runs work that blocks.
async fn blocking<T: Send + 'static>(
    call: &Call,
    work: impl FnOnce(&Snapshots) -> Result<T> + Send + 'static,
) -> Result<T> {
    let snapshots = Arc::clone(&call.context.snapshots);
    tokio::task::spawn_blocking(move || work(&snapshots)).await.map_err(Error::internal)?
}

fn part(call: &Call, name: &str) -> String {
    call.part(name).unwrap_or_default().to_owned()
}

fn acknowledged() -> Reply {
    Reply::json(&json!({"acknowledged": true}))
}

async fn repositories(call: Call) -> Result<Reply> {
    let found = call.context.snapshots.repositories(call.part("repository").unwrap_or("_all"))?;
    let shown: Map<String, Value> = found.into_iter().map(|(name, repository)| (name, shown(&repository))).collect();
    Ok(Reply::json(&Value::Object(shown)))
}

fn shown(repository: &Registered) -> Value {
    // Elasticsearch gives every setting as text.
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let settings: Map<String, Value> =
        repository.settings.iter().map(|(key, value)| (key.clone(), text(value).into())).collect();
    json!({"type": repository.kind, "uuid": repository.uuid, "settings": settings})
}

async fn register(call: Call) -> Result<Reply> {
    let mut body = object(&call)?;
    let kind = match body.remove("type") {
        Some(Value::String(kind)) => kind,
        _ => {
            return Err(Error::new(
                400,
                "action_request_validation_exception",
                "Validation Failed: 1: type is missing;",
            ));
        }
    };
    let settings = match body.remove("settings") {
        None => Map::new(),
        Some(Value::Object(settings)) => settings,
        Some(_) => return Err(Error::illegal_argument("Malformed settings section, should include an inner object")),
    };
    nothing_else(&body)?;
    let (name, verify) = (part(&call, "repository"), call.query.flag("verify")?.unwrap_or(true));
    blocking(&call, move |snapshots| snapshots.register(&name, &kind, settings, verify)).await?;
    Ok(acknowledged())
}

async fn forget(call: Call) -> Result<Reply> {
    let name = part(&call, "repository");
    blocking(&call, move |snapshots| snapshots.forget(&name)).await?;
    Ok(acknowledged())
}

async fn verify(call: Call) -> Result<Reply> {
    let name = part(&call, "repository");
    blocking(&call, move |snapshots| snapshots.verify(&name)).await?;
    Ok(Reply::json(&json!({"nodes": {call.context.all.uuid(): {"name": "weir"}}})))
}

async fn cleanup(call: Call) -> Result<Reply> {
    let name = part(&call, "repository");
    let (objects, bytes) = blocking(&call, move |snapshots| snapshots.clean(&name)).await?;
    Ok(Reply::json(&json!({"results": {"deleted_bytes": bytes, "deleted_blobs": objects}})))
}

async fn list(call: Call) -> Result<Reply> {
    let (repository, snapshot) = (part(&call, "repository"), part(&call, "snapshot"));
    let ignore = call.query.flag("ignore_unavailable")?.unwrap_or(false);
    let known = repository.clone();
    let found = blocking(&call, move |snapshots| snapshots.list(&repository, &snapshot, ignore)).await?;
    let list: Vec<Value> = found.iter().map(|listed| about(&known, listed)).collect();
    Ok(Reply::json(&json!({"snapshots": list, "total": list.len(), "remaining": 0})))
}

/// A snapshot as `GET` shows it.
fn about(repository: &str, listed: &Listed) -> Value {
    let (started_ms, ended_ms) = match listed {
        Listed::Taken(manifest) => (manifest.started_ms, manifest.ended_ms),
        Listed::Running(progress) => (progress.started_ms, 0),
    };
    let mut about = match listed {
        Listed::Taken(manifest) => {
            let failures: Vec<Value> = manifest
                .failures
                .iter()
                .map(|(index, reason)| json!({"index": index, "index_uuid": index, "shard_id": 0, "reason": reason, "node_id": "weir", "status": "INTERNAL_SERVER_ERROR"}))
                .collect();
            let names = manifest.names();
            json!({
                "snapshot": manifest.snapshot, "uuid": manifest.uuid, "repository": repository,
                "version": ES_VERSION, "indices": names, "data_streams": [], "feature_states": [],
                "include_global_state": manifest.templates.is_some(), "state": manifest.state(),
                "failures": failures,
                "shards": {
                    "total": names.len(), "failed": names.len() - manifest.whole(), "successful": manifest.whole(),
                },
            })
        }
        Listed::Running(progress) => json!({
            "snapshot": progress.snapshot, "uuid": progress.uuid, "repository": repository, "version": ES_VERSION,
            "indices": progress.indices, "data_streams": [], "feature_states": [], "state": "IN_PROGRESS",
            "failures": [],
            "shards": {"total": progress.indices.len(), "failed": 0, "successful": progress.indices_done.load(Ordering::Relaxed)},
        }),
    };
    about["start_time"] = time(started_ms);
    about["start_time_in_millis"] = started_ms.into();
    about["end_time"] = time(ended_ms);
    about["end_time_in_millis"] = ended_ms.into();
    about["duration_in_millis"] = ended_ms.saturating_sub(started_ms).into();
    if let Listed::Taken(manifest) = listed
        && let Some(metadata) = &manifest.metadata
    {
        about["metadata"] = metadata.clone();
    }
    about
}

fn time(ms: u64) -> Value {
    let at = jiff::Timestamp::from_millisecond(ms as i64).unwrap_or_default();
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string().into()
}

async fn take(call: Call) -> Result<Reply> {
    let mut body = object(&call)?;
    let take = Take {
        indices: expression(body.remove("indices"))?,
        choice: Choice {
            ignore_unavailable: flag(&mut body, "ignore_unavailable")?.unwrap_or(false),
            allow_no_indices: true,
        },
        global_state: flag(&mut body, "include_global_state")?.unwrap_or(true),
        partial: flag(&mut body, "partial")?.unwrap_or(false),
        metadata: body.remove("metadata").filter(|metadata| !metadata.is_null()),
        scheduled: false,
    };
    body.remove("feature_states");
    body.remove("expand_wildcards");
    nothing_else(&body)?;
    let wait = call.query.flag("wait_for_completion")?.unwrap_or(false);
    let (repository, snapshot) = (part(&call, "repository"), part(&call, "snapshot"));
    let known = repository.clone();
    let ready = blocking(&call, move |snapshots| snapshots.prepare(&repository, &snapshot, take)).await?;
    let work = move |snapshots: &Snapshots| snapshots.take(&ready);
    if !wait {
        spawn(&call, work);
        return Ok(Reply::json(&json!({"accepted": true})));
    }
    let manifest = blocking(&call, work).await?;
    Ok(Reply::json(&json!({"snapshot": about(&known, &Listed::Taken(Box::new(manifest)))})))
}

async fn delete(call: Call) -> Result<Reply> {
    let (repository, snapshot) = (part(&call, "repository"), part(&call, "snapshot"));
    blocking(&call, move |snapshots| snapshots.delete(&repository, &snapshot)).await?;
    Ok(acknowledged())
}

async fn restore(call: Call) -> Result<Reply> {
    let mut body = object(&call)?;
    let text = |body: &mut Map<String, Value>, key: &str| match body.remove(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Error::illegal_argument(format!("malformed {key}"))),
    };
    let indices = match expression(body.remove("indices"))?.as_str() {
        "_all" => String::new(),
        other => other.to_owned(),
    };
    let restore = Restore {
        indices,
        ignore_unavailable: flag(&mut body, "ignore_unavailable")?.unwrap_or(false),
        global_state: flag(&mut body, "include_global_state")?.unwrap_or(false),
        aliases: flag(&mut body, "include_aliases")?.unwrap_or(true),
        partial: flag(&mut body, "partial")?.unwrap_or(false),
        rename: text(&mut body, "rename_pattern")?.zip(text(&mut body, "rename_replacement")?),
        settings: match body.remove("index_settings") {
            Some(Value::Object(settings)) => settings,
            _ => Map::new(),
        },
    };
    body.remove("feature_states");
    nothing_else(&body)?;
    let wait = call.query.flag("wait_for_completion")?.unwrap_or(false);
    let (repository, snapshot) = (part(&call, "repository"), part(&call, "snapshot"));
    let (r, s, asked) = (repository.clone(), snapshot.clone(), restore.clone());
    let planned = blocking(&call, move |snapshots| snapshots.plan(&r, &s, &asked)).await?;
    let shown = snapshot.clone();
    let work = move |snapshots: &Snapshots| snapshots.restore(&repository, &snapshot, &restore);
    if !wait {
        spawn(&call, work);
        return Ok(Reply::json(&json!({"accepted": true})));
    }
    let restored = blocking(&call, work).await?;
    let shards =
        json!({"total": planned.len(), "failed": planned.len() - restored.len(), "successful": restored.len()});
    Ok(Reply::json(&json!({"snapshot": {"snapshot": shown, "indices": restored, "shards": shards}})))
}

/// Runs work that nobody waits for; it says itself how it went.
fn spawn<T: Send + 'static>(call: &Call, work: impl FnOnce(&Snapshots) -> Result<T> + Send + 'static) {
    let snapshots = Arc::clone(&call.context.snapshots);
    tokio::task::spawn_blocking(move || work(&snapshots).map(drop));
}

async fn status(call: Call) -> Result<Reply> {
    let repository = call.part("repository").unwrap_or("*").to_owned();
    let mut list = Vec::new();
    match call.part("snapshot") {
        None => {
            if !repository.contains('*') {
                call.context.snapshots.repositories(&repository)?;
            }
            list.extend(call.context.snapshots.current(&repository).map(|progress| running(&progress)));
        }
        Some(snapshot) => {
            let (r, s) = (repository.clone(), snapshot.to_owned());
            let ignore = call.query.flag("ignore_unavailable")?.unwrap_or(false);
            for listed in blocking(&call, move |snapshots| snapshots.list(&r, &s, ignore)).await? {
                list.push(match &listed {
                    Listed::Running(progress) => running(progress),
                    Listed::Taken(manifest) => {
                        let (files, bytes) =
                            manifest.files().fold((0u64, 0u64), |sum, file| (sum.0 + 1, sum.1 + file.bytes));
                        let shards = (manifest.names().len(), manifest.whole());
                        let took = manifest.ended_ms.saturating_sub(manifest.started_ms);
                        let stats = json!({
                            "incremental": {"file_count": manifest.added.0, "size_in_bytes": manifest.added.1},
                            "total": {"file_count": files, "size_in_bytes": bytes},
                            "start_time_in_millis": manifest.started_ms, "time_in_millis": took,
                        });
                        state(&manifest.snapshot, &repository, &manifest.uuid, manifest.state(), shards, &stats)
                    }
                });
            }
        }
    }
    Ok(Reply::json(&json!({ "snapshots": list })))
}

fn running(progress: &Progress) -> Value {
    let number = |pair: &(std::sync::atomic::AtomicU64, std::sync::atomic::AtomicU64)| json!({"file_count": pair.0.load(Ordering::Relaxed), "size_in_bytes": pair.1.load(Ordering::Relaxed)});
    let stats = json!({
        "incremental": number(&progress.copied), "processed": number(&progress.copied), "total": number(&progress.total),
        "start_time_in_millis": progress.started_ms, "time_in_millis": now_ms().saturating_sub(progress.started_ms),
    });
    let shards = (progress.indices.len(), progress.indices_done.load(Ordering::Relaxed));
    state(&progress.snapshot, &progress.repository, &progress.uuid, "STARTED", shards, &stats)
}

fn state(snapshot: &str, repository: &str, uuid: &str, state: &str, shards: (usize, usize), stats: &Value) -> Value {
    let (total, done) = shards;
    let started = if state == "STARTED" { total - done } else { 0 };
    json!({
        "snapshot": snapshot, "repository": repository, "uuid": uuid, "state": state,
        "shards_stats": {
            "initializing": 0, "started": started, "finalizing": 0, "done": done, "failed": total - done - started, "total": total,
        },
        "stats": stats,
    })
}

fn object(call: &Call) -> Result<Map<String, Value>> {
    match call.json()? {
        None => Ok(Map::new()),
        Some(Value::Object(object)) => Ok(object),
        Some(_) => Err(Error::parsing("the body is an object")),
    }
}

fn expression(given: Option<Value>) -> Result<String> {
    let wrong = || Error::illegal_argument("malformed indices section, should be an array of strings");
    match given {
        None | Some(Value::Null) => Ok("_all".to_owned()),
        Some(Value::String(text)) => Ok(text),
        Some(Value::Array(names)) => {
            let names: Option<Vec<&str>> = names.iter().map(Value::as_str).collect();
            Ok(names.ok_or_else(wrong)?.join(","))
        }
        Some(_) => Err(wrong()),
    }
}

fn flag(body: &mut Map<String, Value>, key: &str) -> Result<Option<bool>> {
    match body.remove(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(value)),
        Some(Value::String(text)) if text == "true" || text == "false" => Ok(Some(text == "true")),
        Some(other) => Err(Error::illegal_argument(format!(
            "Failed to parse value [{other}] of [{key}] as only [true] or [false] are allowed."
        ))),
    }
}

fn nothing_else(body: &Map<String, Value>) -> Result<()> {
    match body.keys().next() {
        None => Ok(()),
        Some(key) => Err(Error::illegal_argument(format!("Unknown parameter {key}"))),
    }
}
