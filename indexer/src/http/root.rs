//! `GET /` and `HEAD /`: the hello that every client begins with.

use serde_json::json;

use super::{Call, Endpoint, Reply};
use crate::error::Result;

/// The Elasticsearch version whose behaviour is followed; clients compare it.
pub const ES_VERSION: &str = "8.19.3";

/// This file's endpoints.
pub static ENDPOINTS: &[Endpoint] =
    &[Endpoint { methods: &["GET"], path: "/", params: &[], run: |call| Box::pin(hello(call)) }];

async fn hello(call: Call) -> Result<Reply> {
    if crate::ui::wants_page(&call.headers) {
        return Ok(crate::ui::page(&call.headers));
    }
    Ok(Reply::json(&json!({
        "name": "weir",
        "cluster_name": "weir",
        "cluster_uuid": call.context.store.uuid(),
        "version": {
            "number": ES_VERSION,
            "build_flavor": "default",
            "build_type": "tar",
            "build_hash": "weir",
            "build_date": "2026-01-01T00:00:00.000Z",
            "build_snapshot": false,
            "lucene_version": "9.12.0",
            "minimum_wire_compatibility_version": "7.17.0",
            "minimum_index_compatibility_version": "7.0.0",
        },
        "tagline": "You Know, for Search",
        // Tells weir's aggregator that actions may carry `_end`; clients pass over it.
        "weir": {"version": env!("CARGO_PKG_VERSION")},
    })))
}
