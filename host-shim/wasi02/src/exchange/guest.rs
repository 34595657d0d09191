//! The interface's exports.

use proxy_wasm_driver::{Driver, Input, Relay};
use proxy_wasm_marshal::BridgedFilter;

use crate::{
    bindings::exports::proxy_wasm::adapter::exchange::{Event, Guest, Outcome},
    component::{Component, with_shim},
};

/// Lends the exchanges to a host that carries the bytes itself. After a trap it would get nothing done: it traps again.
fn with_exchanges<T>(act: impl FnOnce(&mut Relay, &mut Driver<'static, BridgedFilter>) -> T) -> T {
    with_shim(|shim| act(&mut shim.relay, &mut shim.driver)).unwrap_or_else(|reason| panic!("{reason}"))
}

impl Guest for Component {
    fn start() -> Result<(), String> {
        with_exchanges(super::start).map_err(str::to_owned)
    }

    fn open(head: Vec<u8>, http2: bool, end: bool, first: Option<Vec<u8>>, first_ends: bool) -> (u32, Outcome) {
        let first = first.map(|bytes| Input::Data(bytes, first_ends));
        with_exchanges(|relay, driver| super::open(relay, driver, &head, http2, end, first))
    }

    fn step(events: Vec<Event>) -> Outcome {
        with_exchanges(|relay, driver| super::step(relay, driver, events))
    }
}
