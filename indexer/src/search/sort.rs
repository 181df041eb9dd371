//! Sort orders: `"sort"` of a request, the keys of documents, and `search_after`.

mod reader;
mod request;

pub use reader::Reader;
pub use request::{after, check, parse, parse_uri};

use std::cmp::Ordering;

use serde_json::Value;

use crate::time::format::DateFormat;
use crate::time::to_millis;
use crate::time::zone::Zone;

/// Most keys of one sort order.
pub const MAX_KEYS: usize = 8;
/// Most keys that a request may name: one more is added where places must be told apart.
const REQUEST_KEYS_MAX: usize = MAX_KEYS - 1;

/// Bits of `_shard_doc` that are the arrival number; the index's number stands above.
const SHARD_DOC_BITS: u32 = 44;

/// What documents are sorted by.
#[derive(Clone, Debug, PartialEq)]
pub enum By {
    /// The score.
    Score,
    /// Order of arrival: `_doc`, `_seq_no`.
    Arrival,
    /// Order of arrival within all that a point in time sees.
    ShardDoc,
    /// A field's value.
    Field(FieldKey),
}

/// A field as sort key.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldKey {
    /// Its name.
    pub name: String,
    /// Documents without a value: first, last, or as if they had this one.
    pub missing: Missing,
    /// No index needs to know the field.
    pub unmapped: bool,
    /// Which of several values counts: the largest?
    pub largest: bool,
    /// How dates are written in `sort`.
    pub format: Option<String>,
}

/// Where documents without a value go.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Missing {
    First,
    Last,
    As(Value),
}

/// One sort key.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// By what.
    pub by: By,
    /// Largest first.
    pub descending: bool,
}

/// A document's value under one sort key.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Sorted {
    Null,
    Int(i64),
    UInt(u64),
    Float(f64),
    Bool(bool),
    /// Nanoseconds.
    Date(i64),
    Str(String),
}

impl Sorted {
    fn number(&self) -> Option<f64> {
        Some(match self {
            Sorted::Int(n) => *n as f64,
            Sorted::UInt(n) => *n as f64,
            Sorted::Float(n) => *n,
            Sorted::Bool(b) => f64::from(u8::from(*b)),
            Sorted::Date(n) => *n as f64,
            Sorted::Null | Sorted::Str(_) => return None,
        })
    }

    /// Ascending order of two values; nulls are handled by the key.
    fn order(&self, other: &Sorted) -> Ordering {
        match (self, other) {
            (Sorted::Int(a), Sorted::Int(b)) => a.cmp(b),
            (Sorted::UInt(a), Sorted::UInt(b)) => a.cmp(b),
            (Sorted::Date(a), Sorted::Date(b)) => a.cmp(b),
            (Sorted::Str(a), Sorted::Str(b)) => a.cmp(b),
            (a, b) => match (a.number(), b.number()) {
                (Some(a), Some(b)) => a.total_cmp(&b),
                // Numbers come before texts where indices disagree.
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => Ordering::Equal,
            },
        }
    }

    /// As it stands in `sort` of a hit.
    pub fn json(&self, key: &Key) -> Value {
        match self {
            Sorted::Null => Value::Null,
            Sorted::Int(n) => (*n).into(),
            Sorted::UInt(n) => (*n).into(),
            Sorted::Float(n) => (*n).into(),
            Sorted::Bool(b) => i64::from(*b).into(),
            Sorted::Str(s) => s.clone().into(),
            Sorted::Date(nanos) => {
                let nanos = i128::from(*nanos);
                if let By::Field(FieldKey { format: Some(f), .. }) = &key.by
                    && let Ok(format) = DateFormat::parse(f)
                {
                    return format.write(nanos, &Zone::utc()).into();
                }
                to_millis(nanos).into()
            }
        }
    }
}

/// The order of two documents' values under some keys.
pub fn compare(keys: &[Key], a: &[Sorted], b: &[Sorted]) -> Ordering {
    for ((key, a), b) in keys.iter().zip(a).zip(b) {
        let nulls_last = !matches!(&key.by, By::Field(FieldKey { missing: Missing::First, .. }));
        let order = match (a, b) {
            (Sorted::Null, Sorted::Null) => Ordering::Equal,
            (Sorted::Null, _) => {
                if nulls_last {
                    Ordering::Greater
                } else {
                    Ordering::Less
                }
            }
            (_, Sorted::Null) => {
                if nulls_last {
                    Ordering::Less
                } else {
                    Ordering::Greater
                }
            }
            (a, b) if key.descending => b.order(a),
            (a, b) => a.order(b),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

/// Puts a value of `search_after` into the type that the field's values have.
pub fn fit(value: &Sorted, like: &Sorted) -> Sorted {
    match (value, like) {
        (Sorted::Int(ms), Sorted::Date(_)) => Sorted::Date(ms.saturating_mul(1_000_000)),
        (Sorted::Str(s), Sorted::Date(_)) => match DateFormat::default().read(s, &Zone::utc(), false) {
            Some(nanos) => Sorted::Date(nanos.clamp(i64::MIN.into(), i64::MAX.into()) as i64),
            None => value.clone(),
        },
        (Sorted::Int(n), Sorted::UInt(_)) => u64::try_from(*n).map_or(Sorted::Int(*n), Sorted::UInt),
        (Sorted::UInt(n), Sorted::Int(_)) => i64::try_from(*n).map_or(Sorted::UInt(*n), Sorted::Int),
        (Sorted::Str(s), Sorted::Int(_)) => s.parse().map_or(value.clone(), Sorted::Int),
        (Sorted::Str(s), Sorted::UInt(_)) => s.parse().map_or(value.clone(), Sorted::UInt),
        (Sorted::Str(s), Sorted::Float(_)) => s.parse().map_or(value.clone(), Sorted::Float),
        (Sorted::Int(n), Sorted::Str(_)) => Sorted::Str(n.to_string()),
        (Sorted::Int(n), Sorted::Bool(_)) => Sorted::Bool(*n != 0),
        _ => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn orders_keep_the_texts_order_of_keys() {
        let text = r#"{"timestamp": {"order":"desc","unmapped_type":"boolean"}, "_doc": {"order":"desc"}}"#;
        let keys = parse(&serde_json::from_str(text).unwrap()).unwrap();
        assert_eq!(keys.iter().map(|k| k.descending).collect::<Vec<_>>(), [true, true]);
        assert_eq!(keys[1].by, By::Arrival);
        let By::Field(f) = &keys[0].by else { panic!("{keys:?}") };
        assert!(f.unmapped && f.largest);
        assert_eq!(parse_uri("a:desc,_score").unwrap().len(), 2);
        assert!(parse(&json!([{"a": {"order": "up"}}])).is_err());
        assert!(parse(&json!([{"a": {"foo": 1}}])).is_err());
    }

    #[test]
    fn nulls_go_where_they_are_sent() {
        let keys = parse(&json!([{"a": "desc"}])).unwrap();
        let (one, none) = ([Sorted::Int(1)], [Sorted::Null]);
        assert_eq!(compare(&keys, &one, &none), Ordering::Less);
        let keys = parse(&json!([{"a": {"order": "asc", "missing": "_first"}}])).unwrap();
        assert_eq!(compare(&keys, &one, &none), Ordering::Greater);
        assert_eq!(compare(&keys, &[Sorted::Int(2)], &[Sorted::Float(1.5)]), Ordering::Greater);
    }
}
