//! The incoming request.

use proxy_wasm_semantics::{NANOS_PER_MS, Request};

use crate::{
    bindings::wasi::{
        clocks::monotonic_clock,
        http::types::{IncomingRequest, Method, Scheme},
        io::poll::poll,
    },
    reader::{Look, Reader},
};

/// Methods whose requests have a body only by way of exception.
const RARELY_WITH_BODY: &[&[u8]] = &[b"GET", b"HEAD", b"OPTIONS", b"DELETE", b"TRACE"];

/// Nanoseconds that a request which most likely has no body waits for the host to say so.
const MOMENT: u64 = 20 * NANOS_PER_MS;

/// Reads the head, and looks far enough ahead to know whether there is a body: `true` says that nothing follows. An `exact` host knows at once: there, a
/// body that is not over yet is one.
pub(crate) fn receive(request: IncomingRequest, exact: bool) -> (Request, bool, Reader) {
    let method = method_name(request.method());
    let head = Request {
        path: request.path_with_query().unwrap_or_else(|| "/".into()).into_bytes(),
        authority: request.authority().unwrap_or_default().into_bytes(),
        scheme: match request.scheme() {
            Some(Scheme::Https) => b"https".to_vec(),
            Some(Scheme::Other(other)) => other.into_bytes(),
            _ => b"http".to_vec(),
        },
        headers: request.headers().entries(),
        method,
        ..Request::default()
    };
    let mut body = match request.consume() {
        Ok(body) => Reader::new(body),
        Err(()) => Reader::empty(),
    };
    drop(request);
    let end = match content_length(&head) {
        Some(length) => length == 0,
        None => {
            let announced = head.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("trailer"));
            let mut look = body.look(announced);
            if look == Look::Unknown && !exact && RARELY_WITH_BODY.contains(&head.method.as_slice()) {
                look = look_again(&mut body, announced);
            }
            look == Look::Nothing
        }
    };
    (head, end, body)
}

/// Looks again when there is news, or after a moment: what is not known then has a body.
#[cold]
fn look_again(body: &mut Reader, announced: bool) -> Look {
    let timer = monotonic_clock::subscribe_instant(monotonic_clock::now().saturating_add(MOMENT));
    let mut pollables = vec![&timer];
    pollables.extend(body.pollable());
    poll(&pollables);
    body.look(announced)
}

fn content_length(head: &Request) -> Option<u64> {
    let (_, value) = head.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?;
    std::str::from_utf8(value).ok()?.parse().ok()
}

fn method_name(method: Method) -> Vec<u8> {
    let name = match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        Method::Connect => "CONNECT",
        Method::Options => "OPTIONS",
        Method::Trace => "TRACE",
        Method::Patch => "PATCH",
        Method::Other(name) => return name.into_bytes(),
    };
    name.into()
}
