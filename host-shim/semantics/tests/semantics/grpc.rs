//! gRPC callouts.

use proxy_wasm_abi::{
    enums::Status,
    limits::CALLOUTS_MAX,
    pairs,
    settings::{Cluster, GrpcTransport, Origin},
};
use proxy_wasm_semantics::{CallId, GrpcAction, GrpcRequest, GrpcTarget, HeaderMap, Kind, UpstreamFailure};

use crate::common::{Bed, Call, Id};

const CALLBACKS: [Id; 4] =
    [Id::GrpcReceiveInitialMetadata, Id::GrpcReceive, Id::GrpcReceiveTrailingMetadata, Id::GrpcClose];

fn bed() -> Bed {
    bed_by(GrpcTransport::Http2)
}

/// Its callbacks note what they are about.
fn bed_by(transport: GrpcTransport) -> Bed {
    let bed = Bed::with(|settings| {
        let origin = Origin { tls: false, authority: "10.0.0.1:80".into() };
        settings.clusters.push(Cluster { name: "auth".into(), origin });
        settings.upkeep.grpc_transport = transport;
    });
    for callback in CALLBACKS {
        bed.on(callback, move |filter| {
            match callback {
                Id::GrpcReceiveInitialMetadata => filter.pairs(4),
                Id::GrpcReceive => filter.buffer(5),
                Id::GrpcReceiveTrailingMetadata => filter.pairs(5),
                _ => note_status(filter),
            }
            0
        });
    }
    bed
}

fn note_status(filter: &Call<'_>) {
    let (code, message) = {
        let vm = filter.state();
        let (code, message) = vm.get_status();
        (code, String::from_utf8_lossy(message).into_owned())
    };
    filter.note(format!("status {code} {message:?}"));
}

fn target(service: &[u8]) -> GrpcTarget<'_> {
    GrpcTarget { service, name: b"pkg.Service", method: b"Do", metadata: b"" }
}

fn call(filter: &Call<'_>, service: &[u8]) -> Result<u32, Status> {
    filter.state().grpc_call(target(service), b"ask", 500)
}

/// The callout of this token.
fn of(token: u32) -> CallId {
    CallId { plugin: 0, token }
}

/// A filter that makes a call in its request's head, and the call.
fn called(bed: &Bed) -> GrpcRequest {
    bed.on(Id::RequestHeaders, |filter| {
        assert_eq!(call(filter, b"auth"), Ok(5));
        1
    });
    started(bed)
}

/// A filter that opens a stream in its request's head, and the stream. The filter has ended its side.
fn opened(bed: &Bed) -> GrpcRequest {
    bed.on(Id::RequestHeaders, |filter| {
        assert_eq!(filter.state().grpc_stream(target(b"auth")), Ok(6));
        assert_eq!(filter.state().grpc_send(6, b"one", true), Ok(()));
        1
    });
    started(bed)
}

fn started(bed: &Bed) -> GrpcRequest {
    bed.get();
    bed.trace();
    let Some(GrpcAction::Start(request)) = bed.chain.next_grpc() else { panic!("it was asked for") };
    request
}

fn actions(bed: &Bed) -> Vec<GrpcAction> {
    std::iter::from_fn(|| bed.chain.next_grpc()).collect()
}

/// Once the edge has taken what there is to do, nothing is left.
fn is_done(bed: &Bed) -> bool {
    actions(bed);
    !bed.chain.has_work()
}

fn head(fields: &[(&str, &str)]) -> HeaderMap {
    let own = [(":status", "200"), ("content-type", "application/grpc")];
    HeaderMap::from_pairs(Kind::Response, own.iter().chain(fields).copied())
}

fn trailers(fields: &[(&str, &str)]) -> HeaderMap {
    HeaderMap::from_pairs(Kind::Trailers, fields.iter().copied())
}

fn encoded(fields: &[(&str, &str)]) -> Vec<u8> {
    pairs::encode(fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
}

fn frame(flags: u8, message: &str) -> Vec<u8> {
    [&[flags], (message.len() as u32).to_be_bytes().as_slice(), message.as_bytes()].concat()
}

/// A field of a protobuf message.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, content.len() as u8], content].concat()
}

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

#[test]
fn a_call_comes_back_as_its_last_message() {
    let bed = bed();
    called(&bed);
    assert!(bed.chain.grpc_head(of(5), head(&[]), false, 3));
    assert!(bed.chain.grpc_data(of(5), &[frame(0, "one"), frame(0, "two")].concat()));
    assert!(bed.trace().is_empty(), "nothing is shown before the end");
    bed.chain.grpc_end(of(5), Some(trailers(&[("grpc-status", "0")])));
    assert_eq!(bed.trace(), ["grpc_receive(1,5,3)", "  buffer 5: 0 \"two\""]);
    assert!(is_done(&bed));
    assert_eq!(bed.chain.state().grpc_cancel(5), Err(Status::NotFound));
}

#[test]
fn a_call_that_fails_comes_back_as_a_status() {
    type Run = fn(&Bed);
    let ends: [(Run, u32, &str); 9] = [
        (
            |bed| bed.chain.grpc_end(of(5), Some(trailers(&[("grpc-status", "7"), ("grpc-message", "no%20way")]))),
            7,
            "no%20way{via_upstream}",
        ),
        (|bed| bed.chain.grpc_end(of(5), Some(trailers(&[("grpc-status", "0")]))), 13, ""),
        (|bed| bed.chain.grpc_end(of(5), Some(trailers(&[("x", "1")]))), 2, "via_upstream"),
        (|bed| bed.chain.grpc_end(of(5), Some(trailers(&[("grpc-status", "17")]))), u32::MAX, "via_upstream"),
        (|bed| bed.chain.grpc_end(of(5), Some(trailers(&[("grpc-status", "x")]))), u32::MAX, "via_upstream"),
        (|bed| bed.chain.grpc_end(of(5), None), 2, "via_upstream"),
        (|bed| assert!(!bed.chain.grpc_data(of(5), &frame(1, "zip"))), 13, "via_upstream"),
        (|bed| assert!(!bed.chain.grpc_data(of(5), b"<html>")), 13, "via_upstream"),
        (|bed| bed.chain.grpc_failed(of(5), UpstreamFailure::Timeout), 13, "response_timeout"),
    ];
    for (end, code, message) in ends {
        let bed = bed();
        called(&bed);
        bed.chain.grpc_head(of(5), head(&[]), false, 3);
        end(&bed);
        assert_eq!(bed.trace(), [format!("grpc_close(1,5,{})", code), format!("  status {code} {message:?}")]);
        assert!(is_done(&bed));
    }
}

#[test]
fn a_stream_shows_its_metadata_and_each_message() {
    let bed = bed();
    opened(&bed);
    bed.chain.grpc_head(of(6), head(&[("x-init", "1")]), false, 3);
    bed.chain.grpc_data(of(6), &frame(0, "one")[..3]);
    bed.chain.grpc_data(of(6), &[&frame(0, "one")[3..], &frame(1, "")].concat());
    // Half a frame at the end is nothing.
    bed.chain.grpc_data(of(6), &frame(0, "two")[..6]);
    bed.chain.grpc_end(of(6), Some(trailers(&[("grpc-status", "0"), ("x-tr", "2")])));
    assert_eq!(
        bed.trace(),
        [
            "grpc_receive_initial_metadata(1,6,4)",
            "  pairs 4: 0 [:status: 200] [content-type: application/grpc] [x-init: 1] [x-envoy-upstream-service-time: 3]",
            "grpc_receive(1,6,3)",
            "  buffer 5: 0 \"one\"",
            "grpc_receive(1,6,0)",
            "  buffer 5: 0 \"\"",
            "grpc_receive_trailing_metadata(1,6,2)",
            "  pairs 5: 0 [grpc-status: 0] [x-tr: 2]",
            "grpc_close(1,6,0)",
            "  status 0 \"via_upstream\"",
        ]
    );
    assert!(is_done(&bed));
}

#[test]
fn a_response_of_nothing_but_trailers_is_shown_as_trailers() {
    let (found, lost) = ([("grpc-status", "5"), ("grpc-message", "nf")], [(":status", "404"), ("grpc-status", "3")]);
    for (headers, expected) in [
        (head(&found), "grpc_receive_trailing_metadata(1,6,5)"),
        (HeaderMap::from_pairs(Kind::Response, lost), "grpc_receive_trailing_metadata(1,6,3)"),
    ] {
        let bed = bed();
        opened(&bed);
        bed.chain.grpc_head(of(6), headers, true, 3);
        let trace = bed.trace();
        assert_eq!(trace[..3], ["grpc_receive_initial_metadata(1,6,0)", "  pairs 4: 0 EMPTY", expected], "{trace:?}");
    }
}

#[test]
fn what_is_no_grpc_has_a_status_for_its_http_status() {
    for (status, code) in [(503, 14), (404, 12), (403, 7), (500, 2)] {
        let bed = bed();
        opened(&bed);
        let headers = HeaderMap::from_pairs(Kind::Response, [(":status", status.to_string())]);
        assert!(!bed.chain.grpc_head(of(6), headers, false, 3));
        assert_eq!(
            bed.trace(),
            [
                "grpc_receive_initial_metadata(1,6,0)".to_string(),
                "  pairs 4: 0 EMPTY".into(),
                "grpc_receive_trailing_metadata(1,6,0)".into(),
                "  pairs 5: 0 EMPTY".into(),
                format!("grpc_close(1,6,{code})"),
                format!("  status {code} \"via_upstream\""),
            ]
        );
    }
}

#[test]
fn what_envoy_answers_itself_is_trailers() {
    let bed = bed();
    opened(&bed);
    bed.chain.grpc_failed(of(6), UpstreamFailure::ConnectionFailed);
    let reason = "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure";
    let details = "upstream_reset_before_response_started{remote_connection_failure}";
    let trace = bed.trace();
    let head = "[:status: 200] [content-type: application/grpc] [grpc-status: 14]";
    assert_eq!(
        trace[2..],
        [
            "grpc_receive_trailing_metadata(1,6,4)".to_string(),
            format!("  pairs 5: 0 {head} [grpc-message: {reason}]"),
            "grpc_close(1,6,14)".into(),
            format!("  status 14 \"{reason}{{{details}}}\""),
        ]
    );
}

#[test]
fn a_head_that_is_invalid_and_a_call_too_many_are_answered_and_not_made() {
    let bed = bed();
    bed.on(Id::RequestHeaders, |filter| {
        let metadata = encoded(&[("x-v", "a\nb")]);
        let bad = GrpcTarget { metadata: &metadata, ..target(b"auth") };
        assert_eq!(filter.state().grpc_call(bad, b"", 0), Ok(5));
        let bad = GrpcTarget { method: b"a\nb", ..target(b"auth") };
        assert_eq!(filter.state().grpc_call(bad, b"", 0), Ok(9));
        for _ in 0..=CALLOUTS_MAX {
            call(filter, b"auth").expect("it is accepted");
        }
        1
    });
    bed.get();
    let trace = bed.trace();
    let shown: Vec<_> = trace.iter().skip(2).filter(|line| line.starts_with("  status")).collect();
    let why = "filter_removed_required_request_headers{invalid_header_value_for:";
    assert_eq!(shown[0], &format!("  status 14 \"invalid header value for: x-v{{{why}_x-v}}}}\""));
    assert_eq!(shown[1], &format!("  status 14 \"invalid header value for: :path{{{why}_:path}}}}\""));
    assert!(shown[2..].iter().all(|line| line.contains("overflow")), "{shown:?}");
    let made = actions(&bed).into_iter().filter(|action| matches!(action, GrpcAction::Start(_))).count();
    assert_eq!(made + shown.len() - 2, CALLOUTS_MAX + 1);
}

#[test]
fn a_filter_that_always_tries_again_is_not_called_within_itself() {
    let bed = bed();
    let nowhere = || field(1, &field(1, b"nope"));
    bed.on(Id::GrpcClose, move |filter| {
        if filter.token() < 4000 {
            let _ = call(filter, &nowhere());
        }
        0
    });
    bed.on(Id::RequestHeaders, move |filter| {
        let _ = call(filter, &nowhere());
        1
    });
    bed.get();
    assert!(bed.trace().len() > 900);
}

#[test]
fn tokens_are_told_apart_and_forgotten() {
    let bed = bed();
    bed.on(Id::RequestHeaders, |filter| {
        let mut vm = filter.state();
        assert_eq!(vm.grpc_call(target(b"auth"), b"", 0), Ok(5));
        assert_eq!(vm.grpc_stream(target(b"auth")), Ok(6));
        assert_eq!(vm.grpc_send(5, b"", false), Err(Status::BadArgument));
        assert_eq!(vm.grpc_send(10, b"", false), Err(Status::NotFound));
        for token in [0, 3, 4, 7] {
            assert_eq!(vm.grpc_send(token, b"", false), Err(Status::BadArgument));
            assert_eq!(vm.grpc_close(token), Err(Status::BadArgument));
            assert_eq!(vm.grpc_cancel(token), Err(Status::BadArgument));
        }
        assert_eq!(vm.grpc_close(5), Ok(()));
        assert_eq!(vm.grpc_cancel(5), Err(Status::NotFound));
        assert_eq!(vm.grpc_cancel(6), Ok(()));
        assert_eq!(vm.grpc_close(6), Err(Status::NotFound));
        1
    });
    bed.get();
    assert_eq!(actions(&bed), [], "nobody is to see what is cancelled before it began");
    bed.trace();
    bed.chain.grpc_head(of(5), head(&[]), false, 0);
    bed.chain.grpc_failed(of(6), UpstreamFailure::Timeout);
    assert!(bed.trace().is_empty(), "what is cancelled is not told of");
    assert!(is_done(&bed));
}

#[test]
fn a_stream_can_be_named_until_it_is_closed_on_both_sides() {
    let bed = bed();
    bed.on(Id::RequestHeaders, |filter| {
        let mut vm = filter.state();
        assert_eq!(vm.grpc_stream(target(b"auth")), Ok(6));
        assert_eq!(vm.grpc_send(6, b"a", false), Ok(()));
        assert_eq!(vm.grpc_close(6), Ok(()));
        assert_eq!(vm.grpc_send(6, b"late", true), Ok(()), "nobody sends it");
        assert_eq!(vm.grpc_stream(target(b"auth")), Ok(10));
        1
    });
    bed.get();
    let sent: Vec<_> = actions(&bed).into_iter().filter(|action| matches!(action, GrpcAction::Send { .. })).collect();
    let send = |bytes: Vec<u8>, end| GrpcAction::Send { id: of(6), bytes, end };
    assert_eq!(sent, [send(frame(0, "a"), false), send(Vec::new(), true)]);
    bed.on(Id::GrpcClose, |filter| {
        assert_eq!(filter.state().grpc_send(filter.token(), b"late", false), Ok(()));
        0
    });
    for token in [6, 10] {
        bed.chain.grpc_head(of(token), head(&[("grpc-status", "0")]), true, 0);
    }
    let mut vm = bed.chain.state();
    assert_eq!(vm.grpc_close(6), Err(Status::NotFound));
    assert_eq!(vm.grpc_send(10, b"late", false), Ok(()));
    assert_eq!(vm.grpc_close(10), Ok(()));
    assert_eq!(vm.grpc_close(10), Err(Status::NotFound));
}

#[test]
fn a_cancel_from_a_callback_is_the_end() {
    for (callback, expected) in CALLBACKS.into_iter().zip([1, 2, 4, 5]) {
        let bed = bed();
        opened(&bed);
        bed.on(callback, |filter| {
            assert_eq!(filter.state().grpc_cancel(6), Ok(()));
            assert_eq!(filter.state().grpc_cancel(6), Err(Status::NotFound));
            0
        });
        bed.chain.grpc_head(of(6), head(&[]), false, 0);
        bed.chain.grpc_data(of(6), &[frame(0, "one"), frame(0, "two")].concat());
        bed.chain.grpc_end(of(6), Some(trailers(&[("grpc-status", "0")])));
        let trace = bed.trace();
        assert_eq!(trace.iter().filter(|line| line.starts_with("grpc")).count(), expected, "{trace:?}");
    }
}

#[test]
fn maps_and_messages_can_be_read_while_they_are_shown() {
    let bed = bed();
    opened(&bed);
    bed.on(Id::GrpcReceiveInitialMetadata, |filter| {
        filter.get(4, "X-Init");
        filter.get(4, "nope");
        filter.size(4);
        filter.add(4, "a", "b");
        filter.pairs(5);
        filter.get(5, "a");
        filter.buffer(5);
        filter.set_buffer(5, 0, 0, "x");
        0
    });
    bed.on(Id::GrpcReceive, |filter| {
        filter.set_buffer(5, 0, 0, "x");
        filter.buffer(5);
        filter.pairs(4);
        filter.effective(2);
        filter.buffer(5);
        filter.reply(403, "no");
        0
    });
    bed.chain.grpc_head(of(6), head(&[("x-init", "1")]), false, 3);
    bed.chain.grpc_data(of(6), &frame(0, "one"));
    assert_eq!(
        bed.trace()[..16],
        [
            "grpc_receive_initial_metadata(1,6,4)",
            "  get 4 X-Init: 0 \"1\"",
            "  get 4 nope: 1",
            "  size 4: 2",
            "  add 4: 2",
            "  pairs 5: 0 EMPTY",
            "  get 5 a: 2",
            "  buffer 5: 0 \"\"",
            "  set buffer 5: 2",
            "grpc_receive(1,6,3)",
            "  set buffer 5: 0",
            "  buffer 5: 0 \"xone\"",
            "  pairs 4: 0 EMPTY",
            "  effective 2: 0",
            "  buffer 5: 0 \"xone\"",
            "response_headers(2,3,0)",
        ]
    );
}

#[test]
fn a_filter_without_the_callbacks_is_not_told() {
    let bed = bed();
    opened(&bed);
    CALLBACKS.iter().for_each(|callback| bed.lacks(*callback));
    bed.chain.grpc_head(of(6), head(&[]), false, 0);
    bed.chain.grpc_end(of(6), Some(trailers(&[("grpc-status", "7")])));
    assert!(bed.trace().is_empty());
    assert_eq!(bed.chain.state().get_status().0, 0);
    assert!(is_done(&bed));
}

#[test]
fn grpc_web_has_its_trailers_in_the_body() {
    let bed = bed_by(GrpcTransport::GrpcWeb);
    let request = opened(&bed);
    assert_eq!(request.headers.get(b"content-type"), Some(b"application/grpc-web+proto".as_slice()));
    let headers =
        HeaderMap::from_pairs(Kind::Response, [(":status", "200"), ("content-type", "application/grpc-web+proto")]);
    bed.chain.grpc_head(of(6), headers, false, 3);
    let body = [frame(0, "one"), frame(0x80, "grpc-status:0\r\nX-Tr: 2\r\n")].concat();
    assert!(!bed.chain.grpc_data(of(6), &body), "nothing comes after the trailers");
    let trace = bed.trace();
    assert!(trace[1].contains("[content-type: application/grpc]"), "{trace:?}");
    assert_eq!(trace[4..6], ["grpc_receive_trailing_metadata(1,6,2)", "  pairs 5: 0 [grpc-status: 0] [x-tr: 2]"]);
    assert_eq!(trace[6], "grpc_close(1,6,0)");
}
