//! The API beside a run, on a runtime of its own: a heavy question takes none of the threads that batches
//! are worked on.

use std::future::pending;
use std::net::SocketAddr;

use anyhow::Context as _;
use axum::Router;
use tokio::runtime::{Builder, Runtime};

use super::api_lake::{Api, wrong_address};
use crate::api::server;

/// Blocking threads: reading files of a folder and writing answers.
const BLOCKING_THREADS: usize = 4;

/// A port that is served until this goes.
pub struct ServedPort {
    runtime: Option<Runtime>,
}

impl Drop for ServedPort {
    fn drop(&mut self) {
        // Answers under way are not waited for: a run that is stopped ends at once.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Serves the API and a run's own routes on one port.
///
/// # Errors
/// Where the address cannot be listened on.
pub async fn serve(api: Api, of_run: Router, address: SocketAddr) -> anyhow::Result<ServedPort> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(crate::cores::count().max(2))
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name("api")
        .enable_all()
        .build()
        .context("could not start the API's threads")?;
    let served = ServedPort { runtime: Some(runtime) };
    let Some(runtime) = &served.runtime else { return Ok(served) };
    let listening = runtime.spawn(server::listen(address)).await;
    let listener = listening.context("could not listen")?.map_err(wrong_address)?;
    let bound = listener.local_addr().context("could not tell the address")?;
    let url = api.url(bound);
    tracing::info!("serving the API, /healthz, /readyz and /metrics on {url}");
    api.warn(bound);
    let router = api.router().merge(of_run);
    runtime.spawn(api.serve(listener, router, pending()));
    Ok(served)
}
