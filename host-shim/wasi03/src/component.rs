//! The component's exports.

#![allow(unsafe_code, reason = "an exported name is an unsafe attribute; nothing here is unsafe")]

use std::cell::RefCell;

use dlmalloc::GlobalDlmalloc;
use proxy_wasm_driver::Driver;
use proxy_wasm_marshal::{BridgedFilter, chain};
use proxy_wasm_semantics::Chain;

use crate::{
    bindings::exports::proxy_wasm::adapter0_2_0::plugin::{self, Exchange, Guest as PluginGuest, Stat},
    canonical::{self, note},
    edge::{Edge, Ended, Event},
    host::{self, WasiHost},
    vocabulary,
};

/// As std's, but newer: it begins with the memory that is there from the start. See `build.rs`.
#[global_allocator]
static ALLOCATOR: GlobalDlmalloc = GlobalDlmalloc;

/// The event that says that nobody wants a task's answer any more.
const TASK_CANCELLED: u32 = 6;

/// The parts of an instance.
struct Shim {
    driver: Driver<'static, BridgedFilter>,
    edge: Edge,
}

thread_local! {
    /// Leaked: it lives as long as the instance.
    static SHIM: RefCell<Option<&'static mut Shim>> = const { RefCell::new(None) };
}

fn current() -> &'static Chain<BridgedFilter> {
    chain(|| Box::new(WasiHost))
}

/// Lends what the instance has.
fn with_shim<T>(act: impl FnOnce(&mut Shim) -> T) -> T {
    SHIM.with_borrow_mut(|shim| {
        let new = || Shim { driver: Driver::new(current()).with_ends_apart(), edge: Edge::default() };
        act(shim.get_or_insert_with(|| Box::leak(Box::new(new()))))
    })
}

/// The lifted function: a request came. Returns what the host is to do with the task.
#[unsafe(export_name = "[async-lift]wasi:http/handler@0.3.0#handle")]
extern "C" fn handle(request: u32) -> u32 {
    let request = canonical::received_request(request);
    with_shim(|shim| shim.edge.begin(&mut shim.driver, request))
}

/// Its callback: something has come that the task waits for.
#[unsafe(export_name = "[callback][async-lift]wasi:http/handler@0.3.0#handle")]
extern "C" fn resume(event: u32, waitable: u32, code: u32) -> u32 {
    let event = if event == TASK_CANCELLED {
        Event::Cancelled
    } else {
        note(waitable, code);
        Event::Arrived
    };
    with_shim(|shim| shim.edge.resume(&mut shim.driver, canonical::Task::number(), &event))
}

/// The host has the plugins started.
#[unsafe(export_name = "[async-lift]proxy-wasm:adapter/upkeep@0.2.0#start")]
extern "C" fn start() -> u32 {
    with_shim(|shim| shim.edge.start(&mut shim.driver))
}

#[unsafe(export_name = "[callback][async-lift]proxy-wasm:adapter/upkeep@0.2.0#start")]
extern "C" fn resume_start(event: u32, waitable: u32, code: u32) -> u32 {
    resume(event, waitable, code)
}

/// The host gives the plugins time between requests.
#[unsafe(export_name = "[async-lift]proxy-wasm:adapter/upkeep@0.2.0#idle")]
extern "C" fn idle() -> u32 {
    with_shim(|shim| shim.edge.tend(&mut shim.driver))
}

#[unsafe(export_name = "[callback][async-lift]proxy-wasm:adapter/upkeep@0.2.0#idle")]
extern "C" fn resume_idle(event: u32, waitable: u32, code: u32) -> u32 {
    resume(event, waitable, code)
}

/// The host waits for an exchange to end.
#[unsafe(export_name = "[async-lift]proxy-wasm:adapter/upkeep@0.2.0#ended")]
extern "C" fn ended() -> u32 {
    with_shim(|shim| shim.edge.listen(&mut shim.driver))
}

#[unsafe(export_name = "[callback][async-lift]proxy-wasm:adapter/upkeep@0.2.0#ended")]
extern "C" fn resume_ended(event: u32, waitable: u32, code: u32) -> u32 {
    resume(event, waitable, code)
}

struct Component;

#[allow(unsafe_code, reason = "generated: exported names")]
mod export {
    use super::{Component, plugin};
    plugin::__export_proxy_wasm_adapter_plugin_0_2_0_cabi!(Component with_types_in plugin);
}

fn exchange(Ended { number, remains }: Ended) -> Exchange {
    Exchange { number: number.get(), remains: remains.map(vocabulary::remains) }
}

impl PluginGuest for Component {
    fn stats() -> Vec<Stat> {
        vocabulary::stats(current().state().metric_changes())
    }

    fn exchanges() -> Vec<Exchange> {
        with_shim(|shim| shim.edge.take_ended(current())).into_iter().map(exchange).collect()
    }

    fn concurrency() -> u32 {
        with_shim(|shim| shim.edge.leave_limit(current()))
    }

    fn left(number: u32) {
        with_shim(|shim| shim.edge.client_left(number));
    }

    fn bypass(vm: u32) {
        current().bypass(vm);
    }
}

/// See [`proxy_wasm_abi::freeze`].
#[unsafe(no_mangle)]
extern "C" fn freeze() -> u32 {
    let readiness = with_shim(|shim| shim.driver.turn().freeze());
    host::let_go();
    readiness as u32
}
