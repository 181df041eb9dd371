//! Numbers over values: sums, distinct values, quantiles, best documents.

use std::sync::Arc;

use serde_json::{Map, Value};
use tantivy::DocId;
use tantivy::columnar::MonotonicallyMappableToU64;

use super::{Collector, Input, Scores, Segment};
use crate::aggs::ast::{Agg, Kind, Metric, Source};
use crate::aggs::hash;
use crate::aggs::partial::{Key, Partial, Stats};
use crate::aggs::sketch::{Digest, Distinct};
use crate::query::Refusal;
use crate::search::budget::Budget;
use crate::search::columns::{Kind as ColumnKind, Values, open_named};
use crate::search::sort::{self, By, Reader};
use crate::search::top::{SegmentTop, Top};

fn grow<T: Default>(list: &mut Vec<T>, ords: &[u32], budget: &Budget) -> Result<(), Refusal> {
    let most = ords.iter().copied().max().map_or(0, |m| m as usize + 1);
    if most > list.len() {
        budget.charge((most - list.len()) * std::mem::size_of::<T>())?;
        list.resize_with(most, T::default);
    }
    Ok(())
}

fn padded<T: Default>(mut list: Vec<T>, parents: usize, make: impl Fn(T) -> Partial) -> Vec<Partial> {
    list.resize_with(parents, T::default);
    list.into_iter().map(make).collect()
}

/// `avg`, `sum`, `min`, `max`, `stats`, `extended_stats`, `value_count`.
pub struct Numbers<'a> {
    input: Input,
    /// Only how many values there are matters.
    count_only: bool,
    stats: Vec<Stats>,
    budget: &'a Budget,
}

impl<'a> Numbers<'a> {
    /// See the type.
    pub fn new(agg: &Agg, metric: Metric, source: &Source, s: &'a Segment<'a>) -> Result<Numbers<'a>, Refusal> {
        let input = Input::open(source, s)?;
        let count_only = metric == Metric::ValueCount;
        if !count_only {
            input.numeric(kind_name(&agg.kind), &source.field)?;
        }
        Ok(Numbers { input, count_only, stats: Vec::new(), budget: s.budget })
    }
}

fn kind_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Metric(m, _) => match m {
            Metric::Avg => "avg",
            Metric::Sum => "sum",
            Metric::Min => "min",
            Metric::Max => "max",
            Metric::Stats => "stats",
            Metric::ExtendedStats { .. } => "extended_stats",
            Metric::ValueCount => "value_count",
        },
        Kind::Percentiles { ranks: false, .. } => "percentiles",
        Kind::Percentiles { .. } => "percentile_ranks",
        _ => "median_absolute_deviation",
    }
}

impl Collector for Numbers<'_> {
    fn collect(&mut self, ords: &[u32], docs: &[DocId], _: Scores) -> Result<(), Refusal> {
        grow(&mut self.stats, ords, self.budget)?;
        let (stats, count_only) = (&mut self.stats, self.count_only);
        let columns = self.input.columns.clone();
        let instead = self.input.missing.clone();
        self.input.walk(docs, false, |i, column, raw| {
            let stats = &mut stats[ords[i] as usize];
            match raw {
                None if instead.is_none() => {}
                _ if count_only => stats.count += 1,
                None => stats.add(instead.as_ref().and_then(Key::number).unwrap_or(0.0)),
                Some(raw) => {
                    stats.dates |= matches!(columns[column].kind, ColumnKind::Date);
                    stats.bools |= matches!(columns[column].kind, ColumnKind::Bool);
                    stats.add(columns[column].number(raw).unwrap_or(0.0));
                }
            }
            Ok(())
        })
    }

    fn finish(self: Box<Self>, parents: usize) -> Result<Vec<Partial>, Refusal> {
        Ok(padded(self.stats, parents, Partial::Stats))
    }
}

/// `weighted_avg`.
pub struct Weighted<'a> {
    value: Input,
    weight: Input,
    sums: Vec<(f64, f64)>,
    budget: &'a Budget,
}

impl<'a> Weighted<'a> {
    /// See the type.
    pub fn new(value: &Source, weight: &Source, s: &'a Segment<'a>) -> Result<Weighted<'a>, Refusal> {
        let (v, w) = (Input::open(value, s)?, Input::open(weight, s)?);
        v.numeric("weighted_avg", &value.field)?;
        w.numeric("weighted_avg", &weight.field)?;
        Ok(Weighted { value: v, weight: w, sums: Vec::new(), budget: s.budget })
    }
}

impl Collector for Weighted<'_> {
    fn collect(&mut self, ords: &[u32], docs: &[DocId], _: Scores) -> Result<(), Refusal> {
        grow(&mut self.sums, ords, self.budget)?;
        let weights: Vec<Vec<f64>> = docs.iter().map(|doc| numbers(&self.weight, *doc)).collect();
        for (i, doc) in docs.iter().enumerate() {
            let values = numbers(&self.value, *doc);
            let (Some(weight), false) = (weights[i].first(), values.is_empty()) else { continue };
            if weights[i].len() > 1 {
                return Err(Refusal::shard_argument(
                    "Encountered more than one weight for a single document. Use a script to combine multiple weights-per-doc into a single value.",
                ));
            }
            let sum = &mut self.sums[ords[i] as usize];
            for value in values {
                sum.0 += value * weight;
                sum.1 += weight;
            }
        }
        Ok(())
    }

    fn finish(self: Box<Self>, parents: usize) -> Result<Vec<Partial>, Refusal> {
        Ok(padded(self.sums, parents, |(v, w)| Partial::Weighted(v, w)))
    }
}

fn numbers(input: &Input, doc: DocId) -> Vec<f64> {
    let mut out: Vec<f64> = Vec::new();
    for (c, values) in input.columns.iter().enumerate() {
        out.extend(values.column.values_for_doc(doc).map(|raw| input.number(c, raw)));
    }
    if out.is_empty() {
        out.extend(input.missing.as_ref().and_then(Key::number));
    }
    out
}

/// `cardinality`.
pub struct Distincts<'a> {
    input: Input,
    /// Of numbers the hashes, of texts the numbers in the dictionary.
    raw: Vec<hash::Set<u64>>,
    done: Vec<Distinct>,
    budget: &'a Budget,
}

/// So many texts of one bucket are kept by number before they are hashed.
const PENDING_MAX: usize = 4_096;

impl<'a> Distincts<'a> {
    /// See the type.
    pub fn new(source: &Source, s: &'a Segment<'a>) -> Result<Distincts<'a>, Refusal> {
        Ok(Distincts { input: Input::open(source, s)?, raw: Vec::new(), done: Vec::new(), budget: s.budget })
    }

    fn flush(&mut self, bucket: usize) -> Result<(), Refusal> {
        let mut ords: Vec<u64> = std::mem::take(&mut self.raw[bucket]).into_iter().collect();
        ords.sort_unstable();
        for values in &self.input.columns {
            if let ColumnKind::Str(strings) = &values.kind {
                let done = &mut self.done[bucket];
                strings.dictionary().sorted_ords_to_term_cb(&ords, |term| {
                    done.add(hash::of_text(&String::from_utf8_lossy(term)));
                })?;
            }
        }
        Ok(())
    }
}

impl Collector for Distincts<'_> {
    fn collect(&mut self, ords: &[u32], docs: &[DocId], _: Scores) -> Result<(), Refusal> {
        grow(&mut self.raw, ords, self.budget)?;
        grow(&mut self.done, ords, self.budget)?;
        let columns = self.input.columns.clone();
        let instead = self.input.missing.clone();
        let (raw_sets, done, budget) = (&mut self.raw, &mut self.done, self.budget);
        let mut full = Vec::new();
        self.input.walk(docs, false, |i, column, raw| {
            let bucket = ords[i] as usize;
            match raw {
                None => {
                    if let Some(key) = &instead {
                        done[bucket].add(key_hash(key));
                    }
                }
                Some(raw) => match &columns[column].kind {
                    ColumnKind::Str(_) => {
                        if raw_sets[bucket].insert(raw) {
                            budget.charge(16)?;
                            if raw_sets[bucket].len() == PENDING_MAX {
                                full.push(bucket);
                            }
                        }
                    }
                    ColumnKind::I64 => done[bucket].add(number_hash(i64::from_u64(raw) as f64)),
                    ColumnKind::U64 => done[bucket].add(number_hash(raw as f64)),
                    ColumnKind::F64 => done[bucket].add(number_hash(f64::from_u64(raw))),
                    _ => done[bucket].add(hash::mix(raw)),
                },
            }
            Ok(())
        })?;
        for bucket in full {
            self.flush(bucket)?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>, parents: usize) -> Result<Vec<Partial>, Refusal> {
        for bucket in 0..self.raw.len() {
            self.flush(bucket)?;
        }
        Ok(padded(self.done, parents, Partial::Distinct))
    }
}

fn number_hash(n: f64) -> u64 {
    hash::mix(n.to_bits())
}

fn key_hash(key: &Key) -> u64 {
    match key {
        Key::Str(s) => hash::of_text(s),
        other => number_hash(other.number().unwrap_or(0.0)),
    }
}

/// `percentiles`, `percentile_ranks`, `median_absolute_deviation`.
pub struct Quantiles<'a> {
    input: Input,
    digests: Vec<Digest>,
    budget: &'a Budget,
}

impl<'a> Quantiles<'a> {
    /// See the type.
    pub fn new(agg: &Agg, source: &Source, s: &'a Segment<'a>) -> Result<Quantiles<'a>, Refusal> {
        let input = Input::open(source, s)?;
        input.numeric(kind_name(&agg.kind), &source.field)?;
        Ok(Quantiles { input, digests: Vec::new(), budget: s.budget })
    }
}

impl Collector for Quantiles<'_> {
    fn collect(&mut self, ords: &[u32], docs: &[DocId], _: Scores) -> Result<(), Refusal> {
        grow(&mut self.digests, ords, self.budget)?;
        let digests = &mut self.digests;
        let columns = self.input.columns.clone();
        let instead = self.input.missing.as_ref().and_then(Key::number);
        self.input.walk(docs, false, |i, column, raw| {
            let value = match raw {
                Some(raw) => columns[column].number(raw),
                None => instead,
            };
            if let Some(value) = value {
                digests[ords[i] as usize].add(value);
            }
            Ok(())
        })
    }

    fn finish(self: Box<Self>, parents: usize) -> Result<Vec<Partial>, Refusal> {
        Ok(padded(self.digests, parents, Partial::Digest))
    }
}

/// `top_hits` and `top_metrics`.
pub struct Tops<'a> {
    keys: Arc<[sort::Key]>,
    wanted: usize,
    reader: Reader,
    seq: Option<Values>,
    tops: Vec<SegmentTop>,
    segment: &'a Segment<'a>,
}

/// Most documents of one `top_hits`: Elasticsearch's `index.max_inner_result_window`.
pub const TOP_HITS_MAX: usize = 100;

/// What of the options of `top_hits` says which documents: order, first, number.
pub fn top_hits_order(options: &Map<String, Value>, name: &str) -> Result<(Vec<sort::Key>, usize, usize), Refusal> {
    let number = |key: &str, default: i64| {
        options.get(key).map_or(Ok(default), |v| crate::query::dsl::integer("top_hits", key, v))
    };
    let (from, size) = (number("from", 0)?, number("size", 3)?);
    if from < 0 || size < 0 || from + size > TOP_HITS_MAX as i64 {
        return Err(Refusal::shard_argument(format!(
            "Top hits result window is too large, the top hits aggregator [{name}]'s from + size must be less than or equal to: \
             [{TOP_HITS_MAX}] but was [{}]. This limit can be set by changing the [index.max_inner_result_window] index level setting.",
            from + size
        )));
    }
    let mut keys = options.get("sort").map_or(Ok(Vec::new()), sort::parse)?;
    if keys.is_empty() {
        keys.push(sort::Key { by: By::Score, descending: true });
    }
    Ok((keys, from as usize, size as usize))
}

impl<'a> Tops<'a> {
    fn with(keys: Vec<sort::Key>, wanted: usize, s: &'a Segment<'a>) -> Result<Tops<'a>, Refusal> {
        sort::check(&keys, &s.part.mapping)?;
        let reader = Reader::open(&keys, s.part, s.index_number, s.reader, s.now)?;
        let seq = open_named(s.reader, "_seq")?.into_iter().next();
        Ok(Tops { keys: keys.into(), wanted, reader, seq, tops: Vec::new(), segment: s })
    }

    /// `top_hits`.
    pub fn hits(agg: &Agg, options: &Map<String, Value>, s: &'a Segment<'a>) -> Result<Tops<'a>, Refusal> {
        let (keys, from, size) = top_hits_order(options, &agg.name)?;
        Tops::with(keys, from + size, s)
    }

    /// `top_metrics`.
    pub fn metrics(sort: &Value, size: usize, s: &'a Segment<'a>) -> Result<Tops<'a>, Refusal> {
        Tops::with(sort::parse(sort)?, size, s)
    }
}

impl Collector for Tops<'_> {
    fn collect(&mut self, ords: &[u32], docs: &[DocId], scores: Scores) -> Result<(), Refusal> {
        let most = ords.iter().copied().max().map_or(0, |m| m as usize + 1);
        while self.tops.len() < most {
            self.segment.budget.charge(SegmentTop::bytes(self.wanted).min(64 * 1024))?;
            self.tops.push(SegmentTop::new(self.wanted, self.keys.len(), None));
        }
        for (doc, ord) in docs.iter().zip(ords) {
            let score = [scores.of(*doc)];
            let given = (!scores.docs.is_empty()).then_some(&score[..]);
            self.tops[*ord as usize].collect(&self.reader, std::slice::from_ref(doc), given);
        }
        Ok(())
    }

    fn finish(self: Box<Self>, parents: usize) -> Result<Vec<Partial>, Refusal> {
        let Tops { keys, wanted, reader, seq, tops, segment } = *self;
        let mut out = Vec::with_capacity(parents);
        for top in tops {
            out.push(Partial::Top(top.finish(&keys, &reader, seq.as_ref(), segment.part_number, segment.ordinal)?));
        }
        out.resize_with(parents, || Partial::Top(Top::new(Arc::clone(&keys), wanted)));
        Ok(out)
    }
}
