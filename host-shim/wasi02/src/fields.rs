//! Header maps as `wasi:http` has them.

use proxy_wasm_semantics::{HeaderMap, Host, push_escaped};

use crate::{bindings::wasi::http::types::Fields, host::WasiHost};

/// By this `serve` is asked for HTTP/2 (see [`crate::sent`]), which is not for filters.
pub(crate) const ASKS_FOR_HTTP2: &str = "http2-settings";

/// The fields of a message's head or trailers: everything but pseudo-headers. Fields that the host refuses
/// (`connection`, a line break in a value) are left out, with a warning: sending it would let a filter forge messages.
pub(crate) fn to_fields(map: &HeaderMap) -> Fields {
    let entries: Vec<(String, Vec<u8>)> = map
        .iter()
        .filter(|(name, _)| !name.starts_with(b":"))
        .filter_map(|(name, value)| match std::str::from_utf8(name) {
            Ok(name) if name != ASKS_FOR_HTTP2 => Some((name.to_owned(), value.to_vec())),
            _ => {
                warn(&String::from_utf8_lossy(name));
                None
            }
        })
        .collect();
    Fields::from_list(&entries).unwrap_or_else(|_| {
        let fields = Fields::new();
        for (name, value) in &entries {
            if fields.append(name, value).is_err() {
                warn(name);
            }
        }
        fields
    })
}

fn warn(name: &str) {
    let mut line = String::from("[warn] header `");
    push_escaped(&mut line, name.as_bytes());
    line.push_str("` is left out: the host refuses it");
    WasiHost.log(&line);
}
