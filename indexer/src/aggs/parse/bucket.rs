//! Requests of aggregations that make buckets.

use serde_json::{Map, Value};

use super::Options;
use crate::aggs::MAX_BUCKETS;
use crate::aggs::ast::{
    Choice, Composite, CompositeOn, CompositeSource, DateHistogram, Ends, Histogram, Kind, OrderBy, RangeOn, RangeSpec,
    Source, Terms,
};
use crate::query::{Refusal, dsl};
use crate::time::rounding::Interval;
use crate::time::span;

/// Most filters of one `filters` (Elasticsearch: `indices.query.bool.max_clause_count`) or `adjacency_matrix`.
const MAX_FILTERS: usize = 1_000;
/// Most ranges of one aggregation: each one is looked at for every document.
const MAX_RANGES: usize = 1_000;
/// Most filters of an `adjacency_matrix`: its buckets grow with the square.
const MAX_MATRIX: usize = 100;

pub(super) fn parse(o: &Options) -> Result<Option<Kind>, Refusal> {
    Ok(Some(match o.kind {
        "terms" => terms(o)?,
        "rare_terms" => rare_terms(o)?,
        "multi_terms" => multi_terms(o)?,
        "date_histogram" => date_histogram(o)?,
        "auto_date_histogram" => auto_date_histogram(o)?,
        "histogram" => histogram(o)?,
        "range" => range(o, RangeOn::Number)?,
        "date_range" => range(o, RangeOn::Date)?,
        "ip_range" => range(o, RangeOn::Ip)?,
        "filter" => Kind::Filter(dsl::parse(&Value::Object(o.map.clone()))?),
        "filters" => filters(o)?,
        "adjacency_matrix" => adjacency_matrix(o)?,
        "missing" => {
            o.only(&["field"])?;
            Kind::Missing { field: o.source()?.field }
        }
        "global" => {
            o.only(&[])?;
            Kind::Global
        }
        "nested" => {
            o.only(&["path"])?;
            o.text("path")?
                .ok_or_else(|| Refusal::parsing(format!("Missing [path] field for nested aggregation [{}]", o.agg)))?;
            Kind::Whole("nested")
        }
        "reverse_nested" => {
            o.only(&["path"])?;
            Kind::Whole("reverse_nested")
        }
        "sampler" => {
            o.only(&["shard_size"])?;
            Kind::Whole("sampler")
        }
        "composite" => composite(o)?,
        _ => return Ok(None),
    }))
}

const TERMS_OPTIONS: [&str; 16] = [
    "field",
    "missing",
    "format",
    "value_type",
    "size",
    "shard_size",
    "order",
    "min_doc_count",
    "shard_min_doc_count",
    "include",
    "exclude",
    "show_term_doc_count_error",
    "execution_hint",
    "collect_mode",
    "terms",
    "max_doc_count",
];

fn terms_common(o: &Options, source: Source) -> Result<Terms, Refusal> {
    o.integer("shard_size")?;
    o.integer("shard_min_doc_count")?;
    let by_count = vec![(OrderBy::Count, true), (OrderBy::Key, false)];
    Ok(Terms {
        source,
        size: o.positive("size")?.unwrap_or(10),
        order: o.order(by_count)?,
        min_doc_count: o.count("min_doc_count")?.unwrap_or(1) as u64,
        include: o.get("include").map(|v| choice(o, "include", v)).transpose()?,
        exclude: o.get("exclude").map(|v| choice(o, "exclude", v)).transpose()?,
        show_error: o.flag("show_term_doc_count_error")?,
        rare: None,
    })
}

fn terms(o: &Options) -> Result<Kind, Refusal> {
    o.only(&TERMS_OPTIONS[..14])?;
    Ok(Kind::Terms(terms_common(o, o.source()?)?))
}

fn rare_terms(o: &Options) -> Result<Kind, Refusal> {
    o.only(&["field", "missing", "include", "exclude", "max_doc_count", "precision", "format"])?;
    let mut terms = terms_common(o, o.source()?)?;
    let most = o.positive("max_doc_count")?.unwrap_or(1);
    if most > 100 {
        return Err(Refusal::argument(format!(
            "[max_doc_count] must be smaller than 100, found [{most}] in [{}]",
            o.agg
        )));
    }
    terms.rare = Some(most as u64);
    terms.size = MAX_BUCKETS + 1;
    terms.order = vec![(OrderBy::Count, false), (OrderBy::Key, false)];
    Ok(Kind::Terms(terms))
}

fn choice(o: &Options, key: &str, value: &Value) -> Result<Choice, Refusal> {
    match value {
        Value::String(s) => Ok(Choice::Regex(s.clone())),
        Value::Array(list) if list.iter().all(|v| !v.is_array() && !v.is_object() && !v.is_null()) => {
            Ok(Choice::Values(list.clone()))
        }
        Value::Object(map) if key == "include" => {
            let get = |k: &str| map.get(k).and_then(Value::as_u64);
            match (get("partition"), get("num_partitions"), map.len()) {
                (Some(partition), Some(of), 2) if partition < of => Ok(Choice::Partition { partition, of }),
                _ => Err(o.bad(key, "needs [partition] below [num_partitions]")),
            }
        }
        _ => Err(o.bad(key, "a text or a list of values is needed")),
    }
}

fn multi_terms(o: &Options) -> Result<Kind, Refusal> {
    o.only(&[
        "terms",
        "size",
        "shard_size",
        "order",
        "min_doc_count",
        "shard_min_doc_count",
        "collect_mode",
        "show_term_doc_count_error",
        "format",
    ])?;
    let list = o.get("terms").and_then(Value::as_array).ok_or_else(|| o.bad("terms", "a list is needed"))?;
    if list.len() < 2 || list.len() > 16 {
        return Err(Refusal::argument(format!(
            "The [terms] parameter in the aggregation [{}] must be present and have at least 2 (and at most 16) fields or scripts.",
            o.agg
        )));
    }
    let mut sources = Vec::new();
    for entry in list {
        let map = entry.as_object().ok_or_else(|| o.bad("terms", "a list of objects is needed"))?;
        let inner = Options { agg: o.agg, kind: o.kind, map };
        inner.only(&["field", "missing", "format", "value_type"])?;
        sources.push(inner.source()?);
    }
    Ok(Kind::MultiTerms { sources, terms: terms_common(o, Source::default())? })
}

/// Reads `fixed_interval`, `calendar_interval` or the old `interval`.
fn interval(o: &Options) -> Result<Interval, Refusal> {
    let given = |key: &str| o.text(key);
    let (fixed, calendar, old) = (given("fixed_interval")?, given("calendar_interval")?, given("interval")?);
    let wrong = |text: &str, what: &str| {
        Refusal::argument(format!("The supplied interval [{text}] could not be parsed as a {what} interval."))
    };
    match (fixed, calendar, old) {
        (Some(f), None, None) => Interval::fixed(&f).ok_or_else(|| wrong(&f, "fixed")),
        (None, Some(c), None) => Interval::calendar(&c).ok_or_else(|| wrong(&c, "calendar")),
        (None, None, Some(i)) => Interval::calendar(&i)
            .or_else(|| Interval::fixed(&i))
            .or_else(|| i.parse().ok().filter(|n| *n > 0).map(Interval::Fixed))
            .ok_or_else(|| wrong(&i, "calendar or fixed")),
        (None, None, None) => Err(Refusal::argument("Invalid interval specified, must be non-null and non-empty")),
        _ => Err(Refusal::argument("Cannot use [fixed_interval], [calendar_interval] and [interval] together")),
    }
}

fn offset(o: &Options) -> Result<i64, Refusal> {
    match o.get("offset") {
        None => Ok(0),
        Some(Value::Number(n)) => n.as_i64().ok_or_else(|| o.bad("offset", n)),
        Some(v) => {
            let text = v.as_str().unwrap_or_default();
            let bare = text.strip_prefix('+').unwrap_or(text);
            span::millis(bare).ok_or_else(|| o.bad("offset", format!("[{text}] is no time span")))
        }
    }
}

fn ends(o: &Options, key: &str) -> Result<Option<Ends<Value>>, Refusal> {
    let Some(value) = o.get(key) else { return Ok(None) };
    let map = value.as_object().ok_or_else(|| o.bad(key, "an object with [min] and [max] is needed"))?;
    if let Some(other) = map.keys().find(|k| !matches!(k.as_str(), "min" | "max")) {
        return Err(o.bad(key, format!("unknown field [{other}]")));
    }
    let get = |k: &str| map.get(k).filter(|v| !v.is_null()).cloned();
    Ok(Some((get("min"), get("max"))))
}

fn date_histogram(o: &Options) -> Result<Kind, Refusal> {
    o.only(&[
        "field",
        "missing",
        "format",
        "time_zone",
        "offset",
        "fixed_interval",
        "calendar_interval",
        "interval",
        "min_doc_count",
        "order",
        "keyed",
        "extended_bounds",
        "hard_bounds",
    ])?;
    o.date_format()?;
    let interval = interval(o)?;
    Ok(Kind::DateHistogram(DateHistogram {
        source: o.source()?,
        interval,
        zone: o.zone()?,
        offset: offset(o)?,
        min_doc_count: o.count("min_doc_count")?.unwrap_or(0) as u64,
        order: o.order(vec![(OrderBy::Key, false)])?,
        keyed: o.flag("keyed")?,
        extended: ends(o, "extended_bounds")?,
        hard: ends(o, "hard_bounds")?,
    }))
}

fn auto_date_histogram(o: &Options) -> Result<Kind, Refusal> {
    o.only(&["field", "missing", "format", "time_zone", "buckets", "minimum_interval"])?;
    o.date_format()?;
    if o.get("minimum_interval").is_some() {
        return Err(Refusal::unsupported("[auto_date_histogram] [minimum_interval]"));
    }
    Ok(Kind::AutoDateHistogram {
        source: o.source()?,
        buckets: o.positive("buckets")?.unwrap_or(10).min(MAX_BUCKETS),
        zone: o.zone()?,
    })
}

fn histogram(o: &Options) -> Result<Kind, Refusal> {
    o.only(&[
        "field",
        "missing",
        "format",
        "interval",
        "offset",
        "min_doc_count",
        "order",
        "keyed",
        "extended_bounds",
        "hard_bounds",
    ])?;
    let interval = o.number("interval")?.unwrap_or(0.0);
    if interval <= 0.0 {
        return Err(Refusal::argument("[interval] must be >0 for histogram aggregation [".to_string() + o.agg + "]"));
    }
    let numbers = |key: &str| -> Result<Option<Ends<f64>>, Refusal> {
        let Some((min, max)) = ends(o, key)? else { return Ok(None) };
        let number = |v: Option<Value>| v.map(|v| dsl::number(o.kind, key, &v)).transpose();
        let (min, max) = (number(min)?, number(max)?);
        if let (Some(a), Some(b)) = (min, max)
            && a > b
        {
            return Err(Refusal::argument(format!(
                "Invalid extended_bounds: [min] is greater than [max] in [{}]",
                o.agg
            )));
        }
        Ok(Some((min, max)))
    };
    Ok(Kind::Histogram(Histogram {
        source: o.source()?,
        interval,
        offset: o.number("offset")?.unwrap_or(0.0),
        min_doc_count: o.count("min_doc_count")?.unwrap_or(0) as u64,
        order: o.order(vec![(OrderBy::Key, false)])?,
        keyed: o.flag("keyed")?,
        extended: numbers("extended_bounds")?,
        hard: numbers("hard_bounds")?,
    }))
}

fn range(o: &Options, on: RangeOn) -> Result<Kind, Refusal> {
    o.only(&["field", "missing", "format", "time_zone", "ranges", "keyed"])?;
    if on == RangeOn::Date {
        o.date_format()?;
    }
    let list = o.get("ranges").and_then(Value::as_array).filter(|l| !l.is_empty());
    let list =
        list.ok_or_else(|| Refusal::argument(format!("No [ranges] specified for the [{}] aggregation", o.agg)))?;
    if list.len() > MAX_RANGES {
        return Err(Refusal::argument(format!("more than [{MAX_RANGES}] ranges in [{}]", o.agg)));
    }
    let mut ranges = Vec::new();
    for entry in list {
        let map = entry.as_object().ok_or_else(|| o.bad("ranges", "a list of objects is needed"))?;
        let inner = Options { agg: o.agg, kind: o.kind, map };
        inner.only(&["key", "from", "to", "mask"])?;
        let mask = inner.text("mask")?;
        if mask.is_some() && on != RangeOn::Ip {
            return Err(o.bad("ranges", "unknown field [mask]"));
        }
        ranges.push(RangeSpec {
            key: inner.text("key")?,
            from: inner.get("from").cloned(),
            to: inner.get("to").cloned(),
            mask,
        });
    }
    Ok(Kind::Range { source: o.source()?, ranges, keyed: o.flag("keyed")?, on, zone: o.zone()? })
}

fn filters(o: &Options) -> Result<Kind, Refusal> {
    o.only(&["filters", "other_bucket", "other_bucket_key", "keyed"])?;
    let mut filters = Vec::new();
    let mut keyed = true;
    match o.get("filters") {
        Some(Value::Object(map)) => {
            for (name, query) in map {
                filters.push((Some(name.clone()), dsl::parse(query)?));
            }
        }
        Some(Value::Array(list)) => {
            keyed = false;
            for query in list {
                filters.push((None, dsl::parse(query)?));
            }
        }
        _ => return Err(Refusal::argument(format!("[filters] cannot be empty in [{}]", o.agg))),
    }
    if filters.len() > MAX_FILTERS {
        return Err(Refusal::argument(format!("more than [{MAX_FILTERS}] filters in [{}]", o.agg)));
    }
    let key = o.text("other_bucket_key")?;
    let other =
        if key.is_some() || o.flag("other_bucket")? { Some(key.unwrap_or_else(|| "_other_".into())) } else { None };
    if o.get("keyed").is_some() && keyed {
        keyed = o.flag("keyed")?;
    }
    Ok(Kind::Filters { filters, other, keyed })
}

fn adjacency_matrix(o: &Options) -> Result<Kind, Refusal> {
    o.only(&["filters", "separator"])?;
    let map = o.get("filters").and_then(Value::as_object).ok_or_else(|| o.bad("filters", "an object is needed"))?;
    if map.len() > MAX_MATRIX {
        return Err(Refusal::argument(format!(
            "Number of filters is too large, must be less than or equal to: [{MAX_MATRIX}] but was [{}]",
            map.len()
        )));
    }
    let filters = map.iter().map(|(name, q)| Ok((name.clone(), dsl::parse(q)?)));
    let mut filters = filters.collect::<Result<Vec<_>, Refusal>>()?;
    filters.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(Kind::AdjacencyMatrix { filters, separator: o.text("separator")?.unwrap_or_else(|| "&".into()) })
}

fn composite(o: &Options) -> Result<Kind, Refusal> {
    o.only(&["size", "sources", "after"])?;
    let size = o.positive("size")?.unwrap_or(10);
    if size > MAX_BUCKETS {
        return Err(Refusal::too_many_buckets(MAX_BUCKETS));
    }
    // Elasticsearch takes an object of one source, too.
    let list: Vec<Map<String, Value>> = match o.get("sources") {
        Some(Value::Array(list)) => list.iter().filter_map(|v| v.as_object().cloned()).collect(),
        Some(Value::Object(map)) => vec![map.clone()],
        _ => Vec::new(),
    };
    if list.is_empty() || list.len() > 32 {
        return Err(Refusal::argument(format!(
            "Composite [sources] cannot be null or empty (nor more than 32) in [{}]",
            o.agg
        )));
    }
    let mut sources: Vec<CompositeSource> = Vec::new();
    for entry in list {
        let Some((name, def)) = entry.iter().next().filter(|_| entry.len() == 1) else {
            return Err(o.bad("sources", "each source has one name"));
        };
        if sources.iter().any(|s| s.name == *name) {
            return Err(Refusal::argument(format!(
                "Composite source names must be unique, found duplicates: [{name}]"
            )));
        }
        let Some((kind, body)) = def.as_object().and_then(|m| m.iter().next()) else {
            return Err(o.bad("sources", "each source has one type"));
        };
        let map = body.as_object().ok_or_else(|| o.bad("sources", "an object is needed"))?;
        let inner = Options { agg: name, kind, map };
        const COMMON: [&str; 6] = ["field", "order", "missing_bucket", "missing_order", "format", "value_type"];
        let on = match kind.as_str() {
            "terms" => {
                inner.only(&COMMON)?;
                CompositeOn::Terms
            }
            "histogram" => {
                inner.only(&[&COMMON[..], &["interval"]].concat())?;
                let interval = inner.number("interval")?.filter(|i| *i > 0.0);
                CompositeOn::Histogram {
                    interval: interval
                        .ok_or_else(|| Refusal::argument("[interval] must be greater than 0 for [histogram] source"))?,
                }
            }
            "date_histogram" => {
                inner.only(
                    &[&COMMON[..], &["interval", "fixed_interval", "calendar_interval", "time_zone", "offset"]]
                        .concat(),
                )?;
                inner.date_format()?;
                CompositeOn::DateHistogram { interval: interval(&inner)?, zone: inner.zone()?, offset: offset(&inner)? }
            }
            other => return Err(Refusal::parsing(format!("invalid source type: {other}"))),
        };
        if inner.get("missing_order").is_some_and(|v| v != "default") {
            return Err(Refusal::unsupported("[composite] [missing_order]"));
        }
        let descending = match inner.text("order")?.as_deref() {
            None | Some("asc") => false,
            Some("desc") => true,
            Some(other) => return Err(Refusal::argument(format!("Unknown sort order [{other}]"))),
        };
        sources.push(CompositeSource {
            name: name.clone(),
            source: inner.source()?,
            on,
            descending,
            missing_bucket: inner.flag("missing_bucket")?,
        });
    }
    let after = match o.get("after") {
        None => None,
        Some(Value::Object(map)) => {
            if map.len() != sources.len() || sources.iter().any(|s| !map.contains_key(&s.name)) {
                return Err(Refusal::argument(format!(
                    "[after] has {} value(s) but [sources] has {}",
                    map.len(),
                    sources.len()
                )));
            }
            Some(map.clone())
        }
        Some(_) => return Err(o.bad("after", "an object is needed")),
    };
    Ok(Kind::Composite(Composite { size, sources, after }))
}
