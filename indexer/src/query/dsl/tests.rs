//! What the DSL takes, and in which words it refuses.

use serde_json::{Value, json};

use super::parse;
use crate::query::ast::{Kind, Minimum, Style};

fn reason(body: Value) -> String {
    match parse(&body) {
        Ok(q) => panic!("{body} was taken: {q:?}"),
        Err(r) => format!("{}: {}", r.kind, r.reason),
    }
}

#[test]
fn refusals_name_what_is_wrong() {
    for (body, want) in [
        (json!({"foo": {}}), "parsing_exception: unknown query [foo]"),
        (json!({}), "illegal_argument_exception: query malformed, empty clause found"),
        (json!({"match": {"a": {"query": "x", "bar": 1}}}), "parsing_exception: [match] query does not support [bar]"),
        (
            json!({"match": {"a": "x", "b": "y"}}),
            "parsing_exception: [match] query doesn't support multiple fields, found [a] and [b]",
        ),
        (json!({"exists": "a"}), "parsing_exception: [exists] query malformed, no start_object after query name"),
        (
            json!({"match_all": {}, "term": {}}),
            "parsing_exception: [match_all] malformed query, expected [END_OBJECT] but found [FIELD_NAME]",
        ),
        (json!({"term": {"a": [1]}}), "parsing_exception: [term] query does not support array of values"),
        (json!({"bool": {"must": [{"nope": {}}]}}), "parsing_exception: unknown query [nope]"),
        (json!({"range": {"a": {"gte": 1, "near": 2}}}), "parsing_exception: [range] query does not support [near]"),
        (
            json!({"multi_match": {"query": "x", "fields": []}}),
            "illegal_argument_exception: [multi_match] requires field list",
        ),
        (
            json!({"query_string": {"query": "a OR"}}),
            "query_shard_exception: Failed to parse query [a OR]: Encountered \"<EOF>\" at line 1, column 5",
        ),
    ] {
        assert_eq!(reason(body.clone()), want, "{body}");
    }
    let mut deep = json!({"match_all": {}});
    for _ in 0..40 {
        deep = json!({"bool": {"must": deep}});
    }
    assert!(reason(deep).contains("max_nested_depth"));
}

#[test]
fn clauses_may_be_one_object_or_a_list() {
    let q = parse(&json!({"bool": {"filter": {"bool": {"must": {"exists": {"field": "a"}}}},
        "should": [{"match_all": {}}, {"match_none": {}}], "minimum_should_match": "50%", "must": null}}))
    .unwrap();
    let Kind::Bool(b) = q.kind else { panic!("{q:?}") };
    assert_eq!((b.filter.len(), b.should.len(), b.must.len()), (1, 2, 0));
    assert_eq!(b.minimum, Some(Minimum::Percent(50)));
}

#[test]
fn old_names_of_a_range() {
    let q = parse(&json!({"range": {"t": {"from": 1, "to": null, "include_lower": false, "boost": 2}}})).unwrap();
    assert_eq!(q.boost, 2.0);
    let Kind::Range(r) = q.kind else { panic!("{:?}", q.kind) };
    assert_eq!((r.from, r.to), (Some((json!(1), false)), None));
}

#[test]
fn multi_match_reads_weights() {
    let q = parse(&json!({"multi_match": {"query": "x", "type": "phrase", "fields": ["a^2.5", "b"]}})).unwrap();
    let Kind::MultiMatch { fields, style, .. } = q.kind else { panic!("{:?}", q.kind) };
    assert_eq!(fields, [("a".into(), 2.5), ("b".into(), 1.0)]);
    assert_eq!(style, Style::Phrase);
}
