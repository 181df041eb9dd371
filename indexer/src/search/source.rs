//! `_source` filtering, and values of fields out of a source.

use serde_json::{Map, Value};

use crate::mapping::wildcard;
use crate::query::Refusal;

/// Most patterns of one filter.
const PATTERNS_MAX: usize = 1_000;

/// What of `_source` is wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SourceFilter {
    /// None of it.
    pub none: bool,
    /// Only these paths, when there are any.
    pub includes: Vec<String>,
    /// Not these.
    pub excludes: Vec<String>,
}

impl SourceFilter {
    /// Reads `_source`.
    pub fn parse(value: &Value) -> Result<SourceFilter, Refusal> {
        let mut filter = SourceFilter::default();
        match value {
            Value::Bool(on) => filter.none = !on,
            Value::String(s) if s == "false" => filter.none = true,
            Value::String(s) if s == "true" => {}
            Value::String(s) => filter.includes.push(s.clone()),
            Value::Array(_) => filter.includes = list("_source", value)?,
            Value::Object(map) => {
                for (key, value) in map {
                    match key.as_str() {
                        "includes" | "include" => filter.includes = list(key, value)?,
                        "excludes" | "exclude" => filter.excludes = list(key, value)?,
                        _ => return Err(Refusal::parsing(format!("Unknown key for a START_ARRAY in [{key}]."))),
                    }
                }
            }
            other => {
                return Err(Refusal::parsing(format!(
                    "Expected one of [VALUE_BOOLEAN, VALUE_STRING, START_ARRAY, START_OBJECT] but found [{other}]"
                )));
            }
        }
        Ok(filter)
    }

    /// Whether the source is handed on as it is.
    pub fn is_whole(&self) -> bool {
        !self.none && self.includes.is_empty() && self.excludes.is_empty()
    }

    /// Leaves what is wanted.
    pub fn apply(&self, source: &Value) -> Value {
        match source {
            Value::Object(map) => Value::Object(self.object(map, "", self.includes.is_empty())),
            other => other.clone(),
        }
    }

    fn object(&self, map: &Map<String, Value>, prefix: &str, all: bool) -> Map<String, Value> {
        let mut out = Map::new();
        for (key, value) in map {
            let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            if self.excludes.iter().any(|p| wildcard(p, &path)) {
                continue;
            }
            let all = all || self.includes.iter().any(|p| wildcard(p, &path));
            if let Some(kept) = self.value(value, &path, all) {
                out.insert(key.clone(), kept);
            }
        }
        out
    }

    fn value(&self, value: &Value, path: &str, all: bool) -> Option<Value> {
        match value {
            Value::Object(map) => {
                let kept = self.object(map, path, all);
                (all || !kept.is_empty()).then_some(Value::Object(kept))
            }
            Value::Array(list) => {
                let kept: Vec<Value> = list.iter().filter_map(|v| self.value(v, path, all)).collect();
                (all || !kept.is_empty()).then_some(Value::Array(kept))
            }
            plain => all.then(|| plain.clone()),
        }
    }
}

fn list(key: &str, value: &Value) -> Result<Vec<String>, Refusal> {
    let bad = || Refusal::parsing(format!("Unknown key for a VALUE in [{key}]."));
    match value {
        Value::String(s) => Ok(vec![s.clone()]),
        Value::Array(list) if list.len() <= PATTERNS_MAX => {
            list.iter().map(|v| v.as_str().map(str::to_string).ok_or_else(bad)).collect()
        }
        _ => Err(bad()),
    }
}

/// Calls `see` with the dotted path and value of every plain value.
pub fn leaves<'a>(value: &'a Value, path: &mut String, see: &mut dyn FnMut(&str, &'a Value)) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let before = path.len();
                if before > 0 {
                    path.push('.');
                }
                path.push_str(key);
                leaves(value, path, see);
                path.truncate(before);
            }
        }
        Value::Array(list) => list.iter().for_each(|v| leaves(v, path, see)),
        Value::Null => {}
        plain => see(path, plain),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn filters() {
        let doc = json!({"actor": {"id": 1, "login": "x"}, "id": 2, "list": [{"a": 1, "b": 2}], "e": {}});
        for (filter, want) in [
            (json!(["actor"]), json!({"actor": {"id": 1, "login": "x"}})),
            (json!("actor.id"), json!({"actor": {"id": 1}})),
            (json!("*.id"), json!({"actor": {"id": 1}})),
            (json!({"excludes": ["actor", "list.b"]}), json!({"id": 2, "list": [{"a": 1}], "e": {}})),
            (json!({"includes": ["actor", "id"], "excludes": ["actor"]}), json!({"id": 2})),
            (json!({"includes": "a*", "excludes": "*.login"}), json!({"actor": {"id": 1}})),
        ] {
            assert_eq!(SourceFilter::parse(&filter).unwrap().apply(&doc), want, "{filter}");
        }
        assert!(SourceFilter::parse(&json!(false)).unwrap().none);
        assert!(SourceFilter::parse(&json!({"only": []})).is_err());
    }
}
