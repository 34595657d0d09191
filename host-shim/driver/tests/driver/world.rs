//! An edge that a test plays: it gives what it says came, and shows as text what it is told to do.

use proxy_wasm_abi::{
    pairs,
    settings::{Cluster, Origin, Settings},
};
use proxy_wasm_driver::{Action, Driver, Input, Peer, Turn};
use proxy_wasm_semantics::{CallId, GrpcTarget, HeaderMap, Kind, Request, UpstreamFailure};

use crate::common::{
    Bed, Call,
    filter::{Id, ScriptedFilter},
    text,
};

pub(crate) const MS: u64 = 1_000_000;

pub(crate) struct World<'a> {
    pub(crate) bed: &'a Bed,
    pub(crate) driver: Driver<'a, ScriptedFilter>,
    now: u64,
}

/// A started plugin whose settings know the cluster `auth`.
pub(crate) fn bed() -> Bed {
    bed_with(|_| {})
}

pub(crate) fn bed_with(change: impl FnOnce(&mut Settings)) -> Bed {
    Bed::with(|settings| {
        let origin = Origin { tls: false, authority: "auth:80".into() };
        settings.clusters.push(Cluster { name: "auth".into(), origin });
        change(settings);
    })
}

impl World<'static> {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// The test has seen what came of the plugin's start.
    pub(crate) fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::of(bed_with(change))
    }

    pub(crate) fn of(bed: Bed) -> Self {
        Self::on(Box::leak(Box::new(bed)))
    }
}

impl<'a> World<'a> {
    /// The same on a test bed that ends with the test.
    pub(crate) fn on(bed: &'a Bed) -> Self {
        let world = Self { bed, driver: Driver::new(&bed.chain), now: 0 };
        bed.clock_reads();
        world
    }

    /// On a host that tells of a body's end apart from its bytes.
    pub(crate) fn with_ends_apart(mut self) -> Self {
        self.driver = self.driver.with_ends_apart();
        self
    }

    pub(crate) fn turn(&mut self) -> Turn<'_, 'a, ScriptedFilter> {
        self.driver.turn()
    }

    /// The clock goes on; what is due by then is done, as an edge does that had a timer for it.
    pub(crate) fn pass(&mut self, milliseconds: u64) {
        self.now += milliseconds * MS;
        self.bed.set_clocks(0, self.now);
        self.turn().expire();
    }

    /// Milliseconds until the next deadline.
    pub(crate) fn deadline(&mut self) -> Option<u64> {
        let now = self.now;
        self.turn().deadline().map(|deadline| deadline.saturating_sub(now) / MS)
    }

    pub(crate) fn open(&mut self, method: &str, headers: &[(&str, &str)], end: bool) -> u32 {
        let headers = headers.iter().map(|(name, value)| (name.as_bytes().into(), value.as_bytes().into())).collect();
        let request = Request {
            method: method.as_bytes().into(),
            path: b"/p".into(),
            authority: b"h".into(),
            scheme: b"http".into(),
            headers,
            ..Request::default()
        };
        self.turn().open(request, end)
    }

    pub(crate) fn get(&mut self) -> u32 {
        self.open("GET", &[], true)
    }

    pub(crate) fn post(&mut self) -> u32 {
        self.open("POST", &[], false)
    }

    // Events.

    pub(crate) fn head(&mut self, peer: Peer, headers: &[(&str, &str)], end: bool) {
        let pairs = [(":status", "200")].into_iter().chain(headers.iter().copied());
        self.turn().input(peer, Input::Head(HeaderMap::from_pairs(Kind::Response, pairs), end));
    }

    /// A head of this status, and nothing else.
    pub(crate) fn status(&mut self, peer: Peer, status: &str) {
        self.turn().input(peer, Input::Head(HeaderMap::from_pairs(Kind::Response, [(":status", status)]), true));
    }

    pub(crate) fn data(&mut self, peer: Peer, bytes: &str) {
        self.turn().input(peer, Input::Data(bytes.into(), false));
    }

    pub(crate) fn last(&mut self, peer: Peer, bytes: &str) {
        self.turn().input(peer, Input::Data(bytes.into(), true));
    }

    pub(crate) fn end(&mut self, peer: Peer) {
        self.turn().input(peer, Input::End(None));
    }

    pub(crate) fn trailers(&mut self, peer: Peer, trailers: &[(&str, &str)]) {
        let trailers = HeaderMap::from_pairs(Kind::Trailers, trailers.iter().copied());
        self.turn().input(peer, Input::End(Some(trailers)));
    }

    pub(crate) fn broken(&mut self, peer: Peer) {
        self.turn().input(peer, Input::Broken);
    }

    pub(crate) fn failed(&mut self, peer: Peer, failure: UpstreamFailure, cause: Option<&'static str>) {
        self.turn().input(peer, Input::Failed(failure, cause.map(Into::into)));
    }

    pub(crate) fn written(&mut self, peer: Peer) {
        self.turn().written(peer);
    }

    pub(crate) fn wants(&mut self, peer: Peer) -> bool {
        self.turn().wants(peer)
    }

    // Actions.

    /// For an exchange.
    pub(crate) fn actions(&mut self, id: u32) -> Vec<String> {
        let mut turn = self.turn();
        std::iter::from_fn(|| turn.poll(id)).map(|action| show(&action)).collect()
    }

    /// For callouts.
    pub(crate) fn calls(&mut self) -> Vec<String> {
        let mut turn = self.turn();
        std::iter::from_fn(|| turn.poll_calls()).map(|action| show(&action)).collect()
    }

    /// Works, and then: for callouts.
    pub(crate) fn worked(&mut self) -> Vec<String> {
        self.turn().work();
        self.calls()
    }

    /// The exchanges that others moved.
    pub(crate) fn moved(&mut self) -> Vec<u32> {
        let mut turn = self.turn();
        std::iter::from_fn(|| turn.poll_moved()).collect()
    }

    pub(crate) fn is_over(&mut self, id: u32) -> bool {
        self.turn().is_over(id)
    }
}

/// A callout of the first plugin.
pub(crate) fn callout(token: u32) -> Peer {
    Peer::Callout(CallId { plugin: 0, token })
}

/// Has the filter call out, as a `GET` without a body.
pub(crate) fn call_out(filter: &Call<'_>, timeout_ms: u32) -> u32 {
    let head = [(":method", "GET"), (":path", "/c"), (":authority", "a")];
    call_with(filter, &head, "", &[], timeout_ms)
}

pub(crate) fn call_with(
    filter: &Call<'_>,
    headers: &[(&str, &str)],
    body: &str,
    trailers: &[(&str, &str)],
    timeout_ms: u32,
) -> u32 {
    let encoded =
        |map: &[(&str, &str)]| pairs::encode(map.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())));
    let token = filter.state().http_call(b"auth", &encoded(headers), body.into(), &encoded(trailers), timeout_ms);
    token.expect("it is accepted")
}

pub(crate) const METHOD: GrpcTarget<'_> = GrpcTarget { service: b"auth", name: b"s.S", method: b"M", metadata: b"" };

/// Every request of a filter waits for a callout, whose answer lets it go on.
pub(crate) fn waits_for_callout(bed: &Bed) {
    bed.on(Id::RequestHeaders, |filter| {
        call_out(filter, 500);
        1
    });
}

/// `upstream 2 request up GET /p end`, `client 2 response 200`, `callout 4 write "…"`, …
pub(crate) fn show(action: &Action) -> String {
    let ended = |end: &bool| if *end { " end" } else { "" };
    let value = |headers: &HeaderMap, name: &str| text(headers.get(name.as_bytes()).unwrap_or_default());
    match action {
        Action::Request { peer, to, headers, end, http2 } => {
            let http2 = if *http2 { " http2" } else { "" };
            let (method, path) = (value(headers, ":method"), value(headers, ":path"));
            format!(
                "{} request {} {method} {path}{http2}{}",
                name(peer),
                to.origin().map_or("next", |origin| &origin.authority),
                ended(end)
            )
        }
        Action::Response { id, headers, end, .. } => {
            format!("client {id} response {}{}", value(headers, ":status"), ended(end))
        }
        Action::Write(peer, bytes) => format!("{} write \"{}\"", name(peer), text(bytes)),
        Action::Finish(peer, None) => format!("{} finish", name(peer)),
        Action::Finish(peer, Some(_)) => format!("{} finish trailers", name(peer)),
        Action::Abort(id) => format!("client {id} abort"),
        Action::Release(peer) => format!("{} release", name(peer)),
    }
}

fn name(peer: &Peer) -> String {
    match peer {
        Peer::Client(id) => format!("client {id}"),
        Peer::Upstream(id) => format!("upstream {id}"),
        Peer::Callout(id) => format!("callout {}", id.token),
    }
}
