//! Finding the one document that has an id, in what searches see.

use tantivy::columnar::{Column, StrColumn};
use tantivy::schema::IndexRecordOption;
use tantivy::{DocAddress, DocSet as _, Searcher, SegmentReader, TERMINATED, Term};

use super::id;
use super::index::Index;
use crate::schema::Fields;

/// Names one or several documents for removal, in a way that works in every partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// The one with a given id.
    Id(Box<str>),
    /// The one with that arrival number.
    Seq(u64),
    /// Those of a source that start in `from..to`.
    Range { source: u64, from: u64, to: u64 },
}

/// A document that was found.
#[derive(Clone, Debug)]
pub(crate) struct Located {
    pub(crate) address: DocAddress,
    pub(crate) searcher: Searcher,
    pub(crate) seq: u64,
    pub(crate) version: u64,
}

/// The visible document of `index` that has this id, newest partition first.
pub(crate) fn find(index: &Index, id: &str, fields: &Fields) -> tantivy::Result<Option<Located>> {
    for partition in index.partitions().iter().rev() {
        let searcher = partition.searcher();
        for (ord, segment) in searcher.segment_readers().iter().enumerate() {
            let Some(doc) = in_segment(segment, id, index.salt, fields)? else { continue };
            let columns = segment.fast_fields();
            let seq = columns.u64("_seq")?.first(doc).unwrap_or(0);
            let version = columns.column_opt::<u64>("_version")?.and_then(|column| column.first(doc)).unwrap_or(1);
            let address = DocAddress::new(ord as u32, doc);
            return Ok(Some(Located { address, searcher: searcher.clone(), seq, version }));
        }
    }
    Ok(None)
}

pub(crate) fn in_segment(
    segment: &SegmentReader,
    id: &str,
    salt: u64,
    fields: &Fields,
) -> tantivy::Result<Option<u32>> {
    let alive = |doc: u32| segment.alive_bitset().is_none_or(|alive| alive.is_alive(doc));
    let given = segment.inverted_index(fields.id)?;
    if let Some(mut postings) = given.read_postings(&Term::from_field_text(fields.id, id), IndexRecordOption::Basic)? {
        while postings.doc() != TERMINATED {
            if alive(postings.doc()) {
                return Ok(Some(postings.doc()));
            }
            postings.advance();
        }
    }
    if let Some((source, start, sub)) = id::parse_position(id) {
        let term = Term::from_field_u64(fields.src, source);
        let sources = segment.inverted_index(fields.src)?;
        let columns = segment.fast_fields();
        if let Some(mut postings) = sources.read_postings(&term, IndexRecordOption::Basic)? {
            let starts = columns.u64("_pos")?;
            let subs = columns.column_opt::<u64>("_sub")?;
            while postings.doc() != TERMINATED {
                let doc = postings.doc();
                let its_sub = subs.as_ref().and_then(|subs| subs.first(doc)).unwrap_or(0);
                if starts.first(doc) == Some(start) && its_sub == sub && alive(doc) {
                    return Ok(Some(doc));
                }
                postings.advance();
            }
        }
    }
    if let Some(seq) = id::parse_arrival(salt, id) {
        let column = segment.fast_fields().u64("_seq")?;
        if (column.min_value()..=column.max_value()).contains(&seq) {
            let mut docs = Vec::new();
            column.get_docids_for_value_range(seq..=seq, 0..segment.max_doc(), &mut docs);
            // A document with a given id has an arrival number too, and is not found by it.
            let own = |doc: &u32| alive(*doc) && !has_other_id(segment, *doc).unwrap_or(true);
            return Ok(docs.into_iter().find(own));
        }
    }
    Ok(None)
}

fn has_other_id(segment: &SegmentReader, doc: u32) -> tantivy::Result<bool> {
    let columns = segment.fast_fields();
    let positioned = columns.column_opt::<u64>("_src")?.is_some_and(|column| column.first(doc).is_some());
    Ok(positioned || columns.str("_id")?.is_some_and(|column| column.ords().first(doc).is_some()))
}

/// The columns of a segment that ids are put together from, opened once for many documents.
pub(crate) struct Ids {
    source: Option<Column<u64>>,
    start: Option<Column<u64>>,
    sub: Option<Column<u64>>,
    given: Option<StrColumn>,
    seq: Option<Column<u64>>,
    salt: u64,
}

impl Ids {
    pub(crate) fn open(segment: &SegmentReader, salt: u64) -> tantivy::Result<Self> {
        let columns = segment.fast_fields();
        Ok(Self {
            source: columns.column_opt("_src")?,
            start: columns.column_opt("_pos")?,
            sub: columns.column_opt("_sub")?,
            given: columns.str("_id")?,
            seq: columns.column_opt("_seq")?,
            salt,
        })
    }

    /// The id of a document.
    pub(crate) fn of(&self, doc: u32) -> tantivy::Result<String> {
        let number = |column: &Option<Column<u64>>| column.as_ref().and_then(|column| column.first(doc));
        if let Some(source) = number(&self.source) {
            return Ok(id::position(source, number(&self.start).unwrap_or(0), number(&self.sub).unwrap_or(0)));
        }
        if let Some(given) = &self.given
            && let Some(ord) = given.ords().first(doc)
        {
            let mut text = String::new();
            given.ord_to_str(ord, &mut text)?;
            return Ok(text);
        }
        Ok(id::arrival(self.salt, number(&self.seq).unwrap_or(0)))
    }
}
