//! An event that is not over: a line whose end has not come yet, or lines that others may belong to.

use std::time::{Duration, Instant};

use crate::batch::Flags;
use crate::docker::Output;
use crate::escape::cut_escaped;
use crate::multiline::{LINE_GAP, State};
use crate::time::parse_ns;

/// How far apart, by Docker's clock, the pieces of one long line may be. Docker writes them at once; a program that
/// prints half a line and thinks is older than that.
const PIECE_GAP: Duration = Duration::from_secs(5);
/// How long past [`PIECE_GAP`] the wall clock waits, so that both clocks decide alike.
const PIECE_GRACE: Duration = Duration::from_secs(1);
/// How long past [`LINE_GAP`] the wall clock waits, for the same reason.
const LINE_GRACE: Duration = Duration::from_millis(250);

/// One line of a log, or a part of one, JSON-escaped, with the positions where it stands.
#[derive(Clone, Copy)]
pub(super) struct Piece<'a> {
    pub(super) output: Output,
    pub(super) text: &'a [u8],
    /// Its line ends with it.
    pub(super) whole: bool,
    pub(super) time: &'a [u8],
    pub(super) start: u64,
    pub(super) end: u64,
}

/// How long after `last` a line came, by the driver's clock. A clock that went back counts as no time.
pub(super) fn gap(last: &[u8], time: &[u8]) -> Duration {
    Duration::from_nanos(u64::try_from(parse_ns(time) - parse_ns(last)).unwrap_or(0))
}

/// An event that may go on: a line whose end has not come yet, or lines that others may belong to.
#[derive(Default)]
pub(super) struct Pending {
    pub(super) open: bool,
    /// The last piece had no line end.
    pub(super) inside_line: bool,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) offset: u64,
    pub(super) text: Vec<u8>,
    /// Time of the first piece.
    pub(super) time: Vec<u8>,
    /// Time of the last piece; empty: that of the first.
    last_time: Vec<u8>,
    pub(super) lines: u32,
    pub(super) state: State,
    pub(super) flags: Flags,
    pub(super) since: Option<Instant>,
}

impl Pending {
    /// How long after the last piece a line came.
    pub(super) fn gap(&self, time: &[u8]) -> Duration {
        gap(if self.last_time.is_empty() { &self.time } else { &self.last_time }, time)
    }

    /// Whether a piece belongs to the line that is open.
    pub(super) fn goes_on(&self, time: &[u8]) -> bool {
        self.inside_line && self.gap(time) <= PIECE_GAP
    }

    /// How long the wall clock waits for more.
    pub(super) fn patience(&self) -> Duration {
        if self.inside_line { PIECE_GAP + PIECE_GRACE } else { LINE_GAP + LINE_GRACE }
    }

    /// Begins with a piece, `offset` bytes into its file.
    pub(super) fn begin(&mut self, piece: &Piece<'_>, state: State, offset: u64, bytes_max: usize, now: Instant) {
        self.open = true;
        self.start = piece.start;
        self.offset = offset;
        self.time.extend_from_slice(piece.time);
        self.lines = 1;
        self.state = state;
        self.add(piece.text, bytes_max);
        self.note(piece, now);
        self.last_time.clear();
    }

    /// Adds a piece of the line that is open.
    pub(super) fn add_piece(&mut self, piece: &Piece<'_>, bytes_max: usize, now: Instant) {
        self.add(piece.text, bytes_max);
        self.note(piece, now);
    }

    /// Adds another line.
    pub(super) fn add_line(&mut self, piece: &Piece<'_>, state: State, bytes_max: usize, now: Instant) {
        self.text.extend_from_slice(b"\\n");
        self.add(piece.text, bytes_max);
        self.lines += 1;
        self.state = state;
        self.flags.add(Flags::MULTILINE);
        self.note(piece, now);
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

    /// Takes the buffers of an event that is shipped.
    pub(super) fn reuse(&mut self, shipped: Self) {
        self.text = shipped.text;
        self.time = shipped.time;
        self.text.clear();
        self.time.clear();
    }

    fn note(&mut self, piece: &Piece<'_>, now: Instant) {
        self.inside_line = !piece.whole;
        self.last_time.clear();
        self.last_time.extend_from_slice(piece.time);
        self.end = piece.end;
        self.since = Some(now);
    }
}
