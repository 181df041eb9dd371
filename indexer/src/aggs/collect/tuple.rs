//! Buckets by several values at once: composite and multi_terms.

use serde_json::Value;
use tantivy::DocId;
use tantivy::columnar::MonotonicallyMappableToU64;

use super::{Collector, Collectors, Input, Scores, Segment, buckets, date, stand_in};
use crate::aggs::ast::{Agg, Composite, CompositeOn, Source};
use crate::aggs::hash::Map;
use crate::aggs::partial::{Bucket, Key, Partial};
use crate::query::Refusal;
use crate::search::budget::Budget;
use crate::search::columns::Kind as ColumnKind;
use crate::time::rounding::Rounding;

/// About what one bucket takes, in bytes, beside its key.
const BUCKET_BYTES: usize = 160;
/// How many combinations one document may come to.
const COMBINATIONS_MAX: usize = 10_000;

enum By {
    Value,
    Steps(f64),
    Time(Rounding),
}

struct Column {
    input: Input,
    by: By,
    descending: bool,
    /// Documents without a value have a key of their own.
    nulls: bool,
    /// A column's raw value → number of its key in `keys`; by column.
    known: Map<(u8, u64), u32>,
    keys: Vec<Key>,
    /// For each of some documents the numbers of its keys.
    found: Vec<Vec<u32>>,
}

/// See the top of the file.
pub struct Tuples<'a> {
    columns: Vec<Column>,
    after: Option<Vec<Key>>,
    map: Map<(u32, Vec<u32>), u32>,
    of: Vec<(u32, Vec<u32>)>,
    counts: Vec<u64>,
    subs: Collectors<'a>,
    budget: &'a Budget,
}

const UNWANTED: u32 = u32::MAX;

impl<'a> Tuples<'a> {
    fn with(
        agg: &Agg,
        columns: Vec<Column>,
        after: Option<Vec<Key>>,
        s: &'a Segment<'a>,
    ) -> Result<Tuples<'a>, Refusal> {
        Ok(Tuples {
            columns,
            after,
            map: Map::default(),
            of: Vec::new(),
            counts: Vec::new(),
            subs: Collectors::new(&agg.subs, s)?,
            budget: s.budget,
        })
    }

    fn column(input: Input, by: By, descending: bool, nulls: bool) -> Column {
        Column { input, by, descending, nulls, known: Map::default(), keys: Vec::new(), found: Vec::new() }
    }

    /// `multi_terms`.
    pub fn multi_terms(agg: &Agg, sources: &[Source], s: &'a Segment<'a>) -> Result<Tuples<'a>, Refusal> {
        let columns = sources.iter().map(|source| Ok(Self::column(Input::open(source, s)?, By::Value, false, false)));
        let columns = columns.collect::<Result<_, Refusal>>()?;
        Tuples::with(agg, columns, None, s)
    }

    /// `composite`.
    pub fn composite(agg: &Agg, c: &Composite, s: &'a Segment<'a>) -> Result<Tuples<'a>, Refusal> {
        let mut columns = Vec::new();
        for source in &c.sources {
            let input = Input::open(&source.source, s)?;
            let by = match &source.on {
                CompositeOn::Terms => By::Value,
                CompositeOn::Histogram { interval } => {
                    input.numeric("composite", &source.source.field)?;
                    By::Steps(*interval)
                }
                CompositeOn::DateHistogram { interval, zone, offset } => {
                    input.numeric("composite", &source.source.field)?;
                    By::Time(Rounding { interval: *interval, zone: zone.clone(), offset: *offset })
                }
            };
            columns.push(Self::column(input, by, source.descending, source.missing_bucket));
        }
        let after = match &c.after {
            None => None,
            Some(map) => {
                let mut keys = Vec::new();
                for (source, column) in c.sources.iter().zip(&columns) {
                    let value = map.get(&source.name).unwrap_or(&Value::Null);
                    keys.push(after_key(value, source, column, s)?);
                }
                Some(keys)
            }
        };
        Tuples::with(agg, columns, after, s)
    }
}

fn after_key(
    value: &Value,
    source: &crate::aggs::ast::CompositeSource,
    column: &Column,
    s: &Segment,
) -> Result<Key, Refusal> {
    if value.is_null() {
        return Ok(Key::Null);
    }
    let field = column.input.field.as_ref();
    let wrong =
        |e: Refusal| Refusal::shard_argument(format!("invalid value in [after] for [{}]: {}", source.name, e.reason));
    match &source.on {
        CompositeOn::Histogram { .. } => {
            let n = crate::query::plan::terms::as_number(value).map_err(wrong)?.0;
            Ok(Key::float(n))
        }
        CompositeOn::DateHistogram { zone, .. } => {
            date(value, field, source.source.format.as_deref(), zone, s.now).map(Key::Date).map_err(wrong)
        }
        CompositeOn::Terms => stand_in(value, field, &source.source, s.now).map_err(wrong),
    }
}

/// The order of composite keys.
pub fn order(a: &[Key], b: &[Key], descending: impl Fn(usize) -> bool) -> std::cmp::Ordering {
    for (i, (x, y)) in a.iter().zip(b).enumerate() {
        let order = match (x.number(), y.number()) {
            (Some(m), Some(n)) => m.total_cmp(&n),
            _ => x.cmp(y),
        };
        let order = if descending(i) { order.reverse() } else { order };
        if order.is_ne() {
            return order;
        }
    }
    std::cmp::Ordering::Equal
}

impl Column {
    fn load(&mut self, docs: &[DocId], budget: &Budget) -> Result<(), Refusal> {
        let Column { input, by, nulls, known, keys, found, .. } = self;
        found.iter_mut().for_each(Vec::clear);
        found.resize_with(docs.len().max(found.len()), Vec::new);
        let columns = input.columns.clone();
        let field_ip = input.is_ip();
        let missing = input.missing.clone();
        input.walk(docs, true, |i, column, raw| {
            let place = match raw {
                Some(raw) => (column as u8, raw),
                None if missing.is_some() => (u8::MAX, 0),
                None if *nulls => (u8::MAX, 1),
                None => return Ok(()),
            };
            let number = match known.get(&place) {
                Some(n) => *n,
                None => {
                    let key = match (raw, &*by) {
                        (None, _) => {
                            if place.1 == 0 {
                                missing.clone().unwrap_or(Key::Null)
                            } else {
                                Key::Null
                            }
                        }
                        (Some(raw), By::Value) => match &columns[column].kind {
                            ColumnKind::I64 => Key::Int(i64::from_u64(raw)),
                            ColumnKind::U64 => i64::try_from(raw).map_or(Key::UInt(raw), Key::Int),
                            ColumnKind::F64 => Key::float(f64::from_u64(raw)),
                            ColumnKind::Bool => Key::Bool(raw != 0),
                            ColumnKind::Date => Key::Date(crate::search::columns::Values::millis(raw)),
                            ColumnKind::Str(_) => {
                                let text = columns[column].text(raw)?;
                                match crate::query::plan::terms::address(&text).filter(|_| field_ip) {
                                    Some(n) => Key::Ip(n),
                                    None => Key::Str(text),
                                }
                            }
                        },
                        (Some(raw), By::Steps(interval)) => {
                            Key::float((columns[column].number(raw).unwrap_or(0.0) / interval).floor() * interval)
                        }
                        (Some(raw), By::Time(rounding)) => {
                            Key::Date(rounding.round(columns[column].number(raw).unwrap_or(0.0) as i64))
                        }
                    };
                    budget.charge(32 + key.heap())?;
                    // Different values may have the same key.
                    let n = match by {
                        By::Value => None,
                        _ => keys.iter().rposition(|k| *k == key),
                    };
                    let n = n.unwrap_or_else(|| {
                        keys.push(key);
                        keys.len() - 1
                    }) as u32;
                    // A table of every moment would outgrow the documents: only whole values are remembered.
                    if matches!(by, By::Value) || raw.is_none() {
                        known.insert(place, n);
                    }
                    n
                }
            };
            if !found[i].contains(&number) {
                found[i].push(number);
            }
            Ok(())
        })
    }
}

impl Collector for Tuples<'_> {
    fn collect(&mut self, ords: &[u32], docs: &[DocId], scores: Scores) -> Result<(), Refusal> {
        for column in &mut self.columns {
            column.load(docs, self.budget)?;
        }
        let (mut sub_ords, mut sub_docs) = (Vec::new(), Vec::new());
        for (i, doc) in docs.iter().enumerate() {
            let combinations = self.columns.iter().fold(1usize, |n, c| n.saturating_mul(c.found[i].len()));
            if combinations == 0 {
                continue;
            }
            if combinations > COMBINATIONS_MAX {
                return Err(Refusal::shard_argument(format!(
                    "a document has more than [{COMBINATIONS_MAX}] combinations of values"
                )));
            }
            for mut n in 0..combinations {
                let mut tuple = Vec::with_capacity(self.columns.len());
                for column in &self.columns {
                    let list = &column.found[i];
                    tuple.push(list[n % list.len()]);
                    n /= list.len();
                }
                let entry = (ords[i], tuple);
                let bucket = match self.map.get(&entry) {
                    Some(bucket) => *bucket,
                    None => {
                        let keys: Vec<Key> =
                            self.columns.iter().zip(&entry.1).map(|(c, n)| c.keys[*n as usize].clone()).collect();
                        let columns = &self.columns;
                        let beyond = self
                            .after
                            .as_ref()
                            .is_none_or(|after| order(&keys, after, |i| columns[i].descending).is_gt());
                        self.budget.charge(BUCKET_BYTES)?;
                        let bucket = if beyond {
                            self.of.push(entry.clone());
                            self.counts.push(0);
                            self.of.len() as u32 - 1
                        } else {
                            UNWANTED
                        };
                        self.map.insert(entry, bucket);
                        bucket
                    }
                };
                if bucket == UNWANTED {
                    continue;
                }
                self.counts[bucket as usize] += 1;
                sub_ords.push(bucket);
                sub_docs.push(*doc);
            }
        }
        self.subs.collect(&sub_ords, &sub_docs, scores)
    }

    fn finish(mut self: Box<Self>, parents: usize) -> Result<Vec<Partial>, Refusal> {
        let subs = std::mem::replace(&mut self.subs, Collectors(Vec::new())).finish(self.of.len())?;
        let mut out: Vec<Map<Key, Bucket>> = (0..parents).map(|_| Map::default()).collect();
        let counts = std::mem::take(&mut self.counts);
        for ((parent, tuple), bucket) in self.of.iter().zip(buckets(counts, subs)) {
            let keys = self.columns.iter().zip(tuple).map(|(c, n)| c.keys[*n as usize].clone()).collect();
            let key = Key::Many(keys);
            match out[*parent as usize].get_mut(&key) {
                Some(known) => known.merge(bucket),
                None => {
                    out[*parent as usize].insert(key, bucket);
                }
            }
        }
        Ok(out.into_iter().map(Partial::Keyed).collect())
    }
}
