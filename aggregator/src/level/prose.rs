//! Whether `INFO`, `DEBUG` or `TRACE` at the start of a line is its level or the first word of a sentence.
//!
//! Loggers that write the level, a space and the message are common (`INFO connected to db`), sentences that begin with
//! such a word in capitals are rare, and they go on in few ways: with a word that makes a name of both (`DEBUG mode`,
//! `TRACE requests`, `INFO command`) or with a verb or a preposition (`DEBUG is off`). Those are not taken for a level.
use super::{COLOUR, is_gap};

/// Words after which the level's name was part of a sentence.
const GO_ON: [&[u8]; 59] = [
    b"a",
    b"and",
    b"are",
    b"as",
    b"at",
    b"be",
    b"but",
    b"by",
    b"can",
    b"cannot",
    b"for",
    b"from",
    b"had",
    b"has",
    b"have",
    b"if",
    b"in",
    b"into",
    b"is",
    b"must",
    b"not",
    b"of",
    b"off",
    b"on",
    b"only",
    b"or",
    b"should",
    b"so",
    b"than",
    b"that",
    b"the",
    b"to",
    b"was",
    b"were",
    b"will",
    b"with",
    b"disabled",
    b"enabled",
    b"set",
    b"build",
    b"builds",
    b"event",
    b"flag",
    b"format",
    b"handler",
    b"information",
    b"level",
    b"line",
    b"log",
    b"logger",
    b"logging",
    b"method",
    b"mode",
    b"option",
    b"output",
    b"setting",
    b"statement",
    b"symbols",
    b"verbosity",
];
/// The same where a plural is as likely.
const NAMES: [&[u8]; 17] = [
    b"command",
    b"data",
    b"endpoint",
    b"entry",
    b"field",
    b"file",
    b"header",
    b"message",
    b"packet",
    b"page",
    b"port",
    b"query",
    b"request",
    b"response",
    b"section",
    b"string",
    b"value",
];
/// The longest word that is looked at, in bytes.
const WORD_BYTES: usize = 24;

/// Whether `text`, which follows such a word, begins a message. `indented`: space stood before the word.
pub(super) fn begins_message(text: &[u8], indented: bool) -> bool {
    let width = text.iter().take_while(|b| is_gap(**b)).count();
    let text = &text[width..];
    let length = text.iter().take(WORD_BYTES).take_while(|b| !is_gap(**b)).count();
    let (token, rest) = text.split_at(length);
    let stem = token.strip_suffix(b":").unwrap_or(token);
    if stem.is_empty() || !stem[0].is_ascii_alphabetic() {
        return false;
    }
    let mut lower = [0; WORD_BYTES];
    let lower = &mut lower[..stem.len()];
    lower.copy_from_slice(stem);
    lower.make_ascii_lowercase();
    let lower = lower.strip_suffix(b",").unwrap_or(lower);
    let single = lower.strip_suffix(b"s").unwrap_or(lower);
    if GO_ON.contains(&lower) || NAMES.contains(&lower) || NAMES.contains(&single) {
        return false;
    }
    if indented {
        // pretty_env_logger's ` DEBUG app > …` and ` INFO app: …`.
        return token.len() > stem.len() || rest.strip_prefix(&[COLOUR]).unwrap_or(rest).starts_with(b" > ");
    }
    // A word alone is a heading or a value.
    !rest.trim_ascii().is_empty()
}

/// Whether the last word of `head` is a logger's or a thread's name (`… 12:00:00,123 main INFO Started`), and not one
/// that a sentence puts before `INFO`.
pub(super) fn is_name(head: &[u8]) -> bool {
    const BEFORE: [&[u8]; 12] =
        [b"a", b"an", b"and", b"for", b"got", b"new", b"no", b"read", b"sent", b"the", b"to", b"with"];
    let head = head.trim_ascii_end();
    let word = &head[head.iter().rposition(|b| is_gap(*b)).map_or(0, |gap| gap + 1)..];
    word.iter().all(u8::is_ascii_lowercase)
        && !word.ends_with(b"ing")
        && !word.ends_with(b"ed")
        && !BEFORE.contains(&word)
}
