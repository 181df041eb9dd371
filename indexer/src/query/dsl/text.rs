//! Queries on analysed text: the match family, multi_match, query_string, simple_query_string.

use serde_json::Value;

use super::read::{boolean, common, field, members, number, small, string, unknown};
use super::term::edits;
use crate::query::ast::{Edits, Fuzz, Kind, MAX_CLAUSES, Minimum, Node, Query, Style, Text, TextQuery};
use crate::query::refusal::Refusal;
use crate::query::{lucene, simple};

/// Takes one option of the match family; says whether it was one.
fn text_option(what: &str, text: &mut Text, key: &str, value: &Value) -> Result<bool, Refusal> {
    let fuzz = |text: &mut Text| -> Fuzz {
        text.fuzz.clone().unwrap_or(Fuzz { edits: Edits::Fixed(0), prefix: 0, transpositions: true })
    };
    match key {
        "query" => {
            text.value = match value {
                Value::String(_) | Value::Number(_) | Value::Bool(_) => value.clone(),
                Value::Null => return Err(Refusal::argument(format!("[{what}] requires query value"))),
                _ => return Err(Refusal::parsing(format!("[{what}] unknown token [START_OBJECT] after [query]"))),
            }
        }
        "operator" => {
            text.all = match string(what, key, value)?.to_ascii_lowercase().as_str() {
                "and" => true,
                "or" => false,
                other => {
                    return Err(Refusal::argument(format!(
                        "No enum constant org.elasticsearch.index.query.Operator.{other}"
                    )));
                }
            }
        }
        "minimum_should_match" => text.minimum = Some(minimum(what, key, value)?),
        "fuzziness" => text.fuzz = Some(Fuzz { edits: edits(value)?, ..fuzz(text) }),
        "prefix_length" => text.fuzz = Some(Fuzz { prefix: small(what, key, value)? as usize, ..fuzz(text) }),
        "fuzzy_transpositions" => text.fuzz = Some(Fuzz { transpositions: boolean(what, key, value)?, ..fuzz(text) }),
        "fuzzy_rewrite" => {
            string(what, key, value)?;
        }
        "max_expansions" => {
            text.max_expansions = small(what, key, value)?;
            if text.max_expansions == 0 {
                return Err(Refusal::argument(format!("[{what}] requires maxExpansions to be positive, found [0]")));
            }
        }
        "analyzer" => text.analyzer = Some(string(what, key, value)?),
        "zero_terms_query" => {
            text.zero_terms_all = match string(what, key, value)?.to_ascii_lowercase().as_str() {
                "all" => true,
                "none" => false,
                other => return Err(Refusal::parsing(format!("Unsupported zero_terms_query value [{other}]"))),
            }
        }
        "lenient" => text.lenient = boolean(what, key, value)?,
        "slop" => text.slop = small(what, key, value)?,
        // Both change only how the score or an analyzer with synonyms works.
        "auto_generate_synonyms_phrase_query" => {
            boolean(what, key, value)?;
        }
        "cutoff_frequency" => {
            number(what, key, value)?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn minimum(what: &str, key: &str, value: &Value) -> Result<Minimum, Refusal> {
    let shown = string(what, key, value)?;
    Minimum::parse(value).ok_or_else(|| Refusal::number(&shown))
}

/// Reads `{field: text}` or `{field: {query: text, …}}`, allowing the options that `allowed` names.
fn field_text(what: &str, body: &Value, allowed: &[&str], query: &mut Query) -> Result<(String, Text), Refusal> {
    let (field, body) = field(what, body, query)?;
    let mut text = Text::new(Value::Null);
    match body {
        Value::Object(map) => {
            for (key, value) in map {
                let ok =
                    (key == "query" || allowed.contains(&key.as_str())) && text_option(what, &mut text, key, value)?;
                if !ok && !common(query, key, value)? {
                    return Err(unknown(what, key));
                }
            }
        }
        Value::Array(_) => {
            return Err(Refusal::parsing(format!("[{what}] unknown token [START_ARRAY] after [{field}]")));
        }
        value => text.value = value.clone(),
    }
    if text.value.is_null() {
        return Err(Refusal::argument(format!("[{what}] requires query value")));
    }
    if text.fuzz.as_ref().is_some_and(|f| f.edits == Edits::Fixed(0)) {
        text.fuzz = None;
    }
    Ok((field, text))
}

pub(super) fn match_(body: &Value) -> Result<Query, Refusal> {
    const ALLOWED: [&str; 12] = [
        "operator",
        "minimum_should_match",
        "fuzziness",
        "prefix_length",
        "fuzzy_transpositions",
        "fuzzy_rewrite",
        "max_expansions",
        "analyzer",
        "zero_terms_query",
        "lenient",
        "auto_generate_synonyms_phrase_query",
        "cutoff_frequency",
    ];
    let mut query = Query::none();
    let (field, text) = field_text("match", body, &ALLOWED, &mut query)?;
    query.kind = Kind::Match { field, text };
    Ok(query)
}

pub(super) fn phrase(body: &Value, prefix: bool) -> Result<Query, Refusal> {
    let mut query = Query::none();
    if prefix {
        let allowed = ["analyzer", "slop", "max_expansions", "zero_terms_query"];
        let (field, text) = field_text("match_phrase_prefix", body, &allowed, &mut query)?;
        query.kind = Kind::PhrasePrefix { field, text };
    } else {
        let (field, text) = field_text("match_phrase", body, &["analyzer", "slop", "zero_terms_query"], &mut query)?;
        query.kind = Kind::Phrase { field, text };
    }
    Ok(query)
}

pub(super) fn bool_prefix(body: &Value) -> Result<Query, Refusal> {
    const ALLOWED: [&str; 8] = [
        "operator",
        "minimum_should_match",
        "fuzziness",
        "prefix_length",
        "fuzzy_transpositions",
        "fuzzy_rewrite",
        "max_expansions",
        "analyzer",
    ];
    let mut query = Query::none();
    let (field, text) = field_text("match_bool_prefix", body, &ALLOWED, &mut query)?;
    query.kind = Kind::BoolPrefix { field, text };
    Ok(query)
}

/// Reads `["a", "b^2"]` (and, where Elasticsearch takes it, one text).
pub(super) fn weighted_fields(what: &str, value: &Value, one: bool) -> Result<Vec<(String, f32)>, Refusal> {
    let list: Vec<&Value> = match value {
        Value::Array(list) => list.iter().collect(),
        v @ Value::String(_) if one => vec![v],
        _ => return Err(unknown(what, "fields")),
    };
    if list.len() > MAX_CLAUSES {
        return Err(Refusal::argument(format!("[{what}] more than [{MAX_CLAUSES}] fields")));
    }
    list.into_iter()
        .map(|v| {
            let text =
                v.as_str().ok_or_else(|| Refusal::parsing(format!("[{what}] failed to parse field [fields]")))?;
            match text.rsplit_once('^') {
                Some((name, boost)) => {
                    let boost: f32 = boost.parse().map_err(|_| Refusal::number(boost))?;
                    Ok((name.to_string(), boost))
                }
                None => Ok((text.to_string(), 1.0)),
            }
        })
        .collect()
}

pub(super) fn multi_match(body: &Value) -> Result<Query, Refusal> {
    const WHAT: &str = "multi_match";
    let mut query = Query::none();
    let mut text = Text::new(Value::Null);
    let (mut fields, mut style, mut tie_breaker) = (Vec::new(), Style::BestFields, None);
    for (key, value) in members(WHAT, body)? {
        match key.as_str() {
            "fields" => {
                fields = weighted_fields(WHAT, value, true)?;
                if fields.is_empty() {
                    return Err(Refusal::argument("[multi_match] requires field list"));
                }
            }
            "type" => style = self::style(WHAT, &string(WHAT, key, value)?)?,
            "tie_breaker" => tie_breaker = Some(number(WHAT, key, value)? as f32),
            _ if text_option(WHAT, &mut text, key, value)? => {}
            _ if common(&mut query, key, value)? => {}
            _ => return Err(unknown(WHAT, key)),
        }
    }
    if text.value.is_null() {
        return Err(Refusal::parsing("No text specified for multi_match query"));
    }
    if text.fuzz.as_ref().is_some_and(|f| f.edits == Edits::Fixed(0)) {
        text.fuzz = None;
    }
    if text.fuzz.is_some() && matches!(style, Style::CrossFields | Style::Phrase | Style::PhrasePrefix) {
        return Err(Refusal::parsing(format!("Fuzziness not allowed for type [{}]", style_name(style))));
    }
    if text.slop != 0 && style == Style::BoolPrefix {
        return Err(Refusal::parsing("[slop] not allowed for type [bool_prefix]"));
    }
    if fields.is_empty() {
        // Without fields, `index.query.default_field` is meant: every field, and values that do not fit are no error.
        fields.push(("*".into(), 1.0));
        text.lenient = true;
    }
    query.kind = Kind::MultiMatch { fields, style, tie_breaker, text };
    Ok(query)
}

fn style_name(style: Style) -> &'static str {
    match style {
        Style::BestFields => "best_fields",
        Style::MostFields => "most_fields",
        Style::CrossFields => "cross_fields",
        Style::Phrase => "phrase",
        Style::PhrasePrefix => "phrase_prefix",
        Style::BoolPrefix => "bool_prefix",
    }
}

fn style(what: &str, name: &str) -> Result<Style, Refusal> {
    Ok(match name {
        "best_fields" | "boolean" => Style::BestFields,
        "most_fields" => Style::MostFields,
        "cross_fields" => Style::CrossFields,
        "phrase" => Style::Phrase,
        "phrase_prefix" => Style::PhrasePrefix,
        "bool_prefix" => Style::BoolPrefix,
        _ => return Err(Refusal::parsing(format!("failed to parse [{what}] query type [{name}]. unknown type."))),
    })
}

/// A text query with the options' defaults, not read yet.
pub fn blank(source: String) -> TextQuery {
    TextQuery {
        source,
        node: Node::Nothing,
        fields: Vec::new(),
        all: false,
        lenient: false,
        analyze_wildcard: false,
        style: Style::BestFields,
        tie_breaker: None,
        minimum: None,
        phrase_slop: 0,
        fuzz: Fuzz { edits: Edits::Auto { low: 3, high: 6 }, prefix: 0, transpositions: true },
        analyzer: None,
        time_zone: None,
    }
}

pub(super) fn query_string(body: &Value) -> Result<Query, Refusal> {
    const WHAT: &str = "query_string";
    let mut out = Query::none();
    let mut q = blank(String::new());
    let (mut given, mut default_field, mut fields, mut lenient) = (false, None, None, None);
    for (key, value) in members(WHAT, body)? {
        match key.as_str() {
            "query" => {
                let Value::String(text) = value else {
                    return Err(Refusal::parsing("[query_string] query must be a string"));
                };
                q.source.clone_from(text);
                given = true;
            }
            "default_field" if value.is_null() => {}
            "default_field" => default_field = Some(string(WHAT, key, value)?),
            "fields" => fields = Some(weighted_fields(WHAT, value, false)?),
            "default_operator" => q.all = operator(WHAT, key, value)?,
            "lenient" => lenient = Some(boolean(WHAT, key, value)?),
            "analyze_wildcard" => q.analyze_wildcard = boolean(WHAT, key, value)?,
            "type" => q.style = style(WHAT, &string(WHAT, key, value)?)?,
            "tie_breaker" => q.tie_breaker = Some(number(WHAT, key, value)? as f32),
            "minimum_should_match" => q.minimum = Some(minimum(WHAT, key, value)?),
            "phrase_slop" => q.phrase_slop = small(WHAT, key, value)?,
            "fuzziness" => q.fuzz.edits = edits(value)?,
            "fuzzy_prefix_length" => q.fuzz.prefix = small(WHAT, key, value)? as usize,
            "fuzzy_transpositions" => q.fuzz.transpositions = boolean(WHAT, key, value)?,
            "analyzer" | "quote_analyzer" => q.analyzer = Some(string(WHAT, key, value)?),
            "time_zone" => q.time_zone = Some(string(WHAT, key, value)?),
            "quote_field_suffix" => return Err(Refusal::unsupported("[query_string] [quote_field_suffix]")),
            "allow_leading_wildcard" => {
                if !boolean(WHAT, key, value)? {
                    return Err(Refusal::unsupported("[query_string] with [allow_leading_wildcard] false"));
                }
            }
            // These do not change what matches here: scores of wildcards are constant, positions always counted,
            // wildcards expand to every word, automata are not made deterministic.
            "fuzzy_max_expansions" | "max_determinized_states" => {
                small(WHAT, key, value)?;
            }
            "enable_position_increments"
            | "auto_generate_synonyms_phrase_query"
            | "auto_generate_phrase_queries"
            | "lowercase_expanded_terms"
            | "split_on_whitespace"
            | "use_dis_max" => {
                boolean(WHAT, key, value)?;
            }
            "escape" => {
                if boolean(WHAT, key, value)? {
                    return Err(Refusal::unsupported("[query_string] with [escape] true"));
                }
            }
            "rewrite" | "fuzzy_rewrite" => {
                string(WHAT, key, value)?;
            }
            _ if common(&mut out, key, value)? => {}
            _ => return Err(Refusal::parsing(format!("[query_string] query does not support [{key}]"))),
        }
    }
    if !given {
        return Err(Refusal::parsing("query_string must be provided with a [query]"));
    }
    if default_field.is_some() && fields.as_ref().is_some_and(|f| !f.is_empty()) {
        return Err(Refusal::validation("cannot use [fields] parameter in conjunction with [default_field]"));
    }
    finish_text(&mut q, default_field, fields, lenient);
    q.node = lucene::parse(&q.source, q.all)
        .map_err(|why| Refusal::shard(format!("Failed to parse query [{}]: {why}", q.source)))?;
    out.kind = Kind::Text(Box::new(q));
    Ok(out)
}

/// Settles fields and leniency: without any field every field is searched, and what does not fit one is no error.
fn finish_text(q: &mut TextQuery, default: Option<String>, fields: Option<Vec<(String, f32)>>, lenient: Option<bool>) {
    q.fields = fields.unwrap_or_default();
    if let Some(field) = default {
        q.fields = vec![(field, 1.0)];
    }
    if q.fields.is_empty() {
        q.fields.push(("*".into(), 1.0));
    }
    let every = q.fields.iter().any(|(f, _)| f == "*");
    q.lenient = lenient.unwrap_or(every);
}

fn operator(what: &str, key: &str, value: &Value) -> Result<bool, Refusal> {
    match string(what, key, value)?.to_ascii_lowercase().as_str() {
        "and" => Ok(true),
        "or" => Ok(false),
        other => Err(Refusal::argument(format!("[{what}] [{key}] must be AND or OR, found [{other}]"))),
    }
}

pub(super) fn simple_query_string(body: &Value) -> Result<Query, Refusal> {
    const WHAT: &str = "simple_query_string";
    let mut out = Query::none();
    let mut q = blank(String::new());
    q.fuzz.edits = Edits::Fixed(2);
    let (mut given, mut fields, mut lenient, mut flags) = (false, None, None, simple::Flags::all());
    for (key, value) in members(WHAT, body)? {
        match key.as_str() {
            "query" => {
                q.source = string(WHAT, key, value)?;
                given = true;
            }
            "fields" => fields = Some(weighted_fields(WHAT, value, false)?),
            "default_operator" => q.all = operator(WHAT, key, value)?,
            "lenient" => lenient = Some(boolean(WHAT, key, value)?),
            "analyze_wildcard" => q.analyze_wildcard = boolean(WHAT, key, value)?,
            "minimum_should_match" => q.minimum = Some(minimum(WHAT, key, value)?),
            "analyzer" => q.analyzer = Some(string(WHAT, key, value)?),
            "fuzzy_prefix_length" => q.fuzz.prefix = small(WHAT, key, value)? as usize,
            "fuzzy_transpositions" => q.fuzz.transpositions = boolean(WHAT, key, value)?,
            "fuzzy_max_expansions" => {
                small(WHAT, key, value)?;
            }
            "auto_generate_synonyms_phrase_query" => {
                boolean(WHAT, key, value)?;
            }
            "quote_field_suffix" => return Err(Refusal::unsupported("[simple_query_string] [quote_field_suffix]")),
            "flags" => flags = simple::Flags::parse(value).map_err(Refusal::argument)?,
            _ if common(&mut out, key, value)? => {}
            _ => return Err(Refusal::parsing(format!("[simple_query_string] unsupported field [{key}]"))),
        }
    }
    if !given {
        return Err(Refusal::parsing("[simple_query_string] query text missing"));
    }
    finish_text(&mut q, None, fields, lenient);
    q.node = simple::parse(&q.source, q.all, flags);
    out.kind = Kind::Text(Box::new(q));
    Ok(out)
}

pub(super) fn kql(body: &Value) -> Result<Query, Refusal> {
    let mut out = Query::none();
    let mut text = None;
    for (key, value) in members("kql", body)? {
        match key.as_str() {
            "query" => text = Some(string("kql", key, value)?),
            "default_field" | "case_insensitive" | "time_zone" => {
                return Err(Refusal::unsupported(format!("[kql] [{key}]")));
            }
            _ if common(&mut out, key, value)? => {}
            _ => return Err(unknown("kql", key)),
        }
    }
    let text = text.ok_or_else(|| Refusal::parsing("[kql] requires [query]"))?;
    out.kind = crate::query::kql::parse(&text)?.kind;
    Ok(out)
}

/// The query of a URI's `q=`, with its `df`, `default_operator`, `lenient`, `analyze_wildcard`, `analyzer`.
pub fn from_uri(q: &str, options: &[(&str, &str)]) -> Result<Query, Refusal> {
    let mut body = serde_json::Map::new();
    body.insert("query".into(), q.into());
    for (key, value) in options {
        let key = if *key == "df" { "default_field" } else { key };
        body.insert(key.into(), (*value).into());
    }
    query_string(&Value::Object(body))
}
