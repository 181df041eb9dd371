//! What the reader of events answers: acknowledgements, and the offer to take events in parts.

use crate::frame::{ACK, OFFER, SHORT_FRAME_BYTES, Version, number};
use crate::limits::Refused;
use crate::parts::PARTS_VERSION;

/// What a reader says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Everything of the open window up to and with this sequence number is taken over; 0 is a sign of life.
    Ack(u32),
    /// It takes events in parts, of this version.
    Offer(u32),
}

/// The six bytes that offer to take events in parts. Only for a writer that has said that it knows of them.
pub fn encode_offer() -> [u8; SHORT_FRAME_BYTES] {
    let [a, b, c, d] = PARTS_VERSION.to_be_bytes();
    [Version::V2.byte(), OFFER, a, b, c, d]
}

/// The six bytes that acknowledge everything of the open window up to and with `sequence`; 0 is a sign of life.
pub fn encode_ack(version: Version, sequence: u32) -> [u8; SHORT_FRAME_BYTES] {
    let [a, b, c, d] = sequence.to_be_bytes();
    [version.byte(), ACK, a, b, c, d]
}

/// Reads answers from a stream that may be cut anywhere. Holds less than one frame.
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

    /// Takes bytes from the front of `input` and tells the next answer, or `None` when `input` is used up. Call it until
    /// it says `None`.
    ///
    /// # Errors
    /// [`Refused`] when the peer sends anything but answers; close the connection.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Answer>, Refused> {
        let take = (SHORT_FRAME_BYTES - self.filled).min(input.len());
        let (head, rest) = input.split_at(take);
        self.part[self.filled..self.filled + take].copy_from_slice(head);
        self.filled += take;
        *input = rest;
        if self.filled > 0 && Version::from_byte(self.part[0]).is_none() {
            return Err(Refused::UnknownVersion(self.part[0]));
        }
        if self.filled > 1 && !matches!(self.part[1], ACK | OFFER) {
            return Err(Refused::UnknownType(self.part[1]));
        }
        if self.filled < SHORT_FRAME_BYTES {
            return Ok(None);
        }
        self.filled = 0;
        let answer = if self.part[1] == ACK { Answer::Ack } else { Answer::Offer };
        Ok(number(&self.part, 2).map(answer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_cut_at_every_byte_are_read() {
        let mut stream = Vec::new();
        for sequence in [0, 2, u32::MAX] {
            stream.extend_from_slice(&encode_ack(Version::V2, sequence));
        }
        stream.extend_from_slice(&encode_offer());
        stream.extend_from_slice(&encode_ack(Version::V1, 7));
        for cut in 0..=stream.len() {
            let mut decoder = AckDecoder::new();
            let mut got = Vec::new();
            for mut piece in [&stream[..cut], &stream[cut..]] {
                while let Some(answer) = decoder.next(&mut piece).unwrap() {
                    got.push(answer);
                }
            }
            let expected =
                [Answer::Ack(0), Answer::Ack(2), Answer::Ack(u32::MAX), Answer::Offer(PARTS_VERSION), Answer::Ack(7)];
            assert_eq!(got, expected, "cut at {cut}");
        }
    }

    #[test]
    fn what_is_no_answer_is_refused_at_its_first_bytes() {
        assert_eq!(AckDecoder::new().next(&mut &b"HTTP/1.1 400"[..]), Err(Refused::UnknownVersion(b'H')));
        assert_eq!(AckDecoder::new().next(&mut &b"2W"[..]), Err(Refused::UnknownType(b'W')));
    }
}
