//! The proxy-wasm host calls: each reads its arguments from the filter's memory, calls the semantics, writes the
//! results back and returns a status. Nothing here decides anything.
//!
//! Invariants:
//! - A pointer and a length from the filter are checked before they are used; what is out of bounds is
//!   `INVALID_MEMORY_ACCESS` (WASI: `EFAULT`).
//! - The state is not borrowed while the filter's allocator runs, and the allocator may call almost nothing.
//! - A host call that comes before the bridge is linked (from a wasm `start` section) touches no memory.
//!
//! [`Caller`] is generic over [`Memory`], so all of it is tested natively; only the `bridge` module, compiled for
//! WebAssembly alone, reaches the real filter.

#![cfg_attr(
    not(target_arch = "wasm32"),
    allow(dead_code, reason = "the exports that call it are compiled for WebAssembly")
)]

mod caller;
mod calls;
// Among the tests, since what is there goes into no shim.
#[cfg(any(test, feature = "testing"))]
#[path = "tests/bed/mod.rs"]
pub mod testing;
#[cfg(test)]
mod tests;
mod trace;
mod wasi;

#[cfg(target_arch = "wasm32")]
mod bridge;
#[cfg(target_arch = "wasm32")]
mod exports;

#[cfg(target_arch = "wasm32")]
pub use bridge::{BridgedFilter, chain};
pub use caller::{Caller, Memory};
