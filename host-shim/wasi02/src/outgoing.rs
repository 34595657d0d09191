//! Heads that go out.

use proxy_wasm_abi::http2;
use proxy_wasm_driver::{set_status, wishes};
use proxy_wasm_semantics::{Chain, Destination, Guest, HeaderMap};

use crate::{
    bindings::wasi::http::{
        outgoing_handler,
        types::{ErrorCode, Fields, OutgoingBody, OutgoingRequest, OutgoingResponse, ResponseOutparam},
    },
    peer::Streams,
    vocabulary::{method, scheme},
    writer::Writer,
};

/// The fields of a head, or trailers. Any that this host refuses are left out.
pub(crate) fn fields<G: Guest>(chain: &Chain<G>, headers: &HeaderMap) -> Fields {
    let all = |entries: &[(&str, &[u8])]| Fields::from_list(entries).ok();
    let append = |fields: &Fields, name: &str, value: &[u8]| fields.append(name, value).is_ok();
    proxy_wasm_driver::fields(chain, headers, all, Fields::new, append)
}

/// Sends a request's head, with these wishes, where the host lets itself be told them.
pub(crate) fn request<G: Guest>(
    chain: &Chain<G>,
    to: &Destination,
    headers: &HeaderMap,
    end: bool,
    by_http2: bool,
    is_ours: bool,
) -> Result<Streams, ErrorCode> {
    let wishes = wishes(to, headers, by_http2, is_ours);
    // WASI 0.2 has no next handler.
    let to = to.origin().ok_or(ErrorCode::ConfigurationError)?;
    let text = |name: &[u8]| headers.get(name).map(|value| String::from_utf8_lossy(value).into_owned());
    let fields = fields(chain, headers);
    for wish in wishes {
        // Whether it refuses that is the host's affair.
        let _ = fields.append(http2::FIELD, &wish);
    }
    let request = OutgoingRequest::new(fields);
    let invalid = |()| ErrorCode::HttpRequestUriInvalid;
    request.set_scheme(Some(&scheme(to.tls))).map_err(invalid)?;
    request.set_authority(Some(&to.authority)).map_err(invalid)?;
    request.set_path_with_query(text(b":path").as_deref()).map_err(invalid)?;
    let method = method(text(b":method").unwrap_or_default());
    request.set_method(&method).map_err(|()| ErrorCode::HttpRequestMethodInvalid)?;
    let writer = if end { None } else { request.body().ok().map(Writer::new) };
    let response = outgoing_handler::handle(request, None)?;
    Ok(Streams::asked(writer, response, headers.get(b":method") == Some(b"HEAD")))
}

/// Sends a response's head. The writer is for the body, where one follows.
pub(crate) fn response<G: Guest>(
    chain: &Chain<G>,
    out: ResponseOutparam,
    headers: &HeaderMap,
    end: bool,
    exact: bool,
) -> Option<Writer> {
    let response = OutgoingResponse::new(fields(chain, headers));
    // 200 is what it is anyway.
    set_status(chain, headers, 200, |status| response.set_status_code(status).is_ok());
    // Of a body that was not opened the host knows that nothing follows the head. Hosts that are not `exact` compare a length
    // that is declared, as in an answer to HEAD, with what they know to be empty. And jco waits for a body's end, always.
    let opens = || {
        let declares = headers.get(b"content-length").is_some_and(|length| length != b"0");
        declares && !exact || chain.state().settings().upkeep.opens_bodies
    };
    if end && !opens() {
        ResponseOutparam::set(out, Ok(response));
        return None;
    }
    let body = response.body();
    ResponseOutparam::set(out, Ok(response));
    let body = body.ok()?;
    if !end {
        return Some(Writer::new(body));
    }
    // Wasmtime reports that a response to HEAD is shorter than its `content-length`, and sends it right.
    let _ = OutgoingBody::finish(body, None);
    None
}
