//! The level that a line states: found by rules about formats, with no configuration.
//!
//! A level counts where a format puts it: as the value of a level field (`json`, `pairs`), in a shape of its own
//! (`shape`: glog, Ruby, syslog's `<PRI>`), or in the head of a line of text (`head`), the part before the message:
//! times, numbers, names, brackets (`group`), and what follows a level (`after`, `prose`). `word` knows how levels are spelled.
//!
//! Words in the message are never looked at. A line that states no level gives none, and is then kept: taking an error
//! for debug or info would drop it, so the lower levels need more evidence than the higher ones.
mod after;
mod group;
mod head;
mod json;
mod pairs;
mod prose;
mod shape;
mod word;

#[cfg(test)]
mod tests;

use memchr::memchr;
use std::fmt;

/// How severe a line says it is. Ordered: what is more severe is greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Level {
    /// `trace`; also verbose, finest, finer.
    Trace,
    /// `debug`; also fine.
    Debug,
    /// `info`; also PostgreSQL's LOG and HINT.
    Info,
    /// `notice`; also MySQL's Note.
    Notice,
    /// `warn`
    Warn,
    /// `error`; also java.util.logging's SEVERE.
    Error,
    /// `critical`; also fatal, alert, emergency, panic.
    Critical,
}

impl Level {
    /// Every level, from the least severe.
    pub const ALL: [Level; 7] =
        [Level::Trace, Level::Debug, Level::Info, Level::Notice, Level::Warn, Level::Error, Level::Critical];

    /// The one name that weir uses, as it stands in `log.level`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Level::Trace => "trace",
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Notice => "notice",
            Level::Warn => "warn",
            Level::Error => "error",
            Level::Critical => "critical",
        }
    }

    /// The level of the one name that weir uses.
    pub fn from_canonical(name: &str) -> Option<Level> {
        Some(match name.as_bytes() {
            b"trace" => Level::Trace,
            b"debug" => Level::Debug,
            b"info" => Level::Info,
            b"notice" => Level::Notice,
            b"warn" => Level::Warn,
            b"error" => Level::Error,
            b"critical" => Level::Critical,
            _ => return None,
        })
    }

    /// The level of a name, however a program spells it: `WARNING`, `eror`, `Information`, `E`.
    pub fn from_name(name: &str) -> Option<Level> {
        word::value(name.trim().as_bytes())
    }

    /// The level of a number of bunyan and pino: 10 is trace, 60 is fatal. A number between two is a custom level and
    /// counts as the next one above it.
    pub const fn from_pino(number: u32) -> Option<Level> {
        Some(match number {
            10 => Level::Trace,
            11..=20 => Level::Debug,
            21..=30 => Level::Info,
            31..=39 => Level::Notice,
            40 => Level::Warn,
            41..=50 => Level::Error,
            51..=60 => Level::Critical,
            _ => return None,
        })
    }

    /// The level of a severity of syslog: 0 is emergency, 7 is debug.
    pub const fn from_syslog(severity: u32) -> Option<Level> {
        Some(match severity {
            0..=2 => Level::Critical,
            3 => Level::Error,
            4 => Level::Warn,
            5 => Level::Notice,
            6 => Level::Info,
            7 => Level::Debug,
            _ => return None,
        })
    }
}

impl fmt::Display for Level {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// How far into a line of text a head reaches, in bytes. The longest that programs write (OpenStack's with a file name
/// before it) take half of it.
const HEAD_BYTES: usize = 256;
/// What wraps a line and is taken off at most so often: syslog's priority, a container runtime's JSON.
const LAYERS: u8 = 2;
/// The byte that begins a terminal's colour code.
const ESCAPE: u8 = 0x1b;
/// What stands for a colour code once it is taken out: a level between two of them is set apart from the message.
const COLOUR: u8 = 0x01;

/// Whether a byte separates the words of a head.
fn is_gap(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | COLOUR)
}

/// The level that a line states, or none if it states none.
pub fn detect(line: &str) -> Option<Level> {
    layer(line.as_bytes(), LAYERS)
}

/// The same for bytes, of which `layers` may still be taken off.
fn layer(line: &[u8], layers: u8) -> Option<Level> {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let first = line.iter().position(|b| !matches!(b, b' ' | b'\t'))?;
    if memchr(ESCAPE, &line[..line.len().min(HEAD_BYTES)]).is_some() {
        let mut text = [0; HEAD_BYTES];
        let len = uncolour(&line[first..], &mut text);
        let text = &text[..len];
        let start = text.iter().position(|b| !matches!(b, b' ' | b'\t'))?;
        return plain(&text[start..], first > 0, layers);
    }
    plain(&line[first..], first > 0, layers)
}

/// The level of a line without colours and without space before it.
fn plain(line: &[u8], indented: bool, layers: u8) -> Option<Level> {
    match line[0] {
        b'{' if matches!(line.get(1), Some(b'"' | b' ' | b'}')) => json::level(line, layers),
        b'<' => match shape::priority(line) {
            Some((stated, start)) => {
                // The daemon that wrote the priority knows less than the program that wrote the text: Docker calls all of
                // stderr an error. Where both speak, the more severe counts.
                let inner = if layers > 0 { layer(&line[start..], layers - 1) } else { None };
                inner.max(Some(stated))
            }
            None => head::level(line, indented),
        },
        _ => shape::level(line).unwrap_or_else(|| head::level(line, indented)),
    }
}

/// Copies `line` into `text` with each colour code replaced by one byte, and returns how many bytes that took.
fn uncolour(line: &[u8], text: &mut [u8; HEAD_BYTES]) -> usize {
    let mut len = 0;
    let mut at = 0;
    while len < HEAD_BYTES && at < line.len() {
        if line[at] == ESCAPE && line.get(at + 1) == Some(&b'[') {
            let code = &line[at + 2..];
            let end = code.iter().position(u8::is_ascii_alphabetic).unwrap_or(code.len());
            at += 3 + end;
            text[len] = COLOUR;
        } else {
            text[len] = line[at];
            at += 1;
        }
        len += 1;
    }
    len
}

/// Copies as much of the JSON string `escaped` into `text` as it holds, unescaped, and returns how many bytes that took.
/// What is no ASCII character becomes a question mark: no level is spelled with it.
fn unescape(escaped: &[u8], text: &mut [u8]) -> usize {
    let mut len = 0;
    let mut at = 0;
    while len < text.len() && at < escaped.len() {
        let (byte, took) = match (escaped[at], escaped.get(at + 1)) {
            (b'\\', Some(b't')) => (b'\t', 2),
            (b'\\', Some(b'n' | b'r')) => return len,
            (b'\\', Some(b'u')) => match escaped.get(at + 2..at + 6) {
                Some(b"001b" | b"001B") => (ESCAPE, 6),
                _ => (b'?', 6),
            },
            (b'\\', Some(other)) => (*other, 2),
            (other, _) => (other, 1),
        };
        text[len] = byte;
        len += 1;
        at += took;
    }
    len
}
