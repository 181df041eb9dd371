//! What a decoder accepts from a peer, and the reasons for which it refuses the rest.

use thiserror::Error;

use crate::parts::TEMPLATE_BYTES_MAX;

/// Longest document of one event. Filebeat's own limit of a message is 10 MiB, so more than that is legal.
const EVENT_BYTES_MAX: usize = 16 << 20;
/// Longest compressed frame. Filebeat puts a whole window (2048 events) into one, at a tenth of its size.
const COMPRESSED_BYTES_MAX: usize = 64 << 20;
/// Most bytes that one compressed frame, or the events in parts of one window, may unpack to. They are never held at once, see [`Limits::held_bytes`];
/// the limit is on the work that a few bytes of a bomb can ask for.
const INFLATED_BYTES_MAX: usize = 256 << 20;
/// Unpacked bytes that are held back until the checksum of their compressed frame is seen to be right.
const HELD_BYTES: usize = 4 << 20;
/// Most events that a window may announce. Filebeat's default is 2048; nothing is allocated by this count.
const WINDOW_EVENTS_MAX: u32 = 100_000;
/// Most pairs of a version 1 data frame: the clients of that time sent about five.
const PAIRS_MAX: u32 = 1000;

/// Bounds of one [`crate::Decoder`].
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of one event's document at most (J frames, and D frames over all pairs).
    pub event_bytes_max: usize,
    /// Bytes of one compressed frame at most.
    pub compressed_bytes_max: usize,
    /// Bytes that one compressed frame, and the events in parts of one window, may unpack to at most.
    pub inflated_bytes_max: usize,
    /// Bytes of the templates of one window at most.
    pub template_bytes_max: usize,
    /// Events of a compressed frame are given out when the whole frame is unpacked and its checksum is right, as long
    /// as that takes no more than this many bytes; a larger frame is given out while it is unpacked.
    pub held_bytes: usize,
    /// Events of one window at most.
    pub window_events_max: u32,
    /// Pairs of one version 1 data frame at most.
    pub pairs_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            event_bytes_max: EVENT_BYTES_MAX,
            compressed_bytes_max: COMPRESSED_BYTES_MAX,
            inflated_bytes_max: INFLATED_BYTES_MAX,
            template_bytes_max: TEMPLATE_BYTES_MAX,
            held_bytes: HELD_BYTES,
            window_events_max: WINDOW_EVENTS_MAX,
            pairs_max: PAIRS_MAX,
        }
    }
}

/// Why a byte stream was refused. The stream cannot be read on after it: the connection must be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refused {
    /// The first byte of a frame is neither `'1'` nor `'2'`.
    #[error("unknown protocol version byte 0x{0:02x}")]
    UnknownVersion(u8),
    /// The second byte of a frame is no known type.
    #[error("unknown frame type byte 0x{0:02x}")]
    UnknownType(u8),
    /// An event came with no open window that expects it.
    #[error("a data frame outside of a window")]
    NoWindow,
    /// A window announces too many events.
    #[error("a window of {events} events, the limit is {limit}")]
    WindowTooLarge {
        /// Events announced.
        events: u32,
        /// Events allowed.
        limit: u32,
    },
    /// A JSON frame of no bytes.
    #[error("a JSON frame of length 0")]
    EmptyEvent,
    /// An event's document is too long.
    #[error("an event of {bytes} bytes, the limit is {limit}")]
    EventTooLarge {
        /// Bytes announced.
        bytes: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// A data frame has too many pairs.
    #[error("a data frame of {pairs} pairs, the limit is {limit}")]
    TooManyPairs {
        /// Pairs announced.
        pairs: u32,
        /// Pairs allowed.
        limit: u32,
    },
    /// A compressed frame is too long.
    #[error("a compressed frame of {bytes} bytes, the limit is {limit}")]
    CompressedTooLarge {
        /// Bytes announced.
        bytes: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// A compressed frame, or a window of events in parts, unpacks to too much.
    #[error("a compressed frame or a window of events in parts unpacks to more than {limit} bytes")]
    InflatedTooLarge {
        /// Bytes allowed.
        limit: usize,
    },
    /// A compressed frame in a compressed frame.
    #[error("a compressed frame inside of a compressed frame")]
    NestedCompression,
    /// A compressed frame is no zlib stream, is cut short, or fails its checksum.
    #[error("a compressed frame that is not a whole zlib stream")]
    CorruptCompression,
    /// A compressed frame ends in the middle of a frame.
    #[error("a compressed frame that ends inside of a frame")]
    CutFrame,
    /// The templates of a window are too long.
    #[error("the templates of a window have more than {limit} bytes")]
    TemplatesTooLarge {
        /// Bytes allowed.
        limit: usize,
    },
    /// A template, or an event in parts, is not made of pieces with their lengths.
    #[error("a template or an event in parts whose pieces do not fill its frame")]
    CorruptParts,
    /// An event in parts names a template that its window does not have.
    #[error("an event in parts of template {0}, which its window does not have")]
    UnknownTemplate(u32),
}

impl Refused {
    /// A short constant name of the reason, for metrics.
    pub fn reason(self) -> &'static str {
        match self {
            Self::UnknownVersion(_) => "unknown_version",
            Self::UnknownType(_) => "unknown_type",
            Self::NoWindow => "no_window",
            Self::WindowTooLarge { .. } => "window_too_large",
            Self::EmptyEvent => "empty_event",
            Self::EventTooLarge { .. } => "event_too_large",
            Self::TooManyPairs { .. } => "too_many_pairs",
            Self::CompressedTooLarge { .. } => "compressed_too_large",
            Self::InflatedTooLarge { .. } => "inflated_too_large",
            Self::NestedCompression => "nested_compression",
            Self::CorruptCompression => "corrupt_compression",
            Self::CutFrame => "cut_frame",
            Self::TemplatesTooLarge { .. } => "templates_too_large",
            Self::CorruptParts => "corrupt_parts",
            Self::UnknownTemplate(_) => "unknown_template",
        }
    }
}
