//! Continuing, closing and answering streams.

use proxy_wasm_abi::{callbacks::Id, pairs};
use proxy_wasm_semantics::{Direction, Effect, HeaderMap, Kind};

use super::{BAD_ARGUMENT, BAD_MEMORY, BAD_RANGES, MEMORY, OK, during, exchange};

const H: Id = Id::RequestHeaders;
const UNIMPLEMENTED: u32 = 12;

#[test]
fn stream_types_have_their_statuses() {
    during(H, |f| {
        for (stream, expected) in [(0, OK), (1, OK), (2, OK), (3, UNIMPLEMENTED), (4, BAD_ARGUMENT)] {
            assert_eq!(f.proxy(|c| c.continue_stream(stream)), expected);
        }
        assert_eq!(f.proxy(|c| c.close_stream(2)), OK);
        assert_eq!(f.proxy(|c| c.close_stream(4)), BAD_ARGUMENT);
    });
}

#[test]
fn a_local_response_carries_all_that_it_was_given() {
    let (_, effects) = exchange(H, |f| {
        let wire = pairs::encode([(b"X-A".as_slice(), b"1".as_slice())].into_iter());
        let [details, body, headers] = [b"d".as_slice(), b"no", &wire].map(|bytes| {
            let (at, len) = f.bytes(bytes);
            [at, len]
        });
        assert_eq!(f.proxy(|c| c.send_local_response(403, details, body, headers, u32::MAX)), OK);
    });
    let headers = [(":status", "403"), ("x-a", "1"), ("content-length", "2"), ("content-type", "text/plain")];
    let direction = Direction::Response;
    assert_eq!(
        effects,
        [
            Effect::Response { headers: HeaderMap::from_pairs(Kind::Response, headers), end: false },
            Effect::Data { direction, bytes: b"no".to_vec(), end: true, changed: false },
        ]
    );
}

#[test]
fn a_local_response_with_a_bad_pointer_is_none() {
    let (_, effects) = exchange(H, |f| {
        let good = [MEMORY, 0];
        for (at, len) in BAD_RANGES {
            let bad = [at, len];
            assert_eq!(f.proxy(|c| c.send_local_response(403, bad, good, good, 0)), BAD_MEMORY);
            assert_eq!(f.proxy(|c| c.send_local_response(403, good, bad, good, 0)), BAD_MEMORY);
            assert_eq!(f.proxy(|c| c.send_local_response(403, good, good, bad, 0)), BAD_MEMORY);
        }
    });
    assert!(matches!(effects[0], Effect::Request { .. }));
}
