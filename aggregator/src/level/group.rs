//! What stands in brackets in the head of a line: `[error]`, `[core:error]`, `<warn>`, `[12:00:00 INF]`, `(WW)`.
use super::{Level, is_gap, word};

/// The longest content of a bracket that is looked for its end, in bytes: a thread's name, a class, a request's ids.
const CONTENT_BYTES: usize = 160;

/// A bracket that was read.
pub(super) struct Group {
    /// The level that it states.
    pub level: Option<Level>,
    /// Whether a time stands in it.
    pub time: bool,
    /// The place after its closing bracket.
    pub end: usize,
}

/// Reads the bracket that opens at `at`.
pub(super) fn read(line: &[u8], at: usize) -> Option<Group> {
    let open = line[at];
    let close = match open {
        b'[' => b']',
        b'(' => b')',
        b'<' => b'>',
        _ => b'}',
    };
    let content = &line[at + 1..line.len().min(at + 1 + CONTENT_BYTES)];
    let mut depth = 0_usize;
    let mut end = None;
    for (i, byte) in content.iter().enumerate() {
        if *byte == open {
            depth += 1;
        } else if *byte == close {
            if depth == 0 {
                end = Some(i);
                break;
            }
            depth -= 1;
        }
    }
    let length = end?;
    let content = uncoloured(&content[..length]);
    let end = at + length + 2;
    let time = content.windows(3).any(is_clock);
    let level = match open {
        b'[' => square(content).filter(|level| {
            // The last thing in a line is a value.
            *level > Level::Info || line.get(end..).is_some_and(|rest| !rest.trim_ascii().is_empty())
        }),
        // `<error>…` may be an element of XML: a level stands apart from the message.
        b'<' if matches!(line.get(end), Some(b' ')) && end + 1 < line.len() => word::bracketed(content),
        b'(' => round(content),
        _ => None,
    };
    Some(Group { level, time, end })
}

/// Without the space and the colours at both ends: structlog colours what stands inside its brackets.
fn uncoloured(mut content: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = content
        && is_gap(*first)
    {
        content = rest;
    }
    while let [rest @ .., last] = content
        && is_gap(*last)
    {
        content = rest;
    }
    content
}

fn is_clock(bytes: &[u8]) -> bool {
    bytes[0].is_ascii_digit() && bytes[1] == b':' && bytes[2].is_ascii_digit()
}

fn square(content: &[u8]) -> Option<Level> {
    let letters = content.iter().take_while(|b| b.is_ascii_alphabetic()).count();
    // `[error]`, `[WARN ]`.
    if letters == content.len() {
        return match content {
            [capital @ b'A'..=b'Z'] => word::letter(*capital),
            _ => word::bracketed(content),
        };
    }
    match content[letters] {
        // Jupyter's and tornado's `[E 12:00:00.123 NotebookApp]`, `[W 240501 12:00:00 web:1]`.
        b' ' if letters == 1 && content[2].is_ascii_digit() => return word::letter(content[0]),
        // env_logger without a time: `[INFO  my::crate]`; Python's `[ERROR 2024-…]`, Chromium's `[INFO:file.cc(12)]`.
        b' ' | b':' if letters > 2 => {
            if let Some(word) = word::word(&content[..letters])
                && word.case == word::Case::Upper
                && word.strength == word::Strength::Common
            {
                return Some(word.level);
            }
        }
        // Apache's `[proxy:trace1]` is below; `[debug1]` has no colon.
        _ => {}
    }
    // Apache's `[core:error]`, `[:error]`, `[ssl:trace1]`; Celery's `[2024-… 12:00:00,123: INFO/MainProcess]`;
    // Minecraft's `[Server thread/WARN]`; Chromium's `[1:1:0501/120000.1:ERROR:file.cc(12)]`; Serilog's `[12:00:00 INF]`;
    // env_logger's `[2024-…Z ERROR my::crate]`.
    let mut from = 0;
    let mut numbers = true;
    let mut before = 0;
    for at in 0..=content.len() {
        let byte = content.get(at);
        if byte.is_some_and(|b| !matches!(b, b' ' | b':' | b'/' | b'=')) {
            continue;
        }
        let part = &content[from..at];
        // Couchbase's `[ns_server:info,2026-02-03T10:11:12.345Z,…]`.
        let comma = if before == b':' { memchr::memchr(b',', part) } else { None };
        let (part, last) = match comma {
            Some(comma) if part[comma + 1..].first().is_some_and(u8::is_ascii_digit) => (&part[..comma], true),
            _ => (part, byte.is_none()),
        };
        if let Some(level) = part_level(part, before, last, numbers) {
            return Some(level);
        }
        numbers = numbers && !part.first().is_some_and(u8::is_ascii_alphabetic);
        // The `::` of a Rust or C++ path separates no level.
        let path = byte == Some(&b':') && (part.is_empty() && before == b':');
        from = at + 1;
        before = if path { 0 } else { byte.copied().unwrap_or(0) };
    }
    None
}

/// The level that a part of a bracket's content spells, `before` being what separates it from the part before it.
fn part_level(part: &[u8], before: u8, last: bool, after_numbers: bool) -> Option<Level> {
    let word = match word::whole(part) {
        Some(word) => word,
        None => {
            let (digit, letters) = part.split_last()?;
            (digit.is_ascii_digit()).then(|| word::whole(letters)).flatten().filter(|word| word.level < Level::Info)?
        }
    };
    if word.strength == word::Strength::Postgres {
        return None;
    }
    let upper = word.case == word::Case::Upper;
    match before {
        b':' | b'=' if last => Some(word.level),
        b'/' if last && upper => Some(word.level),
        // Right after a time, or last of all, in capitals.
        b' ' | b':' if upper && after_numbers => Some(word.level),
        b' ' if upper && last => Some(word.level),
        _ => None,
    }
}

fn round(content: &[u8]) -> Option<Level> {
    match content {
        // The X server's marks.
        b"II" => Some(Level::Info),
        b"WW" => Some(Level::Warn),
        b"EE" => Some(Level::Error),
        _ => word::whole(content)
            .filter(|word| word.case == word::Case::Upper && word.strength == word::Strength::Common)
            .map(|word| word.level),
    }
}
