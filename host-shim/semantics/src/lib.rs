//! The behavior of a proxy-wasm host, the way Envoy does it.
//!
//! Nothing here knows of pointers into a filter's memory (that is the marshalling's part), of WASI or of any I/O (that
//! is the edge's). The driver feeds a [`Chain`] with what arrives on both sides of an exchange and takes [`Effect`]s out
//! of it; in between, the filter is called through [`Guest`] and calls back into [`ChainState`].
//!
//! ```text
//!   driver ──► headers, data, trailers, end of waiting ──► Chain ──► effects, callouts ──► driver
//!                                                         │   ▲
//!                                              callbacks  ▼   │  return values, actions
//!                                                         Guest
//!                                                           │ host calls
//!                                                           ▼
//!                                                       ChainState
//! ```
//!
//! | file | idea |
//! |---|---|
//! | `chain/` | the plugins, and how they are driven: start, open, close |
//! | `connection`, `referer` | the hop before the first filter |
//! | `filter_manager/` | the way of a message from filter to filter |
//! | `router` | the hop behind the last filter |
//! | `routing/`, `no_routing` | its table of routes, and what the smaller shim has instead |
//! | `stream/` | an exchange: its progress, its two messages, each filter's side of them |
//! | `streams` | the exchanges that are alive |
//! | `state` | the parts that host calls act on, and the plugin for which they do |
//! | `running` | the callback that runs, and the actions that its host calls ask for |
//! | `root`, `vm` | root contexts and virtual machines |
//! | `calls/` | the host calls, by family |
//! | `callouts`, `grpc`, `dns`, `timers`, `metrics` | things that belong to no stream |
//! | `local_reply` | a response of the proxy's own |
//! | `outgoing` | heads and trailers, as the host lets them out |
//! | `headers`, `inline_headers`, `body` | maps and buffers, with Envoy's rules |
//! | `properties` | attributes |
//! | `environment` | the host and the filter, as traits |
//!
//! The files whose types have states (`stream/`, `running`, `vm`) have a picture of them on top. Their fields are private:
//! other files call methods, which are named after the transitions in the picture.
//!
//! Restrictions that hold everywhere:
//! - The state is never borrowed while the filter runs: each callback may come back as any number of host calls.
//! - A host call that acts on the stream (continue, close, local response) takes effect when the callback returns,
//!   before its return value is applied: Envoy's order.
//! - Nor while the host's log or its shared state is called: they may take their time.
//! - Nothing blocks and nothing waits.

mod body;
mod callouts;
mod calls;
mod chain;
mod connection;
mod dns;
mod environment;
mod filter_manager;
mod grpc;
mod grpc_frames;
mod grpc_service;
mod headers;
mod inline_headers;
mod local_reply;
mod metrics;
mod names;
mod outgoing;
mod properties;
mod referer;
mod remains;
mod root;
mod router;
#[cfg(any(feature = "routing", test))]
mod routing;
#[cfg(not(any(feature = "routing", test)))]
#[path = "no_routing.rs"]
mod routing;
mod running;
mod state;
mod stream;
mod streams;
mod timers;
mod vm;

pub use body::Body;
pub use callouts::{Callout, CalloutResponse};
pub use calls::{Blob, CallResult, GrpcTarget, foreign, push_escaped};
pub use chain::{Borrowed, Chain};
pub use connection::{Line, Request};
pub use environment::{Capabilities, Guest, Host, SharedData, SharedQueues};
pub use grpc::{GrpcAction, GrpcRequest};
pub use headers::{HeaderMap, Kind};
pub use metrics::{Change, ChangeKind};
pub use remains::Remains;
pub use router::{Destination, UpstreamFailure, status};
#[cfg(any(feature = "routing", test))]
pub use routing::Outcome;
pub use state::{CallId, ChainState};
pub use stream::{Direction, Effect, ResetReason};
pub use timers::NANOS_PER_MS;
