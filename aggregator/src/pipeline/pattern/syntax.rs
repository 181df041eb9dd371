//! Reading a regular expression as Ruby writes it.

mod sets;

use super::PatternError;
use super::class::Class;

/// Groups may nest this deep; keeps the stack from being exhausted.
const DEPTH_MAX: usize = 120;
/// A counted repetition may ask for so many copies.
const REPEAT_MAX: u32 = 1000;

/// A regular expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// Matches nothing at all, everywhere.
    Empty,
    /// One character of a set.
    Class(Class),
    /// Text that stands for itself.
    Literal(String),
    /// A place.
    At(Place),
    /// What is (or is not) behind or ahead.
    Look {
        /// Whether it looks back.
        behind: bool,
        /// Whether it must not be there.
        negate: bool,
        /// What to look for.
        inner: Box<Node>,
    },
    /// A group that keeps what it matched, by its number from 0.
    Capture(usize, Box<Node>),
    /// A group that never gives back what it took.
    Atomic(Box<Node>),
    /// One behind the other.
    Concat(Vec<Node>),
    /// The first of them that fits.
    Alternate(Vec<Node>),
    /// Several times.
    Repeat {
        /// What.
        inner: Box<Node>,
        /// At least.
        min: u32,
        /// At most; without end if there is none.
        max: Option<u32>,
        /// As many as possible first, or as few.
        greedy: bool,
    },
}

/// Places in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// `^`
    LineStart,
    /// `$`
    LineEnd,
    /// `\A`
    TextStart,
    /// `\z`
    TextEnd,
    /// `\Z`: the end, or before the line feed that ends the text.
    LastLineEnd,
    /// `\b`
    WordEdge,
    /// `\B`
    NoWordEdge,
}

/// An expression and the names of its groups.
#[derive(Debug)]
pub struct Parsed {
    /// The expression.
    pub node: Node,
    /// The names of the captures by their number; those without a name are not kept where others have one.
    pub names: Vec<Option<String>>,
}

/// Reads an expression.
///
/// # Errors
/// What is not an expression, and what has no linear-time equivalent (references to groups).
pub fn parse(text: &str) -> Result<Parsed, PatternError> {
    let named = text.contains("(?<") && {
        let mut rest = text;
        let mut found = false;
        while let Some(at) = rest.find("(?<") {
            rest = &rest[at + 3..];
            found |= !rest.starts_with(['=', '!']);
        }
        found
    };
    let mut reader = Reader { text, at: 0, names: Vec::new(), named, depth: 0 };
    let node = reader.alternatives(Flags::default())?;
    if reader.at < text.len() {
        return Err(reader.fail("there is a `)` too many"));
    }
    Ok(Parsed { node, names: reader.names })
}

#[derive(Clone, Copy, Default)]
struct Flags {
    fold: bool,
    dot_newline: bool,
    extended: bool,
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    names: Vec<Option<String>>,
    named: bool,
    depth: usize,
}

impl Reader<'_> {
    fn fail(&self, problem: &str) -> PatternError {
        let near: String = self.text[self.at.min(self.text.len())..].chars().take(20).collect();
        PatternError(if near.is_empty() { problem.to_owned() } else { format!("{problem}, before `{near}`") })
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn eat(&mut self, sign: &str) -> bool {
        let there = self.text[self.at..].starts_with(sign);
        if there {
            self.at += sign.len();
        }
        there
    }

    fn alternatives(&mut self, mut flags: Flags) -> Result<Node, PatternError> {
        if self.depth == DEPTH_MAX {
            return Err(self.fail("it nests too deep"));
        }
        self.depth += 1;
        let mut arms = Vec::new();
        let mut items = Vec::new();
        loop {
            match self.peek() {
                None | Some(')') => break,
                Some('|') => {
                    self.at += 1;
                    arms.push(concat(std::mem::take(&mut items)));
                }
                Some(_) => {
                    if let Some(node) = self.item(&mut flags)? {
                        items.push(node);
                    }
                }
            }
        }
        self.depth -= 1;
        let last = concat(items);
        if arms.is_empty() {
            return Ok(last);
        }
        arms.push(last);
        Ok(Node::Alternate(arms))
    }

    fn item(&mut self, flags: &mut Flags) -> Result<Option<Node>, PatternError> {
        let Some(atom) = self.atom(flags)? else { return Ok(None) };
        let mut node = atom;
        loop {
            let before = self.at;
            let (min, max) = match self.peek() {
                Some('*') => (0, None),
                Some('+') => (1, None),
                Some('?') => (0, Some(1)),
                Some('{') => match self.counts()? {
                    Some(counts) => counts,
                    None => return Ok(Some(node)),
                },
                _ => return Ok(Some(node)),
            };
            let counted = self.peek() == Some('{') || self.at > before;
            if !counted {
                self.at += 1;
            }
            let lazy = self.eat("?");
            // After `{n,m}` a plus repeats once more; after the others it makes them possessive.
            let possessive = !lazy && !counted && self.eat("+");
            if matches!(node, Node::At(_)) && max.is_none() {
                node = if min == 0 { Node::Empty } else { node };
                continue;
            }
            node = Node::Repeat { inner: Box::new(node), min, max, greedy: !lazy };
            if possessive {
                node = Node::Atomic(Box::new(node));
            }
        }
    }

    /// `{n}`, `{n,}`, `{,m}`, `{n,m}`; nothing, and nothing read, where the brace stands for itself.
    fn counts(&mut self) -> Result<Option<(u32, Option<u32>)>, PatternError> {
        let rest = &self.text[self.at + 1..];
        let Some(end) = rest.find('}') else { return Ok(None) };
        let inner = &rest[..end];
        let number = |text: &str| if text.is_empty() { Some(None) } else { text.parse::<u32>().ok().map(Some) };
        let counts = match inner.split_once(',') {
            Some(("", "")) => None,
            Some((min, max)) => match (number(min), number(max)) {
                (Some(min), Some(max)) => Some((min.unwrap_or(0), max)),
                _ => None,
            },
            None => inner.parse().ok().map(|count| (count, Some(count))),
        };
        let Some((min, max)) = counts else { return Ok(None) };
        if min > REPEAT_MAX || max.is_some_and(|max| max > REPEAT_MAX) {
            return Err(self.fail(&format!("more than {REPEAT_MAX} repetitions")));
        }
        if max.is_some_and(|max| max < min) {
            return Err(self.fail("the smaller count must come first"));
        }
        self.at += end + 2;
        Ok(Some((min, max)))
    }

    fn atom(&mut self, flags: &mut Flags) -> Result<Option<Node>, PatternError> {
        let Some(sign) = self.next() else { return Ok(None) };
        Ok(Some(match sign {
            '(' => return self.group(flags),
            '[' => Node::Class(self.class(*flags)?),
            '.' => Node::Class(if flags.dot_newline { Class::any() } else { Class::any_but_newline() }),
            '^' => Node::At(Place::LineStart),
            '$' => Node::At(Place::LineEnd),
            '\\' => self.escape(*flags)?,
            '*' | '+' | '?' => {
                self.at -= 1;
                return Err(self.fail("there is nothing to repeat"));
            }
            space if flags.extended && space.is_ascii_whitespace() => return Ok(None),
            '#' if flags.extended => {
                while self.next().is_some_and(|next| next != '\n') {}
                return Ok(None);
            }
            other => character(other, flags.fold),
        }))
    }

    fn group(&mut self, flags: &mut Flags) -> Result<Option<Node>, PatternError> {
        let look = |behind, negate, inner| Node::Look { behind, negate, inner: Box::new(inner) };
        let node = if self.eat("?:") {
            self.alternatives(*flags)?
        } else if self.eat("?>") {
            Node::Atomic(Box::new(self.alternatives(*flags)?))
        } else if self.eat("?=") {
            look(false, false, self.alternatives(*flags)?)
        } else if self.eat("?!") {
            look(false, true, self.alternatives(*flags)?)
        } else if self.eat("?<=") {
            look(true, false, self.alternatives(*flags)?)
        } else if self.eat("?<!") {
            look(true, true, self.alternatives(*flags)?)
        } else if self.eat("?#") {
            while self.peek().is_some_and(|next| next != ')') {
                self.next();
            }
            Node::Empty
        } else if self.eat("?<") || self.eat("?P<") || self.eat("?'") {
            let closing = if self.text[..self.at].ends_with('\'') { '\'' } else { '>' };
            let end =
                self.text[self.at..].find(closing).ok_or_else(|| self.fail("the name of a group is not closed"))?;
            let name = self.text[self.at..self.at + end].to_owned();
            if name.is_empty() {
                return Err(self.fail("a group needs a name"));
            }
            self.at += end + 1;
            let number = self.names.len();
            self.names.push(Some(name));
            Node::Capture(number, Box::new(self.alternatives(*flags)?))
        } else if self.eat("?") {
            let mut inner = *flags;
            let mut on = true;
            loop {
                match self.next() {
                    Some('-') => on = false,
                    Some('i') => inner.fold = on,
                    Some('m') => inner.dot_newline = on,
                    Some('x') => inner.extended = on,
                    Some(')') => {
                        *flags = inner;
                        return Ok(None);
                    }
                    Some(':') => break,
                    _ => return Err(self.fail("this kind of group is not known")),
                }
            }
            self.alternatives(inner)?
        } else if self.named {
            self.alternatives(*flags)?
        } else {
            let number = self.names.len();
            self.names.push(None);
            Node::Capture(number, Box::new(self.alternatives(*flags)?))
        };
        if !self.eat(")") {
            return Err(self.fail("a `(` is not closed"));
        }
        Ok(Some(node))
    }

    fn escape(&mut self, flags: Flags) -> Result<Node, PatternError> {
        let letter = self.next().ok_or_else(|| self.fail("it ends with a backslash"))?;
        Ok(match letter {
            'A' => Node::At(Place::TextStart),
            'z' => Node::At(Place::TextEnd),
            'Z' => Node::At(Place::LastLineEnd),
            'b' => Node::At(Place::WordEdge),
            'B' => Node::At(Place::NoWordEdge),
            'R' => Node::Atomic(Box::new(Node::Alternate(vec![
                Node::Literal("\r\n".to_owned()),
                Node::Class(Class::of_range('\n', '\r')),
            ]))),
            '1'..='9' | 'k' => {
                return Err(self.fail("a reference to a group cannot be matched in linear time"));
            }
            'g' => return Err(self.fail("calling a group again cannot be matched in linear time")),
            'G' | 'K' | 'X' => return Err(self.fail(&format!("`\\{letter}` is not supported"))),
            _ => match Class::of_escape(letter) {
                Some(class) => Node::Class(class),
                None if letter == 'p' || letter == 'P' => Node::Class(self.property(letter == 'P')?),
                None => character(self.escaped_character(letter)?, flags.fold),
            },
        })
    }

    /// The character of an escape that stands for one.
    fn escaped_character(&mut self, letter: char) -> Result<char, PatternError> {
        Ok(match letter {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'f' => '\u{c}',
            'v' => '\u{b}',
            'a' => '\u{7}',
            'e' => '\u{1b}',
            '0' => '\0',
            'x' if self.peek() == Some('{') => {
                let end = self.text[self.at..].find('}').ok_or_else(|| self.fail("a `{` is not closed"))?;
                let code = self.text[self.at + 1..self.at + end].to_owned();
                self.at += end + 1;
                self.code(&code)?
            }
            'x' => self.digits(2)?,
            'u' => self.digits(4)?,
            other => other,
        })
    }

    fn digits(&mut self, max: usize) -> Result<char, PatternError> {
        let len = self.text[self.at..].bytes().take(max).take_while(u8::is_ascii_hexdigit).count();
        let code = self.text[self.at..self.at + len].to_owned();
        self.at += len;
        self.code(&code)
    }

    fn code(&self, digits: &str) -> Result<char, PatternError> {
        u32::from_str_radix(digits, 16).ok().and_then(char::from_u32).ok_or_else(|| self.fail("this is no character"))
    }
}

fn character(letter: char, fold: bool) -> Node {
    if fold && letter.is_alphabetic() {
        return Node::Class(Class::of_range(letter, letter).fold());
    }
    Node::Literal(letter.to_string())
}

/// Joins literals that stand side by side.
fn concat(items: Vec<Node>) -> Node {
    let mut joined: Vec<Node> = Vec::with_capacity(items.len());
    for item in items {
        match (joined.last_mut(), item) {
            (Some(Node::Literal(before)), Node::Literal(text)) => before.push_str(&text),
            (_, Node::Empty) => {}
            (_, item) => joined.push(item),
        }
    }
    match joined.len() {
        0 => Node::Empty,
        1 => joined.swap_remove(0),
        _ => Node::Concat(joined),
    }
}
