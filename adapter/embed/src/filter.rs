//! A filter, compiled: what instances are made of.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use proxy_wasm_adapter::exports::Exports;
use proxy_wasm_adapter::{Error as AdaptError, adapt, is_component, settings};
use wasmtime::Config;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker};

use crate::compilation::{self, Optimization};
use crate::epoch::{Ticker, ticks};
use crate::error::Error;
use crate::host::{self, Clock, Host};
use crate::instance::Instance;
use crate::log::{Level, Log, Tracing};
use crate::memory::{Budget, MemoryLimit, Refusal};
use crate::shared::Shared;
use crate::wit;

/// Beside what `serve` keeps there.
const WITHIN_CACHE: &str = "proxy-wasm-adapter-embed";

/// What instances may take, and where they log to.
#[derive(Clone)]
pub struct Options {
    /// Bytes of memory of an instance, over filter and shim. Default: 256 MiB.
    pub max_memory: usize,
    /// Bytes of memory that instances may have together, on top of what each begins with. Default: no limit.
    pub max_memory_of_all: usize,
    /// What instances take memory from, where these two limits are not it: several filters may have one together. Default:
    /// none.
    pub budget: Option<Arc<Budget>>,
    /// How long an instance may compute in one call, to 10 ms. Default: 1 s.
    pub time_limit: Duration,
    /// Whether [`Action::Over`](crate::Action::Over) tells what an exchange left behind. Default: no.
    pub keep_remains: bool,
    /// Where lines go. Default: [`Tracing`].
    pub log: Arc<dyn Log>,
    /// A directory for compiled code, which is then taken from there. Default: none.
    pub cache: Option<PathBuf>,
    /// Whether time is spent on compiling, or on running. Default: [`Optimization::Speed`].
    pub optimization: Optimization,
    /// How many instances there may be at once, for which address space is set aside, where they are made often: a new one
    /// costs a third then, and two thirds of that from [`Filter::from_filter`], or of a component that was adapted with
    /// `joined`. Where that can't be had, they are made as by default. Default: none is set aside.
    pub pool: Option<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_memory: 256 << 20,
            max_memory_of_all: usize::MAX,
            budget: None,
            time_limit: Duration::from_secs(1),
            keep_remains: false,
            log: Arc::new(Tracing),
            cache: None,
            optimization: Optimization::default(),
            pool: None,
        }
    }
}

/// A filter, or a chain of them, compiled and linked. A clone is the same filter.
#[derive(Clone)]
pub struct Filter(Arc<Inner>);

struct Inner {
    pre: InstancePre<Host>,
    exports: Functions,
    options: Options,
    clock: Clock,
    shared: Arc<Shared>,
    budget: Arc<Budget>,
    ticks: u64,
    _ticker: Ticker,
}

/// Where the component has the functions.
pub(crate) struct Functions {
    pub(crate) start: ComponentExportIndex,
    pub(crate) open: ComponentExportIndex,
    pub(crate) step: ComponentExportIndex,
    pub(crate) stats: Option<ComponentExportIndex>,
    pub(crate) remains: Option<ComponentExportIndex>,
}

impl Filter {
    /// Compiles a component that `proxy-wasm-adapter adapt --exports exchange` made, or with `both`. It takes as long as the filter is large: do it
    /// once.
    ///
    /// # Errors
    /// [`Error::NotAdapted`], [`Error::NoExchange`], [`Error::Compile`].
    pub fn from_component(component: &[u8], options: Options) -> Result<Self, Error> {
        if !is_component(component) {
            return Err(Error::NotAdapted);
        }
        let failed = |error: wasmtime::Error| Error::Compile(format!("{error:#}"));
        let cache = options.cache.as_deref().map(|directory| compilation::cache(directory, WITHIN_CACHE));
        let cache = cache.transpose().map_err(failed)?;
        let config = || {
            let mut config = Config::new();
            config.epoch_interruption(true);
            // Nothing calls into an instance while a call into it is under way, and without the support for it calls cost
            // less.
            config.concurrency_support(false);
            config.wasm_component_model_async(false);
            config.cache(cache.clone());
            config
        };
        let component = compilation::compile(component, options.optimization, options.pool, config).map_err(failed)?;
        let engine = component.engine();
        let exports = Functions::of(&component).ok_or(Error::NoExchange)?;
        let mut linker = Linker::new(engine);
        host::add_to_linker(&mut linker).map_err(failed)?;
        linker.define_unknown_imports_as_traps(&component).map_err(failed)?;
        let pre = linker.instantiate_pre(&component).map_err(failed)?;
        let ticker = Ticker::spawn(engine)?;
        let ticks = ticks(options.time_limit);
        let budget = options.budget.clone().unwrap_or_else(|| {
            let log = options.log.clone();
            let refused = move |refusal: Refusal| log.line(Level::Warn, &refusal.to_string());
            Budget::new(options.max_memory, options.max_memory_of_all, refused)
        });
        Ok(Self(Arc::new(Inner {
            pre,
            exports,
            options,
            clock: Clock::new(),
            // Whoever drives the instances asks `has_news`.
            shared: Shared::new(|| {}),
            budget,
            ticks,
            _ticker: ticker,
        })))
    }

    /// Adapts a filter as it is, a core module, and compiles it; `settings` are those of the command's settings file. Where
    /// they name no route, all that the filter lets through goes to one upstream, of no particular address.
    ///
    /// # Errors
    /// [`Error::Adapt`], and those of [`from_component`](Self::from_component).
    pub fn from_filter(filter: &[u8], settings: &str, options: Options) -> Result<Self, Error> {
        let parsed = settings::parse("settings", settings).map_err(|problem| AdaptError::Settings(vec![problem]));
        let parsed = parsed.map(routed);
        let no_files = |_: &std::path::Path| Err("these settings name no files".into());
        let mut resolved = parsed
            .and_then(|parsed| parsed.resolve(1, &no_files).map_err(AdaptError::Settings))
            .map_err(Error::Adapt)?;
        resolved.exports = Exports::Exchange;
        resolved.joined = options.pool.is_some();
        let adapted = adapt(&[filter], &resolved).map_err(Error::Adapt)?;
        Self::from_component(&adapted.component, options)
    }

    /// A new instance, its plugins started.
    ///
    /// # Errors
    /// [`Error::Instantiate`], [`Error::Refused`], [`Error::StartTrapped`].
    pub fn instance(&self) -> Result<Instance, Error> {
        Instance::new(self)
    }

    /// Whether an item came to a queue that any instance of this filter waits for:
    /// [`Instance::has_news`](crate::Instance::has_news) says which.
    pub fn has_news(&self) -> bool {
        self.0.shared.has_ready_queues()
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }

    pub(crate) fn pre(&self) -> &InstancePre<Host> {
        &self.0.pre
    }

    pub(crate) fn exports(&self) -> &Functions {
        &self.0.exports
    }

    pub(crate) fn options(&self) -> &Options {
        &self.0.options
    }

    /// What a new instance may have.
    pub(crate) fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::new(self.0.budget.clone())
    }

    pub(crate) fn clock(&self) -> Clock {
        self.0.clock
    }

    /// The ticks of the epoch that a call may take.
    pub(crate) fn ticks(&self) -> u64 {
        self.0.ticks
    }
}

/// The settings, with a route.
fn routed(mut input: settings::Input) -> settings::Input {
    /// A name that no resolver knows: RFC 6761, section 6.4.
    const NOWHERE: &str = "http://upstream.invalid";
    let is_routed = input.upstream.is_some() || input.direct_response.is_some() || input.next.is_some();
    if !is_routed && input.route.is_empty() && input.virtual_host.is_empty() {
        input.upstream = Some(NOWHERE.into());
    }
    input
}

impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Filter").finish_non_exhaustive()
    }
}

impl Functions {
    fn of(component: &Component) -> Option<Self> {
        let exchange = component.get_export_index(None, wit::INTERFACE)?;
        let plugin = component.get_export_index(None, wit::PLUGIN);
        let function = |name| component.get_export_index(Some(&exchange), name);
        let of_plugin = |name| component.get_export_index(Some(plugin.as_ref()?), name);
        Some(Self {
            start: function("start")?,
            open: function("open")?,
            step: function("step")?,
            stats: of_plugin("stats"),
            remains: of_plugin("exchange"),
        })
    }
}
