//! What comes in: requests, and what peers send.

use std::borrow::Cow;

use proxy_wasm_abi::pairs;
use proxy_wasm_driver::{Event, Input, Peer, head_of_response};
use proxy_wasm_semantics::{CallId, HeaderMap, Kind, Request, UpstreamFailure};

use crate::bindings::exports::proxy_wasm::adapter::exchange as wit;

/// A request's head. What is no map has no fields.
pub(crate) fn request(head: &[u8]) -> Request<'_> {
    let pairs = pairs::decode(head).unwrap_or_default();
    let mut request = Request { headers: Vec::with_capacity(pairs.len()), ..Request::default() };
    for (name, value) in pairs {
        let value = Cow::Borrowed(value);
        match name {
            b":method" => request.method = value,
            b":path" => request.path = value,
            b":scheme" => request.scheme = value,
            b":authority" => request.authority = value,
            _ => request.headers.push((Cow::Borrowed(name), value)),
        }
    }
    request
}

/// Something that came.
pub(crate) fn event(event: wit::Event) -> Event {
    match event {
        wit::Event::Head(wit::ResponseHead { peer, head, end }) => {
            let (headers, bodiless) = head_of_response(pairs::decode(&head).unwrap_or_default());
            Event::Input(of(peer), Input::Head(headers, end || bodiless))
        }
        wit::Event::Data(wit::Piece { peer, bytes, end }) => Event::Input(of(peer), Input::Data(bytes, end)),
        wit::Event::End(wit::BodyEnd { peer, trailers }) => {
            let pairs = trailers.as_deref().and_then(pairs::decode);
            let trailers = pairs.filter(|pairs| !pairs.is_empty());
            Event::Input(of(peer), Input::End(trailers.map(|pairs| HeaderMap::from_pairs(Kind::Trailers, pairs))))
        }
        wit::Event::Broken(peer) => Event::Input(of(peer), Input::Broken),
        wit::Event::Failed(wit::FailedRequest { peer, failure: why, cause }) => {
            let cause = (!cause.is_empty()).then(|| cause.into());
            Event::Input(of(peer), Input::Failed(failure(why), cause))
        }
        wit::Event::Refused(peer) => Event::Refused(of(peer)),
        wit::Event::Gone(id) => Event::Gone(id),
        wit::Event::Timer => Event::Timer,
    }
}

fn failure(failure: wit::Failure) -> UpstreamFailure {
    match failure {
        wit::Failure::ConnectionFailed => UpstreamFailure::ConnectionFailed,
        wit::Failure::ConnectionTerminated => UpstreamFailure::ConnectionTerminated,
        wit::Failure::RemoteReset => UpstreamFailure::RemoteReset,
        wit::Failure::ProtocolError => UpstreamFailure::ProtocolError,
        wit::Failure::Timeout => UpstreamFailure::Timeout,
        wit::Failure::Overflow => UpstreamFailure::Overflow,
    }
}

fn of(peer: wit::Peer) -> Peer {
    match peer {
        wit::Peer::Client(id) => Peer::Client(id),
        wit::Peer::Upstream(id) => Peer::Upstream(id),
        wit::Peer::Callout(id) => Peer::Callout(CallId { plugin: (id >> 32) as usize, token: id as u32 }),
    }
}
