//! The page's trials of pipelines: `GET /api/pipelines` and `POST /api/pipelines/explain`. The indexer knows nothing of
//! pipelines; whoever runs it brings a [`Workbench`] that does.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::Semaphore;

use super::call::aside;
use super::{Call, Endpoint, Reply};
use crate::error::{Error, Result};

/// Trials at once: they are for people, and must not take the machine from what runs.
const TRIALS_AT_ONCE: usize = 1;

static TRIALS: Semaphore = Semaphore::const_new(TRIALS_AT_ONCE);

/// Shows the pipelines in use and tries texts on lines, without touching what runs. Both block.
pub trait Workbench: Send + Sync {
    /// The pipeline files that are used now, and what is wrong with them as they are:
    /// `{"files": [{"name", "text"}], "mistakes": […]}`.
    fn files(&self) -> Value;

    /// Runs the events of `trial` (`{"files": [{"name", "text"}], "events": [{…}]}`) through its texts and tells what
    /// each filter did, or what is wrong with the texts.
    ///
    /// # Errors
    /// A sentence about what in `trial` cannot be used.
    fn explain(&self, trial: &Value) -> std::result::Result<Value, String>;
}

/// This file's endpoints.
pub static ENDPOINTS: &[Endpoint] = &[
    Endpoint { methods: &["GET"], path: "/api/pipelines", params: &[], run: |call| Box::pin(files(call)) },
    Endpoint { methods: &["POST"], path: "/api/pipelines/explain", params: &[], run: |call| Box::pin(explain(call)) },
];

async fn files(call: Call) -> Result<Reply> {
    let bench = workbench(&call)?;
    Ok(Reply::json(&aside(move || bench.files()).await?))
}

async fn explain(call: Call) -> Result<Reply> {
    let bench = workbench(&call)?;
    let trial = call.json()?.ok_or_else(|| Error::parsing("a body with files and events is needed"))?;
    let permit = TRIALS.acquire().await;
    let answer = aside(move || bench.explain(&trial)).await?;
    drop(permit);
    Ok(Reply::json(&answer.map_err(Error::illegal_argument)?))
}

fn workbench(call: &Call) -> Result<Arc<dyn Workbench>> {
    call.context.config.workbench.clone().ok_or_else(|| {
        Error::new(404, "resource_not_found_exception", "this indexer runs alone and has no pipelines to try")
    })
}
