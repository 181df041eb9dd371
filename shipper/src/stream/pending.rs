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
    let nanos = within_a_second(last, time).unwrap_or_else(|| parse_ns(time) - parse_ns(last));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
}

/// Nanoseconds between two times of the same second in Docker's form, `2024-05-01T12:00:00.000000001Z`: so are most
/// neighbours, and their days need not be worked out. `None` for all others.
fn within_a_second(last: &[u8], time: &[u8]) -> Option<i64> {
    const SECOND: usize = "2024-05-01T12:00:00.".len();
    let nanos = |time: &[u8]| {
        let digits = time.get(SECOND..)?.strip_suffix(b"Z")?;
        let number = |nanos: i64, digit: &u8| digit.is_ascii_digit().then(|| nanos * 10 + i64::from(digit - b'0'));
        (digits.len() == 9).then(|| digits.iter().try_fold(0, number))?
    };
    (last.get(..SECOND)? == time.get(..SECOND)?).then_some(nanos(time)? - nanos(last)?)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_one_second_are_apart_as_far_as_their_fractions() {
        let second = "2024-05-01T12:00:00.";
        let time = |fraction: &str| format!("{second}{fraction}");
        for (last, next) in [
            (time("000000001Z"), time("500000001Z")),
            (time("999999999Z"), time("000000000Z")),
            (time("25Z"), time("5Z")),
            (time("250000000+02:00"), time("500000000Z")),
            ("2024-05-01T12:00:00Z".to_owned(), time("5Z")),
            (time("900000000Z"), "2024-05-01T12:00:01.100000000Z".to_owned()),
        ] {
            let slow = parse_ns(next.as_bytes()) - parse_ns(last.as_bytes());
            let quick = within_a_second(last.as_bytes(), next.as_bytes());
            assert_eq!(
                quick.is_some(),
                last.starts_with(second) && last.len() == 30 && next.starts_with(second) && next.len() == 30
            );
            assert!(quick.is_none_or(|quick| quick == slow), "{last} {next}");
            let wanted = Duration::from_nanos(u64::try_from(slow).unwrap_or(0));
            assert_eq!(gap(last.as_bytes(), next.as_bytes()), wanted, "{last} {next}");
        }
    }
}
