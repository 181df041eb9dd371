//! The one tree that every query language is read into. It knows field names, not mappings.

use serde_json::Value;

/// How deep queries may be nested in each other: Elasticsearch's own limit, and a bound on recursion here.
pub const MAX_DEPTH: usize = 30;
/// How many clauses one query may come to: Elasticsearch's `indices.query.bool.max_clause_count` on a small heap.
pub const MAX_CLAUSES: usize = 4096;
/// How many values one `terms` query may hold (`index.max_terms_count`).
pub const MAX_TERMS: usize = 65_536;
/// How long a regular expression may be, in characters (`index.max_regex_length`).
pub const MAX_REGEX_CHARS: usize = 1000;

/// A query with its weight and name.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// What it asks.
    pub kind: Kind,
    /// Factor on its score.
    pub boost: f32,
    /// `_name`: said in `matched_queries` of the hits.
    pub name: Option<String>,
}

impl From<Kind> for Query {
    fn from(kind: Kind) -> Query {
        Query { kind, boost: 1.0, name: None }
    }
}

impl Query {
    /// Every document.
    pub fn all() -> Query {
        Kind::MatchAll.into()
    }

    /// No document.
    pub fn none() -> Query {
        Kind::MatchNone.into()
    }

    /// All of these, without scores.
    pub fn filter(queries: Vec<Query>) -> Query {
        Kind::Bool(Bool { filter: queries, ..Bool::default() }).into()
    }

    /// Calls `change` for this query and every one inside it.
    pub fn walk_mut<E>(&mut self, change: &mut dyn FnMut(&mut Query) -> Result<(), E>) -> Result<(), E> {
        change(self)?;
        match &mut self.kind {
            Kind::Bool(b) => {
                let Bool { must, should, must_not, filter, .. } = b;
                must.iter_mut().chain(should).chain(must_not).chain(filter).try_for_each(|q| q.walk_mut(change))
            }
            Kind::ConstantScore(q) | Kind::Nested(q) => q.walk_mut(change),
            Kind::DisMax { queries, .. } => queries.iter_mut().try_for_each(|q| q.walk_mut(change)),
            Kind::Boosting { positive, negative, .. } => {
                positive.walk_mut(change)?;
                negative.walk_mut(change)
            }
            _ => Ok(()),
        }
    }

    /// Calls `see` for this query and every one inside it.
    pub fn walk<'a>(&'a self, see: &mut dyn FnMut(&'a Query)) {
        see(self);
        match &self.kind {
            Kind::Bool(b) => {
                b.must.iter().chain(&b.should).chain(&b.must_not).chain(&b.filter).for_each(|q| q.walk(see));
            }
            Kind::ConstantScore(q) | Kind::Nested(q) => q.walk(see),
            Kind::DisMax { queries, .. } => queries.iter().for_each(|q| q.walk(see)),
            Kind::Boosting { positive, negative, .. } => {
                positive.walk(see);
                negative.walk(see);
            }
            _ => {}
        }
    }
}

/// The kinds of query.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "members are named as in Elasticsearch's documentation")]
pub enum Kind {
    /// `match_all`.
    MatchAll,
    /// `match_none`.
    MatchNone,
    /// `match`.
    Match { field: String, text: Text },
    /// `match_phrase`.
    Phrase { field: String, text: Text },
    /// `match_phrase_prefix`.
    PhrasePrefix { field: String, text: Text },
    /// `match_bool_prefix`.
    BoolPrefix { field: String, text: Text },
    /// `multi_match`.
    MultiMatch { fields: Vec<(String, f32)>, style: Style, tie_breaker: Option<f32>, text: Text },
    /// `term`.
    Term { field: String, value: Value, any_case: bool },
    /// `terms`.
    Terms { field: String, values: Vec<Value> },
    /// `terms` whose values stand in a document.
    TermsLookup { field: String, index: String, id: String, path: String },
    /// `terms_set`.
    TermsSet { field: String, values: Vec<Value>, required: Required },
    /// `range`.
    Range(Range),
    /// `exists`.
    Exists { field: String },
    /// `prefix`.
    Prefix { field: String, value: String, any_case: bool },
    /// `wildcard`.
    Wildcard { field: String, value: String, any_case: bool },
    /// `regexp`.
    Regexp { field: String, value: String, any_case: bool },
    /// `fuzzy`.
    Fuzzy { field: String, value: Value, fuzz: Fuzz },
    /// `ids`.
    Ids(Vec<String>),
    /// `bool`.
    Bool(Bool),
    /// `constant_score`.
    ConstantScore(Box<Query>),
    /// `dis_max`.
    DisMax { queries: Vec<Query>, tie_breaker: f32 },
    /// `boosting`.
    Boosting { positive: Box<Query>, negative: Box<Query>, negative_boost: f32 },
    /// `nested`: weir keeps objects flat, so it is the inner query.
    Nested(Box<Query>),
    /// `query_string`, `simple_query_string` and KQL: text, read, with its options.
    Text(Box<TextQuery>),
}

/// `bool`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bool {
    /// All of these must match, and add to the score.
    pub must: Vec<Query>,
    /// Some of these should match.
    pub should: Vec<Query>,
    /// None of these may match.
    pub must_not: Vec<Query>,
    /// All of these must match, and do not score.
    pub filter: Vec<Query>,
    /// How many of `should` must match.
    pub minimum: Option<Minimum>,
}

/// A text to be analysed, with the options of the `match` family.
#[derive(Clone, Debug, PartialEq)]
pub struct Text {
    /// The text (or number, or bool).
    pub value: Value,
    /// Whether all of its words are wanted, or any.
    pub all: bool,
    /// `minimum_should_match`.
    pub minimum: Option<Minimum>,
    /// How far words may be from the text's.
    pub fuzz: Option<Fuzz>,
    /// The analyzer named, when one is.
    pub analyzer: Option<String>,
    /// `zero_terms_query: all`: text without a word matches everything.
    pub zero_terms_all: bool,
    /// Whether a value that does not fit the field is no error.
    pub lenient: bool,
    /// How far the words of a phrase may be moved.
    pub slop: u32,
    /// Into how many words a prefix may grow.
    pub max_expansions: u32,
}

impl Text {
    /// A text with the options' defaults.
    pub fn new(value: impl Into<Value>) -> Text {
        Text {
            value: value.into(),
            all: false,
            minimum: None,
            fuzz: None,
            analyzer: None,
            zero_terms_all: false,
            lenient: false,
            slop: 0,
            max_expansions: 50,
        }
    }
}

/// How a `multi_match` puts its fields together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Elasticsearch's")]
pub enum Style {
    BestFields,
    MostFields,
    CrossFields,
    Phrase,
    PhrasePrefix,
    BoolPrefix,
}

/// How many terms of a `terms_set` must match.
#[derive(Clone, Debug, PartialEq)]
pub enum Required {
    /// As many as this field of the document says.
    Field(String),
    /// By the rules of `minimum_should_match`.
    Minimum(Minimum),
}

/// Fuzzy matching.
#[derive(Clone, Debug, PartialEq)]
pub struct Fuzz {
    /// How many edits.
    pub edits: Edits,
    /// How many first characters must be equal.
    pub prefix: usize,
    /// Whether swapping two neighbours is one edit.
    pub transpositions: bool,
}

/// The number of edits of a fuzzy match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "members are named as in Elasticsearch's documentation")]
pub enum Edits {
    /// 0 below `low` characters, 1 below `high`, else 2.
    Auto { low: usize, high: usize },
    /// 0, 1 or 2.
    Fixed(u8),
}

impl Edits {
    /// How many for a word.
    pub fn for_word(self, word: &str) -> u8 {
        match self {
            Edits::Fixed(n) => n,
            Edits::Auto { low, high } => {
                let n = word.chars().count();
                if n < low {
                    0
                } else if n < high {
                    1
                } else {
                    2
                }
            }
        }
    }

    /// Reads `AUTO`, `AUTO:3,6`, `0`, `1`, `2`.
    pub fn parse(text: &str) -> Option<Edits> {
        let upper = text.to_ascii_uppercase();
        if upper == "AUTO" {
            return Some(Edits::Auto { low: 3, high: 6 });
        }
        if let Some(rest) = upper.strip_prefix("AUTO:") {
            let (low, high) = rest.split_once(',')?;
            let (low, high) = (low.trim().parse().ok()?, high.trim().parse().ok()?);
            return (low <= high).then_some(Edits::Auto { low, high });
        }
        let n: f32 = text.parse().ok()?;
        (0.0..=2.0).contains(&n).then_some(Edits::Fixed(n as u8))
    }
}

/// `range`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Range {
    /// The field.
    pub field: String,
    /// Lower end, and whether it is in.
    pub from: Option<(Value, bool)>,
    /// Upper end, and whether it is in.
    pub to: Option<(Value, bool)>,
    /// Format of dates, when given.
    pub format: Option<String>,
    /// Zone of dates without one.
    pub time_zone: Option<String>,
    /// Whether a value that does not fit the field is no error.
    pub lenient: bool,
}

/// `minimum_should_match`.
#[derive(Clone, Debug, PartialEq)]
pub enum Minimum {
    /// A number; negative: all but so many.
    Count(i64),
    /// A percentage; negative: all but so many percent.
    Percent(i64),
    /// `3<-25% 9<-3`: above so many clauses, this holds; else all.
    Steps(Vec<(i64, Minimum)>),
}

impl Minimum {
    /// Reads a number or one of the texts.
    pub fn parse(value: &Value) -> Option<Minimum> {
        match value {
            Value::Number(n) => n.as_i64().map(Minimum::Count),
            Value::String(s) => Minimum::parse_text(s.trim()),
            _ => None,
        }
    }

    fn parse_text(s: &str) -> Option<Minimum> {
        if s.contains('<') {
            let steps = s.split_whitespace().map(|part| {
                let (above, spec) = part.split_once('<')?;
                Some((above.parse().ok()?, Minimum::simple(spec)?))
            });
            return steps.collect::<Option<Vec<_>>>().filter(|v| !v.is_empty()).map(Minimum::Steps);
        }
        Minimum::simple(s)
    }

    fn simple(s: &str) -> Option<Minimum> {
        match s.strip_suffix('%') {
            Some(n) => n.trim().parse().ok().map(Minimum::Percent),
            None => s.parse().ok().map(Minimum::Count),
        }
    }

    /// How many of `clauses` must match. May be more than there are: then nothing matches.
    pub fn of(&self, clauses: usize) -> usize {
        let n = clauses as i64;
        let result = match self {
            Minimum::Count(c) if *c < 0 => n.saturating_add(*c),
            Minimum::Count(c) => *c,
            Minimum::Percent(p) if *p < 0 => n - (n * -(*p).max(-100)) / 100,
            Minimum::Percent(p) => n.saturating_mul(*p) / 100,
            Minimum::Steps(steps) => {
                let mut result = n;
                for (above, spec) in steps {
                    if n <= *above {
                        break;
                    }
                    result = spec.of(clauses) as i64;
                }
                result
            }
        };
        result.max(0) as usize
    }
}

/// Text of a query language, read, with what it needs to be understood.
#[derive(Clone, Debug, PartialEq)]
pub struct TextQuery {
    /// The text as it was given, for messages.
    pub source: String,
    /// What it says.
    pub node: Node,
    /// Fields to search where the text names none, with weights; `*` stands for every field.
    pub fields: Vec<(String, f32)>,
    /// Whether several words must all match.
    pub all: bool,
    /// Whether a value that does not fit a field is no error.
    pub lenient: bool,
    /// Whether words with wildcards go through the analyzer, bit by bit.
    pub analyze_wildcard: bool,
    /// How fields are put together.
    pub style: Style,
    /// Weight of the fields that are not the best one.
    pub tie_breaker: Option<f32>,
    /// `minimum_should_match`, on the outermost clauses.
    pub minimum: Option<Minimum>,
    /// Slop of phrases without one.
    pub phrase_slop: u32,
    /// Edits of `word~` without a number.
    pub fuzz: Fuzz,
    /// The analyzer named, when one is.
    pub analyzer: Option<String>,
    /// Zone of dates without one.
    pub time_zone: Option<String>,
}

/// A part of a text query.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "members are named as in Elasticsearch's documentation")]
pub enum Node {
    /// Everything (`*`, or `*:*`).
    All,
    /// Nothing at all.
    Nothing,
    /// Words, to be analysed.
    Words(String),
    /// `"…"`, with its own slop.
    Phrase(String, Option<u32>),
    /// A phrase whose last word is a prefix.
    PhrasePrefix(String),
    /// A word with `*` or `?` (backslash escapes kept).
    Wildcard(String),
    /// `/…/`.
    Regex(String),
    /// `word~1`.
    Fuzzy(String, Option<Edits>),
    /// `[a TO b}`, `>5`.
    Range { from: Option<(String, bool)>, to: Option<(String, bool)> },
    /// `field:*`, `_exists_:field`; the field as given, which may be a pattern.
    Exists(String),
    /// A field, and what is asked of it.
    Field(String, Box<Node>),
    /// Weighted.
    Boosted(Box<Node>, f32),
    /// Clauses in brackets.
    Group(Vec<(Occur, Node)>),
}

/// How a clause counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Lucene's")]
pub enum Occur {
    Must,
    Should,
    MustNot,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn minimum_should_match_counts_as_documented() {
        let of = |spec: Value, n| Minimum::parse(&spec).map(|m| m.of(n));
        for (spec, n, want) in [
            (json!(2), 4, 2),
            (json!("-1"), 4, 3),
            (json!("75%"), 4, 3),
            (json!("75%"), 3, 2),
            (json!("-25%"), 5, 4),
            (json!(-10), 4, 0),
            (json!("2<-25% 9<-3"), 2, 2),
            (json!("2<-25% 9<-3"), 8, 6),
            (json!("2<-25% 9<-3"), 12, 9),
        ] {
            assert_eq!(of(spec.clone(), n), Some(want), "{spec} of {n}");
        }
        for bad in [json!("x"), json!("2<"), json!(null), json!("%")] {
            assert_eq!(Minimum::parse(&bad), None, "{bad}");
        }
    }

    #[test]
    fn fuzziness() {
        assert_eq!(Edits::parse("auto"), Some(Edits::Auto { low: 3, high: 6 }));
        assert_eq!(Edits::parse("AUTO:4,7").map(|e| e.for_word("abcd")), Some(1));
        assert_eq!(Edits::parse("3"), None);
    }
}
