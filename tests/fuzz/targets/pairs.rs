//! The serialized maps that filters hand over: any bytes are read or refused, and what is written reads back.

#![no_main]

use libfuzzer_sys::fuzz_target;
use proxy_wasm_abi::pairs;

fuzz_target!(|bytes: &[u8]| {
    let Some(read) = pairs::decode(bytes) else { return };
    let written = pairs::encode(read.iter().copied());
    assert_eq!(pairs::decode(&written), Some(read), "what was written reads back");
});
