//! Connections: accepted within a number, read within times and sizes, decompressed within a limit, answered with
//! the headers that clients look for.

use std::convert::Infallible;
use std::io::{Read as _, Write as _};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context as Context_, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::header::{
    ALLOW, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE,
};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::call::decode;
use super::{Body, COMMON, Call, Context, ENDPOINTS, Endpoint, Query, Reply, filter_path};
use crate::error::{Error, Result};

/// Most connections at once; a further one waits in the kernel's backlog. Each costs a task and two small buffers.
const CONNECTIONS_MAX: usize = 1_024;
/// A client that has not sent its headers by then is cut off (slow-loris).
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// A client that has not sent its whole body by then is cut off.
const BODY_TIMEOUT: Duration = Duration::from_secs(120);
/// Answers that are still being made at shutdown have this long.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of request bodies held at once, over all connections, beside one of the largest size. Over it: 429.
const BODIES_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Step in which compressed bodies are inflated, and the limit is looked at.
const INFLATE_STEP_BYTES: usize = 64 * 1024;

/// Answers requests until shutdown, then lets running ones finish within a deadline.
pub(crate) async fn serve(listener: TcpListener, context: Arc<Context>) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let held = Arc::new(AtomicU64::new(0));
    loop {
        // A permit before accept: what cannot be served stays with the kernel.
        let permit = tokio::select! {
            permit = Arc::clone(&permits).acquire_owned() => permit,
            () = context.shutdown.cancelled() => break,
        };
        // The semaphore is never closed.
        let Ok(permit) = permit else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = context.shutdown.cancelled() => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, mostly: wait for some to be closed instead of spinning.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (context, held) = (Arc::clone(&context), Arc::clone(&held));
        tokio::spawn(async move {
            let _permit = permit;
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "TCP_NODELAY");
            }
            match context.config.tls.as_ref().map(|tls| tokio_rustls::TlsAcceptor::from(tls.get())) {
                None => connection(stream, context, held).await,
                Some(acceptor) => match tokio::time::timeout(HEADER_TIMEOUT, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => connection(stream, context, held).await,
                    Ok(Err(error)) => tracing::debug!(%error, "TLS handshake"),
                    Err(_) => tracing::debug!("TLS handshake took too long"),
                },
            }
        });
    }
    let all = CONNECTIONS_MAX as u32;
    if tokio::time::timeout(DRAIN_TIMEOUT, permits.acquire_many(all)).await.is_err() {
        tracing::warn!("connections were still open when the time to finish them was over");
    }
}

async fn connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    context: Arc<Context>,
    held: Arc<AtomicU64>,
) {
    let shutdown = context.shutdown.clone();
    let service = hyper::service::service_fn(move |request| {
        let (context, held) = (Arc::clone(&context), Arc::clone(&held));
        async move { Ok::<_, Infallible>(respond(request, context, held).await) }
    });
    let serving = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = shutdown.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}

async fn respond(request: Request<Incoming>, context: Arc<Context>, held: Arc<AtomicU64>) -> Response<Sending> {
    let head = request.method() == Method::HEAD;
    let query = Query::parse(request.uri().query().unwrap_or(""));
    let (pretty, filter) =
        (query.flag("pretty").ok().flatten() == Some(true), query.text("filter_path").map(str::to_owned));
    let mut reply = answer(request, query, context, held).await.unwrap_or_else(Reply::from);
    if let Body::Full(body) = &reply.body
        && reply.content_type == super::reply::JSON
        && !body.is_empty()
        && (pretty || (filter.is_some() && !reply.filtered))
        && let Ok(value) = serde_json::from_slice(body)
    {
        let value = match &filter {
            Some(filter) if !reply.filtered => filter_path::apply(&value, filter),
            _ => value,
        };
        let text = if pretty { format!("{value:#}\n") } else { value.to_string() };
        reply.body = Body::Full(text.into());
    }
    finish(reply, head)
}

fn finish(reply: Reply, head: bool) -> Response<Sending> {
    let mut response = Response::new(Sending(Body::Full(Bytes::new())));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    // Elasticsearch's own clients refuse a server whose answers lack this.
    headers.insert("x-elastic-product", HeaderValue::from_static("Elasticsearch"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    for (name, value) in reply.headers {
        headers.insert(name, value);
    }
    match reply.body {
        Body::Full(body) if head => {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        body => *response.body_mut() = Sending(body),
    }
    response
}

/// A body on its way out.
struct Sending(Body);

impl hyper::body::Body for Sending {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context_<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Infallible>>> {
        match &mut self.0 {
            Body::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Body::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Body::Stream(pieces) => pieces.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.0, Body::Full(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Body::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Body::Stream(_) => SizeHint::default(),
        }
    }
}

async fn answer(
    request: Request<Incoming>,
    query: Query,
    context: Arc<Context>,
    held: Arc<AtomicU64>,
) -> Result<Reply> {
    // Who it is comes before anything that costs.
    if let Some(expected) = &context.config.authorization {
        let given = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
        if !same(given, expected.as_bytes()) {
            let mut reply = Reply::from(Error::new(401, "security_exception", "missing or wrong credentials"));
            reply.headers.push((WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"weir\"")));
            return Ok(reply);
        }
    }
    if crate::ui::from_another_site(request.method(), request.headers()) {
        return Err(Error::new(403, "security_exception", "pages of other sites may not use this API from a browser"));
    }
    let (endpoint, parts) = match route(request.method(), request.uri().path()) {
        Ok(found) => found,
        Err(allowed) if allowed.is_empty() => {
            let (method, uri) = (request.method(), request.uri());
            return Err(Error::illegal_argument(format!("no handler found for uri [{uri}] and method [{method}]")));
        }
        Err(allowed) => {
            let (method, uri) = (request.method(), request.uri());
            let reason = format!("Incorrect HTTP method for uri [{uri}] and method [{method}], allowed: [{allowed}]");
            let mut reply = Reply::from(Error::new(405, "method_not_allowed_exception", reason));
            if let Ok(allowed) = HeaderValue::from_str(&allowed) {
                reply.headers.push((ALLOW, allowed));
            }
            return Ok(reply);
        }
    };
    if let Some((unknown, _)) =
        query.0.iter().find(|(name, _)| !COMMON.contains(&name.as_str()) && !endpoint.params.contains(&name.as_str()))
    {
        let path = request.uri().path();
        return Err(Error::illegal_argument(format!("request [{path}] contains unrecognized parameter: [{unknown}]")));
    }
    query.flag("pretty")?;
    let (head, incoming) = request.into_parts();
    let limit = context.config.max_body_bytes;
    let mut held = Held { total: held, limit: limit.saturating_add(BODIES_BYTES_MAX), own: 0 };
    let body = tokio::time::timeout(BODY_TIMEOUT, read(incoming, limit, &mut held))
        .await
        .map_err(|_| Error::new(408, "request_timeout_exception", "the body did not arrive in time"))??;
    let body = match head.headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"" | b"identity") => body,
        Some(b"gzip" | b"x-gzip") => inflate(&body, limit, &mut held)?,
        Some(other) => {
            let other = String::from_utf8_lossy(other).into_owned();
            return Err(Error::new(
                415,
                "illegal_argument_exception",
                format!("Content-Encoding [{other}] is not supported; gzip is"),
            ));
        }
    };
    let call = Call { context, method: head.method, uri: head.uri, query, headers: head.headers, body, parts };
    (endpoint.run)(call).await
}

/// Compares without telling by its time how much was right.
fn same(given: &[u8], expected: &[u8]) -> bool {
    given.len() == expected.len() && given.iter().zip(expected).fold(0, |wrong, (a, b)| wrong | (a ^ b)) == 0
}

/// An endpoint, and the parts of the path by name.
type Route = (&'static Endpoint, Vec<(&'static str, String)>);

/// The endpoint of a request and the parts of its path; or the methods that the path has (none: no such path).
fn route(method: &Method, path: &str) -> std::result::Result<Route, String> {
    let given: Vec<&str> = path.trim_matches('/').split('/').collect();
    let mut best: Option<(usize, &'static Endpoint)> = None;
    let mut allowed: Vec<&str> = Vec::new();
    for endpoint in ENDPOINTS.iter().copied().flatten() {
        let pattern = endpoint.path.trim_matches('/').split('/');
        let mut literals = 0;
        if pattern.clone().count() != given.len() {
            continue;
        }
        let fits = pattern.zip(&given).all(|(wanted, given)| {
            if wanted.starts_with('{') {
                // No name begins with an underscore, so `/_search` is never an index.
                !given.is_empty() && (wanted != "{index}" || !given.starts_with('_') || *given == "_all")
            } else {
                literals += 1;
                wanted == *given
            }
        });
        if !fits {
            continue;
        }
        let listed = |name: &str| endpoint.methods.contains(&name);
        if listed(method.as_str()) || (method == Method::HEAD && listed("GET")) {
            // A HEAD of its own goes before a GET that stands in for it.
            let rank = literals * 2 + usize::from(listed(method.as_str()));
            if best.is_none_or(|(known, _)| rank > known) {
                best = Some((rank, endpoint));
            }
        } else {
            allowed.extend(endpoint.methods);
        }
    }
    let Some((_, endpoint)) = best else {
        allowed.sort_unstable();
        allowed.dedup();
        return Err(allowed.join(","));
    };
    let names = endpoint.path.trim_matches('/').split('/');
    let parts = names
        .zip(&given)
        .filter_map(|(name, given)| Some((name.strip_prefix('{')?.strip_suffix('}')?, decode(given, false))));
    Ok((endpoint, parts.collect()))
}

/// This request's share of the bytes that all requests hold; given back when dropped.
struct Held {
    total: Arc<AtomicU64>,
    limit: u64,
    own: u64,
}

impl Held {
    fn take(&mut self, bytes: u64) -> Result<()> {
        self.own += bytes;
        if self.total.fetch_add(bytes, Ordering::Relaxed) + bytes > self.limit {
            return Err(Error::too_many_requests(
                "circuit_breaking_exception",
                "too many bytes of requests are being worked on; send this again",
                1,
            ));
        }
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.total.fetch_sub(self.own, Ordering::Relaxed);
    }
}

async fn read(mut incoming: Incoming, limit: u64, held: &mut Held) -> Result<Bytes> {
    let mut whole = BytesMut::new();
    let mut first = Bytes::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame
            .map_err(|error| Error::new(400, "illegal_argument_exception", format!("the body broke off: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        held.take(data.len() as u64)?;
        if (whole.len() + first.len() + data.len()) as u64 > limit {
            return Err(Error::too_large(limit));
        }
        if whole.is_empty() && first.is_empty() {
            first = data;
        } else {
            if whole.is_empty() {
                whole.extend_from_slice(&std::mem::take(&mut first));
            }
            whole.extend_from_slice(&data);
        }
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}

fn inflate(body: &[u8], limit: u64, held: &mut Held) -> Result<Bytes> {
    let mut decoder = flate2::read::MultiGzDecoder::new(body);
    let (mut out, mut step) = (Vec::new(), vec![0; INFLATE_STEP_BYTES]);
    loop {
        let n =
            decoder.read(&mut step).map_err(|error| Error::parsing(format!("the body is not valid gzip: {error}")))?;
        if n == 0 {
            return Ok(out.into());
        }
        held.take(n as u64)?;
        if (out.len() + n) as u64 > limit {
            return Err(Error::too_large(limit));
        }
        out.write_all(&step[..n])?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_methods() {
        assert_eq!(route(&Method::GET, "/").unwrap().0.path, "/");
        assert_eq!(route(&Method::HEAD, "/").unwrap().0.path, "/");
        assert_eq!(route(&Method::GET, "/_no/such").err().as_deref(), Some(""));
        assert_eq!(route(&Method::DELETE, "/").err().as_deref(), Some("GET"));
    }

    #[test]
    fn endpoints_are_listed_once() {
        let mut seen = std::collections::HashSet::new();
        for endpoint in ENDPOINTS.iter().copied().flatten() {
            for method in endpoint.methods {
                assert!(seen.insert((*method, endpoint.path)), "{method} {} is listed twice", endpoint.path);
            }
        }
    }

    #[test]
    fn inflation_stops_at_the_limit() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&vec![b'x'; 1 << 20]).unwrap();
        let bomb = encoder.finish().unwrap();
        let held = || Held { total: Arc::default(), limit: 1 << 30, own: 0 };
        assert_eq!(inflate(&bomb, 1 << 20, &mut held()).unwrap().len(), 1 << 20);
        assert_eq!(inflate(&bomb, (1 << 20) - 1, &mut held()).unwrap_err().status, 413);
        assert_eq!(inflate(b"not gzip", 100, &mut held()).unwrap_err().status, 400);
        let mut small = Held { total: Arc::default(), limit: 1000, own: 0 };
        assert_eq!(inflate(&bomb, 1 << 20, &mut small).unwrap_err().status, 429);
    }
}
