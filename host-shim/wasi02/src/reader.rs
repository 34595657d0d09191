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
    /// What a look found, which the next read gives.
    ahead: Option<Arrival>,
}

/// Whether there is a body, as far as that can be told at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// There is none.
    Nothing,
    /// There is one, or trailers.
    Something,
    /// Nothing came yet, nor the end.
    Unknown,
}

enum State {
    // The stream is the body's child, so it is dropped before it.
    Body(InputStream, IncomingBody),
    /// All bytes were read; what comes after them was not asked for.
    Ended(IncomingBody),
    Trailers(FutureTrailers),
    Failed,
    Done,
}

impl Reader {
    pub(crate) fn new(body: IncomingBody) -> Self {
        let state = match body.stream() {
            Ok(stream) => State::Body(stream, body),
            Err(()) => State::Done,
        };
        Self { pollable: None, state, ahead: None }
    }

    /// A body without a byte.
    pub(crate) fn empty() -> Self {
        Self { pollable: None, state: State::Done, ahead: None }
    }

    /// Looks whether there is a body: one that is over at once is none. It may still be nothing but trailers, where they
    /// were `announced`: waiting for them would cost every message without a body.
    pub(crate) fn look(&mut self, announced: bool) -> Look {
        let arrival = if announced { self.read() } else { self.read_body() };
        match arrival {
            Arrival::Pending if matches!(self.state, State::Ended(_)) => {
                self.state = State::Done;
                Look::Nothing
            }
            Arrival::Pending => Look::Unknown,
            Arrival::End(None) => Look::Nothing,
            arrival => {
                self.ahead = Some(arrival);
                Look::Something
            }
        }
    }

    /// Whether a look found what the next read gives.
    pub(crate) fn is_ahead(&self) -> bool {
        self.ahead.is_some()
    }

    /// What has arrived, without waiting.
    pub(crate) fn read(&mut self) -> Arrival {
        if let Some(arrival) = self.ahead.take() {
            return arrival;
        }
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
            State::Ended(_) | State::Failed | State::Done => {
                panic!("nothing is pending on a body that is over")
            }
        })
    }
}
