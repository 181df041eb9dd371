//! One window under way: the events as they go on the wire, and how far each log is safe once they are acknowledged.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use weir_lumberjack::Window;

use crate::escape::Decimal;

/// How far one log is safe when a window is acknowledged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    /// Place of the log in the harvester's table.
    pub(crate) slot: usize,
    /// Serial number of the log: a slot is used again, a serial never.
    pub(crate) serial: u64,
    /// Positions of standard output, standard error, and our own records.
    pub(crate) safe: [u64; 3],
}

/// The next batch's number; 0 is none's.
static NEXT_SERIAL: AtomicU64 = AtomicU64::new(1);

/// A window, and what its acknowledgement means.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) window: Window,
    pub(crate) marks: Vec<Mark>,
    /// When the first event was put in.
    pub(crate) born: Option<Instant>,
    /// Tells the contents of a batch from all others: envelopes remember in which one their template is.
    serial: u64,
    /// Start, end and offset of the last event: a log's lines lie end to end, and its first file begins at its start.
    start: Decimal,
    end: Decimal,
    offset: Decimal,
    /// An offset with flags behind it.
    flagged: Vec<u8>,
}

impl Default for Batch {
    fn default() -> Self {
        let serial = NEXT_SERIAL.fetch_add(1, Ordering::Relaxed);
        Self {
            window: Window::new(),
            marks: Vec::new(),
            born: None,
            serial,
            start: Decimal::default(),
            end: Decimal::default(),
            offset: Decimal::default(),
            flagged: Vec::new(),
        }
    }
}

/// Flags of one event, in `log.flags`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags(pub(crate) u8);

impl Flags {
    /// The message was cut at the limit.
    pub(crate) const TRUNCATED: Self = Self(1);
    /// Several lines were joined.
    pub(crate) const MULTILINE: Self = Self(2);
    /// The end of the line did not come in time.
    pub(crate) const PARTIAL: Self = Self(4);
    /// Not a line of the expected form: the message is the raw text.
    pub(crate) const CORRUPT: Self = Self(8);

    const NAMES: [(Self, &'static str); 4] = [
        (Self::TRUNCATED, "truncated"),
        (Self::MULTILINE, "multiline"),
        (Self::PARTIAL, "partial"),
        (Self::CORRUPT, "corrupt"),
    ];

    /// Adds the flags of `other`.
    pub(crate) fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Whether all flags of `other` are set.
    pub(crate) fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    fn push(self, out: &mut Vec<u8>) {
        let mut before: &[u8] = b",\"flags\":[\"";
        for (_, name) in Self::NAMES.iter().filter(|(flag, _)| self.has(*flag)) {
            out.extend_from_slice(before);
            out.extend_from_slice(name.as_bytes());
            before = b"\",\"";
        }
        out.extend_from_slice(b"\"]");
    }
}

/// One event, its texts JSON-escaped already.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event<'a> {
    pub(crate) time: &'a [u8],
    pub(crate) text: &'a [u8],
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// Offset of `start` in its file.
    pub(crate) offset: u64,
    pub(crate) flags: Flags,
}

/// The bytes between the changing parts of an event: the same for all events of a source.
#[derive(Clone, Debug, Default)]
pub(crate) struct Envelope {
    /// After the message, up to and with `"start":`.
    open: Vec<u8>,
    /// After the end, up to and with `"offset":`.
    middle: Vec<u8>,
    /// After the offset (and flags).
    close: Vec<u8>,
    /// In which batch it is a template, and which.
    template: Cell<(u64, u32)>,
}

/// The window had no room for the template: its events are sent whole.
const NO_TEMPLATE: u32 = u32::MAX;

/// Before the time of an event.
const BEFORE_TIME: &[u8] = b"{\"@timestamp\":\"";
/// Between its time and its message.
const BEFORE_MESSAGE: &[u8] = b"\",\"message\":\"";
/// Between its start and its end.
const BEFORE_END: &[u8] = b",\"end\":";

/// Members of an event's metadata that say who sends it. `parts` says to an aggregator that this shipper sends events in
/// parts to one that offers to take them; it stands in every event, so also in a connection's first.
pub(crate) const SENDER: &str =
    concat!("\"beat\":\"weir\",\"parts\":1,\"type\":\"_doc\",\"version\":\"", env!("CARGO_PKG_VERSION"), "\"");

impl Envelope {
    /// An envelope of these bytes; `open` begins right after the text of the message.
    pub(crate) fn new(open: Vec<u8>, middle: Vec<u8>, close: Vec<u8>) -> Self {
        Self { open, middle, close, template: Cell::default() }
    }

    /// The same, with `fields` (members, each with a comma before it) at the end.
    pub(crate) fn with(&self, fields: &[u8]) -> Self {
        let mut close = self.close.clone();
        close.pop();
        close.extend_from_slice(fields);
        close.push(b'}');
        Self::new(self.open.clone(), self.middle.clone(), close)
    }

    fn pieces(&self) -> [&[u8]; 6] {
        [BEFORE_TIME, BEFORE_MESSAGE, &self.open, BEFORE_END, &self.middle, &self.close]
    }
}

impl Batch {
    /// Puts an event in. Only a document past 4 GiB is refused, which no limit of ours allows: `false` then.
    pub(crate) fn push(&mut self, event: &Event<'_>, envelope: &Envelope) -> bool {
        // The last end is mostly this start, so its digits are there already.
        std::mem::swap(&mut self.start, &mut self.end);
        let start = self.start.of(event.start);
        let offset = if event.offset == event.start { start } else { self.offset.of(event.offset) };
        let offset = if event.flags == Flags::default() {
            offset
        } else {
            self.flagged.clear();
            self.flagged.extend_from_slice(offset);
            event.flags.push(&mut self.flagged);
            &self.flagged
        };
        let values = [event.time, event.text, start, self.end.of(event.end), offset];
        let (serial, mut template) = envelope.template.get();
        if serial != self.serial {
            template = self.window.template(&envelope.pieces()).unwrap_or(NO_TEMPLATE);
            envelope.template.set((self.serial, template));
        }
        let taken = if template == NO_TEMPLATE {
            let mut slot = self.window.event();
            let [first, rest @ ..] = envelope.pieces();
            slot.buffer().extend_from_slice(first);
            for (value, piece) in values.iter().zip(rest) {
                slot.buffer().extend_from_slice(value);
                slot.buffer().extend_from_slice(piece);
            }
            slot.commit().is_ok()
        } else {
            self.window.parts(template, &values).is_ok()
        };
        if self.born.is_none() {
            self.born = Some(Instant::now());
        }
        taken
    }

    /// Empties the batch and keeps its buffers.
    pub(crate) fn clear(&mut self) {
        self.window.clear();
        self.marks.clear();
        self.born = None;
        self.serial = NEXT_SERIAL.fetch_add(1, Ordering::Relaxed);
    }
}
