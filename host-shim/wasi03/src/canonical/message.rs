//! Requests and responses, put together of their parts and taken apart.

use super::{BLOCKED, BodyReader, BodyWriter, TrailersReader, TrailersWriter, imports};
use crate::bindings::wasi::http::types::{Fields, Request, Response};

/// Where a body goes out: its bytes, where there are any, and what follows them.
pub(crate) type Outgoing = (Option<BodyWriter>, TrailersWriter);

/// The request of a task.
pub(crate) fn received_request(handle: u32) -> Request {
    // SAFETY: the host calls the export with a request that is ours from then on, and the export calls this once.
    unsafe { Request::from_handle(handle) }
}

/// A request; `has_body`: with room for bytes.
pub(crate) fn new_request(fields: Fields, has_body: bool) -> (Request, Outgoing) {
    let (handle, outgoing) = new(fields, has_body, |fields, is_some, stream, trailers, into| {
        // SAFETY: the function writes two handles.
        unsafe { imports::request_new(fields, is_some, stream, trailers, 0, 0, into) }
    });
    // SAFETY: the host has just made it.
    (unsafe { Request::from_handle(handle) }, outgoing)
}

/// A response; `has_body`: with room for bytes.
pub(crate) fn new_response(fields: Fields, has_body: bool) -> (Response, Outgoing) {
    let (handle, outgoing) = new(fields, has_body, |fields, is_some, stream, trailers, into| {
        // SAFETY: the function writes two handles.
        unsafe { imports::response_new(fields, is_some, stream, trailers, into) }
    });
    // SAFETY: the host has just made it.
    (unsafe { Response::from_handle(handle) }, outgoing)
}

fn new(fields: Fields, has_body: bool, make: impl FnOnce(u32, u32, u32, u32, *mut [u32; 2])) -> (u32, Outgoing) {
    let (body, stream) = if has_body {
        let (body, stream) = BodyWriter::new();
        (Some(body), stream)
    } else {
        (None, 0)
    };
    let (trailers, future) = TrailersWriter::new();
    let mut made = [0; 2];
    make(fields.take_handle(), body.is_some().into(), stream, future, &raw mut made);
    let [handle, sent] = made;
    // Whether it was sent shows where its body is written.
    imports::outcome_drop_readable(sent);
    (handle, (body, trailers))
}

/// The body of a request, which is gone with it.
pub(crate) fn consume_request(request: Request) -> (BodyReader, TrailersReader) {
    let handle = request.take_handle();
    // SAFETY: the function writes two handles.
    consume(|outcome, into| unsafe { imports::request_consume_body(handle, outcome, into) })
}

/// The body of a response, which is gone with it.
pub(crate) fn consume_response(response: Response) -> (BodyReader, TrailersReader) {
    let handle = response.take_handle();
    // SAFETY: the function writes two handles.
    consume(|outcome, into| unsafe { imports::response_consume_body(handle, outcome, into) })
}

fn consume(consume: impl FnOnce(u32, *mut [u32; 2])) -> (BodyReader, TrailersReader) {
    /// A result without an error.
    const FINE: &imports::Value = &[0; 8];
    let ends = imports::outcome_new();
    let mut parts = [0; 2];
    consume(ends as u32, &raw mut parts);
    let writer = (ends >> 32) as u32;
    // Whoever sent the message is told that it is fine, whatever becomes of it: an error would be the client's of no more
    // use than a body that is not read to its end.
    // SAFETY: the value is as its type is laid out, and lives for ever.
    let code = unsafe { imports::outcome_write(writer, FINE) };
    // One that nobody has read cannot be dropped.
    if code != BLOCKED {
        imports::outcome_drop_writable(writer);
    }
    let [stream, trailers] = parts;
    (BodyReader::new(stream), TrailersReader::new(trailers))
}
