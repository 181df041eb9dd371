//! Requests of aggregations that make numbers.

use serde_json::Value;

use super::Options;
use crate::aggs::ast::{Kind, Metric, Source};
use crate::query::{Refusal, dsl};

/// Most percentiles of one aggregation.
const MAX_PERCENTS: usize = 1_000;
/// Most metrics, and most documents, of one `top_metrics` (Elasticsearch's limits are alike).
const MAX_TOP: usize = 10;

pub(super) fn parse(o: &Options) -> Result<Option<Kind>, Refusal> {
    Ok(Some(match o.kind {
        "avg" => simple(o, Metric::Avg)?,
        "sum" => simple(o, Metric::Sum)?,
        "min" => simple(o, Metric::Min)?,
        "max" => simple(o, Metric::Max)?,
        "stats" => simple(o, Metric::Stats)?,
        "value_count" => simple(o, Metric::ValueCount)?,
        "extended_stats" => {
            o.only(&["field", "missing", "format", "sigma", "value_type"])?;
            Kind::Metric(Metric::ExtendedStats { sigma: sigma(o)? }, o.source()?)
        }
        "weighted_avg" => {
            o.only(&["value", "weight", "format", "value_type"])?;
            let side = |key: &str| -> Result<Source, Refusal> {
                let map = o.get(key).and_then(Value::as_object).ok_or_else(|| o.bad(key, "an object is needed"))?;
                let inner = Options { agg: o.agg, kind: o.kind, map };
                inner.only(&["field", "missing"])?;
                inner.source()
            };
            let mut value = side("value")?;
            value.format = o.text("format")?;
            Kind::WeightedAvg { value, weight: side("weight")? }
        }
        "cardinality" => {
            o.only(&["field", "missing", "precision_threshold", "format", "execution_hint", "value_type", "rehash"])?;
            if let Some(n) = o.integer("precision_threshold")?.filter(|n| *n < 0) {
                return Err(Refusal::argument(format!(
                    "[precisionThreshold] must be greater than or equal to 0. Found [{n}] in [{}]",
                    o.agg
                )));
            }
            Kind::Cardinality(o.source()?)
        }
        "percentiles" => percentiles(o, false)?,
        "percentile_ranks" => percentiles(o, true)?,
        "median_absolute_deviation" => {
            o.only(&["field", "missing", "format", "compression", "value_type", "execution_hint"])?;
            if let Some(c) = o.number("compression")?.filter(|c| *c <= 0.0) {
                return Err(Refusal::argument(format!(
                    "[compression] must be greater than 0. Found [{c:?}] in [{}]",
                    o.agg
                )));
            }
            Kind::Mad(o.source()?)
        }
        "top_hits" => Kind::TopHits(Box::new(o.map.clone())),
        "top_metrics" => top_metrics(o)?,
        _ => return Ok(None),
    }))
}

fn simple(o: &Options, metric: Metric) -> Result<Kind, Refusal> {
    o.only(&["field", "missing", "format", "value_type"])?;
    Ok(Kind::Metric(metric, o.source()?))
}

/// How many standard deviations away the bounds of `extended_stats` lie.
pub(super) fn sigma(o: &Options) -> Result<f64, Refusal> {
    let sigma = match o.get("sigma") {
        None => 2.0,
        Some(Value::Number(n)) => n.as_f64().unwrap_or(2.0),
        Some(other) => return Err(o.bad("sigma", format!("[{other}] is no number"))),
    };
    if sigma < 0.0 {
        return Err(Refusal::argument(format!(
            "[sigma] must be greater than or equal to 0. Found [{sigma:?}] in [{}]",
            o.agg
        )));
    }
    Ok(sigma)
}

/// Reads a list of percents (or values); numbers may be texts, as Grafana sends them.
pub(super) fn percents(o: &Options, key: &str) -> Result<Option<Vec<f64>>, Refusal> {
    let Some(value) = o.map.get(key) else { return Ok(None) };
    let list = value.as_array().ok_or_else(|| o.bad(key, "a list of numbers is needed"))?;
    if list.is_empty() {
        return Err(Refusal::argument(format!("[{key}] must not be empty: [{}]", o.agg)));
    }
    if list.len() > MAX_PERCENTS {
        return Err(Refusal::argument(format!("[{key}] has more than [{MAX_PERCENTS}] entries in [{}]", o.agg)));
    }
    let numbers = list.iter().map(|v| dsl::number(o.kind, key, v).map_err(|_| o.bad(key, v)));
    numbers.collect::<Result<_, _>>().map(Some)
}

fn percentiles(o: &Options, ranks: bool) -> Result<Kind, Refusal> {
    let key = if ranks { "values" } else { "percents" };
    o.only(&["field", "missing", "format", "keyed", "tdigest", "hdr", "value_type", key])?;
    if let Some(map) = o.get("tdigest").and_then(Value::as_object) {
        let inner = Options { agg: o.agg, kind: "tdigest", map };
        inner.only(&["compression", "execution_hint"])?;
        if let Some(c) = inner.number("compression")?.filter(|c| *c < 0.0) {
            return Err(Refusal::argument(format!(
                "[compression] must be greater than or equal to 0. Found [{c:?}] in [{}]",
                o.agg
            )));
        }
    }
    let mut hdr = None;
    if let Some(value) = o.get("hdr") {
        let map = value.as_object().ok_or_else(|| o.bad("hdr", "an object is needed"))?;
        let inner = Options { agg: o.agg, kind: "hdr", map };
        inner.only(&["number_of_significant_value_digits"])?;
        let digits = match inner.map.get("number_of_significant_value_digits") {
            Some(Value::Null) => return Err(inner.bad("number_of_significant_value_digits", "null")),
            _ => inner.integer("number_of_significant_value_digits")?.unwrap_or(3),
        };
        if !(0..=5).contains(&digits) {
            return Err(Refusal::argument("[numberOfSignificantValueDigits] must be between 0 and 5"));
        }
        hdr = Some(digits as u32);
    }
    let mut numbers = percents(o, key)?;
    if ranks && numbers.is_none() {
        return Err(Refusal::argument(format!("[values] must not be null or an empty array: [{}]", o.agg)));
    }
    let mut list = numbers.take().unwrap_or_else(|| vec![1.0, 5.0, 25.0, 50.0, 75.0, 95.0, 99.0]);
    if !ranks && list.iter().any(|p| !(0.0..=100.0).contains(p)) {
        return Err(Refusal::argument(format!("percent must be in [0,100], got [{list:?}]: [{}]", o.agg)));
    }
    list.sort_by(f64::total_cmp);
    let keyed = o.get("keyed").is_none() || o.flag("keyed")?;
    Ok(Kind::Percentiles { source: o.source()?, percents: list, keyed, ranks, hdr })
}

fn top_metrics(o: &Options) -> Result<Kind, Refusal> {
    o.only(&["metrics", "sort", "size"])?;
    let list = match o.get("metrics") {
        Some(Value::Array(list)) => list.iter().collect(),
        Some(one @ Value::Object(_)) => vec![one],
        _ => return Err(o.bad("metrics", "a field is needed")),
    };
    let metrics = list
        .iter()
        .map(|m| m.get("field").and_then(Value::as_str).map(str::to_string).ok_or_else(|| o.bad("metrics", m)));
    let metrics = metrics.collect::<Result<Vec<_>, _>>()?;
    let size = o.positive("size")?.unwrap_or(1);
    if size > MAX_TOP || metrics.len() > MAX_TOP {
        return Err(Refusal::argument(format!(
            "[top_metrics.size] must not be more than [{MAX_TOP}] but was [{size}]"
        )));
    }
    let sort = o.get("sort").cloned().ok_or_else(|| Refusal::argument("[top_metrics] requires [sort]"))?;
    Ok(Kind::TopMetrics { metrics, sort, size })
}
