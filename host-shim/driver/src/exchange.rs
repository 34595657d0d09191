//! One exchange: what leaves the filters is framed and handed to the edge. What comes is in `arrivals`.
//!
//! A peer is read only when what was read before has been written to the other one: memory stays bounded, and a slow peer
//! slows the other one.

use std::collections::VecDeque;

use proxy_wasm_abi::callbacks::Id;
use proxy_wasm_semantics::{Destination, Direction, Effect, Guest, HeaderMap, NANOS_PER_MS, UpstreamFailure};

use crate::{
    action::{Action, Peer},
    egress::{Egress, Frame},
    flow::{Incoming, Outgoing},
    overtaken::Overtaken,
    retries::Tries,
    turn::Driver,
};

/// An exchange under way.
pub(crate) struct Exchange {
    /// The stream's.
    pub(crate) id: u32,
    /// Where its request went.
    pub(crate) destination: Option<Destination>,
    request: Egress,
    response: Egress,
    pub(crate) to_upstream: Outgoing,
    to_client: Outgoing,
    pub(crate) upstream: Incoming,
    pub(crate) tries: Tries,
    /// For the edge to do.
    pub(crate) actions: VecDeque<Action>,
    /// It was broken off: nothing more is written.
    aborted: bool,
    /// When nothing has moved for too long, by the monotonic clock; armed where the edge waits.
    pub(crate) idle_deadline: Option<u64>,
    pub(crate) upstream_deadline: Option<u64>,
    /// Bytes of the request that have not come yet, where that is known and may matter.
    pub(crate) outstanding: Option<u64>,
    /// The upstream answered or failed, and the filters are not told yet.
    pub(crate) overtaken: Option<Overtaken>,
    /// How often callouts came back since something moved.
    pub(crate) rounds: u32,
    /// Waits to be told of, as one that a callback of another one moved.
    pub(crate) announced: bool,
}

impl Exchange {
    pub(crate) fn new(id: u32, to_head: bool, says_empty: bool) -> Self {
        Self {
            id,
            destination: None,
            request: Egress::new(Direction::Request, false),
            response: Egress::new(Direction::Response, to_head).saying_empty(says_empty),
            to_upstream: Outgoing::Unsent,
            to_client: Outgoing::Unsent,
            upstream: Incoming::Unasked,
            tries: Tries::default(),
            actions: VecDeque::new(),
            aborted: false,
            idle_deadline: None,
            upstream_deadline: None,
            outstanding: None,
            overtaken: None,
            rounds: 0,
            announced: false,
        }
    }

    /// Its request has a body of so many bytes.
    pub(crate) fn awaiting(self, outstanding: Option<u64>) -> Self {
        Self { outstanding, ..self }
    }

    /// Something moved: the time without progress begins anew.
    pub(crate) fn note_progress(&mut self) {
        self.idle_deadline = None;
        self.rounds = 0;
    }

    /// Whether its upstream was asked and has not answered in full.
    pub(crate) fn awaits_upstream(&self) -> bool {
        self.upstream.is_open() || self.tries.is_waiting()
    }

    /// Whether a body goes on unread: then nothing shows whether it moves.
    pub(crate) fn is_unseen(&self) -> bool {
        [self.to_upstream, self.to_client].contains(&Outgoing::Unread)
    }

    /// Bytes that the edge has not got yet are not written any more.
    pub(crate) fn leave_upstream(&mut self) {
        self.to_upstream = Outgoing::Over;
        self.upstream = Incoming::Over;
        self.upstream_deadline = None;
        self.overtaken = None;
        self.tries.settle();
    }

    /// The upstream is to do nothing more of what it was told; another try may follow.
    #[cfg(feature = "routing")]
    pub(crate) fn let_go_of_upstream(&mut self) {
        let peer = Peer::Upstream(self.id);
        self.to_upstream = Outgoing::Over;
        self.upstream = Incoming::Unasked;
        let is_its = |action: &Action| matches!(action, Action::Write(of, _) | Action::Finish(of, _) if *of == peer);
        self.actions.retain(|action| !is_its(action));
        self.actions.push_back(Action::Release(peer));
    }

    pub(crate) fn abort(&mut self) {
        if !self.aborted {
            self.aborted = true;
            self.actions.push_back(Action::Abort(self.id));
        }
    }

    pub(crate) fn write(&mut self, peer: Peer, bytes: Vec<u8>) {
        if self.outgoing(peer).hand_over(false) {
            self.actions.push_back(Action::Write(peer, bytes));
        }
    }

    pub(crate) fn finish(&mut self, peer: Peer, trailers: Option<HeaderMap>) {
        if self.outgoing(peer).hand_over(true) {
            self.actions.push_back(Action::Finish(peer, trailers));
        }
    }

    fn egress(&mut self, direction: Direction) -> &mut Egress {
        match direction {
            Direction::Request => &mut self.request,
            Direction::Response => &mut self.response,
        }
    }

    fn outgoing(&mut self, peer: Peer) -> &mut Outgoing {
        if matches!(peer, Peer::Client(_)) { &mut self.to_client } else { &mut self.to_upstream }
    }
}

impl<G: Guest> Driver<'_, G> {
    // Not inlined: it is called everywhere, and the shim's size is every component's.
    #[inline(never)]
    pub(crate) fn exchange(&mut self, id: u32) -> Option<&mut Exchange> {
        self.exchanges.iter_mut().find(|exchange| exchange.id == id)
    }

    /// The next thing to do for an exchange.
    pub(crate) fn next_action(&mut self, id: u32) -> Option<Action> {
        loop {
            let exchange = self.exchange(id)?;
            while let Some(action) = exchange.actions.pop_front() {
                // A peer that takes nothing more gets nothing more.
                let (Action::Write(peer, _) | Action::Finish(peer, _)) = &action else { return Some(action) };
                if *exchange.outgoing(*peer) != Outgoing::Over {
                    return Some(action);
                }
            }
            if exchange.aborted {
                return None;
            }
            let effect = self.chain.next_effect(id)?;
            self.perform(id, effect);
        }
    }

    fn perform(&mut self, id: u32, effect: Effect) {
        let chain = self.chain;
        let Some(exchange) = self.exchange(id) else { return };
        exchange.note_progress();
        let mut frames = Vec::with_capacity(2);
        let direction = match effect {
            Effect::Request { to, headers, end } => {
                exchange.destination = Some(to);
                exchange.request.head(headers, end, chain.exports(Id::RequestBody), &mut frames);
                Direction::Request
            }
            Effect::Response { headers, end } => {
                exchange.response.head(headers, end, chain.exports(Id::ResponseBody), &mut frames);
                Direction::Response
            }
            Effect::Data { direction, bytes, end, changed } => {
                exchange.egress(direction).data(bytes, end, changed, &mut frames);
                direction
            }
            Effect::Trailers { direction, trailers } => {
                exchange.egress(direction).trailers(trailers, &mut frames);
                direction
            }
            Effect::Reset(_) => {
                exchange.abort();
                return;
            }
        };
        for frame in frames {
            match direction {
                Direction::Request => self.send_request(id, frame),
                Direction::Response => self.send_response(id, frame),
            }
        }
    }

    fn send_request(&mut self, id: u32, frame: Frame) {
        let peer = Peer::Upstream(id);
        match &frame {
            Frame::Headers { headers, end } => self.keep_head(id, headers, *end),
            Frame::Data(bytes) => self.keep_data(id, bytes),
            Frame::End(_) | Frame::LengthMismatch { .. } => {}
        }
        let chain = self.chain;
        let Some(exchange) = self.exchange(id) else { return };
        match frame {
            Frame::Headers { headers, end } => {
                let Some(to) = exchange.destination.clone() else { return };
                let http2 = chain.speaks_http2(&to);
                exchange.to_upstream = Outgoing::sent(end);
                exchange.upstream = Incoming::Head;
                exchange.actions.push_back(Action::Request { peer, to, headers, end, http2 });
                if end {
                    self.start_upstream_timer(id);
                }
            }
            Frame::Data(bytes) => exchange.write(peer, bytes),
            Frame::End(trailers) => {
                exchange.tries.keep_end(trailers.as_ref());
                exchange.finish(peer, trailers);
                if exchange.awaits_upstream() {
                    self.start_upstream_timer(id);
                }
            }
            Frame::LengthMismatch { declared, actual, .. } => {
                exchange.actions.push_back(Action::Release(peer));
                let reason = format!("the filter made a request body of {actual} bytes of one declared as {declared}");
                self.fail_upstream(id, UpstreamFailure::ProtocolError, Some(&reason));
            }
        }
    }

    fn send_response(&mut self, id: u32, frame: Frame) {
        let closes = self.chain.ends_connection(id);
        let Some(exchange) = self.exchange(id) else { return };
        match frame {
            Frame::Headers { headers, end } => {
                exchange.to_client = Outgoing::sent(end);
                exchange.actions.push_back(Action::Response { id, headers, end, closes });
            }
            Frame::Data(bytes) => exchange.write(Peer::Client(id), bytes),
            Frame::End(trailers) => exchange.finish(Peer::Client(id), trailers),
            Frame::LengthMismatch { declared, actual, changed } => {
                exchange.abort();
                let whose = if changed { "the filter made it so" } else { "the upstream sent it so" };
                self.chain.log(&format!(
                    "[error] the response is broken off: its body has {actual} bytes and was declared as {declared}: {whose}"
                ));
            }
        }
    }

    /// The upstream's time runs from the end of the request.
    fn start_upstream_timer(&mut self, id: u32) {
        self.start_try_timer(id);
        if let Some(timeout @ 1..) = self.chain.upstream_timeout_ms(id) {
            let deadline = self.chain.now().saturating_add(timeout.saturating_mul(NANOS_PER_MS));
            if let Some(exchange) = self.exchange(id) {
                exchange.upstream_deadline = Some(deadline);
            }
        }
    }

    /// Whether an exchange is over for the edge: its response is written, or it was broken off.
    pub(crate) fn exchange_is_over(&self, id: u32) -> bool {
        let Some(exchange) = self.exchanges.iter().find(|exchange| exchange.id == id) else { return true };
        let is_written = || exchange.to_client == Outgoing::Over && self.chain.ended(id) && !self.chain.has_effects(id);
        exchange.actions.is_empty() && (exchange.aborted || is_written())
    }

    /// Whether the client's request is wanted: the filters take it, and what came before is written. An end that is waited for
    /// adds no bytes, so it is wanted of one whose upstream answers and takes nothing, too.
    pub(crate) fn wants_request(&mut self, id: u32) -> bool {
        let awaits_end = |exchange: &Exchange| exchange.overtaken.is_some() && exchange.outstanding == Some(0);
        let is_ready = |exchange: &mut Exchange| !exchange.to_upstream.is_unwritten() || awaits_end(exchange);
        self.exchange(id).is_some_and(is_ready) && self.chain.wants(id, Direction::Request)
    }

    pub(crate) fn wants_response(&mut self, id: u32) -> bool {
        let Some(exchange) = self.exchange(id) else { return false };
        match exchange.upstream {
            Incoming::Head => exchange.overtaken.is_none(),
            Incoming::Body => !exchange.to_client.is_unwritten() && self.chain.wants(id, Direction::Response),
            Incoming::Unasked | Incoming::Over => false,
        }
    }

    pub(crate) fn passes(&self, direction: Direction) -> bool {
        let own = match direction {
            Direction::Request => [Id::RequestBody, Id::RequestTrailers],
            Direction::Response => [Id::ResponseBody, Id::ResponseTrailers],
        };
        !own.into_iter().chain([Id::Done, Id::Log]).any(|callback| self.chain.exports(callback))
    }

    /// Lets what follows a head that was sent on go on unread, where that may be.
    pub(crate) fn pass_on(&mut self, id: u32, direction: Direction) -> bool {
        let passes = self.passes(direction);
        // What may be sent once more is read, to be kept.
        let is_kept = |exchange: &Exchange| direction == Direction::Request && exchange.tries.is_kept();
        let Some(exchange) = self.exchange(id).filter(|exchange| passes && !is_kept(exchange)) else { return false };
        exchange.egress(direction).pass_on();
        match direction {
            Direction::Request => exchange.to_upstream = Outgoing::Unread,
            Direction::Response => {
                exchange.to_client = Outgoing::Unread;
                // Nobody could break it off.
                exchange.upstream_deadline = None;
            }
        }
        true
    }

    /// Everything that the edge was given for this peer is written.
    pub(crate) fn exchange_written(&mut self, id: u32, peer: Peer) {
        if let Some(exchange) = self.exchange(id) {
            exchange.outgoing(peer).written();
        }
    }

    /// The upstream takes no more. It may still answer: what it answers counts.
    pub(crate) fn upstream_refuses(&mut self, id: u32) {
        if let Some(exchange) = self.exchange(id) {
            exchange.to_upstream = Outgoing::Over;
        }
    }
}
