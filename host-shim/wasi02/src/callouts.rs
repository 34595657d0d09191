//! Callouts: requests of the filter's own, on their way; and what else happens beside an exchange.
//!
//! They outlive the exchange that they were asked for in: what is not back when it ends is waited for a while, and then
//! goes on in the next one.

use proxy_wasm_abi::{
    limits::{CALLOUT_LINGER_MS, START_WAIT_MS},
    settings::Origin,
};
use proxy_wasm_semantics::{
    CallId, Callout, CalloutResponse, Chain, Direction, Effect, Egress, Frame, Guest, HeaderMap, UpstreamFailure,
};

use crate::{
    bindings::wasi::{
        clocks::monotonic_clock,
        http::types::FutureIncomingResponse,
        io::poll::{Pollable, poll},
    },
    failure::{cause, upstream_failure, warn},
    grpc::GrpcCalls,
    reader::{Arrival, Reader},
    response, upstream,
    writer::Writer,
};

const NANOS_PER_MS: u64 = 1_000_000;

/// The shortest and the longest time between two looks at callouts that nothing else waits for.
const LOOK_MIN: u64 = NANOS_PER_MS;
const LOOK_MAX: u64 = 50 * NANOS_PER_MS;

/// Callouts that fail before they are sent, until something else gets its turn: a filter may answer each with another one.
pub(crate) const FAILURES_AT_ONCE: u32 = 64;

/// How often one `idle` looks: for a response's head, for its body, and for the body's end.
const LOOKS: u32 = 3;

/// The callouts of an instance that have not come back.
#[derive(Default)]
pub(crate) struct Callouts {
    calls: Vec<Call>,
    grpc: GrpcCalls,
    /// The host calls between requests, too, so no request has to stay for what outlives it.
    tended: bool,
}

/// What the log calls it.
const CALLOUT: &str = "callout to";

/// A callout on its way.
struct Call {
    id: CallId,
    origin: Origin,
    to_head: bool,
    writer: Option<Writer>,
    // The pollable is the future's child, so it goes first.
    pollable: Option<Pollable>,
    future: Option<FutureIncomingResponse>,
    /// The response's head, and the milliseconds until it came.
    head: Option<(HeaderMap, u64)>,
    reader: Option<Reader>,
    body: Vec<u8>,
    started: u64,
    deadline: Option<u64>,
}

/// What became of a callout.
enum Outcome {
    Answered(CalloutResponse, u64),
    Failed(UpstreamFailure, Option<&'static str>),
}

impl Callouts {
    /// Makes what the filter asked for, and moves everything that can move; tells whether the filter was told anything.
    pub(crate) fn step<G: Guest>(&mut self, chain: &Chain<G>) -> bool {
        let mut moved = chain.answer_callouts() | chain.answer_dns() | chain.announce_queues() | self.grpc.step(chain);
        let mut failed = 0;
        while failed < FAILURES_AT_ONCE
            && let Some(callout) = chain.next_callout()
        {
            let id = callout.id;
            match Call::start(callout) {
                Ok(call) => self.calls.push(call),
                Err(failure) => {
                    chain.callout_failed(id, failure, false);
                    moved = true;
                    failed += 1;
                }
            }
        }
        let mut index = 0;
        while index < self.calls.len() {
            let Some(outcome) = self.calls[index].step() else {
                index += 1;
                continue;
            };
            let call = self.calls.swap_remove(index);
            let (id, after_head) = (call.id, call.head.is_some());
            // Let go before the filter goes on: it may ask for the next one.
            let origin = call.let_go();
            match outcome {
                Outcome::Answered(response, elapsed_ms) => chain.callout_answered(id, response, elapsed_ms),
                Outcome::Failed(failure, cause) => {
                    warn(CALLOUT, &origin, failure, cause);
                    chain.callout_failed(id, failure, after_head);
                }
            }
            moved = true;
        }
        moved
    }

    /// What to wait for.
    pub(crate) fn pollables<'a>(&'a mut self, into: &mut Vec<&'a Pollable>) {
        for call in &mut self.calls {
            call.pollables(into);
        }
        self.grpc.pollables(into);
    }

    /// When the next one has taken too long, by the monotonic clock.
    pub(crate) fn deadline(&self) -> Option<u64> {
        self.calls.iter().filter_map(|call| call.deadline).chain(self.grpc.deadline()).min()
    }

    /// Ends those that have taken too long.
    pub(crate) fn check_deadlines<G: Guest>(&mut self, chain: &Chain<G>, now: u64) {
        while let Some(index) = self.calls.iter().position(|call| call.deadline.is_some_and(|deadline| deadline <= now))
        {
            let call = self.calls.swap_remove(index);
            let (id, after_head) = (call.id, call.head.is_some());
            let origin = call.let_go();
            warn(CALLOUT, &origin, UpstreamFailure::Timeout, None);
            chain.callout_failed(id, UpstreamFailure::Timeout, after_head);
        }
        self.grpc.check_deadlines(chain, now);
    }

    /// Stays for those that are still on their way, and for those that the filter then asks for; not where the host
    /// calls between requests.
    pub(crate) fn linger<G: Guest>(&mut self, chain: &Chain<G>) {
        if !self.tended && self.awaits(chain) {
            self.stay(chain, monotonic_clock::now().saturating_add(CALLOUT_LINGER_MS * NANOS_PER_MS));
        }
    }

    /// Waits for what the plugin asked for while it started; then runs so many ticks, each after what the one before
    /// asked for is back.
    pub(crate) fn warm_up<G: Guest>(&mut self, chain: &Chain<G>, ticks: u32) {
        let end = monotonic_clock::now().saturating_add(START_WAIT_MS * NANOS_PER_MS);
        self.stay(chain, end);
        for _ in 0..ticks {
            chain.time_passed();
            if chain.now() >= end || !chain.tick_early() {
                return;
            }
            self.stay(chain, end);
        }
    }

    /// Does what is due without waiting. Returns the nanoseconds until there may be more to do.
    pub(crate) fn idle<G: Guest>(&mut self, chain: &Chain<G>) -> Option<u64> {
        self.tended = true;
        chain.time_passed();
        let now = chain.now();
        chain.tick(now);
        // Not until nothing moves: a filter that always asks for more would never let go of its host.
        for _ in 0..LOOKS {
            self.look(now);
            self.step(chain);
        }
        self.check_deadlines(chain, now);
        chain.time_passed();
        let now = chain.now();
        let tick = chain.tick_deadline().map(|due| due.saturating_sub(now));
        let look = chain.has_work().then(|| self.next_look(now));
        let deadline = self.deadline().map(|deadline| deadline.saturating_sub(now));
        [tick, look, deadline].into_iter().flatten().min()
    }

    /// Lets the host see what came, which it does where it is asked to wait, and waits for nothing.
    fn look(&mut self, now: u64) {
        if self.calls.is_empty() && self.grpc.is_empty() {
            return;
        }
        let timer = monotonic_clock::subscribe_instant(now);
        let mut pollables = vec![&timer];
        self.pollables(&mut pollables);
        poll(&pollables);
    }

    /// A tenth of the time that the youngest callout is on its way: soon for one that takes little, and no busy loop for
    /// one that takes long.
    fn next_look(&self, now: u64) -> u64 {
        let since = self.calls.iter().map(|call| call.started).chain(self.grpc.last_moved());
        let youngest = since.map(|since| now.saturating_sub(since)).min();
        youngest.map_or(LOOK_MIN, |age| (age / 10).clamp(LOOK_MIN, LOOK_MAX))
    }

    fn awaits<G: Guest>(&self, chain: &Chain<G>) -> bool {
        chain.awaits_work() || self.grpc.is_writing()
    }

    fn stay<G: Guest>(&mut self, chain: &Chain<G>, end: u64) {
        while self.awaits(chain) {
            let moved = self.step(chain);
            chain.time_passed();
            let now = chain.now();
            self.check_deadlines(chain, now);
            if now >= end {
                return;
            }
            if moved {
                continue;
            }
            let timer = monotonic_clock::subscribe_instant(self.deadline().map_or(end, |next| next.min(end)));
            let mut pollables = Vec::new();
            self.pollables(&mut pollables);
            pollables.push(&timer);
            poll(&pollables);
        }
    }
}

impl Call {
    fn start(callout: Callout) -> Result<Self, UpstreamFailure> {
        let Callout { id, origin, headers, body, trailers, timeout_ms } = callout;
        let to_head = headers.get(b":method") == Some(b"HEAD");
        let direction = Direction::Request;
        let mut egress = Egress::new(direction, false);
        let bodiless = body.is_empty() && trailers.is_none();
        let mut frames = egress.frames(Effect::Headers { direction, headers, end: bodiless }, false);
        if !bodiless {
            let end = trailers.is_none();
            frames.extend(egress.frames(Effect::Data { direction, bytes: body, end, changed: false }, false));
        }
        if let Some(trailers) = trailers {
            frames.extend(egress.frames(Effect::Trailers { direction, trailers }, false));
        }
        let mut sent = None;
        let mut writer: Option<Writer> = None;
        for frame in frames {
            match frame {
                Frame::Headers { headers, end } => {
                    let refused = |code| {
                        let failure = upstream_failure(&code);
                        warn(CALLOUT, &origin, failure, cause(&code));
                        failure
                    };
                    let (future, body) = upstream::send(&origin, &headers, end).map_err(refused)?;
                    (sent, writer) = (Some(future), body);
                }
                Frame::Data(bytes) => {
                    if let Some(writer) = &mut writer {
                        writer.push(bytes);
                    }
                }
                Frame::End(trailers) => {
                    if let Some(writer) = &mut writer {
                        writer.end(trailers);
                    }
                }
                // The host call made the length what the body's is.
                Frame::LengthMismatch { .. } => return Err(UpstreamFailure::ProtocolError),
            }
        }
        let started = monotonic_clock::now();
        let timeout = u64::from(timeout_ms) * NANOS_PER_MS;
        Ok(Self {
            id,
            origin,
            to_head,
            writer,
            pollable: None,
            future: sent,
            head: None,
            reader: None,
            body: Vec::new(),
            started,
            deadline: (timeout > 0).then(|| started.saturating_add(timeout)),
        })
    }

    /// Ends it; who was called, for the log.
    fn let_go(self) -> Origin {
        self.origin
    }

    fn step(&mut self) -> Option<Outcome> {
        if let Some(writer) = &mut self.writer
            && (writer.pump().is_err() || writer.is_finished())
        {
            // A peer that takes no more may still answer.
            self.writer = None;
        }
        if let Some(future) = &self.future {
            let arrived = future.get()?;
            self.pollable = None;
            self.future = None;
            match arrived {
                Ok(Ok(incoming)) => {
                    let head = response::receive(&incoming, self.to_head);
                    let elapsed_ms = monotonic_clock::now().saturating_sub(self.started) / NANOS_PER_MS;
                    self.head = Some((head.headers, elapsed_ms));
                    self.reader = head.body;
                }
                Ok(Err(code)) => return Some(Outcome::Failed(upstream_failure(&code), cause(&code))),
                Err(()) => return Some(Outcome::Failed(UpstreamFailure::ConnectionTerminated, None)),
            }
        }
        let mut trailers = None;
        while let Some(reader) = &mut self.reader {
            match reader.read() {
                Arrival::Pending => return None,
                Arrival::Data(bytes) if self.body.is_empty() => self.body = bytes,
                Arrival::Data(bytes) => self.body.extend_from_slice(&bytes),
                Arrival::End(ended) => {
                    trailers = ended;
                    self.reader = None;
                }
                Arrival::Failed => {
                    let failure = UpstreamFailure::ConnectionTerminated;
                    return Some(Outcome::Failed(failure, Some("its answer breaks off")));
                }
            }
            if CalloutResponse::is_too_large(self.body.len()) {
                return Some(Outcome::Failed(
                    UpstreamFailure::ProtocolError,
                    Some("a callout's response is too large"),
                ));
            }
        }
        let (headers, elapsed_ms) = self.head.take()?;
        let body = std::mem::take(&mut self.body);
        Some(Outcome::Answered(CalloutResponse { headers, body, trailers }, elapsed_ms))
    }

    fn pollables<'a>(&'a mut self, into: &mut Vec<&'a Pollable>) {
        if let Some(future) = &self.future {
            into.push(self.pollable.get_or_insert_with(|| future.subscribe()));
        } else if let Some(reader) = &mut self.reader {
            into.push(reader.pollable());
        }
        if let Some(writer) = self.writer.as_mut().filter(|writer| !writer.is_idle()) {
            into.extend(writer.pollable());
        }
    }
}
