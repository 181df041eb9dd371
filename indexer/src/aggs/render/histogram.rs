//! Buckets in steps of time or of numbers, with the empty ones between them.

use serde_json::Value;

use super::{Env, Form, bucket, named, order};
use crate::aggs::ast::{Agg, DateHistogram, Histogram, Source};
use crate::aggs::collect::date;
use crate::aggs::output::{Buckets, Out};
use crate::aggs::partial::{Bucket, Key};
use crate::query::Refusal;
use crate::time::rounding::{Interval, Rounding};
use crate::time::zone::Zone;

/// `date_histogram`.
pub(super) fn date_histogram(
    agg: &Agg,
    h: &DateHistogram,
    list: Vec<(Key, Bucket)>,
    env: &Env,
) -> Result<Out, Refusal> {
    let rounding = Rounding { interval: h.interval, zone: h.zone.clone(), offset: h.offset };
    let field = env.field(&h.source.field);
    let mut map: std::collections::BTreeMap<i64, Bucket> = std::collections::BTreeMap::new();
    for (key, b) in list {
        if let Some(n) = key.number() {
            map.entry(n as i64).or_default().merge(b);
        }
    }
    if h.min_doc_count == 0 {
        let read = |v: &Option<Value>| {
            v.as_ref().map(|v| date(v, field.as_ref(), h.source.format.as_deref(), &h.zone, env.now)).transpose()
        };
        let (low, high) = match &h.extended {
            Some((min, max)) => (read(min)?, read(max)?),
            None => (None, None),
        };
        if let (Some(low), Some(high)) = (low, high)
            && low > high
        {
            return Err(Refusal::shard_argument(format!(
                "[extended_bounds.min][{low}] cannot be greater than [extended_bounds.max][{high}]"
            )));
        }
        let ends = [map.keys().next().copied(), low.map(|l| rounding.round(l))];
        let first = ends.into_iter().flatten().min();
        let last = [map.keys().next_back().copied(), high.map(|h| rounding.round(h))].into_iter().flatten().max();
        if let (Some(first), Some(last)) = (first, last) {
            let about = (last - first) / h.interval.about_millis().max(1);
            if about as usize > env.limit * 2 {
                return Err(Refusal::too_many_buckets(env.limit));
            }
            let mut at = first;
            let mut made = 0;
            while at <= last {
                map.entry(at).or_default();
                made += 1;
                if made > env.limit {
                    return Err(Refusal::too_many_buckets(env.limit));
                }
                at = rounding.next(at);
            }
        }
    }
    let mut list: Vec<(Key, Bucket)> = map.into_iter().map(|(k, b)| (Key::Date(k), b)).collect();
    list.retain(|(_, b)| b.count >= h.min_doc_count);
    env.spend(list.len())?;
    order::sort(&mut list, &h.order, agg)?;
    let mut source = h.source.clone();
    source.format = source.format.or_else(|| field.and_then(|f| f.format));
    let form = Form::new(&source, &h.zone, env)?;
    let list = list.into_iter().map(|(key, b)| bucket(agg, key, &form, b, env)).collect::<Result<Vec<_>, _>>()?;
    Ok(Out { kind: "date_histogram", buckets: Some(named(&form, list, h.keyed)), ..Out::default() })
}

/// The steps that an automatic histogram chooses from, as Elasticsearch has them, with their names.
fn automatic_steps() -> Vec<(Interval, u32, &'static str)> {
    use crate::time::span::Unit::{Day, Hour, Minute, Month, Second, Year};
    let mut steps = Vec::new();
    for (unit, letter, counts) in [
        (Second, "s", &[1u32, 5, 10, 30][..]),
        (Minute, "m", &[1, 5, 10, 30]),
        (Hour, "h", &[1, 3, 12]),
        (Day, "d", &[1, 7]),
        (Month, "M", &[1, 3]),
        (Year, "y", &[1, 5, 10, 20, 50, 100]),
    ] {
        for n in counts {
            steps.push((Interval::Calendar(unit), *n, letter));
        }
    }
    steps
}

/// `auto_date_histogram`.
pub(super) fn auto_date_histogram(
    agg: &Agg,
    source: &Source,
    wanted: usize,
    zone: &Zone,
    list: Vec<(Key, Bucket)>,
    env: &Env,
) -> Result<Out, Refusal> {
    let mut seconds: Vec<(i64, Bucket)> = list.into_iter().filter_map(|(k, b)| Some((k.number()? as i64, b))).collect();
    seconds.sort_by_key(|(k, _)| *k);
    let form = Form::new(source, zone, env)?;
    let mut out = Out { kind: "auto_date_histogram", ..Out::default() };
    let (mut list, mut name) = (Vec::new(), "1s".to_string());
    if let (Some((first, _)), Some((last, _))) = (seconds.first(), seconds.last()) {
        let (first, last) = (*first, *last);
        // The finest step with no more buckets than are wanted.
        for (interval, count, letter) in automatic_steps() {
            let rounding = Rounding { interval, zone: zone.clone(), offset: 0 };
            let mut starts = Vec::new();
            let mut at = rounding.round(first);
            while at <= last && starts.len() <= wanted {
                starts.push(at);
                for _ in 0..count {
                    at = rounding.next(at);
                }
            }
            name = format!("{count}{letter}");
            if starts.len() > wanted {
                continue;
            }
            let mut made: Vec<(i64, Bucket)> = starts.into_iter().map(|s| (s, Bucket::default())).collect();
            for (second, b) in std::mem::take(&mut seconds) {
                let slot = made.partition_point(|(s, _)| *s <= second).saturating_sub(1);
                made[slot].1.merge(b);
            }
            list = made;
            break;
        }
    }
    env.spend(list.len())?;
    let buckets = list.into_iter().map(|(k, b)| bucket(agg, Key::Date(k), &form, b, env)).collect::<Result<_, _>>()?;
    out.buckets = Some(Buckets::List(buckets));
    out.body.insert("interval".into(), name.into());
    Ok(out)
}

/// `histogram`.
pub(super) fn histogram(agg: &Agg, h: &Histogram, list: Vec<(Key, Bucket)>, env: &Env) -> Result<Out, Refusal> {
    // By the number of the step: adding up steps would drift.
    let step = |n: f64| ((n - h.offset) / h.interval).round() as i64;
    let mut map: std::collections::BTreeMap<i64, Bucket> = std::collections::BTreeMap::new();
    for (key, b) in list {
        if let Some(n) = key.number() {
            map.entry(step(n)).or_default().merge(b);
        }
    }
    if h.min_doc_count == 0 {
        let (low, high) = h.extended.unwrap_or((None, None));
        let floor = |n: f64| ((n - h.offset) / h.interval).floor() as i64;
        let first = [map.keys().next().copied(), low.map(floor)].into_iter().flatten().min();
        let last = [map.keys().next_back().copied(), high.map(floor)].into_iter().flatten().max();
        if let (Some(first), Some(last)) = (first, last) {
            if last.saturating_sub(first) as usize > env.limit {
                return Err(Refusal::too_many_buckets(env.limit));
            }
            for at in first..=last {
                map.entry(at).or_default();
            }
        }
    }
    let key = |n: i64| Key::float(n as f64 * h.interval + h.offset);
    let mut list: Vec<(Key, Bucket)> = map.into_iter().map(|(n, b)| (key(n), b)).collect();
    list.retain(|(_, b)| b.count >= h.min_doc_count);
    env.spend(list.len())?;
    order::sort(&mut list, &h.order, agg)?;
    let form = Form::new(&h.source, &Zone::utc(), env)?;
    let list = list.into_iter().map(|(key, b)| bucket(agg, key, &form, b, env)).collect::<Result<Vec<_>, _>>()?;
    Ok(Out { kind: "histogram", buckets: Some(named(&form, list, h.keyed)), ..Out::default() })
}
