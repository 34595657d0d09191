//! What an edge that has streams does between two waits: the round of the picture on top of [the crate](crate).

use proxy_wasm_semantics::Guest;

use crate::{
    action::Action,
    peers::{Peers, Streams},
    turn::Turn,
};

/// An edge that has a stream for each body.
pub trait Edge {
    /// What it has of each peer.
    type Streams: Streams;

    /// Its peers.
    fn peers(&mut self) -> &mut Peers<Self::Streams>;

    /// Whether its host knows at once whether a message has a body, and where it ends.
    fn is_exact(&self) -> bool;

    /// Does what the driver says.
    fn perform<G: Guest>(&mut self, turn: &mut Turn<'_, '_, G>, action: Action);
}

impl<G: Guest> Turn<'_, '_, G> {
    /// Moves everything of an exchange, and of callouts, that can move; tells whether the exchange is over.
    pub fn advance(&mut self, edge: &mut impl Edge, id: u32) -> bool {
        loop {
            let more = self.work();
            while let Some(action) = self.poll(id) {
                edge.perform(self, action);
            }
            // One whose client has left is broken off in the next round.
            let refused = self.perform_calls(edge, Some(id));
            if self.is_over(id) {
                return true;
            }
            if !(self.read(edge, Some(id)) | more | refused) {
                return false;
            }
        }
    }

    /// Moves what can move of callouts, once; tells whether there may be more.
    pub fn advance_calls(&mut self, edge: &mut impl Edge) -> bool {
        let more = self.work();
        self.perform_calls(edge, None);
        self.read(edge, None) | more
    }

    /// Does what is to be done for callouts, and writes what can be written; tells whether any peer takes no more.
    fn perform_calls(&mut self, edge: &mut impl Edge, exchange: Option<u32>) -> bool {
        while let Some(action) = self.poll_calls() {
            edge.perform(self, action);
        }
        edge.peers().pump(self, exchange)
    }

    fn read(&mut self, edge: &mut impl Edge, exchange: Option<u32>) -> bool {
        let exact = edge.is_exact();
        edge.peers().read(self, exchange, exact)
    }
}
