//! The admin address: `/stats`, `/stats/prometheus`, `/ready` and `/server_info`, as Envoy's answer there.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use regex_lite::Regex;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::body::Held;
use super::connections::{Acceptor, Connections};
use super::exchange::Host;
use super::presence::{Limits, Watched};
use super::samples::{self, Now, Sample, ServerState};
use super::sink::Sink;
use super::stats::Stats;
use super::tags::StatsTag;
use super::{facts, listing, prometheus};

/// Connections that it takes. The one that is idle for longest makes room for another.
const MAX_CONNECTIONS: usize = 16;

/// How long its clients may take.
const LIMITS: Limits =
    Limits { head: Duration::from_secs(10), idle: Duration::from_secs(3600), send: Duration::from_secs(60) };

/// What the admin address tells of.
pub(super) struct Admin {
    pub(super) host: Arc<Host>,
    pub(super) stats: Arc<Stats>,
    pub(super) tags: Vec<StatsTag>,
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
                        let answer = admin.answer(request.method(), request.uri());
                        async move { Ok::<_, Infallible>(answer.map(|body| Held::new(body, in_flight))) }
                    });
                    served.spawn(place.serve(builder.serve_connection(stream, service).into_owned()));
                }
                Some(_) = served.join_next() => {}
            }
        }
    }

    fn answer(&self, method: &Method, uri: &Uri) -> Response<Full<Bytes>> {
        if ![Method::GET, Method::HEAD].contains(method) {
            return text(StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD only\n");
        }
        match uri.path() {
            "/stats/prometheus" => self.show(uri, Some("prometheus")),
            "/stats" => self.show(uri, None),
            "/ready" => self.ready(),
            "/server_info" => {
                let uptime = self.host.observer.counters.started.elapsed();
                json(facts::json(self.state(), uptime, &self.host.plugin))
            }
            _ => text(StatusCode::NOT_FOUND, "there are /ready, /server_info, /stats and /stats/prometheus\n"),
        }
    }

    /// The metrics in a form, those that the query asks for.
    fn show(&self, uri: &Uri, form: Option<&str>) -> Response<Full<Bytes>> {
        let query = uri.query().unwrap_or_default();
        let parameter = |name: &str| {
            let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
            pairs.filter(|(known, _)| *known == name).map(|(_, value)| unescaped(value)).next()
        };
        let filter = match parameter("filter").map(|filter| Regex::new(&filter)).transpose() {
            Ok(filter) => filter,
            Err(error) => {
                return text(StatusCode::BAD_REQUEST, format!("the filter is no regular expression: {error}\n"));
            }
        };
        let mut samples = self.samples();
        samples.retain(|sample| filter.as_ref().is_none_or(|filter| filter.is_match(&sample.name)));
        match form.map(String::from).or_else(|| parameter("format")).as_deref() {
            None | Some("text") => text(StatusCode::OK, listing::text(&samples)),
            Some("prometheus") => text(StatusCode::OK, prometheus::text(&samples, &self.tags)),
            Some("json") => json(listing::json(&samples)),
            Some(_) => text(StatusCode::BAD_REQUEST, "usage: /stats?format=(json|prometheus|text)\n"),
        }
    }

    fn samples(&self) -> Vec<Sample> {
        let Host { gate, observer, .. } = &*self.host;
        let now = Now {
            state: self.state(),
            running: gate.count() as u64,
            waiting: gate.waiting() as u64,
            dropped_lines: Sink::stderr().lost_ever() + Sink::stdout().lost_ever(),
        };
        samples::all(self.stats.totals(), &observer.counters, &now)
    }

    fn state(&self) -> ServerState {
        if self.host.draining.load(Ordering::Relaxed) { ServerState::Draining } else { ServerState::Live }
    }

    fn ready(&self) -> Response<Full<Bytes>> {
        if self.host.draining.load(Ordering::Relaxed) {
            return text(StatusCode::SERVICE_UNAVAILABLE, "DRAINING\n");
        }
        if self.host.runner.is_closed() {
            return text(StatusCode::SERVICE_UNAVAILABLE, "FAILED\n");
        }
        text(StatusCode::OK, "LIVE\n")
    }
}

/// A value of a query.
fn unescaped(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let digits = behind.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn json(body: String) -> Response<Full<Bytes>> {
    let mut response = text(StatusCode::OK, body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
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
