//! `weir setup-cluster`: prepares Elasticsearch, OpenSearch or Quickwit for what the aggregator writes: the mapping of an
//! event's fields, and when its indices roll over and are deleted. What it is, it says itself (`GET /`).
//!
//! Elasticsearch and OpenSearch get an index template that makes `logs-weir` and its kin data streams, and a policy
//! (ILM, ISM); Quickwit, which has neither, gets the indices themselves. Sending the same again is harmless.

use clap::Args;
use hyper::Method;
use serde_json::{Value, json};

use crate::http::{self, AccessFlags};

/// Name of template and policy.
const NAME: &str = "weir";
/// The indices that the aggregator writes to by default: lines, what pipelines dropped, dead letters.
const INDICES: [&str; 3] = ["logs-weir", "logs-weir-ledger", "logs-weir-dead"];
/// Above the templates that come with the engines (100 to 200).
const PRIORITY: u32 = 500;
/// A shard of this size is still moved and searched in reasonable time; the engines' makers say 10 to 50 GB.
const SHARD_SIZE: &str = "50gb";
/// Longest text that is kept as one value, in characters: what is longer is found in `message`.
const KEYWORD_CHARS_MAX: u32 = 1_024;

/// Flags of `weir setup-cluster`.
#[derive(Debug, Args)]
pub struct SetupFlags {
    /// A host of the cluster; of Quickwit with the path of its Elasticsearch API, http://quickwit:7280/api/v1/_elastic
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:9200")]
    pub url: String,
    /// Print the requests instead of sending them; the cluster is still asked what it is
    #[arg(long)]
    pub dry_run: bool,
    /// Copies of each shard beside the first
    #[arg(long, default_value_t = 1)]
    pub replicas: u32,
    /// Shards of an index: about one a data node that is to write
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub shards: u32,
    /// Days after which lines are deleted
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    pub retention: u32,
    #[command(flatten)]
    pub access: AccessFlags,
}

/// What answers.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Engine {
    Elasticsearch,
    OpenSearch,
    Quickwit,
    /// weir's own indexer: it takes the template, and has a retention of its own.
    Weir,
}

/// One request to the cluster.
struct Step {
    method: Method,
    /// Beginning with a slash, behind the URL.
    path: String,
    body: Value,
    /// A status, and words of the answer with it, that mean that it was done before.
    done_before: Option<(u16, &'static str)>,
}

/// Asks what the cluster is and sets it up.
///
/// # Errors
/// A sentence for people: who could not be reached, or what was refused.
pub async fn run(flags: &SetupFlags) -> Result<(), String> {
    let base = flags.url.trim_end_matches('/');
    let hello = ask(flags, Method::GET, &format!("{base}/"), None).await?;
    let (engine, version) = recognize(&hello).ok_or_else(|| {
        format!("{base} is none of Elasticsearch, OpenSearch and Quickwit, as far as its hello tells: {hello}")
    })?;
    println!("{base} is {engine:?} {version}");
    for mut step in steps(engine, flags) {
        // Quickwit's own API is beside the one that speaks Elasticsearch's language.
        let base = if engine == Engine::Quickwit { base.trim_end_matches("/api/v1/_elastic") } else { base };
        let url = format!("{base}{}", step.path);
        if flags.dry_run {
            println!("{} {}\n{:#}", step.method, step.path, step.body);
            continue;
        }
        if engine == Engine::OpenSearch && step.path.contains("/_ism/") {
            step.path = replacing(flags, &url, &step.path).await?;
        }
        let url = format!("{base}{}", step.path);
        let (status, answer) = http::ask(&flags.access, step.method.clone(), &url, Some(step.body.to_string())).await?;
        let answer = String::from_utf8_lossy(&answer);
        let said = match status.as_u16() {
            status if step.done_before.is_some_and(|(known, words)| status == known && answer.contains(words)) => {
                "was there already, and is left as it is"
            }
            200..300 => "done",
            status => {
                return Err(format!("{} {url} was answered {status}: {answer}", step.method));
            }
        };
        println!("{} {}: {said}", step.method, step.path);
    }
    if engine == Engine::Weir {
        println!("how long lines are kept is there decided by indexer.retention_days");
    }
    Ok(())
}

async fn ask(flags: &SetupFlags, method: Method, url: &str, body: Option<String>) -> Result<Value, String> {
    let (status, answer) = http::ask(&flags.access, method, url, body).await?;
    let value = serde_json::from_slice(&answer).unwrap_or(Value::Null);
    if !status.is_success() && status.as_u16() != 404 {
        return Err(format!("{url} answered {status}: {}", String::from_utf8_lossy(&answer)));
    }
    Ok(value)
}

/// OpenSearch replaces a policy only for somebody who says which state of it they have seen.
async fn replacing(flags: &SetupFlags, url: &str, path: &str) -> Result<String, String> {
    let there = ask(flags, Method::GET, url, None).await?;
    Ok(match (there["_seq_no"].as_i64(), there["_primary_term"].as_i64()) {
        (Some(number), Some(term)) => format!("{path}?if_seq_no={number}&if_primary_term={term}"),
        _ => path.to_owned(),
    })
}

/// The engine by its hello, and its version.
fn recognize(hello: &Value) -> Option<(Engine, &str)> {
    let version = &hello["version"];
    let number = version["number"].as_str().unwrap_or("of an unknown version");
    let engine = match version["distribution"].as_str() {
        _ if hello.get("weir").is_some() => Engine::Weir,
        Some("opensearch") => Engine::OpenSearch,
        Some("quickwit") => Engine::Quickwit,
        Some(_) => return None,
        None if version.get("build_flavor").is_some() => Engine::Elasticsearch,
        None => return None,
    };
    Some((engine, number))
}

/// What is to be sent, in this order.
fn steps(engine: Engine, flags: &SetupFlags) -> Vec<Step> {
    let put = |path: String, body: Value| Step { method: Method::PUT, path, body, done_before: None };
    let template = put(format!("/_index_template/{NAME}"), template(engine, flags));
    match engine {
        Engine::Weir => vec![template],
        // The policy first: the template names it.
        Engine::Elasticsearch => vec![put(format!("/_ilm/policy/{NAME}"), ilm(flags)), template],
        Engine::OpenSearch => vec![put(format!("/_plugins/_ism/policies/{NAME}"), ism(flags)), template],
        Engine::Quickwit => {
            let create = |index: &&str| Step {
                method: Method::POST,
                path: "/api/v1/indexes".to_owned(),
                body: quickwit(index, flags),
                // 400 is also the answer to a mapping that it does not take.
                done_before: Some((400, "already exist")),
            };
            INDICES.iter().map(create).collect()
        }
    }
}

/// The fields of an event, as an index template maps them. What is not listed is a value, not words.
fn mappings() -> Value {
    let keyword = json!({"type": "keyword", "ignore_above": KEYWORD_CHARS_MAX});
    let of = |name: &str| json!({"properties": {name: &keyword}});
    json!({
        "dynamic_templates": [
            {"texts": {"match_mapping_type": "string", "mapping": &keyword}},
        ],
        "properties": {
            "@timestamp": {"type": "date"},
            "message": {"type": "text"},
            "log": {"properties": {
                "level": &keyword,
                "offset": {"type": "long"},
                "file": of("path"),
            }},
            "stream": &keyword,
            "host": of("name"),
            "container": {"properties": {"id": &keyword, "name": &keyword, "image": of("name")}},
            "service": of("name"),
            "orchestrator": of("namespace"),
            "event": of("dataset"),
            "error": {"properties": {"message": {"type": "text"}}},
            "labels": {"type": "object", "dynamic": true},
            "tags": &keyword,
        },
    })
}

fn template(engine: Engine, flags: &SetupFlags) -> Value {
    let mut settings = json!({
        "number_of_shards": flags.shards,
        "number_of_replicas": flags.replicas,
        "codec": "best_compression",
    });
    if engine == Engine::Elasticsearch {
        settings["lifecycle.name"] = NAME.into();
    }
    let mut template = json!({
        "index_patterns": ["logs-weir", "logs-weir-*"],
        "priority": PRIORITY,
        "template": {"settings": {"index": settings}, "mappings": mappings()},
    });
    // weir's indexer cuts its own partitions, and has no data streams.
    if engine != Engine::Weir {
        template["data_stream"] = json!({});
    }
    template
}

/// Elasticsearch's lifecycle: a new index each day, or when a shard is large; the old one goes after the retention.
fn ilm(flags: &SetupFlags) -> Value {
    json!({"policy": {"phases": {
        "hot": {"actions": {"rollover": {"max_age": "1d", "max_primary_shard_size": SHARD_SIZE}}},
        "delete": {"min_age": format!("{}d", flags.retention), "actions": {"delete": {}}},
    }}})
}

/// The same as OpenSearch says it. It finds its indices itself, by pattern.
fn ism(flags: &SetupFlags) -> Value {
    json!({"policy": {
        "description": "weir: a new index each day or when a shard is large; the old one goes after the retention",
        "default_state": "written",
        "states": [
            {
                "name": "written",
                "actions": [{"rollover": {"min_index_age": "1d", "min_primary_shard_size": SHARD_SIZE}}],
                "transitions": [{
                    "state_name": "deleted",
                    "conditions": {"min_rollover_age": format!("{}d", flags.retention)},
                }],
            },
            {"name": "deleted", "actions": [{"delete": {}}], "transitions": []},
        ],
        "ism_template": [{"index_patterns": ["logs-weir", "logs-weir-*"], "priority": PRIORITY}],
    }})
}

/// An index of Quickwit. Replicas and shards are the business of its storage there.
fn quickwit(index: &str, flags: &SetupFlags) -> Value {
    let value = |name: &str| json!({"name": name, "type": "text", "tokenizer": "raw", "fast": true});
    let object = |name: &str, fields: Value| json!({"name": name, "type": "object", "field_mappings": fields});
    let words = |name: &str| json!({"name": name, "type": "text", "tokenizer": "default", "record": "position"});
    json!({
        "version": "0.8",
        "index_id": index,
        "doc_mapping": {
            // What is not listed is found all the same.
            "mode": "dynamic",
            "dynamic_mapping": {"tokenizer": "raw", "fast": true, "expand_dots": true},
            "timestamp_field": "@timestamp",
            "field_mappings": [
                {"name": "@timestamp", "type": "datetime", "input_formats": ["rfc3339"], "fast": true,
                    "fast_precision": "milliseconds"},
                words("message"),
                object("log", json!([
                    value("level"),
                    {"name": "offset", "type": "u64", "fast": true},
                    object("file", json!([value("path")])),
                ])),
                value("stream"),
                object("host", json!([value("name")])),
                object("container", json!([value("id"), value("name"), object("image", json!([value("name")]))])),
                object("service", json!([value("name")])),
                object("orchestrator", json!([value("namespace")])),
            ],
            "tag_fields": ["service.name"],
        },
        "search_settings": {"default_search_fields": ["message"]},
        "retention": {"period": format!("{} days", flags.retention), "schedule": "hourly"},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_are_known_by_their_hello() {
        let elastic = json!({"version": {"number": "8.19.3", "build_flavor": "default"}});
        let open = json!({"version": {"number": "2.19.0", "distribution": "opensearch", "build_flavor": "x"}});
        let quickwit = json!({"version": {"number": "0.8.2", "distribution": "quickwit"}});
        let weir = json!({"version": {"number": "8.19.3", "build_flavor": "default"}, "weir": {"version": "0.1.0"}});
        assert_eq!(recognize(&elastic), Some((Engine::Elasticsearch, "8.19.3")));
        assert_eq!(recognize(&open), Some((Engine::OpenSearch, "2.19.0")));
        assert_eq!(recognize(&quickwit), Some((Engine::Quickwit, "0.8.2")));
        assert_eq!(recognize(&weir).unwrap().0, Engine::Weir);
        assert_eq!(recognize(&json!({"hello": "world"})), None);
    }
}
