//! `filter_path`: keeps only the named parts of an answer. `*` stands for one name or a part of one, `**` for any
//! depth, a leading `-` takes away.

use serde_json::{Map, Value};

use crate::mapping::wildcard;

/// Applies a `filter_path` parameter to an answer.
pub fn apply(value: &Value, parameter: &str) -> Value {
    let (mut keep, mut drop) = (Vec::new(), Vec::new());
    for pattern in parameter.split(',').map(str::trim).filter(|pattern| !pattern.is_empty()) {
        match pattern.strip_prefix('-') {
            Some(pattern) => drop.push(pattern.split('.').collect::<Vec<_>>()),
            None => keep.push(pattern.split('.').collect::<Vec<_>>()),
        }
    }
    let mut value = value.clone();
    if !drop.is_empty() {
        let patterns: Vec<&[&str]> = drop.iter().map(Vec::as_slice).collect();
        value = without(&value, &patterns).unwrap_or_else(|| Value::Object(Map::new()));
    }
    if keep.is_empty() {
        return value;
    }
    let patterns: Vec<&[&str]> = keep.iter().map(Vec::as_slice).collect();
    only(&value, &patterns).unwrap_or_else(|| Value::Object(Map::new()))
}

/// The patterns that go on beneath `name`; the second value says that one ends at it.
fn beneath<'a>(patterns: &[&'a [&'a str]], name: &str) -> (Vec<&'a [&'a str]>, bool) {
    let (mut next, mut ends) = (Vec::new(), false);
    for pattern in patterns {
        match pattern.split_first() {
            Some((&"**", rest)) => {
                next.push(*pattern);
                let (more, end) = beneath(&[rest], name);
                next.extend(more);
                ends |= end || rest.is_empty();
            }
            Some((first, rest)) if wildcard(first, name) => {
                if rest.is_empty() {
                    ends = true;
                } else {
                    next.push(rest);
                }
            }
            _ => {}
        }
    }
    (next, ends)
}

fn only(value: &Value, patterns: &[&[&str]]) -> Option<Value> {
    match value {
        Value::Object(object) => {
            let mut kept = Map::new();
            for (name, inner) in object {
                let (next, ends) = beneath(patterns, name);
                if ends {
                    kept.insert(name.clone(), inner.clone());
                } else if !next.is_empty()
                    && let Some(inner) = only(inner, &next)
                {
                    kept.insert(name.clone(), inner);
                }
            }
            if kept.is_empty() { None } else { Some(Value::Object(kept)) }
        }
        Value::Array(items) => {
            let kept: Vec<Value> = items.iter().filter_map(|item| only(item, patterns)).collect();
            if kept.is_empty() { None } else { Some(Value::Array(kept)) }
        }
        _ => None,
    }
}

fn without(value: &Value, patterns: &[&[&str]]) -> Option<Value> {
    match value {
        Value::Object(object) => {
            let mut kept = Map::new();
            for (name, inner) in object {
                let (next, ends) = beneath(patterns, name);
                if ends {
                    continue;
                }
                let inner = if next.is_empty() { Some(inner.clone()) } else { without(inner, &next) };
                if let Some(inner) = inner {
                    kept.insert(name.clone(), inner);
                }
            }
            if kept.is_empty() && !object.is_empty() { None } else { Some(Value::Object(kept)) }
        }
        Value::Array(items) => Some(Value::Array(items.iter().filter_map(|item| without(item, patterns)).collect())),
        other => Some(other.clone()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn logstashs_filter() {
        let answer = json!({"took": 1, "errors": true, "items": [
            {"create": {"_id": "1", "status": 201}}, {"create": {"_id": "2", "status": 400, "error": {"type": "x"}}}]});
        assert_eq!(
            apply(&answer, "errors,items.*.error,items.*.status"),
            json!({"errors": true, "items": [{"create": {"status": 201}}, {"create": {"status": 400, "error": {"type": "x"}}}]})
        );
    }

    #[test]
    fn depth_and_exclusion() {
        let answer = json!({"a": {"b": {"c": 1, "d": 2}}, "e": [{"c": 3}], "f": 4});
        assert_eq!(apply(&answer, "**.c"), json!({"a": {"b": {"c": 1}}, "e": [{"c": 3}]}));
        assert_eq!(apply(&answer, "-a.b.c,-f"), json!({"a": {"b": {"d": 2}}, "e": [{"c": 3}]}));
        assert_eq!(apply(&answer, "a.*,-a.b.d"), json!({"a": {"b": {"c": 1}}}));
        assert_eq!(apply(&answer, "nothing"), json!({}));
    }
}
