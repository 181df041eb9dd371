//! One answer, before common parameters (`pretty`, `filter_path`) and headers are applied.

use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::error::Error;

/// `application/json` as Elasticsearch 8 says it.
pub const JSON: &str = "application/json";
/// Plain text, for `_cat`.
pub const TEXT: &str = "text/plain; charset=UTF-8";

/// What is sent.
pub enum Body {
    /// All of it.
    Full(Bytes),
    /// Pieces as they come; ends when the sender is dropped.
    Stream(mpsc::Receiver<Bytes>),
}

/// An answer.
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// The body.
    pub body: Body,
    /// Further headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// `filter_path` was already applied, by an endpoint that can do so without reading its own answer again.
    pub filtered: bool,
}

impl Reply {
    /// 200 with a JSON value.
    pub fn json(value: &Value) -> Self {
        Self::raw(200, value.to_string())
    }

    /// A status with JSON that is already text.
    pub fn raw(status: u16, json: impl Into<Bytes>) -> Self {
        Self { status, content_type: JSON, body: Body::Full(json.into()), headers: Vec::new(), filtered: false }
    }

    /// 200 with plain text.
    pub fn text(text: String) -> Self {
        Self { content_type: TEXT, ..Self::raw(200, text) }
    }

    /// A status without a body.
    pub fn empty(status: u16) -> Self {
        Self { content_type: TEXT, ..Self::raw(status, Bytes::new()) }
    }

    /// The same with another status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }
}

impl From<Error> for Reply {
    fn from(error: Error) -> Self {
        let mut reply = Self::raw(error.status, error.body().to_string());
        if let Some(seconds) = error.retry_after {
            reply.headers.push((hyper::header::RETRY_AFTER, HeaderValue::from(seconds)));
        }
        reply
    }
}
