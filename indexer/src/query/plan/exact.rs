//! Queries on whole values: term, terms, range, exists, patterns, ids.

use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use serde_json::Value;
use tantivy::Term;
use tantivy::query::{AllQuery, BooleanQuery, EmptyQuery, ExistsQuery, FuzzyTermQuery, Occur, TermQuery, TermSetQuery};
use tantivy::schema::IndexRecordOption;

use super::column_range::{ColumnRange, End};
use super::doc_list::DocList;
use super::pattern::{self, Pattern};
use super::scan::{Matcher, Scan};
use super::{Planned, Planner, any_of, combine, constant, terms};
use crate::mapping::{EsType, FieldRef, Place, wildcard};
use crate::query::ast::{Fuzz, Range, Required};
use crate::query::refusal::Refusal;
use crate::schema::{KEYWORDS, NO_MESSAGE, ROUTING};
use crate::time::format::{DEFAULT_FORMAT, DateFormat};
use crate::time::zone::Zone;
use crate::time::{NANOS_PER_MILLI, math, to_millis};

/// Up to so many terms are a union of posting lists, which is lazy; more become one bitset.
const UNION_TERMS_MAX: usize = 16;

/// A term whose frequency does not count.
pub(super) fn term_query(term: Term) -> Planned {
    Box::new(TermQuery::new(term, IndexRecordOption::Basic))
}

impl Planner<'_> {
    /// Where whole values of a field are: exact terms, else words.
    fn exact_place(field: &FieldRef) -> Option<&Place> {
        match field.es_type {
            EsType::Text => field.text.as_ref(),
            _ => field.exact.as_ref(),
        }
    }

    pub(super) fn term(&self, name: &str, value: &Value, any_case: bool) -> Result<Planned, Refusal> {
        if let Some(planned) = self.meta(name, std::slice::from_ref(value))? {
            return Ok(planned);
        }
        let Some(field) = self.part.mapping.resolve(name) else { return Ok(Box::new(EmptyQuery)) };
        self.term_in(&field, value, any_case)
    }

    /// Refuses a field that is kept in `_source` only.
    pub(super) fn searchable(field: &FieldRef) -> Result<(), Refusal> {
        if field.indexed {
            return Ok(());
        }
        Err(Refusal::shard(format!("Cannot search on field [{}] since it is not indexed.", field.path)))
    }

    /// A value as the field's terms spell it.
    fn spelled(field: &FieldRef, value: &Value) -> String {
        let text = terms::as_text(value);
        if field.lowercase { text.to_lowercase() } else { text }
    }

    pub(super) fn term_in(&self, field: &FieldRef, value: &Value, any_case: bool) -> Result<Planned, Refusal> {
        Self::searchable(field)?;
        let place = Self::exact_place(field);
        match field.es_type {
            EsType::Object => Ok(Box::new(EmptyQuery)),
            EsType::Text | EsType::Keyword => {
                let Some(place) = place else { return Ok(Box::new(EmptyQuery)) };
                let text = Self::spelled(field, value);
                if any_case {
                    return Ok(self.scan(place, pattern::same(&text)?));
                }
                if field.es_type == EsType::Text
                    && let Some(phrase) = self.compound(place, &text)
                {
                    return Ok(constant(phrase));
                }
                Ok(self.word(place, &text, IndexRecordOption::Basic))
            }
            EsType::Ip => {
                let Some(place) = place else { return Ok(Box::new(EmptyQuery)) };
                let text = terms::as_text(value);
                let (low, high) = terms::network(&text)
                    .ok_or_else(|| Refusal::shard_argument(format!("'{text}' is not an IP string literal.")))?;
                if low == high && !text.contains([':', '/']) {
                    return Ok(term_query(terms::text(place, &text)));
                }
                Ok(self.scan(place, Pattern { prefix: String::new(), matcher: Some(terms::between(low, high)) }))
            }
            EsType::Long | EsType::Double => {
                let (number, whole) = terms::as_number(value)?;
                if field.es_type == EsType::Long && whole.is_none() {
                    return Ok(Box::new(EmptyQuery));
                }
                match place {
                    Some(place) => {
                        Ok(any_of(terms::number(place, number, whole).into_iter().map(term_query).collect()))
                    }
                    None => {
                        let end = Some((whole.map_or(End::Float(number), End::Int), true));
                        Ok(self.column(field, end, end))
                    }
                }
            }
            EsType::Boolean => {
                let value = terms::as_bool(value)?;
                match place {
                    Some(place) => Ok(term_query(terms::boolean(place, value))),
                    None => Ok(Box::new(EmptyQuery)),
                }
            }
            EsType::Date => {
                let range = Range {
                    field: field.path.to_string(),
                    from: Some((value.clone(), true)),
                    to: Some((value.clone(), true)),
                    ..Range::default()
                };
                self.range_in(field, &range)
            }
        }
    }

    fn column(&self, field: &FieldRef, from: Option<(End, bool)>, to: Option<(End, bool)>) -> Planned {
        match &field.column {
            Some(column) => Box::new(ColumnRange { column: column.clone(), from, to }),
            None => Box::new(EmptyQuery),
        }
    }

    pub(super) fn terms(&self, name: &str, values: &[Value]) -> Result<Planned, Refusal> {
        if let Some(planned) = self.meta(name, values)? {
            return Ok(planned);
        }
        let Some(field) = self.part.mapping.resolve(name) else { return Ok(Box::new(EmptyQuery)) };
        let most = self.part.mapping.limits.terms;
        if values.len() > most {
            return Err(Refusal::shard_argument(format!(
                "The number of terms [{}] used in the Terms Query request has exceeded the allowed maximum of [{most}]. \
                 This maximum can be set by changing the [index.max_terms_count] index level setting.",
                values.len()
            )));
        }
        Self::searchable(&field)?;
        let texts = field.es_type == EsType::Keyword;
        if values.len() > UNION_TERMS_MAX && texts {
            let Some(place) = Self::exact_place(&field) else { return Ok(Box::new(EmptyQuery)) };
            let list = values.iter().map(|v| terms::text(place, &Self::spelled(&field, v)));
            return Ok(constant(Box::new(TermSetQuery::new(list))));
        }
        if values.len() > UNION_TERMS_MAX
            && matches!(field.es_type, EsType::Long | EsType::Double)
            && let Some(place) = Self::exact_place(&field)
        {
            let mut list = Vec::new();
            for v in values {
                let (number, whole) = terms::as_number(v)?;
                list.extend(terms::number(place, number, whole));
            }
            return Ok(constant(Box::new(TermSetQuery::new(list))));
        }
        let queries = values.iter().map(|v| self.term_in(&field, v, false)).collect::<Result<Vec<_>, _>>()?;
        Ok(constant(any_of(queries)))
    }

    pub(super) fn terms_set(&self, name: &str, values: &[Value], required: &Required) -> Result<Planned, Refusal> {
        let Some(field) = self.part.mapping.resolve(name) else { return Ok(Box::new(EmptyQuery)) };
        let queries = values.iter().map(|v| self.term_in(&field, v, false)).collect::<Result<Vec<_>, _>>()?;
        let n = queries.len();
        let should =
            |queries: &[Planned]| -> Vec<_> { queries.iter().map(|q| (Occur::Should, q.box_clone())).collect() };
        match required {
            Required::Minimum(m) => Ok(combine(should(&queries), n, m.of(n).max(1))),
            Required::Field(by) => {
                let Some(by) = self.part.mapping.resolve(by) else { return Ok(Box::new(EmptyQuery)) };
                self.spend(n * n)?;
                // For each possible number k: documents that ask for k and have at least k.
                let mut cases: Vec<Planned> = Vec::new();
                for k in 1..=n {
                    let end = Some((End::Int(k as i128), true));
                    let asks = self.column(&by, end, end);
                    let has = combine(should(&queries), n, k);
                    cases.push(Box::new(BooleanQuery::intersection(vec![asks, has])));
                }
                Ok(any_of(cases))
            }
        }
    }

    /// Fields that are not in a mapping: `_id`, `_index`, `_ignored`, `_seq_no`.
    fn meta(&self, name: &str, values: &[Value]) -> Result<Option<Planned>, Refusal> {
        let texts = || values.iter().map(terms::as_text);
        Ok(Some(match name {
            "_id" => self.ids(&texts().collect::<Vec<_>>())?,
            "_index" => self.whole(texts().any(|t| t == *self.part.index_name || wildcard(&t, &self.part.index_name))),
            "_ignored" => {
                any_of(texts().map(|t| term_query(Term::from_field_text(self.part.fields.ignored, &t))).collect())
            }
            "_type" => self.whole(texts().any(|t| t == "_doc")),
            "_routing" => {
                let place = Place { field: self.part.fields.kw, path: Some(ROUTING.into()) };
                constant(any_of(texts().map(|t| term_query(terms::text(&place, &t))).collect()))
            }
            "_seq_no" => {
                let mut list: Vec<Planned> = Vec::new();
                for v in values {
                    let n = terms::as_number(v)?.1.unwrap_or(-1);
                    let end = Some((End::Int(n), true));
                    list.push(Box::new(ColumnRange { column: "_seq".into(), from: end, to: end }));
                }
                any_of(list)
            }
            _ => return Ok(None),
        }))
    }

    fn whole(&self, all: bool) -> Planned {
        if all { Box::new(AllQuery) } else { Box::new(EmptyQuery) }
    }

    pub(super) fn ids(&self, ids: &[String]) -> Result<Planned, Refusal> {
        let list: Vec<&str> = ids.iter().map(String::as_str).collect();
        let found = self.part.find_ids(&list)?;
        Ok(Box::new(DocList::new(&self.part.searcher, &found)))
    }

    pub(super) fn range(&self, range: &Range) -> Result<Planned, Refusal> {
        if range.field == "_seq_no" {
            let end = |e: &Option<(Value, bool)>| -> Result<Option<(End, bool)>, Refusal> {
                e.as_ref().map(|(v, c)| Ok((number_end(v)?, *c))).transpose()
            };
            return Ok(Box::new(ColumnRange { column: "_seq".into(), from: end(&range.from)?, to: end(&range.to)? }));
        }
        let Some(field) = self.part.mapping.resolve(&range.field) else { return Ok(Box::new(EmptyQuery)) };
        match self.range_in(&field, range) {
            Err(_) if range.lenient => Ok(Box::new(EmptyQuery)),
            planned => planned,
        }
    }

    pub(super) fn range_in(&self, field: &FieldRef, range: &Range) -> Result<Planned, Refusal> {
        if range.time_zone.is_some() && field.es_type != EsType::Date {
            return Err(Refusal::shard(format!(
                "[range] time_zone can not be applied to non date field [{}]",
                range.field
            )));
        }
        Self::searchable(field)?;
        let ends = |read: &dyn Fn(&Value, bool, bool) -> Result<End, Refusal>| -> Result<Planned, Refusal> {
            let from = range.from.as_ref().map(|(v, c)| Ok::<_, Refusal>((read(v, false, *c)?, *c))).transpose()?;
            let to = range.to.as_ref().map(|(v, c)| Ok::<_, Refusal>((read(v, true, *c)?, *c))).transpose()?;
            Ok(self.column(field, from, to))
        };
        match field.es_type {
            EsType::Object => Ok(Box::new(EmptyQuery)),
            EsType::Long | EsType::Double => ends(&|v, _, _| number_end(v)),
            EsType::Boolean => ends(&|v, _, _| terms::as_bool(v).map(End::Bool)),
            EsType::Date => self.date_range(field, range),
            EsType::Text | EsType::Keyword => {
                let Some(place) = Self::exact_place(field) else { return Ok(Box::new(EmptyQuery)) };
                let bound = |end: &Option<(Value, bool)>| match end {
                    None => Bound::Unbounded,
                    Some((v, true)) => Bound::Included(Self::spelled(field, v)),
                    Some((v, false)) => Bound::Excluded(Self::spelled(field, v)),
                };
                let (tantivy_field, head) = terms::head(place);
                let (from, to) = (bound(&range.from), bound(&range.to));
                let ends = (from.clone(), to.clone());
                let plain = Box::new(Scan { field: tantivy_field, head, from, to, matcher: None, limit: None });
                let matcher: Matcher = Arc::new(move |word| {
                    let ends = (ends.0.as_ref().map(String::as_str), ends.1.as_ref().map(String::as_str));
                    RangeBounds::<str>::contains(&ends, word)
                });
                Ok(self.and_unique(place, plain, "", matcher))
            }
            EsType::Ip => {
                let Some(place) = Self::exact_place(field) else { return Ok(Box::new(EmptyQuery)) };
                let read = |v: &Value| {
                    let text = terms::as_text(v);
                    terms::address(&text)
                        .ok_or_else(|| Refusal::shard_argument(format!("'{text}' is not an IP string literal.")))
                };
                let low = match &range.from {
                    None => Some(0),
                    Some((v, closed)) => read(v)?.checked_add(u128::from(!closed)),
                };
                let high = match &range.to {
                    None => Some(u128::MAX),
                    Some((v, closed)) => read(v)?.checked_sub(u128::from(!closed)),
                };
                let (Some(low), Some(high)) = (low, high) else { return Ok(Box::new(EmptyQuery)) };
                Ok(self.scan(place, Pattern { prefix: String::new(), matcher: Some(terms::between(low, high)) }))
            }
        }
    }

    fn date_range(&self, field: &FieldRef, range: &Range) -> Result<Planned, Refusal> {
        let format = range.format.as_deref().or(field.format.as_deref()).unwrap_or(DEFAULT_FORMAT);
        let format = DateFormat::parse(format).map_err(Refusal::shard_argument)?;
        let zone = match &range.time_zone {
            None => Zone::utc(),
            Some(name) => {
                Zone::parse(name).ok_or_else(|| Refusal::argument(format!("Unknown time-zone ID: {name}")))?
            }
        };
        let read = |v: &Value, up: bool| -> Result<i128, Refusal> {
            let nanos = math::read(&terms::as_text(v), &format, &zone, self.now, up).map_err(Refusal::date)?;
            Ok(i128::from(to_millis(nanos)))
        };
        // Dates are milliseconds: an end that is in takes its whole millisecond, one that is out none of it.
        let from = match &range.from {
            None => None,
            Some((v, true)) => Some((End::Nanos(read(v, false)? * NANOS_PER_MILLI), true)),
            Some((v, false)) => Some((End::Nanos((read(v, true)? + 1) * NANOS_PER_MILLI), true)),
        };
        let to = match &range.to {
            None => None,
            Some((v, true)) => Some((End::Nanos((read(v, true)? + 1) * NANOS_PER_MILLI), false)),
            Some((v, false)) => Some((End::Nanos(read(v, false)? * NANOS_PER_MILLI), false)),
        };
        Ok(self.column(field, from, to))
    }

    pub(super) fn exists(&self, name: &str) -> Result<Planned, Refusal> {
        let fields = &self.part.fields;
        match name {
            "_id" | "_index" | "_seq_no" | "_version" | "_type" | "_uid" => return Ok(Box::new(AllQuery)),
            "_source" => return Err(Refusal::shard("The _source field is not searchable")),
            "_routing" => return Ok(constant(Box::new(ExistsQuery::new(format!("_kw.{ROUTING}"), false)))),
            "_ignored" => return Ok(constant(Box::new(ExistsQuery::new(name.to_owned(), false)))),
            _ => {}
        }
        if name == "message" {
            let lacks = (Occur::MustNot, term_query(Term::from_field_text(fields.exists, NO_MESSAGE)));
            return Ok(constant(combine(vec![lacks], 0, 0)));
        }
        let mut queries: Vec<Planned> = Vec::new();
        let place = Place { field: fields.exists, path: None };
        if let Some(field) = self.part.mapping.resolve(name) {
            if let Some(column) = &field.column {
                queries.push(Box::new(ExistsQuery::new(column.clone(), false)));
            }
            queries.push(term_query(terms::text(&place, &field.path)));
        }
        if self.part.mapping.is_object(name) {
            self.spend(KEYWORDS.len())?;
            queries.push(Box::new(ExistsQuery::new(format!("_kw.{name}"), true)));
            let beneath = format!("{name}.");
            queries.push(self.scan(&place, Pattern { prefix: beneath.clone(), matcher: None }));
            for known in KEYWORDS.iter().chain(&["log.offset"]).filter(|k| k.starts_with(&beneath)) {
                queries.push(Box::new(ExistsQuery::new((*known).to_string(), false)));
            }
        }
        Ok(constant(any_of(queries)))
    }

    pub(super) fn scan(&self, place: &Place, pattern: Pattern) -> Planned {
        let (field, head) = terms::head(place);
        let plain = Box::new(Scan::prefix(field, head, &pattern.prefix, pattern.matcher.clone()));
        let all: Matcher = Arc::new(|_| true);
        self.and_unique(place, plain, &pattern.prefix, pattern.matcher.unwrap_or(all))
    }

    pub(super) fn pattern(&self, name: &str, pattern: Pattern) -> Result<Planned, Refusal> {
        match name {
            "_index" => {
                let fits = self.part.index_name.starts_with(&pattern.prefix)
                    && pattern.matcher.as_ref().is_none_or(|m| m(&self.part.index_name));
                return Ok(self.whole(fits));
            }
            "_id" => return Err(Refusal::shard_argument("patterns on [_id] are not supported")),
            _ => {}
        }
        let Some(field) = self.part.mapping.resolve(name) else { return Ok(Box::new(EmptyQuery)) };
        self.pattern_in(&field, pattern)
    }

    pub(super) fn pattern_in(&self, field: &FieldRef, pattern: Pattern) -> Result<Planned, Refusal> {
        Self::searchable(field)?;
        match field.es_type {
            EsType::Text | EsType::Keyword | EsType::Ip => match Self::exact_place(field) {
                Some(place) => Ok(self.scan(place, pattern)),
                None => Ok(Box::new(EmptyQuery)),
            },
            EsType::Object => Ok(Box::new(EmptyQuery)),
            other => Err(Refusal::shard(format!(
                "Can only use prefix, wildcard and regexp queries on keyword, text and wildcard fields - not on [{}] which \
                 is of type [{}]",
                field.path,
                other.name()
            ))),
        }
    }

    pub(super) fn fuzzy(&self, name: &str, word: &str, fuzz: &Fuzz) -> Result<Planned, Refusal> {
        let Some(field) = self.part.mapping.resolve(name) else { return Ok(Box::new(EmptyQuery)) };
        self.fuzzy_in(&field, word, fuzz)
    }

    pub(super) fn fuzzy_in(&self, field: &FieldRef, word: &str, fuzz: &Fuzz) -> Result<Planned, Refusal> {
        if !matches!(field.es_type, EsType::Text | EsType::Keyword) {
            return Err(Refusal::shard_argument(format!(
                "Can only use fuzzy queries on keyword and text fields - not on [{}] which is of type [{}]",
                field.path,
                field.es_type.name()
            )));
        }
        Self::searchable(field)?;
        let Some(place) = Self::exact_place(field) else { return Ok(Box::new(EmptyQuery)) };
        let edits = fuzz.edits.for_word(word);
        Ok(self.fuzzy_word(place, word, edits, fuzz))
    }

    /// Words at most `edits` edits from one.
    pub(super) fn fuzzy_word(&self, place: &Place, word: &str, edits: u8, fuzz: &Fuzz) -> Planned {
        if edits == 0 {
            return self.word(place, word, IndexRecordOption::WithFreqs);
        }
        let near = pattern::fuzzy(word, edits, fuzz.prefix, fuzz.transpositions);
        if fuzz.prefix > 0 || word.is_empty() {
            return self.scan(place, near);
        }
        let plain = Box::new(FuzzyTermQuery::new(terms::text(place, word), edits, fuzz.transpositions));
        match near.matcher {
            // A unique word is hexadecimal: each other letter is an edit.
            Some(matcher) if word.chars().filter(|c| !c.is_ascii_hexdigit()).count() <= usize::from(edits) => {
                self.and_unique(place, plain, "", matcher)
            }
            _ => plain,
        }
    }
}

fn number_end(v: &Value) -> Result<End, Refusal> {
    let (number, whole) = terms::as_number(v)?;
    Ok(whole.map_or(End::Float(number), End::Int))
}
