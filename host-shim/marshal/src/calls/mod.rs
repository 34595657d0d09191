//! The `proxy_*` host calls, one family a file.

mod buffers;
mod callouts;
mod foreign;
mod general;
mod grpc;
mod maps;
mod properties;
mod shared;
mod streams;
