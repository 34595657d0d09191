//! `proxy-wasm:adapter/exchange` (see `wit/`), as Wasmtime carries it.

use bytes::Bytes;
use wasmtime::component::{ComponentType, Lift, Lower};

/// The interface's name.
pub(crate) const INTERFACE: &str = "proxy-wasm:adapter/exchange@0.1.0";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(variant)]
pub(crate) enum Peer {
    #[component(name = "client")]
    Client(u32),
    #[component(name = "upstream")]
    Upstream(u32),
    #[component(name = "callout")]
    Callout(u64),
}

#[derive(Clone, Copy, Debug, ComponentType, Lower)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum Failure {
    #[component(name = "connection-failed")]
    ConnectionFailed,
    #[component(name = "connection-terminated")]
    ConnectionTerminated,
    #[component(name = "remote-reset")]
    RemoteReset,
    #[component(name = "protocol-error")]
    ProtocolError,
    #[component(name = "timeout")]
    Timeout,
    #[component(name = "overflow")]
    Overflow,
}

#[derive(Debug, ComponentType, Lower)]
#[component(record)]
pub(crate) struct ResponseHead {
    pub(crate) peer: Peer,
    pub(crate) head: Vec<u8>,
    pub(crate) end: bool,
}

#[derive(Debug, ComponentType, Lower)]
#[component(record)]
pub(crate) struct Piece {
    pub(crate) peer: Peer,
    pub(crate) bytes: Bytes,
    pub(crate) end: bool,
}

#[derive(Debug, ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct BodyEnd {
    pub(crate) peer: Peer,
    pub(crate) trailers: Option<Vec<u8>>,
}

#[derive(Debug, ComponentType, Lower)]
#[component(record)]
pub(crate) struct FailedRequest {
    pub(crate) peer: Peer,
    pub(crate) failure: Failure,
    pub(crate) cause: String,
}

#[derive(Debug, ComponentType, Lower)]
#[component(variant)]
pub(crate) enum Event {
    #[component(name = "head")]
    Head(ResponseHead),
    #[component(name = "data")]
    Data(Piece),
    #[component(name = "end")]
    End(BodyEnd),
    #[component(name = "broken")]
    Broken(Peer),
    #[component(name = "failed")]
    Failed(FailedRequest),
    #[component(name = "refused")]
    Refused(Peer),
    #[component(name = "gone")]
    Gone(u32),
    #[component(name = "timer")]
    Timer,
}

#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct OutgoingRequest {
    pub(crate) peer: Peer,
    pub(crate) tls: bool,
    pub(crate) authority: String,
    pub(crate) head: Vec<u8>,
    pub(crate) end: bool,
    pub(crate) http2: bool,
}

#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct OutgoingResponse {
    pub(crate) id: u32,
    pub(crate) head: Vec<u8>,
    pub(crate) end: bool,
}

#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct OutgoingPiece {
    pub(crate) peer: Peer,
    pub(crate) bytes: Bytes,
}

#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct Wanted {
    pub(crate) id: u32,
    pub(crate) request: bool,
    pub(crate) response: bool,
}

#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct Remains {
    pub(crate) request: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) details: Option<String>,
    #[component(name = "response-flags")]
    pub(crate) flags: u64,
    pub(crate) properties: Vec<(Vec<u8>, Vec<u8>)>,
}

#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct Finished {
    pub(crate) id: u32,
    pub(crate) remains: Option<Remains>,
}

#[derive(Debug, ComponentType, Lift)]
#[component(variant)]
pub(crate) enum Action {
    #[component(name = "request")]
    Request(OutgoingRequest),
    #[component(name = "response")]
    Response(OutgoingResponse),
    #[component(name = "write")]
    Write(OutgoingPiece),
    #[component(name = "finish")]
    Finish(BodyEnd),
    #[component(name = "abort")]
    Abort(u32),
    #[component(name = "release")]
    Release(Peer),
    #[component(name = "want")]
    Want(Wanted),
    #[component(name = "over")]
    Over(Finished),
}

#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct Outcome {
    pub(crate) actions: Vec<Action>,
    pub(crate) deadline: Option<u64>,
}

/// The head, whether it came by HTTP/2, whether nothing follows, what came of the body with it, and whether that is all.
pub(crate) type Open = (Vec<u8>, bool, bool, Option<Bytes>, bool);

/// The name of the interface beside it.
pub(crate) const PLUGIN: &str = "proxy-wasm:adapter/plugin@0.1.0";

#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct Stat {
    pub(crate) name: Vec<u8>,
    pub(crate) change: StatChange,
}

#[derive(Debug, ComponentType, Lift)]
#[component(variant)]
pub(crate) enum StatChange {
    #[component(name = "counter")]
    Counter(u64),
    #[component(name = "gauge")]
    Gauge(u64),
    #[component(name = "histogram")]
    Histogram(HistogramChange),
}

#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct HistogramChange {
    pub(crate) buckets: Vec<u64>,
    pub(crate) sum: u64,
}
