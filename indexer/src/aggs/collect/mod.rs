//! Counting over one segment. Every aggregation is a flat table by bucket number: its parent says for each document in
//! which of the parent's buckets it is, so that memory grows with buckets, never with documents.

mod blocks;
mod choose;
mod metric;
mod slots;
mod terms;
mod tuple;

pub use metric::top_hits_order;
pub use slots::addresses;
pub use tuple::order;

use serde_json::Value;
use tantivy::columnar::{Cardinality, MonotonicallyMappableToU64};
use tantivy::{DocId, SegmentOrdinal, SegmentReader};

use super::ast::{Agg, Kind, Source};
use super::partial::{Bucket, Key, Partial};
use crate::mapping::{EsType, FieldRef};
use crate::query::plan::{Planner, terms as values};
use crate::query::{Query, Refusal};
use crate::search::budget::Budget;
use crate::search::columns::{Kind as ColumnKind, Values, open, open_named};
use crate::store::PartitionView;
use crate::time::format::{DEFAULT_FORMAT, DateFormat};
use crate::time::zone::Zone;
use crate::time::{Nanos, math, to_millis};

/// Where counting takes place.
pub struct Segment<'a> {
    /// The partition.
    pub part: &'a PartitionView,
    /// Its number in the view.
    pub part_number: u32,
    /// Number of its index in the view.
    pub index_number: u32,
    /// Number of the segment in the partition.
    pub ordinal: SegmentOrdinal,
    /// The segment.
    pub reader: &'a SegmentReader,
    /// Plans the queries of filters.
    pub planner: &'a Planner<'a>,
    /// What the search may use.
    pub budget: &'a Budget,
    /// What `now` means.
    pub now: Nanos,
}

/// Scores of the documents that are being counted, where scores are made.
#[derive(Clone, Copy, Default)]
pub struct Scores<'a> {
    /// The documents, growing.
    pub docs: &'a [DocId],
    /// Their scores.
    pub scores: &'a [f32],
}

impl Scores<'_> {
    /// A document's score.
    pub fn of(&self, doc: DocId) -> f32 {
        self.docs.binary_search(&doc).ok().and_then(|i| self.scores.get(i)).copied().unwrap_or(0.0)
    }
}

/// One aggregation at work.
pub trait Collector {
    /// Counts documents (not falling); `ords[i]` is the parent's bucket of `docs[i]`.
    fn collect(&mut self, ords: &[u32], docs: &[DocId], scores: Scores) -> Result<(), Refusal>;
    /// Whether [`count_all`](Self::count_all) can stand for collecting every document of the segment into one bucket.
    fn knows_all(&mut self) -> bool {
        false
    }
    /// Counts every document of the segment by what is known of it. Only after [`knows_all`](Self::knows_all) said so.
    fn count_all(&mut self) {}
    /// The parts for the parent's buckets `0..parents`.
    fn finish(self: Box<Self>, parents: usize) -> Result<Vec<Partial>, Refusal>;
}

/// Several aggregations beneath the same buckets.
pub struct Collectors<'a>(Vec<Option<Box<dyn Collector + 'a>>>);

impl<'a> Collectors<'a> {
    /// Sets them up for a segment. Pipelines have nothing to count.
    pub fn new(aggs: &[Agg], segment: &'a Segment<'a>) -> Result<Collectors<'a>, Refusal> {
        let each = aggs.iter().map(|agg| if agg.kind.is_pipeline() { Ok(None) } else { build(agg, segment).map(Some) });
        each.collect::<Result<Vec<_>, _>>().map(Collectors)
    }

    /// Whether there is nothing to count.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    /// See [`Collector::collect`].
    pub fn collect(&mut self, ords: &[u32], docs: &[DocId], scores: Scores) -> Result<(), Refusal> {
        if docs.is_empty() {
            return Ok(());
        }
        self.0.iter_mut().flatten().try_for_each(|c| c.collect(ords, docs, scores))
    }

    /// Counts all documents of the segment without looking at each of them, where that can be done.
    pub fn count_all(&mut self) -> bool {
        let known = !self.is_empty() && self.0.iter_mut().flatten().all(|c| c.knows_all());
        if known {
            self.0.iter_mut().flatten().for_each(|c| c.count_all());
        }
        known
    }

    /// For each bucket the parts of all of them.
    pub fn finish(self, buckets: usize) -> Result<Vec<Vec<Partial>>, Refusal> {
        let width = self.0.len();
        let mut out: Vec<Vec<Partial>> = (0..buckets).map(|_| Vec::with_capacity(width)).collect();
        for collector in self.0 {
            match collector {
                None => out.iter_mut().for_each(|b| b.push(Partial::Nothing)),
                Some(c) => out.iter_mut().zip(c.finish(buckets)?).for_each(|(b, p)| b.push(p)),
            }
        }
        Ok(out)
    }
}

fn build<'a>(agg: &Agg, s: &'a Segment<'a>) -> Result<Box<dyn Collector + 'a>, Refusal> {
    Ok(match &agg.kind {
        Kind::Terms(t) => Box::new(terms::Terms::new(agg, t, s)?),
        Kind::DateHistogram(h) => Box::new(terms::Terms::dates(agg, h, s)?),
        Kind::AutoDateHistogram { source, .. } => Box::new(terms::Terms::moments(agg, source, s)?),
        Kind::Histogram(h) => Box::new(terms::Terms::numbers(agg, h, s)?),
        Kind::MultiTerms { sources, .. } => Box::new(tuple::Tuples::multi_terms(agg, sources, s)?),
        Kind::Composite(c) => Box::new(tuple::Tuples::composite(agg, c, s)?),
        Kind::Range { source, ranges, on, zone, .. } => {
            Box::new(slots::Slots::ranges(agg, source, ranges, *on, zone, s)?)
        }
        Kind::Filter(q) => Box::new(slots::Slots::filters(agg, std::slice::from_ref(q), None, true, s)?),
        Kind::Filters { filters, other, .. } => {
            let queries: Vec<Query> = filters.iter().map(|(_, q)| q.clone()).collect();
            Box::new(slots::Slots::filters(agg, &queries, other.as_deref(), false, s)?)
        }
        Kind::AdjacencyMatrix { filters, separator } => Box::new(slots::Matrix::new(agg, filters, separator, s)?),
        Kind::Missing { field } => Box::new(slots::Slots::missing(agg, field, s)?),
        // What "global" goes over is the caller's doing.
        Kind::Global | Kind::Whole(_) => Box::new(slots::Slots::whole(agg, s)?),
        Kind::Metric(metric, source) => Box::new(metric::Numbers::new(agg, *metric, source, s)?),
        Kind::WeightedAvg { value, weight } => Box::new(metric::Weighted::new(value, weight, s)?),
        Kind::Cardinality(source) => Box::new(metric::Distincts::new(source, s)?),
        Kind::Percentiles { source, .. } | Kind::Mad(source) => Box::new(metric::Quantiles::new(agg, source, s)?),
        Kind::TopHits(options) => Box::new(metric::Tops::hits(agg, options, s)?),
        Kind::TopMetrics { sort, size, .. } => Box::new(metric::Tops::metrics(sort, *size, s)?),
        Kind::Pipeline(_) => return Err(Refusal::internal("pipelines do not count")),
    })
}

/// A field's values in a segment, with what stands for none.
struct Input {
    columns: Vec<Values>,
    field: Option<FieldRef>,
    missing: Option<Key>,
    scratch: Vec<u64>,
}

impl Input {
    fn open(source: &Source, s: &Segment) -> Result<Input, Refusal> {
        let field = s.part.mapping.resolve(&source.field);
        let columns = match (&field, source.field.as_str()) {
            (Some(f), _) if f.column.is_none() && matches!(f.es_type, EsType::Text) => {
                return Err(Refusal::shard_argument(format!(
                    "Fielddata is disabled on [{0}] in [{1}]. Text fields are not optimised for operations that require \
                     per-document field data like aggregations and sorting, so these operations are disabled by default. \
                     Please use a keyword field instead. Alternatively, set fielddata=true on [{0}] in order to load field \
                     data by uninverting the inverted index. Note that this can use significant memory.",
                    source.field, s.part.index_name
                )));
            }
            (Some(f), _) => open(s.reader, f)?,
            (None, "_id") => open_named(s.reader, "_id")?,
            (None, "_ignored") => open_named(s.reader, "_ignored")?,
            (None, "_seq_no") => open_named(s.reader, "_seq")?,
            (None, _) => Vec::new(),
        };
        let missing = match &source.missing {
            None if source.field == "_index" => Some(Key::Str(s.part.index_name.to_string())),
            None => None,
            Some(value) => Some(stand_in(value, field.as_ref(), source, s.now)?),
        };
        Ok(Input { columns, field, missing, scratch: Vec::new() })
    }

    /// Calls `see(i, column, raw)` for each value of `docs[i]`, once each when `once`, and `see(i, …, None)` for none.
    fn walk(
        &mut self,
        docs: &[DocId],
        once: bool,
        mut see: impl FnMut(usize, usize, Option<u64>) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        if let [only] = &self.columns[..] {
            match only.column.index.get_cardinality() {
                Cardinality::Full => {
                    self.scratch.resize(docs.len(), 0);
                    only.column.values.get_vals(docs, &mut self.scratch);
                    return self.scratch.iter().enumerate().try_for_each(|(i, raw)| see(i, 0, Some(*raw)));
                }
                Cardinality::Optional => {
                    return docs.iter().enumerate().try_for_each(|(i, doc)| see(i, 0, only.column.first(*doc)));
                }
                Cardinality::Multivalued => {}
            }
        }
        for (i, doc) in docs.iter().enumerate() {
            let mut any = false;
            for (c, values) in self.columns.iter().enumerate() {
                self.scratch.clear();
                self.scratch.extend(values.column.values_for_doc(*doc));
                if once && self.scratch.len() > 1 {
                    self.scratch.sort_unstable();
                    self.scratch.dedup();
                }
                for raw in &self.scratch {
                    any = true;
                    see(i, c, Some(*raw))?;
                }
            }
            if !any {
                see(i, 0, None)?;
            }
        }
        Ok(())
    }

    fn is_ip(&self) -> bool {
        self.field.as_ref().is_some_and(|f| f.es_type == EsType::Ip)
    }

    /// The key of a value.
    fn key(&self, column: usize, raw: u64) -> Result<Key, Refusal> {
        let Some(values) = self.columns.get(column) else { return Ok(Key::Null) };
        Ok(match &values.kind {
            ColumnKind::I64 => Key::Int(i64::from_u64(raw)),
            ColumnKind::U64 => i64::try_from(raw).map_or(Key::UInt(raw), Key::Int),
            ColumnKind::F64 => Key::float(f64::from_u64(raw)),
            ColumnKind::Bool => Key::Bool(raw != 0),
            ColumnKind::Date => Key::Date(Values::millis(raw)),
            ColumnKind::Str(_) => self.text_key(values.text(raw)?),
        })
    }

    fn text_key(&self, text: String) -> Key {
        if self.is_ip()
            && let Some(n) = values::address(&text)
        {
            return Key::Ip(n);
        }
        Key::Str(text)
    }

    /// A value as number.
    fn number(&self, column: usize, raw: u64) -> f64 {
        self.columns.get(column).and_then(|c| c.number(raw)).unwrap_or(0.0)
    }

    /// Refuses fields without numbers.
    fn numeric(&self, what: &str, name: &str) -> Result<(), Refusal> {
        match &self.field {
            Some(f) if matches!(f.es_type, EsType::Text | EsType::Keyword | EsType::Ip | EsType::Object) => {
                Err(Refusal::shard_argument(format!(
                    "Field [{name}] of type [{}] is not supported for aggregation [{what}]",
                    f.es_type.name()
                )))
            }
            _ => Ok(()),
        }
    }
}

/// The key that `missing` names, of the field's type.
fn stand_in(value: &Value, field: Option<&FieldRef>, source: &Source, now: Nanos) -> Result<Key, Refusal> {
    let es_type = field.map(|f| f.es_type).or(match source.value_type.as_deref() {
        Some("long" | "integer" | "short" | "byte") => Some(EsType::Long),
        Some("double" | "float" | "number" | "numeric") => Some(EsType::Double),
        Some("date") => Some(EsType::Date),
        Some("boolean") => Some(EsType::Boolean),
        Some("ip") => Some(EsType::Ip),
        _ => None,
    });
    let number = |value: &Value| -> Result<Key, Refusal> {
        let (f, whole) = values::as_number(value)?;
        Ok(match whole.and_then(|n| i64::try_from(n).ok()) {
            Some(n) => Key::Int(n),
            None => Key::float(f),
        })
    };
    Ok(match (es_type, value) {
        (Some(EsType::Long), v) => number(v)?,
        (Some(EsType::Double), v) => Key::float(values::as_number(v)?.0),
        (Some(EsType::Boolean), v) => Key::Bool(values::as_bool(v)?),
        (Some(EsType::Date), v) => Key::Date(date(v, field, source.format.as_deref(), &Zone::utc(), now)?),
        (Some(EsType::Ip), v) => {
            let text = values::as_text(v);
            Key::Ip(
                values::address(&text)
                    .ok_or_else(|| Refusal::shard_argument(format!("'{text}' is not an IP string literal.")))?,
            )
        }
        (None, Value::Number(_)) => number(value)?,
        (None, Value::Bool(b)) => Key::Bool(*b),
        (_, v) => Key::Str(values::as_text(v)),
    })
}

/// A date of a request, in milliseconds: by the aggregation's format, else the field's.
pub fn date(
    value: &Value,
    field: Option<&FieldRef>,
    format: Option<&str>,
    zone: &Zone,
    now: Nanos,
) -> Result<i64, Refusal> {
    if let Value::Number(n) = value {
        // Numbers are milliseconds unless a format says otherwise.
        if format.is_none() && field.is_none_or(|f| f.format.is_none()) {
            return Ok(n.as_f64().unwrap_or(0.0) as i64);
        }
    }
    let text = values::as_text(value);
    let own = field.and_then(|f| f.format.as_deref());
    let tried = [format, own, Some(DEFAULT_FORMAT)];
    let mut why = String::new();
    for format in tried.into_iter().flatten() {
        let format = DateFormat::parse(format).map_err(Refusal::shard_argument)?;
        match math::read(&text, &format, zone, now, false) {
            Ok(nanos) => return Ok(to_millis(nanos)),
            Err(e) => {
                if why.is_empty() {
                    why = e;
                }
            }
        }
    }
    Err(Refusal::date(why))
}

/// Buckets with the parts beneath them.
fn buckets(counts: Vec<u64>, subs: Vec<Vec<Partial>>) -> Vec<Bucket> {
    counts.into_iter().zip(subs).map(|(count, subs)| Bucket { count, subs }).collect()
}
