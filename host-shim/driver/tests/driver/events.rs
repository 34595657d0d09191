//! Whatever comes, in whatever order: a filter with plans, and an edge that gives what may come.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use proxy_wasm_driver::{Input, Peer};
use proxy_wasm_semantics::{CallId, HeaderMap, Kind, Request, UpstreamFailure};

use crate::{
    common::{Bed, Call, Id},
    edge::Edge,
    world::{METHOD, World, call_out},
};

/// A filter's plan for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    Pass,
    /// Holds its head until the callout is back.
    CallOut,
    /// Holds its head until an answer to anybody's callout.
    Hold,
    /// Answers each callout with another one, some times.
    Loop(u8),
    Answer,
    /// Lets it go on, and holds the response's head until the callout is back.
    HoldResponse,
    /// Holds its head for a callout, and closes it when that is back.
    Close,
    /// Lets it go on, and sends so many messages in a gRPC stream.
    Stream(u8),
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Which plan, and whether the request has no body.
    Open(Plan, bool),
    Request(u8, Came),
    Response(u8, Came),
    Callout(u8, Came),
    Written(u8),
    Refused(u8),
    /// The client leaves.
    Leave(u8),
    /// Milliseconds.
    Pass(u16),
    Work,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Came {
    Head(bool),
    /// So many bytes; `true`: and the end with them.
    Data(u8, bool),
    End,
    Trailers,
    Broken,
    Failed,
}

impl Came {
    fn ends(self) -> bool {
        matches!(self, Self::Head(true) | Self::Data(_, true) | Self::End | Self::Trailers)
    }
}

/// The filter's notes: by context its plan, by token whose callout it is.
#[derive(Default)]
struct Notes {
    /// Of the requests that come.
    plans: Vec<Plan>,
    streams: BTreeMap<u32, Plan>,
    tokens: BTreeMap<u32, u32>,
}

pub(crate) struct Run<'a> {
    pub(crate) world: World<'a>,
    pub(crate) edge: Edge,
    notes: Rc<RefCell<Notes>>,
    opened: usize,
}

impl<'a> Run<'a> {
    pub(crate) fn new(bed: &'a Bed) -> Self {
        let notes = Rc::<RefCell<Notes>>::default();
        let on = |callback, script: fn(&Call<'_>, &RefCell<Notes>) -> u32| {
            let notes = notes.clone();
            bed.on(callback, move |filter| script(filter, &notes));
        };
        on(Id::RequestHeaders, request_headers);
        on(Id::ResponseHeaders, response_headers);
        on(Id::HttpCallResponse, call_response);
        Self { world: World::on(bed), edge: Edge::default(), notes, opened: 0 }
    }

    pub(crate) fn take(&mut self, step: &Step) {
        match step {
            Step::Open(plan, end) => {
                self.notes.borrow_mut().plans.push(*plan);
                let id = self.world.turn().open(request(*end), *end);
                self.opened += 1;
                self.edge.open.push(id);
                if *end {
                    self.edge.over.push(Peer::Client(id));
                }
                self.look(Some(id));
            }
            Step::Request(which, came) => {
                let Some(id) = choose(*which, &self.edge.open) else { return };
                self.came(Peer::Client(id), *came);
            }
            Step::Response(which, came) => {
                let Some(id) = choose(*which, &self.edge.open) else { return };
                self.came(Peer::Upstream(id), *came);
            }
            Step::Callout(which, came) => {
                if let Some(peer) = choose(*which, &self.edge.callouts()) {
                    self.came(peer, *came);
                }
            }
            Step::Written(which) | Step::Refused(which) => {
                let waiting = self.edge.peers.iter().filter(|(_, side)| side.waits).map(|(peer, _)| *peer);
                let Some(peer) = choose(*which, &waiting.collect::<Vec<_>>()) else { return };
                self.edge.side(peer).waits = false;
                if matches!(step, Step::Written(_)) {
                    self.world.turn().written(peer);
                } else {
                    self.world.turn().refused(peer);
                    self.edge.side(peer).released = true;
                }
                self.look(exchange_of(peer));
            }
            Step::Leave(which) => {
                let Some(id) = choose(*which, &self.edge.open) else { return };
                self.edge.over.push(Peer::Client(id));
                self.world.turn().client_gone(id);
                self.look(Some(id));
            }
            Step::Pass(milliseconds) => {
                self.world.pass((*milliseconds).into());
                self.look(None);
            }
            Step::Work => {
                self.world.turn().work();
                self.look(None);
            }
        }
    }

    /// Gives what came, where it can come and is wanted.
    pub(crate) fn came(&mut self, peer: Peer, came: Came) {
        let is_client = matches!(peer, Peer::Client(_));
        let asked = is_client || self.edge.side(peer).heads == 1;
        let begun = is_client || self.edge.begun.contains(&peer);
        let fits = match came {
            Came::Head(_) | Came::Failed => !is_client && !begun,
            Came::Data(..) | Came::End | Came::Trailers | Came::Broken => begun,
        };
        if !asked || !fits || self.edge.over.contains(&peer) || !self.world.wants(peer) {
            return;
        }
        if matches!(came, Came::Head(_)) {
            self.edge.begun.push(peer);
        }
        if came.ends() || matches!(came, Came::Broken | Came::Failed) {
            self.edge.over.push(peer);
        }
        let side = self.edge.side(other(peer));
        side.complete |= came.ends();
        let input = match came {
            Came::Head(end) => Input::Head(HeaderMap::from_pairs(Kind::Response, [(":status", "200")]), end),
            Came::Data(len, end) if is_grpc(peer) => Input::Data(message(len), end),
            Came::Data(len, end) => {
                let bytes: Vec<u8> = (0..len).map(|index| index.wrapping_add(side.came.len() as u8)).collect();
                side.came.extend(&bytes);
                Input::Data(bytes, end)
            }
            Came::End => Input::End(None),
            Came::Trailers => Input::End(Some(HeaderMap::from_pairs(Kind::Trailers, [("grpc-status", "0")]))),
            Came::Broken => Input::Broken,
            Came::Failed => Input::Failed(UpstreamFailure::ConnectionFailed, None),
        };
        self.world.turn().input(peer, input);
        self.look(exchange_of(peer));
    }

    /// Does what is to be done for the exchange whose event it was, and for those that are named; nothing else may be.
    fn look(&mut self, current: Option<u32>) {
        let mut turn = self.world.driver.turn();
        let mut named: Vec<u32> = std::iter::from_fn(|| turn.poll_moved()).collect();
        named.extend(current);
        for id in self.edge.open.clone() {
            while let Some(action) = turn.poll(id) {
                assert!(named.contains(&id), "{id} has {action:?}, and was not named: {named:?}");
                self.edge.perform(action);
            }
        }
        while let Some(action) = turn.poll_calls() {
            self.edge.perform(action);
        }
        for id in self.edge.open.clone() {
            if turn.is_over(id) {
                turn.close(id);
                self.edge.open.retain(|open| *open != id);
            }
        }
        self.edge.check();
    }

    /// Time goes on from limit to limit, and nothing else comes, but that gRPC streams break off: a filter may keep one
    /// open for ever.
    pub(crate) fn run_out(&mut self) {
        for _ in 0..10_000 {
            for (peer, side) in &mut self.edge.peers {
                if std::mem::take(&mut side.waits) {
                    self.world.driver.turn().written(*peer);
                }
            }
            let more = self.world.turn().work();
            self.look(None);
            for peer in self.edge.callouts().into_iter().filter(|peer| is_grpc(*peer)) {
                self.came(peer, if self.edge.begun.contains(&peer) { Came::Broken } else { Came::Failed });
            }
            if self.edge.open.is_empty() && !self.world.turn().has_calls() && !self.world.bed.chain.has_work() {
                return;
            }
            if !more {
                let stays = self.world.turn().stays();
                let deadline = self.world.deadline();
                assert!(deadline.is_some() || stays || self.edge.open.is_empty(), "nothing would wake the edge");
                self.world.pass(deadline.unwrap_or(5_000).max(1));
                self.look(None);
            }
        }
        panic!("it never ends: {:?}", self.edge.open);
    }

    /// Each exchange ended once for the filter, and each callout came back to it once.
    pub(crate) fn check_ends(&self) {
        let trace = self.world.bed.trace();
        for callback in ["log", "done", "delete"] {
            check_once(&trace, callback, self.opened);
        }
        let (grpc, http): (Vec<Peer>, Vec<Peer>) = self.edge.callouts().into_iter().partition(|peer| is_grpc(*peer));
        check_once(&trace, "http_call_response", http.len());
        check_once(&trace, "grpc_close", grpc.len());
    }
}

fn request_headers(filter: &Call<'_>, notes: &RefCell<Notes>) -> u32 {
    let plan = notes.borrow_mut().plans.pop().unwrap_or(Plan::Pass);
    notes.borrow_mut().streams.insert(filter.context(), plan);
    match plan {
        Plan::Pass | Plan::HoldResponse => 0,
        Plan::Answer => {
            filter.reply(403, "no");
            1
        }
        Plan::Hold => 1,
        Plan::CallOut | Plan::Loop(_) | Plan::Close => {
            notes.borrow_mut().tokens.insert(call_out(filter, 5_000), filter.context());
            1
        }
        Plan::Stream(messages) => {
            let token = filter.state().grpc_stream(METHOD).expect("it is accepted");
            for _ in 0..messages {
                filter.state().grpc_send(token, b"m", false).expect("it is open");
            }
            0
        }
    }
}

fn response_headers(filter: &Call<'_>, notes: &RefCell<Notes>) -> u32 {
    if notes.borrow().streams.get(&filter.context()) != Some(&Plan::HoldResponse) {
        return 0;
    }
    notes.borrow_mut().tokens.insert(call_out(filter, 5_000), filter.context());
    1
}

fn call_response(filter: &Call<'_>, notes: &RefCell<Notes>) -> u32 {
    let whose = notes.borrow().tokens[&filter.token()];
    let plan = notes.borrow().streams[&whose];
    if let Plan::Loop(left @ 1..) = plan {
        notes.borrow_mut().streams.insert(whose, Plan::Loop(left - 1));
        notes.borrow_mut().tokens.insert(call_out(filter, 5_000), whose);
        return 0;
    }
    let notes = notes.borrow();
    let held = notes.streams.iter().filter(|(_, plan)| **plan == Plan::Hold).map(|(id, _)| *id);
    for context in held.chain([whose]) {
        if filter.state().set_effective_context(context).is_ok() {
            match notes.streams[&context] {
                Plan::Close => filter.state().close_stream(0).expect("it is open"),
                Plan::HoldResponse => filter.state().continue_stream(1).expect("it is open"),
                _ => filter.state().continue_stream(0).expect("it is open"),
            }
        }
    }
    0
}

pub(crate) fn request(end: bool) -> Request<'static> {
    Request {
        method: if end { b"GET".into() } else { b"POST".into() },
        path: b"/p".into(),
        authority: b"h".into(),
        scheme: b"http".into(),
        ..Request::default()
    }
}

/// A message of gRPC; one that is as long as they get is malformed.
fn message(len: u8) -> Vec<u8> {
    let flags = if len == 8 { 2 } else { 0 };
    [&[flags, 0, 0, 0, len][..], &vec![b'm'; len.into()]].concat()
}

fn choose<T: Copy>(which: u8, among: &[T]) -> Option<T> {
    (!among.is_empty()).then(|| among[usize::from(which) % among.len()])
}

/// Whose bytes are written to this peer.
fn other(peer: Peer) -> Peer {
    match peer {
        Peer::Client(id) => Peer::Upstream(id),
        Peer::Upstream(id) => Peer::Client(id),
        Peer::Callout(_) => peer,
    }
}

fn is_grpc(peer: Peer) -> bool {
    matches!(peer, Peer::Callout(CallId { token, .. }) if token & 3 != 0)
}

fn exchange_of(peer: Peer) -> Option<u32> {
    match peer {
        Peer::Client(id) | Peer::Upstream(id) => Some(id),
        Peer::Callout(_) => None,
    }
}

/// A callback ran for so many, once for each.
fn check_once(trace: &[String], callback: &str, whom: usize) {
    let mut counts = BTreeMap::<&str, usize>::new();
    for arguments in trace.iter().filter_map(|line| line.strip_prefix(callback)) {
        let first = arguments.trim_start_matches("(1,").trim_matches(['(', ')']).split(',').next();
        *counts.entry(first.unwrap_or_default()).or_default() += 1;
    }
    assert!(counts.len() == whom && counts.values().all(|count| *count == 1), "{callback} for {whom}: {counts:?}");
}
