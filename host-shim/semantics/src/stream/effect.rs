//! The two directions of an exchange, and the effects that the edge carries out for it.

use crate::{headers::HeaderMap, router::Destination};

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the upstream: Envoy's decoding.
    Request,
    /// From the upstream to the client: Envoy's encoding.
    Response,
}

/// Something for the edge to do, in order.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send the request's head.
    Request {
        /// Where to.
        to: Destination,
        /// Its head, pseudo-headers included.
        headers: HeaderMap,
        /// Whether nothing follows.
        end: bool,
    },
    /// Send the response's head to the client.
    Response {
        /// Its head, pseudo-headers included.
        headers: HeaderMap,
        /// Whether nothing follows.
        end: bool,
    },
    /// Send body bytes.
    Data {
        /// Which message.
        direction: Direction,
        /// The bytes.
        bytes: Vec<u8>,
        /// Whether nothing follows.
        end: bool,
        /// Whether the filter changed these bytes or earlier ones.
        changed: bool,
    },
    /// Send trailers; nothing follows.
    Trailers {
        /// Which message.
        direction: Direction,
        /// The trailers.
        trailers: HeaderMap,
    },
    /// Break the exchange off: the client sees its connection or stream end.
    Reset(ResetReason),
}

/// Why an exchange is broken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetReason {
    /// The filter closed the stream.
    ClosedByFilter,
    /// A local response, or the upstream's failure, came when the response's head was already sent.
    LocalReplyTooLate,
}
