//! Connections that are kept for the next request.
//!
//! A connection of HTTP/1 serves one request after another, one of HTTP/2 many at once. What waits for a connection of
//! HTTP/2 that is being made waits for that one, and fails as it does, in the order in which the requests were sent: as
//! Envoy's pool tells those that wait.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::sync::{Notify, OnceCell};
use tokio::time::Instant;

use super::super::options::HEAD_LIMIT_BYTES;
use super::answer::HEAD_LIMIT;
use super::body::RequestBody;
use super::connect::{Connected, Connector};
use super::failure::{Failure, story};
use super::target::Target;
use super::wire::{Announcer, Wire};

/// How long an unused connection is kept: shorter than what common servers do, so that they seldom close it first.
const KEEP: Duration = Duration::from_secs(20);

/// Connections for requests of one depth.
pub(super) struct Pool {
    connector: Connector,
    places: Mutex<HashMap<Target, Place>>,
    /// Somebody lets go of what is no longer used.
    swept: AtomicBool,
    /// Numbers requests.
    next: AtomicU64,
    /// A request no longer waits for a connection.
    left: Notify,
}

/// The connections to one upstream.
#[derive(Default)]
struct Place {
    /// Those of HTTP/1 that serve nobody, the last used one at the end.
    idle: Vec<(Single, Instant)>,
    /// The one of HTTP/2, and when a request last took it.
    shared: Option<(Arc<Shared>, Instant)>,
    /// The requests that have no connection yet.
    queue: BTreeSet<u64>,
}

/// A request's place among those that wait for a connection of HTTP/2.
pub(super) struct Ticket {
    pool: Arc<Pool>,
    target: Target,
    number: u64,
}

impl Ticket {
    /// Waits for the requests that were sent before.
    async fn first(&self) {
        loop {
            let left = self.pool.left.notified();
            if self.is_first() {
                return;
            }
            left.await;
        }
    }

    fn is_first(&self) -> bool {
        let places = self.pool.places();
        let first = places.get(&self.target).and_then(|place| place.queue.first());
        first.is_none_or(|first| *first >= self.number)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(place) = self.pool.places().get_mut(&self.target) {
            place.queue.remove(&self.number);
        }
        self.pool.left.notify_waiters();
    }
}

type Shared = OnceCell<Result<Multiple, Failure>>;

/// A connection of HTTP/2.
#[derive(Clone)]
struct Multiple {
    sender: http2::SendRequest<RequestBody>,
    address: Option<SocketAddr>,
}

/// A connection of HTTP/1.
struct Single {
    sender: http1::SendRequest<RequestBody>,
    announcer: Announcer,
    address: Option<SocketAddr>,
}

/// A connection that takes a request.
pub(super) struct Lease {
    connection: Connection,
    /// It was there before the request.
    pub(super) reused: bool,
}

enum Connection {
    Single(Single),
    Shared(Multiple),
}

impl Pool {
    pub(super) fn new(connector: Connector) -> Arc<Self> {
        let (swept, next) = (AtomicBool::new(false), AtomicU64::new(0));
        Arc::new(Self { connector, places: Mutex::default(), swept, next, left: Notify::new() })
    }

    /// Takes a place for a request that is sent now, whenever its connection is asked for.
    pub(super) fn queue(self: &Arc<Self>, target: &Target) -> Option<Ticket> {
        if !target.http2() {
            return None;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.places().entry(target.clone()).or_default().queue.insert(number);
        Some(Ticket { pool: self.clone(), target: target.clone(), number })
    }

    /// A connection for a request: one that is there, or a new one, for which this much time is given.
    pub(super) async fn lease(
        self: &Arc<Self>,
        target: &Target,
        time: Duration,
        ticket: Option<Ticket>,
    ) -> Result<Lease, Failure> {
        self.sweep_from_now_on();
        if let Some(connection) = self.take(target) {
            return Ok(Lease { connection, reused: true });
        }
        if target.http2() {
            let lease = self.lease_shared(target, time).await;
            if let (Err(_), Some(ticket)) = (&lease, ticket) {
                ticket.first().await;
            }
            return lease;
        }
        let connection = match self.connect(target, time).await? {
            Connection::Single(single) => Connection::Single(single),
            Connection::Shared(multiple) => {
                self.share(target, multiple.clone());
                Connection::Shared(multiple)
            }
        };
        Ok(Lease { connection, reused: false })
    }

    /// One that is there.
    fn take(&self, target: &Target) -> Option<Connection> {
        let now = Instant::now();
        let mut places = self.places();
        let place = places.get_mut(target)?;
        if let Some((shared, used)) = &mut place.shared
            && let Some(Ok(multiple)) = shared.get()
            && !multiple.sender.is_closed()
        {
            *used = now;
            return Some(Connection::Shared(multiple.clone()));
        }
        while let Some((single, since)) = place.idle.pop() {
            if now.duration_since(since) < KEEP && single.sender.is_ready() {
                return Some(Connection::Single(single));
            }
        }
        None
    }

    /// One of HTTP/2, where none is ready: all who ask meanwhile wait for the same.
    async fn lease_shared(&self, target: &Target, time: Duration) -> Result<Lease, Failure> {
        let shared = {
            let mut places = self.places();
            let place = places.entry(target.clone()).or_default();
            let awaited = place.shared.take().filter(|(shared, _)| match shared.get() {
                None => true,
                Some(Ok(multiple)) => !multiple.sender.is_closed(),
                Some(Err(_)) => false,
            });
            let (shared, _) = awaited.unwrap_or_else(|| (Arc::default(), Instant::now()));
            place.shared = Some((shared.clone(), Instant::now()));
            shared
        };
        let connect = || async {
            match self.connect(target, time).await? {
                Connection::Shared(multiple) => Ok(multiple),
                Connection::Single(_) => Err(Failure::Http2(String::from("the connection is one of HTTP/1"))),
            }
        };
        match shared.get_or_init(connect).await {
            Ok(multiple) => Ok(Lease { connection: Connection::Shared(multiple.clone()), reused: false }),
            Err(failure) => Err(failure.clone()),
        }
    }

    fn share(&self, target: &Target, multiple: Multiple) {
        let shared = Arc::new(Shared::new_with(Some(Ok(multiple))));
        self.places().entry(target.clone()).or_default().shared = Some((shared, Instant::now()));
    }

    async fn connect(&self, target: &Target, time: Duration) -> Result<Connection, Failure> {
        let connecting = tokio::time::timeout(time, self.set_up(target));
        let made = connecting.await.unwrap_or(Err(Failure::ConnectTimeout(time)));
        if let Err(failure) = &made {
            self.connector.cluster(target).connect_failed(matches!(failure, Failure::ConnectTimeout(_)));
        }
        made
    }

    async fn set_up(&self, target: &Target) -> Result<Connection, Failure> {
        let Connected { stream, http2, address, kept } = self.connector.connect(target).await?;
        let failed = |error: hyper::Error| Failure::Http2(story(&error));
        if http2 || target.http2() {
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder.timer(TokioTimer::new()).max_header_list_size(HEAD_LIMIT_BYTES);
            let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(failed)?;
            tokio::spawn(async move {
                let _kept = kept;
                if let Err(error) = connection.await {
                    tracing::debug!(error = story(&error), "a connection to an upstream ended");
                }
            });
            return Ok(Connection::Shared(Multiple { sender, address }));
        }
        let announcer = Announcer::default();
        let mut builder = http1::Builder::new();
        // What comes is within the limits already.
        builder.max_buf_size(2 * HEAD_LIMIT).max_header_size(2 * HEAD_LIMIT);
        let (mut sender, connection) =
            builder.handshake(TokioIo::new(Wire::new(stream, announcer.clone()))).await.map_err(failed)?;
        tokio::spawn(async move {
            let _kept = kept;
            if let Err(error) = connection.await {
                tracing::debug!(error = story(&error), "a connection to an upstream ended");
            }
        });
        sender.ready().await.map_err(|error| Failure::Lost(story(&error)))?;
        Ok(Connection::Single(Single { sender, announcer, address }))
    }

    /// Keeps a connection of HTTP/1, as soon as the answer on it has been read.
    fn keep(self: &Arc<Self>, target: Target, mut single: Single) {
        if single.sender.is_ready() {
            self.put(target, single);
            return;
        }
        let pool = Arc::downgrade(self);
        tokio::spawn(async move {
            // An answer that is not read to its end costs the connection.
            if single.sender.ready().await.is_ok()
                && let Some(pool) = pool.upgrade()
            {
                pool.put(target, single);
            }
        });
    }

    fn put(&self, target: Target, single: Single) {
        self.places().entry(target).or_default().idle.push((single, Instant::now()));
    }

    fn places(&self) -> MutexGuard<'_, HashMap<Target, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sweep_from_now_on(self: &Arc<Self>) {
        if !self.swept.swap(true, Ordering::Relaxed) {
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
    }
}

/// Lets go of connections that nobody used for a while.
async fn sweep(pool: Weak<Pool>) {
    loop {
        tokio::time::sleep(KEEP / 4).await;
        let Some(pool) = pool.upgrade() else { return };
        let now = Instant::now();
        pool.places().retain(|_, place| {
            place.idle.retain(|(single, since)| now.duration_since(*since) < KEEP && single.sender.is_ready());
            // Requests that are on it keep it by themselves.
            place.shared.take_if(|(shared, used)| shared.initialized() && now.duration_since(*used) >= KEEP);
            !place.idle.is_empty() || place.shared.is_some() || !place.queue.is_empty()
        });
    }
}

impl Lease {
    /// Where it leads.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match &self.connection {
            Connection::Single(single) => single.address,
            Connection::Shared(multiple) => multiple.address,
        }
    }

    /// Whether it is spoken in HTTP/2.
    pub(super) fn is_http2(&self) -> bool {
        matches!(self.connection, Connection::Shared(_))
    }

    /// Sends a request and waits for the head of its answer. A request that comes back was not written, not even in part.
    pub(super) async fn send(
        self,
        pool: &Arc<Pool>,
        target: &Target,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, Box<TrySendError<Request<RequestBody>>>> {
        match self.connection {
            Connection::Shared(mut multiple) => multiple.sender.try_send_request(request).await.map_err(Box::new),
            Connection::Single(mut single) => {
                single.announcer.announce(*request.method() == Method::HEAD);
                let answer = single.sender.try_send_request(request).await.map_err(Box::new)?;
                pool.keep(target.clone(), single);
                Ok(answer)
            }
        }
    }
}
