//! The letters of JSON: space, strings with their escapes, numbers.

use super::super::document::Scalar;
use super::{Parsed, Parser, Refused};

impl Parser<'_> {
    pub(super) fn wrong<T>(&self, problem: &'static str) -> Parsed<T> {
        Err(Refused::Json { at: self.at, problem })
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub(super) fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// At the opening quote.
    pub(super) fn string(&mut self) -> Parsed<Scalar> {
        let start = self.at + 1;
        let Some(len) = memchr::memchr2(b'"', b'\\', self.bytes.get(start..).unwrap_or(&[])) else {
            self.at = self.bytes.len();
            return self.wrong("the document ends within a string");
        };
        let at = start + len;
        self.plain(start, at)?;
        if self.bytes[at] == b'\\' {
            return self.escaped(start, at);
        }
        self.at = at + 1;
        Ok(Scalar::Text { start: start as u32, len: len as u32 })
    }

    /// Refuses control characters in `start..end`.
    pub(super) fn plain(&mut self, start: usize, end: usize) -> Parsed<()> {
        let bytes = &self.bytes[start..end];
        // Without a way out of the loop the compiler looks at many bytes at once.
        if bytes.iter().fold(false, |found, byte| found | (*byte < 0x20)) {
            self.at = start + bytes.iter().position(|byte| *byte < 0x20).unwrap_or(0);
            return self.wrong("a control character in a string must be escaped");
        }
        Ok(())
    }

    /// A string whose first escape is at `at`.
    pub(super) fn escaped(&mut self, start: usize, at: usize) -> Parsed<Scalar> {
        let from = self.values.unescaped.len();
        self.values.unescaped.push_str(&self.text[start..at]);
        self.at = at;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    let len = self.values.unescaped.len() - from;
                    return Ok(Scalar::Unescaped { start: from as u32, len: len as u32 });
                }
                Some(b'\\') => {
                    let c = self.escape()?;
                    self.values.unescaped.push(c);
                }
                Some(0..=0x1f) => return self.wrong("a control character in a string must be escaped"),
                Some(_) => {
                    let run = self.bytes[self.at..]
                        .iter()
                        .take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1f))
                        .count();
                    self.values.unescaped.push_str(&self.text[self.at..self.at + run]);
                    self.at += run;
                }
                None => return self.wrong("the document ends within a string"),
            }
        }
    }

    /// At a backslash.
    pub(super) fn escape(&mut self) -> Parsed<char> {
        let escape = self.bytes.get(self.at + 1).copied();
        let plain = match escape {
            Some(b'n') => '\n',
            Some(b't') => '\t',
            Some(b'r') => '\r',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(c @ (b'"' | b'\\' | b'/')) => char::from(c),
            Some(b'u') => {
                let first = self.hex(self.at + 2)?;
                self.at += 6;
                if (0xd800..0xdc00).contains(&first)
                    && self.bytes.get(self.at..self.at + 2) == Some(b"\\u")
                    && let Ok(second @ 0xdc00..=0xdfff) = self.hex(self.at + 2)
                {
                    self.at += 6;
                    let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                    return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                }
                // Half of a pair alone is no character; a log line is not refused for it.
                return Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            _ => return self.wrong("unknown escape in a string"),
        };
        self.at += 2;
        Ok(plain)
    }

    pub(super) fn hex(&self, at: usize) -> Parsed<u32> {
        let digits = self
            .bytes
            .get(at..at + 4)
            .and_then(|four| four.iter().try_fold(0, |sum, byte| Some(sum * 16 + char::from(*byte).to_digit(16)?)));
        match digits {
            Some(code) => Ok(code),
            None => self.wrong("expected four hexadecimal digits"),
        }
    }

    pub(super) fn number(&mut self) -> Parsed<(Scalar, usize, usize)> {
        let start = self.at;
        let negative = self.peek() == Some(b'-');
        self.at += usize::from(negative);
        let digits = |parser: &mut Self| {
            let from = parser.at;
            while matches!(parser.peek(), Some(b'0'..=b'9')) {
                parser.at += 1;
            }
            parser.at - from
        };
        let first = self.peek();
        let whole = digits(self);
        if whole == 0 || (whole > 1 && first == Some(b'0')) {
            return self.wrong("not a number");
        }
        let mut fraction = false;
        if self.peek() == Some(b'.') {
            self.at += 1;
            fraction = true;
            if digits(self) == 0 {
                return self.wrong("a number needs digits behind its point");
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            fraction = true;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if digits(self) == 0 {
                return self.wrong("a number needs digits in its exponent");
            }
        }
        let text = &self.text[start..self.at];
        let whole = if fraction {
            None
        } else {
            text.parse::<i64>().ok().map(Scalar::I64).or_else(|| text.parse().ok().map(Scalar::U64))
        };
        let scalar = whole.unwrap_or_else(|| Scalar::F64(text.parse().unwrap_or(f64::INFINITY)));
        Ok((scalar, start, self.at))
    }
}
