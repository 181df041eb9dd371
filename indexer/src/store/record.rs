//! The payload of a journal record: one write request, decided. Version 1:
//!
//! ```text
//! version u8 = 1 , arrival ms varint , indices varint , (uid u64 le , next seq varint)* , steps varint , step* , text
//! step = 6 , length , routing , and then one of the steps 0 to 2: the routing value of that document
//!      | 0 , index , start , len , seq , source u64 le , position , end , sub   a positioned document
//!      | 1 , index , start , len , seq                                          a document without an id
//!      | 2 , index , start , len , seq , version , id length , id               one with a given id
//!      | 3 , index , id length , id                                        removal by id
//!      | 4 , index , seq                                                   removal by arrival number
//!      | 5 , index , source u64 le , from , to                             removal of a stretch
//! ```
//!
//! Numbers are LEB128 unless said otherwise. `next seq` is the arrival number that follows this request. `start` and
//! `len` are bytes of the text, which is the body as it was sent.

use super::decide::Op;
use super::document::{Entry, Extent, Identity};
use super::lookup::Which;

const VERSION: u8 = 1;

/// What a record holds beside its text.
#[derive(Debug, PartialEq)]
pub(crate) struct Record {
    pub(crate) arrival_ms: u64,
    /// Uid of each index, and the arrival number after the last step.
    pub(crate) indices: Vec<(u64, u64)>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) ops: Vec<Op>,
    /// Where the text begins.
    pub(crate) text_at: usize,
}

/// Writes everything but the text. `uids` has the uid of each index and the arrival number that follows.
pub(crate) fn encode(arrival_ms: u64, uids: &[(u64, u64)], entries: &[Entry], ops: &[Op], out: &mut Vec<u8>) {
    out.push(VERSION);
    varint(out, arrival_ms);
    varint(out, uids.len() as u64);
    for (uid, next_seq) in uids {
        out.extend_from_slice(&uid.to_le_bytes());
        varint(out, *next_seq);
    }
    varint(out, ops.len() as u64);
    for op in ops {
        match op {
            Op::Add(n) => {
                let entry = &entries[*n as usize];
                if let Some(routing) = &entry.routing {
                    out.push(6);
                    text(out, routing);
                }
                let tag = match entry.identity {
                    Identity::Position { .. } => 0,
                    Identity::Arrival => 1,
                    Identity::Given(_) => 2,
                };
                out.push(tag);
                for number in
                    [u64::from(entry.index), u64::from(entry.extent.start), u64::from(entry.extent.len), entry.seq]
                {
                    varint(out, number);
                }
                match &entry.identity {
                    Identity::Position { source, start, end, sub } => {
                        out.extend_from_slice(&source.to_le_bytes());
                        for number in [*start, *end, *sub] {
                            varint(out, number);
                        }
                    }
                    Identity::Arrival => {}
                    Identity::Given(id) => {
                        varint(out, entry.version);
                        text(out, id);
                    }
                }
            }
            Op::Remove { target, which } => {
                let tag = match which {
                    Which::Id(_) => 3,
                    Which::Seq(_) => 4,
                    Which::Range { .. } => 5,
                };
                out.push(tag);
                varint(out, u64::from(*target));
                match which {
                    Which::Id(id) => text(out, id),
                    Which::Seq(seq) => varint(out, *seq),
                    Which::Range { source, from, to } => {
                        out.extend_from_slice(&source.to_le_bytes());
                        varint(out, *from);
                        varint(out, *to);
                    }
                }
            }
        }
    }
}

/// Reads what [`encode`] wrote; `None` when it is something else.
pub(crate) fn decode(bytes: &[u8]) -> Option<Record> {
    let mut rest = bytes;
    if take(&mut rest, 1)? != [VERSION] {
        return None;
    }
    let arrival_ms = number(&mut rest)?;
    let count = number(&mut rest)?;
    let mut indices = Vec::new();
    for _ in 0..count {
        indices.push((fixed(&mut rest)?, number(&mut rest)?));
    }
    let count = number(&mut rest)?;
    let (mut entries, mut ops) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let mut tag = take(&mut rest, 1)?[0];
        let mut routing = None;
        if tag == 6 {
            routing = Some(string(&mut rest)?);
            tag = take(&mut rest, 1)?[0];
        }
        let index = u16::try_from(number(&mut rest)?).ok().filter(|index| usize::from(*index) < indices.len())?;
        let which = match tag {
            0..=2 => {
                let (start, len) = (u32::try_from(number(&mut rest)?).ok()?, u32::try_from(number(&mut rest)?).ok()?);
                let seq = number(&mut rest)?;
                let (identity, version) = match tag {
                    0 => {
                        let source = fixed(&mut rest)?;
                        let (start, end, sub) = (number(&mut rest)?, number(&mut rest)?, number(&mut rest)?);
                        (Identity::Position { source, start, end, sub }, 1)
                    }
                    1 => (Identity::Arrival, 1),
                    _ => {
                        let version = number(&mut rest)?;
                        (Identity::Given(string(&mut rest)?), version)
                    }
                };
                ops.push(Op::Add(entries.len() as u32));
                entries.push(Entry {
                    index,
                    extent: Extent { start, len, ..Extent::default() },
                    identity,
                    seq,
                    version,
                    routing,
                });
                continue;
            }
            3 => Which::Id(string(&mut rest)?),
            4 => Which::Seq(number(&mut rest)?),
            5 => Which::Range { source: fixed(&mut rest)?, from: number(&mut rest)?, to: number(&mut rest)? },
            _ => return None,
        };
        ops.push(Op::Remove { target: index, which });
    }
    Some(Record { arrival_ms, indices, entries, ops, text_at: bytes.len() - rest.len() })
}

fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn text(out: &mut Vec<u8>, text: &str) {
    varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, behind) = rest.split_at_checked(len)?;
    *rest = behind;
    Some(taken)
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)?[0];
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn fixed(rest: &mut &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(take(rest, 8)?.try_into().ok()?))
}

fn string(rest: &mut &[u8]) -> Option<Box<str>> {
    let len = usize::try_from(number(rest)?).ok()?;
    Some(std::str::from_utf8(take(rest, len)?).ok()?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let entry = |identity, version| Entry {
            index: 1,
            extent: Extent { start: 300, len: 4, ..Extent::default() },
            identity,
            seq: 70_000,
            version,
            routing: None,
        };
        let entries = vec![
            entry(Identity::Position { source: u64::MAX, start: 0, end: 1 << 40, sub: 2 }, 1),
            entry(Identity::Arrival, 1),
            Entry { routing: Some("way".into()), ..entry(Identity::Given("größe".into()), 9) },
        ];
        let ops = vec![
            Op::Remove { target: 0, which: Which::Range { source: 1, from: 2, to: 3 } },
            Op::Add(0),
            Op::Add(1),
            Op::Remove { target: 1, which: Which::Id("x".into()) },
            Op::Add(2),
            Op::Remove { target: 1, which: Which::Seq(500) },
        ];
        let indices = vec![(5, 6), (u64::MAX, 70_003)];
        let mut bytes = Vec::new();
        encode(123, &indices, &entries, &ops, &mut bytes);
        let head = bytes.len();
        bytes.extend_from_slice(b"the text");
        let record = decode(&bytes).unwrap();
        assert_eq!(record, Record { arrival_ms: 123, indices, entries, ops, text_at: head });
        for cut in 0..head {
            assert!(decode(&bytes[..cut]).is_none(), "cut at {cut}");
        }
    }
}
