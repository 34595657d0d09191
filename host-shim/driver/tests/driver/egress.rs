//! Messages for strict hosts: a body is as long as its head says, or the exchange breaks off.

use proptest::prelude::*;
use proxy_wasm_abi::settings::Origin;
use proxy_wasm_driver::{Egress, Frame};
use proxy_wasm_semantics::{Destination, Direction, Effect, HeaderMap, Kind};

use crate::common::{Bed, Id, REQUEST, RESPONSE};

fn head(direction: Direction, length: Option<&str>, end: bool) -> Effect {
    let (kind, first) = match direction {
        Direction::Request => (Kind::Request, (":method", "POST")),
        Direction::Response => (Kind::Response, (":status", "200")),
    };
    let length = length.map(|length| ("content-length", length));
    let headers = HeaderMap::from_pairs(kind, [Some(first), length, Some(("x", "1"))].into_iter().flatten());
    match direction {
        Direction::Request => {
            let to = Destination::Upstream(Origin { tls: false, authority: "up".into() });
            Effect::Request { to, headers, end }
        }
        Direction::Response => Effect::Response { headers, end },
    }
}

fn data(direction: Direction, bytes: &[u8], end: bool, changed: bool) -> Effect {
    Effect::Data { direction, bytes: bytes.to_vec(), end, changed }
}

/// `length N` or `chunked` for a head, the bytes of data, `end`, `mismatch`.
fn shown(frames: Vec<Frame>) -> Vec<String> {
    let show = |frame| match frame {
        Frame::Headers { headers, end } => {
            let length = headers.get(b"content-length").map(|length| String::from_utf8(length.to_vec()).unwrap());
            let length = length.map_or("chunked".into(), |length| format!("length {length}"));
            if end { format!("{length} end") } else { length }
        }
        Frame::Data(bytes) => String::from_utf8(bytes).unwrap(),
        Frame::End(trailers) => if trailers.is_some() { "trailers" } else { "end" }.into(),
        Frame::LengthMismatch { declared, actual, changed } => {
            format!("{actual} of {declared}{}", if changed { ", changed" } else { "" })
        }
    };
    frames.into_iter().map(show).collect()
}

fn frames(egress: &mut Egress, effect: Effect, may_change: bool) -> Vec<Frame> {
    let mut frames = Vec::new();
    match effect {
        Effect::Request { headers, end, .. } | Effect::Response { headers, end } => {
            egress.head(headers, end, may_change, &mut frames);
        }
        Effect::Data { bytes, end, changed, .. } => egress.data(bytes, end, changed, &mut frames),
        Effect::Trailers { trailers, .. } => egress.trailers(trailers, &mut frames),
        Effect::Reset(reason) => panic!("{reason:?}"),
    }
    frames
}

fn run(may_change: bool, effects: Vec<Effect>) -> Vec<String> {
    let mut egress = Egress::new(REQUEST, false);
    effects.into_iter().flat_map(|effect| shown(frames(&mut egress, effect, may_change))).collect()
}

#[test]
fn a_body_that_is_as_long_as_declared_passes() {
    for may_change in [false, true] {
        let frames = run(
            may_change,
            vec![
                head(REQUEST, Some("6"), false),
                data(REQUEST, b"abc", false, false),
                data(REQUEST, b"def", false, false),
                data(REQUEST, b"", true, false),
            ],
        );
        assert_eq!(frames, ["length 6", "abc", "def", "end"]);
    }
}

#[test]
fn a_body_without_length_is_chunked() {
    let frames = run(true, vec![head(REQUEST, None, false), data(REQUEST, b"abc", true, true)]);
    assert_eq!(frames, ["chunked", "abc", "end"]);
}

#[test]
fn a_whole_body_gets_its_own_length_where_it_stood() {
    let mut egress = Egress::new(RESPONSE, false);
    frames(&mut egress, head(RESPONSE, Some("3"), false), true);
    let frames = frames(&mut egress, data(RESPONSE, b"hello", true, true), true);
    let Frame::Headers { headers, .. } = &frames[0] else { panic!("{frames:?}") };
    let names: Vec<_> = headers.iter().map(|(name, _)| name).collect();
    assert_eq!(names, [b":status".as_slice(), b"content-length", b"x"]);
    assert_eq!(shown(frames), ["length 5", "hello", "end"]);
}

#[test]
fn a_changed_first_piece_makes_it_chunked() {
    let frames = run(
        true,
        vec![
            head(REQUEST, Some("6"), false),
            data(REQUEST, b"abcX", false, true),
            data(REQUEST, b"def", false, true),
            data(REQUEST, b"", true, true),
        ],
    );
    assert_eq!(frames, ["chunked", "abcX", "def", "end"]);
}

#[test]
fn a_late_change_of_length_breaks_off() {
    for (second, third, expected) in
        [("defX", "", "7 of 6, changed"), ("de", "", "5 of 6, changed"), ("def", "X", "7 of 6, changed")]
    {
        let frames = run(
            true,
            vec![
                head(REQUEST, Some("6"), false),
                data(REQUEST, b"abc", false, false),
                data(REQUEST, second.as_bytes(), false, true),
                data(REQUEST, third.as_bytes(), true, true),
            ],
        );
        assert_eq!(frames.last().unwrap(), expected);
        assert!(!frames.contains(&"end".to_string()));
    }
}

#[test]
fn nothing_follows_a_mismatch() {
    let frames = run(
        false,
        vec![head(REQUEST, Some("1"), false), data(REQUEST, b"abc", false, false), data(REQUEST, b"def", true, false)],
    );
    assert_eq!(frames, ["length 1", "3 of 1"]);
}

#[test]
fn trailers_end_a_body() {
    let trailers = || Effect::Trailers { direction: REQUEST, trailers: HeaderMap::new(Kind::Trailers) };
    let frames = run(true, vec![head(REQUEST, None, false), data(REQUEST, b"abc", false, false), trailers()]);
    assert_eq!(frames, ["chunked", "abc", "trailers"]);
    let frames = run(true, vec![head(REQUEST, Some("3"), false), data(REQUEST, b"abc", false, false), trailers()]);
    assert_eq!(frames, ["length 3", "abc", "trailers"]);
    let frames = run(true, vec![head(REQUEST, Some("4"), false), data(REQUEST, b"abc", false, false), trailers()]);
    assert_eq!(frames, ["length 4", "abc", "3 of 4"]);
}

#[test]
fn a_body_that_was_dropped_before_trailers_is_empty() {
    let trailers = Effect::Trailers { direction: REQUEST, trailers: HeaderMap::new(Kind::Trailers) };
    assert_eq!(run(true, vec![head(REQUEST, Some("4"), false), trailers]), ["length 0", "trailers"]);
}

#[test]
fn a_head_alone_has_no_length_but_0() {
    assert_eq!(run(true, vec![head(REQUEST, Some("5"), true)]), ["length 0 end"]);
    assert_eq!(run(true, vec![head(REQUEST, Some("0"), true)]), ["length 0 end"]);
    assert_eq!(run(true, vec![head(REQUEST, None, true)]), ["length 0 end"]);
}

#[test]
fn a_response_to_head_and_a_304_keep_their_length() {
    let mut egress = Egress::new(RESPONSE, true);
    assert_eq!(shown(frames(&mut egress, head(RESPONSE, Some("5"), true), true)), ["length 5 end"]);
    let headers = HeaderMap::from_pairs(Kind::Response, [(":status", "304"), ("content-length", "5")]);
    let mut egress = Egress::new(RESPONSE, false);
    let effect = Effect::Response { headers, end: true };
    assert_eq!(shown(frames(&mut egress, effect, true)), ["length 5 end"]);
}

#[test]
fn what_is_no_number_is_no_length() {
    for length in ["abc", "-1", "+3", "3,3", "", "99999999999999999999999"] {
        let frames = run(true, vec![head(REQUEST, Some(length), false), data(REQUEST, b"abc", true, false)]);
        assert_eq!(frames, ["chunked", "abc", "end"], "{length:?}");
    }
}

#[test]
fn bytes_that_the_filter_drops_make_the_rest_chunked() {
    // The filter drops the first piece and lets the second through before the end is known.
    let bed = Bed::new();
    bed.returns(Id::RequestBody, [3, 0]);
    let id = bed.open("POST", "/p", &[("content-length", "6")], false);
    bed.body(id, REQUEST, &["abc", "def"]);
    let mut egress = Egress::new(REQUEST, false);
    let frames: Vec<String> =
        bed.raw_effects(id).into_iter().flat_map(|effect| shown(frames(&mut egress, effect, true))).collect();
    assert_eq!(frames, ["chunked", "def", "end"]);
}

proptest! {
    /// Whatever pieces come, what a head declares is what follows, or it ends in a mismatch.
    #[test]
    fn what_is_declared_is_sent(
        declared in proptest::option::of(0u64..8),
        pieces in proptest::collection::vec((0usize..4, any::<bool>()), 0..5),
        may_change: bool,
        with_trailers: bool,
    ) {
        let declared = declared.map(|length| length.to_string());
        let mut effects = vec![head(REQUEST, declared.as_deref(), false)];
        let mut changed_before = false;
        for (len, changed) in &pieces {
            changed_before |= *changed && may_change;
            effects.push(data(REQUEST, &b"xxxx"[..*len], false, changed_before));
        }
        effects.push(match with_trailers {
            true => Effect::Trailers { direction: REQUEST, trailers: HeaderMap::new(Kind::Trailers) },
            false => data(REQUEST, b"", true, changed_before),
        });
        let mut egress = Egress::new(REQUEST, false);
        let frames: Vec<Frame> = effects.into_iter().flat_map(|effect| frames(&mut egress, effect, may_change)).collect();
        let heads = frames.iter().filter(|frame| matches!(frame, Frame::Headers { .. })).count();
        prop_assert_eq!(heads, 1);
        let Frame::Headers { headers, .. } = &frames[0] else { panic!("the head comes first: {frames:?}") };
        let length: Option<usize> =
            headers.get(b"content-length").map(|length| std::str::from_utf8(length).unwrap().parse().unwrap());
        let sent: usize = frames.iter().map(|frame| if let Frame::Data(bytes) = frame { bytes.len() } else { 0 }).sum();
        let ended = matches!(frames.last(), Some(Frame::End(_)));
        let mismatched = matches!(frames.last(), Some(Frame::LengthMismatch { .. }));
        prop_assert!(ended != mismatched);
        if ended {
            prop_assert!(length.is_none_or(|length| length == sent), "{frames:?}");
            prop_assert_eq!(sent, pieces.iter().map(|(len, _)| len).sum::<usize>());
        } else {
            prop_assert!(length.is_some_and(|length| sent <= length), "never more than declared: {frames:?}");
        }
    }
}
