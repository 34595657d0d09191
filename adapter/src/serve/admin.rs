//! The admin address: `/stats/prometheus` and `/ready`, as Envoy's answer there.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::body::Held;
use super::connections::{Acceptor, Connections};
use super::exchange::Host;
use super::presence::{Limits, Watched};
use super::prometheus;
use super::stats::Stats;

/// Connections that it takes. The one that is idle for longest makes room for another.
const MAX_CONNECTIONS: usize = 16;

/// How long its clients may take.
const LIMITS: Limits =
    Limits { head: Duration::from_secs(10), idle: Duration::from_secs(3600), send: Duration::from_secs(60) };

/// What the admin address tells of.
pub(super) struct Admin {
    pub(super) host: Arc<Host>,
    pub(super) stats: Arc<Stats>,
}

impl Admin {
    /// Answers whoever connects, as long as it is polled. Where descriptors run out, `others` give theirs.
    pub(super) async fn serve(
        self,
        listener: TcpListener,
        builder: auto::Builder<TokioExecutor>,
        others: Arc<Connections>,
    ) {
        let admin = Arc::new(self);
        let mut acceptor = Acceptor::new(listener, Connections::new(MAX_CONNECTIONS, LIMITS), Some(others));
        let mut served = JoinSet::new();
        loop {
            tokio::select! {
                (stream, _, place) = acceptor.accept() => {
                    let (admin, presence) = (admin.clone(), place.presence.clone());
                    let stream = TokioIo::new(Watched::new(stream, presence.clone()));
                    let service = service_fn(move |request: Request<Incoming>| {
                        let in_flight = presence.begin();
                        in_flight.flight().is_worked_off();
                        let answer = admin.answer(request.method(), request.uri().path());
                        async move { Ok::<_, Infallible>(answer.map(|body| Held::new(body, in_flight))) }
                    });
                    served.spawn(place.serve(builder.serve_connection(stream, service).into_owned()));
                }
                Some(_) = served.join_next() => {}
            }
        }
    }

    fn answer(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        if ![Method::GET, Method::HEAD].contains(method) {
            return text(StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD only\n");
        }
        match path {
            "/stats/prometheus" => text(StatusCode::OK, prometheus::text(&self.stats.totals())),
            "/ready" => self.ready(),
            _ => text(StatusCode::NOT_FOUND, "there are /ready and /stats/prometheus\n"),
        }
    }

    fn ready(&self) -> Response<Full<Bytes>> {
        if self.host.draining.load(Ordering::Relaxed) {
            return text(StatusCode::SERVICE_UNAVAILABLE, "DRAINING\n");
        }
        if self.host.pool.is_closed() {
            return text(StatusCode::SERVICE_UNAVAILABLE, "FAILED\n");
        }
        text(StatusCode::OK, "LIVE\n")
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    for (name, value) in [
        (CONTENT_TYPE, "text/plain; charset=UTF-8"),
        (CACHE_CONTROL, "no-cache, max-age=0"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
