//! Requests of aggregations worked out from others.

use serde_json::Value;

use super::Options;
use super::metric::{percents, sigma};
use crate::aggs::ast::{Agg, Gap, Kind, Metric, Moving, Pipeline};
use crate::query::Refusal;
use crate::time::rounding::Interval;

pub(super) fn parse(o: &Options) -> Result<Option<Kind>, Refusal> {
    const PATH: [&str; 3] = ["buckets_path", "gap_policy", "format"];
    let pipeline = match o.kind {
        "derivative" => {
            o.only(&[&PATH[..], &["unit"]].concat())?;
            let unit_millis = match o.text("unit")? {
                None => None,
                Some(u) => {
                    let unit = Interval::calendar(&u).or_else(|| Interval::fixed(&u));
                    Some(unit.ok_or_else(|| o.bad("unit", format!("[{u}] is no time unit")))?.about_millis() as f64)
                }
            };
            Pipeline::Derivative { path: path(o)?, gap: gap(o)?, unit_millis, format: o.text("format")? }
        }
        "cumulative_sum" => {
            o.only(&["buckets_path", "format"])?;
            Pipeline::CumulativeSum { path: path(o)?, format: o.text("format")? }
        }
        "serial_diff" => {
            o.only(&[&PATH[..], &["lag"]].concat())?;
            let lag = o.integer("lag")?.unwrap_or(1);
            let lag = usize::try_from(lag).ok().filter(|l| *l > 0);
            let lag = lag.ok_or_else(|| Refusal::argument("[lag] must be a positive integer"))?;
            Pipeline::SerialDiff { path: path(o)?, lag, gap: gap(o)?, format: o.text("format")? }
        }
        "bucket_sort" => bucket_sort(o)?,
        "avg_bucket" => sibling(o, Metric::Avg)?,
        "sum_bucket" => sibling(o, Metric::Sum)?,
        "min_bucket" => sibling(o, Metric::Min)?,
        "max_bucket" => sibling(o, Metric::Max)?,
        "stats_bucket" => sibling(o, Metric::Stats)?,
        "extended_stats_bucket" => {
            o.only(&[&PATH[..], &["sigma"]].concat())?;
            Pipeline::Sibling {
                metric: Metric::ExtendedStats { sigma: sigma(o)? },
                path: path(o)?,
                gap: gap(o)?,
                format: o.text("format")?,
            }
        }
        "percentiles_bucket" => {
            o.only(&[&PATH[..], &["percents", "keyed"]].concat())?;
            let percents = percents(o, "percents")?.unwrap_or_else(|| vec![1.0, 5.0, 25.0, 50.0, 75.0, 95.0, 99.0]);
            Pipeline::PercentilesBucket { path: path(o)?, percents, gap: gap(o)? }
        }
        "moving_fn" => moving(o)?,
        _ => return Ok(None),
    };
    Ok(Some(Kind::Pipeline(pipeline)))
}

fn path(o: &Options) -> Result<String, Refusal> {
    match o.get("buckets_path") {
        Some(Value::String(s)) => Ok(s.clone()),
        Some(Value::Array(list)) if list.len() == 1 => Ok(list[0].as_str().unwrap_or_default().to_string()),
        _ => Err(Refusal::parsing(format!(
            "Missing required field [buckets_path] for [{}] aggregation [{}]",
            o.kind, o.agg
        ))),
    }
}

fn gap(o: &Options) -> Result<Gap, Refusal> {
    match o.text("gap_policy")?.as_deref() {
        None | Some("skip") => Ok(Gap::Skip),
        Some("insert_zeros") => Ok(Gap::InsertZeros),
        Some("keep_values") => Ok(Gap::KeepValues),
        Some(other) => Err(Refusal::argument(format!(
            "Invalid gap policy: [{other}], accepted values: [insert_zeros, skip, keep_values]"
        ))),
    }
}

fn sibling(o: &Options, metric: Metric) -> Result<Pipeline, Refusal> {
    o.only(&["buckets_path", "gap_policy", "format"])?;
    Ok(Pipeline::Sibling { metric, path: path(o)?, gap: gap(o)?, format: o.text("format")? })
}

fn bucket_sort(o: &Options) -> Result<Pipeline, Refusal> {
    o.only(&["sort", "from", "size", "gap_policy"])?;
    gap(o)?;
    let list = match o.get("sort") {
        None => Vec::new(),
        Some(Value::Array(list)) => list.iter().collect(),
        Some(one) => vec![one],
    };
    let mut sort = Vec::new();
    for entry in list {
        match entry {
            Value::String(path) => sort.push((path.clone(), false)),
            Value::Object(map) => {
                for (path, how) in map {
                    let order = how.as_str().or_else(|| how.get("order").and_then(Value::as_str)).unwrap_or("asc");
                    match order {
                        "asc" => sort.push((path.clone(), false)),
                        "desc" => sort.push((path.clone(), true)),
                        other => return Err(Refusal::argument(format!("Unknown sort order [{other}]"))),
                    }
                }
            }
            other => return Err(o.bad("sort", other)),
        }
    }
    let (from, size) = (o.count("from")?.unwrap_or(0), o.positive("size")?);
    if sort.is_empty() && from == 0 && size.is_none() {
        return Err(Refusal::argument(format!(
            "[{}] is configured to perform nothing. Please set either of [sort, size, from] to use bucket_sort",
            o.agg
        )));
    }
    Ok(Pipeline::BucketSort { sort, from, size })
}

fn moving(o: &Options) -> Result<Pipeline, Refusal> {
    for key in o.map.keys() {
        if !matches!(key.as_str(), "buckets_path" | "gap_policy" | "format" | "window" | "shift" | "script") {
            return Err(Refusal::content(format!("[moving_fn] unknown field [{key}] in [{}]", o.agg)));
        }
    }
    let window = o.integer("window")?.unwrap_or(0);
    let window = usize::try_from(window).ok().filter(|w| *w > 0);
    let window = window.ok_or_else(|| Refusal::argument("[window] must be a positive, non-zero integer."))?;
    let script = o
        .get("script")
        .and_then(|s| s.as_str().or_else(|| s.get("source").and_then(Value::as_str)))
        .unwrap_or_default();
    let function =
        match script.split_whitespace().collect::<String>().trim_end_matches(';').trim_start_matches("return") {
            "MovingFunctions.max(values)" => Moving::Max,
            "MovingFunctions.min(values)" => Moving::Min,
            "MovingFunctions.sum(values)" => Moving::Sum,
            "MovingFunctions.unweightedAvg(values)" => Moving::UnweightedAvg,
            "MovingFunctions.linearWeightedAvg(values)" => Moving::LinearWeightedAvg,
            other => return Err(Refusal::unsupported(format!("[moving_fn] script [{other}] in [{}]", o.agg))),
        };
    Ok(Pipeline::MovingFn { path: path(o)?, window, shift: o.integer("shift")?.unwrap_or(0), function, gap: gap(o)? })
}

/// Whether a pipeline stands where it can work.
pub(super) fn check(agg: &Agg, p: &Pipeline, parent: Option<&Agg>) -> Result<(), Refusal> {
    let kind = match p {
        Pipeline::Derivative { .. } => "derivative",
        Pipeline::CumulativeSum { .. } => "cumulative_sum",
        Pipeline::SerialDiff { .. } => "serial_diff",
        Pipeline::MovingFn { .. } => "moving_fn",
        Pipeline::BucketSort { .. } => {
            return match parent {
                Some(p)
                    if !matches!(p.kind, Kind::Filter(_) | Kind::Missing { .. } | Kind::Global | Kind::Whole(_)) =>
                {
                    Ok(())
                }
                _ => Err(Refusal::validation(format!(
                    "bucket_sort aggregation [{}] must be declared inside of another aggregation",
                    agg.name
                ))),
            };
        }
        Pipeline::Sibling { .. } | Pipeline::PercentilesBucket { .. } => return Ok(()),
    };
    match parent.map(|p| &p.kind) {
        Some(Kind::DateHistogram(_) | Kind::Histogram(_) | Kind::AutoDateHistogram { .. }) => Ok(()),
        _ => Err(Refusal::validation(format!(
            "{kind} aggregation [{}] must have a histogram, date_histogram or auto_date_histogram as parent",
            agg.name
        ))),
    }
}
