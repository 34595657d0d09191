//! Carries bytes between a client, an upstream, those who answer callouts, and the driver's rules.
//!
//! Everything that can move is moved without waiting; then the edge waits for whatever can move next. A host has one call at a
//! time in an instance, so there is one client at the most; callouts outlive it.

use proxy_wasm_driver::{Action, Driver, Input, LOOKS, Peer, Turn};
use proxy_wasm_semantics::{Guest, Request};

use crate::{
    bindings::wasi::{
        clocks::monotonic_clock,
        http::types::ResponseOutparam,
        io::poll::{Pollable, poll},
    },
    client::{Client, Opens},
    failure,
    reader::Reader,
    sent::Sent,
    writer::Writer,
};

/// An instance's streams to the world.
#[derive(Default)]
pub(crate) struct Edge {
    client: Option<Client>,
    /// The upstream first, where there is one.
    sent: Vec<(Peer, Sent)>,
    /// A timer that fires at the next deadline or earlier.
    timer: Option<(u64, Pollable)>,
    /// The host knows at once whether a message has a body.
    pub(crate) exact: bool,
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
        (head, end): (Request, bool),
        body: Reader,
        out: ResponseOutparam,
        opens: Opens,
    ) {
        let mut turn = driver.turn();
        let id = turn.open(head, end);
        let is_ahead = body.is_ahead();
        self.client = Some(Client { id, body, writer: None, out: Some(out), opens });
        // The filters see the bytes that came with the head before anything goes on.
        if is_ahead {
            self.read_request(&mut turn);
        }
        while !self.step(&mut turn, id) {
            let woken = self.wait(&mut turn);
            turn = driver.turn();
            match woken {
                Woken::Peer => {}
                Woken::Timer => turn.expire(),
                Woken::Nothing => turn.client_gone(id),
                Woken::Starved => turn.starved(id),
            }
        }
        if let Some(mut client) = self.client.take() {
            client.writer = None;
            client.abort();
        }
        self.sent.retain(|(peer, _)| matches!(peer, Peer::Callout(_)));
        self.timer = None;
        turn.close(id);
        self.stay(driver);
        driver.turn().finish();
    }

    /// Moves everything that can move; tells whether the exchange is over.
    fn step<G: Guest>(&mut self, turn: &mut Turn<'_, '_, G>, id: u32) -> bool {
        loop {
            let more = turn.work();
            while let Some(action) = turn.poll(id) {
                self.perform(turn, action);
            }
            self.perform_calls(turn);
            if turn.is_over(id) {
                return true;
            }
            if !(self.read(turn) | more) {
                return false;
            }
        }
    }

    /// Goes on for as long as the driver says.
    pub(crate) fn stay<G: Guest>(&mut self, driver: &mut Driver<'_, G>) {
        let mut turn = driver.turn();
        while turn.stays() {
            if !self.pass(&mut turn) {
                self.wait(&mut turn);
            }
            turn = driver.turn();
        }
        self.timer = None;
    }

    /// Does what is due between exchanges, without waiting. Returns the nanoseconds until there may be more to do.
    pub(crate) fn idle<G: Guest>(&mut self, driver: &mut Driver<'_, G>) -> Option<u64> {
        let mut turn = driver.turn();
        turn.tend();
        for _ in 0..LOOKS {
            if !self.sent.is_empty() {
                // The host sees what came where it is asked to wait; here for nothing.
                self.timer = Some((0, monotonic_clock::subscribe_instant(0)));
                poll(&self.pollables(&mut turn));
                self.timer = None;
            }
            self.pass(&mut turn);
        }
        turn.rest()
    }

    /// Moves what can move of callouts, once; tells whether there may be more.
    fn pass<G: Guest>(&mut self, turn: &mut Turn<'_, '_, G>) -> bool {
        let more = turn.work();
        self.perform_calls(turn);
        self.read(turn) | more
    }

    fn perform_calls<G: Guest>(&mut self, turn: &mut Turn<'_, '_, G>) {
        while let Some(action) = turn.poll_calls() {
            self.perform(turn, action);
        }
        if let Some(client) = &mut self.client {
            pump(&mut client.writer, Peer::Client(client.id), turn);
        }
        for (peer, sent) in &mut self.sent {
            pump(&mut sent.writer, *peer, turn);
        }
    }

    fn perform<G: Guest>(&mut self, turn: &mut Turn<'_, '_, G>, action: Action) {
        match action {
            Action::Request { peer, to, headers, end, http2 } => match Sent::new(&to, &headers, end, http2) {
                Ok(sent) => {
                    let at = if matches!(peer, Peer::Callout(_)) { self.sent.len() } else { 0 };
                    self.sent.insert(at, (peer, sent));
                }
                Err(code) => turn.input(peer, failure::input(&code)),
            },
            Action::Response { id, headers, end } => {
                if self.client.as_mut().is_some_and(|client| !client.respond(&headers, end)) {
                    turn.refused(Peer::Client(id));
                }
            }
            Action::Write(peer, bytes) => {
                if let Some(writer) = self.writer(peer) {
                    writer.push(bytes);
                }
            }
            Action::Finish(peer, trailers) => {
                if let Some(writer) = self.writer(peer) {
                    writer.end(trailers);
                }
            }
            Action::Abort(_) => {
                if let Some(client) = &mut self.client {
                    client.abort();
                }
            }
            Action::Release(released) => self.sent.retain(|(peer, _)| *peer != released),
        }
    }

    fn writer(&mut self, peer: Peer) -> Option<&mut Writer> {
        match peer {
            Peer::Client(_) => self.client.as_mut()?.writer.as_mut(),
            _ => self.sent.iter_mut().find(|(sent, _)| *sent == peer)?.1.writer.as_mut(),
        }
    }

    fn read_request<G: Guest>(&mut self, turn: &mut Turn<'_, '_, G>) -> bool {
        let Some(client) = &mut self.client else { return false };
        let peer = Peer::Client(client.id);
        if !turn.wants(peer) {
            return false;
        }
        let Some(input) = client.body.read() else { return false };
        turn.input(peer, input);
        true
    }

    /// Reads a piece of what has come from each peer; tells whether there was any.
    fn read<G: Guest>(&mut self, turn: &mut Turn<'_, '_, G>) -> bool {
        let mut moved = self.read_request(turn);
        let mut index = 0;
        while let Some((peer, sent)) = self.sent.get_mut(index) {
            let peer = *peer;
            let is_callout = matches!(peer, Peer::Callout(_));
            let input = if turn.wants(peer) { sent.read(self.exact && !is_callout) } else { None };
            let Some(input) = input else {
                index += 1;
                continue;
            };
            moved = true;
            // With a callout's head goes what came with it.
            let is_read_on = is_callout && matches!(input, Input::Head(..));
            if is_callout && sent.is_over() {
                self.sent.remove(index);
            } else if !is_read_on {
                index += 1;
            }
            turn.input(peer, input);
        }
        moved
    }

    /// Waits until something can move, or a deadline passes.
    fn wait<G: Guest>(&mut self, turn: &mut Turn<'_, '_, G>) -> Woken {
        // An earlier timer is kept, to save making one each time.
        match turn.deadline() {
            None => self.timer = None,
            Some(next) if self.timer.as_ref().is_some_and(|(at, _)| *at <= next) => {}
            Some(next) => self.timer = Some((next, monotonic_clock::subscribe_instant(next))),
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
        if let Some(client) = &mut self.client {
            if turn.wants(Peer::Client(client.id)) {
                pollables.extend(client.body.pollable());
            }
            pollables.extend(client.writer.as_mut().and_then(Writer::pollable));
        }
        for (peer, sent) in &mut self.sent {
            sent.pollables(turn.wants(*peer), &mut pollables);
        }
        pollables.extend(self.timer.as_ref().map(|(_, timer)| timer));
        pollables
    }
}

/// Writes what the host takes now.
fn pump<G: Guest>(writer: &mut Option<Writer>, peer: Peer, turn: &mut Turn<'_, '_, G>) {
    let Some(open) = writer.as_mut().filter(|writer| writer.has_more()) else { return };
    if open.pump().is_err() {
        *writer = None;
        turn.refused(peer);
    } else if open.is_idle() {
        if open.is_finished() {
            *writer = None;
        }
        turn.written(peer);
    }
}
