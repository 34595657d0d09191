//! The adapter against real hosts.
//!
//! ```text
//! suites/conformance.rs one case file, the same on Envoy and on hosts of components   conformance/, known-differences.toml
//! suites/examples.rs    the examples on every host                                         ../examples/*/expected.toml
//! suites/grpc.rs        gRPC callouts of an example, to a real gRPC server
//! suites/grpc_peers/    real gRPC clients and servers, through Envoy and through `serve`
//! suites/guests.rs      filters that mean harm, made from a seed, on Envoy and on `serve`
//! suites/hostile.rs     filters that mean harm
//! suites/compare/       `compare`, and the scenarios that it runs with the examples            scenarios/
//! suites/migrate.rs     configurations of Envoy's, as they are and migrated                                    migrations/
//! suites/page/          the page of `compare --html`, in Chromium
//! suites/documents/     what the documents say: commands, options, limits, files, generated lists
//! suites/budget/        how many instructions fixed exchanges take                                              budget.toml
//! suites/packages.rs    what the packages need, and that they can be published
//! suites/composed.rs    what others composed: its parts, named and taken out
//! suites/streaming/     bodies larger than memory, slow peers, many requests at once
//! suites/upkeep.rs      ticks, callouts and shared state between requests
//! suites/wasi03/        components for WASI 0.3, as services and as middleware
//! suites/preinit.rs     components whose plugins were started before their host was
//! suites/http2.rs       what is no HTTP/2, frame by frame, to Envoy and to `serve`
//! suites/wire/          odd requests, byte by byte, on Envoy and on `serve`                                    wire/
//! suites/upstream_wire/ odd answers of an upstream, byte by byte, on Envoy and on `serve`
//! src/hosts/            starts Envoy, `serve`, `wasmtime serve` and `jco serve`
//! src/bin/              the stock `wasmtime serve`, a server of the library for embedders, and the benchmark
//! ```
//!
//! Envoy is what the others are measured by: a case cannot be run on ours alone.

pub mod client;
pub mod component;
pub mod conformance;
pub mod difference;
pub mod examples;
pub mod fixtures;
pub mod grpc;
pub mod guests;
pub mod hostile;
pub mod hosts;
pub mod http2;
pub mod log;
pub mod memory;
pub mod message;
pub mod normal;
pub mod pool;
pub mod port;
pub mod probe;
pub mod processor;
pub mod script;
pub mod settings;
pub mod tcp;
pub mod trial;
pub mod upstream;
