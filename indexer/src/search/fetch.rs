//! From documents found to hits as they are answered.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tantivy::columnar::{MonotonicallyMappableToU64, StrColumn};
use tantivy::query::EnableScoring;
use tantivy::{DocAddress, DocSet};

use super::columns::{Kind, Values, open};
use super::highlight::Highlight;
use super::sort::Key;
use super::source::{SourceFilter, leaves};
use super::top::Found;
use crate::mapping::{EsType, FieldRef, wildcard};
use crate::query::plan::Planner;
use crate::query::{Query, Refusal, dsl};
use crate::store::{PartitionView, View};
use crate::time::format::{DEFAULT_FORMAT, DateFormat};
use crate::time::zone::Zone;
use crate::time::{NANOS_PER_MILLI, Nanos, math, to_millis};

/// Most fields that a request may name (Elasticsearch's `index.max_docvalue_fields_search`).
const FIELDS_MAX: usize = 100;

/// What of a hit is wanted.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// `_source`.
    pub source: SourceFilter,
    /// Names (or patterns) and formats of `fields`.
    pub fields: Vec<(String, Option<String>)>,
    /// The same of `docvalue_fields`.
    pub columns: Vec<(String, Option<String>)>,
    /// `highlight`.
    pub highlight: Option<Highlight>,
    /// `_version`.
    pub version: bool,
    /// `_seq_no` and `_primary_term`.
    pub seq_no: bool,
    /// `explain`: why each hit has its score.
    pub explain: bool,
    /// Neither `_id` nor `_source`: `stored_fields: _none_`.
    pub bare: bool,
}

impl Wanted {
    /// Reads the members of a request that say what of hits is wanted; `others` are read elsewhere.
    pub fn parse(map: &Map<String, Value>, what: &str, others: &[&str]) -> Result<Wanted, Refusal> {
        let mut wanted = Wanted::default();
        let mut stored = None;
        for (key, value) in map {
            match key.as_str() {
                "_source" => wanted.source = SourceFilter::parse(value)?,
                "fields" => wanted.fields = named(key, value)?,
                "docvalue_fields" => wanted.columns = named(key, value)?,
                "stored_fields" => stored = Some(value),
                "highlight" => wanted.highlight = Some(Highlight::parse(value)?),
                "version" => wanted.version = dsl::boolean(what, key, value)?,
                "seq_no_primary_term" => wanted.seq_no = dsl::boolean(what, key, value)?,
                "track_scores" => {
                    dsl::boolean(what, key, value)?;
                }
                "explain" => wanted.explain = dsl::boolean(what, key, value)?,
                "profile" => {
                    if dsl::boolean(what, key, value)? {
                        return Err(Refusal::unsupported(format!("[{key}]")));
                    }
                }
                // Empty ones are sent by Grafana and Kibana.
                "script_fields" | "runtime_mappings" | "ext"
                    if value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty) => {}
                "script_fields" | "runtime_mappings" | "rescore" | "suggest" | "collapse" | "knn" | "rank"
                | "retriever" | "ext" => {
                    return Err(Refusal::unsupported(format!("[{key}]")));
                }
                _ if others.contains(&key.as_str()) => {}
                _ => return Err(Refusal::parsing(format!("Unknown key for a {} in [{key}].", token(value)))),
            }
        }
        if let Some(value) = stored {
            let list: Vec<&str> = match value {
                Value::String(s) => vec![s],
                Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
                _ => return Err(Refusal::parsing("[stored_fields] must be texts")),
            };
            if list == ["_none_"] {
                wanted.bare = true;
            }
            // With `stored_fields` the source comes only when it is asked for.
            if !map.contains_key("_source") && !list.contains(&"_source") {
                wanted.source.none = true;
            }
        }
        Ok(wanted)
    }
}

/// How Elasticsearch calls a JSON value.
pub fn token(value: &Value) -> &'static str {
    match value {
        Value::Object(_) => "START_OBJECT",
        Value::Array(_) => "START_ARRAY",
        Value::String(_) => "VALUE_STRING",
        Value::Number(_) => "VALUE_NUMBER",
        Value::Bool(_) => "VALUE_BOOLEAN",
        Value::Null => "VALUE_NULL",
    }
}

fn named(key: &str, value: &Value) -> Result<Vec<(String, Option<String>)>, Refusal> {
    let one = |v: &Value| -> Result<(String, Option<String>), Refusal> {
        match v {
            Value::String(s) => Ok((s.clone(), None)),
            Value::Object(map) => {
                let (mut name, mut format) = (None, None);
                for (k, v) in map {
                    match k.as_str() {
                        "field" => name = v.as_str().map(str::to_string),
                        // The name for "as the mapping says", from before that was the default.
                        "format" => format = v.as_str().filter(|f| *f != "use_field_mapping").map(str::to_string),
                        "include_unmapped" => {
                            if dsl::boolean(key, k, v)? {
                                return Err(Refusal::unsupported("[fields] with [include_unmapped]"));
                            }
                        }
                        _ => return Err(Refusal::content(format!("[{key}] unknown field [{k}]"))),
                    }
                }
                let name = name.ok_or_else(|| Refusal::argument(format!("Required [field] in [{key}]")))?;
                Ok((name, format))
            }
            other => Err(Refusal::parsing(format!("[{key}] cannot be read from [{other}]"))),
        }
    };
    let list: Vec<&Value> = match value {
        Value::Array(list) => list.iter().collect(),
        one => vec![one],
    };
    if list.len() > FIELDS_MAX {
        return Err(Refusal::shard_argument(format!(
            "Trying to retrieve too many {key}. Must be less than or equal to: [{FIELDS_MAX}]"
        )));
    }
    list.into_iter().map(one).collect()
}

/// One hit, in Elasticsearch's order of members.
#[derive(Serialize)]
pub struct Hit {
    #[serde(rename = "_index")]
    index: String,
    #[serde(rename = "_id", skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(rename = "_version", skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    #[serde(rename = "_seq_no", skip_serializing_if = "Option::is_none")]
    seq_no: Option<u64>,
    #[serde(rename = "_primary_term", skip_serializing_if = "Option::is_none")]
    primary_term: Option<u64>,
    #[serde(rename = "_routing", skip_serializing_if = "Option::is_none")]
    routing: Option<String>,
    #[serde(rename = "_score")]
    score: Option<f32>,
    #[serde(rename = "_ignored", skip_serializing_if = "Vec::is_empty")]
    ignored: Vec<String>,
    #[serde(rename = "_source", skip_serializing_if = "Option::is_none")]
    source: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    fields: Map<String, Value>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    highlight: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sort: Option<Vec<Value>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    matched_queries: Vec<String>,
    #[serde(rename = "_explanation", skip_serializing_if = "Option::is_none")]
    explanation: Option<Value>,
}

/// Columns that every hit of a segment is asked for, opened once.
struct Beside {
    ignored: Vec<Values>,
    routing: Option<StrColumn>,
}

impl Beside {
    fn open(part: &PartitionView, segment: u32) -> Result<Self, Refusal> {
        let ignored = super::columns::open_named(part.searcher.segment_reader(segment), "_ignored")?;
        Ok(Self { ignored, routing: part.routing_column(segment)? })
    }
}

/// Makes hits of documents. `query`: what to highlight, and whose names to tell.
#[expect(clippy::too_many_arguments, reason = "each one is a different part of the request")]
pub fn hits(
    view: &View,
    page: &[Found],
    keys: &[Key],
    sorted: bool,
    scored: bool,
    wanted: &Wanted,
    query: Option<&Query>,
    now: Nanos,
) -> Result<Vec<Hit>, Refusal> {
    // By partition, and there by place: neighbours lie in the same block of the store.
    let mut by_part: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (i, found) in page.iter().enumerate() {
        by_part.entry(found.part).or_default().push(i);
    }
    let mut hits: Vec<Option<Hit>> = page.iter().map(|_| None).collect();
    for (part_number, mut list) in by_part {
        let part = &view.parts[part_number as usize];
        list.sort_by_key(|i| page[*i].address);
        let addresses: Vec<DocAddress> = list.iter().map(|i| page[*i].address).collect();
        let ids = if wanted.bare { Vec::new() } else { part.ids(&addresses)? };
        let needs_source = !wanted.source.none || !wanted.fields.is_empty() || wanted.highlight.is_some();
        let sources = if needs_source { part.sources(&addresses)? } else { Vec::new() };
        let matched = named_matches(part, query, &addresses, now)?;
        let mut ids = ids.into_iter();
        let mut sources = sources.into_iter();
        let mut beside: BTreeMap<u32, Beside> = BTreeMap::new();
        for (i, names) in list.into_iter().zip(matched) {
            let found = &page[i];
            let source = sources.next();
            let explanation = match query.filter(|_| wanted.explain) {
                Some(query) => super::explain::of(part, found.address, query, now)?,
                None => None,
            };
            let segment = found.address.segment_ord;
            let beside = match beside.entry(segment) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(Beside::open(part, segment)?),
            };
            let hit =
                one(part, found, keys, sorted, scored, wanted, query, ids.next(), source, names, explanation, beside)?;
            hits[i] = Some(hit);
        }
    }
    Ok(hits.into_iter().flatten().collect())
}

#[expect(clippy::too_many_arguments, reason = "each one is a different part of the request")]
fn one(
    part: &PartitionView,
    found: &Found,
    keys: &[Key],
    sorted: bool,
    scored: bool,
    wanted: &Wanted,
    query: Option<&Query>,
    id: Option<String>,
    source: Option<String>,
    matched_queries: Vec<String>,
    explanation: Option<Value>,
    beside: &Beside,
) -> Result<Hit, Refusal> {
    let needs_tree =
        !wanted.fields.is_empty() || wanted.highlight.is_some() || !(wanted.source.none || wanted.source.is_whole());
    let tree: Value = match &source {
        Some(text) if needs_tree => serde_json::from_str(text)
            .map_err(|e| Refusal::internal(format!("a stored document cannot be read: {e}")))?,
        _ => Value::Null,
    };
    let shown = match source {
        _ if wanted.source.none || wanted.bare => None,
        Some(text) if wanted.source.is_whole() => Some(text),
        Some(_) => Some(wanted.source.apply(&tree).to_string()),
        None => None,
    };
    let shown = shown.map(RawValue::from_string).transpose();
    let shown = shown.map_err(|e| Refusal::internal(format!("a stored document cannot be read: {e}")))?;
    let mut fields = Map::new();
    for (pattern, format) in &wanted.fields {
        from_source(part, &tree, pattern, format.as_deref(), &mut fields)?;
    }
    for (pattern, format) in &wanted.columns {
        from_columns(part, found.address, pattern, format.as_deref(), &mut fields)?;
    }
    let highlight = match &wanted.highlight {
        Some(h) => h.of(&tree, &part.mapping, query)?,
        None => Map::new(),
    };
    let numbers = if wanted.version || wanted.seq_no { Some(part.version(found.address)?) } else { None };
    let mut ignored = Vec::new();
    for column in &beside.ignored {
        for raw in column.column.values_for_doc(found.address.doc_id) {
            ignored.push(column.text(raw)?);
        }
    }
    let routing = match beside.routing.as_ref().filter(|_| !wanted.bare) {
        Some(column) => crate::store::view::text_of(column, found.address.doc_id)?,
        None => None,
    };
    Ok(Hit {
        index: part.index_name.to_string(),
        id,
        version: numbers.filter(|_| wanted.version).map(|(v, _)| v),
        seq_no: numbers.filter(|_| wanted.seq_no).map(|(_, s)| s),
        primary_term: wanted.seq_no.then_some(1),
        routing,
        score: scored.then_some(found.score),
        ignored,
        source: shown,
        fields,
        highlight,
        sort: sorted.then(|| found.values.iter().zip(keys).map(|(v, k)| v.json(k)).collect()),
        matched_queries,
        explanation,
    })
}

/// For each document the names of the named queries that it fits.
fn named_matches(
    part: &PartitionView,
    query: Option<&Query>,
    addresses: &[DocAddress],
    now: Nanos,
) -> Result<Vec<Vec<String>>, Refusal> {
    let mut out = vec![Vec::new(); addresses.len()];
    let mut named: Vec<&Query> = Vec::new();
    if let Some(query) = query {
        query.walk(&mut |q| {
            if q.name.is_some() {
                named.push(q);
            }
        });
    }
    if named.is_empty() {
        return Ok(out);
    }
    let planner = Planner::new(part, now);
    for q in named {
        let weight = planner.plan(q)?.weight(EnableScoring::disabled_from_searcher(&part.searcher))?;
        for (address, names) in addresses.iter().zip(&mut out) {
            let reader = part.searcher.segment_reader(address.segment_ord);
            let mut docs = weight.scorer(reader, 1.0)?;
            let at = if docs.doc() < address.doc_id { docs.seek(address.doc_id) } else { docs.doc() };
            if at == address.doc_id {
                names.extend(q.name.clone());
            }
        }
    }
    Ok(out)
}

fn matching(part: &PartitionView, pattern: &str) -> Vec<(String, FieldRef)> {
    let mapping = &part.mapping;
    if !pattern.contains('*') {
        return mapping.resolve(pattern).map(|f| (pattern.to_string(), f)).into_iter().collect();
    }
    let mut found = Vec::new();
    for field in mapping.matching("*") {
        for (sub, _) in mapping.subfields(&field.path) {
            if wildcard(pattern, &sub) {
                found.extend(mapping.resolve(&sub).map(|f| (sub, f)));
            }
        }
        if wildcard(pattern, &field.path) {
            found.push((field.path.to_string(), field));
        }
    }
    found
}

/// Values of a field out of the source, as `fields` gives them.
fn from_source(
    part: &PartitionView,
    tree: &Value,
    pattern: &str,
    format: Option<&str>,
    out: &mut Map<String, Value>,
) -> Result<(), Refusal> {
    match pattern {
        "_index" => {
            out.insert("_index".into(), json!([&*part.index_name]));
            return Ok(());
        }
        "_id" | "_ignored" => return Ok(()),
        _ => {}
    }
    for (name, field) in matching(part, pattern) {
        let mut values = Vec::new();
        leaves(tree, &mut String::new(), &mut |path, value| {
            if path == &*field.path {
                values.push(value.clone());
            }
        });
        if values.is_empty() {
            continue;
        }
        if field.es_type == EsType::Date {
            let read = DateFormat::parse(field.format.as_deref().unwrap_or(DEFAULT_FORMAT))
                .map_err(Refusal::shard_argument)?;
            let write = format.map(DateFormat::parse).transpose().map_err(Refusal::argument)?;
            for value in &mut values {
                let text = crate::query::plan::terms::as_text(value);
                if let Ok(nanos) = math::read(&text, &read, &Zone::utc(), 0, false) {
                    *value = write.as_ref().unwrap_or(&read).write(nanos, &Zone::utc()).into();
                }
            }
        }
        out.insert(name, values.into());
    }
    Ok(())
}

/// Values of a field out of its columns, as `docvalue_fields` gives them.
fn from_columns(
    part: &PartitionView,
    at: DocAddress,
    pattern: &str,
    format: Option<&str>,
    out: &mut Map<String, Value>,
) -> Result<(), Refusal> {
    let reader = part.searcher.segment_reader(at.segment_ord);
    for (name, field) in matching(part, pattern) {
        if field.column.is_none() {
            if pattern.contains('*') {
                continue;
            }
            return Err(Refusal::shard_argument(format!(
                "Text fields are not optimised for operations that require per-document field data like aggregations and \
                 sorting, so these operations are disabled by default. Please use a keyword field instead: [{name}]"
            )));
        }
        let mut values: Vec<Value> = Vec::new();
        for column in open(reader, &field)? {
            for raw in column.column.values_for_doc(at.doc_id) {
                let pattern = format.filter(|_| !matches!(column.kind, Kind::Date | Kind::Str(_) | Kind::Bool));
                if let (Some(pattern), Some(n)) = (pattern, column.number(raw)) {
                    values.push(crate::aggs::output::decimal(pattern, n).into());
                    continue;
                }
                values.push(match &column.kind {
                    Kind::I64 => i64::from_u64(raw).into(),
                    Kind::U64 => raw.into(),
                    Kind::F64 => f64::from_u64(raw).into(),
                    Kind::Bool => (raw != 0).into(),
                    Kind::Str(_) => column.text(raw)?.into(),
                    Kind::Date => {
                        let nanos = i128::from(tantivy::DateTime::from_u64(raw).into_timestamp_nanos());
                        let nanos = i128::from(to_millis(nanos)) * NANOS_PER_MILLI;
                        let text = format.or(field.format.as_deref()).unwrap_or(DEFAULT_FORMAT);
                        DateFormat::parse(text).map_err(Refusal::argument)?.write(nanos, &Zone::utc()).into()
                    }
                });
            }
        }
        if !values.is_empty() && !out.contains_key(&name) {
            out.insert(name, values.into());
        }
    }
    Ok(())
}
