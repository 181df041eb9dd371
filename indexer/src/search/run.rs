//! Running a search over a view: counts, the best documents, aggregations.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;
use tantivy::columnar::Cardinality;
use tantivy::query::{AllScorer, BooleanQuery, ConstScoreQuery, EnableScoring, Occur, Scorer, Weight};
use tantivy::{COLLECT_BLOCK_BUFFER_LEN, DocId, DocSet, SegmentReader, TERMINATED};

use super::budget::Budget;
use super::columns::{Values, open_named};
use super::request::{Request, Track};
use super::sort::{self, By, Key, Reader, Sorted};
use super::top::{SegmentTop, Top};
use crate::aggs::ast::{Agg, Kind};
use crate::aggs::collect::{Collectors, Scores, Segment};
use crate::aggs::partial::Partial;
use crate::aggs::{render, whole};
use crate::mapping::wildcard;
use crate::query::plan::column_range::{ColumnRange, End};
use crate::query::plan::{Planned, Planner};
use crate::query::{Query, Refusal};
use crate::store::{PartitionView, View};
use crate::time::Nanos;

/// So many blocks of documents are worked between two looks at the clock.
const BLOCKS_PER_LOOK: usize = 64;
/// In segments with more documents than this, the newest part is looked at first, to know early what is too old.
const TAIL_FROM: u32 = 32_768;
/// That part's share of the segment.
const TAIL_SHARE: u32 = 16;

/// What a search found.
pub struct Outcome {
    /// Number of hits, as far as they were counted.
    pub total: Option<u64>,
    /// Whether there may be more.
    pub more: bool,
    /// Best documents, from the first on.
    pub top: Top,
    /// Parts of the aggregations.
    pub aggs: Option<Value>,
    /// The time was over before the end.
    pub timed_out: bool,
    /// `terminate_after` was reached.
    pub terminated: Option<bool>,
}

/// Runs a search.
pub fn run(view: &View, request: &Request, typed: bool, now: Nanos, budget: &Budget) -> Result<Outcome, Refusal> {
    let keys: Arc<[Key]> = if request.sort.is_empty() {
        vec![Key { by: By::Score, descending: true }].into()
    } else {
        request.sort.clone().into()
    };
    let mut search = Search::new(view, request, keys, now, budget)?;
    search.all()?;
    search.finish(typed)
}

/// How many documents match.
pub fn count(
    view: &View,
    query: &Query,
    min_score: Option<f32>,
    terminate_after: Option<u64>,
    now: Nanos,
    budget: &Budget,
) -> Result<u64, Refusal> {
    let request =
        Request { query: query.clone(), size: 0, track: Track::All, min_score, terminate_after, ..Request::default() };
    let outcome = run(view, &request, false, now, budget)?;
    Ok(outcome.total.unwrap_or(0))
}

/// One segment that is to be searched.
struct Place<'a> {
    part: usize,
    index: u32,
    ordinal: u32,
    reader: &'a SegmentReader,
    /// Smallest and largest value of the column that is sorted by, where documents can be left out by it.
    range: Option<(i64, i64)>,
}

struct Search<'a> {
    view: &'a View,
    request: &'a Request,
    keys: Arc<[Key]>,
    now: Nanos,
    budget: &'a Budget,
    scores: bool,
    after: Option<Vec<Sorted>>,
    wanted: usize,
    top: Top,
    total: u64,
    aggs: Vec<Partial>,
    /// By partition, what the aggregations of its whole segments are kept under.
    names: HashMap<usize, Option<Arc<str>>>,
    seen: u64,
    terminated: bool,
}

impl<'a> Search<'a> {
    fn new(
        view: &'a View,
        request: &'a Request,
        keys: Arc<[Key]>,
        now: Nanos,
        budget: &'a Budget,
    ) -> Result<Search<'a>, Refusal> {
        // An index without documents has no partition, and nothing to sort by: it is no error.
        for part in &view.parts {
            sort::check(&keys, &part.mapping)
                .or_else(|e| if part.searcher.num_docs() == 0 { Ok(()) } else { Err(e) })?;
        }
        let wanted = request.from + request.size;
        budget.charge(SegmentTop::bytes(wanted))?;
        let by_score = keys.iter().any(|k| k.by == By::Score);
        let scores = by_score && wanted > 0
            || request.track_scores
            || request.min_score.is_some()
            || request.aggs.iter().any(scored);
        let after = request.after.as_ref().map(|values| sort::after(values, &keys, now)).transpose()?;
        let top = Top::new(Arc::clone(&keys), wanted);
        Ok(Search {
            view,
            request,
            keys,
            now,
            budget,
            scores,
            after,
            wanted,
            top,
            total: 0,
            aggs: Vec::new(),
            names: HashMap::new(),
            seen: 0,
            terminated: false,
        })
    }

    /// Whether documents that cannot be among the best need not be looked at.
    fn may_skip(&self) -> bool {
        let r = self.request;
        r.aggs.is_empty()
            && r.post_filter.is_none()
            && r.min_score.is_none()
            && r.terminate_after.is_none()
            && !self.scores
    }

    fn weight(&self, part: &PartitionView, planned: &Planned) -> Result<Box<dyn Weight>, Refusal> {
        let scoring = if self.scores {
            EnableScoring::enabled_from_searcher(&part.searcher)
        } else {
            EnableScoring::disabled_from_searcher(&part.searcher)
        };
        Ok(planned.weight(scoring)?)
    }

    fn all(&mut self) -> Result<(), Refusal> {
        let view = self.view;
        let mut planned = Vec::with_capacity(view.parts.len());
        for part in &view.parts {
            let planner = Planner::watched(part, self.now, &self.budget.watch);
            let mut query = planner.plan(&self.request.query)?;
            if let Some(filter) = &self.request.post_filter {
                planner.plan(filter)?; // Refused before anything is counted.
            }
            if let Some(only) = part.planned_only(self.now)? {
                query = Box::new(BooleanQuery::new(vec![
                    (Occur::Must, query),
                    (Occur::Must, Box::new(ConstScoreQuery::new(only, 0.0))),
                ]));
            }
            let boost = self.request.index_boosts.iter().find(|(n, _)| wildcard(n, &part.index_name));
            if let Some((_, boost)) = boost {
                query = Box::new(tantivy::query::BoostQuery::new(query, *boost));
            }
            if let Some(filter) = &part.filter {
                let filter = planner.plan(&crate::query::dsl::parse(filter)?)?;
                query = Box::new(BooleanQuery::new(vec![
                    (Occur::Must, query),
                    (Occur::Must, Box::new(ConstScoreQuery::new(filter, 0.0))),
                ]));
            }
            if let Some(slice) = self.request.slice {
                query = Box::new(BooleanQuery::new(vec![
                    (Occur::Must, query),
                    (Occur::Must, Box::new(ConstScoreQuery::new(super::slice::query(slice), 0.0))),
                ]));
            }
            planned.push(query);
        }
        let mut places = Vec::new();
        let (mut index, mut name) = (0, None);
        for (n, part) in view.parts.iter().enumerate() {
            if name.is_some_and(|name: &Arc<str>| *name != part.index_name) {
                index += 1;
            }
            name = Some(&part.index_name);
            for (ordinal, reader) in part.searcher.segment_readers().iter().enumerate() {
                let range = self.first_range(part, reader)?;
                places.push(Place { part: n, index, ordinal: ordinal as u32, reader, range });
            }
        }
        // Segments that hold the best documents come first, so that the others can be left out.
        if self.keys.first().is_some_and(|k| k.descending) {
            places.sort_by_key(|p| std::cmp::Reverse(p.range.map_or(i64::MAX, |r| r.1)));
        } else {
            places.sort_by_key(|p| p.range.map_or(i64::MIN, |r| r.0));
        }
        // Aggregations that see everything, whatever the query.
        let globals: Vec<bool> = self.request.aggs.iter().map(|a| matches!(a.kind, Kind::Global)).collect();
        for place in &places {
            if self.terminated || !self.budget.in_time() {
                break;
            }
            let part = &view.parts[place.part];
            let weight = self.weight(part, &planned[place.part])?;
            if self.may_skip() {
                self.count_and_take(place, part, &planned[place.part], weight.as_ref())?;
            } else {
                self.look_at_all(place, part, weight.as_ref(), &globals)?;
            }
        }
        Ok(())
    }

    /// The ends of the first sort key's dates in a segment.
    fn first_range(&self, part: &PartitionView, reader: &SegmentReader) -> Result<Option<(i64, i64)>, Refusal> {
        let Some(Key { by: By::Field(f), .. }) = self.keys.first() else { return Ok(None) };
        if self.wanted == 0 {
            return Ok(None);
        }
        let Some(column) = part.mapping.resolve(&f.name).and_then(|f| f.column) else { return Ok(None) };
        match &open_named(reader, &column)?[..] {
            [Values { column, kind: super::columns::Kind::Date }]
                if column.get_cardinality() == Cardinality::Full && column.num_docs() > 0 =>
            {
                let nanos = |raw| tantivy::columnar::MonotonicallyMappableToU64::from_u64(raw);
                let end = |d: tantivy::DateTime| d.into_timestamp_nanos();
                Ok(Some((end(nanos(column.min_value())), end(nanos(column.max_value())))))
            }
            _ => Ok(None),
        }
    }

    fn segment_top(&self, reader: &Reader) -> Result<SegmentTop, Refusal> {
        let after = self.after.as_ref().map(|values| reader.after(values)).transpose()?;
        Ok(SegmentTop::new(self.wanted, self.keys.len(), after))
    }

    /// Counts by what the index knows, and looks only at documents that may be among the best.
    fn count_and_take(
        &mut self,
        place: &Place,
        part: &PartitionView,
        planned: &Planned,
        weight: &dyn Weight,
    ) -> Result<(), Refusal> {
        let counting = match self.request.track {
            Track::No => false,
            Track::UpTo(n) => self.total <= n,
            Track::All => true,
        };
        if counting {
            self.total += u64::from(weight.count(place.reader)?);
        }
        if self.wanted == 0 {
            return Ok(());
        }
        let reader = Reader::open(&self.keys, part, place.index, place.reader, self.now)?;
        let mut top = self.segment_top(&reader)?;
        let max_doc = place.reader.max_doc();
        let descending = self.keys[0].descending;
        let mut until = max_doc;
        let mut bound: Option<i64> = None;
        if let Some((low, high)) = place.range {
            // What the segments before have found already.
            if let Some(Sorted::Date(worst)) = self.top.worst().and_then(|w| w.values.first()) {
                if descending && high < *worst || !descending && low > *worst {
                    return Ok(());
                }
                top.limit = reader.bound(&Sorted::Date(*worst)).unwrap_or(u64::MAX);
                bound = Some(*worst);
            }
            if max_doc > TAIL_FROM && self.after.is_none() && bound.is_none() {
                // Documents mostly come in the order of time: the newest are at the end, the oldest at the beginning.
                let tail = (max_doc / TAIL_SHARE).max(TAIL_FROM / 4);
                let (from, to) = if descending { (max_doc - tail, max_doc) } else { (0, tail) };
                self.blocks(place.reader, weight, from, to, |_, docs, scores| {
                    top.collect(&reader, docs, scores);
                    Ok(true)
                })?;
                top.shrink();
                if top.is_full()
                    && top.limit < u64::MAX
                    && let Some(value) = reader.values(&limit_keys(top.limit))?.first()
                    && let Sorted::Date(worst) = value
                {
                    bound = Some(*worst);
                }
                if descending {
                    until = from;
                } else {
                    return self.rest(place, part, planned, weight, reader, top, bound, to, max_doc);
                }
            }
        }
        self.rest(place, part, planned, weight, reader, top, bound, 0, until)
    }

    /// Takes from the documents `from..until`, only those on the right side of `bound` where there is one.
    #[expect(clippy::too_many_arguments, reason = "it is the second half of a function")]
    fn rest(
        &mut self,
        place: &Place,
        part: &PartitionView,
        planned: &Planned,
        weight: &dyn Weight,
        reader: Reader,
        mut top: SegmentTop,
        bound: Option<i64>,
        from: DocId,
        until: DocId,
    ) -> Result<(), Refusal> {
        let narrowed = match (bound, self.keys.first().map(|k| &k.by)) {
            (Some(nanos), Some(By::Field(f))) => {
                let column = part.mapping.resolve(&f.name).and_then(|f| f.column).unwrap_or_default();
                let end = Some((End::Nanos(i128::from(nanos)), true));
                let (low, high) = if self.keys[0].descending { (end, None) } else { (None, end) };
                let range: Planned = Box::new(ColumnRange { column, from: low, to: high });
                let both = BooleanQuery::intersection(vec![planned.box_clone(), range]);
                Some(self.weight(part, &(Box::new(both) as Planned))?)
            }
            _ => None,
        };
        let weight = narrowed.as_deref().unwrap_or(weight);
        self.blocks(place.reader, weight, from, until, |_, docs, scores| {
            top.collect(&reader, docs, scores);
            Ok(true)
        })?;
        let seq = open_named(place.reader, "_seq")?.into_iter().next();
        self.top.merge(top.finish(&self.keys, &reader, seq.as_ref(), place.part as u32, place.ordinal)?);
        Ok(())
    }

    /// Looks at every document that matches.
    fn look_at_all(
        &mut self,
        place: &Place,
        part: &PartitionView,
        weight: &dyn Weight,
        globals: &[bool],
    ) -> Result<(), Refusal> {
        let request = self.request;
        let planner = Planner::watched(part, self.now, &self.budget.watch);
        let segment = Segment {
            part,
            part_number: place.part as u32,
            index_number: place.index,
            ordinal: place.ordinal,
            reader: place.reader,
            planner: &planner,
            budget: self.budget,
            now: self.now,
        };
        let own: Vec<Agg> = request.aggs.iter().zip(globals).filter(|(_, g)| !**g).map(|(a, _)| a.clone()).collect();
        let mut collectors = Collectors::new(&own, &segment)?;
        let reader = Reader::open(&self.keys, part, place.index, place.reader, self.now)?;
        let mut top = self.segment_top(&reader)?;
        let mut filter: Option<Box<dyn Scorer>> = match &request.post_filter {
            None => None,
            Some(q) => {
                let weight = planner.plan(q)?.weight(EnableScoring::disabled_from_searcher(&part.searcher))?;
                Some(weight.scorer(place.reader, 1.0)?)
            }
        };
        let zeros = [0u32; COLLECT_BLOCK_BUFFER_LEN];
        let (mut total, mut seen, mut terminated) = (0, self.seen, false);
        let mut until = place.reader.max_doc();
        let only_counts = self.wanted == 0
            && !self.scores
            && filter.is_none()
            && request.terminate_after.is_none()
            && !globals.contains(&true);
        let living = u64::from(place.reader.num_docs());
        let takes_all = only_counts && weight.scorer(place.reader, 1.0)?.is::<AllScorer>();
        let name = || whole::name(&own, &part.mapping).map(Arc::from);
        let name = if takes_all { self.names.entry(place.part).or_insert_with(name).clone() } else { None };
        let kept = name.as_ref().and_then(|name| part.summaries.parts(place.reader, name));
        if takes_all && (kept.is_some() || collectors.count_all()) {
            total = living;
            until = 0;
        }
        self.blocks(place.reader, weight, 0, until, |_, mut docs, mut scores| {
            if let Some(most) = request.terminate_after {
                let left = most.saturating_sub(seen) as usize;
                if docs.len() >= left {
                    docs = &docs[..left];
                    scores = scores.map(|s| &s[..left]);
                    terminated = true;
                }
            }
            seen += docs.len() as u64;
            let given = Scores { docs: if scores.is_some() { docs } else { &[] }, scores: scores.unwrap_or(&[]) };
            collectors.collect(&zeros[..docs.len()], docs, given)?;
            match &mut filter {
                None => {
                    total += docs.len() as u64;
                    top.collect(&reader, docs, scores);
                }
                Some(filter) => {
                    for (i, doc) in docs.iter().enumerate() {
                        let at = if filter.doc() < *doc { filter.seek(*doc) } else { filter.doc() };
                        if at == *doc {
                            total += 1;
                            top.collect(&reader, &docs[i..=i], scores.map(|s| &s[i..=i]));
                        }
                    }
                }
            }
            Ok(!terminated)
        })?;
        self.seen = seen;
        self.terminated |= terminated;
        self.total += total;
        let parts = match kept {
            Some(kept) => {
                self.budget.charge(kept.iter().filter_map(Partial::heap).sum())?;
                kept.to_vec()
            }
            None => collectors.finish(1)?.pop().unwrap_or_default(),
        };
        if let Some(name) = &name
            && total == living
        {
            part.summaries.keep(place.reader, name, &parts);
        }
        let mut parts = parts.into_iter();
        let mut global_parts = Vec::new();
        if globals.contains(&true) {
            let all: Vec<Agg> = request.aggs.iter().zip(globals).filter(|(_, g)| **g).map(|(a, _)| a.clone()).collect();
            let mut collectors = Collectors::new(&all, &segment)?;
            let everything = part.planned_only(self.now)?.unwrap_or_else(|| Box::new(tantivy::query::AllQuery));
            let weight = everything.weight(EnableScoring::disabled_from_searcher(&part.searcher))?;
            self.blocks(place.reader, weight.as_ref(), 0, place.reader.max_doc(), |_, docs, _| {
                collectors.collect(&zeros[..docs.len()], docs, Scores::default())?;
                Ok(true)
            })?;
            global_parts = collectors.finish(1)?.pop().unwrap_or_default();
        }
        let mut global_parts = global_parts.into_iter();
        let merged: Vec<Partial> =
            globals.iter().map(|g| if *g { global_parts.next() } else { parts.next() }.unwrap_or_default()).collect();
        if self.aggs.is_empty() {
            self.aggs = merged;
        } else {
            self.aggs.iter_mut().zip(merged).for_each(|(a, b)| a.merge(b));
        }
        let seq = open_named(place.reader, "_seq")?.into_iter().next();
        self.top.merge(top.finish(&self.keys, &reader, seq.as_ref(), place.part as u32, place.ordinal)?);
        Ok(())
    }

    /// Hands on the living documents `from..until` of a query, in blocks, with scores where they are made, until `see`
    /// says no or the time is over.
    fn blocks(
        &self,
        reader: &SegmentReader,
        weight: &dyn Weight,
        from: DocId,
        until: DocId,
        mut see: impl FnMut(usize, &[DocId], Option<&[f32]>) -> Result<bool, Refusal>,
    ) -> Result<(), Refusal> {
        if from >= until {
            return Ok(());
        }
        let mut docs = weight.scorer(reader, 1.0)?;
        if docs.doc() < from {
            docs.seek(from);
        }
        let alive = reader.alive_bitset();
        let mut buffer = [0; COLLECT_BLOCK_BUFFER_LEN];
        let mut scores = [0.0; COLLECT_BLOCK_BUFFER_LEN];
        let mut block = 0;
        loop {
            let mut n = 0;
            if self.scores {
                while n < buffer.len() && docs.doc() < until && docs.doc() != TERMINATED {
                    if alive.is_none_or(|a| a.is_alive(docs.doc())) {
                        buffer[n] = docs.doc();
                        scores[n] = docs.score();
                        n += usize::from(self.request.min_score.is_none_or(|least| scores[n] >= least));
                    }
                    docs.advance();
                }
                if n == 0 {
                    return Ok(());
                }
            } else {
                n = docs.fill_buffer(&mut buffer);
                if n == 0 || buffer[0] >= until {
                    return Ok(());
                }
                if buffer[n - 1] >= until {
                    n = buffer[..n].partition_point(|d| *d < until);
                }
                if let Some(alive) = alive {
                    let mut kept = 0;
                    for i in 0..n {
                        if alive.is_alive(buffer[i]) {
                            buffer[kept] = buffer[i];
                            kept += 1;
                        }
                    }
                    n = kept;
                }
            }
            if n > 0 && !see(block, &buffer[..n], self.scores.then_some(&scores[..n]))? {
                return Ok(());
            }
            block += 1;
            if block % BLOCKS_PER_LOOK == 0 && !self.budget.in_time() {
                return Ok(());
            }
        }
    }

    fn finish(self, typed: bool) -> Result<Outcome, Refusal> {
        self.budget.watch.check()?;
        // As Elasticsearch: where no index was searched, there is nothing to aggregate.
        let aggs = if self.request.aggs.is_empty() || self.view.parts.is_empty() {
            None
        } else {
            let mut parts = self.aggs;
            parts.resize_with(self.request.aggs.len(), Partial::default);
            let env = render::Env { view: self.view, now: self.now, limit: self.budget.buckets, made: Cell::new(0) };
            Some(render::answer(&self.request.aggs, parts, &env, typed)?)
        };
        let (total, more) = match self.request.track {
            Track::No => (None, false),
            Track::All => (Some(self.total), false),
            Track::UpTo(n) if self.total > n => (Some(n), true),
            Track::UpTo(_) => (Some(self.total), false),
        };
        let terminated = self.request.terminate_after.map(|_| self.terminated);
        Ok(Outcome { total, more, top: self.top, aggs, timed_out: self.budget.timed_out(), terminated })
    }
}

fn limit_keys(first: u64) -> [u64; sort::MAX_KEYS] {
    let mut keys = [0; sort::MAX_KEYS];
    keys[0] = first;
    keys
}

/// Whether an aggregation looks at scores.
fn scored(agg: &Agg) -> bool {
    match &agg.kind {
        Kind::TopHits(options) => match options.get("sort") {
            None => true,
            Some(s) => s.to_string().contains("_score") || options.get("track_scores") == Some(&Value::Bool(true)),
        },
        _ => agg.subs.iter().any(scored),
    }
}
