//! `GET /api/status`, for the page: what the indexer keeps, how much it may take, how long it keeps it, and, where it runs
//! in one process with other roles, what those count.

use serde_json::{Map, Value, json};

use super::call::aside;
use super::{Call, Context, Endpoint, Reply};
use crate::error::Result;

/// This file's endpoints.
pub static ENDPOINTS: &[Endpoint] =
    &[Endpoint { methods: &["GET"], path: "/api/status", params: &[], run: |call| Box::pin(status(call)) }];

/// What this process says of itself, whoever keeps the lines.
pub(crate) fn own(context: &Context) -> Value {
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "retention_days": context.config.retention.keep.map(|span| span.as_secs() / 86_400),
        "troubles": context.health.troubles(),
        "metrics": metrics(&context.metrics.render()),
    })
}

async fn status(call: Call) -> Result<Reply> {
    let mut answer = own(&call.context);
    let store = std::sync::Arc::clone(&call.context.store);
    let more = aside(move || {
        let disk = store.disk();
        let indices: Vec<Value> = store
            .indices()
            .iter()
            .map(|index| json!({"name": &*index.name, "documents": index.counts().0, "bytes": index.bytes()}))
            .collect();
        let disk = json!({"used": disk.used, "budget": disk.budget, "free": disk.free, "total": disk.total});
        json!({ "disk": disk, "indices": indices })
    })
    .await?;
    if let (Some(answer), Value::Object(more)) = (answer.as_object_mut(), more) {
        answer.extend(more);
    }
    Ok(Reply::json(&answer))
}

/// The metrics of this process that have no labels, by name.
fn metrics(text: &str) -> Map<String, Value> {
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.contains('{'))
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(name, value)| Some((name.to_owned(), json!(value.trim().parse::<f64>().ok()?))))
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn metrics_without_labels_are_told_by_name() {
        let text = "# HELP a_total Things.\n# TYPE a_total counter\na_total 3\nb{c=\"d\"} 4\ne 0.5\n";
        let told = super::metrics(text);
        assert_eq!(serde_json::to_string(&told).unwrap(), r#"{"a_total":3.0,"e":0.5}"#);
    }
}
