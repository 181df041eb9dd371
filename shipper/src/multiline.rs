//! Which lines belong together: stack traces of the common languages and PostgreSQL's continuation lines without any
//! configuration, and Filebeat's `pattern`, `negate` and `match` for everything else.
//!
//! Whether a line continues a group is decided by the group's own lines and the times that Docker gave them, never by
//! what was before the group or by the wall clock: reading the same bytes again groups them the same way.
//!
//! Texts are JSON-escaped here: a tab is the two bytes `\t`.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use regex::Regex;

/// Lines of one event at most; Filebeat's default.
pub(crate) const LINES_MAX: u32 = 500;
/// How far apart, by the driver's clock, a line and its continuation may be. A trace is printed at once.
pub(crate) const LINE_GAP: Duration = Duration::from_millis(500);
/// A trace whose first line is not indented belongs to the log line before it only when the two were printed at once.
const HEADER_GAP: Duration = Duration::from_millis(10);
/// Longest pattern that is taken; the engine is linear, and its size is bounded by this.
const PATTERN_BYTES_MAX: usize = 4096;

/// What a group of lines is so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// One ordinary line, and what is certainly a continuation.
    #[default]
    Ordinary,
    /// Frames were seen: whatever is indented goes on.
    Frames,
    /// After Python's `Traceback (most recent call last):`, before the exception itself.
    Traceback,
    /// After Python's exception: another one may follow.
    Raised,
    /// A Go panic or a dump of goroutines.
    Goroutines,
    /// A Rust panic whose message is on the next line.
    Panicked,
    /// The rest of a Rust panic.
    Backtrace,
    /// By pattern: whether the last line matched.
    Matched(bool),
    /// By pattern: the group is over whatever comes.
    Over,
}

/// Filebeat's settings of the same names.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    pattern: Regex,
    negate: bool,
    /// `match: after`: lines that match belong to the one before. Else to the one behind.
    after: bool,
    flush: Option<Regex>,
}

/// How lines are grouped.
#[derive(Clone, Debug, Default)]
pub(crate) enum Grouping {
    /// Every line is an event.
    Off,
    /// By the shapes of traces.
    #[default]
    Auto,
    /// By pattern.
    Pattern(Arc<Pattern>),
}

impl Grouping {
    /// A grouping by pattern.
    ///
    /// # Errors
    /// The expression that cannot be compiled, and why.
    pub(crate) fn pattern(pattern: &str, negate: bool, after: bool, flush: Option<&str>) -> Result<Self, String> {
        let compile = |pattern: &str| {
            let fits = pattern.len() <= PATTERN_BYTES_MAX;
            let fits = if fits { Ok(()) } else { Err("it is too long".to_owned()) };
            fits.and_then(|()| Regex::new(pattern).map_err(|error| error.to_string()))
        };
        let flush = flush.map(compile).transpose()?;
        Ok(Self::Pattern(Arc::new(Pattern { pattern: compile(pattern)?, negate, after, flush })))
    }

    /// What a container's label `weir.multiline` asks for: `off`, `auto`, or the pattern of an event's first line.
    pub(crate) fn from_label(label: &str) -> Result<Self, String> {
        match label {
            "off" | "false" => Ok(Self::Off),
            "auto" | "true" => Ok(Self::Auto),
            pattern => Self::pattern(pattern, true, true, None),
        }
    }

    /// The state of a group of this one line.
    pub(crate) fn first(&self, text: &[u8]) -> State {
        match self {
            Self::Off => State::Over,
            Self::Auto => opening(text),
            Self::Pattern(pattern) => pattern.state(text),
        }
    }

    /// The state of the group with this line added, or `None` when the line begins another group.
    /// `gap`: how long after the group's last line it came; asked for only where it matters.
    pub(crate) fn next(&self, state: State, text: &[u8], gap: impl FnOnce() -> Duration) -> Option<State> {
        match self {
            Self::Off => None,
            Self::Auto => {
                if state == State::Ordinary && begins_a_line(text) {
                    return None;
                }
                continued(state, text, Duration::ZERO)?;
                let gap = gap();
                if gap > LINE_GAP { None } else { continued(state, text, gap) }
            }
            Self::Pattern(pattern) => {
                let State::Matched(before) = state else { return None };
                let matches = if pattern.after { pattern.matches(text) } else { before };
                matches.then(|| pattern.state(text))
            }
        }
    }
}

impl Pattern {
    fn matches(&self, text: &[u8]) -> bool {
        self.pattern.is_match(&plain(text)) != self.negate
    }

    fn state(&self, text: &[u8]) -> State {
        if self.flush.as_ref().is_some_and(|flush| flush.is_match(&plain(text))) {
            return State::Over;
        }
        State::Matched(self.matches(text))
    }
}

fn plain(text: &[u8]) -> Cow<'_, str> {
    if !text.contains(&b'\\') {
        return String::from_utf8_lossy(text);
    }
    let quoted = [b"\"", text, b"\""].concat();
    serde_json::from_slice::<String>(&quoted)
        .map_or_else(|_| String::from_utf8_lossy(text).into_owned().into(), Cow::Owned)
}

fn opening(text: &[u8]) -> State {
    match text.first() {
        Some(b'T') if text.starts_with(b"Traceback (most recent call last)") => State::Traceback,
        Some(b'p') if text.starts_with(b"panic: ") => State::Goroutines,
        Some(b'f') if text.starts_with(b"fatal error: ") => State::Goroutines,
        Some(b'g') if is_goroutine(text) => State::Goroutines,
        Some(b't') if is_rust_panic(text) => {
            if text.ends_with(b":") {
                State::Panicked
            } else {
                State::Backtrace
            }
        }
        _ => State::Ordinary,
    }
}

fn continued(state: State, text: &[u8], gap: Duration) -> Option<State> {
    let indent = indentation(text);
    let rest = &text[indent..];
    match state {
        State::Ordinary => ordinary_continued(text, indent, gap),
        State::Frames => {
            if indent > 0 && !rest.is_empty() || is_trace_word(text) || is_php_frame(text) {
                return Some(State::Frames);
            }
            // Node closes the object that it prints behind an error.
            (text == b"}").then_some(State::Ordinary)
        }
        State::Traceback => {
            if indent > 0 || text.is_empty() {
                Some(State::Traceback)
            } else {
                // `ValueError: …`, or a bare `KeyboardInterrupt`.
                Some(State::Raised)
            }
        }
        State::Raised => {
            if text.is_empty()
                || text.starts_with(b"During handling of the above exception")
                || text.starts_with(b"The above exception was the direct cause")
            {
                Some(State::Raised)
            } else {
                text.starts_with(b"Traceback (most recent call last)").then_some(State::Traceback)
            }
        }
        State::Goroutines => is_go_trace(text, indent).then_some(State::Goroutines),
        State::Panicked => Some(State::Backtrace),
        State::Backtrace => {
            let goes_on =
                indent > 0 && !rest.is_empty() || text.starts_with(b"note: ") || text.starts_with(b"stack backtrace:");
            goes_on.then_some(State::Backtrace)
        }
        State::Matched(_) | State::Over => None,
    }
}

/// What no continuation of an ordinary line begins with: most lines begin with a date, a bracket or a brace.
#[inline]
fn begins_a_line(text: &[u8]) -> bool {
    text.first().is_none_or(|first| !first.is_ascii_alphabetic() && !matches!(first, b' ' | b'\\' | b'#'))
}

fn ordinary_continued(text: &[u8], indent: usize, gap: Duration) -> Option<State> {
    let rest = &text[indent..];
    if indent > 0 {
        if is_frame(rest) {
            return Some(State::Frames);
        }
        // PostgreSQL, and whoever else indents continuation lines by a tab.
        return (text.starts_with(b"\\t") && !rest.is_empty()).then_some(State::Ordinary);
    }
    match text.first()? {
        b'C' | b'S' | b'#' if is_trace_word(text) || is_php_frame(text) => Some(State::Frames),
        b'T' if gap <= HEADER_GAP && opening(text) == State::Traceback => Some(State::Traceback),
        _ if gap <= HEADER_GAP && is_exception_header(text) => Some(State::Frames),
        _ => None,
    }
}

/// Bytes of leading blanks and (escaped) tabs.
fn indentation(text: &[u8]) -> usize {
    let mut at = 0;
    loop {
        match text.get(at) {
            Some(b' ') => at += 1,
            Some(b'\\') if text.get(at + 1) == Some(&b't') => at += 2,
            _ => return at,
        }
    }
}

/// What stands behind the indentation of a frame: Java, C# and Node (`at`), Ruby (`from`), Python (`File`), Java's
/// `... 12 more`, Rust (`0:`), PHP (`thrown in`).
fn is_frame(rest: &[u8]) -> bool {
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    [&b"at "[..], b"from ", b"File \\\"", b"... ", b"thrown in ", b"Caused by: ", b"Suppressed: ", b"--- End of "]
        .iter()
        .any(|word| rest.starts_with(word))
        || (digits > 0 && rest[digits..].starts_with(b": "))
}

fn is_trace_word(text: &[u8]) -> bool {
    [&b"Caused by: "[..], b"Suppressed: ", b"Stack trace:", b"stack backtrace:", b"--- End of "]
        .iter()
        .any(|word| text.starts_with(word))
}

/// PHP: `#0 /app/x.php(3): f()`.
fn is_php_frame(text: &[u8]) -> bool {
    let Some(rest) = text.strip_prefix(b"#") else { return false };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    digits > 0 && rest.get(digits) == Some(&b' ')
}

/// `java.lang.IllegalStateException: message`: a dotted name whose last part is an exception, then a colon or nothing.
fn is_exception_header(text: &[u8]) -> bool {
    let name =
        text.iter().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'$')).count();
    let (name, rest) = text.split_at(name);
    name.contains(&b'.')
        && name[0].is_ascii_alphabetic()
        && [&b"Exception"[..], b"Error", b"Throwable"].iter().any(|end| name.ends_with(end))
        && (rest.is_empty() || rest.starts_with(b": "))
}

fn is_goroutine(text: &[u8]) -> bool {
    text.starts_with(b"goroutine ") && text.ends_with(b"]:")
}

fn is_go_trace(text: &[u8], indent: usize) -> bool {
    if text.is_empty() || indent > 0 || is_goroutine(text) {
        return true;
    }
    let words: [&[u8]; 6] =
        [b"created by ", b"[signal ", b"exit status ", b"panic: ", b"...additional frames elided", b"runtime stack:"];
    // `main.handler(0xc0000, {0x1, 0x2})`: a dotted name and its arguments.
    let call = text.ends_with(b")")
        && text.contains(&b'(')
        && text.iter().take_while(|byte| **byte != b'(').any(|byte| *byte == b'.');
    call && !text[..text.len().min(8)].contains(&b' ') || words.iter().any(|word| text.starts_with(word))
}

fn is_rust_panic(text: &[u8]) -> bool {
    text.starts_with(b"thread '") && memchr::memmem::find(text, b" panicked at ").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Groups the lines of a text; every line comes 1 ms after the one before.
    fn groups(grouping: &Grouping, text: &str) -> Vec<String> {
        let mut groups: Vec<String> = Vec::new();
        let mut state = None;
        for line in text.lines() {
            let mut escaped = Vec::new();
            crate::escape::push_json_text(line.as_bytes(), &mut escaped);
            match state.and_then(|state| grouping.next(state, &escaped, || Duration::from_millis(1))) {
                Some(next) => {
                    state = Some(next);
                    let last = groups.last_mut().unwrap();
                    last.push('\n');
                    last.push_str(line);
                }
                None => {
                    state = Some(grouping.first(&escaped));
                    groups.push(line.to_owned());
                }
            }
        }
        groups
    }

    #[test]
    fn traces_of_every_language_become_one_event() {
        let traces = [
            (
                "java",
                "12:00 ERROR Main - failed\njava.lang.IllegalStateException: a: b\n\tat a.B.c(B.java:1)\n\t... 3 more\nCaused by: java.io.IOException: x\n\tat d.E.f(E.java:2)",
            ),
            (
                "python",
                "ERROR:root:failed\nTraceback (most recent call last):\n  File \"a.py\", line 1, in <module>\n    f()\nValueError: bad\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File \"b.py\", line 2, in g\n    h()\nKeyError: 'x'",
            ),
            ("ruby", "a.rb:1:in `f': bad (RuntimeError)\n\tfrom a.rb:4:in `<main>'"),
            (
                "go",
                "panic: runtime error: index out of range\n\ngoroutine 1 [running]:\nmain.main()\n\t/tmp/x.go:4 +0x1d\nexit status 2",
            ),
            (
                "rust",
                "thread 'main' panicked at src/main.rs:2:5:\nindex out of bounds\nstack backtrace:\n   0: rust_begin_unwind\n             at /rustc/x/panicking.rs:1:5\nnote: Some details are omitted",
            ),
            (
                "node",
                "TypeError: Cannot read properties of undefined\n    at f (/app/a.js:1:2)\n    at g (/app/a.js:3:4) {\n  code: 'X'\n}",
            ),
            (
                "php",
                "PHP Fatal error:  Uncaught Exception: bad in /a.php:3\nStack trace:\n#0 /a.php(7): f()\n#1 {main}\n  thrown in /a.php on line 3",
            ),
            (
                "c#",
                "Unhandled exception. System.InvalidOperationException: bad\n   at A.B() in /a.cs:line 1\n   at A.Main()",
            ),
            ("postgres", "2024-05-01 12:00:00 UTC [1] ERROR:  syntax error at or near \"x\"\n\tselect *\n\tfrom x"),
        ];
        for (language, trace) in traces {
            let text = format!("before\n{trace}\n2024-05-01 after");
            assert_eq!(groups(&Grouping::Auto, &text), ["before", trace, "2024-05-01 after"], "{language}");
        }
    }

    #[test]
    fn ordinary_lines_stay_apart() {
        let text = "{\"level\":\"info\"}\n[INFO] a\n  indented list item\nkey: value\n#hash\nError: x\ncom.example.Thing started\nthread 'x' spawned\n";
        assert_eq!(groups(&Grouping::Auto, text).len(), 8);
    }

    #[test]
    fn a_trace_that_comes_later_is_an_event_of_its_own() {
        let late = Duration::from_millis(400);
        assert_eq!(Grouping::Auto.next(State::Ordinary, b"Traceback (most recent call last):", || late), None);
        assert_eq!(Grouping::Auto.next(State::Ordinary, b"\\tat a.b(C.java:1)", || late), Some(State::Frames));
        assert_eq!(Grouping::Auto.next(State::Frames, b"\\tat a.b(C.java:1)", || Duration::from_secs(1)), None);
    }

    #[test]
    fn labels_choose_the_grouping() {
        assert!(matches!(Grouping::from_label("off"), Ok(Grouping::Off)));
        let grouping = Grouping::from_label(r"^\d{4}-").unwrap();
        assert_eq!(groups(&grouping, "2024-01 a\nb\nc\n2024-02 d").len(), 2);
        assert!(Grouping::from_label("(").is_err());
    }

    /// Filebeat's own cases, but those of `max_lines`, after which it throws lines away and we begin another event.
    #[test]
    fn peers_cases_of_patterns() {
        let beside = || std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared");
        let shared = std::env::var_os("WEIR_SHARED").map_or_else(beside, std::path::PathBuf::from);
        let Ok(text) = std::fs::read_to_string(shared.join("cases/docker_json_cases.json")) else {
            println!("left out: the peers' cases of multiline because cases/docker_json_cases.json is not there");
            return;
        };
        let cases: serde_json::Value = serde_json::from_str(&text).unwrap();
        for case in cases["multiline"].as_array().unwrap() {
            let config = &case["config"];
            if config["max_lines"].is_number() {
                continue;
            }
            let pattern = config["pattern"].as_str().unwrap();
            let after = config["match"] == "after";
            let negate = config["negate"] == true;
            let grouping = Grouping::pattern(pattern, negate, after, config["flush_pattern"].as_str()).unwrap();
            let events = case["events"].as_array().unwrap().iter().map(|event| event["message"].as_str().unwrap());
            assert_eq!(
                groups(&grouping, case["input"].as_str().unwrap()),
                events.collect::<Vec<_>>(),
                "{}",
                case["name"]
            );
        }
    }
}
