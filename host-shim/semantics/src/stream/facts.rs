//! Facts of an exchange that properties show, besides its messages.

use std::cell::Cell;

/// Facts of an exchange. Plain data: nothing in the chain depends on those that change.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) is_head: bool,
    pub(crate) http2: bool,
    pub(crate) is_grpc: bool,
    /// Nanoseconds since 1970, once a filter asked.
    pub(crate) start: Cell<Option<u64>>,
    /// Nanoseconds of the monotonic clock.
    pub(crate) start_monotonic: u64,
    /// When the request went to the upstream, by the monotonic clock.
    pub(crate) upstream_start: Option<u64>,
    /// Nanoseconds from then until all of the response was there.
    pub(crate) backend_latency: Option<u64>,
    /// Nanoseconds from the start, once a filter asked when the exchange was over.
    pub(crate) duration: Cell<Option<u64>>,
    /// The response's status, once there is one.
    pub(crate) response_code: Option<u16>,
    pub(crate) response_code_details: Option<String>,
    /// The client's connection, of HTTP/1, ends with the response.
    pub(crate) ends_connection: bool,
    /// Envoy's response flags, a bit set.
    pub(crate) response_flags: u64,
    /// The request's path before its route changed it, where it did.
    pub(crate) original_path: Option<Vec<u8>>,
    /// Properties that the settings read from request headers.
    pub(crate) from_headers: Vec<(Vec<u8>, Vec<u8>)>,
}
