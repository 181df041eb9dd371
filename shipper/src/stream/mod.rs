//! One log from its bytes to events: lines are cut, taken apart, rejoined, and put into the batch with their positions.
//!
//! What becomes one event is decided by the bytes alone (times are those that Docker wrote), so that reading the same
//! stretch again gives the same events. The wall clock only decides when an open event is given up waiting for.

mod envelope;
mod gap;
mod lines;
mod pending;
mod rules;

use std::path::PathBuf;
use std::time::Instant;

use memchr::{memchr, memchr_iter, memrchr};

use crate::batch::{Batch, Envelope, Flags};
use crate::counters::Counters;
use crate::docker::{self, Metadata, Output};
use crate::identity::{HEAD_BYTES, hash};
use crate::multiline::Grouping;
use crate::registry::{Entry, Kind};
use crate::tail::{Chain, Look};

use self::lines::Held;
use self::pending::Pending;
pub(crate) use self::rules::{Format, Rules};

/// Extra bytes of a raw line over the message limit: the field names, the time, and Docker's attributes.
const RAW_EXTRA_BYTES: usize = 64 << 10;

/// Bytes of one read at least, however little the batch has room for: a line of Docker's with 16 KB of text, escaped.
const READ_BYTES_MIN: usize = 32 << 10;

/// Where events go, and by what rules.
pub(crate) struct Out<'a> {
    pub(crate) batch: &'a mut Batch,
    pub(crate) rules: &'a Rules,
    pub(crate) counters: &'a Counters,
}

impl Out<'_> {
    fn full(&self) -> bool {
        self.rules.full(self.batch)
    }
}

/// How a turn of reading went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Turn {
    /// Bytes taken in.
    pub(crate) bytes: u64,
    /// The batch is full.
    pub(crate) full: bool,
    /// More can be read at once.
    pub(crate) more: bool,
    /// Something was put into the batch, or positions moved.
    pub(crate) moved: bool,
}

/// A raw line that does not fit the read buffer.
struct Long {
    start: u64,
    /// NULs before the first byte that is kept: a run of them may be longer than any line.
    nuls: u64,
    bytes: Vec<u8>,
    cut: bool,
}

/// One log.
pub(crate) struct Stream {
    pub(crate) kind: Kind,
    pub(crate) key: String,
    pub(crate) chain: Chain,
    /// Acknowledged positions: standard output, standard error, our own records.
    pub(crate) acked: [u64; 3],
    /// Windows under way that hold a mark of this log.
    pub(crate) in_flight: u32,
    /// What is known of the container.
    pub(crate) metadata: Option<Metadata>,
    /// The registry must know of a new file or source before its events are sent.
    pub(crate) unsaved: bool,
    id: u64,
    /// Gaps up to here are told.
    told: u64,
    pending: [Pending; 2],
    long: Option<Long>,
    envelopes: [Envelope; 3],
    attrs: Vec<u8>,
    last_time: Vec<u8>,
    grouping: Grouping,
    /// One escaped line of a plain file.
    scratch: Vec<u8>,
    /// The plain file has lines of containerd: its events say from which output they came.
    cri: bool,
    /// The wall clock at the beginning of this turn.
    now: Instant,
    /// Bytes of a line, on the mean of the last chunk.
    line_bytes: usize,
}

impl Stream {
    /// A log that was never seen before.
    pub(crate) fn new(kind: Kind, key: String, live: PathBuf) -> Self {
        Self::from_parts(kind, key, Chain::new(kind, live), 0, [0; 3])
    }

    /// A log as the registry knows it.
    pub(crate) fn resume(entry: Entry, live: PathBuf) -> Self {
        let position = entry.acked[0].min(entry.acked[1]);
        let chain = Chain::resume(&entry, live, position);
        Self::from_parts(entry.kind, entry.key, chain, entry.id, entry.acked)
    }

    fn from_parts(kind: Kind, key: String, chain: Chain, id: u64, acked: [u64; 3]) -> Self {
        Self {
            kind,
            key,
            chain,
            acked,
            in_flight: 0,
            metadata: None,
            unsaved: false,
            id,
            told: acked[2],
            pending: Default::default(),
            long: None,
            envelopes: Default::default(),
            attrs: Vec::new(),
            last_time: Vec::new(),
            grouping: Grouping::Off,
            scratch: Vec::new(),
            cri: false,
            now: Instant::now(),
            line_bytes: 0,
        }
    }

    /// What the registry should remember.
    pub(crate) fn entry(&self) -> Entry {
        Entry {
            kind: self.kind,
            key: self.key.clone(),
            path: self.chain.path().to_owned(),
            id: self.id,
            acked: self.acked,
            files: self.chain.entries(),
            past: self.chain.past(),
        }
    }

    /// Takes note of what is known of the container now.
    pub(crate) fn describe(&mut self, metadata: Option<Metadata>, rules: &Rules) {
        let label = metadata.as_ref().and_then(|metadata| metadata.label("weir.multiline"));
        self.grouping = match label.map(Grouping::from_label) {
            Some(Ok(grouping)) => grouping,
            Some(Err(error)) => {
                tracing::warn!(log = %self.key, %error, "the label weir.multiline cannot be used");
                rules.grouping.clone()
            }
            None => rules.grouping.clone(),
        };
        self.metadata = metadata;
        self.build_envelopes(rules);
    }

    /// Positions up to which everything is in a batch already.
    pub(crate) fn safe(&self) -> [u64; 3] {
        let reached = self.long.as_ref().map_or(self.chain.position(), |long| long.start);
        let of = |output: Output| {
            let pending = &self.pending[output as usize];
            let safe = if pending.open { pending.start } else { reached };
            safe.max(self.acked[output as usize])
        };
        [of(Output::Stdout), of(Output::Stderr), self.told]
    }

    /// Takes note of an acknowledgement.
    pub(crate) fn acknowledge(&mut self, safe: [u64; 3]) {
        for (acked, safe) in self.acked.iter_mut().zip(safe) {
            *acked = (*acked).max(safe);
        }
        self.chain.forget(self.acked[0].min(self.acked[1]));
    }

    /// Whether an event waits for its next line.
    pub(crate) fn waits(&self) -> bool {
        self.pending.iter().any(|pending| pending.open)
    }

    /// Whether the log is gone, and everything of it is in a batch.
    pub(crate) fn finished(&self) -> bool {
        self.chain.finished() && !self.waits() && self.chain.gap().is_none_or(|(_, base)| base <= self.told)
    }

    /// Reads up to `quantum` bytes into the batch.
    ///
    /// # Errors
    /// What the file system said.
    pub(crate) fn read(&mut self, buffer: &mut [u8], quantum: usize, out: &mut Out<'_>) -> std::io::Result<Turn> {
        let mut turn = Turn::default();
        self.now = Instant::now();
        if self.kind == Kind::Plain {
            // Lines of a plain file have the time at which they were read.
            self.last_time.clear();
        }
        let before = out.batch.window.events();
        let mut checked = None;
        loop {
            if out.full() {
                turn.full = true;
                break;
            }
            if self.tell_gap(out) {
                turn.moved = true;
                continue;
            }
            if turn.bytes >= quantum as u64 {
                turn.more = true;
                break;
            }
            // Once in a turn for each file, and before its bytes are trusted.
            let file = Some(self.chain.left_behind());
            if checked != file {
                checked = file;
                if self.chain.check_head()? == Look::Changed {
                    self.unsaved = true;
                    continue;
                }
            }
            let position = self.chain.position();
            // What the batch has no room for would be read twice.
            let room = out.rules.window_events.saturating_sub(out.batch.window.events() as usize);
            let wanted = if self.line_bytes == 0 { usize::MAX } else { room.saturating_mul(self.line_bytes) };
            let wanted = wanted.max(READ_BYTES_MIN).min(buffer.len());
            let buffer = &mut buffer[..wanted];
            let (read, last) = self.chain.read(buffer)?;
            if Some(self.chain.left_behind()) != checked {
                continue;
            }
            if read == 0 {
                if self.chain.gap().is_some_and(|(_, base)| base > self.told) || self.chain.position() != position {
                    continue;
                }
                break;
            }
            let bytes = &buffer[..read];
            let complete = match memrchr(b'\n', bytes) {
                _ if last => bytes,
                Some(at) => &bytes[..=at],
                None if read == buffer.len() => {
                    self.grow_long(position, bytes, out.rules);
                    self.chain.consume(read);
                    turn.bytes += read as u64;
                    turn.moved = true;
                    continue;
                }
                None => break,
            };
            let used = self.take(complete, position, out);
            self.chain.consume(used);
            turn.bytes += used as u64;
            turn.moved |= used > 0;
            if used == complete.len() && complete.len() < bytes.len() && read < buffer.len() {
                // The rest is the beginning of a line that is being written.
                break;
            }
        }
        out.counters.bytes.add(turn.bytes);
        out.counters.events.add(u64::from(out.batch.window.events() - before));
        Ok(turn)
    }

    /// When the wall clock gives up waiting for more of an open event.
    pub(crate) fn patience_ends(&self) -> Option<Instant> {
        self.pending
            .iter()
            .filter(|pending| pending.open)
            .filter_map(|pending| Some(pending.since? + pending.patience()))
            .min()
    }

    /// Gives up waiting for more of events that began too long ago. Only right when everything that is in the files was
    /// read: the rest may be there.
    pub(crate) fn give_up_waiting(&mut self, now: Instant, out: &mut Out<'_>) -> bool {
        let before = out.batch.window.events();
        for output in [Output::Stdout, Output::Stderr] {
            let pending = &self.pending[output as usize];
            let over = pending.since.is_some_and(|since| since + pending.patience() <= now);
            if pending.open && over && !out.full() {
                self.finish(output, out);
            }
        }
        let told = out.batch.window.events() - before;
        out.counters.events.add(u64::from(told));
        told > 0
    }

    /// Cuts `bytes`, which begin at `position`, into lines. Answers how many bytes are used: less than all when the
    /// batch is full.
    fn take(&mut self, bytes: &[u8], position: u64, out: &mut Out<'_>) -> usize {
        let mut at = 0;
        if self.long.is_some() {
            let end = memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1);
            self.grow_long(position, &bytes[..end], out.rules);
            self.finish_long(position + end as u64, out);
            at = end;
        }
        if self.id == 0 {
            self.make_id(&bytes[at..], out.rules);
        }
        let clean = self.kind == Kind::Docker && docker::is_clean(&bytes[at..]);
        let begin = at;
        let mut held = Held::default();
        let mut lines = 0;
        for end in memchr_iter(b'\n', &bytes[begin..]).map(|end| begin + end) {
            if out.full() {
                break;
            }
            let (line, start, after) = (&bytes[at..end], position + at as u64, position + end as u64 + 1);
            if !(clean && self.exact_line(line, start, after, &mut held, out)) {
                self.keep(&mut held, out);
                self.line(line, start, after, clean, out);
            }
            at = end + 1;
            lines += 1;
        }
        self.keep(&mut held, out);
        if let Some(mean) = (at - begin).checked_div(lines) {
            self.line_bytes = mean;
        }
        if at < bytes.len() && !out.full() {
            // The end of a file without a newline: Docker died in the middle of a write.
            self.line(&bytes[at..], position + at as u64, position + bytes.len() as u64, false, out);
            at = bytes.len();
        }
        at
    }

    fn grow_long(&mut self, position: u64, bytes: &[u8], rules: &Rules) {
        let long = self.long.get_or_insert_with(|| Long { start: position, nuls: 0, bytes: Vec::new(), cut: false });
        let nuls = if long.bytes.is_empty() { bytes.iter().take_while(|byte| **byte == 0).count() } else { 0 };
        long.nuls += nuls as u64;
        let bytes = &bytes[nuls..];
        let room = (rules.line_bytes_max + RAW_EXTRA_BYTES).saturating_sub(long.bytes.len());
        let kept = bytes.len().min(room);
        long.bytes.extend_from_slice(&bytes[..kept]);
        long.cut |= kept < bytes.len();
    }

    fn finish_long(&mut self, end: u64, out: &mut Out<'_>) {
        let Some(long) = self.long.take() else { return };
        if self.id == 0 {
            self.make_id(&long.bytes, out.rules);
        }
        out.counters.nul_bytes.add(long.nuls);
        let start = long.start + long.nuls;
        let bytes = long.bytes.strip_suffix(b"\n").unwrap_or(&long.bytes);
        if bytes.is_empty() && long.nuls > 0 {
            return;
        }
        if long.cut && self.kind == Kind::Docker {
            self.raw(bytes, start, end, Flags::TRUNCATED, out);
        } else {
            self.line(bytes, start, end, false, out);
        }
    }

    /// The source id: node, log, first file, and its first line. The same bytes on the same node always give the same.
    fn make_id(&mut self, bytes: &[u8], rules: &Rules) {
        let line = &bytes[..memchr(b'\n', bytes).unwrap_or(bytes.len()).min(HEAD_BYTES)];
        let inode = self.chain.first_inode().unwrap_or_default();
        let parts: [&[u8]; 6] = [
            rules.node.as_bytes(),
            self.key.as_bytes(),
            &inode.dev.to_le_bytes(),
            &inode.ino.to_le_bytes(),
            &inode.birth_ns.to_le_bytes(),
            line,
        ];
        // The low bits tell the sources of a log apart; 0 stands for unknown.
        self.id = (hash(&parts) & !3).max(4);
        self.unsaved = true;
        self.build_envelopes(rules);
    }
}
