//! How a stream ends other than by its response: timeouts, clients that go, filters that close.

use crate::common::{Bed, Id, REQUEST, RESPONSE};

fn log(bed: &Bed) {
    bed.on(Id::Log, |f| {
        f.number("response/code");
        f.property("response/code_details");
        f.number("response/flags");
        0
    });
}

fn logged(bed: &Bed, id: u32) -> Vec<String> {
    bed.trace();
    bed.chain.close(id);
    bed.notes()
}

#[test]
fn an_idle_complete_request_is_answered_504() {
    for pause in [0, 1] {
        let bed = Bed::new();
        log(&bed);
        bed.returns(Id::RequestHeaders, [pause]);
        let id = bed.get();
        bed.effects(id);
        bed.trace();
        bed.chain.idle_timeout(id);
        assert_eq!(bed.trace(), ["response_headers(2,3,0)", "response_body(2,14,1)"]);
        assert_eq!(
            bed.effects(id),
            [
                "< headers [:status: 504] [content-length: 14] [content-type: text/plain]",
                "< data \"stream timeout\" end"
            ]
        );
        assert_eq!(
            logged(&bed, id),
            ["response/code: 0 504", "response/code_details: 0 \"stream_idle_timeout\"", "response/flags: 0 65536"]
        );
    }
}

#[test]
fn an_idle_incomplete_request_is_answered_408() {
    let bed = Bed::new();
    let id = bed.post();
    bed.data(id, REQUEST, "abc", false);
    bed.effects(id);
    bed.chain.idle_timeout(id);
    assert!(bed.effects(id)[0].starts_with("< headers [:status: 408]"));
}

#[test]
fn an_idle_held_response_is_replaced_without_callbacks() {
    let bed = Bed::new();
    bed.returns(Id::ResponseHeaders, [1]);
    let id = bed.get();
    bed.respond(id, &[], false);
    bed.trace();
    bed.chain.idle_timeout(id);
    assert_eq!(bed.trace(), [""; 0]);
    assert!(bed.effects(id)[1].starts_with("< headers [:status: 504]"));
}

#[test]
fn an_idle_response_whose_head_was_sent_breaks_off() {
    let bed = Bed::new();
    log(&bed);
    bed.returns(Id::ResponseBody, [1]);
    let id = bed.get();
    bed.respond(id, &[], false);
    bed.data(id, RESPONSE, "ok", false);
    bed.chain.idle_timeout(id);
    assert_eq!(bed.effects(id)[1..], ["< headers [:status: 200]", "reset LocalReplyTooLate"]);
    assert_eq!(
        logged(&bed, id),
        ["response/code: 0 200", "response/code_details: 0 \"stream_idle_timeout\"", "response/flags: 0 65536"]
    );
}

#[test]
fn a_stream_that_ended_is_not_answered_again() {
    let bed = Bed::new();
    let id = bed.get();
    bed.respond(id, &[], true);
    bed.effects(id);
    bed.chain.idle_timeout(id);
    bed.chain.upstream_failed(id, proxy_wasm_semantics::UpstreamFailure::Timeout);
    assert_eq!(bed.effects(id), [""; 0]);
}

#[test]
fn a_client_that_goes_before_the_response_leaves_no_code() {
    for pause in [0, 1] {
        let bed = Bed::new();
        log(&bed);
        bed.returns(Id::RequestHeaders, [pause]);
        let id = bed.post();
        bed.chain.client_gone(id);
        assert!(bed.chain.ended(id) && !bed.chain.wants(id, REQUEST));
        assert_eq!(
            logged(&bed, id),
            [
                "response/code: 1",
                "response/code_details: 0 \"downstream_remote_disconnect\"",
                "response/flags: 0 16384"
            ]
        );
    }
}

#[test]
fn a_client_that_goes_in_mid_response_leaves_the_responses_code() {
    for pause in [0, 1] {
        let bed = Bed::new();
        log(&bed);
        bed.returns(Id::ResponseHeaders, [pause]);
        let id = bed.get();
        bed.respond(id, &[], false);
        bed.data(id, RESPONSE, "o", false);
        bed.chain.client_gone(id);
        assert_eq!(
            logged(&bed, id),
            [
                "response/code: 0 200",
                "response/code_details: 0 \"downstream_remote_disconnect\"",
                "response/flags: 0 16384"
            ]
        );
    }
}

#[test]
fn a_client_that_goes_after_the_response_changes_nothing() {
    let bed = Bed::new();
    log(&bed);
    let id = bed.get();
    bed.respond(id, &[], true);
    bed.chain.client_gone(id);
    assert_eq!(
        logged(&bed, id),
        ["response/code: 0 200", "response/code_details: 0 \"via_upstream\"", "response/flags: 0 0"]
    );
}

#[test]
fn a_stream_closed_in_a_request_callback_ends_without_answer() {
    for (callback, sent) in [(Id::RequestHeaders, 0), (Id::RequestBody, 1)] {
        for stream in [0, 1] {
            let bed = Bed::new();
            log(&bed);
            bed.on(callback, move |f| {
                f.close(stream);
                0
            });
            let id = bed.post();
            bed.data(id, REQUEST, "abc", false);
            let effects = bed.effects(id);
            assert_eq!(effects[sent..], ["reset ClosedByFilter"]);
            assert!(bed.chain.ended(id));
            assert_eq!(
                logged(&bed, id),
                ["response/code: 1", "response/code_details: 0 \"wasm_close_stream\"", "response/flags: 0 0"]
            );
        }
    }
}

#[test]
fn a_stream_closed_in_response_headers_sends_nothing() {
    let bed = Bed::new();
    bed.on(Id::ResponseHeaders, |f| {
        f.close(1);
        0
    });
    let id = bed.get();
    bed.respond(id, &[], false);
    assert_eq!(bed.effects(id)[1..], ["reset ClosedByFilter"]);
}

#[test]
fn a_stream_closed_in_response_body_is_cut_off_after_its_head() {
    let bed = Bed::new();
    log(&bed);
    bed.on(Id::ResponseBody, |f| {
        f.close(1);
        0
    });
    let id = bed.get();
    bed.respond(id, &[], false);
    bed.body(id, RESPONSE, &["ok"]);
    assert_eq!(bed.effects(id)[1..], ["< headers [:status: 200]", "reset ClosedByFilter"]);
    assert_eq!(logged(&bed, id)[1], "response/code_details: 0 \"via_upstream\"");
}

#[test]
fn a_stream_can_be_closed_from_elsewhere() {
    let bed = Bed::new();
    bed.returns(Id::RequestHeaders, [1]);
    let id = bed.get();
    bed.elsewhere(|f| {
        f.effective(2);
        f.close(0);
    });
    assert_eq!(bed.effects(id), ["reset ClosedByFilter"]);
}

#[test]
fn what_the_last_callbacks_ask_of_their_stream_is_ignored_with_ok() {
    for callback in [Id::Log, Id::Done, Id::Delete] {
        let bed = Bed::new();
        bed.on(callback, |f| {
            f.resume(0);
            f.resume(1);
            f.close(0);
            f.set_property("k", "v");
            f.done();
            0
        });
        let id = bed.get();
        bed.trace();
        bed.chain.close(id);
        assert_eq!(bed.notes(), ["continue 0: 0", "continue 1: 0", "close 0: 0", "set k: 0", "done: 1"]);
    }
}

#[test]
fn what_done_returns_does_not_matter_for_a_stream() {
    let bed = Bed::new();
    bed.returns(Id::Done, [0]);
    let id = bed.get();
    bed.trace();
    bed.chain.close(id);
    assert_eq!(bed.trace(), ["log(2)", "done(2)", "delete(2)"]);
}

#[test]
fn what_an_exchange_leaves_is_kept_once_somebody_asks() {
    let bed = Bed::new();
    bed.on(Id::RequestHeaders, |f| {
        f.set_property("early", "1");
        0
    });
    bed.on(Id::Log, |f| {
        f.set_property("late", "2");
        0
    });
    bed.on(Id::Done, |f| {
        f.set_property("too late", "3");
        0
    });
    let exchange = || {
        let id = bed.get();
        bed.respond(id, &[], true);
        bed.chain.close(id);
        bed.chain.state().take_remains()
    };
    assert!(exchange().is_none());
    let remains = exchange().expect("it was asked for");
    assert_eq!(remains.request.and_then(|head| Some(head.get(b":method")?.to_vec())).as_deref(), Some(&b"GET"[..]));
    assert_eq!((remains.details.as_deref(), remains.flags), (Some("via_upstream"), 0));
    let property = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    assert_eq!(remains.properties, [property("early", "1"), property("late", "2")]);
    assert!(bed.chain.state().take_remains().is_none(), "it was taken");
}
