//! Heads that go out.

use proxy_wasm_abi::http2;
use proxy_wasm_semantics::{Chain, Destination, Guest, HeaderMap};

use crate::{
    bindings::wasi::http::types::{ErrorCode, Fields, Method, Request, Response},
    canonical::{Call, Incoming, Sent, new_fields, new_request, new_response, pass_request, pass_response},
    peer::Streams,
    vocabulary::{method, scheme},
    writer::Writer,
};

/// The fields of a head, or trailers. Any that this host refuses are left out.
pub(crate) fn fields<G: Guest>(chain: &Chain<G>, headers: &HeaderMap) -> Fields {
    let append = |fields: &Fields, name: &str, value: &[u8]| fields.append(name, value).is_ok();
    proxy_wasm_driver::fields(chain, headers, new_fields, Fields::new, append)
}

/// What a request that is sent is made of, besides its head.
pub(crate) enum Body {
    /// What is written, if anything is.
    Written { end: bool },
    /// A body that came, and that nobody has read.
    Unread(Incoming),
    /// The request that came, with these fields and the rest of this head.
    Whole(Request, HeaderMap),
}

/// Sends a request's head, with what follows it, and with these wishes, where the host lets itself be told them.
pub(crate) fn request<G: Guest>(
    chain: &Chain<G>,
    to: &Destination,
    headers: &HeaderMap,
    wishes: &[Vec<u8>],
    body: Body,
) -> Result<(Streams, Option<Sent>), ErrorCode> {
    let text = |name: &[u8]| headers.get(name).map(|value| String::from_utf8_lossy(value).into_owned());
    let fields = || {
        let fields = fields(chain, headers);
        for wish in wishes {
            // Whether it refuses that is the host's affair.
            let _ = fields.append(http2::FIELD, wish);
        }
        fields
    };
    // Where a writer is dropped below, its end is written, which nobody reads.
    let (request, came, writer, sent) = match body {
        Body::Whole(request, came) => (request, Some(came), None, None),
        Body::Unread(unread) => {
            let (request, sent) = pass_request(fields(), unread);
            (request, None, None, Some(sent))
        }
        Body::Written { end } => {
            let (request, outgoing) = new_request(fields(), !end);
            let mut writer = Writer::new(outgoing);
            if end {
                writer.end(None);
            }
            (request, None, Some(writer), None)
        }
    };
    let is_next = *to == Destination::Next;
    // What the next handler is told already; an upstream is told all of it, whatever the host says of its client.
    let has = |name: &[u8]| is_next && came.as_ref().is_some_and(|came| came.get(name) == headers.get(name));
    let invalid = |()| ErrorCode::HttpRequestUriInvalid;
    let (scheme, authority) = match to.origin() {
        Some(origin) => (scheme(origin.tls), Some(origin.authority.clone())),
        // The next handler is told whom the client meant, as far as the host tells.
        None => (scheme(text(b":scheme").as_deref() == Some("https")), text(b":authority").filter(|is| !is.is_empty())),
    };
    if !has(b":scheme") {
        request.set_scheme(Some(&scheme)).map_err(invalid)?;
    }
    // A new one has none.
    if !has(b":authority") && (authority.is_some() || came.is_some()) {
        request.set_authority(authority.as_deref()).map_err(invalid)?;
    }
    if !has(b":path") {
        request.set_path_with_query(text(b":path").as_deref()).map_err(invalid)?;
    }
    let method = method(text(b":method").unwrap_or_default());
    // That is what a new one is anyway.
    if !has(b":method") && (came.is_some() || !matches!(method, Method::Get)) {
        request.set_method(&method).map_err(|()| ErrorCode::HttpRequestMethodInvalid)?;
    }
    let call = if is_next { Call::next(request) } else { Call::send(request) };
    Ok((Streams::asked(writer, call, headers.get(b":method") == Some(b"HEAD"), is_next), sent))
}

/// A response's head. The writer is for what follows.
pub(crate) fn response<G: Guest>(chain: &Chain<G>, headers: &HeaderMap, end: bool) -> (Response, Writer) {
    let (response, outgoing) = new_response(fields(chain, headers), !end);
    set_status(chain, &response, 200, headers);
    let mut writer = Writer::new(outgoing);
    if end {
        writer.end(None);
    }
    (response, writer)
}

/// The same with a body that is unread.
pub(crate) fn response_with<G: Guest>(chain: &Chain<G>, headers: &HeaderMap, unread: Incoming) -> (Response, Sent) {
    let (response, sent) = pass_response(fields(chain, headers), unread);
    set_status(chain, &response, 200, headers);
    (response, sent)
}

/// Gives a response, which `has` one, the status that its head says.
pub(crate) fn set_status<G: Guest>(chain: &Chain<G>, response: &Response, has: u16, headers: &HeaderMap) {
    proxy_wasm_driver::set_status(chain, headers, has, |status| response.set_status_code(status).is_ok());
}
