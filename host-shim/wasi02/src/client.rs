//! The client of an exchange: its request comes in, its response goes out.

use proxy_wasm_abi::grpc;
use proxy_wasm_semantics::{HeaderMap, Host};

use crate::{
    bindings::wasi::http::types::{ErrorCode, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam},
    fields::to_fields,
    host::WasiHost,
    reader::Reader,
    writer::Writer,
};

/// A client that waits for its response.
pub(crate) struct Client {
    /// The exchange's.
    pub(crate) id: u32,
    /// The request's body.
    pub(crate) body: Reader,
    /// The response's body, once its head was sent.
    pub(crate) writer: Option<Writer>,
    /// Taken when the response's head is sent.
    pub(crate) out: Option<ResponseOutparam>,
    pub(crate) opens: Opens,
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

impl Client {
    /// Sends the response's head; tells whether the host takes what follows.
    pub(crate) fn respond(&mut self, headers: &HeaderMap, end: bool) -> bool {
        self.writer = self.out.take().and_then(|out| send(out, headers, end, self.opens));
        end || self.writer.is_some()
    }

    /// Ends the response without an end, or answers nothing where it has not begun. Bytes that were let through before still
    /// go out; whether the client takes them no longer matters.
    pub(crate) fn abort(&mut self) {
        if let Some(mut writer) = self.writer.take() {
            let _ = writer.pump();
        }
        if let Some(out) = self.out.take() {
            ResponseOutparam::set(out, Err(ErrorCode::ConnectionTerminated));
        }
    }
}

/// Sends the head. The writer is for the body, where one follows.
fn send(out: ResponseOutparam, headers: &HeaderMap, end: bool, opens: Opens) -> Option<Writer> {
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
