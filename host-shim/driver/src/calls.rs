//! Callouts: requests of the filter's own, on their way.
//!
//! They outlive the exchange that they were asked for in: what is not back when it ends is waited for a while
//! ([`stay`](crate::stay)), and then goes on in the next one.

use std::collections::VecDeque;

use proxy_wasm_abi::{limits::CALLOUT_ROUNDS_MAX, settings::Origin};
use proxy_wasm_semantics::{
    CallId, Callout, CalloutResponse, Destination, Direction, Guest, HeaderMap, NANOS_PER_MS, UpstreamFailure,
};

use crate::{
    action::{Action, Input, Peer},
    arrivals::{BREAKS_OFF, warn},
    egress::{Egress, Frame},
    flow::Outgoing,
    turn::Driver,
};

/// The callouts of an instance that have not come back.
#[derive(Default)]
pub(crate) struct Calls {
    pub(crate) list: Vec<Call>,
    /// For the edge to do.
    pub(crate) actions: VecDeque<Action>,
}

/// A callout on its way.
pub(crate) struct Call {
    pub(crate) id: CallId,
    pub(crate) origin: Origin,
    pub(crate) kind: Kind,
    pub(crate) outgoing: Outgoing,
    /// The response's head, and the milliseconds until it came. That of a gRPC callout only until it is known whether it is
    /// all of the response.
    pub(crate) head: Option<(HeaderMap, u64)>,
    pub(crate) started: u64,
    /// When something came last.
    pub(crate) moved: u64,
    pub(crate) deadline: Option<u64>,
}

pub(crate) enum Kind {
    /// The part of the body that has come.
    Http(Vec<u8>),
    Grpc,
}

impl Kind {
    /// Its name in the log.
    fn name(&self) -> &'static str {
        match self {
            Self::Http(_) => "callout to",
            Self::Grpc => "gRPC callout to",
        }
    }
}

impl Call {
    pub(crate) fn new(id: CallId, origin: Origin, kind: Kind, end: bool, now: u64, timeout_ms: u32) -> Self {
        let timeout = u64::from(timeout_ms) * NANOS_PER_MS;
        let deadline = (timeout > 0).then(|| now.saturating_add(timeout));
        let outgoing = Outgoing::sent(end);
        Self { id, origin, kind, outgoing, head: None, started: now, moved: now, deadline }
    }

    /// The head came.
    pub(crate) fn answered(&mut self, headers: HeaderMap, now: u64) {
        self.moved = now;
        self.head = Some((headers, now.saturating_sub(self.started) / NANOS_PER_MS));
    }
}

impl Calls {
    pub(crate) fn position(&self, id: CallId) -> Option<usize> {
        self.list.iter().position(|call| call.id == id)
    }

    // Not inlined, as the exchanges are not.
    #[inline(never)]
    pub(crate) fn get(&mut self, id: CallId) -> Option<&mut Call> {
        self.list.iter_mut().find(|call| call.id == id)
    }

    pub(crate) fn next_action(&mut self) -> Option<Action> {
        loop {
            let action = self.actions.pop_front()?;
            // A peer that takes nothing more gets nothing more.
            let (Action::Write(Peer::Callout(id), _) | Action::Finish(Peer::Callout(id), _)) = &action else {
                return Some(action);
            };
            if self.get(*id).is_some_and(|call| call.outgoing != Outgoing::Over) {
                return Some(action);
            }
        }
    }

    /// Lets go of a callout.
    pub(crate) fn release(&mut self, id: CallId) -> Option<Call> {
        let call = self.list.remove(self.position(id)?);
        self.actions.push_back(Action::Release(Peer::Callout(id)));
        Some(call)
    }
}

impl<G: Guest> Driver<'_, G> {
    pub(crate) fn work(&mut self) -> bool {
        // Where no callout is on its way and none was asked for, nothing is looked at.
        if !self.chain.has_work() {
            self.told = false;
            self.fruitful = false;
            return !self.calls.actions.is_empty();
        }
        self.told |= self.chain.answer_callouts() | self.chain.answer_dns() | self.chain.announce_queues();
        self.show_grpc_heads();
        self.start_grpc();
        self.start_callouts();
        self.note_moved(None);
        let told = std::mem::take(&mut self.told);
        if told {
            self.count_round();
        }
        told || !self.calls.actions.is_empty()
    }

    /// A filter was told of callouts. That is progress where it lets an exchange go on; otherwise the time limits go on, also
    /// where the edge never comes to wait.
    fn count_round(&mut self) {
        for exchange in &mut self.exchanges {
            exchange.rounds += 1;
        }
        if !std::mem::take(&mut self.fruitful) && !self.exchanges.is_empty() {
            self.count_fruitless_round();
        }
    }

    #[cold]
    fn count_fruitless_round(&mut self) {
        self.chain.time_passed();
        self.arm_idle();
        self.expire();
        let is_given_up = |id: u32, rounds: u32, waits: bool| (rounds > CALLOUT_ROUNDS_MAX && !waits).then_some(id);
        let given_up: Vec<u32> = (self.exchanges.iter())
            .filter_map(|exchange| is_given_up(exchange.id, exchange.rounds, exchange.awaits_upstream()))
            .collect();
        for id in given_up {
            if let Some(exchange) = self.exchange(id) {
                exchange.rounds = 0;
            }
            self.chain.log("[error] given up: a filter holds it for callouts without end");
            self.chain.idle_timeout(id);
            self.announce(id);
        }
        self.note_moved(None);
        self.fruitful = false;
    }

    fn start_callouts(&mut self) {
        while let Some(callout) = self.chain.next_callout() {
            let id = callout.id;
            if !self.start_callout(callout) {
                self.chain.callout_failed(id, UpstreamFailure::ProtocolError, false);
                // Callouts that the filter makes in turn have their turn in the next round.
                self.told = true;
                return;
            }
        }
    }

    /// Hands a request to the edge, if its length is what its head says.
    fn start_callout(&mut self, callout: Callout) -> bool {
        let Callout { id, origin, headers, body, trailers, timeout_ms } = callout;
        let mut egress = Egress::new(Direction::Request, false);
        let mut frames = Vec::with_capacity(3);
        let bodiless = body.is_empty() && trailers.is_none();
        egress.head(headers, bodiless, false, &mut frames);
        if !bodiless {
            egress.data(body, trailers.is_none(), false, &mut frames);
        }
        if let Some(trailers) = trailers {
            egress.trailers(trailers, &mut frames);
        }
        if matches!(frames.last(), Some(Frame::LengthMismatch { .. })) {
            return false;
        }
        let now = self.chain.now();
        let mut call = Call::new(id, origin.clone(), Kind::Http(Vec::new()), bodiless, now, timeout_ms);
        let peer = Peer::Callout(id);
        for frame in frames {
            let action = match frame {
                Frame::Headers { headers, end } => {
                    let to = Destination::Cluster(origin.clone());
                    let http2 = self.chain.speaks_http2(&to);
                    Action::Request { peer, to, headers, end, http2 }
                }
                Frame::Data(bytes) => {
                    call.outgoing.hand_over(false);
                    Action::Write(peer, bytes)
                }
                Frame::End(trailers) => {
                    call.outgoing.hand_over(true);
                    Action::Finish(peer, trailers)
                }
                Frame::LengthMismatch { .. } => return false,
            };
            self.calls.actions.push_back(action);
        }
        self.calls.list.push(call);
        true
    }

    pub(crate) fn call_input(&mut self, id: CallId, input: Input) {
        let Some(call) = self.calls.get(id) else { return };
        match &mut call.kind {
            Kind::Grpc => self.grpc_input(id, input),
            Kind::Http(body) => match input {
                Input::Data(bytes, _) if CalloutResponse::is_too_large(body.len() + bytes.len()) => {
                    self.call_failed(id, UpstreamFailure::ProtocolError, Some("a callout's response is too large"));
                }
                Input::Data(bytes, end) => {
                    match body.is_empty() {
                        true => *body = bytes,
                        false => body.extend_from_slice(&bytes),
                    }
                    if end {
                        self.call_answered(id, None);
                    }
                }
                Input::Head(headers, end) => {
                    call.answered(headers, self.chain.now());
                    if end {
                        self.call_answered(id, None);
                    }
                }
                Input::End(trailers) => self.call_answered(id, trailers),
                Input::Broken => self.call_failed(id, UpstreamFailure::ConnectionTerminated, Some(BREAKS_OFF)),
                Input::Failed(failure, cause) => self.call_failed(id, failure, cause.as_deref()),
            },
        }
    }

    fn call_answered(&mut self, id: CallId, trailers: Option<HeaderMap>) {
        // Let go before the filter goes on: it may ask for the next one.
        let Some(Call { kind: Kind::Http(body), head: Some((headers, elapsed_ms)), .. }) = self.calls.release(id)
        else {
            return;
        };
        self.told = true;
        self.chain.callout_answered(id, CalloutResponse { headers, body, trailers }, elapsed_ms);
    }

    /// A callout comes back as a failure.
    pub(crate) fn call_failed(&mut self, id: CallId, failure: UpstreamFailure, cause: Option<&str>) {
        let Some(call) = self.calls.release(id) else { return };
        self.told = true;
        warn(self.chain, call.kind.name(), Some(&call.origin), failure, cause);
        match call.kind {
            Kind::Http(_) => self.chain.callout_failed(id, failure, call.head.is_some()),
            Kind::Grpc => self.chain.grpc_failed(id, failure),
        }
    }

    /// Everything of a callout's request is written, or its peer `refuses` the rest.
    pub(crate) fn call_written(&mut self, id: CallId, refuses: bool) {
        let Some(call) = self.calls.get(id) else { return };
        if refuses {
            call.outgoing = Outgoing::Over;
        } else {
            call.outgoing.written();
        }
    }
}
