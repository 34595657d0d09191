//! An instance beside its exchanges: the plugins' start, what is left of an exchange, and the time between two.

use proxy_wasm_abi::settings::SharedStateIn;
use proxy_wasm_driver::{Peer, Rest};

use crate::{
    common::{Bed, Id},
    world::{METHOD, MS, World, call_out, callout, waits_for_callout},
};

const LINGER_MS: u64 = 15_000;

/// An exchange whose callout it leaves behind.
fn left_behind(world: &mut World<'_>) {
    world.bed.on(Id::RequestHeaders, |filter| {
        call_out(filter, 0);
        0
    });
    let id = world.get();
    world.worked();
    world.actions(id);
    world.head(Peer::Upstream(id), &[], true);
    world.actions(id);
    world.turn().close(id);
    world.bed.trace();
}

#[test]
fn an_instance_stays_for_callouts() {
    let mut world = World::new();
    left_behind(&mut world);
    assert!(world.turn().stays());
    assert_eq!(world.deadline(), Some(LINGER_MS));
    world.head(callout(4), &[], true);
    assert_eq!(world.bed.trace(), ["http_call_response(1,4,2,0,0)"]);
    assert!(!world.turn().stays());
    assert_eq!(world.deadline(), None);
}

#[test]
fn it_does_not_stay_for_ever() {
    let mut world = World::new();
    left_behind(&mut world);
    world.pass(LINGER_MS - 1);
    assert!(world.turn().stays());
    world.pass(1);
    assert!(!world.turn().stays());
    assert!(world.turn().has_calls(), "the next exchange goes on with it");
}

#[test]
fn it_does_not_stay_for_a_stream_that_is_kept_open_but_for_its_bytes() {
    let mut world = World::new();
    world.bed.on(Id::RequestHeaders, |filter| {
        let token = filter.state().grpc_stream(METHOD).unwrap();
        filter.state().grpc_send(token, b"a", false).unwrap();
        0
    });
    let id = world.get();
    world.worked();
    world.turn().client_gone(id);
    world.turn().close(id);
    assert!(world.turn().stays());
    world.written(callout(6));
    assert!(!world.turn().stays());
}

#[test]
fn it_does_not_stay_where_the_host_tends_it() {
    let mut world = World::new();
    let mut turn = world.turn();
    turn.tend();
    assert_eq!(turn.rest().wake, None);
    left_behind(&mut world);
    assert!(!world.turn().stays());
    let mut turn = world.turn();
    turn.tend();
    assert_eq!(turn.rest().wake, Some(MS), "it looks soon");
    world.bed.set_clocks(0, 200 * MS);
    assert_eq!(world.turn().rest().wake, Some(20 * MS), "later, where it takes longer");
    world.bed.set_clocks(0, 2000 * MS);
    assert_eq!(world.turn().rest().wake, Some(50 * MS));
}

#[test]
fn a_tended_instance_ticks() {
    let mut world = World::new();
    world.bed.chain.state().set_tick_period(200);
    let mut turn = world.turn();
    turn.tend();
    assert_eq!(turn.rest().wake, Some(200 * MS));
    world.bed.set_clocks(0, 250 * MS);
    let mut turn = world.turn();
    turn.tend();
    assert_eq!(turn.rest().wake, Some(200 * MS));
    assert_eq!(world.bed.trace(), ["tick(1)"]);
}

#[test]
fn a_tended_instance_ends_callouts_that_took_too_long() {
    let mut world = World::new();
    waits_for_callout(world.bed);
    world.turn().tend();
    let id = world.get();
    world.worked();
    world.turn().client_gone(id);
    world.turn().close(id);
    world.bed.trace();
    world.bed.set_clocks(0, 500 * MS);
    assert_eq!(world.turn().rest().wake, None);
    assert_eq!(world.bed.trace(), ["http_call_response(1,4,3,24,0)"]);
}

/// Plugins that have not started, which ask for ticks when they are configured, and call out at each.
fn starting(ticks: u32) -> World<'static> {
    let bed = Bed::unstarted(proxy_wasm_abi::bridge::AbiVersion::V0_2_1, |settings| {
        let origin = proxy_wasm_abi::settings::Origin { tls: false, authority: "auth:80".into() };
        settings.clusters.push(proxy_wasm_abi::settings::Cluster { name: "auth".into(), origin });
        settings.upkeep.startup_ticks = ticks;
    });
    bed.on(Id::Configure, |filter| {
        filter.state().set_tick_period(1000);
        call_out(filter, 0);
        1
    });
    bed.on(Id::Tick, |filter| {
        call_out(filter, 0);
        0
    });
    World::of(bed)
}

#[test]
fn the_start_waits_for_what_the_plugins_fetch() {
    let mut world = starting(0);
    assert_eq!(world.turn().start(true), Ok(()));
    assert!(world.turn().stays());
    world.worked();
    world.bed.trace();
    world.head(callout(4), &[], true);
    assert!(!world.turn().stays());
    assert_eq!(world.bed.trace(), ["http_call_response(1,4,2,0,0)"], "no tick");
    assert_eq!(world.turn().start(true), Ok(()));
    assert!(!world.turn().stays(), "once");
}

#[test]
fn a_request_that_waits_for_the_start_does_not_wait_for_what_it_fetches() {
    let mut world = starting(0);
    assert_eq!(world.turn().start(false), Ok(()));
    assert!(!world.turn().stays());
}

#[test]
fn ticks_at_the_start_come_each_after_what_the_one_before_fetched() {
    let mut world = starting(2);
    assert_eq!(world.turn().start(false), Ok(()));
    world.bed.trace();
    for (token, then) in [(4, vec!["tick(1)"]), (8, vec!["tick(1)"]), (12, vec![])] {
        assert!(world.turn().stays());
        world.worked();
        world.head(callout(token), &[], true);
        world.bed.trace();
        assert_eq!(world.turn().stays(), token < 12);
        assert_eq!(world.bed.trace(), then);
    }
}

#[test]
fn the_start_has_its_time() {
    let mut world = starting(2);
    assert_eq!(world.turn().start(false), Ok(()));
    assert!(world.turn().stays());
    world.bed.set_clocks(0, 15_000 * MS);
    world.bed.trace();
    assert!(!world.turn().stays());
    assert_eq!(world.bed.trace(), [""; 0], "no tick comes late");
}

#[test]
fn each_tick_at_the_start_has_a_time_of_its_own() {
    let mut world = starting(3);
    world.bed.on(Id::Configure, |filter| {
        filter.state().set_tick_period(1000);
        1
    });
    world.bed.on(Id::Tick, |_| 0);
    assert_eq!(world.turn().start(false), Ok(()));
    world.bed.clock_reads();
    world.bed.trace();
    assert!(!world.turn().stays());
    assert_eq!(world.bed.trace(), ["tick(1)"; 3]);
    assert!(world.bed.clock_reads() >= 3, "they may take long, and the start has its time");
}

#[test]
fn plugins_that_refuse_wait_for_nothing() {
    let mut world = starting(2);
    world.bed.returns(Id::VmStart, [0]);
    assert_eq!(world.turn().start(true), Err("`proxy_on_vm_start` returned false"));
    assert!(!world.turn().stays());
}

#[test]
fn metrics_are_written_when_all_is_over() {
    let mut world = World::with(|settings| {
        settings.upkeep.metrics = proxy_wasm_abi::settings::MetricsTo::Log;
        settings.plugins[0].log_level = 2;
    });
    let metric = world.bed.chain.state().define_metric(0, b"c").unwrap();
    world.bed.on(Id::HttpCallResponse, move |filter| {
        filter.state().increment_metric(metric, 1).unwrap();
        0
    });
    left_behind(&mut world);
    world.turn().stays();
    world.head(callout(4), &[], true);
    assert_eq!(world.bed.log(), [""; 0]);
    world.turn().finish();
    assert_eq!(world.bed.log(), ["[info] p: metric counter c 1"]);
}

/// The instance itself knows nothing of items that another one put there: it asks its machine.
#[test]
fn between_exchanges_it_tells_of_queues_that_the_machine_keeps() {
    let mut world = World::with(|settings| settings.upkeep.state = SharedStateIn::Host);
    world.bed.on(Id::RequestHeaders, |filter| {
        filter.chain().register_shared_queue(b"q");
        0
    });
    let id = world.get();
    world.actions(id);
    world.turn().client_gone(id);
    world.turn().close(id);
    world.bed.trace();
    world.bed.enqueue_elsewhere(1, b"i");
    world.turn().tend();
    assert_eq!(world.bed.trace(), ["queue_ready(1,1)"]);
    world.turn().tend();
    assert!(world.bed.trace().is_empty(), "once for each item");
}

#[test]
fn between_exchanges_it_looks_a_few_times() {
    let mut world = World::new();
    assert!(!world.turn().looks());
    for _ in 0..2 {
        let mut turn = world.turn();
        turn.tend();
        assert_eq!(std::iter::from_fn(|| turn.looks().then_some(())).count(), 3);
        assert!(!turn.looks());
    }
}

#[test]
fn plugins_that_do_not_run_do_nothing_between_exchanges() {
    let mut world = starting(2);
    world.bed.returns(Id::VmStart, [0]);
    for _ in 0..2 {
        let mut turn = world.turn();
        turn.tend();
        assert!(!turn.looks());
        assert_eq!(turn.rest(), Rest::default());
        assert!(turn.start(false).is_err());
    }
}
