//! The hop behind the filter: what it refuses, and what its failures look like.

use proxy_wasm_semantics::{Capabilities, UpstreamFailure};

use crate::common::{Bed, Call, Id, REQUEST, RESPONSE};

/// A request that the filter changes so: the effects, and what the log tells of them.
fn refused(script: impl Fn(&Call<'_>) + 'static) -> (Vec<String>, Vec<String>, Vec<String>) {
    let bed = Bed::new();
    bed.on(Id::RequestHeaders, move |f| {
        script(f);
        0
    });
    bed.on(Id::Log, |f| {
        f.property("response/code_details");
        f.number("response/flags");
        0
    });
    let id = bed.get();
    let (effects, calls) = (bed.effects(id), bed.calls());
    bed.chain.close(id);
    (effects, calls[2..].to_vec(), bed.notes())
}

#[test]
fn without_a_path_there_is_no_route() {
    let scripts: [fn(&Call<'_>); 4] = [
        |f| f.remove(0, ":path"),
        |f| f.replace(0, ":path", "abc"),
        |f| f.replace(0, ":path", "http://x/y"),
        |f| f.set_pairs(0, &[]),
    ];
    for script in scripts {
        let (effects, calls, notes) = refused(script);
        assert_eq!(effects, ["< headers [:status: 404] end"]);
        assert_eq!(calls, ["response_headers(2,1,1)"]);
        assert_eq!(notes, ["response/code_details: 0 \"route_not_found\"", "response/flags: 0 256"]);
    }
}

#[test]
fn without_x_forwarded_proto_there_is_no_route_where_the_connection_manager_adds_it() {
    let bed = Bed::with(|settings| settings.connection.forwarded_proto = true);
    bed.on(Id::RequestHeaders, |f| {
        f.remove(0, "x-forwarded-proto");
        0
    });
    let id = bed.get();
    assert_eq!(bed.effects(id), ["< headers [:status: 404] end"]);
}

#[test]
fn without_a_method_the_answer_is_503() {
    let (effects, calls, notes) = refused(|f| f.remove(0, ":method"));
    assert_eq!(
        effects,
        [
            "< headers [:status: 503] [content-length: 32] [content-type: text/plain]",
            "< data \"missing required header: :method\" end"
        ]
    );
    assert_eq!(calls, ["response_headers(2,3,0)", "response_body(2,32,1)"]);
    assert_eq!(
        notes,
        [
            "response/code_details: 0 \"filter_removed_required_request_headers{missing_required_header:_:method}\"",
            "response/flags: 0 262144"
        ]
    );
}

#[test]
fn without_authority_scheme_or_request_id_it_passes() {
    for name in [":authority", ":scheme", "x-request-id"] {
        let (effects, ..) = refused(move |f| f.remove(0, name));
        assert!(effects[0].starts_with("> headers"), "{name}");
    }
}

#[test]
fn invalid_names_are_answered_503_with_the_name_escaped() {
    for (name, shown) in [
        (b"a b".as_slice(), "a b"),
        (b"a:b", "a:b"),
        (b"a\0b", "a\\\\u0000b"),
        (b"a\nb", "a\\\\nb"),
        (b"a\x1bb", "a\\\\u001bb"),
        (b"a\tb\r", "a\\\\tb\\\\r"),
        (b"a\"b", "a\\\\\\\"b"),
        (b"a\\b", "a\\\\\\\\b"),
        (b"a\x7f", "a\\x7f"),
        (b"a\xff", "a\\xff"),
    ] {
        let (effects, calls, _) =
            refused(move |f| f.state().add_header_map_value(0, name, b"v").expect("no validation at the call"));
        assert!(effects[0].starts_with("< headers [:status: 503]"));
        assert_eq!(effects[1], format!("< data {:?} end", format!("invalid header name: {shown}")));
        assert_eq!(calls.len(), 2, "its own response callbacks run");
    }
}

#[test]
fn invalid_values_are_answered_503() {
    for value in [b"a\nb".as_slice(), b"a\rb", b"a\0b", b"\x7f"] {
        let (effects, ..) = refused(move |f| f.state().add_header_map_value(0, b"x-nl", value).unwrap());
        assert_eq!(effects[1], "< data \"invalid header value for: x-nl\" end");
    }
}

#[test]
fn odd_but_valid_heads_pass() {
    let scripts: [fn(&Call<'_>); 6] = [
        |f| f.add(0, "x", "\u{ff}"),
        |f| f.add(0, "x", ""),
        |f| f.add(0, "x", " a\tb "),
        |f| f.add(0, ":foo", "x"),
        |f| f.replace(0, ":method", "foo bar"),
        |f| f.replace(0, ":path", "/a b"),
    ];
    for script in scripts {
        let (effects, ..) = refused(script);
        assert!(effects.len() == 1 && effects[0].starts_with("> headers"), "{effects:?}");
    }
}

#[test]
fn the_filters_timeout_counts_and_goes_no_further() {
    let bed = Bed::new();
    bed.on(Id::RequestHeaders, |f| {
        f.add(0, "x-envoy-upstream-rq-timeout-ms", "7000");
        f.add(0, "x-envoy-retry-on", "5xx");
        f.add(0, "x-envoy-foo", "kept");
        0
    });
    let id = bed.get();
    assert_eq!(bed.chain.upstream_timeout_ms(id), Some(7000));
    assert!(bed.effects(id)[0].ends_with("[:scheme: http] [x-envoy-foo: kept] end"));
}

#[test]
fn the_routes_timeout_counts_once_the_request_is_on_its_way() {
    let bed = Bed::new();
    bed.returns(Id::RequestHeaders, [1]);
    let id = bed.get();
    assert_eq!(bed.chain.upstream_timeout_ms(id), None, "a paused request has not reached the router");
    bed.elsewhere(|f| {
        f.effective(2);
        f.resume(0);
    });
    assert_eq!(bed.chain.upstream_timeout_ms(id), Some(15_000));
}

#[test]
fn a_direct_response_comes_at_once_and_goes_through_the_filter() {
    let bed = Bed::with(|settings| settings.set_direct_response(200, "hi"));
    let id = bed.post();
    assert_eq!(bed.trace()[2..], ["response_headers(2,3,0)", "response_body(2,2,1)"]);
    assert_eq!(
        bed.effects(id),
        ["< headers [:status: 200] [content-length: 2] [content-type: text/plain]", "< data \"hi\" end"]
    );
    bed.body(id, REQUEST, &["abc"]);
    assert_eq!(bed.trace(), [""; 0], "the request's body is not shown");
    bed.on(Id::Log, |f| {
        f.property("response/code_details");
        0
    });
    bed.chain.close(id);
    assert_eq!(bed.notes(), ["response/code_details: 0 \"direct_response\""]);
}

// Failures of the upstream.

const FAILURES: [(UpstreamFailure, u16, &str, u64); 5] = [
    (UpstreamFailure::ConnectionFailed, 503, "remote connection failure", 32),
    (UpstreamFailure::ConnectionTerminated, 503, "connection termination", 64),
    (UpstreamFailure::RemoteReset, 503, "remote reset", 16),
    (UpstreamFailure::ProtocolError, 502, "protocol error", 0x80_0000),
    (UpstreamFailure::Timeout, 504, "", 4),
];

fn log_details(bed: &Bed) {
    bed.on(Id::Log, |f| {
        f.property("response/code_details");
        f.number("response/flags");
        0
    });
}

#[test]
fn before_the_response_a_failure_is_answered_through_the_filter() {
    for (failure, status, reason, flags) in FAILURES {
        let bed = Bed::new();
        log_details(&bed);
        let id = bed.get();
        bed.trace();
        bed.chain.upstream_failed(id, failure);
        let body = match failure {
            UpstreamFailure::Timeout => "upstream request timeout".to_string(),
            _ => format!("upstream connect error or disconnect/reset before headers. reset reason: {reason}"),
        };
        assert_eq!(
            bed.trace(),
            ["response_headers(2,3,0)".to_string(), format!("response_body(2,{},1)", body.len())],
            "{failure:?}"
        );
        assert_eq!(
            bed.effects(id)[1..],
            [
                format!("< headers [:status: {status}] [content-length: {}] [content-type: text/plain]", body.len()),
                format!("< data {body:?} end")
            ]
        );
        bed.chain.close(id);
        let details = match failure {
            UpstreamFailure::Timeout => "response_timeout".to_string(),
            _ => format!("upstream_reset_before_response_started{{{}}}", reason.replace(' ', "_")),
        };
        assert_eq!(
            bed.notes(),
            [format!("response/code_details: 0 {details:?}"), format!("response/flags: 0 {flags}")]
        );
    }
}

#[test]
fn in_mid_response_a_failure_breaks_it_off_without_callbacks() {
    for (failure, _, reason, flags) in FAILURES {
        let bed = Bed::new();
        log_details(&bed);
        let id = bed.get();
        bed.respond(id, &[], false);
        bed.data(id, RESPONSE, "o", false);
        bed.trace();
        bed.chain.upstream_failed(id, failure);
        assert_eq!(bed.trace(), [""; 0]);
        assert_eq!(bed.effects(id)[1..], ["< headers [:status: 200]", "< data \"o\"", "reset LocalReplyTooLate"]);
        bed.chain.close(id);
        let details = match failure {
            UpstreamFailure::Timeout => "response_timeout".to_string(),
            _ => format!("upstream_reset_after_response_started{{{}}}", reason.replace(' ', "_")),
        };
        assert_eq!(
            bed.notes(),
            [format!("response/code_details: 0 {details:?}"), format!("response/flags: 0 {flags}")]
        );
    }
}

#[test]
fn a_failure_replaces_a_response_that_is_held_without_callbacks() {
    let bed = Bed::new();
    log_details(&bed);
    bed.returns(Id::ResponseHeaders, [1]);
    let id = bed.get();
    bed.respond(id, &[], false);
    bed.trace();
    bed.chain.upstream_failed(id, UpstreamFailure::ProtocolError);
    assert_eq!(bed.trace(), [""; 0]);
    assert!(bed.effects(id)[1].starts_with("< headers [:status: 502] [content-length: 87]"));
    bed.chain.close(id);
    assert_eq!(bed.notes()[0], "response/code_details: 0 \"upstream_reset_after_response_started{protocol_error}\"");
}

#[test]
fn the_filter_can_change_the_answer_to_a_failure() {
    let bed = Bed::new();
    bed.on(Id::ResponseHeaders, |f| {
        f.add(2, "x-a", "b");
        0
    });
    let id = bed.get();
    bed.chain.upstream_failed(id, UpstreamFailure::ConnectionFailed);
    assert_eq!(bed.effects(id)[1], "< headers [:status: 503] [content-length: 98] [content-type: text/plain] [x-a: b]");
}

#[test]
fn a_failure_of_a_grpc_request_is_a_grpc_status() {
    let bed = Bed::new();
    let id = bed.open("POST", "/p", &[("content-type", "application/grpc")], true);
    bed.chain.upstream_failed(id, UpstreamFailure::ConnectionFailed);
    assert_eq!(
        bed.effects(id)[1],
        "< headers [:status: 200] [content-type: application/grpc] [grpc-status: 14] [grpc-message: upstream connect \
         error or disconnect/reset before headers. reset reason: remote connection failure] end"
    );
}

#[test]
fn a_failure_of_a_head_request_has_no_body() {
    let bed = Bed::new();
    let id = bed.open("HEAD", "/p", &[], true);
    bed.trace();
    bed.chain.upstream_failed(id, UpstreamFailure::ConnectionFailed);
    assert_eq!(bed.trace(), ["response_headers(2,3,1)"]);
    assert_eq!(bed.effects(id)[1..], ["< headers [:status: 503] [content-length: 98] [content-type: text/plain] end"]);
}

// Heads of responses that the filter changed.

#[test]
fn a_response_without_a_valid_status_is_answered_502_without_callbacks() {
    let scripts: [fn(&Call<'_>); 7] = [
        |f| f.replace(2, ":status", "abc"),
        |f| f.replace(2, ":status", "-1"),
        |f| f.replace(2, ":status", ""),
        |f| f.add(2, ":status", "201"),
        |f| f.remove(2, ":status"),
        |f| f.set_pairs(2, &[("x", "1")]),
        |f| f.state().set_header_map_pairs(2, b"\x01").unwrap(),
    ];
    for script in scripts {
        let bed = Bed::new();
        bed.on(Id::ResponseHeaders, move |f| {
            script(f);
            0
        });
        bed.on(Id::Log, |f| {
            f.property("response/code_details");
            0
        });
        let id = bed.get();
        bed.respond(id, &[], false);
        assert_eq!(
            bed.effects(id)[1..],
            [
                "< headers [:status: 502] [content-length: 32] [content-type: text/plain]",
                "< data \"missing required header: :status\" end"
            ]
        );
        assert_eq!(bed.calls().len(), 3, "the head's callback alone");
        bed.chain.close(id);
        assert_eq!(
            bed.notes(),
            ["response/code_details: 0 \"filter_removed_required_response_headers{missing_required_header:_:status}\""]
        );
    }
}

#[test]
fn statuses_are_read_as_envoy_reads_numbers() {
    for status in ["0200", "200 ", "299", "600", "999"] {
        let bed = Bed::new();
        bed.on(Id::ResponseHeaders, move |f| {
            f.replace(2, ":status", status);
            0
        });
        let id = bed.get();
        bed.respond(id, &[], true);
        assert_eq!(bed.effects(id)[1], format!("< headers [:status: {status}] end"));
    }
}

#[test]
fn names_and_values_of_a_response_are_not_checked_here() {
    let bed = Bed::new();
    bed.on(Id::ResponseHeaders, |f| {
        f.add(2, "a b", "x\ny");
        0
    });
    let id = bed.get();
    bed.respond(id, &[], true);
    assert_eq!(bed.effects(id)[1], "< headers [:status: 200] [a b: x\\ny] end");
}

#[test]
fn what_a_host_cannot_do_is_refused_and_nothing_else() {
    let host = |statuses| Capabilities { head_max_bytes: 100, header_entry_bytes: 10, statuses, forbidden: &[] };
    // Names, values, and what each header counts besides.
    let room = 100 - (":status".len() + "200".len() + "x".len() + 2 * 10);
    for (statuses, status, len, answered) in [
        ((100, 599), "101", 1, "101"),
        ((200, 999), "101", 1, "502"),
        ((100, 599), "600", 1, "502"),
        ((200, 999), "200", room, "200"),
        ((200, 999), "200", room + 1, "500"),
    ] {
        let bed = Bed::on_host(host(statuses));
        bed.on(Id::ResponseHeaders, move |filter| {
            filter.replace(2, ":status", status);
            filter.add(2, "x", &"y".repeat(len));
            0
        });
        let id = bed.get();
        bed.respond(id, &[], true);
        let effects = bed.effects(id);
        assert!(effects[1].starts_with(&format!("< headers [:status: {answered}]")), "{status}, {len}: {effects:?}");
    }
}
