//! `allow_on_headers_stop_iteration`: a pause that holds the head alone.

use super::*;

fn single_stop() -> Bed {
    let bed = Bed::with(|settings| settings.plugins[0].allow_on_headers_stop_iteration = true);
    bed.returns(Id::RequestHeaders, [1]);
    bed
}

#[test]
fn the_body_is_shown_and_continue_releases_the_head() {
    let bed = single_stop();
    bed.on(Id::RequestBody, |f| {
        f.add(0, "x-t", "1");
        0
    });
    let id = bed.post();
    assert_eq!(bed.effects(id), [""; 0]);
    bed.trace();
    bed.body(id, REQUEST, &["abc"]);
    assert_eq!(
        bed.trace(),
        ["request_body(2,3,0)", "  add 0: 0", "request_body(2,0,1)", "  add 0: 0"],
        "the map stays writable though it was sent"
    );
    assert_eq!(
        bed.effects(id),
        [
            "> headers [:authority: h] [:path: /p] [:method: POST] [:scheme: http] [x-t: 1]",
            "> data \"abc\"",
            "> data \"\" end"
        ]
    );
}

#[test]
fn the_head_waits_for_a_buffering_body() {
    let bed = single_stop();
    bed.returns(Id::RequestBody, [1, 1, 0]);
    let id = bed.post();
    bed.trace();
    bed.data(id, REQUEST, "abc", false);
    bed.data(id, REQUEST, "def", false);
    assert_eq!(bed.effects(id), [""; 0]);
    bed.body(id, REQUEST, &[]);
    assert_eq!(bed.trace(), ["request_body(2,3,0)", "request_body(2,6,0)", "request_body(2,6,1)"]);
    assert_eq!(effects(&bed), ["headers", "data \"abcdef\" end"]);
}

#[test]
fn a_dropped_body_leaves_a_head_and_an_empty_end() {
    let bed = single_stop();
    bed.returns(Id::RequestBody, [3, 3, 0]);
    let id = bed.post();
    bed.body(id, REQUEST, &["abc", "def"]);
    assert_eq!(effects(&bed), ["headers", "data \"\" end"]);
}

#[test]
fn a_bodiless_request_needs_continue_stream() {
    let bed = single_stop();
    bed.get();
    assert_eq!(effects(&bed), [""; 0]);
    resume(&bed, REQUEST);
    assert_eq!(effects(&bed), ["headers end"]);
}

#[test]
fn continue_stream_releases_the_head_in_mid_body() {
    let bed = single_stop();
    bed.returns(Id::RequestBody, [1, 0]);
    let id = bed.post();
    bed.data(id, REQUEST, "abc", false);
    resume(&bed, REQUEST);
    assert_eq!(effects(&bed), ["headers", "data \"abc\""]);
    bed.body(id, REQUEST, &["def"]);
    assert_eq!(effects(&bed), ["data \"def\"", "data \"\" end"]);
}

#[test]
fn trailers_release_the_head() {
    let bed = single_stop();
    let id = bed.post();
    bed.trailers(id, REQUEST, &[("x-t", "1")]);
    assert_eq!(effects(&bed), ["headers", "trailers"]);
}

#[test]
fn three_and_four_still_stop_everything() {
    for value in [3, 4] {
        let bed = single_stop();
        bed.returns(Id::RequestHeaders, [value]);
        let id = bed.post();
        bed.trace();
        bed.body(id, REQUEST, &["abc", "def"]);
        assert_eq!(bed.trace(), [""; 0]);
        resume(&bed, REQUEST);
        assert_eq!(calls(&bed), ["body(2,6,1)"]);
    }
}

#[test]
fn a_response_head_can_be_changed_until_the_body_continues() {
    let bed = Bed::with(|settings| settings.plugins[0].allow_on_headers_stop_iteration = true);
    bed.returns(Id::ResponseHeaders, [1]);
    bed.on(Id::ResponseBody, |f| {
        if !f.end() {
            return 1;
        }
        f.replace(2, ":status", "201");
        f.remove(2, "content-length");
        f.add(2, "x-a", "1");
        0
    });
    let id = bed.get();
    bed.respond(id, &[("content-length", "2")], false);
    bed.body(id, RESPONSE, &["ok"]);
    assert_eq!(bed.effects(id)[1..], ["< headers [:status: 201] [x-a: 1]", "< data \"ok\" end"]);
}
