//! What the shipper is told about lines.

use crate::batch::Batch;
use crate::multiline::Grouping;

/// How many times longer the documents of a window may be than the window, in which what they have in common stands once.
/// Three are usual lines; and the largest window that can be set stays below what an aggregator unpacks of one.
const WHOLE_FACTOR: usize = 3;

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

impl Rules {
    /// Whether a batch takes no further event.
    pub(crate) fn full(&self, batch: &Batch) -> bool {
        let window = &batch.window;
        window.bytes() >= self.window_bytes
            || window.whole_bytes() >= self.window_bytes * WHOLE_FACTOR
            || window.events() as usize >= self.window_events
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Envelope, Event, Flags};

    #[test]
    fn a_window_whose_documents_are_long_is_full_although_it_is_short() {
        let rules = Rules {
            line_bytes_max: 1_000,
            window_events: 10_000,
            window_bytes: 100_000,
            host_name: String::new(),
            node: String::new(),
            labels: Vec::new(),
            grouping: Grouping::Off,
            strip_ansi: false,
            format: Format::Auto,
        };
        let envelope = Envelope::new(b"\"".to_vec(), Vec::new(), vec![b' '; 10_000]);
        let event = Event { time: b"t", text: b"x", start: 0, end: 1, offset: 0, flags: Flags::default() };
        let mut batch = Batch::default();
        while !rules.full(&batch) {
            assert!(batch.push(&event, &envelope));
        }
        let bytes = batch.window.whole_bytes();
        assert!((300_000..320_000).contains(&bytes) && batch.window.bytes() < 20_000, "{bytes}");
    }
}
