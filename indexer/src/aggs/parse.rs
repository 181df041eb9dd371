//! Aggregation requests: JSON → [`Agg`] trees. What is not known is refused by name, never passed over.

mod bucket;
mod metric;
mod pipeline;

use serde_json::{Map, Value};

use super::ast::{Agg, Kind, OrderBy, Orders, Source};
use super::{MAX_AGGS, MAX_DEPTH};
use crate::query::Refusal;
use crate::query::dsl::string;
use crate::time::format::DateFormat;
use crate::time::zone::Zone;

/// Reads the object under `aggs`.
pub fn parse(value: &Value) -> Result<Vec<Agg>, Refusal> {
    let mut count = 0;
    let aggs = level(value, 0, &mut count)?;
    for agg in &aggs {
        check(agg, None)?;
    }
    Ok(aggs)
}

fn level(value: &Value, depth: usize, count: &mut usize) -> Result<Vec<Agg>, Refusal> {
    if depth > MAX_DEPTH {
        return Err(Refusal::argument(format!("aggregations are nested deeper than [{MAX_DEPTH}]")));
    }
    let map = value.as_object().ok_or_else(|| Refusal::parsing("Expected [START_OBJECT] under [aggs]"))?;
    let mut aggs = Vec::with_capacity(map.len().min(MAX_AGGS));
    for (name, body) in map {
        *count += 1;
        if *count > MAX_AGGS {
            return Err(Refusal::argument(format!("more than [{MAX_AGGS}] aggregations")));
        }
        if name.is_empty() || name.contains(['[', ']', '>']) {
            return Err(Refusal::parsing(format!(
                "Invalid aggregation name [{name}]. Aggregation names can contain any character except '[', ']', and '>'"
            )));
        }
        aggs.push(one(name, body, depth, count)?);
    }
    Ok(aggs)
}

fn one(name: &str, body: &Value, depth: usize, count: &mut usize) -> Result<Agg, Refusal> {
    let map = body.as_object().ok_or_else(|| {
        Refusal::parsing(format!(
            "Aggregation definition for [{name}] starts with a [{body}], expected a [START_OBJECT]."
        ))
    })?;
    let (mut subs, mut meta, mut found) = (None, None, None);
    for (key, value) in map {
        match key.as_str() {
            "aggs" | "aggregations" => {
                if subs.is_some() {
                    return Err(Refusal::parsing(format!("Found two sub aggregation definitions under [{name}]")));
                }
                subs = Some(level(value, depth + 1, count)?);
            }
            "meta" => {
                meta = Some(
                    value
                        .as_object()
                        .ok_or_else(|| Refusal::parsing(format!("[meta] of [{name}] must be an object")))?
                        .clone(),
                );
            }
            kind => {
                if let Some((first, _)) = found {
                    return Err(Refusal::parsing(format!(
                        "Found two aggregation type definitions in [{name}]: [{first}] and [{kind}]"
                    )));
                }
                found = Some((kind, value));
            }
        }
    }
    let Some((kind, value)) = found else {
        return Err(Refusal::parsing(format!("Missing definition for aggregation [{name}]")));
    };
    let Some(options) = value.as_object() else {
        return Err(Refusal::parsing(format!(
            "Aggregation definition for [{name} starts with a [VALUE], expected a [START_OBJECT]."
        )));
    };
    let options = Options { agg: name, kind, map: options };
    let parsed = match bucket::parse(&options)? {
        Some(k) => Some(k),
        None => match metric::parse(&options)? {
            Some(k) => Some(k),
            None => pipeline::parse(&options)?,
        },
    };
    let kind = parsed.ok_or_else(|| Refusal::parsing(format!("Unknown aggregation type [{kind}] in [{name}]")))?;
    Ok(Agg { name: name.into(), kind, subs: subs.unwrap_or_default(), meta })
}

/// Rules about what may stand beneath what.
fn check(agg: &Agg, parent: Option<&Agg>) -> Result<(), Refusal> {
    if !agg.kind.is_bucket() && !agg.subs.is_empty() {
        return Err(Refusal::parsing(format!("Aggregator [{}] cannot accept sub-aggregations", agg.name)));
    }
    match (&agg.kind, parent) {
        (Kind::Composite(_), Some(_)) if !parent.is_some_and(|p| matches!(p.kind, Kind::Whole(_))) => {
            return Err(Refusal::argument(
                "[composite] aggregation cannot be used with a parent aggregation of type: [bucket]",
            ));
        }
        (Kind::Global, Some(_)) => {
            return Err(Refusal::shard_argument(format!(
                "Aggregation [{}] cannot have a global sub-aggregation: global aggregations can only be on the top level",
                agg.name
            )));
        }
        (Kind::Pipeline(p), parent) => pipeline::check(agg, p, parent)?,
        _ => {}
    }
    agg.subs.iter().try_for_each(|sub| check(sub, Some(agg)))
}

/// The options of one aggregation, while they are read.
pub(super) struct Options<'a> {
    pub agg: &'a str,
    pub kind: &'a str,
    pub map: &'a Map<String, Value>,
}

impl Options<'_> {
    /// Refuses every option beside these.
    fn only(&self, known: &[&str]) -> Result<(), Refusal> {
        for key in self.map.keys() {
            if key == "script" || key.ends_with("_script") {
                return Err(Refusal::unsupported(format!("[{}] with [{key}] in [{}]", self.kind, self.agg)));
            }
            if !known.contains(&key.as_str()) {
                return Err(Refusal::content(format!("[{}] unknown field [{key}] in [{}]", self.kind, self.agg)));
            }
        }
        Ok(())
    }

    fn bad(&self, key: &str, why: impl std::fmt::Display) -> Refusal {
        Refusal::content(format!("[{}] failed to parse field [{key}] in [{}]: {why}", self.kind, self.agg))
    }

    fn get(&self, key: &str) -> Option<&Value> {
        self.map.get(key).filter(|v| !v.is_null())
    }

    fn text(&self, key: &str) -> Result<Option<String>, Refusal> {
        self.get(key).map(|v| string(self.kind, key, v)).transpose()
    }

    fn flag(&self, key: &str) -> Result<bool, Refusal> {
        self.get(key).map_or(Ok(false), |v| crate::query::dsl::boolean(self.kind, key, v))
    }

    fn integer(&self, key: &str) -> Result<Option<i64>, Refusal> {
        self.get(key).map(|v| crate::query::dsl::integer(self.kind, key, v).map_err(|_| self.bad(key, v))).transpose()
    }

    fn number(&self, key: &str) -> Result<Option<f64>, Refusal> {
        self.get(key).map(|v| crate::query::dsl::number(self.kind, key, v).map_err(|_| self.bad(key, v))).transpose()
    }

    /// A whole number that is not negative.
    fn count(&self, key: &str) -> Result<Option<usize>, Refusal> {
        let Some(n) = self.integer(key)? else { return Ok(None) };
        usize::try_from(n).map(Some).map_err(|_| {
            Refusal::argument(format!("[{key}] must be greater than or equal to 0. Found [{n}] in [{}]", self.agg))
        })
    }

    /// As [`Self::count`], and not 0.
    fn positive(&self, key: &str) -> Result<Option<usize>, Refusal> {
        match self.count(key)? {
            Some(0) => Err(Refusal::argument(format!("[{key}] must be greater than 0. Found [0] in [{}]", self.agg))),
            n => Ok(n),
        }
    }

    fn source(&self) -> Result<Source, Refusal> {
        let field = self.text("field")?.ok_or_else(|| {
            Refusal::argument(format!(
                "Required one of fields [field, script], but none were specified in [{}]",
                self.agg
            ))
        })?;
        let value_type = self.text("value_type")?;
        Ok(Source { field, missing: self.get("missing").cloned(), format: self.text("format")?, value_type })
    }

    fn zone(&self) -> Result<Zone, Refusal> {
        match self.text("time_zone")? {
            None => Ok(Zone::utc()),
            Some(name) => Zone::parse(&name).ok_or_else(|| Refusal::argument(format!("Unknown time-zone ID: {name}"))),
        }
    }

    /// Refuses a date format that cannot be read.
    fn date_format(&self) -> Result<(), Refusal> {
        match self.text("format")? {
            Some(f) => DateFormat::parse(&f).map(|_| ()).map_err(Refusal::argument),
            None => Ok(()),
        }
    }

    fn order(&self, default: Orders) -> Result<Orders, Refusal> {
        let Some(value) = self.get("order") else { return Ok(default) };
        let list = match value {
            Value::Array(list) => list.iter().collect(),
            one => vec![one],
        };
        let mut orders = Vec::new();
        for entry in list {
            let map = entry.as_object().filter(|m| m.len() == 1).ok_or_else(|| {
                Refusal::parsing(format!("Must specify at least one field for [order] in [{}]", self.agg))
            })?;
            for (path, direction) in map {
                let descending = match direction.as_str().map(str::to_ascii_lowercase).as_deref() {
                    Some("desc") => true,
                    Some("asc") => false,
                    _ => return Err(Refusal::parsing(format!("Unknown order direction [{direction}]"))),
                };
                orders.push((order_by(path), descending));
            }
        }
        // Ties are broken by key, as everywhere in Elasticsearch.
        if !orders.iter().any(|(by, _)| *by == OrderBy::Key) {
            orders.push((OrderBy::Key, false));
        }
        Ok(orders)
    }
}

fn order_by(path: &str) -> OrderBy {
    match path {
        "_count" => OrderBy::Count,
        "_key" | "_term" | "_time" => OrderBy::Key,
        _ => {
            let mut parts: Vec<String> = path.split('>').map(|p| p.trim().to_string()).collect();
            if let Some(last) = parts.pop() {
                match last.strip_suffix(']').and_then(|l| l.split_once('[')).or_else(|| last.split_once('.')) {
                    Some((name, value)) => parts.extend([name.to_string(), value.to_string()]),
                    None => parts.extend([last, "value".into()]),
                }
            }
            OrderBy::Path(parts)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn refusals_name_what_is_wrong() {
        for (body, want) in [
            (json!({"a": {"nope": {}}}), "Unknown aggregation type [nope] in [a]"),
            (json!({"a": {"terms": {}}}), "Required one of fields [field, script], but none were specified in [a]"),
            (json!({"a": {"terms": {"field": "x", "foo": 1}}}), "[terms] unknown field [foo] in [a]"),
            (
                json!({"a": {"terms": {"field": "x"}, "avg": {"field": "x"}}}),
                "Found two aggregation type definitions in [a]: [terms] and [avg]",
            ),
            (
                json!({"a": {"avg": {"field": "x"}, "aggs": {"b": {"avg": {"field": "x"}}}}}),
                "Aggregator [a] cannot accept sub-aggregations",
            ),
            (
                json!({"a[": {"avg": {"field": "x"}}}),
                "Invalid aggregation name [a[]. Aggregation names can contain any character except '[', ']', and '>'",
            ),
            (
                json!({"a": {"extended_stats": {"field": "x", "sigma": -1}}}),
                "[sigma] must be greater than or equal to 0. Found [-1.0] in [a]",
            ),
            (json!({"a": {"percentiles": {"field": "x", "percents": []}}}), "[percents] must not be empty: [a]"),
            (
                json!({"a": {"date_histogram": {"field": "t", "calendar_interval": "2d"}}}),
                "The supplied interval [2d] could not be parsed as a calendar interval.",
            ),
            (json!({"a": {"terms": {"field": "x", "script": {}}}}), "[terms] with [script] in [a] is not supported"),
            (
                json!({"a": {"terms": {"field": "x"}, "aggs": {"b": {"composite": {"sources": [{"k": {"terms": {"field": "y"}}}]}}}}}),
                "[composite] aggregation cannot be used with a parent aggregation of type: [bucket]",
            ),
        ] {
            assert_eq!(parse(&body).map(|_| ()).map_err(|r| r.reason), Err(want.to_string()), "{body}");
        }
    }

    #[test]
    fn order_paths() {
        assert_eq!(order_by("the_avg"), OrderBy::Path(vec!["the_avg".into(), "value".into()]));
        assert_eq!(order_by("a>b.max"), OrderBy::Path(vec!["a".into(), "b".into(), "max".into()]));
        assert_eq!(order_by("p[99.0]"), OrderBy::Path(vec!["p".into(), "99.0".into()]));
    }
}
