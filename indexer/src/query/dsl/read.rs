//! Reading members of JSON objects as leniently as Elasticsearch does: numbers and bools may come as text.

use serde_json::{Map, Value};

use crate::query::ast::Query;
use crate::query::refusal::Refusal;

/// The members of an object.
pub fn members<'a>(what: &str, value: &'a Value) -> Result<&'a Map<String, Value>, Refusal> {
    value
        .as_object()
        .ok_or_else(|| Refusal::parsing(format!("[{what}] query malformed, no start_object after query name")))
}

/// An option that a query does not have.
pub fn unknown(what: &str, key: &str) -> Refusal {
    Refusal::parsing(format!("[{what}] query does not support [{key}]"))
}

/// A text; numbers and bools are taken as their text.
pub fn string(what: &str, key: &str, value: &Value) -> Result<String, Refusal> {
    match value {
        Value::String(s) => Ok(s.clone()),
        Value::Number(n) => Ok(n.to_string()),
        Value::Bool(b) => Ok(b.to_string()),
        _ => Err(bad(what, key, value)),
    }
}

/// A number; a text of one is taken too.
pub fn number(what: &str, key: &str, value: &Value) -> Result<f64, Refusal> {
    let n = match value {
        Value::Number(n) => n.as_f64(),
        Value::String(s) => s.trim().parse().ok(),
        _ => None,
    };
    n.filter(|n| n.is_finite()).ok_or_else(|| bad(what, key, value))
}

/// A whole number; a text of one is taken too.
pub fn integer(what: &str, key: &str, value: &Value) -> Result<i64, Refusal> {
    let n = match value {
        Value::Number(n) => {
            n.as_i64().or_else(|| n.as_f64().filter(|f| f.fract() == 0.0 && f.abs() < 9e15).map(|f| f as i64))
        }
        Value::String(s) => s.trim().parse().ok(),
        _ => None,
    };
    n.ok_or_else(|| bad(what, key, value))
}

/// A whole number from 0 to what fits u32.
pub fn small(what: &str, key: &str, value: &Value) -> Result<u32, Refusal> {
    u32::try_from(integer(what, key, value)?)
        .map_err(|_| Refusal::argument(format!("[{what}] [{key}] must not be negative or too large, found [{value}]")))
}

/// A bool; `"true"` and `"false"` are taken too.
pub fn boolean(what: &str, key: &str, value: &Value) -> Result<bool, Refusal> {
    match value {
        Value::Bool(b) => Ok(*b),
        Value::String(s) if s == "true" => Ok(true),
        Value::String(s) if s == "false" || s.is_empty() => Ok(false),
        Value::String(s) => {
            Err(Refusal::argument(format!("Failed to parse value [{s}] as only [true] or [false] are allowed.")))
        }
        _ => Err(bad(what, key, value)),
    }
}

fn bad(what: &str, key: &str, value: &Value) -> Refusal {
    let mut shown = value.to_string();
    if shown.len() > 100 {
        let end = (0..=100).rev().find(|i| shown.is_char_boundary(*i)).unwrap_or(0);
        shown.truncate(end);
    }
    Refusal::parsing(format!("[{what}] failed to parse field [{key}]: [{shown}]"))
}

/// Takes `boost` and `_name`; says whether the key was one of them.
pub fn common(query: &mut Query, key: &str, value: &Value) -> Result<bool, Refusal> {
    match key {
        "boost" => {
            let boost = number("query", key, value)?;
            if boost < 0.0 {
                return Err(Refusal::argument(format!(
                    "negative [boost] are not allowed in [{}], use a value between 0 and 1 to deboost",
                    boost
                )));
            }
            query.boost = boost as f32;
        }
        "_name" => query.name = Some(string("query", key, value)?),
        _ => return Ok(false),
    }
    Ok(true)
}

/// The one field of a query like `{"term": {"field": …}}` and its body, beside `boost` and `_name`.
pub fn field<'a>(what: &str, body: &'a Value, query: &mut Query) -> Result<(String, &'a Value), Refusal> {
    let mut found: Option<(&String, &Value)> = None;
    for (key, value) in members(what, body)? {
        if matches!(key.as_str(), "boost" | "_name") && !value.is_object() && common(query, key, value)? {
            continue;
        }
        if let Some((first, _)) = found {
            return Err(Refusal::parsing(format!(
                "[{what}] query doesn't support multiple fields, found [{first}] and [{key}]"
            )));
        }
        found = Some((key, value));
    }
    match found {
        Some((name, value)) if !name.is_empty() => Ok((name.clone(), value)),
        _ => Err(Refusal::argument("field name is null or empty")),
    }
}
