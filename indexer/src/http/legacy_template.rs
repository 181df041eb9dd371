//! `_template`: index templates of the older kind, which older clients and Logstash's and Fluentd's outputs still put.
//! They count for a new index that no `_index_template` fits, all together in growing `order`.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::indices::{acknowledged, blocking, nested};
use super::{Call, Endpoint, Reply};
use crate::error::{Error, Result};
use crate::mapping::{Mapping, flat, wildcard};
use crate::store::alias_options;

/// This file's endpoints.
pub static ENDPOINTS: &[Endpoint] = &[
    Endpoint { methods: &["GET"], path: "/_template", params: PARAMS, run: |call| Box::pin(get(call)) },
    Endpoint { methods: &["GET"], path: "/_template/{name}", params: PARAMS, run: |call| Box::pin(get(call)) },
    Endpoint { methods: &["PUT", "POST"], path: "/_template/{name}", params: PARAMS, run: |call| Box::pin(put(call)) },
    Endpoint { methods: &["DELETE"], path: "/_template/{name}", params: PARAMS, run: |call| Box::pin(delete(call)) },
];

const PARAMS: &[&str] =
    &["flat_settings", "local", "master_timeout", "timeout", "include_type_name", "create", "order", "cause"];

async fn get(call: Call) -> Result<Reply> {
    let is_flat = call.query.flag("flat_settings")?.unwrap_or(false);
    let wanted = call.part("name").unwrap_or("*");
    let mut found = Map::new();
    for (name, template) in call.context.store.legacy_templates() {
        if !wanted.split(',').any(|pattern| wildcard(pattern, &name)) {
            continue;
        }
        let settings = template.get("settings").and_then(Value::as_object).map(flat).unwrap_or_default();
        let text = |value: Value| if value.is_string() || value.is_array() { value } else { value.to_string().into() };
        let settings: Map<String, Value> = settings.into_iter().map(|(key, value)| (key, text(value))).collect();
        let settings = if is_flat { Value::Object(settings) } else { nested(settings) };
        let mut shown = json!({
            "order": template.get("order").cloned().unwrap_or_else(|| json!(0)),
            "index_patterns": template.get("index_patterns").cloned().unwrap_or_else(|| json!([])),
            "settings": settings,
            "mappings": template.get("mappings").cloned().unwrap_or_else(|| json!({})),
            "aliases": template.get("aliases").cloned().unwrap_or_else(|| json!({})),
        });
        if let Some(version) = template.get("version") {
            shown["version"] = version.clone();
        }
        found.insert(name, shown);
    }
    let missing = found.is_empty() && call.part("name").is_some_and(|name| !name.contains('*'));
    Ok(Reply::json(&Value::Object(found)).with_status(if missing { 404 } else { 200 }))
}

async fn put(call: Call) -> Result<Reply> {
    let name = call.part("name").unwrap_or("").to_owned();
    let Some(Value::Object(mut template)) = call.json()? else {
        return Err(Error::new(400, "parse_exception", "request body is required"));
    };
    if let Some(other) = template.keys().find(|key| {
        !matches!(
            key.as_str(),
            "index_patterns" | "template" | "order" | "settings" | "mappings" | "aliases" | "version"
        )
    }) {
        return Err(Error::new(400, "parse_exception", format!("unknown key [{other}] in the template ")));
    }
    // Before 6.0 there was one pattern, called `template`.
    if let Some(pattern) = template.remove("template") {
        template.entry("index_patterns").or_insert_with(|| json!([pattern]));
    }
    let patterns = match template.get("index_patterns") {
        Some(Value::String(one)) => json!([one]),
        Some(Value::Array(many)) if !many.is_empty() && many.iter().all(Value::is_string) => json!(many),
        _ => {
            return Err(Error::new(
                400,
                "action_request_validation_exception",
                "Validation Failed: 1: index patterns are missing;",
            ));
        }
    };
    template.insert("index_patterns".to_owned(), patterns);
    let order = match call.query.number("order")? {
        Some(order) => json!(order),
        None => template.get("order").cloned().unwrap_or_else(|| json!(0)),
    };
    template.insert("order".to_owned(), order);
    if call.query.flag("create")? == Some(true) && call.context.store.legacy_templates().contains_key(&name) {
        return Err(Error::illegal_argument(format!("index_template [{name}] already exists")));
    }
    for options in template.get_mut("aliases").and_then(Value::as_object_mut).into_iter().flatten() {
        *options.1 = alias_options(options.1)?;
    }
    let mut mapping = Mapping::default();
    let settings = template.get("settings").and_then(Value::as_object).map(flat).unwrap_or_default();
    mapping.take_settings(&settings).map_err(|error| Error::illegal_argument(error.to_string()))?;
    if let Some(mappings) = template.get("mappings").filter(|mappings| !mappings.is_null()) {
        mapping.declare(mappings).map_err(|error| Error::mapper_parsing(error.to_string()))?;
    }
    let store = Arc::clone(&call.context.store);
    blocking(move || store.set_legacy_template(&name, Some(Value::Object(template)))).await?;
    Ok(acknowledged())
}

async fn delete(call: Call) -> Result<Reply> {
    let pattern = call.part("name").unwrap_or("").to_owned();
    let store = Arc::clone(&call.context.store);
    let wanted: Vec<String> =
        store.legacy_templates().keys().filter(|name| wildcard(&pattern, name)).cloned().collect();
    if wanted.is_empty() && !pattern.contains('*') {
        return Err(Error::new(404, "index_template_missing_exception", format!("index_template [{pattern}] missing")));
    }
    blocking(move || wanted.iter().try_for_each(|name| store.set_legacy_template(name, None).map(|_| ()))).await?;
    Ok(acknowledged())
}
