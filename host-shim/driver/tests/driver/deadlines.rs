//! Time limits: what they are for, what resets them, and what they cost.

use proxy_wasm_driver::Peer;
use proxy_wasm_semantics::UpstreamFailure;

use crate::{
    common::Id,
    world::{World, call_out, callout, waits_for_callout},
};

const IDLE_MS: u64 = 300_000;
const UPSTREAM_MS: u64 = 15_000;
const OVERTAKEN_MS: u64 = 50;

#[test]
fn no_clock_is_read_that_nothing_needs() {
    let mut world = World::with(|settings| settings.plugins[0].log_level = 5);
    let id = world.get();
    let opened = world.bed.clock_reads();
    assert!(opened <= 1, "the start, which properties tell");
    let mut turn = world.driver.turn();
    while turn.poll(id).is_some() {}
    assert!(!turn.work());
    assert!(!turn.is_over(id));
    turn.deadline();
    turn.deadline();
    assert_eq!(world.bed.clock_reads(), 1, "the upstream's time and the idle time, in one turn");
}

#[test]
fn an_exchange_that_stands_still_is_given_up() {
    let mut world = World::new();
    world.bed.returns(Id::RequestHeaders, [1]);
    let id = world.post();
    assert_eq!(world.deadline(), Some(IDLE_MS));
    world.pass(IDLE_MS - 1);
    assert_eq!(world.actions(id), [""; 0]);
    world.pass(1);
    assert_eq!(world.actions(id)[0], "client 2 response 408", "its request has not ended");
}

#[test]
fn what_moves_resets_the_idle_time() {
    let mut world = World::with(no_limit);
    let id = world.post();
    world.actions(id);
    let moves: [fn(&mut World<'static>, u32); 4] = [
        |world, id| world.data(Peer::Client(id), "a"),
        |world, id| world.end(Peer::Client(id)),
        |world, id| world.head(Peer::Upstream(id), &[], false),
        |world, id| world.data(Peer::Upstream(id), "a"),
    ];
    for step in moves {
        assert_eq!(world.deadline(), Some(IDLE_MS));
        world.pass(IDLE_MS / 2);
        assert_eq!(world.deadline(), Some(IDLE_MS / 2), "it has begun");
        step(&mut world, id);
        world.actions(id);
        world.written(Peer::Client(id));
        world.written(Peer::Upstream(id));
    }
    assert_eq!(world.deadline(), Some(IDLE_MS));
}

#[test]
fn what_comes_resets_the_idle_time_though_a_filter_holds_it() {
    let mut world = World::new();
    world.bed.returns(Id::RequestHeaders, [1]);
    let id = world.post();
    assert_eq!(world.deadline(), Some(IDLE_MS));
    world.pass(1000);
    world.data(Peer::Client(id), "a");
    assert_eq!(world.actions(id), [""; 0]);
    assert_eq!(world.deadline(), Some(IDLE_MS));
}

#[test]
fn the_upstream_is_given_up_before_the_stream() {
    let mut world = World::with(|settings| settings.connection.stream_idle_timeout_ms = UPSTREAM_MS);
    let id = world.get();
    world.actions(id);
    assert_eq!(world.deadline(), Some(UPSTREAM_MS));
    world.pass(UPSTREAM_MS);
    assert_eq!(world.actions(id)[2], "client 2 write \"upstream request timeout\"");
}

#[test]
fn what_is_only_written_resets_nothing() {
    let mut world = World::with(no_limit);
    let id = world.post();
    world.data(Peer::Client(id), "a");
    world.actions(id);
    assert_eq!(world.deadline(), Some(IDLE_MS));
    world.pass(1000);
    world.written(Peer::Upstream(id));
    assert_eq!(world.deadline(), Some(IDLE_MS - 1000));
}

#[test]
fn the_upstream_has_its_time_from_the_end_of_the_request() {
    let mut world = World::new();
    let id = world.post();
    world.actions(id);
    assert_eq!(world.deadline(), Some(IDLE_MS));
    world.end(Peer::Client(id));
    world.actions(id);
    assert_eq!(world.deadline(), Some(UPSTREAM_MS));
    world.pass(UPSTREAM_MS);
    assert_eq!(world.actions(id)[..2], ["upstream 2 release", "client 2 response 504"]);
    assert_eq!(world.bed.log(), [""; 0]);
}

#[test]
fn the_upstreams_time_covers_its_whole_response() {
    let mut world = World::new();
    let id = world.get();
    world.actions(id);
    world.head(Peer::Upstream(id), &[], false);
    world.actions(id);
    assert_eq!(world.deadline(), Some(UPSTREAM_MS), "the head is not the end");
    world.end(Peer::Upstream(id));
    world.actions(id);
    assert_eq!(world.deadline(), Some(IDLE_MS), "now its client has to take it");
}

#[test]
fn an_upstream_that_has_answered_is_not_timed() {
    let mut world = World::new();
    world.bed.returns(Id::ResponseHeaders, [1]);
    let id = world.post();
    world.actions(id);
    world.head(Peer::Upstream(id), &[], true);
    world.end(Peer::Client(id));
    world.actions(id);
    assert_eq!(world.deadline(), Some(IDLE_MS), "the filter holds the response, and the request ends after it");
}

#[test]
fn a_filter_chooses_the_upstreams_time() {
    for (chosen, deadline) in [("20", 20), ("0", IDLE_MS)] {
        let mut world = World::new();
        world.bed.on(Id::RequestHeaders, move |filter| {
            filter.replace(0, "x-envoy-upstream-rq-timeout-ms", chosen);
            0
        });
        let id = world.get();
        world.actions(id);
        assert_eq!(world.deadline(), Some(deadline));
    }
}

#[test]
fn without_limits_nothing_wakes_the_edge() {
    let mut world = World::with(|settings| {
        no_limit(settings);
        settings.connection.stream_idle_timeout_ms = 0;
    });
    world.bed.returns(Id::RequestHeaders, [1]);
    let id = world.get();
    world.actions(id);
    world.bed.clock_reads();
    assert_eq!(world.deadline(), None);
    assert_eq!(world.bed.clock_reads(), 0);
    world.turn().starved(id);
    assert_eq!(world.actions(id)[0], "client 2 response 504", "nothing could resume it");
}

#[test]
fn callouts_that_come_back_for_nothing_reset_nothing() {
    let mut world = World::new();
    waits_for_callout(world.bed);
    world.bed.on(Id::HttpCallResponse, |filter| {
        call_out(filter, 0);
        0
    });
    let id = world.get();
    world.worked();
    world.deadline();
    for token in [4, 8, 12] {
        world.pass(IDLE_MS / 4);
        world.head(callout(token), &[], true);
        world.worked();
    }
    assert_eq!(world.deadline(), Some(IDLE_MS / 4));
    world.pass(IDLE_MS / 4);
    assert_eq!(world.actions(id)[0], "client 2 response 504");
}

#[test]
fn a_callout_that_lets_it_go_on_resets_the_idle_time() {
    let mut world = World::new();
    waits_for_callout(world.bed);
    world.bed.on(Id::HttpCallResponse, |filter| {
        filter.effective(2);
        filter.resume(0);
        0
    });
    let id = world.get();
    world.worked();
    world.deadline();
    world.pass(100);
    world.head(callout(4), &[], true);
    assert_eq!(world.moved(), [id]);
    assert_eq!(world.actions(id), ["upstream 2 request up GET /p end"]);
    assert_eq!(world.deadline(), Some(UPSTREAM_MS));
}

#[test]
fn a_callout_that_lets_it_go_on_costs_no_clock() {
    let mut world = World::new();
    world.bed.on(Id::RequestHeaders, |filter| {
        call_out(filter, 0);
        call_out(filter, 0);
        1
    });
    world.bed.on(Id::HttpCallResponse, |filter| {
        filter.effective(2);
        filter.resume(0);
        0
    });
    world.get();
    world.worked();
    world.head(callout(4), &[], true);
    world.bed.clock_reads();
    assert!(world.turn().work(), "one is on its way");
    assert_eq!(world.bed.clock_reads(), 0);
}

#[test]
fn ticks_come_while_an_exchange_is_under_way() {
    let mut world = World::new();
    world.bed.chain.state().set_tick_period(200);
    assert_eq!(world.deadline(), None, "the host has no time for it");
    world.bed.returns(Id::RequestHeaders, [1]);
    let id = world.get();
    world.bed.trace();
    assert_eq!(world.deadline(), Some(200));
    world.pass(200);
    assert_eq!(world.bed.trace(), ["tick(1)"]);
    assert_eq!(world.deadline(), Some(200));
    assert_eq!(world.actions(id), [""; 0]);
    world.turn().client_gone(id);
    world.turn().close(id);
    world.bed.set_clocks(0, 1000 * crate::world::MS);
    world.bed.trace();
    world.get();
    assert_eq!(world.bed.trace()[0], "tick(1)", "one that came due meanwhile comes first");
}

/// A world of a host that tells of a body's end apart from its bytes, with an exchange whose upstream fails before that.
fn overtaken() -> (World<'static>, u32) {
    let mut world = World::new().with_ends_apart();
    let id = world.post();
    world.actions(id);
    world.data(Peer::Client(id), "abc");
    world.actions(id);
    world.written(Peer::Upstream(id));
    world.failed(Peer::Upstream(id), UpstreamFailure::ConnectionFailed, None);
    (world, id)
}

#[test]
fn a_failure_that_overtook_the_end_of_the_request_waits_for_it() {
    let (mut world, id) = overtaken();
    assert_eq!(world.actions(id), [""; 0]);
    assert!(world.wants(Peer::Client(id)));
    assert!(!world.wants(Peer::Upstream(id)));
    assert_eq!(world.deadline(), Some(OVERTAKEN_MS));
    world.end(Peer::Client(id));
    assert_eq!(world.actions(id)[0], "client 2 response 503");
    let trace = world.bed.trace();
    let at = |what: &str| trace.iter().position(|line| line.contains(what));
    let (end, answer) = (at("request_body(2,0,1)"), at("response_headers"));
    assert!(end.is_some() && end < answer, "{trace:?}");
}

#[test]
fn a_failure_waits_for_a_moment_only() {
    let (mut world, id) = overtaken();
    world.data(Peer::Client(id), "def");
    assert_eq!(world.actions(id), [""; 0], "the upstream takes nothing more");
    world.pass(OVERTAKEN_MS - 1);
    assert_eq!(world.actions(id), [""; 0]);
    world.pass(1);
    assert_eq!(world.actions(id)[0], "client 2 response 503");
    world.end(Peer::Client(id));
    assert_eq!(world.actions(id), [""; 0], "once");
}

#[test]
fn a_failure_waits_longer_for_the_end_of_a_body_that_is_all_there() {
    let mut world = World::new().with_ends_apart();
    let id = world.open("POST", &[("content-length", "6")], false);
    world.actions(id);
    world.data(Peer::Client(id), "abc");
    world.actions(id);
    world.failed(Peer::Upstream(id), UpstreamFailure::ConnectionFailed, None);
    assert_eq!(world.deadline(), Some(OVERTAKEN_MS), "the client may be slow");
    world.data(Peer::Client(id), "def");
    assert_eq!(world.deadline(), Some(5_000));
    world.pass(5_000);
    assert_eq!(world.actions(id)[0], "client 2 response 503");
}

/// A world of such a host, with an exchange whose upstream answers as soon as these bytes of six have come.
fn answered(bytes: &str) -> (World<'static>, u32) {
    let mut world = World::new().with_ends_apart();
    let id = world.open("POST", &[("content-length", "6")], false);
    world.actions(id);
    world.data(Peer::Client(id), bytes);
    world.actions(id);
    world.written(Peer::Upstream(id));
    world.head(Peer::Upstream(id), &[], false);
    (world, id)
}

#[test]
fn an_answer_waits_for_the_end_of_a_body_that_is_all_there() {
    let (mut world, id) = answered("abcdef");
    assert_eq!(world.actions(id), [""; 0]);
    assert!(world.wants(Peer::Client(id)));
    assert!(!world.wants(Peer::Upstream(id)), "nothing of it comes before its head");
    assert_eq!(world.deadline(), Some(5_000));
    world.end(Peer::Client(id));
    let actions = world.actions(id);
    assert!(actions.iter().any(|action| action.starts_with("client 2 response 200")), "{actions:?}");
    let trace = world.bed.trace();
    let at = |what: &str| trace.iter().position(|line| line.contains(what));
    let (end, answer) = (at("request_body(2,0,1)"), at("response_headers"));
    assert!(end.is_some() && end < answer, "{trace:?}");
    assert!(world.wants(Peer::Upstream(id)));
}

#[test]
fn an_answer_does_not_wait_for_ever() {
    let (mut world, id) = answered("abcdef");
    world.pass(5_000);
    assert_eq!(world.actions(id)[0], "client 2 response 200");
    assert!(world.wants(Peer::Upstream(id)));
}

#[test]
fn an_answer_waits_for_no_bytes() {
    let (mut world, id) = answered("abc");
    assert_eq!(world.actions(id)[0], "client 2 response 200");
}

/// The next component may answer before it reads.
#[test]
fn an_answer_by_one_that_takes_nothing_waits_for_the_end_alone() {
    for (bytes, is_end_wanted) in [("abcdef", true), ("abc", false)] {
        let mut world = World::new().with_ends_apart();
        let id = world.open("POST", &[("content-length", "6")], false);
        world.actions(id);
        world.data(Peer::Client(id), bytes);
        world.actions(id);
        assert!(!world.wants(Peer::Client(id)), "nothing is read before the bytes are taken");
        world.head(Peer::Upstream(id), &[], false);
        assert_eq!(world.wants(Peer::Client(id)), is_end_wanted, "{bytes}");
        if is_end_wanted {
            assert_eq!(world.actions(id), [""; 0]);
            world.end(Peer::Client(id));
        }
        let actions = world.actions(id);
        assert!(actions.iter().any(|action| action.starts_with("client 2 response 200")), "{actions:?}");
    }
}

#[test]
fn a_client_that_leaves_hears_of_no_failure() {
    let (mut world, id) = overtaken();
    world.turn().client_gone(id);
    assert_eq!(world.actions(id), [format!("client {id} abort")]);
    assert_ne!(world.deadline(), Some(OVERTAKEN_MS));
}

#[test]
fn a_failure_waits_for_no_end_that_is_there() {
    let mut world = World::new().with_ends_apart();
    let id = world.get();
    world.actions(id);
    world.failed(Peer::Upstream(id), UpstreamFailure::ConnectionFailed, None);
    assert_eq!(world.actions(id)[0], "client 2 response 503");
}

fn no_limit(settings: &mut proxy_wasm_abi::settings::Settings) {
    settings.set_upstream(proxy_wasm_abi::settings::Origin { tls: false, authority: "up".into() }, 0);
}
