//! Any arguments at all: no call reaches out of the filter's memory (the fake one panics where it does), and every
//! result is a status of the ABI.

use proptest::prelude::*;
use proxy_wasm_abi::callbacks::Id;

use super::{Allocator, MEMORY, during, make};

/// Numbers that are often at an edge.
fn number() -> impl Strategy<Value = u32> {
    prop_oneof![0u32..80, 0u32..MEMORY, MEMORY - 8..MEMORY + 8, u32::MAX - 8..=u32::MAX, any::<u32>(),]
}

fn allocator() -> impl Strategy<Value = Allocator> {
    prop_oneof![
        4 => Just(Allocator::Works),
        1 => Just(Allocator::ReturnsZero),
        1 => Just(Allocator::EndsOutOfBounds),
        1 => Just(Allocator::ReturnsMax),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_arguments_give_a_status(
        calls in proptest::collection::vec((any::<u8>(), proptest::array::uniform12(number()), allocator()), 1..8),
        callback in prop_oneof![Just(Id::RequestHeaders), Just(Id::RequestBody), Just(Id::Configure), Just(Id::Log)],
    ) {
        during(callback, move |f| {
            for (which, arguments, allocator) in &calls {
                f.set_allocator(*allocator);
                make(f, *which, *arguments);
            }
        });
    }
}
