//! Header fields, in the order of the wire.
//!
//! `wasmtime-wasi-http` takes what a component must not see out of each `HeaderMap`, one name after another, and each
//! time `HeaderMap` moves its last field into the gap: the component sees another order than was sent. So what must not
//! be seen is left out before, and `host`, which `wasmtime-wasi-http` reads, goes last, where nothing moves into its gap.

use http::header::{HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION};
use http::{HeaderMap, HeaderName};
use wasmtime_wasi_http::DEFAULT_FORBIDDEN_HEADERS;

/// Made once: as the constant that it is it would be made for each name that is looked up.
static FORBIDDEN: [HeaderName; 9] = DEFAULT_FORBIDDEN_HEADERS;

/// Whether a component may neither see nor send a field. What is for a proxy is for its filters.
pub(super) fn is_forbidden(name: &HeaderName) -> bool {
    FORBIDDEN.contains(name) && *name != PROXY_AUTHENTICATE && *name != PROXY_AUTHORIZATION
}

/// The fields that a component may see, in their order, and after them `host`.
pub(super) fn visible(fields: HeaderMap) -> HeaderMap {
    if !fields.keys().any(is_forbidden) {
        return fields;
    }
    let mut visible = HeaderMap::with_capacity(fields.keys_len());
    let mut hosts = Vec::new();
    let mut current = None;
    for (name, value) in fields {
        // Further values of a field come without its name.
        current = name.or(current);
        match &current {
            Some(name) if *name == HOST => hosts.push(value),
            Some(name) if !is_forbidden(name) => {
                visible.append(name.clone(), value);
            }
            _ => {}
        }
    }
    for host in hosts {
        visible.append(HOST, host);
    }
    visible
}

/// The fields of a message without those of its connection, in their order: what a filter may send, and what is shown to one
/// by exchanges, which read no `host` from among them.
pub(super) fn sendable(fields: HeaderMap) -> HeaderMap {
    let is_dropped = |name: &HeaderName| *name != HOST && is_forbidden(name);
    if !fields.keys().any(is_dropped) {
        return fields;
    }
    let mut sendable = HeaderMap::with_capacity(fields.keys_len());
    let mut current = None;
    for (name, value) in fields {
        current = name.or(current);
        if let Some(name) = current.as_ref().filter(|name| !is_dropped(name)) {
            sendable.append(name.clone(), value);
        }
    }
    sendable
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let fields = fields.iter();
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        map
    }

    fn list(map: &HeaderMap) -> Vec<(&str, &str)> {
        map.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect()
    }

    #[test]
    fn what_is_sent_keeps_its_order() {
        let fields = sendable(map(&[("host", "h"), ("b", "1"), ("upgrade", "x"), ("a", "2"), ("b", "3"), ("c", "4")]));
        assert_eq!(list(&fields), [("host", "h"), ("b", "1"), ("b", "3"), ("a", "2"), ("c", "4")]);
    }

    #[test]
    fn what_is_left_keeps_its_order() {
        let sent = map(&[
            ("host", "h"),
            ("user-agent", "test"),
            ("connection", "close"),
            ("accept", "a"),
            ("accept", "b"),
            ("proxy-authorization", "c"),
            ("transfer-encoding", "chunked"),
            ("x-a", "1"),
        ]);
        let mut seen = visible(sent);
        let expected = [
            ("user-agent", "test"),
            ("accept", "a"),
            ("accept", "b"),
            ("proxy-authorization", "c"),
            ("x-a", "1"),
            ("host", "h"),
        ];
        assert_eq!(list(&seen), expected);
        // What `wasmtime-wasi-http` does.
        seen.remove(HOST);
        assert_eq!(list(&seen), expected[..5]);
    }
}
