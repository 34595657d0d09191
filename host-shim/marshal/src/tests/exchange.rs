//! An exchange, and a script in one of its callbacks.

use std::{cell::Cell, rc::Rc};

use proxy_wasm_abi::callbacks::Id;
use proxy_wasm_semantics::{Direction, Effect, HeaderMap, Kind, Request};

use super::{Bed, Running};

/// Runs an exchange and this script in its first callback of this kind. Gives the log.
///
/// # Panics
/// If there is no such callback.
pub(super) fn during(callback: Id, script: impl Fn(&Running<'_>) + 'static) -> Vec<String> {
    exchange(callback, script).0
}

/// The same; gives also what the exchange comes to.
pub(super) fn exchange(callback: Id, script: impl Fn(&Running<'_>) + 'static) -> (Vec<String>, Vec<Effect>) {
    let ran = Rc::new(Cell::new(false));
    let runs = ran.clone();
    let bed = Bed::new(
        |_| {},
        move |running, id| {
            if id == callback && !runs.replace(true) {
                script(running);
            }
            u32::from(matches!(id, Id::VmStart | Id::Configure))
        },
    );
    bed.chain.start().expect("it starts");
    let request = Request {
        method: b"GET".into(),
        path: b"/p".into(),
        authority: b"h".into(),
        scheme: b"http".into(),
        headers: vec![(b"x".into(), b"1".into()), (b"empty".into(), b"".into())],
        ..Request::default()
    };
    let id = bed.chain.open(request, false);
    bed.chain.data(id, Direction::Request, b"hello".to_vec(), true);
    bed.chain.headers(id, Direction::Response, HeaderMap::from_pairs(Kind::Response, [(":status", "200")]), true);
    let effects = std::iter::from_fn(|| bed.chain.next_effect(id)).collect();
    bed.chain.close(id);
    assert!(ran.get(), "{callback:?} came");
    (bed.log(), effects)
}
