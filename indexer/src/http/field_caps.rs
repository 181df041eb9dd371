//! `_field_caps`: which fields there are, of which types, in which indices.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::search::{blocking, choice};
use super::{Call, Endpoint, Reply};
use crate::error::{Error, Result};
use crate::mapping::wildcard;
use crate::query::dsl;
use crate::search::budget::Budget;
use crate::search::run;

/// This file's endpoints.
pub static ENDPOINTS: &[Endpoint] = &[
    Endpoint { methods: &["GET", "POST"], path: "/_field_caps", params: PARAMS, run: |call| Box::pin(caps(call)) },
    Endpoint {
        methods: &["GET", "POST"],
        path: "/{index}/_field_caps",
        params: PARAMS,
        run: |call| Box::pin(caps(call)),
    },
];

const PARAMS: &[&str] = &[
    "fields",
    "allow_no_indices",
    "expand_wildcards",
    "ignore_unavailable",
    "include_unmapped",
    "filters",
    "types",
    "include_empty_fields",
];

/// Fields that every document has without any mapping: name, type, searchable, aggregatable.
const META: [(&str, &str, bool, bool); 7] = [
    ("_id", "_id", true, false),
    ("_index", "_index", true, true),
    ("_source", "_source", false, false),
    ("_ignored", "_ignored", true, true),
    ("_seq_no", "_seq_no", true, true),
    ("_version", "_version", false, true),
    ("_routing", "_routing", true, false),
];

/// An index, and whether the field can be searched and aggregated there.
type Place = (String, bool, bool);

struct Field {
    kind: String,
    searchable: bool,
    aggregatable: bool,
}

async fn caps(call: Call) -> Result<Reply> {
    let mut patterns: Vec<String> =
        call.query.list("fields").unwrap_or_default().into_iter().map(str::to_string).collect();
    let mut filter = None;
    if let Some(body) = call.json()? {
        let map = body.as_object().ok_or_else(|| Error::parsing("Expected [START_OBJECT]"))?;
        for (key, value) in map {
            match (key.as_str(), value) {
                ("fields", Value::String(s)) => patterns = s.split(',').map(str::to_string).collect(),
                ("fields", Value::Array(list)) => {
                    patterns = list.iter().filter_map(Value::as_str).map(str::to_string).collect()
                }
                ("runtime_mappings", Value::Object(m)) if m.is_empty() => {}
                ("index_filter", query) => filter = Some(dsl::parse(query)?),
                _ => return Err(Error::parsing(format!("[field_caps_request] unknown field [{key}]"))),
            }
        }
    }
    let include_unmapped = call.query.flag("include_unmapped")?.unwrap_or(false);
    if patterns.is_empty() {
        patterns.push("*".into());
    }
    let types: Vec<String> = call.query.list("types").unwrap_or_default().into_iter().map(str::to_string).collect();
    let filters: Vec<String> = call.query.list("filters").unwrap_or_default().into_iter().map(str::to_string).collect();
    if let Some(other) = filters
        .iter()
        .find(|f| !matches!(f.as_str(), "-metadata" | "+metadata" | "-parent" | "-nested" | "-multifield"))
    {
        return Err(Error::illegal_argument(format!("[filters] with [{other}] is not supported")));
    }
    let expression = call.part("index").unwrap_or("_all");
    let mut indices = call.context.store.resolve(expression, choice(&call.query)?)?;
    if let Some(query) = filter {
        // Indices that have no such document do not count.
        indices = blocking(&call.context, move |context| {
            let mut left = Vec::new();
            for index in indices {
                let view = context.store.view(std::slice::from_ref(&index))?;
                let budget = Budget::new(None, None);
                if run::count(&view, &query, None, Some(1), crate::time::now(), &budget)? > 0 {
                    left.push(index);
                }
            }
            Ok(left)
        })
        .await?;
    }
    let names: BTreeSet<String> = indices.iter().map(|i| i.name.to_string()).collect();
    // Field → type → where, and how.
    let mut found: BTreeMap<String, BTreeMap<String, Vec<Place>>> = BTreeMap::new();
    let mut metadata: BTreeSet<String> = BTreeSet::new();
    for index in &indices {
        let mapping = index.mapping();
        let mut fields = BTreeMap::new();
        if let Some(properties) = mapping.render().get("properties").and_then(Value::as_object) {
            walk(properties, "", &mut fields);
        }
        for (name, kind, searchable, aggregatable) in META {
            metadata.insert(name.into());
            fields.insert(name.to_string(), Field { kind: kind.into(), searchable, aggregatable });
        }
        for (name, field) in fields {
            if patterns.iter().any(|p| wildcard(p, &name)) && (types.is_empty() || types.contains(&field.kind)) {
                let by_type = found.entry(name).or_default().entry(field.kind).or_default();
                by_type.push((index.name.to_string(), field.searchable, field.aggregatable));
            }
        }
    }
    let mut fields = Map::new();
    for (name, by_type) in found {
        let is_meta = metadata.contains(&name);
        if is_meta && filters.iter().any(|f| f == "-metadata") || !is_meta && filters.iter().any(|f| f == "+metadata") {
            continue;
        }
        let has_it: BTreeSet<&str> = by_type.values().flatten().map(|place| place.0.as_str()).collect();
        let without: Vec<String> = names.iter().filter(|name| !has_it.contains(name.as_str())).cloned().collect();
        let unmapped = include_unmapped && !without.is_empty();
        let several = by_type.len() > 1 || unmapped;
        let mut shown = Map::new();
        if unmapped {
            let one = json!({"type": "unmapped", "metadata_field": false, "searchable": false, "aggregatable": false,
                "indices": without});
            shown.insert("unmapped".to_owned(), one);
        }
        for (kind, places) in by_type {
            let all = |which: fn(&Place) -> bool| places.iter().all(which);
            let mut one = json!({
                "type": kind,
                "metadata_field": is_meta,
                "searchable": all(|p| p.1),
                "aggregatable": all(|p| p.2),
            });
            let lacking = |which: fn(&Place) -> bool| -> Vec<String> {
                places.iter().filter(|place| !which(place)).map(|place| place.0.clone()).collect()
            };
            for (key, lacking) in
                [("non_searchable_indices", lacking(|p| p.1)), ("non_aggregatable_indices", lacking(|p| p.2))]
            {
                if !lacking.is_empty() && lacking.len() < places.len() {
                    one[key] = lacking.into();
                }
            }
            if several {
                one["indices"] = places.iter().map(|p| p.0.clone()).collect::<Vec<_>>().into();
            }
            shown.insert(kind, one);
        }
        fields.insert(name, Value::Object(shown));
    }
    Ok(Reply::json(&json!({"indices": names, "fields": fields})))
}

fn walk(properties: &Map<String, Value>, prefix: &str, out: &mut BTreeMap<String, Field>) {
    for (key, definition) in properties {
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        let kind = definition.get("type").and_then(Value::as_str);
        let leaf = |kind: &str, definition: &Value| {
            let on = |option: &str| definition.get(option).is_none_or(|v| v != &Value::Bool(false));
            let text = matches!(kind, "text" | "match_only_text");
            let columns = !text && on("doc_values");
            Field { kind: kind.into(), searchable: on("index") || columns, aggregatable: columns }
        };
        match kind {
            Some(kind) if !matches!(kind, "object" | "nested") => {
                out.insert(name.clone(), leaf(kind, definition));
            }
            other => {
                let kind = other.unwrap_or("object").to_string();
                out.insert(name.clone(), Field { kind, searchable: false, aggregatable: false });
            }
        }
        if let Some(inner) = definition.get("properties").and_then(Value::as_object) {
            walk(inner, &name, out);
        }
        if let Some(subs) = definition.get("fields").and_then(Value::as_object) {
            for (sub, definition) in subs {
                if let Some(kind) = definition.get("type").and_then(Value::as_str) {
                    out.insert(format!("{name}.{sub}"), leaf(kind, definition));
                }
            }
        }
    }
}
