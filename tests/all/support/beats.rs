//! Frames of Lumberjack v2 made by hand, so that they can be made wrongly too.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// An acknowledgement comes after the indexer's fsync; a refusal at once.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The frame that announces `events` data frames.
pub fn window(events: u32) -> Vec<u8> {
    [b"2W", events.to_be_bytes().as_slice()].concat()
}

/// One data frame.
pub fn event(sequence: u32, document: &str) -> Vec<u8> {
    let length = document.len() as u32;
    [b"2J", sequence.to_be_bytes().as_slice(), &length.to_be_bytes(), document.as_bytes()].concat()
}

/// A frame around what zlib made of `inside`.
pub fn compressed(inside: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(inside).unwrap();
    let packed = encoder.finish().unwrap();
    [b"2C", (packed.len() as u32).to_be_bytes().as_slice(), &packed].concat()
}

/// A connection to a Beats port.
pub struct Writer(TcpStream);

impl Writer {
    pub fn connect(to: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&to, TIMEOUT).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(TIMEOUT)).unwrap();
        Self(stream)
    }

    /// Sends `bytes`; a reader that has closed the connection already is as good as one that closes it later.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes);
    }

    /// No more will be sent.
    pub fn end(&mut self) {
        let _ = self.0.shutdown(std::net::Shutdown::Write);
    }

    /// The next acknowledgement that is not a keepalive; None when the reader closes the connection.
    pub fn acknowledged(&mut self) -> Option<u32> {
        let start = Instant::now();
        loop {
            assert!(start.elapsed() < TIMEOUT, "nothing but keepalives for {} s", TIMEOUT.as_secs());
            let mut frame = [0; 6];
            if let Err(error) = self.0.read_exact(&mut frame) {
                let waited = [std::io::ErrorKind::WouldBlock, std::io::ErrorKind::TimedOut].contains(&error.kind());
                assert!(!waited, "neither an acknowledgement nor an end within {} s", TIMEOUT.as_secs());
                return None;
            }
            assert_eq!(&frame[..2], b"2A", "not an acknowledgement: {frame:?}");
            match u32::from_be_bytes([frame[2], frame[3], frame[4], frame[5]]) {
                0 => {}
                sequence => return Some(sequence),
            }
        }
    }
}
