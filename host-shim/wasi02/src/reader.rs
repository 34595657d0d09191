//! A body on its way in: bytes as they come, then trailers.

use proxy_wasm_semantics::{HeaderMap, Kind};

use crate::bindings::wasi::{
    http::types::{FutureTrailers, IncomingBody},
    io::{
        poll::Pollable,
        streams::{InputStream, StreamError},
    },
};

/// Bytes that one read asks for: what hosts hand over at a time, and the memory that a body takes while it passes.
const READ_BYTES: u64 = 64 * 1024;

/// What a read came to.
pub(crate) enum Arrival {
    /// Body bytes.
    Data(Vec<u8>),
    /// The body is over.
    End(Option<HeaderMap>),
    /// Nothing yet.
    Pending,
    /// The peer broke it off.
    Failed,
}

/// An incoming body.
pub(crate) struct Reader {
    // Before what it waits for: a child resource goes first.
    pollable: Option<Pollable>,
    state: State,
}

enum State {
    // The stream is the body's child, so it is dropped before it.
    Body(InputStream, IncomingBody),
    Trailers(FutureTrailers),
    PutBack(HeaderMap),
    Failed,
    Done,
}

impl Reader {
    pub(crate) fn new(body: IncomingBody) -> Self {
        let state = match body.stream() {
            Ok(stream) => State::Body(stream, body),
            Err(()) => State::Done,
        };
        Self { pollable: None, state }
    }

    /// A body without a byte.
    pub(crate) fn empty() -> Self {
        Self { pollable: None, state: State::Done }
    }

    /// Gives back trailers that were read too early.
    pub(crate) fn put_back(&mut self, trailers: HeaderMap) {
        self.state = State::PutBack(trailers);
    }

    /// What has arrived, without waiting.
    pub(crate) fn read(&mut self) -> Arrival {
        loop {
            match &self.state {
                State::Body(stream, _) => match stream.read(READ_BYTES) {
                    Ok(bytes) if bytes.is_empty() => return Arrival::Pending,
                    Ok(bytes) => return Arrival::Data(bytes),
                    Err(StreamError::Closed) => self.finish(),
                    Err(StreamError::LastOperationFailed(_)) => self.fail(),
                },
                State::Trailers(future) => {
                    let trailers = match future.get() {
                        None => return Arrival::Pending,
                        Some(Ok(Ok(Some(fields)))) => {
                            let entries = fields.entries();
                            (!entries.is_empty()).then(|| HeaderMap::from_pairs(Kind::Trailers, entries))
                        }
                        Some(Ok(Err(_))) => {
                            self.fail();
                            continue;
                        }
                        Some(Ok(Ok(None)) | Err(())) => None,
                    };
                    self.pollable = None;
                    self.state = State::Done;
                    return Arrival::End(trailers);
                }
                State::PutBack(_) => {
                    let State::PutBack(trailers) = std::mem::replace(&mut self.state, State::Done) else { continue };
                    return Arrival::End(Some(trailers));
                }
                State::Failed => return Arrival::Failed,
                State::Done => return Arrival::End(None),
            }
        }
    }

    fn finish(&mut self) {
        self.pollable = None;
        if let State::Body(stream, body) = std::mem::replace(&mut self.state, State::Done) {
            drop(stream);
            self.state = State::Trailers(IncomingBody::finish(body));
        }
    }

    /// What comes after a failure would look like the body's end.
    fn fail(&mut self) {
        self.pollable = None;
        self.state = State::Failed;
    }

    /// Ready when [`read`](Self::read) has news.
    ///
    /// # Panics
    /// When the body is over: there is nothing to wait for.
    pub(crate) fn pollable(&mut self) -> &Pollable {
        self.pollable.get_or_insert_with(|| match &self.state {
            State::Body(stream, _) => stream.subscribe(),
            State::Trailers(future) => future.subscribe(),
            State::PutBack(_) | State::Failed | State::Done => panic!("nothing is pending on a body that is over"),
        })
    }
}
