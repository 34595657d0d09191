//! The component's exports.

use std::cell::RefCell;

use dlmalloc::GlobalDlmalloc;
use proxy_wasm_driver::Driver;
use proxy_wasm_marshal::{BridgedFilter, chain};
use proxy_wasm_semantics::{Chain, Change, ChangeKind, HeaderMap, Host};

use crate::{
    bindings::{
        self,
        exports::{
            proxy_wasm::adapter::plugin::{Guest as PluginGuest, HistogramChange, Pending, Remains, Stat, StatChange},
            wasi::http::incoming_handler::Guest as HandlerGuest,
        },
        wasi::{
            clocks::monotonic_clock,
            http::types::{IncomingRequest, ResponseOutparam},
        },
    },
    client::{self, Opens},
    edge::Edge,
    host::{WasiHost, id_bytes},
    request,
};

struct Component;

/// As std's, but newer: it begins with the memory that is there from the start. See `build.rs`.
#[global_allocator]
static ALLOCATOR: GlobalDlmalloc = GlobalDlmalloc;

/// The parts of an instance.
struct Shim {
    driver: Driver<'static, BridgedFilter>,
    edge: Edge,
    /// The host said that the next request comes by HTTP/2.
    http2: bool,
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
    chain(|| {
        std::panic::set_hook(Box::new(|info| WasiHost.log(&format!("[critical] the shim failed: {info}"))));
        Box::new(WasiHost)
    })
}

/// Lends what the instance has. After a trap it is lent for good: that is an error, on a host that goes on using the instance.
fn with_shim<T>(act: impl FnOnce(&mut Shim) -> T) -> Result<T, &'static str> {
    SHIM.with(|shim| {
        let mut shim = shim.try_borrow_mut().map_err(|_| "the filter trapped earlier")?;
        let new = || Shim { driver: Driver::new(current()), edge: Edge::default(), http2: false };
        Ok(act(shim.get_or_insert_with(|| Box::leak(Box::new(new())))))
    })
}

fn opens(exact: bool) -> Opens {
    match current().state().settings().upkeep.opens_bodies {
        true => Opens::Everything,
        false if exact => Opens::Nothing,
        false => Opens::Declared,
    }
}

/// Answers for plugins that did not start.
#[cold]
fn refuse(request: &IncomingRequest, out: ResponseOutparam, reason: &str, opens: Opens) {
    let what = match current().state().settings().plugins.as_slice() {
        [plugin] => format!("plugin `{}`", plugin.name),
        _ => "a plugin".into(),
    };
    WasiHost.log(&format!("[critical] {what} did not start: {reason}"));
    client::unavailable(out, request, opens);
}

impl Shim {
    /// Starts the plugins, once, with what they wait for.
    fn start(&mut self, waits: bool) -> Result<(), &'static str> {
        self.driver.turn().start(waits)?;
        self.edge.stay(&mut self.driver);
        Ok(())
    }

    fn handle(&mut self, request: IncomingRequest, out: ResponseOutparam) {
        let http2 = std::mem::take(&mut self.http2);
        let opens = opens(self.edge.exact);
        if let Err(reason) = self.start(false) {
            refuse(&request, out, reason, opens);
            return;
        }
        let (mut head, end, body) = request::receive(request, self.edge.exact);
        head.http2 = http2;
        let state = current().state();
        // Told, so that the semantics need not ask through `Host`: that is an indirect call, and the first one costs a new
        // instance a page of memory.
        if state.is_timed() {
            head.received = Some(monotonic_clock::now());
        }
        if state.settings().connection.request_id {
            head.id = id_bytes();
        }
        drop(state);
        self.edge.exchange(&mut self.driver, (head, end), body, out, opens);
    }
}

fn stat(change: Change) -> Stat {
    let change_of = match change.kind {
        ChangeKind::Counter(increase) => StatChange::Counter(increase),
        ChangeKind::Gauge(value) => StatChange::Gauge(value),
        ChangeKind::Histogram { buckets, sum } => StatChange::Histogram(HistogramChange { buckets, sum }),
    };
    Stat { name: change.name, change: change_of }
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
        let _ = with_shim(|shim| shim.http2 = true);
    }

    fn idle() -> Pending {
        let chain = current();
        // A plugin that refused to start, or that nobody started, does nothing between requests.
        if !chain.is_started() || chain.start().is_err() {
            return Pending { wake: None, unfinished: false };
        }
        let wake = with_shim(|shim| shim.edge.idle(&mut shim.driver)).ok().flatten();
        Pending { wake, unfinished: chain.has_work() }
    }

    fn stats() -> Vec<Stat> {
        current().state().metric_changes().into_iter().map(stat).collect()
    }

    fn exchange() -> Option<Remains> {
        let remains = current().state().take_remains()?;
        let request = remains.request.iter().flat_map(HeaderMap::iter);
        Some(Remains {
            request: request.map(|(name, value)| (name.to_vec(), value.to_vec())).collect(),
            details: remains.details,
            response_flags: remains.flags,
            properties: remains.properties,
        })
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
            refuse(&request, out, reason, opens(false));
        }
    }
}
