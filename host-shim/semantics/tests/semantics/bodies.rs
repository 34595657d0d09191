//! The effect of a body callback's return value on the body: lengths shown, bytes sent. Both directions are alike.

use proxy_wasm_abi::limits::{HELD_MAX_BYTES, HTTP2_BUFFER_LIMIT_BYTES};
use proxy_wasm_semantics::Direction;

use crate::common::{Bed, Id, REQUEST, RESPONSE};

/// A stream whose body in this direction is next, with the callback that will see it.
fn opened(bed: &Bed, direction: Direction) -> (u32, Id) {
    let id = match direction {
        Direction::Request => bed.post(),
        Direction::Response => {
            let id = bed.get();
            bed.respond(id, &[], false);
            id
        }
    };
    bed.effects(id);
    bed.trace();
    (id, body_callback(direction))
}

fn body_callback(direction: Direction) -> Id {
    if direction == REQUEST { Id::RequestBody } else { Id::ResponseBody }
}

/// For both directions: the body callbacks return these values; gives the lengths and ends that they saw, and the data
/// that went on.
#[track_caller]
fn expect<const N: usize>(returned: [u32; N], pieces: &[&str], seen: &[&str], sent: &[&str]) {
    for direction in [REQUEST, RESPONSE] {
        let bed = Bed::new();
        let (id, callback) = opened(&bed, direction);
        bed.returns(callback, returned);
        bed.body(id, direction, pieces);
        let calls: Vec<String> =
            bed.trace().iter().map(|call| call.split_once("(2,").unwrap().1.trim_end_matches(')').into()).collect();
        assert_eq!(calls, seen, "{direction:?}");
        let effects: Vec<String> = bed.effects(id).iter().map(|effect| effect[2..].into()).collect();
        assert_eq!(effects, sent, "{direction:?}");
    }
}

#[test]
fn continue_passes_each_piece() {
    expect([0], &["abc", "def"], &["3,0", "3,0", "0,1"], &["data \"abc\"", "data \"def\"", "data \"\" end"]);
}

#[test]
fn buffer_shows_what_accumulated_and_continue_sends_it_whole() {
    expect([1, 1, 0], &["abc", "def"], &["3,0", "6,0", "6,1"], &["data \"abcdef\" end"]);
}

#[test]
fn buffer_at_the_end_too_holds_everything() {
    expect([1], &["abc", "def"], &["3,0", "6,0", "6,1"], &[]);
}

#[test]
fn watermark_shows_each_piece_by_itself_and_loses_none() {
    expect([2, 2, 0], &["abc", "def"], &["3,0", "3,0", "0,1"], &["data \"abcdef\" end"]);
}

#[test]
fn no_buffer_drops_the_bytes() {
    expect([3, 3, 0], &["abc", "def"], &["3,0", "3,0", "0,1"], &["data \"\" end"]);
}

#[test]
fn no_buffer_at_the_end_holds_the_end() {
    expect([0, 0, 3], &["abc", "def"], &["3,0", "3,0", "0,1"], &["data \"abc\"", "data \"def\""]);
}

#[test]
fn any_greater_value_is_no_buffer() {
    for value in [4, 5, u32::MAX] {
        expect([value, value, 0], &["abc", "def"], &["3,0", "3,0", "0,1"], &["data \"\" end"]);
    }
}

#[test]
fn continue_in_the_middle_sends_what_was_buffered_and_goes_on() {
    expect([1, 0, 0], &["abc", "def"], &["3,0", "6,0", "0,1"], &["data \"abcdef\"", "data \"\" end"]);
}

#[test]
fn buffer_after_continue_starts_anew() {
    expect([0, 1, 1, 0], &["ab", "cd", "ef"], &["2,0", "2,0", "4,0", "4,1"], &["data \"ab\"", "data \"cdef\" end"]);
}

#[test]
fn a_piece_after_watermark_is_shown_alone_and_sent_behind_what_is_held() {
    expect([2, 0, 0], &["abc", "def"], &["3,0", "3,0", "0,1"], &["data \"abcdef\"", "data \"\" end"]);
}

#[test]
fn buffer_after_watermark_accumulates_from_the_next_piece_on() {
    expect([2, 1, 1, 0], &["ab", "cd", "ef"], &["2,0", "2,0", "6,0", "6,1"], &["data \"abcdef\" end"]);
}

#[test]
fn buffered_bytes_survive_no_buffer_of_later_ones() {
    // The bytes of a buffering filter stand in the buffer before it says what to do with the new ones.
    expect([1, 3, 0], &["abc", "def"], &["3,0", "6,0", "0,1"], &["data \"abcdef\" end"]);
}

#[test]
fn an_end_held_by_no_buffer_goes_when_the_stream_continues() {
    for (direction, stream) in [(REQUEST, 0), (RESPONSE, 1)] {
        let bed = Bed::new();
        let (id, callback) = opened(&bed, direction);
        bed.returns(callback, [3]);
        bed.body(id, direction, &["abc"]);
        assert_eq!(bed.effects(id), [""; 0]);
        bed.trace();
        bed.elsewhere(move |f| {
            f.effective(2);
            f.resume(stream);
        });
        assert_eq!(bed.calls(), [""; 0], "the filter has seen it");
        assert_eq!(bed.effects(id).len(), 1);
    }
}

#[test]
fn what_was_buffered_to_the_end_goes_without_a_further_call_when_the_stream_continues() {
    for (direction, stream) in [(REQUEST, 0), (RESPONSE, 1)] {
        let bed = Bed::new();
        let (id, callback) = opened(&bed, direction);
        bed.returns(callback, [1]);
        bed.body(id, direction, &["abc", "def"]);
        bed.trace();
        bed.elsewhere(move |f| {
            f.effective(2);
            f.buffer(stream);
            f.set_buffer(stream, 0, 2, "XY");
            f.buffer(stream);
            f.resume(stream);
        });
        assert_eq!(
            bed.trace(),
            [
                "  effective 2: 0".to_string(),
                format!("  buffer {stream}: 0 \"abcdef\""),
                format!("  set buffer {stream}: 0"),
                format!("  buffer {stream}: 0 \"XYcdef\""),
                format!("  continue {stream}: 0"),
            ]
        );
        let effects = bed.effects(id);
        assert!(effects.len() == 1 && effects[0].ends_with("data \"XYcdef\" end"), "{effects:?}");
    }
}

#[test]
fn what_follows_a_continued_buffer_is_shown_without_it_and_nothing_is_lost() {
    for (direction, stream) in [(REQUEST, 0), (RESPONSE, 1)] {
        for (second, sent) in [(0, vec!["data \"def\"", "data \"\" end"]), (1, vec!["data \"def\" end"])] {
            let bed = Bed::new();
            let (id, callback) = opened(&bed, direction);
            bed.returns(callback, [1, second, 0]);
            bed.data(id, direction, "abc", false);
            bed.elsewhere(move |f| {
                f.effective(2);
                f.resume(stream);
            });
            assert!(bed.effects(id)[0].ends_with("data \"abc\""));
            bed.trace();
            bed.body(id, direction, &["def"]);
            let calls = bed.calls();
            assert!(calls[0].ends_with("(2,3,0)"), "{calls:?}");
            let effects: Vec<String> = bed.effects(id).iter().map(|effect| effect[2..].into()).collect();
            assert_eq!(effects, sent);
        }
    }
}

#[test]
fn continuing_twice_sends_the_end_once() {
    for (direction, stream) in [(REQUEST, 0), (RESPONSE, 1)] {
        let bed = Bed::new();
        let (id, callback) = opened(&bed, direction);
        bed.returns(callback, [1]);
        bed.body(id, direction, &["abc"]);
        for _ in 0..2 {
            bed.elsewhere(move |f| {
                f.effective(2);
                f.resume(stream);
                f.resume(stream);
            });
        }
        assert_eq!(bed.effects(id).len(), 1);
    }
}

#[test]
fn a_body_callback_that_continues_the_stream_and_buffers_sends_everything_once() {
    for (direction, stream) in [(REQUEST, 0), (RESPONSE, 1)] {
        let bed = Bed::new();
        let (id, callback) = opened(&bed, direction);
        bed.on(callback, move |f| {
            f.resume(stream);
            1
        });
        bed.body(id, direction, &["abc", "def"]);
        let calls = bed.calls();
        let lengths: Vec<&str> = calls.iter().map(|call| call.split_once("(2,").unwrap().1).collect();
        assert_eq!(lengths, ["3,0)", "6,0)", "0,1)"]);
        let effects: Vec<String> = bed.effects(id).iter().map(|effect| effect[2..].into()).collect();
        assert_eq!(effects, ["data \"abcdef\"", "data \"\" end"]);
    }
}

#[test]
fn a_single_body_callback_that_continues_the_stream_and_buffers_does_not_hang() {
    // Envoy holds such a body forever.
    for (direction, stream) in [(REQUEST, 0), (RESPONSE, 1)] {
        for value in [1, 2] {
            let bed = Bed::new();
            let (id, callback) = opened(&bed, direction);
            bed.on(callback, move |f| {
                f.resume(stream);
                value
            });
            bed.data(id, direction, "abc", true);
            let effects = bed.effects(id);
            assert!(effects.len() == 1 && effects[0].ends_with("data \"abc\" end"), "{effects:?}");
        }
    }
}

#[test]
fn continuing_a_stream_that_is_not_paused_does_nothing() {
    let bed = Bed::new();
    bed.on(Id::RequestBody, |f| {
        f.resume(0);
        0
    });
    bed.on(Id::ResponseHeaders, |f| {
        f.resume(0);
        f.resume(1);
        0
    });
    bed.on(Id::ResponseBody, |f| {
        f.resume(0);
        f.resume(1);
        0
    });
    let id = bed.post();
    bed.body(id, REQUEST, &["abc"]);
    bed.respond(id, &[], false);
    bed.body(id, RESPONSE, &["ok"]);
    assert_eq!(
        bed.effects(id)[1..],
        ["> data \"abc\"", "> data \"\" end", "< headers [:status: 200]", "< data \"ok\"", "< data \"\" end"]
    );
}

// The buffer limit.

fn limited() -> Bed {
    Bed::with(|settings| settings.connection.buffer_limit = 4)
}

#[test]
fn a_request_body_of_exactly_the_limit_may_be_buffered() {
    let bed = limited();
    bed.returns(Id::RequestBody, [1, 0]);
    let id = bed.post();
    bed.body(id, REQUEST, &["abcd"]);
    assert_eq!(bed.effects(id)[1..], ["> data \"abcd\" end"]);
}

#[test]
fn a_request_body_past_the_limit_is_answered_413() {
    let bed = limited();
    bed.returns(Id::RequestBody, [1]);
    let id = bed.post();
    bed.trace();
    bed.data(id, REQUEST, "abcde", false);
    assert_eq!(bed.trace(), ["request_body(2,5,0)", "response_headers(2,3,0)", "response_body(2,17,1)"]);
    assert_eq!(
        bed.effects(id)[1..],
        [
            "< headers [:status: 413] [content-length: 17] [content-type: text/plain]",
            "< data \"Payload Too Large\" end"
        ]
    );
    assert!(bed.chain.ended(id) && !bed.chain.wants(id, REQUEST));
    bed.on(Id::Log, |f| {
        f.property("response/code_details");
        f.number("response/flags");
        0
    });
    bed.chain.close(id);
    assert_eq!(bed.notes(), ["response/code_details: 0 \"request_payload_too_large\"", "response/flags: 0 0"]);
}

#[test]
fn who_refuses_a_body_says_by_which_limits() {
    let bed = limited();
    bed.returns(Id::RequestBody, [1]);
    let id = bed.post();
    bed.data(id, REQUEST, "abcde", false);
    let line = "[warn] refused: a filter holds more of a body than `--buffer-limit` (16 MiB over HTTP/2), or all filters hold \
                more than 256 MiB";
    assert_eq!(bed.log(), [line]);
}

#[test]
fn by_http2_more_is_held_whatever_the_settings_say() {
    for (bytes, fits) in [(HTTP2_BUFFER_LIMIT_BYTES, true), (HTTP2_BUFFER_LIMIT_BYTES + 1, false)] {
        let bed = limited();
        bed.returns(Id::RequestBody, [1, 0]);
        let id = bed.post_http2();
        bed.chain.data(id, REQUEST, vec![b'z'; bytes], false);
        assert_eq!(bed.chain.wants(id, REQUEST), fits, "{bytes}");
        assert_eq!(bed.log().len(), usize::from(!fits));
    }
}

#[test]
fn all_bodies_together_have_a_limit() {
    // A filter buffers, or holds with a watermark, or stops everything at the head. Nobody waits for room of others.
    for (callback, value) in
        [(Id::RequestBody, 1), (Id::RequestBody, 2), (Id::RequestHeaders, 3), (Id::RequestHeaders, 4)]
    {
        let bed = limited();
        bed.returns(callback, [value; 20]);
        // Nobody reads these bytes, so that they take no memory here.
        let piece = || vec![0; HTTP2_BUFFER_LIMIT_BYTES];
        let full: Vec<u32> = (0..=HELD_MAX_BYTES / HTTP2_BUFFER_LIMIT_BYTES)
            .map(|_| {
                let id = bed.post_http2();
                bed.chain.data(id, REQUEST, piece(), false);
                id
            })
            .collect();
        assert!(full.iter().all(|id| bed.chain.wants(*id, REQUEST)), "the last one began below the limit");
        // Others are refused what they would hold, and not their ends.
        let late = bed.post_http2();
        bed.data(late, REQUEST, "a", false);
        let effects = bed.effects(late);
        assert!(effects.iter().any(|effect| effect.starts_with("< headers [:status: 413]")), "{value}: {effects:?}");
        bed.chain.data(full[0], REQUEST, Vec::new(), true);
        assert!(!bed.effects(full[0]).iter().any(|effect| effect.contains("413")));
        // With some that go there is room again.
        full[1..3].iter().for_each(|id| bed.chain.close(*id));
        let next = bed.post_http2();
        bed.data(next, REQUEST, "a", false);
        assert!(bed.chain.wants(next, REQUEST));
    }
}

#[test]
fn pieces_past_the_limit_together_are_answered_413() {
    let bed = limited();
    bed.returns(Id::RequestBody, [1]);
    let id = bed.post();
    bed.data(id, REQUEST, "abc", false);
    bed.data(id, REQUEST, "de", false);
    assert!(bed.effects(id)[1].starts_with("< headers [:status: 413]"));
}

#[test]
fn a_buffer_that_the_filter_grows_past_the_limit_is_answered_413() {
    let bed = limited();
    bed.on(Id::RequestBody, |f| {
        if !f.end() {
            return 1;
        }
        f.set_buffer(0, 0, 100, "abcdefghij");
        0
    });
    let id = bed.post();
    bed.body(id, REQUEST, &["abc"]);
    assert!(bed.effects(id)[1].starts_with("< headers [:status: 413]"));
}

#[test]
fn a_piece_that_passes_may_be_larger_than_the_limit() {
    let bed = limited();
    let id = bed.post();
    bed.body(id, REQUEST, &["abcdefgh"]);
    assert_eq!(bed.effects(id)[1..], ["> data \"abcdefgh\"", "> data \"\" end"]);
}

#[test]
fn a_response_body_past_the_limit_breaks_off_when_its_head_was_sent() {
    let bed = limited();
    bed.returns(Id::ResponseBody, [1]);
    let id = bed.get();
    bed.respond(id, &[], false);
    bed.trace();
    bed.data(id, RESPONSE, "abcde", false);
    assert_eq!(bed.trace(), ["response_body(2,5,0)"], "nothing is run again");
    assert_eq!(bed.effects(id)[1..], ["< headers [:status: 200]", "reset LocalReplyTooLate"]);
    bed.on(Id::Log, |f| {
        f.property("response/code_details");
        0
    });
    bed.chain.close(id);
    assert_eq!(bed.notes(), ["response/code_details: 0 \"response_payload_too_large\""]);
}

#[test]
fn a_response_body_past_the_limit_is_answered_500_while_its_head_is_held() {
    let bed = Bed::with(|settings| {
        settings.connection.buffer_limit = 4;
        settings.plugins[0].allow_on_headers_stop_iteration = true;
    });
    bed.returns(Id::ResponseHeaders, [1]);
    bed.returns(Id::ResponseBody, [1]);
    let id = bed.get();
    bed.respond(id, &[], false);
    bed.trace();
    bed.data(id, RESPONSE, "abcde", false);
    assert_eq!(bed.trace(), ["response_body(2,5,0)"]);
    assert_eq!(
        bed.effects(id)[1..],
        [
            "< headers [:status: 500] [content-length: 21] [content-type: text/plain]",
            "< data \"Internal Server Error\" end"
        ]
    );
}

#[test]
fn a_watermark_stops_reading_at_the_limit_and_never_fails() {
    for (direction, stream) in [(REQUEST, 0), (RESPONSE, 1)] {
        let bed = limited();
        let (id, callback) = opened(&bed, direction);
        bed.returns(callback, [2]);
        bed.data(id, direction, "abcd", false);
        assert!(bed.chain.wants(id, direction), "at the limit");
        bed.data(id, direction, "efgh", false);
        assert!(!bed.chain.wants(id, direction), "past the limit");
        assert_eq!(bed.effects(id), [""; 0]);
        bed.elsewhere(move |f| {
            f.effective(2);
            f.resume(stream);
        });
        assert!(bed.effects(id)[0].ends_with("data \"abcdefgh\""));
        assert!(bed.chain.wants(id, direction), "what was held is gone");
    }
}

#[test]
fn a_complete_message_wants_no_more() {
    let bed = Bed::new();
    let id = bed.post();
    assert!(bed.chain.wants(id, REQUEST));
    bed.body(id, REQUEST, &["abc"]);
    assert!(!bed.chain.wants(id, REQUEST));
    assert!(bed.chain.wants(id, RESPONSE));
    bed.respond(id, &[], false);
    bed.trailers(id, RESPONSE, &[]);
    assert!(!bed.chain.wants(id, RESPONSE));
}
