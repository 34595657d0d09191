//! Components for WASI 0.3, alone and composed.

use anyhow::Result;
use proxy_wasm_abi::settings::{Action, Plugin, Route};
use proxy_wasm_adapter::bridge;
use proxy_wasm_adapter::exports::Exports;
use proxy_wasm_adapter::wasi::Wasi;
use proxy_wasm_adapter_compose::compose;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::{Chain, adapt_for};
use crate::fixtures::root;

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

/// What stands in front of a service that sends requests where a chain does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Middleware {
    /// The chain's filters.
    Filters,
    /// A filter that does nothing.
    Idle,
    /// The least that middleware can be, and no filter: it gives the next component each request as it came, and the
    /// response back.
    ByHand,
}

/// The component of this chain as middleware in front of a service that sends requests where the chain does.
///
/// # Errors
/// The adapter's, or they can't be composed.
pub fn behind_middleware(chain: &Chain) -> Result<Vec<u8>> {
    behind(chain, Middleware::Filters, 1)
}

/// The same with so many of it, or none.
///
/// # Errors
/// The adapter's, or they can't be composed.
pub fn behind(chain: &Chain, which: Middleware, count: usize) -> Result<Vec<u8>> {
    let mut settings = chain.settings.clone();
    settings.plugins = vec![Plugin::default()];
    if count > 0 {
        // What the connection manager adds is added by the first.
        (settings.connection.forwarded_proto, settings.connection.request_id) = (false, false);
    }
    let idle = Chain::one(wat::parse_str(PASSES_ON)?, settings);
    let first = match which {
        Middleware::Filters => middleware(chain)?,
        Middleware::Idle => middleware(&idle)?,
        Middleware::ByHand => by_hand()?,
    };
    let mut components = vec![first; count];
    components.push(service(&idle)?);
    Ok(compose(&components)?)
}

/// See [`Middleware::ByHand`]. Each task has a place in memory for its response, with its set behind it.
fn by_hand() -> Result<Vec<u8>> {
    let mut module = wat::parse_str(
        r#"(module
            (import "wasi:http/handler@0.3.0" "[async-lower]handle" (func $next (param i32 i32) (result i32)))
            (import "[export]wasi:http/handler@0.3.0" "[task-return]handle"
                (func $return (param i32 i32 i32 i64 i32 i32 i32 i32)))
            (import "$root" "[waitable-set-new]" (func $set_new (result i32)))
            (import "$root" "[waitable-set-drop]" (func $set_drop (param i32)))
            (import "$root" "[waitable-join]" (func $join (param i32 i32)))
            (import "$root" "[subtask-drop]" (func $subtask_drop (param i32)))
            (import "$root" "[context-set-0]" (func $context_set (param i32)))
            (import "$root" "[context-get-0]" (func $context_get (result i32)))
            (memory (export "memory") 1)
            (global $last (mut i32) (i32.const 0))
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 32768))
            (func $answer (param $task i32)
                (call $return
                    (i32.load8_u (local.get $task))
                    (select
                        (i32.const 7)
                        (i32.load offset=8 (local.get $task))
                        (i32.load8_u (local.get $task)))
                    (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
            (func (export "[async-lift]wasi:http/handler@0.3.0#handle") (param $request i32) (result i32)
                (local $task i32) (local $code i32) (local $set i32)
                (local.set $task (i32.and (i32.add (global.get $last) (i32.const 64)) (i32.const 0x3fff)))
                (global.set $last (local.get $task))
                (local.set $code (call $next (local.get $request) (local.get $task)))
                (if (i32.eq (i32.and (local.get $code) (i32.const 15)) (i32.const 2))
                    (then (call $answer (local.get $task)) (return (i32.const 0))))
                (local.set $set (call $set_new))
                (call $join (i32.shr_u (local.get $code) (i32.const 4)) (local.get $set))
                (i32.store offset=48 (local.get $task) (local.get $set))
                (call $context_set (local.get $task))
                (i32.or (i32.const 2) (i32.shl (local.get $set) (i32.const 4))))
            (func (export "[callback][async-lift]wasi:http/handler@0.3.0#handle")
                (param $event i32) (param $subtask i32) (param $state i32) (result i32)
                (local $task i32) (local $set i32)
                (local.set $task (call $context_get))
                (local.set $set (i32.load offset=48 (local.get $task)))
                (if (i32.ne (local.get $state) (i32.const 2))
                    (then (return (i32.or (i32.const 2) (i32.shl (local.get $set) (i32.const 4))))))
                (call $join (local.get $subtask) (i32.const 0))
                (call $subtask_drop (local.get $subtask))
                (call $set_drop (local.get $set))
                (call $answer (local.get $task))
                (i32.const 0)))"#,
    )?;
    let mut resolve = Resolve::default();
    resolve.push_dir(root().join("wit/wasi03"))?;
    let name = "wasi:http/handler@0.3.0";
    let world = format!("package test:middleware; world it {{ import {name}; export {name}; }}");
    let package = resolve.push_str("middleware.wit", &world)?;
    let world = resolve.select_world(&[package], Some("it"))?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)?;
    ComponentEncoder::default().module(&module)?.validate(true).encode()
}
