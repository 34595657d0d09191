//! Header maps.

use proxy_wasm_abi::{callbacks::Id, pairs};

use super::{Allocator, BAD_ARGUMENT, BAD_MEMORY, BAD_OUT, BAD_RANGES, MEMORY, NOT_FOUND, OK, OUT, OUT2, during};

const H: Id = Id::RequestHeaders;

/// Maps that do not exist.
const UNKNOWN: [u32; 2] = [8, u32::MAX];

#[test]
fn get_hands_a_value_over() {
    during(H, |f| {
        let (key, len) = f.bytes(b"X");
        assert_eq!(f.proxy(|c| c.get_header_map_value(0, key, len, OUT, OUT2)), OK);
        assert_eq!(f.given(OUT, OUT2), b"1");
        assert_eq!(f.allocations(), 1);
    });
}

#[test]
fn get_hands_an_empty_value_over_without_the_allocator() {
    during(H, |f| {
        let (key, len) = f.bytes(b"empty");
        f.set_allocator(Allocator::ReturnsZero);
        assert_eq!(f.proxy(|c| c.get_header_map_value(0, key, len, OUT, OUT2)), OK);
        assert_eq!((f.u32_at(OUT), f.u32_at(OUT2), f.allocations()), (0, 0, 0));
    });
}

#[test]
fn get_leaves_the_results_alone_where_it_fails() {
    during(H, |f| {
        let (key, len) = f.bytes(b"nope");
        assert_eq!(f.proxy(|c| c.get_header_map_value(0, key, len, OUT, OUT2)), NOT_FOUND);
        assert_eq!(f.proxy(|c| c.get_header_map_value(2, key, len, OUT, OUT2)), BAD_ARGUMENT);
        assert_eq!((f.u32_at(OUT), f.u32_at(OUT2), f.allocations()), (0xaaaa_aaaa, 0xaaaa_aaaa, 0));
    });
}

#[test]
fn get_checks_the_map_then_the_key_then_looks_then_writes() {
    during(H, |f| {
        let (key, len) = f.bytes(b"x");
        for map in UNKNOWN {
            assert_eq!(f.proxy(|c| c.get_header_map_value(map, MEMORY, 1, MEMORY, MEMORY)), BAD_ARGUMENT);
        }
        for (at, len) in BAD_RANGES {
            assert_eq!(f.proxy(|c| c.get_header_map_value(0, at, len, OUT, OUT2)), BAD_MEMORY);
            assert_eq!(f.proxy(|c| c.get_header_map_value(2, at, len, OUT, OUT2)), BAD_MEMORY, "before the map");
        }
        for out in BAD_OUT {
            assert_eq!(f.proxy(|c| c.get_header_map_value(0, key, len, out, OUT2)), BAD_MEMORY);
            assert_eq!(f.proxy(|c| c.get_header_map_value(0, key, len, OUT, out)), BAD_MEMORY);
            assert_eq!(f.proxy(|c| c.get_header_map_value(2, key, len, out, out)), BAD_ARGUMENT);
            let (nope, len) = f.bytes(b"nope");
            assert_eq!(f.proxy(|c| c.get_header_map_value(0, nope, len, out, out)), NOT_FOUND);
        }
    });
}

#[test]
fn a_range_may_end_where_memory_ends() {
    during(H, |f| {
        f.write(MEMORY - 1, b"x");
        assert_eq!(f.proxy(|c| c.get_header_map_value(0, MEMORY - 1, 1, OUT, MEMORY - 5)), OK);
        assert_eq!(f.proxy(|c| c.get_header_map_value(0, MEMORY, 0, OUT, OUT2)), NOT_FOUND, "an empty key");
        assert_eq!(f.proxy(|c| c.get_header_map_pairs(0, MEMORY - 4, OUT)), OK);
    });
}

#[test]
fn an_allocator_that_fails_is_bad_memory() {
    during(H, |f| {
        let (key, len) = f.bytes(b"x");
        for allocator in [Allocator::ReturnsZero, Allocator::EndsOutOfBounds, Allocator::ReturnsMax] {
            f.set_allocator(allocator);
            assert_eq!(f.proxy(|c| c.get_header_map_value(0, key, len, OUT, OUT2)), BAD_MEMORY, "{allocator:?}");
            assert_eq!(f.proxy(|c| c.get_header_map_pairs(0, OUT, OUT2)), BAD_MEMORY, "{allocator:?}");
            assert_eq!((f.u32_at(OUT), f.u32_at(OUT2)), (0xaaaa_aaaa, 0xaaaa_aaaa), "nothing is written");
        }
    });
}

#[test]
fn an_allocator_may_grow_the_memory() {
    during(H, |f| {
        f.set_allocator(Allocator::Grows);
        assert_eq!(f.proxy(|c| c.get_header_map_pairs(0, OUT, OUT2)), OK);
        assert_eq!(f.u32_at(OUT), MEMORY);
        assert_eq!(pairs::decode(&f.given(OUT, OUT2)).unwrap().len(), 6);
    });
}

#[test]
fn pairs_are_in_the_wire_format() {
    during(H, |f| {
        assert_eq!(f.proxy(|c| c.get_header_map_pairs(0, OUT, OUT2)), OK);
        let bytes = f.given(OUT, OUT2);
        let pairs = pairs::decode(&bytes).unwrap();
        assert_eq!(pairs[0], (b":authority".as_slice(), b"h".as_slice()));
        assert_eq!(pairs[4], (b"x".as_slice(), b"1".as_slice()));
        assert_eq!(pairs.len(), 6);
    });
}

#[test]
fn pairs_of_a_map_that_is_not_there_are_empty_without_the_allocator() {
    during(H, |f| {
        for map in 1..8 {
            f.write(OUT, &[0xaa; 16]);
            assert_eq!(f.proxy(|c| c.get_header_map_pairs(map, OUT, OUT2)), OK);
            assert_eq!((f.u32_at(OUT), f.u32_at(OUT2), f.allocations()), (0, 0, 0));
            for out in BAD_OUT {
                assert_eq!(f.proxy(|c| c.get_header_map_pairs(map, out, OUT2)), BAD_MEMORY);
            }
        }
        for map in UNKNOWN {
            assert_eq!(f.proxy(|c| c.get_header_map_pairs(map, MEMORY, MEMORY)), BAD_ARGUMENT);
        }
        for out in BAD_OUT {
            assert_eq!(f.proxy(|c| c.get_header_map_pairs(0, out, OUT2)), BAD_MEMORY);
            assert_eq!(f.proxy(|c| c.get_header_map_pairs(0, OUT, out)), BAD_MEMORY);
        }
    });
}

#[test]
fn size_is_written_where_there_is_a_map() {
    during(H, |f| {
        assert_eq!(f.proxy(|c| c.get_header_map_size(0, OUT)), OK);
        let bytes: usize = [":authorityh", ":path/p", ":methodGET", ":schemehttp", "x1", "empty"].concat().len();
        assert_eq!(f.u32_at(OUT), bytes as u32);
        assert_eq!(f.proxy(|c| c.get_header_map_size(2, MEMORY)), BAD_ARGUMENT);
        assert_eq!(f.proxy(|c| c.get_header_map_size(8, MEMORY)), BAD_ARGUMENT);
        for out in BAD_OUT {
            assert_eq!(f.proxy(|c| c.get_header_map_size(0, out)), BAD_MEMORY);
        }
    });
}

#[test]
fn add_replace_and_remove_change_the_map() {
    during(H, |f| {
        let (key, key_len) = f.bytes(b"New");
        let (value, value_len) = f.bytes(b"v\xff");
        let get = || match f.proxy(|c| c.get_header_map_value(0, key, key_len, OUT, OUT2)) {
            OK => Ok(f.given(OUT, OUT2)),
            status => Err(status),
        };
        assert_eq!(f.proxy(|c| c.add_header_map_value(0, key, key_len, value, value_len)), OK);
        assert_eq!(get(), Ok(b"v\xff".to_vec()));
        assert_eq!(f.proxy(|c| c.replace_header_map_value(0, key, key_len, MEMORY, 0)), OK);
        assert_eq!(get(), Ok(Vec::new()));
        assert_eq!(f.proxy(|c| c.remove_header_map_value(0, key, key_len)), OK);
        assert_eq!(get(), Err(NOT_FOUND));
    });
}

#[test]
fn changes_check_the_map_then_both_pointers_then_whether_the_map_is_there() {
    during(H, |f| {
        let (good, len) = f.bytes(b"x");
        for map in UNKNOWN {
            assert_eq!(f.proxy(|c| c.add_header_map_value(map, MEMORY, 1, MEMORY, 1)), BAD_ARGUMENT);
            assert_eq!(f.proxy(|c| c.replace_header_map_value(map, MEMORY, 1, MEMORY, 1)), BAD_ARGUMENT);
            assert_eq!(f.proxy(|c| c.remove_header_map_value(map, MEMORY, 1)), BAD_ARGUMENT);
            assert_eq!(f.proxy(|c| c.set_header_map_pairs(map, MEMORY, 1)), BAD_ARGUMENT);
        }
        for map in [0, 2] {
            for (at, bad) in BAD_RANGES {
                assert_eq!(f.proxy(|c| c.add_header_map_value(map, at, bad, good, len)), BAD_MEMORY);
                assert_eq!(f.proxy(|c| c.add_header_map_value(map, good, len, at, bad)), BAD_MEMORY);
                assert_eq!(f.proxy(|c| c.replace_header_map_value(map, at, bad, good, len)), BAD_MEMORY);
                assert_eq!(f.proxy(|c| c.replace_header_map_value(map, good, len, at, bad)), BAD_MEMORY);
                assert_eq!(f.proxy(|c| c.remove_header_map_value(map, at, bad)), BAD_MEMORY);
                assert_eq!(f.proxy(|c| c.set_header_map_pairs(map, at, bad)), BAD_MEMORY);
            }
        }
        assert_eq!(f.proxy(|c| c.add_header_map_value(2, good, len, good, len)), BAD_ARGUMENT);
        assert_eq!(f.proxy(|c| c.replace_header_map_value(2, good, len, good, len)), BAD_ARGUMENT);
        assert_eq!(f.proxy(|c| c.remove_header_map_value(2, good, len)), BAD_ARGUMENT);
        assert_eq!(f.proxy(|c| c.set_header_map_pairs(2, good, len)), BAD_ARGUMENT);
        assert_eq!(f.proxy(|c| c.get_header_map_value(0, good, len, OUT, OUT2)), OK);
        assert_eq!(f.given(OUT, OUT2), b"1", "nothing changed");
    });
}

#[test]
fn set_takes_the_wire_format_and_what_is_malformed_is_empty() {
    during(H, |f| {
        let wire = pairs::encode([(b":path".as_slice(), b"/q".as_slice()), (b"A", b"")].into_iter());
        let (at, len) = f.bytes(&wire);
        assert_eq!(f.proxy(|c| c.set_header_map_pairs(0, at, len)), OK);
        assert_eq!(f.proxy(|c| c.get_header_map_pairs(0, OUT, OUT2)), OK);
        assert_eq!(pairs::decode(&f.given(OUT, OUT2)).unwrap(), [(b":path".as_slice(), b"/q".as_slice()), (b"a", b"")]);
        for malformed in [(at, len - 1), (at, 0), (0, MEMORY)] {
            assert_eq!(f.proxy(|c| c.set_header_map_pairs(0, malformed.0, malformed.1)), OK);
            assert_eq!(f.proxy(|c| c.get_header_map_pairs(0, OUT, OUT2)), OK);
            assert_eq!(f.u32_at(OUT2), 0);
        }
    });
}

#[test]
fn results_may_overlap_their_arguments() {
    during(H, |f| {
        f.write(OUT, b"x\0\0\0");
        assert_eq!(f.proxy(|c| c.get_header_map_value(0, OUT, 1, OUT, OUT)), OK);
        assert_eq!(f.u32_at(OUT), 1, "the size is written last");
    });
}
