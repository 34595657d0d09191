//! The request to the upstream.

use proxy_wasm_abi::settings::Origin;
use proxy_wasm_semantics::HeaderMap;

use crate::{
    bindings::wasi::http::{
        outgoing_handler,
        types::{ErrorCode, FutureIncomingResponse, Method, OutgoingRequest, Scheme},
    },
    fields::to_fields,
    writer::Writer,
};

/// Sends the head. The writer is for the body, where one follows.
pub(crate) fn send(
    origin: &Origin,
    headers: &HeaderMap,
    end: bool,
) -> Result<(FutureIncomingResponse, Option<Writer>), ErrorCode> {
    let text = |name: &[u8]| headers.get(name).map(|value| String::from_utf8_lossy(value).into_owned());
    let request = OutgoingRequest::new(to_fields(headers));
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
