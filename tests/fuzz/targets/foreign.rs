//! The messages of the foreign functions: signatures and filter state.

#![no_main]

use libfuzzer_sys::fuzz_target;
use proxy_wasm_foreign::filter_state::{self, FilterState};
use proxy_wasm_foreign::signatures;

fuzz_target!(|bytes: &[u8]| {
    let mut state = FilterState::default();
    // A filter cannot set what it is told is malformed.
    if filter_state::check(bytes).is_err() {
        assert!(state.set(bytes).is_err(), "what does not pass the check is not set");
    } else {
        let _ = state.set(bytes);
    }
    let _ = signatures::verify(bytes);
    let _ = signatures::sign(bytes);
});
