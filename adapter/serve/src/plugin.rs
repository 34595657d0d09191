//! The interface `proxy-wasm:adapter/plugin` (see `wit/`), as far as a component has it: one of an older adapter has
//! less.

use wasmtime::component::{Component, ComponentExportIndex, ComponentNamedList, Instance, Lift, Lower, TypedFunc};
use wasmtime::{AsContextMut, Store};

use proxy_wasm_abi::host_calls::{Family, HostCall};
use wasmparser::{Parser, Payload};

/// The interface through which this host starts and tends the plugin.
const INTERFACE: &str = "proxy-wasm:adapter/plugin@0.1.0";

/// Where a component has the functions.
pub(super) struct Exports {
    start: Option<ComponentExportIndex>,
    http2: Option<ComponentExportIndex>,
    idle: Option<ComponentExportIndex>,
    stats: Option<ComponentExportIndex>,
    exchange: Option<ComponentExportIndex>,
    bypass: Option<ComponentExportIndex>,
    /// It is told when clients leave.
    hears: bool,
}

/// The functions of an instance.
pub(super) struct Plugin {
    idle: Option<TypedFunc<(), (Pending,)>>,
    stats: Option<TypedFunc<(), (Vec<Stat>,)>>,
    exchange: Option<TypedFunc<(), (Option<Remains>,)>>,
    start: Option<TypedFunc<(), (Started,)>>,
    http2: Option<TypedFunc<(), ()>>,
}

/// What the plugin's start came to; the error says which callback refused.
type Started = Result<(), String>;

/// What a plugin waits for between requests.
#[derive(Clone, Copy, Debug, Default, wasmtime::component::ComponentType, Lift)]
#[component(record)]
pub(super) struct Pending {
    /// Nanoseconds until `idle` is to be called again.
    pub(super) wake: Option<u64>,
    /// Callouts have not come back, or queues have items that the filter was not told of.
    pub(super) unfinished: bool,
}

/// What became of a metric.
#[derive(Clone, Debug, PartialEq, wasmtime::component::ComponentType, Lift)]
#[component(record)]
pub(super) struct Stat {
    pub(super) name: Vec<u8>,
    pub(super) change: Change,
}

/// The same, by the metric's type.
#[derive(Clone, Debug, PartialEq, wasmtime::component::ComponentType, Lift)]
#[component(variant)]
pub(super) enum Change {
    #[component(name = "counter")]
    Counter(u64),
    #[component(name = "gauge")]
    Gauge(u64),
    #[component(name = "histogram")]
    Histogram(HistogramChange),
}

/// What a histogram got.
#[derive(Clone, Debug, PartialEq, wasmtime::component::ComponentType, Lift)]
#[component(record)]
pub(super) struct HistogramChange {
    /// For each bucket; empty for nothing at all.
    pub(super) buckets: Vec<u64>,
    pub(super) sum: u64,
}

/// What an exchange left behind.
#[derive(Clone, Debug, Default, PartialEq, wasmtime::component::ComponentType, Lift)]
#[component(record)]
pub(super) struct Remains {
    /// The request's head as the filters left it.
    pub(super) request: Vec<(Vec<u8>, Vec<u8>)>,
    /// Why the response is what it is, in Envoy's words.
    pub(super) details: Option<String>,
    /// Envoy's response flags, a bit set.
    #[component(name = "response-flags")]
    pub(super) flags: u64,
    /// What the filters stored with `proxy_set_property`.
    pub(super) properties: Vec<(Vec<u8>, Vec<u8>)>,
}

impl From<proxy_wasm_adapter_embed::Remains> for Remains {
    fn from(remains: proxy_wasm_adapter_embed::Remains) -> Self {
        let proxy_wasm_adapter_embed::Remains { request, details, flags, properties } = remains;
        Self { request, details, flags, properties }
    }
}

impl From<proxy_wasm_adapter_embed::Metric> for Stat {
    fn from(metric: proxy_wasm_adapter_embed::Metric) -> Self {
        use proxy_wasm_adapter_embed::Change as Embedded;
        let change = match metric.change {
            Embedded::Counter(increase) => Change::Counter(increase),
            Embedded::Gauge(value) => Change::Gauge(value),
            Embedded::Histogram { buckets, sum } => Change::Histogram(HistogramChange { buckets, sum }),
        };
        Self { name: metric.name, change }
    }
}

impl Exports {
    /// Looks a component through.
    pub(super) fn of(component: &Component, bytes: &[u8]) -> Self {
        let interface = component.get_export_index(None, INTERFACE);
        let function = |name| component.get_export_index(Some(interface.as_ref()?), name);
        let families = Families::of(bytes);
        Self {
            start: function("start"),
            http2: function("http2"),
            idle: function("idle").filter(|_| families.act_between_requests()),
            stats: function("stats").filter(|_| families.include(&[Family::Metrics])),
            exchange: function("exchange"),
            bypass: function("bypass"),
            // Older shims that have it end an exchange a little later.
            hears: function("stats").is_some(),
        }
    }

    /// Whether it is told when clients leave.
    pub(super) fn hears_of_departures(&self) -> bool {
        self.hears
    }

    /// Whether requests can pass by plugins that failed.
    pub(super) fn can_bypass(&self) -> bool {
        self.bypass.is_some()
    }

    /// The functions of an instance.
    pub(super) fn load<T: 'static>(&self, store: &mut Store<T>, instance: &Instance) -> wasmtime::Result<Plugin> {
        Ok(Plugin {
            idle: function(self.idle.as_ref(), store, instance)?,
            stats: function(self.stats.as_ref(), store, instance)?,
            exchange: function(self.exchange.as_ref(), store, instance)?,
            start: function(self.start.as_ref(), store, instance)?,
            http2: function(self.http2.as_ref(), store, instance)?,
        })
    }

    /// Lets requests pass by the plugins of a virtual machine.
    pub(super) async fn bypass<T: Send + 'static>(
        &self,
        store: &mut Store<T>,
        instance: &Instance,
        vm: u32,
    ) -> wasmtime::Result<()> {
        match function::<T, (u32,), ()>(self.bypass.as_ref(), store, instance)? {
            Some(bypass) => bypass.call_async(store, (vm,)).await,
            None => Ok(()),
        }
    }
}

pub(super) fn function<T: 'static, P, R>(
    index: Option<&ComponentExportIndex>,
    store: &mut Store<T>,
    instance: &Instance,
) -> wasmtime::Result<Option<TypedFunc<P, R>>>
where
    P: ComponentNamedList + Lower,
    R: ComponentNamedList + Lift,
{
    index.map(|index| instance.get_typed_func(store.as_context_mut(), index)).transpose()
}

impl Plugin {
    /// Whether it may have something to do between requests.
    pub(super) fn acts_between_requests(&self) -> bool {
        self.idle.is_some()
    }

    /// Does what is due between requests.
    pub(super) async fn idle<T: Send + 'static>(&self, store: &mut Store<T>) -> wasmtime::Result<Pending> {
        let Some(idle) = &self.idle else { return Ok(Pending::default()) };
        let (pending,) = idle.call_async(store, ()).await?;
        Ok(pending)
    }

    /// The metrics that changed since the last call.
    pub(super) async fn stats<T: Send + 'static>(&self, store: &mut Store<T>) -> wasmtime::Result<Vec<Stat>> {
        let Some(stats) = &self.stats else { return Ok(Vec::new()) };
        let (stats,) = stats.call_async(store, ()).await?;
        Ok(stats)
    }

    /// Says that the next request came by HTTP/2.
    pub(super) async fn http2<T: Send + 'static>(&self, store: &mut Store<T>) -> wasmtime::Result<()> {
        match &self.http2 {
            Some(http2) => http2.call_async(store, ()).await,
            None => Ok(()),
        }
    }

    /// What the exchange that ended last left behind. From the first call on it is kept.
    pub(super) async fn exchange<T: Send + 'static>(&self, store: &mut Store<T>) -> wasmtime::Result<Option<Remains>> {
        let Some(exchange) = &self.exchange else { return Ok(None) };
        let (remains,) = exchange.call_async(store, ()).await?;
        Ok(remains)
    }

    /// Starts the plugin.
    pub(super) async fn start<T: Send + 'static>(&self, store: &mut Store<T>) -> wasmtime::Result<Started> {
        let Some(start) = &self.start else { return Ok(Ok(())) };
        let (started,) = start.call_async(store, ()).await?;
        Ok(started)
    }
}

/// What the filters in a component can ask for, by their imports. `None`: it holds none, so it may be anything.
pub(super) struct Families(Option<Vec<Family>>);

impl Families {
    pub(super) fn of(component: &[u8]) -> Self {
        let mut families = Vec::new();
        for payload in Parser::new(0).parse_all(component).map_while(Result::ok) {
            if let Payload::ImportSection(section) = payload {
                let imports = section.into_imports().filter_map(Result::ok);
                families.extend(imports.filter_map(|import| Some(HostCall::find(import.module, import.name)?.family)));
            }
        }
        Self((!families.is_empty()).then_some(families))
    }

    pub(super) fn include(&self, wanted: &[Family]) -> bool {
        self.0.as_ref().is_none_or(|families| families.iter().any(|family| wanted.contains(family)))
    }

    pub(super) fn act_between_requests(&self) -> bool {
        self.include(&[Family::Timers, Family::HttpCallouts, Family::GrpcCallouts, Family::SharedQueues])
    }
}
