//! The input `http`: the body of a request becomes events, and the answer comes when they are delivered.

use std::convert::Infallible;
use std::io::Read as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{self, AsHeaderName, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use subtle::ConstantTimeEq as _;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};
use weir_daemon::Shutdown;

use crate::event::{Event, FieldPath, Object, Text, Value};
use crate::front::front;
use crate::input::accept::{self, Wire};
use crate::input::codec::Codec;
use crate::input::feed::{Chunk, Sender};
use crate::input::listener::ServerTls;

/// Bytes of a body, as it comes and unpacked.
const BODY_BYTES_MAX: usize = 16 << 20;
/// Requests worked at at once; more are answered 429, as Logstash does when its queue is full.
const REQUESTS_MAX: usize = 64;
/// Time that a request waits for delivery before it is told to come again.
const DELIVERY_TIME_MAX: Duration = Duration::from_secs(60);
/// Time for the head of a request, and for its body: what is slower holds a place that others want.
const HEAD_TIME_MAX: Duration = Duration::from_secs(30);
const BODY_TIME_MAX: Duration = Duration::from_secs(60);
/// The most that a header's value takes of an event, in bytes.
const HEADER_BYTES_MAX: usize = 8 << 10;

/// An HTTP input, checked.
pub(crate) struct Http {
    /// How bodies are read whose type says nothing.
    pub codec: Codec,
    /// `Authorization` that requests must carry.
    pub authorization: Option<String>,
    /// The answer when all went well.
    pub response_code: StatusCode,
    /// Where the peer's address goes.
    pub host: FieldPath,
    /// Where the headers go.
    pub headers: FieldPath,
    /// Whether what else is known of a request stays out of the event, as without ECS.
    pub legacy: bool,
}

struct Shared {
    http: Http,
    sender: Sender,
    permits: Semaphore,
}

type Answer = (StatusCode, &'static str);

/// Serves until shutdown.
pub(crate) async fn serve(listener: TcpListener, http: Http, tls: ServerTls, sender: Sender, shutdown: Shutdown) {
    let shared = Arc::new(Shared { http, sender, permits: Semaphore::new(REQUESTS_MAX) });
    accept::serve(listener, tls, shutdown.clone(), |stream, peer| {
        connection(stream, peer.ip(), shared.clone(), shutdown.clone())
    })
    .await;
}

async fn connection(stream: Box<dyn Wire>, peer: IpAddr, shared: Arc<Shared>, shutdown: Shutdown) {
    let service = service_fn(move |request| {
        let shared = shared.clone();
        async move { Ok::<_, Infallible>(respond(request, peer, &shared).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        // Who has said all may still listen for the answer.
        .half_close(true)
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
        tracing::debug!(%peer, %error, "connection lost");
    }
}

async fn respond(request: Request<Incoming>, peer: IpAddr, shared: &Shared) -> Response<Full<Bytes>> {
    let (status, text) = take(request, peer, shared).await;
    let body = if status == StatusCode::NO_CONTENT { "" } else { text };
    let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    if status == StatusCode::UNAUTHORIZED {
        let realm = HeaderValue::from_static("Basic realm=\"weir\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, realm);
    }
    response
}

fn text(headers: &HeaderMap, name: impl AsHeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
}

async fn take(request: Request<Incoming>, peer: IpAddr, shared: &Shared) -> Answer {
    let (head, body) = request.into_parts();
    let expected = shared.http.authorization.as_deref();
    // In a time that does not tell how much is right.
    if expected.is_some_and(|expected| {
        !bool::from(expected.as_bytes().ct_eq(text(&head.headers, header::AUTHORIZATION).as_bytes()))
    }) {
        return (StatusCode::UNAUTHORIZED, "unauthorized\n");
    }
    let Ok(_permit) = shared.permits.try_acquire() else { return (StatusCode::TOO_MANY_REQUESTS, "busy\n") };
    let body = match tokio::time::timeout(BODY_TIME_MAX, Limited::new(body, BODY_BYTES_MAX).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return (StatusCode::PAYLOAD_TOO_LARGE, "the body has more than 16 MiB\n");
        }
        Ok(Err(_)) => return (StatusCode::BAD_REQUEST, "the body broke off\n"),
        Err(_) => return (StatusCode::REQUEST_TIMEOUT, "the body took too long\n"),
    };
    let body = match text(&head.headers, header::CONTENT_ENCODING) {
        "" | "identity" => body,
        "gzip" => match unpack(&body) {
            Some(plain) => plain,
            None => return (StatusCode::BAD_REQUEST, "the body is not gzip, or unpacks to more than 16 MiB\n"),
        },
        _ => return (StatusCode::UNSUPPORTED_MEDIA_TYPE, "content-encoding: only gzip\n"),
    };
    let events = events(&shared.http, &head, &body, peer);
    if events.is_empty() {
        return (shared.http.response_code, "ok");
    }
    let (delivered, answer) = oneshot::channel();
    if shared.sender.send(Chunk { events, delivered: Some(delivered) }).await.is_err() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    match tokio::time::timeout(DELIVERY_TIME_MAX, answer).await {
        Ok(Ok(())) => (shared.http.response_code, "ok"),
        Ok(Err(_)) => (StatusCode::SERVICE_UNAVAILABLE, "not delivered\n"),
        Err(_) => (StatusCode::TOO_MANY_REQUESTS, "not delivered yet\n"),
    }
}

fn events(http: &Http, head: &Parts, body: &Bytes, peer: IpAddr) -> Vec<Event> {
    let kind = text(&head.headers, header::CONTENT_TYPE).split(';').next().unwrap_or("").trim();
    let mut events = Vec::new();
    match kind {
        "application/json" => Codec::Json.decoder().frame(body, &mut events),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => {
            let mut decoder = Codec::Json.decoder();
            for line in body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                decoder.frame(&body.slice_ref(line), &mut events);
            }
        }
        _ if body.is_empty() => {}
        _ => {
            let mut decoder = http.codec.decoder();
            decoder.frame(body, &mut events);
            decoder.flush(&mut events);
        }
    }
    let about = about(http, head, body.len(), kind, peer);
    for event in &mut events {
        for (path, value) in &about {
            if event.get(path).is_none() {
                event.set(path, value.clone());
            }
        }
    }
    events
}

/// What is known of a request besides its body, and the fields that Logstash puts it in.
fn about(http: &Http, head: &Parts, body_bytes: usize, kind: &str, peer: IpAddr) -> Vec<(FieldPath, Value)> {
    let value = |text: &str| Value::Text(Text::from(front(text, HEADER_BYTES_MAX)));
    // Credentials are no part of a log.
    let shown = head.headers.iter().filter(|(name, _)| **name != header::AUTHORIZATION);
    let headers = shown.filter_map(|(name, given)| {
        let name = if http.legacy { name.as_str().replace('-', "_") } else { name.as_str().to_owned() };
        Some((Text::from(name), value(given.to_str().ok()?)))
    });
    let mut about = vec![
        (http.host.clone(), value(&peer.to_string())),
        (http.headers.clone(), Value::Object(headers.collect::<Object>())),
    ];
    if http.legacy {
        return about;
    }
    let mut add = |names: &[&str], value: Value| about.push((FieldPath::of(names), value));
    add(&["http", "method"], value(head.method.as_str()));
    add(&["http", "version"], value(&format!("{:?}", head.version)));
    add(&["http", "request", "body", "bytes"], Value::Int(i64::try_from(body_bytes).unwrap_or(i64::MAX)));
    add(&["url", "path"], value(head.uri.path()));
    let agent = text(&head.headers, header::USER_AGENT);
    for (names, text) in [(&["http", "request", "mime_type"][..], kind), (&["user_agent", "original"], agent)] {
        if !text.is_empty() {
            add(names, value(text));
        }
    }
    if let Ok(host) = text(&head.headers, header::HOST).parse::<Authority>() {
        add(&["url", "domain"], value(host.host()));
        if let Some(port) = host.port_u16() {
            add(&["url", "port"], Value::Int(port.into()));
        }
    }
    about
}

fn unpack(body: &[u8]) -> Option<Bytes> {
    let mut plain = Vec::new();
    let limit = u64::try_from(BODY_BYTES_MAX).unwrap_or(u64::MAX) + 1;
    // A client may send several compressed pieces one after the other.
    flate2::read::MultiGzDecoder::new(body).take(limit).read_to_end(&mut plain).ok()?;
    (plain.len() <= BODY_BYTES_MAX).then(|| plain.into())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn bodies_of_several_compressed_pieces_are_read_to_their_end() {
        let mut body = Vec::new();
        for piece in ["one\n", "two\n"] {
            let mut encoder = flate2::write::GzEncoder::new(&mut body, flate2::Compression::fast());
            encoder.write_all(piece.as_bytes()).unwrap();
            encoder.finish().unwrap();
        }
        assert_eq!(unpack(&body).as_deref(), Some(&b"one\ntwo\n"[..]));
        assert_eq!(unpack(&body[..body.len() - 1]), None);
        assert_eq!(unpack(b"plain"), None);
    }
}
