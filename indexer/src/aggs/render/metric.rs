//! Answers of aggregations that are numbers or documents.

use serde_json::{Map, Value, json};

use super::{Env, Form, null};
use crate::aggs::ast::{Agg, Kind, Metric, Source};
use crate::aggs::collect::top_hits_order;
use crate::aggs::output::{Out, decimal, java_double};
use crate::aggs::partial::{Key, Partial, Stats};
use crate::aggs::sketch::Digest;
use crate::query::Refusal;
use crate::search::columns::open;
use crate::search::fetch::{self, Wanted};
use crate::search::top::Top;
use crate::time::zone::Zone;

/// The answer of one of them.
pub fn one(agg: &Agg, part: Partial, env: &Env) -> Result<Out, Refusal> {
    Ok(match (&agg.kind, part) {
        (Kind::Metric(metric, source), part) => {
            let stats = match part {
                Partial::Stats(s) => s,
                _ => Stats::default(),
            };
            stats_out(*metric, &stats, &Writer::new(source, &stats, env)?)
        }
        (Kind::WeightedAvg { value, .. }, part) => {
            let avg = match part {
                Partial::Weighted(v, w) if w != 0.0 => Some(v / w),
                _ => None,
            };
            Writer::new(value, &Stats::default(), env)?.value("weighted_avg", avg)
        }
        (Kind::Cardinality(_), part) => {
            let count = match part {
                Partial::Distinct(d) => d.count(),
                _ => 0,
            };
            simple("cardinality", json!(count))
        }
        (Kind::Percentiles { source, percents, keyed, ranks, hdr }, part) => {
            let digest = match part {
                Partial::Digest(d) => d,
                _ => Digest::default(),
            };
            percentiles(source, percents, *keyed, *ranks, *hdr, digest, env)?
        }
        (Kind::Mad(source), part) => {
            let deviation = match part {
                Partial::Digest(mut d) => d.median_deviation(),
                _ => None,
            };
            Writer::new(source, &Stats::default(), env)?.value("median_absolute_deviation", deviation)
        }
        (Kind::TopHits(options), part) => top_hits(agg, options, part, env)?,
        (Kind::TopMetrics { metrics, .. }, part) => top_metrics(metrics, part, env)?,
        _ => Out::default(),
    })
}

fn simple(kind: &'static str, value: Value) -> Out {
    let mut out = Out { kind, ..Out::default() };
    out.body.insert("value".into(), value);
    out
}

/// Writes values by the aggregation's format.
struct Writer {
    form: Form,
    dates: bool,
    bools: bool,
}

impl Writer {
    fn new(source: &Source, stats: &Stats, env: &Env) -> Result<Writer, Refusal> {
        Ok(Writer { form: Form::new(source, &Zone::utc(), env)?, dates: stats.dates, bools: stats.bools })
    }

    fn text(&self, n: f64) -> Option<String> {
        if self.dates {
            return self.form.key(&Key::Date(n as i64)).1;
        }
        if self.bools && (n == 0.0 || n == 1.0) {
            return Some((n == 1.0).to_string());
        }
        self.form.numbers.as_ref().map(|p| decimal(p, n))
    }

    fn put(&self, body: &mut Map<String, Value>, name: &str, value: Option<f64>) {
        body.insert(name.into(), value.map_or(null(), |v| if v.is_nan() { "NaN".into() } else { v.into() }));
        if let Some(text) = value.and_then(|v| self.text(v)) {
            body.insert(format!("{name}_as_string"), text.into());
        }
    }

    fn value(&self, kind: &'static str, value: Option<f64>) -> Out {
        let mut out = Out { kind, ..Out::default() };
        self.put(&mut out.body, "value", value);
        out
    }
}

fn stats_out(metric: Metric, s: &Stats, w: &Writer) -> Out {
    let some = s.count > 0;
    let avg = some.then(|| s.sum / s.count as f64);
    match metric {
        Metric::Avg => w.value("avg", avg),
        Metric::Sum => w.value("sum", Some(s.sum)),
        Metric::Min => w.value("min", some.then_some(s.min)),
        Metric::Max => w.value("max", some.then_some(s.max)),
        Metric::ValueCount => simple("value_count", s.count.into()),
        Metric::Stats | Metric::ExtendedStats { .. } => {
            let mut out = Out { kind: "stats", ..Out::default() };
            let body = &mut out.body;
            body.insert("count".into(), s.count.into());
            for (name, value) in
                [("min", some.then_some(s.min)), ("max", some.then_some(s.max)), ("avg", avg), ("sum", Some(s.sum))]
            {
                body.insert(name.into(), value.map_or(null(), Value::from));
            }
            if let Metric::ExtendedStats { sigma } = metric {
                out.kind = "extended_stats";
                extended(body, s, sigma);
            }
            let texts: Vec<(String, String)> = body
                .iter()
                .filter(|(name, _)| *name != "count")
                .filter_map(|(name, v)| Some((format!("{name}_as_string"), w.text(v.as_f64()?)?)))
                .collect();
            body.extend(texts.into_iter().map(|(n, t)| (n, Value::from(t))));
            out
        }
    }
}

fn extended(body: &mut Map<String, Value>, s: &Stats, sigma: f64) {
    let some = s.count > 0;
    let n = s.count as f64;
    let spread = (s.squares - s.sum * s.sum / n).max(0.0);
    let population = some.then_some(spread / n);
    let sampling = some.then_some(if s.count > 1 { spread / (n - 1.0) } else { f64::NAN });
    let root = |v: Option<f64>| v.map(f64::sqrt);
    let shown = |v: Option<f64>| match v {
        None => null(),
        Some(v) if v.is_nan() => "NaN".into(),
        Some(v) => v.into(),
    };
    body.insert("sum_of_squares".into(), if some { s.squares.into() } else { null() });
    for (name, value) in [
        ("variance", population),
        ("variance_population", population),
        ("variance_sampling", sampling),
        ("std_deviation", root(population)),
        ("std_deviation_population", root(population)),
        ("std_deviation_sampling", root(sampling)),
    ] {
        body.insert(name.into(), shown(value));
    }
    let mean = s.sum / n;
    let bound = |deviation: Option<f64>, side: f64| shown(deviation.map(|d| mean + side * sigma * d));
    body.insert(
        "std_deviation_bounds".into(),
        json!({
            "upper": bound(root(population), 1.0),
            "lower": bound(root(population), -1.0),
            "upper_population": bound(root(population), 1.0),
            "lower_population": bound(root(population), -1.0),
            "upper_sampling": bound(root(sampling), 1.0),
            "lower_sampling": bound(root(sampling), -1.0),
        }),
    );
}

/// The numbers of `stats_bucket` and its kin.
pub fn of_stats(metric: Metric, s: &Stats, format: Option<&str>) -> Out {
    let form = Form { numbers: format.map(str::to_string), ..Form::default() };
    let mut out = stats_out(metric, s, &Writer { form, dates: false, bools: false });
    out.kind = match metric {
        Metric::Stats => "stats_bucket",
        Metric::ExtendedStats { .. } => "extended_stats_bucket",
        Metric::Min | Metric::Max => "bucket_metric_value",
        _ => "simple_value",
    };
    out
}

fn percentiles(
    source: &Source,
    percents: &[f64],
    keyed: bool,
    ranks: bool,
    hdr: Option<u32>,
    mut digest: Digest,
    env: &Env,
) -> Result<Out, Refusal> {
    let w = Writer::new(source, &Stats { dates: is_date(source, env), ..Stats::default() }, env)?;
    let mut ask = |p: f64| match (ranks, hdr) {
        (true, _) => digest.rank(p).map(|r| r * 100.0),
        (false, Some(digits)) => digest.hdr_quantile(p / 100.0, digits),
        (false, None) => digest.quantile(p / 100.0),
    };
    let values = if keyed {
        let mut map = Map::new();
        for p in percents {
            let name = java_double(*p);
            w.put(&mut map, &name, ask(*p));
        }
        Value::Object(map)
    } else {
        let each = percents.iter().map(|p| {
            let mut map = Map::new();
            map.insert("key".into(), (*p).into());
            w.put(&mut map, "value", ask(*p));
            Value::Object(map)
        });
        Value::Array(each.collect())
    };
    let kind = match (ranks, hdr.is_some()) {
        (false, false) => "tdigest_percentiles",
        (true, false) => "tdigest_percentile_ranks",
        (false, true) => "hdr_percentiles",
        (true, true) => "hdr_percentile_ranks",
    };
    let mut out = Out { kind, ..Out::default() };
    out.body.insert("values".into(), values);
    Ok(out)
}

fn is_date(source: &Source, env: &Env) -> bool {
    env.field(&source.field).is_some_and(|f| f.es_type == crate::mapping::EsType::Date)
}

fn top_hits(agg: &Agg, options: &Map<String, Value>, part: Partial, env: &Env) -> Result<Out, Refusal> {
    let (_, from, size) = top_hits_order(options, &agg.name)?;
    let wanted = Wanted::parse(options, "top_hits", &["from", "size", "sort"])?;
    let top = match part {
        Partial::Top(top) => top,
        _ => Top::new(Vec::new().into(), 0),
    };
    let by_score = top.keys.len() == 1 && top.keys[0].by == crate::search::sort::By::Score;
    let scored = by_score || options.get("track_scores") == Some(&Value::Bool(true));
    let max = if scored { top.max_score.map_or(null(), |s| s.into()) } else { null() };
    let total = top.total;
    let page: Vec<_> = top.found.into_iter().skip(from).take(size).collect();
    let hits = fetch::hits(env.view, &page, &top.keys, options.contains_key("sort"), scored, &wanted, None, env.now)?;
    let mut out = Out { kind: "top_hits", ..Out::default() };
    let hits = serde_json::to_value(hits).map_err(|e| Refusal::internal(e.to_string()))?;
    out.body
        .insert("hits".into(), json!({"total": {"value": total, "relation": "eq"}, "max_score": max, "hits": hits}));
    Ok(out)
}

fn top_metrics(metrics: &[String], part: Partial, env: &Env) -> Result<Out, Refusal> {
    let mut list = Vec::new();
    if let Partial::Top(top) = part {
        for found in &top.found {
            let part = &env.view.parts[found.part as usize];
            let reader = part.searcher.segment_reader(found.address.segment_ord);
            let mut values = Map::new();
            for name in metrics {
                let mut value = null();
                if let Some(field) = part.mapping.resolve(name) {
                    for column in open(reader, &field)? {
                        if let Some(raw) = column.column.first(found.address.doc_id) {
                            value = match column.number(raw) {
                                Some(n) if matches!(column.kind, crate::search::columns::Kind::I64) => json!(n as i64),
                                Some(n) => n.into(),
                                None => column.text(raw)?.into(),
                            };
                        }
                    }
                }
                values.insert(name.clone(), value);
            }
            let sort: Vec<Value> = found.values.iter().zip(top.keys.iter()).map(|(v, k)| v.json(k)).collect();
            list.push(json!({"sort": sort, "metrics": values}));
        }
    }
    let mut out = Out { kind: "top_metrics", ..Out::default() };
    out.body.insert("top".into(), list.into());
    Ok(out)
}
