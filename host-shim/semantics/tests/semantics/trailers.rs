//! Trailers: seen, held, changed and created.

use crate::common::{Bed, Id, REQUEST, RESPONSE};

#[test]
fn request_trailers_can_be_read_and_changed_only_in_their_callback() {
    let bed = Bed::new();
    bed.on(Id::RequestBody, |f| {
        f.get(1, "x-t");
        f.add(1, "x-t", "2");
        f.pairs(1);
        0
    });
    bed.on(Id::RequestTrailers, |f| {
        f.pairs(1);
        f.get(1, "X-T");
        f.replace(1, "x-t", "2");
        f.add(1, "Accept", "c");
        f.get(0, ":path");
        f.pairs(0);
        f.buffer(0);
        f.set_buffer(0, 0, 0, "x");
        0
    });
    bed.on(Id::ResponseHeaders, |f| {
        f.get(1, "x-t");
        0
    });
    let id = bed.post();
    bed.data(id, REQUEST, "abc", false);
    bed.trailers(id, REQUEST, &[("x-t", "1"), ("accept", "a"), ("accept", "b")]);
    bed.respond(id, &[], true);
    assert_eq!(
        bed.notes(),
        [
            "get 1 x-t: 2",
            "add 1: 2",
            "pairs 1: 0 EMPTY",
            "pairs 1: 0 [x-t: 1] [accept: a] [accept: b]",
            "get 1 X-T: 0 \"1\"",
            "replace 1: 0",
            "add 1: 0",
            "get 0 :path: 2",
            "pairs 0: 0 EMPTY",
            "buffer 0: 0 \"\"",
            "set buffer 0: 2",
            "get 1 x-t: 2",
        ]
    );
    assert_eq!(bed.effects(id)[2], "> trailers [accept: a] [accept: b] [x-t: 2] [accept: c]");
}

#[test]
fn a_buffered_body_can_be_changed_in_the_trailers_callback() {
    for (change, sent) in [(Some((0, 100)), "NEW"), (Some((0, 2)), "NEWcdef"), (None, "abcdef")] {
        let bed = Bed::new();
        bed.returns(Id::RequestBody, [1]);
        bed.on(Id::RequestTrailers, move |f| {
            f.buffer(0);
            if let Some((start, len)) = change {
                f.set_buffer(0, start, len, "NEW");
            }
            0
        });
        let id = bed.post();
        bed.data(id, REQUEST, "abc", false);
        bed.data(id, REQUEST, "def", false);
        bed.trailers(id, REQUEST, &[("x-t", "1")]);
        assert_eq!(bed.notes()[0], "buffer 0: 0 \"abcdef\"");
        assert_eq!(bed.effects(id)[1..], [format!("> data \"{sent}\""), "> trailers [x-t: 1]".into()]);
    }
}

#[test]
fn a_dropped_body_leaves_the_trailers() {
    let bed = Bed::new();
    bed.returns(Id::RequestBody, [3]);
    let id = bed.post();
    bed.data(id, REQUEST, "abc", false);
    bed.trailers(id, REQUEST, &[("x-t", "1")]);
    assert_eq!(bed.effects(id)[1..], ["> trailers [x-t: 1]"]);
}

#[test]
fn held_trailers_go_when_the_stream_continues() {
    for (callback, map, stream) in [(Id::RequestTrailers, 1, 0), (Id::ResponseTrailers, 3, 1)] {
        for value in [1, 2, u32::MAX] {
            let bed = Bed::new();
            bed.returns(callback, [value]);
            let id = bed.post();
            let direction = if stream == 0 { REQUEST } else { RESPONSE };
            if stream == 1 {
                bed.data(id, REQUEST, "", true);
                bed.respond(id, &[], false);
            }
            bed.effects(id);
            bed.data(id, direction, "abc", false);
            bed.trailers(id, direction, &[("x-t", "1")]);
            assert_eq!(bed.effects(id).len(), 1, "only the data");
            bed.trace();
            bed.elsewhere(move |f| {
                f.effective(2);
                f.add(map, "x-u", "2");
                f.resume(stream);
                f.get(map, "x-u");
            });
            let after = if stream == 0 { "get 1 x-u: 2" } else { "get 3 x-u: 0 \"2\"" };
            assert_eq!(bed.notes()[3], after);
            assert!(bed.effects(id)[0].ends_with("trailers [x-t: 1] [x-u: 2]"));
            bed.elsewhere(move |f| {
                f.effective(2);
                f.resume(stream);
            });
            assert_eq!(bed.effects(id), [""; 0], "once");
        }
    }
}

#[test]
fn a_trailers_callback_that_continues_and_pauses_sends_them_once() {
    let bed = Bed::new();
    bed.on(Id::RequestTrailers, |f| {
        f.resume(0);
        1
    });
    let id = bed.post();
    bed.trailers(id, REQUEST, &[("x-t", "1")]);
    bed.elsewhere(|f| {
        f.effective(2);
        f.resume(0);
    });
    assert_eq!(bed.effects(id)[1..], ["> trailers [x-t: 1]"]);
}

#[test]
fn trailers_can_be_emptied() {
    let bed = Bed::new();
    bed.on(Id::RequestTrailers, |f| {
        f.set_pairs(1, &[]);
        0
    });
    let id = bed.post();
    bed.trailers(id, REQUEST, &[("x-t", "1")]);
    assert_eq!(bed.effects(id)[1..], ["> trailers"]);
}

#[test]
fn adding_at_the_end_of_a_body_creates_trailers_and_reading_does_not() {
    for (callback, map, direction) in [(Id::RequestBody, 1, REQUEST), (Id::ResponseBody, 3, RESPONSE)] {
        let bed = Bed::new();
        bed.on(callback, move |f| {
            f.get(map, "x-t");
            f.pairs(map);
            if f.end() {
                f.add(map, "X-T", "1");
                f.get(map, "x-t");
            }
            0
        });
        let id = bed.post();
        if direction == RESPONSE {
            bed.body(id, REQUEST, &[]);
            bed.respond(id, &[], false);
        }
        bed.effects(id);
        bed.trace();
        bed.body(id, direction, &["abc"]);
        let (unreadable, empty) = (format!("get {map} x-t: 2"), format!("pairs {map}: 0 EMPTY"));
        let added = format!("add {map}: 0");
        let read = format!("get {map} x-t: 0 \"1\"");
        assert_eq!(
            bed.trace().iter().map(|line| line.trim_start()).filter(|line| !line.contains("body")).collect::<Vec<_>>(),
            [&unreadable, &empty, &unreadable, &empty, &added, &read].map(String::as_str),
            "and no trailers callback"
        );
        let effects: Vec<String> = bed.effects(id).iter().map(|effect| effect[2..].into()).collect();
        assert_eq!(effects, ["data \"abc\"", "trailers [x-t: 1]"]);
    }
}

#[test]
fn trailers_can_not_be_created_elsewhere() {
    let bed = Bed::new();
    bed.on(Id::RequestHeaders, |f| {
        f.add(1, "x-t", "1");
        f.add(3, "x-t", "1");
        0
    });
    bed.on(Id::ResponseHeaders, |f| {
        f.add(1, "x-t", "1");
        f.add(3, "x-t", "1");
        0
    });
    let id = bed.get();
    bed.respond(id, &[], true);
    assert_eq!(bed.notes(), ["add 1: 2", "add 3: 2", "add 1: 2", "add 3: 2"]);
}

#[test]
fn a_body_that_got_trailers_is_not_held() {
    for value in [1, 2, 3] {
        let bed = Bed::new();
        bed.on(Id::RequestBody, move |f| {
            if f.end() {
                f.add(1, "x-t", "1");
            }
            value
        });
        let id = bed.post();
        bed.body(id, REQUEST, &["abc"]);
        assert!(bed.chain.next_effect(id).is_some(), "the head");
        let effects = bed.effects(id);
        assert_eq!(effects.last().unwrap(), "> trailers [x-t: 1]", "{value}");
        assert_eq!(effects.len(), if value == 3 { 1 } else { 2 }, "{value}");
    }
}

#[test]
fn a_filter_can_add_trailers_to_its_own_response() {
    let bed = Bed::new();
    bed.on(Id::RequestHeaders, |f| {
        f.reply(403, "no");
        0
    });
    bed.on(Id::ResponseBody, |f| {
        f.add(3, "x-t", "1");
        0
    });
    let id = bed.get();
    assert_eq!(bed.notes(), ["add 3: 0"]);
    assert_eq!(bed.effects(id)[1..], ["< data \"no\"", "< trailers [x-t: 1]"]);
    assert!(bed.chain.ended(id));
}

#[test]
fn a_local_response_in_response_trailers_breaks_off() {
    let bed = Bed::new();
    bed.on(Id::ResponseTrailers, |f| {
        f.reply(403, "no");
        0
    });
    let id = bed.get();
    bed.respond(id, &[], false);
    bed.data(id, RESPONSE, "ok", false);
    bed.trailers(id, RESPONSE, &[("x-r", "1")]);
    assert_eq!(bed.effects(id)[2..], ["< data \"ok\"", "reset LocalReplyTooLate"]);
}

#[test]
fn a_local_response_in_request_trailers_goes_through_the_filter() {
    let bed = Bed::new();
    bed.on(Id::RequestTrailers, |f| {
        f.reply(403, "no");
        0
    });
    bed.on(Id::ResponseHeaders, |f| {
        f.pairs(0);
        0
    });
    let id = bed.post();
    bed.trace();
    bed.trailers(id, REQUEST, &[("x-r", "1")]);
    assert_eq!(
        bed.trace(),
        ["request_trailers(2,1)", "response_headers(2,3,0)", "  pairs 0: 0 EMPTY", "response_body(2,2,1)"]
    );
}

#[test]
fn a_stream_closed_in_trailers_breaks_off() {
    let bed = Bed::new();
    bed.on(Id::RequestTrailers, |f| {
        f.close(0);
        0
    });
    let id = bed.post();
    bed.trailers(id, REQUEST, &[("x-r", "1")]);
    assert_eq!(bed.effects(id)[1..], ["reset ClosedByFilter"]);
}

#[test]
fn the_log_sees_the_response_trailers_and_not_the_requests() {
    let bed = Bed::new();
    bed.on(Id::Log, |f| {
        f.pairs(1);
        f.get(1, "x-t");
        f.pairs(3);
        f.get(3, "x-t");
        f.add(3, "x-t", "1");
        0
    });
    let id = bed.post();
    bed.trailers(id, REQUEST, &[("x-t", "1")]);
    bed.respond(id, &[], false);
    bed.trailers(id, RESPONSE, &[("x-t", "2"), ("vary", "a"), ("vary", "b")]);
    bed.chain.close(id);
    assert_eq!(
        bed.notes(),
        [
            "pairs 1: 0 EMPTY",
            "get 1 x-t: 1",
            "pairs 3: 0 [x-t: 2] [vary: a] [vary: b]",
            "get 3 x-t: 0 \"2\"",
            "add 3: 2"
        ]
    );
}
