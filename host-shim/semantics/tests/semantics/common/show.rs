//! Effects as text, one line each.

use proxy_wasm_semantics::{Direction, Effect, HeaderMap};

/// Bytes as text: those that are no printable ASCII are escaped.
pub(crate) fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn map(map: &HeaderMap) -> String {
    map.iter().map(|(name, value)| format!(" [{}: {}]", text(name), text(value))).collect()
}

fn way(direction: Direction) -> &'static str {
    match direction {
        Direction::Request => ">",
        Direction::Response => "<",
    }
}

/// `> headers [name: value]… end`, `< data "…" end`, `< trailers …`, `reset …`.
pub(super) fn effect(effect: &Effect) -> String {
    let ended = |end: bool| if end { " end" } else { "" };
    match effect {
        Effect::Request { headers, end, .. } => format!("> headers{}{}", map(headers), ended(*end)),
        Effect::Response { headers, end } => format!("< headers{}{}", map(headers), ended(*end)),
        Effect::Data { direction, bytes, end, .. } => {
            format!("{} data {:?}{}", way(*direction), text(bytes), ended(*end))
        }
        Effect::Trailers { direction, trailers } => format!("{} trailers{}", way(*direction), map(trailers)),
        Effect::Reset(reason) => format!("reset {reason:?}"),
    }
}
