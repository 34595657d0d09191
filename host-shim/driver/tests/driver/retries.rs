//! Requests that are sent once more.

use proxy_wasm_abi::{
    clusters::{Balancing, ClusterDetails, Endpoint},
    metadata::Metadata,
    retries::{RetryOn, RetryPolicy},
    routing::{
        Action, AttemptCount, Forward, HeaderChanges, HostRewrite, Match, PathMatch, Route, RouteTable, Target,
        VirtualHost,
    },
    settings::Origin,
};
use proxy_wasm_driver::Peer;
use proxy_wasm_semantics::UpstreamFailure;

use crate::{common::Id, world::World};

/// A cluster of the endpoints `a` and `b`, and a route to it with this policy.
fn world(timeout_ms: u64, policy: RetryPolicy) -> World<'static> {
    world_telling(None, timeout_ms, policy)
}

/// The same, where endpoints are told this as their host.
fn world_telling(host: Option<HostRewrite>, timeout_ms: u64, policy: RetryPolicy) -> World<'static> {
    let forward = Forward {
        target: Target::Cluster("auth".into()),
        path: None,
        host,
        timeout_ms,
        max_grpc_timeout_ms: None,
        cluster_not_found: 503,
        retry: Some(policy),
    };
    let route = Route {
        name: "r".into(),
        matches: Match {
            path: PathMatch::Prefix("/".into()),
            ignore_case: false,
            headers: Vec::new(),
            query: Vec::new(),
            grpc: false,
        },
        action: Action::Forward(forward),
        headers: HeaderChanges::default(),
        plugins: Vec::new(),
        metadata: Metadata::default(),
        cors: None,
    };
    let host = VirtualHost {
        name: "v".into(),
        domains: vec!["*".into()],
        routes: vec![route],
        attempt_count: AttemptCount { request: true, response: true },
        ..VirtualHost::default()
    };
    let endpoint =
        |name: &str| Endpoint { origin: Origin { tls: false, authority: name.into() }, weight: 1, hostname: None };
    let cluster = ClusterDetails {
        name: "auth".into(),
        endpoints: vec![endpoint("a"), endpoint("b")],
        balancing: Balancing::RoundRobin,
        http2: false,
        metadata: Metadata::default(),
    };
    let table = RouteTable { virtual_hosts: vec![host], clusters: vec![cluster], ..RouteTable::default() };
    World::with(move |settings| {
        settings.routing = table.encode().into();
        settings.connection.buffer_limit = 8;
    })
}

fn policy(on: &[RetryOn], retries: u32) -> RetryPolicy {
    // Of one millisecond nothing is left by chance.
    RetryPolicy { on: on.to_vec(), retries, base_interval_ms: 1, max_interval_ms: 1, ..RetryPolicy::default() }
}

/// The endpoint that a request went to, and the other one.
fn sides(action: &str) -> (&'static str, &'static str) {
    if action.contains("request a ") { ("a", "b") } else { ("b", "a") }
}

#[test]
fn another_endpoint_is_asked_where_the_first_cannot_be_reached() {
    let mut world = world(0, policy(&[RetryOn::ConnectFailure], 1));
    let id = world.get();
    let upstream = Peer::Upstream(id);
    let first = world.actions(id);
    let (one, other) = sides(&first[0]);
    assert_eq!(first, [format!("upstream {id} request {one} GET /p end")]);
    world.failed(upstream, UpstreamFailure::ConnectionFailed, None);
    assert_eq!(world.actions(id), [format!("upstream {id} release")]);
    assert!(!world.wants(upstream), "nothing was sent yet");
    assert_eq!(world.deadline(), Some(0));
    world.pass(0);
    assert_eq!(world.actions(id), [format!("upstream {id} request {other} GET /p end")]);
    world.bed.trace();
    world.head(upstream, &[], true);
    assert_eq!(world.bed.trace(), ["response_headers(2,2,1)"]);
    assert_eq!(world.actions(id), [format!("client {id} response 200 end")]);
}

/// Source: `routes/auto-host-rewrite`, `retries/attempt-count`.
#[test]
fn filters_see_what_the_last_endpoint_was_told() {
    let mut world = world_telling(Some(HostRewrite::Endpoint), 0, policy(&[RetryOn::ConnectFailure], 1));
    world.bed.on(Id::Log, |filter| {
        filter.property("request/host");
        filter.property("request/headers/x-envoy-attempt-count");
        0
    });
    let id = world.get();
    let first = world.actions(id);
    let (_, other) = sides(&first[0]);
    world.failed(Peer::Upstream(id), UpstreamFailure::ConnectionFailed, None);
    world.actions(id);
    world.pass(0);
    world.actions(id);
    world.head(Peer::Upstream(id), &[], true);
    world.actions(id);
    world.turn().close(id);
    let count = "request/headers/x-envoy-attempt-count: 0 \"2\"";
    assert_eq!(world.bed.notes(), [format!("request/host: 0 \"{other}\""), count.into()]);
}

#[test]
fn without_a_policy_for_it_a_failure_is_the_answer() {
    let mut world = world(0, policy(&[RetryOn::RetriableStatusCodes], 3));
    let id = world.get();
    world.actions(id);
    world.failed(Peer::Upstream(id), UpstreamFailure::ConnectionFailed, None);
    assert_eq!(world.actions(id)[0], format!("client {id} response 503"));
}

#[test]
fn filters_see_the_last_answer_alone() {
    let mut world = world(0, policy(&[RetryOn::ServerError], 2));
    let id = world.get();
    let upstream = Peer::Upstream(id);
    for _ in 0..2 {
        world.actions(id);
        world.bed.trace();
        world.status(upstream, "500");
        assert!(world.bed.trace().is_empty());
        world.pass(0);
    }
    world.actions(id);
    world.status(upstream, "500");
    assert_eq!(world.bed.trace().len(), 1, "no try is left");
}

#[test]
fn a_body_is_sent_again_and_what_comes_meanwhile_follows() {
    let mut world = world(0, policy(&[RetryOn::Reset], 1));
    let id = world.post();
    let (client, upstream) = (Peer::Client(id), Peer::Upstream(id));
    world.actions(id);
    world.data(client, "abc");
    world.actions(id);
    // What the upstream was still to be told goes with it.
    world.data(client, "de");
    world.failed(upstream, UpstreamFailure::RemoteReset, None);
    assert_eq!(world.actions(id), [format!("upstream {id} release")]);
    assert!(world.wants(client), "there is room for more");
    world.data(client, "f");
    assert!(world.actions(id).is_empty());
    world.pass(0);
    let again = world.actions(id);
    assert!(again[0].contains("request") && again[0].ends_with("POST /p"), "{again:?}");
    assert_eq!(again[1..], [format!("upstream {id} write \"abcdef\"")]);
    world.written(upstream);
    world.last(client, "g");
    assert_eq!(world.actions(id), [format!("upstream {id} write \"g\""), format!("upstream {id} finish")]);
}

#[test]
fn a_body_past_the_limit_is_sent_once() {
    let mut world = world(0, policy(&[RetryOn::Reset], 1));
    let id = world.post();
    let (client, upstream) = (Peer::Client(id), Peer::Upstream(id));
    world.actions(id);
    world.last(client, "123456789");
    world.actions(id);
    world.failed(upstream, UpstreamFailure::RemoteReset, None);
    assert_eq!(world.actions(id)[0], format!("client {id} response 503"));
}

#[test]
fn a_body_that_outgrows_the_limit_before_the_next_try_is_refused() {
    let mut world = world(0, policy(&[RetryOn::Reset], 1));
    let id = world.post();
    let (client, upstream) = (Peer::Client(id), Peer::Upstream(id));
    world.actions(id);
    world.data(client, "12345678");
    world.actions(id);
    world.failed(upstream, UpstreamFailure::RemoteReset, None);
    world.actions(id);
    world.data(client, "9");
    assert_eq!(world.actions(id)[0], format!("client {id} response 507"));
    world.pass(0);
    assert!(!world.actions(id).iter().any(|action| action.contains("request")));
}

#[test]
fn a_try_has_its_time_and_all_have_theirs() {
    let mut world = world(250, RetryPolicy { per_try_timeout_ms: 100, ..policy(&[RetryOn::GatewayError], 5) });
    let id = world.get();
    world.actions(id);
    assert_eq!(world.deadline(), Some(100));
    for _ in 0..2 {
        world.pass(100);
        assert_eq!(world.actions(id), [format!("upstream {id} release")]);
        world.pass(0);
        assert_eq!(world.actions(id).len(), 1, "it is sent again");
    }
    assert_eq!(world.deadline(), Some(50), "that of all");
    world.pass(50);
    assert_eq!(world.actions(id)[..2], [format!("upstream {id} release"), format!("client {id} response 504")]);
}

#[test]
fn a_try_that_takes_too_long_is_an_answer_where_none_is_left() {
    let mut world = world(0, RetryPolicy { per_try_timeout_ms: 100, ..policy(&[], 5) });
    let id = world.get();
    world.actions(id);
    world.pass(100);
    assert_eq!(world.actions(id)[..2], [format!("upstream {id} release"), format!("client {id} response 504")]);
}

#[test]
fn a_filter_that_answers_meanwhile_ends_the_tries() {
    let mut world = world(0, policy(&[RetryOn::Reset], 1));
    world.bed.on(Id::RequestBody, |filter| {
        filter.state().send_local_response(403, b"", b"", b"", u32::MAX).unwrap();
        0
    });
    let id = world.post();
    world.actions(id);
    world.failed(Peer::Upstream(id), UpstreamFailure::RemoteReset, None);
    world.actions(id);
    world.data(Peer::Client(id), "a");
    assert_eq!(world.actions(id), [format!("client {id} response 403 end")]);
    world.pass(0);
    assert!(world.actions(id).is_empty());
    assert!(world.is_over(id));
}

#[test]
fn what_may_be_sent_again_is_read_though_no_filter_wants_it() {
    for (on, passes) in [(vec![RetryOn::Reset], false), (Vec::new(), true)] {
        let mut world = world(0, policy(&on, 1));
        for callback in [Id::RequestBody, Id::RequestTrailers, Id::Log, Id::Done] {
            world.bed.lacks(callback);
        }
        let id = world.post();
        world.actions(id);
        assert_eq!(world.turn().pass_on(Peer::Client(id)), passes, "{on:?}");
    }
}
