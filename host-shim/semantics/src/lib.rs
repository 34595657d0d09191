//! The behavior of a proxy-wasm host, the way Envoy does it.
//!
//! Nothing here knows of pointers into a filter's memory (that is the marshalling's part), of WASI or of any I/O (that
//! is the edge's). The edge feeds a [`Chain`] with what arrives on both sides of an exchange and takes [`Effect`]s out
//! of it; in between, the filter is called through [`Guest`] and calls back into [`State`].
//!
//! Restrictions that hold everywhere:
//! - The state is never borrowed while the filter runs: each callback may come back as any number of host calls.
//! - A host call that acts on the stream (continue, close, local response) takes effect when the callback returns,
//!   before its return value is applied: Envoy's order.
//! - Nothing blocks and nothing waits.

mod body;
mod callouts;
mod calls;
mod chain;
mod connection;
mod dns;
mod egress;
mod environment;
mod filter_manager;
mod grpc;
mod grpc_frames;
mod grpc_service;
mod headers;
mod inline_headers;
mod local_reply;
mod metrics;
mod properties;
mod remains;
mod root;
mod router;
mod running;
mod shared;
mod state;
mod stream;
mod streams;
mod timers;
mod vm;

pub use body::Body;
pub use callouts::{Callout, CalloutResponse};
pub use calls::{Blob, CallResult, GrpcTarget, foreign, push_escaped};
pub use chain::Chain;
pub use connection::Request;
pub use egress::{Egress, Frame};
pub use environment::{Guest, Host, SharedState};
pub use grpc::{GrpcAction, GrpcRequest};
pub use headers::{HeaderMap, Kind};
pub use local_reply::unavailable;
pub use metrics::{Change, ChangeKind};
pub use remains::Remains;
pub use router::UpstreamFailure;
pub use state::{CallId, State};
pub use stream::{Direction, Effect, ResetReason};
