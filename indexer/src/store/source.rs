//! What the document store keeps of a document: its JSON as it was sent, with the values cut out that a column holds as
//! well. Each is replaced by one control character, which JSON text cannot contain, and put back when the document is
//! read; so `_source` is what was sent, to the byte, and nothing is stored twice.

use std::collections::HashMap;

use tantivy::columnar::{Column, StrColumn};
use tantivy::schema::Value as _;
use tantivy::{DateTime, DocAddress, Searcher, TantivyDocument};

use super::document::{Leaf, Scalar, Target};
use crate::error::{Error, Result};
use crate::schema::{Fields, KEYWORDS};

/// Stands for `@timestamp`, where it is spelled as [`spell`] spells it.
const TIME: u8 = 1;
/// Stands for the n-th of [`KEYWORDS`]. Tabulator, newline and carriage return are left out: JSON may contain them.
const KEYWORD: [u8; KEYWORDS.len()] = [2, 3, 4, 5, 6, 7, 8, 0x0b, 0x0c, 0x0e];

/// A value that can be cut out: where it begins in the text, its length, what stands for it.
type Cut = (usize, usize, u8);

/// Writes the document `text[start..end]` without the values that columns hold. `time` is where its timestamp is
/// spelled.
pub(crate) fn cut(
    text: &str,
    start: usize,
    end: usize,
    leaves: &[Leaf],
    time: Option<(usize, usize)>,
    out: &mut Vec<u8>,
) {
    let mut cuts: [Cut; KEYWORDS.len() + 1] = [(0, 0, 0); KEYWORDS.len() + 1];
    let (mut n, mut times) = (0, 0);
    let (mut once, mut twice) = (0u16, 0u16);
    for leaf in leaves {
        match leaf.target {
            Target::Keyword(field) => {
                twice |= once & (1 << field);
                once |= 1 << field;
            }
            Target::Timestamp => times += 1,
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
                if let Some((at, len)) = time
                    && spell(nanos.div_euclid(1_000_000)).as_deref() == text.get(at..at + len)
                {
                    cuts[n] = (at, len, TIME);
                    n += 1;
                }
            }
            _ => {}
        }
    }
    let cuts = &mut cuts[..n];
    cuts.sort_unstable();
    let bytes = text.as_bytes();
    let mut at = start;
    for (from, len, mark) in cuts.iter() {
        out.extend_from_slice(&bytes[at..*from]);
        out.push(*mark);
        at = from + len;
    }
    out.extend_from_slice(&bytes[at..end]);
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

/// Reads documents of one searcher whole again, remembering the columns it opened.
pub(crate) struct Sources<'a> {
    searcher: &'a Searcher,
    fields: &'a Fields,
    times: HashMap<u32, Column<DateTime>>,
    keywords: HashMap<(u32, usize), (StrColumn, HashMap<u64, String>)>,
}

impl<'a> Sources<'a> {
    pub(crate) fn new(searcher: &'a Searcher, fields: &'a Fields) -> Self {
        Self { searcher, fields, times: HashMap::new(), keywords: HashMap::new() }
    }

    /// The document as it was sent.
    pub(crate) fn read(&mut self, address: DocAddress) -> Result<String> {
        let document: TantivyDocument = self.searcher.doc(address)?;
        let stored = document.get_first(self.fields.source).and_then(|value| value.as_bytes()).unwrap_or(b"{}");
        let mut out = Vec::with_capacity(stored.len() * 2);
        let mut at = 0;
        for (n, byte) in stored.iter().enumerate() {
            let is_mark = *byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r');
            if is_mark {
                out.extend_from_slice(&stored[at..n]);
                at = n + 1;
                self.fill(*byte, address, &mut out)?;
            }
        }
        out.extend_from_slice(&stored[at..]);
        String::from_utf8(out).map_err(|_| Error::internal("a stored document is not UTF-8"))
    }

    fn fill(&mut self, mark: u8, address: DocAddress, out: &mut Vec<u8>) -> Result<()> {
        let missing = || Error::internal("a stored document names a value that its column lacks");
        let columns = self.searcher.segment_reader(address.segment_ord).fast_fields();
        if mark == TIME {
            let column = match self.times.entry(address.segment_ord) {
                std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::hash_map::Entry::Vacant(new) => new.insert(columns.date("@timestamp")?),
            };
            let time = column.first(address.doc_id).ok_or_else(missing)?;
            let text = spell(time.into_timestamp_millis()).ok_or_else(missing)?;
            out.extend_from_slice(text.as_bytes());
            return Ok(());
        }
        let field = KEYWORD.iter().position(|known| *known == mark).ok_or_else(missing)?;
        let (column, known) = match self.keywords.entry((address.segment_ord, field)) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(new) => {
                new.insert((columns.str(KEYWORDS[field])?.ok_or_else(missing)?, HashMap::new()))
            }
        };
        let ord = column.ords().first(address.doc_id).ok_or_else(missing)?;
        if let Some(text) = known.get(&ord) {
            out.extend_from_slice(text.as_bytes());
            return Ok(());
        }
        let mut text = String::new();
        if !column.ord_to_str(ord, &mut text)? {
            return Err(missing());
        }
        out.extend_from_slice(text.as_bytes());
        known.insert(ord, text);
        Ok(())
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
        cut(text, 0, text.len(), &leaves, Some((at("1970"), 24)), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "{\"t\":\"\u{1}\",\"l\":\"\u{2}\",\"s\":[\"aa\",\"bb\"]}");
        let mut out = Vec::new();
        let other = text.replace(".005Z", ".5Z");
        let time = leaf(Target::Timestamp, Scalar::Date(500_000_000));
        cut(&other, 0, other.len(), &[time], Some((at("1970"), 22)), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), other);
    }
}
