//! Changes that the connection manager makes to a request before the filter sees it.

use std::borrow::Cow;

use proxy_wasm_semantics::Request;

use crate::common::{Bed, Id};

/// The map that the filter sees of a request with these header lines.
fn seen(bed: &Bed, headers: &[(&str, &str)]) -> String {
    bed.on(Id::RequestHeaders, |f| {
        f.pairs(0);
        0
    });
    bed.trace();
    bed.open("GET", "/p", headers, true);
    bed.notes().remove(0).trim_start_matches("pairs 0: 0 ").into()
}

fn plain(headers: &[(&str, &str)]) -> String {
    let map = seen(&Bed::new(), headers);
    map.strip_prefix("[:authority: h] [:path: /p] [:method: GET] [:scheme: http]").expect("the order").trim().into()
}

#[test]
fn pseudo_headers_come_first_then_the_lines_in_order_in_lower_case() {
    assert_eq!(plain(&[("B", "1"), ("a", "2"), ("x_y", ""), ("t", "a\tb")]), "[b: 1] [a: 2] [x_y: ] [t: a\\tb]");
}

#[test]
fn lines_of_headers_that_hold_one_value_are_joined() {
    assert_eq!(plain(&[("accept", "a"), ("x", "1"), ("Accept", "b"), ("x", "2")]), "[accept: a,b] [x: 1] [x: 2]");
}

#[test]
fn hop_by_hop_headers_are_removed() {
    for name in
        ["Connection", "keep-alive", "proxy-connection", "upgrade", "http2-settings", "expect", "transfer-encoding"]
    {
        assert_eq!(plain(&[("a", "1"), (name, "x"), ("b", "2")]), "[a: 1] [b: 2]", "{name}");
    }
}

#[test]
fn headers_that_connection_names_are_removed() {
    assert_eq!(
        plain(&[
            ("x-hop", "1"),
            ("Connection", "close, X-Hop"),
            ("connection", "x-other"),
            ("x-other", "2"),
            ("b", "3")
        ]),
        "[b: 3]"
    );
    assert_eq!(plain(&[("connection", "te"), ("te", "trailers")]), "[te: trailers]");
}

#[test]
fn te_stays_as_far_as_it_asks_for_trailers() {
    assert_eq!(plain(&[("te", "gzip, trailers")]), "[te: trailers]");
    assert_eq!(plain(&[("TE", "trailers")]), "[te: trailers]");
    assert_eq!(plain(&[("te", "gzip")]), "");
}

#[test]
fn a_clients_router_headers_are_removed_and_other_envoy_headers_stay() {
    for name in [
        "x-envoy-upstream-rq-timeout-ms",
        "X-Envoy-Retry-On",
        "x-envoy-max-retries",
        "x-envoy-internal",
        "x-envoy-expected-rq-timeout-ms",
    ] {
        assert_eq!(plain(&[(name, "1")]), "", "{name}");
    }
    for name in ["x-envoy-foo", "x-envoy-original-path", "x-envoy-decorator-operation"] {
        assert_eq!(plain(&[(name, "1")]), format!("[{name}: 1]"));
    }
}

#[test]
fn ordinary_headers_stay() {
    for name in ["content-length", "via", "referer", "x-forwarded-for", "cookie", "trailer"] {
        assert_eq!(plain(&[(name, "1")]), format!("[{name}: 1]"));
    }
}

fn managed() -> Bed {
    Bed::with(|settings| {
        settings.connection.forwarded_proto = true;
        settings.connection.request_id = true;
    })
}

#[test]
fn x_forwarded_proto_and_x_request_id_are_added_last() {
    assert_eq!(
        seen(&managed(), &[("a", "1")]),
        "[:authority: h] [:path: /p] [:method: GET] [:scheme: http] [a: 1] [x-forwarded-proto: http] \
         [x-request-id: 00010203-0405-4607-8809-0a0b0c0d0e0f]"
    );
}

#[test]
fn a_clients_own_x_request_id_and_x_forwarded_proto_stay_in_place() {
    assert_eq!(
        seen(&managed(), &[("x-request-id", "mine"), ("x-forwarded-proto", "http"), ("a", "1")]),
        "[:authority: h] [:path: /p] [:method: GET] [:scheme: http] [x-request-id: mine] [x-forwarded-proto: http] [a: 1]"
    );
}

#[test]
fn the_scheme_follows_x_forwarded_proto() {
    for (proto, scheme) in [("https", "https"), ("ftp", "http"), ("http", "http")] {
        let map = seen(&managed(), &[("x-forwarded-proto", proto)]);
        assert!(map.contains(&format!("[:scheme: {scheme}] [x-forwarded-proto: {proto}]")), "{map}");
    }
}

/// The map that the filter sees of a request of which the host tells this authority, with one setting or both.
fn authority(told: &str, fixed: Option<&str>, header: Option<&str>) -> String {
    let bed = Bed::with(|settings| {
        settings.connection.authority = fixed.map(Into::into);
        settings.connection.authority_header = header.map(Into::into);
    });
    bed.on(Id::RequestHeaders, |f| {
        f.pairs(0);
        0
    });
    bed.trace();
    let line = |name: &str, value: &str| (Cow::Owned(name.into()), Cow::Owned(value.into()));
    let head = Request {
        headers: vec![line("a", "1"), line("X-Host", "carried.test"), line("b", "2")],
        ..Request::new("GET".into(), None, Some(told.into()).filter(|told: &String| !told.is_empty()), None, Vec::new())
    };
    bed.chain.open(head, true);
    let map = bed.notes().remove(0);
    map.replace("pairs 0: 0 ", "").replace(" [:path: /] [:method: GET] [:scheme: http]", "")
}

#[test]
fn an_authority_that_the_host_hides_is_carried_by_a_header_or_set() {
    let (fixed, header) = (Some("fixed.test"), Some("x-host"));
    let all = "[a: 1] [x-host: carried.test] [b: 2]";
    // What the host tells counts, and then the header is one like any other.
    assert_eq!(authority("told.test", fixed, header), format!("[:authority: told.test] {all}"));
    assert_eq!(authority("", fixed, header), "[:authority: carried.test] [a: 1] [b: 2]");
    assert_eq!(authority("", fixed, Some("x-other")), format!("[:authority: fixed.test] {all}"));
    assert_eq!(authority("", fixed, None), format!("[:authority: fixed.test] {all}"));
    assert_eq!(authority("", None, None), format!("[:authority: ] {all}"));
}

#[test]
fn each_request_has_an_id_of_its_own() {
    let bed = managed();
    assert_ne!(seen(&bed, &[]), seen(&bed, &[]));
}

#[test]
fn values_are_any_bytes() {
    let bed = Bed::new();
    bed.on(Id::RequestHeaders, |f| {
        f.get(0, "x");
        0
    });
    bed.chain.open(
        proxy_wasm_semantics::Request { headers: vec![(b"X".into(), b"\xff".into())], ..Default::default() },
        true,
    );
    assert_eq!(bed.notes(), ["get 0 x: 0 \"\\\\xff\""]);
}

#[test]
fn a_part_of_a_head_that_the_host_does_not_know_has_a_default() {
    let request = Request::new("GET".into(), None, None, None, Vec::new());
    let parts = [&*request.method, &request.scheme, &request.authority, &request.path];
    assert_eq!(parts, [&b"GET"[..], b"http", b"", b"/"]);
}
