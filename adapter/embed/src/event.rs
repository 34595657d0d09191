//! What goes into an instance and what comes out, on `http` types and bytes.

use bytes::Bytes;
use http::{HeaderMap, Request, Response};

use crate::wit;

/// An exchange of an instance: a request, and the response to it. Instances number theirs each for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExchangeId(pub(crate) u32);

/// A callout of an instance: a request that a filter makes by itself, by HTTP or gRPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CalloutId(pub(crate) u64);

/// Whom an instance deals with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Peer {
    /// The client of an exchange: its request comes in, its response goes out.
    Client(ExchangeId),
    /// The upstream of an exchange: its request goes out, its response comes in.
    Upstream(ExchangeId),
    /// Whoever answers a callout.
    Callout(CalloutId),
}

/// What of a request's body is there when its head is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Begin {
    /// Nothing, and nothing follows.
    #[default]
    Nothing,
    /// Nothing yet.
    Later,
    /// These bytes; more may follow.
    Part(Bytes),
    /// These bytes are all of it, as a frame of HTTP/2 says.
    Whole(Bytes),
}

/// Why a request that an instance sent has no response, or not all of it: Envoy's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// No connection could be made.
    ConnectionFailed,
    /// The connection ended.
    ConnectionTerminated,
    /// The peer reset the stream.
    RemoteReset,
    /// What it answers is no HTTP.
    ProtocolError,
    /// It took too long.
    Timeout,
    /// There are too many requests already.
    Overflow,
}

/// Something that came.
#[derive(Debug)]
pub enum Event {
    /// The head of the response to a request that the instance sent.
    Head {
        /// From whom: not from a client.
        peer: Peer,
        /// Status and fields.
        head: Response<()>,
        /// Whether nothing follows.
        end: bool,
    },
    /// Bytes of a body.
    Data {
        /// From whom.
        peer: Peer,
        /// The bytes.
        bytes: Bytes,
        /// Whether the body ends with them, as a frame of HTTP/2 says. By HTTP/1 [`Event::End`] follows, in a call of its own:
        /// so filters see it in Envoy.
        end: bool,
    },
    /// The end of a body.
    End {
        /// From whom.
        peer: Peer,
        /// Its trailers.
        trailers: Option<HeaderMap>,
    },
    /// A body breaks off.
    Broken(Peer),
    /// A request that the instance sent can't be answered.
    Failed {
        /// By whom.
        peer: Peer,
        /// Why.
        failure: Failure,
        /// What the log says of it besides; nothing, where it is empty.
        cause: String,
    },
    /// The peer takes no more of what it is sent. It may still answer.
    Refused(Peer),
    /// The client has left: nobody wants the response.
    Gone(ExchangeId),
    /// The deadline has passed.
    Timer,
}

/// Something to do. The actions of one peer are done in order.
#[derive(Debug)]
pub enum Action {
    /// Send this request. What comes of it are events of this peer: a head, or a failure.
    Request {
        /// Whose request it is: an upstream's or a callout's.
        peer: Peer,
        /// The cluster's address.
        to: Origin,
        /// Method, path and fields; `host` is what the filters made of the authority.
        head: Request<()>,
        /// Whether nothing follows.
        end: bool,
        /// Only HTTP/2 will do.
        http2: bool,
    },
    /// Answer the client of this exchange.
    Response {
        /// The exchange.
        id: ExchangeId,
        /// Status and fields.
        head: Response<()>,
        /// Whether nothing follows.
        end: bool,
    },
    /// Send bytes of a body.
    Write(Peer, Bytes),
    /// End a body, with these trailers.
    Finish(Peer, Option<HeaderMap>),
    /// Break the response off, without an end. Bytes that were written go out.
    Abort(ExchangeId),
    /// Let go of a request, however far it is: nothing is wanted of this peer any more.
    Release(Peer),
    /// From whom more is wanted from now on, until this is said anew. At first it is nobody.
    Want {
        /// The exchange.
        id: ExchangeId,
        /// More of the request's body.
        request: bool,
        /// More of the upstream's response.
        response: bool,
    },
    /// The exchange is over: what is left of it is let go, its upstream with it.
    Over {
        /// The exchange.
        id: ExchangeId,
        /// What it left behind, where [`Options::keep_remains`](crate::Options::keep_remains) asks for it.
        remains: Option<Remains>,
    },
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// By TLS.
    pub tls: bool,
    /// Host, and port where there is one.
    pub authority: String,
}

/// What an exchange left behind, for an access log. Names and values are bytes of any kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remains {
    /// The request's head as the filters left it, pseudo-headers included.
    pub request: Vec<(Vec<u8>, Vec<u8>)>,
    /// Why the response is what it is, in Envoy's words.
    pub details: Option<String>,
    /// Envoy's response flags, a bit set.
    pub flags: u64,
    /// What the filters stored with `proxy_set_property`, by its path.
    pub properties: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Peer {
    /// The exchange that it is of.
    pub fn exchange(self) -> Option<ExchangeId> {
        match self {
            Self::Client(id) | Self::Upstream(id) => Some(id),
            Self::Callout(_) => None,
        }
    }

    pub(crate) fn of(peer: wit::Peer) -> Self {
        match peer {
            wit::Peer::Client(id) => Self::Client(ExchangeId(id)),
            wit::Peer::Upstream(id) => Self::Upstream(ExchangeId(id)),
            wit::Peer::Callout(id) => Self::Callout(CalloutId(id)),
        }
    }

    pub(crate) fn to_wit(self) -> wit::Peer {
        match self {
            Self::Client(id) => wit::Peer::Client(id.0),
            Self::Upstream(id) => wit::Peer::Upstream(id.0),
            Self::Callout(id) => wit::Peer::Callout(id.0),
        }
    }
}

impl Failure {
    pub(crate) fn to_wit(self) -> wit::Failure {
        match self {
            Self::ConnectionFailed => wit::Failure::ConnectionFailed,
            Self::ConnectionTerminated => wit::Failure::ConnectionTerminated,
            Self::RemoteReset => wit::Failure::RemoteReset,
            Self::ProtocolError => wit::Failure::ProtocolError,
            Self::Timeout => wit::Failure::Timeout,
            Self::Overflow => wit::Failure::Overflow,
        }
    }
}

impl Remains {
    pub(crate) fn of(remains: wit::Remains) -> Self {
        let wit::Remains { request, details, flags, properties } = remains;
        Self { request, details, flags, properties }
    }
}
