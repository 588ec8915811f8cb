//! What our servers share: connections, health, metrics.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Response, StatusCode};
use axum::{Router, routing};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// The media type of metrics.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// A client gets this long for its headers, and a connection may idle as long.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// After an error of `accept` that the next try would meet again, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// A process that tells how it is.
pub(crate) trait Observed: Send + Sync + 'static {
    /// Why it should be started again, if so.
    fn stuck(&self) -> Option<String>;
    /// Why it does not do its work now, if so.
    fn unready(&self) -> Option<String>;
    /// Everything it counts, in OpenMetrics' text form.
    fn metrics(&self) -> String;
}

/// `/healthz/live`, `/healthz/ready` and `/metrics` of `observed`.
pub(crate) fn probes<O: Observed, S: Clone + Send + Sync + 'static>(observed: Arc<O>) -> Router<S> {
    Router::new()
        .route("/healthz/live", routing::get(|State(it): State<Arc<O>>| async move { health("live", it.stuck()) }))
        .route("/healthz/ready", routing::get(|State(it): State<Arc<O>>| async move { health("ready", it.unready()) }))
        .route("/metrics", routing::get(scrape::<O>))
        .with_state(observed)
}

fn health(word: &str, fault: Option<String>) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{}\n", fault.as_deref().unwrap_or(word))));
    if fault.is_some() {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}

async fn scrape<O: Observed>(State(observed): State<Arc<O>>) -> Response<Body> {
    let mut response = Response::new(Body::from(observed.metrics()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(OPEN_METRICS));
    response
}

/// Accepts connections for ever, so many at a time.
pub(crate) async fn accept(
    listener: &TcpListener,
    router: Router,
    connections_max: usize,
    stopped: &watch::Receiver<bool>,
    connections: &mut JoinSet<()>,
) {
    let free = Arc::new(Semaphore::new(connections_max));
    loop {
        // The semaphore is never closed.
        let Ok(place) = Arc::clone(&free).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        let (router, stopped) = (router.clone(), stopped.clone());
        connections.spawn(async move {
            serve(stream, router, stopped).await;
            drop(place);
        });
    }
}

/// Serves one connection; once stopping, its request at hand is the last one.
async fn serve(stream: TcpStream, router: Router, mut stopped: watch::Receiver<bool>) {
    // Answers are small and waited for.
    stream.set_nodelay(true).ok();
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        // An error means that the server is gone, which is the same.
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}
