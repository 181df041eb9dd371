//! Queries made of queries: bool, constant_score, dis_max, boosting, nested.

use serde_json::Value;

use super::query;
use super::read::{boolean, common, members, number, string, unknown};
use crate::query::ast::{Bool, Kind, Minimum, Query};
use crate::query::refusal::Refusal;

fn list(what: &str, key: &str, value: &Value, depth: usize) -> Result<Vec<Query>, Refusal> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Object(_) => Ok(vec![query(value, depth + 1)?]),
        Value::Array(list) => list.iter().map(|v| query(v, depth + 1)).collect(),
        _ => Err(unknown(what, key)),
    }
}

pub(super) fn bool_(body: &Value, depth: usize) -> Result<Query, Refusal> {
    const WHAT: &str = "bool";
    let mut out = Query::none();
    let mut b = Bool::default();
    for (key, value) in members(WHAT, body)? {
        match key.as_str() {
            "must" => b.must = list(WHAT, key, value, depth)?,
            "should" => b.should = list(WHAT, key, value, depth)?,
            "must_not" | "mustNot" => b.must_not = list(WHAT, key, value, depth)?,
            "filter" => b.filter = list(WHAT, key, value, depth)?,
            "minimum_should_match" if value.is_null() => {}
            "minimum_should_match" => {
                b.minimum = Some(
                    Minimum::parse(value)
                        .ok_or_else(|| Refusal::number(&string(WHAT, key, value).unwrap_or_default()))?,
                );
            }
            "adjust_pure_negative" => {
                if !boolean(WHAT, key, value)? {
                    return Err(Refusal::unsupported("[bool] with [adjust_pure_negative] false"));
                }
            }
            "boost" if value.is_null() => {}
            _ if common(&mut out, key, value)? => {}
            _ => return Err(unknown(WHAT, key)),
        }
    }
    out.kind = Kind::Bool(b);
    Ok(out)
}

pub(super) fn constant_score(body: &Value, depth: usize) -> Result<Query, Refusal> {
    const WHAT: &str = "constant_score";
    let mut out = Query::none();
    let mut inner = None;
    for (key, value) in members(WHAT, body)? {
        match key.as_str() {
            "filter" if value.is_array() => {
                return Err(Refusal::parsing("unexpected token [START_ARRAY]"));
            }
            "filter" => inner = Some(query(value, depth + 1)?),
            _ if common(&mut out, key, value)? => {}
            _ => return Err(unknown(WHAT, key)),
        }
    }
    let inner = inner.ok_or_else(|| Refusal::parsing("[constant_score] requires a 'filter' element"))?;
    out.kind = Kind::ConstantScore(Box::new(inner));
    Ok(out)
}

pub(super) fn dis_max(body: &Value, depth: usize) -> Result<Query, Refusal> {
    const WHAT: &str = "dis_max";
    let mut out = Query::none();
    let (mut queries, mut tie_breaker) = (None, 0.0);
    for (key, value) in members(WHAT, body)? {
        match key.as_str() {
            "queries" => queries = Some(list(WHAT, key, value, depth)?),
            "tie_breaker" => tie_breaker = number(WHAT, key, value)? as f32,
            _ if common(&mut out, key, value)? => {}
            _ => return Err(unknown(WHAT, key)),
        }
    }
    let queries =
        queries.ok_or_else(|| Refusal::parsing("[dis_max] requires 'queries' field with at least one clause"))?;
    out.kind = Kind::DisMax { queries, tie_breaker };
    Ok(out)
}

pub(super) fn boosting(body: &Value, depth: usize) -> Result<Query, Refusal> {
    const WHAT: &str = "boosting";
    let mut out = Query::none();
    let (mut positive, mut negative, mut negative_boost) = (None, None, None);
    for (key, value) in members(WHAT, body)? {
        match key.as_str() {
            "positive" => positive = Some(query(value, depth + 1)?),
            "negative" => negative = Some(query(value, depth + 1)?),
            "negative_boost" => negative_boost = Some(number(WHAT, key, value)? as f32),
            _ if common(&mut out, key, value)? => {}
            _ => return Err(unknown(WHAT, key)),
        }
    }
    let need = |what: &str| Refusal::parsing(format!("[boosting] query requires '{what}' to be set"));
    out.kind = Kind::Boosting {
        positive: Box::new(positive.ok_or_else(|| need("positive query"))?),
        negative: Box::new(negative.ok_or_else(|| need("negative query"))?),
        negative_boost: negative_boost.filter(|b| *b >= 0.0).ok_or_else(|| {
            Refusal::parsing("[boosting] query requires 'negative_boost' to be set to be a positive value")
        })?,
    };
    Ok(out)
}

pub(super) fn nested(body: &Value, depth: usize) -> Result<Query, Refusal> {
    const WHAT: &str = "nested";
    let mut out = Query::none();
    let (mut inner, mut path) = (None, None);
    for (key, value) in members(WHAT, body)? {
        match key.as_str() {
            "query" => inner = Some(query(value, depth + 1)?),
            "path" => path = Some(string(WHAT, key, value)?),
            // Objects are flat here: there is one score for the document, and a path always "is".
            "score_mode" => {
                string(WHAT, key, value)?;
            }
            "ignore_unmapped" => {
                boolean(WHAT, key, value)?;
            }
            "inner_hits" => return Err(Refusal::unsupported("[nested] [inner_hits]")),
            _ if common(&mut out, key, value)? => {}
            _ => return Err(unknown(WHAT, key)),
        }
    }
    if path.is_none() {
        return Err(Refusal::argument("[nested] requires 'path' field"));
    }
    let inner = inner.ok_or_else(|| Refusal::argument("[nested] requires 'query' field"))?;
    out.kind = Kind::Nested(Box::new(inner));
    Ok(out)
}
