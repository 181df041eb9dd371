//! Why a document fits a query: its score, and how tantivy came to it, in the shape of Elasticsearch's explanations.

use serde_json::{Map, Value, json};
use tantivy::query::{EnableScoring, Explanation};
use tantivy::{DocAddress, DocSet};

use crate::query::plan::Planner;
use crate::query::{Query, Refusal};
use crate::store::PartitionView;
use crate::time::Nanos;

/// The explanation of one document; `None` when it does not fit.
pub fn of(part: &PartitionView, at: DocAddress, query: &Query, now: Nanos) -> Result<Option<Value>, Refusal> {
    let planned = Planner::new(part, now).plan(query)?;
    let weight = planned.weight(EnableScoring::enabled_from_searcher(&part.searcher))?;
    let (reader, doc) = (part.searcher.segment_reader(at.segment_ord), at.doc_id);
    let mut scorer = weight.scorer(reader, 1.0)?;
    let found = if scorer.doc() < doc { scorer.seek(doc) } else { scorer.doc() };
    if found != doc {
        return Ok(None);
    }
    let score = scorer.score();
    // Some queries cannot tell how they score; then the score stands alone.
    let details: Vec<Value> = weight.explain(reader, doc).ok().iter().map(shown).collect();
    Ok(Some(json!({"value": score, "description": "score of the query", "details": details})))
}

/// tantivy's explanation in Elasticsearch's shape.
fn shown(explanation: &Explanation) -> Value {
    convert(&serde_json::from_str(&explanation.to_pretty_json()).unwrap_or_default())
}

fn convert(tree: &Value) -> Value {
    let empty = Map::new();
    let members = tree.as_object().unwrap_or(&empty);
    let details = members.get("details").and_then(Value::as_array).into_iter().flatten().map(convert);
    json!({
        "value": members.get("value").cloned().unwrap_or_else(|| json!(0.0)),
        "description": members.get("description").cloned().unwrap_or_else(|| json!("")),
        "details": details.collect::<Vec<_>>(),
    })
}
