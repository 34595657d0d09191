//! Header additions and removals.

use proxy_wasm_abi::routing::{AppendAction, HeaderChange, Piece};

use super::Selected;
use crate::{
    headers::HeaderMap,
    stream::{Direction, Stream},
};

/// What values tell.
pub(super) struct Told<'a> {
    pub(super) stream: &'a Stream,
    pub(super) selection: &'a Selected<'a>,
    pub(super) cluster: Option<&'a [u8]>,
    /// The response's status, or 0.
    pub(super) code: u16,
}

/// Changes a head: removes, then overwrites, then adds; what is there already is asked before all of it. The response is what
/// values tell of it. Source: Envoy's `HeaderParser::evaluateHeaders`.
pub(super) fn apply(change: &HeaderChange, headers: &mut HeaderMap, response: Option<&HeaderMap>, told: &Told<'_>) {
    for name in &change.remove {
        headers.remove(name.as_bytes());
    }
    let (mut overwritten, mut added) = (Vec::new(), Vec::new());
    for addition in &change.add {
        // A request's own head is told as it is now, a response's as it was.
        let request = match response {
            None => Some(&*headers),
            Some(_) => told.stream.message(Direction::Request).headers(),
        };
        let value: Vec<u8> = addition.value.iter().flat_map(|piece| text(piece, request, response, told)).collect();
        if value.is_empty() && !addition.keep_empty {
            continue;
        }
        let is_there = headers.contains(addition.name.as_bytes());
        match addition.action {
            AppendAction::Append => added.push((&addition.name, value)),
            AppendAction::AddIfAbsent if !is_there => added.push((&addition.name, value)),
            AppendAction::Overwrite => overwritten.push((&addition.name, value)),
            AppendAction::OverwriteIfPresent if is_there => overwritten.push((&addition.name, value)),
            AppendAction::AddIfAbsent | AppendAction::OverwriteIfPresent => {}
        }
    }
    for (name, value) in overwritten {
        headers.replace(name.as_bytes(), value);
    }
    for (name, value) in added {
        headers.add(name.as_bytes(), value);
    }
}

/// A part of a value.
fn text(piece: &Piece, request: Option<&HeaderMap>, response: Option<&HeaderMap>, told: &Told<'_>) -> Vec<u8> {
    let of = |map: Option<&HeaderMap>, name: &str, other: &Option<String>, most: &Option<u32>| {
        let get = |name: &str| map.and_then(|map| map.get(name.as_bytes()));
        let mut value = get(name).or_else(|| get(other.as_deref()?)).unwrap_or_default().to_vec();
        value.truncate(most.map_or(usize::MAX, |most| most as usize));
        value
    };
    match piece {
        Piece::Text(text) => text.clone().into_bytes(),
        Piece::Request(name, other, most) => of(request, name, other, most),
        Piece::Response(name, other, most) => of(response, name, other, most),
        Piece::Protocol => if told.stream.facts.http2 { "HTTP/2" } else { "HTTP/1.1" }.into(),
        Piece::ResponseCode => told.code.to_string().into_bytes(),
        Piece::RouteName => told.selection.route.name.clone().into_bytes(),
        Piece::VirtualHost => told.selection.host.name.clone().into_bytes(),
        Piece::Cluster => told.cluster.unwrap_or_default().to_vec(),
    }
}
