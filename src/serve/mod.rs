//! Stage 8: what a run says of itself: health, readiness and metrics. They stand on one port with the API.
//!
//! `/healthz` answers while the process lives, `/readyz` while the loop runs, no pipeline is
//! stopped and the lake answers, `/metrics` in the Prometheus text form.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

use crate::clock::{Clock as _, SystemClock};
use crate::flow::Span;
use crate::metrics::LAKE_AWAY;
use crate::pipeline::progress::{Absence, Progress};

/// What the handlers share.
#[derive(Clone)]
struct Shared {
    progress: Arc<Progress>,
    metrics: PrometheusHandle,
}

/// Installs the metrics recorder. Once per process, before anything is counted.
pub fn install_recorder() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new().install_recorder()?;
    crate::metrics::describe();
    Ok(handle)
}

/// The routes of a run.
pub fn router(progress: Arc<Progress>, metrics: PrometheusHandle) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(render))
        .with_state(Shared { progress, metrics })
}

async fn readyz(State(shared): State<Shared>) -> (StatusCode, String) {
    let progress = &shared.progress;
    if let Some(Absence { lake, lasted, reason }) = progress.away() {
        let micros = i64::try_from(lasted.as_micros()).unwrap_or(i64::MAX);
        let since = SystemClock.now().minus(Span(micros)).to_rfc3339();
        let seconds = lasted.as_secs();
        let text = format!("the lake `{lake}` is away since {since} ({seconds} s): {reason}\n");
        return (StatusCode::SERVICE_UNAVAILABLE, text);
    }
    if progress.ready.load(Ordering::Relaxed) {
        return (StatusCode::OK, "ready\n".to_owned());
    }
    let reason = progress.told_trouble().unwrap_or_else(|| "starting".to_owned());
    (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n"))
}

async fn render(State(shared): State<Shared>) -> impl IntoResponse {
    shared.metrics.run_upkeep();
    if let Some(absence) = shared.progress.away() {
        metrics::gauge!(LAKE_AWAY).set(absence.lasted.as_secs_f64());
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], shared.metrics.render())
}
