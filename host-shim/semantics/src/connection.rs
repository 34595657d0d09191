//! Changes that Envoy's connection manager makes to a request before the first filter sees it.

use std::{borrow::Cow, cell::Cell};

use proxy_wasm_abi::{
    grpc, properties,
    settings::{Connection, Settings},
};

use crate::{
    headers::{HeaderMap, Kind},
    names, referer,
    stream::Facts,
};

/// The name and the value of a header, as the edge has them.
pub type Line<'h> = (Cow<'h, [u8]>, Cow<'h, [u8]>);

/// A request's head, as the edge has it: in pieces of its own, or in one piece that it borrows.
#[derive(Clone, Debug, Default)]
pub struct Request<'h> {
    /// `GET`
    pub method: Cow<'h, [u8]>,
    /// Path and query.
    pub path: Cow<'h, [u8]>,
    /// Host, and port where there is one.
    pub authority: Cow<'h, [u8]>,
    /// `http` or `https`.
    pub scheme: Cow<'h, [u8]>,
    /// The header lines in order, `host` left out.
    pub headers: Vec<Line<'h>>,
    /// The random bytes of its id, where it is to get one: unlike any other's, but no secret.
    pub id: [u8; 16],
    /// When it came, by the monotonic clock, where that is known.
    pub received: Option<u64>,
    /// It came by HTTP/2.
    pub http2: bool,
}

impl Request<'static> {
    /// A head of which the host may not know every part.
    pub fn new(
        method: String,
        scheme: Option<String>,
        authority: Option<String>,
        path: Option<String>,
        headers: Vec<(String, Vec<u8>)>,
    ) -> Self {
        let owned = |part: String| Cow::Owned(part.into_bytes());
        let part = |part: Option<String>, default: &'static str| part.map_or(Cow::Borrowed(default.as_bytes()), owned);
        Self {
            method: owned(method),
            path: part(path, "/"),
            authority: part(authority, ""),
            scheme: part(scheme, "http"),
            headers: headers.into_iter().map(|(name, value)| (owned(name), Cow::Owned(value))).collect(),
            ..Self::default()
        }
    }
}

impl Request<'_> {
    /// The value of the first line of this name.
    pub fn field(&self, wanted: &str) -> Option<&[u8]> {
        let (_, value) = self.headers.iter().find(|(name, _)| names::is(name, wanted))?;
        Some(value)
    }
}

/// Headers that steer Envoy's router: a client's don't count, and a filter's go no further. Source:
/// `proxy_on_request_headers/what-a-client-says-to-envoy`.
pub(crate) const ROUTER_HEADERS: &[&str] = &[
    "x-envoy-hedge-on-per-try-timeout",
    "x-envoy-max-retries",
    "x-envoy-retriable-header-names",
    "x-envoy-retriable-status-codes",
    "x-envoy-retry-grpc-on",
    "x-envoy-retry-on",
    "x-envoy-upstream-alt-stat-name",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-upstream-rq-timeout-alt-response",
    "x-envoy-upstream-rq-timeout-ms",
    "x-envoy-upstream-stream-duration-ms",
];

/// Other headers that only Envoy itself may set: a client's don't count. Source:
/// `proxy_on_request_headers/what-a-client-says-to-envoy`.
const ENVOYS_HEADERS: &[&str] = &[
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-force-trace",
    "x-envoy-internal",
    "x-envoy-ip-tags",
    "x-envoy-original-url",
    "x-forwarded-client-cert",
];

/// Hop-by-hop headers, which go no further; `te` is treated by itself. Source:
/// `proxy_on_request_headers/connection-headers-are-not-shown`.
const HOP_BY_HOP: &[&str] =
    &["connection", "expect", "http2-settings", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];

/// The head that the filter sees, and the facts that its properties tell.
pub(crate) fn receive(mut request: Request<'_>, settings: &Settings, now: u64) -> (HeaderMap, Facts) {
    find_authority(&mut request, &settings.connection);
    let mut headers = HeaderMap::from_pairs(
        Kind::Request,
        [
            (":authority", &*request.authority),
            (":path", &request.path),
            (":method", &request.method),
            (":scheme", &request.scheme),
        ],
    );
    let lines = request.headers;
    let named_by_connection: Vec<Vec<u8>> = lines
        .iter()
        .filter(|(name, _)| names::is(name, "connection"))
        .flat_map(|(_, value)| value.split(|byte| *byte == b','))
        .map(|token| token.trim_ascii().to_vec())
        .collect();
    let mut has_referer = false;
    for (name, value) in lines {
        if names::is(&name, "te") {
            if value.split(|byte| *byte == b',').any(|item| item.trim_ascii() == b"trailers") {
                headers.add(b"te", "trailers");
            }
        } else if !is_dropped(&name) && !named_by_connection.iter().any(|token| token.eq_ignore_ascii_case(&name)) {
            has_referer |= names::is(&name, "referer");
            headers.add(&name, value);
        }
    }
    // Of more than one line that is what they come to.
    if has_referer && headers.get(b"referer").is_some_and(|value| !referer::is_address(value)) {
        headers.remove(b"referer");
    }
    if settings.connection.forwarded_proto {
        match headers.get(b"x-forwarded-proto").map(|proto| proto == b"https") {
            Some(true) => set_scheme(&mut headers, "https"),
            Some(false) => set_scheme(&mut headers, "http"),
            None => {
                let scheme = headers.get(b":scheme").unwrap_or(b"http").to_vec();
                headers.add(b"x-forwarded-proto", scheme);
            }
        }
    }
    if settings.connection.request_id && !headers.contains(b"x-request-id") {
        headers.add(b"x-request-id", uuid(request.id));
    }
    let from_headers = settings
        .property_headers
        .iter()
        .filter_map(|(path, name)| {
            let value = headers.get_joined(name.as_bytes())?;
            Some((path.clone(), properties::kind(path).encode(&value)?))
        })
        .collect();
    let facts = Facts {
        is_head: headers.get(b":method") == Some(b"HEAD"),
        http2: request.http2,
        is_grpc: headers.get(b"content-type").is_some_and(grpc::is_grpc),
        start: Cell::new(None),
        start_monotonic: now,
        upstream_start: None,
        backend_latency: None,
        duration: Cell::new(None),
        response_code: None,
        response_code_details: None,
        ends_connection: false,
        response_flags: 0,
        original_path: None,
        from_headers,
    };
    (headers, facts)
}

/// Fills in an authority that the host does not tell: Wasmtime 48 hides that of HTTP/1.1 from components for WASI 0.3.
fn find_authority(request: &mut Request<'_>, connection: &Connection) {
    if !request.authority.is_empty() {
        return;
    }
    let carrier = connection.authority_header.as_deref();
    let told = request
        .headers
        .iter()
        .position(|(name, _)| carrier.is_some_and(|carrier| name.eq_ignore_ascii_case(carrier.as_bytes())));
    if let Some(line) = told {
        request.authority = request.headers.remove(line).1;
    } else if let Some(authority) = &connection.authority {
        request.authority = Cow::Owned(authority.clone().into_bytes());
    }
}

/// Whether a header goes no further.
fn is_dropped(name: &[u8]) -> bool {
    let is_one_of = |names: &[&str]| names.iter().any(|one| names::is(name, one));
    match name {
        // Of most names that is all which is looked at.
        [b'x' | b'X', b'-', b'e' | b'E' | b'f' | b'F', ..] => is_one_of(ROUTER_HEADERS) || is_one_of(ENVOYS_HEADERS),
        [b'x' | b'X', b'-', ..] => false,
        _ => is_one_of(HOP_BY_HOP),
    }
}

fn set_scheme(headers: &mut HeaderMap, scheme: &str) {
    if headers.get(b":scheme") != Some(scheme.as_bytes()) {
        headers.replace(b":scheme", scheme);
    }
}

/// A random UUID, version 4.
fn uuid(mut bytes: [u8; 16]) -> [u8; 36] {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = [b'-'; 36];
    // Each byte's place in 8-4-4-4-12.
    const PLACES: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
    for (byte, place) in bytes.into_iter().zip(PLACES) {
        text[place] = HEX[usize::from(byte >> 4)];
        text[place + 1] = HEX[usize::from(byte & 15)];
    }
    text
}

const HEX: &[u8; 16] = b"0123456789abcdef";
