//! Pages of other origins, by the policies of a table of routes; `routes/cors-before-the-plugins` has the rest.

use proxy_wasm_abi::{
    cors::{Cors, CorsPolicy},
    metadata::Metadata,
    routing::{
        Action, Forward, HeaderChanges, Match, PathMatch, Route, RouteTable, Target, TextMatch, TextMatchKind,
        VirtualHost,
    },
};
use proxy_wasm_driver::Peer;

use crate::world::World;

const PREFLIGHT: &[(&str, &str)] = &[("origin", "o"), ("access-control-request-method", "PUT")];

/// One route to `auth`, for pages of the origin `o`.
fn world(behind_plugins: bool, forward_others: bool) -> World<'static> {
    let forward = Forward {
        target: Target::Cluster("auth".into()),
        path: None,
        host: None,
        timeout_ms: 0,
        max_grpc_timeout_ms: None,
        cluster_not_found: 503,
        retry: None,
    };
    let path = PathMatch::Prefix("/".into());
    let route = Route {
        name: "r".into(),
        matches: Match { path, ignore_case: false, headers: Vec::new(), query: Vec::new(), grpc: false },
        action: Action::Forward(forward),
        headers: HeaderChanges::default(),
        plugins: Vec::new(),
        metadata: Metadata::default(),
        cors: Some(0),
    };
    let host = VirtualHost { domains: vec!["*".into()], routes: vec![route], ..VirtualHost::default() };
    let policy = CorsPolicy {
        origins: vec![TextMatch { kind: TextMatchKind::Exact, text: "o".into(), ignore_case: false }],
        methods: "GET".into(),
        headers: "*".into(),
        expose: "x-e".into(),
        max_age: String::new(),
        credentials: false,
        private_network: true,
        forward_others,
    };
    let cors = Cors { policies: vec![policy], behind_plugins };
    let table = RouteTable { virtual_hosts: vec![host], cors, ..RouteTable::default() };
    World::with(move |settings| settings.routing = table.encode().into())
}

#[test]
fn before_the_plugins_none_hears_of_a_preflight() {
    let mut world = world(false, true);
    let id = world.open("OPTIONS", PREFLIGHT, true);
    assert_eq!(world.actions(id)[0], format!("client {id} response 200 end"));
    let calls = world.bed.trace();
    assert!(!calls.iter().any(|call| call.contains("headers")), "{calls:?}");
}

#[test]
fn behind_the_plugins_all_hear_of_a_preflight_and_its_answer() {
    let mut world = world(true, true);
    let id = world.open("OPTIONS", PREFLIGHT, true);
    assert_eq!(world.actions(id)[0], format!("client {id} response 200 end"));
    // The status, the origin, the methods, the headers, and what may be read.
    let calls: Vec<_> = world.bed.trace().into_iter().filter(|call| call.contains("headers")).collect();
    assert_eq!(calls, ["request_headers(2,6,1)", "response_headers(2,5,1)"]);
}

#[test]
fn other_origins_go_on_unless_the_policy_says_otherwise() {
    let others = [("origin", "p"), ("access-control-request-method", "PUT")];
    let mut world = self::world(false, true);
    let id = world.open("OPTIONS", &others, true);
    assert_eq!(world.actions(id), [format!("upstream {id} request auth:80 OPTIONS /p end")]);
    let mut world = self::world(false, false);
    let id = world.open("OPTIONS", &others, true);
    assert_eq!(world.actions(id)[0], format!("client {id} response 200 end"));
}

#[test]
fn plugins_see_a_response_before_it_says_who_may_read_it() {
    for (behind, count) in [(false, 1), (true, 3)] {
        let mut world = world(behind, true);
        let id = world.open("GET", &[("origin", "o")], true);
        world.actions(id);
        world.bed.trace();
        world.head(Peer::Upstream(id), &[], true);
        let seen = world.bed.trace();
        assert_eq!(seen[0], format!("response_headers(2,{count},1)"));
    }
}
