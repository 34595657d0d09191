//! What is counted of upstreams: by Envoy's clusters.
//!
//! The component names an address with each request, not a cluster: where two have the same, all is counted for the
//! first, and that is a route's. Addresses that the settings do not name are counted together.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use http::{Response, StatusCode};
use wasmtime_wasi_http::Error;

use super::counters::{Classes, Counter, Held, Level, Times};
use super::outgoing::{Purpose, Sender};
use super::record::Upstream;
use proxy_wasm_adapter::provenance::Provenance;

/// Where requests are counted whose address no setting names.
const OTHERS: &str = "others";

/// All clusters.
#[derive(Debug)]
pub(super) struct Clusters {
    /// By the authority of each endpoint, with its port.
    known: HashMap<String, Arc<Cluster>>,
    all: Vec<Arc<Cluster>>,
    others: Arc<Cluster>,
    /// The name of the one that the only route leads to.
    route: Option<String>,
}

/// What is counted of one. What each is, is what Envoy calls so.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) name: Arc<str>,
    /// Whether a route leads here.
    is_target: bool,
    pub(super) connections: Counter,
    pub(super) active_connections: Level,
    pub(super) connect_failures: Counter,
    pub(super) connect_timeouts: Counter,
    pub(super) requests: Counter,
    pub(super) active_requests: Level,
    pub(super) completed: Counter,
    pub(super) classes: Classes,
    /// Requests that were sent once more.
    pub(super) retries: Counter,
    /// Responses that a retry followed.
    pub(super) retried: Counter,
    pub(super) retried_classes: Classes,
    /// The component waited for a response no longer.
    pub(super) timeouts: Counter,
    /// The same, and a retry followed.
    pub(super) try_timeouts: Counter,
    /// Nobody waited for a connection any longer.
    pub(super) cancelled: Counter,
    /// The connection broke before there was a response.
    pub(super) resets: Counter,
    /// From the request to the head of its response.
    pub(super) times: Times,
}

impl Cluster {
    fn new(name: &str, is_target: bool) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            is_target,
            connections: Counter::default(),
            active_connections: Level::default(),
            connect_failures: Counter::default(),
            connect_timeouts: Counter::default(),
            requests: Counter::default(),
            active_requests: Level::default(),
            completed: Counter::default(),
            classes: Classes::default(),
            retries: Counter::default(),
            retried: Counter::default(),
            retried_classes: Classes::default(),
            timeouts: Counter::default(),
            try_timeouts: Counter::default(),
            cancelled: Counter::default(),
            resets: Counter::default(),
            times: Times::default(),
        })
    }

    /// A connection is made. It counts before it is there, as Envoy's.
    pub(super) fn connect(&self) -> Held {
        self.connections.add();
        self.active_connections.enter()
    }

    /// A connection could not be made. One that came too late counts twice, as Envoy was seen to count it.
    pub(super) fn connect_failed(&self, too_late: bool) {
        self.connect_failures.add();
        if too_late {
            self.connect_timeouts.add();
        }
    }

    /// A request is to be sent, to an address if that is known already. What is returned counts as given up where it is
    /// dropped before its end.
    pub(super) fn send(self: &Arc<Self>, sender: &Sender, address: Option<SocketAddr>) -> Sending {
        if let (Purpose::Upstream, Some(record)) = (sender.purpose, &sender.record) {
            record.try_again();
        }
        let sending = Sending {
            cluster: self.clone(),
            began: Instant::now(),
            sender: sender.clone(),
            active: None,
            is_over: false,
        };
        sending.note(|upstream, _| {
            let attempts = upstream.as_ref().map_or(0, |upstream| upstream.attempts) + 1;
            let cluster = self.name.clone();
            *upstream = Some(Upstream { cluster, attempts, address, version: None, responded: None });
        });
        sending
    }
}

/// A request to an upstream that came to its end. It counts when it is known whether the upstream is tried once more.
#[derive(Debug)]
pub(super) struct Tried {
    cluster: Arc<Cluster>,
    /// Of the response, or of what the filter sees instead.
    status: StatusCode,
    outcome: Outcome,
}

/// How it ended.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    /// With the head of a response, after so long.
    Responded(Duration),
    TimedOut,
    Failed,
}

impl Tried {
    /// It was the last.
    pub(super) fn count(self) {
        let cluster = &self.cluster;
        cluster.completed.add();
        cluster.classes.add(self.status);
        match self.outcome {
            Outcome::Responded(elapsed) => cluster.times.record(elapsed),
            Outcome::TimedOut => cluster.timeouts.add(),
            Outcome::Failed => {}
        }
    }

    /// A retry follows. Envoy counts its response then, and nothing of one that had none.
    pub(super) fn count_retry(self) {
        let cluster = &self.cluster;
        cluster.retries.add();
        match self.outcome {
            Outcome::Responded(_) => {
                cluster.retried.add();
                cluster.retried_classes.add(self.status);
            }
            Outcome::TimedOut => cluster.try_timeouts.add(),
            Outcome::Failed => {}
        }
    }
}

/// A request that waits for the head of its response.
pub(super) struct Sending {
    cluster: Arc<Cluster>,
    began: Instant,
    sender: Sender,
    /// It has a connection.
    active: Option<Held>,
    is_over: bool,
}

impl Sending {
    /// Tells it to the record of the request that the filter let through.
    fn note(&self, change: impl FnOnce(&mut Option<Upstream>, Duration)) {
        let is_upstream = match self.sender.purpose {
            Purpose::Upstream => true,
            Purpose::Callout => false,
            Purpose::Unsaid => self.cluster.is_target,
        };
        if let Some(record) = self.sender.record.as_ref().filter(|_| is_upstream) {
            record.upstream(change);
        }
    }

    /// It has a connection. Envoy counts none before.
    pub(super) fn goes_to(&mut self, address: Option<SocketAddr>) {
        if self.active.is_none() {
            self.cluster.requests.add();
            self.active = Some(self.cluster.active_requests.enter());
        }
        self.note(|upstream, _| {
            if let (Some(upstream), Some(_)) = (upstream, address) {
                upstream.address = address;
            }
        });
    }

    /// It came to this.
    pub(super) fn end<B>(mut self, result: Result<&Response<B>, &Error>) {
        self.is_over = true;
        if let Ok(response) = result {
            self.note(|upstream, now| {
                if let Some(upstream) = upstream {
                    (upstream.version, upstream.responded) = (Some(response.version()), Some(now));
                }
            });
        }
        match result {
            Ok(response) => self.came_to(response.status(), Outcome::Responded(self.began.elapsed())),
            Err(Error::ConnectionReadTimeout) => self.timed_out(),
            Err(error) => {
                if matches!(error, Error::ConnectionTerminated) {
                    self.cluster.resets.add();
                }
                self.came_to(StatusCode::SERVICE_UNAVAILABLE, Outcome::Failed);
            }
        }
    }

    fn timed_out(&self) {
        self.came_to(StatusCode::GATEWAY_TIMEOUT, Outcome::TimedOut);
    }

    fn came_to(&self, status: StatusCode, outcome: Outcome) {
        let tried = Tried { cluster: self.cluster.clone(), status, outcome };
        match (self.sender.purpose, &self.sender.record) {
            (Purpose::Upstream, Some(record)) => record.tried(tried),
            // By `wasi:http` nobody knows what is a retry.
            _ => tried.count(),
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let is_left = self.sender.record.as_ref().is_some_and(|record| record.is_left());
        if is_left || self.sender.abandoned.load(Ordering::Acquire) {
            // One that is on its way Envoy does not count.
            if self.active.is_none() {
                self.cluster.cancelled.add();
            }
        } else {
            // The component waits no longer: its time was over.
            self.timed_out();
        }
    }
}

impl Clusters {
    /// Those that the settings in a component name.
    pub(super) fn of(component: &[u8]) -> Self {
        let mut clusters = Self::none();
        let Some(Provenance { settings, .. }) = Provenance::read(component) else { return clusters };
        clusters.route = settings.routed_cluster().map(str::to_owned);
        let of_routes = settings.all_clusters().filter(|(name, _)| settings.is_target(name));
        for (name, url) in of_routes.chain(settings.all_clusters()) {
            let Some(authority) = authority(url).filter(|authority| !clusters.known.contains_key(authority)) else {
                continue;
            };
            let cluster = clusters.all.iter().find(|cluster| &*cluster.name == name).cloned();
            let cluster = cluster.unwrap_or_else(|| {
                let new = Cluster::new(name, settings.is_target(name));
                clusters.all.push(new.clone());
                new
            });
            clusters.known.insert(authority, cluster);
        }
        clusters
    }

    pub(super) fn none() -> Self {
        Self { known: HashMap::new(), all: Vec::new(), others: Cluster::new(OTHERS, false), route: None }
    }

    /// The cluster of an address, with its port.
    pub(super) fn get(&self, authority: &str) -> &Arc<Cluster> {
        self.known.get(authority).unwrap_or(&self.others)
    }

    /// The cluster of the only route, where it leads to one.
    pub(super) fn route(&self) -> Option<&str> {
        self.route.as_deref()
    }

    /// All of them; the one for addresses that nobody named, where there were such.
    pub(super) fn all(&self) -> impl Iterator<Item = &Cluster> {
        let others = (self.others.requests.get() > 0).then_some(&self.others);
        self.all.iter().chain(others).map(|cluster| &**cluster)
    }
}

fn authority(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    Some(with_port(rest.split('/').next()?, scheme == "https"))
}

/// An authority in the one way to spell it.
fn with_port(authority: &str, tls: bool) -> String {
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let port = match (has_port, tls) {
        (true, _) => "",
        (false, true) => ":443",
        (false, false) => ":80",
    };
    format!("{}{port}", authority.to_ascii_lowercase())
}
