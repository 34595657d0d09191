//! The bytes that exchanges carry: what the driver says is done to the peers' streams, and what comes from them goes in.
//!
//! A body that nobody here can want is handed on unread, with its head where that is still the one that came.

use proxy_wasm_driver::{Action, Peer, Peers, Sink, Turn, wishes};
use proxy_wasm_semantics::{Guest, HeaderMap};

use super::Edge;
use crate::{
    canonical,
    outgoing::{self, Body},
    peer::Streams,
    reader::Whole,
    task::Task,
    vocabulary::failed,
};

impl Edge {
    /// The edge, while this task runs.
    pub(super) fn running<'r>(&'r mut self, task: &'r mut Task) -> Running<'r> {
        Running { edge: self, task }
    }

    pub(super) fn pump_ends(&mut self, task: &Task) {
        self.ends.retain_mut(|(number, end)| *number != task.number || end.pump().is_pending());
    }

    pub(super) fn wait_for_ends(&mut self, task: &Task) -> bool {
        let own = self.ends.iter_mut().filter(|(number, _)| *number == task.number);
        own.fold(false, |waits, (_, end)| end.wait_here() | waits)
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
        let streams = self.peers.get(source).filter(|streams| streams.is_unread())?;
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
        let streams = self.peers.get(source).filter(|streams| streams.is_whole(head))?;
        if end || turn.pass_on(source) { streams.hand_on_whole() } else { None }
    }

    /// A message that is still in one piece is for nobody any more: whoever sent it is told now.
    fn let_go(&mut self, source: Option<Peer>) {
        if let Some(streams) = source.and_then(|source| self.peers.get(source)) {
            streams.let_go_whole();
        }
    }

    fn handed_on(&mut self, source: Option<Peer>, sent: Option<canonical::Sent>) {
        if let Some((source, sent)) = source.zip(sent)
            && let Some(streams) = self.peers.get(source)
        {
            streams.handed_on(sent);
        }
    }

    /// Answers nothing, where the response has not begun, and breaks it off where it has not ended. Bytes that were let
    /// through before still go out; whether the client takes them no longer matters.
    pub(super) fn break_off(&mut self, task: &mut Task, id: u32) {
        if let Some(answer) = task.answer.take() {
            answer.fail();
        }
        if let Some(mut writer) = self.peers.take_sink(id) {
            writer.break_off();
            self.ends.push((task.number, writer));
        }
    }

    /// Has the task wait for its exchange and for callouts; tells whether there is anything to wait for.
    pub(super) fn waits<G: Guest>(&mut self, turn: &mut Turn<'_, '_, G>, task: &mut Task, of: Option<u32>) -> bool {
        let mut waits = task.set_timer(turn.deadline());
        for (peer, streams) in self.peers.of(of) {
            waits |= streams.wait_here(turn.wants(peer));
        }
        self.pump_ends(task);
        self.wait_for_ends(task);
        waits
    }
}

/// An edge and the task that it runs.
pub(super) struct Running<'r> {
    edge: &'r mut Edge,
    task: &'r mut Task,
}

impl proxy_wasm_driver::Edge for Running<'_> {
    type Streams = Streams;

    fn peers(&mut self) -> &mut Peers<Streams> {
        &mut self.edge.peers
    }

    fn is_exact(&self) -> bool {
        self.edge.is_exact
    }

    fn perform<G: Guest>(&mut self, turn: &mut Turn<'_, '_, G>, action: Action) {
        let Self { edge, task } = self;
        let chain = turn.chain();
        match action {
            Action::Request { peer, to, headers, end, http2 } => {
                let source = Edge::source(peer);
                // They stand in its fields.
                let wishes = wishes(&to, &headers, http2, edge.is_exact);
                let whole = source
                    .filter(|_| wishes.is_empty())
                    .and_then(|source| edge.hand_on_whole(turn, source, &headers, end));
                let body = if let Some((Whole::Request(request), came)) = whole {
                    Body::Whole(request, came)
                } else {
                    let unread = source.filter(|_| !end).and_then(|source| edge.hand_on(turn, source));
                    unread.map_or(Body::Written { end }, Body::Unread)
                };
                match outgoing::request(chain, &to, &headers, &wishes, body) {
                    Ok((streams, sent)) => {
                        edge.handed_on(source, sent);
                        if end {
                            edge.let_go(source);
                        }
                        edge.peers.add(peer, streams);
                    }
                    Err(code) => turn.input(peer, failed(&code)),
                }
            }
            Action::Response { id, headers, end, .. } => {
                let Some(answer) = task.answer.take() else { return };
                edge.let_go(Some(Peer::Client(id)));
                let source = Peer::Upstream(id);
                if let Some((Whole::Response(response), _)) = edge.hand_on_whole(turn, source, &headers, false) {
                    outgoing::set_status(chain, &response, response.get_status_code(), &headers);
                    answer.give(response);
                    return;
                }
                if let Some(unread) = Some(source).filter(|_| !end).and_then(|source| edge.hand_on(turn, source)) {
                    let (response, sent) = outgoing::response_with(chain, &headers, unread);
                    answer.give(response);
                    edge.handed_on(Some(source), Some(sent));
                    return;
                }
                let (response, writer) = outgoing::response(chain, &headers, end);
                answer.give(response);
                if let Some(client) = edge.peers.get(Peer::Client(id)) {
                    client.writer = Some(writer);
                }
            }
            Action::Write(peer, bytes) => edge.peers.write(peer, bytes),
            Action::Finish(peer, trailers) => match edge.peers.sink(peer) {
                Some(writer) => writer.end(trailers.map(|trailers| outgoing::fields(chain, &trailers))),
                // Its body was handed on.
                None => turn.written(peer),
            },
            Action::Abort(id) => edge.break_off(task, id),
            Action::Release(released) => edge.peers.release(released),
        }
    }
}
