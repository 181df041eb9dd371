//! The frames of Lumberjack: type bytes, header sizes, and the version that each frame names.
//!
//! Every number on the wire is an unsigned 32-bit integer in big-endian order. A frame starts with its version
//! (`'1'` or `'2'`) and its type:
//!
//! | type | byte | payload |
//! |---|---|---|
//! | window | `W` | count of the events that follow |
//! | JSON | `J` | sequence, length, one JSON document |
//! | compressed | `C` | length, one zlib stream that holds whole frames |
//! | data (version 1) | `D` | sequence, pair count, then length and bytes of each key and each value |
//! | acknowledgement | `A` | sequence; 0 is a sign of life |
//!
//! Three more are ours, spoken by weir's shipper with weir's aggregator only (see [`crate::parts`]):
//!
//! | type | byte | payload |
//! |---|---|---|
//! | offer | `O` | version of events in parts that the reader takes |
//! | template | `T` | length, then pieces, each with its length before it |
//! | parts | `P` | sequence, length, then the number of a template in this window, and the values between its pieces |

/// Type byte of a window frame.
pub const WINDOW: u8 = b'W';
/// Type byte of a JSON frame.
pub const JSON: u8 = b'J';
/// Type byte of a compressed frame.
pub const COMPRESSED: u8 = b'C';
/// Type byte of a version 1 data frame.
pub const DATA: u8 = b'D';
/// Type byte of an acknowledgement.
pub const ACK: u8 = b'A';
/// Type byte of an offer to take events in parts.
pub const OFFER: u8 = b'O';
/// Type byte of a template of events in parts.
pub const TEMPLATE: u8 = b'T';
/// Type byte of an event in parts.
pub const PARTS: u8 = b'P';

/// Bytes of a whole window, acknowledgement or offer frame, and of the header of a compressed one or a template.
pub const SHORT_FRAME_BYTES: usize = 6;
/// Bytes before the document of a JSON frame, the body of a parts frame, and the first pair of a data frame.
pub const EVENT_HEADER_BYTES: usize = 10;

/// The protocol version that a frame names in its first byte. An acknowledgement carries that of its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// `'1'`: data frames of string pairs.
    V1,
    /// `'2'`: JSON frames. All Beats since 1.0 write it.
    V2,
}

impl Version {
    /// The version of a first byte, if it is one.
    pub fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            b'1' => Some(Self::V1),
            b'2' => Some(Self::V2),
            _ => None,
        }
    }

    /// The byte that opens a frame of this version.
    pub fn byte(self) -> u8 {
        match self {
            Self::V1 => b'1',
            Self::V2 => b'2',
        }
    }
}

/// The number at `at`, if the four bytes are there.
pub(crate) fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes(four.try_into().ok()?))
}
