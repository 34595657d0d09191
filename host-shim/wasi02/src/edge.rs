//! Carries bytes between a client, an upstream, those who answer callouts, and the driver's rules.
//!
//! Everything that can move is moved without waiting; then the edge waits for whatever can move next. A host has one call at a
//! time in an instance, so there is one client at the most; callouts outlive it.

use proxy_wasm_driver::{Action, Driver, Peer, Peers, Rest, Sink, Turn};
use proxy_wasm_semantics::Guest;

use crate::{
    bindings::wasi::{
        clocks::monotonic_clock,
        http::types::{ErrorCode, IncomingRequest, ResponseOutparam},
        io::poll::{Pollable, poll},
        random::random::get_random_bytes,
    },
    host, incoming, outgoing,
    peer::Streams,
    vocabulary::failed,
};

/// An instance's streams to the world.
#[derive(Default)]
pub(crate) struct Edge {
    peers: Peers<Streams>,
    /// The client's response. Taken when its head is sent.
    out: Option<ResponseOutparam>,
    /// A timer that fires at the next deadline or earlier.
    timer: Option<(u64, Pollable)>,
    /// The host knows at once whether a message has a body.
    pub(crate) exact: bool,
    /// The host said that the next request comes by HTTP/2.
    pub(crate) http2: bool,
}

/// Why a wait is over.
#[derive(PartialEq, Eq)]
enum Woken {
    /// A peer has something to read, or takes more.
    Peer,
    /// The timer fired, perhaps among others.
    Timer,
    /// The host ended it without a reason. That is no result that WASI knows: our own says by it that the client has left.
    Nothing,
    /// There was nothing to wait for.
    Starved,
}

impl Edge {
    /// Carries a request through to its end, and stays for what it leaves behind.
    pub(crate) fn exchange<G: Guest>(
        &mut self,
        driver: &mut Driver<'_, G>,
        request: IncomingRequest,
        out: ResponseOutparam,
    ) {
        let (mut head, end, body) = incoming::request(request, self.exact);
        head.http2 = std::mem::take(&mut self.http2);
        let mut turn = driver.turn();
        turn.complete(&mut head, host::now, get_random_bytes);
        let id = self.peers.open(&mut turn, head, end, Streams::client(body), self.exact);
        self.out = Some(out);
        while !turn.advance(self, id) {
            let woken = self.wait(&mut turn);
            turn = driver.turn();
            match woken {
                Woken::Peer => {}
                Woken::Timer => turn.expire(),
                Woken::Nothing => turn.client_gone(id),
                Woken::Starved => turn.starved(id),
            }
        }
        self.break_off();
        self.peers.close(id);
        self.timer = None;
        turn.close(id);
        self.stay(driver);
        driver.turn().finish();
    }

    /// Goes on for as long as the driver says.
    pub(crate) fn stay<G: Guest>(&mut self, driver: &mut Driver<'_, G>) {
        let mut turn = driver.turn();
        while turn.stays() {
            if !turn.advance_calls(self) {
                self.wait(&mut turn);
            }
            turn = driver.turn();
        }
        self.timer = None;
    }

    /// Does what is due between exchanges, without waiting.
    pub(crate) fn idle<G: Guest>(&mut self, driver: &mut Driver<'_, G>) -> Rest {
        let mut turn = driver.turn();
        turn.tend();
        while turn.looks() {
            if !self.peers.is_empty() {
                // The host sees what came where it is asked to wait; here for nothing.
                self.timer = Some((0, monotonic_clock::subscribe_instant(0)));
                poll(&self.pollables(&mut turn));
                self.timer = None;
            }
            turn.advance_calls(self);
        }
        turn.rest()
    }

    /// Answers nothing, where the response has not begun.
    fn break_off(&mut self) {
        if let Some(out) = self.out.take() {
            ResponseOutparam::set(out, Err(ErrorCode::ConnectionTerminated));
        }
    }

    /// Waits until something can move, or a deadline passes.
    fn wait<G: Guest>(&mut self, turn: &mut Turn<'_, '_, G>) -> Woken {
        // An earlier timer is kept, to save making one each time.
        match turn.deadline() {
            None => self.timer = None,
            Some(next) if self.timer.as_ref().is_some_and(|(at, _)| *at <= next) => {}
            Some(next) => self.timer = Some((next, host::at(next))),
        }
        let has_timer = self.timer.is_some();
        let pollables = self.pollables(turn);
        let Some(last) = pollables.len().checked_sub(1) else { return Woken::Starved };
        let ready = poll(&pollables);
        if ready.is_empty() {
            Woken::Nothing
        } else if has_timer && ready.contains(&(last as u32)) {
            self.timer = None;
            Woken::Timer
        } else {
            Woken::Peer
        }
    }

    /// The pollables to wait for; the timer's, if there is one, comes last.
    fn pollables<G: Guest>(&mut self, turn: &mut Turn<'_, '_, G>) -> Vec<&Pollable> {
        let mut pollables = Vec::with_capacity(5);
        for (peer, streams) in self.peers.all() {
            streams.pollables(turn.wants(peer), &mut pollables);
        }
        pollables.extend(self.timer.as_ref().map(|(_, timer)| timer));
        pollables
    }
}

impl proxy_wasm_driver::Edge for Edge {
    type Streams = Streams;

    fn peers(&mut self) -> &mut Peers<Streams> {
        &mut self.peers
    }

    fn is_exact(&self) -> bool {
        self.exact
    }

    fn perform<G: Guest>(&mut self, turn: &mut Turn<'_, '_, G>, action: Action) {
        let chain = turn.chain();
        match action {
            Action::Request { peer, to, headers, end, http2 } => {
                match outgoing::request(chain, &to, &headers, end, http2, self.exact) {
                    Ok(streams) => self.peers.add(peer, streams),
                    Err(code) => turn.input(peer, failed(&code)),
                }
            }
            Action::Response { id, headers, end, .. } => {
                let Some(out) = self.out.take() else { return };
                let writer = outgoing::response(chain, out, &headers, end, self.exact);
                if !end && writer.is_none() {
                    turn.refused(Peer::Client(id));
                }
                if let Some(client) = self.peers.get(Peer::Client(id)) {
                    client.writer = writer;
                }
            }
            Action::Write(peer, bytes) => self.peers.write(peer, bytes),
            Action::Finish(peer, trailers) => {
                if let Some(writer) = self.peers.sink(peer) {
                    writer.end(trailers.map(|trailers| outgoing::fields(chain, &trailers)));
                }
            }
            Action::Abort(id) => {
                // Bytes that were let through before still go out; whether the client takes them no longer matters.
                let _ = self.peers.take_sink(id).map(|mut writer| writer.pump());
                self.break_off();
            }
            Action::Release(released) => self.peers.release(released),
        }
    }
}
