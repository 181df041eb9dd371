//! `weir export`: documents of a time range and a query as NDJSON, oldest first, gzipped where the file's name says so.
//!
//! It reads a point in time in pages, so that it sees each document once, however long it takes and whatever is written
//! meanwhile. A file has its name only when it is whole.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::Method;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::cli::ExportFlags;
use crate::http;

/// Documents of a page: with lines of 100 KB each the answer is still one that is taken.
const PAGE: usize = 1_000;
/// How long a page may take to be written before the point in time is given up.
const KEEP_ALIVE: &str = "10m";

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    hits: Hits<'a>,
    pit_id: Option<String>,
}

#[derive(Deserialize)]
struct Hits<'a> {
    #[serde(borrow)]
    hits: Vec<Hit<'a>>,
}

#[derive(Deserialize)]
struct Hit<'a> {
    #[serde(rename = "_index")]
    index: String,
    #[serde(rename = "_id")]
    id: String,
    #[serde(rename = "_source", borrow)]
    source: &'a RawValue,
    #[serde(borrow)]
    sort: Option<&'a RawValue>,
}

/// Asks the indexer and writes.
///
/// # Errors
/// A sentence for people; there is then no file.
pub async fn run(flags: &ExportFlags) -> Result<(), String> {
    let mut out = Out::open(&flags.output)?;
    let base = flags.url.trim_end_matches('/');
    let opened = ask(
        flags,
        Method::POST,
        &format!("{base}/{}/_pit?keep_alive={KEEP_ALIVE}&ignore_unavailable=true", flags.index),
        None,
    )
    .await?;
    let opened: Value = serde_json::from_slice(&opened).map_err(|error| format!("{base}: {error}"))?;
    let mut pit = opened["id"].as_str().ok_or_else(|| format!("{base} gave no point in time"))?.to_owned();
    let written = pages(flags, base, &mut pit, &mut out).await;
    // It would be forgotten in some minutes anyway.
    let closed = ask(flags, Method::DELETE, &format!("{base}/_pit"), Some(json!({"id": pit}).to_string())).await;
    let count = written?;
    if let Err(reason) = closed {
        eprintln!("weir: the point in time is left to end by itself: {reason}");
    }
    out.finish().map_err(|error| format!("{}: {error}", flags.output.display()))?;
    eprintln!("{count} documents");
    Ok(())
}

async fn pages(flags: &ExportFlags, base: &str, pit: &mut String, out: &mut Out) -> Result<u64, String> {
    let query = query(flags);
    let url = format!("{base}/_search");
    let mut after: Option<Box<RawValue>> = None;
    let mut count = 0;
    loop {
        let mut body = json!({
            "size": PAGE, "query": query, "pit": {"id": *pit, "keep_alive": KEEP_ALIVE}, "track_total_hits": false,
            "sort": [{"@timestamp": {"order": "asc", "unmapped_type": "date"}}],
        });
        if let Some(after) = &after {
            body["search_after"] =
                serde_json::from_str(after.get()).map_err(|error| format!("{url}: its sort values: {error}"))?;
        }
        let answer = ask(flags, Method::POST, &url, Some(body.to_string())).await?;
        let page: Page<'_> =
            serde_json::from_slice(&answer).map_err(|error| format!("{url} gave no page of hits: {error}"))?;
        for hit in &page.hits.hits {
            write(hit, flags.bulk, &mut out.sink).map_err(|error| format!("{}: {error}", flags.output.display()))?;
        }
        count += page.hits.hits.len() as u64;
        if page.hits.hits.len() < PAGE {
            return Ok(count);
        }
        after = page.hits.hits.last().and_then(|hit| hit.sort).map(ToOwned::to_owned);
        if after.is_none() {
            return Err(format!("{url} gave hits without sort values"));
        }
        if let Some(id) = page.pit_id {
            *pit = id;
        }
    }
}

fn query(flags: &ExportFlags) -> Value {
    let mut filter = vec![json!({"query_string": {"query": flags.query, "default_field": "message"}})];
    // A moment, or a length of time back from now.
    let moment = |text: &str| {
        let is_span = text.starts_with(|c: char| c.is_ascii_digit()) && text.ends_with(['s', 'm', 'h', 'd', 'w']);
        if is_span { format!("now-{text}") } else { text.to_owned() }
    };
    let mut range = serde_json::Map::new();
    range.extend(flags.since.as_deref().map(|since| ("gte".to_owned(), moment(since).into())));
    range.extend(flags.until.as_deref().map(|until| ("lt".to_owned(), moment(until).into())));
    if !range.is_empty() {
        filter.push(json!({"range": {"@timestamp": range}}));
    }
    json!({"bool": {"filter": filter}})
}

fn write(hit: &Hit<'_>, bulk: bool, out: &mut dyn Write) -> io::Result<()> {
    if bulk {
        writeln!(out, "{}", json!({"create": {"_index": hit.index, "_id": hit.id}}))?;
    }
    // As it was sent; it may hold line breaks between its members, and in strings they are escaped.
    let source = hit.source.get();
    if source.contains(['\n', '\r']) {
        writeln!(out, "{}", source.replace(['\n', '\r'], " "))
    } else {
        writeln!(out, "{source}")
    }
}

async fn ask(
    flags: &ExportFlags,
    method: Method,
    url: &str,
    body: Option<String>,
) -> Result<hyper::body::Bytes, String> {
    let (status, answer) = http::ask(&flags.access, method, url, body).await?;
    if status.is_success() {
        return Ok(answer);
    }
    let said: Option<Value> = serde_json::from_slice(&answer).ok();
    let reason = said.as_ref().and_then(|said| said.pointer("/error/reason")).and_then(Value::as_str);
    Err(format!("{url} answered {status}: {}", reason.unwrap_or("no reason")))
}

/// Where it goes: a file that gets its name at the end, or standard output.
struct Out {
    sink: Sink,
    names: Option<(PathBuf, PathBuf)>,
}

enum Sink {
    Plain(BufWriter<Box<dyn Write + Send>>),
    Gzip(Box<GzEncoder<BufWriter<Box<dyn Write + Send>>>>),
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(out) => out.write(bytes),
            Self::Gzip(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(out) => out.flush(),
            Self::Gzip(out) => out.flush(),
        }
    }
}

impl Out {
    fn open(path: &Path) -> Result<Self, String> {
        let zipped = path.extension().is_some_and(|extension| extension == "gz");
        let (out, names): (Box<dyn Write + Send>, _) = if path == Path::new("-") {
            (Box::new(io::stdout()), None)
        } else {
            let mut name = path.file_name().ok_or_else(|| format!("{} names no file", path.display()))?.to_owned();
            name.push(".partial");
            let partial = path.with_file_name(name);
            let file = File::create(&partial).map_err(|error| format!("{}: {error}", partial.display()))?;
            (Box::new(file), Some((partial, path.to_owned())))
        };
        let out = BufWriter::with_capacity(1 << 16, out);
        let sink =
            if zipped { Sink::Gzip(Box::new(GzEncoder::new(out, Compression::default()))) } else { Sink::Plain(out) };
        Ok(Self { sink, names })
    }

    fn finish(self) -> io::Result<()> {
        match self.sink {
            Sink::Plain(mut out) => out.flush()?,
            Sink::Gzip(out) => out.finish()?.flush()?,
        }
        if let Some((partial, name)) = self.names {
            File::open(&partial)?.sync_all()?;
            std::fs::rename(&partial, &name)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::AccessFlags;

    #[test]
    fn a_document_is_one_line_and_otherwise_as_it_was_sent() {
        let text = "{\"_index\":\"i\",\"_id\":\"1\",\"_source\":{\"n\": 1e400,\n \"t\":\"a\\nb\"},\"sort\":[1]}";
        let hit: Hit<'_> = serde_json::from_str(text).unwrap();
        let mut out = Vec::new();
        write(&hit, true, &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"create\":{\"_index\":\"i\",\"_id\":\"1\"}}\n{\"n\": 1e400,  \"t\":\"a\\nb\"}\n"
        );
    }

    #[test]
    fn moments_and_spans() {
        let flags = |since: &str| ExportFlags {
            query: "*".to_owned(),
            since: Some(since.to_owned()),
            until: Some("2026-11-21".to_owned()),
            output: "-".into(),
            bulk: false,
            index: "logs".to_owned(),
            url: String::new(),
            access: AccessFlags::default(),
        };
        assert_eq!(query(&flags("7d"))["bool"]["filter"][1]["range"]["@timestamp"]["gte"], "now-7d");
        assert_eq!(
            query(&flags("2026-11-20T00:00:00Z"))["bool"]["filter"][1]["range"]["@timestamp"]["lt"],
            "2026-11-21"
        );
    }
}
