//! What becomes of one line: taken apart, joined with others, and put into the batch.

use std::borrow::Cow;

use memchr::{memchr_iter, memmem};

use crate::batch::{Event, Flags};
use crate::cri;
use crate::docker::{self, Exact, Line, Output};
use crate::escape::{cut_escaped, push_json_text, without_ansi};
use crate::multiline::{LINES_MAX, State};
use crate::registry::Kind;
use crate::time::now_rfc3339;

use super::pending::{Pending, Piece, gap};
use super::{Format, Out, RAW_EXTRA_BYTES, Stream};

/// Lines, one of each output, that others may belong to, where they stand in the read buffer: nearly always none does,
/// and the text was not copied to find out.
#[derive(Default)]
pub(super) struct Held<'a>([Option<(Piece<'a>, State)>; 2]);

impl Stream {
    /// Takes a line of Docker's exact shape from where it stands. `false`: it must go the long way.
    #[inline]
    pub(super) fn exact_line<'a>(
        &mut self,
        bytes: &'a [u8],
        start: u64,
        end: u64,
        held: &mut Held<'a>,
        out: &mut Out<'_>,
    ) -> bool {
        let Some(Exact { text, whole: true, output, time }) = docker::by_position(bytes) else { return false };
        let slot = output as usize;
        let usual = text.len() <= out.rules.line_bytes_max && !out.rules.strip_ansi && self.attrs.is_empty();
        if !usual || start < self.acked[slot] {
            return false;
        }
        if let Some((before, state)) = &held.0[slot] {
            if self.grouping.next(*state, text, || gap(before.time, time)).is_some() {
                return false;
            }
            self.push_piece(before, out);
            held.0[slot] = None;
        } else if self.pending[slot].open {
            let pending = &self.pending[slot];
            if pending.inside_line || self.grouping.next(pending.state, text, || pending.gap(time)).is_some() {
                return false;
            }
            self.finish(output, out);
        }
        let piece = Piece { output, text, whole: true, time, start, end };
        match self.grouping.first(text) {
            State::Over => self.push_piece(&piece, out),
            state => held.0[slot] = Some((piece, state)),
        }
        true
    }

    /// Copies what is held: the read buffer is used for something else, or a line belongs to it.
    pub(super) fn keep(&mut self, held: &mut Held<'_>, out: &Out<'_>) {
        for (piece, state) in held.0.iter_mut().filter_map(Option::take) {
            let offset = self.chain.file_offset(piece.start);
            let pending = &mut self.pending[piece.output as usize];
            pending.begin(&piece, state, offset, out.rules.line_bytes_max, self.now);
        }
    }

    /// Takes one line that stands at `start..end`, of any form.
    pub(super) fn line(&mut self, bytes: &[u8], start: u64, end: u64, clean: bool, out: &mut Out<'_>) {
        match self.kind {
            Kind::Docker => match docker::parse(bytes, clean) {
                Some(line) => self.docker_line(&line, start, end, out),
                None => self.salvage(bytes, start, end, out),
            },
            Kind::Plain => self.plain_line(bytes, start, end, out),
        }
    }

    fn docker_line(&mut self, line: &Line<'_>, start: u64, end: u64, out: &mut Out<'_>) {
        let output = line.output;
        if start < self.acked[output as usize] {
            return;
        }
        let attrs = line.attrs.as_deref().unwrap_or_default();
        if attrs != self.attrs {
            self.attrs = attrs.to_vec();
            self.build_envelopes(out.rules);
        }
        let text = if out.rules.strip_ansi { without_ansi(&line.text) } else { Cow::Borrowed(&*line.text) };
        self.accept(&Piece { output, text: &text, whole: line.whole, time: &line.time, start, end }, out);
    }

    /// Takes one line, or a piece of one, into the event that is open for its output, or begins another one.
    fn accept(&mut self, piece: &Piece<'_>, out: &mut Out<'_>) {
        let bytes_max = out.rules.line_bytes_max;
        let pending = &mut self.pending[piece.output as usize];
        if pending.open {
            if pending.goes_on(piece.time) {
                pending.add_piece(piece, bytes_max, self.now);
                if piece.whole && pending.state == State::Over {
                    self.finish(piece.output, out);
                }
                return;
            }
            if !pending.inside_line
                && let Some(state) = self.grouping.next(pending.state, piece.text, || pending.gap(piece.time))
                && pending.lines < LINES_MAX
                && pending.text.len() + piece.text.len() < bytes_max
            {
                pending.add_line(piece, state, bytes_max, self.now);
                return;
            }
            self.finish(piece.output, out);
        }
        let state = self.grouping.first(piece.text);
        let over = piece.whole && state == State::Over;
        if over && piece.text.len() <= bytes_max {
            self.push_piece(piece, out);
            return;
        }
        let offset = self.chain.file_offset(piece.start);
        self.pending[piece.output as usize].begin(piece, state, offset, bytes_max, self.now);
        if over {
            self.finish(piece.output, out);
        }
    }

    fn plain_line(&mut self, bytes: &[u8], start: u64, end: u64, out: &mut Out<'_>) {
        let (clean, nuls) = without_nuls(bytes);
        if clean.is_empty() && nuls > 0 {
            out.counters.nul_bytes.add(nuls);
            return;
        }
        let cri = if out.rules.format == Format::Plain { None } else { cri::parse(&clean) };
        if cri.is_none() && out.rules.format == Format::Cri && !clean.is_empty() {
            out.counters.corrupt.inc();
            self.raw(bytes, start, end, Flags::default(), out);
            return;
        }
        let (output, whole, plain) = match &cri {
            Some(line) => (line.output, line.whole, line.text),
            None => (Output::Stdout, true, clean.strip_suffix(b"\r").unwrap_or(&clean)),
        };
        if start < self.acked[output as usize] {
            return;
        }
        out.counters.nul_bytes.add(nuls);
        let mut text = std::mem::take(&mut self.scratch);
        text.clear();
        push_json_text(plain, &mut text);
        if let Some(line) = &cri {
            self.last_time.clear();
            self.last_time.extend_from_slice(line.time);
            if !self.cri {
                self.cri = true;
                self.build_envelopes(out.rules);
            }
        } else if self.last_time.is_empty() {
            self.last_time = now_rfc3339().into_bytes();
        }
        let time = std::mem::take(&mut self.last_time);
        let shown = if out.rules.strip_ansi { without_ansi(&text) } else { Cow::Borrowed(&*text) };
        self.accept(&Piece { output, text: &shown, whole, time: &time, start, end }, out);
        self.last_time = time;
        self.scratch = text;
    }

    /// A line that is not a record: the record of the driver's next life may be glued to half of an old one, or stand
    /// behind a run of NULs that a power cut left.
    fn salvage(&mut self, bytes: &[u8], start: u64, end: u64, out: &mut Out<'_>) {
        let nuls = bytes.iter().take_while(|byte| **byte == 0).count();
        if nuls > 0 {
            out.counters.nul_bytes.add(nuls as u64);
            if nuls < bytes.len() {
                self.line(&bytes[nuls..], start + nuls as u64, end, false, out);
            }
            return;
        }
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        out.counters.corrupt.inc();
        let glued = memmem::rfind(bytes, b"{\"log\":\"").filter(|at| *at > 0);
        let glued = glued.and_then(|at| docker::parse(&bytes[at..], false).map(|line| (at, line)));
        match glued {
            Some((at, line)) => {
                self.last_time.clear();
                self.last_time.extend_from_slice(&line.time);
                self.raw(&bytes[..at], start, start + at as u64, Flags::default(), out);
                self.docker_line(&line, start + at as u64, end, out);
            }
            None => self.raw(bytes, start, end, Flags::default(), out),
        }
    }

    /// Ships bytes as they are, flagged.
    pub(super) fn raw(&mut self, bytes: &[u8], start: u64, end: u64, flags: Flags, out: &mut Out<'_>) {
        if start < self.acked[0] {
            return;
        }
        if self.pending[0].open {
            self.finish(Output::Stdout, out);
        }
        let (bytes, nuls) = without_nuls(bytes);
        out.counters.nul_bytes.add(nuls);
        let mut text = Vec::with_capacity(bytes.len() + 16);
        push_json_text(&bytes, &mut text);
        let cut = cut_escaped(&text, out.rules.line_bytes_max);
        let mut flags = flags;
        flags.add(Flags::CORRUPT);
        if cut.len() < text.len() {
            flags.add(Flags::TRUNCATED);
        }
        let time = if self.last_time.is_empty() { now_rfc3339().into_bytes() } else { self.last_time.clone() };
        let event = Event { time: &time, text: cut, start, end, offset: self.chain.file_offset(start), flags };
        self.push(Output::Stdout, &event, out);
    }

    /// Ships the open event of an output.
    pub(super) fn finish(&mut self, output: Output, out: &mut Out<'_>) {
        let mut pending = std::mem::take(&mut self.pending[output as usize]);
        if pending.inside_line {
            pending.flags.add(Flags::PARTIAL);
        }
        let Pending { time, text, start, end, offset, flags, .. } = &pending;
        let event = Event { time, text, start: *start, end: *end, offset: *offset, flags: *flags };
        self.push(output, &event, out);
        // The buffers are kept for the next one, unless a giant has blown them up.
        if pending.text.capacity() <= RAW_EXTRA_BYTES {
            self.pending[output as usize].reuse(pending);
        }
    }

    /// Ships a line as it is.
    fn push_piece(&self, piece: &Piece<'_>, out: &mut Out<'_>) {
        let &Piece { output, text, time, start, end, .. } = piece;
        let offset = self.chain.file_offset(start);
        self.push(output, &Event { time, text, start, end, offset, flags: Flags::default() }, out);
    }

    fn push(&self, output: Output, event: &Event<'_>, out: &mut Out<'_>) {
        if event.flags != Flags::default() {
            for (flag, counter) in [
                (Flags::TRUNCATED, &out.counters.truncated),
                (Flags::PARTIAL, &out.counters.partial),
                (Flags::MULTILINE, &out.counters.multiline),
            ] {
                if event.flags.has(flag) {
                    counter.inc();
                }
            }
        }
        if !out.batch.push(event, &self.envelopes[output as usize]) {
            out.counters.refused.inc();
        }
    }
}

fn without_nuls(bytes: &[u8]) -> (Cow<'_, [u8]>, u64) {
    match memchr_iter(0, bytes).count() {
        0 => (bytes.into(), 0),
        nuls => (bytes.iter().copied().filter(|byte| *byte != 0).collect::<Vec<_>>().into(), nuls as u64),
    }
}
