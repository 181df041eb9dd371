//! Lucene's query syntax, as `query_string` takes it: text → [`Node`].
//!
//! `field:word  "a phrase"~2  wild*c?rd  /regex/  word~1  [a TO b}  >=5  _exists_:f  a AND (b OR NOT c) +d -e ^2`.
//! The rules for AND, OR and NOT are those of Lucene's classic parser: each operator marks its neighbours.

use super::ast::{Edits, Node, Occur};

/// How deep brackets may be nested: a bound on recursion.
const MAX_BRACKETS: usize = 50;
/// How long a text may be, in bytes: longer ones come from mistakes.
const MAX_TEXT: usize = 256 * 1024;

/// Reads a text. With `all`, clauses without an operator between them must all match.
/// The error says what was met, and where.
pub fn parse(text: &str, all: bool) -> Result<Node, String> {
    if text.len() > MAX_TEXT {
        return Err(format!("the query is longer than {MAX_TEXT} bytes"));
    }
    let mut parser = Parser { text, at: 0, all };
    parser.skip_space();
    if parser.at == text.len() {
        return Ok(Node::Nothing);
    }
    let node = parser.clauses(0)?;
    if parser.at < text.len() {
        return Err(parser.unexpected());
    }
    Ok(node)
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    all: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Conjunction {
    None,
    And,
    Or,
}

#[derive(Clone, Copy, PartialEq)]
enum Modifier {
    None,
    Not,
    Required,
}

/// A run of characters that make a term, raw, and what it holds.
struct Raw<'a> {
    text: &'a str,
    wild: bool,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self, token: &str) -> bool {
        let yes = self.rest().starts_with(token);
        if yes {
            self.at += token.len();
        }
        yes
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{3000}']).len();
    }

    fn unexpected(&self) -> String {
        let column = self.text[..self.at].chars().count() + 1;
        match self.peek() {
            None => format!("Encountered \"<EOF>\" at line 1, column {column}"),
            Some(c) => format!("Encountered \"{c}\" at line 1, column {column}"),
        }
    }

    /// Takes a word operator (`AND`) that stands alone, or its sign.
    fn operator(&mut self, word: &str, sign: &str) -> bool {
        if let Some(after) = self.rest().strip_prefix(word)
            && !after.starts_with(|c: char| is_term_char(c) || matches!(c, '*' | '?' | ':' | '\\' | '~' | '^'))
        {
            self.at += word.len();
            return true;
        }
        !sign.is_empty() && self.take(sign)
    }

    fn conjunction(&mut self) -> Conjunction {
        if self.operator("AND", "&&") {
            Conjunction::And
        } else if self.operator("OR", "||") {
            Conjunction::Or
        } else {
            Conjunction::None
        }
    }

    fn modifier(&mut self) -> Modifier {
        if self.operator("NOT", "!") || self.take("-") {
            Modifier::Not
        } else if self.take("+") {
            Modifier::Required
        } else {
            Modifier::None
        }
    }

    fn clauses(&mut self, depth: usize) -> Result<Node, String> {
        if depth > MAX_BRACKETS {
            return Err(format!("brackets are nested deeper than {MAX_BRACKETS}"));
        }
        let mut clauses: Vec<(Occur, Node)> = Vec::new();
        // Whether the last clause is a bare word that the next bare word may join.
        let mut joinable = false;
        let mut first = true;
        loop {
            self.skip_space();
            if self.peek().is_none_or(|c| c == ')') && (!first || depth == 0) {
                break;
            }
            let conj = if first { Conjunction::None } else { self.conjunction() };
            first = false;
            self.skip_space();
            let modifier = self.modifier();
            self.skip_space();
            let node = self.clause(depth)?;
            let plain = matches!(node, Node::Words(_)) && conj == Conjunction::None && modifier == Modifier::None;
            if plain
                && joinable
                && let (Some((_, Node::Words(before))), Node::Words(word)) = (clauses.last_mut(), &node)
                && !self.operator_follows()
            {
                before.push(' ');
                before.push_str(word);
                continue;
            }
            joinable = plain && !self.operator_follows();
            self.add(&mut clauses, conj, modifier, node);
        }
        Ok(match clauses.len() {
            0 => Node::Nothing,
            1 if clauses[0].0 != Occur::MustNot => clauses.remove(0).1,
            _ => Node::Group(clauses),
        })
    }

    /// Whether `AND` or `OR` comes next.
    fn operator_follows(&self) -> bool {
        let mut ahead = Parser { text: self.text, at: self.at, all: self.all };
        ahead.skip_space();
        ahead.conjunction() != Conjunction::None
    }

    /// Lucene's rule for how a clause and the one before it count.
    fn add(&self, clauses: &mut Vec<(Occur, Node)>, conj: Conjunction, modifier: Modifier, node: Node) {
        if let Some((occur, _)) = clauses.last_mut()
            && *occur != Occur::MustNot
        {
            if conj == Conjunction::And {
                *occur = Occur::Must;
            } else if conj == Conjunction::Or && self.all {
                *occur = Occur::Should;
            }
        }
        let occur = if modifier == Modifier::Not {
            Occur::MustNot
        } else if self.all {
            if conj == Conjunction::Or && modifier != Modifier::Required { Occur::Should } else { Occur::Must }
        } else if modifier == Modifier::Required || conj == Conjunction::And {
            Occur::Must
        } else {
            Occur::Should
        };
        clauses.push((occur, node));
    }

    fn clause(&mut self, depth: usize) -> Result<Node, String> {
        if let Some(field) = self.field_name() {
            self.skip_space();
            if field == "_exists_" {
                let name = self.exists_target()?;
                return Ok(Node::Exists(name));
            }
            let node = self.value(depth)?;
            return Ok(match (field.as_str(), node) {
                ("*", Node::Wildcard(w)) if w == "*" => Node::All,
                (_, Node::Wildcard(w)) if w == "*" => Node::Exists(field),
                (_, node) => Node::Field(field, Box::new(node)),
            });
        }
        self.value(depth)
    }

    /// Takes `name:`, when it stands here.
    fn field_name(&mut self) -> Option<String> {
        let start = self.at;
        if self.take("*:") {
            return Some("*".into());
        }
        if let Some(raw) = self.raw_term() {
            let after = self.at;
            self.skip_space();
            if self.take(":") {
                return Some(if raw.wild { raw.text.to_string() } else { unescape(raw.text) });
            }
            self.at = after;
        }
        self.at = start;
        None
    }

    fn exists_target(&mut self) -> Result<String, String> {
        if self.take("\"") {
            return self.quoted();
        }
        match self.raw_term() {
            Some(raw) => Ok(unescape(raw.text)),
            None => Err(self.unexpected()),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, String> {
        let node = match self.peek() {
            Some('(') => {
                self.at += 1;
                let node = self.clauses(depth + 1)?;
                if !self.take(")") {
                    return Err(self.unexpected());
                }
                node
            }
            Some('"') => {
                self.at += 1;
                let text = self.quoted()?;
                let slop = self.tilde().map(|t| t.parse::<f32>().map_or(0, |n| n as u32));
                Node::Phrase(text, slop)
            }
            Some('/') => self.regex()?,
            Some('[' | '{') => self.range()?,
            _ => {
                let Some(raw) = self.raw_term() else { return Err(self.unexpected()) };
                if raw.wild {
                    self.tilde();
                    Node::Wildcard(raw.text.to_string())
                } else if let Some(range) = self.one_sided(raw.text) {
                    range
                } else {
                    let word = unescape(raw.text);
                    match self.tilde() {
                        None => Node::Words(word),
                        Some("") => Node::Fuzzy(word, None),
                        Some(n) => Node::Fuzzy(word, Some(edits(n)?)),
                    }
                }
            }
        };
        self.boost(node)
    }

    fn boost(&mut self, node: Node) -> Result<Node, String> {
        if !self.take("^") {
            return Ok(node);
        }
        let rest = self.rest();
        let len = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let boost: f32 = rest[..len].parse().map_err(|_| self.unexpected())?;
        self.at += len;
        let node = match (node, self.tilde()) {
            (Node::Words(word), Some("")) => Node::Fuzzy(word, None),
            (Node::Words(word), Some(n)) => Node::Fuzzy(word, Some(edits(n)?)),
            (Node::Phrase(text, None), Some(n)) => Node::Phrase(text, n.parse::<f32>().ok().map(|n| n as u32)),
            (node, _) => node,
        };
        Ok(Node::Boosted(Box::new(node), boost))
    }

    /// Takes `~` and the number after it.
    fn tilde(&mut self) -> Option<&'a str> {
        if !self.take("~") {
            return None;
        }
        let rest = self.rest();
        let len = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        self.at += len;
        Some(&rest[..len])
    }

    /// `>5`, `<=now-1d`: a range with one end.
    fn one_sided(&self, raw: &str) -> Option<Node> {
        let (rest, lower, closed) = if let Some(r) = raw.strip_prefix(">=") {
            (r, true, true)
        } else if let Some(r) = raw.strip_prefix("<=") {
            (r, false, true)
        } else if let Some(r) = raw.strip_prefix('>') {
            (r, true, false)
        } else {
            (raw.strip_prefix('<')?, false, false)
        };
        if rest.is_empty() {
            return None;
        }
        let end = Some((unescape(rest), closed));
        Some(if lower { Node::Range { from: end, to: None } } else { Node::Range { from: None, to: end } })
    }

    fn regex(&mut self) -> Result<Node, String> {
        let body = &self.text[self.at + 1..];
        let mut escaped = false;
        for (i, c) in body.char_indices() {
            match c {
                '\\' if !escaped => escaped = true,
                '/' if !escaped => {
                    self.at += 1 + i + 1;
                    return Ok(Node::Regex(body[..i].replace("\\/", "/")));
                }
                _ => escaped = false,
            }
        }
        self.at = self.text.len();
        Err(self.unexpected())
    }

    fn range(&mut self) -> Result<Node, String> {
        let closed_from = self.take("[");
        if !closed_from {
            self.at += 1;
        }
        let from = self.range_end()?;
        self.skip_space();
        if !self.take("TO") {
            return Err(self.unexpected());
        }
        let to = self.range_end()?;
        self.skip_space();
        let closed_to = self.take("]");
        if !closed_to && !self.take("}") {
            return Err(self.unexpected());
        }
        Ok(Node::Range { from: from.map(|v| (v, closed_from)), to: to.map(|v| (v, closed_to)) })
    }

    fn range_end(&mut self) -> Result<Option<String>, String> {
        self.skip_space();
        if self.take("\"") {
            return self.quoted().map(Some);
        }
        let rest = self.rest();
        let len = rest.find([' ', ']', '}', '\t', '\n']).unwrap_or(rest.len());
        if len == 0 {
            return Err(self.unexpected());
        }
        self.at += len;
        let text = &rest[..len];
        Ok((text != "*").then(|| unescape(text)))
    }

    /// The rest of a quoted text, after its opening quote.
    fn quoted(&mut self) -> Result<String, String> {
        let body = self.rest();
        let mut escaped = false;
        for (i, c) in body.char_indices() {
            match c {
                '\\' if !escaped => escaped = true,
                '"' if !escaped => {
                    self.at += i + 1;
                    return Ok(unescape(&body[..i]));
                }
                _ => escaped = false,
            }
        }
        self.at = self.text.len();
        Err(self.unexpected())
    }

    fn raw_term(&mut self) -> Option<Raw<'a>> {
        let rest = self.rest();
        let (mut len, mut wild, mut escaped) = (0, false, false);
        for (i, c) in rest.char_indices() {
            if escaped {
                escaped = false;
            } else if c == '\\' {
                escaped = true;
            } else if matches!(c, '*' | '?') {
                wild = true;
            } else if !(is_term_char(c) || i > 0 && matches!(c, '-' | '+'))
                || rest[i..].starts_with("&&")
                || rest[i..].starts_with("||")
            {
                break;
            }
            len = i + c.len_utf8();
        }
        if len == 0 || matches!(&rest[..len], "AND" | "OR" | "NOT") || escaped {
            return None;
        }
        self.at += len;
        Some(Raw { text: &rest[..len], wild })
    }
}

fn edits(text: &str) -> Result<Edits, String> {
    let n: f32 = text.parse().map_err(|_| format!("Cannot parse fuzziness [{text}]"))?;
    // Below 1 it is the similarity of old Lucene; it meant two edits at most.
    Ok(Edits::Fixed(if n < 1.0 { 2 } else { n.min(2.0) as u8 }))
}

fn is_term_char(c: char) -> bool {
    !matches!(
        c,
        ' ' | '\t'
            | '\n'
            | '\r'
            | '\u{3000}'
            | '+'
            | '-'
            | '!'
            | '('
            | ')'
            | ':'
            | '^'
            | '['
            | ']'
            | '"'
            | '{'
            | '}'
            | '~'
            | '*'
            | '?'
            | '\\'
            | '/'
    )
}

/// Takes backslashes away: `\:` → `:`, and `\u0041` → `A`.
pub fn unescape(text: &str) -> String {
    if !text.contains('\\') {
        return text.to_string();
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.char_indices();
    while let Some((i, c)) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some((_, 'u')) => {
                match text.get(i + 2..i + 6).and_then(|h| u32::from_str_radix(h, 16).ok()).and_then(char::from_u32) {
                    Some(c) => {
                        out.push(c);
                        chars.nth(3);
                    }
                    None => out.push('u'),
                }
            }
            Some((_, c)) => out.push(c),
            None => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree as text: `+` must, `-` must not, bare should.
    pub fn show(node: &Node) -> String {
        match node {
            Node::All => "ALL".into(),
            Node::Nothing => "NOTHING".into(),
            Node::Words(w) => format!("'{w}'"),
            Node::Phrase(p, None) => format!("\"{p}\""),
            Node::Phrase(p, Some(n)) => format!("\"{p}\"~{n}"),
            Node::PhrasePrefix(p) => format!("\"{p}\"*"),
            Node::Wildcard(w) => format!("w'{w}'"),
            Node::Regex(r) => format!("/{r}/"),
            Node::Fuzzy(w, None) => format!("'{w}'~"),
            Node::Fuzzy(w, Some(e)) => format!("'{w}'~{}", e.for_word(w)),
            Node::Range { from, to } => {
                let f = from.as_ref().map_or("{*".into(), |(v, c)| format!("{}{v}", if *c { '[' } else { '{' }));
                let t = to.as_ref().map_or("*}".into(), |(v, c)| format!("{v}{}", if *c { ']' } else { '}' }));
                format!("{f} TO {t}")
            }
            Node::Exists(f) => format!("exists({f})"),
            Node::Field(f, n) => format!("{f}:{}", show(n)),
            Node::Boosted(n, b) => format!("{}^{b}", show(n)),
            Node::Group(clauses) => {
                let parts = clauses.iter().map(|(o, n)| match o {
                    Occur::Must => format!("+{}", show(n)),
                    Occur::Should => show(n),
                    Occur::MustNot => format!("-{}", show(n)),
                });
                format!("({})", parts.collect::<Vec<_>>().join(" "))
            }
        }
    }

    #[test]
    fn the_whole_syntax() {
        for (text, want) in [
            ("", "NOTHING"),
            ("*", "w'*'"),
            ("*:*", "ALL"),
            ("hello", "'hello'"),
            ("hello world", "'hello world'"),
            ("a AND b", "(+'a' +'b')"),
            ("a OR b", "('a' 'b')"),
            ("a && b || c", "(+'a' +'b' 'c')"),
            ("a b AND c", "('a' +'b' +'c')"),
            ("a AND NOT b", "(+'a' -'b')"),
            ("!a", "(-'a')"),
            ("NOT a", "(-'a')"),
            ("+a -b c", "(+'a' -'b' 'c')"),
            ("(a OR b) AND c", "(+('a' 'b') +'c')"),
            ("level:error", "level:'error'"),
            ("service.name:\"api gw\"~3", "service.name:\"api gw\"~3"),
            ("-field:\"value\"", "(-field:\"value\")"),
            ("f:(a b)", "f:'a b'"),
            ("f:(a OR b)^2", "f:('a' 'b')^2"),
            ("qu?ck bro*", "(w'qu?ck' w'bro*')"),
            ("field:*", "exists(field)"),
            ("_exists_:user.name", "exists(user.name)"),
            ("!_exists_:aggregate_id AND alert_sent:false", "(-exists(aggregate_id) +alert_sent:'false')"),
            ("name:/joh?n(ath[oa]n)/", "name:/joh?n(ath[oa]n)/"),
            ("quikc~ brwn~1", "('quikc'~ 'brwn'~1)"),
            ("age:>=10", "age:[10 TO *}"),
            ("age:<10", "age:{* TO 10}"),
            ("date:[2012-01-01 TO 2012-12-31}", "date:[2012-01-01 TO 2012-12-31}"),
            ("date:{* TO \"2012 x\"]", "date:{* TO 2012 x]"),
            ("count:[10 TO *]", "count:[10 TO *}"),
            ("a\\:b", "'a:b'"),
            ("book.\\*:x", "book.*:'x'"),
            ("\\(1\\+1\\)\\=2", "'(1+1)=2'"),
            ("quick^2 fox", "('quick'^2 'fox')"),
            ("x-y 2026-11-20", "'x-y 2026-11-20'"),
            ("ANDROID ORANGE", "'ANDROID ORANGE'"),
            ("jour\\?", "'jour?'"),
            ("a&b", "'a&b'"),
            ("()", "Encountered \")\" at line 1, column 2"),
        ] {
            match parse(text, false) {
                Ok(node) => assert_eq!(show(&node), want, "{text}"),
                Err(why) => assert_eq!(why, want, "{text}"),
            }
        }
    }

    #[test]
    fn the_default_operator_may_be_and() {
        for (text, want) in
            [("a b", "'a b'"), ("a f:b", "(+'a' +f:'b')"), ("a OR b", "('a' 'b')"), ("a b OR c", "(+'a' 'b' 'c')")]
        {
            assert_eq!(show(&parse(text, true).unwrap()), want, "{text}");
        }
    }

    #[test]
    fn mistakes_are_refused() {
        for text in [
            "type:PushEvent OR",
            "(a",
            "a)",
            "\"open",
            "f:",
            "[a TO",
            "[a b]",
            "/open",
            "AND a",
            "a ^",
            "~",
            ":x",
            "a\\",
        ] {
            assert!(parse(text, false).is_err(), "{text}: {:?}", parse(text, false));
        }
        assert!(parse(&"(".repeat(100_000), false).is_err());
    }
}
