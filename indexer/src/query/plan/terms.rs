//! Making tantivy terms of values, for a field of its own as for a path inside a JSON field.

use std::net::{IpAddr, Ipv6Addr};

use serde_json::Value;
use tantivy::Term;
use tantivy::schema::Field;

use super::scan::Matcher;
use crate::mapping::Place;
use crate::query::refusal::Refusal;

fn base(place: &Place) -> Term {
    match &place.path {
        Some(path) => Term::from_field_json_path(place.field, path, true),
        None => Term::from_field_text(place.field, ""),
    }
}

/// A word or an exact text.
pub fn text(place: &Place, value: &str) -> Term {
    match &place.path {
        Some(_) => {
            let mut term = base(place);
            term.append_type_and_str(value);
            term
        }
        None => Term::from_field_text(place.field, value),
    }
}

/// The field, and what stands before a text in its terms.
pub fn head(place: &Place) -> (Field, Vec<u8>) {
    (place.field, text(place, "").serialized_value_bytes().to_vec())
}

/// A whole number, in every form in which it may have been written.
pub fn number(place: &Place, value: f64, whole: Option<i128>) -> Vec<Term> {
    let with = |append: &dyn Fn(&mut Term)| {
        let mut term = base(place);
        append(&mut term);
        term
    };
    let mut terms = vec![with(&|t| t.append_type_and_fast_value(value))];
    if let Some(n) = whole {
        if let Ok(n) = i64::try_from(n) {
            terms.push(with(&|t| t.append_type_and_fast_value(n)));
        }
        if let Ok(n) = u64::try_from(n) {
            terms.push(with(&|t| t.append_type_and_fast_value(n)));
        }
    }
    terms
}

/// A bool.
pub fn boolean(place: &Place, value: bool) -> Term {
    let mut term = base(place);
    term.append_type_and_fast_value(value);
    term
}

/// A value of a request as text.
pub fn as_text(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        other => other.to_string(),
    }
}

/// A value of a request as number: the whole number it is, if it is one.
pub fn as_number(value: &Value) -> Result<(f64, Option<i128>), Refusal> {
    let shown = as_text(value);
    let text = shown.trim();
    if let Ok(n) = text.parse::<i128>() {
        return Ok((n as f64, Some(n)));
    }
    let f: f64 = match value {
        Value::Bool(_) => return Err(Refusal::number(text)),
        _ => text.parse().ok().filter(|f: &f64| f.is_finite()).ok_or_else(|| Refusal::number(text))?,
    };
    Ok((f, (f.fract() == 0.0 && f.abs() < 1e18).then_some(f as i128)))
}

/// A value of a request as bool.
pub fn as_bool(value: &Value) -> Result<bool, Refusal> {
    match value {
        Value::Bool(b) => Ok(*b),
        Value::String(s) if s == "true" => Ok(true),
        Value::String(s) if s == "false" || s.is_empty() => Ok(false),
        other => Err(Refusal::shard_argument(format!(
            "Can't parse boolean value [{}], expected [true] or [false]",
            as_text(other)
        ))),
    }
}

/// An address as a number: v4 addresses lie where v6 maps them.
pub fn address(text: &str) -> Option<u128> {
    let ip: IpAddr = text.parse().ok()?;
    Some(u128::from(match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }))
}

/// A number as an address, v4 where it is one.
pub fn address_text(n: u128) -> String {
    let v6 = Ipv6Addr::from(n);
    v6.to_ipv4_mapped().map_or_else(|| v6.to_string(), |v4| v4.to_string())
}

/// The first and last address of `a/bits`, or of one address.
pub fn network(text: &str) -> Option<(u128, u128)> {
    let Some((address_part, bits)) = text.split_once('/') else {
        let n = address(text)?;
        return Some((n, n));
    };
    let n = address(address_part)?;
    let bits: u32 = bits.parse().ok()?;
    let bits = if address_part.contains(':') { bits } else { bits.checked_add(96)? };
    if bits > 128 {
        return None;
    }
    let rest = if bits == 0 { u128::MAX } else { u128::MAX.checked_shr(bits).unwrap_or(0) };
    Some((n & !rest, n | rest))
}

/// Takes addresses between two ends.
pub fn between(low: u128, high: u128) -> Matcher {
    std::sync::Arc::new(move |term| address(term).is_some_and(|n| (low..=high).contains(&n)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        let show = |t: &str| network(t).map(|(a, b)| (address_text(a), address_text(b)));
        assert_eq!(show("192.168.0.0/16"), Some(("192.168.0.0".into(), "192.168.255.255".into())));
        assert_eq!(show("10.0.0.1"), Some(("10.0.0.1".into(), "10.0.0.1".into())));
        assert_eq!(network("::/0"), Some((0, u128::MAX)));
        assert!(network("10.0.0.0/40").is_none() && network("x").is_none());
    }
}
