//! What the component exports.

use std::cell::RefCell;

use proxy_wasm_marshal::{Filter, plugin};
use proxy_wasm_semantics::{Change, ChangeKind, Host, Plugin};

use crate::{
    bindings::{
        self,
        exports::{
            proxy_wasm::adapter::plugin::{Guest as PluginGuest, HistogramChange, Pending, Stat, StatChange},
            wasi::http::incoming_handler::Guest as HandlerGuest,
        },
        wasi::http::types::{IncomingRequest, ResponseOutparam},
    },
    callouts::Callouts,
    exchange::Exchange,
    host::WasiHost,
    response,
};

struct Component;

thread_local! {
    static CALLOUTS: RefCell<Callouts> = RefCell::default();
}

#[allow(unsafe_code, reason = "generated: exported names")]
mod export {
    use super::{Component, bindings};
    bindings::export!(Component with_types_in bindings);
}

fn current() -> &'static Plugin<Filter> {
    plugin(|| {
        std::panic::set_hook(Box::new(|info| WasiHost.log(&format!("[critical] the shim failed: {info}"))));
        Box::new(WasiHost)
    })
}

/// Starts the plugin, once, with its ticks. What it fetches when it is configured is waited for where ticks follow, or
/// where nothing else waits for the plugin.
fn start(plugin: &Plugin<Filter>, waits: bool) -> Result<(), &str> {
    let first = !plugin.is_started();
    plugin.start()?;
    let ticks = plugin.vm().settings().upkeep.startup_ticks;
    if first && (waits || ticks > 0) {
        CALLOUTS.with_borrow_mut(|callouts| callouts.warm_up(plugin, ticks));
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
        start(current(), true).map_err(str::to_owned)
    }

    fn idle() -> Pending {
        let plugin = current();
        // A plugin that refused to start, or that nobody started, does nothing between requests.
        if !plugin.is_started() || plugin.start().is_err() {
            return Pending { wake: None, unfinished: false };
        }
        let wake = CALLOUTS.with_borrow_mut(|callouts| callouts.idle(plugin));
        Pending { wake, unfinished: plugin.has_work() }
    }

    fn stats() -> Vec<Stat> {
        current().vm().metric_changes().into_iter().map(stat).collect()
    }

    fn bypass() {
        current().bypass();
    }
}

impl HandlerGuest for Component {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let plugin = current();
        match start(plugin, false) {
            Ok(()) => CALLOUTS.with_borrow_mut(|callouts| Exchange::run(plugin, callouts, request, out)),
            Err(reason) => {
                let name = &plugin.vm().settings().plugin.name.clone();
                WasiHost.log(&format!("[critical] plugin `{name}` did not start: {reason}"));
                response::unavailable(out);
            }
        }
    }
}
