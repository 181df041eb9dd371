//! `_validate/query`: whether a query can be read, and what it becomes.

use serde_json::{Value, json};

use super::search::{blocking, choice, shards, uri_query};
use super::{Call, Endpoint, Reply};
use crate::error::{Error, Result};
use crate::query::ast::Kind;
use crate::query::plan::Planner;
use crate::query::{Query, dsl};

/// This file's endpoints.
pub static ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        methods: &["GET", "POST"],
        path: "/_validate/query",
        params: VALIDATE,
        run: |call| Box::pin(validate(call)),
    },
    Endpoint {
        methods: &["GET", "POST"],
        path: "/{index}/_validate/query",
        params: VALIDATE,
        run: |call| Box::pin(validate(call)),
    },
];

const VALIDATE: &[&str] = &[
    "allow_no_indices",
    "all_shards",
    "analyze_wildcard",
    "analyzer",
    "default_operator",
    "df",
    "expand_wildcards",
    "explain",
    "ignore_unavailable",
    "lenient",
    "q",
    "rewrite",
];

async fn validate(call: Call) -> Result<Reply> {
    let explain = call.query.flag("explain")?.unwrap_or(false);
    let mut parsed = uri_query(&call.query);
    match call.json() {
        Err(e) => parsed = Err(e),
        Ok(None) => {}
        Ok(Some(body)) => {
            for (key, value) in body.as_object().into_iter().flatten() {
                parsed = if key == "query" {
                    dsl::parse(value).map(Some).map_err(Error::from)
                } else {
                    Err(Error::parsing(format!("request does not support [{key}]")))
                };
                if parsed.is_err() {
                    break;
                }
            }
        }
    }
    let query = match parsed {
        Ok(q) => q.unwrap_or_else(Query::all),
        Err(e) => {
            let mut answer = json!({"valid": false});
            if explain {
                answer["error"] = format!("{}: {}", java_name(e.kind), e.reason).into();
            }
            return Ok(Reply::json(&answer));
        }
    };
    let choice = choice(&call.query)?;
    let expression = call.part("index").unwrap_or("_all").to_string();
    let (shards, each) = blocking(&call.context, move |context| {
        let view = context.store.search_view(&expression, choice)?;
        let mut each = Vec::new();
        for part in &view.parts {
            let planned = Planner::new(part, crate::time::now()).plan(&query);
            let shown = |p| if matches!(query.kind, Kind::MatchAll) { "*:*".to_owned() } else { format!("{p:?}") };
            each.push((part.index_name.to_string(), planned.map(shown)));
        }
        Ok((shards(&view), each))
    })
    .await?;
    let valid = each.iter().all(|(_, p)| p.is_ok());
    let mut answer = json!({"_shards": shards, "valid": valid});
    if explain {
        let explanations: Vec<Value> = each
            .into_iter()
            .map(|(index, planned)| match planned {
                Ok(text) => json!({"index": index, "valid": true, "explanation": text}),
                Err(e) => json!({"index": index, "valid": false, "error": e.to_string()}),
            })
            .collect();
        answer["explanations"] = explanations.into();
    }
    Ok(Reply::json(&answer))
}

/// Elasticsearch tells the name of its class here: `org.elasticsearch.common.ParsingException`.
fn java_name(kind: &str) -> String {
    let camel: String = kind
        .split('_')
        .map(|word| {
            word.chars().enumerate().map(|(n, c)| if n == 0 { c.to_ascii_uppercase() } else { c }).collect::<String>()
        })
        .collect();
    let package = if kind == "parsing_exception" { "org.elasticsearch.common." } else { "" };
    format!("{package}{camel}")
}
