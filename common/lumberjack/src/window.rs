//! The writer's side: a window of JSON events, built in place in one buffer, sent plain or compressed as a whole.

use flate2::{Compress, Compression, FlushCompress, Status};
use thiserror::Error;

use crate::deflate::Encoder;
use crate::frame::{COMPRESSED, EVENT_HEADER_BYTES, JSON, PARTS, SHORT_FRAME_BYTES, TEMPLATE, Version, WINDOW, number};
use crate::parts::{TEMPLATE_BYTES_MAX, Templates, cost, push_varint};

/// Space that is added to the output of the compressor when it has run out: one network send's worth.
const COMPRESS_STEP_BYTES: usize = 32 << 10;

/// A document or a compressed window does not fit the protocol's 32-bit lengths, or has no bytes at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a frame of {0} bytes cannot be written: Lumberjack allows 1 to 4294967295")]
pub struct TooLong(pub usize);

/// One window: a `W` frame and the frames of the events that it announces, numbered from 1 as Filebeat does. Events are
/// whole documents, or in parts, for readers that have offered to take them; [`Window::whole`] makes one for all others.
///
/// The buffer is kept by [`Window::clear`], so that a sender that uses two windows in turn allocates nothing.
#[derive(Debug)]
pub struct Window {
    bytes: Vec<u8>,
    events: u32,
    /// How long the pieces of each template are together.
    templates: Vec<usize>,
    /// What they cost together.
    template_bytes: usize,
    /// How long its documents are as a whole.
    whole_bytes: usize,
}

impl Default for Window {
    fn default() -> Self {
        Self::new()
    }
}

impl Window {
    /// An empty window.
    pub fn new() -> Self {
        let mut window =
            Self { bytes: Vec::new(), events: 0, templates: Vec::new(), template_bytes: 0, whole_bytes: 0 };
        window.clear();
        window
    }

    /// Empties the window and keeps its buffer.
    pub fn clear(&mut self) {
        self.events = 0;
        self.templates.clear();
        self.template_bytes = 0;
        self.whole_bytes = 0;
        self.bytes.clear();
        self.bytes.extend_from_slice(&[Version::V2.byte(), WINDOW, 0, 0, 0, 0]);
    }

    /// Opens the next event: write its JSON document to [`EventSlot::buffer`], then [`EventSlot::commit`] it.
    /// A slot that is dropped without a commit leaves the window as it was.
    pub fn event(&mut self) -> EventSlot<'_> {
        let start = self.bytes.len();
        let [a, b, c, d] = (self.events + 1).to_be_bytes();
        self.bytes.extend_from_slice(&[Version::V2.byte(), JSON, a, b, c, d, 0, 0, 0, 0]);
        EventSlot { window: self, start, committed: false }
    }

    /// Puts in the pieces that documents have in common, and answers the number by which [`Window::parts`] names them, up
    /// to [`Window::clear`]. `None`: there is no room for them, send whole documents.
    pub fn template(&mut self, pieces: &[&[u8]]) -> Option<u32> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[Version::V2.byte(), TEMPLATE, 0, 0, 0, 0]);
        for piece in pieces {
            push_varint(u32::try_from(piece.len()).unwrap_or(u32::MAX), &mut self.bytes);
            self.bytes.extend_from_slice(piece);
        }
        let body = start + SHORT_FRAME_BYTES;
        let length = self.bytes.len() - body;
        if self.template_bytes + cost(length) > TEMPLATE_BYTES_MAX {
            self.bytes.truncate(start);
            return None;
        }
        self.template_bytes += cost(length);
        // The limit is far below 4 GiB.
        self.bytes[body - 4..body].copy_from_slice(&(length as u32).to_be_bytes());
        self.templates.push(pieces.iter().map(|piece| piece.len()).sum());
        // Each costs some bytes of a megabyte.
        Some(self.templates.len() as u32 - 1)
    }

    /// Puts in an event by the values that stand between the pieces of a template of this window, one fewer than pieces
    /// (another number is a mistake that [`Window::whole`] and every reader refuse). Answers its sequence number.
    ///
    /// # Errors
    /// [`TooLong`] when that is more than the protocol's length can say. The event is not in the window then.
    pub fn parts(&mut self, template: u32, values: &[&[u8]]) -> Result<u32, TooLong> {
        let start = self.bytes.len();
        let [a, b, c, d] = (self.events + 1).to_be_bytes();
        self.bytes.extend_from_slice(&[Version::V2.byte(), PARTS, a, b, c, d, 0, 0, 0, 0]);
        push_varint(template, &mut self.bytes);
        for value in values {
            push_varint(u32::try_from(value.len()).unwrap_or(u32::MAX), &mut self.bytes);
            self.bytes.extend_from_slice(value);
        }
        let body = start + EVENT_HEADER_BYTES;
        let bytes = self.bytes.len() - body;
        let Ok(length) = u32::try_from(bytes) else {
            self.bytes.truncate(start);
            return Err(TooLong(bytes));
        };
        self.bytes[body - 4..body].copy_from_slice(&length.to_be_bytes());
        self.events += 1;
        let pieces = self.templates.get(template as usize).copied().unwrap_or_default();
        self.whole_bytes += pieces + values.iter().map(|value| value.len()).sum::<usize>();
        Ok(self.events)
    }

    /// Makes of `out` a window with the same events as whole documents, which every reader understands.
    ///
    /// # Errors
    /// [`TooLong`] when a document is longer than the protocol's length can say.
    ///
    /// # Panics
    /// When [`Window::parts`] was given too many or too few values: what else it holds it has written itself.
    pub fn whole(&self, out: &mut Self) -> Result<(), TooLong> {
        out.clear();
        let mut templates = Templates::default();
        let mut at = SHORT_FRAME_BYTES;
        while let Some(kind) = self.bytes.get(at + 1) {
            let header = if *kind == TEMPLATE { SHORT_FRAME_BYTES } else { EVENT_HEADER_BYTES };
            let body = at + header;
            let length = number(&self.bytes, body - 4).unwrap_or_default() as usize;
            let bytes = &self.bytes[body..body + length];
            at = body + length;
            if *kind == TEMPLATE {
                templates.learn(bytes).unwrap_or_else(|refused| unreachable!("our own template: {refused}"));
                continue;
            }
            let mut slot = out.event();
            if *kind == PARTS {
                let expanded = templates.expand(bytes, slot.buffer());
                expanded.unwrap_or_else(|refused| unreachable!("our own event: {refused}"));
            } else {
                slot.buffer().extend_from_slice(bytes);
            }
            slot.commit()?;
        }
        Ok(())
    }

    /// Events in the window; also the sequence number whose acknowledgement answers all of it.
    pub fn events(&self) -> u32 {
        self.events
    }

    /// Whether no event is in the window.
    pub fn is_empty(&self) -> bool {
        self.events == 0
    }

    /// Bytes of the window as it is, not compressed.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes of its documents as a whole, however they are in it: what [`Window::whole`], or its reader, makes of it.
    pub fn whole_bytes(&self) -> usize {
        self.whole_bytes
    }

    /// The window as frames, not compressed, ready to be sent.
    pub fn plain(&mut self) -> &[u8] {
        self.bytes[2..SHORT_FRAME_BYTES].copy_from_slice(&self.events.to_be_bytes());
        &self.bytes
    }

    /// Appends the window to `out` as Filebeat sends it: the `W` frame, then all events in one compressed frame.
    ///
    /// # Errors
    /// [`TooLong`] when the compressed frame would pass 4 GiB; `out` then holds what it held before.
    pub fn compress(&mut self, compressor: &mut Compressor, out: &mut Vec<u8>) -> Result<(), TooLong> {
        let start = out.len();
        out.extend_from_slice(&self.plain()[..SHORT_FRAME_BYTES]);
        if self.events == 0 {
            return Ok(());
        }
        out.extend_from_slice(&[Version::V2.byte(), COMPRESSED, 0, 0, 0, 0]);
        let body = out.len();
        compressor.deflate(&self.bytes[SHORT_FRAME_BYTES..], out);
        let length = out.len() - body;
        match u32::try_from(length) {
            Ok(length) => {
                out[body - 4..body].copy_from_slice(&length.to_be_bytes());
                Ok(())
            }
            Err(_) => {
                out.truncate(start);
                Err(TooLong(length))
            }
        }
    }
}

/// The open end of a [`Window`], where one event's document is written.
#[derive(Debug)]
pub struct EventSlot<'a> {
    window: &'a mut Window,
    start: usize,
    committed: bool,
}

impl EventSlot<'_> {
    /// The window's buffer: append the document, and leave alone what is in it already.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.window.bytes
    }

    /// Closes the event and answers its sequence number.
    ///
    /// # Errors
    /// [`TooLong`] when nothing was written, or more than the protocol's length can say. The event is not in the
    /// window then.
    pub fn commit(mut self) -> Result<u32, TooLong> {
        let document = self.start + EVENT_HEADER_BYTES;
        let bytes = self.window.bytes.len().saturating_sub(document);
        let length = u32::try_from(bytes).map_err(|_| TooLong(bytes))?;
        if length == 0 {
            return Err(TooLong(0));
        }
        self.window.bytes[document - 4..document].copy_from_slice(&length.to_be_bytes());
        self.window.events += 1;
        self.window.whole_bytes += bytes;
        self.committed = true;
        Ok(self.window.events)
    }
}

impl Drop for EventSlot<'_> {
    fn drop(&mut self) {
        if !self.committed {
            self.window.bytes.truncate(self.start);
        }
    }
}

/// A zlib compressor that keeps its tables from window to window: 64 kB for level 1, about 300 kB for the others.
#[derive(Debug)]
pub struct Compressor(State);

#[derive(Debug)]
enum State {
    /// Level 1, which is our own: most of a window are bytes that were in the event before.
    Fast(Encoder),
    Zlib(Compress),
}

impl Compressor {
    /// A compressor of a level from 1 (fast) to 9 (small); Filebeat's default is 3.
    pub fn new(level: u32) -> Self {
        Self(if level <= 1 { State::Fast(Encoder::new()) } else { State::zlib(level) })
    }

    fn deflate(&mut self, input: &[u8], out: &mut Vec<u8>) {
        if let State::Fast(encoder) = &mut self.0 {
            if input.len() <= Encoder::INPUT_BYTES_MAX {
                encoder.encode(input, out);
                return;
            }
            // Whether it fits a frame only its compressed length says.
            self.0 = State::zlib(1);
        }
        let State::Zlib(state) = &mut self.0 else { return };
        state.reset();
        loop {
            out.reserve(COMPRESS_STEP_BYTES);
            // total_in counts from the reset on, so it is the place to read on from.
            let done = usize::try_from(state.total_in()).unwrap_or(input.len()).min(input.len());
            match state.compress_vec(&input[done..], out, FlushCompress::Finish) {
                Ok(Status::StreamEnd) => return,
                // There was not enough space; both answers ask for a further call.
                Ok(Status::Ok | Status::BufError) => {}
                // zlib's deflate fails on misuse only: a stream that was never set up, or an unknown flush value.
                Err(error) => unreachable!("deflate of a fresh stream: {error}"),
            }
        }
    }
}

impl State {
    fn zlib(level: u32) -> Self {
        Self::Zlib(Compress::new(Compression::new(level.min(9)), true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(window: &mut Window, document: &str) -> u32 {
        let mut slot = window.event();
        slot.buffer().extend_from_slice(document.as_bytes());
        slot.commit().unwrap()
    }

    #[test]
    fn a_plain_window_has_the_bytes_of_the_protocol() {
        let mut window = Window::new();
        assert_eq!(push(&mut window, r#"{"message":"a"}"#), 1);
        assert_eq!(push(&mut window, r#"{"message":"b"}"#), 2);
        let mut expected = b"2W\x00\x00\x00\x02".to_vec();
        expected.extend_from_slice(b"2J\x00\x00\x00\x01\x00\x00\x00\x0f{\"message\":\"a\"}");
        expected.extend_from_slice(b"2J\x00\x00\x00\x02\x00\x00\x00\x0f{\"message\":\"b\"}");
        assert_eq!(window.plain(), expected);
        window.clear();
        assert_eq!(window.plain(), b"2W\x00\x00\x00\x00");
    }

    #[test]
    fn a_slot_without_a_commit_or_without_bytes_leaves_the_window_alone() {
        let mut window = Window::new();
        push(&mut window, "{}");
        let before = window.plain().to_vec();
        window.event().buffer().extend_from_slice(b"half a docu");
        assert_eq!(window.event().commit(), Err(TooLong(0)));
        assert_eq!(window.plain(), before);
        assert_eq!(push(&mut window, "{}"), 2);
    }

    #[test]
    fn a_compressor_is_used_again_for_windows_of_any_size() {
        let (mut fast, mut small) = (Compressor::new(1), Compressor::new(3));
        for (events, compressor) in [1_usize, 5000, 0, 3].into_iter().flat_map(|n| [(n, false), (n, true)]) {
            let compressor = if compressor { &mut fast } else { &mut small };
            let mut window = Window::new();
            for n in 0..events {
                push(&mut window, &format!(r#"{{"message":"event {}"}}"#, n.wrapping_mul(0x9e37_79b9)));
            }
            let mut out = b"before".to_vec();
            window.compress(compressor, &mut out).unwrap();
            assert_eq!(&out[..6], b"before");
            assert_eq!(out[6..12], window.plain()[..6]);
            if events == 0 {
                assert_eq!(out.len(), 12);
                continue;
            }
            assert_eq!(&out[12..14], b"2C");
            assert_eq!(crate::frame::number(&out, 14).unwrap() as usize, out.len() - 18);
            let mut inflated = Vec::new();
            std::io::Read::read_to_end(&mut flate2::read::ZlibDecoder::new(&out[18..]), &mut inflated).unwrap();
            assert_eq!(inflated, window.plain()[6..]);
        }
    }
}
