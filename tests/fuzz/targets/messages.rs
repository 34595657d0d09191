//! HTTP/1 before the HTTP library reads it: however the bytes come in pieces, they are the same messages, and what the
//! library gets is read the same way again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use proxy_wasm_adapter_serve::fuzzing;

fuzz_target!(|input: (Vec<u8>, &[u8])| {
    let (sizes, bytes) = input;
    let mut rest = bytes;
    let mut pieces = Vec::new();
    for size in sizes {
        let (first, after) = rest.split_at(usize::from(size).min(rest.len()));
        pieces.push(first);
        rest = after;
    }
    pieces.push(rest);

    let requests = fuzzing::requests(&[bytes]);
    assert_eq!(fuzzing::requests(&pieces), requests, "how a request's bytes come in pieces says nothing");
    // Which of several faults is named may depend on what has come.
    let answers = fuzzing::answers(&[bytes]).ok();
    assert_eq!(fuzzing::answers(&pieces).ok(), answers, "how an answer's bytes come in pieces says nothing");
    if let Some(written) = answers {
        assert_eq!(fuzzing::answers(&[&written]), Ok(written.clone()), "there is one way to write an answer");
    }
});
