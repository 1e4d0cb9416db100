//! The few requests that are answered, over HTTP/1.1.

use super::page;
use crate::shared::Shared;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedReceiver;

/// The media type of OpenMetrics.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Connections at once; others wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 32;
/// Who does not send a whole request head in this time is cut off.
const HEAD_PATIENCE: Duration = Duration::from_secs(5);
/// No connection lives longer, however it behaves.
const LIFE_MAX: Duration = Duration::from_secs(60);
/// The pause after an error of accept: too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until the process ends: on the sockets that came last, and only on those.
pub(super) fn serve(shared: &Arc<Shared>, mut sockets: UnboundedReceiver<Vec<TcpListener>>) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return tracing::warn!("Metrics are not served: {error}"),
    };
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let mut loops = tokio::task::JoinSet::new();
        while let Some(sockets) = sockets.recv().await {
            loops.shutdown().await;
            for socket in sockets {
                loops.spawn_local(accept(Arc::clone(shared), socket, Arc::clone(&places)));
            }
        }
    });
}

async fn accept(shared: Arc<Shared>, socket: TcpListener, places: Arc<Semaphore>) {
    let listener = match tokio::net::TcpListener::from_std(socket) {
        Ok(listener) => listener,
        Err(error) => return tracing::warn!("Metrics are not served: {error}"),
    };
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let shared = Arc::clone(&shared);
        tokio::task::spawn_local(async move {
            let service = service_fn(move |request| {
                let response = answer(&shared, peer, &request);
                async move { Ok::<_, Infallible>(response) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_PATIENCE)
                .serve_connection(TokioIo::new(stream), service);
            // A peer that breaks off or sends nonsense has got its answer, if there was one to give.
            let _ = tokio::time::timeout(LIFE_MAX, connection).await;
            drop(place);
        });
    }
}

fn answer(shared: &Shared, peer: SocketAddr, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD");
        response.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match request.uri().path() {
        "/readyz" if shared.loading.is_on() => plain(StatusCode::SERVICE_UNAVAILABLE, "loading"),
        "/livez" | "/readyz" => plain(StatusCode::OK, "ok"),
        "/metrics" if !is_allowed(shared, peer) => {
            plain(StatusCode::FORBIDDEN, "metrics are for this machine only, unless metrics-public is yes")
        }
        "/metrics" => response(StatusCode::OK, OPEN_METRICS, page(shared)),
        _ => plain(StatusCode::NOT_FOUND, "there are /metrics, /livez and /readyz"),
    }
}

/// Figures tell nothing that was stored, but much about who uses the server for what.
fn is_allowed(shared: &Shared, peer: SocketAddr) -> bool {
    peer.ip().to_canonical().is_loopback() || shared.config.flag("metrics-public")
}

fn plain(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    response(status, "text/plain; charset=utf-8", format!("{text}\n"))
}

fn response(status: StatusCode, media_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(media_type));
    response
}
