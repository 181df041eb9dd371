//! One request, read and decompressed.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderName};
use hyper::{Method, Uri};
use serde_json::Value;

use super::Context;
use crate::error::{Error, Result};

/// A request to an endpoint.
pub struct Call {
    /// What the endpoint works on.
    pub context: Arc<Context>,
    /// Who is at the other end of the connection.
    pub peer: IpAddr,
    /// The method.
    pub method: Method,
    /// Path and query as sent.
    pub uri: Uri,
    /// Query parameters.
    pub query: Query,
    /// Headers.
    pub headers: HeaderMap,
    /// The body, decompressed; its length is within the limits.
    pub body: Bytes,
    pub(super) parts: Vec<(&'static str, String)>,
}

impl Call {
    /// The part of the path that stands for `{name}`, percent-decoded.
    pub fn part(&self, name: &str) -> Option<&str> {
        self.parts.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; an empty one is `None`.
    ///
    /// # Errors
    /// 400 with Elasticsearch's shape.
    pub fn json(&self) -> Result<Option<Value>> {
        if self.body.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        serde_json::from_slice(&self.body).map(Some).map_err(|error| {
            Error::parsing(format!("request body is not valid JSON: {error}"))
                .with("line", error.line().into())
                .with("col", error.column().into())
        })
    }

    /// A header as text.
    pub fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Runs file work, or what else takes its time, where it blocks nobody.
///
/// # Errors
/// 500 when `work` broke down.
pub(super) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::new(500, "exception", error.to_string()))
}

/// Query parameters in the order in which they were sent.
#[derive(Clone, Debug, Default)]
pub struct Query(pub Vec<(String, String)>);

impl Query {
    pub(super) fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name, true), decode(value, true))
        });
        Self(pairs.collect())
    }

    /// The value of a parameter, the last one where it is repeated.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A parameter that is `true` or `false`; without a value it is true.
    ///
    /// # Errors
    /// 400 for any other value.
    pub fn flag(&self, name: &str) -> Result<Option<bool>> {
        match self.text(name) {
            None => Ok(None),
            Some("" | "true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => Err(Error::illegal_argument(format!(
                "Failed to parse value [{other}] as only [true] or [false] are allowed."
            ))),
        }
    }

    /// A parameter that is a whole number.
    ///
    /// # Errors
    /// 400 for anything else.
    pub fn number(&self, name: &str) -> Result<Option<i64>> {
        self.text(name)
            .map(|text| {
                text.parse().map_err(|_| {
                    Error::illegal_argument(format!("Failed to parse int parameter [{name}] with value [{text}]"))
                })
            })
            .transpose()
    }

    /// A parameter that is a list with commas.
    pub fn list(&self, name: &str) -> Option<Vec<&str>> {
        self.text(name).map(|text| text.split(',').filter(|item| !item.is_empty()).collect())
    }
}

/// Percent-decodes; bytes that are not UTF-8 are replaced. In queries `+` is a space.
pub(super) fn decode(text: &str, plus_is_space: bool) -> String {
    if !text.bytes().any(|byte| byte == b'%' || byte == b'+') {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = |n: usize| bytes.get(at + n).and_then(|byte| (*byte as char).to_digit(16));
        match (bytes[at], hex(1), hex(2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
                continue;
            }
            (b'+', ..) if plus_is_space => out.push(b' '),
            (byte, ..) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let query = Query::parse("q=a%20b+c&pretty&size=10&bad=%zz");
        assert_eq!(query.text("q"), Some("a b c"));
        assert_eq!(query.flag("pretty").unwrap(), Some(true));
        assert_eq!(query.number("size").unwrap(), Some(10));
        assert_eq!(query.text("bad"), Some("%zz"));
        assert!(query.number("q").is_err() && query.flag("size").is_err());
    }
}
