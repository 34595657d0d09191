//! Requests to upstreams, over pooled connections.
//!
//! HTTP/1.1 and HTTP/2: over TLS as ALPN decides; without TLS HTTP/2 to those upstreams that the user named, and for
//! requests whose sender asked for it, which no header of the request can do (see [`super::http2`]). Connections are
//! shared by all instances, as far as they serve requests of the same depth (see `nesting`).
//!
//! A request is sent once. Only where nothing of it was written, as the connection that was kept for it turned out to be
//! closed, it goes over another one: what an upstream may have read, it may have acted on.
//!
//! | file | holds |
//! |---|---|
//! | `target`, `connect` | where to, and how to get there |
//! | `pool` | connections for the next request |
//! | `wire`, `answer` | answers of HTTP/1, looked at before hyper reads them |
//! | `raw` | targets that `http::Uri` has no place for |
//! | `body` | the bodies of both directions |
//! | `failure` | what went wrong |

mod answer;
mod body;
mod connect;
mod failure;
mod pool;
mod raw;
mod target;
mod tls;
mod wire;

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderValue, Method, Request, Response, Uri, Version};
use hyper::body::{Body, Incoming};
use tokio::time::timeout;
use tokio_rustls::rustls::ClientConfig;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use self::body::{RequestBody, ResponseBody};
use self::connect::Connector;
use self::failure::Failure;
use self::pool::{Pool, Ticket};
use self::raw::{Hidden, Targets};
use self::target::Target;
use self::tls::ServerNames;
use super::apart::Apart;
use super::clusters::Sending;
use super::counters::Counters;
use super::error::Error as SetupError;
use super::fields;
use super::http2;
use super::log_format;
use super::nesting::Nesting;
use super::options::ServerNameOf;
use super::record::Record;

#[cfg(feature = "fuzzing")]
pub(crate) use self::answer::Answers;

/// How long a connection may take where the component does not say: Envoy's default.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a request that most likely has no body waits for its end: a component for WASI 0.3 says of none that nothing
/// follows it, and ends it when it has sent it.
const MOMENT: Duration = Duration::from_millis(100);

/// How long the other steps may take where the component does not say: that of `wasmtime serve`.
const STEP_TIMEOUT: Duration = Duration::from_secs(600);

/// What an upstream sends.
pub(super) type AnswerBody = Apart<ResponseBody>;

/// Sends requests for all instances.
pub(super) struct Client {
    /// One for each depth of the request during which a request is sent.
    pools: Vec<Arc<Pool>>,
    /// The upstreams that take HTTP/2 without TLS.
    h2c: HashSet<Target>,
    targets: Arc<Targets>,
    counters: Arc<Counters>,
}

/// Whom to trust over TLS.
pub(super) struct Trust {
    config: Arc<ClientConfig>,
    names: Arc<ServerNames>,
}

impl Trust {
    /// The public certificate authorities, and those in a file; and names that upstreams have besides their own.
    pub(super) fn new(authorities: Option<&Path>, names: &[ServerNameOf]) -> Result<Self, SetupError> {
        Ok(Self { config: tls::config(authorities)?, names: Arc::new(ServerNames::new(names)) })
    }
}

/// The instance that sends a request.
#[derive(Clone)]
pub(super) struct Sender {
    /// Set when the instance is given up, so that an unfinished request is not taken for a finished one.
    pub(super) abandoned: Arc<AtomicBool>,
    /// Of the request that is being served.
    pub(super) depth: u32,
    /// The request that is being served, if one is.
    pub(super) record: Option<Arc<Record>>,
    pub(super) purpose: Purpose,
}

/// What a request is sent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It is the one that is being served, which its filters let through.
    Upstream,
    Callout,
    /// A component does not say it by `wasi:http`: where its cluster is one that routes lead to, it is taken for the former.
    Unsaid,
}

impl Client {
    /// A client for requests of these depths.
    pub(super) fn new(
        h2c: &[String],
        trust: &Trust,
        nesting: &Arc<Nesting>,
        depths: RangeInclusive<u32>,
        counters: &Arc<Counters>,
    ) -> Self {
        let targets = Arc::<Targets>::default();
        let connector = |depth| Connector::new(trust, nesting.clone(), targets.clone(), counters.clone(), depth + 1);
        let pools = depths.map(|depth| Pool::new(connector(depth))).collect();
        let h2c = h2c.iter().filter_map(|authority| Target::of_plain(authority)).collect();
        Self { pools, h2c, targets, counters: counters.clone() }
    }

    /// Sends a request, and waits for the head of its response. Both are counted. It has its place among others from the
    /// call on.
    pub(super) fn send(
        &self,
        mut request: Request<WasiBody>,
        options: RequestOptions,
        sender: Sender,
    ) -> impl Future<Output = Result<Response<AnswerBody>, Error>> + Send + use<> {
        let way = self.way(&mut request, sender.depth);
        let counters = self.counters.clone();
        let pace = sender.record.as_ref().map(|record| record.pace.clone());
        if let Some(pace) = &pace {
            pace.asks();
        }
        log_format::of_the_same(async move {
            let Way { pool, target, ticket, hidden: _hidden } = way?;
            let mut sending = counters.clusters.get(&target.authority()).send(&sender, target.address());
            let answered = answer(&pool, &target, ticket, request, &options, sender.abandoned, &mut sending).await;
            sending.end(answered.as_ref());
            if let Some(pace) = pace {
                pace.hears();
            }
            let mut response = answered?;
            *response.headers_mut() = fields::visible(std::mem::take(response.headers_mut()));
            let between = options.between_bytes_timeout.unwrap_or(STEP_TIMEOUT);
            let multiplexed = response.version() == Version::HTTP_2;
            Ok(response.map(|body| Apart::new(ResponseBody::new(body, between, target), multiplexed)))
        })
    }

    fn way(&self, request: &mut Request<WasiBody>, depth: u32) -> Result<Way, Error> {
        let target = Target::of(request.uri()).ok_or(Error::HttpRequestUriInvalid)?;
        let pool = self.pools.get(depth as usize).ok_or(Error::LoopDetected)?.clone();
        // Over TLS both ends agree on a protocol.
        let asked = http2::take(request.headers_mut()) && !target.tls();
        let target = if asked || self.h2c.contains(&target) { target.in_http2() } else { target };
        let ticket = pool.queue(&target);
        let raw = request.extensions_mut().remove();
        let hidden = raw.and_then(|raw| self.targets.hide(raw, request.uri_mut(), target.http2()));
        Ok(Way { pool, target, ticket, hidden })
    }
}

/// How a request is sent.
struct Way {
    pool: Arc<Pool>,
    target: Target,
    ticket: Option<Ticket>,
    /// Its target, where its `Uri` has no place for it.
    hidden: Option<Hidden>,
}

/// Sends a request, and says why where there is no answer.
async fn answer(
    pool: &Arc<Pool>,
    target: &Target,
    ticket: Option<Ticket>,
    request: Request<WasiBody>,
    options: &RequestOptions,
    abandoned: Arc<AtomicBool>,
    sending: &mut Sending,
) -> Result<Response<Incoming>, Error> {
    let request = frame(request, abandoned).await?;
    exchange(pool, target, ticket, request, options, sending).await.map_err(|failure| {
        tracing::warn!("upstream {target}: {failure}");
        failure.to_wasi()
    })
}

/// Sends a request once, unless it is certain that nobody read any of it.
async fn exchange(
    pool: &Arc<Pool>,
    target: &Target,
    mut ticket: Option<Ticket>,
    mut request: Request<RequestBody>,
    options: &RequestOptions,
    sending: &mut Sending,
) -> Result<Response<Incoming>, Failure> {
    let uri = request.uri().clone();
    let host = request.headers().get(HOST).cloned();
    let connect_timeout = options.connect_timeout.unwrap_or(CONNECT_TIMEOUT);
    let answer_timeout = options.first_byte_timeout.unwrap_or(STEP_TIMEOUT);
    loop {
        let lease = pool.lease(target, connect_timeout, ticket.take()).await?;
        let reused = lease.reused;
        sending.goes_to(lease.address());
        dress(&mut request, &uri, host.as_ref(), lease.is_http2()).ok_or(Failure::Authority)?;
        let sent = tokio::time::timeout(answer_timeout, lease.send(pool, target, request)).await;
        let mut error = match sent {
            Err(_) => return Err(Failure::AnswerTimeout(answer_timeout)),
            Ok(Ok(response)) => return Ok(response),
            Ok(Err(error)) => error,
        };
        match error.take_message() {
            Some(unsent) if reused => {
                tracing::debug!(%target, "a connection was closed before it was used again: another one is tried");
                request = unsent;
            }
            _ => return Err(Failure::of_request(error.error())),
        }
    }
}

/// Gives a request the form of the protocol that it is sent in. What it says of its host is what its filters left there,
/// where the component says that; else the authority that it goes to. Nothing, where HTTP/2 has no place for the former.
fn dress(request: &mut Request<RequestBody>, uri: &Uri, host: Option<&HeaderValue>, http2: bool) -> Option<()> {
    if http2 {
        request.headers_mut().remove(HOST);
        request.headers_mut().remove(TRANSFER_ENCODING);
        *request.uri_mut() = match host.filter(|host| !host.is_empty()) {
            Some(host) => target::with_authority(uri, host)?,
            None => uri.clone(),
        };
        *request.version_mut() = Version::HTTP_2;
        return Some(());
    }
    *request.uri_mut() = target::origin_form(uri);
    *request.version_mut() = Version::HTTP_11;
    // `host` goes before all other fields, as Envoy sends it.
    let host = host.cloned().or_else(|| target::host_field(uri))?;
    if request.headers().keys().next() == Some(&HOST) {
        return Some(());
    }
    let others = std::mem::take(request.headers_mut());
    let headers = request.headers_mut();
    headers.reserve(others.len() + 1);
    headers.insert(HOST, host);
    headers.extend(others);
    Some(())
}

/// Makes hyper's request of a component's.
///
/// For GET and HEAD hyper sends no body unless the request says how it is framed. A component that opens a body may
/// still leave it empty, so its first piece, or its end, decides. For DELETE and TRACE hyper sends an empty body in chunks,
/// where Envoy sends none: the end decides there, where it comes at once. Source: `request-framing/methods`.
async fn frame(request: Request<WasiBody>, abandoned: Arc<AtomicBool>) -> Result<Request<RequestBody>, Error> {
    let (mut parts, body) = request.into_parts();
    let mut body = RequestBody::new(body, abandoned);
    let bodiless = matches!(parts.method, Method::GET | Method::HEAD);
    let unframed = !parts.headers.contains_key(CONTENT_LENGTH) && !body.is_end_stream();
    if bodiless && unframed && body.peek().await? {
        parts.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    if matches!(parts.method, Method::DELETE | Method::TRACE)
        && unframed
        && let Ok(peeked) = timeout(MOMENT, body.peek()).await
    {
        peeked?;
    }
    Ok(Request::from_parts(parts, body))
}
