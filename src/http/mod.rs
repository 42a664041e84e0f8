//! `/metrics`, `/livez` and `/readyz` over HTTP.
//!
//! The process is live at once and ready when the run is done: a probe must not kill a long rebuild.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::observe::{Phase, Progress};

/// Renders the metrics as Prometheus text.
pub type Render = Box<dyn Fn() -> String + Send + Sync>;

/// The state behind the routes.
struct HttpState {
    progress: watch::Receiver<Progress>,
    render: Option<Render>,
}

/// Serves until the listener fails. Without `render`, `/metrics` answers 404.
///
/// # Errors
/// If the listener can't accept any more.
pub async fn serve(
    listener: TcpListener,
    progress: watch::Receiver<Progress>,
    render: Option<Render>,
) -> std::io::Result<()> {
    axum::serve(listener, router(progress, render)).await
}

/// The routes, to be mounted in the application's own server.
pub fn router(progress: watch::Receiver<Progress>, render: Option<Render>) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(Arc::new(HttpState { progress, render }))
}

async fn ready(State(state): State<Arc<HttpState>>) -> Response {
    let progress = state.progress.borrow().clone();
    let ready = progress.ready || progress.phase == Phase::Following;
    let body = Json(json!({
        "ready": ready, "projection": progress.projection, "phase": progress.phase,
        "percent": (progress.share() * 100.0).round(), "eta_seconds": progress.eta().map(|eta| eta.as_secs()),
        "waits_for": (!ready).then(|| progress.line()), "leader": progress.leader,
    }));
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, body).into_response()
}

async fn metrics(State(state): State<Arc<HttpState>>) -> Response {
    match &state.render {
        Some(render) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], render()).into_response(),
        None => (StatusCode::NOT_FOUND, "this program records no metrics\n").into_response(),
    }
}
