//! The level of a JSON object on one line: `{"level":"error",…}`, `{"log":{"level":"WARN"}}`, `{"level":50,"pid":1,…}`.
use super::{Level, word};
use memchr::{memchr, memchr2};

/// How far into a line a key is looked for, in bytes: past it, a line is one big document and no log record.
const REACH_BYTES: usize = 64 * 1024;
/// Objects inside objects that are looked into (`record.level.name` needs three).
const DEPTH: usize = 4;
/// Text of a wrapped line (`{"log":"…\n","stream":…}`) that is unescaped and looked at, in bytes.
const WRAPPED_BYTES: usize = 512;

/// What an object is, which decides what its keys mean.
#[derive(Clone, Copy, PartialEq)]
enum Object {
    /// The record, or a part of it that is known to hold the level (`log`, `record`).
    Record,
    /// The level itself: `"level":{"name":"INFO","no":20}`.
    Level,
}

/// What a key means.
enum Key<'a> {
    Level,
    /// Python's `levelno`: 10 is debug.
    PythonNumber,
    /// A number as in syslog: journald's `PRIORITY`.
    SyslogNumber,
    /// MongoDB's `s`.
    Letter,
    Tags,
    Other(&'a [u8]),
}

/// The level that the object at the start of `text` states; `layers` is how often a text in it is looked into. A line that was cut off is read as far as it goes.
pub(super) fn level(text: &[u8], layers: u8) -> Option<Level> {
    let text = &text[..text.len().min(REACH_BYTES)];
    let mut objects = [Object::Record; DEPTH];
    let mut depth = 1;
    let mut at = 1;
    let mut number: Option<u32> = None;
    let mut pino = false;
    let mut gelf = false;
    let mut serilog = Serilog::default();
    let mut fallback = None;
    let mut wrapped: &[u8] = b"";
    let mut first = true;
    while depth > 0 {
        at = skip_space(text, at);
        match text.get(at) {
            Some(b',') => at += 1,
            Some(b'}') => {
                depth -= 1;
                at += 1;
            }
            Some(b'"') => {
                let Some(end) = string_end(text, at + 1) else { break };
                let key = &text[at + 1..end];
                at = skip_space(text, end + 1);
                if text.get(at) != Some(&b':') {
                    break;
                }
                at = skip_space(text, at + 1);
                let meaning = match objects[depth - 1] {
                    Object::Level if key == b"name" => Key::Level,
                    Object::Level => Key::Other(b""),
                    Object::Record => meaning(key, depth, first),
                };
                first = first && key == b"t";
                match text.get(at) {
                    Some(b'"') => {
                        let end = string_end(text, at + 1);
                        let value = &text[at + 1..end.unwrap_or(text.len())];
                        let found = match meaning {
                            Key::Level if end.is_some() => {
                                number = number.or_else(|| digits(value));
                                word::value(value)
                            }
                            Key::SyslogNumber => digits(value).and_then(Level::from_syslog),
                            Key::Letter if value.len() <= 2 => word::value(value),
                            Key::Other(b"log") if depth == 1 => {
                                wrapped = value;
                                None
                            }
                            Key::Other(b"hostname" | b"time") => {
                                pino = true;
                                None
                            }
                            Key::Other(b"short_message") => {
                                gelf = true;
                                None
                            }
                            Key::Other(key @ [b'@', ..]) => {
                                serilog.meet(key);
                                None
                            }
                            _ => None,
                        };
                        if found.is_some() {
                            return found;
                        }
                        let Some(end) = end else { break };
                        at = end + 1;
                    }
                    Some(b'{') => {
                        let into = match meaning {
                            Key::Level => Some(Object::Level),
                            Key::Other(b"log" | b"record" | b"metadata") => Some(Object::Record),
                            _ => None,
                        };
                        match into {
                            Some(object) if depth < DEPTH => {
                                objects[depth] = object;
                                depth += 1;
                                at += 1;
                            }
                            _ => at = skip_nested(text, at)?,
                        }
                    }
                    Some(b'[') => {
                        let Some(end) = skip_nested(text, at) else { break };
                        if matches!(meaning, Key::Tags) {
                            fallback = tagged(&text[at + 1..end - 1]);
                        }
                        at = end;
                    }
                    Some(_) => {
                        let end = at + text[at..].iter().take_while(|b| !b",}] \t".contains(b)).count();
                        let value = &text[at..end];
                        match meaning {
                            Key::Level => number = number.or_else(|| digits(value)),
                            Key::PythonNumber => fallback = fallback.or(digits(value).and_then(python)),
                            Key::SyslogNumber => fallback = fallback.or(digits(value).and_then(Level::from_syslog)),
                            Key::Other(b"pid" | b"time" | b"v") => pino = true,
                            _ => {}
                        }
                        if end == at {
                            break;
                        }
                        at = end;
                    }
                    None => break,
                }
            }
            _ => break,
        }
        if pino && let Some(level @ Some(_)) = number.map(Level::from_pino) {
            return level;
        }
    }
    if let Some(number) = number {
        return match number {
            0..=7 if gelf => Level::from_syslog(number),
            100.. => monolog(number),
            // Without bunyan's or pino's other fields the scale is unknown (Python's 30 is a warning): only what is a
            // warning or worse on both scales is believed.
            40.. => Level::from_pino(number),
            _ => None,
        };
    }
    fallback
        .or(serilog.level(depth == 0))
        .or_else(|| if wrapped.is_empty() || layers == 0 { None } else { inside(wrapped, layers - 1) })
}

/// Serilog's compact format writes no level where it is Information: `{"@t":"…","@mt":"…"}`.
#[derive(Default)]
struct Serilog {
    time: bool,
    message: bool,
    exception: bool,
}

impl Serilog {
    fn meet(&mut self, key: &[u8]) {
        match key {
            b"@t" => self.time = true,
            b"@m" | b"@mt" => self.message = true,
            b"@x" => self.exception = true,
            _ => {}
        }
    }

    /// The level of the record: only of one that is whole, since a level may stand in what was cut off.
    fn level(&self, whole: bool) -> Option<Level> {
        (whole && self.time && self.message && !self.exception).then_some(Level::Info)
    }
}

fn meaning(key: &[u8], depth: usize, after_t: bool) -> Key<'_> {
    match key.first() {
        Some(b'l' | b'L' | b's' | b'S' | b'@' | b'P' | b't') if key.len() <= 20 => {}
        _ => return Key::Other(key),
    }
    match key {
        b"s" if depth == 1 && after_t => return Key::Letter,
        b"L" | b"@l" => return Key::Level,
        b"PRIORITY" => return Key::SyslogNumber,
        b"tags" if depth == 1 => return Key::Tags,
        _ => {}
    }
    let mut plain = [0; 20];
    let mut len = 0;
    for byte in key.iter().filter(|b| !b"_.-@".contains(b)) {
        plain[len] = byte.to_ascii_lowercase();
        len += 1;
    }
    match &plain[..len] {
        b"level" | b"lvl" | b"severity" | b"loglevel" | b"levelname" | b"severitytext" => Key::Level,
        b"levelno" => Key::PythonNumber,
        b"syslogseverity" => Key::SyslogNumber,
        _ => Key::Other(key),
    }
}

/// Kibana and other users of hapi's `good` state the level among the tags: `"tags":["info","savedobjects-service"]`.
fn tagged(mut list: &[u8]) -> Option<Level> {
    let mut most = None;
    while let Some(start) = memchr(b'"', list) {
        let end = string_end(list, start + 1)?;
        most = most.max(word::whole(&list[start + 1..end]).map(|word| word.level));
        list = &list[end + 1..];
    }
    most
}

/// The level of a line that a container runtime wrapped: Docker's `{"log":"…\n","stream":"stdout",…}`.
fn inside(escaped: &[u8], layers: u8) -> Option<Level> {
    let mut text = [0; WRAPPED_BYTES];
    let len = super::unescape(escaped, &mut text);
    super::layer(&text[..len], layers)
}

fn python(number: u32) -> Option<Level> {
    Some(match number {
        10 => Level::Debug,
        20 => Level::Info,
        30 => Level::Warn,
        40 => Level::Error,
        50 => Level::Critical,
        _ => return None,
    })
}

fn monolog(number: u32) -> Option<Level> {
    Some(match number {
        100 => Level::Debug,
        200 => Level::Info,
        250 => Level::Notice,
        300 => Level::Warn,
        400 => Level::Error,
        500 | 550 | 600 => Level::Critical,
        _ => return None,
    })
}

fn digits(text: &[u8]) -> Option<u32> {
    if text.is_empty() || text.len() > 4 {
        return None;
    }
    text.iter().try_fold(0, |sum, b| b.is_ascii_digit().then(|| sum * 10 + u32::from(b - b'0')))
}

fn skip_space(text: &[u8], mut at: usize) -> usize {
    while matches!(text.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

/// The place of the quote that ends the string whose first character is at `from`.
pub(super) fn string_end(text: &[u8], mut from: usize) -> Option<usize> {
    loop {
        let at = from + memchr2(b'"', b'\\', text.get(from..)?)?;
        if text[at] == b'"' {
            return Some(at);
        }
        from = at + 2;
    }
}

/// The place after the object or list that starts at `at`.
fn skip_nested(text: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    loop {
        match text.get(at)? {
            b'"' => at = string_end(text, at + 1)?,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
}
