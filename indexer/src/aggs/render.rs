//! From merged parts to answers.

mod histogram;
mod metric;
mod order;

pub use metric::of_stats;

use std::cell::Cell;

use serde_json::{Map, Value, json};

use super::ast::{Agg, Kind, RangeOn, RangeSpec, Source, Terms};
use super::collect::date;
use super::output::{Buckets, Out, OutBucket, add, decimal, java_double};
use super::partial::{Bucket, Key, Partial};
use super::pipeline;
use crate::mapping::{EsType, FieldRef};
use crate::query::Refusal;
use crate::query::plan::terms::address_text;
use crate::store::View;
use crate::time::format::DateFormat;
use crate::time::zone::Zone;
use crate::time::{NANOS_PER_MILLI, Nanos};

/// What answers are made with.
pub struct Env<'a> {
    /// What was searched.
    pub view: &'a View,
    /// What `now` means.
    pub now: Nanos,
    /// How many buckets there may be.
    pub limit: usize,
    /// How many there are.
    pub made: Cell<usize>,
}

impl Env<'_> {
    fn spend(&self, buckets: usize) -> Result<(), Refusal> {
        self.made.set(self.made.get().saturating_add(buckets));
        if self.made.get() > self.limit { Err(Refusal::too_many_buckets(self.limit)) } else { Ok(()) }
    }

    /// The field of that name in the first index that has it.
    fn field(&self, name: &str) -> Option<FieldRef> {
        self.view.parts.iter().find_map(|p| p.mapping.resolve(name))
    }
}

/// The answers of all aggregations of a request, as JSON.
pub fn answer(aggs: &[Agg], parts: Vec<Partial>, env: &Env, typed: bool) -> Result<Value, Refusal> {
    let mut body = Map::new();
    add(&mut body, level(aggs, parts, env)?, typed);
    Ok(Value::Object(body))
}

/// The answers of aggregations beside each other.
fn level(aggs: &[Agg], parts: Vec<Partial>, env: &Env) -> Result<Vec<(String, Out)>, Refusal> {
    let mut outs = Vec::with_capacity(aggs.len());
    let mut parts = parts.into_iter();
    for agg in aggs {
        let part = parts.next().unwrap_or_default();
        if !agg.kind.is_pipeline() {
            let mut out = one(agg, part, env)?;
            if let Some(meta) = &agg.meta {
                out.body.insert("meta".into(), Value::Object(meta.clone()));
            }
            outs.push((agg.name.clone(), out));
        }
    }
    pipeline::siblings(aggs, &mut outs)?;
    Ok(outs)
}

fn one(agg: &Agg, part: Partial, env: &Env) -> Result<Out, Refusal> {
    let mut out = match &agg.kind {
        Kind::Terms(t) => terms(agg, t, keyed(part), env)?,
        Kind::MultiTerms { sources, terms } => multi_terms(agg, sources, terms, keyed(part), env)?,
        Kind::DateHistogram(h) => histogram::date_histogram(agg, h, keyed(part), env)?,
        Kind::AutoDateHistogram { source, buckets, zone } => {
            histogram::auto_date_histogram(agg, source, *buckets, zone, keyed(part), env)?
        }
        Kind::Histogram(h) => histogram::histogram(agg, h, keyed(part), env)?,
        Kind::Range { source, ranges, keyed, on, zone } => range(agg, source, ranges, *keyed, *on, zone, part, env)?,
        Kind::Filters { filters, other, keyed } => {
            let names = filters.iter().map(|(n, _)| n.clone().unwrap_or_default()).chain(other.clone());
            let mut list = Vec::new();
            for (name, bucket) in names.zip(slots(part, filters.len() + usize::from(other.is_some()))) {
                list.push((name, plain(agg, bucket, env)?));
            }
            env.spend(list.len())?;
            let buckets =
                if *keyed { Buckets::Named(list) } else { Buckets::List(list.into_iter().map(|(_, b)| b).collect()) };
            Out { kind: "filters", buckets: Some(buckets), ..Out::default() }
        }
        Kind::AdjacencyMatrix { .. } => {
            let mut list: Vec<(Key, Bucket)> = keyed(part);
            list.sort_by(|a, b| a.0.cmp(&b.0));
            env.spend(list.len())?;
            let list = list.into_iter().filter(|(_, b)| b.count > 0);
            let list = list.map(|(key, b)| bucket(agg, key, &Form::default(), b, env)).collect::<Result<_, _>>()?;
            Out { kind: "adjacency_matrix", buckets: Some(Buckets::List(list)), ..Out::default() }
        }
        Kind::Filter(_) => single("filter", agg, part, env)?,
        Kind::Missing { .. } => single("missing", agg, part, env)?,
        Kind::Global => single("global", agg, part, env)?,
        Kind::Whole(kind) => single(kind, agg, part, env)?,
        Kind::Composite(_) => composite(agg, keyed(part), env)?,
        _ => return metric::one(agg, part, env),
    };
    if let Some(buckets) = &mut out.buckets {
        pipeline::parents(&agg.subs, buckets)?;
    }
    Ok(out)
}

fn keyed(part: Partial) -> Vec<(Key, Bucket)> {
    match part {
        Partial::Keyed(map) => map.into_iter().collect(),
        _ => Vec::new(),
    }
}

fn slots(part: Partial, width: usize) -> Vec<Bucket> {
    let mut list = match part {
        Partial::Slots(list) => list,
        _ => Vec::new(),
    };
    list.resize_with(width, Bucket::default);
    list
}

fn single(kind: &'static str, agg: &Agg, part: Partial, env: &Env) -> Result<Out, Refusal> {
    let bucket = match part {
        Partial::One(b) => *b,
        _ => Bucket::default(),
    };
    let mut out = Out { kind, ..Out::default() };
    out.body.insert("doc_count".into(), bucket.count.into());
    out.subs = level(&agg.subs, bucket.subs, env)?;
    Ok(out)
}

fn plain(agg: &Agg, b: Bucket, env: &Env) -> Result<OutBucket, Refusal> {
    let mut out = OutBucket { count: b.count, subs: level(&agg.subs, b.subs, env)?, ..OutBucket::default() };
    out.head.insert("doc_count".into(), b.count.into());
    Ok(out)
}

/// How keys are written.
#[derive(Default)]
pub(super) struct Form {
    dates: Option<DateFormat>,
    numbers: Option<String>,
    zone: Zone,
    /// Whole numbers as floating point.
    floats: bool,
}

impl Form {
    /// By the aggregation's format, else the field's.
    pub(super) fn new(source: &Source, zone: &Zone, env: &Env) -> Result<Form, Refusal> {
        let field = env.field(&source.field);
        let is_date = field.as_ref().is_some_and(|f| f.es_type == EsType::Date);
        let own = field.and_then(|f| f.format);
        let text = source.format.clone().or(own.filter(|_| is_date));
        if !is_date {
            let numbers = text.clone();
            return Ok(Form {
                dates: text.and_then(|t| DateFormat::parse(&t).ok()),
                numbers,
                zone: zone.clone(),
                floats: false,
            });
        }
        let dates = text.map(|t| DateFormat::parse(&t)).transpose().map_err(Refusal::shard_argument)?;
        Ok(Form { dates, numbers: None, zone: zone.clone(), floats: false })
    }

    fn date(&self, ms: i64) -> String {
        let nanos = i128::from(ms) * NANOS_PER_MILLI;
        match &self.dates {
            Some(f) => f.write(nanos, &self.zone),
            None => DateFormat::default().write(nanos, &self.zone),
        }
    }

    /// `key`, and `key_as_string` where there is one.
    pub(super) fn key(&self, key: &Key) -> (Value, Option<String>) {
        let formatted = |n: f64| self.numbers.as_ref().map(|p| decimal(p, n));
        match key {
            Key::Null => (Value::Null, None),
            Key::Bool(b) => (u64::from(*b).into(), Some(b.to_string())),
            Key::Int(n) if self.floats => ((*n as f64).into(), formatted(*n as f64)),
            Key::Int(n) => ((*n).into(), formatted(*n as f64)),
            Key::UInt(n) => ((*n).into(), formatted(*n as f64)),
            Key::Float(_) => {
                let n = key.number().unwrap_or(0.0);
                (n.into(), formatted(n))
            }
            Key::Date(ms) => ((*ms).into(), Some(self.date(*ms))),
            Key::Ip(n) => (address_text(*n).into(), None),
            Key::Str(s) => (s.clone().into(), None),
            Key::Many(list) => {
                let text = list.iter().map(|k| self.text(k)).collect::<Vec<_>>().join("|");
                (Value::Array(list.iter().map(|k| self.key(k).0).collect()), Some(text))
            }
        }
    }

    fn text(&self, key: &Key) -> String {
        match self.key(key) {
            (_, Some(text)) => text,
            (Value::String(s), None) => s,
            (other, None) => other.to_string(),
        }
    }
}

fn bucket(agg: &Agg, key: Key, form: &Form, b: Bucket, env: &Env) -> Result<OutBucket, Refusal> {
    let (value, text) = form.key(&key);
    let mut out = OutBucket { count: b.count, ..OutBucket::default() };
    if let (Key::Date(_), Some(text)) = (&key, &text) {
        out.head.insert("key_as_string".into(), text.clone().into());
        out.head.insert("key".into(), value);
    } else {
        out.head.insert("key".into(), value);
        if let Some(text) = text {
            out.head.insert("key_as_string".into(), text.into());
        }
    }
    out.head.insert("doc_count".into(), b.count.into());
    out.key = Some(key);
    out.subs = level(&agg.subs, b.subs, env)?;
    Ok(out)
}

/// Whole numbers and floating point that come together are floating point.
fn unify(list: Vec<(Key, Bucket)>) -> Vec<(Key, Bucket)> {
    let float = list.iter().any(|(k, _)| matches!(k, Key::Float(_)));
    let whole = list.iter().any(|(k, _)| matches!(k, Key::Int(_) | Key::UInt(_)));
    if !(float && whole) {
        return list;
    }
    let mut map: super::hash::Map<Key, Bucket> = super::hash::Map::default();
    for (key, b) in list {
        let key = match key.number() {
            Some(n) => Key::float(n),
            None => key,
        };
        match map.get_mut(&key) {
            Some(known) => known.merge(b),
            None => {
                map.insert(key, b);
            }
        }
    }
    map.into_iter().collect()
}

fn terms(agg: &Agg, t: &Terms, list: Vec<(Key, Bucket)>, env: &Env) -> Result<Out, Refusal> {
    let mut list = unify(list);
    let kind = match (list.first().map(|(k, _)| k), t.rare.is_some()) {
        (None, false) => match env.field(&t.source.field).map(|f| f.es_type) {
            None => "umterms",
            Some(EsType::Long | EsType::Date | EsType::Boolean) => "lterms",
            Some(EsType::Double) => "dterms",
            Some(_) => "sterms",
        },
        (Some(Key::Str(_) | Key::Ip(_)) | None, true) => "srareterms",
        (Some(_), true) => "lrareterms",
        (Some(Key::Str(_) | Key::Ip(_)), false) => "sterms",
        (Some(Key::Float(_)), false) => "dterms",
        (Some(_), false) => "lterms",
    };
    let all: u64 = list.iter().map(|(_, b)| b.count).sum();
    let form = Form::new(&t.source, &Zone::utc(), env)?;
    match t.rare {
        Some(most) => list.retain(|(_, b)| b.count <= most),
        None => list.retain(|(_, b)| b.count >= t.min_doc_count),
    }
    order::sort(&mut list, &t.order, agg)?;
    list.truncate(t.size);
    env.spend(list.len())?;
    let shown: u64 = list.iter().map(|(_, b)| b.count).sum();
    let mut out = Out { kind, ..Out::default() };
    if t.rare.is_none() {
        out.body.insert("doc_count_error_upper_bound".into(), 0.into());
        out.body.insert("sum_other_doc_count".into(), (all - shown).into());
    }
    let mut buckets = Vec::with_capacity(list.len());
    for (key, b) in list {
        let mut made = bucket(agg, key, &form, b, env)?;
        if t.show_error {
            made.head.insert("doc_count_error_upper_bound".into(), 0.into());
        }
        buckets.push(made);
    }
    out.buckets = Some(Buckets::List(buckets));
    Ok(out)
}

fn multi_terms(
    agg: &Agg,
    sources: &[Source],
    t: &Terms,
    mut list: Vec<(Key, Bucket)>,
    env: &Env,
) -> Result<Out, Refusal> {
    let all: u64 = list.iter().map(|(_, b)| b.count).sum();
    list.retain(|(_, b)| b.count >= t.min_doc_count);
    order::sort(&mut list, &t.order, agg)?;
    list.truncate(t.size);
    env.spend(list.len())?;
    let shown: u64 = list.iter().map(|(_, b)| b.count).sum();
    let forms = sources.iter().map(|s| Form::new(s, &Zone::utc(), env)).collect::<Result<Vec<_>, _>>()?;
    let mut buckets = Vec::with_capacity(list.len());
    for (key, b) in list {
        let mut made = bucket(agg, key.clone(), &Form::default(), b, env)?;
        if let Key::Many(keys) = &key {
            // Keys of several values are written as they are shown: dates and bools as text.
            let texts: Vec<String> = keys.iter().zip(&forms).map(|(k, f)| f.text(k)).collect();
            let values = keys.iter().zip(&forms).map(|(k, f)| match (k, f.key(k)) {
                (Key::Date(_) | Key::Bool(_), (_, Some(text))) => text.into(),
                (_, (value, _)) => value,
            });
            made.head.insert("key".into(), Value::Array(values.collect()));
            made.head.insert("key_as_string".into(), texts.join("|").into());
        }
        buckets.push(made);
    }
    let mut out = Out { kind: "multi_terms", ..Out::default() };
    out.body.insert("doc_count_error_upper_bound".into(), 0.into());
    out.body.insert("sum_other_doc_count".into(), (all - shown).into());
    out.buckets = Some(Buckets::List(buckets));
    Ok(out)
}

fn named(form: &Form, list: Vec<OutBucket>, keyed: bool) -> Buckets {
    if !keyed {
        return Buckets::List(list);
    }
    Buckets::Named(list.into_iter().map(|b| (b.key.as_ref().map_or(String::new(), |k| name_of(form, k)), b)).collect())
}

fn name_of(form: &Form, key: &Key) -> String {
    match (key, form.key(key).1) {
        (_, Some(text)) => text,
        (Key::Float(_), None) => java_double(key.number().unwrap_or(0.0)),
        (key, None) => form.text(key),
    }
}

#[expect(clippy::too_many_arguments, reason = "they are the members of one kind of aggregation")]
fn range(
    agg: &Agg,
    source: &Source,
    ranges: &[RangeSpec],
    keyed: bool,
    on: RangeOn,
    zone: &Zone,
    part: Partial,
    env: &Env,
) -> Result<Out, Refusal> {
    let form = Form::new(source, zone, env)?;
    let field = env.field(&source.field);
    let mut list = Vec::with_capacity(ranges.len());
    for (spec, b) in ranges.iter().zip(slots(part, ranges.len())) {
        let mut out = plain(agg, b, env)?;
        let mut head = Map::new();
        let (low, high, name) = match on {
            RangeOn::Ip => {
                let (low, high) = super::collect::addresses(spec)?;
                let masked = spec.mask.is_some();
                let from = (spec.from.is_some() || masked && low > 0).then(|| address_text(low));
                let to = match &spec.to {
                    Some(v) => v.as_str().map(str::to_string),
                    None => masked.then(|| high.checked_add(1)).flatten().map(address_text),
                };
                let name = spec
                    .mask
                    .clone()
                    .unwrap_or_else(|| format!("{}-{}", from.as_deref().unwrap_or("*"), to.as_deref().unwrap_or("*")));
                for (key, end) in [("from", from), ("to", to)] {
                    if let Some(end) = end {
                        head.insert(key.into(), end.into());
                    }
                }
                (low as f64, high as f64, name)
            }
            _ => {
                let read = |v: &Option<Value>| -> Result<Option<f64>, Refusal> {
                    v.as_ref()
                        .map(|v| match on {
                            RangeOn::Date => {
                                date(v, field.as_ref(), source.format.as_deref(), zone, env.now).map(|ms| ms as f64)
                            }
                            _ => crate::query::dsl::number("range", "ranges", v),
                        })
                        .transpose()
                };
                let (from, to) = (read(&spec.from)?, read(&spec.to)?);
                let text = |n: f64| match (on, &form.numbers) {
                    (RangeOn::Date, _) => form.date(n as i64),
                    (_, Some(pattern)) => decimal(pattern, n),
                    (_, None) => java_double(n),
                };
                for (key, end) in [("from", from), ("to", to)] {
                    if let Some(n) = end {
                        head.insert(key.into(), n.into());
                        if on == RangeOn::Date || form.numbers.is_some() {
                            head.insert(format!("{key}_as_string"), text(n).into());
                        }
                    }
                }
                let star = || "*".to_string();
                let name = format!("{}-{}", from.map_or_else(star, text), to.map_or_else(star, text));
                (from.unwrap_or(f64::NEG_INFINITY), to.unwrap_or(f64::INFINITY), name)
            }
        };
        let name = spec.key.clone().unwrap_or(name);
        let mut all = Map::new();
        if !keyed {
            all.insert("key".into(), name.clone().into());
        }
        all.append(&mut head);
        all.append(&mut out.head);
        out.head = all;
        list.push(((low, high), name, out));
    }
    list.sort_by(|a, b| a.0.0.total_cmp(&b.0.0).then(a.0.1.total_cmp(&b.0.1)));
    env.spend(list.len())?;
    let kind = match on {
        RangeOn::Number => "range",
        RangeOn::Date => "date_range",
        RangeOn::Ip => "ip_range",
    };
    let buckets = if keyed {
        Buckets::Named(list.into_iter().map(|(_, n, b)| (n, b)).collect())
    } else {
        Buckets::List(list.into_iter().map(|(_, _, b)| b).collect())
    };
    Ok(Out { kind, buckets: Some(buckets), ..Out::default() })
}

fn composite(agg: &Agg, mut list: Vec<(Key, Bucket)>, env: &Env) -> Result<Out, Refusal> {
    let Kind::Composite(c) = &agg.kind else { return Ok(Out::default()) };
    let keys = |k: &Key| match k {
        Key::Many(keys) => keys.clone(),
        other => vec![other.clone()],
    };
    list.sort_by(|a, b| super::collect::order(&keys(&a.0), &keys(&b.0), |i| c.sources[i].descending));
    list.truncate(c.size);
    env.spend(list.len())?;
    let mut forms = Vec::new();
    for source in &c.sources {
        let zone = match &source.on {
            super::ast::CompositeOn::DateHistogram { zone, .. } => zone.clone(),
            _ => Zone::utc(),
        };
        forms.push(Form::new(&source.source, &zone, env)?);
    }
    let shown = |key: &Key| -> Value {
        let each = keys(key).into_iter().zip(&c.sources).zip(&forms).map(|((k, source), form)| {
            let value = match (&k, form.key(&k)) {
                (Key::Date(_), (_, Some(text))) if source.source.format.is_some() => text.into(),
                (Key::Bool(b), _) => (*b).into(),
                (_, (value, _)) => value,
            };
            (source.name.clone(), value)
        });
        Value::Object(each.collect())
    };
    let mut out = Out { kind: "composite", ..Out::default() };
    if let Some((last, _)) = list.last() {
        out.body.insert("after_key".into(), shown(last));
    }
    let mut buckets = Vec::with_capacity(list.len());
    for (key, b) in list {
        let mut made = plain(agg, b, env)?;
        let count = std::mem::take(&mut made.head);
        made.head.insert("key".into(), shown(&key));
        made.head.extend(count);
        buckets.push(made);
    }
    out.buckets = Some(Buckets::List(buckets));
    Ok(out)
}

/// A member that no number stands for.
fn null() -> Value {
    json!(null)
}
