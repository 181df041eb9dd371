//! The input `stdin`: for trying a pipeline out.

use std::io::Read as _;

use crate::input::feed::{Chunk, Sender};
use crate::input::frames::{Frames, Framing};
use crate::input::stream::{Dialect, LINE_BYTES_MAX, Reader};

/// Bytes of one read.
const READ_BYTES: usize = 64 << 10;

/// Reads standard input to its end. The thread is not waited for at shutdown: a read from a terminal cannot be ended.
pub(crate) fn start(dialect: Dialect, sender: Sender) {
    std::thread::spawn(move || {
        let nobody = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let mut frames = Frames::new(Framing::Lines, LINE_BYTES_MAX);
        let mut reader = Reader::new(&dialect, nobody);
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let read = match std::io::stdin().lock().read(&mut buffer) {
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    tracing::warn!(%error, "standard input");
                    0
                }
            };
            frames.space().extend_from_slice(&buffer[..read]);
            let mut events = Vec::new();
            while let Some(frame) = frames.next() {
                reader.frame(&frame, &mut events);
            }
            if read == 0 {
                if let Some(frame) = frames.last() {
                    reader.frame(&frame, &mut events);
                }
                reader.flush(&mut events);
            }
            if (!events.is_empty() && sender.blocking_send(Chunk { events, delivered: None }).is_err()) || read == 0 {
                return;
            }
        }
    });
}
