//! HTTP callouts: their framing, what comes back, and how many a filter may answer with others.

use proxy_wasm_abi::limits::{CALLOUT_RESPONSE_MAX_BYTES, CALLOUT_ROUNDS_MAX};
use proxy_wasm_driver::Peer;
use proxy_wasm_semantics::UpstreamFailure;

use crate::{
    common::Id,
    world::{World, call_out, call_with, callout, waits_for_callout},
};

const POST: &[(&str, &str)] = &[(":method", "POST"), (":path", "/c"), (":authority", "a")];

#[test]
fn a_callout_is_made_when_the_filter_has_returned() {
    let mut world = World::new();
    waits_for_callout(world.bed);
    let id = world.get();
    assert_eq!(world.actions(id), [""; 0], "the filter holds the request");
    assert!(world.turn().work(), "there is something to do");
    assert_eq!(world.calls(), ["callout 4 request auth:80 GET /c end"]);
    assert!(!world.turn().work());
    world.bed.trace();
    world.head(callout(4), &[], false);
    world.data(callout(4), "a");
    world.data(callout(4), "b");
    assert_eq!(world.bed.trace(), [""; 0], "the filter gets all of it at once");
    world.trailers(callout(4), &[("a", "b")]);
    assert_eq!(world.bed.trace(), ["http_call_response(1,4,2,2,1)"]);
    assert_eq!(world.calls(), ["callout 4 release"]);
    world.end(callout(4));
    assert_eq!(world.bed.trace(), [""; 0], "it came back once");
}

#[test]
fn a_response_may_end_with_its_last_bytes() {
    let mut world = World::new();
    waits_for_callout(world.bed);
    world.get();
    world.worked();
    world.head(callout(4), &[], false);
    world.bed.trace();
    world.last(callout(4), "ab");
    assert_eq!(world.bed.trace(), ["http_call_response(1,4,2,2,0)"]);
}

#[test]
fn bodies_and_trailers_are_framed() {
    for (body, trailers, expected) in [
        ("", &[][..], vec!["callout 4 request auth:80 POST /c end"]),
        ("abc", &[], vec!["callout 4 request auth:80 POST /c", "callout 4 write \"abc\"", "callout 4 finish"]),
        ("", &[("a", "b")], vec!["callout 4 request auth:80 POST /c", "callout 4 finish trailers"]),
    ] {
        let mut world = World::new();
        world.bed.on(Id::RequestHeaders, move |filter| {
            call_with(filter, POST, body, trailers, 0);
            1
        });
        world.get();
        assert_eq!(world.worked(), expected);
    }
}

#[test]
fn a_callout_with_another_length_than_it_says_fails() {
    let mut world = World::new();
    world.bed.on(Id::RequestHeaders, |filter| {
        call_with(filter, &[POST, &[("content-length", "5")]].concat(), "", &[("a", "b")], 0);
        1
    });
    world.get();
    world.bed.trace();
    assert_eq!(world.worked(), [""; 0]);
    assert_eq!(world.bed.trace(), ["http_call_response(1,4,3,87,0)"], "Envoy's answer");
}

#[test]
fn callouts_that_are_never_made_have_their_turns_too() {
    let mut world = World::new();
    let never = |filter: &crate::common::Call<'_>| {
        call_with(filter, &[POST, &[("content-length", "5")]].concat(), "", &[("a", "b")], 0);
    };
    world.bed.on(Id::RequestHeaders, move |filter| {
        never(filter);
        1
    });
    world.bed.on(Id::HttpCallResponse, move |filter| {
        never(filter);
        0
    });
    world.get();
    for _ in 0..3 {
        world.bed.trace();
        assert!(world.turn().work());
        assert_eq!(world.bed.calls().len(), 1);
    }
}

#[test]
fn what_cannot_be_had_comes_back_as_an_answer_until_its_head_came() {
    for after_head in [false, true] {
        let mut world = World::new();
        waits_for_callout(world.bed);
        world.get();
        world.worked();
        world.bed.trace();
        if after_head {
            world.head(callout(4), &[], false);
            world.broken(callout(4));
        } else {
            world.failed(callout(4), UpstreamFailure::ConnectionTerminated, Some("its answer breaks off"));
        }
        let shown = if after_head { "http_call_response(1,4,0,0,0)" } else { "http_call_response(1,4,3,95,0)" };
        assert_eq!(world.bed.trace(), [shown]);
        let reason = "connection termination: its answer breaks off";
        assert_eq!(world.bed.log(), [format!("[warn] callout to http://auth:80: {reason}")]);
        assert_eq!(world.calls(), ["callout 4 release"]);
    }
}

#[test]
fn a_callout_has_its_time() {
    for after_head in [false, true] {
        let mut world = World::new();
        waits_for_callout(world.bed);
        world.get();
        world.worked();
        world.bed.trace();
        if after_head {
            world.head(callout(4), &[], false);
        }
        assert_eq!(world.deadline(), Some(500));
        world.pass(499);
        assert_eq!(world.bed.trace(), [""; 0]);
        world.pass(1);
        let shown = if after_head { "http_call_response(1,4,0,0,0)" } else { "http_call_response(1,4,3,24,0)" };
        assert_eq!(world.bed.trace(), [shown]);
        assert_eq!(world.bed.log(), ["[warn] callout to http://auth:80: response timeout"]);
        assert_eq!(world.calls(), ["callout 4 release"]);
    }
}

#[test]
fn a_response_that_is_too_large_is_none() {
    let mut world = World::new();
    waits_for_callout(world.bed);
    world.get();
    world.worked();
    world.head(callout(4), &[], false);
    let half = "x".repeat(CALLOUT_RESPONSE_MAX_BYTES / 2);
    world.data(callout(4), &half);
    world.data(callout(4), &half);
    world.bed.trace();
    world.data(callout(4), "x");
    assert_eq!(world.bed.trace(), ["http_call_response(1,4,0,0,0)"]);
    assert_eq!(world.calls(), ["callout 4 release"]);
}

#[test]
fn the_time_until_the_head_is_told() {
    let mut world = World::new();
    waits_for_callout(world.bed);
    world.bed.on(Id::HttpCallResponse, |filter| {
        filter.get(6, "x-envoy-upstream-service-time");
        0
    });
    world.get();
    world.worked();
    world.pass(20);
    world.head(callout(4), &[], false);
    world.pass(20);
    world.bed.trace();
    world.end(callout(4));
    assert_eq!(world.bed.notes(), ["get 6 x-envoy-upstream-service-time: 0 \"20\""]);
}

#[test]
fn a_callout_that_fails_at_once_waits_for_its_turn_to_be_made_again() {
    let mut world = World::new();
    waits_for_callout(world.bed);
    world.bed.on(Id::HttpCallResponse, |filter| {
        call_out(filter, 0);
        0
    });
    world.get();
    for token in [4, 8, 12] {
        assert_eq!(world.worked().last().unwrap(), &format!("callout {token} request auth:80 GET /c end"));
        world.failed(callout(token), UpstreamFailure::ConnectionFailed, None);
    }
}

#[test]
fn callouts_without_end_are_given_up() {
    let mut world = World::with(|settings| settings.connection.stream_idle_timeout_ms = 0);
    waits_for_callout(world.bed);
    world.bed.on(Id::HttpCallResponse, |filter| {
        call_out(filter, 0);
        0
    });
    let id = world.get();
    world.worked();
    for round in 0..=CALLOUT_ROUNDS_MAX {
        assert_eq!(world.actions(id), [""; 0], "round {round}");
        world.head(callout(4 * (round + 1)), &[], true);
        world.worked();
        world.bed.trace();
    }
    assert_eq!(world.bed.log(), ["[error] given up: a filter holds it for callouts without end"]);
    assert_eq!(world.actions(id)[0], "client 2 response 504");
}

#[test]
fn callouts_without_end_do_not_end_what_an_upstream_answers() {
    let mut world = World::with(|settings| settings.connection.stream_idle_timeout_ms = 0);
    world.bed.on(Id::RequestHeaders, |filter| {
        call_out(filter, 0);
        0
    });
    world.bed.on(Id::HttpCallResponse, |filter| {
        call_out(filter, 0);
        0
    });
    let id = world.get();
    assert_eq!(world.actions(id), ["upstream 2 request up GET /p end"]);
    world.worked();
    for round in 0..=CALLOUT_ROUNDS_MAX {
        world.head(callout(4 * (round + 1)), &[], true);
        world.worked();
        world.bed.trace();
    }
    assert_eq!((world.actions(id), world.bed.log()), (Vec::new(), Vec::new()));
    world.head(Peer::Upstream(id), &[], true);
    assert_eq!(world.actions(id), ["client 2 response 200 end"]);
}

#[test]
fn time_limits_count_while_callouts_keep_the_edge_from_waiting() {
    let mut world = World::new();
    waits_for_callout(world.bed);
    world.bed.on(Id::HttpCallResponse, |filter| {
        call_out(filter, 0);
        0
    });
    let id = world.get();
    world.worked();
    world.head(callout(4), &[], true);
    world.worked();
    world.bed.set_clocks(0, 300_000 * crate::world::MS);
    world.head(callout(8), &[], true);
    world.worked();
    assert_eq!(world.actions(id)[0], "client 2 response 504", "the edge never asked for a deadline");
}

#[test]
fn queues_and_names_are_told_of_in_rounds() {
    let mut world = World::new();
    let token = world.bed.chain.register_shared_queue(b"q");
    world.bed.chain.enqueue_shared_queue(token, b"a").unwrap();
    world.bed.on(Id::QueueReady, move |filter| {
        filter.chain().enqueue_shared_queue(token, b"a").unwrap();
        filter.state().resolve_dns(b"10.0.0.1");
        0
    });
    assert!(world.turn().work());
    assert_eq!(world.bed.trace(), ["queue_ready(1,1)"]);
    assert!(world.turn().work());
    assert_eq!(world.bed.calls().len(), 2, "a name and the next item");
}
