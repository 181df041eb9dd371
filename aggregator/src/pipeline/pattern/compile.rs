//! From an expression to instructions, with what is known about the bytes that each choice can begin with.

use std::sync::Arc;

use super::PatternError;
use super::class::{Bytes, Class, Scan, Table};
use super::facts::{first, is_of_one_way, shared_start, single, width};
use super::syntax::{Node, Place};

/// Instructions an expression may be compiled to; counted repetitions multiply. 24 bytes each.
const INSTRUCTIONS_MAX: usize = 60_000;
const _: () = assert!(size_of::<Inst>() == 24);
/// Characters that a look back may go.
const BEHIND_MAX: usize = u8::MAX as usize;

/// A compiled expression.
#[derive(Debug)]
pub struct Program {
    /// The instructions; it begins with the first.
    pub code: Vec<Inst>,
    /// Sets of bytes that instructions mean by their place, each once; the first stands for "any, or none at all".
    pub sets: Vec<Bytes>,
    /// Registers for the begins of rounds.
    pub registers: usize,
    /// How many instructions are choices, which are what is remembered.
    pub choices: usize,
}

/// One instruction. Small, and what it leads to is shared: a match goes over some hundred of them, and what is out of the
/// first cache is waited for.
#[derive(Debug)]
pub enum Inst {
    /// It is found.
    Match,
    /// The end of an atomic group or a look-around.
    End,
    /// A byte that stands for itself.
    Byte(u8),
    /// Text that stands for itself.
    Text(Box<[u8]>),
    /// One character of a set.
    One(Arc<Class>),
    /// A place.
    At(Place),
    /// Notes the place in a slot.
    Save(usize),
    /// Goes on there.
    Jump(usize),
    /// Tries the first, then the second; each only if the next byte can begin it.
    Split {
        /// Where the first is.
        first: u32,
        /// Where the second is.
        second: u32,
        /// The set of bytes that can begin the first.
        first_set: u32,
        /// The same for the second.
        second_set: u32,
        /// Its number among the choices.
        choice: u32,
    },
    /// A set over and over.
    Run(Box<Run>),
    /// Notes the place where a round of a loop begins.
    RoundStart(usize),
    /// Leaves the loop when the round took nothing.
    RoundEnd {
        /// Where the begin was noted.
        register: usize,
        /// Behind the loop.
        exit: usize,
    },
    /// Runs what follows to its `End`, and keeps none of its choices.
    Atomic {
        /// Behind the `End`.
        after: usize,
    },
    /// Looks at what follows to its `End`.
    Look {
        /// Behind the `End`.
        after: usize,
        /// Whether it must not be there.
        negate: bool,
        /// How many characters it looks back, at least and at most.
        behind: Option<(u8, u8)>,
        /// Looking ahead, the set of bytes that what follows can begin with.
        next: u32,
    },
    /// Looks at one character back or ahead.
    LookOne {
        /// The set.
        class: Arc<Class>,
        /// Whether it must not be there.
        negate: bool,
        /// Whether it looks back.
        behind: bool,
    },
}

/// A set over and over.
#[derive(Debug)]
pub struct Run {
    /// The set.
    pub class: Class,
    /// At least.
    pub min: u32,
    /// At most.
    pub max: u32,
    /// Whether as many as possible come first.
    pub greedy: bool,
    /// False where giving back characters could never help.
    pub giving_back: bool,
    /// Bytes that may follow; none if anything may.
    pub next: Option<Bytes>,
    /// Goes over ASCII characters of the set.
    pub ascii: Scan,
    /// Goes over all characters of the set, where it may be repeated without limit and a byte tells enough.
    pub whole: Option<Scan>,
    /// Goes over characters of the set that nothing can follow; under the same condition.
    pub until_next: Option<Scan>,
}

impl Run {
    fn new(class: Class, min: u32, max: Option<u32>, greedy: bool, giving_back: bool, next: Follow) -> Self {
        // With one character at most to be counted, bytes need not be told from characters.
        let whole = class.scan().filter(|_| max.is_none() && min <= 1);
        let until_next = match (&whole, &next) {
            (Some(_), Some(next)) => {
                let first = class.first_bytes();
                // Bytes within a character follow one that begins it and are looked at by nobody else.
                Some(Scan::new(|byte| (first.has(byte) || (0x80..0xC0).contains(&byte)) && !next.has(byte)))
            }
            _ => None,
        };
        let ascii = class.scan_ascii();
        Self { class, min, max: max.unwrap_or(u32::MAX), greedy, giving_back, next, ascii, whole, until_next }
    }
}

/// Compiles an expression; with `quick`, runs of a set become one instruction.
///
/// # Errors
/// One that is too large, or looks back further than can be told.
pub fn compile(node: &Node, quick: bool) -> Result<Program, PatternError> {
    let program = Program { code: Vec::new(), sets: vec![Bytes::ALL], registers: 0, choices: 0 };
    let mut compiler = Compiler { program, classes: Vec::new(), tables: Vec::new(), quick };
    compiler.node(node, None)?;
    compiler.push(Inst::Match)?;
    Ok(compiler.program)
}

struct Compiler {
    program: Program,
    /// What instructions share.
    classes: Vec<Arc<Class>>,
    tables: Vec<Arc<Table>>,
    quick: bool,
}

/// The bytes that may come next; none where that is not known, or where the text may end.
type Follow = Option<Bytes>;

impl Compiler {
    fn push(&mut self, inst: Inst) -> Result<usize, PatternError> {
        if self.program.code.len() >= INSTRUCTIONS_MAX {
            return Err(PatternError("the expression is too large".to_owned()));
        }
        self.program.code.push(inst);
        Ok(self.program.code.len() - 1)
    }

    fn node(&mut self, node: &Node, follow: Follow) -> Result<(), PatternError> {
        match node {
            Node::Empty => {}
            Node::Literal(text) => {
                self.push(match text.as_bytes() {
                    [byte] => Inst::Byte(*byte),
                    bytes => Inst::Text(bytes.into()),
                })?;
            }
            Node::Class(class) => {
                let class = shared(&mut self.classes, class.clone());
                self.push(Inst::One(class))?;
            }
            Node::At(place) => drop(self.push(Inst::At(*place))?),
            Node::Capture(index, inner) => {
                self.push(Inst::Save(2 * index + 2))?;
                self.node(inner, follow)?;
                self.push(Inst::Save(2 * index + 3))?;
            }
            Node::Concat(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.node(item, follow_of(&items[index + 1..], follow))?;
                }
            }
            Node::Alternate(arms) => self.alternate(arms, follow)?,
            Node::Repeat { inner, min, max, greedy } => self.repeat(inner, *min, *max, *greedy, follow)?,
            Node::Atomic(inner) => {
                // A run of a set alone needs no group: it simply gives nothing back.
                if let (true, Node::Repeat { inner, min, max, greedy: true }) = (self.quick, &**inner)
                    && let Some(class) = single(inner)
                {
                    return self.run(Run::new(class, *min, *max, true, false, None));
                }
                // What matches in one way at most has nothing to give back either.
                if self.quick && is_of_one_way(inner) {
                    return self.node(inner, follow);
                }
                let start = self.push(Inst::Atomic { after: 0 })?;
                self.node(inner, None)?;
                self.push(Inst::End)?;
                self.program.code[start] = Inst::Atomic { after: self.program.code.len() };
            }
            Node::Look { behind, negate, inner } => self.look(*behind, *negate, inner)?,
        }
        Ok(())
    }

    fn look(&mut self, behind: bool, negate: bool, inner: &Node) -> Result<(), PatternError> {
        if let Some(class) = single(inner) {
            let class = shared(&mut self.classes, class);
            self.push(Inst::LookOne { class, negate, behind })?;
            return Ok(());
        }
        let widths = match (behind, width(inner)) {
            (false, _) => None,
            // BEHIND_MAX is what fits.
            (true, (min, Some(max))) if max <= BEHIND_MAX => Some((min as u8, max as u8)),
            (true, _) => {
                return Err(PatternError(format!(
                    "looking back further than {BEHIND_MAX} characters, or without limit, is not supported"
                )));
            }
        };
        let begin = first(inner);
        let next = self.set(Some(begin.bytes).filter(|_| !behind && !begin.nullable));
        let start = self.push(Inst::Jump(0))?;
        self.node(inner, None)?;
        self.push(Inst::End)?;
        self.program.code[start] = Inst::Look { after: self.program.code.len(), negate, behind: widths, next };
        Ok(())
    }

    fn split(&mut self) -> Result<usize, PatternError> {
        // Filled in by `set_split` when both sides are known.
        self.push(Inst::Jump(0))
    }

    fn set_split(&mut self, at: usize, first: (usize, Follow), second: (usize, Follow)) {
        // There are no more than INSTRUCTIONS_MAX of any of them.
        self.program.code[at] = Inst::Split {
            first: first.0 as u32,
            second: second.0 as u32,
            first_set: self.set(first.1),
            second_set: self.set(second.1),
            choice: self.program.choices as u32,
        };
        self.program.choices += 1;
    }

    /// The place of a set of bytes.
    fn set(&mut self, bytes: Follow) -> u32 {
        let bytes = bytes.unwrap_or(Bytes::ALL);
        let place = self.program.sets.iter().position(|have| *have == bytes);
        // No more than two for each instruction.
        place.unwrap_or_else(|| {
            self.program.sets.push(bytes);
            self.program.sets.len() - 1
        }) as u32
    }

    fn run(&mut self, mut run: Run) -> Result<(), PatternError> {
        for scan in [Some(&mut run.ascii), run.whole.as_mut(), run.until_next.as_mut()].into_iter().flatten() {
            if let Scan::Table(table) = scan {
                *table = shared(&mut self.tables, **table);
            }
        }
        self.push(Inst::Run(Box::new(run)))?;
        Ok(())
    }

    fn alternate(&mut self, arms: &[Node], follow: Follow) -> Result<(), PatternError> {
        let Some((count, start)) = shared_start(arms).filter(|_| self.quick) else { return self.arms(arms, follow) };
        // Where that start is not there, none of these arms needs to be tried: it is looked for once.
        let (these, others) = arms.split_at(count);
        if others.is_empty() {
            self.look(false, false, start)?;
            return self.arms(these, follow);
        }
        let split = self.split()?;
        let here = self.program.code.len();
        self.look(false, false, start)?;
        self.arms(these, follow)?;
        let jump = self.push(Inst::Jump(0))?;
        let next = self.program.code.len();
        self.alternate(others, follow)?;
        self.program.code[jump] = Inst::Jump(self.program.code.len());
        self.set_split(split, (here, follow_of_any(these, follow)), (next, follow_of_any(others, follow)));
        Ok(())
    }

    fn arms(&mut self, arms: &[Node], follow: Follow) -> Result<(), PatternError> {
        let mut jumps = Vec::new();
        for (index, arm) in arms.iter().enumerate() {
            if index + 1 == arms.len() {
                self.node(arm, follow)?;
                break;
            }
            let split = self.split()?;
            let here = self.program.code.len();
            self.node(arm, follow)?;
            jumps.push(self.push(Inst::Jump(0))?);
            let rest = follow_of_any(&arms[index + 1..], follow);
            let next = self.program.code.len();
            self.set_split(split, (here, follow_of(std::slice::from_ref(arm), follow)), (next, rest));
        }
        let end = self.program.code.len();
        for jump in jumps {
            self.program.code[jump] = Inst::Jump(end);
        }
        Ok(())
    }

    fn repeat(
        &mut self,
        inner: &Node,
        min: u32,
        max: Option<u32>,
        greedy: bool,
        follow: Follow,
    ) -> Result<(), PatternError> {
        if let (true, Some(class)) = (self.quick, single(inner)) {
            let apart = follow.is_some_and(|next| next.is_apart(&class.first_bytes()));
            return self.run(Run::new(class, min, max, greedy, !apart, follow));
        }
        let start = first(inner);
        let again = (!start.nullable).then_some(start.bytes);
        // After a round, another one or what follows the loop.
        let after_round = either(again, follow);
        for round in 0..min {
            let last = round + 1 == min && max == Some(min);
            self.node(inner, if last { follow } else { after_round })?;
        }
        match max {
            Some(max) => {
                let mut splits = Vec::new();
                for _ in min..max {
                    splits.push((self.split()?, self.program.code.len()));
                    self.node(inner, after_round)?;
                }
                let end = self.program.code.len();
                for (split, body) in splits {
                    self.set_loop(split, (body, again), (end, follow), greedy);
                }
            }
            None => {
                let split = self.split()?;
                let body = self.program.code.len();
                let register = self.program.registers;
                if start.nullable {
                    self.program.registers += 1;
                    self.push(Inst::RoundStart(register))?;
                }
                self.node(inner, after_round)?;
                let round_end = if start.nullable { Some(self.push(Inst::Jump(0))?) } else { None };
                self.push(Inst::Jump(split))?;
                let exit = self.program.code.len();
                if let Some(round_end) = round_end {
                    self.program.code[round_end] = Inst::RoundEnd { register, exit };
                }
                self.set_loop(split, (body, again), (exit, follow), greedy);
            }
        }
        Ok(())
    }

    fn set_loop(&mut self, split: usize, body: (usize, Follow), exit: (usize, Follow), greedy: bool) {
        if greedy { self.set_split(split, body, exit) } else { self.set_split(split, exit, body) }
    }
}

/// The one of `all` that is the same.
fn shared<T: PartialEq>(all: &mut Vec<Arc<T>>, one: T) -> Arc<T> {
    if let Some(have) = all.iter().find(|have| ***have == one) {
        return Arc::clone(have);
    }
    all.push(Arc::new(one));
    Arc::clone(&all[all.len() - 1])
}

fn either(left: Follow, right: Follow) -> Follow {
    Some(left?.union(&right?))
}

/// What may come where these items, and then `follow`, stand.
fn follow_of(items: &[Node], follow: Follow) -> Follow {
    let mut bytes = Bytes::NONE;
    for item in items {
        let start = first(item);
        bytes = bytes.union(&start.bytes);
        if !start.nullable {
            return Some(bytes);
        }
    }
    Some(bytes.union(&follow?))
}

/// What may come where one of these arms, and then `follow`, stands.
fn follow_of_any(arms: &[Node], follow: Follow) -> Follow {
    arms.iter().map(|arm| follow_of(std::slice::from_ref(arm), follow)).reduce(either).flatten()
}
