//! Logstash's configuration language: text to syntax tree. Words are read with nom. A mistake is noted with its place and
//! what was expected there, and reading goes on behind the block that it stands in, so that all are told at once.

use std::sync::Arc;

use nom::branch::alt;
use nom::bytes::complete::{is_not, tag, take_while, take_while1};
use nom::character::complete::{char, digit1, multispace1};
use nom::combinator::{opt, recognize};
use nom::multi::{many0_count, many1_count};
use nom::sequence::{delimited, pair, preceded};
use nom::{IResult, Parser};

mod conditions;

use super::ast::*;
use super::diagnostic::{Diagnostic, Source, Span, nearest};

/// Conditions, parentheses, lists and plugins may nest this deep; keeps the stack from being exhausted.
const DEPTH_MAX: usize = 60;

type Lexed<'a> = IResult<&'a str, &'a str>;
type Parsed<T> = Result<T, Box<Diagnostic>>;

fn space(text: &str) -> Lexed<'_> {
    recognize(many0_count(alt((multispace1, recognize(pair(char('#'), opt(is_not("\n")))))))).parse(text)
}

fn bareword(text: &str) -> Lexed<'_> {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    recognize(pair(take_while1(first), take_while(|c: char| c.is_ascii_alphanumeric() || c == '_'))).parse(text)
}

fn plugin_name(text: &str) -> Lexed<'_> {
    take_while1(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-').parse(text)
}

fn number(text: &str) -> Lexed<'_> {
    recognize((opt(char('-')), digit1, opt((char('.'), nom::character::complete::digit0)))).parse(text)
}

/// What stands between a pair of `quote`s; a backslash keeps the next character, and stays.
fn quoted<'a>(quote: char, others: &'static str) -> impl FnMut(&'a str) -> Lexed<'a> {
    move |text| {
        let piece = alt((is_not(others), recognize(preceded(char('\\'), nom::character::complete::anychar))));
        delimited(char(quote), recognize(many0_count(piece)), char(quote)).parse(text)
    }
}

fn string(text: &str) -> Lexed<'_> {
    alt((quoted('"', "\\\""), quoted('\'', "\\'"))).parse(text)
}

fn regexp(text: &str) -> Lexed<'_> {
    quoted('/', "\\/").parse(text)
}

fn selector(text: &str) -> Lexed<'_> {
    recognize(many1_count(delimited(char('['), is_not("[],"), char(']')))).parse(text)
}

/// Reads a whole file: what could be read of it, and every mistake.
pub fn parse(source: &Arc<Source>) -> (Vec<Section>, Vec<Diagnostic>) {
    let mut reader = Reader { source, at: 0, depth: 0, mistakes: Vec::new(), lost: false };
    let sections = reader.file();
    (sections, reader.mistakes)
}

/// Reads a text that is one condition, without `if` and braces.
///
/// # Errors
/// The first mistake.
pub fn condition(source: &Arc<Source>) -> Result<Expression, Box<Diagnostic>> {
    let mut reader = Reader { source, at: 0, depth: 0, mistakes: Vec::new(), lost: false };
    let expression = reader.expression()?;
    reader.skip_space();
    if reader.rest().is_empty() { Ok(expression) } else { reader.fail("the end of the condition", "") }
}

/// Where the block that begins at or after `start` ends: behind the brace that closes its first one. Braces in texts,
/// expressions and comments do not count.
fn block_end(text: &str, start: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut at, mut open) = (start, 0_usize);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'#' => at += memchr::memchr(b'\n', &bytes[at..])?,
            b'"' | b'\'' => at = quote_end(bytes, at)?,
            b'~' => {
                let blanks = bytes[at + 1..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
                if bytes.get(at + 1 + blanks) == Some(&b'/') {
                    at = quote_end(bytes, at + 1 + blanks)?;
                }
            }
            b'{' => open += 1,
            b'}' if open <= 1 => return (open == 1).then_some(at + 1),
            b'}' => open -= 1,
            _ => {}
        }
        at += 1;
    }
    None
}

/// Where the sign at `at` stands again, not behind a backslash.
fn quote_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut end = at + 1;
    while *bytes.get(end)? != bytes[at] {
        end += if bytes[end] == b'\\' { 2 } else { 1 };
    }
    Some(end)
}

struct Reader<'a> {
    source: &'a Arc<Source>,
    at: usize,
    depth: usize,
    mistakes: Vec<Diagnostic>,
    /// Whether the rest of the file was given up: what is open then has no end, and that is no mistake of its own.
    lost: bool,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.source.text[self.at..]
    }

    fn span(&self, start: usize, end: usize) -> Span {
        Span { source: Arc::clone(self.source), start, end }
    }

    /// The word or sign that stands here, to underline it.
    fn here(&self) -> Span {
        let rest = self.rest();
        let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let len = if word > 0 { word } else { rest.chars().next().map_or(0, char::len_utf8) };
        self.span(self.at, self.at + len)
    }

    fn fail<T>(&self, expected: &str, hint: &str) -> Parsed<T> {
        let here = self.here();
        let found =
            if here.start == here.end { "the end of the file".to_owned() } else { format!("`{}`", here.text()) };
        Err(Box::new(Diagnostic::error(&here, format!("expected {expected}, found {found}"), hint)))
    }

    fn skip_space(&mut self) {
        if let Ok((rest, _)) = space(self.rest()) {
            self.at = self.source.text.len() - rest.len();
        }
    }

    fn lex(&mut self, lexer: impl FnOnce(&'a str) -> Lexed<'a>) -> Option<(&'a str, Span)> {
        let (rest, word) = lexer(self.rest()).ok()?;
        let start = self.at;
        self.at = self.source.text.len() - rest.len();
        Some((word, self.span(start, self.at)))
    }

    fn sign(&mut self, sign: &'static str) -> Option<Span> {
        self.lex(|text| tag(sign).parse(text)).map(|(_, span)| span)
    }

    /// A word that is not the begin of a longer one.
    fn keyword(&mut self, word: &'static str) -> bool {
        let after = self.rest().strip_prefix(word).map(|rest| rest.chars().next());
        let whole = matches!(after, Some(next) if next.is_none_or(|c| !c.is_ascii_alphanumeric() && c != '_'));
        if whole {
            self.at += word.len();
        }
        whole
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == DEPTH_MAX {
            return Err(Box::new(Diagnostic::error(
                &self.here(),
                format!("this nests deeper than {DEPTH_MAX} levels"),
                "",
            )));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// Notes a mistake in a block that begins at `start`, and goes on behind it. Fails where that has no end.
    fn recover(&mut self, start: usize, mistake: Box<Diagnostic>) -> Parsed<()> {
        match block_end(&self.source.text, start) {
            Some(end) => {
                self.mistakes.push(*mistake);
                self.at = end;
                Ok(())
            }
            None => Err(mistake),
        }
    }

    fn file(&mut self) -> Vec<Section> {
        let mut sections = Vec::new();
        loop {
            self.skip_space();
            if self.rest().is_empty() {
                return sections;
            }
            let start = self.at;
            match self.section() {
                Ok(section) => sections.push(section),
                Err(mistake) => {
                    if let Err(mistake) = self.recover(start, mistake) {
                        self.mistakes.push(*mistake);
                        return sections;
                    }
                }
            }
        }
    }

    fn section(&mut self) -> Parsed<Section> {
        let start = self.at;
        let kind = match self.lex(bareword) {
            Some(("input", _)) => SectionKind::Input,
            Some(("filter", _)) => SectionKind::Filter,
            Some(("output", _)) => SectionKind::Output,
            other => {
                self.at = start;
                let near = other.and_then(|(word, _)| nearest(word, ["input", "filter", "output"]));
                let hint = near.map_or_else(
                    || "a file is made of input { … }, filter { … } and output { … }".to_owned(),
                    |word| format!("did you mean `{word}`?"),
                );
                return self.fail("`input`, `filter` or `output`", &hint);
            }
        };
        let body = self.body()?;
        Ok(Section { kind, body })
    }

    /// `{ branches }`.
    fn body(&mut self) -> Parsed<Vec<Branch>> {
        self.skip_space();
        let Some(open) = self.sign("{") else { return self.fail("`{`", "") };
        let mut branches = Vec::new();
        loop {
            self.skip_space();
            if self.sign("}").is_some() {
                return Ok(branches);
            }
            if self.rest().is_empty() {
                if self.lost {
                    return Ok(branches);
                }
                return Err(Box::new(Diagnostic::error(&open, "this `{` is never closed", "add the missing `}`")));
            }
            let start = self.at;
            match self.deeper(Self::branch) {
                Ok(branch) => branches.push(branch),
                Err(mistake) => {
                    if let Err(mistake) = self.recover(start, mistake) {
                        // What was read before can still be checked.
                        self.mistakes.push(*mistake);
                        self.at = self.source.text.len();
                        self.lost = true;
                    }
                }
            }
        }
    }

    fn branch(&mut self) -> Parsed<Branch> {
        let start = self.at;
        if self.keyword("if") {
            return self.conditions().map(Branch::If);
        }
        for wrong in ["else", "elsif", "elif", "elseif"] {
            if self.keyword(wrong) {
                self.at = start;
                return self.fail("a plugin or `if`", "write `else if` and `else` right behind the `}` of their `if`");
            }
        }
        self.plugin().map(Branch::Plugin)
    }

    fn plugin(&mut self) -> Parsed<Plugin> {
        let (name, span) = match self.lex(plugin_name).or_else(|| self.lex(string)) {
            Some(found) => found,
            None => return self.fail("the name of a plugin, `if` or `}`", ""),
        };
        self.skip_space();
        if self.sign("{").is_none() {
            return self.fail(&format!("`{{` after `{name}`"), "");
        }
        let mut attributes = Vec::new();
        loop {
            self.skip_space();
            if self.sign("}").is_some() {
                return Ok(Plugin { name: name.to_owned(), span, attributes });
            }
            if self.rest().is_empty() {
                let message = format!("the `{{` of `{name}` is never closed");
                return Err(Box::new(Diagnostic::error(&span, message, "add the missing `}`")));
            }
            attributes.push(self.attribute()?);
        }
    }

    fn attribute(&mut self) -> Parsed<Attribute> {
        let Some((name, span)) = self.lex(plugin_name).or_else(|| self.lex(string)) else {
            let hint = if self.rest().starts_with(',') { "options are separated by white space alone" } else { "" };
            return self.fail("the name of an option, or `}`", hint);
        };
        self.arrow(name)?;
        let value = self.value()?;
        Ok(Attribute { name: name.to_owned(), span, value })
    }

    fn arrow(&mut self, name: &str) -> Parsed<()> {
        self.skip_space();
        if self.sign("=>").is_some() {
            self.skip_space();
            return Ok(());
        }
        let hint = match self.rest().chars().next() {
            Some('=' | ':' | '-') => "a name and its value are joined by `=>`",
            Some('{') => "an option is written `name => value`; a plugin cannot stand inside another one",
            _ => "",
        };
        self.fail(&format!("`=>` after `{name}`"), hint)
    }

    fn value(&mut self) -> Parsed<Value> {
        let start = self.at;
        let literal = match self.rest().chars().next() {
            Some('"' | '\'') => match self.lex(string) {
                Some((text, _)) => Literal::Text(text.to_owned()),
                None => {
                    let here = self.here();
                    return Err(Box::new(Diagnostic::error(
                        &here,
                        "this text is never closed",
                        "add the closing quote",
                    )));
                }
            },
            Some('[') => self.deeper(Self::array)?,
            Some('{') => self.deeper(Self::hash)?,
            Some('-' | '0'..='9') => match self.lex(number) {
                Some((digits, _)) => Literal::Number(digits.to_owned()),
                None => return self.fail("a number", ""),
            },
            _ => match self.lex(bareword) {
                Some((word, _)) => {
                    let end = self.at;
                    self.skip_space();
                    if self.rest().starts_with('{') {
                        self.at = start;
                        Literal::Plugin(self.deeper(Self::plugin)?)
                    } else {
                        self.at = end;
                        Literal::Bareword(word.to_owned())
                    }
                }
                None => return self.fail("a value", "text with anything but letters, digits and _ needs quotes"),
            },
        };
        Ok(Value { literal, span: self.span(start, self.at) })
    }

    fn array(&mut self) -> Parsed<Literal> {
        let open = self.sign("[");
        let mut items = Vec::new();
        loop {
            self.skip_space();
            if self.sign("]").is_some() {
                return Ok(Literal::Array(items));
            }
            self.unclosed(open.as_ref(), "[")?;
            items.push(self.value()?);
            self.skip_space();
            // Logstash wants no comma before the bracket; we let it pass.
            if self.sign(",").is_none() && !self.rest().starts_with(']') {
                self.unclosed(open.as_ref(), "[")?;
                return self.fail("`,` or `]`", "");
            }
        }
    }

    fn unclosed(&self, open: Option<&Span>, sign: &str) -> Parsed<()> {
        match open {
            Some(span) if self.rest().is_empty() => {
                Err(Box::new(Diagnostic::error(span, format!("this `{sign}` is never closed"), "")))
            }
            _ => Ok(()),
        }
    }

    fn hash(&mut self) -> Parsed<Literal> {
        let open = self.sign("{");
        let mut entries = Vec::new();
        loop {
            self.skip_space();
            if self.sign("}").is_some() {
                return Ok(Literal::Hash(entries));
            }
            self.unclosed(open.as_ref(), "{")?;
            let start = self.at;
            let literal = if let Some((text, _)) = self.lex(string) {
                Literal::Text(text.to_owned())
            } else if let Some((digits, _)) = self.lex(number) {
                Literal::Number(digits.to_owned())
            } else if let Some((word, _)) = self.lex(bareword) {
                Literal::Bareword(word.to_owned())
            } else {
                return self.fail("a name in quotes, or `}`", "");
            };
            let key = Value { literal, span: self.span(start, self.at) };
            self.arrow(key.span.text())?;
            let value = self.value()?;
            entries.push((key, value));
            self.skip_space();
            // Not in Logstash's grammar, but people write it, and it has one meaning only.
            let _ = self.sign(",");
        }
    }
}

#[cfg(test)]
mod tests;
