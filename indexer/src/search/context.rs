//! The lines around one: of the same source, or of the same container, in the order of its file; else in the order of
//! arrival.

use std::collections::HashSet;

use tantivy::collector::DocSetCollector;
use tantivy::query::{EnableScoring, Query as _, TermQuery};
use tantivy::schema::IndexRecordOption;
use tantivy::{DocAddress, DocSet, TERMINATED, Term};

use super::columns::open_named;
use super::source::leaves;
use super::top::Found;
use crate::query::ast::Kind;
use crate::query::plan::Planner;
use crate::query::{Query, Refusal};
use crate::store::{PartitionView, View};
use crate::time::now;

/// The lines before and after one, oldest first, with the line itself between them.
pub struct Around {
    /// Before it.
    pub before: Vec<Found>,
    /// It.
    pub line: Found,
    /// After it.
    pub after: Vec<Found>,
}

/// The documents of a partition that this view shows, when it does not show all of them.
struct Allowed(HashSet<DocAddress>);

impl Allowed {
    fn open(part: &PartitionView) -> Result<Option<Self>, Refusal> {
        let Some(only) = part.planned_only(now())? else { return Ok(None) };
        Ok(Some(Self(part.searcher.search(&only, &DocSetCollector)?)))
    }

    fn has(&self, address: DocAddress) -> bool {
        self.0.contains(&address)
    }
}

type Place = ((u64, u64), u32, DocAddress);

/// Finds the lines around the one with this id; `None` when there is none. `within` is the field whose value the lines
/// share: positions are comparable over all sources of one file, so that `container.id` puts both streams of a container
/// into their order. Without it, or where the line has no such field, it is the source.
pub fn around(
    view: &View,
    id: &str,
    within: Option<&str>,
    before: usize,
    after: usize,
) -> Result<Option<Around>, Refusal> {
    let mut middle = None;
    for (n, part) in view.parts.iter().enumerate() {
        if let Some(address) = part.find_ids(&[id])?.first() {
            middle = Some((n, *address));
        }
    }
    let Some((home, address)) = middle else { return Ok(None) };
    let part = &view.parts[home];
    if !Allowed::open(part)?.is_none_or(|allowed| allowed.has(address)) {
        return Ok(None);
    }
    let reader = part.searcher.segment_reader(address.segment_ord);
    let value = |column: &str| -> Result<Option<u64>, Refusal> {
        Ok(open_named(reader, column)?.first().and_then(|c| c.column.first(address.doc_id)))
    };
    let (source, seq) = (value("_src")?, value("_seq")?.unwrap_or(0));
    let at = match source {
        Some(_) => (value("_pos")?.unwrap_or(0), value("_sub")?.unwrap_or(0)),
        None => (seq, 0),
    };
    let shared = match within.filter(|_| source.is_some()) {
        Some(field) => {
            let line: serde_json::Value =
                serde_json::from_str(&part.source(address)?).map_err(|e| Refusal::internal(e.to_string()))?;
            let mut value = None;
            leaves(&line, &mut String::new(), &mut |path, leaf| {
                if value.is_none() && path == field {
                    value = Some(leaf.clone());
                }
            });
            value.map(|value| Query::from(Kind::Term { field: field.to_owned(), value, any_case: false }))
        }
        None => None,
    };
    // The nearest of each side so far; the farthest goes when there are too many.
    let (mut left, mut right): (std::collections::BTreeSet<Place>, std::collections::BTreeSet<Place>) =
        Default::default();
    for (n, part) in view.parts.iter().enumerate() {
        if part.index_name != view.parts[home].index_name {
            continue;
        }
        let allowed = Allowed::open(part)?;
        for (ordinal, reader) in part.searcher.segment_readers().iter().enumerate() {
            let key = open_named(reader, if source.is_some() { "_pos" } else { "_seq" })?;
            let Some(key) = key.first() else { continue };
            let sub = open_named(reader, "_sub")?;
            let mut see = |doc: u32| {
                let Some(position) = key.column.first(doc) else { return };
                let sub = if source.is_some() { sub.first().and_then(|s| s.column.first(doc)).unwrap_or(0) } else { 0 };
                let address = DocAddress::new(ordinal as u32, doc);
                if !allowed.as_ref().is_none_or(|allowed| allowed.has(address)) {
                    return;
                }
                let place = ((position, sub), n as u32, address);
                if place.0 < at {
                    left.insert(place);
                    if left.len() > before {
                        left.pop_first();
                    }
                } else if place.0 > at {
                    right.insert(place);
                    if right.len() > after {
                        right.pop_last();
                    }
                }
            };
            let alive = reader.alive_bitset();
            match source {
                Some(source) => {
                    let scoring = EnableScoring::disabled_from_searcher(&part.searcher);
                    let weight = match &shared {
                        Some(query) => Planner::new(part, now()).plan(query)?.weight(scoring)?,
                        None => {
                            let term = Term::from_field_u64(part.fields.src, source);
                            TermQuery::new(term, IndexRecordOption::Basic).weight(scoring)?
                        }
                    };
                    let mut docs = weight.scorer(reader, 1.0)?;
                    while docs.doc() != TERMINATED {
                        if alive.is_none_or(|a| a.is_alive(docs.doc())) {
                            see(docs.doc());
                        }
                        docs.advance();
                    }
                }
                None => reader.doc_ids_alive().for_each(see),
            }
        }
    }
    let found = |(_, part, address): Place| Found { part, address, values: Vec::new(), score: 0.0, seq: 0 };
    Ok(Some(Around {
        before: left.into_iter().map(found).collect(),
        line: Found { part: home as u32, address, values: Vec::new(), score: 0.0, seq },
        after: right.into_iter().map(found).collect(),
    }))
}
