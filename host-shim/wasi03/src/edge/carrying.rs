//! The bytes that exchanges carry: what the driver says is done to the peers' streams, and what comes from them goes in.
//!
//! A body that nobody here can want is handed on unread, with its head where that is still the one that came.

use proxy_wasm_driver::{Action, Input, Peer, Turn};
use proxy_wasm_semantics::{Direction, Guest, HeaderMap};

use super::Edge;
use crate::{
    canonical,
    outgoing::{self, Body},
    peer::Streams,
    reader::Whole,
    task::Task,
    vocabulary::failed,
    writer::Writer,
};

impl Edge {
    pub(super) fn perform_calls<G: Guest>(&mut self, turn: &mut Turn<'_, '_, G>, task: &mut Task, of: Option<u32>) {
        while let Some(action) = turn.poll_calls() {
            self.perform(turn, task, action);
        }
        for (peer, streams) in self.peers.iter_mut().filter(|(peer, _)| is_of(*peer, of)) {
            streams.pump(*peer, turn);
        }
        self.pump_ends(task);
    }

    pub(super) fn pump_ends(&mut self, task: &Task) {
        self.ends.retain_mut(|(number, end)| *number != task.number || end.pump().is_pending());
    }

    pub(super) fn wait_for_ends(&mut self, task: &Task) -> bool {
        let own = self.ends.iter_mut().filter(|(number, _)| *number == task.number);
        own.fold(false, |waits, (_, end)| end.wait_here() | waits)
    }

    pub(super) fn perform<G: Guest>(&mut self, turn: &mut Turn<'_, '_, G>, task: &mut Task, action: Action) {
        let chain = turn.chain();
        match action {
            Action::Request { peer, to, headers, end, http2 } => {
                let source = Self::source(peer);
                // That one is wanted in HTTP/2 is said in its fields.
                let whole =
                    source.filter(|_| !http2).and_then(|source| self.hand_on_whole(turn, source, &headers, end));
                let body = if let Some((Whole::Request(request), came)) = whole {
                    Body::Whole(request, came)
                } else {
                    let unread = source.filter(|_| !end).and_then(|source| self.hand_on(turn, source));
                    unread.map_or(Body::Written { end }, Body::Unread)
                };
                match outgoing::request(chain, &to, &headers, http2, body) {
                    Ok((streams, sent)) => {
                        self.handed_on(source, sent);
                        if end {
                            self.let_go(source);
                        }
                        self.peers.push((peer, streams));
                    }
                    Err(code) => turn.input(peer, failed(&code)),
                }
            }
            Action::Response { id, headers, end, .. } => {
                let Some(answer) = task.answer.take() else { return };
                self.let_go(Some(Peer::Client(id)));
                let source = Peer::Upstream(id);
                if let Some((Whole::Response(response), _)) = self.hand_on_whole(turn, source, &headers, false) {
                    outgoing::set_status(chain, &response, response.get_status_code(), &headers);
                    answer.give(response);
                    return;
                }
                if let Some(unread) = Some(source).filter(|_| !end).and_then(|source| self.hand_on(turn, source)) {
                    let (response, sent) = outgoing::response_with(chain, &headers, unread);
                    answer.give(response);
                    self.handed_on(Some(source), Some(sent));
                    return;
                }
                let (response, writer) = outgoing::response(chain, &headers, end);
                answer.give(response);
                if let Some(client) = self.streams(Peer::Client(id)) {
                    client.writer = Some(writer);
                }
            }
            Action::Write(peer, bytes) => {
                if let Some(writer) = self.writer(peer) {
                    writer.push(bytes);
                }
            }
            Action::Finish(peer, trailers) => match self.writer(peer) {
                Some(writer) => writer.end(trailers.map(|trailers| outgoing::fields(chain, &trailers))),
                // Its body was handed on.
                None => turn.written(peer),
            },
            Action::Abort(id) => self.break_off(task, id),
            Action::Release(released) => self.peers.retain(|(peer, _)| *peer != released),
        }
    }

    /// Whose body goes to a peer.
    fn source(peer: Peer) -> Option<Peer> {
        match peer {
            Peer::Client(id) => Some(Peer::Upstream(id)),
            Peer::Upstream(id) => Some(Peer::Client(id)),
            Peer::Callout(_) => None,
        }
    }

    /// The body that comes from a peer, where it is unread and nobody here can want it.
    fn hand_on<G: Guest>(&mut self, turn: &mut Turn<'_, '_, G>, source: Peer) -> Option<canonical::Incoming> {
        let streams = self.streams(source).filter(|streams| streams.is_unread())?;
        if turn.pass_on(source) { streams.hand_on() } else { None }
    }

    /// The same with its head, where its fields are still those that came; of one that is at its `end` nobody can want more.
    fn hand_on_whole<G: Guest>(
        &mut self,
        turn: &mut Turn<'_, '_, G>,
        source: Peer,
        head: &HeaderMap,
        end: bool,
    ) -> Option<(Whole, HeaderMap)> {
        let streams = self.streams(source).filter(|streams| streams.is_whole(head))?;
        if end || turn.pass_on(source) { streams.hand_on_whole() } else { None }
    }

    /// A message that is still in one piece is for nobody any more: whoever sent it is told now.
    fn let_go(&mut self, source: Option<Peer>) {
        if let Some(streams) = source.and_then(|source| self.streams(source)) {
            streams.let_go_whole();
        }
    }

    fn handed_on(&mut self, source: Option<Peer>, sent: Option<canonical::Sent>) {
        if let Some((source, sent)) = source.zip(sent)
            && let Some(streams) = self.streams(source)
        {
            streams.handed_on(sent);
        }
    }

    fn streams(&mut self, peer: Peer) -> Option<&mut Streams> {
        Some(&mut self.peers.iter_mut().find(|(other, _)| *other == peer)?.1)
    }

    fn writer(&mut self, peer: Peer) -> Option<&mut Writer> {
        self.streams(peer)?.writer.as_mut()
    }

    /// Answers nothing, where the response has not begun, and breaks it off where it has not ended. Bytes that were let
    /// through before still go out; whether the client takes them no longer matters.
    pub(super) fn break_off(&mut self, task: &mut Task, id: u32) {
        if let Some(answer) = task.answer.take() {
            answer.fail();
        }
        if let Some(mut writer) = self.streams(Peer::Client(id)).and_then(|client| client.writer.take()) {
            writer.break_off();
            self.ends.push((task.number, writer));
        }
    }

    /// Reads a piece of what has come from each peer of this exchange, and for callouts; tells whether there was any.
    pub(super) fn read<G: Guest>(&mut self, turn: &mut Turn<'_, '_, G>, of: Option<u32>) -> bool {
        let mut moved = false;
        let mut index = 0;
        while let Some((peer, streams)) = self.peers.get_mut(index) {
            let peer = *peer;
            let is_callout = matches!(peer, Peer::Callout(_));
            let input = if is_of(peer, of) && turn.wants(peer) {
                streams.read(self.is_exact, || !is_callout && turn.passes(Direction::Response))
            } else {
                None
            };
            let Some(input) = input else {
                index += 1;
                continue;
            };
            moved = true;
            // With a callout's head goes what came with it.
            let is_read_on = is_callout && matches!(input, Input::Head(..));
            if is_callout && streams.is_over() {
                self.peers.remove(index);
            } else if !is_read_on {
                index += 1;
            }
            turn.input(peer, input);
        }
        moved
    }

    /// Has the task wait for its exchange and for callouts; tells whether there is anything to wait for.
    pub(super) fn waits<G: Guest>(&mut self, turn: &mut Turn<'_, '_, G>, task: &mut Task, of: Option<u32>) -> bool {
        let mut waits = task.set_timer(turn.deadline());
        for (peer, streams) in self.peers.iter_mut().filter(|(peer, _)| is_of(*peer, of)) {
            waits |= streams.wait_here(turn.wants(*peer));
        }
        self.wait_for_ends(task);
        waits
    }
}

/// Whether a peer belongs to this exchange, or to none.
fn is_of(peer: Peer, exchange: Option<u32>) -> bool {
    match peer {
        Peer::Client(id) | Peer::Upstream(id) => Some(id) == exchange,
        Peer::Callout(_) => true,
    }
}
