//! Buckets by one value: terms and histograms.

use std::sync::Arc;

use tantivy::DocId;
use tantivy::columnar::MonotonicallyMappableToU64;

use super::blocks::Blocks;
use super::choose::Choose;
use super::{Collector, Collectors, Input, Scores, Segment, buckets};
use crate::aggs::ast::{self, Agg, DateHistogram, Histogram, Source};
use crate::aggs::hash::Map;
use crate::aggs::partial::{Bucket, Key, Partial};
use crate::query::Refusal;
use crate::search::budget::Budget;
use crate::search::columns::{Kind as ColumnKind, Values};
use crate::search::summary::Table;
use crate::time::rounding::Rounding;

/// A table by value alone may have so many places: beyond it a hash table is used.
const DENSE_MAX: u64 = 1 << 20;
/// What a place of it takes, in bytes, its count included.
const DENSE_BYTES: usize = 8;
/// Place of values that are not wanted.
const UNWANTED: u32 = u32::MAX;
/// About what one bucket takes, in bytes, beside its key.
const BUCKET_BYTES: usize = 96;
/// Terms of a dictionary that `min_doc_count: 0` adds, at most.
const EMPTY_TERMS_MAX: usize = 10_000;

/// How values become keys.
enum By {
    /// As they are.
    Value,
    /// Steps of a time grid: (step, shift) in nanoseconds and 1 / step.
    Uniform { step: i64, shift: i64, inverse: f64 },
    /// Any other time grid; the last bucket found, `[start, end)` in milliseconds.
    Calendar { rounding: Rounding, last: (i64, i64) },
    /// Steps of numbers.
    Steps { interval: f64, offset: f64 },
}

/// See the top of the file.
pub struct Terms<'a> {
    input: Input,
    by: By,
    /// Values outside are not counted: milliseconds or numbers.
    hard: (f64, f64),
    choose: Choose,
    empty_too: bool,
    /// By place of the value, a row of `places` for each of the parent's buckets: bucket + 1, 0 for none yet.
    dense: Vec<u32>,
    /// Places of a row; 0 where values have none.
    places: usize,
    /// What the places of `dense` begin with.
    base: i64,
    /// By place of the value, where nothing but the number of documents is asked for: how many have it.
    tally: Vec<u32>,
    map: Map<(u32, u8, u64), u32>,
    of: Vec<(u32, u8, u64)>,
    counts: Vec<u64>,
    subs: Collectors<'a>,
    budget: &'a Budget,
    sub_ords: Vec<u32>,
    sub_docs: Vec<DocId>,
    segment: &'a Segment<'a>,
    /// Of the whole segment, where that was asked for.
    summary: Option<Arc<Table>>,
    blocks: Blocks,
}

impl<'a> Terms<'a> {
    fn with(agg: &Agg, input: Input, by: By, s: &'a Segment<'a>) -> Result<Terms<'a>, Refusal> {
        let mut dense = 0;
        let mut base = 0;
        if let [only] = &input.columns[..] {
            match (&by, &only.kind) {
                (By::Value, ColumnKind::Str(strings)) => dense = strings.num_terms() as u64,
                (By::Uniform { step, shift, .. }, ColumnKind::Date)
                    if only.column.num_docs() > 0 && only.column.values.num_vals() > 0 =>
                {
                    let place = |raw: u64| (i64::from_u64(raw) - shift).div_euclid(*step);
                    base = place(only.column.min_value());
                    dense = (place(only.column.max_value()) - base + 1).unsigned_abs();
                }
                _ => {}
            }
        }
        let dense = if dense <= DENSE_MAX { dense as usize } else { 0 };
        s.budget.charge(dense * DENSE_BYTES)?;
        Ok(Terms {
            input,
            by,
            hard: (f64::NEG_INFINITY, f64::INFINITY),
            choose: Choose::default(),
            empty_too: false,
            dense: vec![0; dense],
            places: dense,
            base,
            tally: Vec::new(),
            map: Map::default(),
            of: Vec::new(),
            counts: Vec::new(),
            subs: Collectors::new(&agg.subs, s)?,
            budget: s.budget,
            sub_ords: Vec::new(),
            sub_docs: Vec::new(),
            segment: s,
            summary: None,
            blocks: Blocks::default(),
        })
    }

    /// `terms`.
    pub fn new(agg: &Agg, terms: &ast::Terms, s: &'a Segment<'a>) -> Result<Terms<'a>, Refusal> {
        let input = Input::open(&terms.source, s)?;
        let choose = Choose::new(terms, &input, s)?;
        let mut out = Terms::with(agg, input, By::Value, s)?;
        out.choose = choose;
        // The dictionary knows values of documents that this view does not show.
        out.empty_too = terms.min_doc_count == 0 && s.part.only.is_none();
        Ok(out)
    }

    /// `date_histogram`.
    pub fn dates(agg: &Agg, h: &DateHistogram, s: &'a Segment<'a>) -> Result<Terms<'a>, Refusal> {
        let mut input = date_input(&h.source, "date_histogram", s)?;
        let rounding = Rounding { interval: h.interval, zone: h.zone.clone(), offset: h.offset };
        if let Some(Key::Date(ms)) = input.missing {
            input.missing = Some(Key::Date(rounding.round(ms)));
        }
        let field = input.field.clone();
        let mut out = Terms::with(agg, input, time_grid(rounding), s)?;
        if let Some((min, max)) = &h.hard {
            let end = |v: &Option<serde_json::Value>, default: f64| match v {
                None => Ok(default),
                Some(v) => {
                    super::date(v, field.as_ref(), h.source.format.as_deref(), &h.zone, s.now).map(|ms| ms as f64)
                }
            };
            out.hard = (end(min, f64::NEG_INFINITY)?, end(max, f64::INFINITY)?);
        }
        Ok(out)
    }

    /// `auto_date_histogram`: counted by the second at first; the answer finds the step.
    pub fn moments(agg: &Agg, source: &Source, s: &'a Segment<'a>) -> Result<Terms<'a>, Refusal> {
        let input = date_input(source, "auto_date_histogram", s)?;
        let step = 1_000_000_000;
        Terms::with(agg, input, By::Uniform { step, shift: 0, inverse: 1.0 / step as f64 }, s)
    }

    /// `histogram`.
    pub fn numbers(agg: &Agg, h: &Histogram, s: &'a Segment<'a>) -> Result<Terms<'a>, Refusal> {
        let mut input = Input::open(&h.source, s)?;
        input.numeric("histogram", &h.source.field)?;
        let by = By::Steps { interval: h.interval, offset: h.offset };
        if let Some(n) = input.missing.as_ref().and_then(Key::number) {
            input.missing = Some(Key::float(((n - h.offset) / h.interval).floor() * h.interval + h.offset));
        }
        let mut out = Terms::with(agg, input, by, s)?;
        if let Some((min, max)) = h.hard {
            out.hard = (min.unwrap_or(f64::NEG_INFINITY), max.unwrap_or(f64::INFINITY));
        }
        Ok(out)
    }

    /// Whether every document has one value, and its place is all there is to it.
    fn is_plain(&self) -> bool {
        self.subs.is_empty() && self.is_by_place()
    }

    /// Whether every document has one value, and is counted where that has its place.
    fn is_by_place(&self) -> bool {
        let [Values { column, .. }] = &self.input.columns[..] else { return false };
        self.places > 0
            && self.choose.takes_all()
            && self.hard == (f64::NEG_INFINITY, f64::INFINITY)
            && column.get_cardinality() == tantivy::columnar::Cardinality::Full
    }

    /// Counts documents by the place of their one value, when that is all there is to do.
    fn count(&mut self, ords: &[u32], docs: &[DocId]) -> Result<bool, Refusal> {
        if !self.is_plain() || ords.iter().any(|parent| *parent != 0) {
            return Ok(false);
        }
        self.tally.resize(self.places, 0);
        self.learn_blocks(docs.len())?;
        let blocks = std::mem::take(&mut self.blocks);
        for (place, here) in blocks.runs(docs) {
            match place {
                Some(place) => self.tally[place as usize] += here.len() as u32,
                None => self.count_each(&docs[here]),
            }
        }
        self.blocks = blocks;
        Ok(true)
    }

    /// The same, by reading each value.
    fn count_each(&mut self, docs: &[DocId]) {
        let Terms { input, by, base, tally, .. } = self;
        let [Values { column, .. }] = &input.columns[..] else { return };
        input.scratch.resize(docs.len(), 0);
        column.values.get_vals(docs, &mut input.scratch);
        match by {
            By::Uniform { step, shift, inverse } => {
                for raw in &input.scratch {
                    tally[(step_of(i64::from_u64(*raw) - *shift, *step, *inverse) - *base) as usize] += 1;
                }
            }
            _ => input.scratch.iter().for_each(|raw| tally[*raw as usize] += 1),
        }
    }

    /// Learns in what places the blocks of documents are; `more` are about to be counted.
    fn learn_blocks(&mut self, more: usize) -> Result<(), Refusal> {
        let Terms { input, by, base, blocks, segment, .. } = self;
        let (By::Uniform { step, shift, inverse }, [Values { column, kind: ColumnKind::Date }], Some(name)) =
            (by, &input.columns[..], input.field.as_ref().and_then(|field| field.column.as_ref()))
        else {
            return Ok(());
        };
        blocks.learn(segment, name, column, more, |nanos| step_of(nanos - *shift, *step, *inverse) - *base)
    }

    /// Makes room in the table for the rows of new buckets of the parent, up to a last one.
    fn widen(&mut self, ords: &[u32]) -> Result<(), Refusal> {
        let rows = ords.iter().max().map_or(0, |last| *last as usize + 1);
        let rows_max = DENSE_MAX as usize / self.places.max(1);
        let wanted = rows.min(rows_max) * self.places;
        if wanted > self.dense.len() {
            // Doubled, so that a row that comes alone does not copy the whole table.
            let size = wanted.max(self.dense.len() * 2).min(rows_max * self.places);
            self.budget.charge((size - self.dense.len()) * DENSE_BYTES)?;
            self.dense.resize(size, 0);
        }
        Ok(())
    }

    /// Makes buckets of what was tallied.
    fn settle(&mut self) -> Result<(), Refusal> {
        let tally = std::mem::take(&mut self.tally);
        for (at, count) in tally.into_iter().enumerate().filter(|(_, count)| *count > 0) {
            let place = match self.by {
                By::Uniform { .. } => (self.base + at as i64).to_u64(),
                _ => at as u64,
            };
            match self.dense[at] {
                0 => {
                    self.budget.charge(BUCKET_BYTES)?;
                    self.of.push((0, 0, place));
                    self.counts.push(u64::from(count));
                }
                known => self.counts[known as usize - 1] += u64::from(count),
            }
        }
        Ok(())
    }

    /// The key of a bucket.
    fn key(&self, column: u8, raw: u64) -> Result<Key, Refusal> {
        if column == u8::MAX {
            return Ok(self.input.missing.clone().unwrap_or(Key::Null));
        }
        Ok(match &self.by {
            By::Value => return self.input.key(column.into(), raw),
            By::Uniform { step, shift, .. } => Key::Date((i64::from_u64(raw) * (step / 1_000_000)) + shift / 1_000_000),
            By::Calendar { .. } => Key::Date(i64::from_u64(raw)),
            By::Steps { interval, offset } => Key::float(f64::from_u64(raw) * interval + offset),
        })
    }
}

fn date_input(source: &Source, what: &str, s: &Segment) -> Result<Input, Refusal> {
    let input = Input::open(source, s)?;
    input.numeric(what, &source.field)?;
    Ok(input)
}

fn time_grid(rounding: Rounding) -> By {
    match rounding.uniform() {
        Some((step, shift)) if step < 9_000_000_000_000 => {
            let (step, shift) = (step * 1_000_000, shift * 1_000_000);
            By::Uniform { step, shift, inverse: 1.0 / step as f64 }
        }
        _ => By::Calendar { rounding, last: (0, 0) },
    }
}

/// `div_euclid` by multiplication, made exact afterwards, for steps of a millisecond and more: several times as fast.
fn step_of(nanos: i64, step: i64, inverse: f64) -> i64 {
    let mut place = (nanos as f64 * inverse) as i64;
    let mut rest = nanos.wrapping_sub(place.wrapping_mul(step));
    while rest < 0 {
        place -= 1;
        rest += step;
    }
    if rest >= step {
        place += 1;
    }
    place
}

impl Terms<'_> {
    /// Puts documents that are all in one place into their bucket.
    fn take_all(&mut self, parent: u32, place: u32, docs: &[DocId]) -> Result<(), Refusal> {
        let key = (parent, 0, (self.base + i64::from(place)).to_u64());
        let near = parent as usize * self.places + place as usize;
        let known = self.dense.get(near).or_else(|| self.map.get(&key)).copied().unwrap_or(0);
        let bucket = match known.checked_sub(1) {
            Some(bucket) => bucket,
            None => {
                self.budget.charge(BUCKET_BYTES)?;
                self.of.push(key);
                self.counts.push(0);
                let new = self.of.len() as u32;
                match self.dense.get_mut(near) {
                    Some(slot) => *slot = new,
                    None => drop(self.map.insert(key, new)),
                }
                new - 1
            }
        };
        self.counts[bucket as usize] += docs.len() as u64;
        if !self.subs.is_empty() {
            self.sub_ords.resize(self.sub_ords.len() + docs.len(), bucket);
            self.sub_docs.extend_from_slice(docs);
        }
        Ok(())
    }

    /// Puts documents into the buckets of their values.
    fn take_each(&mut self, ords: &[u32], docs: &[DocId]) -> Result<(), Refusal> {
        let Terms {
            input,
            by,
            hard,
            choose,
            dense,
            places,
            base,
            map,
            of,
            counts,
            subs,
            budget,
            sub_ords,
            sub_docs,
            ..
        } = self;
        let bounded = *hard != (f64::NEG_INFINITY, f64::INFINITY);
        let has_subs = !subs.is_empty();
        let missing = input.missing.is_some();
        let kinds: Vec<ColumnKind> = input.columns.iter().map(|c| c.kind.clone()).collect();
        let columns = input.columns.clone();
        let several = columns.len() > 1
            || columns
                .first()
                .is_some_and(|c| c.column.get_cardinality() == tantivy::columnar::Cardinality::Multivalued);
        // Values of one document that fall into one bucket count once.
        let mut last: (usize, u32) = (usize::MAX, 0);
        let mut seen: Vec<u32> = Vec::new();
        input.walk(docs, true, |i, column, raw| {
            let (column, place) = match raw {
                None if !missing => return Ok(()),
                None => (u8::MAX, 0),
                Some(raw) => {
                    let values: &Values = &columns[column];
                    if bounded && !values.number(raw).is_some_and(|n| n >= hard.0 && n <= hard.1) {
                        return Ok(());
                    }
                    let place = match by {
                        By::Value => raw,
                        By::Uniform { step, shift, inverse } => {
                            let nanos = match &kinds[column] {
                                ColumnKind::Date => i64::from_u64(raw),
                                _ => (values.number(raw).unwrap_or(0.0) as i64).saturating_mul(1_000_000),
                            };
                            step_of(nanos - *shift, *step, *inverse).to_u64()
                        }
                        By::Calendar { rounding, last } => {
                            let ms = values.number(raw).unwrap_or(0.0) as i64;
                            if ms < last.0 || ms >= last.1 {
                                let start = rounding.round(ms);
                                *last = (start, rounding.next(start));
                            }
                            last.0.to_u64()
                        }
                        By::Steps { interval, offset } => {
                            ((values.number(raw).unwrap_or(0.0) - *offset) / *interval).floor().to_u64()
                        }
                    };
                    (column as u8, place)
                }
            };
            let parent = ords[i];
            let at = match by {
                By::Uniform { .. } => i64::from_u64(place).wrapping_sub(*base) as usize,
                _ => place as usize,
            };
            let near = if column == 0 && at < *places { parent as usize * *places + at } else { usize::MAX };
            let slot = match dense.get_mut(near) {
                Some(slot) => slot,
                None => map.entry((parent, column, place)).or_insert(0),
            };
            if *slot == 0 {
                if choose.wanted(&columns, column, place)? {
                    budget.charge(BUCKET_BYTES)?;
                    of.push((parent, column, place));
                    counts.push(0);
                    *slot = of.len() as u32;
                } else {
                    *slot = UNWANTED;
                }
            }
            if *slot == UNWANTED {
                return Ok(());
            }
            let bucket = *slot - 1;
            if several {
                if last.0 != i {
                    last.0 = i;
                    seen.clear();
                }
                if seen.contains(&bucket) {
                    return Ok(());
                }
                seen.push(bucket);
            }
            counts[bucket as usize] += 1;
            if has_subs {
                sub_ords.push(bucket);
                sub_docs.push(docs[i]);
            }
            Ok(())
        })
    }
}

impl Collector for Terms<'_> {
    fn collect(&mut self, ords: &[u32], docs: &[DocId], scores: Scores) -> Result<(), Refusal> {
        if self.count(ords, docs)? {
            return Ok(());
        }
        self.widen(ords)?;
        self.sub_ords.clear();
        self.sub_docs.clear();
        if self.is_by_place() {
            self.learn_blocks(docs.len())?;
        }
        let blocks = std::mem::take(&mut self.blocks);
        for (place, here) in blocks.runs(docs) {
            let (ords, docs) = (&ords[here.clone()], &docs[here]);
            match place {
                Some(place) if ords.iter().all(|parent| *parent == ords[0]) => self.take_all(ords[0], place, docs)?,
                _ => self.take_each(ords, docs)?,
            }
        }
        self.blocks = blocks;
        self.subs.collect(&self.sub_ords, &self.sub_docs, scores)
    }

    fn knows_all(&mut self) -> bool {
        let (By::Uniform { step, shift, .. }, [Values { column, kind: ColumnKind::Date }], Some(name)) =
            (&self.by, &self.input.columns[..], self.input.field.as_ref().and_then(|field| field.column.as_ref()))
        else {
            return false;
        };
        if !self.is_plain() {
            return false;
        }
        let Segment { part, reader, .. } = self.segment;
        self.summary = part.summaries.table(reader, name, column, *step, *shift);
        self.summary.is_some()
    }

    fn count_all(&mut self) {
        let (Some(summary), By::Uniform { step, shift, .. }) = (self.summary.take(), &self.by) else { return };
        self.tally.resize(self.places, 0);
        for (nanos, count) in summary.counts() {
            self.tally[((nanos - shift).div_euclid(*step) - self.base) as usize] += count;
        }
    }

    fn finish(mut self: Box<Self>, parents: usize) -> Result<Vec<Partial>, Refusal> {
        self.settle()?;
        let subs = std::mem::replace(&mut self.subs, Collectors(Vec::new())).finish(self.of.len())?;
        let made = buckets(std::mem::take(&mut self.counts), subs);
        let mut out: Vec<Map<Key, Bucket>> = (0..parents).map(|_| Map::default()).collect();
        let of = std::mem::take(&mut self.of);
        let texts = self.texts(&of)?;
        for ((parent, column, raw), bucket) in of.into_iter().zip(made) {
            let key = match texts.get(&raw) {
                Some(text) if column == 0 => self.input.text_key(text.clone()),
                _ => self.key(column, raw)?,
            };
            self.budget.charge(key.heap())?;
            match out[parent as usize].get_mut(&key) {
                Some(known) => known.merge(bucket),
                None => {
                    out[parent as usize].insert(key, bucket);
                }
            }
        }
        if self.empty_too {
            self.add_empty(&mut out)?;
        }
        Ok(out.into_iter().map(Partial::Keyed).collect())
    }
}

impl Terms<'_> {
    /// The texts of all buckets' terms, read in the dictionary's order in one go.
    fn texts(&self, of: &[(u32, u8, u64)]) -> Result<Map<u64, String>, Refusal> {
        let mut texts = Map::default();
        let (By::Value, [Values { kind: ColumnKind::Str(strings), .. }]) = (&self.by, &self.input.columns[..]) else {
            return Ok(texts);
        };
        let mut ords: Vec<u64> = of.iter().filter(|(_, column, _)| *column == 0).map(|(_, _, raw)| *raw).collect();
        ords.sort_unstable();
        ords.dedup();
        let mut at = 0;
        strings.dictionary().sorted_ords_to_term_cb(&ords, |term| {
            texts.insert(ords[at], String::from_utf8_lossy(term).into_owned());
            at += 1;
        })?;
        Ok(texts)
    }

    /// Terms that no document of the search has.
    fn add_empty(&self, out: &mut [Map<Key, Bucket>]) -> Result<(), Refusal> {
        for (number, values) in self.input.columns.iter().enumerate() {
            let ColumnKind::Str(strings) = &values.kind else { continue };
            for ord in 0..strings.num_terms().min(EMPTY_TERMS_MAX) as u64 {
                if !self.choose.wanted(&self.input.columns, number as u8, ord)? {
                    continue;
                }
                let key = self.input.key(number, ord)?;
                for map in out.iter_mut() {
                    if !map.contains_key(&key) {
                        self.budget.charge(BUCKET_BYTES + key.heap())?;
                        map.insert(key.clone(), Bucket::default());
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_exact() {
        for step in [1_000_000i64, 7_000_000, 60_000_000_000, 86_400_000_000_000] {
            for base in [-5 * step, -step, 0, step, 1_795_132_800_000_000_000 / step * step] {
                for d in [-1, 0, 1, step - 1] {
                    let n = base + d;
                    assert_eq!(step_of(n, step, 1.0 / step as f64), n.div_euclid(step), "{n} / {step}");
                }
            }
        }
    }
}
