//! A body on its way in: bytes as they come, then trailers.

use proxy_wasm_semantics::{HeaderMap, Kind};

use crate::bindings::wasi::{
    http::types::{FutureTrailers, IncomingBody},
    io::{
        poll::Pollable,
        streams::{InputStream, StreamError},
    },
};

/// Bytes that one read asks for, and the memory that a body takes while it passes. What is there is read as one piece,
/// as Envoy does: a filter that looks at each piece by itself sees the same ones.
const READ_BYTES: usize = 64 * 1024;

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
    /// All bytes were read; what comes after them was not asked for.
    Ended(IncomingBody),
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

    /// Whether there is no body at all, as far as that can be told at once. A body of nothing but trailers counts as
    /// none unless they are `announced`: waiting for them would cost every request without a body.
    pub(crate) fn first(&mut self, announced: bool) -> Arrival {
        if announced {
            return self.read();
        }
        let arrival = self.read_body();
        if matches!(self.state, State::Ended(..)) && matches!(arrival, Arrival::Pending) {
            self.state = State::Done;
            return Arrival::End(None);
        }
        arrival
    }

    /// What has arrived, without waiting.
    pub(crate) fn read(&mut self) -> Arrival {
        loop {
            match &self.state {
                State::Body(..) => match self.read_body() {
                    Arrival::Pending if matches!(self.state, State::Ended(..)) => {}
                    arrival => return arrival,
                },
                State::Ended(..) => self.finish(),
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

    /// The body bytes that are there, up to a piece's size. Where the body is over, the state says so.
    fn read_body(&mut self) -> Arrival {
        let State::Body(stream, _) = &self.state else { return Arrival::Pending };
        let mut piece = Vec::new();
        while piece.len() < READ_BYTES {
            match stream.read((READ_BYTES - piece.len()) as u64) {
                Ok(bytes) if bytes.is_empty() => break,
                Ok(bytes) if piece.is_empty() => piece = bytes,
                Ok(bytes) => piece.extend_from_slice(&bytes),
                Err(error) => {
                    self.leave_body(matches!(error, StreamError::Closed));
                    break;
                }
            }
        }
        match &self.state {
            _ if !piece.is_empty() => Arrival::Data(piece),
            State::Failed => Arrival::Failed,
            _ => Arrival::Pending,
        }
    }

    fn leave_body(&mut self, ended: bool) {
        self.pollable = None;
        if let State::Body(stream, body) = std::mem::replace(&mut self.state, State::Failed) {
            drop(stream);
            if ended {
                self.state = State::Ended(body);
            }
        }
    }

    fn finish(&mut self) {
        if let State::Ended(body) = std::mem::replace(&mut self.state, State::Done) {
            self.state = State::Trailers(IncomingBody::finish(body));
        }
    }

    /// What comes after a failure would look like the body's end.
    fn fail(&mut self) {
        self.pollable = None;
        self.state = State::Failed;
    }

    /// Whether there is something to wait for, rather than to read at once.
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self.state, State::Body(..) | State::Trailers(_))
    }

    /// Ready when [`read`](Self::read) has news.
    ///
    /// # Panics
    /// When the body is over: there is nothing to wait for.
    pub(crate) fn pollable(&mut self) -> &Pollable {
        self.pollable.get_or_insert_with(|| match &self.state {
            State::Body(stream, _) => stream.subscribe(),
            State::Trailers(future) => future.subscribe(),
            State::Ended(_) | State::PutBack(_) | State::Failed | State::Done => {
                panic!("nothing is pending on a body that is over")
            }
        })
    }
}
