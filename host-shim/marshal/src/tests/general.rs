//! Log, time and contexts.

use proxy_wasm_abi::{callbacks::Id, limits::LOG_MAX_BYTES};

use super::{Allocator, BAD_ARGUMENT, BAD_MEMORY, BAD_OUT, BAD_RANGES, MEMORY, NOT_FOUND, OK, OUT, OUT2, during};

const H: Id = Id::RequestHeaders;

#[test]
fn log_checks_the_level_then_the_text() {
    let log = during(H, |f| {
        let (text, len) = f.bytes(b"hello");
        assert_eq!(f.proxy(|c| c.log(2, text, len)), OK);
        assert_eq!(f.proxy(|c| c.log(5, MEMORY, 0)), OK, "an empty text");
        for level in [6, u32::MAX] {
            assert_eq!(f.proxy(|c| c.log(level, text, len)), BAD_ARGUMENT);
            assert_eq!(f.proxy(|c| c.log(level, MEMORY, 1)), BAD_ARGUMENT);
        }
        for (at, bad) in BAD_RANGES {
            assert_eq!(f.proxy(|c| c.log(2, at, bad)), BAD_MEMORY);
        }
    });
    assert_eq!(log, ["[info] p #2: hello", "[critical] p #2: "]);
}

#[test]
fn a_long_record_is_cut() {
    let log = during(H, |f| {
        // The whole memory is as long as a record may be; a larger one has it twice.
        f.set_allocator(Allocator::Grows);
        let (key, len) = f.bytes(b"x");
        assert_eq!(f.proxy(|c| c.get_header_map_value(0, key, len, OUT, OUT2)), OK);
        assert_eq!(f.proxy(|c| c.log(2, 0, MEMORY + 8)), OK);
        assert_eq!(f.proxy(|c| c.log(2, 0, 2 * MEMORY + 1)), BAD_MEMORY);
    });
    assert_eq!(log.len(), 1);
    let len = LOG_MAX_BYTES as usize;
    assert!((len..2 * len).contains(&log[0].chars().count()), "what is no UTF-8 takes a character for each byte");
}

#[test]
fn the_log_level_and_the_time_are_written() {
    during(H, |f| {
        assert_eq!(f.proxy(|c| c.get_log_level(OUT)), OK);
        assert_eq!(f.u32_at(OUT), 0);
        assert_eq!(f.proxy(|c| c.get_current_time_nanoseconds(OUT)), OK);
        assert_eq!(f.u64_at(OUT), 0x0102_0304_0506_0708);
        assert_eq!(f.proxy(|c| c.get_current_time_nanoseconds(MEMORY - 7)), BAD_MEMORY);
        for out in BAD_OUT {
            assert_eq!(f.proxy(|c| c.get_log_level(out)), BAD_MEMORY);
            assert_eq!(f.proxy(|c| c.get_current_time_nanoseconds(out)), BAD_MEMORY);
        }
    });
}

#[test]
fn contexts_and_done_have_their_statuses() {
    during(H, |f| {
        assert_eq!(f.proxy(|c| c.set_effective_context(2)), OK);
        assert_eq!(f.proxy(|c| c.set_effective_context(9)), BAD_ARGUMENT);
        assert_eq!(f.proxy(|c| c.done()), NOT_FOUND);
    });
}
