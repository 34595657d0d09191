//! An instance of a pre-initialised component for WASI 0.2, on a host whose clock the test sets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentType, Instance, Lift, Linker, ResourceTable, ResourceType, TypedFunc};
use wasmtime::{Engine, Store};
use wasmtime_wasi::p2::bindings::io::error::Error as StreamFailure;
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, DynPollable};
use wasmtime_wasi::{HostMonotonicClock, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

const PLUGIN: &str = "proxy-wasm:adapter/plugin@0.1.0";

/// What an instance waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ComponentType, Lift)]
#[component(record)]
pub(crate) struct Pending {
    pub(crate) wake: Option<u64>,
    pub(crate) unfinished: bool,
}

pub(crate) struct Thawed {
    store: Store<Host>,
    instance: Instance,
    clock: Arc<AtomicU64>,
    log: MemoryOutputPipe,
}

impl Thawed {
    /// One whose host's clock shows this.
    pub(crate) fn new(component: &[u8], now: u64) -> Self {
        let engine = Engine::default();
        let component = Component::new(&engine, component).unwrap();
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_sync(&mut linker).unwrap();
        for (name, import) in component.component_type().imports(&engine) {
            let ComponentItem::ComponentInstance(interface) = import.ty else { continue };
            if !name.starts_with("wasi:http/") {
                continue;
            }
            let mut instance = linker.instance(name).unwrap();
            for (item, export) in interface.exports(&engine) {
                match export.ty {
                    ComponentItem::ComponentFunc(_) => {
                        instance.func_new(item, |_, _, _, _| wasmtime::bail!("no HTTP here")).unwrap();
                    }
                    ComponentItem::Resource(_) => instance.resource(item, resource(item), |_, _| Ok(())).unwrap(),
                    _ => {}
                }
            }
        }
        let clock = Arc::new(AtomicU64::new(now));
        let log = MemoryOutputPipe::new(1 << 16);
        let ctx = WasiCtxBuilder::new().stderr(log.clone()).monotonic_clock(Clock(clock.clone())).build();
        let mut store = Store::new(&engine, Host { table: ResourceTable::new(), ctx });
        let instance = linker.instantiate(&mut store, &component).unwrap();
        Self { store, instance, clock, log }
    }

    fn call<P, R>(&mut self, name: &str, params: P) -> R
    where
        P: wasmtime::component::ComponentNamedList + wasmtime::component::Lower,
        (R,): wasmtime::component::ComponentNamedList + Lift,
    {
        let interface = self.instance.get_export_index(&mut self.store, None, PLUGIN).unwrap();
        let function = self.instance.get_export_index(&mut self.store, Some(&interface), name).unwrap();
        let function: TypedFunc<P, (R,)> = self.instance.get_typed_func(&mut self.store, function).unwrap();
        function.call(&mut self.store, params).unwrap().0
    }

    /// `plugin#start`
    pub(crate) fn start(&mut self) -> Result<(), String> {
        self.call("start", ())
    }

    /// `plugin#idle`, when the host's clock shows this.
    pub(crate) fn idle(&mut self, now: u64) -> Pending {
        self.clock.store(now, SeqCst);
        self.call("idle", ())
    }

    /// `plugin#bypass`
    pub(crate) fn bypass(&mut self, vm: u32) {
        let interface = self.instance.get_export_index(&mut self.store, None, PLUGIN).unwrap();
        let function = self.instance.get_export_index(&mut self.store, Some(&interface), "bypass").unwrap();
        let function: TypedFunc<(u32,), ()> = self.instance.get_typed_func(&mut self.store, function).unwrap();
        function.call(&mut self.store, (vm,)).unwrap();
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> Vec<String> {
        String::from_utf8(self.log.contents().to_vec()).unwrap().lines().map(str::to_owned).collect()
    }
}

fn resource(name: &str) -> ResourceType {
    match name {
        "pollable" => ResourceType::host::<DynPollable>(),
        "input-stream" => ResourceType::host::<DynInputStream>(),
        "output-stream" => ResourceType::host::<DynOutputStream>(),
        "io-error" => ResourceType::host::<StreamFailure>(),
        _ => ResourceType::host::<()>(),
    }
}

struct Host {
    table: ResourceTable,
    ctx: WasiCtx,
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.ctx, table: &mut self.table }
    }
}

struct Clock(Arc<AtomicU64>);

impl HostMonotonicClock for Clock {
    fn resolution(&self) -> u64 {
        Duration::from_nanos(1).as_nanos() as u64
    }

    fn now(&self) -> u64 {
        self.0.load(SeqCst)
    }
}
