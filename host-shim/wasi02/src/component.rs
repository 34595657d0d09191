//! What the component exports.

use std::cell::RefCell;

use proxy_wasm_marshal::{Filter, plugin};
use proxy_wasm_semantics::{Host, Plugin};

use crate::{
    bindings::{
        self,
        exports::{
            proxy_wasm::adapter::plugin::Guest as PluginGuest, wasi::http::incoming_handler::Guest as HandlerGuest,
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

impl PluginGuest for Component {
    fn start() -> Result<(), String> {
        let plugin = current();
        plugin.start().map_err(str::to_owned)?;
        // What a plugin fetches when it is configured is there before its first request.
        CALLOUTS.with_borrow_mut(|callouts| callouts.linger(plugin));
        Ok(())
    }
}

impl HandlerGuest for Component {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let plugin = current();
        match plugin.start() {
            Ok(()) => CALLOUTS.with_borrow_mut(|callouts| Exchange::run(plugin, callouts, request, out)),
            Err(reason) => {
                let name = &plugin.vm().settings().plugin.name.clone();
                WasiHost.log(&format!("[critical] plugin `{name}` did not start: {reason}"));
                response::unavailable(out);
            }
        }
    }
}
