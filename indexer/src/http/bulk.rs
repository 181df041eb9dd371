//! `_bulk`: many documents at once.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use super::{Call, Context, Endpoint, Reply, mixed};
use crate::error::{Error, Result};
use crate::store::{Action, Defaults, Outcome, Written};

/// This file's endpoints.
pub static ENDPOINTS: &[Endpoint] = &[
    Endpoint { methods: &["POST", "PUT"], path: "/_bulk", params: PARAMS, run: |call| Box::pin(bulk(call)) },
    Endpoint { methods: &["POST", "PUT"], path: "/{index}/_bulk", params: PARAMS, run: |call| Box::pin(bulk(call)) },
];

/// `timeout`, `wait_for_active_shards` and `require_alias` change nothing on one node.
const PARAMS: &[&str] = &[
    "refresh",
    "timeout",
    "routing",
    "wait_for_active_shards",
    "require_alias",
    "require_data_stream",
    "_source",
    "_source_includes",
    "_source_excludes",
    "_source_include",
    "_source_exclude",
    "pipeline",
    "list_executed_pipelines",
    "type",
];

/// Bytes of the answer for one item, about.
const ITEM_BYTES: usize = 200;

async fn bulk(call: Call) -> Result<Reply> {
    let began = Instant::now();
    content_type(&call)?;
    if let Some(pipeline) = call.query.text("pipeline").filter(|pipeline| !pipeline.is_empty() && *pipeline != "_none")
    {
        return Err(Error::illegal_argument(format!("pipeline with id [{pipeline}] does not exist")));
    }
    let refresh = refresh(&call)?;
    let defaults = Defaults {
        index: call.part("index").map(str::to_owned),
        routing: call.query.text("routing").map(str::to_owned),
    };
    if let Some(steps) = mixed::steps(&call.body) {
        return mixed::run(&call, steps, defaults, refresh, began).await;
    }
    let store = &call.context.store;
    let written = store.bulk(call.body.clone(), defaults).await?;
    if refresh {
        make_visible(&call.context, &written).await?;
    }
    let took = began.elapsed().as_millis() as u64;
    let filter = call.query.text("filter_path").map(items_filter);
    let mut reply = Reply::raw(200, render(&written, took, filter.unwrap_or(Items::All)));
    reply.filtered = matches!(filter, Some(Items::Short | Items::ErrorsOnly));
    Ok(reply)
}

/// Refuses what Elasticsearch refuses; a type that is missing is taken for NDJSON.
fn content_type(call: &Call) -> Result<()> {
    let Some(given) = call.header(hyper::header::CONTENT_TYPE) else { return Ok(()) };
    let bare = given.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let known = bare.is_empty()
        || matches!(bare.as_str(), "application/json" | "application/x-ndjson" | "application/ndjson")
        || (bare.starts_with("application/vnd.elasticsearch+") && bare.ends_with("json"));
    if known {
        return Ok(());
    }
    Err(Error::new(406, "media_type_header_exception", format!("Content-Type header [{given}] is not supported")))
}

/// Whether the answer waits until searches see the documents.
pub(super) fn refresh(call: &Call) -> Result<bool> {
    match call.query.text("refresh") {
        None | Some("false") => Ok(false),
        Some("" | "true" | "wait_for") => Ok(true),
        Some(other) => Err(Error::illegal_argument(format!("Unknown value for refresh: [{other}]."))),
    }
}

/// Makes what was written visible.
pub(super) async fn make_visible(context: &Arc<Context>, written: &Written) -> Result<()> {
    let store = Arc::clone(&context.store);
    let indices = written.indices();
    tokio::task::spawn_blocking(move || store.refresh(&indices)).await.map_err(Error::internal)?
}

/// What of the items is wanted.
#[derive(Clone, Copy)]
enum Items {
    All,
    /// Logstash's: status and error.
    Short,
    /// Whether there were errors, and nothing else.
    ErrorsOnly,
    /// Anything else is cut out of the whole answer later.
    Other,
}

fn items_filter(filter: &str) -> Items {
    match filter {
        "errors,items.*.error,items.*.status" | "errors,items.*.status,items.*.error" => Items::Short,
        "errors" => Items::ErrorsOnly,
        _ => Items::Other,
    }
}

fn render(written: &Written, took: u64, items: Items) -> String {
    let errors = written.outcomes.iter().any(|outcome| outcome.error.is_some());
    let mut out = String::with_capacity(64 + written.outcomes.len() * ITEM_BYTES);
    match items {
        Items::ErrorsOnly => return format!("{{\"errors\":{errors}}}"),
        Items::Short => put(&mut out, format_args!("{{\"errors\":{errors},\"items\":[")),
        Items::All | Items::Other => put(&mut out, format_args!("{{\"errors\":{errors},\"took\":{took},\"items\":[")),
    }
    for (n, (action, outcome)) in written.actions.iter().zip(&written.outcomes).enumerate() {
        if n > 0 {
            out.push(',');
        }
        let name = action.kind.name();
        match items {
            Items::Short => {
                put(&mut out, format_args!("{{\"{name}\":{{\"status\":{}", outcome.status));
                if let Some(error) = &outcome.error {
                    put(&mut out, format_args!(",\"error\":{}", error.object()));
                }
            }
            _ => {
                put(&mut out, format_args!("{{\"{name}\":{{"));
                item(&mut out, written, action, outcome);
            }
        }
        out.push_str("}}");
    }
    out.push_str("]}");
    out
}

pub(super) fn item(out: &mut String, written: &Written, action: &Action, outcome: &Outcome) {
    out.push_str("\"_index\":");
    quote(out, written.index_name(action));
    out.push_str(",\"_id\":");
    match written.id(action, outcome) {
        Some(id) => quote(out, &id),
        None => out.push_str("null"),
    }
    match &outcome.error {
        Some(error) => put(out, format_args!(",\"status\":{},\"error\":{}", outcome.status, error.object())),
        None => {
            document(out, outcome);
            put(out, format_args!(",\"status\":{}", outcome.status));
        }
    }
}

/// `_version` … `_primary_term`, as items and single documents share them.
pub(super) fn document(out: &mut String, outcome: &Outcome) {
    put(
        out,
        format_args!(
            ",\"_version\":{},\"result\":\"{}\",\"_shards\":{{\"total\":1,\"successful\":1,\"failed\":0}},\"_seq_no\":{},\"_primary_term\":1",
            outcome.version, outcome.result, outcome.seq
        ),
    );
}

pub(super) fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = out.write_fmt(text);
}

/// A JSON string; ids and names rarely need escapes.
pub(super) fn quote(out: &mut String, text: &str) {
    if text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&serde_json::Value::from(text).to_string());
    }
}
