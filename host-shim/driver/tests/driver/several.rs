//! Several exchanges in one chain at once.

use proxy_wasm_driver::Peer;

use crate::{
    common::Id,
    world::{World, call_out, callout, waits_for_callout},
};

#[test]
fn two_exchanges_go_on_side_by_side() {
    let mut world = World::new();
    let (a, b) = (world.post(), world.post());
    assert_eq!((a, b), (2, 3));
    world.data(Peer::Client(b), "bb");
    assert_eq!(world.actions(a), ["upstream 2 request up POST /p"]);
    assert_eq!(world.actions(b), ["upstream 3 request up POST /p", "upstream 3 write \"bb\""]);
    assert!(world.wants(Peer::Client(a)), "a slow peer slows its own exchange");
    assert!(!world.wants(Peer::Client(b)));
    world.end(Peer::Client(a));
    world.head(Peer::Upstream(b), &[], true);
    assert_eq!(world.actions(a), ["upstream 2 finish"]);
    assert_eq!(world.actions(b), ["client 3 response 200 end"]);
    assert!(world.is_over(b) && !world.is_over(a));
    world.turn().close(b);
    world.head(Peer::Upstream(a), &[], true);
    assert_eq!(world.actions(a), ["client 2 response 200 end"]);
    assert_eq!(world.moved(), [0; 0], "none moved another");
}

#[test]
fn an_exchange_that_the_callback_of_another_one_moves_is_named() {
    let mut world = World::new();
    world.bed.returns(Id::RequestHeaders, [1, 0]);
    let a = world.get();
    assert_eq!(world.moved(), [0; 0]);
    world.bed.on(Id::ContextCreate, move |filter| {
        filter.effective(a);
        filter.resume(0);
        0
    });
    let b = world.get();
    assert_eq!(world.moved(), [a]);
    assert_eq!(world.moved(), [0; 0], "once");
    assert_eq!(world.actions(a), ["upstream 2 request up GET /p end"]);
    assert_eq!(world.actions(b), ["upstream 3 request up GET /p end"]);
}

#[test]
fn an_exchange_that_the_last_callback_of_another_one_answers_is_named() {
    let mut world = World::new();
    world.bed.returns(Id::RequestHeaders, [1]);
    let (a, b) = (world.get(), world.get());
    world.bed.on(Id::Log, move |filter| {
        filter.effective(a);
        filter.reply(403, "");
        0
    });
    world.turn().client_gone(b);
    world.actions(b);
    world.turn().close(b);
    assert_eq!(world.moved(), [a]);
    assert_eq!(world.actions(a), ["client 2 response 403 end"]);
}

#[test]
fn the_answer_to_a_callout_moves_whom_the_filter_says() {
    let mut world = World::new();
    waits_for_callout(world.bed);
    world.bed.on(Id::HttpCallResponse, |filter| {
        filter.effective(filter.token() / 4 + 1);
        filter.resume(0);
        0
    });
    let (a, b) = (world.get(), world.get());
    world.worked();
    world.head(callout(8), &[], true);
    assert_eq!(world.moved(), [b]);
    assert_eq!(world.actions(a), [""; 0]);
    assert_eq!(world.actions(b), ["upstream 3 request up GET /p end"]);
    world.head(callout(4), &[], true);
    assert_eq!(world.moved(), [a]);
}

#[test]
fn each_has_its_own_time() {
    let mut world = World::new();
    world.bed.returns(Id::RequestHeaders, [1]);
    let a = world.get();
    assert_eq!(world.deadline(), Some(300_000));
    world.pass(100_000);
    let b = world.get();
    assert_eq!(world.deadline(), Some(200_000));
    world.pass(200_000);
    assert_eq!(world.moved(), [a], "the edge of the other one may have had the timer");
    assert_eq!(world.actions(a)[0], "client 2 response 504");
    assert_eq!(world.actions(b), [""; 0]);
    assert_eq!(world.deadline(), Some(100_000));
}

#[test]
fn an_exchange_that_ends_leaves_the_instance_to_the_others() {
    let mut world = World::new();
    world.bed.on(Id::RequestHeaders, |filter| {
        call_out(filter, 0);
        1
    });
    let (a, b) = (world.get(), world.get());
    world.worked();
    world.turn().client_gone(a);
    world.turn().close(a);
    assert!(!world.turn().stays(), "the other one is there for callouts");
    world.turn().client_gone(b);
    world.turn().close(b);
    assert!(world.turn().stays());
}

#[test]
fn a_thousand_exchanges_wait_for_a_thousand_callouts() {
    const COUNT: u32 = 1000;
    let mut world = World::new();
    waits_for_callout(world.bed);
    world.bed.on(Id::HttpCallResponse, |filter| {
        filter.effective(filter.token() / 4 + 1);
        filter.resume(0);
        0
    });
    let ids: Vec<u32> = (0..COUNT).map(|_| world.post()).collect();
    assert_eq!(world.worked().len(), COUNT as usize);
    for id in ids.iter().rev() {
        world.head(callout((id - 1) * 4), &[], true);
        assert_eq!(world.moved(), [*id]);
        assert_eq!(world.actions(*id), [format!("upstream {id} request up POST /p")]);
    }
    assert!(!world.turn().has_calls());
    for id in &ids {
        world.head(Peer::Upstream(*id), &[], true);
        assert_eq!(world.actions(*id), [format!("client {id} response 200 end")]);
        assert!(world.is_over(*id));
        world.turn().close(*id);
    }
    assert!(!world.turn().stays());
    assert_eq!(world.deadline(), None);
}
