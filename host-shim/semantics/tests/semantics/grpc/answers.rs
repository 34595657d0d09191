//! Responses to gRPC callouts, and the callbacks that they lead to.

use super::*;

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
