//! Components for WASI 0.3, alone and composed.

use anyhow::Result;
use proxy_wasm_abi::settings::{Action, Plugin, Route};
use proxy_wasm_adapter::bridge;
use proxy_wasm_adapter::exports::Exports;
use proxy_wasm_adapter::wasi::Wasi;
use proxy_wasm_adapter_compose::compose;

use super::{Chain, adapt_for};

/// A filter that does nothing.
const PASSES_ON: &str = r#"(module
    (memory (export "memory") 1)
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024)))"#;

/// The header that clients put the authority into, which `wasmtime serve` 48 hides from components for WASI 0.3.
pub const AUTHORITY_HEADER: &str = "x-test-authority";

/// The component of this chain.
///
/// # Errors
/// The adapter's.
pub fn service(chain: &Chain) -> Result<Vec<u8>> {
    let mut chain = chain.clone();
    chain.settings.connection.authority_header = Some(AUTHORITY_HEADER.into());
    adapt_for(Wasi::V0_3, &chain, bridge::Kind::MemoryCopy, Exports::default())
}

/// The component of this chain as middleware, which sends requests to whatever is composed with it.
///
/// # Errors
/// The adapter's.
pub fn middleware(chain: &Chain) -> Result<Vec<u8>> {
    let mut chain = chain.clone();
    let timeout_ms = proxy_wasm_abi::limits::UPSTREAM_TIMEOUT_MS;
    chain.settings.routes = vec![Route { action: Action::Next { timeout_ms } }].into();
    service(&chain)
}

/// The component of this chain as middleware in front of a service that sends requests where the chain does.
///
/// # Errors
/// The adapter's, or they can't be composed.
pub fn behind_middleware(chain: &Chain) -> Result<Vec<u8>> {
    behind(chain, 1)
}

/// The same with so many of it, or none.
///
/// # Errors
/// The adapter's, or they can't be composed.
pub fn behind(chain: &Chain, count: usize) -> Result<Vec<u8>> {
    let mut settings = chain.settings.clone();
    settings.plugins = vec![Plugin::default()];
    if count > 0 {
        // What the connection manager adds is added by the first.
        (settings.connection.forwarded_proto, settings.connection.request_id) = (false, false);
    }
    let last = service(&Chain::one(wat::parse_str(PASSES_ON)?, settings))?;
    let mut components = vec![middleware(chain)?; count];
    components.push(last);
    Ok(compose(&components)?)
}
