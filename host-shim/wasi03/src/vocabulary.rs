//! The host's types for methods, schemes and failures, and the words for them.

use crate::bindings::wasi::http::types::{ErrorCode, Method, Scheme};

proxy_wasm_driver::names!(Method, Scheme);
proxy_wasm_driver::failures!(ErrorCode);
