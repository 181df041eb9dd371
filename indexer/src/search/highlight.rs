//! Highlighting: the words of a query marked in the texts of a hit.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::mapping::{EsType, Mapping, wildcard};
use crate::query::Refusal;
use crate::query::ast::{Edits, Kind, Node, Query, Text, TextQuery};
use crate::query::dsl;
use crate::query::plan::pattern::{self, Pattern};
use crate::query::plan::{analyze, compounds, tokens};

/// Longest text that is looked at, in bytes: Elasticsearch's `index.highlight.max_analyzed_offset`.
const TEXT_BYTES_MAX: usize = 1_000_000;
/// Most fields and fragments of one request.
const FIELDS_MAX: usize = 1_000;

/// What a request asks for.
#[derive(Clone, Debug, Default)]
pub struct Highlight {
    fields: Vec<(String, Options)>,
}

#[derive(Clone, Debug)]
struct Options {
    pre: String,
    post: String,
    fragment: usize,
    fragments: usize,
    no_match: usize,
    by_score: bool,
    any_field: bool,
    html: bool,
    /// The highlighter that reads the text again, wherever its words are known to be.
    plain: bool,
    /// The request itself bounds how much of a text is looked at: a longer one is no error.
    limited: bool,
    query: Option<Query>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            pre: "<em>".into(),
            post: "</em>".into(),
            fragment: 100,
            fragments: 5,
            no_match: 0,
            by_score: false,
            any_field: false,
            html: false,
            plain: false,
            limited: false,
            query: None,
        }
    }
}

impl Highlight {
    /// Reads `highlight`.
    pub fn parse(value: &Value) -> Result<Highlight, Refusal> {
        let map = value.as_object().ok_or_else(|| Refusal::parsing("[highlight] must be an object"))?;
        let mut shared = Options::default();
        for (key, value) in map {
            if key != "fields" {
                shared.take(key, value)?;
            }
        }
        let mut fields: Vec<(&String, &Value)> = Vec::new();
        match map.get("fields") {
            None => {}
            Some(Value::Object(o)) => fields.extend(o.iter()),
            Some(Value::Array(list)) => {
                for entry in list {
                    let entry =
                        entry.as_object().ok_or_else(|| Refusal::parsing("[highlight] [fields] must hold objects"))?;
                    fields.extend(entry.iter());
                }
            }
            Some(_) => return Err(Refusal::parsing("[highlight] [fields] must be an object or a list")),
        }
        if fields.len() > FIELDS_MAX {
            return Err(Refusal::argument(format!("more than [{FIELDS_MAX}] fields to highlight")));
        }
        let mut out = Highlight::default();
        for (name, how) in fields {
            let mut options = shared.clone();
            let how = how
                .as_object()
                .ok_or_else(|| Refusal::parsing(format!("[highlight] of [{name}] must be an object")))?;
            for (key, value) in how {
                options.take(key, value)?;
            }
            out.fields.push((name.clone(), options));
        }
        Ok(out)
    }

    /// The marked fragments of a document's fields.
    pub fn of(&self, source: &Value, mapping: &Mapping, query: Option<&Query>) -> Result<Map<String, Value>, Refusal> {
        let mut out = Map::new();
        let mut words = Words::default();
        if let Some(q) = query {
            words.query(q, mapping)?;
        }
        for (pattern, options) in &self.fields {
            let own = options.query.as_ref().map(|q| {
                let mut own = Words::default();
                own.query(q, mapping).map(|()| own)
            });
            let words = match &own {
                None => &words,
                Some(Ok(own)) => own,
                Some(Err(e)) => return Err(e.clone()),
            };
            for name in names(pattern, mapping) {
                let Some(field) = mapping.resolve(&name) else { continue };
                let mut texts = Vec::new();
                super::source::leaves(source, &mut String::new(), &mut |path, value| {
                    if path == &*field.path
                        && let Value::String(s) = value
                    {
                        texts.push(s.as_str());
                    }
                });
                let most = mapping.limits.highlight_chars;
                let cheap = !options.plain && mapping.has_offsets(&name);
                if !cheap
                    && !options.limited
                    && texts.iter().any(|text| text.len() > most && text.chars().count() > most)
                {
                    return Err(Refusal::shard_argument(format!(
                        "The length of [{name}] field has exceeded [{most}] - maximum allowed to be analyzed for \
                         highlighting. This maximum can be set by changing the [index.highlight.max_analyzed_offset] \
                         index level setting."
                    )));
                }
                let whole = field.es_type != EsType::Text;
                let any = options.any_field;
                let fragments = fragments(
                    &texts,
                    whole,
                    options,
                    &|word| words.has(&name, &field.path, word, any),
                    words.phrases(&name, &field.path, any),
                )?;
                if !fragments.is_empty() {
                    out.insert(name, fragments.into());
                }
            }
        }
        Ok(out)
    }
}

fn names(pattern: &str, mapping: &Mapping) -> Vec<String> {
    if !pattern.contains('*') {
        return vec![pattern.to_string()];
    }
    let mut found = Vec::new();
    for field in mapping.matching("*") {
        if !matches!(field.es_type, EsType::Text | EsType::Keyword) {
            continue;
        }
        if wildcard(pattern, &field.path) {
            found.push(field.path.to_string());
        }
        for (sub, es_type) in mapping.subfields(&field.path) {
            // Exact values of a text are the same text: marked once.
            if es_type == EsType::Text && wildcard(pattern, &sub) {
                found.push(sub);
            }
        }
    }
    found
}

impl Options {
    fn take(&mut self, key: &str, value: &Value) -> Result<(), Refusal> {
        let first = |value: &Value| match value {
            Value::Array(list) => list.first().and_then(Value::as_str).map(str::to_string),
            Value::String(s) => Some(s.clone()),
            _ => None,
        };
        let number = |value: &Value| {
            let n = dsl::integer("highlight", key, value)?;
            usize::try_from(n).map_err(|_| Refusal::argument(format!("[highlight] [{key}] must not be negative")))
        };
        match key {
            "pre_tags" => self.pre = first(value).ok_or_else(|| Refusal::parsing("[pre_tags] must be texts"))?,
            "post_tags" => self.post = first(value).ok_or_else(|| Refusal::parsing("[post_tags] must be texts"))?,
            "tags_schema" => {
                if value.as_str() == Some("styled") {
                    self.pre = "<em class=\"hlt1\">".into();
                }
            }
            "fragment_size" => self.fragment = number(value)?,
            "number_of_fragments" => self.fragments = number(value)?,
            "no_match_size" => self.no_match = number(value)?,
            "order" => self.by_score = value.as_str() == Some("score"),
            "require_field_match" => self.any_field = !dsl::boolean("highlight", key, value)?,
            "encoder" => self.html = value.as_str() == Some("html"),
            "highlight_query" => self.query = Some(dsl::parse(value)?),
            "type" => match value.as_str() {
                Some("unified" | "fvh") => self.plain = false,
                Some("plain") => self.plain = true,
                _ => return Err(Refusal::argument(format!("unknown highlighter type [{value}]"))),
            },
            "max_analyzed_offset" => self.limited = true,
            // Where exactly fragments are cut, and how long a text may be at most: ours are cut at words.
            "boundary_scanner"
            | "boundary_scanner_locale"
            | "boundary_chars"
            | "boundary_max_scan"
            | "fragmenter"
            | "fragment_offset"
            | "phrase_limit"
            | "max_fragment_length"
            | "force_source" => {}
            _ => return Err(Refusal::content(format!("[highlight] unknown field [{key}]"))),
        }
        Ok(())
    }
}

/// What a query looks for, by field.
#[derive(Default)]
struct Words {
    words: HashSet<(String, String)>,
    patterns: Vec<(String, Pattern)>,
    phrases: Vec<(String, Vec<String>, bool)>,
}

impl Words {
    fn query(&mut self, q: &Query, mapping: &Mapping) -> Result<(), Refusal> {
        match &q.kind {
            Kind::Match { field, text } | Kind::BoolPrefix { field, text } => self.text(field, text, mapping)?,
            Kind::Phrase { field, text } => self.phrase(field, text, false, mapping)?,
            Kind::PhrasePrefix { field, text } => self.phrase(field, text, true, mapping)?,
            Kind::MultiMatch { fields, style, text, .. } => {
                use crate::query::ast::Style;
                for (field, _) in fields {
                    match style {
                        Style::Phrase => self.phrase(field, text, false, mapping)?,
                        Style::PhrasePrefix => self.phrase(field, text, true, mapping)?,
                        _ => self.text(field, text, mapping)?,
                    }
                }
            }
            Kind::Term { field, value, .. } => self.word(field, &crate::query::plan::terms::as_text(value)),
            Kind::Terms { field, values } | Kind::TermsSet { field, values, .. } => {
                values.iter().for_each(|v| self.word(field, &crate::query::plan::terms::as_text(v)));
            }
            Kind::Prefix { field, value, any_case } => {
                self.patterns.push((field.clone(), pattern::prefix(value, *any_case)?))
            }
            Kind::Wildcard { field, value, any_case } => {
                self.patterns.push((field.clone(), pattern::wildcard(value, *any_case)?))
            }
            Kind::Regexp { field, value, any_case } => {
                self.patterns.push((field.clone(), pattern::lucene(value, *any_case)?))
            }
            Kind::Fuzzy { field, value, fuzz } => {
                let word = crate::query::plan::terms::as_text(value);
                let edits = fuzz.edits.for_word(&word);
                self.patterns.push((field.clone(), pattern::fuzzy(&word, edits, fuzz.prefix, fuzz.transpositions)));
            }
            Kind::Bool(b) => {
                for q in b.must.iter().chain(&b.should).chain(&b.filter) {
                    self.query(q, mapping)?;
                }
            }
            Kind::ConstantScore(q) | Kind::Nested(q) => self.query(q, mapping)?,
            Kind::DisMax { queries, .. } => queries.iter().try_for_each(|q| self.query(q, mapping))?,
            Kind::Boosting { positive, .. } => self.query(positive, mapping)?,
            Kind::Text(t) => {
                let fields: Vec<String> = t.fields.iter().map(|(f, _)| f.clone()).collect();
                self.node(t, &t.node, &fields, mapping)?;
            }
            Kind::MatchAll
            | Kind::MatchNone
            | Kind::TermsLookup { .. }
            | Kind::Range(_)
            | Kind::Exists { .. }
            | Kind::Ids(_) => {}
        }
        Ok(())
    }

    fn word(&mut self, field: &str, word: &str) {
        self.words.insert((field.to_string(), word.to_string()));
    }

    fn text(&mut self, field: &str, text: &Text, mapping: &Mapping) -> Result<(), Refusal> {
        let value = crate::query::plan::terms::as_text(&text.value);
        let exact = mapping.resolve(field).is_some_and(|f| f.es_type != EsType::Text);
        if exact {
            self.word(field, &value);
            return Ok(());
        }
        for mut part in compounds(&value, text.analyzer.as_deref())? {
            if part.len() > 1 {
                self.phrases.push((field.to_string(), part, false));
                continue;
            }
            let Some(word) = part.pop() else { continue };
            if let Some(fuzz) = &text.fuzz {
                let edits = fuzz.edits.for_word(&word);
                self.patterns.push((field.to_string(), pattern::fuzzy(&word, edits, fuzz.prefix, fuzz.transpositions)));
            }
            self.word(field, &word);
        }
        Ok(())
    }

    fn phrase(&mut self, field: &str, text: &Text, prefix: bool, mapping: &Mapping) -> Result<(), Refusal> {
        let value = crate::query::plan::terms::as_text(&text.value);
        if mapping.resolve(field).is_some_and(|f| f.es_type != EsType::Text) {
            self.word(field, &value);
            return Ok(());
        }
        let words: Vec<String> = analyze(&value, text.analyzer.as_deref())?.into_iter().map(|(_, w)| w).collect();
        if text.slop > 0 {
            // Moved words are marked wherever they stand.
            words.iter().for_each(|w| self.word(field, w));
        } else if !words.is_empty() {
            self.phrases.push((field.to_string(), words, prefix));
        }
        Ok(())
    }

    fn node(&mut self, t: &TextQuery, node: &Node, fields: &[String], mapping: &Mapping) -> Result<(), Refusal> {
        let text = |value: &str| Text { analyzer: t.analyzer.clone(), ..Text::new(value.to_string()) };
        match node {
            Node::Words(w) => fields.iter().try_for_each(|f| self.text(f, &text(w), mapping))?,
            Node::Phrase(p, slop) => {
                let text = Text { slop: slop.unwrap_or(t.phrase_slop), ..text(p) };
                fields.iter().try_for_each(|f| self.phrase(f, &text, false, mapping))?;
            }
            Node::PhrasePrefix(p) => fields.iter().try_for_each(|f| self.phrase(f, &text(p), true, mapping))?,
            Node::Wildcard(w) if w == "*" => {}
            Node::Wildcard(w) => {
                for field in fields {
                    let exact = mapping.resolve(field).is_some_and(|f| f.es_type != EsType::Text);
                    let w = if exact { w.clone() } else { w.to_lowercase() };
                    self.patterns.push((field.clone(), pattern::wildcard(&w, false)?));
                }
            }
            Node::Regex(r) => {
                for field in fields {
                    self.patterns.push((field.clone(), pattern::lucene(r, false)?));
                }
            }
            Node::Fuzzy(word, edits) => {
                let n = edits.unwrap_or(Edits::Auto { low: 3, high: 6 }).for_word(word);
                for field in fields {
                    self.patterns.push((field.clone(), pattern::fuzzy(&word.to_lowercase(), n, 0, true)));
                }
            }
            Node::Field(f, inner) => self.node(t, inner, std::slice::from_ref(f), mapping)?,
            Node::Boosted(inner, _) => self.node(t, inner, fields, mapping)?,
            Node::Group(clauses) => {
                for (occur, inner) in clauses {
                    if *occur != crate::query::ast::Occur::MustNot {
                        self.node(t, inner, fields, mapping)?;
                    }
                }
            }
            Node::All | Node::Nothing | Node::Range { .. } | Node::Exists(_) => {}
        }
        Ok(())
    }

    fn about(asked: &str, name: &str, path: &str, any: bool) -> bool {
        any || asked == name
            || asked == path
            || asked.strip_suffix(".keyword") == Some(path)
            || asked.contains('*') && wildcard(asked, name)
    }

    fn has(&self, name: &str, path: &str, word: &str, any: bool) -> bool {
        self.words.iter().any(|(f, w)| w == word && Self::about(f, name, path, any))
            || self.patterns.iter().any(|(f, p)| {
                Self::about(f, name, path, any)
                    && word.starts_with(&p.prefix)
                    && p.matcher.as_ref().is_none_or(|m| m(word))
            })
    }

    fn phrases(&self, name: &str, path: &str, any: bool) -> Vec<(&[String], bool)> {
        self.phrases
            .iter()
            .filter(|(f, ..)| Self::about(f, name, path, any))
            .map(|(_, words, prefix)| (&words[..], *prefix))
            .collect()
    }
}

fn fragments(
    texts: &[&str],
    whole: bool,
    o: &Options,
    has: &dyn Fn(&str) -> bool,
    phrases: Vec<(&[String], bool)>,
) -> Result<Vec<String>, Refusal> {
    let mut found: Vec<(usize, String)> = Vec::new();
    for text in texts {
        let end = (0..=TEXT_BYTES_MAX.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
        let text = &text[..end];
        let words = tokens(text, whole.then_some("keyword"))?;
        let mut marked = vec![false; words.len()];
        for (i, word) in words.iter().enumerate() {
            marked[i] |= has(&word.text);
        }
        for (phrase, prefix) in &phrases {
            for at in 0..words.len().saturating_sub(phrase.len() - 1) {
                let fits = phrase.iter().enumerate().all(|(n, want)| {
                    let word = &words[at + n].text;
                    if *prefix && n + 1 == phrase.len() { word.starts_with(want.as_str()) } else { word == want }
                });
                if fits {
                    marked[at..at + phrase.len()].iter_mut().for_each(|m| *m = true);
                }
            }
        }
        let marks: Vec<(usize, usize)> =
            words.iter().zip(&marked).filter(|(_, m)| **m).map(|(w, _)| (w.offset_from, w.offset_to)).collect();
        if marks.is_empty() {
            continue;
        }
        if o.fragments == 0 || o.fragment == 0 {
            found.push((marks.len(), mark(text, 0, text.len(), &marks, o)));
            continue;
        }
        let mut at = 0;
        while at < marks.len() {
            let (from, to) = bounds(text, marks[at], o.fragment);
            let next = marks[at..].iter().position(|m| m.1 > to).map_or(marks.len(), |n| at + n).max(at + 1);
            found.push((next - at, mark(text, from, to, &marks[at..next], o)));
            at = next;
        }
    }
    if found.is_empty()
        && o.no_match > 0
        && let Some(text) = texts.first()
    {
        let end = (0..=o.no_match.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
        return Ok(vec![text[..end].to_string()]);
    }
    if o.by_score {
        found.sort_by_key(|f| std::cmp::Reverse(f.0));
    }
    let most = if o.fragments == 0 { usize::MAX } else { o.fragments };
    Ok(found.into_iter().take(most).map(|(_, text)| text).collect())
}

/// Where a fragment around a mark begins and ends: at sentences where they fit, else at words.
fn bounds(text: &str, mark: (usize, usize), size: usize) -> (usize, usize) {
    if text.len() <= size {
        return (0, text.len());
    }
    let sentence = |i: usize| text[..i].ends_with(['.', '!', '?', '\n']);
    let from =
        (0..mark.0).rev().find(|i| text.is_char_boundary(*i) && (sentence(*i) || mark.0 - i >= size)).unwrap_or(0);
    let from = from + text[from..mark.0].len() - text[from..mark.0].trim_start().len();
    let mut to = mark.1.max(from.saturating_add(size)).min(text.len());
    while !text.is_char_boundary(to) {
        to += 1;
    }
    // Not in the middle of a word.
    to += text[to..].find(|c: char| !c.is_alphanumeric()).unwrap_or(text.len() - to);
    let end = text[mark.1..to]
        .char_indices()
        .rev()
        .find(|(_, c)| matches!(c, '.' | '!' | '?' | '\n'))
        .map(|(i, c)| mark.1 + i + c.len_utf8());
    (from, end.unwrap_or(to))
}

fn mark(text: &str, from: usize, to: usize, marks: &[(usize, usize)], o: &Options) -> String {
    let plain = |s: &str| {
        if o.html {
            s.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
        } else {
            s.to_string()
        }
    };
    let mut out = String::new();
    let mut at = from;
    for (start, end) in marks {
        if *start < at || *end > to {
            continue;
        }
        out.push_str(&plain(&text[at..*start]));
        out.push_str(&o.pre);
        out.push_str(&plain(&text[*start..*end]));
        out.push_str(&o.post);
        at = *end;
    }
    out.push_str(&plain(&text[at..to]));
    out.trim().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn lit(text: &str, query: Value, options: Value) -> Vec<String> {
        let mut mapping = Mapping::default();
        mapping = mapping.declare(&json!({"properties": {"t": {"type": "text"}}})).unwrap();
        let h = Highlight::parse(&options).unwrap();
        let q = dsl::parse(&query).unwrap();
        let out = h.of(&json!({"t": text}), &mapping, Some(&q)).unwrap();
        out.get("t")
            .and_then(Value::as_array)
            .map_or(Vec::new(), |l| l.iter().map(|v| v.as_str().unwrap().into()).collect())
    }

    #[test]
    fn words_phrases_and_patterns_are_marked() {
        let fox = "The quick brown fox is brown.";
        let all = json!({"fields": {"*": {}}});
        assert_eq!(
            lit(fox, json!({"match": {"t": "brown QUICK"}}), all.clone()),
            ["The <em>quick</em> <em>brown</em> fox is <em>brown</em>."]
        );
        assert_eq!(
            lit(fox, json!({"match_phrase": {"t": "brown fox"}}), all.clone()),
            ["The quick <em>brown</em> <em>fox</em> is brown."]
        );
        assert_eq!(
            lit(fox, json!({"prefix": {"t": "br"}}), all.clone()),
            ["The quick <em>brown</em> fox is <em>brown</em>."]
        );
        assert_eq!(
            lit(fox, json!({"query_string": {"query": "t:f?x AND NOT t:quick"}}), all.clone()),
            ["The quick brown <em>fox</em> is brown."]
        );
        assert!(lit(fox, json!({"match": {"other": "fox"}}), all).is_empty());
    }

    #[test]
    fn fragments_are_cut() {
        let text = "One word. ".repeat(50) + "Here is the needle in it. " + &"More words. ".repeat(50);
        let found = lit(&text, json!({"match": {"t": "needle"}}), json!({"fields": {"t": {"fragment_size": 30}}}));
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("<em>needle</em>") && found[0].len() < 80, "{found:?}");
        assert!(Highlight::parse(&json!({"fields": {"t": {"foo": 1}}})).is_err());
    }
}
