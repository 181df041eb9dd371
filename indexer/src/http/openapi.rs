//! `GET /api/openapi.json`: this API as an OpenAPI 3.1 document, made of the list of endpoints, so that it tells neither
//! more nor less than what is answered.

use serde_json::{Map, Value, json};

use super::{COMMON, Call, Endpoint, Reply};
use crate::error::Result;

/// This file's endpoints.
pub static ENDPOINTS: &[Endpoint] =
    &[Endpoint { methods: &["GET"], path: "/api/openapi.json", params: &[], run: |call| Box::pin(openapi(call)) }];

/// Query parameters that are true or false; one without a value is true.
const FLAGS: [&str; 43] = [
    "allow_no_indices",
    "allow_partial_search_results",
    "analyze_wildcard",
    "ccs_minimize_roundtrips",
    "create",
    "error_trace",
    "explain",
    "flat_settings",
    "help",
    "human",
    "ignore_throttled",
    "ignore_unavailable",
    "include_defaults",
    "include_segment_file_sizes",
    "include_type_name",
    "include_unloaded_segments",
    "include_unmapped",
    "keep_on_completion",
    "lenient",
    "list_executed_pipelines",
    "local",
    "preserve_existing",
    "pretty",
    "pri",
    "realtime",
    "request_cache",
    "require_alias",
    "require_data_stream",
    "rest_total_hits_as_int",
    "rewrite",
    "seq_no_primary_term",
    "track_scores",
    "ts",
    "typed_keys",
    "update_all_types",
    "v",
    "wait_for_completion",
    "wait_for_no_initializing_shards",
    "wait_for_no_relocating_shards",
    "wait_if_ongoing",
    "write_index_only",
    "all_shards",
    "accept_enterprise",
];
/// Query parameters that are whole numbers.
const NUMBERS: [&str; 16] = [
    "batched_reduce_size",
    "before",
    "from",
    "if_primary_term",
    "if_seq_no",
    "max_concurrent_searches",
    "max_concurrent_shard_requests",
    "max_docs",
    "order",
    "pre_filter_shard_size",
    "retry_on_conflict",
    "scroll_size",
    "size",
    "terminate_after",
    "to",
    "after",
];

async fn openapi(_: Call) -> Result<Reply> {
    Ok(Reply::json(&document()))
}

/// The document.
pub fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for endpoint in super::ENDPOINTS.iter().copied().flatten() {
        let operations = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        for method in endpoint.methods {
            operations[method.to_ascii_lowercase()] = operation(endpoint, method);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "weir",
            "description": "The indexer of weir: the part of Elasticsearch's API that log search needs, and weir's own.",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "paths": paths,
        "components": {"schemas": {"Error": {
            "type": "object",
            "required": ["error", "status"],
            "properties": {
                "status": {"type": "integer"},
                "error": {
                    "type": "object",
                    "required": ["type", "reason", "root_cause"],
                    "properties": {
                        "type": {"type": "string"}, "reason": {"type": "string"}, "root_cause": {"type": "array"},
                    },
                },
            },
        }}},
    })
}

fn operation(endpoint: &Endpoint, method: &str) -> Value {
    let path = endpoint.path;
    let in_path = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut parameters: Vec<Value> = in_path
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string", "minLength": 1}}))
        .collect();
    for name in endpoint.params.iter().chain(&COMMON) {
        let schema = if FLAGS.contains(name) {
            json!({"type": "boolean"})
        } else if NUMBERS.contains(name) {
            json!({"type": "integer"})
        } else {
            json!({"type": "string"})
        };
        parameters.push(json!({"name": name, "in": "query", "required": false, "schema": schema}));
    }
    let name: Vec<&str> =
        path.split('/').map(|part| part.trim_matches(['_', '{', '}'])).filter(|p| !p.is_empty()).collect();
    let error = json!({"description": "refused", "content": {"application/json": {
        "schema": {"$ref": "#/components/schemas/Error"}}}});
    let mut operation = json!({
        "operationId": format!("{}-{}", method.to_ascii_lowercase(), if name.is_empty() { "root".to_owned() } else { name.join("-") }),
        "tags": [if path.starts_with("/api/") { "weir" } else { "elasticsearch" }],
        "parameters": parameters,
        "responses": {
            "200": {"description": "done"},
            "201": {"description": "made"},
            "4XX": error,
            "503": {"description": "not at the moment"},
        },
    });
    if matches!(method, "POST" | "PUT") {
        let lines = path.ends_with("/_bulk") || path.ends_with("/_msearch");
        let content = if lines {
            json!({"application/x-ndjson": {"schema": {"type": "string"}}})
        } else {
            json!({"application/json": {"schema": {"type": "object"}}})
        };
        operation["requestBody"] = json!({"required": false, "content": content});
    }
    operation
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_endpoint_is_in_it_once() {
        let document = document();
        let mut names = std::collections::BTreeSet::new();
        for endpoint in super::super::ENDPOINTS.iter().copied().flatten() {
            for method in endpoint.methods {
                let operation = &document["paths"][endpoint.path][method.to_ascii_lowercase()];
                let name = operation["operationId"].as_str().unwrap_or_default().to_owned();
                assert!(!name.is_empty(), "{method} {}", endpoint.path);
                names.insert((endpoint.path, name));
                let listed: Vec<&str> = operation["parameters"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .filter(|parameter| parameter["in"] == "query")
                    .map(|parameter| parameter["name"].as_str().unwrap())
                    .collect();
                assert!(endpoint.params.iter().all(|name| listed.contains(name)), "{method} {}", endpoint.path);
            }
        }
        let operations =
            super::super::ENDPOINTS.iter().copied().flatten().map(|endpoint| endpoint.methods.len()).sum::<usize>();
        assert_eq!(names.len(), operations, "an endpoint is listed twice");
    }

    #[test]
    fn kinds_of_parameters_are_of_parameters_that_there_are() {
        let known: Vec<&str> =
            super::super::ENDPOINTS.iter().copied().flatten().flat_map(|e| e.params).chain(&COMMON).copied().collect();
        for name in FLAGS.iter().chain(&NUMBERS) {
            assert!(known.contains(name), "no endpoint has the parameter {name}");
        }
    }
}
