//! The compiled component, linked to what this host offers.

use std::num::NonZeroUsize;
use std::path::Path;

use proxy_wasm_adapter::composition::Hop;
use proxy_wasm_adapter_embed::epoch::Ticker;
use proxy_wasm_adapter_embed::{Optimization, compilation};
use wasmtime::component::{InstancePre, Linker};
use wasmtime::{Cache, Config, Engine};
use wasmtime_wasi_http::p2::bindings::ProxyIndices;
use wasmtime_wasi_http::p3::bindings::ServiceIndices;

use super::error::Error;
use super::plugin::Exports;
use super::state::State;
use super::workers::Exports as Exports03;

/// Frames that a backtrace keeps: as many as fit into a filter's stack of 512 KiB, so that the callback is found where a
/// recursion without end began.
const BACKTRACE_FRAMES: NonZeroUsize = NonZeroUsize::new(1 << 15).expect("is not zero");

/// How a component takes requests.
pub(super) enum Handler {
    /// By `wasi:http/incoming-handler` 0.2.
    V02(ProxyIndices),
    /// By `wasi:http/handler` 0.3.
    V03(ServiceIndices),
}

/// A component, ready to be instantiated.
pub(super) struct Program {
    pub(super) pre: InstancePre<State>,
    pub(super) handler: Handler,
    /// What it exports for the plugin's sake.
    pub(super) plugin: Exports,
    /// The same for WASI 0.3.
    pub(super) plugins: Exports03,
    _ticker: Ticker,
}

impl Program {
    /// Compiles and links, for so many requests at the same time; compiled code is taken from this directory, or kept there.
    pub(super) fn new(
        bytes: &[u8],
        concurrency: u32,
        optimization: Optimization,
        cached: Option<&Path>,
    ) -> Result<Self, Error> {
        let hop = Hop::of(bytes);
        if let Some(hop) = hop.filter(|hop| hop.needs_next()) {
            return Err(Error::NeedsNext { hop });
        }
        let is_03 = hop == Some(Hop::Service);
        let cache = cached.map(cache).transpose()?;
        let component = compilation::compile(bytes, optimization, Some(concurrency), || {
            let mut config = config(is_03);
            config.cache(cache.clone());
            config
        })
        .map_err(|error| Error::Compile { reason: format!("{error:#}") })?;
        let engine = component.engine();

        let linker = linker(engine, is_03).map_err(|error| Error::Link { reason: format!("{error:#}") })?;
        let pre = linker.instantiate_pre(&component).map_err(|error| Error::Link { reason: format!("{error:#}") })?;

        let handler =
            if is_03 { ServiceIndices::new(&pre).map(Handler::V03) } else { ProxyIndices::new(&pre).map(Handler::V02) };
        let handler = handler.map_err(|error| Error::NoHandler { reason: format!("{error:#}") })?;
        let plugin = Exports::of(&component, bytes);
        let plugins = Exports03::of(&component, bytes);
        let ticker = Ticker::spawn(engine).map_err(Error::Runtime)?;
        Ok(Self { pre, handler, plugin, plugins, _ticker: ticker })
    }

    /// Whether requests can pass by plugins that failed.
    pub(super) fn can_bypass(&self) -> bool {
        self.plugin.can_bypass() || self.plugins.can_bypass()
    }
}

/// Beside what virtual machines for many exchanges keep there.
const WITHIN_CACHE: &str = "proxy-wasm-adapter";

/// Opens a directory for compiled code; an error where none can be kept there.
pub(super) fn cache(directory: &Path) -> Result<Cache, Error> {
    compilation::cache(directory, WITHIN_CACHE)
        .map_err(|error| Error::Cache { path: directory.into(), reason: error.root_cause().to_string() })
}

/// What this host offers.
fn linker(engine: &Engine, is_03: bool) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    if is_03 {
        wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
        wasmtime_wasi::p3::add_to_linker(&mut linker)?;
        super::workers::add_to_linker(&mut linker)?;
        // What toolchains still take from 0.2: a standard library is built for it.
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    } else {
        wasmtime_wasi_http::p2::add_to_linker_async(&mut linker)?;
        super::target::add_to_linker(&mut linker)?;
        super::departure::add_to_linker(&mut linker)?;
    }
    super::shared::add_to_linker(&mut linker)?;
    Ok(linker)
}

/// The engine's settings, save for where memory comes from.
fn config(is_03: bool) -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true);
    config.wasm_backtrace_max_frames(Some(BACKTRACE_FRAMES));
    // WASI 0.2 has no concurrent calls into one instance, and without the support for them each call costs less.
    config.concurrency_support(is_03);
    config.wasm_component_model_async(is_03);
    config
}
