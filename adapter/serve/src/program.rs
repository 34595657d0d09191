//! The compiled component, linked to what this host offers.

use std::num::NonZeroUsize;
use std::path::Path;

use proxy_wasm_adapter::composition::Hop;
use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{Cache, CacheConfig, Config};
use wasmtime_wasi_http::p2::bindings::ProxyIndices;

use super::error::Error;
use super::filters::Filters;
use super::meter::Ticker;
use super::plugin::Exports;
use super::state::State;

/// Frames that a backtrace keeps: as many as fit into a filter's stack of 512 KiB, so that the callback is found where a
/// recursion without end began.
const BACKTRACE_FRAMES: NonZeroUsize = NonZeroUsize::new(1 << 15).expect("is not zero");

/// A component, ready to be instantiated.
pub(super) struct Program {
    pub(super) pre: InstancePre<State>,
    pub(super) handler: ProxyIndices,
    /// What it exports for the plugin's sake.
    pub(super) plugin: Exports,
    /// The filters in it.
    pub(super) filters: Filters,
    _ticker: Ticker,
}

impl Program {
    /// Compiles and links, for so many requests at the same time; compiled code is taken from this directory, or kept there.
    pub(super) fn new(bytes: &[u8], concurrency: u32, cache: Option<&Path>) -> Result<Self, Error> {
        match Hop::of(bytes) {
            Some(hop @ (Hop::Service | Hop::Middleware)) => return Err(Error::OtherWasi { hop }),
            Some(hop @ Hop::MiddlewareOf02) => return Err(Error::NeedsNext { hop }),
            Some(Hop::ServiceOf02 | Hop::Both) | None => {}
        }
        let filters = Filters::of(bytes);
        let cache = cache.map(open).transpose()?;
        let engine = super::allocation::engine(bytes, concurrency, || {
            let mut config = config();
            config.cache(cache.clone());
            config
        })
        .map_err(|error| Error::Compile { reason: format!("{error:#}") })?;
        let component =
            Component::new(&engine, bytes).map_err(|error| Error::Compile { reason: format!("{error:#}") })?;

        let mut linker = Linker::new(&engine);
        wasmtime_wasi_http::p2::add_to_linker_async(&mut linker)
            .map_err(|error| Error::Link { reason: format!("{error:#}") })?;
        super::target::add_to_linker(&mut linker).map_err(|error| Error::Link { reason: format!("{error:#}") })?;
        super::shared::add_to_linker(&mut linker).map_err(|error| Error::Link { reason: format!("{error:#}") })?;
        super::departure::add_to_linker(&mut linker).map_err(|error| Error::Link { reason: format!("{error:#}") })?;
        let pre = linker.instantiate_pre(&component).map_err(|error| Error::Link { reason: format!("{error:#}") })?;

        let handler = ProxyIndices::new(&pre).map_err(|error| Error::NoHandler { reason: format!("{error:#}") })?;
        let plugin = Exports::of(&component, bytes);
        let ticker = Ticker::spawn(&engine).map_err(Error::Runtime)?;
        Ok(Self { pre, handler, plugin, filters, _ticker: ticker })
    }
}

/// What Wasmtime gets of the directory that the user gave: it deletes all that it finds in its own and did not put there.
const WITHIN_CACHE: &str = "proxy-wasm-adapter";

/// Compiled code by the component's bytes, the version of Wasmtime and the engine's settings. Wasmtime bounds its size, and
/// compiles anew where it cannot read or write an entry.
fn open(directory: &Path) -> Result<Cache, Error> {
    let failed = |reason: String| Error::Cache { path: directory.into(), reason };
    let mut config = CacheConfig::new();
    let directory = std::path::absolute(directory).map_err(|error| failed(error.to_string()))?;
    config.with_directory(directory.join(WITHIN_CACHE));
    Cache::new(config).map_err(|error| failed(error.root_cause().to_string()))
}

/// The engine's settings, save for where memory comes from.
fn config() -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true);
    config.wasm_backtrace_max_frames(Some(BACKTRACE_FRAMES));
    // WASI 0.2 has no concurrent calls into one instance, and without the support for them each call costs less.
    config.concurrency_support(false);
    config
}
