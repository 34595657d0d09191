//! The interfaces `proxy-wasm:adapter/plugin` and `upkeep` at 0.2.0 (see `wit/wasi03`): a component of other origin has
//! neither.

use proxy_wasm_abi::host_calls::Family;
use wasmtime::Store;
use wasmtime::component::{Component, ComponentExportIndex, ComponentType, Instance, Lift, TypedFunc};

use crate::plugin::{Families, Remains, Stat, function};
use crate::state::State;

const PLUGIN: &str = "proxy-wasm:adapter/plugin@0.2.0";
const UPKEEP: &str = "proxy-wasm:adapter/upkeep@0.2.0";

/// Where a component has the functions.
#[derive(Default)]
pub(crate) struct Exports {
    start: Option<ComponentExportIndex>,
    idle: Option<ComponentExportIndex>,
    ended: Option<ComponentExportIndex>,
    stats: Option<ComponentExportIndex>,
    exchanges: Option<ComponentExportIndex>,
    concurrency: Option<ComponentExportIndex>,
    left: Option<ComponentExportIndex>,
    bypass: Option<ComponentExportIndex>,
}

/// The functions of an instance.
#[derive(Clone, Copy)]
pub(super) struct Plugins {
    /// Starts the plugins; the error says which callback refused.
    pub(super) start: Option<TypedFunc<(), (Result<(), String>,)>>,
    /// Does what is due between requests; says in how many nanoseconds there is more.
    pub(super) idle: Option<TypedFunc<(), (Option<u64>,)>>,
    /// Waits for an exchange to end, and tells what became of those that did.
    pub(super) ends: Option<Ends>,
    /// The metrics that changed since the last call.
    pub(super) stats: Option<TypedFunc<(), (Vec<Stat>,)>>,
    /// Says that the client of a request has left.
    pub(super) left: Option<TypedFunc<(u32,), ()>>,
    concurrency: Option<TypedFunc<(), (u32,)>>,
    bypass: Option<TypedFunc<(u32,), ()>>,
}

/// The functions that tell of ends.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    pub(super) ended: TypedFunc<(), ()>,
    pub(super) exchanges: TypedFunc<(), (Vec<Exchange>,)>,
}

/// An exchange that is over.
#[derive(Clone, Debug, ComponentType, Lift)]
#[component(record)]
pub(super) struct Exchange {
    /// Which request of its instance it was, from 1.
    pub(super) number: u32,
    pub(super) remains: Option<Remains>,
}

impl Exports {
    /// Looks a component through.
    pub(crate) fn of(component: &Component, bytes: &[u8]) -> Self {
        let interface = |name| component.get_export_index(None, name);
        let (plugin, upkeep) = (interface(PLUGIN), interface(UPKEEP));
        let function = |interface: &Option<_>, name| component.get_export_index(Some(interface.as_ref()?), name);
        let families = Families::of(bytes);
        Self {
            start: function(&upkeep, "start"),
            idle: function(&upkeep, "idle").filter(|_| families.act_between_requests()),
            ended: function(&upkeep, "ended"),
            stats: function(&plugin, "stats").filter(|_| families.include(&[Family::Metrics])),
            exchanges: function(&plugin, "exchanges"),
            concurrency: function(&plugin, "concurrency"),
            left: function(&plugin, "left"),
            bypass: function(&plugin, "bypass"),
        }
    }

    /// Whether requests can pass by plugins that failed.
    pub(crate) fn can_bypass(&self) -> bool {
        self.bypass.is_some()
    }

    /// Whether this host's word counts with the component: it is one that was adapted, or has such a one as a part.
    pub(crate) fn are_known(&self) -> bool {
        self.concurrency.is_some()
    }

    /// Whether it is told when clients leave.
    pub(crate) fn hears_of_departures(&self) -> bool {
        self.left.is_some()
    }

    /// The functions of an instance.
    pub(super) fn load(&self, store: &mut Store<State>, instance: &Instance) -> wasmtime::Result<Plugins> {
        let ended = function(self.ended.as_ref(), store, instance)?;
        let exchanges = function(self.exchanges.as_ref(), store, instance)?;
        Ok(Plugins {
            start: function(self.start.as_ref(), store, instance)?,
            idle: function(self.idle.as_ref(), store, instance)?,
            ends: ended.zip(exchanges).map(|(ended, exchanges)| Ends { ended, exchanges }),
            stats: function(self.stats.as_ref(), store, instance)?,
            left: function(self.left.as_ref(), store, instance)?,
            concurrency: function(self.concurrency.as_ref(), store, instance)?,
            bypass: function(self.bypass.as_ref(), store, instance)?,
        })
    }
}

impl Plugins {
    /// Lets requests pass by the plugins of a virtual machine.
    pub(super) async fn bypass(&self, store: &mut Store<State>, vm: u32) -> wasmtime::Result<()> {
        match &self.bypass {
            Some(bypass) => bypass.call_async(store, (vm,)).await,
            None => Ok(()),
        }
    }

    /// How many requests the settings let an instance have at once; it no longer sees to that by itself.
    pub(super) async fn concurrency(&self, store: &mut Store<State>) -> wasmtime::Result<Option<u32>> {
        let Some(concurrency) = &self.concurrency else { return Ok(None) };
        Ok(Some(concurrency.call_async(store, ()).await?.0))
    }

    /// Starts them.
    pub(super) async fn start(&self, store: &mut Store<State>) -> wasmtime::Result<Result<(), String>> {
        let Some(start) = &self.start else { return Ok(Ok(())) };
        Ok(start.call_async(store, ()).await?.0)
    }
}
