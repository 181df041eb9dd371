//! The Lumberjack codec, the protocol that Beats and Logstash speak: bytes only, no sockets.
//!
//! In the order in which an event meets them:
//! - [`frame`]: the frame types and their layout, the facts that both directions share;
//! - [`window`]: the writer's side, a [`Window`] of events built in place, and its [`Compressor`];
//! - [`deflate`]: what the compressor does at its fastest level;
//! - [`decode`]: the reader's side, a [`Decoder`] that turns a byte stream, cut anywhere, into windows and events;
//! - [`inflate`]: one compressed frame, unpacked in bounded steps;
//! - [`limits`]: what a decoder accepts, and why it [`Refused`] the rest;
//! - [`ack`]: acknowledgements, written by the reader and read by the writer;
//! - [`parts`]: what weir's shipper and weir's aggregator say shorter between themselves.
//!
//! The wire format is that of Logstash's `PROTOCOL.md` (versions 1 and 2). What a reader must answer when, is the
//! server's business and not the codec's; the codec only says where a window ends.

pub mod ack;
pub mod decode;
mod deflate;
pub mod frame;
mod inflate;
pub mod limits;
pub mod parts;
pub mod window;

pub use ack::{AckDecoder, Answer, encode_ack, encode_offer};
pub use decode::{Decoder, Item};
pub use frame::Version;
pub use limits::{Limits, Refused};
pub use parts::PARTS_VERSION;
pub use window::{Compressor, EventSlot, TooLong, Window};
