//! Responses: the upstream's as it comes in, the client's as it goes out.

use proxy_wasm_semantics::{HeaderMap, Host, Kind};

use crate::{
    bindings::wasi::http::types::{
        ErrorCode, Fields, IncomingBody, IncomingResponse, OutgoingBody, OutgoingResponse, ResponseOutparam,
    },
    fields::to_fields,
    host::WasiHost,
    writer::Writer,
};

/// A response whose head has come in.
pub(crate) struct Incoming {
    pub(crate) headers: HeaderMap,
    /// Nothing, where no body follows.
    pub(crate) body: Option<IncomingBody>,
}

/// Reads the head.
pub(crate) fn receive(response: &IncomingResponse, to_head: bool) -> Incoming {
    let status = response.status();
    let mut headers = HeaderMap::from_pairs(Kind::Response, [(":status", status.to_string())]);
    for (name, value) in response.headers().entries() {
        headers.add(name.as_bytes(), value);
    }
    if status == 204 {
        headers.remove(b"content-length");
    }
    let bodiless = to_head || matches!(status, 204 | 304) || headers.get(b"content-length") == Some(b"0");
    let body = if bodiless { None } else { response.consume().ok() };
    Incoming { headers, body }
}

/// Sends the head. The writer is for the body, where one follows.
pub(crate) fn send(out: ResponseOutparam, headers: &HeaderMap, end: bool) -> Option<Writer> {
    let status = headers.get(b":status").and_then(|value| std::str::from_utf8(value).ok()?.trim().parse().ok());
    let response = OutgoingResponse::new(to_fields(headers));
    // The semantics let no status through that is none; a host may still know fewer. 200 is what it is anyway.
    if status != Some(200) && status.is_none_or(|status| response.set_status_code(status).is_err()) {
        WasiHost.log("[warn] the host refuses the response's status: 502 is sent");
        let _ = response.set_status_code(502);
    }
    respond(out, response, end)
}

/// Hands the response over. A body is opened even where none follows: jco waits for its end.
fn respond(out: ResponseOutparam, response: OutgoingResponse, end: bool) -> Option<Writer> {
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

/// Answers 503 with nothing in it: a plugin did not start.
pub(crate) fn unavailable(out: ResponseOutparam) {
    let response = OutgoingResponse::new(Fields::new());
    let _ = response.set_status_code(503);
    respond(out, response, true);
}

/// Answers nothing: the exchange was broken off.
pub(crate) fn abort(out: ResponseOutparam) {
    ResponseOutparam::set(out, Err(ErrorCode::ConnectionTerminated));
}
