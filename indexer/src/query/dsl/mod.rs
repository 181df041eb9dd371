//! Elasticsearch's query DSL: JSON → [`Query`]. What is not known is refused by name, never passed over.

mod compound;
mod read;
mod term;
mod text;

pub use read::{boolean, integer, members, number, string};
pub use text::{blank, from_uri};

use serde_json::Value;

use super::ast::{Kind, MAX_CLAUSES, MAX_DEPTH, Query};
use super::refusal::Refusal;

/// Reads a query.
pub fn parse(value: &Value) -> Result<Query, Refusal> {
    let query = query(value, 0)?;
    let mut clauses = 0usize;
    query.walk(&mut |_| clauses += 1);
    if clauses > MAX_CLAUSES {
        return Err(Refusal::shard(format!("maxClauseCount is set to {MAX_CLAUSES}")));
    }
    Ok(query)
}

/// Reads a query that stands `depth` queries deep.
fn query(value: &Value, depth: usize) -> Result<Query, Refusal> {
    if depth > MAX_DEPTH {
        return Err(Refusal::argument(format!(
            "The nested depth of the query exceeds the maximum nested depth for bool queries set in \
             [indices.query.bool.max_nested_depth], which is [{MAX_DEPTH}]"
        )));
    }
    let Some(map) = value.as_object() else {
        return Err(Refusal::parsing("[_na] query malformed, must start with start_object"));
    };
    let mut entries = map.iter();
    let Some((name, body)) = entries.next() else {
        return Err(Refusal::argument("query malformed, empty clause found"));
    };
    if entries.next().is_some() {
        return Err(Refusal::parsing(format!(
            "[{name}] malformed query, expected [END_OBJECT] but found [FIELD_NAME]"
        )));
    }
    let object = body.is_object();
    if !object && known(name) {
        return Err(Refusal::parsing(format!("[{name}] query malformed, no start_object after query name")));
    }
    match name.as_str() {
        "match_all" => plain(name, body, Kind::MatchAll),
        "match_none" => plain(name, body, Kind::MatchNone),
        "match" => text::match_(body),
        "match_phrase" => text::phrase(body, false),
        "match_phrase_prefix" => text::phrase(body, true),
        "match_bool_prefix" => text::bool_prefix(body),
        "multi_match" => text::multi_match(body),
        "query_string" => text::query_string(body),
        "simple_query_string" => text::simple_query_string(body),
        "kql" => text::kql(body),
        "term" => term::term(body),
        "terms" => term::terms(body),
        "terms_set" => term::terms_set(body),
        "range" => term::range(body),
        "exists" => term::exists(body),
        "prefix" => term::pattern(name, body, |field, value, any_case| Kind::Prefix { field, value, any_case }),
        "wildcard" => term::pattern(name, body, |field, value, any_case| Kind::Wildcard { field, value, any_case }),
        "regexp" => term::regexp(body),
        "fuzzy" => term::fuzzy(body),
        "ids" => term::ids(body),
        "bool" => compound::bool_(body, depth),
        "constant_score" => compound::constant_score(body, depth),
        "dis_max" => compound::dis_max(body, depth),
        "boosting" => compound::boosting(body, depth),
        "nested" => compound::nested(body, depth),
        _ => Err(Refusal::parsing(format!("unknown query [{name}]"))),
    }
}

fn known(name: &str) -> bool {
    const NAMES: [&str; 25] = [
        "match_all",
        "match_none",
        "match",
        "match_phrase",
        "match_phrase_prefix",
        "match_bool_prefix",
        "multi_match",
        "query_string",
        "simple_query_string",
        "term",
        "terms",
        "terms_set",
        "range",
        "exists",
        "prefix",
        "wildcard",
        "regexp",
        "fuzzy",
        "ids",
        "bool",
        "constant_score",
        "dis_max",
        "boosting",
        "nested",
        "kql",
    ];
    NAMES.contains(&name)
}

fn plain(name: &str, body: &Value, kind: Kind) -> Result<Query, Refusal> {
    let mut query = Query::from(kind);
    for (key, value) in members(name, body)? {
        if !read::common(&mut query, key, value)? {
            return Err(read::unknown(name, key));
        }
    }
    Ok(query)
}

#[cfg(test)]
mod tests;
