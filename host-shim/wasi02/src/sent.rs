//! Requests that were sent, to upstreams and for callouts: one body goes out, a response comes in.
//!
//! `wasi:http` has no word for the protocol. A gRPC callout, which works in HTTP/2 alone, asks `serve` for it by a field
//! that all other hosts forbid, and that `serve` takes out of what clients send: nobody else can ask. By the type of the
//! content it could not be told: that of the client's request is the client's choice.

use proxy_wasm_driver::Input;
use proxy_wasm_semantics::{Destination, HeaderMap, Kind, UpstreamFailure};

use crate::{
    bindings::wasi::{
        http::{
            outgoing_handler,
            types::{ErrorCode, FutureIncomingResponse, IncomingResponse, Method, OutgoingRequest, Scheme},
        },
        io::poll::Pollable,
    },
    failure,
    fields::{ASKS_FOR_HTTP2, to_fields},
    reader::{Look, Reader},
    writer::Writer,
};

/// A request whose head is on its way.
pub(crate) struct Sent {
    /// For the body, where one follows.
    pub(crate) writer: Option<Writer>,
    incoming: Incoming,
    to_head: bool,
}

/// Its response.
enum Incoming {
    // The pollable is the future's child, so it goes first.
    Waiting(Option<Pollable>, FutureIncomingResponse),
    Body(Reader),
    Over,
}

impl Sent {
    /// Sends the head; in HTTP/2, where that is asked for and the host lets itself be asked.
    pub(crate) fn new(to: &Destination, headers: &HeaderMap, end: bool, http2: bool) -> Result<Self, ErrorCode> {
        let text = |name: &[u8]| headers.get(name).map(|value| String::from_utf8_lossy(value).into_owned());
        let origin = to.origin();
        let fields = to_fields(headers);
        if http2 {
            // Whether it refuses that is the host's affair.
            let _ = fields.append(ASKS_FOR_HTTP2, &[]);
        }
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
        let incoming = Incoming::Waiting(None, outgoing_handler::handle(request, None)?);
        Ok(Self { writer, incoming, to_head: headers.get(b":method") == Some(b"HEAD") })
    }

    /// Reads what has come, without waiting. An `exact` host knows at once whether there is a body; on others, trailers may follow
    /// what looks like nothing.
    pub(crate) fn read(&mut self, exact: bool) -> Option<Input> {
        let input = match &mut self.incoming {
            Incoming::Waiting(_, future) => {
                let arrived = future.get()?;
                self.incoming = Incoming::Over;
                match arrived {
                    Ok(Ok(response)) => return Some(self.receive(&response, exact)),
                    Ok(Err(code)) => failure::input(&code),
                    Err(()) => Input::Failed(UpstreamFailure::ConnectionTerminated, None),
                }
            }
            Incoming::Body(reader) => reader.read()?,
            Incoming::Over => return None,
        };
        if !matches!(input, Input::Data(_)) {
            self.incoming = Incoming::Over;
        }
        Some(input)
    }

    /// Reads the head.
    fn receive(&mut self, response: &IncomingResponse, exact: bool) -> Input {
        let status = response.status();
        let mut headers = HeaderMap::from_pairs(Kind::Response, [(":status", status.to_string())]);
        for (name, value) in response.headers().entries() {
            headers.add(name.as_bytes(), value);
        }
        if status == 204 {
            headers.remove(b"content-length");
        }
        let bodiless = self.to_head || matches!(status, 204 | 304) || headers.get(b"content-length") == Some(b"0");
        if !bodiless && let Ok(body) = response.consume() {
            let mut reader = Reader::new(body);
            if !exact || reader.look(false) != Look::Nothing {
                self.incoming = Incoming::Body(reader);
            }
        }
        Input::Head(headers, self.is_over())
    }

    /// Whether nothing more comes.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.incoming, Incoming::Over)
    }

    /// Adds what to wait for: the response, where it is wanted, and room for what is queued.
    pub(crate) fn pollables<'a>(&'a mut self, wanted: bool, into: &mut Vec<&'a Pollable>) {
        match &mut self.incoming {
            Incoming::Waiting(pollable, future) => into.push(pollable.get_or_insert_with(|| future.subscribe())),
            Incoming::Body(reader) if wanted => into.extend(reader.pollable()),
            Incoming::Body(_) | Incoming::Over => {}
        }
        into.extend(self.writer.as_mut().and_then(Writer::pollable));
    }
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
