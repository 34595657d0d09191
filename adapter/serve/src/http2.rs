//! How a component asks for HTTP/2 without TLS, for one request: by a field `http2-settings` of nothing.
//!
//! That is what gRPC callouts need, and nobody else may bring it about: a body that goes out as frames of HTTP/2 is read
//! as lines by an upstream of HTTP/1, past a filter that never saw them. `content-type: application/grpc` would not do, as
//! any client can send it. `http2-settings` is among the headers that `wasi:http` forbids: this host takes it out of
//! what clients and upstreams send before a component sees it, and the shim refuses it to filters as all hosts do. So
//! only the shim itself can say it; other hosts refuse it, and the shim goes on without.

use http::{HeaderMap, HeaderName};

/// The field's name.
pub(super) const ASKS_FOR_HTTP2: HeaderName = HeaderName::from_static("http2-settings");

/// Takes the field out of a request that goes out; whether it was there.
pub(super) fn take(fields: &mut HeaderMap) -> bool {
    fields.remove(ASKS_FOR_HTTP2).is_some()
}
