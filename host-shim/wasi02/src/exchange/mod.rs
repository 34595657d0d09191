//! The edge without streams: `proxy-wasm:adapter/exchange`. It turns calls into what the driver knows, and back.

#[cfg(target_arch = "wasm32")]
mod guest;
mod incoming;
mod outgoing;

use proxy_wasm_driver::{Driver, Input, Relay};
use proxy_wasm_semantics::Guest;

use crate::{
    bindings::{
        exports::proxy_wasm::adapter::exchange::{Event, Outcome},
        wasi::random::random::get_random_bytes,
    },
    host,
};

/// Starts the plugins, once.
///
/// # Errors
/// Says which callback refused.
fn start<G: Guest>(relay: &mut Relay, driver: &mut Driver<'static, G>) -> Result<(), &'static str> {
    relay.start(&mut driver.turn())
}

/// A request came: see `wit/`.
fn open<G: Guest>(
    relay: &mut Relay,
    driver: &mut Driver<'static, G>,
    head: &[u8],
    http2: bool,
    end: bool,
    first: Option<Input>,
) -> (u32, Outcome) {
    let mut turn = driver.turn();
    let mut request = incoming::request(head);
    request.http2 = http2;
    if let Err(reason) = relay.start(&mut turn) {
        let orders = Relay::refuse(&turn, request.field("content-type"), reason);
        return (0, outgoing::outcome(&turn, (orders, None)));
    }
    turn.complete(&mut request, host::now, get_random_bytes);
    let id = relay.open(&mut turn, request, end, first);
    let outcome = relay.run(&mut turn);
    (id, outgoing::outcome(&turn, outcome))
}

/// Something came, or nothing.
fn step<G: Guest>(relay: &mut Relay, driver: &mut Driver<'static, G>, events: Vec<Event>) -> Outcome {
    let mut turn = driver.turn();
    for event in events {
        relay.give(&mut turn, incoming::event(event));
    }
    let outcome = relay.run(&mut turn);
    outgoing::outcome(&turn, outcome)
}
