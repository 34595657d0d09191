//! A body on its way in: bytes as they come, then trailers.

use proxy_wasm_driver::{Input, Look};

use crate::bindings::wasi::{
    clocks::monotonic_clock,
    http::types::{FutureTrailers, IncomingBody},
    io::{
        poll::{Pollable, poll},
        streams::{InputStream, StreamError},
    },
};

/// Bytes that one read asks for, and the memory that a body takes while it passes. Bytes that are there are read as one
/// piece, as Envoy does: a filter that looks at each piece by itself sees the same ones.
const READ_BYTES: usize = 64 * 1024;

/// An incoming body.
pub(crate) struct Reader {
    // Before what it waits for: a child resource goes first.
    pollable: Option<Pollable>,
    state: State,
    /// The input that a look found, which the next read gives.
    ahead: Option<Input>,
    /// The host says when the end came: where it is there with the last bytes, it came with them.
    exact: bool,
}

enum State {
    // The stream is the body's child, so it is dropped before it.
    Body(InputStream, IncomingBody),
    /// All bytes were read; what comes after them was not asked for.
    Ended(IncomingBody),
    Trailers(FutureTrailers),
    /// Nothing more is read of it: it would look like the body's end.
    Failed,
    Done,
}

impl Reader {
    pub(crate) fn new(body: IncomingBody, exact: bool) -> Self {
        let state = match body.stream() {
            Ok(stream) => State::Body(stream, body),
            Err(()) => State::Done,
        };
        Self { pollable: None, state, ahead: None, exact }
    }

    /// A body without a byte.
    pub(crate) fn empty() -> Self {
        Self { pollable: None, state: State::Done, ahead: None, exact: true }
    }

    /// Looks whether there is a body, or `trailers`, where these are looked for too: one that is over at once is none. Where
    /// that is not known, looks again when there is news, or after so many nanoseconds.
    pub(crate) fn look(&mut self, trailers: bool, patience: u64) -> Look {
        let look = self.look_once(trailers);
        if look == Look::Unknown && patience > 0 { self.look_again(trailers, patience) } else { look }
    }

    #[cold]
    fn look_again(&mut self, trailers: bool, patience: u64) -> Look {
        let timer = monotonic_clock::subscribe_instant(monotonic_clock::now().saturating_add(patience));
        let mut pollables = vec![&timer];
        pollables.extend(self.pollable());
        poll(&pollables);
        self.look_once(trailers)
    }

    fn look_once(&mut self, trailers: bool) -> Look {
        let read = if trailers { self.read() } else { self.read_body() };
        let is_at_end = read.is_none() && matches!(self.state, State::Ended(_));
        if is_at_end {
            self.state = State::Done;
        }
        Look::of(read, is_at_end, &mut self.ahead)
    }

    /// Whether a look found what the next read gives.
    pub(crate) fn is_ahead(&self) -> bool {
        self.ahead.is_some()
    }

    /// Reads what has come, without waiting: bytes, the end, or that it breaks off.
    pub(crate) fn read(&mut self) -> Option<Input> {
        if self.ahead.is_some() {
            return self.ahead.take();
        }
        let input = self.read_body();
        if input.is_some() {
            return input;
        }
        if let State::Ended(_) = self.state
            && let State::Ended(body) = std::mem::replace(&mut self.state, State::Done)
        {
            self.state = State::Trailers(IncomingBody::finish(body));
        }
        let trailers = match &self.state {
            State::Trailers(future) => future.get()?,
            State::Body(..) | State::Ended(_) => return None,
            State::Failed => return Some(Input::Broken),
            State::Done => return Some(Input::end(Vec::new())),
        };
        self.pollable = None;
        self.state = State::Done;
        match trailers {
            Ok(Ok(fields)) => Some(Input::end(fields.map(|fields| fields.entries()).unwrap_or_default())),
            Err(()) => Some(Input::end(Vec::new())),
            Ok(Err(_)) => {
                self.state = State::Failed;
                Some(Input::Broken)
            }
        }
    }

    /// The body bytes that are there, up to a piece's size. Where the body is over, the state says so.
    fn read_body(&mut self) -> Option<Input> {
        let State::Body(stream, _) = &self.state else { return None };
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
            State::Ended(_) if self.exact && !piece.is_empty() => {
                self.state = State::Done;
                Some(Input::Data(piece, true))
            }
            _ if !piece.is_empty() => Some(Input::Data(piece, false)),
            State::Failed => Some(Input::Broken),
            _ => None,
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

    /// Ready when [`read`](Self::read) has news, where that is to be waited for.
    pub(crate) fn pollable(&mut self) -> Option<&Pollable> {
        if self.pollable.is_none() {
            self.pollable = match &self.state {
                State::Body(stream, _) => Some(stream.subscribe()),
                State::Trailers(future) => Some(future.subscribe()),
                State::Ended(_) | State::Failed | State::Done => None,
            };
        }
        self.pollable.as_ref()
    }
}
