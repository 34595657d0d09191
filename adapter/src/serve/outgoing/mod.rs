//! Requests to upstreams, over pooled connections.
//!
//! HTTP/1.1 and HTTP/2: over TLS as ALPN decides, without TLS HTTP/2 to those upstreams that the user named, and for gRPC,
//! which knows nothing else. Connections are shared by all instances, as far as they serve requests of the same depth (see
//! `nesting`).

mod body;
mod connect;
mod failure;
mod raw;
mod tls;

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Version};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::capture_connection;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use self::body::{RequestBody, ResponseBody};
use self::connect::{Connector, Use};
use self::raw::Targets;
use super::error::Error as SetupError;
use super::fields;
use super::nesting::Nesting;
use super::options::HEAD_LIMIT_BYTES;

/// How long an unused connection is kept: shorter than what common servers do, so that they seldom close it first.
const POOL_IDLE: Duration = Duration::from_secs(20);

/// How long a connection may take where the component does not say: Envoy's default.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the other steps may take where the component does not say: that of `wasmtime serve`.
const STEP_TIMEOUT: Duration = Duration::from_secs(600);

type Pooled = legacy::Client<Connector, RequestBody>;

/// Sends requests for all instances.
pub(super) struct Client {
    /// One for each depth of the request during which a request is sent.
    pools: Vec<Pools>,
    /// The authorities that take HTTP/2 without TLS.
    h2c: HashSet<String>,
    targets: Arc<Targets>,
}

/// Pooled connections.
struct Pools {
    /// HTTP/1.1, or what ALPN decides.
    negotiated: Pooled,
    /// HTTP/2 in any case.
    http2: Pooled,
}

impl Pools {
    fn new(connector: Connector) -> Self {
        let mut builder = legacy::Client::builder(TokioExecutor::new());
        builder.timer(TokioTimer::new()).pool_timer(TokioTimer::new()).pool_idle_timeout(POOL_IDLE);
        builder.http1_max_buf_size(HEAD_LIMIT_BYTES as usize).http2_max_header_list_size(HEAD_LIMIT_BYTES);
        let negotiated = builder.build(connector.clone());
        let http2 = builder.http2_only(true).build(connector);
        Self { negotiated, http2 }
    }
}

impl Client {
    /// A client that trusts the public certificate authorities and those in a file, for requests of these depths.
    pub(super) fn new(
        h2c: &[String],
        authorities: Option<&Path>,
        nesting: &Arc<Nesting>,
        depths: RangeInclusive<u32>,
    ) -> Result<Self, SetupError> {
        let tls = tls::config(authorities)?;
        let targets = Arc::<Targets>::default();
        let connector = |depth| Connector::new(tls.clone(), nesting.clone(), targets.clone(), depth + 1);
        let pools = depths.map(|depth| Pools::new(connector(depth))).collect();
        Ok(Self { pools, h2c: h2c.iter().map(|authority| with_port(authority)).collect(), targets })
    }

    /// Sends a request, during one of this depth, and waits for the head of its response.
    pub(super) async fn send(
        &self,
        request: Request<WasiBody>,
        options: RequestOptions,
        abandoned: Arc<AtomicBool>,
        depth: u32,
    ) -> Result<Response<WasiBody>, Error> {
        let authority = request.uri().authority().ok_or(Error::HttpRequestUriInvalid)?;
        let h2c = request.uri().scheme() == Some(&http::uri::Scheme::HTTP)
            && (is_grpc(request.headers())
                || !self.h2c.is_empty() && self.h2c.contains(&with_port(authority.as_str())));
        let pools = self.pools.get(depth as usize).ok_or(Error::LoopDetected)?;
        let client = if h2c { &pools.http2 } else { &pools.negotiated };

        let mut request = frame(request, abandoned).await?;
        let target = request.extensions_mut().remove();
        let _hidden = target.and_then(|target| self.targets.hide(target, request.uri_mut(), h2c));
        if h2c {
            *request.version_mut() = Version::HTTP_2;
        } else if request.uri().scheme() == Some(&http::uri::Scheme::HTTP) {
            host_first(&mut request);
        }
        let again = repeatable(&request);
        let mut result = attempt(client, request, &options).await;
        if let (Err(Failure::Lost { reused: true }), Some(again)) = (&result, again) {
            tracing::debug!("an idle connection was closed by the upstream: trying again");
            result = attempt(client, again, &options).await;
        }
        let mut response = result.map_err(Failure::into_wasi)?;
        *response.headers_mut() = fields::visible(std::mem::take(response.headers_mut()));
        let between = options.between_bytes_timeout.unwrap_or(STEP_TIMEOUT);
        Ok(response.map(|body| ResponseBody::new(body, between).boxed_unsync()))
    }
}

/// Whether this is the head of a gRPC request; gRPC-Web is made for HTTP/1.1.
fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map_or(b"".as_slice(), HeaderValue::as_bytes);
    content_type.strip_prefix(b"application/grpc").is_some_and(|rest| matches!(rest, [] | [b'+' | b';', ..]))
}

/// An authority in the one way to spell it.
fn with_port(authority: &str) -> String {
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let port = if has_port { "" } else { ":80" };
    format!("{}{port}", authority.to_ascii_lowercase())
}

/// Why a request got no response.
enum Failure {
    /// The connection broke before anything of the response came.
    Lost {
        /// It had served another request before.
        reused: bool,
    },
    /// Anything else.
    Other(Error),
}

impl Failure {
    fn into_wasi(self) -> Error {
        match self {
            Self::Lost { .. } => Error::ConnectionTerminated,
            Self::Other(error) => error,
        }
    }
}

/// Sends a request once.
async fn attempt(
    client: &Pooled,
    mut request: Request<RequestBody>,
    options: &RequestOptions,
) -> Result<Response<Incoming>, Failure> {
    let mut captured = capture_connection(&mut request);
    let mut response = client.request(request);
    let connect_timeout = options.connect_timeout.unwrap_or(CONNECT_TIMEOUT);
    let first_byte_timeout = options.first_byte_timeout.unwrap_or(STEP_TIMEOUT);

    let mut reused = false;
    let early = tokio::select! {
        biased;
        result = &mut response => Some(result),
        connected = captured.wait_for_connection_metadata() => {
            reused = connected.as_ref().and_then(Use::of).is_some_and(|connection| connection.begin());
            None
        }
        () = tokio::time::sleep(connect_timeout) => return Err(Failure::Other(Error::ConnectionTimeout)),
    };
    let result = match early {
        Some(result) => {
            let connected = captured.connection_metadata();
            reused = connected.as_ref().and_then(Use::of).is_some_and(|connection| connection.begin());
            result
        }
        None => tokio::time::timeout(first_byte_timeout, response)
            .await
            .map_err(|_| Failure::Other(Error::ConnectionReadTimeout))?,
    };
    result.map_err(|error| {
        tracing::debug!(?error, "an upstream request failed");
        match failure::of_request(&error) {
            Error::ConnectionTerminated => Failure::Lost { reused },
            other => Failure::Other(other),
        }
    })
}

/// Puts `host` before all other fields, as Envoy does: hyper appends it. Over TLS that stays so, as the connection alone
/// knows whether it is HTTP/1, which has one, or HTTP/2.
fn host_first(request: &mut Request<RequestBody>) {
    let uri = request.uri();
    let Some(host) = uri.host() else { return };
    let port = uri.port_u16().filter(|port| *port != 80).map(|port| format!(":{port}")).unwrap_or_default();
    let Ok(host) = HeaderValue::try_from(format!("{host}{port}")) else { return };
    let others = std::mem::take(request.headers_mut());
    let headers = request.headers_mut();
    headers.reserve(others.len() + 1);
    headers.insert(HOST, host);
    headers.extend(others);
}

/// Makes hyper's request of a component's.
///
/// For GET and HEAD hyper sends no body unless the request says how it is framed. A component that opens a body may
/// still leave it empty, so its first piece, or its end, decides.
async fn frame(request: Request<WasiBody>, abandoned: Arc<AtomicBool>) -> Result<Request<RequestBody>, Error> {
    let (mut parts, body) = request.into_parts();
    let mut body = RequestBody::new(body, abandoned);
    let bodiless = matches!(parts.method, Method::GET | Method::HEAD);
    let unframed = !parts.headers.contains_key(CONTENT_LENGTH) && !body.is_end_stream();
    if bodiless && unframed && body.peek().await? {
        parts.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    Ok(Request::from_parts(parts, body))
}

/// The same request again, where sending it twice does no harm.
fn repeatable(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    if !request.method().is_idempotent() || !request.body().is_end_stream() {
        return None;
    }
    let mut again = Request::new(RequestBody::empty());
    *again.method_mut() = request.method().clone();
    *again.uri_mut() = request.uri().clone();
    *again.version_mut() = request.version();
    *again.headers_mut() = request.headers().clone();
    Some(again)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_is_told_by_its_content_type() {
        let typed = |value| HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(value))]);
        for value in ["application/grpc", "application/grpc+proto", "application/grpc;x"] {
            assert!(is_grpc(&typed(value)), "{value}");
        }
        for value in ["application/grpc-web+proto", "text/plain", "application/grpcx"] {
            assert!(!is_grpc(&typed(value)), "{value}");
        }
        assert!(!is_grpc(&HeaderMap::new()));
    }

    #[test]
    fn authorities_are_compared_with_their_ports() {
        assert_eq!(with_port("Example.com"), "example.com:80");
        assert_eq!(with_port("example.com:80"), "example.com:80");
        assert_eq!(with_port("[::1]"), "[::1]:80");
        assert_eq!(with_port("[::1]:8080"), "[::1]:8080");
    }
}
