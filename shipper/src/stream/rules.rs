//! What the shipper is told about lines.

use crate::batch::Batch;
use crate::multiline::Grouping;

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
        batch.window.bytes() >= self.window_bytes || batch.window.events() as usize >= self.window_events
    }
}
