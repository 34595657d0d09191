//! The effect of a headers callback's return value: which pieces it holds, and which events let them go.

use proxy_wasm_semantics::Direction;

use crate::common::{Bed, Call, Id, REQUEST, RESPONSE};

mod stop_iteration;

/// Continues stream 2 from elsewhere, as a timer would.
fn resume(bed: &Bed, direction: Direction) {
    bed.elsewhere(move |f| {
        f.state().set_effective_context(2).unwrap();
        f.state().continue_stream(u32::from(direction == RESPONSE)).unwrap();
    });
}

/// A bed whose headers callbacks in this direction return a value.
fn pausing(direction: Direction, value: u32) -> Bed {
    let bed = Bed::new();
    bed.returns(headers_callback(direction), [value]);
    bed
}

fn headers_callback(direction: Direction) -> Id {
    if direction == REQUEST { Id::RequestHeaders } else { Id::ResponseHeaders }
}

/// Stream 2, its message in this direction begun.
fn begin(bed: &Bed, direction: Direction, end: bool) {
    if direction == REQUEST {
        bed.open("POST", "/p", &[], end);
    } else {
        bed.get();
        bed.effects(2);
        bed.respond(2, &[], end);
    }
    bed.trace();
}

/// The effects without direction and map.
fn effects(bed: &Bed) -> Vec<String> {
    let short = |effect: String| match effect.find(" [") {
        Some(at) => format!("{}{}", &effect[2..at], if effect.ends_with(" end") { " end" } else { "" }),
        None => effect[2..].to_string(),
    };
    bed.effects(2).into_iter().map(short).collect()
}

/// The calls without their name's direction.
fn calls(bed: &Bed) -> Vec<String> {
    bed.calls().iter().map(|call| call.split_once('_').unwrap().1.to_string()).collect()
}

const BOTH: [Direction; 2] = [REQUEST, RESPONSE];

#[test]
fn every_pause_of_a_headers_callback_holds_the_body_unseen() {
    for direction in BOTH {
        for value in [1, 3, 4, 5, u32::MAX] {
            let bed = pausing(direction, value);
            begin(&bed, direction, false);
            bed.body(2, direction, &["abc", "def"]);
            assert_eq!(bed.trace(), [""; 0], "{value}");
            assert_eq!(effects(&bed), [""; 0], "{value}");
            resume(&bed, direction);
            assert_eq!(calls(&bed), ["body(2,6,1)"], "one call for all of it");
            assert_eq!(effects(&bed), ["headers", "data \"abcdef\" end"]);
        }
    }
}

#[test]
fn continue_and_end_stream_is_continue() {
    for direction in BOTH {
        let bed = pausing(direction, 2);
        begin(&bed, direction, false);
        bed.body(2, direction, &["abc"]);
        assert_eq!(calls(&bed), ["body(2,3,0)", "body(2,0,1)"]);
        assert_eq!(effects(&bed), ["headers", "data \"abc\"", "data \"\" end"]);
    }
}

#[test]
fn a_paused_message_without_body_goes_when_it_continues() {
    for direction in BOTH {
        let bed = pausing(direction, 1);
        begin(&bed, direction, true);
        assert_eq!(effects(&bed), [""; 0]);
        resume(&bed, direction);
        assert_eq!(calls(&bed), [""; 0]);
        assert_eq!(effects(&bed), ["headers end"]);
    }
}

#[test]
fn what_arrived_until_the_message_continues_is_one_call_and_the_rest_comes_as_it_comes() {
    for direction in BOTH {
        let bed = pausing(direction, 1);
        begin(&bed, direction, false);
        bed.data(2, direction, "a", false);
        bed.data(2, direction, "bc", false);
        resume(&bed, direction);
        bed.body(2, direction, &["def"]);
        assert_eq!(calls(&bed), ["body(2,3,0)", "body(2,3,0)", "body(2,0,1)"]);
        assert_eq!(effects(&bed), ["headers", "data \"abc\"", "data \"def\"", "data \"\" end"]);
    }
}

#[test]
fn a_message_that_continues_before_any_body_sends_its_head() {
    for direction in BOTH {
        let bed = pausing(direction, 1);
        begin(&bed, direction, false);
        resume(&bed, direction);
        assert_eq!(effects(&bed), ["headers"]);
        bed.body(2, direction, &["abc"]);
        assert_eq!(calls(&bed), ["body(2,3,0)", "body(2,0,1)"]);
    }
}

#[test]
fn an_empty_body_is_shown_when_the_message_continues() {
    for direction in BOTH {
        let bed = pausing(direction, 1);
        begin(&bed, direction, false);
        bed.body(2, direction, &[]);
        resume(&bed, direction);
        assert_eq!(calls(&bed), ["body(2,0,1)"]);
        assert_eq!(effects(&bed), ["headers", "data \"\" end"]);
    }
}

#[test]
fn body_and_trailers_are_shown_in_turn_when_the_message_continues() {
    for direction in BOTH {
        let bed = pausing(direction, 1);
        begin(&bed, direction, false);
        bed.data(2, direction, "abc", false);
        bed.data(2, direction, "def", false);
        bed.trailers(2, direction, &[("x-t", "1")]);
        resume(&bed, direction);
        assert_eq!(calls(&bed), ["body(2,6,0)", "trailers(2,1)"]);
        assert_eq!(effects(&bed), ["headers", "data \"abcdef\"", "trailers"]);
    }
}

#[test]
fn trailers_alone_are_shown_when_the_message_continues() {
    for direction in BOTH {
        let bed = pausing(direction, 1);
        begin(&bed, direction, false);
        bed.trailers(2, direction, &[("x-t", "1")]);
        resume(&bed, direction);
        assert_eq!(calls(&bed), ["trailers(2,1)"]);
        assert_eq!(effects(&bed), ["headers", "trailers"]);
    }
}

#[test]
fn a_body_callback_can_hold_again_what_a_continued_pause_showed_it() {
    for direction in BOTH {
        let bed = pausing(direction, 1);
        bed.returns(if direction == REQUEST { Id::RequestBody } else { Id::ResponseBody }, [1, 0]);
        begin(&bed, direction, false);
        bed.data(2, direction, "abc", false);
        resume(&bed, direction);
        assert_eq!(effects(&bed), ["headers"]);
        bed.body(2, direction, &[]);
        assert_eq!(calls(&bed), ["body(2,3,0)", "body(2,3,1)"]);
        assert_eq!(effects(&bed), ["data \"abc\" end"]);
    }
}

#[test]
fn stop_all_and_buffer_fails_past_the_limit_and_watermark_stops_reading() {
    for (value, fails) in [(1, false), (3, true), (4, false)] {
        let bed = Bed::with(|settings| settings.connection.buffer_limit = 4);
        bed.returns(Id::RequestHeaders, [value]);
        let id = bed.post();
        bed.data(id, REQUEST, "abcde", false);
        assert_eq!(bed.effects(id).first().is_some_and(|effect| effect.contains("413")), fails, "{value}");
        assert!(!bed.chain.wants(id, REQUEST));
    }
}

#[test]
fn the_body_is_out_of_reach_while_a_headers_callback_holds_it() {
    let bed = pausing(REQUEST, 1);
    begin(&bed, REQUEST, false);
    bed.body(2, REQUEST, &["abc"]);
    bed.elsewhere(|f| {
        f.effective(2);
        f.buffer(0);
        f.set_buffer(0, 0, 0, "x");
        f.add(0, "x-t", "1");
        f.pairs(0);
        f.resume(0);
        f.get(0, ":path");
        f.pairs(0);
    });
    assert_eq!(
        bed.notes(),
        [
            "effective 2: 0",
            "buffer 0: 0 \"\"",
            "set buffer 0: 2",
            "add 0: 0",
            "pairs 0: 0 [:authority: h] [:path: /p] [:method: POST] [:scheme: http] [x-t: 1]",
            "continue 0: 0",
            "get 0 :path: 2",
            "pairs 0: 0 EMPTY",
        ]
    );
    assert!(bed.effects(2)[0].ends_with("[x-t: 1]"));
}

#[test]
fn continuing_the_response_keeps_its_map_readable_and_forgets_the_requests() {
    let bed = Bed::with(|settings| settings.plugins[0].allow_on_headers_stop_iteration = true);
    bed.returns(Id::RequestHeaders, [1]);
    bed.returns(Id::ResponseHeaders, [1]);
    bed.post();
    bed.respond(2, &[], true);
    bed.elsewhere(|f| {
        f.effective(2);
        f.get(0, ":path");
        f.get(2, ":status");
        f.resume(1);
        f.get(0, ":path");
        f.get(2, ":status");
    });
    assert_eq!(
        bed.notes(),
        [
            "effective 2: 0",
            "get 0 :path: 0 \"/p\"",
            "get 2 :status: 0 \"200\"",
            "continue 1: 0",
            "get 0 :path: 2",
            "get 2 :status: 0 \"200\"",
        ]
    );
}

#[test]
fn continuing_twice_is_the_same_as_once() {
    for direction in BOTH {
        let bed = pausing(direction, 1);
        begin(&bed, direction, false);
        bed.data(2, direction, "abc", false);
        resume(&bed, direction);
        resume(&bed, direction);
        assert_eq!(calls(&bed), ["body(2,3,0)"]);
        assert_eq!(effects(&bed), ["headers", "data \"abc\""]);
    }
}

/// Continues in the headers callback itself, and returns this.
fn continue_and_return(direction: Direction, value: u32) -> Bed {
    let bed = Bed::new();
    bed.on(headers_callback(direction), move |f: &Call<'_>| {
        f.resume(u32::from(direction == RESPONSE));
        f.get(0, ":path");
        value
    });
    bed
}

#[test]
fn a_headers_callback_that_continues_and_pauses_goes_on() {
    // With a body to come, Envoy holds it forever.
    for direction in BOTH {
        for end in [true, false] {
            let bed = continue_and_return(direction, 1);
            begin(&bed, direction, end);
            if !end {
                bed.body(2, direction, &["abc"]);
                assert_eq!(calls(&bed), ["body(2,3,0)", "body(2,0,1)"]);
                assert_eq!(effects(&bed), ["headers", "data \"abc\"", "data \"\" end"]);
            } else {
                assert_eq!(effects(&bed), ["headers end"]);
            }
        }
    }
}

#[test]
fn a_headers_callback_that_continues_and_returns_continue_sends_one_head() {
    // Envoy sends two.
    for direction in BOTH {
        let bed = continue_and_return(direction, 0);
        begin(&bed, direction, true);
        assert_eq!(effects(&bed), ["headers end"]);
    }
}

#[test]
fn continuing_a_response_that_has_not_begun_does_nothing() {
    // Envoy crashes.
    for callback in [Id::RequestHeaders, Id::RequestBody] {
        let bed = Bed::new();
        bed.on(callback, |f| {
            f.resume(1);
            0
        });
        let id = bed.post();
        bed.body(id, REQUEST, &["abc"]);
        bed.respond(id, &[], true);
        assert_eq!(bed.effects(id).len(), 4);
    }
}

#[test]
fn stream_types_have_their_statuses() {
    let bed = Bed::new();
    bed.on(Id::RequestHeaders, |f| {
        for stream in [2, 3, 4, u32::MAX] {
            f.resume(stream);
        }
        for stream in [2, 3, 4] {
            f.close(stream);
        }
        0
    });
    let id = bed.get();
    assert_eq!(
        bed.notes(),
        [
            "continue 2: 0",
            "continue 3: 12",
            "continue 4: 2",
            &format!("continue {}: 2", u32::MAX),
            "close 2: 0",
            "close 3: 0",
            "close 4: 2",
        ]
    );
    assert_eq!(bed.effects(id).len(), 1, "none of them did anything");
}

#[test]
fn a_filter_can_continue_another_stream_while_its_own_is_logged() {
    let bed = pausing(REQUEST, 1);
    let (first, second) = (bed.get(), bed.get());
    bed.on(Id::Log, move |f| {
        if f.context() == second {
            f.effective(first);
            f.resume(0);
        }
        0
    });
    bed.chain.close(second);
    assert_eq!(bed.effects(first).len(), 1);
}

// `allow_on_headers_stop_iteration`
