//! Writing documents: a request is parsed where blocking is allowed, and goes to the sequencer.

use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use serde_json::json;
use tokio::sync::oneshot;

use super::request::{self, Targets};
use super::sequencer::{self, Message};
use super::{Condition, Defaults, Index, Kind, Request, Store, Written, catalog, check_name, now_ms, shutting_down};
use crate::error::{Error, Result};

/// How often a request is parsed again because an index was deleted under it.
const STALE_RETRIES: usize = 3;

impl Store {
    /// Parses and writes a `_bulk` body; the answer comes when it is on the disk.
    ///
    /// # Errors
    /// What concerns the request as a whole: malformed, no room (429), not writable (503).
    pub async fn bulk(self: &Arc<Self>, body: Bytes, defaults: Defaults) -> Result<Written> {
        let parse = move |store: &Self, body: Bytes| request::bulk(body, &defaults, store);
        self.write_with(body, parse).await
    }

    /// Writes or deletes one document; the answer comes when it is on the disk. An item's own error is in its outcome.
    ///
    /// # Errors
    /// What concerns the request as a whole.
    pub async fn single(
        self: &Arc<Self>,
        body: Bytes,
        index: String,
        kind: Kind,
        id: Option<String>,
        routing: Option<String>,
        condition: Condition,
    ) -> Result<Written> {
        let parse = move |store: &Self, body: Bytes| {
            let who = (id.as_deref(), routing.as_deref());
            request::single(body, &index, kind, who, condition.clone(), store)
        };
        self.write_with(body, parse).await
    }

    /// Deletes documents by their ids, as `_delete_by_query` finds them.
    ///
    /// # Errors
    /// What concerns the request as a whole.
    pub async fn delete_many(self: &Arc<Self>, index: &Arc<Index>, ids: &[String]) -> Result<Written> {
        let mut body = String::new();
        for id in ids {
            body.push_str(&json!({"delete": {"_index": &*index.name, "_id": id}}).to_string());
            body.push('\n');
        }
        self.bulk(body.into(), Defaults::default()).await
    }

    pub(super) async fn write_with<F>(self: &Arc<Self>, body: Bytes, parse: F) -> Result<Written>
    where
        F: Fn(&Self, Bytes) -> Result<Request> + Send + Sync + 'static,
    {
        let parse = Arc::new(parse);
        for _ in 0..STALE_RETRIES {
            let (store, parse, body) = (Arc::clone(self), Arc::clone(&parse), body.clone());
            let parsed = tokio::task::spawn_blocking(move || parse(&store, body)).await;
            let request = parsed.map_err(Error::internal)??;
            match self.write(request).await {
                Err(error) if sequencer::is_stale(&error) => {}
                other => return other,
            }
        }
        Err(sequencer::stale())
    }

    async fn write(&self, request: Request) -> Result<Written> {
        let (answer, done) = oneshot::channel();
        self.sequencer.try_send(Message::Write { request, answer }).map_err(|error| match error {
            std::sync::mpsc::TrySendError::Full(_) => Error::too_many_requests(
                "es_rejected_execution_exception",
                "too many requests are waiting to be written",
                1,
            ),
            std::sync::mpsc::TrySendError::Disconnected(_) => shutting_down(),
        })?;
        done.await.map_err(|_| shutting_down())?
    }
}

impl Targets for Store {
    fn target(&self, name: &str) -> Result<Arc<Index>> {
        let name = catalog::date_math(name, now_ms())?;
        if let Some(index) = self.shared.catalog.write_target(&name)? {
            return Ok(index);
        }
        check_name(&name)?;
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        match self.shared.catalog.write_target(&name)? {
            Some(index) => Ok(index),
            None => {
                self.may_create(&name)?;
                self.make(&name, &json!({}))
            }
        }
    }
}
