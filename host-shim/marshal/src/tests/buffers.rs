//! Body and configuration buffers.

use proxy_wasm_abi::callbacks::Id;

use super::{Allocator, BAD_ARGUMENT, BAD_MEMORY, BAD_OUT, BAD_RANGES, MEMORY, NOT_FOUND, OK, OUT, OUT2, during};

const B: Id = Id::RequestBody;

#[test]
fn get_hands_the_range_over() {
    during(B, |f| {
        for (start, len, expected) in
            [(0, 5, b"hello".as_slice()), (1, 2, b"el"), (3, u32::MAX, b"lo"), (0, u32::MAX, b"hello")]
        {
            assert_eq!(f.proxy(|c| c.get_buffer_bytes(0, start, len, OUT, OUT2)), OK);
            assert_eq!(f.given(OUT, OUT2), expected);
            assert_eq!(f.allocations(), 1);
        }
    });
}

#[test]
fn get_hands_nothing_over_without_the_allocator() {
    during(B, |f| {
        f.set_allocator(Allocator::ReturnsZero);
        for (buffer, start, len) in [(0, 5, 1), (0, 0, 0), (0, u32::MAX, u32::MAX), (1, 0, 9), (2, 0, 9), (8, 0, 9)] {
            f.write(OUT, &[0xaa; 16]);
            assert_eq!(f.proxy(|c| c.get_buffer_bytes(buffer, start, len, OUT, OUT2)), OK);
            assert_eq!((f.u32_at(OUT), f.u32_at(OUT2), f.allocations()), (0, 0, 0));
        }
    });
}

#[test]
fn get_looks_for_the_buffer_before_it_writes() {
    during(B, |f| {
        for buffer in [9, u32::MAX] {
            assert_eq!(f.proxy(|c| c.get_buffer_bytes(buffer, 0, 9, MEMORY, MEMORY)), BAD_ARGUMENT);
            assert_eq!(f.proxy(|c| c.get_buffer_status(buffer, MEMORY, MEMORY)), BAD_ARGUMENT);
        }
        for buffer in [4, 7] {
            assert_eq!(f.proxy(|c| c.get_buffer_bytes(buffer, 0, 9, MEMORY, MEMORY)), NOT_FOUND);
            assert_eq!(f.proxy(|c| c.get_buffer_status(buffer, MEMORY, MEMORY)), NOT_FOUND);
        }
        for out in BAD_OUT {
            assert_eq!(f.proxy(|c| c.get_buffer_bytes(0, 0, 9, out, OUT2)), BAD_MEMORY);
            assert_eq!(f.proxy(|c| c.get_buffer_bytes(0, 0, 9, OUT, out)), BAD_MEMORY);
            assert_eq!(f.proxy(|c| c.get_buffer_status(0, out, OUT2)), BAD_MEMORY);
            assert_eq!(f.proxy(|c| c.get_buffer_status(0, OUT, out)), BAD_MEMORY);
        }
    });
}

#[test]
fn an_allocator_that_fails_is_bad_memory() {
    during(B, |f| {
        for allocator in [Allocator::ReturnsZero, Allocator::EndsOutOfBounds, Allocator::ReturnsMax] {
            f.set_allocator(allocator);
            assert_eq!(f.proxy(|c| c.get_buffer_bytes(0, 0, 9, OUT, OUT2)), BAD_MEMORY, "{allocator:?}");
            assert_eq!((f.u32_at(OUT), f.u32_at(OUT2)), (0xaaaa_aaaa, 0xaaaa_aaaa), "nothing is written");
        }
        f.set_allocator(Allocator::Grows);
        assert_eq!(f.proxy(|c| c.get_buffer_bytes(0, 0, 9, OUT, OUT2)), OK);
        assert_eq!(f.given(OUT, OUT2), b"hello");
    });
}

#[test]
fn status_is_the_length_and_no_flags() {
    during(B, |f| {
        assert_eq!(f.proxy(|c| c.get_buffer_status(0, OUT, OUT2)), OK);
        assert_eq!((f.u32_at(OUT), f.u32_at(OUT2)), (5, 0));
        assert_eq!(f.proxy(|c| c.get_buffer_status(1, OUT, OUT2)), OK);
        assert_eq!((f.u32_at(OUT), f.u32_at(OUT2)), (0, 0));
    });
}

#[test]
fn set_changes_the_body() {
    during(B, |f| {
        let (data, len) = f.bytes(b"XY");
        assert_eq!(f.proxy(|c| c.set_buffer_bytes(0, 0, 2, data, len)), OK);
        assert_eq!(f.proxy(|c| c.get_buffer_bytes(0, 0, 9, OUT, OUT2)), OK);
        assert_eq!(f.given(OUT, OUT2), b"XYllo");
        assert_eq!(f.proxy(|c| c.set_buffer_bytes(0, 1, 2, data, len)), BAD_ARGUMENT, "in the middle");
        assert_eq!(f.proxy(|c| c.set_buffer_bytes(0, 0, u32::MAX, MEMORY, 0)), OK);
        assert_eq!(f.proxy(|c| c.get_buffer_status(0, OUT, OUT2)), OK);
        assert_eq!(f.u32_at(OUT), 0);
    });
}

#[test]
fn set_looks_for_the_buffer_then_at_the_pointer_then_whether_it_can_be_set() {
    during(B, |f| {
        let (data, len) = f.bytes(b"XY");
        for buffer in [9, u32::MAX] {
            assert_eq!(f.proxy(|c| c.set_buffer_bytes(buffer, 0, 0, MEMORY, 1)), BAD_ARGUMENT);
        }
        for buffer in [4, 7] {
            assert_eq!(f.proxy(|c| c.set_buffer_bytes(buffer, 0, 0, MEMORY, 1)), NOT_FOUND);
        }
        for buffer in [0, 1, 6] {
            for (at, bad) in BAD_RANGES {
                assert_eq!(f.proxy(|c| c.set_buffer_bytes(buffer, 0, 0, at, bad)), BAD_MEMORY);
            }
        }
        for buffer in [1, 2, 3, 5, 6, 8] {
            assert_eq!(f.proxy(|c| c.set_buffer_bytes(buffer, 0, 0, data, len)), BAD_ARGUMENT);
        }
    });
}

#[test]
fn configurations_are_handed_over() {
    during(Id::Configure, |f| {
        for (buffer, expected) in [(6, b"vm".as_slice()), (7, b"plugin")] {
            assert_eq!(f.proxy(|c| c.get_buffer_bytes(buffer, 0, 100, OUT, OUT2)), OK);
            assert_eq!(f.given(OUT, OUT2), expected);
        }
        assert_eq!(f.proxy(|c| c.get_configuration(OUT, OUT2)), OK);
        assert_eq!(f.given(OUT, OUT2), b"plugin");
    });
    during(Id::VmStart, |f| {
        assert_eq!(f.proxy(|c| c.get_configuration(OUT, OUT2)), OK);
        assert_eq!(f.given(OUT, OUT2), b"vm");
        for out in BAD_OUT {
            assert_eq!(f.proxy(|c| c.get_configuration(out, OUT2)), BAD_MEMORY);
            assert_eq!(f.proxy(|c| c.get_configuration(OUT, out)), BAD_MEMORY);
        }
    });
}
