//! Heads that go out, as far as an edge's host takes them.

use proxy_wasm_abi::http2;
use proxy_wasm_semantics::{Chain, Destination, Guest, HeaderMap, status};

/// The fields of a head, or trailers, in what a host has for them: `all` at once or, where the host refuses some of them, one
/// by one from `none`. Those that it refuses are left out, which the log tells.
pub fn fields<G: Guest, F>(
    chain: &Chain<G>,
    headers: &HeaderMap,
    all: impl FnOnce(&[(&str, &[u8])]) -> Option<F>,
    none: impl FnOnce() -> F,
    append: impl Fn(&F, &str, &[u8]) -> bool,
) -> F {
    let entries = chain.fields(headers);
    all(&entries).unwrap_or_else(|| {
        let fields = none();
        for (name, value) in entries {
            if !append(&fields, name, value) {
                chain.field_refused(name.as_bytes());
            }
        }
        fields
    })
}

/// The values of [`http2::FIELD`] that a request is sent with: that it is to go by HTTP/2, which any host may be asked for, and
/// which `host` the upstream is to see, which only ours understands.
pub fn wishes(to: &Destination, headers: &HeaderMap, by_http2: bool, is_ours: bool) -> Vec<Vec<u8>> {
    let mut wishes = Vec::new();
    if by_http2 {
        wishes.push(http2::ASKED.into());
    }
    if let (true, Some(origin), Some(host)) = (is_ours, to.origin(), headers.get(b":authority"))
        && host != origin.authority.as_bytes()
    {
        wishes.push([http2::HOST.as_bytes(), host].concat());
    }
    wishes
}

/// Gives a response, which `has` one, the status that its head says, or what stands for one that its host refuses.
pub fn set_status<G: Guest>(chain: &Chain<G>, headers: &HeaderMap, has: u16, set: impl Fn(u16) -> bool) {
    let status = status(headers);
    if status != Some(has) && !status.is_some_and(&set) {
        set(chain.status_refused());
    }
}
