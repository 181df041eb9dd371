//! `GET /metrics` and `GET /health` for the roles that have no HTTP server of their own.

use std::collections::BTreeMap;
use std::future::Future;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::{Metrics, Shutdown};

/// Longest wait of [`ask`] for each step; less than what container health checks are given.
const ASK_TIME_MAX: Duration = Duration::from_secs(3);
/// Longest answer that [`ask_health`] reads: a line for each trouble.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// What is wrong right now, by part. Empty means healthy. Cheap to clone; clones share the state.
#[derive(Clone, Default)]
pub struct Health(Arc<Mutex<BTreeMap<&'static str, String>>>);

impl Health {
    /// All is well.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says that `part` is in trouble, and what to do.
    pub fn trouble(&self, part: &'static str, what: impl Into<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(part, what.into());
    }

    /// Says that `part` is well again.
    pub fn well(&self, part: &'static str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(part);
    }

    /// The present troubles, by part.
    pub fn troubles(&self) -> BTreeMap<&'static str, String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// `/metrics` (Prometheus text) and `/health` (200 with `{"status":"ok"}`, or 503 with the troubles).
pub fn routes(metrics: Metrics, health: Health) -> Router {
    Router::new()
        .route("/metrics", get(|State((metrics, _)): State<(Metrics, Health)>| async move { metrics_answer(&metrics) }))
        .route("/health", get(|State((_, health)): State<(Metrics, Health)>| async move { health_answer(&health) }))
        .with_state((metrics, health))
}

/// A further page of a role: makes its answer, as JSON, when it is asked for.
pub type Page = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = String> + Send>> + Send + Sync>;

/// Serves [`routes`], and pages of the role's own at their paths, until shutdown.
///
/// # Errors
/// When the listener breaks.
pub async fn serve_pages(
    listener: TcpListener,
    metrics: Metrics,
    health: Health,
    pages: Vec<(&'static str, Page)>,
    shutdown: Shutdown,
) -> std::io::Result<()> {
    let mut app = routes(metrics, health);
    for (path, page) in pages {
        let answer = move || {
            let page = page.clone();
            async move { ([(header::CONTENT_TYPE, "application/json")], page().await) }
        };
        app = app.route(path, get(answer));
    }
    serve(listener, app, shutdown).await
}

/// Serves routes until shutdown: [`routes`], and what a role adds to them.
///
/// # Errors
/// When the listener breaks.
pub async fn serve(listener: TcpListener, routes: Router, shutdown: Shutdown) -> std::io::Result<()> {
    axum::serve(listener, routes).with_graceful_shutdown(async move { shutdown.cancelled().await }).await
}

/// Asks the health page at `address` (on this machine where it listens on all): whether all is well, and what was said.
///
/// # Errors
/// Nobody answers there in time, or something that is no health page.
pub fn ask_health(address: SocketAddr) -> std::io::Result<(bool, String)> {
    ask(address, "/health", ANSWER_BYTES_MAX)
}

/// Asks for a page of an admin port: whether the answer is 200, and its body, of which `bytes_max` are taken at most.
/// For programs without an HTTP client of their own.
///
/// # Errors
/// Nobody answers there in time, or something that is no such page.
pub fn ask(mut address: SocketAddr, path: &str, bytes_max: u64) -> std::io::Result<(bool, String)> {
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    let mut stream = TcpStream::connect_timeout(&address, ASK_TIME_MAX)?;
    stream.set_read_timeout(Some(ASK_TIME_MAX))?;
    stream.set_write_timeout(Some(ASK_TIME_MAX))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(bytes_max).read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::InvalidData)?;
    let status = head.lines().next().unwrap_or_default();
    Ok((status.starts_with("HTTP/1.") && status.contains(" 200 "), body.to_owned()))
}

/// The answer to `GET /metrics`.
pub fn metrics_answer(metrics: &Metrics) -> impl IntoResponse + use<> {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.render())
}

/// The answer to `GET /health`.
pub fn health_answer(health: &Health) -> impl IntoResponse + use<> {
    let troubles = health.troubles();
    let (code, status) =
        if troubles.is_empty() { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "trouble") };
    let body = serde_json::json!({ "status": status, "troubles": troubles }).to_string();
    (code, [(header::CONTENT_TYPE, "application/json")], body)
}
