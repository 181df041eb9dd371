//! Matching with captures. A backtracking matcher whose choices are pruned by the next byte does nearly all lines with
//! hardly any backtracking. It counts its steps: when they pass a limit in proportion to the text, the text is matched
//! again by a plain program that remembers every choice it made at every place and makes none twice, which bounds its
//! work by (size of the expression) times (length of the text). So look-around and atomic groups can be had without
//! giving up linear time.

mod run;

use super::PatternError;
use super::class::Bytes;
use super::compile::{self, Inst, Program, compile};
use super::facts::{begin, first, longest_literal};
use super::syntax::{Node, Parsed, Place};
use run::Run;

/// Steps without remembering: this many, and per byte of text so many more.
const STEPS_FREE: usize = 2_000;
const STEPS_PER_BYTE: usize = 40;
/// Memory for remembering choices, in bytes; beyond it the text is given up.
const MEMORY_BYTES_MAX: usize = 8 << 20;
/// Steps of look-around inside of a remembering match, per byte and instruction; beyond it the text is given up.
const LOOK_STEPS_PER_BYTE: usize = 256;
/// Literals shorter than this are in nearly every line, so that looking for them first does not pay.
const LITERAL_BYTES_MIN: usize = 3;

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
        longest_literal(&parsed.node, LITERAL_BYTES_MIN, &mut literal);
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
            nested: false,
            base: from,
        };
        match self.search(&mut run, from) {
            Verdict::GaveUp => self.find_remembering(text, from, cache),
            verdict => verdict,
        }
    }

    /// The same by the plain program, which makes no choice twice.
    pub(crate) fn find_remembering(&self, text: &str, from: usize, cache: &mut Cache) -> Verdict {
        let bits = self.safe.choices * (text.len() - from + 1);
        if bits / 8 > MEMORY_BYTES_MAX {
            return Verdict::GaveUp;
        }
        cache.visited.clear();
        cache.visited.resize(bits / 64 + 1, 0);
        // Every choice at every place once, and what lies between two choices.
        let steps = (self.safe.code.len() + LOOK_STEPS_PER_BYTE) * (text.len() - from + 1) * 2;
        let mut run = Run {
            program: &self.safe,
            text,
            bytes: text.as_bytes(),
            cache,
            steps,
            remember: true,
            nested: false,
            base: from,
        };
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
