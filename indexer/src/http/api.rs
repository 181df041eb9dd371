//! weir's own endpoints, for people and the web page: the lines around one, values of a field; and what those of the
//! other files are asked with.
//!
//! `index` says where (default: every index), `query` is a query as `_search` takes it, `q` is KQL (or Lucene with
//! `lang=lucene`).

use serde_json::{Map, Value, json};

use super::search::blocking;
use super::{Call, Endpoint, Reply};
use crate::error::{Error, Result};
use crate::query::{Query, Refusal, dsl, kql};
use crate::search::budget::Budget;
use crate::search::fetch::{self, Wanted};
use crate::search::request::{Request, Track};
use crate::search::{context, run};
use crate::store::Choice;
use crate::time::now;

/// This file's endpoints.
pub static ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        methods: &["GET"],
        path: "/api/context/{id}",
        params: &["index", "within", "before", "after"],
        run: |call| Box::pin(around(call)),
    },
    Endpoint {
        methods: &["GET", "POST"],
        path: "/api/fields/{name}/values",
        params: &["index", "query", "q", "lang", "size"],
        run: |call| Box::pin(values(call)),
    },
];

/// Most lines before and after one.
const AROUND_MAX: usize = 500;
/// Most patterns and values in an answer.
const LISTED_MAX: usize = 1_000;
/// Where, and what is asked.
pub(crate) struct Asked {
    pub(crate) index: String,
    pub(crate) query: Query,
    /// The same query in the terms of `_search`, for whoever else is to answer it.
    pub(crate) json: Value,
    /// Things wanted, within [`LISTED_MAX`].
    pub(crate) size: usize,
    /// Ends of the time wanted beside the query, in milliseconds since 1970.
    pub(crate) from: Option<i64>,
    pub(crate) to: Option<i64>,
}

/// Reads parameters, or members of a body.
pub(crate) fn asked(call: &Call) -> Result<Asked> {
    let mut members = Map::new();
    if let Some(Value::Object(map)) = call.json()? {
        members = map;
    }
    for (name, value) in &call.query.0 {
        members.insert(name.clone(), value.clone().into());
    }
    let (query, json) = (Query::all(), json!({"match_all": {}}));
    let mut asked = Asked { index: "_all".to_string(), query, json, size: 10, from: None, to: None };
    let lucene = members.get("lang").and_then(Value::as_str) == Some("lucene");
    for (key, value) in &members {
        match (key.as_str(), value) {
            ("index", Value::String(s)) => asked.index.clone_from(s),
            ("size", v) => asked.size = dsl::integer("api", key, v)?.clamp(1, LISTED_MAX as i64) as usize,
            ("query", Value::String(s)) => {
                let value =
                    serde_json::from_str(s).map_err(|e| Error::parsing(format!("[query] is not valid JSON: {e}")))?;
                asked.query = dsl::parse(&value)?;
                asked.json = value;
            }
            ("query", Value::Null) => {}
            ("query", v) => {
                asked.query = dsl::parse(v)?;
                asked.json = v.clone();
            }
            ("q", Value::String(s)) if lucene => {
                asked.query = dsl::from_uri(s, &[])?;
                asked.json = json!({"query_string": {"query": s}});
            }
            ("q", Value::String(s)) => {
                asked.query = kql::parse(s)?;
                asked.json = json!({"kql": {"query": s}});
            }
            ("from", v) => asked.from = Some(dsl::integer("api", key, v)?),
            ("to", v) => asked.to = Some(dsl::integer("api", key, v)?),
            ("lang" | "pretty" | "human" | "filter_path" | "error_trace" | "format", _) => {}
            _ => return Err(Error::illegal_argument(format!("unknown parameter [{key}]"))),
        }
    }
    Ok(asked)
}

pub(super) const LENIENT: Choice = Choice { ignore_unavailable: true, allow_no_indices: true };

/// What `/api/context` is asked for: a document's id, where it is, and how many lines before and after it.
pub(crate) fn around_of(call: &Call) -> Result<(String, String, usize, usize)> {
    let id = call.part("id").unwrap_or("").to_string();
    let index = call.query.text("index").unwrap_or("_all").to_string();
    let number = |name: &str| -> Result<usize> {
        Ok(call.query.number(name)?.unwrap_or(50).clamp(0, AROUND_MAX as i64) as usize)
    };
    Ok((id, index, number("before")?, number("after")?))
}

async fn around(call: Call) -> Result<Reply> {
    let (id, index, before, after) = around_of(&call)?;
    let within = call.query.text("within").map(str::to_owned);
    let shown = id.clone();
    let answer = blocking(&call.context, move |ctx| {
        let view = ctx.store.search_view(&index, LENIENT)?;
        let Some(found) = context::around(&view, &id, within.as_deref(), before, after)? else { return Ok(None) };
        let hits = |list: &[_]| -> std::result::Result<Value, Refusal> {
            let hits = fetch::hits(&view, list, &[], false, false, &Wanted::default(), None, now())?;
            serde_json::to_value(hits).map_err(|e| Refusal::internal(e.to_string()))
        };
        let line = hits(std::slice::from_ref(&found.line))?;
        Ok(Some(json!({"before": hits(&found.before)?, "hit": line.get(0), "after": hits(&found.after)?})))
    })
    .await?;
    match answer {
        Some(answer) => Ok(Reply::json(&answer)),
        None => {
            Err(Error::new(404, "resource_not_found_exception", format!("there is no document with the id [{shown}]")))
        }
    }
}

async fn values(call: Call) -> Result<Reply> {
    let Asked { index, query, size, .. } = asked(&call)?;
    let field = call.part("name").unwrap_or("").to_string();
    let aggs = crate::aggs::parse::parse(&json!({"values": {"terms": {"field": field, "size": size}}}))?;
    let answer = blocking(&call.context, move |ctx| {
        let view = ctx.store.search_view(&index, LENIENT)?;
        let request = Request { query, size: 0, track: Track::All, aggs, ..Request::default() };
        let outcome = run::run(&view, &request, false, now(), &Budget::new(None, None))?;
        let found = outcome.aggs.unwrap_or_default();
        let buckets = found["values"]["buckets"].as_array().cloned().unwrap_or_default();
        let list: Vec<Value> = buckets
            .iter()
            .map(|b| json!({"value": b.get("key_as_string").unwrap_or(&b["key"]), "count": b["doc_count"]}))
            .collect();
        Ok(json!({"field": field, "total": outcome.total, "other": found["values"]["sum_other_doc_count"], "values": list}))
    })
    .await?;
    Ok(Reply::json(&answer))
}
