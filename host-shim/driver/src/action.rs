//! The driver's inputs and outputs, as plain data.

use std::borrow::Cow;

use proxy_wasm_semantics::{CallId, Destination, HeaderMap, Kind, UpstreamFailure};

/// Whom the edge has on the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// The client of an exchange: its request comes in, its response goes out.
    Client(u32),
    /// The upstream of an exchange: its request goes out, its response comes in.
    Upstream(u32),
    /// Whoever answers a callout.
    Callout(CallId),
}

impl Peer {
    /// Whether it belongs to this exchange, or to none.
    pub(crate) fn is_of(self, exchange: Option<u32>) -> bool {
        match self {
            Self::Client(id) | Self::Upstream(id) => Some(id) == exchange,
            Self::Callout(_) => true,
        }
    }

    /// Whether it belongs to none.
    pub(crate) fn is_callout(self) -> bool {
        matches!(self, Self::Callout(_))
    }
}

/// Something for the edge to do. The actions of one peer are done in order.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Send a request's head. The result is an input of this peer: a head, or a failure.
    Request {
        /// Whose it is.
        peer: Peer,
        /// Where to.
        to: Destination,
        /// The head, pseudo-headers included.
        headers: HeaderMap,
        /// Whether nothing follows.
        end: bool,
        /// Only HTTP/2 will do.
        http2: bool,
    },
    /// Send a response's head to the client of this exchange.
    Response {
        /// The exchange.
        id: u32,
        /// The head, with `:status`.
        headers: HeaderMap,
        /// Whether nothing follows.
        end: bool,
        /// The client's connection ends with it, where the edge can say so.
        closes: bool,
    },
    /// Write body bytes.
    Write(Peer, Vec<u8>),
    /// End the body.
    Finish(Peer, Option<HeaderMap>),
    /// Break the exchange off, without an end: its client sees that something is missing. Written bytes go out.
    Abort(u32),
    /// Let go of a request, however far it is: nothing is wanted of this peer any more.
    Release(Peer),
}

/// Something that came from a peer.
#[derive(Debug)]
pub enum Input {
    /// The head of an upstream's or a callout's response; `true`: nothing follows.
    Head(HeaderMap, bool),
    /// Body bytes; `true`: and the body's end with them, as a frame of HTTP/2 has it that says so.
    Data(Vec<u8>, bool),
    /// The body's end, behind its bytes.
    End(Option<HeaderMap>),
    /// The body breaks off.
    Broken,
    /// The response can't be had; what the operator is told besides.
    Failed(UpstreamFailure, Option<Cow<'static, str>>),
}

impl Input {
    /// The body's end, with these trailers: where there is not one, it has none.
    pub fn end(trailers: Vec<(String, Vec<u8>)>) -> Self {
        Self::End((!trailers.is_empty()).then(|| HeaderMap::from_pairs(Kind::Trailers, trailers)))
    }
}
