//! Requests of gRPC callouts: the head, the first frame, the cluster.

use super::*;

#[test]
fn a_call_is_a_head_and_a_frame() {
    let bed = bed();
    let request = called(&bed);
    let expected = [
        (":method", "POST"),
        (":path", "/pkg.Service/Do"),
        (":authority", "auth"),
        ("te", "trailers"),
        ("grpc-timeout", "500m"),
        ("content-type", "application/grpc"),
        ("x-envoy-internal", "true"),
        ("x-envoy-expected-rq-timeout-ms", "500"),
    ];
    assert_eq!(request.headers, HeaderMap::from_pairs(Kind::Request, expected));
    assert_eq!((request.id.token, request.timeout_ms, request.origin.authority.as_str()), (5, 500, "10.0.0.1:80"));
    assert_eq!(actions(&bed), [GrpcAction::Send { id: of(5), bytes: frame(0, "ask"), end: true }]);
    assert!(bed.chain.has_work() && bed.chain.awaits_work());
}

#[test]
fn timeouts_have_eight_digits_and_none_is_no_limit() {
    for (timeout_ms, shown, expected) in [
        (0, "0m", None),
        (99_999_999, "99999999m", Some("99999999")),
        (100_000_001, "100000S", Some("100000001")),
        (u32::MAX, "4294967S", Some("4294967295")),
    ] {
        let bed = bed();
        bed.on(Id::RequestHeaders, move |filter| {
            filter.state().grpc_call(target(b"auth"), b"", timeout_ms).expect("it is accepted");
            1
        });
        let request = started(&bed);
        assert_eq!(request.headers.get(b"grpc-timeout"), Some(shown.as_bytes()));
        let header = request.headers.get(b"x-envoy-expected-rq-timeout-ms");
        assert_eq!(header, expected.map(str::as_bytes));
        assert_eq!(request.timeout_ms, timeout_ms);
    }
}

#[test]
fn metadata_is_added_and_a_stream_has_no_timeout() {
    let bed = bed();
    bed.on(Id::RequestHeaders, |filter| {
        let metadata = encoded(&[("X-A", "1"), ("x-a", "2"), ("te", "x"), ("content-length", "9")]);
        let target = GrpcTarget { metadata: &metadata, ..target(b"auth") };
        assert_eq!(filter.state().grpc_stream(target), Ok(6));
        0
    });
    let request = started(&bed);
    let shown: Vec<_> = request.headers.iter().skip(3).collect();
    let expected = [
        ("te", "trailers,x"),
        ("content-type", "application/grpc"),
        ("x-a", "1"),
        ("x-a", "2"),
        ("x-envoy-internal", "true"),
    ];
    assert_eq!(shown, expected.map(|(name, value)| (name.as_bytes(), value.as_bytes())));
    assert!(bed.chain.has_work());
    assert!(!bed.chain.awaits_work(), "a stream that stays open is waited for by nobody");
}

#[test]
fn a_service_is_a_cluster_or_a_message_that_names_one() {
    let envoy = |content: &[u8]| field(1, content);
    let metadata = field(5, &[field(1, b"x-m"), field(2, b"v")].concat());
    for (service, expected) in [
        (b"auth".to_vec(), Ok("auth")),
        (b"nope".to_vec(), Err(Status::ParseFailure)),
        (Vec::new(), Err(Status::ParseFailure)),
        (b"\x0a".to_vec(), Err(Status::ParseFailure)),
        (envoy(b"\xff"), Err(Status::ParseFailure)),
        (envoy(&field(1, b"\xff\xfe")), Err(Status::ParseFailure)),
        (envoy(&field(1, b"auth")), Ok("auth")),
        ([envoy(&field(1, b"auth")), metadata, b"\x78\x07".to_vec()].concat(), Ok("auth")),
        (envoy(&[field(1, b"auth"), field(2, b"other.test")].concat()), Ok("other.test")),
        ([envoy(&field(1, b"nope")), envoy(&field(1, b"auth"))].concat(), Ok("auth")),
        (envoy(&field(1, b"nope")), Err(Status::InternalFailure)),
        (envoy(b""), Err(Status::InternalFailure)),
        (field(2, &field(1, b"127.0.0.1:1")), Err(Status::BadArgument)),
        ([field(2, b""), envoy(&field(1, b"auth"))].concat(), Ok("auth")),
        // A group, one that does not end, and one that ends another.
        ([envoy(&field(1, b"auth")), b"\x7b\x08\x01\x7c".to_vec()].concat(), Ok("auth")),
        (b"\x7b\x08\x01".to_vec(), Err(Status::ParseFailure)),
        (b"\x7b\x74".to_vec(), Err(Status::ParseFailure)),
    ] {
        let bed = bed();
        let shown = format!("{service:?}");
        bed.on(Id::RequestHeaders, move |filter| {
            assert_eq!(call(filter, &service).err(), expected.err(), "{service:?}");
            1
        });
        bed.get();
        let authority = match bed.chain.next_grpc() {
            Some(GrpcAction::Start(request)) => request.headers.get(b":authority").map(<[u8]>::to_vec),
            _ => None,
        };
        assert_eq!(authority.as_deref(), expected.ok().map(str::as_bytes), "{shown}");
    }
}

#[test]
fn a_cluster_that_a_message_names_and_nobody_knows_takes_a_token_and_closes() {
    let bed = bed();
    bed.on(Id::RequestHeaders, |filter| {
        assert_eq!(call(filter, &field(1, &field(1, b"nope"))), Err(Status::InternalFailure));
        assert_eq!(call(filter, b"auth"), Ok(9));
        1
    });
    bed.get();
    assert_eq!(bed.trace()[2..], ["grpc_close(1,5,14)", "  status 14 \"Cluster not available\""]);
    assert_eq!(bed.chain.state().get_status(), (14, b"".as_slice()), "the code stays");
}
