//! Requests to upstreams and clusters.
//!
//! `wasi:http` has no word for the protocol. A gRPC callout, which works in HTTP/2 alone, asks `serve` for it by a field
//! that all other hosts forbid, and that `serve` takes out of what clients send: nobody else can ask. By the type of the
//! content it could not be told: that of the client's request is the client's choice.

use proxy_wasm_abi::settings::Origin;
use proxy_wasm_semantics::HeaderMap;

use crate::{
    bindings::wasi::http::{
        outgoing_handler,
        types::{ErrorCode, Fields, FutureIncomingResponse, Method, OutgoingRequest, Scheme},
    },
    fields::{ASKS_FOR_HTTP2, to_fields},
    writer::Writer,
};

/// A request whose head is on its way. The writer is for the body, where one follows.
pub(crate) type Sent = (FutureIncomingResponse, Option<Writer>);

/// Sends the head, in the protocol that the host chooses.
pub(crate) fn send(origin: &Origin, headers: &HeaderMap, end: bool) -> Result<Sent, ErrorCode> {
    send_fields(origin, headers, to_fields(headers), end)
}

/// Sends the head in HTTP/2, where the host lets itself be asked for it.
pub(crate) fn send_http2(origin: &Origin, headers: &HeaderMap) -> Result<Sent, ErrorCode> {
    let fields = to_fields(headers);
    // Whether it refuses that is the host's affair.
    let _ = fields.append(ASKS_FOR_HTTP2, &[]);
    send_fields(origin, headers, fields, false)
}

fn send_fields(origin: &Origin, headers: &HeaderMap, fields: Fields, end: bool) -> Result<Sent, ErrorCode> {
    let text = |name: &[u8]| headers.get(name).map(|value| String::from_utf8_lossy(value).into_owned());
    let request = OutgoingRequest::new(fields);
    let invalid = |()| ErrorCode::HttpRequestUriInvalid;
    let scheme = if origin.tls { Scheme::Https } else { Scheme::Http };
    request.set_scheme(Some(&scheme)).map_err(invalid)?;
    request.set_authority(Some(&origin.authority)).map_err(invalid)?;
    request.set_path_with_query(text(b":path").as_deref()).map_err(invalid)?;
    request
        .set_method(&method(text(b":method").unwrap_or_default()))
        .map_err(|()| ErrorCode::HttpRequestMethodInvalid)?;
    let writer = if end { None } else { request.body().ok().map(Writer::new) };
    Ok((outgoing_handler::handle(request, None)?, writer))
}

fn method(name: String) -> Method {
    match name.as_str() {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "CONNECT" => Method::Connect,
        "OPTIONS" => Method::Options,
        "TRACE" => Method::Trace,
        "PATCH" => Method::Patch,
        _ => Method::Other(name),
    }
}
