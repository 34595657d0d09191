//! Which callbacks come, in which order, with which arguments.

use crate::common::{Bed, Id, REQUEST, RESPONSE};

#[test]
fn a_get_and_its_response_go_through_in_order_and_log_comes_before_done() {
    let bed = Bed::new();
    let id = bed.open("GET", "/p", &[("a", "1"), ("b", "2")], true);
    bed.respond(id, &[("content-length", "2")], false);
    bed.body(id, RESPONSE, &["ok"]);
    bed.chain.close(id);
    assert_eq!(
        bed.trace(),
        [
            "context_create(2,1)",
            "request_headers(2,6,1)",
            "response_headers(2,2,0)",
            "response_body(2,2,0)",
            "response_body(2,0,1)",
            "log(2)",
            "done(2)",
            "delete(2)",
        ]
    );
    assert_eq!(bed.effects(id), [""; 0], "what was not taken before the stream was closed is gone with it");
}

#[test]
fn what_passes_is_sent_piece_by_piece() {
    let bed = Bed::new();
    let id = bed.post();
    bed.body(id, REQUEST, &["abc", "def"]);
    bed.respond(id, &[], false);
    bed.body(id, RESPONSE, &["ok"]);
    assert_eq!(
        bed.effects(id),
        [
            "> headers [:authority: h] [:path: /p] [:method: POST] [:scheme: http]",
            "> data \"abc\"",
            "> data \"def\"",
            "> data \"\" end",
            "< headers [:status: 200]",
            "< data \"ok\"",
            "< data \"\" end",
        ]
    );
    assert!(bed.chain.ended(id));
}

#[test]
fn a_sized_body_comes_with_an_extra_call_for_its_end() {
    let bed = Bed::new();
    let id = bed.post();
    bed.trace();
    bed.body(id, REQUEST, &["abc", "def"]);
    assert_eq!(bed.trace(), ["request_body(2,3,0)", "request_body(2,3,0)", "request_body(2,0,1)"]);
}

#[test]
fn an_end_that_comes_with_bytes_is_one_call() {
    let bed = Bed::new();
    let id = bed.post();
    bed.trace();
    bed.data(id, REQUEST, "abc", true);
    assert_eq!(bed.trace(), ["request_body(2,3,1)"]);
    assert_eq!(bed.effects(id)[1..], ["> data \"abc\" end"]);
}

#[test]
fn trailers_take_the_place_of_the_call_for_the_end() {
    let bed = Bed::new();
    let id = bed.post();
    bed.trace();
    bed.data(id, REQUEST, "abc", false);
    bed.trailers(id, REQUEST, &[("x-t", "1"), ("x-t", "2"), ("accept", "a"), ("accept", "b")]);
    assert_eq!(bed.trace(), ["request_body(2,3,0)", "request_trailers(2,4)"]);
    assert_eq!(bed.effects(id)[1..], ["> data \"abc\"", "> trailers [x-t: 1] [x-t: 2] [accept: a] [accept: b]"]);
}

#[test]
fn trailers_can_follow_the_head_at_once() {
    let bed = Bed::new();
    let id = bed.post();
    bed.trace();
    bed.trailers(id, REQUEST, &[("x-t", "1")]);
    assert_eq!(bed.trace(), ["request_trailers(2,1)"]);
    assert_eq!(bed.effects(id)[1..], ["> trailers [x-t: 1]"]);
}

#[test]
fn streams_have_ids_of_their_own_and_interleave() {
    let bed = Bed::new();
    let (first, second) = (bed.post(), bed.get());
    bed.respond(second, &[], true);
    bed.data(first, REQUEST, "abc", true);
    bed.chain.close(second);
    bed.respond(first, &[], true);
    bed.chain.close(first);
    let third = bed.get();
    assert_eq!((first, second, third), (2, 3, 4));
    assert_eq!(
        bed.trace(),
        [
            "context_create(2,1)",
            "request_headers(2,4,0)",
            "context_create(3,1)",
            "request_headers(3,4,1)",
            "response_headers(3,1,1)",
            "request_body(2,3,1)",
            "log(3)",
            "done(3)",
            "delete(3)",
            "response_headers(2,1,1)",
            "log(2)",
            "done(2)",
            "delete(2)",
            "context_create(4,1)",
            "request_headers(4,4,1)",
        ]
    );
}

#[test]
fn a_filter_without_callbacks_lets_everything_through() {
    let bed = Bed::new();
    for callback in [
        Id::ContextCreate,
        Id::RequestHeaders,
        Id::RequestBody,
        Id::RequestTrailers,
        Id::ResponseHeaders,
        Id::ResponseBody,
        Id::ResponseTrailers,
        Id::Log,
        Id::Done,
        Id::Delete,
    ] {
        bed.lacks(callback);
    }
    let id = bed.post();
    bed.data(id, REQUEST, "abc", false);
    bed.trailers(id, REQUEST, &[("x-t", "1")]);
    bed.respond(id, &[], false);
    bed.data(id, RESPONSE, "ok", false);
    bed.trailers(id, RESPONSE, &[("x-r", "1")]);
    assert_eq!(
        bed.effects(id)[1..],
        ["> data \"abc\"", "> trailers [x-t: 1]", "< headers [:status: 200]", "< data \"ok\"", "< trailers [x-r: 1]"]
    );
    bed.chain.close(id);
    assert_eq!(bed.trace(), [""; 0]);
}

#[test]
fn a_missing_callback_counts_as_continue_for_what_another_holds() {
    let bed = Bed::with(|settings| settings.plugins[0].allow_on_headers_stop_iteration = true);
    bed.lacks(Id::RequestBody);
    bed.returns(Id::RequestHeaders, [1]);
    let id = bed.post();
    assert_eq!(bed.effects(id), [""; 0]);
    bed.data(id, REQUEST, "abc", false);
    assert_eq!(bed.effects(id).len(), 2);
}

#[test]
fn an_early_response_ends_the_request() {
    let bed = Bed::new();
    let id = bed.post();
    bed.data(id, REQUEST, "abc", false);
    bed.respond(id, &[], false);
    bed.body(id, RESPONSE, &["ok"]);
    assert!(bed.chain.ended(id));
    assert!(!bed.chain.wants(id, REQUEST), "the rest of the request is of no use");
    bed.trace();
    bed.body(id, REQUEST, &["def"]);
    assert_eq!(bed.trace(), [""; 0]);
}

#[test]
fn an_early_response_comes_through_while_the_filter_holds_the_request_body() {
    let bed = Bed::new();
    bed.returns(Id::RequestBody, [1]);
    let id = bed.post();
    bed.data(id, REQUEST, "abc", false);
    bed.respond(id, &[], false);
    bed.body(id, RESPONSE, &["ok"]);
    assert_eq!(bed.effects(id)[1..], ["< headers [:status: 200]", "< data \"ok\"", "< data \"\" end"]);
}

#[test]
fn nothing_arrives_on_a_stream_that_is_gone() {
    let bed = Bed::new();
    let id = bed.post();
    bed.chain.close(id);
    bed.trace();
    bed.data(id, REQUEST, "abc", true);
    bed.respond(id, &[], true);
    bed.trailers(id, RESPONSE, &[]);
    bed.chain.close(id);
    bed.chain.client_gone(id);
    bed.chain.idle_timeout(id);
    assert_eq!(bed.trace(), [""; 0]);
    assert!(bed.chain.ended(id) && !bed.chain.has_effects(id));
    assert!(!bed.chain.wants(id, REQUEST) && !bed.chain.wants(id, RESPONSE));
}
