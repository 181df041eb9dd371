//! Answers of aggregations, before they become JSON: pipelines read and change them.

use serde_json::{Map, Value};

use super::partial::Key;

/// The answer of one aggregation.
#[derive(Debug, Default)]
pub struct Out {
    /// Its type in names under `typed_keys`.
    pub kind: &'static str,
    /// Its members.
    pub body: Map<String, Value>,
    /// Those beneath it, for one bucket.
    pub subs: Vec<(String, Out)>,
    /// Its buckets.
    pub buckets: Option<Buckets>,
}

/// Buckets in a list or by name.
#[derive(Debug)]
pub enum Buckets {
    /// `[…]`
    List(Vec<OutBucket>),
    /// `{…}`
    Named(Vec<(String, OutBucket)>),
}

impl Buckets {
    /// All of them, in order.
    pub fn all(&self) -> Vec<&OutBucket> {
        match self {
            Buckets::List(list) => list.iter().collect(),
            Buckets::Named(list) => list.iter().map(|(_, b)| b).collect(),
        }
    }

    /// All of them, in order, to be changed.
    pub fn all_mut(&mut self) -> Vec<&mut OutBucket> {
        match self {
            Buckets::List(list) => list.iter_mut().collect(),
            Buckets::Named(list) => list.iter_mut().map(|(_, b)| b).collect(),
        }
    }

    /// Keeps those at these places, in this order.
    pub fn pick(&mut self, order: &[usize]) {
        fn reorder<T>(list: &mut Vec<T>, order: &[usize]) {
            let mut old: Vec<Option<T>> = std::mem::take(list).into_iter().map(Some).collect();
            *list = order.iter().filter_map(|i| old.get_mut(*i).and_then(Option::take)).collect();
        }
        match self {
            Buckets::List(list) => reorder(list, order),
            Buckets::Named(list) => reorder(list, order),
        }
    }
}

/// One bucket.
#[derive(Debug, Default)]
pub struct OutBucket {
    /// Its own members: `key`, `doc_count`, ….
    pub head: Map<String, Value>,
    /// Number of documents.
    pub count: u64,
    /// Its key, where it has one.
    pub key: Option<Key>,
    /// The aggregations beneath.
    pub subs: Vec<(String, Out)>,
}

impl OutBucket {
    /// The number that a path leads to: `_count`, `_key`, `metric`, `stats.avg`, `filter>metric`.
    pub fn number(&self, path: &str) -> Option<f64> {
        match path {
            "_count" => Some(self.count as f64),
            "_key" => self.key.as_ref().and_then(Key::number),
            _ => number(&self.subs, path),
        }
    }
}

/// The number that a path leads to, from aggregations of one level.
pub fn number(subs: &[(String, Out)], path: &str) -> Option<f64> {
    let (first, rest) = path.split_once('>').map_or((path, None), |(a, b)| (a, Some(b)));
    if let Some(rest) = rest {
        let out = &subs.iter().find(|(n, _)| n == first)?.1;
        if rest == "_count" {
            return out.body.get("doc_count").and_then(Value::as_f64);
        }
        return number(&out.subs, rest);
    }
    let (name, property) = split(first, subs)?;
    let out = &subs.iter().find(|(n, _)| n == name)?.1;
    out.number(property)
}

/// Parts `stats.avg` or `p[99.0]`; a name may have dots itself.
fn split<'a>(text: &'a str, subs: &[(String, Out)]) -> Option<(&'a str, &'a str)> {
    if subs.iter().any(|(n, _)| n == text) {
        return Some((text, "value"));
    }
    if let Some((name, rest)) = text.split_once('[') {
        return Some((name, rest.strip_suffix(']')?));
    }
    text.match_indices('.')
        .map(|(i, _)| (&text[..i], &text[i + 1..]))
        .find(|(name, _)| subs.iter().any(|(n, _)| n == name))
}

impl Out {
    /// A member as number: `value`, `avg`, a percentile, `std_deviation_bounds.upper`, `_count`.
    pub fn number(&self, property: &str) -> Option<f64> {
        if property == "_count" {
            return self.body.get("doc_count").and_then(Value::as_f64);
        }
        let direct = self.body.get(property).and_then(Value::as_f64);
        direct
            .or_else(|| {
                let values = self.body.get("values")?;
                let percent: Option<f64> = property.parse().ok();
                values.get(property).or_else(|| values.get(format!("{:?}", percent?))).and_then(Value::as_f64)
            })
            .or_else(|| {
                let (outer, inner) = property
                    .split_once('.')
                    .or_else(|| property.strip_prefix("std_").map(|p| ("std_deviation_bounds", p)))?;
                self.body.get(outer)?.get(inner)?.as_f64()
            })
    }

    /// As JSON.
    pub fn json(self, typed: bool) -> Value {
        let mut body = self.body;
        if let Some(buckets) = self.buckets {
            let json = match buckets {
                Buckets::List(list) => Value::Array(list.into_iter().map(|b| b.json(typed)).collect()),
                Buckets::Named(list) => Value::Object(list.into_iter().map(|(n, b)| (n, b.json(typed))).collect()),
            };
            body.insert("buckets".into(), json);
        }
        add(&mut body, self.subs, typed);
        Value::Object(body)
    }
}

impl OutBucket {
    fn json(self, typed: bool) -> Value {
        let mut body = self.head;
        add(&mut body, self.subs, typed);
        Value::Object(body)
    }
}

/// Adds aggregations' answers to an object.
pub fn add(body: &mut Map<String, Value>, subs: Vec<(String, Out)>, typed: bool) {
    for (name, out) in subs {
        let name = if typed { format!("{}#{name}", out.kind) } else { name };
        body.insert(name, out.json(typed));
    }
}

/// A number as Java writes a double: `50.0`, `1.0E10`.
pub fn java_double(n: f64) -> String {
    if n == f64::INFINITY {
        return "Infinity".into();
    }
    if n == f64::NEG_INFINITY {
        return "-Infinity".into();
    }
    if n != 0.0 && !(1e-3..1e7).contains(&n.abs()) {
        let text = format!("{n:E}");
        return match text.split_once('E') {
            Some((digits, e)) if !digits.contains('.') => format!("{digits}.0E{e}"),
            _ => text,
        };
    }
    format!("{n:?}")
}

/// Writes a number by a Java decimal pattern: `#,##0.00`, `Value is ##0.0`, `0%`.
pub fn decimal(pattern: &str, n: f64) -> String {
    let is_digit = |c: char| matches!(c, '#' | '0' | ',' | '.');
    let start = pattern.find(is_digit).unwrap_or(pattern.len());
    let end = pattern[start..].find(|c| !is_digit(c)).map_or(pattern.len(), |e| e + start);
    let (prefix, body, suffix) = (&pattern[..start], &pattern[start..end], &pattern[end..]);
    if body.is_empty() {
        return java_double(n);
    }
    let n = if suffix.contains('%') { n * 100.0 } else { n };
    let (whole, fraction) = body.split_once('.').unwrap_or((body, ""));
    let (least, most) = (fraction.matches('0').count(), fraction.len());
    let mut text = format!("{:.most$}", n.abs());
    if most > 0 {
        let keep = text.len() - (most - least);
        let trimmed = text.trim_end_matches('0').len().max(keep);
        text.truncate(trimmed);
        if text.ends_with('.') {
            text.pop();
        }
    }
    let (mut digits, rest) = match text.split_once('.') {
        Some((d, r)) => (d.to_string(), format!(".{r}")),
        None => (text, String::new()),
    };
    let wanted = whole.matches('0').count();
    while digits.len() < wanted {
        digits.insert(0, '0');
    }
    if wanted == 0 && digits == "0" && !rest.is_empty() {
        digits.clear();
    }
    if let Some(comma) = whole.rfind(',') {
        let group = whole.len() - comma - 1;
        let mut at = digits.len();
        while group > 0 && at > group {
            at -= group;
            digits.insert(at, ',');
        }
    }
    let sign = if n < 0.0 { "-" } else { "" };
    format!("{prefix}{sign}{digits}{rest}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_java_writes_them() {
        assert_eq!(java_double(50.0), "50.0");
        assert_eq!(java_double(19.2499999), "19.2499999");
        assert_eq!(java_double(1e10), "1.0E10");
        assert_eq!(java_double(1.5e-5), "1.5E-5");
        assert_eq!(decimal("Value is ##0.0", 50.0), "Value is 50.0");
        assert_eq!(decimal("Value is ##0.0", 0.0), "Value is 0.0");
        assert_eq!(decimal("#,##0.00", -1234567.891), "-1,234,567.89");
        assert_eq!(decimal("0%", 0.256), "26%");
        assert_eq!(decimal("#.##", 2.5), "2.5");
        assert_eq!(decimal("000", 7.0), "007");
    }
}
