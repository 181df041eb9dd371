//! One log from its bytes to events: lines are cut, taken apart, rejoined, and put into the batch with their positions.
//!
//! What becomes one event is decided by the bytes alone (times are those that Docker wrote), so that reading the same
//! stretch again gives the same events. The wall clock only decides when an open event is given up waiting for.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use memchr::{memchr, memchr_iter, memmem, memrchr};

use crate::batch::{Batch, Envelope, Event, Flags};
use crate::counters::Counters;
use crate::cri::{self, Pod};
use crate::docker::{self, Line, Metadata, Output};
use crate::escape::{cut_escaped, push_json_string, push_json_text, without_ansi};
use crate::identity::{HEAD_BYTES, hash};
use crate::multiline::{Grouping, LINE_GAP, LINES_MAX, State};
use crate::registry::{Cause, Entry, Gap, Kind};
use crate::tail::{Chain, Look};
use crate::time::{now_rfc3339, parse_ns};

/// How far apart, by Docker's clock, the pieces of one long line may be. Docker writes them at once; a program that
/// prints half a line and thinks is older than that.
const PIECE_GAP: Duration = Duration::from_secs(5);
/// How long past [`PIECE_GAP`] the wall clock waits, so that both clocks decide alike.
const PIECE_GRACE: Duration = Duration::from_secs(1);
/// How long past [`LINE_GAP`] the wall clock waits, for the same reason.
const LINE_GRACE: Duration = Duration::from_millis(250);
/// Extra bytes of a raw line over the message limit: the field names, the time, and Docker's attributes.
const RAW_EXTRA_BYTES: usize = 64 << 10;

/// What the lines of a plain file are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// Containerd's where a line has that form, else text.
    #[default]
    Auto,
    /// Containerd's; another line is shipped flagged.
    Cri,
    /// Text.
    Plain,
}

/// What the shipper is told about lines.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) line_bytes_max: usize,
    pub(crate) window_events: usize,
    pub(crate) window_bytes: usize,
    pub(crate) host_name: String,
    pub(crate) node: String,
    pub(crate) labels: Vec<String>,
    /// Grouping of lines, unless a container's label says otherwise.
    pub(crate) grouping: Grouping,
    /// Whether ANSI colours are taken out of messages.
    pub(crate) strip_ansi: bool,
    /// What the lines of plain files are.
    pub(crate) format: Format,
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

/// An event that may go on: a line whose end has not come yet, or lines that others may belong to.
#[derive(Default)]
struct Pending {
    open: bool,
    /// The last piece had no line end.
    inside_line: bool,
    start: u64,
    end: u64,
    offset: u64,
    text: Vec<u8>,
    /// Time of the first piece.
    time: Vec<u8>,
    /// Time of the last piece; empty: that of the first.
    last_time: Vec<u8>,
    lines: u32,
    state: State,
    flags: Flags,
    since: Option<Instant>,
}

impl Pending {
    /// How long after the last piece a line came, by the driver's clock. A clock that went back counts as no time.
    fn gap(&self, time: &[u8]) -> Duration {
        let last = if self.last_time.is_empty() { &self.time } else { &self.last_time };
        Duration::from_nanos(u64::try_from(parse_ns(time) - parse_ns(last)).unwrap_or(0))
    }

    /// How long the wall clock waits for more.
    fn patience(&self) -> Duration {
        if self.inside_line { PIECE_GAP + PIECE_GRACE } else { LINE_GAP + LINE_GRACE }
    }

    /// Adds text as far as the limit allows; what follows a cut is cut too.
    fn add(&mut self, text: &[u8], bytes_max: usize) {
        if self.flags.has(Flags::TRUNCATED) {
            return;
        }
        let cut = cut_escaped(text, bytes_max.saturating_sub(self.text.len()));
        self.text.extend_from_slice(cut);
        if cut.len() < text.len() {
            self.flags.add(Flags::TRUNCATED);
        }
    }

    /// Takes note of a piece that was added.
    fn piece(&mut self, whole: bool, time: &[u8], end: u64, now: Instant) {
        self.inside_line = !whole;
        self.last_time.clear();
        self.last_time.extend_from_slice(time);
        self.end = end;
        self.since = Some(now);
    }
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
}

impl Stream {
    /// A log that was never seen before.
    pub(crate) fn new(kind: Kind, key: String, live: PathBuf) -> Self {
        Self::from_parts(kind, key, Chain::new(kind, live), 0, [0; 3])
    }

    /// A log as the registry knows it.
    pub(crate) fn resume(entry: Entry, live: PathBuf) -> Self {
        let position = entry.acked[0].min(entry.acked[1]);
        let chain = Chain::resume(entry.kind, live, &entry.files, position);
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
    pub(crate) fn read(
        &mut self,
        buffer: &mut [u8],
        quantum: usize,
        batch: &mut Batch,
        rules: &Rules,
        counters: &Counters,
    ) -> std::io::Result<Turn> {
        let mut turn = Turn::default();
        self.now = Instant::now();
        if self.kind == Kind::Plain {
            // Lines of a plain file have the time at which they were read.
            self.last_time.clear();
        }
        let mut checked = None;
        loop {
            if is_full(batch, rules) {
                turn.full = true;
                break;
            }
            if self.tell_gap(batch, rules, counters) {
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
                    self.grow_long(position, bytes, rules);
                    self.chain.consume(read);
                    turn.bytes += read as u64;
                    turn.moved = true;
                    continue;
                }
                None => break,
            };
            let used = self.take(complete, position, batch, rules, counters);
            self.chain.consume(used);
            turn.bytes += used as u64;
            turn.moved |= used > 0;
            if used == complete.len() && complete.len() < bytes.len() && read < buffer.len() {
                // The rest is the beginning of a line that is being written.
                break;
            }
        }
        counters.bytes.add(turn.bytes);
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
    pub(crate) fn give_up_waiting(
        &mut self,
        now: Instant,
        batch: &mut Batch,
        rules: &Rules,
        counters: &Counters,
    ) -> bool {
        let mut moved = false;
        for output in [Output::Stdout, Output::Stderr] {
            let pending = &self.pending[output as usize];
            if pending.open
                && pending.since.is_some_and(|since| since + pending.patience() <= now)
                && !is_full(batch, rules)
            {
                self.finish(output, batch, counters);
                moved = true;
            }
        }
        moved
    }

    /// Cuts `bytes`, which begin at `position`, into lines. Answers how many bytes are used: less than all when the
    /// batch is full.
    fn take(&mut self, bytes: &[u8], position: u64, batch: &mut Batch, rules: &Rules, counters: &Counters) -> usize {
        let mut at = 0;
        if self.long.is_some() {
            let end = memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1);
            self.grow_long(position, &bytes[..end], rules);
            self.finish_long(position + end as u64, batch, rules, counters);
            at = end;
        }
        if self.id == 0 {
            self.make_id(&bytes[at..], rules);
        }
        let clean = self.kind == Kind::Docker && docker::is_clean(&bytes[at..]);
        let begin = at;
        for end in memchr_iter(b'\n', &bytes[begin..]).map(|end| begin + end) {
            if is_full(batch, rules) {
                return at;
            }
            self.line(&bytes[at..end], position + at as u64, position + end as u64 + 1, clean, batch, rules, counters);
            at = end + 1;
        }
        if at < bytes.len() && !is_full(batch, rules) {
            // The end of a file without a newline: Docker died in the middle of a write.
            self.line(&bytes[at..], position + at as u64, position + bytes.len() as u64, false, batch, rules, counters);
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

    fn finish_long(&mut self, end: u64, batch: &mut Batch, rules: &Rules, counters: &Counters) {
        let Some(long) = self.long.take() else { return };
        if self.id == 0 {
            self.make_id(&long.bytes, rules);
        }
        counters.nul_bytes.add(long.nuls);
        let start = long.start + long.nuls;
        let bytes = long.bytes.strip_suffix(b"\n").unwrap_or(&long.bytes);
        if bytes.is_empty() && long.nuls > 0 {
            return;
        }
        if long.cut && self.kind == Kind::Docker {
            self.raw(bytes, start, end, Flags::TRUNCATED, batch, rules, counters);
        } else {
            self.line(bytes, start, end, false, batch, rules, counters);
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

    #[allow(clippy::too_many_arguments, reason = "one line with where it stands; called in one loop")]
    fn line(
        &mut self,
        bytes: &[u8],
        start: u64,
        end: u64,
        clean: bool,
        batch: &mut Batch,
        rules: &Rules,
        counters: &Counters,
    ) {
        match self.kind {
            Kind::Docker => match docker::parse(bytes, clean) {
                Some(line) => self.docker_line(&line, start, end, batch, rules, counters),
                None => self.salvage(bytes, start, end, batch, rules, counters),
            },
            Kind::Plain => self.plain_line(bytes, start, end, batch, rules, counters),
        }
    }

    fn docker_line(
        &mut self,
        line: &Line<'_>,
        start: u64,
        end: u64,
        batch: &mut Batch,
        rules: &Rules,
        counters: &Counters,
    ) {
        let output = line.output;
        if start < self.acked[output as usize] {
            return;
        }
        let attrs = line.attrs.as_deref().unwrap_or_default();
        // Two empty slices are compared by their lengths: a call of memcmp on no bytes costs more than the whole line.
        if attrs.len() != self.attrs.len() || (!attrs.is_empty() && attrs != self.attrs) {
            self.attrs = attrs.to_vec();
            self.build_envelopes(rules);
        }
        let text = if rules.strip_ansi { without_ansi(&line.text) } else { Cow::Borrowed(&*line.text) };
        self.accept(output, &text, line.whole, &line.time, start, end, batch, rules, counters);
    }

    /// Takes one line, or a piece of one, into the event that is open for its output, or begins another one.
    #[allow(clippy::too_many_arguments, reason = "one line with where it stands")]
    fn accept(
        &mut self,
        output: Output,
        text: &[u8],
        whole: bool,
        time: &[u8],
        start: u64,
        end: u64,
        batch: &mut Batch,
        rules: &Rules,
        counters: &Counters,
    ) {
        let pending = &mut self.pending[output as usize];
        if pending.open {
            if pending.inside_line {
                if pending.gap(time) <= PIECE_GAP {
                    pending.add(text, rules.line_bytes_max);
                    pending.piece(whole, time, end, self.now);
                    if whole && matches!(pending.state, State::Over) {
                        self.finish(output, batch, counters);
                    }
                    return;
                }
            } else if let Some(state) = self.grouping.next(pending.state, text, || pending.gap(time))
                && pending.lines < LINES_MAX
                && pending.text.len() + text.len() < rules.line_bytes_max
            {
                pending.text.extend_from_slice(b"\\n");
                pending.add(text, rules.line_bytes_max);
                pending.lines += 1;
                pending.state = state;
                pending.flags.add(Flags::MULTILINE);
                pending.piece(whole, time, end, self.now);
                return;
            }
            self.finish(output, batch, counters);
        }
        let state = self.grouping.first(text);
        let offset = self.chain.file_offset(start);
        if whole && state == State::Over && text.len() <= rules.line_bytes_max {
            let event = Event { time, text, start, end, offset, flags: Flags::default() };
            self.push(output, &event, batch, counters);
            return;
        }
        let pending = &mut self.pending[output as usize];
        pending.open = true;
        pending.start = start;
        pending.offset = offset;
        pending.time.extend_from_slice(time);
        pending.lines = 1;
        pending.state = state;
        pending.add(text, rules.line_bytes_max);
        pending.piece(whole, &[], end, self.now);
        if whole && state == State::Over {
            self.finish(output, batch, counters);
        }
    }

    fn plain_line(
        &mut self,
        bytes: &[u8],
        start: u64,
        end: u64,
        batch: &mut Batch,
        rules: &Rules,
        counters: &Counters,
    ) {
        let (clean, nuls) = without_nuls(bytes);
        if clean.is_empty() && nuls > 0 {
            counters.nul_bytes.add(nuls);
            return;
        }
        let cri = if rules.format == Format::Plain { None } else { cri::parse(&clean) };
        if cri.is_none() && rules.format == Format::Cri && !clean.is_empty() {
            counters.corrupt.inc();
            self.raw(bytes, start, end, Flags::default(), batch, rules, counters);
            return;
        }
        let (output, whole, plain) = match &cri {
            Some(line) => (line.output, line.whole, line.text),
            None => (Output::Stdout, true, clean.strip_suffix(b"\r").unwrap_or(&clean)),
        };
        if start < self.acked[output as usize] {
            return;
        }
        counters.nul_bytes.add(nuls);
        let mut text = std::mem::take(&mut self.scratch);
        text.clear();
        push_json_text(plain, &mut text);
        if let Some(line) = &cri {
            self.last_time.clear();
            self.last_time.extend_from_slice(line.time);
            if !self.cri {
                self.cri = true;
                self.build_envelopes(rules);
            }
        } else if self.last_time.is_empty() {
            self.last_time = now_rfc3339().into_bytes();
        }
        let time = std::mem::take(&mut self.last_time);
        let shown = if rules.strip_ansi { without_ansi(&text) } else { Cow::Borrowed(&*text) };
        self.accept(output, &shown, whole, &time, start, end, batch, rules, counters);
        self.last_time = time;
        self.scratch = text;
    }

    /// A line that is not a record: the record of the driver's next life may be glued to half of an old one, or stand
    /// behind a run of NULs that a power cut left.
    fn salvage(&mut self, bytes: &[u8], start: u64, end: u64, batch: &mut Batch, rules: &Rules, counters: &Counters) {
        let nuls = bytes.iter().take_while(|byte| **byte == 0).count();
        if nuls > 0 {
            counters.nul_bytes.add(nuls as u64);
            if nuls < bytes.len() {
                self.line(&bytes[nuls..], start + nuls as u64, end, false, batch, rules, counters);
            }
            return;
        }
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        counters.corrupt.inc();
        let glued = memmem::rfind(bytes, b"{\"log\":\"").filter(|at| *at > 0);
        let glued = glued.and_then(|at| docker::parse(&bytes[at..], false).map(|line| (at, line)));
        match glued {
            Some((at, line)) => {
                self.last_time.clear();
                self.last_time.extend_from_slice(&line.time);
                self.raw(&bytes[..at], start, start + at as u64, Flags::default(), batch, rules, counters);
                self.docker_line(&line, start + at as u64, end, batch, rules, counters);
            }
            None => self.raw(bytes, start, end, Flags::default(), batch, rules, counters),
        }
    }

    /// Ships bytes as they are, flagged.
    #[allow(clippy::too_many_arguments, reason = "one line with where it stands")]
    fn raw(
        &mut self,
        bytes: &[u8],
        start: u64,
        end: u64,
        flags: Flags,
        batch: &mut Batch,
        rules: &Rules,
        counters: &Counters,
    ) {
        if start < self.acked[0] {
            return;
        }
        if self.pending[0].open {
            self.finish(Output::Stdout, batch, counters);
        }
        let (bytes, nuls) = without_nuls(bytes);
        counters.nul_bytes.add(nuls);
        let mut text = Vec::with_capacity(bytes.len() + 16);
        push_json_text(&bytes, &mut text);
        let cut = cut_escaped(&text, rules.line_bytes_max);
        let mut flags = flags;
        flags.add(Flags::CORRUPT);
        if cut.len() < text.len() {
            flags.add(Flags::TRUNCATED);
        }
        let time = if self.last_time.is_empty() { now_rfc3339().into_bytes() } else { self.last_time.clone() };
        let event = Event { time: &time, text: cut, start, end, offset: self.chain.file_offset(start), flags };
        self.push(Output::Stdout, &event, batch, counters);
    }

    /// Ships the open event of an output.
    fn finish(&mut self, output: Output, batch: &mut Batch, counters: &Counters) {
        let mut pending = std::mem::take(&mut self.pending[output as usize]);
        if pending.inside_line {
            pending.flags.add(Flags::PARTIAL);
        }
        let event = Event {
            time: &pending.time,
            text: &pending.text,
            start: pending.start,
            end: pending.end,
            offset: pending.offset,
            flags: pending.flags,
        };
        self.push(output, &event, batch, counters);
        // The buffers are kept for the next one, unless a giant has blown them up.
        if pending.text.capacity() <= RAW_EXTRA_BYTES {
            pending.text.clear();
            pending.time.clear();
            self.pending[output as usize] = Pending { text: pending.text, time: pending.time, ..Pending::default() };
        }
    }

    fn push(&self, output: Output, event: &Event<'_>, batch: &mut Batch, counters: &Counters) {
        for (flag, counter) in [
            (Flags::TRUNCATED, &counters.truncated),
            (Flags::PARTIAL, &counters.partial),
            (Flags::MULTILINE, &counters.multiline),
        ] {
            if event.flags.has(flag) {
                counter.inc();
            }
        }
        if batch.push(event, &self.envelopes[output as usize]) {
            counters.events.inc();
        } else {
            counters.refused.inc();
        }
    }

    /// Puts the record of a loss into the batch, if the file that is being read begins with one.
    fn tell_gap(&mut self, batch: &mut Batch, rules: &Rules, counters: &Counters) -> bool {
        let Some((gap, base)) = self.chain.gap().filter(|(_, base)| *base > self.told) else { return false };
        for output in [Output::Stdout, Output::Stderr] {
            if self.pending[output as usize].open {
                self.finish(output, batch, counters);
            }
        }
        self.long = None;
        if self.id == 0 {
            self.make_id(b"", rules);
        }
        let mut envelope = self.envelopes[2].clone();
        envelope.close.pop();
        envelope.close.extend_from_slice(b",\"event\":{\"dataset\":\"weir.gap\"},\"weir\":{\"gap\":");
        let from = self.chain.file_offset(gap.from);
        let details = serde_json::json!({"from": gap.from, "to": base, "offset": from, "bytes": gap.bytes});
        envelope.close.extend_from_slice(details.to_string().as_bytes());
        envelope.close.extend_from_slice(b"}}");
        let mut text = Vec::new();
        push_json_text(gap_message(&gap, from).as_bytes(), &mut text);
        let time = now_rfc3339();
        let event = Event {
            time: time.as_bytes(),
            text: &text,
            start: gap.from,
            end: base,
            offset: from,
            flags: Flags::default(),
        };
        if batch.push(&event, &envelope) {
            counters.events.inc();
        }
        counters.gaps.inc();
        counters.gap_bytes.add(gap.bytes.unwrap_or(0));
        tracing::warn!(log = %self.chain.path().display(), "{}", gap_message(&gap, from));
        self.told = base;
        true
    }

    fn build_envelopes(&mut self, rules: &Rules) {
        if self.id == 0 {
            return;
        }
        let mut close = b",\"file\":{\"path\":".to_vec();
        push_json_string(self.chain.path().as_os_str().as_encoded_bytes(), &mut close);
        close.extend_from_slice(b"}},");
        match (self.kind, &self.metadata) {
            (Kind::Docker, Some(metadata)) => {
                metadata.push_fields(&self.key, &rules.host_name, &rules.labels, &mut close)
            }
            (Kind::Docker, None) => Metadata::default().push_fields(&self.key, &rules.host_name, &[], &mut close),
            (Kind::Plain, _) => {
                close.extend_from_slice(b"\"host\":{\"name\":");
                push_json_string(rules.host_name.as_bytes(), &mut close);
                close.push(b'}');
                if let Some(pod) = Pod::of(self.chain.path()) {
                    pod.push_fields(&mut close);
                }
            }
        }
        if !self.attrs.is_empty() {
            close.extend_from_slice(b",\"docker\":{\"attrs\":");
            close.extend_from_slice(&self.attrs);
            close.push(b'}');
        }
        close.push(b'}');
        let pipeline = self.metadata.as_ref().and_then(|metadata| metadata.label("weir.pipeline"));
        for (index, name) in [(0, "stdout"), (1, "stderr"), (2, "")] {
            let mut open = b"\"".to_vec();
            if (self.kind == Kind::Docker || self.cri) && !name.is_empty() {
                open.extend_from_slice(format!(",\"stream\":\"{name}\"").as_bytes());
            }
            open.extend_from_slice(b",\"@metadata\":{\"weir\":{\"start\":");
            let mut middle = format!(",\"source\":\"{:016x}\"", self.id | index).into_bytes();
            if let Some(pipeline) = pipeline {
                middle.extend_from_slice(b",\"pipeline\":");
                push_json_string(pipeline.as_bytes(), &mut middle);
            }
            let version = env!("CARGO_PKG_VERSION");
            middle.extend_from_slice(
                format!("}},\"beat\":\"weir\",\"type\":\"_doc\",\"version\":\"{version}\"}},\"log\":{{\"offset\":")
                    .as_bytes(),
            );
            self.envelopes[index as usize] = Envelope { open, middle, close: close.clone() };
        }
    }
}

fn is_full(batch: &Batch, rules: &Rules) -> bool {
    batch.window.bytes() >= rules.window_bytes || batch.window.events() as usize >= rules.window_events
}

fn without_nuls(bytes: &[u8]) -> (Cow<'_, [u8]>, u64) {
    match memchr_iter(0, bytes).count() {
        0 => (bytes.into(), 0),
        nuls => (bytes.iter().copied().filter(|byte| *byte != 0).collect::<Vec<_>>().into(), nuls as u64),
    }
}

fn gap_message(gap: &Gap, offset: u64) -> String {
    let what = match gap.bytes {
        Some(bytes) => format!("{bytes} bytes of this log"),
        None => "an unknown number of bytes of this log".to_owned(),
    };
    let why = match gap.cause {
        Cause::Rotated => "were rotated away before they could be read",
        Cause::Truncated => "may have been lost: the file was truncated",
        Cause::Removed => "went away with the container before they could be read",
    };
    format!("weir: {what} {why}, from offset {offset} on")
}
