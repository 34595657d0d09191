//! An edge that keeps what it was told, and refuses what may not be told.

use proxy_wasm_driver::{Action, Peer};

/// The edge's side of one peer.
#[derive(Debug, Default)]
pub(crate) struct Side {
    /// Bytes that came from the other side.
    pub(crate) came: Vec<u8>,
    /// The other side has ended.
    pub(crate) complete: bool,
    pub(crate) written: Vec<u8>,
    pub(crate) heads: u32,
    pub(crate) ends: u32,
    /// Something waits to be written.
    pub(crate) waits: bool,
    /// Nothing more may be told for it.
    pub(crate) released: bool,
}

#[derive(Default)]
pub(crate) struct Edge {
    /// Under way: those whose response the driver waits for.
    pub(crate) peers: Vec<(Peer, Side)>,
    pub(crate) open: Vec<u32>,
    /// Peers whose response has begun, and those whose response is over.
    pub(crate) begun: Vec<Peer>,
    pub(crate) over: Vec<Peer>,
}

impl Edge {
    pub(crate) fn side(&mut self, peer: Peer) -> &mut Side {
        if !self.peers.iter().any(|(known, _)| *known == peer) {
            self.peers.push((peer, Side::default()));
        }
        &mut self.peers.iter_mut().find(|(known, _)| *known == peer).expect("it was added").1
    }

    pub(crate) fn callouts(&self) -> Vec<Peer> {
        self.peers.iter().map(|(peer, _)| *peer).filter(is_callout).collect()
    }

    pub(crate) fn perform(&mut self, action: Action) {
        match action {
            Action::Request { peer, end, .. } => self.head(peer, end),
            Action::Response { id, end, .. } => self.head(Peer::Client(id), end),
            Action::Write(peer, bytes) => self.body(peer).written.extend(bytes),
            Action::Finish(peer, _) => {
                let side = self.body(peer);
                side.ends += 1;
                let is_whole = side.complete && side.written == side.came;
                assert!(is_callout(&peer) || is_whole || is_local(&side.written), "{peer:?}: {side:?}");
            }
            Action::Abort(id) => self.release(Peer::Client(id)),
            Action::Release(peer) => {
                self.release(peer);
                self.over.push(peer);
            }
        }
    }

    fn head(&mut self, peer: Peer, end: bool) {
        let side = self.side(peer);
        assert!(side.heads == 0 && !side.released, "{peer:?}: {side:?}");
        side.heads += 1;
        side.ends += u32::from(end);
    }

    /// The side of a peer whose body goes on.
    fn body(&mut self, peer: Peer) -> &mut Side {
        let side = self.side(peer);
        assert!(side.heads == 1 && side.ends == 0 && !side.released, "{peer:?}: {side:?}");
        side.waits = true;
        side
    }

    fn release(&mut self, peer: Peer) {
        let side = self.side(peer);
        side.released = true;
        side.waits = false;
    }

    /// Bodies are the beginning of what came, unless the proxy made them.
    pub(crate) fn check(&self) {
        for (peer, side) in &self.peers {
            let is_beginning = side.came.starts_with(&side.written);
            assert!(is_callout(peer) || is_beginning || is_local(&side.written), "{peer:?}: {side:?}");
        }
    }
}

pub(crate) fn is_callout(peer: &Peer) -> bool {
    matches!(peer, Peer::Callout(_))
}

/// Whether it is the body of a response of the proxy's own.
fn is_local(bytes: &[u8]) -> bool {
    [b"no".as_slice(), b"upstream connect error", b"upstream request timeout", b"stream timeout"]
        .iter()
        .any(|body| bytes.starts_with(body))
}
