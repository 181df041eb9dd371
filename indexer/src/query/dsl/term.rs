//! Queries on exact values: term, terms, terms_set, range, exists, prefix, wildcard, regexp, fuzzy, ids.

use serde_json::Value;

use super::read::{boolean, common, field, integer, members, small, string, unknown};
use crate::query::ast::{Edits, Fuzz, Kind, MAX_REGEX_CHARS, MAX_TERMS, Minimum, Query, Range, Required};
use crate::query::refusal::Refusal;

pub(super) fn term(body: &Value) -> Result<Query, Refusal> {
    let mut query = Query::none();
    let (field, body) = field("term", body, &mut query)?;
    let (mut found, mut any_case) = (None, false);
    match body {
        Value::Object(map) => {
            for (key, value) in map {
                match key.as_str() {
                    "value" | "term" => found = Some(scalar("term", key, value)?),
                    "case_insensitive" => any_case = boolean("term", key, value)?,
                    _ if common(&mut query, key, value)? => {}
                    _ => return Err(unknown("term", key)),
                }
            }
        }
        Value::Array(_) => return Err(Refusal::parsing("[term] query does not support array of values")),
        value => found = Some(scalar("term", "value", value)?),
    }
    let value = found.ok_or_else(|| Refusal::argument("value cannot be null"))?;
    query.kind = Kind::Term { field, value, any_case };
    Ok(query)
}

fn scalar(what: &str, key: &str, value: &Value) -> Result<Value, Refusal> {
    match value {
        Value::Null => Err(Refusal::argument("value cannot be null")),
        Value::Array(_) | Value::Object(_) => Err(unknown(what, key)),
        value => Ok(value.clone()),
    }
}

fn values(what: &str, value: &Value) -> Result<Vec<Value>, Refusal> {
    let Some(list) = value.as_array() else {
        return Err(Refusal::parsing(format!("[{what}] query does not support lookups: a list of values is needed")));
    };
    if list.len() > MAX_TERMS {
        return Err(Refusal::shard_argument(format!(
            "The number of terms [{}] used in the Terms Query request has exceeded the allowed maximum of [{MAX_TERMS}]. \
             This maximum can be set by changing the [index.max_terms_count] index level setting.",
            list.len()
        )));
    }
    list.iter()
        .map(|v| match v {
            Value::Null => Err(Refusal::parsing("No value specified for terms query")),
            Value::Array(_) | Value::Object(_) => {
                Err(Refusal::parsing(format!("[{what}] query does not support nested values")))
            }
            v => Ok(v.clone()),
        })
        .collect()
}

pub(super) fn terms(body: &Value) -> Result<Query, Refusal> {
    let mut query = Query::none();
    let mut found: Option<(String, Vec<Value>)> = None;
    let mut lookup = None;
    for (key, value) in members("terms", body)? {
        if !value.is_array() && common(&mut query, key, value)? {
            continue;
        }
        if let Some((first, _)) = &found {
            return Err(Refusal::parsing(format!(
                "[terms] query doesn't support multiple fields, found [{first}] and [{key}]"
            )));
        }
        if value.is_object() {
            lookup = Some(self::lookup(key, value)?);
            found = Some((key.clone(), Vec::new()));
            continue;
        }
        found = Some((key.clone(), values("terms", value)?));
    }
    if let Some(kind) = lookup {
        query.kind = kind;
        return Ok(query);
    }
    let (field, values) =
        found.ok_or_else(|| Refusal::parsing("[terms] query requires a field name, followed by array of terms"))?;
    query.kind = Kind::Terms { field, values };
    Ok(query)
}

fn lookup(field: &str, value: &Value) -> Result<Kind, Refusal> {
    let (mut index, mut id, mut path) = (None, None, None);
    for (key, value) in members("terms", value)? {
        match key.as_str() {
            "index" => index = Some(string("terms", key, value)?),
            "id" => id = Some(string("terms", key, value)?),
            "path" => path = Some(string("terms", key, value)?),
            "type" | "routing" => {}
            _ => return Err(Refusal::parsing(format!("[terms] query does not support [{key}] within lookup element"))),
        }
    }
    match (index, id, path) {
        (Some(index), Some(id), Some(path)) => Ok(Kind::TermsLookup { field: field.to_string(), index, id, path }),
        _ => Err(Refusal::argument("[terms] query lookup element requires specifying the index, the id and the path.")),
    }
}

pub(super) fn terms_set(body: &Value) -> Result<Query, Refusal> {
    const WHAT: &str = "terms_set";
    let mut query = Query::none();
    let (field, body) = field(WHAT, body, &mut query)?;
    let (mut list, mut required) = (None, None);
    for (key, value) in members(WHAT, body)? {
        match key.as_str() {
            "terms" => list = Some(values(WHAT, value)?),
            "minimum_should_match_field" => required = Some(Required::Field(string(WHAT, key, value)?)),
            "minimum_should_match" => {
                let m = Minimum::parse(value).ok_or_else(|| Refusal::number(&value.to_string()))?;
                required = Some(Required::Minimum(m));
            }
            "minimum_should_match_script" => {
                return Err(Refusal::unsupported("[terms_set] [minimum_should_match_script]"));
            }
            _ if common(&mut query, key, value)? => {}
            _ => return Err(unknown(WHAT, key)),
        }
    }
    let values = list.ok_or_else(|| Refusal::parsing("[terms_set] query requires [terms]"))?;
    let required = required.ok_or_else(|| Refusal::argument("No minimum should match has been specified"))?;
    query.kind = Kind::TermsSet { field, values, required };
    Ok(query)
}

pub(super) fn range(body: &Value) -> Result<Query, Refusal> {
    const WHAT: &str = "range";
    let mut query = Query::none();
    let (field, body) = field(WHAT, body, &mut query)?;
    let mut range = Range { field, ..Range::default() };
    let (mut include_lower, mut include_upper) = (None, None);
    let end = |key: &str, value: &Value, closed| match value {
        Value::Null => Ok(None),
        Value::Array(_) | Value::Object(_) => Err(unknown(WHAT, key)),
        v => Ok(Some((v.clone(), closed))),
    };
    if !body.is_object() {
        return Err(Refusal::parsing("[range] query malformed, no start_object after field name"));
    }
    for (key, value) in members(WHAT, body)? {
        match key.as_str() {
            "gte" | "from" => range.from = end(key, value, true)?,
            "gt" => range.from = end(key, value, false)?,
            "lte" | "to" => range.to = end(key, value, true)?,
            "lt" => range.to = end(key, value, false)?,
            "include_lower" => include_lower = Some(boolean(WHAT, key, value)?),
            "include_upper" => include_upper = Some(boolean(WHAT, key, value)?),
            "format" => range.format = Some(string(WHAT, key, value)?),
            "time_zone" => range.time_zone = Some(string(WHAT, key, value)?),
            "relation" => match string(WHAT, key, value)?.to_ascii_lowercase().as_str() {
                "intersects" | "contains" | "within" => {}
                other => return Err(Refusal::argument(format!("[range] query does not support relation [{other}]"))),
            },
            _ if common(&mut query, key, value)? => {}
            _ => return Err(unknown(WHAT, key)),
        }
    }
    if let (Some(from), Some(closed)) = (&mut range.from, include_lower) {
        from.1 = closed;
    }
    if let (Some(to), Some(closed)) = (&mut range.to, include_upper) {
        to.1 = closed;
    }
    query.kind = Kind::Range(range);
    Ok(query)
}

pub(super) fn exists(body: &Value) -> Result<Query, Refusal> {
    let mut query = Query::none();
    let mut field = None;
    for (key, value) in members("exists", body)? {
        match key.as_str() {
            "field" => field = Some(string("exists", key, value)?),
            _ if common(&mut query, key, value)? => {}
            _ => return Err(unknown("exists", key)),
        }
    }
    let field =
        field.filter(|f| !f.is_empty()).ok_or_else(|| Refusal::parsing("[exists] must be provided with a [field]"))?;
    query.kind = Kind::Exists { field };
    Ok(query)
}

pub(super) fn pattern(
    what: &str,
    body: &Value,
    make: impl FnOnce(String, String, bool) -> Kind,
) -> Result<Query, Refusal> {
    let mut query = Query::none();
    let (field, body) = field(what, body, &mut query)?;
    let (mut found, mut any_case) = (None, false);
    match body {
        Value::Object(map) => {
            for (key, value) in map {
                match key.as_str() {
                    "value" => found = Some(string(what, key, value)?),
                    "wildcard" | "prefix" if key == what => found = Some(string(what, key, value)?),
                    "case_insensitive" => any_case = boolean(what, key, value)?,
                    "rewrite" => rewrite(value)?,
                    _ if common(&mut query, key, value)? => {}
                    _ => return Err(unknown(what, key)),
                }
            }
        }
        value => found = Some(string(what, "value", value)?),
    }
    let value = found.ok_or_else(|| Refusal::argument("value cannot be null"))?;
    query.kind = make(field, value, any_case);
    Ok(query)
}

/// `rewrite` says how scores are made of many terms; ours are constant, as with the default.
fn rewrite(value: &Value) -> Result<(), Refusal> {
    match value.as_str() {
        Some("constant_score" | "constant_score_boolean" | "constant_score_blended") => Ok(()),
        _ => Err(Refusal::unsupported(format!("[rewrite] with [{value}]"))),
    }
}

pub(super) fn regexp(body: &Value) -> Result<Query, Refusal> {
    const WHAT: &str = "regexp";
    let mut query = Query::none();
    let (field, body) = field(WHAT, body, &mut query)?;
    let (mut found, mut any_case) = (None, false);
    match body {
        Value::Object(map) => {
            for (key, value) in map {
                match key.as_str() {
                    "value" => found = Some(string(WHAT, key, value)?),
                    "case_insensitive" => any_case = boolean(WHAT, key, value)?,
                    "flags" => flags(&string(WHAT, key, value)?)?,
                    "flags_value" => return Err(Refusal::unsupported("[regexp] [flags_value]")),
                    "max_determinized_states" => {
                        integer(WHAT, key, value)?; // Ours are matched without making them deterministic.
                    }
                    "rewrite" => rewrite(value)?,
                    _ if common(&mut query, key, value)? => {}
                    _ => return Err(unknown(WHAT, key)),
                }
            }
        }
        value => found = Some(string(WHAT, "value", value)?),
    }
    let value = found.ok_or_else(|| Refusal::argument("value cannot be null"))?;
    if value.chars().count() > MAX_REGEX_CHARS {
        return Err(Refusal::shard_argument(format!(
            "The length of regex [{}] used in the Regexp Query request has exceeded the allowed maximum of \
             [{MAX_REGEX_CHARS}]. This maximum can be set by changing the [index.max_regex_length] index level setting.",
            value.chars().count()
        )));
    }
    query.kind = Kind::Regexp { field, value, any_case };
    Ok(query)
}

/// The optional operators: `~`, `&`, `<1-2>`, `@`, `#` are not there; only their absence can be asked for by name.
fn flags(text: &str) -> Result<(), Refusal> {
    for flag in text.split('|') {
        if !matches!(
            flag.trim().to_ascii_uppercase().as_str(),
            "ALL" | "NONE" | "" | "EMPTY" | "ANYSTRING" | "COMPLEMENT" | "INTERVAL" | "INTERSECTION"
        ) {
            return Err(Refusal::argument(format!("Unknown regexp flag [{flag}]")));
        }
    }
    Ok(())
}

pub(super) fn fuzzy(body: &Value) -> Result<Query, Refusal> {
    const WHAT: &str = "fuzzy";
    let mut query = Query::none();
    let (field, body) = field(WHAT, body, &mut query)?;
    let mut fuzz = Fuzz { edits: Edits::Auto { low: 3, high: 6 }, prefix: 0, transpositions: true };
    let mut found = None;
    match body {
        Value::Object(map) => {
            for (key, value) in map {
                match key.as_str() {
                    "value" | "term" => found = Some(scalar(WHAT, key, value)?),
                    "fuzziness" => fuzz.edits = edits(value)?,
                    "prefix_length" => fuzz.prefix = small(WHAT, key, value)? as usize,
                    "max_expansions" => {
                        small(WHAT, key, value)?;
                    }
                    "transpositions" => fuzz.transpositions = boolean(WHAT, key, value)?,
                    "rewrite" => rewrite(value)?,
                    _ if common(&mut query, key, value)? => {}
                    _ => return Err(unknown(WHAT, key)),
                }
            }
        }
        Value::Array(_) => return Err(Refusal::parsing("[fuzzy] query does not support array of values")),
        value => found = Some(scalar(WHAT, "value", value)?),
    }
    let value = found.ok_or_else(|| Refusal::argument("query value cannot be null"))?;
    query.kind = Kind::Fuzzy { field, value, fuzz };
    Ok(query)
}

/// Reads `fuzziness`.
pub(super) fn edits(value: &Value) -> Result<Edits, Refusal> {
    let text = string("fuzzy", "fuzziness", value)?;
    Edits::parse(&text).ok_or_else(|| Refusal::argument(format!("Valid edit distances are [0, 1, 2] but was [{text}]")))
}

pub(super) fn ids(body: &Value) -> Result<Query, Refusal> {
    let mut query = Query::none();
    let mut ids = None;
    for (key, value) in members("ids", body)? {
        match key.as_str() {
            "values" => {
                let list = match value {
                    Value::Array(list) => list.iter().collect(),
                    one => vec![one],
                };
                ids = Some(list.iter().map(|v| string("ids", key, v)).collect::<Result<Vec<_>, _>>()?);
            }
            "type" => {} // Mapping types are gone.
            _ if common(&mut query, key, value)? => {}
            _ => return Err(unknown("ids", key)),
        }
    }
    let ids = ids.ok_or_else(|| Refusal::argument("[ids] requires providing [values]"))?;
    if ids.len() > MAX_TERMS {
        return Err(Refusal::argument(format!("[ids] more than [{MAX_TERMS}] values")));
    }
    query.kind = Kind::Ids(ids);
    Ok(query)
}
