//! Requests that this host sent to itself: a filter whose callouts, or whose upstream, lead to the host that runs it makes
//! another request with each, for ever.
//!
//! A request's depth is 0 where another program sent it, and else one more than that of the request during which it was
//! sent; ticks begin at 0. Nothing in the request tells it, so neither filters nor upstreams see anything of this: the two
//! ends of a connection name the same two addresses, and connections are pooled by depth. That holds for HTTP/2 as well,
//! where several requests share a connection.
//!
//! Restriction: what comes by way of another proxy, or to an address that is translated, looks like anybody's.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

/// How long a closed connection is remembered: what was sent on it may still wait to be accepted.
const REMEMBERED: Duration = Duration::from_secs(10);

/// The address that a connection was made from, and the one that it was made to.
type Ends = (SocketAddr, SocketAddr);

/// The connections that this host has to itself.
#[derive(Debug, Default)]
pub(super) struct Nesting {
    listens_at: OnceLock<SocketAddr>,
    connections: Mutex<Connections>,
}

#[derive(Debug, Default)]
struct Connections {
    known: HashMap<Ends, Known>,
    /// In the order of their closing.
    closed: VecDeque<(Instant, Ends)>,
}

#[derive(Debug)]
struct Known {
    /// Of the requests that come on it.
    depth: u32,
    closed: Option<Instant>,
}

impl Nesting {
    /// From now on, connections to this address lead here.
    pub(super) fn listen(&self, address: SocketAddr) {
        // It is told once.
        let _ = self.listens_at.set(canonical(address));
    }

    /// Takes notice of a new connection whose requests have this depth, before anything is sent on it.
    pub(super) fn connected(self: &Arc<Self>, stream: &TcpStream, depth: u32) -> Option<Connection> {
        let here = self.listens_at.get()?;
        let ends = (canonical(stream.local_addr().ok()?), canonical(stream.peer_addr().ok()?));
        let leads_here = ends.1.port() == here.port() && (here.ip().is_unspecified() || here.ip() == ends.1.ip());
        if !leads_here {
            return None;
        }
        let mut connections = self.connections();
        connections.forget(Instant::now());
        connections.known.insert(ends, Known { depth, closed: None });
        Some(Connection { nesting: self.clone(), ends })
    }

    /// The depth of the requests on a connection that was accepted. Known once its first request is there.
    pub(super) fn depth(&self, ends: Ends) -> u32 {
        let ends = (canonical(ends.0), canonical(ends.1));
        self.connections().known.get(&ends).map_or(0, |known| known.depth)
    }

    fn connections(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connections {
    /// Forgets what was closed long ago.
    fn forget(&mut self, now: Instant) {
        while let Some((closed, ends)) = self.closed.front().copied() {
            if now.saturating_duration_since(closed) < REMEMBERED {
                break;
            }
            self.closed.pop_front();
            // The addresses may be those of a newer connection by now.
            if self.known.get(&ends).is_some_and(|known| known.closed == Some(closed)) {
                self.known.remove(&ends);
            }
        }
    }
}

/// A connection that this host has to itself.
#[derive(Debug)]
pub(super) struct Connection {
    nesting: Arc<Nesting>,
    ends: Ends,
}

impl Drop for Connection {
    fn drop(&mut self) {
        let now = Instant::now();
        let mut connections = self.nesting.connections();
        connections.forget(now);
        if let Some(known) = connections.known.get_mut(&self.ends) {
            known.closed = Some(now);
            connections.closed.push_back((now, self.ends));
        }
    }
}

/// An IPv4 address as such, also where a listener for IPv6 accepted it.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn connections_are_known_by_both_their_ends() {
        let (here, elsewhere) = (TcpListener::bind("[::]:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await);
        let elsewhere = elsewhere.unwrap();
        let nesting = Arc::new(Nesting::default());
        nesting.listen(here.local_addr().unwrap());
        let port = here.local_addr().unwrap().port();

        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let connection = nesting.connected(&stream, 3).unwrap();
        let (accepted, peer) = here.accept().await.unwrap();
        assert_eq!(nesting.depth((peer, accepted.local_addr().unwrap())), 3);

        let stranger = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        assert_eq!(nesting.depth((stranger.local_addr().unwrap(), stranger.peer_addr().unwrap())), 0);
        let other = TcpStream::connect(elsewhere.local_addr().unwrap()).await.unwrap();
        assert!(nesting.connected(&other, 1).is_none());

        drop(connection);
        assert_eq!(nesting.depth((peer, accepted.local_addr().unwrap())), 3, "what was sent on it may come later");
        let much_later = Instant::now() + 2 * REMEMBERED;
        nesting.connections().forget(much_later);
        let connections = nesting.connections();
        assert!(connections.known.is_empty() && connections.closed.is_empty());
    }

    #[tokio::test]
    async fn addresses_that_are_used_again_are_not_forgotten() {
        let here = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let nesting = Arc::new(Nesting::default());
        nesting.listen(here.local_addr().unwrap());
        let stream = TcpStream::connect(here.local_addr().unwrap()).await.unwrap();
        drop(nesting.connected(&stream, 1));
        let _again = nesting.connected(&stream, 2).unwrap();
        nesting.connections().forget(Instant::now() + 2 * REMEMBERED);
        assert_eq!(nesting.depth((stream.local_addr().unwrap(), stream.peer_addr().unwrap())), 2);
    }
}
