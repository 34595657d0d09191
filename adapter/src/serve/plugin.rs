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
    pub(super) start: Option<ComponentExportIndex>,
    idle: Option<ComponentExportIndex>,
}

/// The functions of an instance.
pub(super) struct Plugin {
    idle: Option<TypedFunc<(), (Pending,)>>,
}

/// What a plugin waits for between requests.
#[derive(Clone, Copy, Debug, Default, wasmtime::component::ComponentType, Lift)]
#[component(record)]
pub(super) struct Pending {
    /// Nanoseconds until `idle` is to be called again.
    pub(super) wake: Option<u64>,
    /// Callouts have not come back, or queues have items that the filter was not told of.
    pub(super) unfinished: bool,
}

impl Exports {
    /// Looks a component through.
    pub(super) fn of(component: &Component, bytes: &[u8]) -> Self {
        let interface = component.get_export_index(None, INTERFACE);
        let function = |name| component.get_export_index(Some(interface.as_ref()?), name);
        let families = Families::of(bytes);
        Self { start: function("start"), idle: function("idle").filter(|_| families.act_between_requests()) }
    }

    /// The functions of an instance.
    pub(super) fn load<T: 'static>(&self, store: &mut Store<T>, instance: &Instance) -> wasmtime::Result<Plugin> {
        Ok(Plugin { idle: function(self.idle.as_ref(), store, instance)? })
    }
}

fn function<T: 'static, P, R>(
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
}

/// What the filters in a component can ask for, by their imports. `None`: it holds none, so it may be anything.
struct Families(Option<Vec<Family>>);

impl Families {
    fn of(component: &[u8]) -> Self {
        let mut families = Vec::new();
        for payload in Parser::new(0).parse_all(component).map_while(Result::ok) {
            if let Payload::ImportSection(section) = payload {
                let imports = section.into_imports().filter_map(Result::ok);
                families.extend(imports.filter_map(|import| Some(HostCall::find(import.module, import.name)?.family)));
            }
        }
        Self((!families.is_empty()).then_some(families))
    }

    fn include(&self, wanted: &[Family]) -> bool {
        self.0.as_ref().is_none_or(|families| families.iter().any(|family| wanted.contains(family)))
    }

    fn act_between_requests(&self) -> bool {
        self.include(&[Family::Timers, Family::HttpCallouts, Family::GrpcCallouts, Family::SharedQueues])
    }
}
