//! Regular expressions as pipeline files have them (Ruby's), on the linear-time engine of the crate `regex`.

use std::borrow::Cow;

/// Memory one compiled expression may take, in bytes; a larger one is refused at load.
const SIZE_BYTES_MAX: usize = 8 << 20;
/// Memory its lazily built automaton may take, in bytes.
const CACHE_BYTES_MAX: usize = 2 << 20;

/// Why a text is not an expression that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PatternError(pub String);

/// A regular expression.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: regex::Regex,
}

impl Pattern {
    /// Reads an expression in Ruby's way of writing.
    ///
    /// # Errors
    /// What is no expression, is too large, or cannot be had in linear time.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        let regex = regex::RegexBuilder::new(text)
            .multi_line(true)
            .size_limit(SIZE_BYTES_MAX)
            .dfa_size_limit(CACHE_BYTES_MAX)
            .build()
            .map_err(|error| PatternError(format!("not a regular expression: {error}")))?;
        Ok(Self { regex })
    }

    /// Whether it is found anywhere in `text`.
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// The compiled expression.
    pub fn regex(&self) -> &regex::Regex {
        &self.regex
    }

    /// `text` with every match replaced; in `replacement`, `\1` and `\k<name>` stand for what was captured.
    pub fn replace_all<'t>(&self, text: &'t str, replacement: &str) -> Cow<'t, str> {
        if !replacement.contains('\\') {
            return self.regex.replace_all(text, regex::NoExpand(replacement));
        }
        self.regex.replace_all(text, |captures: &regex::Captures<'_>| expand(captures, replacement))
    }
}

/// Ruby's replacement text: `\0` to `\9`, `\&`, `\k<name>`, `\\`.
fn expand(captures: &regex::Captures<'_>, replacement: &str) -> String {
    let mut out = String::new();
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
            '0'..='9' => {
                let group = usize::from(next as u8 - b'0');
                out.push_str(captures.get(group).map_or("", |found| found.as_str()));
            }
            '&' => out.push_str(&captures[0]),
            '\\' => out.push('\\'),
            'k' if tail.starts_with("k<") && tail.contains('>') => {
                let end = tail.find('>').unwrap_or(tail.len());
                out.push_str(captures.name(&tail[2..end]).map_or("", |found| found.as_str()));
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
    out
}
