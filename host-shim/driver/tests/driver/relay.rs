//! The edge without streams: whole calls in, orders out.

use proxy_wasm_abi::settings::SharedStateIn;
use proxy_wasm_driver::{Event, Input, Order, Peer, Relay};
use proxy_wasm_semantics::{HeaderMap, Kind, Request, UpstreamFailure};

use crate::{
    common::Id,
    world::{MS, World, call_out, callout, show, waits_for_callout},
};

/// A relay on a world.
struct Desk {
    world: World<'static>,
    relay: Relay,
    deadline: Option<u64>,
}

impl Desk {
    fn of(world: World<'static>) -> Self {
        let mut desk = Self { world, relay: Relay::default(), deadline: None };
        desk.relay.start(&mut desk.world.driver.turn()).expect("it starts");
        desk
    }

    fn new() -> Self {
        Self::of(World::new())
    }

    fn run(&mut self) -> Vec<String> {
        let (orders, deadline) = self.relay.run(&mut self.world.driver.turn());
        self.deadline = deadline;
        orders
            .iter()
            .map(|order| match order {
                Order::Act(action) => show(action),
                Order::Want { id, request, response } => format!("want {id} {request} {response}"),
                Order::Over { id, .. } => format!("over {id}"),
            })
            .collect()
    }

    fn open(&mut self, method: &str, end: bool, first: Option<&str>) -> (u32, Vec<String>) {
        let request = Request {
            method: method.as_bytes().into(),
            path: b"/p".into(),
            authority: b"h".into(),
            scheme: b"http".into(),
            ..Request::default()
        };
        let first = first.map(|bytes| Input::Data(bytes.into(), false));
        let id = self.relay.open(&mut self.world.driver.turn(), request, end, first);
        (id, self.run())
    }

    fn give(&mut self, events: Vec<Event>) -> Vec<String> {
        for event in events {
            self.relay.give(&mut self.world.driver.turn(), event);
        }
        self.run()
    }
}

fn head(peer: Peer, end: bool) -> Event {
    Event::Input(peer, Input::Head(HeaderMap::from_pairs(Kind::Response, [(":status", "200")]), end))
}

fn data(peer: Peer, bytes: &str) -> Event {
    Event::Input(peer, Input::Data(bytes.into(), false))
}

fn end(peer: Peer) -> Event {
    Event::Input(peer, Input::End(None))
}

#[test]
fn what_is_handed_over_counts_as_written() {
    let mut desk = Desk::new();
    let (id, orders) = desk.open("POST", false, Some("a"));
    assert_eq!(orders, ["upstream 2 request up POST /p", "upstream 2 write \"a\"", "want 2 true true"]);
    assert_eq!(desk.give(vec![data(Peer::Client(id), "b")]), ["upstream 2 write \"b\""]);
    assert_eq!(desk.give(vec![end(Peer::Client(id))])[0], "upstream 2 finish");
    let orders = desk.give(vec![head(Peer::Upstream(id), false), data(Peer::Upstream(id), "c")]);
    assert_eq!(orders[..2], ["client 2 response 200", "client 2 write \"c\""]);
    assert_eq!(desk.give(vec![end(Peer::Upstream(id))]), ["client 2 finish"]);
    // What was sent is on its way when the filters get their last callbacks.
    assert_eq!(desk.give(Vec::new()), ["over 2"]);
    assert_eq!(desk.give(vec![data(Peer::Client(id), "late"), Event::Gone(id)]), [""; 0]);
}

#[test]
fn what_nobody_wants_is_kept_until_somebody_does() {
    let mut desk = Desk::new();
    desk.world.bed.returns(Id::RequestHeaders, [1]);
    desk.world.bed.on(Id::RequestHeaders, |filter| {
        call_out(filter, 500);
        3
    });
    let (id, orders) = desk.open("POST", false, None);
    let waits = orders.iter().find(|order| order.starts_with("want")).cloned();
    let token = orders.iter().find(|order| order.starts_with("callout")).expect("a callout");
    assert!(token.contains("GET /c"), "{orders:?}");
    let kept = desk.give(vec![data(Peer::Client(id), "a"), end(Peer::Client(id))]);
    assert!(kept.iter().all(|order| !order.starts_with("upstream")), "{waits:?} {kept:?}");
    desk.world.bed.on(Id::HttpCallResponse, move |filter| {
        filter.effective(id);
        filter.resume(0);
        0
    });
    let orders = desk.give(vec![head(callout(first_token(token)), true)]);
    let sent: Vec<_> = orders.iter().filter(|order| order.starts_with("upstream")).collect();
    assert_eq!(sent, ["upstream 2 request up POST /p", "upstream 2 write \"a\"", "upstream 2 finish"]);
}

fn first_token(order: &str) -> u32 {
    order.split(' ').nth(1).and_then(|token| token.parse().ok()).expect("`callout N …`")
}

#[test]
fn several_go_on_at_once_and_move_each_other() {
    let mut desk = Desk::new();
    waits_for_callout(desk.world.bed);
    let (a, first) = desk.open("GET", true, None);
    let (b, second) = desk.open("GET", true, None);
    let [one, two] = [first, second].map(|orders| callout(first_token(&orders[0])));
    desk.world.bed.on(Id::HttpCallResponse, move |filter| {
        for id in [a, b] {
            filter.effective(id);
            filter.resume(0);
        }
        0
    });
    let orders = desk.give(vec![head(two, true)]);
    for id in [a, b] {
        assert!(orders.contains(&format!("upstream {id} request up GET /p end")), "{orders:?}");
    }
    desk.give(vec![Event::Input(one, Input::Failed(UpstreamFailure::Timeout, None))]);
    for id in [b, a] {
        let orders = desk.give(vec![head(Peer::Upstream(id), true)]);
        assert_eq!(orders, [format!("client {id} response 200 end")]);
        assert_eq!(desk.give(Vec::new()), [format!("over {id}")]);
    }
}

#[test]
fn ticks_come_without_an_exchange() {
    let world = World::new();
    world.bed.on(Id::Tick, |filter| {
        filter.state().log(2, b"a tick").expect("it is logged");
        0
    });
    let mut desk = Desk::of(world);
    desk.world.bed.chain.state().set_tick_period(100);
    desk.run();
    assert_eq!(desk.deadline, Some(100 * MS));
    desk.world.pass(100);
    desk.run();
    assert_eq!(desk.deadline, Some(200 * MS));
}

/// The instance itself knows nothing of items that another one put there: with each call it asks its host.
#[test]
fn any_call_tells_of_queues_that_the_host_keeps() {
    let world = World::with(|settings| settings.upkeep.state = SharedStateIn::Host);
    world.bed.on(Id::RequestHeaders, |filter| {
        filter.chain().register_shared_queue(b"q");
        1
    });
    let mut desk = Desk::of(world);
    desk.open("GET", true, None);
    desk.world.bed.trace();
    desk.world.bed.enqueue_elsewhere(1, b"i");
    desk.give(Vec::new());
    assert_eq!(desk.world.bed.trace(), ["queue_ready(1,1)"]);
    desk.give(Vec::new());
    assert!(desk.world.bed.trace().is_empty(), "once for each item");
}
