//! Buckets by place: ranges, filters, documents without a value, all documents.

use std::net::IpAddr;

use tantivy::query::{EnableScoring, Scorer};
use tantivy::{DocId, DocSet, TERMINATED};

use super::{Collector, Collectors, Input, Scores, Segment, buckets};
use crate::aggs::ast::{Agg, RangeOn, RangeSpec, Source};
use crate::aggs::hash::Map;
use crate::aggs::partial::{Bucket, Key, Partial};
use crate::query::plan::terms as values;
use crate::query::{Query, Refusal, dsl};
use crate::search::budget::Budget;
use crate::time::zone::Zone;

/// About what one bucket takes, in bytes.
const BUCKET_BYTES: usize = 64;

enum Test<'a> {
    /// `[from, to)` of numbers or milliseconds.
    Numbers(Input, Vec<(f64, f64)>),
    /// `[from, to]` of addresses.
    Addresses(Input, Vec<(u128, u128)>),
    /// Queries; whether the last bucket is for the others.
    Filters(Vec<Cursor<'a>>, bool),
    /// No value.
    Missing(Input),
    /// Every document.
    Whole,
}

/// A query's documents, asked in growing order.
pub struct Cursor<'a>(Box<dyn Scorer>, std::marker::PhantomData<&'a ()>);

impl<'a> Cursor<'a> {
    fn open(query: &Query, s: &'a Segment<'a>) -> Result<Cursor<'a>, Refusal> {
        let planned = s.planner.plan(query)?;
        let weight = planned.weight(EnableScoring::disabled_from_searcher(&s.part.searcher))?;
        Ok(Cursor(weight.scorer(s.reader, 1.0)?, std::marker::PhantomData))
    }

    fn has(&mut self, doc: DocId) -> bool {
        let at = self.0.doc();
        if at == TERMINATED || at > doc {
            return false;
        }
        at == doc || self.0.seek(doc) == doc
    }
}

/// See the top of the file.
pub struct Slots<'a> {
    test: Test<'a>,
    /// Buckets for each of the parent's.
    width: usize,
    /// Handed on as one bucket, not as a list.
    single: bool,
    counts: Vec<u64>,
    subs: Collectors<'a>,
    budget: &'a Budget,
    sub_ords: Vec<u32>,
    sub_docs: Vec<DocId>,
}

impl<'a> Slots<'a> {
    fn with(agg: &Agg, test: Test<'a>, width: usize, single: bool, s: &'a Segment<'a>) -> Result<Slots<'a>, Refusal> {
        let subs = Collectors::new(&agg.subs, s)?;
        Ok(Slots {
            test,
            width,
            single,
            counts: Vec::new(),
            subs,
            budget: s.budget,
            sub_ords: Vec::new(),
            sub_docs: Vec::new(),
        })
    }

    /// `range`, `date_range`, `ip_range`.
    pub fn ranges(
        agg: &Agg,
        source: &Source,
        ranges: &[RangeSpec],
        on: RangeOn,
        zone: &Zone,
        s: &'a Segment<'a>,
    ) -> Result<Slots<'a>, Refusal> {
        let input = Input::open(source, s)?;
        let test = if on == RangeOn::Ip {
            Test::Addresses(input, ranges.iter().map(addresses).collect::<Result<_, _>>()?)
        } else {
            input.numeric(if on == RangeOn::Date { "date_range" } else { "range" }, &source.field)?;
            let end = |v: &Option<serde_json::Value>, default: f64| -> Result<f64, Refusal> {
                match v {
                    None => Ok(default),
                    Some(v) if on == RangeOn::Date => {
                        super::date(v, input.field.as_ref(), source.format.as_deref(), zone, s.now).map(|ms| ms as f64)
                    }
                    Some(v) => dsl::number("range", "ranges", v),
                }
            };
            let ends = ranges.iter().map(|r| Ok((end(&r.from, f64::NEG_INFINITY)?, end(&r.to, f64::INFINITY)?)));
            let ends = ends.collect::<Result<_, Refusal>>()?;
            Test::Numbers(input, ends)
        };
        Slots::with(agg, test, ranges.len(), false, s)
    }

    /// `filter` and `filters`.
    pub fn filters(
        agg: &Agg,
        queries: &[Query],
        other: Option<&str>,
        single: bool,
        s: &'a Segment<'a>,
    ) -> Result<Slots<'a>, Refusal> {
        let cursors = queries.iter().map(|q| Cursor::open(q, s)).collect::<Result<Vec<_>, _>>()?;
        let width = cursors.len() + usize::from(other.is_some());
        Slots::with(agg, Test::Filters(cursors, other.is_some()), width, single, s)
    }

    /// `missing`.
    pub fn missing(agg: &Agg, field: &str, s: &'a Segment<'a>) -> Result<Slots<'a>, Refusal> {
        let source = Source { field: field.into(), ..Source::default() };
        let mut input = match s.part.mapping.resolve(field) {
            // Text without a column: asked of the index.
            Some(f) if f.column.is_none() => {
                let exists = Query::from(crate::query::ast::Kind::Exists { field: field.into() });
                let not = crate::query::ast::Bool { must_not: vec![exists], ..Default::default() };
                let cursor = Cursor::open(&Query::from(crate::query::ast::Kind::Bool(not)), s)?;
                return Slots::with(agg, Test::Filters(vec![cursor], false), 1, true, s);
            }
            _ => Input::open(&source, s)?,
        };
        input.missing = None;
        Slots::with(agg, Test::Missing(input), 1, true, s)
    }

    /// All documents.
    pub fn whole(agg: &Agg, s: &'a Segment<'a>) -> Result<Slots<'a>, Refusal> {
        Slots::with(agg, Test::Whole, 1, true, s)
    }
}

/// The ends of a range of addresses, both in.
pub fn addresses(range: &RangeSpec) -> Result<(u128, u128), Refusal> {
    let bad = |text: &str| Refusal::shard_argument(format!("'{text}' is not an IP string literal."));
    if let Some(mask) = &range.mask {
        return values::network(mask).ok_or_else(|| bad(mask));
    }
    let read = |v: &serde_json::Value| {
        let text = values::as_text(v);
        text.parse::<IpAddr>().ok().and_then(|_| values::address(&text)).ok_or_else(|| bad(&text))
    };
    let from = range.from.as_ref().map(read).transpose()?.unwrap_or(0);
    // An empty range keeps its ends the wrong way round.
    match range.to.as_ref().map(read).transpose()? {
        None => Ok((from, u128::MAX)),
        Some(0) => Ok((1, 0)),
        Some(to) => Ok((from, to - 1)),
    }
}

impl Collector for Slots<'_> {
    fn collect(&mut self, ords: &[u32], docs: &[DocId], scores: Scores) -> Result<(), Refusal> {
        let Slots { test, width, counts, subs, budget, sub_ords, sub_docs, .. } = self;
        let most = ords.iter().copied().max().map_or(0, |m| m as usize + 1) * *width;
        if most > counts.len() {
            budget.charge((most - counts.len()) * BUCKET_BYTES)?;
            counts.resize(most, 0);
        }
        sub_ords.clear();
        sub_docs.clear();
        let has_subs = !subs.is_empty();
        let mut hit = |i: usize, slot: usize| {
            let bucket = ords[i] as usize * *width + slot;
            counts[bucket] += 1;
            if has_subs {
                sub_ords.push(bucket as u32);
                sub_docs.push(docs[i]);
            }
        };
        match test {
            Test::Whole => (0..docs.len()).for_each(|i| hit(i, 0)),
            Test::Filters(cursors, other) => {
                for (i, doc) in docs.iter().enumerate() {
                    let mut any = false;
                    for (slot, cursor) in cursors.iter_mut().enumerate() {
                        if cursor.has(*doc) {
                            any = true;
                            hit(i, slot);
                        }
                    }
                    if *other && !any {
                        hit(i, *width - 1);
                    }
                }
            }
            Test::Missing(input) => input.walk(docs, true, |i, _, raw| {
                if raw.is_none() {
                    hit(i, 0);
                }
                Ok(())
            })?,
            Test::Numbers(input, ends) => {
                let instead = input.missing.as_ref().and_then(Key::number);
                let columns = input.columns.clone();
                // A document counts once in each range, whatever number of its values lie in it.
                let (mut last, mut seen) = (usize::MAX, Vec::new());
                input.walk(docs, true, |i, column, raw| {
                    let value = match raw {
                        Some(raw) => columns.get(column).and_then(|c| c.number(raw)),
                        None => instead,
                    };
                    let Some(value) = value else { return Ok(()) };
                    if last != i {
                        last = i;
                        seen.clear();
                    }
                    for (slot, (from, to)) in ends.iter().enumerate() {
                        if value >= *from && value < *to && !seen.contains(&slot) {
                            seen.push(slot);
                            hit(i, slot);
                        }
                    }
                    Ok(())
                })?;
            }
            Test::Addresses(input, ends) => {
                let columns = input.columns.clone();
                input.walk(docs, true, |i, column, raw| {
                    let (Some(raw), Some(values)) = (raw, columns.get(column)) else { return Ok(()) };
                    let Some(n) = values::address(&values.text(raw)?) else { return Ok(()) };
                    for (slot, (from, to)) in ends.iter().enumerate() {
                        if (*from..=*to).contains(&n) {
                            hit(i, slot);
                        }
                    }
                    Ok(())
                })?;
            }
        }
        self.subs.collect(&self.sub_ords, &self.sub_docs, scores)
    }

    fn finish(mut self: Box<Self>, parents: usize) -> Result<Vec<Partial>, Refusal> {
        self.counts.resize(parents * self.width, 0);
        let subs = std::mem::replace(&mut self.subs, Collectors(Vec::new())).finish(self.counts.len())?;
        let mut made = buckets(std::mem::take(&mut self.counts), subs).into_iter();
        Ok((0..parents)
            .map(|_| {
                if self.single {
                    Partial::One(Box::new(made.next().unwrap_or_default()))
                } else {
                    Partial::Slots(made.by_ref().take(self.width).collect())
                }
            })
            .collect())
    }
}

/// `adjacency_matrix`: each filter, and each two of them together.
pub struct Matrix<'a> {
    names: Vec<String>,
    separator: String,
    cursors: Vec<Cursor<'a>>,
    map: Map<(u32, u32, u32), u32>,
    of: Vec<(u32, u32, u32)>,
    counts: Vec<u64>,
    subs: Collectors<'a>,
    budget: &'a Budget,
}

impl<'a> Matrix<'a> {
    /// See the type.
    pub fn new(
        agg: &Agg,
        filters: &[(String, Query)],
        separator: &str,
        s: &'a Segment<'a>,
    ) -> Result<Matrix<'a>, Refusal> {
        Ok(Matrix {
            names: filters.iter().map(|(n, _)| n.clone()).collect(),
            separator: separator.into(),
            cursors: filters.iter().map(|(_, q)| Cursor::open(q, s)).collect::<Result<_, _>>()?,
            map: Map::default(),
            of: Vec::new(),
            counts: Vec::new(),
            subs: Collectors::new(&agg.subs, s)?,
            budget: s.budget,
        })
    }
}

impl Collector for Matrix<'_> {
    fn collect(&mut self, ords: &[u32], docs: &[DocId], scores: Scores) -> Result<(), Refusal> {
        let (mut sub_ords, mut sub_docs) = (Vec::new(), Vec::new());
        let mut fits = Vec::new();
        for (doc, parent) in docs.iter().zip(ords) {
            fits.clear();
            fits.extend(self.cursors.iter_mut().enumerate().filter_map(|(n, c)| c.has(*doc).then_some(n as u32)));
            for (x, a) in fits.iter().enumerate() {
                for b in &fits[x..] {
                    let key = (*parent, *a, *b);
                    let bucket = match self.map.get(&key) {
                        Some(bucket) => *bucket,
                        None => {
                            self.budget.charge(BUCKET_BYTES)?;
                            self.of.push(key);
                            self.counts.push(0);
                            self.map.insert(key, self.of.len() as u32 - 1);
                            self.of.len() as u32 - 1
                        }
                    };
                    self.counts[bucket as usize] += 1;
                    sub_ords.push(bucket);
                    sub_docs.push(*doc);
                }
            }
        }
        self.subs.collect(&sub_ords, &sub_docs, scores)
    }

    fn finish(mut self: Box<Self>, parents: usize) -> Result<Vec<Partial>, Refusal> {
        let subs = std::mem::replace(&mut self.subs, Collectors(Vec::new())).finish(self.of.len())?;
        let mut out: Vec<Map<Key, Bucket>> = (0..parents).map(|_| Map::default()).collect();
        for ((parent, a, b), bucket) in self.of.iter().zip(buckets(self.counts, subs)) {
            let (a, b) = (&self.names[*a as usize], &self.names[*b as usize]);
            let name = if a == b { a.clone() } else { format!("{a}{}{b}", self.separator) };
            out[*parent as usize].insert(Key::Str(name), bucket);
        }
        Ok(out.into_iter().map(Partial::Keyed).collect())
    }
}
