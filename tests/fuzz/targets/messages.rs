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

    // A body's chunks are those that came together, and one where all of it does: what is read again has lost how it came.
    let (requests, judged) = fuzzing::requests(&[bytes]);
    let (in_pieces, judged_in_pieces) = fuzzing::requests(&pieces);
    assert_eq!(judged_in_pieces, judged, "how a request's bytes come in pieces says nothing");
    assert_eq!(
        fuzzing::requests(&[&in_pieces]).0,
        fuzzing::requests(&[&requests]).0,
        "how a request's bytes come in pieces changes none of them"
    );
    // Which of several faults is named may depend on what has come.
    let answers = fuzzing::answers(&[bytes]).ok();
    let in_pieces = fuzzing::answers(&pieces).ok();
    let again = in_pieces.map(|written| fuzzing::answers(&[&written]));
    assert_eq!(again, answers.clone().map(Ok), "how an answer's bytes come in pieces says nothing");
    if let Some(written) = answers {
        assert_eq!(fuzzing::answers(&[&written]), Ok(written.clone()), "there is one way to write an answer");
    }
});
