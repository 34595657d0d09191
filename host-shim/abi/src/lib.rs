//! The agreement between the adapter (native) and the shim (WebAssembly).
//!
//! Each fact about the ABI is written here once: the host calls and callbacks as tables ([`host_calls`], [`callbacks`]),
//! the numbers ([`enums`]), the limits ([`limits`]), the map format ([`pairs`]), the property paths with their types
//! ([`properties`]), gRPC in terms of HTTP ([`grpc`]), the field that tells of HTTP/2 ([`http2`]), the plugin's
//! [`settings`], its [`routing`], its [`clusters`] and [`cors`]. The adapter's checks and generated code, the shim, the
//! support table and the tests are made from these.

pub mod bridge;
pub mod callbacks;
pub mod capabilities;
pub mod clusters;
pub mod cors;
pub mod enums;
pub mod foreign_functions;
pub mod freeze;
pub mod grpc;
pub mod higress;
pub mod host_calls;
pub mod http2;
pub mod limits;
pub mod metadata;
pub mod pairs;
pub mod properties;
pub mod retries;
pub mod routing;
pub mod settings;
