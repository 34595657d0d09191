//! An upstream's failure that may have overtaken the end of its request.
//!
//! On Envoy what came from a client before an upstream fails is with the filters by then. Some hosts tell of a body's end apart
//! from its bytes, and of an upstream that can't be reached sooner than of that.

use std::borrow::Cow;

use proxy_wasm_semantics::{Direction, Guest, NANOS_PER_MS, UpstreamFailure};

use crate::{
    flow::{Incoming, Outgoing},
    turn::Driver,
};

/// For how long the request's end is waited for: a client that is still sending gets its answer that much later.
const PATIENCE_MS: u64 = 50;

/// The same where all bytes have come, so that the end can't be far.
const PATIENCE_AT_END_MS: u64 = 5_000;

/// A failure that the filters are not told of yet.
pub(crate) struct Overtaken {
    failure: UpstreamFailure,
    cause: Option<Cow<'static, str>>,
    /// When it is told at the latest, by the monotonic clock.
    pub(crate) until: u64,
}

impl<G: Guest> Driver<'_, G> {
    /// The upstream failed. The filters are told now, or when the end of the request is there.
    pub(crate) fn upstream_fails(&mut self, id: u32, failure: UpstreamFailure, cause: Option<Cow<'static, str>>) {
        let chain = self.chain;
        let waits = self.ends_apart && chain.wants(id, Direction::Request);
        match self.exchange(id) {
            // A body that goes on unread is not told of here.
            Some(exchange) if waits && exchange.to_upstream != Outgoing::Unread => {
                let until = chain.now().saturating_add(PATIENCE_MS * NANOS_PER_MS);
                exchange.to_upstream = Outgoing::Over;
                exchange.upstream = Incoming::Over;
                exchange.overtaken = Some(Overtaken { failure, cause, until });
                self.look_for_end(id);
            }
            _ => self.upstream_failed(id, failure, cause.as_deref()),
        }
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

    /// Tells the filters of a failure that waited.
    pub(crate) fn tell_overtaken(&mut self, id: u32) -> bool {
        let Some(told) = self.exchange(id).and_then(|exchange| exchange.overtaken.take()) else { return false };
        self.upstream_failed(id, told.failure, told.cause.as_deref());
        true
    }
}
