//! Responses: the upstream's as it comes in, the client's as it goes out.

use proxy_wasm_abi::grpc;
use proxy_wasm_semantics::{HeaderMap, Host, Kind};

use crate::{
    bindings::wasi::http::types::{
        ErrorCode, IncomingRequest, IncomingResponse, OutgoingBody, OutgoingResponse, ResponseOutparam,
    },
    fields::to_fields,
    host::WasiHost,
    reader::Reader,
    writer::Writer,
};

/// A response whose head has come in.
pub(crate) struct Incoming {
    pub(crate) headers: HeaderMap,
    /// Nothing, where no body follows.
    pub(crate) body: Option<Reader>,
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
    let body = if bodiless { None } else { response.consume().ok().map(Reader::new) };
    Incoming { headers, body }
}

/// Which bodies are opened of responses that have none. Of one that was not opened the host knows that nothing follows the
/// head.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opens {
    /// None.
    Nothing,
    /// That of a head that declares a length, as one that answers HEAD: hosts compare it with what they know to be empty.
    Declared,
    /// All: jco waits for a body's end.
    Everything,
}

/// Sends the head. The writer is for the body, where one follows.
pub(crate) fn send(out: ResponseOutparam, headers: &HeaderMap, end: bool, opens: Opens) -> Option<Writer> {
    let status = headers.get(b":status").and_then(|value| std::str::from_utf8(value).ok()?.trim().parse().ok());
    let response = OutgoingResponse::new(to_fields(headers));
    // The semantics let no status through that is none; a host may still know fewer. 200 is what it is anyway.
    if status != Some(200) && status.is_none_or(|status| response.set_status_code(status).is_err()) {
        WasiHost.log("[warn] the host refuses the response's status: 502 is sent");
        let _ = response.set_status_code(502);
    }
    let opened = match opens {
        Opens::Nothing => false,
        Opens::Declared => headers.get(b"content-length").is_some_and(|length| length != b"0"),
        Opens::Everything => true,
    };
    if end && !opened {
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

/// Answers 503 with nothing in it, or what that is in gRPC: a plugin did not start.
#[cold]
pub(crate) fn unavailable(out: ResponseOutparam, request: &IncomingRequest, opens: Opens) {
    let headers = request.headers().entries();
    let is_grpc = headers.iter().any(|(name, value)| name == "content-type" && grpc::is_grpc(value));
    send(out, &proxy_wasm_semantics::unavailable(is_grpc), true, opens);
}

/// Answers nothing: the exchange was broken off.
pub(crate) fn abort(out: ResponseOutparam) {
    ResponseOutparam::set(out, Err(ErrorCode::ConnectionTerminated));
}
