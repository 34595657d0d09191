//! One request, as the counters and the access log see it.
//!
//! Everybody who has part in a request holds its record: the connection, until it has sent the response, and the component,
//! until it is through. With the last of them the record is complete: it counts, and is written to the access log.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};

use super::access_log::AccessLog;
use super::clusters::Tried;
use super::counters::{Counters, Held};
use super::front::Refusal;
use super::pace::Pace;
use super::plugin::Remains;
use super::target::RawTarget;

/// Makes records.
pub(super) struct Observer {
    pub(super) counters: Arc<Counters>,
    access_log: Option<Arc<AccessLog>>,
    requests: AtomicU64,
}

impl Observer {
    pub(super) fn new(counters: Arc<Counters>, access_log: Option<Arc<AccessLog>>) -> Self {
        Self { counters, access_log, requests: AtomicU64::new(0) }
    }

    /// A request's head is there; it came on a connection between these addresses, the client's first.
    pub(super) fn begin<B>(&self, request: &Request<B>, ends: Option<(SocketAddr, SocketAddr)>) -> Arc<Record> {
        let downstream = &self.counters.downstream;
        downstream.requests.add();
        if request.version() == Version::HTTP_2 { &downstream.http2_requests } else { &downstream.http1_requests }
            .add();
        let entry = self.access_log.clone().map(|log| {
            let head = Head {
                method: request.method().clone(),
                path: path(request),
                uri: request.uri().clone(),
                version: request.version(),
                headers: request.headers().clone(),
            };
            Logged { log, head, started: SystemTime::now(), ends, entry: Mutex::default() }
        });
        Arc::new(Record {
            active: Some(downstream.active_requests.enter()),
            counters: self.counters.clone(),
            number: self.requests.fetch_add(1, Relaxed) + 1,
            began: Instant::now(),
            status: AtomicU16::new(0),
            ended: OnceLock::new(),
            is_decided: AtomicBool::new(false),
            is_received: AtomicBool::new(false),
            is_whole: AtomicBool::new(false),
            is_reset: AtomicBool::new(false),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            tried: Mutex::default(),
            pace: Arc::default(),
            logged: entry,
        })
    }
}

/// A request.
pub(super) struct Record {
    counters: Arc<Counters>,
    active: Option<Held>,
    /// Counts the requests of this host, from 1.
    number: u64,
    began: Instant,
    /// Of the response; 0 before there is one.
    status: AtomicU16,
    /// When the connection was through with it.
    ended: OnceLock<Duration>,
    /// A response was decided on.
    is_decided: AtomicBool,
    /// All of the request was received before that.
    is_received: AtomicBool,
    /// The response was sent to its end.
    is_whole: AtomicBool,
    /// The response was broken off on this side.
    is_reset: AtomicBool,
    /// Bytes of body that came, and that went.
    received: AtomicU64,
    sent: AtomicU64,
    /// What the last request to the upstream came to, while another might follow.
    tried: Mutex<Option<Tried>>,
    pub(super) pace: Arc<Pace>,
    /// `None` where nobody reads the access log.
    logged: Option<Logged>,
}

/// What only the access log needs.
struct Logged {
    log: Arc<AccessLog>,
    head: Head,
    started: SystemTime,
    ends: Option<(SocketAddr, SocketAddr)>,
    entry: Mutex<Entry>,
}

/// A request's head as it came.
pub(super) struct Head {
    pub(super) method: Method,
    /// With its query.
    pub(super) path: String,
    pub(super) uri: Uri,
    pub(super) version: Version,
    pub(super) headers: HeaderMap,
}

/// The target of a request as it is on the wire, without what precedes its path.
fn path<B>(request: &Request<B>) -> String {
    match request.extensions().get() {
        Some(RawTarget(target)) => target.clone(),
        None => request.uri().path_and_query().map_or("/", |path| path.as_str()).into(),
    }
}

/// What comes to be known of a request.
#[derive(Default)]
struct Entry {
    response: Option<HeaderMap>,
    trailers: Option<HeaderMap>,
    request_ended: Option<Duration>,
    upstream: Option<Upstream>,
    remains: Option<Remains>,
    /// In Envoy's words, where the component could not say it.
    details: Option<&'static str>,
    flags: u64,
    /// It was refused before its head was read: what is known of that stands for it.
    is_unread: bool,
}

/// The request to the upstream, of several tries the last.
#[derive(Clone)]
pub(super) struct Upstream {
    /// The name of its cluster.
    pub(super) cluster: Arc<str>,
    pub(super) attempts: u64,
    pub(super) address: Option<SocketAddr>,
    pub(super) version: Option<Version>,
    /// When the head of the response came.
    pub(super) responded: Option<Duration>,
}

impl Record {
    fn entry(&self) -> Option<MutexGuard<'_, Entry>> {
        self.logged.as_ref().map(|logged| logged.entry.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Its number among all requests of this host.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Whether somebody wants to know what the component has to say of it.
    pub(super) fn is_logged(&self) -> bool {
        self.logged.is_some()
    }

    /// The response's head is on its way to the client; tells whether all of the request had come.
    pub(super) fn respond<B>(&self, response: &Response<B>) -> bool {
        let is_received = self.is_received.load(Relaxed);
        if !is_received {
            self.counters.downstream.answered_early.add();
        }
        self.status.store(response.status().as_u16(), Relaxed);
        self.counters.downstream.completed.add();
        self.counters.downstream.classes.add(response.status());
        if let Some(mut entry) = self.entry() {
            entry.response = Some(response.headers().clone());
        }
        is_received
    }

    /// So many bytes of the request's body came.
    pub(super) fn receive(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Relaxed);
    }

    /// There is a response, which the connection is to have: what comes of the request from now on comes behind it.
    pub(super) fn decide(&self) {
        self.is_decided.store(true, Relaxed);
        if let Some(tried) = self.take_tried() {
            tried.count();
        }
    }

    fn take_tried(&self) -> Option<Tried> {
        self.tried.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// A request to the upstream came to its end. It is the last, unless another one is sent before the response is decided on.
    pub(super) fn tried(&self, tried: Tried) {
        if self.is_decided.load(Relaxed) {
            return tried.count();
        }
        *self.tried.lock().unwrap_or_else(PoisonError::into_inner) = Some(tried);
    }

    /// A request to the upstream is sent: where there was one before, it is a retry.
    pub(super) fn try_again(&self) {
        if let Some(tried) = self.take_tried() {
            tried.count_retry();
        }
    }

    /// The request is complete.
    pub(super) fn receive_end(&self) {
        if !self.is_decided.load(Relaxed) {
            self.is_received.store(true, Relaxed);
        }
        let elapsed = self.began.elapsed();
        if let Some(mut entry) = self.entry() {
            entry.request_ended.get_or_insert(elapsed);
        }
    }

    /// So many bytes of the response's body went.
    pub(super) fn send(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Relaxed);
    }

    /// The response's trailers went.
    pub(super) fn send_trailers(&self, trailers: &HeaderMap) {
        if let Some(mut entry) = self.entry() {
            entry.trailers = Some(trailers.clone());
        }
    }

    /// The response went to its end.
    pub(super) fn send_end(&self) {
        if self.ended.set(self.began.elapsed()).is_ok() {
            self.is_whole.store(true, Relaxed);
        }
    }

    /// The response was broken off on this side.
    pub(super) fn reset(&self) {
        if self.ended.set(self.began.elapsed()).is_ok() {
            self.is_reset.store(true, Relaxed);
        }
    }

    /// The connection is through with it, whatever came of it.
    pub(super) fn leave(&self) {
        // It may have ended before.
        let _ = self.ended.set(self.began.elapsed());
    }

    /// Whether there is a response.
    pub(super) fn is_answered(&self) -> bool {
        self.status.load(Relaxed) != 0 || self.ended.get().is_some()
    }

    /// Whether the client went before the response's end.
    pub(super) fn is_left(&self) -> bool {
        self.ended.get().is_some() && !self.is_whole.load(Relaxed) && !self.is_reset.load(Relaxed)
    }

    /// A request to the upstream began, or came further.
    pub(super) fn upstream(&self, change: impl FnOnce(&mut Option<Upstream>, Duration)) {
        let elapsed = self.began.elapsed();
        if let Some(mut entry) = self.entry() {
            change(&mut entry.upstream, elapsed);
        }
    }

    /// What the component has to say of it.
    pub(super) fn tell(&self, remains: Option<Remains>) {
        if let Some(mut entry) = self.entry() {
            entry.remains = remains;
        }
    }

    /// Why the response is what it is, in Envoy's words, where there is nobody else who could say it.
    pub(super) fn explain(&self, details: &'static str) {
        if let Some(mut entry) = self.entry() {
            entry.details.get_or_insert(details);
        }
    }
}

impl Record {
    /// The request was refused by this host, in its body or before its head was read.
    pub(super) fn refuse(&self, refusal: Refusal, is_unread: bool) {
        if let Some(mut entry) = self.entry() {
            (entry.details, entry.flags) = refusal.in_the_log();
            entry.is_unread = is_unread;
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        // Whoever finds it counted finds it gone.
        self.active = None;
        if let Some(tried) = self.take_tried() {
            tried.count();
        }
        let downstream = &self.counters.downstream;
        let elapsed = *self.ended.get_or_init(|| self.began.elapsed());
        let is_whole = self.is_whole.load(Relaxed);
        if is_whole {
            downstream.times.record(elapsed);
        } else if self.is_reset.load(Relaxed) {
            downstream.sent_resets.add();
        } else {
            downstream.received_resets.add();
        }
        let Some(Logged { log, head, started, ends, entry }) = self.logged.take() else { return };
        let entry = entry.into_inner().unwrap_or_else(PoisonError::into_inner);
        let status = StatusCode::from_u16(self.status.load(Relaxed)).ok();
        log.write(&Exchange {
            number: self.number,
            head,
            started,
            ends,
            status,
            is_left: !is_whole && !self.is_reset.load(Relaxed),
            response: entry.response,
            trailers: entry.trailers,
            received: self.received.load(Relaxed),
            sent: self.sent.load(Relaxed),
            elapsed,
            request_ended: entry.request_ended,
            upstream: entry.upstream,
            remains: entry.remains,
            details: entry.details,
            flags: entry.flags,
            is_unread: entry.is_unread,
        });
    }
}

/// All that is known of a request that is over.
pub(super) struct Exchange {
    pub(super) number: u64,
    pub(super) head: Head,
    pub(super) started: SystemTime,
    /// The client's address, and the one that it connected to.
    pub(super) ends: Option<(SocketAddr, SocketAddr)>,
    pub(super) status: Option<StatusCode>,
    /// The client went before the response's end.
    pub(super) is_left: bool,
    pub(super) response: Option<HeaderMap>,
    pub(super) trailers: Option<HeaderMap>,
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) elapsed: Duration,
    pub(super) request_ended: Option<Duration>,
    pub(super) upstream: Option<Upstream>,
    pub(super) remains: Option<Remains>,
    pub(super) details: Option<&'static str>,
    /// Response flags, where the component could not say them.
    pub(super) flags: u64,
    /// Nothing of its head is known.
    pub(super) is_unread: bool,
}
