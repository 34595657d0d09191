//! Heads and trailers on their way out, and what is said where there is no way.

use proxy_wasm_semantics::{HeaderMap, Kind};

use crate::common::Bed;

#[test]
fn fields_go_out_but_pseudo_headers_and_what_the_host_forbids() {
    let bed = Bed::new();
    let pairs: [(&[u8], &[u8]); 7] = [
        (b":status", b"200"),
        (b"x", b"1"),
        (b"Connection", b"close"),
        (b"connection-x", b"\xff"),
        (b"a\xffb", b"2"),
        (b"connection", b"x"),
        (b"x", b"3"),
    ];
    let headers = HeaderMap::from_pairs(Kind::Trailers, pairs);
    assert_eq!(bed.chain.fields(&headers), [("x", &b"1"[..]), ("connection-x", b"\xff"), ("x", b"3")]);
    let refused = |name: &str| format!("[warn] header `{name}` is left out: the host refuses it");
    assert_eq!(bed.log(), ["connection", "a\u{fffd}b", "connection"].map(refused));
}

#[test]
fn what_the_host_refuses_besides_is_told() {
    let bed = Bed::new();
    bed.chain.field_refused(b"a\nb");
    assert_eq!(bed.chain.status_refused(), 502);
    let lines = [
        "[warn] header `a\\nb` is left out: the host refuses it",
        "[warn] the host refuses the response's status: 502 is sent",
    ];
    assert_eq!(bed.log(), lines);
}

#[test]
fn plugins_that_did_not_start_are_named_and_answered_for() {
    let bed = Bed::new();
    let head = bed.chain.refuse(None, "`f` returned false");
    assert_eq!(head, HeaderMap::from_pairs(Kind::Response, [(":status", "503")]));
    let bed = Bed::chain(&[""], &[0, 0], |_| {});
    bed.log();
    let head = bed.chain.refuse(Some(b"application/grpc"), "r");
    let grpc = [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "14")];
    assert_eq!(head, HeaderMap::from_pairs(Kind::Response, grpc));
    assert_eq!(bed.log(), ["[critical] a plugin did not start: r"]);
}
