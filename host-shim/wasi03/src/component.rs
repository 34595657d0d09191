//! The component's exports.

#![allow(unsafe_code, reason = "an exported name is an unsafe attribute; nothing here is unsafe")]

use std::cell::RefCell;

use dlmalloc::GlobalDlmalloc;
use proxy_wasm_driver::Driver;
use proxy_wasm_marshal::{BridgedFilter, chain};
use proxy_wasm_semantics::{Chain, Host};

use crate::{
    canonical::{self, note},
    edge::{Edge, Event},
    host::{self, WasiHost},
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
    chain(|| {
        std::panic::set_hook(Box::new(|info| WasiHost.log(&format!("[critical] the shim failed: {info}"))));
        Box::new(WasiHost)
    })
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

/// See [`proxy_wasm_abi::freeze`].
#[unsafe(no_mangle)]
extern "C" fn freeze() -> u32 {
    let readiness = with_shim(|shim| shim.driver.turn().freeze());
    host::let_go();
    readiness as u32
}
