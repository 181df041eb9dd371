//! The order of buckets.

use std::cmp::Ordering;

use crate::aggs::ast::{Agg, Kind, Metric, OrderBy, Orders};
use crate::aggs::partial::{Bucket, Key, Partial};
use crate::query::Refusal;

/// Sorts buckets of an aggregation.
pub fn sort(list: &mut [(Key, Bucket)], orders: &Orders, agg: &Agg) -> Result<(), Refusal> {
    for (by, _) in orders {
        if let OrderBy::Path(path) = by {
            check(path, agg)?;
        }
    }
    let needs_numbers = orders.iter().any(|(by, _)| matches!(by, OrderBy::Path(_)));
    if !needs_numbers {
        list.sort_by(|a, b| compare(a, b, orders, &|_, _| (None, None)));
        return Ok(());
    }
    // Quantiles cost time: each bucket's numbers are made once.
    let numbers: Vec<Vec<Option<f64>>> = list
        .iter_mut()
        .map(|(_, b)| {
            orders
                .iter()
                .map(|(by, _)| match by {
                    OrderBy::Path(path) => number(path, &agg.subs, &mut b.subs),
                    _ => None,
                })
                .collect()
        })
        .collect();
    let mut order: Vec<usize> = (0..list.len()).collect();
    order.sort_by(|x, y| compare(&list[*x], &list[*y], orders, &|n, _| (numbers[*x][n], numbers[*y][n])));
    let mut old: Vec<Option<(Key, Bucket)>> =
        list.iter_mut().map(|e| Some(std::mem::replace(e, (Key::Null, Bucket::default())))).collect();
    for (slot, from) in list.iter_mut().zip(order) {
        if let Some(entry) = old[from].take() {
            *slot = entry;
        }
    }
    Ok(())
}

type Numbers<'a> = dyn Fn(usize, ()) -> (Option<f64>, Option<f64>) + 'a;

fn compare(a: &(Key, Bucket), b: &(Key, Bucket), orders: &Orders, numbers: &Numbers) -> Ordering {
    for (n, (by, descending)) in orders.iter().enumerate() {
        let order = match by {
            OrderBy::Count => a.1.count.cmp(&b.1.count),
            OrderBy::Key => match (a.0.number(), b.0.number()) {
                (Some(x), Some(y)) => x.total_cmp(&y),
                _ => a.0.cmp(&b.0),
            },
            OrderBy::Path(_) => match numbers(n, ()) {
                (Some(x), Some(y)) => x.total_cmp(&y),
                // Buckets without a number go last whatever the direction.
                (None, Some(_)) => return Ordering::Greater,
                (Some(_), None) => return Ordering::Less,
                (None, None) => Ordering::Equal,
            },
        };
        let order = if *descending { order.reverse() } else { order };
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

fn check(path: &[String], agg: &Agg) -> Result<(), Refusal> {
    let mut subs = &agg.subs;
    for name in &path[..path.len() - 1] {
        let Some(sub) = subs.iter().find(|s| s.name == *name) else {
            return Err(Refusal::shard_argument(format!(
                "Invalid aggregator order path [{}]. The provided aggregation [{name}] either does not exist, or is a pipeline aggregation and cannot be used to sort the buckets.",
                path[..path.len() - 1].join(">")
            )));
        };
        subs = &sub.subs;
    }
    Ok(())
}

fn number(path: &[String], subs: &[Agg], parts: &mut [Partial]) -> Option<f64> {
    let (name, rest) = path.split_first()?;
    let at = subs.iter().position(|s| s.name == *name)?;
    let (agg, part) = (&subs[at], parts.get_mut(at)?);
    match (part, rest) {
        (Partial::One(b), [value]) if value == "value" || value == "_count" || value == "doc_count" => {
            Some(b.count as f64)
        }
        (Partial::One(b), rest) => number(rest, &agg.subs, &mut b.subs),
        (Partial::Stats(s), [value]) => {
            let some = s.count > 0;
            let avg = s.sum / s.count as f64;
            let variance = (s.squares - s.sum * s.sum / s.count as f64) / s.count as f64;
            let name = match (&agg.kind, value.as_str()) {
                (Kind::Metric(Metric::Avg, _), "value") => "avg",
                (Kind::Metric(Metric::Sum, _), "value") => "sum",
                (Kind::Metric(Metric::Min, _), "value") => "min",
                (Kind::Metric(Metric::Max, _), "value") => "max",
                (Kind::Metric(Metric::ValueCount, _), "value") => "count",
                (_, other) => other,
            };
            match name {
                "count" => Some(s.count as f64),
                "sum" => Some(s.sum),
                "avg" => some.then_some(avg),
                "min" => some.then_some(s.min),
                "max" => some.then_some(s.max),
                "sum_of_squares" => Some(s.squares),
                "variance" | "variance_population" => some.then_some(variance),
                "std_deviation" | "std_deviation_population" => some.then_some(variance.max(0.0).sqrt()),
                _ => None,
            }
        }
        (Partial::Weighted(v, w), _) => (*w != 0.0).then(|| *v / *w),
        (Partial::Distinct(d), _) => Some(d.count() as f64),
        (Partial::Digest(d), [value]) => match &agg.kind {
            Kind::Percentiles { ranks: true, .. } => d.rank(value.parse().ok()?).map(|r| r * 100.0),
            Kind::Percentiles { .. } => d.quantile(value.parse::<f64>().ok()? / 100.0),
            _ => d.median_deviation(),
        },
        _ => None,
    }
}
