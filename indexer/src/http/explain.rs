//! `_explain`: whether a document fits a query, and with which score.

use serde_json::json;

use super::doc::{SourceFilter, look_up, readable};
use super::search::{blocking, uri_query};
use super::{Call, Endpoint, Reply};
use crate::error::{Error, Result};
use crate::query::dsl;
use crate::search::explain;

/// This file's endpoints.
pub static ENDPOINTS: &[Endpoint] = &[Endpoint {
    methods: &["GET", "POST"],
    path: "/{index}/_explain/{id}",
    params: PARAMS,
    run: |call| Box::pin(answer(call)),
}];

const PARAMS: &[&str] = &[
    "q",
    "df",
    "default_operator",
    "analyzer",
    "analyze_wildcard",
    "lenient",
    "preference",
    "routing",
    "stored_fields",
    "_source",
    "_source_includes",
    "_source_excludes",
    "_source_include",
    "_source_exclude",
];

async fn answer(call: Call) -> Result<Reply> {
    let mut query = uri_query(&call.query)?;
    if let Some(body) = call.json()? {
        for (key, value) in body.as_object().into_iter().flatten() {
            if key != "query" {
                return Err(Error::parsing(format!("request does not support [{key}]")));
            }
            query = Some(dsl::parse(value)?);
        }
    }
    let query = query.ok_or_else(|| {
        Error::new(400, "action_request_validation_exception", "Validation Failed: 1: query is missing;")
    })?;
    let (name, id) = (call.part("index").unwrap_or(""), call.part("id").unwrap_or("").to_owned());
    let index = readable(&call, name)?;
    let mut answer = json!({"_index": &*index.name, "_id": id});
    let Some(got) = look_up(&call, &index, &id, call.query.text("routing")).await? else {
        answer["matched"] = false.into();
        return Ok(Reply::raw(404, answer.to_string()));
    };
    let wants_source = call.query.0.iter().any(|(name, _)| name.starts_with("_source"));
    let filter = SourceFilter::of_query(&call)?;
    let explanation = blocking(&call.context, move |context| {
        let mut query = query;
        super::search::look_up(context, &mut query)?;
        let view = context.store.view(std::slice::from_ref(&index))?;
        for part in &view.parts {
            if let Some(address) = part.find_ids(&[&id])?.first() {
                return explain::of(part, *address, &query, crate::time::now());
            }
        }
        Ok(None)
    })
    .await?;
    answer["matched"] = explanation.is_some().into();
    answer["explanation"] =
        explanation.unwrap_or_else(|| json!({"value": 0.0, "description": "no matching term", "details": []}));
    if wants_source {
        let mut shown = json!({"_seq_no": got.seq, "_primary_term": 1, "found": true});
        if let Some(source) = filter.apply(&got.source)? {
            shown["_source"] = source;
        }
        answer["get"] = shown;
    }
    Ok(Reply::json(&answer))
}
