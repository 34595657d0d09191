//! The incoming request.

use proxy_wasm_semantics::Request;

use crate::{
    bindings::wasi::http::types::{IncomingRequest, Method, Scheme},
    reader::{Arrival, Reader},
};

/// A request whose head has been read.
pub(crate) struct Incoming {
    pub(crate) head: Request,
    /// Nothing follows the head.
    pub(crate) end: bool,
    /// The first body bytes, where they were there with the head.
    pub(crate) first: Vec<u8>,
    pub(crate) body: Reader,
}

/// Methods whose requests have a body only by way of exception.
const RARELY_WITH_BODY: &[&[u8]] = &[b"GET", b"HEAD", b"OPTIONS", b"DELETE", b"TRACE"];

/// Reads the head, and looks far enough ahead to know whether there is a body.
pub(crate) fn receive(request: IncomingRequest) -> Incoming {
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
    let mut first = Vec::new();
    let end = match content_length(&head) {
        Some(length) => length == 0,
        None => {
            let announced = head.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("trailer"));
            let mut arrival = body.first(announced);
            // Whether there is a body at all, the host may know only a moment later.
            let rarely = RARELY_WITH_BODY.contains(&head.method.as_slice());
            while rarely && matches!(arrival, Arrival::Pending) {
                body.pollable().block();
                arrival = body.first(announced);
            }
            match arrival {
                Arrival::Data(bytes) => {
                    first = bytes;
                    false
                }
                Arrival::End(None) => true,
                Arrival::Pending => false,
                Arrival::End(Some(trailers)) => {
                    body.put_back(trailers);
                    false
                }
                Arrival::Failed => false,
            }
        }
    };
    Incoming { head, end, first, body }
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
