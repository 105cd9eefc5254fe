//! Stage 8: one HTTP port: health, readiness and metrics.
//!
//! `/healthz` answers while the process lives, `/readyz` while the loop runs, no pipeline is
//! stopped and the lake answers, `/metrics` in the Prometheus text form. Loopback unless an address is given.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;

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

/// Why the port cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("could not listen on {address}; choose another with --listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What happened.
        #[source]
        source: std::io::Error,
    },
    /// Another recorder is installed already.
    #[error("could not install the metrics recorder")]
    Recorder(#[from] metrics_exporter_prometheus::BuildError),
}

/// Installs the metrics recorder. Once per process, before anything is counted.
pub fn install_recorder() -> Result<PrometheusHandle, ServeError> {
    let handle = PrometheusBuilder::new().install_recorder()?;
    crate::metrics::describe();
    Ok(handle)
}

/// Listens, and serves until the process ends. Returns the address, whose port may have been
/// chosen by the system.
pub async fn start(
    address: SocketAddr,
    progress: Arc<Progress>,
    metrics: PrometheusHandle,
) -> Result<SocketAddr, ServeError> {
    let failed = |source| ServeError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(render))
        .with_state(Shared { progress, metrics });
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the HTTP port is gone");
        }
    });
    Ok(bound)
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
