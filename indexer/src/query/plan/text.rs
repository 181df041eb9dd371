//! Planning what the text languages say.

use tantivy::query::{AllQuery, EmptyQuery, Occur};

use super::{Planned, Planner, any_of, best_of, boosted, combine, pattern};
use crate::mapping::{EsType, FieldRef};
use crate::query::ast::{self, Node, Range, Style, Text, TextQuery};
use crate::query::lucene::unescape;
use crate::query::refusal::Refusal;

impl Planner<'_> {
    pub(super) fn text(&self, q: &TextQuery) -> Result<Planned, Refusal> {
        self.node(q, &q.node, None, true)
    }

    /// Plans a node. `named` are the fields that the text names around it.
    fn node(&self, q: &TextQuery, node: &Node, named: Option<&[(String, f32)]>, top: bool) -> Result<Planned, Refusal> {
        let fields = named.unwrap_or(&q.fields);
        Ok(match node {
            Node::All => Box::new(AllQuery),
            Node::Nothing => Box::new(EmptyQuery),
            Node::Field(name, inner) => self.node(q, inner, Some(&[(name.clone(), 1.0)]), top)?,
            Node::Boosted(inner, boost) => boosted(self.node(q, inner, named, top)?, *boost),
            Node::Exists(name) => self.exists_any(name)?,
            Node::Group(clauses) => {
                let mut planned = Vec::with_capacity(clauses.len());
                for (occur, inner) in clauses {
                    let occur = match occur {
                        ast::Occur::Must => Occur::Must,
                        ast::Occur::Should => Occur::Should,
                        ast::Occur::MustNot => Occur::MustNot,
                    };
                    planned.push((occur, self.node(q, inner, named, false)?));
                }
                let shoulds = planned.iter().filter(|(o, _)| *o == Occur::Should).count();
                let musts = planned.iter().any(|(o, _)| *o == Occur::Must);
                let asked = q.minimum.as_ref().filter(|_| top).map_or(0, |m| m.of(shoulds));
                let minimum = if shoulds > 0 && !musts { asked.max(1) } else { asked.min(shoulds) };
                combine(planned, shoulds, minimum)
            }
            Node::Words(words) => {
                if let Some(name) = meta_field(fields) {
                    return self.term(name, &words.clone().into(), false);
                }
                let mut text = self.text_of(q, words, fields);
                if top {
                    text.minimum.clone_from(&q.minimum);
                }
                let found = self.expand(fields)?;
                let style = if q.style == Style::PhrasePrefix { Style::PhrasePrefix } else { q.style };
                self.over_fields(&found, style, q.tie_breaker, &text)?
            }
            Node::Phrase(words, slop) => {
                if let Some(name) = meta_field(fields) {
                    return self.term(name, &words.clone().into(), false);
                }
                let mut text = self.text_of(q, words, fields);
                text.slop = slop.unwrap_or(q.phrase_slop);
                self.over_fields(&self.expand(fields)?, Style::Phrase, q.tie_breaker, &text)?
            }
            Node::PhrasePrefix(words) => {
                let text = self.text_of(q, words, fields);
                self.over_fields(&self.expand(fields)?, Style::PhrasePrefix, q.tie_breaker, &text)?
            }
            Node::Wildcard(w) if w == "*" => {
                if fields.iter().any(|(f, _)| f == "*") {
                    return Ok(Box::new(AllQuery));
                }
                let each = fields.iter().map(|(name, _)| self.exists_any(name));
                any_of(each.collect::<Result<Vec<_>, _>>()?)
            }
            Node::Wildcard(w) => {
                if let Some(name) = meta_field(fields) {
                    return self.pattern(name, pattern::wildcard(w, false)?);
                }
                self.each(q, fields, |field| {
                    let w = if field.es_type == EsType::Text { w.to_lowercase() } else { w.clone() };
                    self.pattern_in(field, pattern::wildcard(&w, false)?)
                })?
            }
            Node::Regex(r) => {
                self.check_regex(r)?;
                self.each(q, fields, |field| self.pattern_in(field, pattern::lucene(r, false)?))?
            }
            Node::Fuzzy(word, edits) => self.each(q, fields, |field| {
                let mut fuzz = q.fuzz.clone();
                fuzz.edits = edits.unwrap_or(fuzz.edits);
                let word = if field.es_type == EsType::Text { word.to_lowercase() } else { word.clone() };
                self.fuzzy_in(field, &word, &fuzz)
            })?,
            Node::Range { from, to } => self.each(q, fields, |field| {
                let end = |e: &Option<(String, bool)>| e.as_ref().map(|(v, c)| (v.clone().into(), *c));
                let time_zone = q.time_zone.clone().filter(|_| field.es_type == EsType::Date);
                let lower = |e: Option<(serde_json::Value, bool)>| match (field.es_type, e) {
                    (EsType::Text, Some((v, c))) => Some((v.as_str().unwrap_or_default().to_lowercase().into(), c)),
                    (_, e) => e,
                };
                let range = Range {
                    field: field.path.to_string(),
                    from: lower(end(from)),
                    to: lower(end(to)),
                    format: None,
                    time_zone,
                    lenient: false,
                };
                self.range_in(field, &range)
            })?,
        })
    }

    fn text_of(&self, q: &TextQuery, words: &str, fields: &[(String, f32)]) -> Text {
        let patterns = fields.iter().any(|(n, _)| n.contains('*'));
        Text {
            all: q.all,
            lenient: q.lenient || patterns,
            analyzer: q.analyzer.clone(),
            ..Text::new(words.to_string())
        }
    }

    /// The same asked of each field, scored as the best.
    fn each(
        &self,
        q: &TextQuery,
        fields: &[(String, f32)],
        ask: impl Fn(&FieldRef) -> Result<Planned, Refusal>,
    ) -> Result<Planned, Refusal> {
        let lenient = q.lenient || fields.iter().any(|(n, _)| n.contains('*'));
        let mut planned = Vec::new();
        for (field, boost) in self.expand(fields)? {
            match ask(&field) {
                Ok(p) => planned.push(boosted(p, boost)),
                Err(e) if lenient && e.on_shard => {}
                Err(e) => return Err(e),
            }
        }
        Ok(Self::flat(best_of(planned, q.tie_breaker.unwrap_or(0.0))))
    }

    /// `field:*`, where the field may be a pattern.
    fn exists_any(&self, name: &str) -> Result<Planned, Refusal> {
        if !name.contains('*') {
            return self.exists(&unescape(name));
        }
        let fields = self.part.mapping.matching(name);
        self.spend(fields.len())?;
        any_existing(fields.iter().map(|f| self.exists(&f.path)))
    }
}

fn any_existing(each: impl Iterator<Item = Result<Planned, Refusal>>) -> Result<Planned, Refusal> {
    Ok(any_of(each.collect::<Result<Vec<_>, _>>()?))
}

/// The one field, when it is one that no mapping knows.
fn meta_field(fields: &[(String, f32)]) -> Option<&str> {
    match fields {
        [(name, _)] if matches!(name.as_str(), "_id" | "_index" | "_type" | "_ignored" | "_seq_no" | "_routing") => {
            Some(name)
        }
        _ => None,
    }
}
