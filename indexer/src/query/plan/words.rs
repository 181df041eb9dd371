//! Queries on analysed text: match, match_phrase, match_phrase_prefix, match_bool_prefix, multi_match.

use std::sync::Arc;

use tantivy::Term;
use tantivy::query::{AllQuery, BooleanQuery, EmptyQuery, Occur, PhrasePrefixQuery, PhraseQuery, TermQuery};
use tantivy::schema::IndexRecordOption;
use tantivy::tokenizer::TokenStream;

use super::pattern::{self, Pattern};
use super::scan::Scan;
use super::verified::Check;
use super::{Planned, Planner, any_of, best_of, boosted, combine, constant, terms};
use crate::mapping::{EsType, FieldRef, Place};
use crate::query::ast::{Style, Text};
use crate::query::refusal::Refusal;
use crate::schema::{WORDS, tokenizers};
use crate::tokenizer::joins;

/// Longest phrase and most words of one text, each a posting list that is read at once.
const WORDS_MAX: usize = 1024;

/// Splits text by an analyzer (`standard` when none is named): positions and words.
pub fn analyze(text: &str, analyzer: Option<&str>) -> Result<Vec<(usize, String)>, Refusal> {
    Ok(tokens(text, analyzer)?.into_iter().map(|t| (t.position, t.text)).collect())
}

/// Splits text by an analyzer, with offsets.
pub fn tokens(text: &str, analyzer: Option<&str>) -> Result<Vec<tantivy::tokenizer::Token>, Refusal> {
    let split = |keep: fn(char) -> bool, lower: bool| {
        let mut found = Vec::new();
        let mut start = None;
        for (i, c) in text.char_indices().chain([(text.len(), '\0')]) {
            let inside = i < text.len() && keep(c);
            match (inside, start) {
                (true, None) => start = Some(i),
                (false, Some(from)) => {
                    let word: &str = &text[from..i];
                    found.push(tantivy::tokenizer::Token {
                        offset_from: from,
                        offset_to: i,
                        position: found.len(),
                        text: if lower { word.to_lowercase() } else { word.to_string() },
                        position_length: 1,
                    });
                    start = None;
                }
                _ => {}
            }
        }
        found
    };
    Ok(match analyzer {
        None | Some("standard" | "default") => {
            let Some(mut words) = tokenizers().get(WORDS) else { return Err(Refusal::internal("no tokenizer")) };
            let mut stream = words.token_stream(text);
            let mut found = Vec::new();
            while stream.advance() {
                found.push(stream.token().clone());
            }
            found
        }
        Some("simple") => split(char::is_alphabetic, true),
        Some("whitespace") => split(|c| !c.is_whitespace(), false),
        Some("keyword") if text.is_empty() => Vec::new(),
        Some("keyword") => vec![tantivy::tokenizer::Token {
            offset_from: 0,
            offset_to: text.len(),
            position: 0,
            text: text.to_string(),
            position_length: 1,
        }],
        Some(other) => return Err(Refusal::shard(format!("analyzer [{other}] not found"))),
    })
}

/// How many words each part of a text comes to: more than one where the `standard` analyzer would have kept the part
/// whole (see [`joins`]).
fn parts(text: &str, tokens: &[tantivy::tokenizer::Token]) -> Vec<usize> {
    let mut parts: Vec<usize> = Vec::new();
    let mut end = 0;
    for token in tokens {
        let mut gap = text.get(end..token.offset_from).unwrap_or("").chars();
        let whole = match (gap.next(), gap.next(), text.get(..end).and_then(|t| t.chars().next_back())) {
            (Some(between), None, Some(before)) if end > 0 => {
                let after = text.get(token.offset_from..).and_then(|t| t.chars().next());
                after.is_some_and(|after| joins(before, between, after))
            }
            _ => false,
        };
        match parts.last_mut() {
            Some(last) if whole => *last += 1,
            _ => parts.push(1),
        }
        end = token.offset_to;
    }
    parts
}

/// The words of a text by the parts that `standard` would have kept whole.
pub fn compounds(text: &str, analyzer: Option<&str>) -> Result<Vec<Vec<String>>, Refusal> {
    let found = tokens(text, analyzer)?;
    let lengths = match analyzer {
        None | Some("standard" | "default") => parts(text, &found),
        Some(_) => vec![1; found.len()],
    };
    let mut words = found.into_iter().map(|token| token.text);
    Ok(lengths.into_iter().map(|n| words.by_ref().take(n).collect()).collect())
}

/// Where a field's words are, and those of a text with their positions.
type Words<'f> = (&'f Place, Vec<(usize, String)>);

impl Planner<'_> {
    /// The words of a text for a field whose strings are split; `None` when the field takes whole values.
    fn words_of<'f>(&self, field: &'f FieldRef, text: &Text) -> Result<Option<Words<'f>>, Refusal> {
        Self::searchable(field)?;
        let Some(place) = field.text.as_ref().filter(|_| field.es_type == EsType::Text) else { return Ok(None) };
        let words = analyze(&terms::as_text(&text.value), text.analyzer.as_deref())?;
        if words.len() > WORDS_MAX {
            return Err(Refusal::shard(format!("maxClauseCount is set to {WORDS_MAX}")));
        }
        Ok(Some((place, words)))
    }

    /// The phrase that stands for a word which is split here and whole with `standard`: `10.0.0.1`, `java.lang.error`.
    pub(super) fn compound(&self, place: &Place, word: &str) -> Option<Planned> {
        let found = tokens(word, None).ok()?;
        let (first, last) = (found.first()?, found.last()?);
        let spells = found.iter().all(|t| word.get(t.offset_from..t.offset_to) == Some(t.text.as_str()));
        if found.len() < 2 || !spells || (first.offset_from, last.offset_to) != (0, word.len()) {
            return None;
        }
        if parts(word, &found) != [found.len()] {
            return None;
        }
        Some(self.phrase(place, found.into_iter().map(|t| (t.position, t.text)).collect(), 0))
    }

    fn scored(&self, place: &Place, word: &str) -> Planned {
        self.word(place, word, IndexRecordOption::WithFreqs)
    }

    /// Words at these positions.
    fn phrase(&self, place: &Place, words: Vec<(usize, String)>, slop: u32) -> Planned {
        if let [(_, word)] = &words[..] {
            return self.scored(place, word);
        }
        let (unique, plain): (Vec<_>, Vec<_>) =
            words.iter().map(|(position, word)| (*position, word)).partition(|(_, word)| self.is_unique(place, word));
        let mut all: Vec<Planned> = Vec::new();
        match &plain[..] {
            [] => {}
            [(_, word)] => all.push(self.scored(place, word)),
            _ => {
                let terms = plain.iter().map(|(position, word)| (*position, self.indexed(place, word))).collect();
                all.push(Box::new(PhraseQuery::new_with_offset_and_slop(terms, slop)));
            }
        }
        if unique.is_empty() {
            return all.remove(0);
        }
        for (_, word) in unique {
            all.push(Box::new(TermQuery::new(self.indexed(place, word), IndexRecordOption::Basic)));
        }
        let candidates = if all.len() == 1 { all.remove(0) } else { Box::new(BooleanQuery::intersection(all)) };
        let check = if slop == 0 {
            Check::Phrase { words, prefix: None }
        } else {
            Check::All(words.into_iter().map(|(_, word)| word).collect())
        };
        self.verified(candidates, check)
    }

    /// A text for a field that takes whole values. What does not fit is an error, or (lenient) looked for as words.
    fn whole_value(&self, field: &FieldRef, text: &Text) -> Result<Planned, Refusal> {
        if let Some(name) = &text.analyzer {
            analyze("", Some(name))?;
        }
        match self.term_in(field, &text.value, false) {
            Err(_) if text.lenient => match &field.text {
                Some(place) if field.es_type != EsType::Text => {
                    let words = analyze(&terms::as_text(&text.value), None)?;
                    let words =
                        words.into_iter().map(|(_, w)| (Occur::Must, self.scored(place, &w))).collect::<Vec<_>>();
                    Ok(if words.is_empty() { Box::new(EmptyQuery) } else { combine(words, 0, 0) })
                }
                _ => Ok(Box::new(EmptyQuery)),
            },
            Err(e) if e.kind == "number_format_exception" => {
                Err(Refusal::shard(format!("failed to create query: {}", e.reason)))
            }
            planned => planned,
        }
    }

    fn no_words(text: &Text) -> Planned {
        if text.zero_terms_all { Box::new(AllQuery) } else { Box::new(EmptyQuery) }
    }

    pub(super) fn match_field(&self, name: &str, text: &Text) -> Result<Planned, Refusal> {
        if matches!(name, "_id" | "_index" | "_type" | "_ignored" | "_seq_no" | "_routing") {
            return self.term(name, &text.value, false);
        }
        let Some(field) = self.part.mapping.resolve(name) else {
            if let Some(analyzer) = &text.analyzer {
                analyze("", Some(analyzer))?;
            }
            return Ok(Box::new(EmptyQuery));
        };
        self.match_in(&field, text)
    }

    pub(super) fn match_in(&self, field: &FieldRef, text: &Text) -> Result<Planned, Refusal> {
        let Some((place, words)) = self.words_of(field, text)? else {
            if let (Some(fuzz), EsType::Keyword) = (&text.fuzz, field.es_type) {
                return self.fuzzy_in(field, &terms::as_text(&text.value), fuzz);
            }
            return self.whole_value(field, text);
        };
        if words.is_empty() {
            return Ok(Self::no_words(text));
        }
        let shown = terms::as_text(&text.value);
        let parts = match text.analyzer.as_deref() {
            None | Some("standard" | "default") => parts(&shown, &tokens(&shown, None)?),
            Some(_) => vec![1; words.len()],
        };
        let mut clauses = Vec::with_capacity(parts.len());
        let mut words = words.into_iter();
        for part in parts {
            let mut part: Vec<(usize, String)> = words.by_ref().take(part).collect();
            if part.len() > 1 {
                let occur = if text.all { Occur::Must } else { Occur::Should };
                clauses.push((occur, self.phrase(place, part, 0)));
                continue;
            }
            let Some((_, word)) = part.pop() else { continue };
            let query = match &text.fuzz {
                None => self.scored(place, &word),
                Some(fuzz) => self.fuzzy_word(place, &word, fuzz.edits.for_word(&word), fuzz),
            };
            clauses.push((if text.all { Occur::Must } else { Occur::Should }, query));
        }
        Ok(self.joined(clauses, text))
    }

    fn joined(&self, clauses: Vec<(Occur, Planned)>, text: &Text) -> Planned {
        let n = clauses.len();
        if text.all {
            return combine(clauses, 0, 0);
        }
        let minimum = text.minimum.as_ref().map_or(1, |m| m.of(n)).max(1);
        combine(clauses, n, minimum)
    }

    pub(super) fn phrase_field(&self, name: &str, text: &Text) -> Result<Planned, Refusal> {
        match self.part.mapping.resolve(name) {
            Some(field) => self.phrase_in(&field, text),
            None => self.match_field(name, text),
        }
    }

    pub(super) fn phrase_in(&self, field: &FieldRef, text: &Text) -> Result<Planned, Refusal> {
        let Some((place, words)) = self.words_of(field, text)? else { return self.whole_value(field, text) };
        if words.is_empty() {
            return Ok(Self::no_words(text));
        }
        Ok(self.phrase(place, words, text.slop))
    }

    pub(super) fn phrase_prefix_field(&self, name: &str, text: &Text) -> Result<Planned, Refusal> {
        match self.part.mapping.resolve(name) {
            Some(field) => self.phrase_prefix_in(&field, text),
            None => self.match_field(name, text),
        }
    }

    pub(super) fn phrase_prefix_in(&self, field: &FieldRef, text: &Text) -> Result<Planned, Refusal> {
        let Some((place, mut words)) = self.words_of(field, text)? else {
            if field.es_type == EsType::Keyword {
                return self.pattern_in(field, pattern::prefix(&terms::as_text(&text.value), false)?);
            }
            return self.whole_value(field, text);
        };
        let Some((offset, prefix)) = words.pop() else { return Ok(Self::no_words(text)) };
        let (tantivy_field, head) = terms::head(place);
        if words.is_empty() {
            let scan = Scan::prefix(tantivy_field, head, &prefix, None);
            let plain = Box::new(Scan { limit: Some(text.max_expansions), ..scan });
            return Ok(self.and_unique(place, plain, &prefix, Arc::new(|_| true)));
        }
        // Unique words that the prefix may begin are in the lines only.
        let unique = self.may_begin_unique(place, &prefix).then(|| {
            let before = self.phrase(place, words.clone(), text.slop);
            let check = if text.slop == 0 {
                Check::Phrase { words: words.clone(), prefix: Some((offset, prefix.clone())) }
            } else {
                Check::Fits { prefix: prefix.clone(), matcher: Arc::new(|_| true) }
            };
            self.verified(before, check)
        });
        let plain = if text.slop == 0 && !words.iter().any(|(_, word)| self.is_unique(place, word)) {
            let mut indexed: Vec<(usize, Term)> =
                words.iter().map(|(position, word)| (*position, terms::text(place, word))).collect();
            indexed.push((offset, terms::text(place, &prefix)));
            let mut query = PhrasePrefixQuery::new_with_offset(indexed);
            query.set_max_expansions(text.max_expansions);
            Box::new(query) as Planned
        } else {
            // One phrase for each word that the prefix grows into.
            let mut phrases: Vec<Planned> = Vec::new();
            for grown in self.grow(tantivy_field, &head, &prefix, text.max_expansions as usize)? {
                let mut phrase = words.clone();
                phrase.push((offset, grown));
                phrases.push(self.phrase(place, phrase, text.slop));
            }
            self.spend(phrases.len())?;
            any_of(phrases)
        };
        Ok(any_of(std::iter::once(plain).chain(unique).collect()))
    }

    /// Words of a field that begin with `prefix`, at most `most`.
    fn grow(
        &self,
        field: tantivy::schema::Field,
        head: &[u8],
        prefix: &str,
        most: usize,
    ) -> Result<Vec<String>, Refusal> {
        let mut found = std::collections::BTreeSet::new();
        let start = [head, prefix.as_bytes()].concat();
        for reader in self.part.searcher.segment_readers() {
            let inverted = reader.inverted_index(field)?;
            let mut stream = inverted.terms().range().ge(&start).into_stream()?;
            let mut here = 0;
            while here < most && stream.advance() && stream.key().starts_with(&start) {
                found.insert(String::from_utf8_lossy(&stream.key()[head.len()..]).into_owned());
                here += 1;
            }
        }
        Ok(found.into_iter().take(most).collect())
    }

    pub(super) fn bool_prefix_field(&self, name: &str, text: &Text) -> Result<Planned, Refusal> {
        match self.part.mapping.resolve(name) {
            Some(field) => self.bool_prefix_in(&field, text),
            None => self.match_field(name, text),
        }
    }

    pub(super) fn bool_prefix_in(&self, field: &FieldRef, text: &Text) -> Result<Planned, Refusal> {
        let Some((place, words)) = self.words_of(field, text)? else {
            if field.es_type == EsType::Keyword {
                return self.pattern_in(field, pattern::prefix(&terms::as_text(&text.value), false)?);
            }
            return self.whole_value(field, text);
        };
        if words.is_empty() {
            return Ok(Self::no_words(text));
        }
        let last = words.len() - 1;
        let occur = if text.all { Occur::Must } else { Occur::Should };
        let clauses = words.into_iter().enumerate().map(|(i, (_, word))| {
            if i < last {
                return (occur, self.scored(place, &word));
            }
            (occur, self.scan(place, Pattern { prefix: word, matcher: None }))
        });
        let clauses = clauses.collect();
        Ok(self.joined(clauses, text))
    }

    /// Fields for names that may be patterns: `*` is every field once, other patterns see subfields too.
    pub(super) fn expand(&self, fields: &[(String, f32)]) -> Result<Vec<(FieldRef, f32)>, Refusal> {
        let mapping = &self.part.mapping;
        let mut found: Vec<(FieldRef, f32)> = Vec::new();
        for (name, boost) in fields {
            if !name.contains('*') {
                found.extend(mapping.resolve(name).map(|f| (f, *boost)));
                continue;
            }
            for field in mapping.matching(name).into_iter().filter(|field| field.indexed) {
                found.push((field, *boost));
            }
            if name != "*" {
                for parent in mapping.matching("*") {
                    for (sub, _) in mapping.subfields(&parent.path) {
                        if crate::mapping::wildcard(name, &sub) {
                            found.extend(mapping.resolve(&sub).map(|f| (f, *boost)));
                        }
                    }
                }
            }
        }
        self.spend(found.len())?;
        Ok(found)
    }

    pub(super) fn multi_match(
        &self,
        names: &[(String, f32)],
        style: Style,
        tie_breaker: Option<f32>,
        text: &Text,
    ) -> Result<Planned, Refusal> {
        if let Some(name) = &text.analyzer {
            analyze("", Some(name))?;
        }
        let fields = self.expand(names)?;
        let patterns = names.iter().any(|(n, _)| n.contains('*'));
        // A pattern meets fields of every type: what does not fit one of them says nothing about the request.
        let text = &Text { lenient: text.lenient || patterns, ..text.clone() };
        self.over_fields(&fields, style, tie_breaker, text)
    }

    pub(super) fn over_fields(
        &self,
        fields: &[(FieldRef, f32)],
        style: Style,
        tie_breaker: Option<f32>,
        text: &Text,
    ) -> Result<Planned, Refusal> {
        if style == Style::CrossFields {
            return self.cross_fields(fields, tie_breaker, text);
        }
        let mut queries = Vec::with_capacity(fields.len());
        for (field, boost) in fields {
            let planned = match style {
                Style::Phrase => self.phrase_in(field, text),
                Style::PhrasePrefix => self.phrase_prefix_in(field, text),
                Style::BoolPrefix => self.bool_prefix_in(field, text),
                _ => self.match_in(field, text),
            };
            match planned {
                Ok(q) => queries.push(boosted(q, *boost)),
                Err(e) if text.lenient && e.on_shard => {}
                Err(e) => return Err(e),
            }
        }
        Ok(match style {
            Style::MostFields | Style::BoolPrefix => any_of(queries),
            _ => best_of(queries, tie_breaker.unwrap_or(0.0)),
        })
    }

    /// Each word in any of the fields.
    fn cross_fields(
        &self,
        fields: &[(FieldRef, f32)],
        tie_breaker: Option<f32>,
        text: &Text,
    ) -> Result<Planned, Refusal> {
        let words = analyze(&terms::as_text(&text.value), text.analyzer.as_deref())?;
        if words.is_empty() {
            return Ok(Self::no_words(text));
        }
        self.spend(words.len() * fields.len())?;
        let mut clauses = Vec::new();
        for (_, word) in words {
            let one = Text { value: word.into(), lenient: true, minimum: None, ..text.clone() };
            let mut queries = Vec::new();
            for (field, boost) in fields {
                queries.push(boosted(self.match_in(field, &one)?, *boost));
            }
            let occur = if text.all { Occur::Must } else { Occur::Should };
            clauses.push((occur, best_of(queries, tie_breaker.unwrap_or(0.0))));
        }
        Ok(self.joined(clauses, text))
    }

    /// A constant score for patterns in text languages.
    pub(super) fn flat(query: Planned) -> Planned {
        constant(query)
    }
}
