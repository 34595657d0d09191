//! The wire format of header maps, on any pairs and any bytes.

use proptest::prelude::*;
use proxy_wasm_abi::{
    limits::{PAIRS_MAX_BYTES, PAIRS_MAX_COUNT},
    pairs,
};
use proxy_wasm_semantics::{HeaderMap, Kind};

use crate::common::{Bed, Id};

fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..max)
}

/// Bytes that look like the format, mostly with wrong numbers.
fn almost() -> impl Strategy<Value = Vec<u8>> {
    (0u32..4, proptest::collection::vec(0u32..6, 0..8), bytes(24)).prop_map(|(count, lengths, text)| {
        let words = std::iter::once(count).chain(lengths).flat_map(u32::to_le_bytes);
        words.chain(text).collect()
    })
}

proptest! {
    #[test]
    fn pairs_round_trip(pairs in proptest::collection::vec((bytes(12), bytes(12)), 0..12)) {
        let borrowed: Vec<(&[u8], &[u8])> =
            pairs.iter().map(|(name, value)| (name.as_slice(), value.as_slice())).collect();
        let wire = pairs::encode(borrowed.iter().copied());
        prop_assert_eq!(pairs::decode(&wire), Some(borrowed));
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(wire in prop_oneof![bytes(64), almost()]) {
        if let Some(decoded) = pairs::decode(&wire) {
            prop_assert_eq!(pairs::encode(decoded.into_iter()), wire, "one form for each list of pairs");
        }
    }

    #[test]
    fn a_map_keeps_its_order_on_the_wire(pairs in proptest::collection::vec((bytes(4), bytes(4)), 0..12)) {
        let map = HeaderMap::from_pairs(Kind::Trailers, pairs.iter().map(|(name, value)| (name, value.as_slice())));
        let wire = map.serialize();
        if pairs.is_empty() {
            prop_assert!(wire.is_empty());
            return Ok(());
        }
        let decoded = pairs::decode(&wire).expect("its own form");
        prop_assert_eq!(&decoded, &map.iter().collect::<Vec<_>>());
        prop_assert_eq!(decoded.len(), pairs.len(), "trailers are not joined");
        prop_assert!(decoded.is_sorted_by_key(|(name, _)| !name.starts_with(b":")), "pseudo-headers first");
    }
}

#[test]
fn what_is_past_a_limit_sets_an_empty_map() {
    let many: Vec<(&[u8], &[u8])> = vec![(b"a", b""); PAIRS_MAX_COUNT + 1];
    let value = vec![b'x'; PAIRS_MAX_BYTES];
    for (wire, fits) in [
        (pairs::encode(many[1..].iter().copied()), true),
        (pairs::encode(many.iter().copied()), false),
        (pairs::encode([(b"a".as_slice(), &value[15..])].into_iter()), true),
        (pairs::encode([(b"a".as_slice(), &value[14..])].into_iter()), false),
    ] {
        let bed = Bed::new();
        bed.on(Id::RequestHeaders, move |f| {
            f.state().set_header_map_pairs(0, &wire).unwrap();
            let empty = f.state().get_header_map_pairs(0).unwrap().is_empty();
            f.note(format!("{empty}"));
            0
        });
        bed.get();
        assert_eq!(bed.notes(), [(!fits).to_string()]);
    }
}
