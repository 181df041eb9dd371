//! `_data_stream`: there are none. A name that would be one is an ordinary index here, which takes the same writes; what
//! clients ask before they write is answered, and making one is refused.

use serde_json::json;

use super::{Call, Endpoint, Reply};
use crate::error::{Error, Result};

/// This file's endpoints.
pub static ENDPOINTS: &[Endpoint] = &[
    Endpoint { methods: &["GET"], path: "/_data_stream", params: PARAMS, run: |call| Box::pin(get(call)) },
    Endpoint { methods: &["GET"], path: "/_data_stream/{name}", params: PARAMS, run: |call| Box::pin(get(call)) },
    Endpoint { methods: &["DELETE"], path: "/_data_stream/{name}", params: PARAMS, run: |call| Box::pin(delete(call)) },
    Endpoint { methods: &["PUT"], path: "/_data_stream/{name}", params: PARAMS, run: |call| Box::pin(put(call)) },
];

const PARAMS: &[&str] = &["expand_wildcards", "include_defaults", "master_timeout", "timeout", "verbose"];

fn named(call: &Call) -> Result<()> {
    match call.part("name") {
        Some(name) if !name.contains('*') && name != "_all" => Err(Error::index_not_found(name)),
        _ => Ok(()),
    }
}

async fn get(call: Call) -> Result<Reply> {
    named(&call)?;
    Ok(Reply::json(&json!({"data_streams": []})))
}

async fn delete(call: Call) -> Result<Reply> {
    named(&call)?;
    Ok(Reply::json(&json!({"acknowledged": true})))
}

async fn put(call: Call) -> Result<Reply> {
    let name = call.part("name").unwrap_or("");
    Err(Error::illegal_argument(format!("data streams are not supported: write to [{name}] as an index")))
}
