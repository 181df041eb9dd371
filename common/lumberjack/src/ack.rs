//! Acknowledgements: written by the reader of events, read by their writer.

use crate::frame::{ACK, SHORT_FRAME_BYTES, Version, number};
use crate::limits::Refused;

/// The six bytes that acknowledge everything of the open window up to and with `sequence`; 0 is a sign of life.
pub fn encode_ack(version: Version, sequence: u32) -> [u8; SHORT_FRAME_BYTES] {
    let [a, b, c, d] = sequence.to_be_bytes();
    [version.byte(), ACK, a, b, c, d]
}

/// Reads acknowledgements from a stream that may be cut anywhere. Holds less than one frame.
#[derive(Debug, Default)]
pub struct AckDecoder {
    part: [u8; SHORT_FRAME_BYTES],
    filled: usize,
}

impl AckDecoder {
    /// A decoder at the start of a connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes from the front of `input` and answers the next acknowledged sequence number (0: a sign of life),
    /// or `None` when `input` is used up. Call it until it says `None`.
    ///
    /// # Errors
    /// [`Refused`] when the peer sends anything but acknowledgements; close the connection.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<u32>, Refused> {
        let take = (SHORT_FRAME_BYTES - self.filled).min(input.len());
        let (head, rest) = input.split_at(take);
        self.part[self.filled..self.filled + take].copy_from_slice(head);
        self.filled += take;
        *input = rest;
        if self.filled > 0 && Version::from_byte(self.part[0]).is_none() {
            return Err(Refused::UnknownVersion(self.part[0]));
        }
        if self.filled > 1 && self.part[1] != ACK {
            return Err(Refused::UnknownType(self.part[1]));
        }
        if self.filled < SHORT_FRAME_BYTES {
            return Ok(None);
        }
        self.filled = 0;
        Ok(number(&self.part, 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements_cut_at_every_byte_are_read() {
        let mut stream = Vec::new();
        for sequence in [0, 2, u32::MAX] {
            stream.extend_from_slice(&encode_ack(Version::V2, sequence));
        }
        stream.extend_from_slice(&encode_ack(Version::V1, 7));
        for cut in 0..=stream.len() {
            let mut decoder = AckDecoder::new();
            let mut got = Vec::new();
            for mut piece in [&stream[..cut], &stream[cut..]] {
                while let Some(sequence) = decoder.next(&mut piece).unwrap() {
                    got.push(sequence);
                }
            }
            assert_eq!(got, [0, 2, u32::MAX, 7], "cut at {cut}");
        }
    }

    #[test]
    fn what_is_no_acknowledgement_is_refused_at_its_first_bytes() {
        assert_eq!(AckDecoder::new().next(&mut &b"HTTP/1.1 400"[..]), Err(Refused::UnknownVersion(b'H')));
        assert_eq!(AckDecoder::new().next(&mut &b"2W"[..]), Err(Refused::UnknownType(b'W')));
    }
}
