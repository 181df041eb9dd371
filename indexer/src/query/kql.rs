//! KQL, Kibana's query language: text → [`Query`].
//!
//! `response:200 and not (extension:php or extension:css)`, `bytes >= 1000`, `name:*`, `message:"a phrase"`,
//! `tags:(a and b)`, `items:{ name:x and stock > 10 }`; `and` binds stronger than `or`, `not` strongest.

use super::ast::{Bool, Kind, Query, Range, Style, Text};
use super::refusal::Refusal;

/// How deep brackets may be nested: a bound on recursion, below that of queries.
const MAX_BRACKETS: usize = 25;
/// How long a text may be, in bytes.
const MAX_TEXT: usize = 64 * 1024;

/// Reads a text.
pub fn parse(text: &str) -> Result<Query, Refusal> {
    if text.len() > MAX_TEXT {
        return Err(Refusal::argument(format!("the query is longer than {MAX_TEXT} bytes")));
    }
    let mut p = Parser { text, at: 0 };
    p.skip();
    if p.at == text.len() {
        return Ok(Query::all());
    }
    let query = p.or("", 0)?;
    if p.at < text.len() {
        return Err(p.expected("end of input"));
    }
    Ok(query)
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

/// A value: its text, whether it was quoted, and whether it has wildcards (then escapes are kept).
struct Literal {
    text: String,
    quoted: bool,
    wild: bool,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn skip(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn take(&mut self, token: &str) -> bool {
        let yes = self.rest().starts_with(token);
        if yes {
            self.at += token.len();
            self.skip();
        }
        yes
    }

    fn word(&mut self, word: &str) -> bool {
        let rest = self.rest();
        let yes = rest.get(..word.len()).is_some_and(|w| w.eq_ignore_ascii_case(word))
            && rest[word.len()..].chars().next().is_none_or(|c| c.is_whitespace() || matches!(c, '(' | '"' | ')'));
        if yes {
            self.at += word.len();
            self.skip();
        }
        yes
    }

    fn expected(&self, what: &str) -> Refusal {
        let column = self.text[..self.at].chars().count() + 1;
        let found = self.rest().chars().next().map_or("end of input".into(), |c| format!("\"{c}\""));
        Refusal::parsing(format!("line 1:{column}: expected {what} but {found} found in KQL [{}]", self.text))
    }

    fn or(&mut self, prefix: &str, depth: usize) -> Result<Query, Refusal> {
        if depth > MAX_BRACKETS {
            return Err(Refusal::argument(format!("brackets are nested deeper than {MAX_BRACKETS}")));
        }
        let mut any = vec![self.and(prefix, depth)?];
        while self.word("or") {
            any.push(self.and(prefix, depth)?);
        }
        Ok(one_or(any, |should| Bool { should, ..Bool::default() }))
    }

    fn and(&mut self, prefix: &str, depth: usize) -> Result<Query, Refusal> {
        let mut all = vec![self.not(prefix, depth)?];
        while self.word("and") {
            all.push(self.not(prefix, depth)?);
        }
        Ok(one_or(all, |must| Bool { must, ..Bool::default() }))
    }

    fn not(&mut self, prefix: &str, depth: usize) -> Result<Query, Refusal> {
        if self.word("not") {
            let inner = self.primary(prefix, depth)?;
            return Ok(Kind::Bool(Bool { must_not: vec![inner], ..Bool::default() }).into());
        }
        self.primary(prefix, depth)
    }

    fn primary(&mut self, prefix: &str, depth: usize) -> Result<Query, Refusal> {
        if self.take("(") {
            let inner = self.or(prefix, depth + 1)?;
            return if self.take(")") { Ok(inner) } else { Err(self.expected("\")\"")) };
        }
        let literal = self.literal()?;
        for (sign, lower, closed) in [(">=", true, true), ("<=", false, true), (">", true, false), ("<", false, false)]
        {
            if self.take(sign) {
                let value = self.literal()?.text;
                let end = Some((value.into(), closed));
                let (from, to) = if lower { (end, None) } else { (None, end) };
                let field = format!("{prefix}{}", literal.text);
                return Ok(Kind::Range(Range { field, from, to, ..Range::default() }).into());
            }
        }
        if self.take(":") {
            let field = format!("{prefix}{}", literal.text);
            if self.take("{") {
                let inner = self.or(&format!("{field}."), depth + 1)?;
                return if self.take("}") { Ok(inner) } else { Err(self.expected("\"}\"")) };
            }
            if self.take("(") {
                let inner = self.values(&field, depth + 1)?;
                return if self.take(")") { Ok(inner) } else { Err(self.expected("\")\"")) };
            }
            let value = self.literal()?;
            return Ok(field_is(&field, value));
        }
        Ok(anywhere(literal))
    }

    fn values(&mut self, field: &str, depth: usize) -> Result<Query, Refusal> {
        if depth > MAX_BRACKETS {
            return Err(Refusal::argument(format!("brackets are nested deeper than {MAX_BRACKETS}")));
        }
        let mut any = Vec::new();
        loop {
            let mut all = Vec::new();
            loop {
                let negated = self.word("not");
                let value = if self.take("(") {
                    let inner = self.values(field, depth + 1)?;
                    if !self.take(")") {
                        return Err(self.expected("\")\""));
                    }
                    inner
                } else {
                    field_is(field, self.literal()?)
                };
                all.push(if negated {
                    Kind::Bool(Bool { must_not: vec![value], ..Bool::default() }).into()
                } else {
                    value
                });
                if !self.word("and") {
                    break;
                }
            }
            any.push(one_or(all, |must| Bool { must, ..Bool::default() }));
            if !self.word("or") {
                break;
            }
        }
        Ok(one_or(any, |should| Bool { should, ..Bool::default() }))
    }

    fn literal(&mut self) -> Result<Literal, Refusal> {
        let mut text = String::new();
        if self.rest().starts_with('"') {
            let mut escaped = false;
            for (i, c) in self.rest().char_indices().skip(1) {
                match c {
                    '\\' if !escaped => escaped = true,
                    '"' if !escaped => {
                        self.at += i + 1;
                        self.skip();
                        return Ok(Literal { text, quoted: true, wild: false });
                    }
                    c => {
                        text.push(c);
                        escaped = false;
                    }
                }
            }
            self.at = self.text.len();
            return Err(self.expected("\"\"\""));
        }
        // Words up to an operator; a run of words is one literal, as in Kibana.
        let (mut plain, mut kept, mut wild) = (String::new(), String::new(), false);
        loop {
            let rest = self.rest();
            let keyword = ["and", "or", "not"].iter().any(|k| {
                rest.get(..k.len()).is_some_and(|w| w.eq_ignore_ascii_case(k))
                    && rest[k.len()..].chars().next().is_none_or(|c| c.is_whitespace() || matches!(c, '(' | ')' | '"'))
            });
            if keyword {
                break;
            }
            let (mut len, mut escaped) = (0, false);
            for (i, c) in rest.char_indices() {
                if escaped {
                    plain.push(c);
                    if matches!(c, '*' | '?' | '\\') {
                        kept.push('\\');
                    }
                    kept.push(c);
                    escaped = false;
                } else if c == '\\' {
                    escaped = true;
                } else if c.is_whitespace() || matches!(c, '(' | ')' | ':' | '<' | '>' | '"' | '{' | '}') {
                    break;
                } else {
                    wild |= c == '*';
                    plain.push(c);
                    if c == '?' {
                        kept.push('\\');
                    }
                    kept.push(c);
                }
                len = i + c.len_utf8();
            }
            if len == 0 {
                break;
            }
            self.at += len;
            let before = self.at;
            self.skip();
            if self.at == before {
                break;
            }
            plain.push(' ');
            kept.push(' ');
        }
        let (plain, kept) = (plain.trim_end(), kept.trim_end());
        if plain.is_empty() {
            return Err(self.expected("field name, value, \"(\" or \"not\""));
        }
        Ok(Literal { text: if wild { kept } else { plain }.to_string(), quoted: false, wild })
    }
}

fn one_or(mut list: Vec<Query>, make: impl FnOnce(Vec<Query>) -> Bool) -> Query {
    if list.len() == 1 { list.remove(0) } else { Kind::Bool(make(list)).into() }
}

fn lenient(value: String) -> Text {
    Text { lenient: true, ..Text::new(value) }
}

fn field_is(field: &str, value: Literal) -> Query {
    if field == "*" {
        return anywhere(value);
    }
    if value.wild && value.text == "*" {
        return Kind::Exists { field: field.into() }.into();
    }
    if field.contains('*') {
        let style = if value.quoted { Style::Phrase } else { Style::BestFields };
        let text = lenient(value.text);
        return Kind::MultiMatch { fields: vec![(field.into(), 1.0)], style, tie_breaker: None, text }.into();
    }
    let field = field.to_string();
    if value.wild {
        Kind::Wildcard { field, value: value.text, any_case: false }.into()
    } else if value.quoted {
        Kind::Phrase { field, text: lenient(value.text) }.into()
    } else {
        Kind::Match { field, text: lenient(value.text) }.into()
    }
}

fn anywhere(value: Literal) -> Query {
    if value.wild && value.text == "*" {
        return Query::all();
    }
    if value.wild {
        let mut q = super::dsl::blank(value.text.clone());
        q.node = super::ast::Node::Wildcard(value.text);
        q.fields.push(("*".into(), 1.0));
        q.lenient = true;
        return Kind::Text(Box::new(q)).into();
    }
    let style = if value.quoted { Style::Phrase } else { Style::BestFields };
    let text = lenient(value.text);
    Kind::MultiMatch { fields: vec![("*".into(), 1.0)], style, tie_breaker: None, text }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(q: &Query) -> String {
        let list = |l: &[Query]| l.iter().map(show).collect::<Vec<_>>().join(" ");
        match &q.kind {
            Kind::MatchAll => "ALL".into(),
            Kind::Match { field, text } => format!("{field}={}", text.value),
            Kind::Phrase { field, text } => format!("{field}~{}", text.value),
            Kind::Wildcard { field, value, .. } => format!("{field}*{value}"),
            Kind::Exists { field } => format!("exists({field})"),
            Kind::MultiMatch { fields, text, style, .. } => format!("{}:{style:?}={}", fields[0].0, text.value),
            Kind::Range(r) => format!("{}[{:?},{:?}]", r.field, r.from, r.to),
            Kind::Bool(b) if !b.must.is_empty() => format!("and({})", list(&b.must)),
            Kind::Bool(b) if !b.should.is_empty() => format!("or({})", list(&b.should)),
            Kind::Bool(b) => format!("not({})", list(&b.must_not)),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn the_language() {
        for (text, want) in [
            ("", "ALL"),
            ("*", "ALL"),
            ("response:200", "response=\"200\""),
            ("a:1 or b:2 and c:3", "or(a=\"1\" and(b=\"2\" c=\"3\"))"),
            ("not a:1 AND b:2", "and(not(a=\"1\") b=\"2\")"),
            ("(a:1 or b:2) and c:3", "and(or(a=\"1\" b=\"2\") c=\"3\")"),
            ("message:\"a \\\"b\\\" c\"", "message~\"a \\\"b\\\" c\""),
            ("message: quick brown fox", "message=\"quick brown fox\""),
            ("name:*", "exists(name)"),
            ("name:jo*n", "name*jo*n"),
            ("tags:(a and not b or c)", "or(and(tags=\"a\" not(tags=\"b\")) tags=\"c\")"),
            ("bytes >= 1000", "bytes[Some((String(\"1000\"), true)),None]"),
            (
                "items:{ name:x and stock < 10 }",
                "and(items.name=\"x\" items.stock[None,Some((String(\"10\"), false))])",
            ),
            ("hello world", "*:BestFields=\"hello world\""),
            ("\"hello world\"", "*:Phrase=\"hello world\""),
            ("a\\:b", "*:BestFields=\"a:b\""),
            ("service.name : web AND log.level:error", "and(service.name=\"web\" log.level=\"error\")"),
        ] {
            assert_eq!(parse(text).map(|q| show(&q)).map_err(|e| e.reason).as_deref(), Ok(want), "{text}");
        }
    }

    #[test]
    fn mistakes_are_refused() {
        for text in ["a:", "(a:1", "a:1)", "and", "a:\"x", "a >", "items:{ a:1", "a:1 or"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse(&"(".repeat(60_000)).is_err());
    }
}
