//! What is passed on to the cluster: the request as it came, its path put together anew from the endpoint's parts, and, for
//! readers of some indices or services, made narrower.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::Upstream;
use super::reach::Scope;
use crate::error::{Error, Result};
use crate::http::{Call, Endpoint, JSON, Reply, TEXT, body_of};

/// `Content-Type` of requests with several lines of JSON.
const NDJSON: &str = "application/x-ndjson";
/// Parameters that are worked out here.
const OURS: [&str; 4] = ["pretty", "human", "error_trace", "source_content_type"];
/// Parameters that stand for a query or a part of one.
const QUERY: [&str; 6] = ["q", "df", "default_operator", "lenient", "analyze_wildcard", "analyzer"];
/// Endpoints whose path alone decides what is seen.
const BY_PATH: [&str; 5] =
    ["/_field_caps", "/{index}/_field_caps", "/_cat/indices", "/_cat/indices/{index}", "/_cluster/health"];

/// Passes a request on, within what its sender may see.
///
/// # Errors
/// 403 for what is out of reach or cannot be narrowed; what [`Upstream`] says.
pub(super) async fn pass(upstream: &Arc<Upstream>, endpoint: &Endpoint, call: &Call) -> Result<Reply> {
    let scope = Scope::of(call.context.principal.as_ref());
    let kind = endpoint.path.rsplit('/').next().unwrap_or_default();
    let mut path = path_of(endpoint.path, call, &scope)?;
    let (mut query, mut content_type) = (call.query.0.clone(), JSON);
    query.retain(|(name, _)| !OURS.contains(&name.as_str()));
    let body = match kind {
        "_search" | "_count" => {
            let body = search_body(upstream, &scope, call).await?;
            query.retain(|(name, _)| name != "source");
            if !scope.is_all() {
                if query.iter().any(|(name, _)| name == "scroll") {
                    return Err(not_for_some("scroll", "search_after goes through all hits too"));
                }
                query.retain(|(name, _)| !QUERY.contains(&name.as_str()));
            }
            body
        }
        "_msearch" => {
            content_type = NDJSON;
            query.retain(|(name, _)| name != "index");
            path = path.replace("/_msearch", "").trim_end_matches('/').to_owned() + "/_msearch";
            many(upstream, &scope, call).await?
        }
        _ if scope.is_all() => call.body.clone(),
        _ if BY_PATH.contains(&endpoint.path) && call.body.is_empty() => Bytes::new(),
        _ => return Err(not_for_some(endpoint.path, "_search, _count and _msearch are")),
    };
    let _permit = call.context.search.permit().await?;
    let joiner = if query.is_empty() { "" } else { "?" };
    let answer =
        upstream.send(call.method.clone(), &format!("{path}{joiner}{}", join(&query)), body, content_type).await?;
    let mut reply = Reply::raw(answer.status, answer.body);
    if let crate::http::Body::Full(bytes) = &reply.body
        && !bytes.starts_with(b"{")
        && !bytes.starts_with(b"[")
    {
        reply.content_type = TEXT;
    }
    if let Some(wait) = answer.retry_after {
        reply.headers.push((hyper::header::RETRY_AFTER, wait.as_secs().into()));
    }
    // The cluster has filtered already; a second time would change nothing, and cost.
    reply.filtered = true;
    Ok(reply)
}

fn not_for_some(what: &str, instead: &str) -> Error {
    let reason = format!("[{what}] is not for readers of some indices or services where a cluster is shown; {instead}");
    Error::new(403, "security_exception", reason)
}

/// The endpoint's path with the call's parts, and with the index expression within reach. `HEAD` and `GET` of a whole
/// cluster are those of what of it is within reach.
fn path_of(pattern: &str, call: &Call, scope: &Scope) -> Result<String> {
    let mut path = String::new();
    // An endpoint without an index is about all of them.
    let everywhere = ["/_search", "/_count", "/_field_caps"].contains(&pattern);
    if everywhere && !scope.is_all() {
        path.push_str(&format!("/{}", encode(&scope.indices("")?)));
    }
    for segment in pattern.split('/').filter(|segment| !segment.is_empty()) {
        path.push('/');
        match segment.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some("index") => path.push_str(&encode(&scope.indices(call.part("index").unwrap_or(""))?)),
            Some(name) => path.push_str(&encode(call.part(name).unwrap_or(""))),
            None => path.push_str(segment),
        }
    }
    if pattern == "/_cat/indices" && !scope.is_all() {
        path.push_str(&format!("/{}", encode(&scope.indices("")?)));
    }
    Ok(path)
}

/// The body of `_search` or `_count`.
async fn search_body(upstream: &Upstream, scope: &Scope, call: &Call) -> Result<Bytes> {
    let mut body = body_of(call)?;
    if scope.is_all() && body.is_none() {
        return Ok(Bytes::new());
    }
    if !scope.is_all()
        && let Some(q) = call.query.text("q")
    {
        let names = [("df", "default_field"), ("default_operator", "default_operator"), ("analyzer", "analyzer")];
        let mut query = Map::from_iter([("query".to_owned(), json!(q))]);
        query.extend(names.iter().filter_map(|(name, key)| Some(((*key).to_owned(), json!(call.query.text(name)?)))));
        for name in ["lenient", "analyze_wildcard"] {
            if let Some(flag) = call.query.flag(name)? {
                query.insert(name.to_owned(), flag.into());
            }
        }
        let members = body.get_or_insert_with(|| json!({}));
        let members = members.as_object_mut().ok_or_else(|| Error::parsing("Expected [START_OBJECT]"))?;
        members.insert("query".to_owned(), json!({ "query_string": query }));
    }
    let index = scope.indices(call.part("index").unwrap_or(""))?;
    let body = scope.body(upstream, &index, body.unwrap_or_else(|| json!({}))).await?;
    Ok(body.to_string().into())
}

/// The body of `_msearch`: each search within reach.
async fn many(upstream: &Upstream, scope: &Scope, call: &Call) -> Result<Bytes> {
    let text = std::str::from_utf8(&call.body).map_err(|_| Error::parsing("the body is not UTF-8"))?;
    let lines: Vec<&str> = text.split('\n').map(str::trim).collect();
    let lines = &lines[..lines.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1)];
    let read = |line: &&str| -> Result<Value> {
        if line.is_empty() {
            return Ok(json!({}));
        }
        serde_json::from_str(line).map_err(|e| Error::parsing(format!("a line of _msearch cannot be read: {e}")))
    };
    let mut out = String::new();
    for pair in lines.chunks(2) {
        let (mut head, body) = (read(&pair[0])?, pair.get(1).map_or_else(|| Ok(json!({})), read)?);
        let members = head.as_object_mut().ok_or_else(|| Error::parsing("Expected [START_OBJECT]"))?;
        let named = members.remove("index").or_else(|| members.remove("indices"));
        let index = match &named {
            Some(Value::String(one)) => one.clone(),
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
            _ => call.part("index").or(call.query.text("index")).unwrap_or("").to_owned(),
        };
        let index = scope.indices(&index)?;
        let body = scope.body(upstream, &index, body).await?;
        members.insert("index".to_owned(), index.into());
        out.push_str(&format!("{head}\n{body}\n"));
    }
    Ok(out.into())
}

/// Query parameters as text.
fn join(query: &[(String, String)]) -> String {
    let one = |(name, value): &(String, String)| format!("{}={}", encode(name), encode(value));
    query.iter().map(one).collect::<Vec<_>>().join("&")
}

/// Percent-encodes all that has a meaning in a path or a query.
pub(super) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'*' | b',' => out.push(byte as char),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_meaning_is_encoded() {
        assert_eq!(encode("logs-*,a/b?c=d&e f%"), "logs-*,a%2Fb%3Fc%3Dd%26e%20f%25");
        let pairs = [("a".to_owned(), "b&c".to_owned()), ("d".to_owned(), String::new())];
        assert_eq!(join(&pairs), "a=b%26c&d=");
    }
}
