//! Property tests of the grammar: a random syntax tree is printed in a random way (white space, comments, quotes,
//! parentheses that are not needed) and must be read back as the same tree. Any text is read or refused with its place.
use super::*;

/// Trees that are tried; about a second in an unoptimised build.
const TREES: u64 = 1_500;

/// A small generator of pseudo-random numbers (xorshift), so that a failure can be repeated by its seed.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        // The first numbers of neighbouring seeds are alike.
        for _ in 0..4 {
            random.below(2);
        }
        random
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 33) % bound as u64).expect("below a usize")
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    fn chance(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }
}

/// Makes trees.
struct Grow<'a> {
    random: &'a mut Random,
    source: Arc<Source>,
}

impl Grow<'_> {
    fn span(&self) -> Span {
        Span { source: Arc::clone(&self.source), start: 0, end: 0 }
    }

    fn section(&mut self) -> Section {
        let kind = self.random.one(&[SectionKind::Input, SectionKind::Filter, SectionKind::Output]);
        Section { kind, body: self.body(3) }
    }

    fn body(&mut self, depth: usize) -> Vec<Branch> {
        (0..self.random.below(4)).map(|_| self.branch(depth)).collect()
    }

    fn branch(&mut self, depth: usize) -> Branch {
        if depth == 0 || self.random.chance(2) {
            return Branch::Plugin(self.plugin(depth));
        }
        let arms = (0..=self.random.below(3))
            .map(|_| Arm { condition: self.expression(4), span: self.span(), body: self.body(depth - 1) })
            .collect();
        let otherwise = self.random.chance(2).then(|| self.body(depth - 1));
        Branch::If(If { arms, otherwise })
    }

    fn plugin(&mut self, depth: usize) -> Plugin {
        let name = self.random.one(&["mutate", "grok", "x-y", "a_1", "0day", "iffy", "elsewhere"]).to_owned();
        let attributes = (0..self.random.below(4))
            .map(|_| Attribute { name: self.word(), span: self.span(), value: self.value(depth) })
            .collect();
        Plugin { name, span: self.span(), attributes }
    }

    fn word(&mut self) -> String {
        self.random.one(&["match", "add_field", "_x", "in", "not", "if", "ecs_compatibility", "true"]).to_owned()
    }

    fn text(&mut self) -> String {
        let pieces =
            ["a", "%{[b][c]}", " ", "#", "{", "}", "=>", "\n", "ü", "\\n", "\\\\", "\\\"", "\\'", "[", "]", "/", ","];
        (0..self.random.below(5)).map(|_| self.random.one(&pieces)).collect()
    }

    fn digits(&mut self) -> String {
        self.random.one(&["0", "-1", "42", "3.5", "-0.25", "007", "12345678901234567890", "5."]).to_owned()
    }

    fn value(&mut self, depth: usize) -> Value {
        let kinds = if depth == 0 { 3 } else { 6 };
        let literal = match self.random.below(kinds) {
            0 => Literal::Bareword(self.word()),
            1 => Literal::Text(self.text()),
            2 => Literal::Number(self.digits()),
            3 => Literal::Array((0..self.random.below(4)).map(|_| self.value(depth - 1)).collect()),
            4 => Literal::Hash((0..self.random.below(3)).map(|_| (self.key(), self.value(depth - 1))).collect()),
            _ => Literal::Plugin(Plugin { name: self.word(), ..self.plugin(depth - 1) }),
        };
        Value { literal, span: self.span() }
    }

    fn key(&mut self) -> Value {
        let literal = match self.random.below(3) {
            0 => Literal::Bareword(self.word()),
            1 => Literal::Text(self.text()),
            _ => Literal::Number(self.digits()),
        };
        Value { literal, span: self.span() }
    }

    fn expression(&mut self, depth: usize) -> Expression {
        if depth == 0 {
            return Expression::Truthy(self.operand(0));
        }
        match self.random.below(7) {
            0 | 1 => {
                let join = self.random.one(&[Join::And, Join::Or, Join::Xor, Join::Nand]);
                Expression::Join(Box::new(self.expression(depth - 1)), join, Box::new(self.expression(depth - 1)))
            }
            2 => Expression::Not(Box::new(self.expression(depth - 1))),
            3 => {
                use Comparison::*;
                let comparison = self.random.one(&[Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual]);
                Expression::Compare(self.operand(2), comparison, self.operand(2))
            }
            4 => Expression::In(self.operand(2), self.operand(2), self.random.chance(2)),
            5 => Expression::Match(self.operand(1), self.operand(1), self.random.chance(2)),
            _ => Expression::Truthy(self.operand(2)),
        }
    }

    fn operand(&mut self, depth: usize) -> Operand {
        let kinds = if depth == 0 { 5 } else { 6 };
        let term = match self.random.below(kinds) {
            0 => Term::Field(self.random.one(&["[a]", "[a][b]", "[@metadata][x]", "[a][-1]", "[a b]"]).to_owned()),
            1 => Term::Text(self.text()),
            2 => Term::Number(self.digits()),
            3 => Term::Bool(self.random.chance(2)),
            4 => Term::Regexp(self.random.one(&["^a", "\\/x", "[\"']+", "#", "\\\\"]).to_owned()),
            _ => Term::Array(self.operands(depth - 1)),
        };
        Operand { term, span: self.span() }
    }
}

impl Grow<'_> {
    /// What may stand in a list: as in Logstash, `["a"]` and the begin of `["]", 1]` are read as a field.
    fn operands(&mut self, depth: usize) -> Vec<Operand> {
        let mut items: Vec<Operand> = (0..self.random.below(4)).map(|_| self.operand(depth)).collect();
        items.retain(|item| !matches!(&item.term, Term::Text(text) if text.contains(']')));
        if items.len() == 1 {
            items.push(Operand { term: Term::Number(self.digits()), span: self.span() });
        }
        items
    }
}

/// Prints trees.
struct Print<'a> {
    random: &'a mut Random,
    out: String,
}

impl Print<'_> {
    /// Space of any kind; at least a blank.
    fn space(&mut self) {
        let space = self.random.one(&[" ", "  ", "\n", "\t", " # a comment { \"\n", "\r\n"]);
        self.out.push_str(space);
    }

    /// Space or none.
    fn gap(&mut self) {
        if self.random.chance(2) {
            self.space();
        }
    }

    fn sign(&mut self, sign: &str) {
        self.gap();
        self.out.push_str(sign);
        self.gap();
    }

    fn word(&mut self, word: &str) {
        self.space();
        self.out.push_str(word);
        self.space();
    }

    fn section(&mut self, section: &Section) {
        self.word(match section.kind {
            SectionKind::Input => "input",
            SectionKind::Filter => "filter",
            SectionKind::Output => "output",
        });
        self.body(&section.body);
    }

    fn body(&mut self, body: &[Branch]) {
        self.sign("{");
        for branch in body {
            match branch {
                Branch::Plugin(plugin) => self.plugin(plugin),
                Branch::If(condition) => {
                    for (index, arm) in condition.arms.iter().enumerate() {
                        self.word(if index == 0 { "if" } else { "else if" });
                        self.expression(&arm.condition, 0);
                        self.body(&arm.body);
                    }
                    if let Some(body) = &condition.otherwise {
                        self.word("else");
                        self.body(body);
                    }
                }
            }
        }
        self.sign("}");
    }

    fn plugin(&mut self, plugin: &Plugin) {
        self.space();
        self.out.push_str(&plugin.name);
        self.sign("{");
        for attribute in &plugin.attributes {
            self.space();
            self.out.push_str(&attribute.name);
            self.sign("=>");
            self.value(&attribute.value);
            self.space();
        }
        self.sign("}");
    }

    fn text(&mut self, text: &str) {
        let free = |quote: char| {
            let mut escaped = false;
            !text.chars().any(|c| {
                let ends = c == quote && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            })
        };
        let quotes: Vec<char> = ['"', '\''].into_iter().filter(|quote| free(*quote)).collect();
        let quote = self.random.one(&quotes);
        self.out.push(quote);
        self.out.push_str(text);
        self.out.push(quote);
    }

    fn value(&mut self, value: &Value) {
        match &value.literal {
            Literal::Bareword(word) => {
                self.out.push_str(word);
                self.space();
            }
            Literal::Text(text) => self.text(text),
            Literal::Number(digits) => {
                self.out.push_str(digits);
                self.space();
            }
            Literal::Array(items) => {
                self.sign("[");
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        self.sign(",");
                    }
                    self.value(item);
                }
                self.sign("]");
            }
            Literal::Hash(entries) => {
                self.sign("{");
                for (key, value) in entries {
                    self.space();
                    self.value(key);
                    self.sign("=>");
                    self.value(value);
                }
                self.sign("}");
            }
            Literal::Plugin(plugin) => self.plugin(plugin),
        }
    }

    /// `binds`: 0 where anything may stand, 1 to the right of `or`, 2 beside `and`, 3 to the right of it.
    fn expression(&mut self, expression: &Expression, binds: usize) {
        let needs = match expression {
            Expression::Join(_, Join::Or | Join::Xor, _) => binds > 0,
            Expression::Join(..) => binds > 2,
            _ => false,
        };
        if needs || self.random.chance(6) {
            self.sign("(");
            self.expression_in(expression);
            self.sign(")");
        } else {
            self.expression_in(expression);
        }
    }

    fn expression_in(&mut self, expression: &Expression) {
        match expression {
            Expression::Join(left, join, right) => {
                let (word, left_binds, right_binds) = match join {
                    Join::Or => ("or", 0, 1),
                    Join::Xor => ("xor", 0, 1),
                    Join::And => ("and", 2, 3),
                    Join::Nand => ("nand", 2, 3),
                };
                self.expression(left, left_binds);
                self.word(word);
                self.expression(right, right_binds);
            }
            Expression::Not(inner) => {
                self.sign("!");
                match &**inner {
                    Expression::Truthy(operand) => self.operand(operand),
                    inner @ Expression::Not(_) => self.expression_in(inner),
                    inner => {
                        self.sign("(");
                        self.expression_in(inner);
                        self.sign(")");
                    }
                }
            }
            Expression::Compare(left, comparison, right) => {
                self.operand(left);
                self.sign(match comparison {
                    Comparison::Equal => "==",
                    Comparison::NotEqual => "!=",
                    Comparison::Less => "<",
                    Comparison::LessOrEqual => "<=",
                    Comparison::Greater => ">",
                    Comparison::GreaterOrEqual => ">=",
                });
                self.operand(right);
            }
            Expression::In(left, right, negated) => {
                self.operand(left);
                self.word(if *negated { "not in" } else { "in" });
                self.operand(right);
            }
            Expression::Match(left, right, negated) => {
                self.operand(left);
                self.sign(if *negated { "!~" } else { "=~" });
                self.operand(right);
            }
            Expression::Truthy(operand) => self.operand(operand),
        }
    }

    fn operand(&mut self, operand: &Operand) {
        self.gap();
        match &operand.term {
            Term::Field(field) => self.out.push_str(field),
            Term::Text(text) => self.text(text),
            Term::Number(digits) => self.out.push_str(digits),
            Term::Bool(value) => self.out.push_str(if *value { "true" } else { "false" }),
            Term::Regexp(expression) => {
                self.out.push('/');
                self.out.push_str(expression);
                self.out.push('/');
            }
            Term::Array(items) => {
                self.out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        self.sign(",");
                    }
                    self.operand(item);
                }
                self.out.push(']');
            }
        }
        self.gap();
    }
}

/// A tree as text, without the places: `span: 12..15` becomes `span: `.
fn shown(sections: &[Section]) -> String {
    let text = format!("{sections:?}");
    let mut parts = text.split("span: ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |out, part| out + "span: " + part.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.'))
}

fn read(text: &str) -> Result<Vec<Section>, Box<Diagnostic>> {
    let (sections, mistakes) = parse(&Arc::new(Source { name: "printed.conf".into(), text: text.into() }));
    mistakes.into_iter().next().map_or(Ok(sections), |mistake| Err(Box::new(mistake)))
}

#[test]
fn what_is_printed_is_read_back_as_the_same() {
    let source = Arc::new(Source { name: String::new(), text: String::new() });
    for seed in 0..TREES {
        let mut random = Random::new(seed);
        let mut grow = Grow { random: &mut random, source: Arc::clone(&source) };
        let sections: Vec<Section> = (0..3).map(|_| grow.section()).collect();
        let mut print = Print { random: &mut random, out: String::new() };
        sections.iter().for_each(|section| print.section(section));
        let text = print.out;
        let again = read(&text).unwrap_or_else(|mistake| panic!("seed {seed}: {mistake}\n{text}"));
        assert_eq!(shown(&again), shown(&sections), "seed {seed}:\n{text}");
    }
}

#[test]
fn any_change_of_a_file_is_read_or_refused_with_its_place() {
    let text = "filter { if [a] == \"b\" and !([c] in [1, 2]) { grok { match => { \"m\" => '%{X:y}' } } } else { drop {} } } # é";
    let pieces =
        ["{", "}", "[", "]", "\"", "'", "/", "(", ")", "!", "=>", "é", "\\", "#", "\n", ",", "if", "else", " "];
    let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    for start in &ends {
        for piece in pieces {
            let mut changed = text.to_owned();
            changed.insert_str(*start, piece);
            refused_with_its_place(&changed);
        }
        refused_with_its_place(&text[..*start]);
        for end in ends.iter().filter(|end| *end > start).take(4) {
            refused_with_its_place(&format!("{}{}", &text[..*start], &text[*end..]));
        }
    }
}

fn refused_with_its_place(text: &str) {
    if let Err(mistake) = read(text) {
        let shown = mistake.to_string();
        assert!(shown.contains("printed.conf:"), "{text}\n{shown}");
    }
}

#[test]
fn every_mistake_of_a_file_is_found_and_the_rest_is_read() {
    let text = "filter {\n mutate { add_field = > x }\n if [a] == { drop { } }\n grok { match => { \"m\" => \"x{\" } } # }\n \
                if [m] =~ /a{3}/ { mutate { a => [1 2] } } elsif [b] { drop { } }\n drop { }\n}\n\
                outputs { x { } }\noutput { stdout { } }\nfilter { mutate { ";
    let (sections, mistakes) = parse(&Arc::new(Source { name: "a.conf".into(), text: text.into() }));
    let lines: Vec<usize> = mistakes.iter().map(|mistake| mistake.line).collect();
    assert_eq!(lines, [2, 3, 5, 5, 8, 10], "{mistakes:#?}");
    let kinds: Vec<SectionKind> = sections.iter().map(|section| section.kind).collect();
    assert_eq!(
        kinds,
        [SectionKind::Filter, SectionKind::Output, SectionKind::Filter],
        "the last one as far as it goes"
    );
    assert!(matches!(sections[0].body.last(), Some(Branch::Plugin(plugin)) if plugin.name == "drop"));
}

#[test]
fn a_list_of_one_is_a_list() {
    let condition = |text: &str| condition(&Arc::new(Source { name: "a".into(), text: text.into() })).unwrap();
    for text in ["[a] in [\"x\"]", "[a] in [ 'x' ]", "[a] in [\"x\", \"y\"]"] {
        assert!(matches!(condition(text), Expression::In(_, Operand { term: Term::Array(_), .. }, false)), "{text}");
    }
    let field = condition("\"x\" in [a b]");
    assert!(matches!(field, Expression::In(_, Operand { term: Term::Field(_), .. }, false)));
}

#[test]
fn what_stands_before_a_text_without_an_end_is_read() {
    let text = "filter { grok { } if [a] { drop { } mutate { add_tag => \"x } } }".to_owned();
    let source = Arc::new(Source { name: "t".into(), text });
    let (sections, mistakes) = parse(&source);
    assert_eq!(mistakes.len(), 1, "{mistakes:?}");
    let [section] = &sections[..] else { panic!("{sections:?}") };
    let [Branch::Plugin(_), Branch::If(condition)] = &section.body[..] else { panic!("{section:?}") };
    assert_eq!(condition.arms[0].body.len(), 1);
}
