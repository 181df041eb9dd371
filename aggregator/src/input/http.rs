//! The input `http`: the body of a request becomes events, and the answer comes when they are delivered.

use std::io::Read as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};
use weir_daemon::Shutdown;

use crate::event::{Event, FieldPath, Value};
use crate::input::codec::Codec;
use crate::input::feed::{Chunk, Sender};

/// Bytes of a body, as it comes and unpacked.
const BODY_BYTES_MAX: usize = 16 << 20;
/// Requests worked at at once; more are answered 429, as Logstash does when its queue is full.
const REQUESTS_MAX: usize = 64;
/// Time that a request waits for delivery before it is told to come again.
const DELIVERY_TIME_MAX: Duration = Duration::from_secs(60);

struct Shared {
    codec: Codec,
    sender: Sender,
    permits: Semaphore,
    /// `Authorization` that requests must carry.
    authorization: Option<String>,
}

/// Serves until shutdown.
pub(crate) async fn serve(
    listener: TcpListener,
    codec: Codec,
    authorization: Option<String>,
    sender: Sender,
    shutdown: Shutdown,
) {
    let shared = Arc::new(Shared { codec, sender, permits: Semaphore::new(REQUESTS_MAX), authorization });
    let app = Router::new().fallback(take).layer(DefaultBodyLimit::max(BODY_BYTES_MAX)).with_state(shared);
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    let serving = axum::serve(listener, service).with_graceful_shutdown(async move { shutdown.cancelled().await });
    if let Err(error) = serving.await {
        tracing::error!(%error, "the http input broke");
    }
}

async fn take(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static str) {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    if shared.authorization.as_deref().is_some_and(|expected| !same(expected, header(header::AUTHORIZATION))) {
        return (StatusCode::UNAUTHORIZED, "unauthorized\n");
    }
    let Ok(_permit) = shared.permits.try_acquire() else { return (StatusCode::TOO_MANY_REQUESTS, "busy\n") };
    let body = match header(header::CONTENT_ENCODING) {
        "" | "identity" => body,
        "gzip" => match unpack(&body) {
            Some(plain) => plain,
            None => return (StatusCode::BAD_REQUEST, "the body is not gzip, or unpacks to more than 16 MiB\n"),
        },
        _ => return (StatusCode::UNSUPPORTED_MEDIA_TYPE, "content-encoding: only gzip\n"),
    };
    let events = events(&shared.codec, header(header::CONTENT_TYPE), &body, peer.ip());
    if events.is_empty() {
        return (StatusCode::OK, "ok");
    }
    let (delivered, answer) = oneshot::channel();
    if shared.sender.send(Chunk { events, delivered: Some(delivered) }).await.is_err() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    match tokio::time::timeout(DELIVERY_TIME_MAX, answer).await {
        Ok(Ok(())) => (StatusCode::OK, "ok"),
        Ok(Err(_)) => (StatusCode::SERVICE_UNAVAILABLE, "not delivered\n"),
        Err(_) => (StatusCode::TOO_MANY_REQUESTS, "not delivered yet\n"),
    }
}

fn events(codec: &Codec, content_type: &str, body: &Bytes, peer: IpAddr) -> Vec<Event> {
    let kind = content_type.split(';').next().unwrap_or("").trim();
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
            let mut decoder = codec.decoder();
            decoder.frame(body, &mut events);
            decoder.flush(&mut events);
        }
    }
    let ip = FieldPath::of(&["host", "ip"]);
    for event in &mut events {
        if event.get(&ip).is_none() {
            event.set(&ip, Value::Text(peer.to_string().into()));
        }
    }
    events
}

fn unpack(body: &[u8]) -> Option<Bytes> {
    let mut plain = Vec::new();
    let limit = u64::try_from(BODY_BYTES_MAX).unwrap_or(u64::MAX) + 1;
    flate2::read::GzDecoder::new(body).take(limit).read_to_end(&mut plain).ok()?;
    (plain.len() <= BODY_BYTES_MAX).then(|| plain.into())
}

/// Compares in a time that does not tell how much is right.
fn same(expected: &str, given: &str) -> bool {
    let differing = expected.bytes().zip(given.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b));
    expected.len() == given.len() && differing == 0
}
