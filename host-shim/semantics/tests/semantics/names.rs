//! Names that a filter asks for. Envoy resolves them; here only an address is its own answer.

use crate::common::{Bed, Id};

/// The tokens of these names, then the answers.
fn answers(names: &'static [&'static str]) -> Vec<String> {
    let bed = Bed::new();
    bed.on(Id::RequestHeaders, move |f| {
        for name in names {
            let token = f.state().resolve_dns(name.as_bytes());
            f.note(token.to_string());
        }
        0
    });
    bed.on(Id::ResolveDns, |f| {
        f.buffer(8);
        0
    });
    bed.get();
    assert!(bed.chain.has_work() && bed.chain.awaits_work());
    assert!(bed.chain.answer_dns());
    assert!(!bed.chain.answer_dns() && !bed.chain.has_work());
    bed.trace().split_off(2)
}

#[test]
fn addresses_are_their_own_answers() {
    let expected = [
        "  2",
        "  3",
        "resolve_dns(1,2,20)",
        "  buffer 8: 0 \"\\\\x01\\\\x00\\\\x00\\\\x00\\\\x00\\\\x00\\\\x00\\\\x00127.0.0.1:0\\\\x00\"",
        "resolve_dns(1,3,16)",
        "  buffer 8: 0 \"\\\\x01\\\\x00\\\\x00\\\\x00\\\\x00\\\\x00\\\\x00\\\\x00[::1]:0\\\\x00\"",
    ];
    let shown: Vec<String> =
        answers(&["127.0.0.1", "::1"]).into_iter().map(|line| line.replace("envoy_on_", "")).collect();
    assert_eq!(shown, expected);
}

#[test]
fn names_have_no_address() {
    let shown: Vec<String> =
        answers(&["example.test", ""]).into_iter().map(|line| line.replace("envoy_on_", "")).collect();
    const NONE: &str = "  buffer 8: 0 \"\\\\x00\\\\x00\\\\x00\\\\x00\"";
    let expected = ["  2", "  3", "resolve_dns(1,2,4)", NONE, "resolve_dns(1,3,4)", NONE];
    assert_eq!(shown, expected);
}

#[test]
fn outside_of_its_callback_there_is_no_answer() {
    let bed = Bed::new();
    bed.on(Id::RequestHeaders, |f| {
        f.state().resolve_dns(b"127.0.0.1");
        f.buffer(8);
        0
    });
    bed.get();
    assert_eq!(bed.notes(), ["buffer 8: 0 \"\""]);
}

#[test]
fn a_filter_that_always_asks_again_lets_go() {
    let bed = Bed::new();
    bed.on(Id::RequestHeaders, |f| {
        f.state().resolve_dns(b"127.0.0.1");
        0
    });
    bed.on(Id::ResolveDns, |f| {
        f.state().resolve_dns(b"127.0.0.1");
        0
    });
    bed.get();
    assert!(bed.chain.answer_dns() && bed.chain.answer_dns() && bed.chain.has_work());
}
