//! What a reader of some indices or services may ask of a cluster that knows nothing of them: an index expression that
//! stays within reach, and a body of known members with the services' condition laid over its query.

use serde_json::{Map, Value, json};

use super::Upstream;
use crate::access::{Principal, Reach, Role};
use crate::aggs::ast::{Agg, Kind as AggKind};
use crate::error::{Error, Result};
use crate::mapping::wildcard;
use crate::query::ast::Kind;
use crate::query::{Query, Refusal, dsl};

/// The field that says whose a document is.
const SERVICE: &str = "service.name";

/// Members of a search's body that can show no more than what the query finds. `suggest`, `knn`, `pit`, `collapse`, scripts
/// and others of the sort look elsewhere too.
const MEMBERS: [&str; 21] = [
    "_source",
    "aggregations",
    "aggs",
    "docvalue_fields",
    "fields",
    "from",
    "highlight",
    "min_score",
    "post_filter",
    "query",
    "search_after",
    "seq_no_primary_term",
    "size",
    "sort",
    "stored_fields",
    "terminate_after",
    "timeout",
    "track_scores",
    "track_total_hits",
    "version",
    "stats",
];

/// What somebody may see of the cluster.
#[derive(Clone)]
pub struct Scope(Option<Reach>);

impl Scope {
    /// Of somebody; nobody sees everything where nobody needs to say who they are.
    pub fn of(who: Option<&Principal>) -> Self {
        let narrow = |who: &&Principal| who.role != Role::Admin && !who.reach.is_all();
        Self(who.filter(narrow).map(|who| who.reach.clone()))
    }

    /// Whether it is all.
    pub fn is_all(&self) -> bool {
        self.0.is_none()
    }

    /// An index expression that stays within reach. Patterns shrink to what of them is; names are refused.
    ///
    /// # Errors
    /// 403 for what is out of reach, or reaches out of it in a way that cannot be said as an expression.
    pub fn indices(&self, expression: &str) -> Result<String> {
        let Some(reach) = self.0.as_ref().filter(|reach| !reach.indices.is_empty()) else {
            return Ok(if expression.is_empty() { "*".to_owned() } else { expression.to_owned() });
        };
        let mut within = Vec::new();
        for part in expression.split(',').map(str::trim) {
            let part = if part.is_empty() || part == "_all" { "*" } else { part };
            if part.contains([':', '<']) {
                // Another cluster's index, or a name that only the cluster works out.
                return Err(out_of_reach(part));
            } else if part.starts_with('-') && !within.is_empty() {
                within.push(part.to_owned());
            } else if reach.indices.iter().any(|pattern| wildcard(pattern, part)) {
                // A pattern of ours that fits this one letter for letter fits whatever this one stands for.
                within.push(part.to_owned());
            } else if part.contains('*') {
                let inside: Vec<&String> = reach.indices.iter().filter(|pattern| wildcard(part, pattern)).collect();
                if inside.is_empty() {
                    return Err(out_of_reach(part));
                }
                within.extend(inside.into_iter().cloned());
            } else {
                return Err(out_of_reach(part));
            }
        }
        Ok(within.join(","))
    }

    /// A body with KQL in the engine's terms and the services' condition over its query.
    ///
    /// # Errors
    /// What cannot be read, and 403 for what could look past the query.
    pub async fn body(&self, upstream: &Upstream, index: &str, mut body: Value) -> Result<Value> {
        super::kql::resolve(&mut body)?;
        let Some(reach) = &self.0 else { return Ok(body) };
        let members = body.as_object_mut().ok_or_else(|| Error::parsing("Expected [START_OBJECT]"))?;
        check(members)?;
        if !reach.services.is_empty() {
            let query = members.remove("query").unwrap_or_else(|| json!({"match_all": {}}));
            let only = only(exact(upstream, index).await?, &reach.services);
            members.insert("query".to_owned(), json!({"bool": {"must": [query], "filter": [only]}}));
        }
        Ok(body)
    }
}

fn out_of_reach(what: &str) -> Error {
    Error::new(403, "security_exception", format!("the index [{what}] is not, or not only, within your reach"))
}

/// Refuses what could look past the query.
fn check(members: &Map<String, Value>) -> Result<()> {
    if let Some(name) = members.keys().find(|name| !MEMBERS.contains(&name.as_str())) {
        let reason = format!("[{name}] is not for readers of some indices or services where a cluster is shown");
        return Err(Error::new(403, "security_exception", reason));
    }
    let mut see = |query: &mut Query| match &query.kind {
        Kind::TermsLookup { .. } => {
            Err(Refusal::argument("a [terms] lookup is not for readers of some indices or services"))
        }
        _ => Ok(()),
    };
    // What our own reader knows, and nothing else, goes through: it refuses what it does not know.
    for key in ["query", "post_filter"] {
        if let Some(query) = members.get(key) {
            dsl::parse(query)?.walk_mut(&mut see)?;
        }
    }
    for key in ["aggs", "aggregations"] {
        if let Some(aggs) = members.get(key) {
            for agg in &mut crate::aggs::parse::parse(aggs)? {
                agg.walk_queries(&mut see)?;
                no_global(agg)?;
            }
        }
    }
    Ok(())
}

fn no_global(agg: &Agg) -> Result<()> {
    if matches!(agg.kind, AggKind::Global) {
        let reason = "a [global] aggregation is not for readers of some indices or services";
        return Err(Error::new(403, "security_exception", reason));
    }
    agg.subs.iter().try_for_each(no_global)
}

/// The field in which whole names of services can be compared: a field of words would show `web-admin` to who may see `web`.
async fn exact(upstream: &Upstream, index: &str) -> Result<&'static str> {
    let path = format!(
        "/{}/_field_caps?fields={SERVICE}&ignore_unavailable=true&allow_no_indices=true",
        super::pass::encode(index)
    );
    let caps = upstream.json(hyper::Method::GET, &path, bytes::Bytes::new()).await?;
    let whole = caps["fields"][SERVICE].as_object().is_some_and(|types| {
        types.keys().all(|kind| matches!(kind.as_str(), "keyword" | "constant_keyword" | "wildcard" | "unmapped"))
    });
    Ok(if whole { SERVICE } else { "service.name.keyword" })
}

/// The query that finds the documents of some services.
fn only(field: &str, services: &[String]) -> Value {
    let one = |service: &String| match service.contains('*') {
        // A reach knows `*` alone.
        true => json!({"wildcard": {field: {"value": service.replace('\\', "\\\\").replace('?', "\\?")}}}),
        false => json!({"term": {field: {"value": service}}}),
    };
    let should: Vec<Value> = services.iter().map(one).collect();
    json!({"bool": {"should": should, "minimum_should_match": 1}})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(indices: &[&str], services: &[&str]) -> Scope {
        let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Scope(Some(Reach { indices: list(indices), services: list(services) }))
    }

    #[test]
    fn expressions_stay_within_reach() {
        let some = scope(&["logs-a*", "audit"], &[]);
        for (asked, sent) in [
            ("", "logs-a*,audit"),
            ("_all", "logs-a*,audit"),
            ("logs-*", "logs-a*"),
            ("logs-a", "logs-a"),
            ("logs-ab*,-logs-abc", "logs-ab*,-logs-abc"),
            ("audit", "audit"),
        ] {
            assert_eq!(some.indices(asked).unwrap(), sent, "{asked}");
        }
        for asked in [
            "logs-b",
            "logs-b*",
            "*-a",
            "logs-a,logs-b",
            "<logs-a{now/d}>",
            ".security",
            "logs-a:secret",
            "-x",
            "-x,logs-a",
        ] {
            assert_eq!(some.indices(asked).unwrap_err().status, 403, "{asked}");
        }
        assert_eq!(scope(&[], &["web"]).indices("any*").unwrap(), "any*");
    }

    #[test]
    fn what_looks_past_the_query_is_refused() {
        let refused = |body: Value| check(body.as_object().unwrap()).is_err();
        assert!(!refused(json!({"query": {"match": {"message": "x"}}, "aggs": {"a": {"terms": {"field": "b"}}}})));
        for body in [
            json!({"suggest": {}}),
            json!({"knn": {}}),
            json!({"pit": {"id": "x"}}),
            json!({"query": {"terms": {"a": {"index": "secret", "id": "1", "path": "b"}}}}),
            json!({"query": {"more_like_this": {"like": [{"_index": "secret", "_id": "1"}]}}}),
            json!({"aggs": {"a": {"terms": {"field": "b"}, "aggs": {"all": {"global": {}}}}}}),
            json!({"aggs": {"all": {"global": {}}}}),
            json!({"aggs": {"a": {"significant_terms": {"field": "b"}}}}),
            json!({"post_filter": {"has_child": {"type": "x", "query": {"match_all": {}}}}}),
        ] {
            assert!(refused(body.clone()), "{body}");
        }
    }
}
