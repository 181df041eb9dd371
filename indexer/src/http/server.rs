//! Connections: accepted within a number, read within times and sizes, decompressed within a limit, answered with
//! the headers that clients look for.

use std::convert::Infallible;
use std::io::{Read as _, Write as _};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context as Context_, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::header::{
    ALLOW, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName,
    HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use weir_daemon::peers::Peers;

use super::call::decode;
use super::stall::Stalling;
use super::{Body, COMMON, Call, Context, ENDPOINTS, Endpoint, Query, Reply, Shared, cors, denied, filter_path};
use crate::access::Principal;
use crate::access::audit::Event;
use crate::access::gate::CSRF_HEADER;
use crate::access::rights::{self, Right};
use crate::error::{Error, Result};

/// Time that a client has for its TLS handshake; the Beats port and Logstash give as much.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// A client that has not sent its headers by then is cut off (slow-loris).
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of a request's head, and of what is read ahead; more is answered 431. The page's longest address fits four times.
const HEAD_BYTES_MAX: usize = 128 * 1024;
/// Header fields of a request; more are answered 431.
const HEAD_FIELDS_MAX: usize = 100;
/// A client that takes nothing of its answer for this long is cut off.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest body from somebody who is not known yet: a name and a password.
const STRANGERS_BODY_BYTES_MAX: u64 = 16 * 1024;
/// A client that has not sent its whole body by then is cut off.
const BODY_TIMEOUT: Duration = Duration::from_secs(120);
/// Answers that are still being made at shutdown have this long.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of request bodies held at once, over all connections, beside one of the largest size. Over it: 429.
const BODIES_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Step in which compressed bodies are inflated, and the limit is looked at.
const INFLATE_STEP_BYTES: usize = 64 * 1024;

/// Answers requests until shutdown, then lets running ones finish within a deadline.
pub(crate) async fn serve(listener: TcpListener, context: Arc<Shared>) {
    let peers = Peers::new(context.config.connections_max, context.config.connections_per_peer_max);
    let help = "Connections closed at once because their address has too many.";
    let too_many = context.metrics.counter("weir_indexer_connections_refused_total", help, &[]);
    let held = Arc::new(AtomicU64::new(0));
    let mut connections = JoinSet::new();
    loop {
        // A permit before accept: what cannot be served stays with the kernel.
        let permit = tokio::select! {
            permit = peers.room() => permit,
            () = context.shutdown.cancelled() => break,
        };
        // The semaphore is never closed.
        let Some(permit) = permit else { break };
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = context.shutdown.cancelled() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, mostly: wait for some to be closed instead of spinning.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(place) = peers.place(permit, peer.ip()) else {
            too_many.inc();
            tracing::debug!(%peer, "too many connections of this address");
            continue;
        };
        let (context, held) = (Arc::clone(&context), Arc::clone(&held));
        connections.spawn(async move {
            let _place = place;
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "TCP_NODELAY");
            }
            let stream = Stalling::new(stream, WRITE_TIMEOUT);
            match context.config.tls.as_ref().map(|tls| tokio_rustls::TlsAcceptor::from(tls.get())) {
                None => connection(stream, peer.ip(), context, held).await,
                Some(acceptor) => match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => connection(stream, peer.ip(), context, held).await,
                    Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake"),
                    Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
                },
            }
        });
    }
    let finish = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN_TIMEOUT, finish).await.is_err() {
        tracing::warn!("connections were still open when the time to finish them was over");
    }
}

async fn connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    peer: IpAddr,
    context: Arc<Shared>,
    held: Arc<AtomicU64>,
) {
    let shutdown = context.shutdown.clone();
    let service = hyper::service::service_fn(move |request| {
        let (context, held) = (Arc::clone(&context), Arc::clone(&held));
        async move { Ok::<_, Infallible>(respond(request, peer, context, held).await) }
    });
    let serving = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEAD_FIELDS_MAX)
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

async fn respond(
    request: Request<Incoming>,
    peer: IpAddr,
    context: Arc<Shared>,
    held: Arc<AtomicU64>,
) -> Response<Sending> {
    let head = request.method() == Method::HEAD;
    let cors = cors::headers(&context.config.cors_origins, request.headers());
    let query = Query::parse(request.uri().query().unwrap_or(""));
    let (pretty, filter) =
        (query.flag("pretty").ok().flatten() == Some(true), query.text("filter_path").map(str::to_owned));
    let mut reply = answer(request, peer, query, context, held).await.unwrap_or_else(Reply::from);
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
    reply.headers.extend(cors);
    finish(reply, head)
}

/// What every answer carries, unless it says otherwise: an answer is data, and no page to be run or framed.
const SAFE: [(HeaderName, &str); 5] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

fn finish(reply: Reply, head: bool) -> Response<Sending> {
    let mut response = Response::new(Sending(Body::Full(Bytes::new())));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    // Elasticsearch's own clients refuse a server whose answers lack this.
    headers.insert("x-elastic-product", HeaderValue::from_static("Elasticsearch"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    for (name, value) in SAFE {
        headers.insert(name, HeaderValue::from_static(value));
    }
    for (name, value) in reply.headers {
        if SAFE.iter().any(|(safe, _)| *safe == name) {
            headers.insert(name, value);
        } else {
            headers.append(name, value);
        }
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
    peer: IpAddr,
    query: Query,
    context: Arc<Shared>,
    held: Arc<AtomicU64>,
) -> Result<Reply> {
    let foreign = crate::ui::from_another_site(request.method(), request.headers());
    let invited = cors::invited(&context.config.cors_origins, request.headers()).is_some();
    if foreign && !invited {
        return Err(Error::new(403, "security_exception", "pages of other sites may not use this API from a browser"));
    }
    if invited && request.method() == Method::OPTIONS {
        return Ok(Reply::empty(204));
    }
    let routed = route(request.method(), request.uri().path());
    // Who it is comes before anything that costs.
    let (principal, right) = match admit(&request, &routed, peer, &context, foreign).await? {
        Admitted::In(principal, right) => (principal, right),
        Admitted::Not(reply) => return Ok(reply),
    };
    let (endpoint, parts) = match routed {
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
    let limit = match principal {
        Some(_) => context.config.max_body_bytes,
        None => STRANGERS_BODY_BYTES_MAX.min(context.config.max_body_bytes),
    };
    let mut held = Held { total: held, limit: context.config.max_body_bytes.saturating_add(BODIES_BYTES_MAX), own: 0 };
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
    let changed = audited(right, &head.method, head.uri.path(), &context);
    let context = Arc::new(Context::new(context, principal));
    let (told, who) = (Arc::clone(&context), context.principal.clone());
    let call = Call { context, peer, method: head.method, uri: head.uri, query, headers: head.headers, body, parts };
    let upstream = told.upstream.clone();
    let answer = match &upstream {
        Some(upstream) => crate::upstream::answer(upstream, endpoint, call).await,
        None => (endpoint.run)(call).await,
    };
    let denied = answer.as_ref().is_err_and(|error| error.status == 403);
    let done = answer.as_ref().is_ok_and(|reply| reply.status < 400);
    if let Some(who) = who.filter(|_| told.gate.is_required()) {
        match changed {
            Some(what) if done => told.gate.audit.note(Event::Changed, &who.name, peer, &what),
            _ if denied => told.gate.audit.note(Event::Denied, &who.name, peer, endpoint.path),
            _ => {}
        }
    }
    answer
}

/// What the audit log says of a request that changes more than documents.
fn audited(right: Right, method: &Method, path: &str, context: &Shared) -> Option<String> {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    let of_documents = ["/_doc/", "/_create/", "/_bulk", "/_refresh", "/_flush"].iter().any(|part| path.contains(part));
    (right == Right::Admin && !reads && !of_documents && context.gate.is_required()).then(|| format!("{method} {path}"))
}

/// Whether somebody comes in.
enum Admitted {
    /// They do; nobody in particular where an endpoint is open to all.
    In(Option<Principal>, Right),
    /// They do not.
    Not(Reply),
}

/// Finds out who asks, and whether they may.
async fn admit(
    request: &Request<Incoming>,
    routed: &std::result::Result<Route, String>,
    peer: IpAddr,
    context: &Shared,
    foreign: bool,
) -> Result<Admitted> {
    let (method, path, headers) = (request.method(), request.uri().path(), request.headers());
    let right = match routed {
        Ok((endpoint, _)) if endpoint.path == "/" && crate::ui::wants_page(headers) => Right::Open,
        Ok((endpoint, _)) => rights::of(method.as_str(), endpoint.path),
        // That there is no such endpoint is for those who may ask.
        Err(_) => Right::Known,
    };
    let tls = context.config.tls.is_some();
    let shows_itself = headers.contains_key(AUTHORIZATION);
    if right == Right::Open && !shows_itself && context.gate.is_required() {
        return Ok(Admitted::In(None, right));
    }
    // The page of an invited site speaks for itself: it must not borrow the session of a reader.
    if foreign && !shows_itself && context.gate.is_required() {
        return Ok(Admitted::Not(denied::reply(crate::access::gate::Denied::Missing, path, false)));
    }
    match context.gate.who(method, headers, peer, tls).await {
        Ok(who) if right.is_of(who.role) => Ok(Admitted::In(Some(who), right)),
        Ok(who) => {
            context.gate.audit.note(Event::Denied, &who.name, peer, &format!("{method} {path}"));
            Err(denied::forbidden(&who, method.as_str(), path))
        }
        Err(_) if right == Right::Open => Ok(Admitted::In(None, right)),
        Err(why) => {
            let by_page = headers.contains_key(CSRF_HEADER) || headers.contains_key("sec-fetch-site");
            Ok(Admitted::Not(denied::reply(why, path, !by_page)))
        }
    }
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
