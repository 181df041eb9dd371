//! The record of a loss: which bytes of a log went away unread, told like an event of it.

use crate::batch::{Event, Flags};
use crate::docker::Output;
use crate::escape::push_json_text;
use crate::registry::{Cause, Gap};
use crate::time::now_rfc3339;

use super::{Out, Stream};

impl Stream {
    /// Puts the record of a loss into the batch, if the file that is being read begins with one.
    pub(super) fn tell_gap(&mut self, out: &mut Out<'_>) -> bool {
        let Some((gap, base)) = self.chain.gap().filter(|(_, base)| *base > self.told) else { return false };
        for output in [Output::Stdout, Output::Stderr] {
            if self.pending[output as usize].open {
                self.finish(output, out);
            }
        }
        self.long = None;
        if self.id == 0 {
            self.make_id(b"", out.rules);
        }
        let from = self.chain.file_offset(gap.from);
        let details = serde_json::json!({"from": gap.from, "to": base, "offset": from, "bytes": gap.bytes});
        let fields = format!(",\"event\":{{\"dataset\":\"weir.gap\"}},\"weir\":{{\"gap\":{details}}}");
        let envelope = self.envelopes[2].with(fields.as_bytes());
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
        if !out.batch.push(&event, &envelope) {
            out.counters.refused.inc();
        }
        out.counters.gaps.inc();
        out.counters.gap_bytes.add(gap.bytes.unwrap_or(0));
        tracing::warn!(log = %self.chain.path().display(), "{}", gap_message(&gap, from));
        self.told = base;
        true
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
