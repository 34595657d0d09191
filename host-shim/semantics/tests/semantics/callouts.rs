//! HTTP callouts.

use proxy_wasm_abi::{
    enums::Status,
    limits::CALLOUTS_MAX,
    pairs,
    settings::{Cluster, Origin},
};
use proxy_wasm_semantics::{Callout, CalloutResponse, HeaderMap, Kind, UpstreamFailure};

use crate::common::{Bed, Call, Id};

const HEAD: &[(&str, &str)] = &[(":method", "GET"), (":path", "/check"), (":authority", "auth.test")];

fn bed() -> Bed {
    Bed::with(|settings| {
        let origin = Origin { tls: false, authority: "10.0.0.1:80".into() };
        settings.clusters.push(Cluster { name: "auth".into(), origin });
    })
}

fn encoded(headers: &[(&str, &str)]) -> Vec<u8> {
    pairs::encode(headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
}

fn call(call: &Call<'_>, headers: &[(&str, &str)], body: &str, timeout_ms: u32) -> Result<u32, Status> {
    call.state().http_call(b"auth", &encoded(headers), body.into(), b"", timeout_ms)
}

/// A filter that holds its request for a callout, and the callout.
fn held(bed: &Bed) -> Callout {
    bed.on(Id::RequestHeaders, |filter| {
        assert_eq!(call(filter, HEAD, "", 500), Ok(4));
        1
    });
    bed.get();
    bed.trace();
    bed.chain.next_callout().expect("it was asked for")
}

fn response() -> CalloutResponse {
    let headers = HeaderMap::from_pairs(Kind::Response, [(":status", "200"), ("x-a", "1")]);
    CalloutResponse { headers, body: b"yes".to_vec(), trailers: None }
}

#[test]
fn the_head_gets_what_envoy_adds() {
    let bed = bed();
    let callout = held(&bed);
    let expected: Vec<_> = [HEAD, &[("x-envoy-internal", "true"), ("x-envoy-expected-rq-timeout-ms", "500")]].concat();
    assert_eq!(callout.headers, HeaderMap::from_pairs(Kind::Request, expected));
    assert_eq!((callout.id.token, callout.timeout_ms, callout.origin.authority.as_str()), (4, 500, "10.0.0.1:80"));
    assert!(bed.chain.has_work());
}

#[test]
fn an_answer_is_progress_where_it_lets_the_stream_go_on() {
    for goes_on in [false, true] {
        let bed = bed();
        let callout = held(&bed);
        assert_eq!(bed.chain.take_moved(), [2], "the head came");
        bed.on(Id::HttpCallResponse, move |filter| {
            if goes_on {
                filter.state().set_effective_context(2).unwrap();
                filter.state().continue_stream(0).unwrap();
            } else {
                assert_eq!(call(filter, HEAD, "", 500), Ok(8));
            }
            0
        });
        bed.chain.callout_answered(callout.id, response(), 1);
        assert_eq!(bed.chain.take_moved(), if goes_on { vec![2] } else { Vec::new() });
        assert_eq!(bed.effects(2).len(), usize::from(goes_on));
    }
}

#[test]
fn what_goes_on_to_the_next_filter_is_progress() {
    let bed = Bed::chain(&["a: ", "b: "], &[0, 1], |settings| {
        let origin = Origin { tls: false, authority: "10.0.0.1:80".into() };
        settings.clusters.push(Cluster { name: "auth".into(), origin });
    });
    bed.on(Id::RequestHeaders, |filter| {
        assert!(call(filter, HEAD, "", 500).is_ok());
        1
    });
    bed.on_vm(1, Id::RequestHeaders, |_| 1);
    let id = bed.get();
    let callout = bed.chain.next_callout().expect("it was asked for");
    bed.chain.take_moved();
    bed.on(Id::HttpCallResponse, |filter| {
        filter.state().set_effective_context(2).unwrap();
        filter.state().continue_stream(0).unwrap();
        0
    });
    bed.chain.callout_answered(callout.id, response(), 1);
    assert!(bed.effects(id).is_empty());
    assert_eq!(bed.chain.take_moved(), [id]);
}

#[test]
fn a_body_sets_its_length_and_no_timeout_adds_no_header() {
    let bed = bed();
    bed.on(Id::RequestHeaders, |filter| {
        let headers = [HEAD, &[("content-length", "77"), ("x-b", "2")]].concat();
        assert_eq!(call(filter, &headers, "hello", 0), Ok(4));
        assert_eq!(call(filter, HEAD, "", 0), Ok(8), "each gets a token of its own");
        0
    });
    bed.get();
    let callout = bed.chain.next_callout().unwrap();
    assert_eq!(callout.headers.get(b"content-length"), Some(b"5".as_slice()));
    assert_eq!(callout.headers.get(b"x-envoy-expected-rq-timeout-ms"), None);
    assert_eq!(callout.body, b"hello");
}

#[test]
fn a_time_in_the_head_comes_before_the_argument() {
    let bed = bed();
    bed.on(Id::RequestHeaders, |filter| {
        for time in ["9", "none"] {
            let headers = [HEAD, &[("x-envoy-upstream-rq-timeout-ms", time)]].concat();
            assert!(call(filter, &headers, "", 500).is_ok());
        }
        0
    });
    bed.get();
    for expected in [9, 500] {
        let callout = bed.chain.next_callout().unwrap();
        assert_eq!(callout.timeout_ms, expected);
        assert_eq!(callout.headers.get(b"x-envoy-upstream-rq-timeout-ms"), None, "it is for the router");
    }
}

#[test]
fn connect_with_a_path_is_answered_without_being_sent() {
    let bed = bed();
    bed.on(Id::RequestHeaders, |filter| {
        assert_eq!(call(filter, &[(":method", "CONNECT"), (":path", "/"), (":authority", "a")], "", 0), Ok(4));
        0
    });
    bed.get();
    assert!(bed.chain.next_callout().is_none());
    assert!(bed.chain.answer_callouts());
}

#[test]
fn what_is_missing_or_unknown_is_a_bad_argument() {
    let bed = bed();
    bed.on(Id::RequestHeaders, |filter| {
        for missing in 0..HEAD.len() {
            let mut headers = HEAD.to_vec();
            headers.remove(missing);
            assert_eq!(call(filter, &headers, "", 0), Err(Status::BadArgument), "{headers:?}");
        }
        assert_eq!(call(filter, HEAD, "", 1 << 31), Err(Status::BadArgument));
        let unknown = filter.state().http_call(b"nope", &encoded(HEAD), Vec::new(), b"", 0);
        assert_eq!(unknown, Err(Status::BadArgument));
        assert_eq!(call(filter, HEAD, "", (1 << 31) - 1), Ok(4), "what is refused takes no token");
        0
    });
    bed.get();
}

#[test]
fn the_root_context_reads_the_response_and_resumes_the_stream() {
    let bed = bed();
    let callout = held(&bed);
    bed.on(Id::HttpCallResponse, |filter| {
        filter.pairs(6);
        filter.get(6, "x-a");
        filter.get(6, "nope");
        filter.get(7, "x");
        filter.size(6);
        filter.buffer(4);
        filter.add(6, "x", "y");
        filter.set_buffer(4, 0, 0, "z");
        filter.effective(2);
        filter.buffer(4);
        filter.resume(0);
        0
    });
    bed.chain.callout_answered(callout.id, response(), 12);
    assert_eq!(
        bed.trace(),
        [
            "http_call_response(1,4,3,3,0)",
            "  pairs 6: 0 [:status: 200] [x-a: 1] [x-envoy-upstream-service-time: 12]",
            "  get 6 x-a: 0 \"1\"",
            "  get 6 nope: 1",
            "  get 7 x: 2",
            "  size 6: 2",
            "  buffer 4: 0 \"yes\"",
            "  add 6: 2",
            "  set buffer 4: 2",
            "  effective 2: 0",
            "  buffer 4: 0 \"yes\"",
            "  continue 0: 0",
        ]
    );
    assert!(bed.chain.has_effects(2), "the request goes on");
    assert!(!bed.chain.has_work());
    bed.on(Id::Tick, |filter| {
        filter.pairs(6);
        filter.buffer(4);
        0
    });
    bed.chain.state().set_tick_period(1);
    bed.chain.tick_early();
    assert_eq!(bed.trace(), ["tick(1)", "  pairs 6: 0 EMPTY", "  buffer 4: 1"], "it is gone after its callback");
}

#[test]
fn a_failure_before_the_head_is_a_response_of_envoys() {
    let reason = "upstream connect error or disconnect/reset before headers. reset reason: ";
    for (failure, status, body) in [
        (UpstreamFailure::ConnectionFailed, 503, format!("{reason}remote connection failure")),
        (UpstreamFailure::ConnectionTerminated, 503, format!("{reason}connection termination")),
        (UpstreamFailure::ProtocolError, 502, format!("{reason}protocol error")),
        (UpstreamFailure::Timeout, 504, "upstream request timeout".into()),
    ] {
        let bed = bed();
        let callout = held(&bed);
        bed.on(Id::HttpCallResponse, |filter| {
            filter.get(6, ":status");
            filter.buffer(4);
            0
        });
        bed.chain.callout_failed(callout.id, failure, false);
        let expected = [
            format!("http_call_response(1,4,3,{},0)", body.len()),
            format!("  get 6 :status: 0 \"{status}\""),
            format!("  buffer 4: 0 {body:?}"),
        ];
        assert_eq!(bed.trace(), expected);
        assert_eq!(bed.chain.state().get_status(), (0, b"".as_slice()));
    }
}

#[test]
fn a_failure_after_the_head_is_nothing_but_a_status() {
    let bed = bed();
    let callout = held(&bed);
    bed.on(Id::HttpCallResponse, |filter| {
        filter.pairs(6);
        filter.buffer(4);
        let vm = filter.state();
        assert_eq!(vm.get_status(), (11, b"reset".as_slice()));
        0
    });
    bed.chain.callout_failed(callout.id, UpstreamFailure::ConnectionTerminated, true);
    assert_eq!(bed.trace(), ["http_call_response(1,4,0,0,0)", "  pairs 6: 0 EMPTY", "  buffer 4: 1"]);
    assert_eq!(bed.chain.state().get_status(), (11, b"".as_slice()), "the code stays");
}

#[test]
fn a_head_that_is_invalid_and_a_call_too_many_are_answered_and_not_made() {
    let bed = bed();
    bed.on(Id::RequestHeaders, |filter| {
        let headers = [HEAD, &[("x-v", "a\nb")]].concat();
        assert_eq!(call(filter, &headers, "", 0), Ok(4));
        1
    });
    bed.get();
    bed.trace();
    assert_eq!(bed.chain.next_callout(), None);
    bed.on(Id::HttpCallResponse, |filter| {
        filter.buffer(4);
        0
    });
    assert!(bed.chain.answer_callouts());
    assert_eq!(bed.trace(), ["http_call_response(1,4,3,29,0)", "  buffer 4: 0 \"invalid header value for: x-v\""]);

    bed.on(Id::RequestHeaders, |filter| {
        for _ in 0..=CALLOUTS_MAX {
            call(filter, HEAD, "", 0).expect("it is accepted");
        }
        1
    });
    bed.get();
    bed.trace();
    assert_eq!(std::iter::from_fn(|| bed.chain.next_callout()).count(), CALLOUTS_MAX);
    assert!(bed.chain.answer_callouts());
    assert!(bed.trace()[1].ends_with("reset reason: overflow\""), "one of them found no room");
}

#[test]
fn a_callout_outlives_its_stream() {
    let bed = bed();
    let callout = held(&bed);
    bed.chain.close(2);
    bed.trace();
    bed.on(Id::HttpCallResponse, |filter| {
        filter.effective(2);
        filter.resume(0);
        0
    });
    bed.chain.callout_answered(callout.id, response(), 0);
    assert_eq!(bed.trace(), ["http_call_response(1,4,3,3,0)", "  effective 2: 2", "  continue 0: 0"]);
}

#[test]
fn the_callback_can_answer_a_held_stream() {
    let bed = bed();
    let callout = held(&bed);
    bed.on(Id::HttpCallResponse, |filter| {
        filter.effective(2);
        filter.reply(403, "denied");
        filter.resume(0);
        0
    });
    bed.chain.callout_answered(callout.id, response(), 0);
    let trace = bed.trace();
    assert_eq!(trace[3..5], ["response_headers(2,3,0)", "response_body(2,6,1)"], "{trace:?}");
}
