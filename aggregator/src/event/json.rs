//! JSON text to values and back. Text without escapes stays a slice of what it was read from.

mod eight;
mod names;
mod write;

use std::cell::Cell;

use super::value::{Object, Text, Value};
pub(super) use eight::digits;
use eight::{equal_to, first_of, first_special};
use names::Names;
pub use write::write;
pub(super) use write::{write_entries, write_name};
pub(crate) use write::{write_string, write_u64};

/// How deep objects and lists may nest; keeps a hostile line from exhausting the stack.
pub const DEPTH_MAX: usize = 100;

/// Strings up to so many bytes are read eight bytes at a time.
const SHORT_BYTES: usize = 32;
/// Whole numbers of so many digits fit an `i64`.
const SHORT_DIGITS: usize = 18;
/// Entries of unfinished objects that a thread keeps room for; those of larger objects are given back.
const ENTRIES_KEPT: usize = 1024;

thread_local! {
    /// Entries of objects that are being read; each object takes its own from the end, in a list of the right length.
    static ENTRIES: Cell<Vec<(Text, Value)>> = const { Cell::new(Vec::new()) };
    static NAMES: Cell<Names> = const { Cell::new(Names::new()) };
}

/// Why a text is not JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not JSON at byte {at}: {problem}")]
pub struct JsonError {
    /// Byte offset of the mistake.
    pub at: usize,
    /// What is wrong there.
    pub problem: &'static str,
}

/// Reads one JSON value that fills `text`, white space aside.
///
/// # Errors
/// The first place where it is not JSON.
pub fn parse(text: &Text) -> Result<Value, JsonError> {
    let mut reader = Reader { text, bytes: text.as_bytes(), at: 0, entries: ENTRIES.take(), names: NAMES.take() };
    let value = reader.whole();
    NAMES.set(reader.names);
    let mut entries = reader.entries;
    entries.clear();
    entries.shrink_to(ENTRIES_KEPT);
    ENTRIES.set(entries);
    value
}

struct Reader<'a> {
    text: &'a Text,
    bytes: &'a [u8],
    at: usize,
    /// Those of the objects that are not at their end yet, the outer ones first.
    entries: Vec<(Text, Value)>,
    names: Names,
}

impl Reader<'_> {
    fn whole(&mut self) -> Result<Value, JsonError> {
        self.space();
        let value = self.value(DEPTH_MAX)?;
        self.space();
        if self.at < self.bytes.len() {
            return Err(self.fail("something follows the value"));
        }
        Ok(value)
    }

    fn fail(&self, problem: &'static str) -> JsonError {
        JsonError { at: self.at, problem }
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, JsonError> {
        match self.bytes.get(self.at) {
            Some(b'"') => Ok(Value::Text(self.string()?)),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => Err(self.fail("a value was expected")),
            None => Err(self.fail("it ends too early")),
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, JsonError> {
        if self.bytes[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            return Ok(value);
        }
        Err(self.fail("a value was expected"))
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.bytes.get(self.at) {
            self.at += 1;
        }
        if self.at == start { Err(self.fail("a digit was expected")) } else { Ok(()) }
    }

    /// A whole number of a few digits, which nearly all are.
    fn short_number(&mut self) -> Option<Value> {
        let (value, len) = digits(&self.bytes[self.at..])?;
        let first = self.bytes[self.at];
        let ends = !matches!(self.bytes.get(self.at + len)?, b'.' | b'e' | b'E');
        if len > SHORT_DIGITS || !ends || (first == b'0' && len > 1) {
            return None;
        }
        self.at += len;
        i64::try_from(value).ok().map(Value::Int)
    }

    fn number(&mut self) -> Result<Value, JsonError> {
        let start = self.at;
        if let Some(value) = self.short_number() {
            return Ok(value);
        }
        if self.bytes[self.at] == b'-' {
            self.at += 1;
        }
        if self.bytes.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        let mut whole = true;
        if self.bytes.get(self.at) == Some(&b'.') {
            whole = false;
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            whole = false;
            self.at += 1;
            if let Some(b'+' | b'-') = self.bytes.get(self.at) {
                self.at += 1;
            }
            self.digits()?;
        }
        let digits = &self.text[start..self.at];
        if whole {
            return Ok(match digits.parse() {
                Ok(value) => Value::Int(value),
                Err(_) => Value::Big(self.text.slice_ref(digits)),
            });
        }
        match digits.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Value::Float(value)),
            _ => Err(self.fail("the number is too large")),
        }
    }

    fn string(&mut self) -> Result<Text, JsonError> {
        self.at += 1;
        let start = self.at;
        // Names and most values are short: eight bytes at a time are quicker than three searches.
        let end = plain_end(self.bytes, start, SHORT_BYTES);
        if self.bytes.get(end) == Some(&b'"') {
            self.at = end + 1;
            return Ok(if end == start { Text::new() } else { self.text.slice_ref(&self.text[start..end]) });
        }
        let (end, escaped) = string_end(self.bytes, start).ok_or_else(|| self.fail("a string is not closed"))?;
        let raw = &self.text[start..end];
        if has_control(raw.as_bytes()) {
            return Err(self.fail("a control character in a string"));
        }
        self.at = end + 1;
        if !escaped {
            return Ok(self.text.slice_ref(raw));
        }
        let mut out = vec![0; raw.len() + 1];
        let (_, len) = unescape(&self.bytes[start..=end], &mut out)
            .map_err(|at| JsonError { at: start + at, problem: "a wrong escape" })?;
        out.truncate(len);
        // unescape() makes UTF-8 of UTF-8; the check is there because it cannot be told to the compiler.
        String::from_utf8(out).map(Text::from).map_err(|_| self.fail("a wrong escape"))
    }

    /// The name of an entry, at its opening quote. Those that come again and again are not sliced and counted.
    fn name(&mut self) -> Result<Text, JsonError> {
        let start = self.at + 1;
        let end = plain_end(self.bytes, start, SHORT_BYTES);
        if self.bytes.get(end) == Some(&b'"')
            && let Some(name) = self.names.get(&self.text[start..end])
        {
            self.at = end + 1;
            return Ok(name);
        }
        self.string()
    }

    fn object(&mut self, depth: usize) -> Result<Value, JsonError> {
        let depth = depth.checked_sub(1).ok_or_else(|| self.fail("it nests too deep"))?;
        self.at += 1;
        let first = self.entries.len();
        self.space();
        if self.bytes.get(self.at) == Some(&b'}') {
            self.at += 1;
            return Ok(Value::Object(Object::new()));
        }
        loop {
            self.space();
            if self.bytes.get(self.at) != Some(&b'"') {
                return Err(self.fail("a name in quotes was expected"));
            }
            let name = self.name()?;
            self.space();
            if self.bytes.get(self.at) != Some(&b':') {
                return Err(self.fail("a colon was expected"));
            }
            self.at += 1;
            self.space();
            // A text, which most are, goes straight to its place: each stop on the way would cost a wait for it.
            if self.bytes.get(self.at) == Some(&b'"') {
                let text = self.string()?;
                self.entries.push((name, Value::Text(text)));
            } else {
                let value = self.value(depth)?;
                self.entries.push((name, value));
            }
            self.space();
            match self.bytes.get(self.at) {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Value::Object(self.entries.drain(first..).collect()));
                }
                _ => return Err(self.fail("a comma or a closing brace was expected")),
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, JsonError> {
        let depth = depth.checked_sub(1).ok_or_else(|| self.fail("it nests too deep"))?;
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.bytes.get(self.at) == Some(&b']') {
            self.at += 1;
            return Ok(Value::Array(items));
        }
        loop {
            self.space();
            items.push(self.value(depth)?);
            self.space();
            match self.bytes.get(self.at) {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Value::Array(items));
                }
                _ => return Err(self.fail("a comma or a closing bracket was expected")),
            }
        }
    }
}

/// Where the string whose text begins at `start` has its closing quote, and whether a backslash is in it.
pub(super) fn string_end(bytes: &[u8], start: usize) -> Option<(usize, bool)> {
    let mut at = start + memchr::memchr2(b'"', b'\\', bytes.get(start..)?)?;
    if bytes[at] == b'"' {
        return Some((at, false));
    }
    // Where one escape is, others are near: a search for each would cost more than it finds.
    at += 2;
    loop {
        match bytes.get(at..)?.first_chunk::<8>() {
            Some(eight) => {
                let word = u64::from_le_bytes(*eight);
                let before = first_of(equal_to(word, b'"') | equal_to(word, b'\\'));
                at += before;
                if before == 8 {
                    continue;
                }
            }
            None if !matches!(bytes.get(at)?, b'"' | b'\\') => {
                at += 1;
                continue;
            }
            None => {}
        }
        if bytes[at] == b'"' {
            return Some((at, true));
        }
        at += 2;
    }
}

/// Where what stands for itself ends, from `start` on: at a quote, a backslash or a control character, or behind at least
/// `bytes_max` bytes.
#[inline]
pub(super) fn plain_end(bytes: &[u8], start: usize, bytes_max: usize) -> usize {
    let mut end = start;
    while end - start < bytes_max
        && let Some(eight) = bytes.get(end..).and_then(|rest| rest.first_chunk::<8>())
    {
        let before = first_special(u64::from_le_bytes(*eight));
        end += before;
        if before < 8 {
            return end;
        }
    }
    let rest = bytes.get(end..).unwrap_or_default().iter().take(8);
    end + rest.take_while(|byte| ESCAPES[usize::from(**byte)] == 0).count()
}

/// Whether a byte below 0x20 is there, which JSON forbids in strings. Written without an early exit so that the
/// compiler makes vector code of it.
pub(super) fn has_control(bytes: &[u8]) -> bool {
    bytes.iter().fold(false, |found, &byte| found | (byte < 0x20))
}

/// Writes the text that the inside of a JSON string stands for to the start of `out`, which is as long as `raw`. `raw`
/// begins behind the opening quote and may go on behind the closing one. Returns the place of the closing quote, and the
/// length of the text, which is never more.
///
/// # Errors
/// The offset of an escape that JSON does not know, of a control character, or of the end where no quote closes the
/// string. Half a surrogate pair becomes U+FFFD, as in other readers.
pub(super) fn unescape(raw: &[u8], out: &mut [u8]) -> Result<(usize, usize), usize> {
    let (mut at, mut len) = (0, 0);
    loop {
        // Escapes lie close in JSON within JSON: eight bytes at a time are quicker than a search for each.
        if let Some(eight) = raw.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
            let plain = first_special(u64::from_le_bytes(*eight));
            out[len..len + 8].copy_from_slice(eight);
            at += plain;
            len += plain;
            if plain == 8 {
                continue;
            }
        }
        match *raw.get(at).ok_or(at)? {
            b'"' => return Ok((at, len)),
            b'\\' => {}
            control if control < 0x20 => return Err(at),
            plain => {
                out[len] = plain;
                at += 1;
                len += 1;
                continue;
            }
        }
        let escape = at;
        let kind = *raw.get(at + 1).ok_or(escape)?;
        at += 2;
        out[len] = match kind {
            b'"' | b'\\' | b'/' => kind,
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'b' => 8,
            b'f' => 12,
            b'u' => {
                let mut code = u32::from(hex4(&raw[at..]).ok_or(escape)?);
                at += 4;
                if (0xD800..0xDC00).contains(&code)
                    && raw[at..].starts_with(b"\\u")
                    && let Some(low) = hex4(&raw[at + 2..]).map(u32::from).filter(|low| (0xDC00..0xE000).contains(low))
                {
                    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
                    at += 6;
                }
                let symbol = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                len += symbol.encode_utf8(&mut out[len..]).len();
                continue;
            }
            _ => return Err(escape),
        };
        len += 1;
    }
}

fn hex4(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.get(..4)?;
    let mut value = 0u16;
    for &digit in digits {
        value = value << 4 | u16::try_from(char::from(digit).to_digit(16)?).ok()?;
    }
    Some(value)
}

/// For each byte: 0 = stands for itself in a JSON string, else the letter of its escape, `u` for `\u00XX`.
const ESCAPES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = b'u';
        byte += 1;
    }
    table[8] = b'b';
    table[9] = b't';
    table[10] = b'n';
    table[12] = b'f';
    table[13] = b'r';
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table
};

#[cfg(test)]
mod tests;
