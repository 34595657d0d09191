//! Whether a body follows a head.

use proxy_wasm_driver::{Follows, Input, follows, response_head};
use proxy_wasm_semantics::Request;

const MOMENT: u64 = 20_000_000;

fn request(method: &str, headers: &[(&str, &str)]) -> Request<'static> {
    let headers = headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
    Request::new(method.into(), None, None, None, headers)
}

#[test]
fn a_declared_length_says_whether_a_body_follows() {
    for (length, says) in [("0", Follows::Nothing), ("00", Follows::Nothing), ("7", Follows::Body)] {
        for exact in [false, true] {
            assert_eq!(follows(&request("GET", &[("Content-Length", length), ("trailer", "t")]), exact), says);
        }
    }
}

#[test]
fn without_a_length_the_edge_looks_and_waits_where_a_body_is_rare() {
    let unknown = |trailers, patience| Follows::Unknown { trailers, patience };
    for (method, exact, patience) in [
        ("GET", false, MOMENT),
        ("HEAD", false, MOMENT),
        ("OPTIONS", false, MOMENT),
        ("DELETE", false, MOMENT),
        ("TRACE", false, MOMENT),
        ("get", false, 0),
        ("POST", false, 0),
        ("GET", true, 0),
    ] {
        assert_eq!(follows(&request(method, &[]), exact), unknown(false, patience), "{method}");
    }
    assert_eq!(follows(&request("POST", &[("Trailer", "")]), true), unknown(true, 0));
    for length in ["", "x", "-1", "99999999999999999999"] {
        assert_eq!(follows(&request("POST", &[("content-length", length)]), true), unknown(false, 0), "{length}");
    }
}

#[test]
fn some_responses_have_no_body() {
    for (status, length, to_head, has_body) in [
        (200, None, false, true),
        (200, Some("5"), false, true),
        (200, Some("0"), false, false),
        (200, Some("5"), true, false),
        (204, None, false, false),
        (304, Some("5"), false, false),
        (404, None, false, true),
    ] {
        let fields = length.map(|length| ("content-length".to_string(), length.into()));
        let (headers, may_have_body) = response_head(status, fields.into_iter().collect(), to_head);
        assert_eq!(may_have_body, has_body, "{status} {length:?}");
        assert_eq!(headers.get(b":status"), Some(status.to_string().as_bytes()));
        assert_eq!(headers.get(b"content-length"), length.map(str::as_bytes));
    }
}

#[test]
fn a_response_of_204_has_no_length() {
    let fields =
        vec![("Content-Length".into(), b"5".to_vec()), ("x".into(), b"1".to_vec()), ("x".into(), b"2".to_vec())];
    let (headers, may_have_body) = response_head(204, fields, false);
    let pairs: Vec<_> = headers.iter().collect();
    assert_eq!(pairs, [(&b":status"[..], &b"204"[..]), (b"x", b"1"), (b"x", b"2")]);
    assert!(!may_have_body);
}

#[test]
fn trailers_of_nothing_are_none() {
    assert!(matches!(Input::end(Vec::new()), Input::End(None)));
    let Input::End(Some(trailers)) = Input::end(vec![("A".into(), b"1".to_vec())]) else { panic!("it has trailers") };
    assert_eq!(trailers.get(b"a"), Some(&b"1"[..]));
}
