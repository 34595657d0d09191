//! How a component asks for HTTP/2 without TLS, for one request, and how one for WASI 0.3 is told of it; and which `host` it
//! tells an upstream: by the field of [`proxy_wasm_abi::http2`].
//!
//! gRPC callouts need HTTP/2, and nobody else may bring it about: a body that goes out as frames of HTTP/2 is read as lines by
//! an upstream of HTTP/1, past a filter that never saw them. `content-type: application/grpc` would not do, as any client can
//! send it. The field is among the headers that `wasi:http` forbids: this host takes it out of what clients and upstreams send
//! before a component sees it, and the shim refuses it to filters as all hosts do. So only the shim itself can say it; other
//! hosts refuse it, and the shim goes on without.

use http::header::{self, Entry};
use http::{HeaderMap, HeaderName, HeaderValue};
use proxy_wasm_abi::http2::{ASKED, CAME, FIELD, HOST};

/// The field's name.
pub(super) const HTTP2: HeaderName = HeaderName::from_static(FIELD);

/// Asks for HTTP/2.
pub(super) fn ask(fields: &mut HeaderMap) {
    fields.insert(HTTP2, HeaderValue::from_static(ASKED));
}

/// Says that a request came by HTTP/2.
pub(super) fn tell(fields: &mut HeaderMap) {
    fields.insert(HTTP2, HeaderValue::from_static(CAME));
}

/// Takes the field out of a request that goes out, which gets the `host` that it names; whether it asked for HTTP/2. One that
/// tells may have been sent on as it came.
pub(super) fn take(fields: &mut HeaderMap) -> bool {
    let Entry::Occupied(entry) = fields.entry(HTTP2) else { return false };
    let (_, values) = entry.remove_entry_mult();
    let (mut asked, mut host) = (false, None);
    for value in values {
        asked |= value == ASKED;
        host = value.as_bytes().strip_prefix(HOST.as_bytes()).map(HeaderValue::from_bytes).or(host);
    }
    if let Some(Ok(host)) = host {
        fields.insert(header::HOST, host);
    }
    asked
}
