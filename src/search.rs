//! `weir search`: the newest matching lines, oldest first, coloured by level on a terminal.

use std::io::{self, IsTerminal as _, Write as _};

use hyper::Method;
use serde_json::{Value, json};

use crate::cli::SearchFlags;
use crate::http;

/// Lines that one request may ask for: Elasticsearch's `index.max_result_window`.
const LINES_MAX: usize = 10_000;

/// Asks the indexer and prints.
///
/// # Errors
/// A sentence for people.
pub async fn run(flags: &SearchFlags) -> Result<(), String> {
    let size = flags.lines.min(LINES_MAX);
    let body = json!({
        "size": size,
        "track_total_hits": true,
        "sort": [{"@timestamp": {"order": "desc"}}, {"_doc": {"order": "desc"}}],
        "query": {"bool": {"filter": [
            {"range": {"@timestamp": {"gte": format!("now-{}", flags.since)}}},
            {"query_string": {"query": flags.query, "default_field": "message"}},
        ]}},
    });
    let url = format!("{}/{}/_search?ignore_unavailable=true", flags.url.trim_end_matches('/'), flags.index);
    let (status, answer) = http::ask(&flags.access, Method::POST, &url, Some(body.to_string())).await?;
    let answer: Value = serde_json::from_slice(&answer)
        .map_err(|error| format!("{url} answered something other than JSON: {error}"))?;
    if !status.is_success() {
        let reason = answer.pointer("/error/root_cause/0/reason").or_else(|| answer.pointer("/error/reason"));
        return Err(reason.and_then(Value::as_str).unwrap_or("the search failed").to_owned());
    }
    let hits = answer.pointer("/hits/hits").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let total = answer.pointer("/hits/total/value").and_then(Value::as_u64).unwrap_or_default();
    match print(hits, flags.json) {
        // The reader went away, as `head` does.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
        other => other.map_err(|error| format!("cannot print: {error}"))?,
    }
    if !flags.json {
        let more = if total > hits.len() as u64 { " (the newest; -n shows more)" } else { "" };
        eprintln!("{} of {total} lines{more}", hits.len());
    }
    Ok(())
}

fn print(hits: &[Value], as_json: bool) -> io::Result<()> {
    let colour = io::stdout().is_terminal();
    let mut out = io::stdout().lock();
    for hit in hits.iter().rev() {
        let source = &hit["_source"];
        if as_json {
            writeln!(out, "{source}")?;
            continue;
        }
        let level = field(source, "log.level");
        let (on, off) = match (colour, level) {
            (true, "error" | "critical" | "fatal") => ("\x1b[31m", "\x1b[0m"),
            (true, "warn" | "warning") => ("\x1b[33m", "\x1b[0m"),
            _ => ("", ""),
        };
        let service = field(source, "service.name");
        let message = printable(field(source, "message"));
        writeln!(out, "{} {on}{level:<8}{off} {service:<16} {message}", field(source, "@timestamp"))?;
    }
    out.flush()
}

/// A field by its dotted name, nested or flat.
fn field<'a>(source: &'a Value, name: &str) -> &'a str {
    let flat = source.get(name);
    let nested = || name.split('.').try_fold(source, |value, part| value.get(part));
    flat.or_else(nested).and_then(Value::as_str).unwrap_or_default()
}

/// A log line must not drive the reader's terminal: control characters other than newline and tab are shown as `\u{..}`.
fn printable(text: &str) -> std::borrow::Cow<'_, str> {
    let harmful = |c: char| c.is_control() && c != '\n' && c != '\t';
    if !text.contains(harmful) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if harmful(c) { shown.extend(c.escape_unicode()) } else { shown.push(c) }
    }
    shown.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_nested_and_flat() {
        let source = json!({"log": {"level": "error"}, "service.name": "web"});
        assert_eq!(field(&source, "log.level"), "error");
        assert_eq!(field(&source, "service.name"), "web");
        assert_eq!(field(&source, "host.name"), "");
    }

    #[test]
    fn escape_sequences_of_a_line_do_not_reach_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\n\tc"), "a\\u{1b}[2Jb\n\tc");
    }
}
