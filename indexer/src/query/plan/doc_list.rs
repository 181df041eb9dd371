//! A tantivy query: documents whose addresses are known.

use std::collections::HashMap;
use std::sync::Arc;

use tantivy::index::SegmentId;
use tantivy::query::{BitSetDocSet, ConstScorer, EmptyScorer, EnableScoring, Explanation, Query, Scorer, Weight};
use tantivy::{BitSet, DocAddress, DocId, Score, Searcher, SegmentReader};

/// See the top of the file.
#[derive(Clone, Debug)]
pub struct DocList(Arc<HashMap<SegmentId, Vec<DocId>>>);

impl DocList {
    /// Documents of a searcher.
    pub fn new(searcher: &Searcher, addresses: &[DocAddress]) -> DocList {
        let mut map: HashMap<SegmentId, Vec<DocId>> = HashMap::new();
        for address in addresses {
            map.entry(searcher.segment_reader(address.segment_ord).segment_id()).or_default().push(address.doc_id);
        }
        DocList(Arc::new(map))
    }
}

impl Query for DocList {
    fn weight(&self, _: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        Ok(Box::new(self.clone()))
    }
}

impl Weight for DocList {
    fn scorer(&self, reader: &SegmentReader, boost: Score) -> tantivy::Result<Box<dyn Scorer>> {
        let Some(docs) = self.0.get(&reader.segment_id()) else { return Ok(Box::new(EmptyScorer)) };
        let mut bits = BitSet::with_max_value(reader.max_doc());
        for doc in docs {
            bits.insert(*doc);
        }
        Ok(Box::new(ConstScorer::new(BitSetDocSet::from(bits), boost)))
    }

    fn explain(&self, _: &SegmentReader, _: DocId) -> tantivy::Result<Explanation> {
        Ok(Explanation::new("DocList", 1.0))
    }
}
