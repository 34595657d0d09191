//! Things that belong to no stream: callouts, shared data, queues, metrics, foreign functions.

use proxy_wasm_abi::callbacks::Id;

use super::{BAD_ARGUMENT, BAD_MEMORY, BAD_OUT, BAD_RANGES, NOT_FOUND, OK, OUT, OUT2, during};

const H: Id = Id::RequestHeaders;
/// A place for a third result.
const OUT3: u32 = 80;
const EMPTY: u32 = 7;
const CAS_MISMATCH: u32 = 8;
const UNIMPLEMENTED: u32 = 12;

#[test]
fn a_refused_callout_has_token_0() {
    during(H, |f| {
        let (cluster, len) = f.bytes(b"nope");
        f.write_u32(OUT, 99);
        assert_eq!(f.proxy(|c| c.http_call([cluster, len], [0, 0], [0, 0], [0, 0], 0, OUT)), BAD_ARGUMENT);
        assert_eq!(f.u32_at(OUT), 0);
        for out in BAD_OUT {
            assert_eq!(f.proxy(|c| c.http_call([cluster, len], [0, 0], [0, 0], [0, 0], 0, out)), BAD_MEMORY);
        }
        for (at, bad) in BAD_RANGES {
            for argument in 0..4 {
                let mut arguments = [[cluster, len], [0, 0], [0, 0], [0, 0]];
                arguments[argument] = [at, bad];
                let [cluster, headers, body, trailers] = arguments;
                assert_eq!(f.proxy(|c| c.http_call(cluster, headers, body, trailers, 0, OUT)), BAD_MEMORY);
            }
        }
    });
}

#[test]
fn shared_data_gives_value_and_change() {
    during(H, |f| {
        let (key, key_len) = f.bytes(b"k");
        let (value, value_len) = f.bytes(b"v");
        assert_eq!(f.proxy(|c| c.get_shared_data(key, key_len, OUT, OUT2, OUT3)), NOT_FOUND);
        assert_eq!(f.proxy(|c| c.set_shared_data(key, key_len, value, value_len, 0)), OK);
        assert_eq!(f.proxy(|c| c.get_shared_data(key, key_len, OUT, OUT2, OUT3)), OK);
        assert_eq!((f.given(OUT, OUT2), f.u32_at(OUT3)), (b"v".to_vec(), 1));
        assert_eq!(f.proxy(|c| c.set_shared_data(key, key_len, value, value_len, 2)), CAS_MISMATCH);
        for out in BAD_OUT {
            assert_eq!(f.proxy(|c| c.get_shared_data(key, key_len, out, OUT2, OUT3)), BAD_MEMORY);
            assert_eq!(f.proxy(|c| c.get_shared_data(key, key_len, OUT, out, OUT3)), BAD_MEMORY);
            assert_eq!(f.proxy(|c| c.get_shared_data(key, key_len, OUT, OUT2, out)), BAD_MEMORY);
        }
        for (at, bad) in BAD_RANGES {
            assert_eq!(f.proxy(|c| c.get_shared_data(at, bad, OUT, OUT2, OUT3)), BAD_MEMORY);
            assert_eq!(f.proxy(|c| c.set_shared_data(at, bad, value, value_len, 0)), BAD_MEMORY);
            assert_eq!(f.proxy(|c| c.set_shared_data(key, key_len, at, bad, 0)), BAD_MEMORY);
        }
    });
}

#[test]
fn queues_give_tokens_and_items() {
    during(H, |f| {
        let (name, len) = f.bytes(b"q");
        assert_eq!(f.proxy(|c| c.resolve_shared_queue(0, 0, name, len, OUT)), NOT_FOUND);
        assert_eq!(f.proxy(|c| c.register_shared_queue(name, len, OUT)), OK);
        assert_eq!(f.proxy(|c| c.resolve_shared_queue(0, 0, name, len, OUT2)), OK);
        assert_eq!((f.u32_at(OUT), f.u32_at(OUT2)), (1, 1));
        assert_eq!(f.proxy(|c| c.dequeue_shared_queue(1, OUT, OUT2)), EMPTY);
        assert_eq!(f.proxy(|c| c.enqueue_shared_queue(1, name, len)), OK);
        assert_eq!(f.proxy(|c| c.dequeue_shared_queue(1, OUT, OUT2)), OK);
        assert_eq!(f.given(OUT, OUT2), b"q");
        assert_eq!(f.proxy(|c| c.enqueue_shared_queue(2, name, len)), NOT_FOUND);
        for (at, bad) in BAD_RANGES {
            assert_eq!(f.proxy(|c| c.register_shared_queue(at, bad, OUT)), BAD_MEMORY);
            assert_eq!(f.proxy(|c| c.enqueue_shared_queue(1, at, bad)), BAD_MEMORY);
        }
        for out in BAD_OUT {
            assert_eq!(f.proxy(|c| c.register_shared_queue(name, len, out)), BAD_MEMORY);
        }
    });
}

#[test]
fn metrics_give_ids_and_eight_bytes() {
    during(H, |f| {
        let (name, len) = f.bytes(b"m");
        assert_eq!(f.proxy(|c| c.define_metric(0, name, len, OUT)), OK);
        assert_eq!(f.u32_at(OUT), 4);
        assert_eq!(f.proxy(|c| c.state().increment_metric(4, 1 << 40)), OK);
        assert_eq!(f.proxy(|c| c.get_metric(4, OUT)), OK);
        assert_eq!(f.u64_at(OUT), 1 << 40);
        for out in BAD_OUT {
            assert_eq!(f.proxy(|c| c.define_metric(0, name, len, out)), BAD_MEMORY);
            assert_eq!(f.proxy(|c| c.get_metric(4, out)), BAD_MEMORY);
        }
    });
}

#[test]
fn foreign_functions_take_and_give_bytes() {
    during(H, |f| {
        let (compress, compress_len) = f.bytes(b"compress");
        let (uncompress, uncompress_len) = f.bytes(b"uncompress");
        let (text, len) = f.bytes(b"hello hello hello hello");
        let compress = [compress, compress_len];
        assert_eq!(f.proxy(|c| c.call_foreign_function(compress, [text, len], OUT, OUT2)), OK);
        let small = f.given(OUT, OUT2);
        assert!(small.len() < 20 && small.starts_with(b"x\x9c"), "{small:?}");
        let (small, small_len) = f.bytes(&small);
        let uncompress = [uncompress, uncompress_len];
        assert_eq!(f.proxy(|c| c.call_foreign_function(uncompress, [small, small_len], OUT, OUT2)), OK);
        assert_eq!(f.given(OUT, OUT2), b"hello hello hello hello");
        f.write_u32(OUT, 9);
        assert_eq!(f.proxy(|c| c.call_foreign_function(uncompress, [small, small_len - 3], OUT, OUT2)), 3);
        assert_eq!((f.u32_at(OUT), f.u32_at(OUT2)), (0, 0), "a failure gives nothing");
        assert_eq!(f.proxy(|c| c.call_foreign_function(compress, [text, len], 0, 0)), OK);
        assert_eq!(f.proxy(|c| c.call_foreign_function([text, len], [text, len], OUT, OUT2)), NOT_FOUND);
        for (at, bad) in BAD_RANGES {
            assert_eq!(f.proxy(|c| c.call_foreign_function([at, bad], [text, len], OUT, OUT2)), BAD_MEMORY);
            assert_eq!(f.proxy(|c| c.call_foreign_function(compress, [at, bad], OUT, OUT2)), BAD_MEMORY);
        }
    });
}

/// As where a filter puts the name together at run time.
#[test]
fn a_foreign_function_that_was_left_out_is_logged_once() {
    let log = during(H, |f| {
        let (sign, len) = f.bytes(b"sign");
        for _ in 0..2 {
            assert_eq!(f.proxy(|c| c.call_foreign_function([sign, len], [sign, len], OUT, OUT2)), UNIMPLEMENTED);
        }
    });
    let told: Vec<_> = log.iter().filter(|line| line.contains("--foreign-function sign")).collect();
    assert_eq!(told.len(), 1, "{log:?}");
}
