//! What becomes of each action: by the marks for positioned documents, by looking up the id for others. Pure as far as
//! memory goes; the looking-up reads the index files.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::document::{Entry, Identity};
use super::id;
use super::index::Index;
use super::lookup::{self, Which};
use super::marks::{Marks, Verdict};
use super::request::{Action, Condition, Kind, Request};
use crate::error::Error;
use crate::schema::Fields;

/// How long a deleted document's version is remembered, as Elasticsearch's `index.gc_deletes`.
const TOMBSTONE_MS: u64 = 60_000;

/// What one index needs for deciding.
pub(crate) struct Shard {
    pub(crate) index: Arc<Index>,
    pub(crate) next_seq: u64,
    pub(crate) marks: Marks,
    /// Documents whose ids searches do not see yet, and deleted ones.
    pending: HashMap<Box<str>, Known>,
    visible: u64,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    seq: u64,
    version: u64,
    gone: bool,
    record: u64,
    at_ms: u64,
}

/// What was done, as the answer says it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// HTTP status of the item.
    pub status: u16,
    /// `created`, `updated`, `deleted`, `not_found`; empty for errors.
    pub result: &'static str,
    /// `_version`
    pub version: u64,
    /// `_seq_no`
    pub seq: u64,
    /// Why not.
    pub error: Option<Box<Error>>,
}

/// One step for the index files, in order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Op {
    /// Put the n-th entry.
    Add(u32),
    /// Take documents away.
    Remove { target: u16, which: Which },
}

/// A whole request, decided.
#[derive(Default)]
pub(crate) struct Decided {
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) ops: Vec<Op>,
}

impl Shard {
    pub(crate) fn new(index: Arc<Index>, next_seq: u64, marks: Marks) -> Self {
        Self { index, next_seq, marks, pending: HashMap::new(), visible: 0 }
    }

    /// Requests from journal record `record` on were not accepted after all: back to how it was before them.
    pub(crate) fn roll_back(&mut self, record: u64, next_seq: u64, marks: Marks) {
        self.next_seq = next_seq;
        self.marks = marks;
        self.pending.retain(|_, known| known.record < record);
    }

    /// Ids that are held in memory.
    pub(crate) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Drops what searches see by now.
    pub(crate) fn tidy(&mut self, now_ms: u64) {
        let visible = self.index.visible.load(Ordering::Acquire);
        if self.pending.is_empty() || (visible == self.visible && !self.pending.values().any(|known| known.gone)) {
            return;
        }
        self.visible = visible;
        self.pending.retain(|_, known| known.record > visible || (known.gone && known.at_ms + TOMBSTONE_MS > now_ms));
    }

    /// The document with this id: pending or visible.
    fn known(&self, id: &str, fields: &Fields) -> tantivy::Result<Option<Known>> {
        if let Some(known) = self.pending.get(id) {
            return Ok(Some(*known));
        }
        let found = lookup::find(&self.index, id, fields)?;
        Ok(found.map(|found| Known { seq: found.seq, version: found.version, gone: false, record: 0, at_ms: 0 }))
    }
}

/// Decides the actions of a request in order. `record` is the journal record that they will be in.
pub(crate) fn decide(
    request: &Request,
    shards: &mut HashMap<u64, Shard>,
    fields: &Fields,
    record: u64,
    now_ms: u64,
) -> Decided {
    let mut decided = Decided {
        outcomes: Vec::with_capacity(request.actions.len()),
        entries: Vec::with_capacity(request.actions.len()),
        ops: Vec::with_capacity(request.actions.len()),
    };
    let mut n = 0;
    while n < request.actions.len() {
        let action = &request.actions[n];
        let shard =
            request.targets[action.target as usize].index.as_ref().ok().and_then(|index| shards.get_mut(&index.uid));
        let Some(shard) = shard.filter(|_| action.error.is_none()) else {
            let error = action.error.clone().unwrap_or_else(|| Box::new(Error::internal("the index is not open")));
            decided.outcomes.push(Outcome::failed(error));
            n += 1;
            continue;
        };
        if action.end.is_some() {
            n += positioned(&request.actions[n..], shard, now_ms, &mut decided);
            continue;
        }
        let outcome = match ordinary(action, shard, fields, record, now_ms, &mut decided) {
            Ok(outcome) => outcome,
            Err(error) => Outcome::failed(Box::new(error)),
        };
        decided.outcomes.push(outcome);
        n += 1;
    }
    decided
}

/// The documents of one stretch that stand together are decided together; gives back how many they are.
fn positioned(actions: &[Action], shard: &mut Shard, now_ms: u64, decided: &mut Decided) -> usize {
    let place = |action: &Action| {
        let (source, start, sub) = id::parse_position(action.id.as_deref()?)?;
        Some((source, start, sub, action.end?))
    };
    let Some((source, start, ..)) = place(&actions[0]) else {
        decided.outcomes.push(Outcome::failed(Box::new(Error::illegal_argument("_end needs a positioned _id"))));
        return 1;
    };
    let group = actions
        .iter()
        .take_while(|action| {
            action.error.is_none()
                && action.target == actions[0].target
                && place(action).is_some_and(|other| (other.0, other.1) == (source, start))
        })
        .count();
    let end = actions[..group].iter().filter_map(|action| action.end).max().unwrap_or(start);
    let verdict = shard.marks.judge(source, start, end);
    if let Verdict::Regrouped { from, to } = verdict {
        decided.ops.push(Op::Remove { target: actions[0].target, which: Which::Range { source, from, to } });
    }
    for action in &actions[..group] {
        if verdict == Verdict::Known {
            let id = action.id.as_deref().unwrap_or("");
            let error = conflict(
                shard,
                id,
                "document already exists (its stretch of the source was accepted before)".to_owned(),
            );
            decided.outcomes.push(Outcome::failed(Box::new(error)));
            continue;
        }
        let sub = place(action).map_or(0, |place| place.2);
        let identity = Identity::Position { source, start, end: action.end.unwrap_or(end), sub };
        let seq = add(action, shard, identity, 1, decided);
        let (status, result) = if verdict == Verdict::Accept { (201, "created") } else { (200, "updated") };
        decided.outcomes.push(Outcome { status, result, version: 1, seq, error: None });
    }
    if verdict != Verdict::Known {
        shard.marks.raise(source, end, now_ms);
    }
    group
}

fn ordinary(
    action: &Action,
    shard: &mut Shard,
    fields: &Fields,
    record: u64,
    now_ms: u64,
    decided: &mut Decided,
) -> Result<Outcome, Error> {
    let Some(id) = action.id.as_deref() else {
        if action.condition.is_some() {
            return Err(Error::illegal_argument("a condition needs an _id"));
        }
        let seq = add(action, shard, Identity::Arrival, 1, decided);
        return Ok(Outcome { status: 201, result: "created", version: 1, seq, error: None });
    };
    let before = shard.known(id, fields)?;
    let there = before.filter(|known| !known.gone);
    if let Some(condition) = &action.condition {
        check(condition, before, shard, id)?;
    }
    let external = action.condition.as_ref().and_then(|condition| condition.external).map(|(version, _)| version);
    let version = external.unwrap_or_else(|| before.map_or(1, |known| known.version + 1));
    match action.kind {
        Kind::Create => {
            if let Some(known) = there {
                return Err(conflict(
                    shard,
                    id,
                    format!("document already exists (current version [{}])", known.version),
                ));
            }
        }
        Kind::Delete => {
            let seq = shard.next_seq;
            shard.next_seq += 1;
            let remember = Known { seq, version, gone: true, record, at_ms: now_ms };
            shard.pending.insert(id.into(), remember);
            if there.is_none() {
                return Ok(Outcome { status: 404, result: "not_found", version, seq, error: None });
            }
            remove(action, id, there, shard, decided);
            return Ok(Outcome { status: 200, result: "deleted", version, seq, error: None });
        }
        Kind::Index | Kind::Update => {}
    }
    if there.is_some() {
        remove(action, id, there, shard, decided);
    }
    let seq = add(action, shard, Identity::Given(id.into()), version, decided);
    shard.pending.insert(id.into(), Known { seq, version, gone: false, record, at_ms: now_ms });
    let (status, result) = if there.is_some() { (200, "updated") } else { (201, "created") };
    Ok(Outcome { status, result, version, seq, error: None })
}

fn add(action: &Action, shard: &mut Shard, identity: Identity, version: u64, decided: &mut Decided) -> u64 {
    let seq = shard.next_seq;
    shard.next_seq += 1;
    decided.ops.push(Op::Add(decided.entries.len() as u32));
    let routing = action.routing.clone();
    decided.entries.push(Entry { index: action.target, extent: action.extent, identity, seq, version, routing });
    seq
}

fn remove(action: &Action, id: &str, there: Option<Known>, shard: &Shard, decided: &mut Decided) {
    // An id that weir made is nowhere in the files as such; its arrival number is.
    let made = id::parse_position(id).is_some() || id::parse_arrival(shard.index.salt, id).is_some();
    let which = match there {
        Some(known) if made => Which::Seq(known.seq),
        _ => Which::Id(id.into()),
    };
    decided.ops.push(Op::Remove { target: action.target, which });
}

fn check(condition: &Condition, before: Option<Known>, shard: &Shard, id: &str) -> Result<(), Error> {
    let there = before.filter(|known| !known.gone);
    if let Some((seq, term)) = condition.if_seq {
        let current = match there {
            Some(known) if known.seq == seq && term == 1 => return Ok(()),
            Some(known) => format!("current document has seqNo [{}] and primary term [1]", known.seq),
            None => "but no document was found".to_owned(),
        };
        return Err(conflict(shard, id, format!("required seqNo [{seq}], primary term [{term}]. {current}")));
    }
    if let Some(version) = condition.version {
        let current = match there {
            Some(known) if known.version == version => return Ok(()),
            Some(known) => {
                format!("current version [{}] is different than the one provided [{version}]", known.version)
            }
            None => format!("current version [-1] is different than the one provided [{version}]"),
        };
        return Err(conflict(shard, id, current));
    }
    if let (Some((version, or_equal)), Some(known)) = (condition.external, before)
        && (version < known.version || (version == known.version && !or_equal))
    {
        let relation = if or_equal { "higher than" } else { "higher or equal to" };
        let reason = format!("current version [{}] is {relation} the one provided [{version}]", known.version);
        return Err(conflict(shard, id, reason));
    }
    Ok(())
}

fn conflict(shard: &Shard, id: &str, reason: String) -> Error {
    Error::new(409, "version_conflict_engine_exception", format!("[{id}]: version conflict, {reason}"))
        .with("index_uuid", shard.index.uuid().into())
        .with("shard", "0".into())
        .with("index", shard.index.name.as_ref().into())
}

impl Outcome {
    fn failed(error: Box<Error>) -> Self {
        Self { status: error.status, result: "", version: 0, seq: 0, error: Some(error) }
    }
}
