//! What helps to write searches: `_validate/query` and `_analyze`.

use serde_json::{Value, json};

use super::search::{blocking, choice, shards, uri_query};
use super::{Call, Endpoint, Reply};
use crate::error::{Error, Result};
use crate::mapping::EsType;
use crate::query::plan::{Planner, tokens};
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
    Endpoint { methods: &["GET", "POST"], path: "/_analyze", params: &["index"], run: |call| Box::pin(analyze(call)) },
    Endpoint { methods: &["GET", "POST"], path: "/{index}/_analyze", params: &[], run: |call| Box::pin(analyze(call)) },
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
                answer["error"] = format!("{}: {}", e.kind, e.reason).into();
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
            each.push((part.index_name.to_string(), planned.map(|p| format!("{p:?}"))));
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

async fn analyze(call: Call) -> Result<Reply> {
    let body = call
        .json()?
        .ok_or_else(|| Error::new(400, "parse_exception", "request body or source parameter is required"))?;
    let map = body.as_object().ok_or_else(|| Error::parsing("Expected [START_OBJECT]"))?;
    let (mut texts, mut analyzer, mut field): (Vec<&str>, _, _) = (Vec::new(), None, None);
    for (key, value) in map {
        match (key.as_str(), value) {
            ("text", Value::String(s)) => texts.push(s),
            ("text", Value::Array(list)) => texts.extend(list.iter().filter_map(Value::as_str)),
            ("analyzer", Value::String(s)) => analyzer = Some(s.clone()),
            ("tokenizer", Value::String(s)) if matches!(s.as_str(), "standard" | "whitespace" | "keyword") => {
                analyzer = Some(s.clone())
            }
            ("field", Value::String(s)) => field = Some(s),
            ("filter" | "char_filter", Value::Array(list)) if list.is_empty() => {}
            ("filter", Value::Array(list))
                if list.iter().all(|f| f == "lowercase") && map.get("tokenizer") == Some(&"standard".into()) => {}
            ("explain", Value::Bool(false)) => {}
            _ => return Err(Error::illegal_argument(format!("[_analyze] [{key}] with [{value}] is not supported"))),
        }
    }
    if texts.is_empty() {
        return Err(crate::query::Refusal::validation("text is missing").into());
    }
    if let (Some(field), Some(index)) = (field, call.part("index").or(call.query.text("index"))) {
        let indices = call.context.store.resolve(index, crate::store::Choice::default())?;
        let kind = indices.first().and_then(|i| i.mapping().resolve(field)).map(|f| f.es_type);
        if kind.is_some_and(|k| k != EsType::Text) {
            analyzer = Some("keyword".into());
        }
    }
    let mut out = Vec::new();
    let (mut before, mut position) = (0, 0);
    for text in texts {
        let found = tokens(text, analyzer.as_deref()).map_err(|_| {
            Error::illegal_argument(format!(
                "failed to find global analyzer [{}]",
                analyzer.clone().unwrap_or_default()
            ))
        })?;
        let mut last = 0;
        for token in found {
            // Offsets count UTF-16 units, as in Java.
            let units = |end: usize| text.get(..end).map_or(end, |t| t.encode_utf16().count());
            let kind = if analyzer.as_deref() == Some("keyword") || analyzer.as_deref() == Some("whitespace") {
                "word"
            } else if token.text.bytes().all(|b| b.is_ascii_digit()) {
                "<NUM>"
            } else {
                "<ALPHANUM>"
            };
            last = token.position;
            out.push(json!({
                "token": token.text,
                "start_offset": before + units(token.offset_from),
                "end_offset": before + units(token.offset_to),
                "type": kind,
                "position": position + token.position,
            }));
        }
        before += text.encode_utf16().count() + 1;
        position += last + 101;
    }
    Ok(Reply::json(&json!({"tokens": out})))
}
