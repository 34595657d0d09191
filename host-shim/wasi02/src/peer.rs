//! The streams between this instance and one peer: one body goes out, a message comes in.

use proxy_wasm_driver::{Input, Peer, Turn};
use proxy_wasm_semantics::{Guest, UpstreamFailure};

use crate::{
    bindings::wasi::{http::types::FutureIncomingResponse, io::poll::Pollable},
    incoming,
    reader::Reader,
    vocabulary::failed,
    writer::Writer,
};

/// What flows to a peer, and from it.
pub(crate) struct Streams {
    /// Where a body goes out.
    pub(crate) writer: Option<Writer>,
    incoming: Incoming,
}

/// What comes from it.
enum Incoming {
    /// The response to what was sent.
    // The pollable is the future's child, so it goes first.
    Waiting {
        pollable: Option<Pollable>,
        future: FutureIncomingResponse,
        to_head: bool,
    },
    Body(Reader),
    Over,
}

impl Streams {
    /// A client, whose request has this body.
    pub(crate) fn client(body: Reader) -> Self {
        Self { writer: None, incoming: Incoming::Body(body) }
    }

    /// Whoever was sent a request; `to_head`: by HEAD.
    pub(crate) fn asked(writer: Option<Writer>, future: FutureIncomingResponse, to_head: bool) -> Self {
        Self { writer, incoming: Incoming::Waiting { pollable: None, future, to_head } }
    }

    /// Adds what to wait for: what comes, where it is wanted, and room for what is queued.
    pub(crate) fn pollables<'a>(&'a mut self, wanted: bool, into: &mut Vec<&'a Pollable>) {
        match &mut self.incoming {
            Incoming::Waiting { pollable, future, .. } => {
                into.push(pollable.get_or_insert_with(|| future.subscribe()));
            }
            Incoming::Body(reader) if wanted => into.extend(reader.pollable()),
            Incoming::Body(_) | Incoming::Over => {}
        }
        into.extend(self.writer.as_mut().and_then(Writer::pollable));
    }
}

impl proxy_wasm_driver::Streams for Streams {
    type Sink = Writer;

    fn sink(&mut self) -> &mut Option<Writer> {
        &mut self.writer
    }

    fn read<G: Guest>(&mut self, peer: Peer, _: &Turn<'_, '_, G>, exact: bool) -> Option<Input> {
        let input = match &mut self.incoming {
            Incoming::Waiting { future, to_head, .. } => match future.get()? {
                Ok(Ok(response)) => {
                    let looks = exact && !matches!(peer, Peer::Callout(_));
                    let (head, body) = incoming::response(&response, *to_head, looks);
                    self.incoming = body.map_or(Incoming::Over, Incoming::Body);
                    return Some(head);
                }
                Ok(Err(code)) => failed(&code),
                Err(()) => Input::Failed(UpstreamFailure::ConnectionTerminated, None),
            },
            Incoming::Body(reader) => reader.read()?,
            Incoming::Over => return None,
        };
        if !matches!(input, Input::Data(_, false)) {
            self.incoming = Incoming::Over;
        }
        Some(input)
    }

    fn is_ahead(&self) -> bool {
        matches!(&self.incoming, Incoming::Body(reader) if reader.is_ahead())
    }

    fn is_over(&self) -> bool {
        matches!(self.incoming, Incoming::Over)
    }
}
