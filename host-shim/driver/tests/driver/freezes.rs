//! An instance that is about to be written down.

use proxy_wasm_abi::{
    bridge::AbiVersion,
    freeze::Readiness,
    settings::{Cluster, Origin},
};

use crate::{
    common::{Bed, Id},
    world::{World, call_out},
};

/// Plugins that have not started.
fn unstarted(startup_ticks: u32) -> World<'static> {
    World::of(Bed::unstarted(AbiVersion::V0_2_1, |settings| {
        let origin = Origin { tls: false, authority: "auth:80".into() };
        settings.clusters.push(Cluster { name: "auth".into(), origin });
        settings.upkeep.startup_ticks = startup_ticks;
    }))
}

#[test]
fn its_plugins_are_started_once() {
    let mut world = unstarted(0);
    assert_eq!(world.turn().freeze(), Readiness::Ready);
    let started = ["start", "context_create(1,0)", "vm_start(1,0)", "configure(1,0)"];
    assert_eq!(world.bed.trace(), started);
    assert_eq!(world.turn().start(false), Ok(()));
    assert_eq!(world.bed.trace(), [""; 0]);
    assert!(!world.turn().stays());
    world.get();
    assert_eq!(world.bed.trace(), ["context_create(2,1)", "request_headers(2,4,1)"]);
}

#[test]
fn plugins_that_refuse_are_told_of() {
    let mut world = unstarted(0);
    world.bed.returns(Id::Configure, [0]);
    assert_eq!(world.turn().freeze(), Readiness::Refused);
    assert_eq!(world.bed.log(), ["[critical] `proxy_on_configure` returned false"]);
}

#[test]
fn the_ticks_of_its_start_run() {
    let mut world = unstarted(2);
    world.bed.on(Id::Configure, |filter| {
        filter.state().set_tick_period(1000);
        1
    });
    assert_eq!(world.turn().freeze(), Readiness::Ready);
    assert_eq!(world.bed.trace()[4..], ["tick(1)", "tick(1)"]);
}

#[test]
fn what_is_yet_to_come_is_in_the_way() {
    for (at, ticks) in [(Id::Configure, 0), (Id::Tick, 1)] {
        let mut world = unstarted(ticks);
        world.bed.on(Id::Configure, |filter| {
            filter.state().set_tick_period(1000);
            1
        });
        world.bed.on(at, |filter| {
            filter.state().set_tick_period(1000);
            call_out(filter, 0);
            1
        });
        assert_eq!(world.turn().freeze(), Readiness::Unfinished);
    }
}

#[test]
fn streams_that_are_kept_open_are_in_the_way() {
    let mut world = unstarted(0);
    world.bed.on(Id::Configure, |filter| {
        filter.state().grpc_stream(crate::world::METHOD).unwrap();
        1
    });
    assert_eq!(world.turn().freeze(), Readiness::Unfinished);
}

#[test]
fn a_vm_may_be_bypassed_until_something_happens() {
    let mut world = unstarted(0);
    world.bed.on(Id::Configure, |filter| {
        filter.state().set_tick_period(1000);
        1
    });
    assert_eq!(world.turn().freeze(), Readiness::Ready);
    world.bed.trace();
    world.bed.chain.bypass(0);
    assert_eq!(world.bed.chain.tick_deadline(), None);
    world.get();
    assert_eq!(world.bed.trace(), [""; 0]);

    let mut world = unstarted(0);
    assert_eq!(world.turn().freeze(), Readiness::Ready);
    world.get();
    world.bed.chain.bypass(0);
    world.bed.trace();
    world.get();
    assert_eq!(world.bed.trace().len(), 2, "too late");
}
