//! `simple_query_string`: `+ | - "phrase" prefix* ( ) word~1 "phrase"~2`; it never fails, what makes no sense is text.

use serde_json::Value;

use super::ast::{Edits, Node, Occur};

/// How deep brackets may be nested; deeper ones are taken as text.
const MAX_BRACKETS: usize = 50;

/// Which operators are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Elasticsearch's")]
pub struct Flags {
    pub and: bool,
    pub or: bool,
    pub not: bool,
    pub prefix: bool,
    pub phrase: bool,
    pub precedence: bool,
    pub escape: bool,
    pub whitespace: bool,
    pub fuzzy: bool,
    pub slop: bool,
}

impl Flags {
    /// All of them.
    pub fn all() -> Flags {
        Flags {
            and: true,
            or: true,
            not: true,
            prefix: true,
            phrase: true,
            precedence: true,
            escape: true,
            whitespace: true,
            fuzzy: true,
            slop: true,
        }
    }

    /// Reads `"OR|AND|PREFIX"` (a number other than -1 is refused). The error is the reason.
    pub fn parse(value: &Value) -> Result<Flags, String> {
        if value.as_i64() == Some(-1) {
            return Ok(Flags::all());
        }
        let Some(text) = value.as_str() else { return Err(format!("Unknown simple_query_string flag [{value}]")) };
        let mut f = Flags::all();
        let none = Flags {
            and: false,
            or: false,
            not: false,
            prefix: false,
            phrase: false,
            precedence: false,
            escape: false,
            whitespace: false,
            fuzzy: false,
            slop: false,
        };
        if !text.is_empty() {
            f = none;
        }
        for name in text.split('|').map(str::trim).filter(|n| !n.is_empty()) {
            match name.to_ascii_uppercase().as_str() {
                "ALL" => return Ok(Flags::all()),
                "NONE" => return Ok(none),
                "AND" => f.and = true,
                "OR" => f.or = true,
                "NOT" => f.not = true,
                "PREFIX" => f.prefix = true,
                "PHRASE" => f.phrase = true,
                "PRECEDENCE" => f.precedence = true,
                "ESCAPE" => f.escape = true,
                "WHITESPACE" => f.whitespace = true,
                "FUZZY" => f.fuzzy = true,
                "NEAR" | "SLOP" => f.slop = true,
                _ => return Err(format!("Unknown simple_query_string flag [{name}]")),
            }
        }
        Ok(f)
    }
}

/// Reads a text; it cannot fail.
pub fn parse(text: &str, all: bool, flags: Flags) -> Node {
    let chars: Vec<char> = text.chars().collect();
    let last_quote = chars.iter().rposition(|c| *c == '"').unwrap_or(0);
    let mut p = Parser { closed: closed(&chars), last_quote, chars, at: 0, all, flags };
    p.clauses(0)
}

/// For each opening bracket whether it is closed somewhere.
fn closed(chars: &[char]) -> Vec<bool> {
    let mut closed = vec![false; chars.len()];
    let mut open = Vec::new();
    for (i, c) in chars.iter().enumerate() {
        match c {
            '(' => open.push(i),
            ')' => {
                if let Some(at) = open.pop() {
                    closed[at] = true;
                }
            }
            _ => {}
        }
    }
    closed
}

struct Parser {
    chars: Vec<char>,
    closed: Vec<bool>,
    last_quote: usize,
    at: usize,
    all: bool,
    flags: Flags,
}

impl Parser {
    fn clauses(&mut self, depth: usize) -> Node {
        let f = self.flags;
        // What has been put together, and by which operator.
        let mut so_far: Option<(Occur, Vec<(Occur, Node)>)> = None;
        let default = if self.all { Occur::Must } else { Occur::Should };
        let mut operator = None;
        let mut negated = 0;
        while let Some(&c) = self.chars.get(self.at) {
            let node = match c {
                ')' if f.precedence => {
                    if depth > 0 {
                        break;
                    }
                    self.at += 1;
                    continue;
                }
                '(' if f.precedence && depth < MAX_BRACKETS && self.closed[self.at] => {
                    self.at += 1;
                    let node = self.clauses(depth + 1);
                    self.at += 1;
                    node
                }
                '"' if f.phrase && self.at < self.last_quote => {
                    self.at += 1;
                    let text = self.until('"');
                    self.at += 1;
                    let slop = if f.slop { self.tilde().flatten() } else { None };
                    if text.trim().is_empty() {
                        continue;
                    }
                    if f.prefix && self.chars.get(self.at) == Some(&'*') {
                        self.at += 1;
                        Node::PhrasePrefix(text)
                    } else {
                        Node::Phrase(text, slop)
                    }
                }
                '+' if f.and => {
                    operator.get_or_insert(Occur::Must);
                    self.at += 1;
                    continue;
                }
                '|' if f.or => {
                    operator.get_or_insert(Occur::Should);
                    self.at += 1;
                    continue;
                }
                '-' if f.not => {
                    negated += 1;
                    self.at += 1;
                    continue;
                }
                ' ' | '\t' | '\n' | '\r' if f.whitespace => {
                    // White space ends a lone `-`.
                    negated = 0;
                    self.at += 1;
                    continue;
                }
                _ => match self.word() {
                    Some(node) => node,
                    None => continue,
                },
            };
            let occur = operator.take().unwrap_or(default);
            let node = if negated % 2 == 1 { Node::Group(vec![(Occur::MustNot, node)]) } else { node };
            negated = 0;
            match &mut so_far {
                None => so_far = Some((occur, vec![(occur, node)])),
                Some((current, clauses)) if *current == occur || clauses.len() == 1 => {
                    if *current != occur {
                        *current = occur;
                        clauses.iter_mut().for_each(|c| c.0 = occur);
                    }
                    clauses.push((occur, node));
                }
                Some((current, clauses)) => {
                    // Another operator: all so far becomes one clause of it.
                    let before = Node::Group(std::mem::take(clauses));
                    *current = occur;
                    *clauses = vec![(occur, before), (occur, node)];
                }
            }
        }
        match so_far {
            None => Node::Nothing,
            Some((_, mut clauses)) if clauses.len() == 1 => clauses.remove(0).1,
            Some((_, clauses)) => Node::Group(clauses),
        }
    }

    fn until(&mut self, end: char) -> String {
        let mut out = String::new();
        while let Some(&c) = self.chars.get(self.at) {
            if c == '\\'
                && self.flags.escape
                && let Some(&next) = self.chars.get(self.at + 1)
            {
                out.push(next);
                self.at += 2;
                continue;
            }
            if c == end {
                break;
            }
            out.push(c);
            self.at += 1;
        }
        out
    }

    /// `~` and its number: `Some(None)` without one.
    fn tilde(&mut self) -> Option<Option<u32>> {
        if self.chars.get(self.at) != Some(&'~') {
            return None;
        }
        self.at += 1;
        let digits: String = self.chars[self.at..].iter().take_while(|c| c.is_ascii_digit()).collect();
        self.at += digits.len();
        Some(digits.parse().ok())
    }

    fn word(&mut self) -> Option<Node> {
        let f = self.flags;
        let mut out = String::new();
        let mut prefix = false;
        let mut fuzzy = None;
        let start = self.at;
        while let Some(&c) = self.chars.get(self.at) {
            if c == '\\'
                && f.escape
                && let Some(&next) = self.chars.get(self.at + 1)
            {
                out.push(next);
                prefix = false;
                self.at += 2;
                continue;
            }
            let ends = match c {
                '"' => f.phrase && self.at > start && self.at < self.last_quote,
                '|' => f.or,
                '+' => f.and,
                '(' | ')' => f.precedence && self.at > start,
                ' ' | '\t' | '\n' | '\r' => f.whitespace,
                _ => false,
            };
            if ends {
                break;
            }
            if c == '~' && f.fuzzy && self.at > start {
                fuzzy = self.tilde();
                break;
            }
            prefix = c == '*' && f.prefix && self.at > start;
            out.push(c);
            self.at += 1;
        }
        if self.at == start {
            self.at += 1;
        }
        if out.is_empty() {
            return None;
        }
        if let Some(n) = fuzzy {
            return Some(Node::Fuzzy(out, Some(Edits::Fixed(n.map_or(2, |n| n.min(2)) as u8))));
        }
        if prefix {
            out.pop();
            // A star in the middle of a word is text here.
            let escaped: String =
                out.chars().flat_map(|c| if matches!(c, '*' | '?' | '\\') { vec!['\\', c] } else { vec![c] }).collect();
            return Some(Node::Wildcard(format!("{escaped}*")));
        }
        if out == "*" && f.prefix {
            return Some(Node::Wildcard("*".into()));
        }
        Some(Node::Words(out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &str, all: bool) -> String {
        format!("{:?}", parse(text, all, Flags::all())).replace("Words(", "(").replace("Group", "")
    }

    #[test]
    fn operators() {
        assert_eq!(show("a b", false), "([(Should, (\"a\")), (Should, (\"b\"))])");
        assert_eq!(show("a + b", false), "([(Must, (\"a\")), (Must, (\"b\"))])");
        assert_eq!(show("a -b", true), "([(Must, (\"a\")), (Must, ([(MustNot, (\"b\"))]))])");
        assert_eq!(show("a | (b + c)", true), "([(Should, (\"a\")), (Should, ([(Must, (\"b\")), (Must, (\"c\"))]))])");
        assert_eq!(
            show("\"x y\"~2 pre*", false),
            "([(Should, Phrase(\"x y\", Some(2))), (Should, Wildcard(\"pre*\"))])"
        );
        assert_eq!(show("word~1", false), "Fuzzy(\"word\", Some(Fixed(1)))");
    }

    #[test]
    fn nothing_fails() {
        for text in ["", "(((", ")", "\"", "a + + b", "|||", "~", "\\", "((a) b", "-", "* ~2 \"\"", "a)b"] {
            parse(text, false, Flags::all());
        }
        parse(&"(".repeat(100_000), false, Flags::all());
    }

    #[test]
    fn flags() {
        let f = Flags::parse(&"OR|PREFIX".into()).unwrap();
        assert!(f.or && f.prefix && !f.and && !f.phrase);
        assert!(Flags::parse(&"FOO".into()).is_err());
    }
}
