//! Regular expressions as pipeline files have them (Ruby's), matched in linear time. `syntax` reads them, `class` are
//! sets of characters, `facts` is what can be told of an expression beforehand. Where the crate `regex` can say the same, it finds and replaces; `engine` (with `compile`) does
//! captures for grok, and what has look-around or atomic groups.

pub mod class;
mod compile;
pub mod engine;
mod facts;
pub mod syntax;

use std::borrow::Cow;
use std::cell::RefCell;

use class::Bytes;
use engine::{Cache, Engine, Verdict};
use smallvec::SmallVec;
use syntax::{Node, Place};

/// Memory one compiled expression may take, in bytes; a larger one is refused at load.
const SIZE_BYTES_MAX: usize = 8 << 20;
/// Memory its lazily built automaton may take, in bytes.
const CACHE_BYTES_MAX: usize = 2 << 20;

/// Why a text is not an expression that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this regular expression cannot be used: {0}")]
pub struct PatternError(pub String);

/// A regular expression.
#[derive(Clone, Debug)]
pub struct Pattern {
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    /// `\Atext\z`, where no sign of the text has a meaning.
    Whole(String),
    /// `^text$`: one of the lines.
    Line(String),
    /// `\Atext`
    Begin(String),
    /// The text anywhere.
    Within(Box<memchr::memmem::Finder<'static>>),
    /// Any other that the crate `regex` can do, and what a text must have to be worth its while.
    Regex(Box<regex::Regex>, Box<Needs>),
    Engine(std::sync::Arc<Engine>, Vec<Option<String>>),
}

/// What is quickly seen to be missing from a text that an expression cannot match: nearly all of them are, as a pipeline
/// asks every line what only those of one service can have.
#[derive(Clone, Debug)]
struct Needs {
    /// The sets of the first bytes, for an expression that matches at the begin of the text alone.
    beginning: SmallVec<[Bytes; 2]>,
    /// A text that must be in it, for the same.
    text: Option<Box<memchr::memmem::Finder<'static>>>,
    /// A byte that must be in it, for any other.
    within: Option<u8>,
}

/// A text that must be in a line and is looked for has so many bytes at least: shorter ones are in most.
const TEXT_BYTES_MIN: usize = 4;
/// In texts up to so many bytes a needed byte is looked for; in longer ones the crate `regex` does so itself.
const SHORT_BYTES: usize = 32;

thread_local! {
    static CACHE: RefCell<Cache> = RefCell::default();
}

/// One match.
#[derive(Clone, Debug)]
pub struct Found {
    /// Where it begins and ends.
    pub span: (usize, usize),
    /// Where the groups begin and end, from the first.
    pub groups: Vec<Option<(usize, usize)>>,
}

impl Pattern {
    /// Reads an expression in Ruby's way of writing.
    ///
    /// # Errors
    /// What is no expression, is too large, or cannot be had in linear time.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        let parsed = syntax::parse(text)?;
        if parsed.names.is_empty()
            && let Some(kind) = plain(&parsed.node)
        {
            return Ok(Self { kind });
        }
        let mut rust = String::new();
        if write(&parsed.node, &parsed.names, &mut rust) {
            let built =
                regex::RegexBuilder::new(&rust).size_limit(SIZE_BYTES_MAX).dfa_size_limit(CACHE_BYTES_MAX).build();
            return match built {
                Ok(regex) => Ok(Self { kind: Kind::Regex(Box::new(regex), Box::new(Needs::of(&parsed.node))) }),
                Err(error) => Err(PatternError(error.to_string())),
            };
        }
        let engine = Engine::new(&parsed)?;
        Ok(Self { kind: Kind::Engine(std::sync::Arc::new(engine), parsed.names) })
    }

    /// Whether it is found anywhere in `text`.
    pub fn is_match(&self, text: &str) -> bool {
        match &self.kind {
            Kind::Whole(whole) => text == whole,
            Kind::Line(line) => text == line || text.len() > line.len() && line_at(text, line, 0).is_some(),
            Kind::Begin(begin) => text.starts_with(begin.as_str()),
            Kind::Within(finder) => finder.find(text.as_bytes()).is_some(),
            Kind::Regex(regex, needs) => needs.are_met(text) && regex.is_match(text),
            Kind::Engine(engine, _) => CACHE.with_borrow_mut(|cache| engine.find(text, 0, cache) == Verdict::Match),
        }
    }

    /// The one text of a line that it matches, if it is no more than that.
    pub fn exact(&self) -> Option<&str> {
        match &self.kind {
            Kind::Whole(text) | Kind::Line(text) => Some(text),
            _ => None,
        }
    }

    /// The first match at or after `from`.
    pub fn find_at(&self, text: &str, from: usize) -> Option<Found> {
        let alone = |start: usize, len: usize| Found { span: (start, start + len), groups: Vec::new() };
        match &self.kind {
            Kind::Whole(whole) => (from == 0 && text == whole).then(|| alone(0, whole.len())),
            Kind::Line(line) => line_at(text, line, from).map(|at| alone(at, line.len())),
            Kind::Begin(begin) => (from == 0 && text.starts_with(begin.as_str())).then(|| alone(0, begin.len())),
            Kind::Within(finder) => {
                finder.find(&text.as_bytes()[from..]).map(|at| alone(from + at, finder.needle().len()))
            }
            Kind::Regex(regex, _) => {
                let captures = regex.captures_at(text, from)?;
                let span = captures.get(0).map(|all| (all.start(), all.end()))?;
                let groups =
                    captures.iter().skip(1).map(|group| group.map(|group| (group.start(), group.end()))).collect();
                Some(Found { span, groups })
            }
            Kind::Engine(engine, names) => CACHE.with_borrow_mut(|cache| {
                let found = engine.find(text, from, cache) == Verdict::Match;
                found.then(|| Found {
                    span: cache.span(),
                    groups: (0..names.len()).map(|index| cache.capture(index)).collect(),
                })
            }),
        }
    }

    /// All matches that do not overlap.
    pub fn find_all(&self, text: &str) -> Vec<Found> {
        let mut all = Vec::new();
        let mut from = 0;
        while from <= text.len() {
            let Some(found) = self.find_at(text, from) else { break };
            let (start, end) = found.span;
            from = if end > start { end } else { end + text[end..].chars().next().map_or(1, char::len_utf8) };
            all.push(found);
        }
        all
    }

    /// The names of its groups.
    fn name(&self, wanted: &str) -> Option<usize> {
        match &self.kind {
            Kind::Regex(regex, _) => regex.capture_names().position(|name| name == Some(wanted)),
            Kind::Engine(_, names) => {
                names.iter().position(|name| name.as_deref() == Some(wanted)).map(|index| index + 1)
            }
            _ => None,
        }
    }

    /// `text` with every match replaced; in `replacement`, `\1` and `\k<name>` stand for what was captured.
    pub fn replace_all<'t>(&self, text: &'t str, replacement: &str) -> Cow<'t, str> {
        let found = self.find_all(text);
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut out = String::with_capacity(text.len());
        let mut end = 0;
        for found in found {
            out.push_str(&text[end..found.span.0]);
            self.expand(text, &found, replacement, &mut out);
            end = found.span.1;
        }
        out.push_str(&text[end..]);
        Cow::Owned(out)
    }

    /// Ruby's replacement text: `\0` to `\9`, `\&`, `\k<name>`, `\\`.
    fn expand(&self, text: &str, found: &Found, replacement: &str, out: &mut String) {
        let group = |index: usize| match index {
            0 => &text[found.span.0..found.span.1],
            _ => found.groups.get(index - 1).copied().flatten().map_or("", |(start, end)| &text[start..end]),
        };
        let mut rest = replacement;
        while let Some(at) = rest.find('\\') {
            out.push_str(&rest[..at]);
            let tail = &rest[at + 1..];
            let Some(next) = tail.chars().next() else {
                rest = &rest[at..];
                break;
            };
            let mut len = next.len_utf8();
            match next {
                '0'..='9' => out.push_str(group(next as usize - '0' as usize)),
                '&' => out.push_str(group(0)),
                '\\' => out.push('\\'),
                'k' if tail.starts_with("k<") && tail.contains('>') => {
                    let end = tail.find('>').unwrap_or(tail.len());
                    out.push_str(self.name(&tail[2..end]).map_or("", group));
                    len = end + 1;
                }
                other => {
                    out.push('\\');
                    out.push(other);
                }
            }
            rest = &tail[len..];
        }
        out.push_str(rest);
    }
}

impl Needs {
    fn of(node: &Node) -> Self {
        let is_anchored = facts::begin(node) == engine::Begin::Text;
        let mut beginning = SmallVec::new();
        if is_anchored {
            facts::begins(node, &mut beginning);
            beginning.truncate(facts::BEGINNING_BYTES);
        }
        let mut literal = None;
        facts::longest_literal(node, if is_anchored { TEXT_BYTES_MIN } else { 1 }, &mut literal);
        let is_begin = literal.as_ref().is_some_and(|literal| literal.len() <= beginning.len());
        let text = literal.as_ref().filter(|_| is_anchored && !is_begin);
        Self {
            beginning,
            text: text.map(|text| Box::new(memchr::memmem::Finder::new(text.as_bytes()).into_owned())),
            within: literal.filter(|_| !is_anchored).and_then(|literal| literal.bytes().next()),
        }
    }

    #[inline]
    fn are_met(&self, text: &str) -> bool {
        let bytes = text.as_bytes();
        if bytes.len() < self.beginning.len() || self.beginning.iter().zip(bytes).any(|(set, byte)| !set.has(*byte)) {
            return false;
        }
        if let Some(text) = &self.text {
            return text.find(bytes).is_some();
        }
        match self.within {
            Some(byte) if bytes.len() <= SHORT_BYTES => bytes.contains(&byte),
            _ => true,
        }
    }
}

/// Where `line` is a line of `text` that begins at `from` or later.
fn line_at(text: &str, line: &str, from: usize) -> Option<usize> {
    let begins = |at: usize| at == 0 || text.as_bytes()[at - 1] == b'\n';
    let mut at = from;
    while !begins(at) {
        at += memchr::memchr(b'\n', &text.as_bytes()[at..])? + 1;
    }
    loop {
        let rest = &text[at..];
        let end = memchr::memchr(b'\n', rest.as_bytes());
        if rest[..end.unwrap_or(rest.len())] == *line {
            return Some(at);
        }
        at += end? + 1;
    }
}

/// The quick kinds, where an expression is nothing but a text.
fn plain(node: &Node) -> Option<Kind> {
    match node {
        Node::Literal(text) => Some(Kind::Within(Box::new(memchr::memmem::Finder::new(text.as_bytes()).into_owned()))),
        Node::Concat(items) => match &items[..] {
            [Node::At(Place::TextStart), Node::Literal(text)] => Some(Kind::Begin(text.clone())),
            [Node::At(Place::TextStart), Node::Literal(text), Node::At(Place::TextEnd)] => {
                Some(Kind::Whole(text.clone()))
            }
            [Node::At(Place::LineStart), Node::Literal(text), Node::At(Place::LineEnd)] if !text.contains('\n') => {
                Some(Kind::Line(text.clone()))
            }
            _ => None,
        },
        _ => None,
    }
}

/// Writes an expression for the crate `regex`; false where it has no such thing.
fn write(node: &Node, names: &[Option<String>], out: &mut String) -> bool {
    use std::fmt::Write as _;
    match node {
        Node::Empty => out.push_str("(?:)"),
        Node::Literal(text) => out.push_str(&regex::escape(text)),
        Node::Class(class) => class.write(out),
        Node::At(place) => out.push_str(match place {
            Place::LineStart => "(?m:^)",
            Place::LineEnd => "(?m:$)",
            Place::TextStart => "\\A",
            Place::TextEnd => "\\z",
            Place::WordEdge => "\\b",
            Place::NoWordEdge => "\\B",
            Place::LastLineEnd => return false,
        }),
        Node::Look { .. } | Node::Atomic(_) => return false,
        Node::Capture(index, inner) => {
            match names.get(*index).and_then(Option::as_ref) {
                Some(name)
                    if name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
                        && !name.starts_with(|c: char| c.is_ascii_digit()) =>
                {
                    // Writing to a String cannot fail.
                    let _ = write!(out, "(?<{name}>");
                }
                Some(_) => return false,
                None => out.push('('),
            }
            if !write(inner, names, out) {
                return false;
            }
            out.push(')');
        }
        Node::Concat(items) => return items.iter().all(|item| grouped(item, names, out)),
        Node::Alternate(arms) => {
            for (index, arm) in arms.iter().enumerate() {
                if index > 0 {
                    out.push('|');
                }
                if !grouped(arm, names, out) {
                    return false;
                }
            }
        }
        Node::Repeat { inner, min, max, greedy } => {
            out.push_str("(?:");
            if !write(inner, names, out) {
                return false;
            }
            out.push(')');
            let _ = match max {
                Some(max) => write!(out, "{{{min},{max}}}"),
                None => write!(out, "{{{min},}}"),
            };
            if !greedy {
                out.push('?');
            }
        }
    }
    true
}

/// The same in a group where it has several arms.
fn grouped(node: &Node, names: &[Option<String>], out: &mut String) -> bool {
    if let Node::Alternate(_) = node {
        out.push_str("(?:");
        let done = write(node, names, out);
        out.push(')');
        return done;
    }
    write(node, names, out)
}

#[cfg(test)]
mod tests;
