//! What a request says of its order: `sort`, and `search_after`.

use serde_json::{Map, Value};

use super::{By, FieldKey, Key, Missing, REQUEST_KEYS_MAX, Sorted};
use crate::mapping::{EsType, Mapping};
use crate::query::Refusal;
use crate::query::dsl::string;
use crate::time::format::DateFormat;
use crate::time::math;
use crate::time::zone::Zone;

/// Reads `sort`: a text, an object, or a list of them.
pub fn parse(value: &Value) -> Result<Vec<Key>, Refusal> {
    let mut keys = Vec::new();
    match value {
        Value::Null => {}
        Value::String(s) => keys.push(plain(s)?),
        Value::Object(map) => object(map, &mut keys)?,
        Value::Array(list) => {
            for entry in list {
                match entry {
                    Value::String(s) => keys.push(plain(s)?),
                    Value::Object(map) => object(map, &mut keys)?,
                    other => {
                        return Err(Refusal::argument(format!(
                            "malformed sort format, within the sort array, an object, or an actual string are allowed, found [{other}]"
                        )));
                    }
                }
            }
        }
        other => {
            return Err(Refusal::argument(format!(
                "malformed sort format, either start with array, object, or an actual string, found [{other}]"
            )));
        }
    }
    if keys.len() > REQUEST_KEYS_MAX {
        return Err(Refusal::argument(format!("more than [{REQUEST_KEYS_MAX}] sort keys")));
    }
    Ok(keys)
}

/// Reads the parameter `sort=field:desc,other`.
pub fn parse_uri(text: &str) -> Result<Vec<Key>, Refusal> {
    let mut keys = Vec::new();
    for part in text.split(',').filter(|p| !p.is_empty()) {
        let mut key = match part.rsplit_once(':') {
            Some((name, order @ ("asc" | "desc"))) => Key { descending: order == "desc", ..plain(name)? },
            Some((_, order)) => return Err(Refusal::argument(format!("Unknown sort order [{order}]"))),
            None => plain(part)?,
        };
        settle(&mut key);
        keys.push(key);
    }
    if keys.len() > REQUEST_KEYS_MAX {
        return Err(Refusal::argument(format!("more than [{REQUEST_KEYS_MAX}] sort keys")));
    }
    Ok(keys)
}

fn settle(key: &mut Key) {
    let descending = key.descending;
    if let By::Field(f) = &mut key.by {
        f.largest = descending;
    }
}

fn plain(name: &str) -> Result<Key, Refusal> {
    let by = match name {
        "_score" => By::Score,
        "_doc" | "_seq_no" => By::Arrival,
        "_shard_doc" => By::ShardDoc,
        "_geo_distance" | "_script" => return Err(Refusal::unsupported(format!("sort by [{name}]"))),
        "" => return Err(Refusal::argument("empty sort field")),
        _ => By::Field(FieldKey {
            name: name.into(),
            missing: Missing::Last,
            unmapped: false,
            largest: false,
            format: None,
        }),
    };
    Ok(Key { descending: by == By::Score, by })
}

fn object(map: &Map<String, Value>, keys: &mut Vec<Key>) -> Result<(), Refusal> {
    for (name, how) in map {
        let mut key = plain(name)?;
        let order = |v: &Value| match v.as_str().map(str::to_ascii_lowercase).as_deref() {
            Some("asc") => Ok(false),
            Some("desc") => Ok(true),
            _ => Err(Refusal::argument(format!("Unknown SortOrder [{v}]"))),
        };
        match how {
            Value::String(_) => key.descending = order(how)?,
            Value::Object(options) => {
                let mut mode = None;
                for (option, value) in options {
                    match (option.as_str(), &mut key.by) {
                        ("order", _) => key.descending = order(value)?,
                        ("mode", _) => mode = Some(string("sort", option, value)?),
                        ("missing", By::Field(f)) => {
                            f.missing = match value.as_str() {
                                Some("_last") => Missing::Last,
                                Some("_first") => Missing::First,
                                _ => Missing::As(value.clone()),
                            }
                        }
                        ("unmapped_type", By::Field(f)) => {
                            string("sort", option, value)?;
                            f.unmapped = true;
                        }
                        ("format", By::Field(f)) => {
                            let text = string("sort", option, value)?;
                            DateFormat::parse(&text).map_err(Refusal::argument)?;
                            f.format = Some(text);
                        }
                        // Values of one sort are of comparable types here whatever this says.
                        ("numeric_type", By::Field(_)) => {
                            string("sort", option, value)?;
                        }
                        ("unmapped_type" | "missing", _) => {}
                        ("nested" | "nested_path" | "nested_filter", _) => {
                            return Err(Refusal::unsupported(format!("sort option [{option}]")));
                        }
                        _ => return Err(Refusal::content(format!("[field_sort] unknown field [{option}]"))),
                    }
                }
                settle(&mut key);
                match (mode.as_deref(), &mut key.by) {
                    (None, _) => {}
                    (Some("min"), By::Field(f)) => f.largest = false,
                    (Some("max"), By::Field(f)) => f.largest = true,
                    (Some(other), _) => return Err(Refusal::unsupported(format!("sort mode [{other}]"))),
                }
                keys.push(key);
                continue;
            }
            other => return Err(Refusal::argument(format!("malformed sort of [{name}]: [{other}]"))),
        }
        settle(&mut key);
        keys.push(key);
    }
    Ok(())
}

/// Whether the index can sort by these keys.
pub fn check(keys: &[Key], mapping: &Mapping) -> Result<(), Refusal> {
    for key in keys {
        let By::Field(f) = &key.by else { continue };
        match mapping.resolve(&f.name) {
            None if f.unmapped || matches!(f.name.as_str(), "_id" | "_index") => {}
            None => {
                return Err(Refusal::shard(format!("No mapping found for [{}] in order to sort on", f.name)));
            }
            Some(field) if field.column.is_none() && field.es_type == EsType::Text => {
                return Err(Refusal::shard_argument(format!(
                    "Fielddata is disabled on [{0}] in [_all]. Text fields are not optimised for operations that require \
                     per-document field data like aggregations and sorting, so these operations are disabled by default. \
                     Please use a keyword field instead. Alternatively, set fielddata=true on [{0}] in order to load field \
                     data by uninverting the inverted index. Note that this can use significant memory.",
                    f.name
                )));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Reads `search_after` for these keys.
pub fn after(values: &[Value], keys: &[Key], now: i128) -> Result<Vec<Sorted>, Refusal> {
    if values.len() != keys.len() {
        return Err(Refusal::argument(format!(
            "search_after has {} value(s) but sort has {}.",
            values.len(),
            keys.len()
        )));
    }
    let read = |(value, key): (&Value, &Key)| -> Result<Sorted, Refusal> {
        Ok(match value {
            Value::Null => Sorted::Null,
            Value::Bool(b) => Sorted::Bool(*b),
            Value::Number(n) => match (n.as_i64(), n.as_u64(), n.as_f64()) {
                (Some(i), ..) => Sorted::Int(i),
                (None, Some(u), _) => Sorted::UInt(u),
                (None, None, Some(f)) => Sorted::Float(f),
                (None, None, None) => return Err(Refusal::number(&n.to_string())),
            },
            Value::String(s) => match &key.by {
                By::Field(f) => {
                    let format = f.format.as_deref().and_then(|f| DateFormat::parse(f).ok());
                    match format.map(|f| math::read(s, &f, &Zone::utc(), now, false)) {
                        Some(Ok(nanos)) => Sorted::Date(nanos.clamp(i64::MIN.into(), i64::MAX.into()) as i64),
                        Some(Err(why)) => return Err(Refusal::date(why)),
                        None => Sorted::Str(s.clone()),
                    }
                }
                _ => s.parse().map(Sorted::Int).map_err(|_| Refusal::number(s))?,
            },
            other => {
                return Err(Refusal::argument(format!("Can't handle [search_after] field value of type [{other}]")));
            }
        })
    };
    values.iter().zip(keys).map(read).collect()
}
