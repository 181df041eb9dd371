//! Matching with captures. A backtracking matcher whose choices are pruned by the next byte does nearly all lines with
//! hardly any backtracking. It counts its steps: when they pass a limit in proportion to the text, the text is matched
//! again by a plain program that remembers every choice it made at every place and makes none twice, which bounds its
//! work by (size of the expression) times (length of the text). So look-around and atomic groups can be had without
//! giving up linear time.

use super::PatternError;
use super::class::{Bytes, Class};
use super::compile::{Inst, Program, begin, compile, first, longest_literal};
use super::syntax::{Node, Parsed, Place};

/// Steps without remembering: this many, and per byte of text so many more.
const STEPS_FREE: usize = 2_000;
const STEPS_PER_BYTE: usize = 40;
/// Memory for remembering choices, in bytes; beyond it the text is given up.
const MEMORY_BYTES_MAX: usize = 8 << 20;
/// Steps of look-around inside of a remembering match, per byte and instruction; beyond it the text is given up.
const LOOK_STEPS_PER_BYTE: usize = 256;
/// What came of a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was found; the slots say where.
    Match,
    /// It was not.
    NoMatch,
    /// It would have taken too long.
    GaveUp,
}

/// A compiled expression.
#[derive(Debug)]
pub struct Engine {
    fast: Program,
    safe: Program,
    captures: usize,
    /// Bytes a match may begin with; none if it may be empty.
    first: Option<Bytes>,
    begin: Begin,
    /// Text that is in every match.
    literal: Option<memchr::memmem::Finder<'static>>,
    /// Text that every match begins with.
    prefix: bool,
}

/// Where a match can begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    /// At the begin of the text.
    Text,
    /// At the begin of a line.
    Line,
    /// Anywhere.
    Anywhere,
}

/// Reused between matches, so that nothing is allocated.
#[derive(Debug, Default)]
pub struct Cache {
    stack: Vec<Frame>,
    registers: Vec<usize>,
    slots: Vec<usize>,
    visited: Vec<u64>,
}

#[derive(Clone, Copy, Debug)]
enum Frame {
    /// Go on there.
    Go {
        pc: usize,
        at: usize,
    },
    /// A greedy run ends one character earlier; not before `min`.
    Shrink {
        pc: usize,
        min: usize,
        at: usize,
    },
    /// A run that takes little takes one more.
    Grow {
        pc: usize,
        at: usize,
        left: u32,
    },
    Slot {
        index: usize,
        value: usize,
    },
    Register {
        index: usize,
        value: usize,
    },
}

const UNSET: usize = usize::MAX;

impl Cache {
    /// Where capture `index` of the last match begins and ends.
    pub fn capture(&self, index: usize) -> Option<(usize, usize)> {
        let (start, end) = (*self.slots.get(2 * index + 2)?, *self.slots.get(2 * index + 3)?);
        (start != UNSET && end != UNSET && start <= end).then_some((start, end))
    }

    /// Where the last match begins and ends.
    pub fn span(&self) -> (usize, usize) {
        (self.slots[0], self.slots[1])
    }
}

impl Engine {
    /// Compiles an expression.
    ///
    /// # Errors
    /// One that is too large, or looks back further than can be told.
    pub fn new(parsed: &Parsed) -> Result<Self, PatternError> {
        let captures = parsed.names.len();
        let (fast, safe) = (compile(&parsed.node, true)?, compile(&parsed.node, false)?);
        let start = first(&parsed.node);
        let mut literal = None;
        longest_literal(&parsed.node, &mut literal);
        let prefix = match (&parsed.node, &literal) {
            (Node::Literal(text), Some(literal)) => text == literal,
            (Node::Concat(items), Some(literal)) => {
                matches!(items.first(), Some(Node::Literal(text)) if text == literal)
            }
            _ => false,
        };
        Ok(Self {
            fast,
            safe,
            captures,
            first: (!start.nullable).then_some(start.bytes),
            begin: begin(&parsed.node),
            literal: literal.map(|text| memchr::memmem::Finder::new(text.as_bytes()).into_owned()),
            prefix,
        })
    }

    /// Finds the first match at or after `from`.
    pub fn find(&self, text: &str, from: usize, cache: &mut Cache) -> Verdict {
        if self.literal.as_ref().is_some_and(|literal| literal.find(&text.as_bytes()[from..]).is_none()) {
            return Verdict::NoMatch;
        }
        let budget = STEPS_FREE + STEPS_PER_BYTE * (text.len() - from);
        let mut run = Run {
            program: &self.fast,
            text,
            bytes: text.as_bytes(),
            cache,
            steps: budget,
            remember: false,
            base: from,
        };
        match self.search(&mut run, from) {
            Verdict::GaveUp => {}
            verdict => return verdict,
        }
        let bits = self.safe.choices * (text.len() - from + 1);
        if bits / 8 > MEMORY_BYTES_MAX {
            return Verdict::GaveUp;
        }
        cache.visited.clear();
        cache.visited.resize(bits / 64 + 1, 0);
        // Every choice at every place once, and what lies between two choices.
        let steps = (self.safe.code.len() + LOOK_STEPS_PER_BYTE) * (text.len() - from + 1) * 2;
        let mut run =
            Run { program: &self.safe, text, bytes: text.as_bytes(), cache, steps, remember: true, base: from };
        self.search(&mut run, from)
    }

    fn search(&self, run: &mut Run<'_>, from: usize) -> Verdict {
        let bytes = run.bytes;
        let mut at = from;
        loop {
            if self.prefix {
                let Some(found) = self.literal.as_ref().and_then(|literal| literal.find(&bytes[at..])) else {
                    return Verdict::NoMatch;
                };
                at += found;
            } else if let Some(first) = &self.first {
                while at < bytes.len() && !first.has(bytes[at]) {
                    at += 1;
                }
                if at == bytes.len() {
                    return Verdict::NoMatch;
                }
            }
            if !run.text.is_char_boundary(at) {
                at += 1;
                continue;
            }
            run.cache.slots.clear();
            run.cache.slots.resize(2 * self.captures + 2, UNSET);
            run.cache.registers.clear();
            run.cache.registers.resize(run.program.registers, UNSET);
            run.cache.stack.clear();
            match run.go(0, at) {
                Some(Some(end)) => {
                    run.cache.slots[0] = at;
                    run.cache.slots[1] = end;
                    return Verdict::Match;
                }
                Some(None) => {}
                None => return Verdict::GaveUp,
            }
            if at >= bytes.len() || self.begin == Begin::Text {
                return Verdict::NoMatch;
            }
            at += 1;
            if self.begin == Begin::Line && bytes[at - 1] != b'\n' {
                match memchr::memchr(b'\n', &bytes[at..]) {
                    Some(newline) => at += newline + 1,
                    None => return Verdict::NoMatch,
                }
            }
        }
    }
}

struct Run<'a> {
    program: &'a Program,
    text: &'a str,
    bytes: &'a [u8],
    cache: &'a mut Cache,
    steps: usize,
    remember: bool,
    base: usize,
}

impl Run<'_> {
    fn may(&self, bytes: Option<&Bytes>, at: usize) -> bool {
        match (bytes, self.bytes.get(at)) {
            (None, _) => true,
            (Some(bytes), Some(byte)) => bytes.has(*byte),
            (Some(_), None) => false,
        }
    }

    /// Runs from `pc` at `at` until it matches. The outer option is none when the steps are used up.
    fn go(&mut self, pc: usize, at: usize) -> Option<Option<usize>> {
        let base = self.cache.stack.len();
        let program = self.program;
        let (mut pc, mut at) = (pc, at);
        loop {
            self.steps = self.steps.checked_sub(1)?;
            let mut fails = false;
            match &program.code[pc] {
                Inst::Match | Inst::End => return Some(Some(at)),
                Inst::Text(text) => {
                    if self.bytes[at..].starts_with(text) {
                        at += text.len();
                        pc += 1;
                    } else {
                        fails = true;
                    }
                }
                Inst::One(class) => {
                    let len = class.step(self.text, at);
                    at += len;
                    pc += 1;
                    fails = len == 0;
                }
                Inst::At(place) => {
                    fails = !self.is_at(*place, at);
                    pc += 1;
                }
                Inst::Save(index) => {
                    let value = std::mem::replace(&mut self.cache.slots[*index], at);
                    self.cache.stack.push(Frame::Slot { index: *index, value });
                    pc += 1;
                }
                Inst::Jump(to) => pc = *to,
                Inst::Split { first, second, first_bytes, second_bytes, choice } => {
                    if self.remember && self.seen(*choice, at) {
                        fails = true;
                    } else {
                        match (self.may(first_bytes.as_deref(), at), self.may(second_bytes.as_deref(), at)) {
                            (true, true) => {
                                self.cache.stack.push(Frame::Go { pc: *second, at });
                                pc = *first;
                            }
                            (true, false) => pc = *first,
                            (false, true) => pc = *second,
                            (false, false) => fails = true,
                        }
                    }
                }
                Inst::Run { class, min, max, greedy, giving_back, next } => {
                    match self.run(class, *min, *max, *greedy, *giving_back, next.as_deref(), pc, at) {
                        Some(end) => {
                            at = end;
                            pc += 1;
                        }
                        None => fails = true,
                    }
                }
                Inst::RoundStart(register) => {
                    let value = std::mem::replace(&mut self.cache.registers[*register], at);
                    self.cache.stack.push(Frame::Register { index: *register, value });
                    pc += 1;
                }
                Inst::RoundEnd { register, exit } => {
                    if self.cache.registers[*register] == at {
                        pc = *exit
                    } else {
                        pc += 1
                    }
                }
                Inst::Atomic { after } => {
                    let inner = self.cache.stack.len();
                    match self.go(pc + 1, at)? {
                        Some(end) => {
                            self.drop_choices(inner);
                            at = end;
                            pc = *after;
                        }
                        None => fails = true,
                    }
                }
                Inst::Look { after, negate, behind } => {
                    if self.look(pc + 1, at, *behind, *negate)? != *negate {
                        pc = *after;
                    } else {
                        fails = true;
                    }
                }
                Inst::LookOne { class, negate, behind } => {
                    let found = if *behind {
                        self.text[..at].chars().next_back().is_some_and(|letter| class.has(letter))
                    } else {
                        class.step(self.text, at) > 0
                    };
                    fails = found == *negate;
                    pc += 1;
                }
            }
            if fails {
                match self.back(base) {
                    Some((next_pc, next_at)) => (pc, at) = (next_pc, next_at),
                    None => return Some(None),
                }
            }
        }
    }

    /// Takes back to the last choice above `base`.
    fn back(&mut self, base: usize) -> Option<(usize, usize)> {
        while self.cache.stack.len() > base {
            match self.cache.stack.pop()? {
                Frame::Go { pc, at } => return Some((pc, at)),
                Frame::Slot { index, value } => self.cache.slots[index] = value,
                Frame::Register { index, value } => self.cache.registers[index] = value,
                Frame::Shrink { pc, min, at } => {
                    let Inst::Run { next, .. } = &self.program.code[pc] else { continue };
                    let mut end = at;
                    while end > min {
                        end -= 1;
                        self.steps = self.steps.saturating_sub(1);
                        if self.text.is_char_boundary(end) && self.may(next.as_deref(), end) {
                            if end > min {
                                self.cache.stack.push(Frame::Shrink { pc, min, at: end });
                            }
                            return Some((pc + 1, end));
                        }
                    }
                }
                Frame::Grow { pc, at, left } => {
                    let Inst::Run { class, next, .. } = &self.program.code[pc] else { continue };
                    let (mut end, mut left) = (at, left);
                    loop {
                        let len = if left > 0 { class.step(self.text, end) } else { 0 };
                        if len == 0 {
                            break;
                        }
                        self.steps = self.steps.saturating_sub(1);
                        end += len;
                        left -= 1;
                        if self.may(next.as_deref(), end) {
                            self.cache.stack.push(Frame::Grow { pc, at: end, left });
                            return Some((pc + 1, end));
                        }
                    }
                }
            }
        }
        None
    }

    #[allow(clippy::too_many_arguments, reason = "the fields of one instruction, read apart by the caller's match")]
    fn run(
        &mut self,
        class: &Class,
        min: u32,
        max: u32,
        greedy: bool,
        giving_back: bool,
        next: Option<&Bytes>,
        pc: usize,
        at: usize,
    ) -> Option<usize> {
        let most = if greedy { max } else { min };
        // Nearly all of a line is ASCII: a byte is a character there.
        let ascii = class.ascii_run(self.bytes, at, most as usize);
        let mut end = at + ascii;
        // No more than `most`, which is a u32.
        let mut count = ascii as u32;
        let mut least = if count >= min { at + min as usize } else { UNSET };
        while count < most {
            let len = class.step(self.text, end);
            if len == 0 {
                break;
            }
            end += len;
            count += 1;
            if count == min {
                least = end;
            }
        }
        self.steps = self.steps.saturating_sub(count as usize / 8);
        if count < min {
            return None;
        }
        if greedy {
            if giving_back && end > least {
                self.cache.stack.push(Frame::Shrink { pc, min: least, at: end });
            }
        } else {
            self.cache.stack.push(Frame::Grow { pc, at: end, left: max - count });
        }
        if self.may(next, end) {
            return Some(end);
        }
        // What follows cannot begin here: go straight to the next end at which it can.
        None
    }

    /// Whether this choice was made at this place before; it is noted.
    fn seen(&mut self, choice: usize, at: usize) -> bool {
        let bit = choice * (self.bytes.len() - self.base + 1) + (at - self.base);
        let word = &mut self.cache.visited[bit / 64];
        let was = *word >> (bit % 64) & 1 == 1;
        *word |= 1 << (bit % 64);
        was
    }

    fn look(&mut self, pc: usize, at: usize, behind: Option<(usize, usize)>, negate: bool) -> Option<bool> {
        let remember = std::mem::replace(&mut self.remember, false);
        let result = self.look_around(pc, at, behind, negate);
        self.remember = remember;
        result
    }

    fn look_around(&mut self, pc: usize, at: usize, behind: Option<(usize, usize)>, negate: bool) -> Option<bool> {
        let Some((min, max)) = behind else {
            return self.look_from(pc, at, None, negate);
        };
        let mut start = at;
        for _ in 0..min {
            match self.text[..start].chars().next_back() {
                Some(letter) => start -= letter.len_utf8(),
                None => return Some(false),
            }
        }
        for _ in min..=max {
            if self.look_from(pc, start, Some(at), negate)? {
                return Some(true);
            }
            match self.text[..start].chars().next_back() {
                Some(letter) => start -= letter.len_utf8(),
                None => return Some(false),
            }
        }
        Some(false)
    }

    fn look_from(&mut self, pc: usize, start: usize, end: Option<usize>, negate: bool) -> Option<bool> {
        let base = self.cache.stack.len();
        let mut found = self.go(pc, start)?;
        // Looking back, the match must end where it was looked from; another way through it may.
        while found.is_none() || (end.is_some() && found != end) {
            match self.back(base) {
                Some((pc, at)) => found = self.go(pc, at)?,
                None => {
                    found = None;
                    break;
                }
            }
        }
        if found.is_none() || negate {
            while self.cache.stack.len() > base {
                match self.cache.stack.pop() {
                    Some(Frame::Slot { index, value }) => self.cache.slots[index] = value,
                    Some(Frame::Register { index, value }) => self.cache.registers[index] = value,
                    _ => {}
                }
            }
        } else {
            self.drop_choices(base);
        }
        Some(found.is_some())
    }

    /// Drops the choices above `base`, and keeps what takes captures back.
    fn drop_choices(&mut self, base: usize) {
        let mut kept = base;
        for index in base..self.cache.stack.len() {
            if let Frame::Slot { .. } | Frame::Register { .. } = self.cache.stack[index] {
                self.cache.stack[kept] = self.cache.stack[index];
                kept += 1;
            }
        }
        self.cache.stack.truncate(kept);
    }

    fn is_at(&self, place: Place, at: usize) -> bool {
        match place {
            Place::TextStart => at == 0,
            Place::TextEnd => at == self.bytes.len(),
            Place::LineStart => at == 0 || self.bytes[at - 1] == b'\n',
            Place::LineEnd => self.bytes.get(at).is_none_or(|byte| *byte == b'\n'),
            Place::LastLineEnd => at == self.bytes.len() || (at + 1 == self.bytes.len() && self.bytes[at] == b'\n'),
            Place::WordEdge => self.is_word_edge(at),
            Place::NoWordEdge => !self.is_word_edge(at),
        }
    }

    fn is_word_edge(&self, at: usize) -> bool {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let wide = |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
        let before = match at.checked_sub(1).map(|index| self.bytes[index]) {
            None => false,
            Some(byte) if byte < 0x80 => word(byte),
            Some(_) => wide(self.text[..at].chars().next_back()),
        };
        let after = match self.bytes.get(at) {
            None => false,
            Some(byte) if *byte < 0x80 => word(*byte),
            Some(_) => wide(self.text[at..].chars().next()),
        };
        before != after
    }
}
