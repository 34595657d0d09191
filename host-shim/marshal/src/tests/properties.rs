//! Properties and the callout status.

use proxy_wasm_abi::callbacks::Id;

use super::{Allocator, BAD_MEMORY, BAD_OUT, BAD_RANGES, MEMORY, NOT_FOUND, OK, OUT, OUT2, during};

const H: Id = Id::RequestHeaders;

#[test]
fn get_hands_the_value_over() {
    during(H, |f| {
        let (path, len) = f.bytes(b"request\0path");
        assert_eq!(f.proxy(|c| c.get_property(path, len, OUT, OUT2)), OK);
        assert_eq!(f.given(OUT, OUT2), b"/p");
        assert_eq!(f.allocations(), 1);
    });
}

#[test]
fn get_hands_an_empty_value_over_without_the_allocator() {
    during(H, |f| {
        f.set_allocator(Allocator::ReturnsZero);
        let (path, len) = f.bytes(b"plugin_root_id");
        assert_eq!(f.proxy(|c| c.get_property(path, len, OUT, OUT2)), OK);
        assert_eq!((f.u32_at(OUT), f.u32_at(OUT2), f.allocations()), (0, 0, 0));
    });
}

#[test]
fn get_checks_the_path_then_looks_then_writes() {
    during(H, |f| {
        let (path, len) = f.bytes(b"request\0path");
        let (nope, nope_len) = f.bytes(b"nope");
        for (at, bad) in BAD_RANGES {
            assert_eq!(f.proxy(|c| c.get_property(at, bad, OUT, OUT2)), BAD_MEMORY);
        }
        assert_eq!(f.proxy(|c| c.get_property(MEMORY, 0, MEMORY, MEMORY)), 3, "an empty path has no value");
        for out in BAD_OUT {
            assert_eq!(f.proxy(|c| c.get_property(nope, nope_len, out, out)), NOT_FOUND);
            assert_eq!(f.proxy(|c| c.get_property(path, len, out, OUT2)), BAD_MEMORY);
            assert_eq!(f.proxy(|c| c.get_property(path, len, OUT, out)), BAD_MEMORY);
        }
        for allocator in [Allocator::ReturnsZero, Allocator::EndsOutOfBounds, Allocator::ReturnsMax] {
            f.set_allocator(allocator);
            assert_eq!(f.proxy(|c| c.get_property(path, len, OUT, OUT2)), BAD_MEMORY);
        }
    });
}

#[test]
fn set_stores_a_value_after_checking_both_pointers() {
    during(H, |f| {
        let (path, len) = f.bytes(b"k");
        let (value, value_len) = f.bytes(b"v");
        assert_eq!(f.proxy(|c| c.set_property(path, len, value, value_len)), OK);
        for (at, bad) in BAD_RANGES {
            assert_eq!(f.proxy(|c| c.set_property(at, bad, value, value_len)), BAD_MEMORY);
            assert_eq!(f.proxy(|c| c.set_property(path, len, at, bad)), BAD_MEMORY);
        }
        assert_eq!(f.proxy(|c| c.get_property(path, len, OUT, OUT2)), OK);
        assert_eq!(f.given(OUT, OUT2), b"v");
    });
}

#[test]
fn the_status_is_0_without_a_message() {
    const CODE: u32 = 80;
    during(H, |f| {
        assert_eq!(f.proxy(|c| c.get_status(CODE, OUT, OUT2)), OK);
        assert_eq!((f.u32_at(CODE), f.u32_at(OUT), f.u32_at(OUT2), f.allocations()), (0, 0, 0, 0));
        for out in BAD_OUT {
            assert_eq!(f.proxy(|c| c.get_status(out, OUT, OUT2)), BAD_MEMORY);
            assert_eq!(f.proxy(|c| c.get_status(CODE, out, OUT2)), BAD_MEMORY);
            assert_eq!(f.proxy(|c| c.get_status(CODE, OUT, out)), BAD_MEMORY);
        }
    });
}
