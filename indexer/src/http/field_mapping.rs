//! `_mapping/field`: the definitions of single fields, by name or pattern.

use serde_json::{Map, Value, json};

use super::indices::chosen;
use super::{Call, Endpoint, Reply};
use crate::error::Result;
use crate::mapping::wildcard;

/// This file's endpoints.
pub static ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        methods: &["GET"],
        path: "/_mapping/field/{fields}",
        params: PARAMS,
        run: |call| Box::pin(fields(call)),
    },
    Endpoint {
        methods: &["GET"],
        path: "/{index}/_mapping/field/{fields}",
        params: PARAMS,
        run: |call| Box::pin(fields(call)),
    },
];

const PARAMS: &[&str] =
    &["ignore_unavailable", "allow_no_indices", "expand_wildcards", "include_defaults", "include_type_name", "local"];

async fn fields(call: Call) -> Result<Reply> {
    let wanted: Vec<&str> = call.part("fields").unwrap_or("").split(',').collect();
    let mut answer = Map::new();
    for index in chosen(&call)? {
        let mut found = Map::new();
        let mapping = index.mapping().render();
        walk(mapping.get("properties"), "", &mut |path, definition| {
            if wanted.iter().any(|pattern| wildcard(pattern, path)) {
                let last = path.rsplit('.').next().unwrap_or(path);
                found.insert(path.to_owned(), json!({"full_name": path, "mapping": {last: definition}}));
            }
        });
        answer.insert(index.name.to_string(), json!({"mappings": found}));
    }
    Ok(Reply::json(&Value::Object(answer)))
}

/// Calls `see` for each field and each of its sub-fields.
fn walk(properties: Option<&Value>, above: &str, see: &mut dyn FnMut(&str, &Value)) {
    for (name, definition) in properties.and_then(Value::as_object).into_iter().flatten() {
        let path = if above.is_empty() { name.clone() } else { format!("{above}.{name}") };
        if definition.get("properties").is_some() {
            walk(definition.get("properties"), &path, see);
        } else if definition.get("type").is_some() {
            see(&path, definition);
            walk(definition.get("fields"), &path, see);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_met_once() {
        let properties = json!({
            "a": {"type": "text", "fields": {"keyword": {"type": "keyword"}}},
            "b": {"properties": {"c": {"type": "long"}, "d": {"properties": {}}}}
        });
        let mut met = Vec::new();
        walk(Some(&properties), "", &mut |path, definition| met.push(format!("{path} {}", definition["type"])));
        assert_eq!(met, ["a \"text\"", "a.keyword \"keyword\"", "b.c \"long\""]);
    }
}
