//! Random exchanges: nothing panics, no body byte is lost, doubled or moved, and what is held stays bounded.

use std::{cell::RefCell, rc::Rc};

use proptest::prelude::*;
use proxy_wasm_semantics::{Direction, Effect, Request, UpstreamFailure};

use crate::common::{Bed, Call, Id, REQUEST, RESPONSE};

const LIMIT: usize = 64;

/// An event for the chain.
#[derive(Clone, Debug)]
enum Step {
    Data(Direction, usize),
    End(Direction),
    Trailers(Direction),
    Respond,
    /// A timer continues a stream.
    Resume(Direction),
    Fail,
    Idle,
    Gone,
    TakeEffects,
}

fn direction() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(REQUEST), Just(RESPONSE)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (direction(), 0usize..40).prop_map(|(direction, len)| Step::Data(direction, len)),
        2 => direction().prop_map(Step::End),
        1 => direction().prop_map(Step::Trailers),
        2 => Just(Step::Respond),
        3 => direction().prop_map(Step::Resume),
        1 => Just(Step::Fail),
        1 => Just(Step::Idle),
        1 => Just(Step::Gone),
        2 => Just(Step::TakeEffects),
    ]
}

/// A host call of a random filter.
#[derive(Clone, Copy, Debug)]
struct HostCall {
    which: u8,
    number: u32,
}

fn make(f: &Call<'_>, HostCall { which, number }: HostCall) {
    let small = number % 10;
    let mut vm = f.state();
    // Each returns a status; which one is not the point here.
    let _ = match which % 16 {
        0 => vm.get_header_map_value(small, b":path").map(drop),
        1 => vm.get_header_map_pairs(small).map(drop),
        2 => vm.add_header_map_value(small, b"x-added", b"1"),
        3 => vm.replace_header_map_value(small, b":status", b"201"),
        4 => vm.remove_header_map_value(small, b":method"),
        5 => vm.set_header_map_pairs(small, &number.to_le_bytes()),
        6 => vm.get_buffer_bytes(small, number, number).map(|blob| {
            vm.bytes(blob);
        }),
        7 => vm.set_buffer_bytes(small % 2, number % 5, number % 7, b"changed"),
        8 | 9 => vm.continue_stream(small % 5),
        10 if small == 0 => vm.close_stream(0),
        11 if small < 3 => vm.send_local_response(number % 700, b"d", b"body", b"", number),
        12 => vm.set_effective_context(small),
        13 => vm.get_property(b"request\0headers").map(drop),
        14 => vm.set_property(b"k", &number.to_le_bytes()),
        _ => vm.log(small, b"text"),
    };
}

fn call() -> impl Strategy<Value = HostCall> {
    (any::<u8>(), any::<u32>()).prop_map(|(which, number)| HostCall { which, number })
}

const CALLBACKS: [Id; 10] = [
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
];

/// Scripts every callback with these answers and host calls, in turn.
fn script(bed: &Bed, answers: Vec<(u32, Vec<HostCall>)>) {
    let next = Rc::new(RefCell::new(answers.into_iter().cycle()));
    for callback in CALLBACKS {
        let next = next.clone();
        bed.on(callback, move |f| {
            let (value, calls) = next.borrow_mut().next().expect("at least one");
            calls.into_iter().for_each(|call| make(f, call));
            value
        });
    }
}

/// A chain of so many plugins, all in one virtual machine.
fn limited(limit: usize, plugins: usize, single_stop: bool) -> Bed {
    Bed::chain(&[""], &vec![0; plugins], |settings| {
        settings.connection.buffer_limit = limit as u32;
        for plugin in &mut settings.plugins {
            plugin.allow_on_headers_stop_iteration = single_stop;
            plugin.log_level = 5;
        }
    })
}

/// Continues the first stream for each of the plugins.
fn resume(bed: &Bed, plugins: usize, direction: Direction) {
    // The contexts of the first stream are behind the root contexts.
    for context in (1..).skip(plugins).take(plugins) {
        bed.elsewhere(move |f| {
            let _ = f.state().set_effective_context(context);
            f.state().continue_stream(u32::from(direction == RESPONSE)).unwrap();
        });
    }
}

/// Well-formed on each side: one head, data, one end.
fn checked(effects: &[Effect]) {
    for way in [REQUEST, RESPONSE] {
        let mut heads = 0;
        let mut ended = false;
        for effect in effects {
            let (direction, head, end) = match effect {
                Effect::Request { end, .. } => (REQUEST, true, *end),
                Effect::Response { end, .. } => (RESPONSE, true, *end),
                Effect::Data { direction, end, .. } => (*direction, false, *end),
                Effect::Trailers { direction, .. } => (*direction, false, true),
                Effect::Reset(_) => continue,
            };
            if direction != way {
                continue;
            }
            assert!(!ended, "something after the end: {effects:?}");
            heads += u32::from(head);
            assert_eq!(heads, 1, "one head, and first: {effects:?}");
            ended = end;
        }
    }
    let reset = effects.iter().position(|effect| matches!(effect, Effect::Reset(_)));
    assert!(reset.is_none_or(|at| at == effects.len() - 1), "something after a reset: {effects:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Any filter, any order of arrivals.
    #[test]
    fn any_sequence_is_survived_and_well_formed(
        steps in proptest::collection::vec(step(), 0..24),
        answers in proptest::collection::vec((0u32..6, proptest::collection::vec(call(), 0..4)), 1..6),
        plugins in 1usize..4,
        single_stop: bool,
        head_ends: bool,
    ) {
        let bed = limited(LIMIT, plugins, single_stop);
        script(&bed, answers);
        let request = Request { method: b"POST".into(), path: b"/p".into(), authority: b"h".into(), ..Request::default() };
        let id = bed.chain.open(request, head_ends);
        let mut effects = Vec::new();
        let mut complete = [head_ends, false];
        let mut responded = false;
        for step in steps {
            let open = |direction: Direction| if direction == REQUEST { !complete[0] } else { responded && !complete[1] };
            match step {
                Step::Data(direction, len) if open(direction) && bed.chain.wants(id, direction) => {
                    bed.chain.data(id, direction, vec![b'x'; len], false);
                }
                Step::End(direction) if open(direction) && bed.chain.wants(id, direction) => {
                    complete[usize::from(direction == RESPONSE)] = true;
                    bed.chain.data(id, direction, Vec::new(), true);
                }
                Step::Trailers(direction) if open(direction) && bed.chain.wants(id, direction) => {
                    complete[usize::from(direction == RESPONSE)] = true;
                    bed.trailers(id, direction, &[("x-t", "1")]);
                }
                Step::Respond if !responded && bed.chain.upstream_timeout_ms(id).is_some() => {
                    responded = true;
                    bed.respond(id, &[], false);
                }
                Step::Resume(direction) => resume(&bed, plugins, direction),
                Step::Fail => bed.chain.upstream_failed(id, UpstreamFailure::ConnectionTerminated),
                Step::Idle => bed.chain.idle_timeout(id),
                Step::Gone => bed.chain.client_gone(id),
                Step::TakeEffects => effects.extend(bed.raw_effects(id)),
                _ => {}
            }
        }
        effects.extend(bed.raw_effects(id));
        checked(&effects);
        bed.chain.close(id);
        prop_assert!(bed.chain.ended(id));
        prop_assert_eq!(bed.raw_effects(id).len(), 0);
    }

    /// Filters that only pause and buffer, and whose streams are continued in the end: bytes out are bytes in, in order.
    #[test]
    fn pausing_and_buffering_lose_and_double_nothing(
        pieces in proptest::collection::vec((1usize..16, any::<bool>()), 0..6),
        headers_value in 0u32..3,
        values in proptest::collection::vec(0u32..3, 1..5),
        way in direction(),
        plugins in 1usize..4,
        single_stop: bool,
        with_trailers: bool,
        trailers_value in 0u32..2,
    ) {
        // Enough for all: what happens past the limit has its own tests.
        let bed = limited(128, plugins, single_stop);
        let next = RefCell::new(values.into_iter().cycle());
        let (headers, body, trailers) = match way {
            Direction::Request => (Id::RequestHeaders, Id::RequestBody, Id::RequestTrailers),
            Direction::Response => (Id::ResponseHeaders, Id::ResponseBody, Id::ResponseTrailers),
        };
        bed.returns(headers, [headers_value]);
        bed.on(body, move |_| next.borrow_mut().next().unwrap());
        bed.returns(trailers, [trailers_value]);
        let id = bed.post();
        if way == RESPONSE {
            bed.data(id, REQUEST, "", true);
            bed.respond(id, &[], false);
        }
        let mut sent = Vec::new();
        for (number, (len, resumed)) in pieces.into_iter().enumerate() {
            let piece: Vec<u8> = (0..len).map(|i| (number * 16 + i) as u8).collect();
            sent.extend_from_slice(&piece);
            prop_assert!(bed.chain.wants(id, way));
            bed.chain.data(id, way, piece, false);
            if resumed {
                resume(&bed, plugins, way);
            }
        }
        match with_trailers {
            true => bed.trailers(id, way, &[("x-t", "1")]),
            false => bed.data(id, way, "", true),
        }
        // A body callback after the first continue may hold it again.
        for _ in 0..2 * plugins {
            resume(&bed, plugins, way);
        }
        let effects = bed.raw_effects(id);
        checked(&effects);
        let mut received = Vec::new();
        let mut ended = false;
        for effect in &effects {
            match effect {
                Effect::Data { direction, bytes, end, .. } if *direction == way => {
                    received.extend_from_slice(bytes);
                    ended |= end;
                }
                Effect::Trailers { direction, .. } if *direction == way => ended = true,
                _ => {}
            }
        }
        prop_assert_eq!(received, sent);
        prop_assert!(ended, "{:?}", effects);
    }

    /// An edge that reads only when asked to never has more held for it than the limit and one piece.
    #[test]
    fn what_is_held_stays_bounded(
        pieces in proptest::collection::vec(1usize..40, 0..40),
        headers_value in 0u32..5,
        // Not `NoBuffer`: dropped bytes are neither held nor let out.
        values in proptest::collection::vec(0u32..3, 1..5),
        way in direction(),
        plugins in 1usize..4,
        single_stop: bool,
    ) {
        let bed = limited(LIMIT, plugins, single_stop);
        let next = RefCell::new(values.into_iter().cycle());
        let (headers, body) = match way {
            Direction::Request => (Id::RequestHeaders, Id::RequestBody),
            Direction::Response => (Id::ResponseHeaders, Id::ResponseBody),
        };
        bed.returns(headers, [headers_value]);
        bed.on(body, move |_| next.borrow_mut().next().unwrap());
        let id = bed.post();
        if way == RESPONSE {
            bed.data(id, REQUEST, "", true);
            bed.respond(id, &[], false);
        }
        let (mut taken_in, mut let_out) = (0, 0);
        for len in pieces {
            if !bed.chain.wants(id, way) {
                continue;
            }
            taken_in += len;
            bed.chain.data(id, way, vec![b'x'; len], false);
            let out = |effect: &Effect| match effect {
                Effect::Data { direction, bytes, .. } if *direction == way => bytes.len(),
                _ => 0,
            };
            let_out += bed.raw_effects(id).iter().map(out).sum::<usize>();
            if bed.chain.ended(id) {
                break;
            }
            prop_assert!(taken_in - let_out <= LIMIT + 40, "{} held", taken_in - let_out);
        }
    }
}
