//! One exchange: carries bytes between the client, the filter and the upstream.
//!
//! Everything that can move is moved without waiting; then it waits for whatever can move next. A side is read only
//! when what was read before has been written to the other side, so memory stays bounded and a slow peer slows the
//! other one.

use proxy_wasm_abi::{callbacks::Id, limits::CALLOUT_ROUNDS_MAX, settings::Route};
use proxy_wasm_semantics::{Chain, Direction, Effect, Egress, Frame, Guest, Host, UpstreamFailure};

use crate::{
    bindings::wasi::{
        clocks::monotonic_clock,
        http::types::{FutureIncomingResponse, IncomingRequest, IncomingResponse, ResponseOutparam},
        io::poll::{Pollable, poll},
    },
    callouts::Callouts,
    failure::{self, cause, upstream_failure},
    host::{WasiHost, id_bytes},
    reader::{Arrival, Look, Reader},
    request,
    response::{self, Incoming, Opens},
    upstream,
    writer::Writer,
};

const NANOS_PER_MS: u64 = 1_000_000;

/// What a host that knows this component told of a request.
#[derive(Clone, Copy, Default)]
pub(crate) struct Told {
    /// It knows at once whether a message has a body.
    pub(crate) exact: bool,
    /// The request came by HTTP/2.
    pub(crate) http2: bool,
}

impl Told {
    pub(crate) fn opens<G: Guest>(self, chain: &Chain<G>) -> Opens {
        match chain.state().settings().upkeep.opens_bodies {
            true => Opens::Everything,
            false if self.exact => Opens::Nothing,
            false => Opens::Declared,
        }
    }
}

/// An exchange in progress.
pub(crate) struct Exchange<'a, G> {
    chain: &'a Chain<G>,
    callouts: &'a mut Callouts,
    id: u32,
    to_head: bool,
    opens: Opens,
    exact: bool,
    request_body: Reader,
    request_out: Egress,
    request_writer: Option<Writer>,
    // Its pollable is its child, so it goes first.
    response_pollable: Option<Pollable>,
    response_future: Option<FutureIncomingResponse>,
    response_body: Option<Reader>,
    response_out: Egress,
    response_writer: Option<Writer>,
    /// Taken when the response's head is sent.
    out: Option<ResponseOutparam>,
    /// The exchange was broken off: nothing more is written.
    aborted: bool,
    /// When nothing has moved for too long, by the monotonic clock.
    idle_deadline: Option<u64>,
    /// How often callouts came back since something moved.
    rounds: u32,
    upstream_deadline: Option<u64>,
    /// A timer that fires at or before the next deadline.
    timer: Option<(u64, Pollable)>,
}

impl<'a, G: Guest> Exchange<'a, G> {
    /// Carries a request through to its end.
    pub(crate) fn run(
        chain: &'a Chain<G>,
        callouts: &'a mut Callouts,
        request: IncomingRequest,
        out: ResponseOutparam,
        told: Told,
    ) {
        chain.time_passed();
        // One that came due while the host gave the instance no time.
        if chain.tick_deadline().is_some() {
            chain.tick(chain.now());
        }
        let mut incoming = request::receive(request, told.exact);
        incoming.head.http2 = told.http2;
        // Told, so that the semantics need not ask through `Host`: that is an indirect call, and the first one costs a new
        // instance a page of memory.
        if chain.state().is_timed() {
            incoming.head.received = Some(monotonic_clock::now());
        }
        if chain.state().settings().connection.request_id {
            incoming.head.id = id_bytes();
        }
        let to_head = incoming.head.method == b"HEAD";
        let opens = told.opens(chain);
        let id = chain.open(incoming.head, incoming.end);
        let mut exchange = Self {
            chain,
            callouts,
            id,
            to_head,
            opens,
            exact: told.exact,
            request_body: incoming.body,
            request_out: Egress::new(Direction::Request, false),
            request_writer: None,
            response_pollable: None,
            response_future: None,
            response_body: None,
            response_out: Egress::new(Direction::Response, to_head).saying_empty(opens == Opens::Everything),
            response_writer: None,
            out: Some(out),
            aborted: false,
            idle_deadline: None,
            rounds: 0,
            upstream_deadline: None,
            timer: None,
        };
        // What came with the head is shown with it, before anything goes on.
        if exchange.request_body.is_ahead() {
            exchange.read_request();
        }
        while !exchange.step() {
            exchange.wait();
        }
        exchange.leave();
    }

    /// Moves everything that can move; tells whether the exchange is over.
    fn step(&mut self) -> bool {
        loop {
            while let Some(effect) = self.chain.next_effect(self.id) {
                self.perform(effect);
                self.note_progress();
            }
            self.pump();
            if self.is_over() {
                return true;
            }
            let moved = self.read_request() | self.read_response();
            if moved {
                self.note_progress();
            }
            let called = self.call_out();
            if !(moved || called || self.chain.has_effects(self.id)) {
                return false;
            }
        }
    }

    fn note_progress(&mut self) {
        self.idle_deadline = None;
        self.rounds = 0;
    }

    /// Where no callout is on its way and none was asked for, nothing is looked at. What comes back is progress where it
    /// lets the filter go on; otherwise the time limits go on.
    fn call_out(&mut self) -> bool {
        if !self.chain.has_work() {
            return false;
        }
        self.chain.take_progress();
        if !self.callouts.step(self.chain) {
            return false;
        }
        if self.chain.take_progress() {
            self.note_progress();
        } else {
            self.note_round();
        }
        true
    }

    #[cold]
    fn note_round(&mut self) {
        self.rounds += 1;
        self.chain.time_passed();
        self.arm_idle();
        self.expire();
        if self.rounds > CALLOUT_ROUNDS_MAX && self.response_future.is_none() && self.response_body.is_none() {
            self.rounds = 0;
            WasiHost.log("[error] given up: a filter holds it for callouts without end");
            self.chain.idle_timeout(self.id);
        }
    }

    fn is_over(&self) -> bool {
        let written = self.out.is_none() && self.response_writer.as_ref().is_none_or(Writer::is_finished);
        self.aborted || (self.chain.ended(self.id) && !self.chain.has_effects(self.id) && written)
    }

    fn perform(&mut self, effect: Effect) {
        let direction = match &effect {
            Effect::Headers { direction, .. } | Effect::Data { direction, .. } | Effect::Trailers { direction, .. } => {
                *direction
            }
            Effect::Reset(_) => {
                self.abort();
                return;
            }
        };
        let (egress, callback) = match direction {
            Direction::Request => (&mut self.request_out, Id::RequestBody),
            Direction::Response => (&mut self.response_out, Id::ResponseBody),
        };
        for frame in egress.frames(effect, self.chain.exports(callback)) {
            match direction {
                Direction::Request => self.send_request(frame),
                Direction::Response => self.send_response(frame),
            }
        }
    }

    fn send_request(&mut self, frame: Frame) {
        match frame {
            Frame::Headers { headers, end } => {
                let route = self.chain.state().settings().route.clone();
                let Route::Upstream { origin, .. } = route else { return };
                match upstream::send(&origin, &headers, end) {
                    Ok((future, writer)) => {
                        self.response_future = Some(future);
                        self.request_writer = writer;
                    }
                    Err(code) => self.fail_upstream(upstream_failure(&code), cause(&code)),
                }
                if end {
                    self.start_upstream_timer();
                }
            }
            Frame::Data(bytes) => {
                if let Some(writer) = &mut self.request_writer {
                    writer.push(bytes);
                }
            }
            Frame::End(trailers) => {
                if let Some(writer) = &mut self.request_writer {
                    writer.end(trailers);
                }
                self.start_upstream_timer();
            }
            Frame::LengthMismatch { declared, actual, .. } => {
                self.request_writer = None;
                let reason = format!("the filter made a request body of {actual} bytes of one declared as {declared}");
                self.fail_upstream(UpstreamFailure::ProtocolError, Some(&reason));
            }
        }
    }

    fn send_response(&mut self, frame: Frame) {
        match frame {
            Frame::Headers { headers, end } => {
                if let Some(out) = self.out.take() {
                    self.response_writer = response::send(out, &headers, end, self.opens);
                }
            }
            Frame::Data(bytes) => {
                if let Some(writer) = &mut self.response_writer {
                    writer.push(bytes);
                }
            }
            Frame::End(trailers) => {
                if let Some(writer) = &mut self.response_writer {
                    writer.end(trailers);
                }
            }
            Frame::LengthMismatch { declared, actual, changed } => {
                let whose = if changed { "the filter made it so" } else { "the upstream sent it so" };
                WasiHost.log(&format!(
                    "[error] the response is broken off: its body has {actual} bytes and was declared as {declared}: {whose}"
                ));
                self.abort();
            }
        }
    }

    /// Ends it without an end: the client sees that something is missing.
    fn abort(&mut self) {
        self.aborted = true;
        if let Some(writer) = &mut self.response_writer {
            // What was let through before still goes out; whether the client takes it no longer matters.
            let _ = writer.pump();
        }
        self.response_writer = None;
        if let Some(out) = self.out.take() {
            response::abort(out);
        }
    }

    fn pump(&mut self) {
        if let Some(writer) = &mut self.request_writer
            && writer.pump().is_err()
        {
            // It may still answer: what it answers counts.
            self.request_writer = None;
        }
        if let Some(writer) = &mut self.response_writer
            && writer.pump().is_err()
        {
            self.chain.client_gone(self.id);
            self.aborted = true;
        }
    }

    /// Whether the request can be read: the filter takes it, and what came before is written.
    fn takes_request(&self) -> bool {
        self.chain.wants(self.id, Direction::Request) && self.request_writer.as_ref().is_none_or(Writer::is_idle)
    }

    fn takes_response(&self) -> bool {
        self.response_body.is_some()
            && self.chain.wants(self.id, Direction::Response)
            && self.response_writer.as_ref().is_none_or(Writer::is_idle)
    }

    fn read_request(&mut self) -> bool {
        if !self.takes_request() {
            return false;
        }
        match self.request_body.read() {
            Arrival::Pending => return false,
            Arrival::Data(bytes) => self.chain.data(self.id, Direction::Request, bytes, false),
            Arrival::End(None) => self.chain.data(self.id, Direction::Request, Vec::new(), true),
            Arrival::End(Some(trailers)) => self.chain.trailers(self.id, Direction::Request, trailers),
            Arrival::Failed => {
                self.chain.client_gone(self.id);
                self.abort();
            }
        }
        true
    }

    fn read_response(&mut self) -> bool {
        if let Some(future) = &self.response_future {
            let Some(arrived) = future.get() else { return false };
            self.response_pollable = None;
            self.response_future = None;
            match arrived {
                Ok(Ok(response)) => self.receive_response(&response),
                Ok(Err(code)) => self.fail_upstream(upstream_failure(&code), cause(&code)),
                Err(()) => self.fail_upstream(UpstreamFailure::ConnectionTerminated, None),
            }
            return true;
        }
        if !self.takes_response() {
            return false;
        }
        let Some(body) = &mut self.response_body else { return false };
        match body.read() {
            Arrival::Pending => return false,
            Arrival::Data(bytes) => self.chain.data(self.id, Direction::Response, bytes, false),
            Arrival::End(trailers) => {
                self.response_body = None;
                self.upstream_deadline = None;
                match trailers {
                    None => self.chain.data(self.id, Direction::Response, Vec::new(), true),
                    Some(trailers) => self.chain.trailers(self.id, Direction::Response, trailers),
                }
            }
            Arrival::Failed => {
                self.response_body = None;
                self.fail_upstream(UpstreamFailure::ProtocolError, Some("its answer breaks off"));
            }
        }
        true
    }

    fn receive_response(&mut self, response: &IncomingResponse) {
        let Incoming { headers, body } = response::receive(response, self.to_head);
        self.response_body = body;
        // On a host that is not exact, trailers may follow what looks like nothing.
        if self.exact && self.response_body.as_mut().is_some_and(|body| body.look(false) == Look::Nothing) {
            self.response_body = None;
        }
        let end = self.response_body.is_none();
        if end {
            self.upstream_deadline = None;
        }
        self.chain.headers(self.id, Direction::Response, headers, end);
    }

    fn fail_upstream(&mut self, failure: UpstreamFailure, cause: Option<&str>) {
        self.upstream_deadline = None;
        if let Route::Upstream { origin, .. } = &self.chain.state().settings().route {
            failure::warn("upstream", origin, failure, cause);
        }
        self.chain.upstream_failed(self.id, failure);
    }

    fn start_upstream_timer(&mut self) {
        if let Some(timeout @ 1..) = self.chain.upstream_timeout_ms(self.id) {
            self.upstream_deadline = Some(self.chain.now().saturating_add(timeout.saturating_mul(NANOS_PER_MS)));
        }
    }

    /// Waits until something can move, or a deadline passes.
    fn wait(&mut self) {
        self.arm_timer();
        let (reads_request, reads_response) = (self.takes_request(), self.takes_response());
        let mut pollables: Vec<&Pollable> = Vec::with_capacity(5);
        if reads_request {
            pollables.push(self.request_body.pollable());
        }
        if let Some(future) = &self.response_future {
            pollables.push(self.response_pollable.get_or_insert_with(|| future.subscribe()));
        } else if reads_response && let Some(body) = &mut self.response_body {
            pollables.push(body.pollable());
        }
        for writer in [&mut self.request_writer, &mut self.response_writer].into_iter().flatten() {
            if !writer.is_idle() {
                pollables.extend(writer.pollable());
            }
        }
        self.callouts.pollables(&mut pollables);
        pollables.extend(self.timer.as_ref().map(|(_, timer)| timer));
        if pollables.is_empty() {
            // The filter holds the exchange, no time limit is set, and nothing can come that would resume it.
            self.chain.idle_timeout(self.id);
            return;
        }
        // That nothing is ready is no result that WASI knows: our own host says by it that the client has left.
        let left = poll(&pollables).is_empty();
        drop(pollables);
        self.chain.time_passed();
        if left {
            self.chain.client_gone(self.id);
            self.abort();
            return;
        }
        self.check_deadlines();
    }

    /// Has a timer that fires at the next deadline or earlier: an earlier one is kept, to save making one each time.
    fn arm_timer(&mut self) {
        self.arm_idle();
        let deadlines =
            [self.idle_deadline, self.upstream_deadline, self.callouts.deadline(), self.chain.tick_deadline()];
        let Some(next) = deadlines.into_iter().flatten().min() else {
            self.timer = None;
            return;
        };
        if self.timer.as_ref().is_none_or(|(at, _)| *at > next) {
            self.timer = Some((next, monotonic_clock::subscribe_instant(next)));
        }
    }

    fn arm_idle(&mut self) {
        let idle_ms = self.chain.state().settings().connection.stream_idle_timeout_ms;
        if self.idle_deadline.is_none() && idle_ms > 0 {
            self.idle_deadline = Some(self.chain.now().saturating_add(idle_ms.saturating_mul(NANOS_PER_MS)));
        }
    }

    fn check_deadlines(&mut self) {
        if self.timer.as_ref().is_none_or(|(_, timer)| !timer.ready()) {
            return;
        }
        self.timer = None;
        self.expire();
    }

    /// Does what is due by now.
    fn expire(&mut self) {
        let now = self.chain.now();
        self.callouts.check_deadlines(self.chain, now);
        self.chain.tick(now);
        if self.upstream_deadline.is_some_and(|deadline| deadline <= now) {
            self.upstream_deadline = None;
            self.chain.upstream_failed(self.id, UpstreamFailure::Timeout);
        } else if self.idle_deadline.is_some_and(|deadline| deadline <= now) {
            self.idle_deadline = None;
            self.chain.idle_timeout(self.id);
        }
    }

    /// Lets go of everything, then ends the stream for the filter.
    fn leave(mut self) {
        self.response_writer = None;
        self.request_writer = None;
        if let Some(out) = self.out.take() {
            response::abort(out);
        }
        self.chain.close(self.id);
        self.callouts.linger(self.chain);
        self.chain.state().log_metrics();
    }
}
