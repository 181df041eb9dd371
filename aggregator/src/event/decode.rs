//! The quick way from a shipper's line to an event: our own shipper's lines differ only in their head, so their tail
//! is compared with the one seen last for the same source instead of being parsed.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use bytes::{Bytes, BytesMut};
use memchr::memchr2;
use memchr::memmem::Finder;
use smallvec::SmallVec;

use super::json;
use super::{Event, Identity, Object, SHARED_FIELDS_MAX, Shared, Text, Value};

/// Sources whose common part a connection remembers. At about 1 KB each; a node has tens of containers, two sources
/// each. When there are more, all are forgotten and read anew.
const SOURCES_MAX: usize = 1024;
/// Unescaped messages are written one behind the other into chunks of this many bytes.
const CHUNK_BYTES: usize = 64 * 1024;

/// Decodes the events of one connection.
#[derive(Debug, Default)]
pub struct EventDecoder {
    last: Option<(u64, Known)>,
    known: HashMap<u64, Known>,
    unescaped: BytesMut,
}

/// The constant bytes of a source's lines, and what they say.
#[derive(Clone, Debug)]
struct Known {
    /// From the source's id up to the number of `[log][offset]`.
    middle: Bytes,
    shared: Arc<Shared>,
}

/// The parts of a line in the shipper's exact shape.
struct Parts {
    time: (usize, usize),
    message: Message,
    stream: (usize, usize),
    identity: Identity,
    source: (usize, usize),
    /// Behind the number of `[log][offset]`'s name and colon; the source and this are the bounds of the middle.
    middle_end: usize,
    /// Whether the middle is that of the line before.
    again: bool,
    offset: u64,
    tail: usize,
}

/// Where the message is, or what it says where it had escapes.
enum Message {
    Plain(usize, usize),
    Unescaped(Text),
}

const TIME: &[u8] = b"{\"@timestamp\":\"";
const MESSAGE: &[u8] = b"\",\"message\":\"";
const STREAM: &[u8] = b"\",\"stream\":\"";
const START: &[u8] = b"\",\"@metadata\":{\"weir\":{\"start\":";
const END: &[u8] = b",\"end\":";
const SOURCE: &[u8] = b",\"source\":\"";
const OFFSET: &[u8] = b"\"log\":{\"offset\":";
static OFFSET_FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(OFFSET));
/// The tail as an object of its own: this, and the tail behind it.
const TAIL_HEAD: &[u8] = b"{\"log\":{\"offset\":0";
/// The middle as an object of its own: this, and the middle behind it.
const MIDDLE_HEAD: &[u8] = b"{\"@metadata\":{\"weir\":{\"source\":\"";

impl EventDecoder {
    /// A decoder that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the JSON of one line: our shipper's shape quickly, any other object in the ordinary way, and what is no
    /// object becomes a message with the tag `_jsonparsefailure`.
    pub fn decode(&mut self, json: Bytes) -> Event {
        self.decode_known_shape(&json)
            .unwrap_or_else(|| Event::from_json(json.clone()).unwrap_or_else(|_| Event::undecodable(&json)))
    }

    fn decode_known_shape(&mut self, json: &Bytes) -> Option<Event> {
        let parts = split(json, self.last.as_ref(), &mut self.unescaped)?;
        let cut = |start: usize, end: usize| Text::try_from(json.slice(start..end)).ok();
        let shared = self.shared(json, &parts)?;
        let message = match parts.message {
            Message::Plain(start, end) => cut(start, end)?,
            Message::Unescaped(text) => text,
        };
        let stream = match &json[parts.stream.0..parts.stream.1] {
            b"stdout" => Text::from_static("stdout"),
            b"stderr" => Text::from_static("stderr"),
            other => Text::try_from(Bytes::copy_from_slice(other)).ok()?,
        };
        let time = cut(parts.time.0, parts.time.1)?;
        // As a whole: fields that are appended one by one are moved, and each move waits for the one before.
        let fields = [
            (Text::from_static("@timestamp"), Value::Text(time)),
            (Text::from_static("message"), Value::Text(message)),
            (Text::from_static("stream"), Value::Text(stream)),
            (Text::new(), Value::Null),
        ];
        let fields = SmallVec::from_buf_and_len(fields, 3);
        Some(Event {
            fields,
            metadata: Object::new(),
            identity: Some(parts.identity),
            shared: Some(shared),
            hidden: 0,
            log_offset: parts.offset,
            log_level: None,
        })
    }

    fn shared(&mut self, json: &Bytes, parts: &Parts) -> Option<Arc<Shared>> {
        let middle = &json[parts.source.0..parts.middle_end];
        let tail = &json[parts.tail..];
        let source = parts.identity.source;
        if parts.again
            && let Some((_, known)) = &self.last
            && *known.shared.tail == *tail
        {
            return Some(Arc::clone(&known.shared));
        }
        let known = match self.known.get(&source) {
            Some(known) if *known.middle == *middle && *known.shared.tail == *tail => known.clone(),
            _ => {
                let shared = Arc::new(read_shared(json, parts)?);
                let known = Known { middle: Bytes::copy_from_slice(middle), shared };
                if self.known.len() >= SOURCES_MAX {
                    self.known.clear();
                }
                self.known.insert(source, known.clone());
                known
            }
        };
        let shared = Arc::clone(&known.shared);
        self.last = Some((source, known));
        Some(shared)
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    // Inlined so that the length of what is skipped is known: a few loads instead of a call.
    #[inline(always)]
    fn skip(&mut self, text: &[u8]) -> Option<()> {
        self.bytes.get(self.at..)?.starts_with(text).then(|| self.at += text.len())
    }

    /// A string without escapes, up to the quote.
    fn plain(&mut self) -> Option<(usize, usize)> {
        let start = self.at;
        self.at = json::plain_end(self.bytes, start, usize::MAX);
        (self.bytes.get(self.at) == Some(&b'"')).then_some((start, self.at))
    }

    /// A string, and its closing quote.
    fn string(&mut self, unescaped: &mut BytesMut) -> Option<Message> {
        let start = self.at;
        let rest = self.bytes.get(start..)?;
        let end = memchr2(b'"', b'\\', rest)?;
        if rest[end] == b'"' {
            self.at += end;
            return (!json::has_control(&rest[..end])).then_some(Message::Plain(start, self.at));
        }
        // A line that turned out to have another shape may have left something.
        unescaped.clear();
        if unescaped.capacity() < rest.len() {
            unescaped.reserve(rest.len().max(CHUNK_BYTES));
        }
        unescaped.resize(rest.len(), 0);
        let (end, len) = json::unescape(rest, unescaped).ok()?;
        unescaped.truncate(len);
        self.at += end;
        Text::try_from(unescaped.split().freeze()).ok().map(Message::Unescaped)
    }

    fn number(&mut self) -> Option<u64> {
        let (value, len) = json::digits(self.bytes.get(self.at..)?)?;
        self.at += len;
        Some(value)
    }
}

/// Splits a line in the shipper's exact shape. `last` is of the line before, whose source and middle most often come
/// again: then they need not be read.
fn split(json: &[u8], last: Option<&(u64, Known)>, unescaped: &mut BytesMut) -> Option<Parts> {
    let mut cursor = Cursor { bytes: json, at: 0 };
    cursor.skip(TIME)?;
    let time = cursor.plain()?;
    cursor.skip(MESSAGE)?;
    let message = cursor.string(unescaped)?;
    cursor.skip(STREAM)?;
    let stream = cursor.plain()?;
    cursor.skip(START)?;
    let start = cursor.number()?;
    cursor.skip(END)?;
    let end = cursor.number()?;
    cursor.skip(SOURCE)?;
    let source_start = cursor.at;
    let rest = &json[source_start..];
    let again = last.filter(|(_, known)| rest.starts_with(&known.middle));
    let (id, source_end) = match again {
        Some((id, known)) => {
            cursor.at += known.middle.len();
            (*id, source_start + known.shared.source.len())
        }
        None => {
            let (_, source_end) = cursor.plain()?;
            let id = u64::from_str_radix(std::str::from_utf8(&json[source_start..source_end]).ok()?, 16).ok()?;
            cursor.at += OFFSET_FINDER.find(&json[cursor.at..])? + OFFSET.len();
            (id, source_end)
        }
    };
    let middle_end = cursor.at;
    let offset = cursor.number()?;
    Some(Parts {
        time,
        message,
        stream,
        identity: Identity { source: id, start, end },
        source: (source_start, source_end),
        middle_end,
        again: again.is_some(),
        offset,
        tail: cursor.at,
    })
}

/// Reads the constant parts, once for a source. None where they are not what they look like.
fn read_shared(json: &Bytes, parts: &Parts) -> Option<Shared> {
    let source = Text::try_from(Bytes::copy_from_slice(&json[parts.source.0..parts.source.1])).ok()?;
    // What is left of the middle begins with the quote that closes the source and ends with the comma before `"log"`.
    let middle = json[parts.source.1..parts.middle_end - OFFSET.len()].strip_suffix(b",")?;
    let mut text = MIDDLE_HEAD.to_vec();
    text.extend_from_slice(source.as_bytes());
    text.extend_from_slice(middle);
    text.push(b'}');
    let Value::Object(mut outer) = json::parse(&Text::try_from(Bytes::from(text)).ok()?).ok()? else { return None };
    let Some(Value::Object(mut metadata)) = outer.remove("@metadata") else { return None };
    if !outer.is_empty() {
        return None;
    }
    let mut empty = false;
    if let Some(Value::Object(weir)) = metadata.get_mut("weir") {
        weir.remove("source");
        empty = weir.is_empty();
    }
    if empty {
        metadata.remove("weir");
    }
    let mut text = TAIL_HEAD.to_vec();
    text.extend_from_slice(&json[parts.tail..]);
    let whole = Text::try_from(Bytes::from(text)).ok()?;
    let Value::Object(mut object) = json::parse(&whole).ok()? else { return None };
    let Some(Value::Object(mut log)) = object.remove("log") else { return None };
    log.remove("offset");
    // A level that the shipper found would be written twice beside one that a filter sets.
    let own = ["@timestamp", "message", "stream", "@metadata"];
    if object.len() > SHARED_FIELDS_MAX
        || log.get("level").is_some()
        || object.iter().any(|(name, _)| own.contains(&&**name))
    {
        return None;
    }
    let fields = object
        .into_iter()
        .map(|(name, value)| {
            let mut bytes = Vec::new();
            json::write_name(&mut bytes, &name, &mut true);
            json::write(&mut bytes, value.as_ref());
            (name, value, Bytes::from(bytes))
        })
        .collect();
    Some(Shared { source, metadata, log, fields, tail: Bytes::copy_from_slice(&json[parts.tail..]) })
}
