//! JSON text to values and back. Text without escapes stays a slice of what it was read from.

use super::value::{Object, Text, Value, ValueRef};

/// How deep objects and lists may nest; keeps a hostile line from exhausting the stack.
pub const DEPTH_MAX: usize = 100;

/// Strings up to so many bytes are read byte by byte.
const SHORT_BYTES: usize = 32;
/// Entries that an object is given room for when the first one is read; most log records have no more.
const ENTRIES: usize = 8;

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
    let mut reader = Reader { text, bytes: text.as_bytes(), at: 0 };
    reader.space();
    let value = reader.value(DEPTH_MAX)?;
    reader.space();
    if reader.at < reader.bytes.len() {
        return Err(reader.fail("something follows the value"));
    }
    Ok(value)
}

struct Reader<'a> {
    text: &'a Text,
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
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

    fn number(&mut self) -> Result<Value, JsonError> {
        let start = self.at;
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
        // Names and most values are short: one look at each byte is quicker than three searches.
        let short = self.bytes[start..].iter().take(SHORT_BYTES).position(|byte| ESCAPES[usize::from(*byte)] != 0);
        if let Some(end) = short.map(|len| start + len)
            && self.bytes[end] == b'"'
        {
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
        let mut out = Vec::with_capacity(raw.len());
        unescape(raw.as_bytes(), &mut out).map_err(|at| JsonError { at: start + at, problem: "a wrong escape" })?;
        // unescape() makes UTF-8 of UTF-8; the check is there because it cannot be told to the compiler.
        String::from_utf8(out).map(Text::from).map_err(|_| self.fail("a wrong escape"))
    }

    fn object(&mut self, depth: usize) -> Result<Value, JsonError> {
        let depth = depth.checked_sub(1).ok_or_else(|| self.fail("it nests too deep"))?;
        self.at += 1;
        let mut object = Object::new();
        self.space();
        if self.bytes.get(self.at) == Some(&b'}') {
            self.at += 1;
            return Ok(Value::Object(object));
        }
        object.reserve(ENTRIES);
        loop {
            self.space();
            if self.bytes.get(self.at) != Some(&b'"') {
                return Err(self.fail("a name in quotes was expected"));
            }
            let name = self.string()?;
            self.space();
            if self.bytes.get(self.at) != Some(&b':') {
                return Err(self.fail("a colon was expected"));
            }
            self.at += 1;
            self.space();
            let value = self.value(depth)?;
            object.push(name, value);
            self.space();
            match self.bytes.get(self.at) {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    object.keep_last_of_each();
                    return Ok(Value::Object(object));
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
    let mut at = start;
    let mut escaped = false;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some((at, escaped));
        }
        escaped = true;
        at += 2;
    }
}

/// Whether a byte below 0x20 is there, which JSON forbids in strings. Written without an early exit so that the
/// compiler makes vector code of it.
pub(super) fn has_control(bytes: &[u8]) -> bool {
    bytes.iter().fold(false, |found, &byte| found | (byte < 0x20))
}

/// Appends the text that the inside of a JSON string stands for.
///
/// # Errors
/// The offset of an escape that JSON does not know. Half a surrogate pair becomes U+FFFD, as in other readers.
fn unescape(raw: &[u8], out: &mut Vec<u8>) -> Result<(), usize> {
    unescape_with(raw, &mut |bytes| out.extend_from_slice(bytes))
}

/// The same into a chunk of a batch.
///
/// # Errors
/// As [`unescape`].
pub(super) fn unescape_into(raw: &[u8], out: &mut bytes::BytesMut) -> Result<(), usize> {
    unescape_with(raw, &mut |bytes| out.extend_from_slice(bytes))
}

fn unescape_with(mut raw: &[u8], out: &mut impl FnMut(&[u8])) -> Result<(), usize> {
    let len = raw.len();
    while let Some(plain) = memchr::memchr(b'\\', raw) {
        out(&raw[..plain]);
        raw = &raw[plain + 1..];
        let at = len - raw.len() - 1;
        let (&kind, after) = raw.split_first().ok_or(at)?;
        raw = after;
        out(&[match kind {
            b'"' | b'\\' | b'/' => kind,
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'b' => 8,
            b'f' => 12,
            b'u' => {
                let mut code = u32::from(hex4(raw).ok_or(at)?);
                raw = &raw[4..];
                if (0xD800..0xDC00).contains(&code)
                    && raw.starts_with(b"\\u")
                    && let Some(low) = hex4(&raw[2..]).map(u32::from).filter(|low| (0xDC00..0xE000).contains(low))
                {
                    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
                    raw = &raw[6..];
                }
                let symbol = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                out(symbol.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            _ => return Err(at),
        }]);
    }
    out(raw);
    Ok(())
}

fn hex4(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.get(..4)?;
    let mut value = 0u16;
    for &digit in digits {
        value = value << 4 | u16::try_from(char::from(digit).to_digit(16)?).ok()?;
    }
    Some(value)
}

/// Appends `value` as JSON.
pub fn write(out: &mut Vec<u8>, value: ValueRef<'_>) {
    match value {
        ValueRef::Null => out.extend_from_slice(b"null"),
        ValueRef::Bool(value) => out.extend_from_slice(if value { b"true" } else { b"false" }),
        ValueRef::Int(value) => write_int(out, value),
        ValueRef::Float(value) => {
            let mut text = String::new();
            super::value::push_float(&mut text, value);
            // JSON has no infinity; arithmetic in a pipeline cannot make one, but null is the honest answer if it did.
            out.extend_from_slice(if value.is_finite() { text.as_bytes() } else { b"null" });
        }
        ValueRef::Big(digits) => out.extend_from_slice(digits.as_bytes()),
        ValueRef::Text(text) => write_string(out, text),
        ValueRef::Time(time) => {
            let mut text = String::new();
            super::value::push_time(&mut text, time);
            write_string(out, &text);
        }
        ValueRef::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(out, item.as_ref());
            }
            out.push(b']');
        }
        ValueRef::Object(object) => {
            out.push(b'{');
            write_entries(out, object, true);
            out.push(b'}');
        }
    }
}

/// Appends the entries of an object without its braces; `first` tells whether no entry stands before them.
pub(super) fn write_entries(out: &mut Vec<u8>, object: &Object, mut first: bool) {
    for (name, value) in object.iter() {
        write_name(out, name, &mut first);
        write(out, value.as_ref());
    }
}

/// Appends `,"name":`, the comma unless `first`.
pub(super) fn write_name(out: &mut Vec<u8>, name: &str, first: &mut bool) {
    if !*first {
        out.push(b',');
    }
    *first = false;
    write_string(out, name);
    out.push(b':');
}

/// Appends a whole number.
pub(super) fn write_int(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    write_u64(out, value.unsigned_abs());
}

/// Appends a whole number.
pub(super) fn write_u64(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        // A remainder of ten fits a byte.
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
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

/// Appends a text as a JSON string.
pub(super) fn write_string(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    let mut start = 0;
    for (index, &byte) in bytes.iter().enumerate() {
        let escape = ESCAPES[usize::from(byte)];
        if escape == 0 {
            continue;
        }
        out.extend_from_slice(&bytes[start..index]);
        start = index + 1;
        out.extend_from_slice(&[b'\\', escape]);
        if escape == b'u' {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            out.extend_from_slice(&[b'0', b'0', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
    out.extend_from_slice(&bytes[start..]);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(text: &str) -> String {
        let mut out = Vec::new();
        write(&mut out, parse(&Text::from(text)).unwrap().as_ref());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn reads_and_writes() {
        let text = r#"{"a":[1,-2.5,true,null,{"b":"x\"\\\n\u0001ü"}],"big":123456789012345678901234567890,"e":""}"#;
        assert_eq!(again(text), text);
        assert_eq!(again(r#" { "s" : "\u00e9\ud83d\ude00\ud83d\/" } "#), "{\"s\":\"é😀\u{fffd}/\"}");
        assert_eq!(again(r#"{"a":1,"b":2,"a":3}"#), r#"{"b":2,"a":3}"#);
    }

    #[test]
    fn refuses_what_is_not_json() {
        for wrong in [
            "",
            "{",
            "{\"a\"}",
            "[1,]",
            "01",
            "1.",
            "\"\u{1}\"",
            "\"\\x\"",
            "\"\\u12\"",
            "nul",
            "{} {}",
            "'a'",
            "1e999",
        ] {
            assert!(parse(&Text::from(wrong)).is_err(), "{wrong}");
        }
        let deep = "[".repeat(100_000);
        assert_eq!(parse(&Text::from(deep)).unwrap_err().problem, "it nests too deep");
    }
}
