//! One window under way: the events as they go on the wire, and how far each log is safe once they are acknowledged.

use std::time::Instant;

use weir_lumberjack::Window;

use crate::escape::push_number;

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

/// A window, and what its acknowledgement means.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) window: Window,
    pub(crate) marks: Vec<Mark>,
    /// When the first event was put in.
    pub(crate) born: Option<Instant>,
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
    pub(crate) open: Vec<u8>,
    /// After the end, up to and with `"offset":`.
    pub(crate) middle: Vec<u8>,
    /// After the offset (and flags).
    pub(crate) close: Vec<u8>,
}

impl Batch {
    /// Puts an event in. Only a document past 4 GiB is refused, which no limit of ours allows: `false` then.
    pub(crate) fn push(&mut self, event: &Event<'_>, envelope: &Envelope) -> bool {
        let mut slot = self.window.event();
        let out = slot.buffer();
        out.extend_from_slice(b"{\"@timestamp\":\"");
        out.extend_from_slice(event.time);
        out.extend_from_slice(b"\",\"message\":\"");
        out.extend_from_slice(event.text);
        out.extend_from_slice(&envelope.open);
        push_number(event.start, out);
        out.extend_from_slice(b",\"end\":");
        push_number(event.end, out);
        out.extend_from_slice(&envelope.middle);
        push_number(event.offset, out);
        if event.flags != Flags::default() {
            event.flags.push(out);
        }
        out.extend_from_slice(&envelope.close);
        let taken = slot.commit().is_ok();
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
    }
}
