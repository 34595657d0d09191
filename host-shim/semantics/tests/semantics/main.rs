//! The semantics, as a host and a filter see them: each test is a sentence about Envoy 1.40 that was measured.

mod beside;
mod bodies;
mod buffers;
mod callbacks;
mod callouts;
mod chains;
mod common;
mod contexts;
mod endings;
mod grpc;
mod local_replies;
mod local_reply_heads;
mod maps;
mod names;
mod outgoing;
mod pauses;
mod properties;
mod requests;
mod router;
mod sequences;
mod start;
mod trailers;
mod wire;
