//! The streams of an edge to its peers: in which order they are read and written, and how far.

use std::task::Poll;

use proxy_wasm_semantics::{Guest, Request};

use crate::{
    action::{Input, Peer},
    turn::Turn,
};

/// What an edge has of one peer: one body goes out, a message comes in.
pub trait Streams {
    /// Where the body goes out.
    type Sink: Sink;

    /// The body that goes out, from its head to its end.
    fn sink(&mut self) -> &mut Option<Self::Sink>;

    /// Reads what has come from this peer, without waiting. An `exact` host knows at once whether there is a body, and where it
    /// ends.
    fn read<G: Guest>(&mut self, peer: Peer, turn: &Turn<'_, '_, G>, exact: bool) -> Option<Input>;

    /// Whether a look has read something already, which the next read gives.
    fn is_ahead(&self) -> bool;

    /// Whether nothing more comes.
    fn is_over(&self) -> bool;
}

/// A body on its way out.
pub trait Sink {
    /// Queues bytes.
    fn push(&mut self, bytes: Vec<u8>);

    /// Whether bytes, or the end, wait to be written.
    fn has_more(&self) -> bool;

    /// Writes what the host takes now; ready when all is written that it was given.
    fn pump(&mut self) -> Poll<Result<(), Gone>>;

    /// Whether its end is written.
    fn is_finished(&self) -> bool;
}

/// The peer takes no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// An edge's peers in the order in which they are read: those of exchanges, of each the client before its upstream, then those
/// who answer callouts.
pub struct Peers<S>(Vec<(Peer, S)>);

impl<S> Default for Peers<S> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<S: Streams> Peers<S> {
    /// A request came from this `client`: see [`Turn::open`].
    pub fn open<G: Guest>(
        &mut self,
        turn: &mut Turn<'_, '_, G>,
        request: Request<'_>,
        end: bool,
        mut client: S,
        exact: bool,
    ) -> u32 {
        let id = turn.open(request, end);
        let peer = Peer::Client(id);
        // The filters see the bytes that came with the head before anything goes on.
        if client.is_ahead()
            && turn.wants(peer)
            && let Some(input) = client.read(peer, turn, exact)
        {
            turn.input(peer, input);
        }
        self.add(peer, client);
        id
    }

    /// Adds whoever was sent a request.
    pub fn add(&mut self, peer: Peer, streams: S) {
        let at = match peer {
            Peer::Client(_) | Peer::Upstream(_) => self.0.partition_point(|(peer, _)| !peer.is_callout()),
            Peer::Callout(_) => self.0.len(),
        };
        self.0.insert(at, (peer, streams));
    }

    /// The streams of a peer.
    pub fn get(&mut self, peer: Peer) -> Option<&mut S> {
        Some(&mut self.0.iter_mut().find(|(other, _)| *other == peer)?.1)
    }

    /// Where a peer's body goes out.
    pub fn sink(&mut self, peer: Peer) -> Option<&mut S::Sink> {
        self.get(peer)?.sink().as_mut()
    }

    /// Takes away where the body of a client goes out, whose exchange is broken off.
    pub fn take_sink(&mut self, id: u32) -> Option<S::Sink> {
        self.get(Peer::Client(id))?.sink().take()
    }

    /// Queues bytes for a peer.
    pub fn write(&mut self, peer: Peer, bytes: Vec<u8>) {
        if let Some(sink) = self.sink(peer) {
            sink.push(bytes);
        }
    }

    /// Lets go of one.
    pub fn release(&mut self, released: Peer) {
        self.0.retain(|(peer, _)| *peer != released);
    }

    /// Lets go of an exchange's.
    pub fn close(&mut self, id: u32) {
        self.0.retain(|(peer, _)| peer.is_callout() || !peer.is_of(Some(id)));
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether callouts are under way.
    pub fn have_callouts(&self) -> bool {
        self.0.last().is_some_and(|(peer, _)| peer.is_callout())
    }

    /// All of them.
    pub fn all(&mut self) -> impl Iterator<Item = (Peer, &mut S)> {
        self.0.iter_mut().map(|(peer, streams)| (*peer, streams))
    }

    /// Those of this exchange, if one is meant, and of callouts.
    pub fn of(&mut self, exchange: Option<u32>) -> impl Iterator<Item = (Peer, &mut S)> {
        self.all().filter(move |(peer, _)| peer.is_of(exchange))
    }

    /// Writes what the host takes now; tells whether any peer takes no more.
    pub(crate) fn pump<G: Guest>(&mut self, turn: &mut Turn<'_, '_, G>, exchange: Option<u32>) -> bool {
        let mut refused = false;
        for (peer, streams) in self.of(exchange) {
            let place = streams.sink();
            let Some(sink) = place.as_mut().filter(|sink| sink.has_more()) else { continue };
            match sink.pump() {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => {
                    if sink.is_finished() {
                        *place = None;
                    }
                    turn.written(peer);
                }
                Poll::Ready(Err(Gone)) => {
                    *place = None;
                    turn.refused(peer);
                    refused = true;
                }
            }
        }
        refused
    }

    /// Reads a piece of what has come from each; tells whether there was any.
    pub(crate) fn read<G: Guest>(&mut self, turn: &mut Turn<'_, '_, G>, exchange: Option<u32>, exact: bool) -> bool {
        let mut moved = false;
        let mut index = 0;
        while let Some((peer, streams)) = self.0.get_mut(index) {
            let peer = *peer;
            let is_wanted = peer.is_of(exchange) && turn.wants(peer);
            let Some(input) = is_wanted.then(|| streams.read(peer, turn, exact)).flatten() else {
                index += 1;
                continue;
            };
            moved = true;
            // With a callout's head goes what came with it.
            let is_read_on = peer.is_callout() && matches!(input, Input::Head(..));
            if peer.is_callout() && streams.is_over() {
                self.0.remove(index);
            } else if !is_read_on {
                index += 1;
            }
            turn.input(peer, input);
        }
        moved
    }
}
