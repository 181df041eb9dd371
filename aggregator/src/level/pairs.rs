//! The level among logfmt's pairs: `ts=… level=info msg="…"`.
use super::{Level, json, word};

/// How far into a line pairs are read, in bytes.
const REACH_BYTES: usize = 8 * 1024;

/// What the pairs that stand at one place of a line say.
pub(super) enum Found {
    /// The level, stated by one of them.
    Level(Level),
    /// None of them states it; the text after them starts here.
    Ends(usize),
    /// No pair stands there.
    Nothing,
}

/// Reads the pairs that start at `from`. Reading stops at the first word that is no pair, so that a level in a message
/// without quotes is not taken for the line's.
pub(super) fn read(text: &[u8], from: usize) -> Found {
    let mut at = from;
    let mut count = 0;
    let mut low = None;
    let text = &text[..text.len().min(REACH_BYTES)];
    loop {
        while matches!(text.get(at), Some(b' ' | b'\t')) {
            at += 1;
        }
        let key_end = at + text[at..].iter().take_while(|b| is_key(**b)).count();
        if key_end == at || text.get(key_end) != Some(&b'=') {
            break;
        }
        let (value, end) = match text.get(key_end + 1) {
            Some(b'"') => {
                let Some(end) = json::string_end(text, key_end + 2) else { return end_of(low, count, text.len()) };
                (&text[key_end + 2..end], end + 1)
            }
            _ => {
                let end = key_end + 1 + text[key_end + 1..].iter().take_while(|b| !b" \t".contains(b)).count();
                let value = &text[key_end + 1..end];
                (value.strip_suffix(b",").unwrap_or(value), end)
            }
        };
        count += 1;
        if low.is_none() && is_level(&text[at..key_end]) && value.len() > 1 {
            match word::value(value) {
                Some(level) if level > Level::Info => return Found::Level(level),
                found => low = found,
            }
        }
        at = end;
        // A pair alone (`level=debug`) is a setting that was printed; two make a record.
        if count > 1
            && let Some(level) = low
        {
            return Found::Level(level);
        }
    }
    end_of(low, count, at)
}

fn end_of(low: Option<Level>, count: usize, at: usize) -> Found {
    match (low, count) {
        (_, 0) => Found::Nothing,
        (Some(level), 2..) => Found::Level(level),
        _ => Found::Ends(at),
    }
}

fn is_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'@' | b'-' | b'/')
}

fn is_level(key: &[u8]) -> bool {
    matches!(
        key,
        b"level" | b"lvl" | b"severity" | b"log.level" | b"levelname" | b"@level" | b"Level" | b"severity_text"
    )
}
