//! Patterns over whole terms: wildcards, Lucene regular expressions, edit distance.

use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use super::scan::Matcher;
use crate::query::refusal::Refusal;

/// Memory for one compiled pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A pattern: what every term that fits begins with, and which fit.
pub struct Pattern {
    /// Empty when unknown.
    pub prefix: String,
    /// `None`: every term that begins so.
    pub matcher: Option<Matcher>,
}

fn compile(source: &str, any_case: bool) -> Result<Regex, Refusal> {
    RegexBuilder::new(&format!("^(?s:{source})$"))
        .case_insensitive(any_case)
        .size_limit(PATTERN_BYTES_MAX)
        .dfa_size_limit(PATTERN_BYTES_MAX)
        .build()
        .map_err(|e| Refusal::shard_argument(format!("failed to parse regexp [{source}]: {e}")))
}

/// `*`, `?` and backslash escapes.
pub fn wildcard(text: &str, any_case: bool) -> Result<Pattern, Refusal> {
    let (mut prefix, mut source, mut wild, mut stars) = (String::new(), String::new(), false, 0);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '*' => {
                wild = true;
                stars += 1;
                source.push_str(".*");
            }
            '?' => {
                wild = true;
                stars += 2;
                source.push('.');
            }
            c => {
                let c = if c == '\\' { chars.next().unwrap_or('\\') } else { c };
                if !wild {
                    prefix.push(c);
                } else {
                    stars += 2;
                }
                source.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
            }
        }
    }
    if any_case {
        return Ok(Pattern { prefix: String::new(), matcher: Some(of(compile(&source, true)?)) });
    }
    if stars == 1 {
        return Ok(Pattern { prefix, matcher: None });
    }
    Ok(Pattern { prefix, matcher: Some(of(compile(&source, false)?)) })
}

/// The beginning of a text.
pub fn prefix(text: &str, any_case: bool) -> Result<Pattern, Refusal> {
    if any_case {
        let source = format!("{}.*", regex::escape(text));
        return Ok(Pattern { prefix: String::new(), matcher: Some(of(compile(&source, true)?)) });
    }
    Ok(Pattern { prefix: text.to_string(), matcher: None })
}

/// A whole text in any case.
pub fn same(text: &str) -> Result<Pattern, Refusal> {
    Ok(Pattern { prefix: String::new(), matcher: Some(of(compile(&regex::escape(text), true)?)) })
}

/// Lucene's regular expressions: `^ $` are plain characters, `"…"` is literal, `@` is any text, `#` none.
/// Complement `~`, intersection `&` and intervals `<1-9>` are refused.
pub fn lucene(text: &str, any_case: bool) -> Result<Pattern, Refusal> {
    let mut source = String::new();
    let mut chars = text.chars().peekable();
    let mut class = 0usize;
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                let c = chars.next().unwrap_or('\\');
                match c {
                    'd' | 'D' | 's' | 'S' | 'w' | 'W' => source.extend(['\\', c]),
                    c => source.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
                }
            }
            '[' if class == 0 => {
                class = 1;
                source.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    source.push('^');
                }
            }
            ']' if class > 0 => {
                class = 0;
                source.push(']');
            }
            c if class > 0 => {
                if matches!(c, '[' | '&' | '~' | '^') {
                    source.push('\\');
                }
                source.push(c);
            }
            '^' | '$' => source.extend(['\\', c]),
            '"' => {
                let literal: String = chars.by_ref().take_while(|c| *c != '"').collect();
                source.push_str(&format!("(?:{})", regex::escape(&literal)));
            }
            '@' => source.push_str("(?:.*)"),
            '#' => source.push_str("[^\\s\\S]"),
            '(' => source.push_str("(?:"),
            '~' | '&' | '<' => {
                return Err(Refusal::shard_argument(format!(
                    "regular expression operator [{c}] in [{text}] is not supported"
                )));
            }
            c => source.push(c),
        }
    }
    let mut prefix = String::new();
    if !any_case && !text.contains('|') {
        let plain: String =
            text.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | ' ' | ':' | '/')).collect();
        // The last of them may be what `*`, `?` or `{` counts.
        prefix = plain;
        if text.chars().count() > prefix.chars().count() {
            prefix.pop();
        }
    }
    Ok(Pattern { prefix, matcher: Some(of(compile(&source, any_case)?)) })
}

fn of(regex: Regex) -> Matcher {
    Arc::new(move |term| regex.is_match(term))
}

/// Terms at most `edits` edits from `word` that share its first `keep` characters.
pub fn fuzzy(word: &str, edits: u8, keep: usize, transpositions: bool) -> Pattern {
    let prefix: String = word.chars().take(keep).collect();
    let word: Vec<char> = word.chars().collect();
    let matcher: Matcher = Arc::new(move |term| {
        let term: Vec<char> = term.chars().take(word.len() + 3).collect();
        distance(&word, &term, usize::from(edits), transpositions) <= usize::from(edits)
    });
    Pattern { prefix, matcher: Some(matcher) }
}

/// Edits between two words (with swaps of neighbours when `swaps`); anything above `most` means "more".
pub fn distance(a: &[char], b: &[char], most: usize, swaps: bool) -> usize {
    if a.len().abs_diff(b.len()) > most {
        return most + 1;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut next = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let change = row[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            next[j] = change.min(row[j] + 1).min(next[j - 1] + 1);
            if swaps && i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                next[j] = next[j].min(before[j - 2] + 1);
            }
        }
        if next.iter().min().is_some_and(|m| *m > most) {
            return most + 1;
        }
        before = std::mem::replace(&mut row, next);
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(p: &Pattern, term: &str) -> bool {
        term.starts_with(&p.prefix) && p.matcher.as_ref().is_none_or(|m| m(term))
    }

    #[test]
    fn wildcards() {
        let p = wildcard("jad?n*", false).unwrap();
        assert_eq!(p.prefix, "jad");
        assert!(fits(&p, "jadon") && fits(&p, "jadonk") && !fits(&p, "jadk"));
        assert!(wildcard("ab*", false).unwrap().matcher.is_none());
        assert!(fits(&wildcard("RUS*", true).unwrap(), "rust"));
        assert!(fits(&wildcard("a\\*b", false).unwrap(), "a*b") && !fits(&wildcard("a\\*b", false).unwrap(), "axb"));
        assert!(!fits(&wildcard("a.c", false).unwrap(), "abc"));
    }

    #[test]
    fn regular_expressions() {
        for (pattern, term, want) in [
            (".*event", "pushevent", true),
            ("event", "pushevent", false),
            ("gold$", "gold$", true),
            ("red$", "red", false),
            ("joh?n(ath[oa]n)", "jonathan", true),
            ("ab*c", "ac", true),
            ("ab{0,1}c", "ac", true),
            ("a|b", "b", true),
            ("\"a.b\"", "axb", false),
            ("@", "anything", true),
            ("[^a]b", "cb", true),
            ("a\\.b", "a.b", true),
        ] {
            assert_eq!(fits(&lucene(pattern, false).unwrap(), term), want, "{pattern} {term}");
        }
        assert!(fits(&lucene("RUST.*", true).unwrap(), "rusty"));
        assert!(lucene("a&b", false).is_err() && lucene("(", false).is_err());
    }

    #[test]
    fn edits() {
        let d = |a: &str, b: &str, swaps| {
            distance(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>(), 2, swaps)
        };
        assert_eq!(d("quikc", "quick", true), 1);
        assert_eq!(d("quikc", "quick", false), 2);
        assert_eq!(d("abc", "abc", true), 0);
        assert_eq!(d("abc", "xyz", true), 3);
        assert!(fits(&fuzzy("brwn", 1, 1, true), "brown") && !fits(&fuzzy("brwn", 1, 1, true), "crown"));
    }
}
