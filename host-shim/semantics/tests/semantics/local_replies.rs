//! Responses that the filter makes itself, phase by phase.

use crate::common::{Bed, Call, Id, REQUEST, RESPONSE};

/// A bed whose filter answers 403 `hello` in this callback.
pub(crate) fn replying(callback: Id) -> Bed {
    let bed = Bed::new();
    bed.on(callback, |f| {
        f.reply(403, "hello");
        0
    });
    bed
}

pub(crate) const REPLY: [&str; 2] =
    ["< headers [:status: 403] [content-length: 5] [content-type: text/plain]", "< data \"hello\" end"];

#[test]
fn in_request_headers_it_goes_through_the_filters_own_response_callbacks() {
    for value in [0, 1] {
        let bed = Bed::new();
        bed.on(Id::RequestHeaders, move |f| {
            f.reply_with(403, "my  det\tails", "hello", &[], u32::MAX);
            value
        });
        for callback in [Id::ResponseHeaders, Id::ResponseBody] {
            bed.on(callback, |f| {
                f.get(0, ":path");
                0
            });
        }
        bed.on(Id::Log, |f| {
            f.number("response/code");
            f.property("response/code_details");
            f.number("response/flags");
            f.number("response/grpc_status");
            0
        });
        let id = bed.get();
        assert_eq!(bed.effects(id), REPLY);
        assert!(bed.chain.ended(id));
        bed.chain.close(id);
        assert_eq!(
            bed.trace(),
            [
                "context_create(2,1)",
                "request_headers(2,4,1)",
                "response_headers(2,3,0)",
                "  get 0 :path: 0 \"/p\"",
                "response_body(2,5,1)",
                "  get 0 :path: 0 \"/p\"",
                "log(2)",
                "  response/code: 0 403",
                "  response/code_details: 0 \"my__det_ails\"",
                "  response/flags: 0 0",
                "  response/grpc_status: 0 7",
                "done(2)",
                "delete(2)",
            ]
        );
    }
}

#[test]
fn in_request_body_it_goes_through_the_filter_without_the_requests_map() {
    for pieces in [["abc"].as_slice(), &[]] {
        let bed = replying(Id::RequestBody);
        bed.on(Id::ResponseHeaders, |f| {
            f.get(0, ":path");
            f.pairs(0);
            0
        });
        let id = bed.post();
        bed.trace();
        bed.body(id, REQUEST, pieces);
        let end = u8::from(pieces.is_empty());
        assert_eq!(
            bed.trace(),
            [
                &format!("request_body(2,{},{end})", if end == 1 { 0 } else { 3 }),
                "response_headers(2,3,0)",
                "  get 0 :path: 2",
                "  pairs 0: 0 EMPTY",
                "response_body(2,5,1)"
            ]
        );
        assert_eq!(bed.effects(id)[1..], REPLY);
    }
}

#[test]
fn in_request_body_the_requests_map_is_there_while_the_head_is_held() {
    let bed = Bed::with(|settings| settings.plugins[0].allow_on_headers_stop_iteration = true);
    bed.returns(Id::RequestHeaders, [1]);
    bed.on(Id::RequestBody, |f| {
        f.reply(403, "hello");
        0
    });
    bed.on(Id::ResponseHeaders, |f| {
        f.get(0, ":path");
        0
    });
    let id = bed.post();
    bed.data(id, REQUEST, "abc", false);
    assert_eq!(bed.notes(), ["get 0 :path: 0 \"/p\""]);
    assert_eq!(bed.effects(id), REPLY, "nothing went upstream");
}

#[test]
fn in_response_headers_it_replaces_the_response_and_runs_nothing_again() {
    for (end, length) in [(false, "2"), (true, "0")] {
        let bed = Bed::new();
        bed.on(Id::ResponseHeaders, |f| {
            f.replace(2, "x-m", "1");
            f.reply_with(403, "d", "hello", &[("x-a", "1")], u32::MAX);
            f.get(2, ":status");
            0
        });
        bed.on(Id::Log, |f| {
            f.pairs(2);
            f.number("response/code");
            f.property("response/code_details");
            0
        });
        let id = bed.get();
        bed.trace();
        bed.respond(id, &[("content-length", length)], end);
        bed.body(id, RESPONSE, &["ok"]);
        assert_eq!(
            bed.trace(),
            [&format!("response_headers(2,2,{})", u8::from(end)), "  replace 2: 0", "  get 2 :status: 0 \"200\""]
        );
        assert_eq!(
            bed.effects(id)[1..],
            [
                "< headers [:status: 403] [x-a: 1] [content-length: 5] [content-type: text/plain]",
                "< data \"hello\" end"
            ]
        );
        bed.chain.close(id);
        assert_eq!(
            bed.notes(),
            [
                "pairs 2: 0 [:status: 403] [x-a: 1] [content-length: 5] [content-type: text/plain]",
                "response/code: 0 403",
                "response/code_details: 0 \"d\""
            ]
        );
    }
}

#[test]
fn in_response_headers_to_a_head_request_it_has_a_length_and_no_body() {
    let bed = replying(Id::ResponseHeaders);
    let id = bed.open("HEAD", "/p", &[], true);
    bed.respond(id, &[("content-length", "2")], true);
    assert_eq!(bed.effects(id)[1..], ["< headers [:status: 403] [content-length: 5] [content-type: text/plain] end"]);
}

#[test]
fn in_response_body_it_breaks_off_once_the_head_was_sent() {
    for at_end in [false, true] {
        let bed = Bed::new();
        bed.on(Id::ResponseBody, move |f| {
            if f.end() == at_end {
                f.reply(403, "hello");
            }
            0
        });
        bed.on(Id::Log, |f| {
            f.number("response/code");
            f.property("response/code_details");
            0
        });
        let id = bed.get();
        bed.respond(id, &[("content-length", "2")], false);
        bed.trace();
        bed.body(id, RESPONSE, &["ok"]);
        let effects = bed.effects(id);
        assert_eq!(effects.last().unwrap(), "reset LocalReplyTooLate");
        assert_eq!(effects.contains(&"< data \"ok\"".to_string()), at_end, "what was let through before stays");
        bed.chain.close(id);
        assert_eq!(bed.notes(), ["response/code: 0 200", "response/code_details: 0 \"d\""]);
    }
}

#[test]
fn in_response_body_it_replaces_a_response_whose_head_is_held() {
    for at_end in [false, true] {
        let bed = Bed::with(|settings| settings.plugins[0].allow_on_headers_stop_iteration = true);
        bed.returns(Id::ResponseHeaders, [1]);
        bed.on(Id::ResponseBody, move |f| {
            if f.end() == at_end {
                f.reply(403, "hello");
            }
            1
        });
        let id = bed.get();
        bed.respond(id, &[], false);
        bed.trace();
        bed.body(id, RESPONSE, &["ok"]);
        assert_eq!(bed.effects(id)[1..], REPLY);
        assert!(bed.calls().iter().all(|call| call.starts_with("response_body")));
    }
}

#[test]
fn elsewhere_it_answers_a_paused_request() {
    let bed = Bed::new();
    bed.returns(Id::RequestHeaders, [1]);
    bed.get();
    bed.trace();
    bed.elsewhere(|f| {
        f.effective(2);
        f.reply(403, "hello");
    });
    assert_eq!(bed.calls(), ["response_headers(2,3,0)", "response_body(2,5,1)"]);
    assert_eq!(bed.effects(2), REPLY);
}

#[test]
fn elsewhere_it_replaces_a_held_response_without_running_anything_again() {
    let bed = Bed::new();
    bed.returns(Id::ResponseHeaders, [1]);
    let id = bed.get();
    bed.respond(id, &[], false);
    bed.data(id, RESPONSE, "ok", false);
    bed.trace();
    bed.elsewhere(|f| {
        f.effective(2);
        f.reply(403, "hello");
    });
    assert_eq!(bed.calls(), [""; 0]);
    assert_eq!(bed.effects(2)[1..], REPLY);
}

#[test]
fn elsewhere_two_streams_can_be_answered_at_once() {
    let bed = Bed::new();
    bed.returns(Id::RequestHeaders, [1]);
    let (first, second) = (bed.get(), bed.get());
    bed.elsewhere(move |f| {
        for id in [first, second] {
            f.effective(id);
            f.reply(403, "hello");
        }
    });
    assert_eq!(bed.effects(first), REPLY);
    assert_eq!(bed.effects(second), REPLY);
}

#[test]
fn the_first_of_two_in_one_callback_wins() {
    let bed = Bed::new();
    bed.on(Id::RequestHeaders, |f| {
        f.reply(403, "hello");
        f.reply(404, "x");
        0
    });
    let id = bed.get();
    assert_eq!(bed.effects(id), REPLY);
}

#[test]
fn it_wins_over_continue_stream_in_the_same_callback() {
    let scripts: [fn(&Call<'_>); 2] = [
        |f| {
            f.reply(403, "hello");
            f.resume(0);
        },
        |f| {
            f.resume(0);
            f.reply(403, "hello");
        },
    ];
    for script in scripts {
        for value in [0, 1] {
            let bed = Bed::new();
            bed.on(Id::RequestHeaders, move |f| {
                script(f);
                value
            });
            let id = bed.get();
            assert_eq!(bed.effects(id), REPLY, "nothing goes upstream");
        }
    }
}

#[test]
fn the_filter_can_change_its_own() {
    let bed = replying(Id::RequestHeaders);
    bed.on(Id::ResponseHeaders, |f| {
        f.replace(2, ":status", "201");
        f.add(2, "x-a", "1");
        f.remove(2, "content-length");
        0
    });
    bed.on(Id::ResponseBody, |f| {
        f.set_buffer(1, 0, 100, "HELLO-WORLD");
        0
    });
    let id = bed.get();
    assert_eq!(
        bed.effects(id),
        ["< headers [:status: 201] [content-type: text/plain] [x-a: 1]", "< data \"HELLO-WORLD\" end"]
    );
}

#[test]
fn the_filter_can_pause_its_own() {
    for callback in [Id::ResponseHeaders, Id::ResponseBody] {
        let bed = replying(Id::RequestHeaders);
        bed.returns(callback, [1]);
        bed.get();
        assert!(!bed.chain.ended(2));
        bed.elsewhere(|f| {
            f.effective(2);
            f.resume(1);
        });
        assert_eq!(bed.effects(2), REPLY);
    }
}

#[test]
fn a_paused_one_is_not_touched_by_what_the_upstream_still_sends() {
    let bed = replying(Id::RequestBody);
    bed.returns(Id::ResponseHeaders, [1]);
    let id = bed.post();
    bed.data(id, REQUEST, "abc", false);
    bed.effects(id);
    bed.trace();
    assert!(!bed.chain.wants(id, RESPONSE));
    bed.respond(id, &[], false);
    bed.body(id, RESPONSE, &["ok"]);
    bed.trailers(id, RESPONSE, &[("x-r", "1")]);
    bed.chain.upstream_failed(id, proxy_wasm_semantics::UpstreamFailure::ConnectionTerminated);
    assert_eq!(bed.trace(), [""; 0]);
    assert_eq!(bed.effects(id), [""; 0]);
    bed.elsewhere(|f| {
        f.effective(2);
        f.resume(1);
    });
    assert_eq!(bed.effects(id), REPLY);
}

#[test]
fn one_in_its_own_response_headers_replaces_it() {
    let bed = replying(Id::RequestHeaders);
    bed.on(Id::ResponseHeaders, |f| {
        f.reply_with(500, "e", "again", &[], u32::MAX);
        0
    });
    let id = bed.get();
    assert_eq!(bed.trace()[2..], ["response_headers(2,3,0)"], "no recursion");
    assert_eq!(
        bed.effects(id),
        ["< headers [:status: 500] [content-length: 5] [content-type: text/plain]", "< data \"again\" end"]
    );
}

#[test]
fn one_in_its_own_response_body_breaks_off() {
    let bed = replying(Id::RequestHeaders);
    bed.on(Id::ResponseBody, |f| {
        f.reply(500, "again");
        0
    });
    let id = bed.get();
    assert_eq!(bed.effects(id), [REPLY[0], "reset LocalReplyTooLate"]);
}

#[test]
fn in_log_done_and_delete_it_does_nothing() {
    // Envoy crashes.
    for callback in [Id::Log, Id::Done, Id::Delete] {
        let bed = replying(callback);
        let id = bed.get();
        bed.trace();
        bed.chain.close(id);
        assert_eq!(bed.trace(), ["log(2)", "done(2)", "delete(2)"]);
    }
}

#[test]
fn from_the_root_context_it_does_nothing() {
    let bed = Bed::new();
    bed.on(Id::RequestHeaders, |f| {
        f.effective(1);
        f.reply(403, "hello");
        f.resume(0);
        f.close(0);
        f.effective(0);
        0
    });
    let id = bed.get();
    assert!(bed.effects(id).iter().all(|effect| !effect.starts_with('<') && !effect.starts_with("reset")));
}

#[test]
fn the_request_that_it_answers_is_read_no_further() {
    let bed = replying(Id::RequestHeaders);
    bed.returns(Id::ResponseHeaders, [1]);
    let id = bed.post();
    assert!(!bed.chain.wants(id, REQUEST));
    bed.trace();
    bed.body(id, REQUEST, &["abc"]);
    assert_eq!(bed.trace(), [""; 0]);
}
