//! The host's types that every edge has, and the words for them.

use crate::bindings::{
    exports::proxy_wasm::adapter::plugin,
    wasi::http::types::{ErrorCode, Method, Scheme},
};

proxy_wasm_driver::names!(Method, Scheme);
proxy_wasm_driver::failures!(ErrorCode);
proxy_wasm_driver::reports!(plugin);
