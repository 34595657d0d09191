//! The parts of an exchange that need some finding.

use std::borrow::Cow;
use std::net::IpAddr;

use http::{HeaderMap, Method, StatusCode};

use super::operators::GrpcForm;
use crate::record::Exchange;

type Bytes<'a> = Option<Cow<'a, [u8]>>;

/// A header of the request as the filters left it; where the component told nothing, as it came.
pub(super) fn request_header<'a>(exchange: &'a Exchange, name: &str) -> Bytes<'a> {
    let name = if name == "host" { ":authority" } else { name };
    let Some(remains) = exchange.remains.as_ref().filter(|remains| !remains.request.is_empty()) else {
        return original_header(exchange, name);
    };
    let found = remains.request.iter().find(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()));
    found.map(|(_, value)| Cow::Borrowed(value.as_slice()))
}

fn original_header<'a>(exchange: &'a Exchange, name: &str) -> Bytes<'a> {
    if exchange.is_unread {
        return None;
    }
    let head = &exchange.head;
    let text = |text: &str| Some(Cow::Owned(text.as_bytes().to_vec()));
    match name {
        ":method" => text(head.method.as_str()),
        // It has none.
        ":path" if head.method == Method::CONNECT => None,
        ":path" => text(&head.path),
        ":scheme" => text(head.uri.scheme_str().unwrap_or("http")),
        ":authority" => match head.uri.authority() {
            Some(authority) => text(authority.as_str()),
            None => header(&head.headers, "host"),
        },
        name => header(&head.headers, name),
    }
}

/// A header of the response.
pub(super) fn response_header<'a>(exchange: &'a Exchange, name: &str) -> Bytes<'a> {
    match name {
        ":status" => exchange.status.map(|status| Cow::Owned(status.as_str().as_bytes().to_vec())),
        name => header(exchange.response.as_ref()?, name),
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Bytes<'a> {
    headers.get(name).map(|value| Cow::Borrowed(value.as_bytes()))
}

/// What a filter stored with `proxy_set_property`, under Envoy's name for it.
pub(super) fn filter_state<'a>(exchange: &'a Exchange, name: &str) -> Option<&'a [u8]> {
    let (remains, name) = (exchange.remains.as_ref()?, name.strip_prefix("wasm.")?);
    let found = remains.properties.iter().find(|(known, _)| known == name.as_bytes());
    found.map(|(_, value)| value.as_slice())
}

/// The client's address, or the one that a proxy before this host names last, as Envoy trusts it.
pub(super) fn remote(exchange: &Exchange) -> Option<(IpAddr, u16)> {
    let forwarded = exchange.head.headers.get_all("x-forwarded-for").iter().next_back();
    let forwarded = forwarded.and_then(|value| value.to_str().ok()?.rsplit(',').next()?.trim().parse().ok());
    match forwarded {
        Some(ip) => Some((ip, 0)),
        None => exchange.ends.map(|(client, _)| (client.ip(), client.port())),
    }
}

/// An address as it is written with its port.
pub(super) fn join(ip: IpAddr, port: u16) -> String {
    std::net::SocketAddr::new(ip, port).to_string()
}

/// Why the response is what it is.
pub(super) fn details(exchange: &Exchange) -> Option<String> {
    if exchange.is_left {
        return Some("downstream_remote_disconnect".into());
    }
    let told = exchange.remains.as_ref().and_then(|remains| remains.details.clone());
    told.or_else(|| exchange.details.map(str::to_owned))
}

/// Why there was no connection to the upstream.
pub(super) fn transport_failure(exchange: &Exchange) -> Option<String> {
    let details = exchange.remains.as_ref()?.details.as_deref()?;
    let (_, reason) = details.strip_suffix('}')?.split_once('|')?;
    Some(reason.into())
}

/// A client that went before the response's end.
const LEFT: u64 = 1 << 14;

/// Envoy's response flags: their bits, and what they are called. They are listed as Envoy sets them: that there is no further
/// try is known before what became of the last one.
const FLAGS: [(u64, &str, &str); 27] = [
    (1 << 15, "URX", "UpstreamRetryLimitExceeded"),
    (1, "LH", "FailedLocalHealthCheck"),
    (1 << 1, "UH", "NoHealthyUpstream"),
    (1 << 2, "UT", "UpstreamRequestTimeout"),
    (1 << 3, "LR", "LocalReset"),
    (1 << 4, "UR", "UpstreamRemoteReset"),
    (1 << 5, "UF", "UpstreamConnectionFailure"),
    (1 << 6, "UC", "UpstreamConnectionTermination"),
    (1 << 7, "UO", "UpstreamOverflow"),
    (1 << 8, "NR", "NoRouteFound"),
    (1 << 9, "DI", "DelayInjected"),
    (1 << 10, "FI", "FaultInjected"),
    (1 << 11, "RL", "RateLimited"),
    (1 << 12, "UAEX", "UnauthorizedExternalService"),
    (1 << 13, "RLSE", "RateLimitServiceError"),
    (LEFT, "DC", "DownstreamConnectionTermination"),
    (1 << 16, "SI", "StreamIdleTimeout"),
    (1 << 17, "IH", "InvalidEnvoyRequestHeaders"),
    (1 << 18, "DPE", "DownstreamProtocolError"),
    (1 << 19, "UMSDR", "UpstreamMaxStreamDurationReached"),
    (1 << 20, "RFCF", "ResponseFromCacheFilter"),
    (1 << 21, "NFCF", "NoFilterConfigFound"),
    (1 << 22, "DT", "DurationTimeout"),
    (1 << 23, "UPE", "UpstreamProtocolError"),
    (1 << 24, "NC", "NoClusterFound"),
    (1 << 25, "OM", "OverloadManagerTerminated"),
    (1 << 26, "DF", "DnsResolutionFailed"),
];

/// The response flags, by their short names or their long ones.
pub(super) fn flags(exchange: &Exchange, long: bool) -> String {
    let told = exchange.remains.as_ref().map_or(0, |remains| remains.flags);
    let bits = told | exchange.flags | if exchange.is_left { LEFT } else { 0 };
    let set = FLAGS.into_iter().filter(|(bit, ..)| bits & bit != 0);
    let names: Vec<&str> = set.map(|(_, short, full)| if long { full } else { short }).collect();
    if names.is_empty() { String::from("-") } else { names.join(",") }
}

/// The status of gRPC, of requests that are gRPC.
pub(super) fn grpc_status(exchange: &Exchange) -> Option<u64> {
    let content_type = request_header(exchange, "content-type")?;
    let rest = content_type.strip_prefix(b"application/grpc")?;
    if !matches!(rest, [] | [b'+' | b';', ..]) {
        return None;
    }
    let maps = exchange.trailers.iter().chain(&exchange.response);
    let given = maps.filter_map(|map| map.get("grpc-status")?.to_str().ok()?.parse().ok()).next();
    given.or_else(|| exchange.status.map(grpc_of_http))
}

/// What gRPC makes of a status of HTTP.
fn grpc_of_http(status: StatusCode) -> u64 {
    match status.as_u16() {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}

const GRPC_NAMES: [(&str, &str); 17] = [
    ("OK", "OK"),
    ("Canceled", "CANCELLED"),
    ("Unknown", "UNKNOWN"),
    ("InvalidArgument", "INVALID_ARGUMENT"),
    ("DeadlineExceeded", "DEADLINE_EXCEEDED"),
    ("NotFound", "NOT_FOUND"),
    ("AlreadyExists", "ALREADY_EXISTS"),
    ("PermissionDenied", "PERMISSION_DENIED"),
    ("ResourceExhausted", "RESOURCE_EXHAUSTED"),
    ("FailedPrecondition", "FAILED_PRECONDITION"),
    ("Aborted", "ABORTED"),
    ("OutOfRange", "OUT_OF_RANGE"),
    ("Unimplemented", "UNIMPLEMENTED"),
    ("Internal", "INTERNAL"),
    ("Unavailable", "UNAVAILABLE"),
    ("DataLoss", "DATA_LOSS"),
    ("Unauthenticated", "UNAUTHENTICATED"),
];

/// A status of gRPC in words, where there is one.
pub(super) fn grpc_name(status: u64, form: GrpcForm) -> String {
    let names = usize::try_from(status).ok().and_then(|status| GRPC_NAMES.get(status));
    match (names, form) {
        (Some((camel, _)), GrpcForm::Camel) => (*camel).into(),
        (Some((_, snake)), GrpcForm::Snake) => (*snake).into(),
        _ => status.to_string(),
    }
}

/// The first value of a parameter in the request's query.
pub(super) fn query_parameter(exchange: &Exchange, name: &str) -> Option<String> {
    let path = request_header(exchange, ":path")?;
    let path = String::from_utf8_lossy(&path);
    let (_, query) = path.split_once('?')?;
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.filter(|(known, _)| *known == name).map(|(_, value)| value.to_owned()).next()
}

/// The name of this machine.
pub(super) fn hostname() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = name.or_else(|| std::env::var("HOSTNAME").ok()).or_else(|| std::env::var("COMPUTERNAME").ok());
    name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty())
}
