//! weir's page and API on a cluster of somebody else's: Elasticsearch, OpenSearch or Quickwit. This weir keeps no lines then.
//!
//! What a reader may ask is passed on to the cluster (`pass`), narrowed to what they may see (`reach`), with KQL put into
//! terms that every engine knows (`kql`). weir's own endpoints ask the cluster's `_search` (`own`), and so do alert rules.
//! Saved searches, users, sessions and pipelines stay here, and what changes documents or indices is refused: the cluster
//! is written to directly.

mod kql;
mod own;
mod pass;
mod reach;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use serde_json::{Value, json};
use weir_daemon::Health;
use weir_daemon::client::{Answer, Host, HttpError, Payload};

use crate::access::rights::{self, Right};
use crate::error::{Error, Result};
use crate::http::{Call, Endpoint, Reply};

/// Longest wait for an answer; Elasticsearch's own clients wait half as long, but a person who waits can go away.
pub const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);
/// What the trouble of a cluster that does not answer is called.
const PART: &str = "upstream";
/// Bytes of a foreign answer that are shown.
const SHOWN_BYTES_MAX: usize = 300;

/// Endpoints that are answered here although the cluster has them too: they are about this process, or about who asks.
const HERE: [&str; 4] = ["/", "/_license", "/_xpack", "/_security/_authenticate"];

/// The cluster.
pub struct Upstream {
    hosts: Arc<[Host]>,
    /// The host in use; the next one after one that cannot be reached.
    current: AtomicUsize,
    health: Health,
}

impl Upstream {
    /// A cluster of one host at least.
    pub fn new(hosts: Arc<[Host]>, health: Health) -> Self {
        Self { hosts, current: AtomicUsize::new(0), health }
    }

    /// Sends a request to a host that can be reached.
    ///
    /// # Errors
    /// 503 when none can, 502 when the cluster does not know us or answers what cannot be read.
    async fn send(&self, method: Method, path: &str, body: Bytes, content_type: &'static str) -> Result<Answer> {
        let mut last = String::new();
        for _ in 0..self.hosts.len() {
            let at = self.current.load(Ordering::Relaxed) % self.hosts.len();
            let content_type = (!body.is_empty()).then_some(content_type);
            let payload = Payload { bytes: body.clone(), content_type, gzip: false };
            match self.hosts[at].send(method.clone(), path, payload).await {
                Ok(answer) if matches!(answer.status, 401 | 403) => {
                    // Not the reader's credentials are wrong, but ours: the page must not ask them to log in.
                    let said = shown(&answer.body);
                    let reason = format!(
                        "the cluster answers {} to {method} {path}: {said}; see indexer.upstream_user and _api_key",
                        answer.status
                    );
                    self.health.trouble(PART, reason.clone());
                    return Err(Error::new(502, "upstream_exception", reason));
                }
                Ok(answer) => {
                    self.health.well(PART);
                    return Ok(answer);
                }
                Err(error) => {
                    last = error.to_string();
                    // Searches change nothing, so that whatever went wrong can be tried at the next host; but one that
                    // takes too long at one host takes too long at the others.
                    self.current.store(at + 1, Ordering::Relaxed);
                    if matches!(error, HttpError::Late { .. }) {
                        break;
                    }
                }
            }
        }
        let reason = format!("the cluster does not answer: {last}");
        self.health.trouble(PART, reason.clone());
        Err(Error { retry_after: Some(5), ..Error::new(503, "upstream_exception", reason) })
    }

    /// `_search` of `body` in `index`, which may be missing.
    ///
    /// # Errors
    /// As [`Self::send`]; with the cluster's own status and reason where it refuses the search.
    async fn search(&self, index: &str, body: &Value) -> Result<Value> {
        let path = format!("/{}/_search?ignore_unavailable=true&allow_no_indices=true", pass::encode(index));
        self.json(Method::POST, &path, body.to_string().into()).await
    }

    /// `_search` for ourselves, everywhere: KQL in `body` is put into the engine's terms.
    ///
    /// # Errors
    /// As [`Self::search`].
    pub(crate) async fn find(&self, index: &str, mut body: Value) -> Result<Value> {
        kql::resolve(&mut body)?;
        self.search(index, &body).await
    }

    /// A request whose answer is JSON.
    async fn json(&self, method: Method, path: &str, body: Bytes) -> Result<Value> {
        let answer = self.send(method, path, body, crate::http::JSON).await?;
        let unreadable = |_| {
            let reason = format!("the cluster answers what is no JSON to {path}: {}", shown(&answer.body));
            Error::new(502, "upstream_exception", reason)
        };
        let value: Value = serde_json::from_slice(&answer.body).map_err(unreadable)?;
        if answer.status < 400 {
            return Ok(value);
        }
        let error = &value["error"];
        let reason = error["root_cause"][0]["reason"].as_str().or(error["reason"].as_str());
        let reason = reason.map_or_else(|| shown(&answer.body), str::to_owned);
        Err(Error::new(answer.status, "upstream_exception", reason))
    }
}

/// The beginning of a foreign answer, for people.
fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(SHOWN_BYTES_MAX)]);
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Answers a request to an endpoint: here, by the cluster, or not at all.
///
/// # Errors
/// The cluster's, those of the endpoint, and 403 for what would change something there.
pub(crate) async fn answer(upstream: &Arc<Upstream>, endpoint: &Endpoint, call: Call) -> Result<Reply> {
    match endpoint.path {
        "/api/tail" => own::tail(Arc::clone(upstream), call).await,
        "/api/context/{id}" => own::around(upstream, &call).await,
        "/api/fields/{name}/values" => own::values(upstream, &call).await,
        "/api/patterns" => own::patterns(upstream, &call).await,
        "/api/status" => own::status(upstream, &call).await,
        path if HERE.contains(&path) || !path.starts_with("/_") && !path.starts_with("/{") => {
            (endpoint.run)(call).await
        }
        path if path.starts_with("/_ui/") => (endpoint.run)(call).await,
        path => match rights::of(call.method.as_str(), path) {
            Right::Open | Right::Known | Right::Read => pass::pass(upstream, endpoint, &call).await,
            Right::Ingest | Right::Admin => Err(Error::new(
                403,
                "cluster_block_exception",
                "this weir shows a cluster (indexer.upstream) and changes nothing there: ask the cluster itself",
            )),
        },
    }
}

/// What every search of ours begins with: a query, and how many hits.
fn body(query: Value, size: usize) -> Value {
    json!({"query": query, "size": size})
}
