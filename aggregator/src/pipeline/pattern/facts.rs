//! What can be told of an expression before it is run: what it can begin with, how long it is, what must be in it.

use smallvec::SmallVec;

use super::class::{Bytes, Class};
use super::engine::Begin;
use super::syntax::{Node, Place};

/// Bytes at the begin that are looked at.
pub const BEGINNING_BYTES: usize = 8;
/// What an expression can begin with.
#[derive(Clone, Copy, Debug)]
pub struct First {
    /// The bytes.
    pub bytes: Bytes,
    /// Whether it can match without taking a byte.
    pub nullable: bool,
}

/// The set of an expression that takes exactly one character.
pub fn single(node: &Node) -> Option<Class> {
    match node {
        Node::Class(class) => Some(class.clone()),
        Node::Literal(text) => {
            let mut letters = text.chars();
            let letter = letters.next()?;
            letters.next().is_none().then(|| Class::of_range(letter, letter))
        }
        _ => None,
    }
}

/// What an expression can begin with.
pub fn first(node: &Node) -> First {
    let nothing = First { bytes: Bytes::NONE, nullable: true };
    match node {
        Node::Empty | Node::At(_) | Node::Look { .. } => nothing,
        Node::Class(class) => First { bytes: class.first_bytes(), nullable: false },
        Node::Literal(text) => {
            let mut bytes = Bytes::NONE;
            if let Some(byte) = text.bytes().next() {
                bytes.add(byte);
            }
            First { bytes, nullable: text.is_empty() }
        }
        Node::Capture(_, inner) | Node::Atomic(inner) => first(inner),
        Node::Concat(items) => {
            let mut bytes = Bytes::NONE;
            for item in items {
                let start = first(item);
                bytes = bytes.union(&start.bytes);
                if !start.nullable {
                    return First { bytes, nullable: false };
                }
            }
            First { bytes, nullable: true }
        }
        Node::Alternate(arms) => {
            arms.iter().map(first).fold(First { bytes: Bytes::NONE, nullable: false }, |all, arm| First {
                bytes: all.bytes.union(&arm.bytes),
                nullable: all.nullable || arm.nullable,
            })
        }
        Node::Repeat { inner, min, max, .. } => {
            if *max == Some(0) {
                return nothing;
            }
            let start = first(inner);
            First { bytes: start.bytes, nullable: start.nullable || *min == 0 }
        }
    }
}

/// How many characters an expression takes, at least and at most.
pub fn width(node: &Node) -> (usize, Option<usize>) {
    match node {
        Node::Empty | Node::At(_) | Node::Look { .. } => (0, Some(0)),
        Node::Class(_) => (1, Some(1)),
        Node::Literal(text) => (text.chars().count(), Some(text.chars().count())),
        Node::Capture(_, inner) | Node::Atomic(inner) => width(inner),
        Node::Concat(items) => items.iter().map(width).fold((0, Some(0)), |(min, max), (item_min, item_max)| {
            (min + item_min, max.zip(item_max).map(|(max, item)| max + item))
        }),
        Node::Alternate(arms) => {
            let widths: Vec<_> = arms.iter().map(width).collect();
            let max = widths
                .iter()
                .map(|(_, max)| *max)
                .reduce(|left, right| left.zip(right).map(|(left, right)| left.max(right)));
            (widths.iter().map(|(min, _)| *min).min().unwrap_or(0), max.flatten())
        }
        Node::Repeat { inner, min, max, .. } => {
            let (inner_min, inner_max) = width(inner);
            (inner_min * *min as usize, inner_max.zip(*max).map(|(inner, max)| inner * max as usize))
        }
    }
}

/// Where a match can begin.
pub fn begin(node: &Node) -> Begin {
    match node {
        Node::At(Place::TextStart) => Begin::Text,
        Node::At(Place::LineStart) => Begin::Line,
        Node::Capture(_, inner) | Node::Atomic(inner) => begin(inner),
        Node::Concat(items) => items.first().map_or(Begin::Anywhere, begin),
        _ => Begin::Anywhere,
    }
}

/// The longest text of at least `bytes_min` bytes that is in every match.
pub fn longest_literal(node: &Node, bytes_min: usize, best: &mut Option<String>) {
    match node {
        Node::Literal(text) if text.len() >= bytes_min && best.as_ref().is_none_or(|best| text.len() > best.len()) => {
            *best = Some(text.clone());
        }
        Node::Capture(_, inner) | Node::Atomic(inner) => longest_literal(inner, bytes_min, best),
        Node::Repeat { inner, min, .. } if *min > 0 => longest_literal(inner, bytes_min, best),
        Node::Concat(items) => items.iter().for_each(|item| longest_literal(item, bytes_min, best)),
        _ => {}
    }
}

/// The sets of the first bytes of every match, as far as there is one way for each. True where `node` is at its end then.
pub fn begins(node: &Node, sets: &mut SmallVec<[Bytes; 2]>) -> bool {
    if sets.len() >= BEGINNING_BYTES {
        return false;
    }
    match node {
        Node::Empty | Node::At(_) | Node::Look { .. } => true,
        Node::Literal(text) => {
            sets.extend(text.bytes().map(|byte| {
                let mut set = Bytes::NONE;
                set.add(byte);
                set
            }));
            true
        }
        Node::Class(class) => {
            let set = class.first_bytes();
            sets.push(set);
            (0x80..=u8::MAX).all(|byte| !set.has(byte))
        }
        Node::Capture(_, inner) | Node::Atomic(inner) => begins(inner, sets),
        Node::Concat(items) => items.iter().all(|item| begins(item, sets)),
        Node::Repeat { inner, min, max, .. } if *min > 0 => {
            let rounds = usize::try_from(*min).unwrap_or(usize::MAX).min(BEGINNING_BYTES);
            (0..rounds).all(|_| begins(inner, sets)) && *max == Some(*min)
        }
        Node::Alternate(_) | Node::Repeat { .. } => {
            let start = first(node);
            if !start.nullable {
                sets.push(start.bytes);
            }
            false
        }
    }
}

/// Whether an expression matches in one way at most, wherever it is tried.
pub fn is_of_one_way(node: &Node) -> bool {
    match node {
        Node::Empty | Node::Literal(_) | Node::Class(_) | Node::At(_) => true,
        Node::Capture(_, inner) | Node::Atomic(inner) => is_of_one_way(inner),
        Node::Concat(items) => items.iter().all(is_of_one_way),
        Node::Repeat { inner, min, max, .. } => *max == Some(*min) && is_of_one_way(inner),
        Node::Alternate(_) | Node::Look { .. } => false,
    }
}

/// How many arms, from the first, begin with the same piece, and that piece: as `([0-9a-f]{1,4}:){7}`, `(…){6}` and so on
/// of an IPv6 address do. None where they are so few that each may be tried.
pub fn shared_start(arms: &[Node]) -> Option<(usize, &Node)> {
    const ARMS_MIN: usize = 3;
    let start = repeated_start(arms.first()?).filter(|start| !has_capture(start))?;
    let count = arms.iter().take_while(|arm| repeated_start(arm) == Some(start)).count();
    (count >= ARMS_MIN).then_some((count, start))
}

/// What an expression begins with and repeats at least once.
fn repeated_start(node: &Node) -> Option<&Node> {
    match node {
        Node::Concat(items) => repeated_start(items.first()?),
        Node::Repeat { inner, min, .. } if *min > 0 => Some(inner),
        _ => None,
    }
}

fn has_capture(node: &Node) -> bool {
    match node {
        Node::Empty | Node::Literal(_) | Node::Class(_) | Node::At(_) => false,
        Node::Capture(..) => true,
        Node::Concat(items) | Node::Alternate(items) => items.iter().any(has_capture),
        Node::Atomic(inner) | Node::Repeat { inner, .. } | Node::Look { inner, .. } => has_capture(inner),
    }
}
