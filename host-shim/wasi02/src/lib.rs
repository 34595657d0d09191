//! The shim: a proxy-wasm host as a `wasi:http` 0.2 component, the edge between the semantics and the world.
//!
//! It imports nothing outside the `wasi:http/proxy@0.2.0` world, and no function that came after 0.2.0, but for the state
//! that a host may share, which the adapter takes out unless it is asked for.

#![cfg_attr(
    not(target_arch = "wasm32"),
    allow(dead_code, reason = "the exports that call it are compiled for WebAssembly")
)]

#[allow(missing_docs, unreachable_pub, unsafe_code, clippy::all, reason = "generated")]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "adapted",
        ownership: Borrowing { duplicate_if_necessary: false },
        generate_all,
    });
}

mod edge;
mod exchange;
mod host;
mod incoming;
mod outgoing;
mod peer;
mod reader;
mod vocabulary;
mod writer;

#[cfg(target_arch = "wasm32")]
mod component;
