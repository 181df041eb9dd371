//! Conditions: what follows `if`, from `or` down to the operands of a comparison.

use super::*;

impl Reader<'_> {
    /// What follows `if`.
    pub(super) fn conditions(&mut self) -> Parsed<If> {
        let mut arms = Vec::new();
        loop {
            self.skip_space();
            let start = self.at;
            let condition = match self.expression() {
                Ok(condition) => condition,
                Err(mistake) => self.wrong_condition(start, mistake)?,
            };
            let end = self.source.text[..self.at].trim_end().len().max(start);
            let span = self.span(start, end);
            let body = self.body()?;
            arms.push(Arm { condition, span, body });
            let end = self.at;
            self.skip_space();
            if !self.keyword("else") {
                self.at = end;
                return Ok(If { arms, otherwise: None });
            }
            self.skip_space();
            if !self.keyword("if") {
                let otherwise = Some(self.body()?);
                return Ok(If { arms, otherwise });
            }
        }
    }

    /// Notes a mistake in a condition and goes on with what it guards, so that mistakes in there are told, too.
    fn wrong_condition(&mut self, start: usize, mistake: Box<Diagnostic>) -> Parsed<Expression> {
        let rest = &self.source.text[self.at..];
        let line = &rest[..rest.find('\n').unwrap_or(rest.len())];
        let Some(brace) = line.rfind('{').filter(|_| block_end(&self.source.text, start).is_some()) else {
            return Err(mistake);
        };
        // The last brace of the line opens the body, unless the body stands on the same line.
        let brace = if line[brace..].contains('}') { line.find('{').unwrap_or(brace) } else { brace };
        self.mistakes.push(*mistake);
        self.at += brace;
        let span = self.span(start, self.at);
        Ok(Expression::Truthy(Operand { term: Term::Bool(true), span }))
    }

    /// `or` and `xor` bind less than `and` and `nand`; equals are read from the left.
    pub(super) fn expression(&mut self) -> Parsed<Expression> {
        self.deeper(|reader| {
            let mut left = reader.conjunction()?;
            loop {
                let join = match () {
                    () if reader.keyword("or") => Join::Or,
                    () if reader.keyword("xor") => Join::Xor,
                    () => return Ok(left),
                };
                let right = reader.conjunction()?;
                left = Expression::Join(Box::new(left), join, Box::new(right));
            }
        })
    }

    fn conjunction(&mut self) -> Parsed<Expression> {
        let mut left = self.term()?;
        loop {
            self.skip_space();
            let join = match () {
                () if self.keyword("and") => Join::And,
                () if self.keyword("nand") => Join::Nand,
                () => {
                    let rest = self.rest();
                    if rest.starts_with("&&") || rest.starts_with("||") {
                        return self
                            .fail("`and`, `or`, `nand`, `xor` or `{`", "write `and` for `&&` and `or` for `||`");
                    }
                    return Ok(left);
                }
            };
            let right = self.term()?;
            left = Expression::Join(Box::new(left), join, Box::new(right));
        }
    }

    fn term(&mut self) -> Parsed<Expression> {
        self.skip_space();
        if self.sign("!").is_some() {
            self.skip_space();
            return self.deeper(Self::negated).map(|inner| Expression::Not(Box::new(inner)));
        }
        if self.keyword("not") {
            self.at -= "not".len();
            return self.fail("a condition", "write `!` for `not`; `not in` stands between two values");
        }
        if let Some(open) = self.sign("(") {
            return self.parenthesis(&open);
        }
        let left = self.operand()?;
        self.comparison(left)
    }

    /// What may follow `!`: a parenthesis, a field, or another `!`.
    fn negated(&mut self) -> Parsed<Expression> {
        if self.sign("!").is_some() {
            self.skip_space();
            return self.deeper(Self::negated).map(|inner| Expression::Not(Box::new(inner)));
        }
        if let Some(open) = self.sign("(") {
            return self.parenthesis(&open);
        }
        let operand = self.operand()?;
        self.skip_space();
        Ok(Expression::Truthy(operand))
    }

    fn parenthesis(&mut self, open: &Span) -> Parsed<Expression> {
        let inner = self.expression()?;
        self.skip_space();
        if self.sign(")").is_none() {
            self.unclosed(Some(open), "(")?;
            return self.fail("`)`", "");
        }
        Ok(inner)
    }

    fn comparison(&mut self, left: Operand) -> Parsed<Expression> {
        self.skip_space();
        for (sign, negated) in [("=~", false), ("!~", true)] {
            if self.sign(sign).is_some() {
                let right = self.operand()?;
                return Ok(Expression::Match(left, right, negated));
            }
        }
        let comparisons = [
            ("==", Comparison::Equal),
            ("!=", Comparison::NotEqual),
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        for (sign, comparison) in comparisons {
            if self.sign(sign).is_some() {
                let right = self.operand()?;
                return Ok(Expression::Compare(left, comparison, right));
            }
        }
        if self.rest().starts_with('=') {
            return self.fail("a comparison", "write `==` to compare");
        }
        if self.keyword("in") {
            let right = self.operand()?;
            return Ok(Expression::In(left, right, false));
        }
        if self.keyword("not") {
            self.skip_space();
            if !self.keyword("in") {
                return self.fail("`in` after `not`", "");
            }
            let right = self.operand()?;
            return Ok(Expression::In(left, right, true));
        }
        Ok(Expression::Truthy(left))
    }

    fn operand(&mut self) -> Parsed<Operand> {
        self.skip_space();
        let start = self.at;
        let term = match self.rest().chars().next() {
            Some('"' | '\'') => self.lex(string).map(|(text, _)| Term::Text(text.to_owned())),
            Some('/') => self.lex(regexp).map(|(text, _)| Term::Regexp(text.to_owned())),
            Some('-' | '0'..='9') => self.lex(number).map(|(digits, _)| Term::Number(digits.to_owned())),
            // `["a"]` is a list of one. Logstash reads the field `"a"`, which nobody has, and is never right.
            Some('[') if self.rest()[1..].trim_start().starts_with(['"', '\'']) => Some(self.deeper(Self::operands)?),
            Some('[') => match self.lex(selector) {
                Some((field, _)) => Some(Term::Field(field.to_owned())),
                None => Some(self.deeper(Self::operands)?),
            },
            _ if self.keyword("true") => Some(Term::Bool(true)),
            _ if self.keyword("false") => Some(Term::Bool(false)),
            _ => None,
        };
        match term {
            Some(term) => Ok(Operand { term, span: self.span(start, self.at) }),
            None => match self.lex(bareword) {
                Some((word, _)) => {
                    self.at = start;
                    self.fail("a field, a value or `(`", &format!("a field is written `[{word}]`, a text `\"{word}\"`"))
                }
                None => self.fail("a field such as `[message]`, a text, a number or `(`", ""),
            },
        }
    }

    /// `[ "a", "b" ]` in a condition.
    fn operands(&mut self) -> Parsed<Term> {
        let open = self.sign("[");
        let mut items = Vec::new();
        loop {
            self.skip_space();
            if self.sign("]").is_some() {
                return Ok(Term::Array(items));
            }
            self.unclosed(open.as_ref(), "[")?;
            items.push(self.operand()?);
            self.skip_space();
            if self.sign(",").is_none() && !self.rest().starts_with(']') {
                return self.fail("`,` or `]`", "");
            }
        }
    }
}
