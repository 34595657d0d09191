//! Whatever comes, in whatever order: nothing is lost, nothing comes twice, each exchange and callout ends once, the edge is
//! told whom to look at, and no time limit is forgotten.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use proptest::{prelude::*, sample::Index};
use proxy_wasm_driver::{Action, Input, Peer};
use proxy_wasm_semantics::{CallId, HeaderMap, Kind, Request, UpstreamFailure};

use crate::{
    common::Id,
    world::{MS, World, call_out},
};

/// A filter's plan for a request's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plan {
    Pass,
    /// Holds it until its callout is back.
    CallOut,
    /// Holds it until an answer to anybody's callout.
    Hold,
    /// Answers each callout with another one, some times.
    Loop(u8),
    Answer,
}

#[derive(Clone, Debug)]
enum Step {
    Open(Plan, bool),
    Request(Index, Came),
    Response(Index, Came),
    Callout(Index, Came),
    Written(Index),
    Refused(Index),
    Pass(u16),
    Work,
}

#[derive(Clone, Copy, Debug)]
enum Came {
    Head(bool),
    Data(u8),
    End,
    Broken,
    Failed,
}

fn came() -> impl Strategy<Value = Came> {
    prop_oneof![
        2 => any::<bool>().prop_map(Came::Head),
        4 => (1u8..9).prop_map(Came::Data),
        3 => Just(Came::End),
        1 => Just(Came::Broken),
        1 => Just(Came::Failed),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let plan = prop_oneof![
        3 => Just(Plan::Pass),
        3 => Just(Plan::CallOut),
        1 => Just(Plan::Hold),
        1 => (1u8..4).prop_map(Plan::Loop),
        1 => Just(Plan::Answer),
    ];
    prop_oneof![
        3 => (plan, any::<bool>()).prop_map(|(plan, end)| Step::Open(plan, end)),
        4 => (any::<Index>(), came()).prop_map(|(which, came)| Step::Request(which, came)),
        4 => (any::<Index>(), came()).prop_map(|(which, came)| Step::Response(which, came)),
        3 => (any::<Index>(), came()).prop_map(|(which, came)| Step::Callout(which, came)),
        4 => any::<Index>().prop_map(Step::Written),
        1 => any::<Index>().prop_map(Step::Refused),
        1 => (0u16..60_000).prop_map(Step::Pass),
        4 => Just(Step::Work),
    ]
}

/// The edge's side of one peer.
#[derive(Debug, Default)]
struct Side {
    /// Bytes that came from the other side.
    came: Vec<u8>,
    written: Vec<u8>,
    heads: u32,
    ends: u32,
    /// Something waits to be written.
    waits: bool,
    /// Nothing more may be told for it.
    released: bool,
}

#[derive(Default)]
struct Edge {
    /// Under way: those whose response the driver waits for.
    peers: Vec<(Peer, Side)>,
    open: Vec<u32>,
    /// Peers whose response has begun, and those whose response is over.
    begun: Vec<Peer>,
    over: Vec<Peer>,
}

impl Edge {
    fn side(&mut self, peer: Peer) -> &mut Side {
        if !self.peers.iter().any(|(known, _)| *known == peer) {
            self.peers.push((peer, Side::default()));
        }
        &mut self.peers.iter_mut().find(|(known, _)| *known == peer).expect("it was added").1
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Request { peer, end, .. } => self.head(peer, end),
            Action::Response { id, end, .. } => self.head(Peer::Client(id), end),
            Action::Write(peer, bytes) => {
                let side = self.side(peer);
                assert!(side.heads == 1 && side.ends == 0 && !side.released, "{peer:?}: {side:?}");
                side.written.extend(bytes);
                side.waits = true;
            }
            Action::Finish(peer, _) => {
                let side = self.side(peer);
                assert!(side.heads == 1 && side.ends == 0 && !side.released, "{peer:?}: {side:?}");
                side.ends += 1;
                side.waits = true;
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

    fn release(&mut self, peer: Peer) {
        let side = self.side(peer);
        side.released = true;
        side.waits = false;
    }
}

struct Run {
    world: World,
    edge: Edge,
    plans: Rc<RefCell<Vec<Plan>>>,
}

impl Run {
    fn new() -> Self {
        let world = World::new();
        let plans: Rc<RefCell<Vec<Plan>>> = Rc::default();
        // By context: what its filter does. By token: whose callout it is.
        let streams: Rc<RefCell<BTreeMap<u32, Plan>>> = Rc::default();
        let tokens: Rc<RefCell<BTreeMap<u32, u32>>> = Rc::default();
        let (next, known, asked) = (plans.clone(), streams.clone(), tokens.clone());
        world.bed.on(Id::RequestHeaders, move |filter| {
            let plan = next.borrow_mut().pop().unwrap_or(Plan::Pass);
            known.borrow_mut().insert(filter.context(), plan);
            match plan {
                Plan::Pass => return 0,
                Plan::Answer => filter.reply(403, "no"),
                Plan::Hold => {}
                Plan::CallOut | Plan::Loop(_) => {
                    asked.borrow_mut().insert(call_out(filter, 5_000), filter.context());
                }
            }
            1
        });
        world.bed.on(Id::HttpCallResponse, move |filter| {
            let whose = tokens.borrow()[&filter.token()];
            let plan = streams.borrow()[&whose];
            if let Plan::Loop(left @ 1..) = plan {
                streams.borrow_mut().insert(whose, Plan::Loop(left - 1));
                tokens.borrow_mut().insert(call_out(filter, 5_000), whose);
                return 0;
            }
            let held: Vec<u32> =
                streams.borrow().iter().filter(|(_, plan)| **plan == Plan::Hold).map(|(id, _)| *id).collect();
            for context in held.into_iter().chain([whose]) {
                if filter.state().set_effective_context(context).is_ok() {
                    filter.state().continue_stream(0).unwrap();
                }
            }
            0
        });
        Self { world, edge: Edge::default(), plans }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Open(plan, end) => {
                self.plans.borrow_mut().push(*plan);
                let id = self.world.turn().open(request(*end), *end);
                self.edge.open.push(id);
                if *end {
                    self.edge.over.push(Peer::Client(id));
                }
                self.look(Some(id));
            }
            Step::Request(which, came) => {
                let Some(id) = choose(which, &self.edge.open) else { return };
                self.came(Peer::Client(id), *came);
            }
            Step::Response(which, came) => {
                let Some(id) = choose(which, &self.edge.open) else { return };
                self.came(Peer::Upstream(id), *came);
            }
            Step::Callout(which, came) => {
                let callouts: Vec<Peer> = self.edge.peers.iter().map(|(peer, _)| *peer).filter(is_callout).collect();
                if let Some(peer) = choose(which, &callouts) {
                    self.came(peer, *came);
                }
            }
            Step::Written(which) | Step::Refused(which) => {
                let waiting = self.edge.peers.iter().filter(|(_, side)| side.waits).map(|(peer, _)| *peer);
                let Some(peer) = choose(which, &waiting.collect::<Vec<_>>()) else { return };
                self.edge.side(peer).waits = false;
                if matches!(step, Step::Written(_)) {
                    self.world.turn().written(peer);
                } else {
                    self.world.turn().refused(peer);
                    self.edge.side(peer).released = true;
                }
                self.look(exchange_of(peer));
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
    fn came(&mut self, peer: Peer, came: Came) {
        let is_client = matches!(peer, Peer::Client(_));
        let asked = is_client || self.edge.side(peer).heads == 1;
        let begun = is_client || self.edge.begun.contains(&peer);
        let fits = match came {
            Came::Head(_) | Came::Failed => !is_client && !begun,
            Came::Data(_) | Came::End | Came::Broken => begun,
        };
        if !asked || !fits || self.edge.over.contains(&peer) || !self.world.wants(peer) {
            return;
        }
        let input = match came {
            Came::Head(end) => Input::Head(HeaderMap::from_pairs(Kind::Response, [(":status", "200")]), end),
            Came::Data(len) => {
                let other = match peer {
                    Peer::Client(id) => Peer::Upstream(id),
                    Peer::Upstream(id) => Peer::Client(id),
                    Peer::Callout(_) => peer,
                };
                let side = self.edge.side(other);
                let bytes: Vec<u8> = (0..len).map(|index| index.wrapping_add(side.came.len() as u8)).collect();
                side.came.extend(&bytes);
                Input::Data(bytes, false)
            }
            Came::End => Input::End(None),
            Came::Broken => Input::Broken,
            Came::Failed => Input::Failed(UpstreamFailure::ConnectionFailed, None),
        };
        if matches!(came, Came::Head(_)) {
            self.edge.begun.push(peer);
        }
        if matches!(came, Came::Head(true) | Came::End | Came::Broken | Came::Failed) {
            self.edge.over.push(peer);
        }
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
        for (peer, side) in &self.edge.peers {
            if !is_callout(peer) {
                // A local response is not what came.
                let expected = &side.came[..side.written.len().min(side.came.len())];
                assert!(
                    side.written == expected || side.written == b"no" || is_error(&side.written),
                    "{peer:?}: {side:?}"
                );
            }
        }
    }

    /// Time goes on from limit to limit, and nothing else comes.
    fn run_out(&mut self) {
        for _ in 0..10_000 {
            for (peer, side) in &mut self.edge.peers {
                if std::mem::take(&mut side.waits) {
                    self.world.driver.turn().written(*peer);
                }
            }
            let more = self.world.turn().work();
            self.look(None);
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
}

fn request(end: bool) -> Request {
    Request {
        method: if end { b"GET".into() } else { b"POST".into() },
        path: b"/p".into(),
        authority: b"h".into(),
        scheme: b"http".into(),
        ..Request::default()
    }
}

fn choose<T: Copy>(which: &Index, among: &[T]) -> Option<T> {
    (!among.is_empty()).then(|| *which.get(among))
}

fn is_callout(peer: &Peer) -> bool {
    matches!(peer, Peer::Callout(CallId { .. }))
}

fn exchange_of(peer: Peer) -> Option<u32> {
    match peer {
        Peer::Client(id) | Peer::Upstream(id) => Some(id),
        Peer::Callout(_) => None,
    }
}

fn is_error(bytes: &[u8]) -> bool {
    [b"upstream connect error".as_slice(), b"upstream request timeout", b"stream timeout"]
        .iter()
        .any(|error| bytes.starts_with(error))
}

/// How often a callback ran for each of its first arguments that tell whom it is for.
fn counted(trace: &[String], callback: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in trace {
        if let Some(rest) = line.strip_prefix(callback) {
            let whom = rest.trim_start_matches("(1,").trim_matches(['(', ')']).split(',').next().unwrap_or_default();
            *counts.entry(whom.to_string()).or_default() += 1;
        }
    }
    counts
}

proptest! {
    #[test]
    fn whatever_comes_in_whatever_order(steps in proptest::collection::vec(step(), 0..120)) {
        let mut run = Run::new();
        for step in &steps {
            run.take(step);
        }
        run.run_out();
        let trace = run.world.bed.trace();
        let opened = steps.iter().filter(|step| matches!(step, Step::Open(..))).count();
        for callback in ["log", "done", "delete"] {
            let counts = counted(&trace, callback);
            prop_assert_eq!(counts.len(), opened, "{} of each", callback);
            prop_assert!(counts.values().all(|count| *count == 1), "{}: {:?}", callback, counts);
        }
        let callouts = run.edge.peers.iter().filter(|(peer, _)| is_callout(peer)).count();
        let answers = counted(&trace, "http_call_response");
        prop_assert_eq!(answers.len(), callouts, "each comes back");
        prop_assert!(answers.values().all(|count| *count == 1), "once: {:?}", answers);
    }
}

/// A body that nobody breaks off arrives whole, through a filter that holds it for a while.
#[test]
fn what_was_held_arrives_whole() {
    let mut run = Run::new();
    run.take(&Step::Open(Plan::CallOut, false));
    run.take(&Step::Work);
    let id = run.edge.open[0];
    for came in [Came::Data(5), Came::Data(8), Came::End] {
        run.came(Peer::Client(id), came);
    }
    assert_eq!(run.edge.side(Peer::Upstream(id)).written, [0; 0]);
    let callout = run.edge.peers.iter().map(|(peer, _)| *peer).find(is_callout).expect("it was made");
    run.came(callout, Came::Head(true));
    let side = run.edge.side(Peer::Upstream(id));
    assert_eq!((side.written.len(), side.ends), (13, 1));
    assert_eq!(side.written, side.came);
    run.world.bed.set_clocks(0, 10 * MS);
    run.run_out();
}
