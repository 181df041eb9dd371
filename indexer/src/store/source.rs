//! What is kept of a document: its JSON as it was sent, with the values cut out that a column holds as well. Each is
//! replaced by one control character, which JSON text cannot contain, and put back when the document is read; so
//! `_source` is what was sent, to the byte, and nothing is stored twice.
//!
//! Where nothing but such values and one message is in a document, what is left around them is the same for thousands
//! of documents: its *shape*. It goes into the column `_shape`, a dictionary of few entries, and the document store
//! keeps the bare message.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use tantivy::columnar::{Column, StrColumn};
use tantivy::fastfield::FastFieldReaders;
use tantivy::schema::{Field, Value as _};
use tantivy::store::StoreReader;
use tantivy::{DateTime, DocAddress, DocId, Searcher, SegmentReader, TantivyDocument};

use super::document::{Leaf, Scalar, Target};
use crate::error::{Error, Result};
use crate::schema::{Fields, KEYWORDS};

/// Stands for `@timestamp`, where it is spelled as [`spell`] spells it.
const TIME: u8 = 1;
/// Stands for the n-th of [`KEYWORDS`]. Tabulator, newline and carriage return are left out: JSON may contain them.
const KEYWORD: [u8; KEYWORDS.len()] = [2, 3, 4, 5, 6, 7, 8, 0x0b, 0x0c, 0x0e];

/// In a shape, stands for the message.
const MESSAGE: u8 = 0x0f;
/// Stands for `log.offset`.
const OFFSET: u8 = 0x10;
/// Longest shape in bytes; longer ones stay with their documents.
const SHAPE_BYTES_MAX: usize = 1_000;

/// A value that can be cut out: where it begins in the text, its length, what stands for it.
type Cut = (usize, usize, u8);

/// Where values are spelled that are kept in another form: begin and length in the text.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spelled {
    /// `@timestamp`
    pub(crate) time: Option<(usize, usize)>,
    /// `message`, escapes and all, without the quotes.
    pub(crate) line: Option<(usize, usize)>,
    /// `log.offset`
    pub(crate) offset: Option<(usize, usize)>,
}

/// Writes what is kept of the document `text[start..end]`, and returns how many bytes of it are its shape.
pub(crate) fn cut(
    text: &str,
    start: usize,
    end: usize,
    leaves: &[Leaf],
    spelled: &Spelled,
    out: &mut Vec<u8>,
) -> usize {
    let mut cuts: [Cut; KEYWORDS.len() + 3] = [(0, 0, 0); KEYWORDS.len() + 3];
    let (mut n, mut times, mut messages, mut offsets) = (0, 0, 0, 0);
    let (mut once, mut twice) = (0u16, 0u16);
    for leaf in leaves {
        match leaf.target {
            Target::Keyword(field) => {
                twice |= once & (1 << field);
                once |= 1 << field;
            }
            Target::Timestamp => times += 1,
            Target::Message => messages += 1,
            Target::Offset => offsets += 1,
            _ => {}
        }
    }
    for leaf in leaves {
        match (leaf.target, leaf.value) {
            // A column gives several values back in another order, and an escaped one in another spelling.
            (Target::Keyword(field), Scalar::Text { start, len }) if twice & (1 << field) == 0 && len > 1 => {
                cuts[n] = (start as usize, len as usize, KEYWORD[field as usize]);
                n += 1;
            }
            (Target::Timestamp, Scalar::Date(nanos)) if times == 1 => {
                if let Some((at, len)) = spelled.time
                    && spell(nanos.div_euclid(1_000_000)).as_deref() == text.get(at..at + len)
                {
                    cuts[n] = (at, len, TIME);
                    n += 1;
                }
            }
            (Target::Offset, _) if offsets == 1 => {
                if let Some((at, len)) = spelled.offset {
                    cuts[n] = (at, len, OFFSET);
                    n += 1;
                }
            }
            _ => {}
        }
    }
    let bytes = text.as_bytes();
    let line = spelled.line.filter(|_| messages == 1 && n + 1 == leaves.len());
    if let Some((at, len)) = line {
        cuts[n] = (at, len, MESSAGE);
        n += 1;
    }
    let cuts = &mut cuts[..n];
    cuts.sort_unstable();
    let left = end - start + n - cuts.iter().map(|(_, len, _)| len).sum::<usize>();
    let shaped = line.filter(|_| left <= SHAPE_BYTES_MAX);
    let mut at = start;
    for (from, len, mark) in cuts.iter() {
        out.extend_from_slice(&bytes[at..*from]);
        at = from + len;
        if *mark == MESSAGE && shaped.is_none() {
            out.extend_from_slice(&bytes[*from..at]);
        } else {
            out.push(*mark);
        }
    }
    out.extend_from_slice(&bytes[at..end]);
    match shaped {
        Some((at, len)) => {
            out.extend_from_slice(&bytes[at..at + len]);
            left
        }
        None => 0,
    }
}

/// `2026-11-20T00:00:00.123Z`, for years of four digits.
fn spell(millis: i64) -> Option<String> {
    let (days, rest) = (millis.div_euclid(86_400_000), millis.rem_euclid(86_400_000));
    // Days to a date, with years that begin in March.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    if !(0..=9999).contains(&year) {
        return None;
    }
    let mut out = *b"0000-00-00T00:00:00.000Z";
    let mut put = |at: usize, width: usize, mut value: i64| {
        for place in (at..at + width).rev() {
            out[place] = b'0' + (value % 10) as u8;
            value /= 10;
        }
    };
    put(0, 4, year);
    put(5, 2, month);
    put(8, 2, day);
    put(11, 2, rest / 3_600_000);
    put(14, 2, rest / 60_000 % 60);
    put(17, 2, rest / 1000 % 60);
    put(20, 3, rest % 1000);
    String::from_utf8(out.to_vec()).ok()
}

/// A column of texts, and those of its texts that were read.
struct Texts {
    column: StrColumn,
    known: HashMap<u64, Arc<str>>,
}

impl Texts {
    fn new(column: StrColumn) -> Self {
        Self { column, known: HashMap::new() }
    }

    fn of(&mut self, doc: DocId) -> Result<Option<Arc<str>>> {
        let Some(ord) = self.column.ords().first(doc) else { return Ok(None) };
        if let Some(text) = self.known.get(&ord) {
            return Ok(Some(Arc::clone(text)));
        }
        let mut text = String::new();
        if !self.column.ord_to_str(ord, &mut text)? {
            return Ok(None);
        }
        let text: Arc<str> = text.into();
        self.known.insert(ord, Arc::clone(&text));
        Ok(Some(text))
    }
}

/// Reads documents of one searcher whole again, remembering the columns it opened.
pub(crate) struct Sources<'a> {
    searcher: &'a Searcher,
    fields: &'a Fields,
    times: HashMap<u32, Column<DateTime>>,
    offsets: HashMap<u32, Column<u64>>,
    shapes: HashMap<u32, Option<Texts>>,
    keywords: HashMap<(u32, usize), Texts>,
}

impl<'a> Sources<'a> {
    pub(crate) fn new(searcher: &'a Searcher, fields: &'a Fields) -> Self {
        let (times, offsets, shapes, keywords) = Default::default();
        Self { searcher, fields, times, offsets, shapes, keywords }
    }

    /// The document as it was sent.
    pub(crate) fn read(&mut self, address: DocAddress) -> Result<String> {
        let document: TantivyDocument = self.searcher.doc(address)?;
        let stored = document.get_first(self.fields.source).and_then(|value| value.as_bytes()).unwrap_or(b"{}");
        let shape = self.shape(address)?;
        let (around, line) = match &shape {
            Some(shape) => (shape.as_bytes(), stored),
            None => (stored, &[][..]),
        };
        let mut out = Vec::with_capacity(around.len() * 2 + line.len());
        let mut at = 0;
        for (n, byte) in around.iter().enumerate() {
            let is_mark = *byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r');
            if is_mark {
                out.extend_from_slice(&around[at..n]);
                at = n + 1;
                match *byte {
                    MESSAGE => out.extend_from_slice(line),
                    mark => self.fill(mark, address, &mut out)?,
                }
            }
        }
        out.extend_from_slice(&around[at..]);
        String::from_utf8(out).map_err(|_| Error::internal("a stored document is not UTF-8"))
    }

    fn shape(&mut self, address: DocAddress) -> Result<Option<Arc<str>>> {
        let shapes = match self.shapes.entry(address.segment_ord) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let columns = self.searcher.segment_reader(address.segment_ord).fast_fields();
                new.insert(shapes(columns)?)
            }
        };
        shapes.as_mut().map_or(Ok(None), |shapes| shapes.of(address.doc_id))
    }

    fn fill(&mut self, mark: u8, address: DocAddress, out: &mut Vec<u8>) -> Result<()> {
        let missing = || Error::internal("a stored document names a value that its column lacks");
        let (segment, doc) = (address.segment_ord, address.doc_id);
        let columns = self.searcher.segment_reader(segment).fast_fields();
        if mark == TIME {
            let column = match self.times.entry(segment) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(columns.date("@timestamp")?),
            };
            let time = column.first(doc).ok_or_else(missing)?;
            let text = spell(time.into_timestamp_millis()).ok_or_else(missing)?;
            out.extend_from_slice(text.as_bytes());
            return Ok(());
        }
        if mark == OFFSET {
            let column = match self.offsets.entry(segment) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(columns.u64("log.offset")?),
            };
            out.extend_from_slice(column.first(doc).ok_or_else(missing)?.to_string().as_bytes());
            return Ok(());
        }
        let field = KEYWORD.iter().position(|known| *known == mark).ok_or_else(missing)?;
        let texts = match self.keywords.entry((segment, field)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(Texts::new(columns.str(KEYWORDS[field])?.ok_or_else(missing)?)),
        };
        out.extend_from_slice(texts.of(doc)?.ok_or_else(missing)?.as_bytes());
        Ok(())
    }
}

/// The shapes of a segment's documents; partitions of earlier versions have none.
fn shapes(columns: &FastFieldReaders) -> Result<Option<Texts>> {
    // The schema may lack the field, which is no error here.
    Ok(columns.str("_shape").ok().flatten().map(Texts::new))
}

/// The messages of one segment's documents, as JSON.
pub(crate) struct Messages {
    store: StoreReader,
    source: Field,
    shapes: Option<StrColumn>,
}

impl Messages {
    /// Opens them; `blocks` of the document store are kept decompressed.
    ///
    /// # Errors
    /// When the files are damaged.
    pub(crate) fn open(reader: &SegmentReader, fields: &Fields, blocks: usize) -> Result<Self> {
        let shapes = shapes(reader.fast_fields())?.map(|shapes| shapes.column);
        Ok(Self { store: reader.get_store_reader(blocks)?, source: fields.source, shapes })
    }

    /// A JSON object that has the document's `message` and maybe other members.
    ///
    /// # Errors
    /// When the document cannot be read.
    pub(crate) fn read(&self, doc: DocId) -> Result<String> {
        let document: TantivyDocument = self.store.get(doc)?;
        let stored = document.get_first(self.source).and_then(|value| value.as_bytes()).unwrap_or(b"{}");
        let json = if self.shapes.as_ref().is_some_and(|shapes| shapes.ords().first(doc).is_some()) {
            [b"{\"message\":\"", stored, b"\"}"].concat()
        } else {
            // What stands for the values of columns is no JSON: it becomes some text.
            stored.iter().map(|byte| if *byte < 0x20 { b' ' } else { *byte }).collect()
        };
        String::from_utf8(json).map_err(|_| Error::internal("a stored document is not UTF-8"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::date::parse_iso;
    use super::*;

    #[test]
    fn times_are_spelled_as_they_are_read() {
        for text in [
            "1970-01-01T00:00:00.000Z",
            "2026-11-20T23:59:59.999Z",
            "2024-02-29T12:00:00.001Z",
            "1969-12-31T23:59:59.999Z",
            "2000-03-01T00:00:00.000Z",
            "1999-12-31T00:00:00.000Z",
        ] {
            assert_eq!(spell(parse_iso(text).unwrap().div_euclid(1_000_000)).unwrap(), text);
        }
        assert_eq!(spell(i64::MAX / 1000), None);
    }

    #[test]
    fn only_what_comes_back_the_same_is_cut_out() {
        let text = r#"{"t":"1970-01-01T00:00:00.005Z","l":"info","s":["aa","bb"]}"#;
        let at = |part: &str| text.find(part).unwrap();
        let leaf = |target, value| Leaf { value, node: 0, target };
        let word = |part: &str| Scalar::Text { start: at(part) as u32, len: part.len() as u32 };
        let leaves = [
            leaf(Target::Timestamp, Scalar::Date(5_000_000)),
            leaf(Target::Keyword(0), word("info")),
            leaf(Target::Keyword(1), word("aa")),
            leaf(Target::Keyword(1), word("bb")),
        ];
        let mut out = Vec::new();
        let time = |from: usize, len: usize| Spelled { time: Some((from, len)), ..Spelled::default() };
        assert_eq!(cut(text, 0, text.len(), &leaves, &time(at("1970"), 24), &mut out), 0);
        assert_eq!(String::from_utf8(out).unwrap(), "{\"t\":\"\u{1}\",\"l\":\"\u{2}\",\"s\":[\"aa\",\"bb\"]}");
        let mut out = Vec::new();
        let other = text.replace(".005Z", ".5Z");
        let odd = leaf(Target::Timestamp, Scalar::Date(500_000_000));
        cut(&other, 0, other.len(), &[odd], &time(at("1970"), 22), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), other);
    }

    #[test]
    fn documents_of_known_values_have_a_shape() {
        let text = r#"{"message":"a \"b\"","log":{"level":"info","offset":70}}"#;
        let at = |part: &str| text.find(part).unwrap();
        let leaf = |target, value| Leaf { value, node: 0, target };
        let leaves = [
            leaf(Target::Message, Scalar::Unescaped { start: 0, len: 5 }),
            leaf(Target::Keyword(0), Scalar::Text { start: at("info") as u32, len: 4 }),
            leaf(Target::Offset, Scalar::U64(70)),
        ];
        let spelled = Spelled { time: None, line: Some((at("a "), 7)), offset: Some((at("70"), 2)) };
        let mut out = Vec::new();
        let shape = cut(text, 0, text.len(), &leaves, &spelled, &mut out);
        let (around, line) = out.split_at(shape);
        assert_eq!(around, b"{\"message\":\"\x0f\",\"log\":{\"level\":\"\x02\",\"offset\":\x10}}");
        assert_eq!(line, b"a \\\"b\\\"");
        // With a value of any other kind there is none.
        let more = [&leaves[..], &[leaf(Target::Exact, Scalar::I64(1))]].concat();
        let mut out = Vec::new();
        assert_eq!(cut(text, 0, text.len(), &more, &spelled, &mut out), 0);
        assert!(out.windows(7).any(|part| part == b"a \\\"b\\\""));
    }
}
