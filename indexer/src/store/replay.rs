//! From a journal record back to a batch.

use std::sync::Arc;

use super::Shared;
use super::document::{Batch, Extent, Values};
use super::flow::Flow;
use super::indexing::Accepted;
use super::parse::Parser;
use super::record;

/// The batch of a journal record; `None`, with a loud message, when it cannot be read.
pub(crate) fn accepted(shared: &Shared, flow: &Arc<Flow>, number: u64, payload: Vec<u8>) -> Option<Accepted> {
    let Some(mut record) = record::decode(&payload) else {
        tracing::error!(
            record = number,
            "a journal record cannot be read, though its checksum is right; it is passed over"
        );
        return None;
    };
    let text = match String::from_utf8(payload.get(record.text_at..)?.to_vec()) {
        Ok(text) => Arc::new(text),
        Err(error) => {
            tracing::error!(record = number, %error, "a journal record is not text; it is passed over");
            return None;
        }
    };
    let all = shared.catalog.all();
    let indices: Vec<_> =
        record.indices.iter().map(|(uid, _)| all.iter().find(|index| index.uid == *uid).cloned()).collect();
    let mut mappings: Vec<_> =
        indices.iter().map(|index| index.as_ref().map(|index| index.mapping()).unwrap_or_default()).collect();
    let mut values = Values::default();
    for entry in &mut record.entries {
        let target = usize::from(entry.index);
        // An index that was deleted since: its documents are not wanted any more.
        let Some(index) = &indices[target] else { continue };
        let (start, end) = (entry.extent.start as usize, entry.extent.start as usize + entry.extent.len as usize);
        let Some(document) = text.get(start..end) else {
            tracing::error!(record = number, "a journal record points outside of its text; a document is lost");
            continue;
        };
        let mut parser = Parser::new(&text, Arc::clone(&mappings[target]), index.as_ref(), &mut values);
        let parsed = parser.document(start, end);
        mappings[target] = parser.mapping;
        entry.extent = parsed.unwrap_or_else(|refused| {
            // It was accepted once; what the mapping says against it now must not lose it. It is kept in `_source`.
            tracing::warn!(record = number, ?refused, "a journalled document is kept without its fields");
            let (leaf, stored) = (values.leaves.len() as u32, values.stored.len() as u32);
            values.stored.extend_from_slice(document.as_bytes());
            let last_stored = values.stored.len() as u32;
            Extent { first_leaf: leaf, last_leaf: leaf, first_stored: stored, last_stored, ..entry.extent }
        });
    }
    let share = flow.enter(text.len() as u64);
    let batch = Batch { text, values, entries: record.entries, mappings, fields: shared.fields, share: Some(share) };
    Some(Accepted {
        record: number,
        arrival_ms: record.arrival_ms,
        batch: Arc::new(batch),
        ops: record.ops,
        indices: record.indices,
    })
}
