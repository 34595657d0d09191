//! Requests and responses, put together of their parts and taken apart.

use super::{BLOCKED, BodyReader, BodyWriter, Sent, TrailersReader, TrailersWriter, imports};
use crate::bindings::wasi::http::types::{Fields, Request, Response};

/// Where a body goes out: its bytes, where there are any, and what follows them.
pub(crate) type Outgoing = (Option<BodyWriter>, TrailersWriter);

/// What follows a head that came: its bytes, what follows these, and whom to tell what became of them.
pub(crate) type Incoming = (BodyReader, TrailersReader, Option<Receipt>);

/// Whoever sent a message is told that all is well with its body, whatever becomes of it: an error would be of no more use to
/// a client than a body that is not read to its end.
#[derive(Debug)]
pub(crate) struct Receipt {
    writer: u32,
}

impl Drop for Receipt {
    fn drop(&mut self) {
        /// A result without an error.
        const FINE: &imports::Value = &[0; 8];
        // SAFETY: the value is as its type is laid out, and lives for ever.
        let code = unsafe { imports::outcome_write(self.writer, FINE) };
        // One that nobody has read cannot be dropped.
        if code != BLOCKED {
            imports::outcome_drop_writable(self.writer);
        }
    }
}

/// Fields, as these entries say, or nothing where the host refuses one of them. wit-bindgen would have each of them copied.
pub(crate) fn new_fields(entries: &[(&str, &[u8])]) -> Option<Fields> {
    let text = |bytes: &[u8]| imports::Text { start: bytes.as_ptr(), length: bytes.len() };
    let entries: Vec<_> = entries.iter().map(|(name, value)| [text(name.as_bytes()), text(value)]).collect();
    let mut made = imports::MadeFields::default();
    // SAFETY: the host reads the entries before this returns, and writes the result, which has this size.
    unsafe { imports::fields_from_list(entries.as_ptr(), entries.len(), &raw mut made) };
    // Of an error the case is what counts; a text in it is the host's to give and ours to free.
    match made {
        // SAFETY: the host has just made it.
        [0, handle, ..] => Some(unsafe { Fields::from_handle(handle) }),
        [_, _, 1, text, length] if length > 0 => {
            // SAFETY: the host wrote so many bytes there, which it got from `cabi_realloc`, with an alignment of 1.
            drop(unsafe { Vec::from_raw_parts(text as *mut u8, length as usize, length as usize) });
            None
        }
        _ => None,
    }
}

/// The request of a task.
pub(crate) fn received_request(handle: u32) -> Request {
    // SAFETY: the host calls the export with a request that is ours from then on, and the export calls this once.
    unsafe { Request::from_handle(handle) }
}

/// A request; `has_body`: with room for bytes.
pub(crate) fn new_request(fields: Fields, has_body: bool) -> (Request, Outgoing) {
    let (outgoing, parts) = body(has_body);
    let (request, sent) = request(fields, parts);
    // Whether it was sent shows where its body is written.
    imports::outcome_drop_readable(sent);
    (request, outgoing)
}

/// A request with a body that came, and has not been read.
pub(crate) fn pass_request(fields: Fields, unread: Incoming) -> (Request, Sent) {
    let (parts, outcome) = parts(unread);
    let (request, sent) = request(fields, parts);
    (request, Sent::new(sent, outcome))
}

fn request(fields: Fields, (stream, trailers): Parts) -> (Request, u32) {
    let mut made = [0; 2];
    let (is_some, stream) = (stream.is_some().into(), stream.unwrap_or(0));
    // SAFETY: the function writes two handles.
    unsafe { imports::request_new(fields.take_handle(), is_some, stream, trailers, 0, 0, &raw mut made) };
    // SAFETY: the host has just made it.
    (unsafe { Request::from_handle(made[0]) }, made[1])
}

/// A response; `has_body`: with room for bytes.
pub(crate) fn new_response(fields: Fields, has_body: bool) -> (Response, Outgoing) {
    let (outgoing, parts) = body(has_body);
    let (response, sent) = response(fields, parts);
    imports::outcome_drop_readable(sent);
    (response, outgoing)
}

/// A response with a body that came, and has not been read.
pub(crate) fn pass_response(fields: Fields, unread: Incoming) -> (Response, Sent) {
    let (parts, outcome) = parts(unread);
    let (response, sent) = response(fields, parts);
    (response, Sent::new(sent, outcome))
}

fn response(fields: Fields, (stream, trailers): Parts) -> (Response, u32) {
    let mut made = [0; 2];
    let (is_some, stream) = (stream.is_some().into(), stream.unwrap_or(0));
    // SAFETY: the function writes two handles.
    unsafe { imports::response_new(fields.take_handle(), is_some, stream, trailers, &raw mut made) };
    // SAFETY: the host has just made it.
    (unsafe { Response::from_handle(made[0]) }, made[1])
}

/// The handles of what a message is made of besides its fields: its bytes, where there may be any, and what follows them.
type Parts = (Option<u32>, u32);

fn body(has_body: bool) -> (Outgoing, Parts) {
    let (body, stream) = has_body.then(BodyWriter::new).unzip();
    let (trailers, future) = TrailersWriter::new();
    ((body, trailers), (stream, future))
}

fn parts((body, trailers, outcome): Incoming) -> (Parts, Option<Receipt>) {
    ((Some(body.into_handle()), trailers.into_handle()), outcome)
}

/// The body of a request, which is gone with it.
pub(crate) fn consume_request(request: Request) -> Incoming {
    let handle = request.take_handle();
    // SAFETY: the function writes two handles.
    consume(|outcome, into| unsafe { imports::request_consume_body(handle, outcome, into) })
}

/// The body of a response, which is gone with it.
pub(crate) fn consume_response(response: Response) -> Incoming {
    let handle = response.take_handle();
    // SAFETY: the function writes two handles.
    consume(|outcome, into| unsafe { imports::response_consume_body(handle, outcome, into) })
}

fn consume(consume: impl FnOnce(u32, *mut [u32; 2])) -> Incoming {
    let ends = imports::outcome_new();
    let mut parts = [0; 2];
    consume(ends as u32, &raw mut parts);
    let [stream, trailers] = parts;
    (BodyReader::new(stream), TrailersReader::new(trailers), Some(Receipt { writer: (ends >> 32) as u32 }))
}
