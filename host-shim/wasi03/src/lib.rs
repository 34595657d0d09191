//! The shim: a proxy-wasm host as a `wasi:http` 0.3 component, the edge between the semantics and the world.
//!
//! It imports nothing outside the `wasi:http/middleware@0.3.0` world; the adapter takes the next handler out where requests
//! go elsewhere, and then it is within `wasi:http/service@0.3.0`.
//!
//! Everything here is for WebAssembly: all rules are in the driver, which is tested natively.

#![cfg(target_arch = "wasm32")]

#[allow(missing_docs, unreachable_pub, unsafe_code, unused, clippy::all, reason = "generated")]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit/wasi03",
        world: "adapted-middleware",
        ownership: Borrowing { duplicate_if_necessary: false },
        generate_all,
    });
}

mod canonical;
mod component;
mod edge;
mod host;
mod incoming;
mod outgoing;
mod peer;
mod reader;
mod task;
mod vocabulary;
mod writer;
