//! `GET /metrics` and `GET /health` for the roles that have no HTTP server of their own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::{Metrics, Shutdown};

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

/// Serves `/metrics` (Prometheus text) and `/health` (200 with `{"status":"ok"}`, or 503 with the troubles) until shutdown.
///
/// # Errors
/// When the listener breaks.
pub async fn serve(listener: TcpListener, metrics: Metrics, health: Health, shutdown: Shutdown) -> std::io::Result<()> {
    let app = Router::new()
        .route("/metrics", get(|State((metrics, _)): State<(Metrics, Health)>| async move { metrics_answer(&metrics) }))
        .route("/health", get(|State((_, health)): State<(Metrics, Health)>| async move { health_answer(&health) }))
        .with_state((metrics, health));
    axum::serve(listener, app).with_graceful_shutdown(async move { shutdown.cancelled().await }).await
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
