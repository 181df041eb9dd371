//! One compressed frame, unpacked in bounded steps as its bytes arrive.

use bytes::{Buf, BytesMut};
use flate2::{Decompress, FlushDecompress, Status};

use crate::limits::{Limits, Refused};

/// Unpacked bytes of one step: small enough to stay in a core's cache, large enough that steps are few.
const STEP_BYTES: usize = 64 << 10;

/// The state of the compressed frame that is being read.
#[derive(Debug)]
pub(crate) struct Inflater {
    state: Decompress,
    /// Compressed bytes of the frame that have not been read yet.
    left: usize,
    /// Bytes that the frame has unpacked to so far.
    inflated: usize,
    /// The zlib stream has ended, and its checksum was right.
    ended: bool,
}

impl Inflater {
    pub(crate) fn new() -> Self {
        Self { state: Decompress::new(true), left: 0, inflated: 0, ended: true }
    }

    /// Starts a frame of `length` compressed bytes.
    pub(crate) fn start(&mut self, length: usize) {
        self.state.reset(true);
        self.left = length;
        self.inflated = 0;
        self.ended = false;
    }

    /// Whether the frame was read to its end.
    pub(crate) fn is_finished(&self) -> bool {
        self.ended && self.left == 0
    }

    /// Takes compressed bytes from `input` and appends at most one step of unpacked ones to `plain`.
    /// Answers whether it got on; if not, it needs more input.
    pub(crate) fn step(
        &mut self,
        input: &mut BytesMut,
        plain: &mut BytesMut,
        limits: &Limits,
    ) -> Result<bool, Refused> {
        let available = self.left.min(input.len());
        if self.ended {
            // Bytes after the end of the stream belong to nothing.
            return Err(Refused::CorruptCompression);
        }
        let before = plain.len();
        // One byte more than allowed is asked for, so that reaching the limit and passing it can be told apart.
        let allowed = limits.inflated_bytes_max.saturating_sub(self.inflated).saturating_add(1);
        plain.resize(before + STEP_BYTES.min(allowed), 0);
        let (read_before, written_before) = (self.state.total_in(), self.state.total_out());
        let status = self.state.decompress(&input[..available], &mut plain[before..], FlushDecompress::None);
        let read = usize::try_from(self.state.total_in() - read_before).unwrap_or(available);
        let written = usize::try_from(self.state.total_out() - written_before).unwrap_or(0);
        plain.truncate(before + written);
        input.advance(read);
        self.left -= read;
        self.inflated += written;
        if self.inflated > limits.inflated_bytes_max {
            return Err(Refused::InflatedTooLarge { limit: limits.inflated_bytes_max });
        }
        match status {
            Ok(Status::StreamEnd) => {
                self.ended = true;
                if self.left > 0 {
                    return Err(Refused::CorruptCompression);
                }
                Ok(true)
            }
            Ok(Status::Ok | Status::BufError) => {
                let got_on = read > 0 || written > 0;
                if self.left == 0 && !got_on {
                    // All bytes of the frame are read, and the stream wants more.
                    return Err(Refused::CorruptCompression);
                }
                Ok(got_on)
            }
            Err(_) => Err(Refused::CorruptCompression),
        }
    }
}
