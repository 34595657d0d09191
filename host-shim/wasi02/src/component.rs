//! The component's exports.

use std::cell::RefCell;

use dlmalloc::GlobalDlmalloc;
use proxy_wasm_abi::freeze::Readiness;
use proxy_wasm_driver::{Driver, Relay};
use proxy_wasm_marshal::{BridgedFilter, chain};
use proxy_wasm_semantics::Chain;

use crate::{
    bindings::{
        self,
        exports::{
            proxy_wasm::adapter::plugin::{Guest as PluginGuest, Pending, Remains, Stat},
            wasi::http::incoming_handler::Guest as HandlerGuest,
        },
        wasi::http::types::{IncomingRequest, ResponseOutparam},
    },
    edge::Edge,
    host::{self, WasiHost},
    incoming, outgoing, vocabulary,
};

pub(crate) struct Component;

/// As std's, but newer: it begins with the memory that is there from the start. See `build.rs`.
#[global_allocator]
static ALLOCATOR: GlobalDlmalloc = GlobalDlmalloc;

/// The parts of an instance.
pub(crate) struct Shim {
    pub(crate) driver: Driver<'static, BridgedFilter>,
    edge: Edge,
    pub(crate) relay: Relay,
}

thread_local! {
    /// Leaked: it lives as long as the instance.
    static SHIM: RefCell<Option<&'static mut Shim>> = const { RefCell::new(None) };
}

#[allow(unsafe_code, reason = "generated: exported names")]
mod export {
    use super::{Component, bindings};
    bindings::export!(Component with_types_in bindings);
}

fn current() -> &'static Chain<BridgedFilter> {
    chain(|| Box::new(WasiHost))
}

/// Lends what the instance has. After a trap it is lent for good: that is an error, on a host that goes on using the instance.
pub(crate) fn with_shim<T>(act: impl FnOnce(&mut Shim) -> T) -> Result<T, &'static str> {
    SHIM.with(|shim| {
        let mut shim = shim.try_borrow_mut().map_err(|_| "the filter trapped earlier")?;
        let new = || Shim { driver: Driver::new(current()), edge: Edge::default(), relay: Relay::default() };
        Ok(act(shim.get_or_insert_with(|| Box::leak(Box::new(new())))))
    })
}

/// Answers for plugins that did not start.
#[cold]
fn refuse(request: &IncomingRequest, out: ResponseOutparam, reason: &str) {
    let head = current().refuse(incoming::head(request).field("content-type"), reason);
    outgoing::response(current(), out, &head, true, true);
}

impl Shim {
    /// Starts the plugins, once, with what they wait for.
    fn start(&mut self, waits: bool) -> Result<(), &'static str> {
        self.driver.turn().start(waits)?;
        self.edge.stay(&mut self.driver);
        Ok(())
    }

    fn handle(&mut self, request: IncomingRequest, out: ResponseOutparam) {
        match self.start(false) {
            Ok(()) => self.edge.exchange(&mut self.driver, request, out),
            Err(reason) => refuse(&request, out, reason),
        }
    }
}

/// See [`proxy_wasm_abi::freeze`].
#[allow(unsafe_code, reason = "an exported name is an unsafe attribute; nothing here is unsafe")]
#[unsafe(no_mangle)]
extern "C" fn freeze() -> u32 {
    let readiness = with_shim(|shim| shim.driver.turn().freeze()).unwrap_or(Readiness::Refused);
    if readiness == Readiness::Ready {
        host::stop_clock();
    }
    readiness as u32
}

impl PluginGuest for Component {
    fn start() -> Result<(), String> {
        let started = with_shim(|shim| {
            shim.edge.exact = true;
            shim.start(true)
        });
        started.flatten().map_err(str::to_owned)
    }

    fn http2() {
        // Where it fails, the request that follows is refused.
        let _ = with_shim(|shim| shim.edge.http2 = true);
    }

    fn idle() -> Pending {
        let rest = with_shim(|shim| shim.edge.idle(&mut shim.driver)).unwrap_or_default();
        Pending { wake: rest.wake, unfinished: rest.unfinished }
    }

    fn stats() -> Vec<Stat> {
        vocabulary::stats(current().state().metric_changes())
    }

    fn exchange() -> Option<Remains> {
        current().state().take_remains().map(vocabulary::remains)
    }

    fn bypass(vm: u32) {
        current().bypass(vm);
    }
}

impl HandlerGuest for Component {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let mut exchange = Some((request, out));
        let handled = with_shim(|shim| {
            if let Some((request, out)) = exchange.take() {
                shim.handle(request, out);
            }
        });
        if let (Err(reason), Some((request, out))) = (handled, exchange) {
            refuse(&request, out, reason);
        }
    }
}
