//! One line of a json-file log, `{"log":"text\n","stream":"stdout","time":"2024-…Z"}`, with its fields found by
//! position. The text stays escaped as it is: that is the form the wire wants. What does not have Docker's exact shape
//! goes through a JSON parser, and what is not JSON at all is refused.
//!
//! The shape is that of moby's `jsonlog` package: `log`, `stream`, then `attrs` if the driver has any, then `time`.

use std::borrow::Cow;

use memchr::{memchr2, memmem, memrchr};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::escape::push_json_text;

/// Longest time that is looked for at the end of a line; RFC 3339 with nanoseconds and a zone has 35 bytes.
const TIME_BYTES_MAX: usize = 40;
/// `2024-05-01T12:00:00.000000001Z`.
const TIME_BYTES_USUAL: usize = 30;

/// Bytes that are looked at together.
const LOOK_BYTES: usize = 128;

/// Bytes of a register that every processor has.
const REGISTER_BYTES: usize = 16;

/// Which of a container's two outputs a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Stdout = 0,
    Stderr = 1,
}

/// One line, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// JSON-escaped text without its line end.
    pub(crate) text: Cow<'a, [u8]>,
    /// Whether the text ended in a line end. Docker cuts longer lines every 16 KB; all pieces but the last say no.
    pub(crate) whole: bool,
    /// Where it came from.
    pub(crate) output: Output,
    /// RFC 3339, as Docker wrote it.
    pub(crate) time: Cow<'a, [u8]>,
    /// The raw JSON object of labels and environment that the log driver was told to add.
    pub(crate) attrs: Option<Cow<'a, [u8]>>,
}

/// Whether every line of `chunk` may be copied without a closer look: valid UTF-8, no control characters but line
/// ends, no escaped surrogates (which could stand alone).
pub(crate) fn is_clean(chunk: &[u8]) -> bool {
    // In blocks of which the compiler makes wide operations; bytes past ASCII have the high bit.
    let look = |(strange, high), &byte: &u8| (strange | u8::from((byte < 0x20) & (byte != b'\n')), high | byte);
    let (strange, high) = chunk.chunks(LOOK_BYTES).fold((0, 0), |(strange, high), block| {
        let (here, bits) = block.iter().fold((0_u8, 0_u8), look);
        (strange | here, high | bits)
    });
    let surrogate = || memmem::find(chunk, b"\\ud").is_some() || memmem::find(chunk, b"\\uD").is_some();
    strange == 0
        && (high < 0x80 || std::str::from_utf8(chunk).is_ok())
        && (memmem::find(chunk, b"\\u").is_none() || !surrogate())
}

/// Takes one line apart, which is given without its final newline. `clean` says that [`is_clean`] holds for it.
/// `None`: it is not a json-file line.
pub(crate) fn parse(line: &[u8], clean: bool) -> Option<Line<'_>> {
    if clean && let Some(found) = by_position(line) {
        return Some(Line {
            text: Cow::Borrowed(found.text),
            whole: found.whole,
            output: found.output,
            time: Cow::Borrowed(found.time),
            attrs: None,
        });
    }
    by_parser(line)
}

/// A line of Docker's exact shape, its parts where they stand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exact<'a> {
    pub(crate) text: &'a [u8],
    pub(crate) whole: bool,
    pub(crate) output: Output,
    pub(crate) time: &'a [u8],
}

/// Takes a line apart for which [`is_clean`] holds. `None`: it does not have Docker's exact shape.
#[inline]
pub(crate) fn by_position(line: &[u8]) -> Option<Exact<'_>> {
    let inner = without_end(without_start(line, b"{\"log\":\"")?, b"\"}")?;
    // Nine times of ten Docker's time has all its digits.
    let usual = inner.len().wrapping_sub(TIME_BYTES_USUAL + 1);
    let quote = if inner.get(usual) == Some(&b'"') {
        usual
    } else {
        let tail_at = inner.len().saturating_sub(TIME_BYTES_MAX);
        tail_at + memrchr(b'"', &inner[tail_at..])?
    };
    let time = &inner[quote + 1..];
    let inner = without_end(&inner[..quote], b"\",\"time\":")?;
    let (text, output) = match without_end(inner, b"\",\"stream\":\"stdout") {
        Some(text) => (text, Output::Stdout),
        None => (without_end(inner, b"\",\"stream\":\"stderr")?, Output::Stderr),
    };
    if !is_time(time) || !is_json_text(text) {
        return None;
    }
    let (text, whole) = cut_line_end(text)?;
    Some(Exact { text, whole, output, time })
}

/// Like `strip_prefix`, for a length that the compiler knows: a comparison of two registers instead of a call.
#[inline]
fn without_start<'a, const N: usize>(bytes: &'a [u8], start: &[u8; N]) -> Option<&'a [u8]> {
    let (found, rest) = bytes.split_first_chunk::<N>()?;
    (found == start).then_some(rest)
}

/// Like `strip_suffix`, for a length that the compiler knows.
#[inline]
fn without_end<'a, const N: usize>(bytes: &'a [u8], end: &[u8; N]) -> Option<&'a [u8]> {
    let (rest, found) = bytes.split_last_chunk::<N>()?;
    (found == end).then_some(rest)
}

/// Cuts `\n` and `\r\n` in their escaped forms; `None` when the text ends inside of an escape.
fn cut_line_end(text: &[u8]) -> Option<(&[u8], bool)> {
    if let Some(before) = without_end(text, b"\\n")
        && trailing_backslashes(before).is_multiple_of(2)
    {
        let carriage = without_end(before, b"\\r").filter(|rest| trailing_backslashes(rest).is_multiple_of(2));
        return Some((carriage.unwrap_or(before), true));
    }
    trailing_backslashes(text).is_multiple_of(2).then_some((text, false))
}

fn trailing_backslashes(text: &[u8]) -> usize {
    text.iter().rev().take_while(|&&byte| byte == b'\\').count()
}

/// Whether the text may stand between quotes: a quote that is not escaped would end it (two records are glued together
/// then), and every escape must be one of JSON's.
fn is_json_text(text: &[u8]) -> bool {
    has_only_simple_escapes(text) || has_only_escapes(text)
}

fn has_only_escapes(text: &[u8]) -> bool {
    let mut at = 0;
    while let Some(found) = memchr2(b'"', b'\\', &text[at..]) {
        at += found;
        at += match text[at..] {
            [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => 2,
            [b'\\', b'u', a, b, c, d, ..] if [a, b, c, d].iter().all(u8::is_ascii_hexdigit) => 6,
            _ => return false,
        };
    }
    true
}

/// Whether every quote is the second of an escape, and every escape is one of the usual few: so it is in nearly all text,
/// and comparing each byte with the one before it is work that the compiler makes wide.
#[inline]
fn has_only_simple_escapes(text: &[u8]) -> bool {
    if matches!(text, [b'"', ..] | [.., b'\\']) {
        return false;
    }
    let strange = |before: u8, byte: u8| {
        let simple = (byte == b'"') | (byte == b'n') | (byte == b't') | (byte == b'r') | (byte == b'/');
        u8::from(((before == b'\\') & !simple) | ((before != b'\\') & (byte == b'"')))
    };
    let after = text.get(1..).unwrap_or_default();
    let before = &text[..after.len()];
    // Whole registers, lane by lane. The last one looks at some bytes again, which costs less than one after the other.
    let (Some(last_before), Some(last)) = (before.last_chunk::<REGISTER_BYTES>(), after.last_chunk::<REGISTER_BYTES>())
    else {
        return before.iter().zip(after).all(|(&before, &byte)| strange(before, byte) == 0);
    };
    let look = |mut found: [u8; REGISTER_BYTES], befores: &[u8; REGISTER_BYTES], bytes: &[u8; REGISTER_BYTES]| {
        for (lane, found) in found.iter_mut().enumerate() {
            *found |= strange(befores[lane], bytes[lane]);
        }
        found
    };
    let mut found = look([0; REGISTER_BYTES], last_before, last);
    for (befores, bytes) in before.as_chunks().0.iter().zip(after.as_chunks().0) {
        found = look(found, befores, bytes);
    }
    found == [0; REGISTER_BYTES]
}

/// Cheap check that a time can be copied into a document: digits and the signs of RFC 3339.
pub(crate) fn is_time(time: &[u8]) -> bool {
    // `+` to `:` are the signs and the digits, with a comma and a slash between them. Comparisons, not a table: the
    // compiler makes wide ones of them.
    let strange = |byte: u8| {
        let within = byte.wrapping_sub(b'+') <= b':' - b'+' && byte != b',' && byte != b'/';
        u8::from(!(within || byte == b'T' || byte == b'Z'))
    };
    if !(20..=TIME_BYTES_MAX).contains(&time.len()) || !time[0].is_ascii_digit() {
        return false;
    }
    let (Some(first), Some(last)) = (time.first_chunk::<REGISTER_BYTES>(), time.last_chunk::<REGISTER_BYTES>()) else {
        return false;
    };
    let mut found = [0; REGISTER_BYTES];
    for (lane, found) in found.iter_mut().enumerate() {
        *found = strange(first[lane]) | strange(last[lane]);
    }
    // Nothing is between them in times of the usual length.
    let between = time.get(REGISTER_BYTES..time.len() - REGISTER_BYTES).unwrap_or_default();
    found == [0; REGISTER_BYTES] && between.iter().all(|&byte| strange(byte) == 0)
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow, default)]
    log: Option<&'a RawValue>,
    #[serde(borrow, default)]
    stream: Option<Cow<'a, str>>,
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(borrow, default)]
    attrs: Option<&'a RawValue>,
}

fn by_parser(line: &[u8]) -> Option<Line<'_>> {
    let text: Cow<'_, str> = String::from_utf8_lossy(line);
    let document: Document<'_> = serde_json::from_str(&text).ok()?;
    if !is_time(document.time.as_bytes()) {
        return None;
    }
    // An empty `log` is left out by Docker; such a piece has no line end either.
    let raw = document.log.map_or("\"\"", RawValue::get);
    let escaped = raw.strip_prefix('"')?.strip_suffix('"')?;
    let mut rewritten = Vec::with_capacity(escaped.len());
    match serde_json::from_str::<String>(raw) {
        Ok(plain) => push_json_text(plain.as_bytes(), &mut rewritten),
        // A lone surrogate: legal to JSON's grammar, and not a character.
        Err(_) => replace_surrogates(escaped.as_bytes(), &mut rewritten),
    }
    let (text, whole) = cut_line_end(&rewritten)?;
    let output = if document.stream.as_deref() == Some("stderr") { Output::Stderr } else { Output::Stdout };
    Some(Line {
        text: Cow::Owned(text.to_vec()),
        whole,
        output,
        time: Cow::Owned(document.time.as_bytes().to_vec()),
        attrs: document
            .attrs
            .map(RawValue::get)
            .filter(|raw| raw.starts_with('{'))
            .map(|raw| Cow::Owned(raw.as_bytes().to_vec())),
    })
}

/// Copies escaped text, with U+FFFD for every escaped surrogate that has no partner.
fn replace_surrogates(text: &[u8], out: &mut Vec<u8>) {
    let code = |at: usize| -> Option<u32> {
        let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let mut at = 0;
    while at < text.len() {
        if text[at] != b'\\' {
            out.push(text[at]);
            at += 1;
            continue;
        }
        match code(at) {
            Some(0xd800..=0xdbff) if matches!(code(at + 6), Some(0xdc00..=0xdfff)) => {
                out.extend_from_slice(&text[at..at + 12]);
                at += 12;
            }
            Some(0xd800..=0xdfff) => {
                out.extend_from_slice("\u{fffd}".as_bytes());
                at += 6;
            }
            Some(_) => {
                out.extend_from_slice(&text[at..at + 6]);
                at += 6;
            }
            None => {
                let end = (at + 2).min(text.len());
                out.extend_from_slice(&text[at..end]);
                at = end;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases;

    const TIME: &str = "2017-11-09T13:27:36.277747246Z";

    fn record(text: &str) -> Vec<u8> {
        format!(r#"{{"log":"{text}","stream":"stderr","time":"{TIME}"}}"#).into_bytes()
    }

    fn text_of(line: &[u8]) -> Option<(String, bool)> {
        let line = parse(line, is_clean(line))?;
        Some((String::from_utf8(line.text.into_owned()).unwrap(), line.whole))
    }

    #[test]
    fn the_text_stays_escaped_and_loses_its_line_end() {
        for (text, expected, whole) in [
            (r"hello\n", "hello", true),
            (r"hello", "hello", false),
            (r"windows\r\n", "windows", true),
            (r"a path c:\\n", r"a path c:\\n", false),
            (r"a path c:\\\n", r"a path c:\\", true),
            (r#"{\"level\":\"info\"}\n"#, r#"{\"level\":\"info\"}"#, true),
            ("", "", false),
            (r"\n", "", true),
            (r"gr\u00fc\u00dfe \u001b[31mred\n", r"gr\u00fc\u00dfe \u001b[31mred", true),
        ] {
            let line = record(text);
            let fast = by_position(&line).unwrap();
            assert_eq!((fast.text, fast.whole), (expected.as_bytes(), whole), "{text}");
            assert_eq!((fast.output, fast.time), (Output::Stderr, TIME.as_bytes()));
        }
    }

    #[test]
    fn the_wide_check_of_escapes_says_yes_only_where_the_exact_one_does() {
        // All texts of up to six of these bytes, at places before, at and behind the width of a register.
        let letters = [b'"', b'\\', b'n', b'u', b'x'];
        let (mut both, mut exact) = (0, 0);
        for (n, length) in (0..=6).flat_map(|length| (0..letters.len().pow(length)).map(move |n| (n, length))) {
            let text: Vec<u8> = (0..length).map(|at| letters[n / letters.len().pow(at) % letters.len()]).collect();
            for before in [0, 13, 30] {
                let text = [&vec![b' '; before], &text[..]].concat();
                if has_only_simple_escapes(&text) {
                    both += 1;
                    assert!(has_only_escapes(&text), "{}", String::from_utf8_lossy(&text));
                }
                exact += usize::from(has_only_escapes(&text));
                let parsed = serde_json::from_slice::<String>(&[b"\"", &text[..], b"\""].concat());
                assert_eq!(is_json_text(&text), parsed.is_ok(), "{}", String::from_utf8_lossy(&text));
            }
        }
        assert!(both > 1000 && exact > both, "{both} of {exact}");
    }

    #[test]
    fn a_strange_byte_is_found_wherever_it_stands_in_a_time() {
        let longest = b"2017-11-09T13:27:36.277747246+02:00:0000";
        assert_eq!(longest.len(), TIME_BYTES_MAX);
        for length in 20..=TIME_BYTES_MAX {
            assert!(is_time(&longest[..length]), "{length}");
            for at in 0..length {
                for strange in *b"x\" ,/;\x00\xff" {
                    let mut time = longest[..length].to_vec();
                    time[at] = strange;
                    assert!(!is_time(&time), "{}", String::from_utf8_lossy(&time));
                }
            }
        }
        assert!(!is_time(&longest[..19]) && !is_time(&[&longest[..], b"0"].concat()));
    }

    #[test]
    fn a_glued_record_is_not_taken_by_position() {
        let glued = [&br#"{"log":"half of a li"#[..], &record(r"whole\n")].concat();
        assert_eq!(parse(&glued, true), None);
        let line = record(r"ends in an escape\");
        assert_eq!(parse(&line, true), None);
        for escape in [r"\l", r"\u12", r"\u12x4", r"\u"] {
            assert_eq!(parse(&record(&format!("no {escape} escape\\n")), true), None, "{escape}");
        }
    }

    #[test]
    fn other_shapes_go_through_a_parser() {
        let attrs = format!(r#"{{"log":"hi\n","stream":"stdout","attrs":{{"k":"v"}},"time":"{TIME}"}}"#);
        let line = parse(attrs.as_bytes(), true).unwrap();
        assert_eq!(line.attrs.as_deref(), Some(&br#"{"k":"v"}"#[..]));
        assert_eq!((&*line.text, line.whole), (&b"hi"[..], true));
        let order = format!(r#"{{"time":"{TIME}", "stream":"stdout", "log":"hi\u000a"}}"#);
        assert_eq!(text_of(order.as_bytes()), Some(("hi".to_owned(), true)));
        assert_eq!(parse(br#"{"log":"no time\n","stream":"stdout"}"#, true), None);
        assert_eq!(parse(b"this is not JSON", true), None);
    }

    #[test]
    fn what_is_no_character_becomes_one() {
        let mut broken = record("a?b\\n");
        let at = broken.iter().position(|byte| *byte == b'?').unwrap();
        broken[at] = 0xff;
        assert!(!is_clean(&broken));
        assert_eq!(text_of(&broken), Some(("a\u{fffd}b".to_owned(), true)));
        assert_eq!(text_of(&record(r"cut \ud83d\n")), Some(("cut \u{fffd}".to_owned(), true)));
        assert_eq!(text_of(&record(r"whole \ud83d\ude00\n")), Some(("whole 😀".to_owned(), true)));
    }

    /// Filebeat's own cases, as far as they are of Docker's lines: those of containerd are tried where those are taken apart.
    #[test]
    fn peers_cases_of_docker_lines() {
        let docker = |case: &serde_json::Value, lines: &[String]| case["format"] != "cri" && lines[0].starts_with('{');
        let Some(cases) = cases::of_lines(docker) else { return };
        assert!(cases.len() >= 8, "{} cases", cases.len());
        for (case, lines) in cases {
            let parsed: Vec<_> = lines.iter().map(|line| parse(line.as_bytes(), is_clean(line.as_bytes()))).collect();
            if case["error"] == true {
                assert!(parsed.iter().any(Option::is_none), "{case}");
                continue;
            }
            let wanted = parsed.iter().flatten().filter(|line| cases::wants(&case, line.output));
            // These cases keep the line's end.
            let message = cases::message(&case, wanted.map(|line| (&*line.text, line.whole)), "\n");
            assert_eq!(case["message"], message, "{case}");
            let attrs = parsed[0].as_ref().and_then(|line| line.attrs.as_deref());
            let attrs = attrs.map_or(serde_json::Value::Null, |attrs| serde_json::from_slice(attrs).unwrap());
            assert_eq!(case["fields"]["docker"]["attrs"], attrs);
        }
    }
}
