//! What a search sees: searchers over the partitions of some indices, fixed at one moment.

use std::sync::Arc;

use tantivy::{DocAddress, Searcher};

use crate::error::{Error, Result};
use crate::mapping::Mapping;
use crate::schema::{Fields, schema};

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
    /// Mixed into the ids that weir gives.
    pub(crate) salt: u64,
}

impl PartitionView {
    /// A view of a bare searcher over [`crate::schema::schema`], for tests of what lies above.
    pub fn new(searcher: Searcher, index_name: &str, mapping: Arc<Mapping>) -> Self {
        Self { searcher, index_name: index_name.into(), mapping, fields: schema().1, time_range: None, salt: 0 }
    }

    /// The documents' `_source`, as sent, in the order of `addresses`.
    ///
    /// # Errors
    /// 500 when a block of the document store is damaged.
    pub fn sources(&self, addresses: &[DocAddress]) -> Result<Vec<String>> {
        addresses.iter().map(|address| self.source(*address)).collect()
    }

    /// One document's `_source`.
    ///
    /// # Errors
    /// 500 when its block of the document store is damaged.
    pub fn source(&self, address: DocAddress) -> Result<String> {
        use tantivy::schema::Value as _;
        let document: tantivy::TantivyDocument = self.searcher.doc(address)?;
        let bytes = document.get_first(self.fields.source).and_then(|value| value.as_bytes()).unwrap_or(b"{}");
        String::from_utf8(bytes.to_vec()).map_err(|_| Error::internal("a stored document is not UTF-8"))
    }
}
