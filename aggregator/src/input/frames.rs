//! Cuts a stream of bytes into frames: lines, or syslog's octet-counted messages (RFC 6587).

use bytes::{Buf, BytesMut};

/// How a stream is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// One frame a line; a carriage return at its end is dropped.
    Lines,
    /// Lines, or `LENGTH <priority>message`.
    Syslog,
}

/// Cuts one stream. Holds at most one frame.
#[derive(Debug)]
pub(crate) struct Frames {
    framing: Framing,
    frame_bytes_max: usize,
    bytes: BytesMut,
    /// Bytes of the present frame that were searched for its end already.
    searched: usize,
    /// The rest of a frame that was too long is being skipped.
    skipping: bool,
}

/// One frame of the stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Its bytes, without what ends it.
    pub bytes: bytes::Bytes,
    /// It was longer than the limit, and the rest of it is left out.
    pub cut: bool,
}

/// Digits that the length of a message may have; more is text that begins with a number.
const LENGTH_DIGITS_MAX: usize = 9;
/// Space kept free for the next read.
const READ_BYTES: usize = 16 << 10;

impl Frames {
    /// Cuts a stream into frames of at most `frame_bytes_max` bytes.
    pub fn new(framing: Framing, frame_bytes_max: usize) -> Self {
        Self { framing, frame_bytes_max, bytes: BytesMut::new(), searched: 0, skipping: false }
    }

    /// The buffer to append the peer's next bytes to.
    pub fn space(&mut self) -> &mut BytesMut {
        self.bytes.reserve(READ_BYTES);
        &mut self.bytes
    }

    /// The next whole frame, or `None` when more bytes are needed.
    pub fn next(&mut self) -> Option<Frame> {
        loop {
            if self.framing == Framing::Syslog && !self.skipping && self.searched == 0 {
                match counted(&self.bytes) {
                    Counted::Message { start, length } if length <= self.frame_bytes_max => {
                        if self.bytes.len() < start + length {
                            return None;
                        }
                        self.bytes.advance(start);
                        let bytes = self.bytes.split_to(length).freeze();
                        return Some(Frame { bytes: trimmed(bytes), cut: false });
                    }
                    Counted::More => return None,
                    // Too long a message is taken as lines: its end is found by the next line break.
                    Counted::Message { .. } | Counted::No => {}
                }
            }
            let end = memchr::memchr(b'\n', &self.bytes[self.searched..]).map(|at| at + self.searched);
            match end {
                Some(end) => {
                    self.searched = 0;
                    let mut bytes = self.bytes.split_to(end + 1).freeze();
                    bytes.truncate(end);
                    if std::mem::take(&mut self.skipping) {
                        continue;
                    }
                    let cut = bytes.len() > self.frame_bytes_max;
                    bytes.truncate(self.frame_bytes_max);
                    return Some(Frame { bytes: trimmed(bytes), cut });
                }
                None if self.skipping => {
                    self.bytes.clear();
                    self.searched = 0;
                    return None;
                }
                None if self.bytes.len() > self.frame_bytes_max => {
                    self.skipping = true;
                    self.searched = 0;
                    let bytes = self.bytes.split_to(self.frame_bytes_max).freeze();
                    return Some(Frame { bytes, cut: true });
                }
                None => {
                    self.searched = self.bytes.len();
                    return None;
                }
            }
        }
    }

    /// What is left when the stream has ended: a last frame without its end.
    pub fn last(&mut self) -> Option<Frame> {
        let rest = self.bytes.split().freeze();
        (!rest.is_empty() && !self.skipping).then(|| Frame { bytes: trimmed(rest), cut: false })
    }
}

enum Counted {
    Message { start: usize, length: usize },
    More,
    No,
}

fn counted(bytes: &[u8]) -> Counted {
    let digits = bytes.iter().take(LENGTH_DIGITS_MAX + 1).take_while(|byte| byte.is_ascii_digit()).count();
    match bytes.get(digits) {
        None if digits <= LENGTH_DIGITS_MAX => Counted::More,
        Some(b' ') if (1..=LENGTH_DIGITS_MAX).contains(&digits) && bytes[0] != b'0' => {
            let length = bytes[..digits].iter().fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'));
            match bytes.get(digits + 1) {
                Some(b'<') => Counted::Message { start: digits + 1, length },
                Some(_) => Counted::No,
                None => Counted::More,
            }
        }
        _ => Counted::No,
    }
}

/// Drops a carriage return, line break or NUL at the end: senders add them inside of counted messages too.
fn trimmed(mut bytes: bytes::Bytes) -> bytes::Bytes {
    while let [.., b'\r' | b'\n' | 0] = bytes[..] {
        bytes.truncate(bytes.len() - 1);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(framing: Framing, max: usize, stream: &[u8], step: usize) -> Vec<(String, bool)> {
        let mut frames = Frames::new(framing, max);
        let mut got = Vec::new();
        let mut note = |frame: Frame| got.push((String::from_utf8_lossy(&frame.bytes).into_owned(), frame.cut));
        for piece in stream.chunks(step) {
            frames.space().extend_from_slice(piece);
            while let Some(frame) = frames.next() {
                note(frame);
            }
            assert!(frames.bytes.len() <= max + step, "{} bytes held", frames.bytes.len());
        }
        frames.last().map(note);
        got
    }

    #[test]
    fn lines_and_counted_messages_cut_anywhere() {
        let stream = b"<13>one\r\n16 <13>counted\ntwo!\n<13>three\n9 <13>sixth<13>four\n500 is no length\n\nlast";
        let expected = ["<13>one", "<13>counted\ntwo!", "", "<13>three", "<13>sixth", "<13>four", "500 is no length"];
        for step in [1, 2, 7, 1000] {
            let got = frames(Framing::Syslog, 100, stream, step);
            let texts: Vec<&str> = got.iter().map(|(text, _)| text.as_str()).collect();
            assert_eq!(texts[..7], expected, "step {step}");
            let lines = frames(Framing::Lines, 100, b"a\nb\r\n\nc", step);
            assert_eq!(lines, [("a", false), ("b", false), ("", false), ("c", false)].map(|(t, c)| (t.to_owned(), c)));
        }
    }

    #[test]
    fn a_long_line_is_cut_and_its_rest_left_out() {
        for step in [1, 3, 1000] {
            let got = frames(Framing::Lines, 5, b"0123456789\nab\n0123456789", step);
            assert_eq!(got[0], ("01234".to_owned(), true), "step {step}");
            assert_eq!(got[1], ("ab".to_owned(), false));
            assert_eq!(got[2].0[..5], *"01234");
        }
    }
}
