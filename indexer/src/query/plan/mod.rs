//! From a [`Query`] to what tantivy runs over one partition, through that partition's mapping.
//!
//! Which files do what: [`exact`](self) queries on whole values, `words` the match family, `text` the query languages;
//! [`scan`], [`column_range`] and [`pattern`] are the tantivy queries of our own beneath them.

pub mod column_range;
mod doc_list;
mod exact;
mod excluded;
mod lowered;
pub mod pattern;
pub mod scan;
pub mod terms;
mod text;
mod verified;
mod words;

pub use words::{analyze, compounds, tokens};

use std::cell::Cell;
use std::sync::Arc;

use tantivy::query::{
    AllQuery, BooleanQuery, BoostQuery, ConstScoreQuery, DisjunctionMaxQuery, EmptyQuery, Occur, Query as Tantivy,
};

use super::ast::{Bool, Kind, MAX_CLAUSES, Query};
use super::refusal::Refusal;
use super::watch::Watch;
use crate::store::PartitionView;
use crate::time::Nanos;

/// A tantivy query.
pub type Planned = Box<dyn Tantivy>;

/// Plans queries for one partition.
pub struct Planner<'a> {
    part: &'a PartitionView,
    /// What `now` means, the same for all partitions of a search.
    now: Nanos,
    clauses: Cell<usize>,
    /// Whether unique words of `message` have stand-ins in this partition.
    stand_ins: bool,
    /// What its queries look at while they run.
    watch: Arc<Watch>,
}

impl<'a> Planner<'a> {
    /// A planner for a partition, of queries that have the time of a search.
    pub fn new(part: &'a PartitionView, now: Nanos) -> Planner<'a> {
        Planner::watched(part, now, &Arc::new(Watch::new(crate::search::budget::TIME_MAX)))
    }

    /// The same for a search that has begun.
    pub fn watched(part: &'a PartitionView, now: Nanos, watch: &Arc<Watch>) -> Planner<'a> {
        let stand_ins = part.searcher.schema().get_field("_unique").is_ok();
        Planner { part, now, clauses: Cell::new(0), stand_ins, watch: Arc::clone(watch) }
    }

    /// Plans a query.
    pub fn plan(&self, query: &Query) -> Result<Planned, Refusal> {
        let planned = self.kind(&query.kind)?;
        Ok(boosted(planned, query.boost))
    }

    /// Counts clauses that grew out of patterns and words; refuses too many.
    fn spend(&self, clauses: usize) -> Result<(), Refusal> {
        self.clauses.set(self.clauses.get() + clauses);
        if self.clauses.get() > MAX_CLAUSES {
            return Err(Refusal::shard(format!(
                "field expansion matches too many fields or terms, limit: {MAX_CLAUSES}, got: {}",
                self.clauses.get()
            )));
        }
        Ok(())
    }

    /// Refuses a regular expression that is longer than the index allows.
    fn check_regex(&self, regex: &str) -> Result<(), Refusal> {
        let (chars, most) = (regex.chars().count(), self.part.mapping.limits.regex_chars);
        if chars <= most {
            return Ok(());
        }
        Err(Refusal::shard_argument(format!(
            "The length of regex [{chars}] used in the Regexp Query request has exceeded the allowed maximum of [{most}]. \
             This maximum can be set by changing the [index.max_regex_length] index level setting."
        )))
    }

    fn kind(&self, kind: &Kind) -> Result<Planned, Refusal> {
        Ok(match kind {
            Kind::MatchAll => Box::new(AllQuery),
            Kind::MatchNone => Box::new(EmptyQuery),
            Kind::Match { field, text } => self.match_field(field, text)?,
            Kind::Phrase { field, text } => self.phrase_field(field, text)?,
            Kind::PhrasePrefix { field, text } => self.phrase_prefix_field(field, text)?,
            Kind::BoolPrefix { field, text } => self.bool_prefix_field(field, text)?,
            Kind::MultiMatch { fields, style, tie_breaker, text } => {
                self.multi_match(fields, *style, *tie_breaker, text)?
            }
            Kind::Term { field, value, any_case } => self.term(field, value, *any_case)?,
            Kind::Terms { field, values } => self.terms(field, values)?,
            Kind::TermsLookup { .. } => return Err(Refusal::unsupported("[terms] lookup in this place")),
            Kind::TermsSet { field, values, required } => self.terms_set(field, values, required)?,
            Kind::Range(range) => self.range(range)?,
            Kind::Exists { field } => self.exists(field)?,
            Kind::Prefix { field, value, any_case } => self.pattern(field, pattern::prefix(value, *any_case)?)?,
            Kind::Wildcard { field, value, any_case } => self.pattern(field, pattern::wildcard(value, *any_case)?)?,
            Kind::Regexp { field, value, any_case } => {
                self.check_regex(value)?;
                self.pattern(field, pattern::lucene(value, *any_case)?)?
            }
            Kind::Fuzzy { field, value, fuzz } => self.fuzzy(field, &terms::as_text(value), fuzz)?,
            Kind::Ids(ids) => self.ids(ids)?,
            Kind::Bool(b) => self.bool_(b)?,
            Kind::ConstantScore(q) => Box::new(ConstScoreQuery::new(self.plan(q)?, 1.0)),
            Kind::DisMax { queries, tie_breaker } => {
                let queries = queries.iter().map(|q| self.plan(q)).collect::<Result<Vec<_>, _>>()?;
                best_of(queries, *tie_breaker)
            }
            Kind::Boosting { positive, negative, negative_boost } => {
                Box::new(lowered::Lowered::new(self.plan(positive)?, self.plan(negative)?, *negative_boost))
            }
            Kind::Nested(q) => self.plan(q)?,
            Kind::Text(text) => self.text(text)?,
        })
    }

    fn bool_(&self, b: &Bool) -> Result<Planned, Refusal> {
        let mut clauses: Vec<(Occur, Planned)> = Vec::new();
        for q in &b.must {
            clauses.push((Occur::Must, self.plan(q)?));
        }
        for q in &b.filter {
            clauses.push((Occur::Must, Box::new(ConstScoreQuery::new(self.plan(q)?, 0.0))));
        }
        for q in &b.should {
            clauses.push((Occur::Should, self.plan(q)?));
        }
        for q in &b.must_not {
            clauses.push((Occur::MustNot, self.plan(q)?));
        }
        let optional = !b.must.is_empty() || !b.filter.is_empty();
        let asked = b.minimum.as_ref().map_or(0, |m| m.of(b.should.len()));
        let minimum = if b.should.is_empty() || optional { asked } else { asked.max(1) };
        Ok(combine(clauses, b.should.len(), minimum))
    }
}

/// Puts clauses together: `minimum` of the `shoulds` must match.
fn combine(mut clauses: Vec<(Occur, Planned)>, shoulds: usize, minimum: usize) -> Planned {
    if minimum > shoulds {
        return Box::new(EmptyQuery);
    }
    if clauses.is_empty() {
        return Box::new(AllQuery);
    }
    for (occur, query) in &mut clauses {
        if *occur == Occur::MustNot {
            *query = Box::new(excluded::Excluded(query.box_clone()));
        }
    }
    if clauses.iter().all(|(occur, _)| *occur == Occur::MustNot) {
        clauses.push((Occur::Must, Box::new(ConstScoreQuery::new(Box::new(AllQuery), 0.0))));
    }
    if clauses.len() == 1 && clauses[0].0 != Occur::MustNot && (clauses[0].0 == Occur::Must || minimum == 1) {
        return clauses.remove(0).1;
    }
    if minimum > 1 && minimum == shoulds {
        for clause in &mut clauses {
            if clause.0 == Occur::Should {
                clause.0 = Occur::Must;
            }
        }
        return Box::new(BooleanQuery::from(clauses));
    }
    Box::new(BooleanQuery::with_minimum_required_clauses(clauses, minimum))
}

/// Any of these.
fn any_of(mut queries: Vec<Planned>) -> Planned {
    match queries.len() {
        0 => Box::new(EmptyQuery),
        1 => queries.remove(0),
        n => combine(queries.into_iter().map(|q| (Occur::Should, q)).collect(), n, 1),
    }
}

/// Any of these, scored as the best of them.
fn best_of(mut queries: Vec<Planned>, tie_breaker: f32) -> Planned {
    match queries.len() {
        0 => Box::new(EmptyQuery),
        1 => queries.remove(0),
        _ => Box::new(DisjunctionMaxQuery::with_tie_breaker(queries, tie_breaker)),
    }
}

fn boosted(query: Planned, boost: f32) -> Planned {
    if boost == 1.0 { query } else { Box::new(BoostQuery::new(query, boost)) }
}

fn constant(query: Planned) -> Planned {
    Box::new(ConstScoreQuery::new(query, 1.0))
}
