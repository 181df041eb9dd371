//! The command line's own HTTP client: one small request to a role, the whole answer back.

use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

/// Longest wait for an answer: a person is waiting too.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
/// Most bytes of an answer that are taken; 10,000 long lines fit.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// Sends a request, as JSON when there is a body, and gives status and body.
///
/// # Errors
/// A sentence for people: who could not be reached, and why.
pub async fn ask(method: Method, url: &str, body: Option<String>) -> Result<(StatusCode, Bytes), String> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let request = Request::builder()
        .method(method)
        .uri(url)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body.unwrap_or_default())))
        .map_err(|error| format!("{url} is not an address that can be asked: {error}"))?;
    let answer = async {
        let response = client.request(request).await.map_err(|error| {
            let reason = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            format!("{url} does not answer: {reason} (is weir running there?)")
        })?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| format!("the answer of {url} broke off: {error}"))?;
        Ok((status, body.to_bytes()))
    };
    tokio::time::timeout(ANSWER_TIME_MAX, answer)
        .await
        .unwrap_or_else(|_| Err(format!("{url} did not answer within {} s", ANSWER_TIME_MAX.as_secs())))
}
