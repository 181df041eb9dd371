//! What a search sees: searchers over the partitions of some indices, fixed at one moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use tantivy::columnar::StrColumn;
use tantivy::{DocAddress, Searcher};

use super::lookup;
use super::source::Sources;
use crate::error::Result;
use crate::mapping::Mapping;
use crate::query::Query;
use crate::schema::{self, Fields, schema};
use crate::search::summary::Summaries;

/// How an index expression is read, by the query parameters of the same names.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    /// A missing index is no error.
    pub ignore_unavailable: bool,
    /// A pattern that fits nothing is no error.
    pub allow_no_indices: bool,
}

impl Default for Choice {
    fn default() -> Self {
        Self { ignore_unavailable: false, allow_no_indices: true }
    }
}

/// Partitions in the order of their indices' names, and within an index oldest first.
pub struct View {
    /// One each.
    pub parts: Vec<PartitionView>,
}

/// One partition at one moment.
pub struct PartitionView {
    /// Its segments.
    pub searcher: Searcher,
    /// The index it belongs to.
    pub index_name: Arc<str>,
    /// That index's fields; a later one may know more, never less.
    pub mapping: Arc<Mapping>,
    /// Handles of the schema.
    pub fields: Fields,
    /// Smallest and largest `@timestamp`, milliseconds; `None` when no document has one.
    pub time_range: Option<(i64, i64)>,
    /// What documents must fit beside the query: the filter of the alias by which the index was named.
    pub filter: Option<Value>,
    /// Only documents that match this are to be seen; `None`: all of them. See `narrow`.
    pub(crate) only: Option<Arc<Query>>,
    /// Mixed into the ids that weir gives.
    pub(crate) salt: u64,
    /// Histograms of whole segments.
    pub(crate) summaries: Arc<Summaries>,
    /// Its partition was dropped.
    pub(crate) gone: Arc<AtomicBool>,
}

impl View {
    /// The same without the files of partitions that were dropped, which are empty then and keep their places; `None`
    /// when there are no such files.
    ///
    /// # Errors
    /// Never at present.
    pub(crate) fn without_gone(&self) -> Result<Option<Self>> {
        let is_gone = |part: &PartitionView| part.gone.load(Ordering::Acquire) && part.searcher.num_docs() > 0;
        if !self.parts.iter().any(is_gone) {
            return Ok(None);
        }
        let empty = schema::index_builder().create_in_ram()?.reader()?.searcher();
        let parts = self.parts.iter().map(|part| PartitionView {
            searcher: if is_gone(part) { empty.clone() } else { part.searcher.clone() },
            index_name: Arc::clone(&part.index_name),
            mapping: Arc::clone(&part.mapping),
            fields: part.fields,
            time_range: part.time_range,
            filter: part.filter.clone(),
            only: part.only.clone(),
            salt: part.salt,
            summaries: Arc::clone(&part.summaries),
            gone: Arc::clone(&part.gone),
        });
        Ok(Some(Self { parts: parts.collect() }))
    }
}

impl PartitionView {
    /// A view of a bare searcher over [`crate::schema::schema`], for tests of what lies above.
    pub fn new(searcher: Searcher, index_name: &str, mapping: Arc<Mapping>) -> Self {
        Self {
            searcher,
            index_name: index_name.into(),
            mapping,
            fields: schema().1,
            time_range: None,
            filter: None,
            only: None,
            salt: 0,
            summaries: Arc::default(),
            gone: Arc::default(),
        }
    }

    /// The documents' `_source`, as sent, in the order of `addresses`.
    ///
    /// # Errors
    /// 500 when a block of the document store is damaged.
    pub fn sources(&self, addresses: &[DocAddress]) -> Result<Vec<String>> {
        let mut sources = Sources::new(&self.searcher, &self.fields);
        addresses.iter().map(|address| sources.read(*address)).collect()
    }

    /// One document's `_source`.
    ///
    /// # Errors
    /// 500 when its block of the document store is damaged.
    pub fn source(&self, address: DocAddress) -> Result<String> {
        Sources::new(&self.searcher, &self.fields).read(address)
    }

    /// The documents' `_id`, in the order of `addresses`.
    ///
    /// # Errors
    /// 500 when a column is damaged.
    pub fn ids(&self, addresses: &[DocAddress]) -> Result<Vec<String>> {
        let mut opened: Option<(u32, lookup::Ids)> = None;
        let mut found = Vec::with_capacity(addresses.len());
        for address in addresses {
            let segment = address.segment_ord;
            let ids = match opened.take() {
                Some((ord, ids)) if ord == segment => ids,
                _ => lookup::Ids::open(self.searcher.segment_reader(segment), self.salt)?,
            };
            found.push(ids.of(address.doc_id)?);
            opened = Some((segment, ids));
        }
        Ok(found)
    }

    /// Where the `_routing` of a segment's documents is, if any has one.
    ///
    /// # Errors
    /// 500 when the column is damaged.
    pub fn routing_column(&self, segment: u32) -> Result<Option<StrColumn>> {
        let columns = self.searcher.segment_reader(segment).fast_fields();
        Ok(columns.str(&format!("_kw.{}", crate::schema::ROUTING))?)
    }

    /// One document's `_routing`.
    ///
    /// # Errors
    /// 500 when the column is damaged.
    pub fn routing(&self, address: DocAddress) -> Result<Option<String>> {
        match self.routing_column(address.segment_ord)? {
            Some(column) => text_of(&column, address.doc_id),
            None => Ok(None),
        }
    }

    /// One document's `_version` and `_seq_no`.
    ///
    /// # Errors
    /// 500 when a column is damaged.
    pub fn version(&self, address: DocAddress) -> Result<(u64, u64)> {
        let columns = self.searcher.segment_reader(address.segment_ord).fast_fields();
        let version =
            columns.column_opt::<u64>("_version")?.and_then(|column| column.first(address.doc_id)).unwrap_or(1);
        Ok((version, columns.u64("_seq")?.first(address.doc_id).unwrap_or(0)))
    }

    /// Finds documents by `_id`: the addresses of those of `ids` that are in this partition.
    ///
    /// # Errors
    /// 500 when the index files are damaged.
    pub fn find_ids(&self, ids: &[&str]) -> Result<Vec<DocAddress>> {
        let mut found = Vec::new();
        for (ord, segment) in self.searcher.segment_readers().iter().enumerate() {
            for id in ids {
                if let Some(doc) = lookup::in_segment(segment, id, self.salt, &self.fields)? {
                    found.push(DocAddress::new(ord as u32, doc));
                }
            }
        }
        Ok(found)
    }
}

/// The first value that a document has in a column of strings.
///
/// # Errors
/// 500 when the column is damaged.
pub fn text_of(column: &StrColumn, doc: u32) -> Result<Option<String>> {
    let Some(ord) = column.ords().first(doc) else { return Ok(None) };
    let mut text = String::new();
    column.ord_to_str(ord, &mut text)?;
    Ok(Some(text))
}
