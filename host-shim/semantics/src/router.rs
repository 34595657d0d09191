//! The hop behind the filter: Envoy's router.

use proxy_wasm_abi::settings::{Action, Cluster, Origin, Settings};

use crate::{
    chain::Chain,
    environment::{Capabilities, Guest},
    headers::HeaderMap,
    local_reply::LocalReply,
    stream::{Direction, Effect},
};

/// The details of an answer that a route itself gives.
pub(crate) const DIRECT_RESPONSE: &str = "direct_response";

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The upstream of the route that was chosen for an exchange.
    Upstream(Origin),
    /// The cluster that a callout named.
    Cluster(Origin),
    /// The component that is linked behind this one.
    Next,
}

impl Destination {
    /// Its address, where it has one.
    pub fn origin(&self) -> Option<&Origin> {
        match self {
            Self::Upstream(origin) | Self::Cluster(origin) => Some(origin),
            Self::Next => None,
        }
    }
}

/// Why the upstream's response can't be had. The texts are Envoy's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamFailure {
    /// No connection could be made.
    ConnectionFailed,
    /// The connection ended.
    ConnectionTerminated,
    /// The upstream reset the stream.
    RemoteReset,
    /// The upstream's answer is no HTTP.
    ProtocolError,
    /// No complete response in the route's time.
    Timeout,
    /// No head of a response in the time of a try.
    TryTimeout,
    /// There are too many requests already.
    Overflow,
}

impl UpstreamFailure {
    /// Envoy's word for it.
    pub fn reason(self) -> &'static str {
        match self {
            Self::ConnectionFailed => "remote connection failure",
            Self::ConnectionTerminated => "connection termination",
            Self::RemoteReset => "remote reset",
            Self::ProtocolError => "protocol error",
            Self::Timeout => "response timeout",
            Self::TryTimeout => "per try timeout",
            Self::Overflow => "overflow",
        }
    }

    pub(crate) fn flags(self) -> u64 {
        match self {
            Self::ConnectionFailed => flags::UPSTREAM_CONNECTION_FAILURE,
            Self::ConnectionTerminated => flags::UPSTREAM_CONNECTION_TERMINATION,
            Self::RemoteReset => flags::UPSTREAM_REMOTE_RESET,
            Self::ProtocolError => flags::UPSTREAM_PROTOCOL_ERROR,
            Self::Timeout | Self::TryTimeout => flags::UPSTREAM_TIMEOUT,
            Self::Overflow => flags::UPSTREAM_OVERFLOW,
        }
    }

    pub(crate) fn reply(self) -> LocalReply {
        self.reply_of_try(false)
    }

    /// The same; `again`: of a later try than the first.
    pub(crate) fn reply_of_try(self, again: bool) -> LocalReply {
        let (status, body, details) = match self {
            Self::Timeout => (504, "upstream request timeout".to_string(), "response_timeout".to_string()),
            Self::TryTimeout => (504, "upstream request timeout".to_string(), "upstream_per_try_timeout".to_string()),
            _ => {
                let reason = self.reason();
                let status = if self == Self::ProtocolError { 502 } else { 503 };
                let latest = if again { "retried and the latest " } else { "" };
                (
                    status,
                    format!(
                        "upstream connect error or disconnect/reset before headers. {latest}reset reason: {reason}"
                    ),
                    format!("upstream_reset_before_response_started{{{}}}", reason.replace(' ', "_")),
                )
            }
        };
        LocalReply { flags: self.flags(), ..LocalReply::new(status, &body, &details) }
    }

    pub(crate) fn details_after_headers(self) -> String {
        match self {
            Self::Timeout => self.reply().details,
            _ => format!("upstream_reset_after_response_started{{{}}}", self.reason().replace(' ', "_")),
        }
    }
}

/// The answer to a stream on which nothing moved for the idle timeout.
pub(crate) fn idle_timeout_reply(request_complete: bool) -> LocalReply {
    let status = if request_complete { 504 } else { 408 };
    let reply = LocalReply::new(status, "stream timeout", "stream_idle_timeout");
    LocalReply { flags: flags::STREAM_IDLE_TIMEOUT, ..reply }
}

/// The response's status, where it has one that is a number.
pub fn status(headers: &HeaderMap) -> Option<u16> {
    let value = headers.get(b":status")?;
    // It is asked for a few times in each exchange, and it is always this, unless a filter made it something else.
    if let [a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] = value {
        return Some([a, b, c].into_iter().fold(0, |number, digit| number * 10 + u16::from(digit - b'0')));
    }
    other_status(value)
}

#[cold]
fn other_status(value: &[u8]) -> Option<u16> {
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}

/// Refuses a head that is larger than what the host takes.
pub(crate) fn check_size(headers: &HeaderMap, host: Capabilities) -> Result<(), LocalReply> {
    if headers.byte_size() + headers.len() * host.header_entry_bytes <= host.head_max_bytes {
        return Ok(());
    }
    Err(LocalReply::new(500, "headers too large", "filter_made_headers_too_large"))
}

/// Refuses a response that the filter left without a status that the host takes, or that is too large. Envoy also sends
/// numbers below 200 and above 999.
pub(crate) fn check_response(headers: &HeaderMap, host: Capabilities) -> Result<(), LocalReply> {
    check_size(headers, host)?;
    let (least, greatest) = host.statuses;
    if status(headers).is_some_and(|status| (least..=greatest).contains(&status)) {
        return Ok(());
    }
    let details = "filter_removed_required_response_headers{missing_required_header:_:status}";
    Err(LocalReply::new(502, "missing required header: :status", details))
}

/// A request without one of these matches no route: Envoy's route table needs them, and a filter can take them away.
pub(crate) fn has_route(headers: &HeaderMap, forwarded_proto: bool) -> bool {
    headers.get(b":path").is_some_and(|path| path.starts_with(b"/"))
        && (!forwarded_proto || headers.get(b"x-forwarded-proto").is_some_and(|proto| !proto.is_empty()))
}

/// Refuses a request that the filter made invalid.
pub(crate) fn check_request(headers: &HeaderMap, host: Capabilities) -> Result<(), LocalReply> {
    let refusal = |body: &[u8], details| {
        let reply = LocalReply::new(503, body, details);
        LocalReply { flags: flags::DOWNSTREAM_PROTOCOL_ERROR, ..reply }
    };
    if !headers.contains(b":method") {
        let details = "filter_removed_required_request_headers{missing_required_header:_:method}";
        return Err(refusal(b"missing required header: :method", details));
    }
    // With a path, it would be an upgrade.
    if headers.get(b":method") == Some(b"CONNECT") && headers.contains(b":path") && !headers.contains(b":protocol") {
        let details = "filter_removed_required_request_headers{missing_required_header:_:protocol}";
        return Err(refusal(b"missing required header: :protocol", details));
    }
    check_size(headers, host)?;
    for (name, value) in headers.iter().filter(|(name, _)| !name.starts_with(b":")) {
        let details = "filter_added_invalid_request_header";
        if !is_token(name) {
            return Err(refusal(&[b"invalid header name: ".as_slice(), &escaped(name)].concat(), details));
        }
        if !is_field_value(value) {
            let shown = String::from_utf8_lossy(name);
            return Err(refusal(format!("invalid header value for: {shown}").as_bytes(), details));
        }
    }
    Ok(())
}

/// A name as Envoy shows it: escaped as in JSON, with bytes that are no ASCII as they are. Source:
/// `changed-requests/a-name-with-a-newline-is-answered-503`, and its neighbours.
fn escaped(name: &[u8]) -> Vec<u8> {
    let mut shown = Vec::with_capacity(name.len());
    for &byte in name {
        match byte {
            b'"' | b'\\' => shown.extend_from_slice(&[b'\\', byte]),
            b'\n' => shown.extend_from_slice(b"\\n"),
            b'\r' => shown.extend_from_slice(b"\\r"),
            b'\t' => shown.extend_from_slice(b"\\t"),
            0..b' ' => shown.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => shown.push(byte),
        }
    }
    shown
}

/// Whether these bytes can be a header's name. An empty one is let through here and dropped at the edge.
pub(crate) fn is_token(name: &[u8]) -> bool {
    name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

/// Whether these bytes can be a header's value.
pub(crate) fn is_field_value(value: &[u8]) -> bool {
    value.iter().all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
}

/// Where the route leads that a request's head matches, and the milliseconds that the response may take; or the answer
/// instead. That the route's cluster is there is the adapter's to check.
fn choose(
    settings: &Settings,
    headers: &HeaderMap,
    capabilities: Capabilities,
    endpoint: impl Fn(&Cluster) -> Origin,
) -> Result<(Destination, u64), LocalReply> {
    let route = settings.default_route().filter(|_| has_route(headers, settings.connection.forwarded_proto));
    match route.map(|route| &route.action) {
        Some(Action::Forward { cluster, timeout_ms }) => {
            let cluster = settings.cluster(cluster.as_bytes()).ok_or_else(no_route)?;
            check_request(headers, capabilities)?;
            Ok((Destination::Upstream(endpoint(cluster)), *timeout_ms))
        }
        Some(Action::Next { timeout_ms }) => {
            check_request(headers, capabilities)?;
            Ok((Destination::Next, *timeout_ms))
        }
        Some(Action::Respond { status, body }) => Err(LocalReply::new(u32::from(*status), body, DIRECT_RESPONSE)),
        None => Err(no_route()),
    }
}

/// What stands next to the plugins: before the first, or behind the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChainEnd {
    First,
    Last,
}

/// The answer to a request that no route matches.
pub(crate) fn no_route() -> LocalReply {
    LocalReply { flags: flags::NO_ROUTE_FOUND, ..LocalReply::new(404, "", "route_not_found") }
}

/// The answer to a request whose cluster is not there.
#[cfg(any(feature = "routing", test))]
pub(crate) fn no_cluster(status: u16) -> LocalReply {
    LocalReply { flags: flags::NO_CLUSTER_FOUND, ..LocalReply::new(status.into(), "", "cluster_not_found") }
}

impl<G: Guest> Chain<G> {
    /// A request's head left the filter.
    pub(crate) fn route(&self, id: u32, end: bool) {
        let reply = {
            let state = &mut *self.state.borrow_mut();
            let now = state.fact_time();
            let head = state.streams.get(id).and_then(|stream| stream.message(Direction::Request).headers().cloned());
            let Some(mut headers) = head else { return };
            let Some(stream) = state.streams.get_mut(id) else { return };
            let by_table = state.routing.route(&state.settings, stream, &*self.host, &mut headers, self.capabilities);
            if let Some(Ok(_)) = &by_table {
                let before = stream.message(Direction::Request).headers().and_then(|headers| headers.get(b":path"));
                stream.facts.original_path =
                    before.filter(|before| headers.get(b":path") != Some(before)).map(Into::into);
                // What properties show from now on is what the upstream gets.
                stream.message_mut(Direction::Request).set_headers(headers.clone());
            }
            let endpoint = |cluster: &Cluster| state.routing.endpoint(&state.settings, cluster, &*self.host);
            match by_table.unwrap_or_else(|| choose(&state.settings, &headers, self.capabilities, endpoint)) {
                Err(reply) => reply,
                Ok((to, timeout_ms)) => {
                    let own = own_timeout(&headers);
                    for name in crate::connection::ROUTER_HEADERS {
                        headers.remove(name.as_bytes());
                    }
                    let head = Effect::Request { to, headers, end };
                    stream.send_upstream(head, own.unwrap_or(timeout_ms), now);
                    return;
                }
            }
        };
        self.local_reply(id, reply);
    }

    /// Whether only HTTP/2 will do there.
    pub fn speaks_http2(&self, to: &Destination) -> bool {
        let state = self.state.borrow();
        to.origin().is_some_and(|origin| state.routing.speaks_http2(&state.settings, origin))
    }

    /// Milliseconds that the upstream has from the end of the request to the end of its response, once the request is
    /// on its way; 0 is no limit.
    pub fn upstream_timeout_ms(&self, id: u32) -> Option<u64> {
        self.state.borrow().streams.get(id)?.upstream_timeout_ms()
    }
}

/// The milliseconds that a filter says the upstream has.
pub(crate) fn own_timeout(headers: &HeaderMap) -> Option<u64> {
    std::str::from_utf8(headers.get(TIMEOUT_HEADER)?).ok()?.parse().ok()
}

/// The header by which a filter chooses the upstream's timeout, in milliseconds.
const TIMEOUT_HEADER: &[u8] = b"x-envoy-upstream-rq-timeout-ms";

/// Envoy's response flags.
pub(crate) mod flags {
    pub(crate) const UPSTREAM_TIMEOUT: u64 = 1 << 2;
    pub(crate) const UPSTREAM_REMOTE_RESET: u64 = 1 << 4;
    pub(crate) const UPSTREAM_CONNECTION_FAILURE: u64 = 1 << 5;
    pub(crate) const UPSTREAM_CONNECTION_TERMINATION: u64 = 1 << 6;
    pub(crate) const UPSTREAM_OVERFLOW: u64 = 1 << 7;
    pub(crate) const NO_ROUTE_FOUND: u64 = 1 << 8;
    pub(crate) const DOWNSTREAM_CONNECTION_TERMINATION: u64 = 1 << 14;
    pub(crate) const STREAM_IDLE_TIMEOUT: u64 = 1 << 16;
    pub(crate) const DOWNSTREAM_PROTOCOL_ERROR: u64 = 1 << 18;
    pub(crate) const UPSTREAM_PROTOCOL_ERROR: u64 = 1 << 23;
    #[cfg(any(feature = "routing", test))]
    pub(crate) const RETRY_LIMIT_EXCEEDED: u64 = 1 << 15;
    #[cfg(any(feature = "routing", test))]
    pub(crate) const NO_CLUSTER_FOUND: u64 = 1 << 24;
}
