//! The connections that are open: how many may be, which one goes where there is no room, and how they end.
//!
//! What has no request in work can go at any time: where the last place is taken, or the last file descriptor, the
//! connection goes that is idle for longest. So clients that only hold connections open keep nobody out.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper_util::server::graceful::GracefulConnection;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::presence::{CLOSE_WAIT, Limits, Presence};

/// How long to wait for a place before looking again.
const PAUSE: Duration = Duration::from_millis(50);

/// How often the same trouble is told of.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);

/// Descriptors that are left to everything but clients and upstreams.
const OWN_DESCRIPTORS: usize = 64;

/// The most connections where the user names no number, however many descriptors there may be.
const MOST: usize = 50_000;

/// The connections of a listener.
pub(super) struct Connections {
    open: Mutex<Open>,
    max: usize,
    limits: Limits,
    /// One ended.
    freed: Notify,
}

#[derive(Default)]
struct Open {
    known: HashMap<u64, Arc<Presence>>,
    next: u64,
    /// No further ones: those that come end at once.
    draining: bool,
}

impl Connections {
    pub(super) fn new(max: usize, limits: Limits) -> Arc<Self> {
        Arc::new(Self { open: Mutex::default(), max: max.max(1), limits, freed: Notify::new() })
    }

    /// Takes notice of a new one.
    fn admit(self: &Arc<Self>) -> Place {
        let presence = Arc::new(Presence::new());
        let mut open = self.open();
        let number = open.next;
        open.next += 1;
        open.known.insert(number, presence.clone());
        if open.draining {
            presence.close(CLOSE_WAIT);
        }
        Place { connections: self.clone(), number, presence }
    }

    fn is_full(&self) -> bool {
        self.open().known.len() >= self.max
    }

    /// Closes those that are idle for longest: several, so that a crowd is looked through seldom. Says whether there were
    /// any, or are some that leave already: these make room before others have to, however long their tasks wait for a
    /// processor.
    fn close_idle(&self) -> bool {
        let mut idle: Vec<(Instant, Arc<Presence>)> = {
            let open = self.open();
            if open.known.values().any(|presence| presence.is_leaving()) {
                return true;
            }
            open.known.values().filter_map(|presence| Some((presence.idle_since()?, presence.clone()))).collect()
        };
        idle.sort_unstable_by_key(|(since, _)| *since);
        idle.truncate((self.max / 64).max(1));
        idle.iter().for_each(|(_, presence)| presence.evict());
        !idle.is_empty()
    }

    /// Has all of them end, as soon as they can, and waits for that.
    pub(super) async fn drain(&self) {
        {
            let mut open = self.open();
            open.draining = true;
            open.known.values().for_each(|presence| presence.close(CLOSE_WAIT));
        }
        loop {
            let freed = self.freed.notified();
            if self.open().known.is_empty() {
                return;
            }
            freed.await;
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one connection.
pub(super) struct Place {
    connections: Arc<Connections>,
    number: u64,
    pub(super) presence: Arc<Presence>,
}

impl Place {
    /// Serves it until its end, or until its time is over.
    pub(super) async fn serve(self, connection: impl GracefulConnection<Error: std::fmt::Debug>) {
        let mut connection = std::pin::pin!(connection);
        let expires = self.presence.expires(&self.connections.limits);
        let mut expires = std::pin::pin!(expires);
        let mut told = false;
        loop {
            tokio::select! {
                // First, so that what it is told is sent before its time is over.
                biased;
                () = self.presence.closes(), if !told => {
                    connection.as_mut().graceful_shutdown();
                    told = true;
                }
                result = connection.as_mut() => {
                    if let Err(error) = result {
                        tracing::debug!(?error, "a connection ended");
                    }
                    return;
                }
                () = expires.as_mut() => {
                    tracing::debug!("a connection took too long, or another needed its place");
                    return;
                }
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let presence = self.connections.open().known.remove(&self.number);
        drop(presence);
        self.connections.freed.notify_waiters();
    }
}

/// Takes connections from a listener, as long as there is room.
pub(super) struct Acceptor {
    listener: TcpListener,
    connections: Arc<Connections>,
    /// Where descriptors run out, these give some.
    others: Option<Arc<Connections>>,
    full: Complaint,
    refused: Complaint,
}

impl Acceptor {
    pub(super) fn new(listener: TcpListener, connections: Arc<Connections>, others: Option<Arc<Connections>>) -> Self {
        let (full, refused) = (Complaint::default(), Complaint::default());
        Self { listener, connections, others, full, refused }
    }

    /// The next connection. Can be given up at any time without losing one.
    pub(super) async fn accept(&mut self) -> (TcpStream, SocketAddr, Place) {
        loop {
            let freed = self.connections.freed.notified();
            if self.connections.is_full() {
                if !self.connections.close_idle()
                    && let Some(times) = self.full.due(Instant::now())
                {
                    let max = self.connections.max;
                    tracing::warn!(times, "all of {max} connections have requests in flight: further ones wait");
                }
                let _ = tokio::time::timeout(PAUSE, freed).await;
                continue;
            }
            match self.listener.accept().await {
                Ok((stream, peer)) => return (stream, peer, self.connections.admit()),
                Err(error) if is_of_connection(&error) => tracing::debug!(%error, "a client left early"),
                Err(error) => {
                    if let Some(times) = self.refused.due(Instant::now()) {
                        tracing::error!(
                            %error, times,
                            "cannot accept connections: those that are idle for longest are closed; allow more open \
                             files (`ulimit -n`), or lower --max-connections"
                        );
                    }
                    let closed = self.others.iter().chain([&self.connections]).any(|those| those.close_idle());
                    let _ = tokio::time::timeout(if closed { PAUSE / 10 } else { PAUSE }, freed).await;
                }
            }
        }
    }
}

/// Whether accepting failed because of the one client.
fn is_of_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// What is told once in a while, with how often it happened.
#[derive(Debug, Default)]
pub(super) struct Complaint {
    told: Option<Instant>,
    times: u64,
}

impl Complaint {
    /// It happened. Gives how often since it was told of last, if it is to be told now.
    pub(super) fn due(&mut self, now: Instant) -> Option<u64> {
        self.times += 1;
        if self.told.is_some_and(|told| now.saturating_duration_since(told) < COMPLAINT_INTERVAL) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.times))
    }
}

/// Allows this process as many open files as it may allow itself: what shells and service managers give at first is often
/// too few for a server.
#[cfg(unix)]
pub(super) fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum || limit.maximum.is_none() && limit.current.is_some() {
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::debug!(%error, "cannot raise the number of open files");
        }
    }
}

#[cfg(not(unix))]
pub(super) fn raise_descriptor_limit() {}

/// How many connections to take where the user names no number: half of the descriptors, as each request may need another
/// one for its upstream.
pub(super) fn default_max() -> usize {
    default_of(descriptor_limit())
}

fn default_of(descriptors: Option<usize>) -> usize {
    let Some(all) = descriptors else { return MOST };
    let own = OWN_DESCRIPTORS.min(all / 4);
    ((all - own) / 2).clamp(1, MOST)
}

#[cfg(unix)]
fn descriptor_limit() -> Option<usize> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

#[cfg(not(unix))]
fn descriptor_limit() -> Option<usize> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { head: Duration::ZERO, idle: Duration::ZERO, send: Duration::ZERO };

    #[tokio::test]
    async fn the_oldest_idle_one_goes() {
        let connections = Connections::new(2, LIMITS);
        let (first, second) = (connections.admit(), connections.admit());
        assert!(connections.is_full());
        let request = second.presence.begin();
        assert!(connections.close_idle());
        first.presence.closes().await;
        drop(first);
        assert!(!connections.close_idle(), "the other has a request in flight");
        assert!(!connections.is_full());
        drop(request);
        assert!(connections.close_idle());
        let drained = connections.drain();
        drop(second);
        drained.await;
    }

    #[tokio::test]
    async fn nobody_goes_while_another_leaves() {
        let connections = Connections::new(2, LIMITS);
        let (first, second) = (connections.admit(), connections.admit());
        assert!(connections.close_idle() && connections.close_idle());
        assert!(first.presence.is_leaving() && !second.presence.is_leaving());
        drop(first);
        assert!(connections.close_idle());
        assert!(second.presence.is_leaving());
    }

    #[test]
    fn complaints_are_counted() {
        let mut complaint = Complaint::default();
        let now = Instant::now();
        assert_eq!(complaint.due(now), Some(1));
        assert_eq!((complaint.due(now), complaint.due(now)), (None, None));
        assert_eq!(complaint.due(now + COMPLAINT_INTERVAL), Some(3));
    }

    #[test]
    fn clients_get_half_of_the_descriptors() {
        assert_eq!((default_of(Some(64)), default_of(Some(1024)), default_of(Some(1))), (24, 480, 1));
        assert_eq!((default_of(Some(1 << 30)), default_of(None)), (MOST, MOST));
    }
}
