//! What an upstream says that may have overtaken the end of its request.
//!
//! On Envoy what came from a client before an upstream answers or fails is with the filters by then. Some hosts tell of a
//! body's end apart from its bytes, and of an upstream sooner than of that.

use proxy_wasm_semantics::{Direction, Guest, NANOS_PER_MS};

use crate::{
    action::Input,
    exchange::Exchange,
    flow::{Incoming, Outgoing},
    turn::Driver,
};

/// For how long a failure waits for the request's end: a client that is still sending gets its answer that much later.
const PATIENCE_MS: u64 = 50;

/// For how long a failure or an answer does where all bytes have come, so that the end can't be far.
const PATIENCE_AT_END_MS: u64 = 5_000;

/// What the filters are not told of yet.
pub(crate) struct Overtaken {
    input: Input,
    /// When it is told at the latest, by the monotonic clock.
    pub(crate) until: u64,
}

impl<G: Guest> Driver<'_, G> {
    /// Keeps back an upstream's answer or failure that may have overtaken the end of the request; returns what is told now.
    pub(crate) fn unless_overtaken(&mut self, id: u32, input: Input) -> Option<Input> {
        let chain = self.chain;
        let waits = self.ends_apart && chain.wants(id, Direction::Request);
        // A body that goes on unread is not told of here.
        let is_seen = |exchange: &&mut Exchange| waits && exchange.to_upstream != Outgoing::Unread;
        let Some(exchange) = self.exchange(id).filter(is_seen) else { return Some(input) };
        let is_all_there = exchange.outstanding == Some(0);
        match &input {
            Input::Failed(..) => {
                exchange.to_upstream = Outgoing::Over;
                exchange.upstream = Incoming::Over;
            }
            // Nothing tells how long a client goes on that sends while it is answered.
            Input::Head(..) if is_all_there => {}
            _ => return Some(input),
        }
        let patience_ms = if is_all_there { PATIENCE_AT_END_MS } else { PATIENCE_MS };
        let until = chain.now().saturating_add(patience_ms * NANOS_PER_MS);
        exchange.overtaken = Some(Overtaken { input, until });
        None
    }

    /// More of the request came: where that is all, a failure waits for its end longer.
    pub(crate) fn look_for_end(&mut self, id: u32) {
        let chain = self.chain;
        if let Some(exchange) = self.exchange(id)
            && exchange.outstanding == Some(0)
            && let Some(overtaken) = &mut exchange.overtaken
        {
            overtaken.until = chain.now().saturating_add(PATIENCE_AT_END_MS * NANOS_PER_MS);
        }
    }

    /// Tells the filters of what waited.
    pub(crate) fn tell_overtaken(&mut self, id: u32) {
        if let Some(overtaken) = self.exchange(id).and_then(|exchange| exchange.overtaken.take()) {
            self.tell_response(id, overtaken.input);
        }
    }
}
