//! The reader's side: a byte stream, cut anywhere, into windows and events.

use bytes::{Buf, Bytes, BytesMut};

use crate::frame::{
    COMPRESSED, DATA, EVENT_HEADER_BYTES, JSON, PARTS, SHORT_FRAME_BYTES, TEMPLATE, Version, WINDOW, number,
};
use crate::inflate::Inflater;
use crate::limits::{Limits, Refused};
use crate::parts::{Templates, cost};

/// Space kept free for the next read from the peer.
const READ_BYTES: usize = 64 << 10;

/// What the stream holds next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A window was opened.
    Window {
        /// The version that its acknowledgement must carry.
        version: Version,
        /// Events that it announces.
        events: u32,
    },
    /// An event of the open window.
    Event {
        /// Its sequence number.
        sequence: u32,
        /// Its document: the bytes of a J frame as they came (not checked), the pairs of a D frame as an object, or
        /// what a P frame and its template make together.
        document: Bytes,
    },
    /// The open window is over: all its events came, or a new window began early. Acknowledge `sequence`.
    WindowEnd {
        /// The version that the acknowledgement must carry.
        version: Version,
        /// The sequence number of its last event; 0 for a window of no events.
        sequence: u32,
        /// Events that were announced and did not come.
        missing: u32,
    },
}

#[derive(Debug)]
struct OpenWindow {
    version: Version,
    announced: u32,
    received: u32,
    sequence: u32,
}

/// Reads one connection. Holds at most one event (or [`Limits::held_bytes`] of unpacked ones) and one read.
///
/// Give it bytes through [`Decoder::space`], then take items with [`Decoder::next`] until it answers `None`.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    /// Bytes from the peer that are not read yet.
    input: BytesMut,
    /// Unpacked bytes of the open compressed frame that are not read yet.
    plain: BytesMut,
    inflater: Inflater,
    compressed: bool,
    window: Option<OpenWindow>,
    /// Those of the open window.
    templates: Templates,
    /// A window announced over the early end of another one.
    announced: Option<Item>,
}

impl Decoder {
    /// A decoder at the start of a connection.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            input: BytesMut::new(),
            plain: BytesMut::new(),
            inflater: Inflater::new(),
            compressed: false,
            window: None,
            templates: Templates::default(),
            announced: None,
        }
    }

    /// The buffer to append the peer's next bytes to, with space for one read.
    pub fn space(&mut self) -> &mut BytesMut {
        self.input.reserve(READ_BYTES);
        &mut self.input
    }

    /// Bytes that are held now and not given out.
    pub fn held_bytes(&self) -> usize {
        self.input.len() + self.plain.len() + self.templates.bytes()
    }

    /// Whether the stream could end here: no frame is begun and no window is open.
    pub fn is_idle(&self) -> bool {
        self.window.is_none() && !self.compressed && self.input.is_empty() && self.announced.is_none()
    }

    /// Whether a window is open: events of it are still due.
    pub fn in_window(&self) -> bool {
        self.window.is_some()
    }

    /// The next item, or `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`Refused`] when the stream breaks the protocol or a limit. The decoder is of no use after it.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator would end at None, this one goes on with more bytes"
    )]
    pub fn next(&mut self) -> Result<Option<Item>, Refused> {
        if let Some(item) = self.announced.take() {
            if let Item::Window { version, events } = item {
                self.open(version, events);
            }
            return Ok(Some(item));
        }
        if self.window.as_ref().is_some_and(|window| window.received == window.announced) {
            return Ok(self.close());
        }
        loop {
            if !self.compressed {
                match self.frame(false)? {
                    Step::Item(item) => return Ok(Some(item)),
                    Step::Compressed | Step::Learned => continue,
                    Step::More => return Ok(None),
                }
            }
            let finished = self.inflater.is_finished();
            if finished || self.plain.len() >= self.limits.held_bytes {
                match self.frame(true)? {
                    Step::Item(item) => return Ok(Some(item)),
                    Step::Compressed => return Err(Refused::NestedCompression),
                    Step::Learned => continue,
                    Step::More if finished && self.plain.is_empty() => {
                        self.compressed = false;
                        continue;
                    }
                    Step::More if finished => return Err(Refused::CutFrame),
                    Step::More => {}
                }
            }
            if !self.inflater.step(&mut self.input, &mut self.plain, &self.limits)? {
                return Ok(None);
            }
        }
    }

    /// Reads one frame from the unpacked bytes or from the input.
    fn frame(&mut self, unpacked: bool) -> Result<Step, Refused> {
        let bytes = if unpacked { &mut self.plain } else { &mut self.input };
        let Some(&first) = bytes.first() else { return Ok(Step::More) };
        let version = Version::from_byte(first).ok_or(Refused::UnknownVersion(first))?;
        let Some(&kind) = bytes.get(1) else { return Ok(Step::More) };
        match kind {
            WINDOW => {
                let Some(events) = number(bytes, 2) else { return Ok(Step::More) };
                if events > self.limits.window_events_max {
                    return Err(Refused::WindowTooLarge { events, limit: self.limits.window_events_max });
                }
                bytes.advance(SHORT_FRAME_BYTES);
                let item = Item::Window { version, events };
                if self.window.as_ref().is_some_and(|window| window.received > 0)
                    && let Some(end) = self.close()
                {
                    self.announced = Some(item);
                    return Ok(Step::Item(end));
                }
                self.open(version, events);
                Ok(Step::Item(item))
            }
            JSON => {
                let window = self.window.as_mut().ok_or(Refused::NoWindow)?;
                let (Some(sequence), Some(length)) = (number(bytes, 2), number(bytes, 6)) else {
                    return Ok(Step::More);
                };
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                if length == 0 {
                    return Err(Refused::EmptyEvent);
                }
                if length > self.limits.event_bytes_max {
                    return Err(Refused::EventTooLarge { bytes: length, limit: self.limits.event_bytes_max });
                }
                if bytes.len() - EVENT_HEADER_BYTES < length {
                    return Ok(Step::More);
                }
                bytes.advance(EVENT_HEADER_BYTES);
                let document = bytes.split_to(length).freeze();
                window.received += 1;
                window.sequence = sequence;
                Ok(Step::Item(Item::Event { sequence, document }))
            }
            TEMPLATE => {
                if self.window.is_none() {
                    return Err(Refused::NoWindow);
                }
                let Some(length) = number(bytes, 2) else { return Ok(Step::More) };
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                if self.templates.bytes().saturating_add(cost(length)) > self.limits.template_bytes_max {
                    return Err(Refused::TemplatesTooLarge { limit: self.limits.template_bytes_max });
                }
                if bytes.len() - SHORT_FRAME_BYTES < length {
                    return Ok(Step::More);
                }
                bytes.advance(SHORT_FRAME_BYTES);
                self.templates.learn(&bytes[..length])?;
                bytes.advance(length);
                Ok(Step::Learned)
            }
            PARTS => {
                let window = self.window.as_mut().ok_or(Refused::NoWindow)?;
                let (Some(sequence), Some(length)) = (number(bytes, 2), number(bytes, 6)) else {
                    return Ok(Step::More);
                };
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                if length > self.limits.event_bytes_max {
                    return Err(Refused::EventTooLarge { bytes: length, limit: self.limits.event_bytes_max });
                }
                if bytes.len() - EVENT_HEADER_BYTES < length {
                    return Ok(Step::More);
                }
                let body = &bytes[EVENT_HEADER_BYTES..EVENT_HEADER_BYTES + length];
                let document = self.templates.document(body, &self.limits)?;
                bytes.advance(EVENT_HEADER_BYTES + length);
                window.received += 1;
                window.sequence = sequence;
                Ok(Step::Item(Item::Event { sequence, document }))
            }
            DATA => {
                let window = self.window.as_mut().ok_or(Refused::NoWindow)?;
                let Some((sequence, pairs, length)) = data_frame(bytes, &self.limits)? else { return Ok(Step::More) };
                let document = object_of(&bytes[EVENT_HEADER_BYTES..length], pairs);
                bytes.advance(length);
                window.received += 1;
                window.sequence = sequence;
                Ok(Step::Item(Item::Event { sequence, document }))
            }
            COMPRESSED if unpacked => Err(Refused::NestedCompression),
            COMPRESSED => {
                let Some(length) = number(bytes, 2) else { return Ok(Step::More) };
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                if length > self.limits.compressed_bytes_max {
                    return Err(Refused::CompressedTooLarge { bytes: length, limit: self.limits.compressed_bytes_max });
                }
                bytes.advance(SHORT_FRAME_BYTES);
                self.inflater.start(length);
                self.compressed = true;
                Ok(Step::Compressed)
            }
            other => Err(Refused::UnknownType(other)),
        }
    }

    fn open(&mut self, version: Version, announced: u32) {
        self.templates.clear();
        self.window = Some(OpenWindow { version, announced, received: 0, sequence: 0 });
    }

    fn close(&mut self) -> Option<Item> {
        let window = self.window.take()?;
        Some(Item::WindowEnd {
            version: window.version,
            sequence: window.sequence,
            missing: window.announced - window.received,
        })
    }
}

enum Step {
    Item(Item),
    Compressed,
    /// A template was taken in.
    Learned,
    More,
}

/// Sequence, pair count and whole length of the data frame at the start of `bytes`, if all of it is there.
fn data_frame(bytes: &[u8], limits: &Limits) -> Result<Option<(u32, u32, usize)>, Refused> {
    let (Some(sequence), Some(pairs)) = (number(bytes, 2), number(bytes, 6)) else { return Ok(None) };
    if pairs > limits.pairs_max {
        return Err(Refused::TooManyPairs { pairs, limit: limits.pairs_max });
    }
    let mut end = EVENT_HEADER_BYTES;
    for _ in 0..2 * pairs {
        let Some(length) = number(bytes, end) else { return Ok(None) };
        end = end.saturating_add(4).saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
        if end > limits.event_bytes_max {
            return Err(Refused::EventTooLarge { bytes: end, limit: limits.event_bytes_max });
        }
    }
    Ok((bytes.len() >= end).then_some((sequence, pairs, end)))
}

/// The pairs of a data frame as a JSON object. Bytes that are no UTF-8 become U+FFFD, as JSON cannot hold them.
fn object_of(mut bytes: &[u8], pairs: u32) -> Bytes {
    let mut object = Vec::with_capacity(bytes.len() + 2);
    object.push(b'{');
    for n in 0..2 * pairs {
        let Some(length) = number(bytes, 0) else { break };
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(bytes.len() - 4);
        object.extend_from_slice(match n {
            0 => b"\"".as_slice(),
            n if n % 2 == 1 => b"\":\"",
            _ => b"\",\"",
        });
        escape(&bytes[4..4 + length], &mut object);
        bytes = &bytes[4 + length..];
    }
    object.extend_from_slice(if pairs == 0 { b"}" } else { b"\"}" });
    object.into()
}

fn escape(text: &[u8], out: &mut Vec<u8>) {
    for character in String::from_utf8_lossy(text).chars() {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            control if control < ' ' => {
                out.extend_from_slice(format!("\\u{:04x}", u32::from(control)).as_bytes());
            }
            other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}
