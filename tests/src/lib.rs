//! The adapter against real hosts.
//!
//! ```text
//! suites/exchanges.rs   one case file, the same on Envoy and on every host of components   cases/, known-differences.toml
//! suites/examples.rs    the five examples on every host                                    ../examples/*/expected.toml
//! suites/hostile.rs     filters that mean harm
//! suites/streaming.rs   bodies larger than memory, slow peers, many requests at once
//! src/hosts/            starts Envoy, `serve`, `wasmtime serve` and `jco serve`
//! src/bin/              the stock `wasmtime serve`, and the benchmark
//! ```
//!
//! Envoy is what the others are measured by: a case cannot be run on ours alone.

pub mod client;
pub mod component;
pub mod difference;
pub mod examples;
pub mod exchange;
pub mod fixtures;
pub mod hostile;
pub mod hosts;
pub mod http1;
pub mod memory;
pub mod message;
pub mod normal;
pub mod pool;
pub mod script;
pub mod settings;
pub mod trial;
pub mod upstream;
