//! KQL in a request's queries, in terms of Elasticsearch's own: the `kql` query is new there and not known elsewhere.

use serde_json::{Map, Value, json};

use crate::query::ast::{Bool, Kind, Style};
use crate::query::{Query, Refusal};

/// Puts other terms for each `kql` query of a search's body: of its query, its filter, its aggregations.
///
/// # Errors
/// KQL that cannot be read.
pub fn resolve(body: &mut Value) -> Result<(), Refusal> {
    for key in ["query", "post_filter"] {
        if let Some(query) = body.get_mut(key) {
            in_query(query)?;
        }
    }
    for key in ["aggs", "aggregations"] {
        if let Some(aggs) = body.get_mut(key) {
            in_aggs(aggs)?;
        }
    }
    Ok(())
}

fn each(value: &mut Value, change: fn(&mut Value) -> Result<(), Refusal>) -> Result<(), Refusal> {
    match value {
        Value::Array(list) => list.iter_mut().try_for_each(change),
        one => change(one),
    }
}

/// In a query and in those that it is made of.
fn in_query(query: &mut Value) -> Result<(), Refusal> {
    let Some((name, inner)) = query.as_object_mut().and_then(|members| members.iter_mut().next()) else {
        return Ok(());
    };
    let inside: &[&str] = match name.as_str() {
        "kql" => {
            let read = crate::query::dsl::parse(&json!({"kql": inner}))?;
            *query = terms(&read)?;
            return Ok(());
        }
        "bool" => &["must", "should", "must_not", "filter"],
        "constant_score" => &["filter"],
        "dis_max" => &["queries"],
        "boosting" => &["positive", "negative"],
        "nested" | "function_score" => &["query"],
        _ => return Ok(()),
    };
    for key in inside {
        if let Some(queries) = inner.get_mut(*key) {
            each(queries, in_query)?;
        }
    }
    Ok(())
}

fn in_aggs(aggs: &mut Value) -> Result<(), Refusal> {
    let Some(aggs) = aggs.as_object_mut() else { return Ok(()) };
    for agg in aggs.values_mut() {
        for (kind, inner) in agg.as_object_mut().into_iter().flatten() {
            match kind.as_str() {
                "filter" => in_query(inner)?,
                "filters" | "adjacency_matrix" => match inner.get_mut("filters") {
                    Some(Value::Object(named)) => named.values_mut().try_for_each(in_query)?,
                    Some(list) => each(list, in_query)?,
                    None => {}
                },
                "aggs" | "aggregations" => in_aggs(inner)?,
                _ => {}
            }
        }
    }
    Ok(())
}

/// A query as KQL makes it, in the DSL.
fn terms(query: &Query) -> Result<Value, Refusal> {
    let field = |name: &str, field: &str, value: Value| json!({ name: { field: value } });
    Ok(match &query.kind {
        Kind::MatchAll => json!({"match_all": {}}),
        Kind::Exists { field } => json!({"exists": {"field": field}}),
        Kind::Match { field: name, text } => field("match", name, json!({"query": text.value, "lenient": true})),
        Kind::Phrase { field: name, text } => field("match_phrase", name, json!({"query": text.value})),
        Kind::Wildcard { field: name, value, .. } => field("wildcard", name, json!({"value": value})),
        Kind::MultiMatch { fields, style, text, .. } => {
            let fields: Vec<&str> = fields.iter().map(|(field, _)| field.as_str()).collect();
            let style = if *style == Style::Phrase { "phrase" } else { "best_fields" };
            json!({"multi_match": {"query": text.value, "fields": fields, "type": style, "lenient": true}})
        }
        Kind::Text(text) => json!({"query_string": {"query": text.source, "fields": ["*"], "lenient": true}}),
        Kind::Range(range) => {
            let ends = [(&range.from, "gte", "gt"), (&range.to, "lte", "lt")];
            let ends = ends.into_iter().filter_map(|(end, closed, open)| {
                let (value, included) = end.as_ref()?;
                Some(((if *included { closed } else { open }).to_owned(), value.clone()))
            });
            field("range", &range.field, Value::Object(ends.collect()))
        }
        Kind::Bool(Bool { must, should, must_not, filter, .. }) => {
            let mut members = Map::new();
            for (name, queries) in [("must", must), ("should", should), ("must_not", must_not), ("filter", filter)] {
                if !queries.is_empty() {
                    let queries = queries.iter().map(terms).collect::<Result<Vec<_>, _>>()?;
                    members.insert(name.to_owned(), queries.into());
                }
            }
            json!({ "bool": members })
        }
        _ => return Err(Refusal::internal("KQL was read as what it does not say")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kql_is_said_in_the_engines_own_terms() {
        let mut body = json!({
            "query": {"bool": {"filter": [
                {"range": {"@timestamp": {"gte": 1}}},
                {"kql": {"query": "service.name: web and not (status >= 500 or message: \"a b\")"}},
            ]}},
            "aggs": {
                "errors": {"filter": {"kql": {"query": "log.level: err*"}}, "aggs": {
                    "both": {"filters": {"filters": {"a": {"kql": {"query": "timeout"}}, "b": {"match": {"kql": {"query": "x"}}}}}}}},
            },
        });
        resolve(&mut body).unwrap();
        let web = json!({"match": {"service.name": {"query": "web", "lenient": true}}});
        let either = json!([{"range": {"status": {"gte": "500"}}}, {"match_phrase": {"message": {"query": "a b"}}}]);
        let expected = json!({"bool": {"must": [web, {"bool": {"must_not": [{"bool": {"should": either}}]}}]}});
        assert_eq!(body["query"]["bool"]["filter"][1], expected);
        assert_eq!(body["aggs"]["errors"]["filter"], json!({"wildcard": {"log.level": {"value": "err*"}}}));
        let filters = &body["aggs"]["errors"]["aggs"]["both"]["filters"]["filters"];
        let words = json!({"query": "timeout", "fields": ["*"], "type": "best_fields", "lenient": true});
        assert_eq!(filters["a"], json!({ "multi_match": words }));
        assert_eq!(filters["b"], json!({"match": {"kql": {"query": "x"}}}), "a field of this name");
        assert!(resolve(&mut json!({"query": {"kql": {"query": "a: ("}}})).is_err());
        let mut any = json!({"query": {"kql": {"query": "pay*"}}, "post_filter": {"kql": {"query": ""}}});
        resolve(&mut any).unwrap();
        assert_eq!(any["query"]["query_string"]["query"], "pay*");
        assert_eq!(any["post_filter"], json!({"match_all": {}}));
    }
}
