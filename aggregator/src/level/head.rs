//! The level in the head of a line of text: times, numbers, names and brackets, up to the first words of a message.
//!
//! The head is walked word by word. Structured words (numbers, dotted names, addresses, `key=value`, brackets) belong to
//! it; a few plain words may (a host, a logger's name); with the third the message has begun and the walk ends. A colon,
//! a dash or a bar starts a new part of the head. Where a level may stand, and how it must be set apart there, is
//! decided in [`Walk::bare`] and [`Walk::colon`].
mod names;
mod words;

use super::after::{After, value_like};
use super::word::{Case, Strength, Word};
use super::{COLOUR, HEAD_BYTES, Level, group, is_gap, json, pairs, prose, shape, word};

/// Plain words after which a line is taken to be in its message.
const PLAIN_WORDS: u8 = 3;
/// Words in capitals before a level: `RAS KERNEL INFO`.
const UPPER_WORDS: u8 = 3;
/// Parts that end in a colon: `host prog[1]: general: info: …`.
const PARTS: u8 = 4;
/// Times and structured words that make words in capitals after them columns as well, and no shouting.
const COLUMNS: u8 = 5;

/// The level that the head of `line` states. `indented`: space stood before it.
pub(super) fn level(line: &[u8], indented: bool) -> Option<Level> {
    // Of several lines in one (a stack trace) the first has the head.
    let end = memchr::memchr(b'\n', &line[..line.len().min(HEAD_BYTES)]).unwrap_or(line.len());
    let line = line[..end].strip_suffix(b"\r").unwrap_or(&line[..end]);
    let mut walk = Walk {
        line,
        limit: line.len().min(HEAD_BYTES),
        indented,
        at: 0,
        from: 0,
        fresh: false,
        time: false,
        columns: 0,
        fields: 0,
        plain: 0,
        plain_here: 0,
        upper: 0,
        parts: 0,
        named: false,
        bracket: false,
        bar: false,
    };
    loop {
        match walk.step() {
            Step::On => {}
            Step::Stated(level) => return Some(level),
            Step::Message => return None,
        }
    }
}

/// What one word of the head says.
enum Step {
    /// Nothing: go on.
    On,
    Stated(Level),
    /// The message has begun, or nothing is left.
    Message,
}

struct Walk<'a> {
    line: &'a [u8],
    /// Where the head ends at the latest.
    limit: usize,
    indented: bool,
    at: usize,
    /// Where this part's first word starts: after the last bar or colon.
    from: usize,
    /// The next word is that word.
    fresh: bool,
    /// A time was read in this part.
    time: bool,
    /// Structured words read in this part, times apart.
    columns: u8,
    /// The same with times.
    fields: u8,
    /// Plain words read in all, and since the last dash, bar or colon.
    plain: u8,
    plain_here: u8,
    /// Words in capitals read in this part.
    upper: u8,
    /// Parts that ended in a colon.
    parts: u8,
    /// A name, not a time, a bracket or the end of a part, stands right before.
    named: bool,
    /// A bracket stands right before.
    bracket: bool,
    /// A bar stands right before.
    bar: bool,
}

/// What stands right before a word.
#[derive(Clone, Copy)]
struct Before {
    bracket: bool,
    bar: bool,
    named: bool,
}

/// The space before a word.
struct Gap {
    width: usize,
    tab: bool,
    colour: bool,
}

impl<'a> Walk<'a> {
    fn step(&mut self) -> Step {
        let gap = self.gap();
        if self.at >= self.limit {
            return Step::Message;
        }
        if self.fresh {
            self.from = self.at;
            self.fresh = false;
        }
        let (bracket, bar, named) = (self.bracket, self.bar, self.named);
        (self.bracket, self.bar, self.named) = (false, false, false);
        match self.line[self.at] {
            b'A'..=b'Z' | b'a'..=b'z' => self.word(&gap, Before { bracket, bar, named }),
            b'0'..=b'9' => self.number(),
            b'[' | b'(' | b'<' | b'{' => self.bracket(),
            b'|' => {
                self.at += 1;
                self.bar = true;
                self.fresh = true;
                self.plain_here = 0;
                Step::On
            }
            b'"' | b'\'' | b'`' => Step::Message,
            128.. => self.plain(self.token_end()),
            _ => self.mark(bracket),
        }
    }

    fn gap(&mut self) -> Gap {
        let start = self.at;
        let mut gap = Gap { width: 0, tab: false, colour: false };
        while self.at < self.limit {
            match self.line[self.at] {
                b' ' => {}
                b'\t' => gap.tab = true,
                COLOUR => gap.colour = true,
                _ => break,
            }
            self.at += 1;
        }
        gap.width = self.at - start;
        gap
    }

    fn token_end(&self) -> usize {
        let rest = &self.line[self.at..self.limit];
        self.at + rest.iter().position(|b| is_gap(*b) || *b == b'|').unwrap_or(rest.len())
    }

    fn column(&mut self, end: usize) -> Step {
        self.columns = self.columns.saturating_add(1);
        self.fields = self.fields.saturating_add(1);
        self.at = end;
        Step::On
    }

    fn plain(&mut self, end: usize) -> Step {
        self.plain += 1;
        self.plain_here += 1;
        self.at = end;
        if self.plain_here >= PLAIN_WORDS || self.plain > PLAIN_WORDS { Step::Message } else { Step::On }
    }

    /// A word that begins with a digit: a date, a time, an address, a number.
    fn number(&mut self) -> Step {
        let start = self.at;
        let mut end = start;
        let mut clock = false;
        while end < self.limit {
            let byte = self.line[end];
            if is_gap(byte) || byte == b'|' {
                break;
            }
            if matches!(byte, b':' | b';' | b',') && end + 1 < self.limit {
                let next = self.line[end + 1];
                clock |= byte == b':' && next.is_ascii_digit() && self.line[end - 1].is_ascii_digit();
                // Jetty's `2024-05-01 12:00:00.123:WARN:oejs.Server:main: …`; columns between semicolons.
                if next.is_ascii_uppercase() {
                    let letters = run(self.line, end + 1);
                    let word = word::word(&self.line[end + 1..letters]);
                    if self.line.get(letters) == Some(&byte)
                        && let Some(word) = word.filter(|w| w.case == Case::Upper && w.strength == Strength::Common)
                    {
                        return Step::Stated(word.level);
                    }
                }
            }
            end += 1;
        }
        let token = &self.line[start..end];
        let date = token.len() >= 8
            && token[..4].iter().all(u8::is_ascii_digit)
            && matches!(token[4], b'-' | b'/' | b'.')
            && token[5].is_ascii_digit();
        let epoch =
            token.len() >= 6 && token[..6].iter().all(u8::is_ascii_digit) && (start == self.from || token.len() > 8);
        if clock || date || epoch {
            // `JVB 2024-05-01 12:00:00 WARNING: …`: a program, and no word of a message.
            if date && self.plain + self.upper <= 1 {
                (self.plain_here, self.upper) = (0, 0);
            }
            self.time = true;
            self.fields = self.fields.saturating_add(1);
            self.at = end;
            return Step::On;
        }
        self.column(end)
    }

    fn bracket(&mut self) -> Step {
        if self.line[self.at] == b'{' && matches!(self.line.get(self.at + 1), Some(b'"')) {
            return match json::level(&self.line[self.at..], 0) {
                Some(level) if self.plain == 0 => Step::Stated(level),
                _ => Step::Message,
            };
        }
        let Some(group) = group::read(self.line, self.at) else {
            // `< header: …` of curl.
            let end = self.token_end();
            return if end == self.at + 1 { self.plain(end) } else { self.column(end) };
        };
        if let Some(level) = group.level
            && (self.plain_here == 0 || self.plain_here == 1 && level > Level::Info)
        {
            return Step::Stated(level);
        }
        self.time |= group.time;
        self.bracket = true;
        self.column(group.end)
    }

    /// A word that begins with a mark: a dash or a colon between parts, Redis's marks, a path.
    fn mark(&mut self, bracket: bool) -> Step {
        let start = self.at;
        let first = self.line[start];
        let end = self.token_end();
        let token = &self.line[start..end];
        if token.len() == 1
            && matches!(first, b'.' | b'-' | b'*' | b'#')
            && self.time
            && let Some(level) = shape::redis(&self.line[self.from..], start - self.from)
        {
            return Step::Stated(level);
        }
        if let Some(level) = shape::cisco(token) {
            return Step::Stated(level);
        }
        // Sling's `03.02.2026 10:11:12.345 *INFO* [thread] …`.
        if let [b'*', name @ .., b'*'] = token
            && self.time
            && let Some(word) = word::whole(name)
            && word.case == Case::Upper
        {
            return Step::Stated(word.level);
        }
        // `INFO` may stand right after `]:` or `--`.
        let marks = token.iter().take_while(|b| matches!(b, b'-' | b':' | b'=' | b'*' | b',' | b'~')).count();
        if marks > 0 && (marks == token.len() || bracket) {
            self.plain_here = 0;
            if first == b':' {
                self.upper = 0;
            }
            self.at = start + marks;
            return Step::On;
        }
        match first {
            b'/' | b'@' | b'+' | b'-' | b'*' | b'%' | b'_' | b'.' | b':' | b'#' => self.column(end),
            _ => self.plain(end),
        }
    }
}

fn run(line: &[u8], from: usize) -> usize {
    from + line[from..].iter().take_while(|b| b.is_ascii_alphabetic()).count()
}

/// ` 1: …`
fn numbered(text: &[u8]) -> bool {
    let digits = text.iter().skip(1).take_while(|b| b.is_ascii_digit()).count();
    digits > 0 && text[0] == b' ' && text[1 + digits..].starts_with(b": ")
}

fn is_zone(letters: &[u8]) -> bool {
    matches!(letters, b"UTC" | b"GMT") || letters.last() == Some(&b'T') && letters.len() >= 3
}

fn start_of(walk: &Walk) -> bool {
    walk.at == 0
}

fn word_is_log(walk: &Walk, end: usize) -> bool {
    &walk.line[walk.at..end] == b"LOG"
}
