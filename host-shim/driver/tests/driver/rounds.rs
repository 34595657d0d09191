//! The round of an edge that has streams: who is read before whom, how far, and what becomes of what goes out.

use std::{cell::RefCell, collections::VecDeque, task::Poll};

use proxy_wasm_driver::{Action, Edge, Gone, Input, Peer, Peers, Sink, Streams, Turn, fields, set_status};
use proxy_wasm_semantics::{Guest, HeaderMap, Kind, Request};

use crate::{
    common::Id,
    world::{World, bed, callout, show, waits_for_callout},
};

/// What comes from a peer, one input a read, and what goes to it.
#[derive(Default)]
struct Side {
    comes: VecDeque<Input>,
    is_ahead: bool,
    is_over: bool,
    sink: Option<Room>,
}

/// A body that the host takes as far as there is room.
#[derive(Default)]
struct Room {
    /// How many bytes it takes; none: it is gone.
    room: Option<usize>,
    queued: usize,
    ends: bool,
}

impl Sink for Room {
    fn push(&mut self, bytes: Vec<u8>) {
        self.queued += bytes.len();
    }

    fn has_more(&self) -> bool {
        self.queued > 0 || self.ends
    }

    fn pump(&mut self) -> Poll<Result<(), Gone>> {
        let Some(room) = &mut self.room else { return Poll::Ready(Err(Gone)) };
        let taken = self.queued.min(*room);
        *room -= taken;
        self.queued -= taken;
        if self.queued > 0 { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    fn is_finished(&self) -> bool {
        self.ends && self.queued == 0
    }
}

impl Streams for Side {
    type Sink = Room;

    fn sink(&mut self) -> &mut Option<Room> {
        &mut self.sink
    }

    fn read<G: Guest>(&mut self, _: Peer, _: &Turn<'_, '_, G>, _: bool) -> Option<Input> {
        let input = self.comes.pop_front();
        self.is_over |= !matches!(input, None | Some(Input::Head(_, false) | Input::Data(_, false)));
        input
    }

    fn is_ahead(&self) -> bool {
        self.is_ahead
    }

    fn is_over(&self) -> bool {
        self.is_over
    }
}

/// It knows in advance what will come from whom, and notes what it is told.
#[derive(Default)]
struct Told {
    peers: Peers<Side>,
    answers: Vec<(Peer, Vec<Input>)>,
    actions: Vec<String>,
    /// The room of what goes out.
    room: Option<usize>,
}

impl Told {
    fn with(answers: impl IntoIterator<Item = (Peer, Vec<Input>)>) -> Self {
        Self { answers: answers.into_iter().collect(), room: Some(usize::MAX), ..Self::default() }
    }

    fn open(&mut self, world: &mut World<'_>, end: bool, comes: Vec<Input>, is_ahead: bool) -> u32 {
        let request = Request { method: b"POST".into(), path: b"/p".into(), ..Request::default() };
        let client = Side { comes: comes.into(), is_ahead, ..Side::default() };
        self.peers.open(&mut world.turn(), request, end, client, false)
    }

    fn side(&self, peer: Peer) -> Side {
        let known = self.answers.iter().position(|(other, _)| *other == peer);
        let comes = known.map(|at| self.answers[at].1.iter().map(again).collect()).unwrap_or_default();
        Side { comes, sink: Some(Room { room: self.room, ..Room::default() }), ..Side::default() }
    }

    fn peers(&mut self) -> Vec<Peer> {
        self.peers.all().map(|(peer, _)| peer).collect()
    }
}

impl Edge for Told {
    type Streams = Side;

    fn peers(&mut self) -> &mut Peers<Side> {
        &mut self.peers
    }

    fn is_exact(&self) -> bool {
        false
    }

    fn perform<G: Guest>(&mut self, _: &mut Turn<'_, '_, G>, action: Action) {
        self.actions.push(show(&action));
        match action {
            Action::Request { peer, .. } => {
                let side = self.side(peer);
                self.peers.add(peer, side);
            }
            Action::Response { id, .. } => {
                let sink = Some(Room { room: self.room, ..Room::default() });
                if let Some(client) = self.peers.get(Peer::Client(id)) {
                    client.sink = sink;
                }
            }
            Action::Write(peer, bytes) => self.peers.write(peer, bytes),
            Action::Finish(peer, _) => {
                if let Some(sink) = self.peers.sink(peer) {
                    sink.ends = true;
                }
            }
            Action::Abort(id) => drop(self.peers.take_sink(id)),
            Action::Release(peer) => self.peers.release(peer),
        }
    }
}

fn again(input: &Input) -> Input {
    match input {
        Input::Head(headers, end) => Input::Head(headers.clone(), *end),
        Input::Data(bytes, end) => Input::Data(bytes.clone(), *end),
        Input::End(trailers) => Input::End(trailers.clone()),
        Input::Broken => Input::Broken,
        Input::Failed(failure, cause) => Input::Failed(*failure, cause.clone()),
    }
}

fn head(end: bool) -> Input {
    Input::Head(HeaderMap::from_pairs(Kind::Response, [(":status", "200")]), end)
}

fn data(bytes: &str) -> Input {
    Input::Data(bytes.into(), false)
}

#[test]
fn an_exchange_goes_as_far_as_it_comes() {
    let mut world = World::new();
    let mut edge = Told::with([(Peer::Upstream(2), vec![head(false), data("ab"), Input::End(None)])]);
    let id = edge.open(&mut world, false, vec![data("xyz"), Input::End(None)], false);
    assert!(world.turn().advance(&mut edge, id));
    // Of each round one piece of each peer, the client's first.
    let expected = [
        "upstream 2 request up POST /p",
        "upstream 2 write \"xyz\"",
        "client 2 response 200",
        "upstream 2 finish",
        "client 2 write \"ab\"",
        "client 2 finish",
    ];
    assert_eq!(edge.actions, expected);
    assert!(edge.peers.sink(Peer::Client(id)).is_none(), "what is finished goes");
    edge.peers.close(id);
    assert!(edge.peers.is_empty());
}

#[test]
fn exchanges_come_before_callouts_whatever_came_first() {
    let mut world = World::new();
    waits_for_callout(world.bed);
    let mut edge = Told::with([]);
    let a = edge.open(&mut world, true, Vec::new(), false);
    assert!(!world.turn().advance(&mut edge, a));
    assert_eq!(edge.peers(), [Peer::Client(a), callout(4)]);
    assert!(edge.peers.have_callouts());
    world.bed.returns(Id::RequestHeaders, [0]);
    let b = edge.open(&mut world, true, Vec::new(), false);
    assert!(!world.turn().advance(&mut edge, b));
    assert_eq!(edge.peers(), [Peer::Client(a), Peer::Client(b), Peer::Upstream(b), callout(4)]);
    let own: Vec<_> = edge.peers.of(Some(b)).map(|(peer, _)| peer).collect();
    assert_eq!(own, [Peer::Client(b), Peer::Upstream(b), callout(4)]);
    let left: Vec<_> = edge.peers.of(None).map(|(peer, _)| peer).collect();
    assert_eq!(left, [callout(4)]);
    edge.peers.close(b);
    assert_eq!(edge.peers(), [Peer::Client(a), callout(4)]);
}

#[test]
fn with_the_head_of_a_callout_goes_what_came_with_it() {
    let mut world = World::new();
    waits_for_callout(world.bed);
    world.bed.on(Id::HttpCallResponse, |filter| {
        filter.effective(2);
        filter.resume(0);
        0
    });
    let mut edge = Told::with([(callout(4), vec![head(false), data("a"), data("b"), Input::End(None)])]);
    let id = edge.open(&mut world, true, Vec::new(), false);
    assert!(world.turn().advance_calls(&mut edge), "a piece came");
    let left = edge.peers.get(callout(4)).map(|side| side.comes.len());
    assert_eq!(left, Some(2), "the head, and a piece that came with it");
    world.bed.trace();
    while world.turn().advance_calls(&mut edge) {}
    assert_eq!(world.bed.trace(), ["http_call_response(1,4,2,2,0)", "  effective 2: 0", "  continue 0: 0"]);
    assert!(edge.peers.get(callout(4)).is_none(), "it is over");
    assert!(!world.turn().advance(&mut edge, id));
    assert_eq!(edge.actions.last().map(String::as_str), Some("upstream 2 request up POST /p end"));
}

#[test]
fn what_nobody_wants_is_not_read() {
    let mut world = World::new();
    let mut edge = Told { room: Some(3), ..Told::with([]) };
    let id = edge.open(&mut world, false, vec![data("abcd"), data("e")], false);
    assert!(!world.turn().advance(&mut edge, id));
    let left = edge.peers.get(Peer::Client(id)).map(|side| side.comes.len());
    assert_eq!(left, Some(1), "the upstream takes no more now");
    edge.peers.sink(Peer::Upstream(id)).unwrap().room = Some(8);
    assert!(!world.turn().advance(&mut edge, id));
    assert_eq!(edge.actions, ["upstream 2 request up POST /p", "upstream 2 write \"abcd\"", "upstream 2 write \"e\""]);
}

#[test]
fn another_exchange_is_not_read() {
    let mut world = World::new();
    let mut edge = Told::with([]);
    let a = edge.open(&mut world, false, vec![data("a")], false);
    let b = edge.open(&mut world, false, vec![data("b")], false);
    assert!(!world.turn().advance(&mut edge, b));
    assert_eq!(edge.peers.get(Peer::Client(a)).map(|side| side.comes.len()), Some(1));
    assert_eq!(edge.actions, ["upstream 3 request up POST /p", "upstream 3 write \"b\""]);
}

#[test]
fn bytes_that_came_with_the_head_are_seen_before_anything_goes_on() {
    for (is_ahead, expected) in [(true, 1), (false, 2)] {
        let mut world = World::new();
        let mut edge = Told::with([]);
        let id = edge.open(&mut world, false, vec![data("a"), data("b")], is_ahead);
        assert_eq!(edge.peers.get(Peer::Client(id)).map(|side| side.comes.len()), Some(expected));
    }
}

#[test]
fn a_client_that_takes_no_more_has_left() {
    let mut world = World::new();
    let mut edge = Told::with([(Peer::Upstream(2), vec![head(false), data("ab")])]);
    edge.room = None;
    let id = edge.open(&mut world, true, Vec::new(), false);
    assert!(world.turn().advance(&mut edge, id), "it is broken off");
    assert!(edge.peers.sink(Peer::Client(id)).is_none());
}

#[test]
fn fields_that_a_host_refuses_are_left_out_and_told() {
    let bed = bed();
    let headers = HeaderMap::from_pairs(Kind::Request, [("a", "1"), ("odd", "2"), ("b", "3")]);
    let append = |fields: &RefCell<Vec<String>>, name: &str, _: &[u8]| {
        let is_taken = name != "odd";
        if is_taken {
            fields.borrow_mut().push(name.to_owned());
        }
        is_taken
    };
    bed.trace();
    let taken = fields(&bed.chain, &headers, |_| None, RefCell::default, append);
    assert_eq!(taken.into_inner(), ["a", "b"]);
    let lines = bed.log();
    assert!(lines.iter().any(|line| line.contains("`odd` is left out")), "{lines:?}");
    let whole = fields(&bed.chain, &headers, |all| Some(all.len()), || 0, |_, _, _| false);
    assert_eq!(whole, 3, "one that takes all at once is asked once");
}

#[test]
fn a_status_is_set_where_it_is_another() {
    let bed = bed();
    for (status, taken, expected) in
        [("200", true, vec![]), ("204", true, vec![204]), ("1000", false, vec![1000, 502]), ("x", true, vec![502])]
    {
        let headers = HeaderMap::from_pairs(Kind::Response, [(":status", status)]);
        let set = RefCell::new(Vec::new());
        set_status(&bed.chain, &headers, 200, |status| {
            set.borrow_mut().push(status);
            taken
        });
        assert_eq!(set.into_inner(), expected, "{status}");
    }
}
