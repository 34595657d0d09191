//! The heads of responses that the filter makes itself.

use crate::{
    common::{Bed, Id},
    local_replies::{REPLY, replying},
};

#[test]
fn without_body_it_is_a_head_alone() {
    let bed = Bed::new();
    bed.on(Id::RequestHeaders, |f| {
        f.reply_with(200, "d", "", &[("Content-Type", "a/b"), ("content-length", "99")], u32::MAX);
        0
    });
    let id = bed.get();
    assert_eq!(bed.trace()[2..], ["response_headers(2,1,1)"]);
    assert_eq!(bed.effects(id), ["< headers [:status: 200] end"]);
}

#[test]
fn its_headers_come_behind_the_status_and_keep_their_places() {
    let bed = Bed::new();
    bed.on(Id::RequestHeaders, |f| {
        let headers = [
            ("Content-Type", "a/b"),
            ("content-length", "99"),
            ("server", "me"),
            ("date", "now"),
            (":status", "201"),
            ("X-A", "1"),
            ("x-a", "2"),
            ("set-cookie", "a"),
            ("set-cookie", "b"),
            ("connection", "close"),
            ("transfer-encoding", "chunked"),
            (":path", "/x"),
            ("vary", "a"),
            ("vary", "b"),
        ];
        f.reply_with(403, "d", "hello", &headers, u32::MAX);
        0
    });
    let id = bed.get();
    assert_eq!(
        bed.effects(id)[0],
        "< headers [:status: 403] [:path: /x] [content-type: a/b] [content-length: 5] [server: me] [date: now] \
         [x-a: 1] [x-a: 2] [set-cookie: a] [set-cookie: b] [connection: close] [transfer-encoding: chunked] [vary: a,b]"
    );
}

#[test]
fn its_added_headers_come_before_the_content_headers() {
    let bed = Bed::new();
    bed.on(Id::RequestHeaders, |f| {
        f.reply_with(403, "d", "hello", &[("x-a", "1")], u32::MAX);
        0
    });
    let id = bed.get();
    assert_eq!(bed.effects(id)[0], "< headers [:status: 403] [x-a: 1] [content-length: 5] [content-type: text/plain]");
}

#[test]
fn malformed_headers_count_as_none() {
    let bed = Bed::new();
    bed.on(Id::RequestHeaders, |f| {
        f.state().send_local_response(403, b"d", b"hello", b"\x01\0\0\0", u32::MAX).unwrap();
        0
    });
    let id = bed.get();
    assert_eq!(bed.effects(id), REPLY);
}

#[test]
fn to_a_head_request_it_has_a_length_and_no_body() {
    let bed = replying(Id::RequestHeaders);
    let id = bed.open("HEAD", "/p", &[], true);
    assert_eq!(bed.trace()[2..], ["response_headers(2,3,1)"]);
    assert_eq!(bed.effects(id), ["< headers [:status: 403] [content-length: 5] [content-type: text/plain] end"]);
}

/// The head of a local reply to a request of this content type.
fn grpc(content_type: &str, status: u32, body: &'static str, grpc_status: u32) -> String {
    let bed = Bed::new();
    bed.on(Id::RequestHeaders, move |f| {
        f.reply_with(status, "d", body, &[("x-a", "1")], grpc_status);
        0
    });
    let id = bed.open("POST", "/p", &[("content-type", content_type)], true);
    let effects = bed.effects(id);
    if content_type != "application/grpc-web" && content_type != "text/plain" {
        assert_eq!(bed.calls()[2..], [format!("response_headers(2,{},1)", effects[0].matches('[').count())]);
    }
    effects[0].trim_start_matches("< headers ").trim_end_matches(" end").into()
}

#[test]
fn to_grpc_requests_it_is_a_head_with_the_grpc_status() {
    for content_type in ["application/grpc", "application/grpc+proto"] {
        assert_eq!(
            grpc(content_type, 403, "hello", 5),
            "[:status: 200] [x-a: 1] [content-type: application/grpc] [grpc-status: 5] [grpc-message: hello]"
        );
    }
    assert_eq!(
        grpc("application/grpc", 403, "", 5),
        "[:status: 200] [x-a: 1] [content-type: application/grpc] [grpc-status: 5]"
    );
}

#[test]
fn grpc_statuses_from_0_to_16_count_and_others_come_from_the_http_status() {
    let status = |http, given| {
        let head = grpc("application/grpc", http, "", given);
        head.split_once("[grpc-status: ").unwrap().1.trim_end_matches(']').to_string()
    };
    assert_eq!(status(403, 0), "0");
    assert_eq!(status(403, 16), "16");
    for (http, expected) in [
        (400, "13"),
        (401, "16"),
        (403, "7"),
        (404, "12"),
        (429, "14"),
        (502, "14"),
        (503, "14"),
        (504, "14"),
        (500, "2"),
        (200, "2"),
    ] {
        for given in [17, u32::MAX] {
            assert_eq!(status(http, given), expected, "{http}");
        }
    }
}

#[test]
fn grpc_messages_are_percent_encoded() {
    let head = grpc("application/grpc", 403, "hel%20 lo~\n", 5);
    assert!(head.ends_with("[grpc-message: hel%2520 lo%7E%0A]"), "{head}");
}

#[test]
fn other_requests_get_no_grpc_status() {
    for content_type in ["application/grpc-web", "text/plain"] {
        assert_eq!(
            grpc(content_type, 403, "hello", 5),
            "[:status: 403] [x-a: 1] [content-length: 5] [content-type: text/plain]"
        );
    }
}

#[test]
fn a_status_that_no_response_can_have_is_answered_502() {
    // Envoy writes such numbers; no wasi:http host takes them.
    for status in [0, 99, 100, 199, 1000, u32::MAX] {
        let bed = Bed::new();
        bed.on(Id::RequestHeaders, move |f| {
            f.reply(status, "hello");
            0
        });
        let id = bed.get();
        assert!(bed.effects(id)[0].starts_with("< headers [:status: 502]"), "{status}");
        assert!(bed.chain.ended(id));
    }
}
