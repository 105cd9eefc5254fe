//! Listens, and serves the routes within limits: of connections, of the time a request's head may take,
//! of its size, of how long the other side may read nothing. No route of the API reads a body.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::patient::PatientIo;

/// Connections at once; more of them wait.
const CONNECTIONS: usize = 256;
/// How long a request's head may take, and how long a connection may rest between two.
const HEAD_PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of a request's head.
const HEAD_BYTES: usize = 64 << 10;
/// How long the other side of a connection may take nothing of what is written.
const READ_PATIENCE: Duration = Duration::from_secs(60);
/// How long a connection's TLS may take to begin.
const TLS_PATIENCE: Duration = Duration::from_secs(10);
/// How long answers under way may take when the process is to end.
const LAST_ANSWERS: Duration = Duration::from_secs(10);
/// How long is waited where no connection can be taken: too many files are open, say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Why the API cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address can be reached from other machines.
    #[error(
        "`{0}` can be reached from other machines, and this lake keeps no token, so that anyone would \
         see everything; make one with `turnaround token create`, listen on 127.0.0.1 and let a proxy \
         that asks stand before it, or say so twice with --insecure-listen"
    )]
    Open(SocketAddr),
    /// The address cannot be listened on.
    #[error("could not listen on {address}; choose another with --listen")]
    Taken {
        /// The address.
        address: SocketAddr,
        /// What happened.
        #[source]
        source: std::io::Error,
    },
}

/// Refuses an address that others can reach where nobody is asked who they are.
///
/// # Errors
/// Where that is so.
pub fn refuse_open(address: SocketAddr, asks: bool) -> Result<(), ListenError> {
    if asks || address.ip().is_loopback() { Ok(()) } else { Err(ListenError::Open(address)) }
}

/// Listens on an address.
///
/// # Errors
/// Where it cannot be listened on.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, ListenError> {
    let taken = |source| ListenError::Taken { address, source };
    TcpListener::bind(address).await.map_err(taken)
}

/// Serves until it is to end; answers under way are then given, for a while.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<TlsAcceptor>,
    stop: impl Future<Output = ()>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let (ending, tasks) = (CancellationToken::new(), TaskTracker::new());
    tokio::pin!(stop);
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            () = &mut stop => break,
            next = next => next,
        };
        match accepted {
            Ok((stream, _)) => {
                let connection = opened(stream, tls.clone(), router.clone(), ending.clone());
                tasks.spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "could not take a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    ending.cancel();
    tasks.close();
    if tokio::time::timeout(LAST_ANSWERS, tasks.wait()).await.is_err() {
        tracing::warn!("some answers were not given before the end");
    }
}

/// Serves one connection, which begins with TLS where that is spoken.
async fn opened(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    router: Router,
    ending: CancellationToken,
) {
    let stream = PatientIo::new(stream, READ_PATIENCE);
    let Some(tls) = tls else { return connection(stream, router, ending).await };
    match tokio::time::timeout(TLS_PATIENCE, tls.accept(stream)).await {
        Ok(Ok(stream)) => connection(stream, router, ending).await,
        Ok(Err(error)) => tracing::debug!(%error, "a connection did not begin with TLS"),
        Err(_) => tracing::debug!("a connection's TLS took too long to begin"),
    }
}

/// Serves one connection.
async fn connection<S>(stream: S, router: Router, ending: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(serving);
    let served = tokio::select! {
        served = serving.as_mut() => served,
        () = ending.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended early");
    }
}
