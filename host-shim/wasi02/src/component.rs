//! What the component exports.

use std::cell::{Cell, RefCell};

use dlmalloc::GlobalDlmalloc;
use proxy_wasm_marshal::{Filter, chain};
use proxy_wasm_semantics::{Chain, Change, ChangeKind, HeaderMap, Host};

use crate::{
    bindings::{
        self,
        exports::{
            proxy_wasm::adapter::plugin::{Guest as PluginGuest, HistogramChange, Pending, Remains, Stat, StatChange},
            wasi::http::incoming_handler::Guest as HandlerGuest,
        },
        wasi::http::types::{IncomingRequest, ResponseOutparam},
    },
    callouts::Callouts,
    exchange::{Exchange, Told},
    host::WasiHost,
    response,
};

struct Component;

/// As std's, but newer: it begins with the memory that is there from the start. See `build.rs`.
#[global_allocator]
static ALLOCATOR: GlobalDlmalloc = GlobalDlmalloc;

thread_local! {
    static CALLOUTS: RefCell<Callouts> = RefCell::default();
    static TOLD: Cell<Told> = Cell::default();
}

#[allow(unsafe_code, reason = "generated: exported names")]
mod export {
    use super::{Component, bindings};
    bindings::export!(Component with_types_in bindings);
}

fn current() -> &'static Chain<Filter> {
    chain(|| {
        std::panic::set_hook(Box::new(|info| WasiHost.log(&format!("[critical] the shim failed: {info}"))));
        Box::new(WasiHost)
    })
}

/// Starts the plugins, once, with their ticks. What they fetch when they are configured is waited for where ticks follow, or
/// where nothing else waits for the plugins.
fn start(chain: &Chain<Filter>, waits: bool) -> Result<(), &str> {
    let first = !chain.is_started();
    chain.start()?;
    let ticks = chain.state().settings().upkeep.startup_ticks;
    if first && (waits || ticks > 0) {
        CALLOUTS.with_borrow_mut(|callouts| callouts.warm_up(chain, ticks));
    }
    Ok(())
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
        TOLD.set(Told { exact: true, ..TOLD.get() });
        start(current(), true).map_err(str::to_owned)
    }

    fn http2() {
        TOLD.set(Told { http2: true, ..TOLD.get() });
    }

    fn idle() -> Pending {
        let chain = current();
        // A plugin that refused to start, or that nobody started, does nothing between requests.
        if !chain.is_started() || chain.start().is_err() {
            return Pending { wake: None, unfinished: false };
        }
        let wake = CALLOUTS.with_borrow_mut(|callouts| callouts.idle(chain));
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
        let chain = current();
        let told = TOLD.get();
        TOLD.set(Told { http2: false, ..told });
        match start(chain, false) {
            Ok(()) => CALLOUTS.with_borrow_mut(|callouts| Exchange::run(chain, callouts, request, out, told)),
            Err(reason) => {
                let what = match chain.state().settings().plugins.as_slice() {
                    [plugin] => format!("plugin `{}`", plugin.name),
                    _ => "a plugin".into(),
                };
                WasiHost.log(&format!("[critical] {what} did not start: {reason}"));
                response::unavailable(out, &request, told.opens(chain));
            }
        }
    }
}
