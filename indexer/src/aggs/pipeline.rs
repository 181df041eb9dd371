//! Aggregations worked out from the answers of others.

use serde_json::{Value, json};

use super::ast::{Agg, Gap, Kind, Metric, Moving, Pipeline};
use super::output::{Buckets, Out, decimal, java_double, number};
use super::partial::{Key, Stats};
use super::render::of_stats;
use crate::query::Refusal;

fn simple(kind: &'static str, value: f64, format: Option<&str>) -> Out {
    let mut out = Out { kind, ..Out::default() };
    out.body.insert("value".into(), if value.is_nan() { Value::Null } else { value.into() });
    if let Some(format) = format {
        out.body.insert("value_as_string".into(), decimal(format, value).into());
    }
    out
}

fn meta(agg: &Agg, out: &mut Out) {
    if let Some(meta) = &agg.meta {
        out.body.insert("meta".into(), Value::Object(meta.clone()));
    }
}

fn path_of(p: &Pipeline) -> Option<&str> {
    match p {
        Pipeline::Derivative { path, .. }
        | Pipeline::CumulativeSum { path, .. }
        | Pipeline::SerialDiff { path, .. }
        | Pipeline::Sibling { path, .. }
        | Pipeline::PercentilesBucket { path, .. }
        | Pipeline::MovingFn { path, .. } => Some(path),
        Pipeline::BucketSort { .. } => None,
    }
}

/// Pipelines in an order in which each one comes after those that it reads.
fn ordered(aggs: &[Agg], mine: impl Fn(&Pipeline) -> bool) -> Vec<(&Agg, &Pipeline)> {
    let mut left: Vec<(&Agg, &Pipeline)> = aggs
        .iter()
        .filter_map(|a| match &a.kind {
            Kind::Pipeline(p) if mine(p) => Some((a, p)),
            _ => None,
        })
        .collect();
    let mut done = Vec::new();
    while !left.is_empty() {
        let names: Vec<String> = left.iter().map(|(a, _)| a.name.clone()).collect();
        let waits = |(agg, p): &(&Agg, &Pipeline)| match p {
            // Sorting comes last: it changes which buckets there are.
            Pipeline::BucketSort { .. } => left_without_sort(&names, aggs),
            p => path_of(p).is_some_and(|path| {
                let first = path.split(['>', '.', '[']).next().unwrap_or_default();
                names.iter().any(|n| n == first && *n != agg.name)
            }),
        };
        let at = left.iter().position(|e| !waits(e)).unwrap_or(0);
        done.push(left.remove(at));
    }
    done
}

fn left_without_sort(names: &[String], aggs: &[Agg]) -> bool {
    aggs.iter().any(|a| names.contains(&a.name) && !matches!(a.kind, Kind::Pipeline(Pipeline::BucketSort { .. })))
}

fn unknown(path: &str) -> Refusal {
    Refusal::validation(format!("No aggregation found for path [{path}]"))
}

/// Whether a path names something that is there.
fn check(path: &str, aggs: &[Agg]) -> Result<(), Refusal> {
    if matches!(path, "_count" | "_key") {
        return Ok(());
    }
    let first = path.split('>').next().unwrap_or_default();
    let known = aggs
        .iter()
        .any(|a| first == a.name || first.strip_prefix(a.name.as_str()).is_some_and(|r| r.starts_with(['.', '['])));
    if known { Ok(()) } else { Err(unknown(path)) }
}

/// Adds to buckets what the pipelines beneath them say.
pub fn parents(aggs: &[Agg], buckets: &mut Buckets) -> Result<(), Refusal> {
    for (agg, p) in ordered(aggs, |p| !matches!(p, Pipeline::Sibling { .. } | Pipeline::PercentilesBucket { .. })) {
        if let Some(path) = path_of(p) {
            check(path, aggs)?;
        }
        match p {
            Pipeline::Derivative { path, gap, unit_millis, format } => {
                let mut before: Option<(f64, f64)> = None;
                for b in buckets.all_mut() {
                    let here = value(b.count, b.number(path), path, *gap);
                    let at = b.key.as_ref().and_then(Key::number).unwrap_or(0.0);
                    if let (Some((last_at, last)), Some(here)) = (before, here) {
                        let mut out = simple("derivative", here - last, format.as_deref());
                        if let Some(unit) = unit_millis {
                            out.body
                                .insert("normalized_value".into(), ((here - last) / ((at - last_at) / unit)).into());
                        }
                        meta(agg, &mut out);
                        b.subs.push((agg.name.clone(), out));
                    }
                    if let Some(here) = here {
                        before = Some((at, here));
                    }
                }
            }
            Pipeline::CumulativeSum { path, format } => {
                let mut sum = 0.0;
                for b in buckets.all_mut() {
                    sum += b.number(path).unwrap_or(0.0);
                    let mut out = simple("simple_value", sum, format.as_deref());
                    meta(agg, &mut out);
                    b.subs.push((agg.name.clone(), out));
                }
            }
            Pipeline::SerialDiff { path, lag, gap, format } => {
                let values: Vec<Option<f64>> =
                    buckets.all().iter().map(|b| value(b.count, b.number(path), path, *gap)).collect();
                for (i, b) in buckets.all_mut().into_iter().enumerate().skip(*lag) {
                    if let (Some(here), Some(before)) = (values[i], values[i - lag]) {
                        b.subs.push((agg.name.clone(), simple("simple_value", here - before, format.as_deref())));
                    }
                }
            }
            Pipeline::MovingFn { path, window, shift, function, gap } => {
                let values: Vec<f64> =
                    buckets.all().iter().filter_map(|b| value(b.count, b.number(path), path, *gap)).collect();
                let mut at = 0i64;
                for b in buckets.all_mut() {
                    if value(b.count, b.number(path), path, *gap).is_none() {
                        continue;
                    }
                    let clamp = |n: i64| n.clamp(0, values.len() as i64) as usize;
                    let (from, to) = (clamp(at - *window as i64 + shift), clamp(at + shift));
                    let slice = values.get(from..to.max(from)).unwrap_or_default();
                    b.subs.push((agg.name.clone(), simple("simple_value", moving(*function, slice), None)));
                    at += 1;
                }
            }
            Pipeline::BucketSort { sort, from, size } => bucket_sort(buckets, sort, *from, *size),
            Pipeline::Sibling { .. } | Pipeline::PercentilesBucket { .. } => {}
        }
    }
    Ok(())
}

fn value(count: u64, value: Option<f64>, path: &str, gap: Gap) -> Option<f64> {
    match gap {
        Gap::Skip if count == 0 && path != "_count" => None,
        Gap::InsertZeros if count == 0 || value.is_none() => Some(if path == "_count" { count as f64 } else { 0.0 }),
        _ => value,
    }
}

fn moving(function: Moving, values: &[f64]) -> f64 {
    match function {
        Moving::Max => values.iter().copied().fold(f64::NAN, f64::max),
        Moving::Min => values.iter().copied().fold(f64::NAN, f64::min),
        Moving::Sum => values.iter().sum(),
        Moving::UnweightedAvg => values.iter().sum::<f64>() / values.len() as f64,
        Moving::LinearWeightedAvg => {
            let weights = (1..=values.len()).map(|n| n as f64);
            let sum: f64 = values.iter().zip(weights.clone()).map(|(v, w)| v * w).sum();
            sum / weights.sum::<f64>()
        }
    }
}

fn bucket_sort(buckets: &mut Buckets, sort: &[(String, bool)], from: usize, size: Option<usize>) {
    let all = buckets.all();
    let keys: Vec<Vec<Option<f64>>> =
        all.iter().map(|b| sort.iter().map(|(path, _)| b.number(path)).collect()).collect();
    let texts: Vec<Option<String>> =
        all.iter().map(|b| b.head.get("key").and_then(Value::as_str).map(str::to_string)).collect();
    let by_key = |n: usize| sort[n].0 == "_key";
    // Buckets without any of the numbers are left out.
    let mut order: Vec<usize> = (0..all.len())
        .filter(|i| sort.is_empty() || keys[*i].iter().enumerate().any(|(n, k)| k.is_some() || by_key(n)))
        .collect();
    order.sort_by(|x, y| {
        for (n, (_, descending)) in sort.iter().enumerate() {
            let o = match (keys[*x][n], keys[*y][n]) {
                (Some(a), Some(b)) => a.total_cmp(&b),
                (None, None) if by_key(n) => texts[*x].cmp(&texts[*y]),
                (None, None) => continue,
                (None, Some(_)) => return std::cmp::Ordering::Greater,
                (Some(_), None) => return std::cmp::Ordering::Less,
            };
            let o = if *descending { o.reverse() } else { o };
            if o.is_ne() {
                return o;
            }
        }
        std::cmp::Ordering::Equal
    });
    let order: Vec<usize> = order.into_iter().skip(from).take(size.unwrap_or(usize::MAX)).collect();
    buckets.pick(&order);
}

/// Adds what pipelines beside other aggregations say.
pub fn siblings(aggs: &[Agg], outs: &mut Vec<(String, Out)>) -> Result<(), Refusal> {
    for (agg, p) in ordered(aggs, |p| matches!(p, Pipeline::Sibling { .. } | Pipeline::PercentilesBucket { .. })) {
        let (path, gap) = match p {
            Pipeline::Sibling { path, gap, .. } | Pipeline::PercentilesBucket { path, gap, .. } => (path, *gap),
            _ => continue,
        };
        check(path, aggs)?;
        let (first, rest) = path.split_once('>').ok_or_else(|| {
            Refusal::validation(format!("The first aggregation in buckets_path must be a multi-bucket aggregation for aggregation [{}] found :[{path}]", agg.name))
        })?;
        let mut values: Vec<(String, f64)> = Vec::new();
        if let Some((_, out)) = outs.iter().find(|(n, _)| n == first) {
            match &out.buckets {
                Some(buckets) => {
                    for b in buckets.all() {
                        if let Some(v) = value(b.count, b.number(rest), rest, gap) {
                            let name = b.head.get("key_as_string").or_else(|| b.head.get("key"));
                            let name = match (name, b.key.as_ref().and_then(Key::number)) {
                                (Some(Value::String(s)), _) => s.clone(),
                                (_, Some(n)) if matches!(b.key, Some(Key::Float(_))) => java_double(n),
                                (Some(other), _) => other.to_string(),
                                (None, _) => String::new(),
                            };
                            values.push((name, v));
                        }
                    }
                }
                None => values.extend(number(&out.subs, rest).map(|v| (String::new(), v))),
            }
        }
        let mut out = match p {
            Pipeline::PercentilesBucket { percents, .. } => {
                let mut sorted: Vec<f64> = values.iter().map(|(_, v)| *v).collect();
                sorted.sort_by(f64::total_cmp);
                let each = percents.iter().map(|p| {
                    // The nearest value below, as Elasticsearch does it here: no interpolation.
                    let at = ((p / 100.0) * sorted.len() as f64).ceil() as usize;
                    (java_double(*p), sorted.get(at.saturating_sub(1)).map_or(Value::Null, |v| (*v).into()))
                });
                let mut out = Out { kind: "percentiles_bucket", ..Out::default() };
                out.body.insert("values".into(), Value::Object(each.collect()));
                out
            }
            Pipeline::Sibling { metric, format, .. } => {
                let mut stats = Stats::default();
                values.iter().for_each(|(_, v)| stats.add(*v));
                let mut out = of_stats(*metric, &stats, format.as_deref());
                if matches!(metric, Metric::Min | Metric::Max) {
                    let best = if *metric == Metric::Max { stats.max } else { stats.min };
                    let keys: Vec<&String> = values.iter().filter(|(_, v)| *v == best).map(|(k, _)| k).collect();
                    out.body.insert("keys".into(), json!(keys));
                }
                out
            }
            _ => continue,
        };
        meta(agg, &mut out);
        outs.push((agg.name.clone(), out));
    }
    Ok(())
}
