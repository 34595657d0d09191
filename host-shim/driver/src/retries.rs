//! Requests that are sent once more, if the upstream's answer is one of those for which the route says so.
//!
//! ```text
//!   Once ◄── nothing says so, the request outgrew what is kept, or an answer counts
//!    │
//!    ▼ a head goes to an upstream that may be asked again
//!   Kept ── the answer does not count ──► Waiting ── the back-off is over ──► Kept
//! ```
//!
//! What was sent is kept as it was sent; it goes out again in one piece, and what comes meanwhile follows it.

use std::mem;

pub(crate) use proxy_wasm_semantics::Outcome;
use proxy_wasm_semantics::{Guest, HeaderMap, NANOS_PER_MS, UpstreamFailure};

use crate::{
    action::{Action, Peer},
    flow::{Incoming, Outgoing},
    turn::Driver,
};

/// The tries of an exchange's request.
#[derive(Default)]
pub(crate) struct Tries {
    state: State,
    /// When the try that is under way has taken too long, by the monotonic clock.
    deadline: Option<u64>,
}

#[derive(Default)]
enum State {
    #[default]
    Once,
    Kept(Kept),
    /// Until then, by the monotonic clock.
    Waiting(Kept, u64),
}

/// A request, as far as it was sent.
struct Kept {
    headers: HeaderMap,
    /// Nothing follows the head.
    end: bool,
    body: Vec<u8>,
    /// Its end, with its trailers.
    finish: Option<Option<HeaderMap>>,
    /// Bytes of the body that are kept at most.
    limit: usize,
}

impl Tries {
    /// When something is due.
    pub(crate) fn deadline(&self) -> Option<u64> {
        match self.state {
            State::Waiting(_, due) => Some(due),
            State::Once | State::Kept(_) => self.deadline,
        }
    }

    /// Whether the next try is waited for.
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting(..))
    }

    /// Whether what is sent is kept for another try.
    pub(crate) fn is_kept(&self) -> bool {
        !matches!(self.state, State::Once)
    }

    /// The answer counts: there is no further try.
    pub(crate) fn settle(&mut self) {
        *self = Self::default();
    }

    fn kept(&mut self) -> Option<&mut Kept> {
        match &mut self.state {
            State::Once => None,
            State::Kept(kept) | State::Waiting(kept, _) => Some(kept),
        }
    }

    /// The request's end goes out.
    pub(crate) fn keep_end(&mut self, trailers: Option<&HeaderMap>) {
        if let Some(kept) = self.kept() {
            kept.finish = Some(trailers.cloned());
        }
    }
}

impl Kept {
    fn is_complete(&self) -> bool {
        self.end || self.finish.is_some()
    }
}

impl<G: Guest> Driver<'_, G> {
    /// A request's head goes out for the first time.
    pub(crate) fn keep_head(&mut self, id: u32, headers: &HeaderMap, end: bool) {
        let Some(limit) = self.chain.kept_bytes(id) else { return };
        if let Some(exchange) = self.exchange(id) {
            let kept = Kept { headers: headers.clone(), end, body: Vec::new(), finish: None, limit };
            exchange.tries.state = State::Kept(kept);
        }
    }

    /// Bytes of its body go out.
    pub(crate) fn keep_data(&mut self, id: u32, bytes: &[u8]) {
        let Some(exchange) = self.exchange(id) else { return };
        let waits = exchange.tries.is_waiting();
        let Some(kept) = exchange.tries.kept() else { return };
        if kept.body.len() + bytes.len() <= kept.limit {
            kept.body.extend_from_slice(bytes);
            return;
        }
        exchange.tries.state = State::Once;
        self.chain.outgrew_retries(id, waits);
    }

    /// The time of a try runs from the end of the request.
    pub(crate) fn start_try_timer(&mut self, id: u32) {
        let timeout = self.chain.try_timeout_ms(id);
        if timeout == 0 {
            return;
        }
        let deadline = self.chain.now().saturating_add(timeout.saturating_mul(NANOS_PER_MS));
        if let Some(exchange) = self.exchange(id) {
            exchange.tries.deadline = Some(deadline);
        }
    }

    /// Whether there is another try after this outcome: then the answer does not count.
    pub(crate) fn tries_again(&mut self, id: u32, outcome: Outcome<'_>) -> bool {
        let is_kept = |exchange: &mut crate::exchange::Exchange| matches!(exchange.tries.state, State::Kept(_));
        if !self.exchange(id).is_some_and(is_kept) {
            return false;
        }
        let Some(after) = self.chain.retry_after(id, outcome) else { return false };
        let due = self.chain.now().saturating_add(after.saturating_mul(NANOS_PER_MS));
        let Some(exchange) = self.exchange(id) else { return false };
        let State::Kept(kept) = mem::take(&mut exchange.tries.state) else { return false };
        exchange.tries = Tries { state: State::Waiting(kept, due), deadline: None };
        exchange.let_go_of_upstream();
        true
    }

    /// Does what is due of an exchange's tries; tells whether something was.
    pub(crate) fn expire_try(&mut self, id: u32, now: u64) -> bool {
        let Some(exchange) = self.exchange(id) else { return false };
        if exchange.tries.deadline().is_none_or(|due| due > now) {
            return false;
        }
        match mem::take(&mut exchange.tries.state) {
            State::Waiting(kept, _) => self.try_again(id, kept),
            state => {
                exchange.tries = Tries { state, deadline: None };
                if !self.tries_again(id, Outcome::Failed(UpstreamFailure::TryTimeout)) {
                    self.release_upstream(id, UpstreamFailure::TryTimeout);
                }
            }
        }
        true
    }

    fn try_again(&mut self, id: u32, mut kept: Kept) {
        let Some(to) = self.chain.try_again(id, &mut kept.headers) else { return };
        let http2 = self.chain.speaks_http2(&to);
        let Some(exchange) = self.exchange(id) else { return };
        let peer = Peer::Upstream(id);
        let headers = kept.headers.clone();
        exchange.to_upstream = Outgoing::sent(kept.end);
        exchange.upstream = Incoming::Head;
        exchange.destination = Some(to.clone());
        exchange.actions.push_back(Action::Request { peer, to, headers, end: kept.end, http2 });
        if !kept.body.is_empty() {
            exchange.write(peer, kept.body.clone());
        }
        if let Some(trailers) = &kept.finish {
            exchange.finish(peer, trailers.clone());
        }
        let is_complete = kept.is_complete();
        exchange.tries.state = State::Kept(kept);
        if is_complete {
            self.start_try_timer(id);
        }
    }
}
