//! Events in parts, our own addition to the protocol: what the events of a log have in common crosses the wire once in a
//! window, and not with every event.
//!
//! A template holds the pieces of a document that stay the same, an event in parts the values that stand between them:
//! piece, value, piece, value, and so on, a piece first and last. Both count for the window in which they stand only, so
//! that every window can be read by itself. Inside of a frame lengths are varints: seven bits a byte, the lowest first, the
//! high bit set on all but the last.
//!
//! Only a reader that has sent an offer gets any of it; every other one gets whole documents, see [`crate::Window::whole`].

use bytes::{Bytes, BytesMut};

use crate::limits::{Limits, Refused};

/// The version of events in parts that an offer names.
pub const PARTS_VERSION: u32 = 1;
/// Bytes of all templates of a window at most. A window of 2,048 logs that write one line each has about as many.
pub const TEMPLATE_BYTES_MAX: usize = 1 << 20;
/// What a template costs beside its bytes.
const TEMPLATE_EXTRA_BYTES: usize = 64;
/// Space for expanded documents that is allocated at once.
const CHUNK_BYTES: usize = 64 << 10;

/// What a template of this many bytes costs of [`TEMPLATE_BYTES_MAX`].
pub(crate) fn cost(bytes: usize) -> usize {
    bytes.saturating_add(TEMPLATE_EXTRA_BYTES)
}

/// Appends a number as a varint.
#[inline]
pub(crate) fn push_varint(mut number: u32, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Takes a varint from the front.
#[inline]
fn take_varint(bytes: &mut &[u8]) -> Option<u32> {
    let mut number = 0_u64;
    for shift in [0, 7, 14, 21, 28] {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return u32::try_from(number).ok();
        }
    }
    None
}

/// Takes bytes with their length before them from the front.
#[inline]
fn take_piece<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(take_varint(bytes)?).ok()?;
    let (piece, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(piece)
}

/// The templates of a window, by their order in it.
#[derive(Debug, Default)]
pub(crate) struct Templates {
    known: Vec<Template>,
    bytes: usize,
    expanded: usize,
    chunk: BytesMut,
}

#[derive(Debug)]
struct Template {
    bytes: Box<[u8]>,
    /// Where each piece ends.
    ends: Box<[u32]>,
}

impl Templates {
    /// Forgets those of the last window.
    pub(crate) fn clear(&mut self) {
        self.known.clear();
        self.bytes = 0;
        self.expanded = 0;
    }

    /// Bytes that are held.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes the body of a template frame.
    pub(crate) fn learn(&mut self, mut body: &[u8]) -> Result<(), Refused> {
        self.bytes += cost(body.len());
        let mut bytes = Vec::with_capacity(body.len());
        let mut ends = Vec::new();
        while !body.is_empty() {
            bytes.extend_from_slice(take_piece(&mut body).ok_or(Refused::CorruptParts)?);
            ends.push(bytes.len() as u32);
        }
        if ends.is_empty() {
            return Err(Refused::CorruptParts);
        }
        self.known.push(Template { bytes: bytes.into(), ends: ends.into() });
        Ok(())
    }

    /// Appends to `out` the document of which `body` is the body of its frame.
    pub(crate) fn expand(&self, mut body: &[u8], mut out: impl Sink) -> Result<(), Refused> {
        let number = take_varint(&mut body).ok_or(Refused::CorruptParts)?;
        let template = self.known.get(number as usize).ok_or(Refused::UnknownTemplate(number))?;
        let mut at = 0;
        for (n, end) in template.ends.iter().map(|end| *end as usize).enumerate() {
            if n > 0 {
                out.put(take_piece(&mut body).ok_or(Refused::CorruptParts)?);
            }
            out.put(&template.bytes[at..end]);
            at = end;
        }
        if body.is_empty() { Ok(()) } else { Err(Refused::CorruptParts) }
    }

    /// The document of which `body` is the body of its frame.
    pub(crate) fn document(&mut self, body: &[u8], limits: &Limits) -> Result<Bytes, Refused> {
        let mut length = Length(0);
        self.expand(body, &mut length)?;
        let Length(length) = length;
        if length == 0 {
            return Err(Refused::EmptyEvent);
        }
        if length > limits.event_bytes_max {
            return Err(Refused::EventTooLarge { bytes: length, limit: limits.event_bytes_max });
        }
        self.expanded = self.expanded.saturating_add(length);
        if self.expanded > limits.inflated_bytes_max {
            return Err(Refused::InflatedTooLarge { limit: limits.inflated_bytes_max });
        }
        let mut chunk = std::mem::take(&mut self.chunk);
        if chunk.capacity() - chunk.len() < length {
            chunk = BytesMut::with_capacity(length.max(CHUNK_BYTES));
        }
        self.expand(body, &mut chunk)?;
        let document = chunk.split().freeze();
        self.chunk = chunk;
        Ok(document)
    }
}

/// What documents are expanded into.
pub(crate) trait Sink {
    fn put(&mut self, bytes: &[u8]);
}

/// Only how long a document is.
struct Length(usize);

impl Sink for &mut Length {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.0 = self.0.saturating_add(bytes.len());
    }
}

impl Sink for &mut BytesMut {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

impl Sink for &mut Vec<u8> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_of_any_size_come_back_and_longer_ones_are_refused() {
        for number in [0, 1, 0x7f, 0x80, 0x3fff, 0x4000, u32::MAX - 1, u32::MAX] {
            let mut bytes = Vec::new();
            push_varint(number, &mut bytes);
            let mut rest = &bytes[..];
            assert_eq!((take_varint(&mut rest), rest.len()), (Some(number), 0));
            assert_eq!(take_varint(&mut &bytes[..bytes.len() - 1]), None);
        }
        assert_eq!(take_varint(&mut &[0xff, 0xff, 0xff, 0xff, 0x1f][..]), None, "more than 32 bits");
        assert_eq!(take_varint(&mut &[0x80; 9][..]), None);
    }
}
