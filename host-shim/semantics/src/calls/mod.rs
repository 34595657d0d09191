//! The host calls, one family a file, each a method of [`ChainState`](crate::ChainState): checked arguments in, a result or the status
//! that Envoy returns.

mod buffers;
mod clocks;
mod configuration;
pub mod foreign;
mod grpc;
mod http_call;
mod log;
mod maps;
mod metrics;
mod shared;
mod streams;

use proxy_wasm_abi::enums::Status;

/// A host call's result, or the status that says why there is none.
pub type CallResult<T = ()> = Result<T, Status>;

pub use buffers::Blob;
pub use grpc::GrpcTarget;
pub use log::push_escaped;
