//! A body on its way in: bytes as they come, then trailers.

use std::task::Poll;

use proxy_wasm_driver::{Input, Look};
use proxy_wasm_semantics::{HeaderMap, Kind, Request as Head};

use crate::{
    bindings::wasi::http::types::{Request, Response},
    canonical::{Incoming, TrailersReader, consume_request, consume_response},
};

/// Bytes that are read as one piece where they are there, as Envoy does, so that a filter that looks at each piece by itself
/// sees the same ones. As many may have come besides that the filters do not want yet.
const READ_BYTES: usize = 64 * 1024;

/// An incoming body.
pub(crate) struct Reader {
    state: State,
    /// The input that a look found, which the next read gives.
    ahead: Option<Input>,
    /// By when it ends the host says whether the end came with the last bytes.
    exact: bool,
}

/// A message in one piece.
pub(crate) enum Whole {
    Request(Request),
    Response(Response),
}

impl Whole {
    fn consume(self) -> Incoming {
        match self {
            Self::Request(request) => consume_request(request),
            Self::Response(response) => consume_response(response),
        }
    }
}

enum State {
    /// The message is still in one piece, and had this head.
    Whole(Whole, HeaderMap),
    Body(Incoming),
    /// All bytes were read.
    Trailers(TrailersReader),
    /// So they were, and the last of them wait for what follows.
    Last(Vec<u8>, TrailersReader),
    /// What follows them has come.
    Came(Input),
    /// Nothing more is read of it: it would look like the body's end.
    Failed,
    Done,
}

impl Reader {
    pub(crate) fn new(incoming: Incoming, exact: bool) -> Self {
        Self { state: State::Body(incoming), ahead: None, exact }
    }

    /// The body of a response with this head, which stays in one piece until somebody reads it.
    pub(crate) fn whole_response(response: Response, head: HeaderMap) -> Self {
        Self { state: State::Whole(Whole::Response(response), head), ahead: None, exact: false }
    }

    /// The same of a request.
    pub(crate) fn whole_request(request: Request, head: &Head) -> Self {
        let pseudo: [(&[u8], &[u8]); 4] = [
            (b":method", &head.method),
            (b":scheme", &head.scheme),
            (b":authority", &head.authority),
            (b":path", &head.path),
        ];
        let fields = head.headers.iter().map(|(name, value)| (&**name, &**value));
        let came = HeaderMap::from_pairs(Kind::Request, pseudo.into_iter().chain(fields));
        Self { state: State::Whole(Whole::Request(request), came), ahead: None, exact: false }
    }

    /// Whether nothing was read of it, so that it can be handed on as it is.
    pub(crate) fn is_unread(&self) -> bool {
        match &self.state {
            State::Whole(..) => true,
            State::Body((body, ..)) => body.is_unread(),
            State::Trailers(_) | State::Last(..) | State::Came(_) | State::Failed | State::Done => false,
        }
    }

    /// The body, for another to read, where it is unread.
    pub(crate) fn hand_on(self) -> Option<Incoming> {
        match self.state {
            State::Whole(message, _) => Some(message.consume()),
            State::Body(incoming) => Some(incoming),
            State::Trailers(_) | State::Last(..) | State::Came(_) | State::Failed | State::Done => None,
        }
    }

    /// Whether it belongs to a message in one piece.
    pub(crate) fn is_in_one_piece(&self) -> bool {
        matches!(self.state, State::Whole(..))
    }

    /// Whether it belongs to a message in one piece whose fields are those of this head: what else is in it can be set.
    pub(crate) fn is_whole(&self, head: &HeaderMap) -> bool {
        let is_field = |(name, _): &(&[u8], &[u8])| !name.starts_with(b":");
        matches!(&self.state, State::Whole(_, came) if came.iter().filter(is_field).eq(head.iter().filter(is_field)))
    }

    /// The message, where it is in one piece, and the head that it had.
    pub(crate) fn into_whole(self) -> Option<(Whole, HeaderMap)> {
        match self.state {
            State::Whole(message, head) => Some((message, head)),
            State::Body(_) | State::Trailers(_) | State::Last(..) | State::Came(_) | State::Failed | State::Done => {
                None
            }
        }
    }

    /// Looks whether there is a body, or `trailers`, where these are looked for too: one that is over at once is none.
    pub(crate) fn look(&mut self, trailers: bool) -> Look {
        let read = if trailers { self.read() } else { self.read_body() };
        let is_at_end = read.is_none() && !trailers && matches!(self.state, State::Trailers(_) | State::Done);
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
        match std::mem::replace(&mut self.state, State::Done) {
            State::Last(piece, trailers) => return self.last(piece, trailers),
            State::Came(input) => return Some(input),
            state => self.state = state,
        }
        let outcome = match &mut self.state {
            State::Whole(..) | State::Body(_) | State::Last(..) | State::Came(_) => return None,
            State::Trailers(trailers) => trailers.poll(),
            State::Failed => return Some(Input::Broken),
            State::Done => return Some(Input::end(Vec::new())),
        };
        match outcome {
            Poll::Pending => None,
            Poll::Ready(Ok(fields)) => {
                self.state = State::Done;
                Some(Input::end(fields.map(|fields| fields.copy_all()).unwrap_or_default()))
            }
            Poll::Ready(Err(_)) => {
                self.state = State::Failed;
                Some(Input::Broken)
            }
        }
    }

    /// The body bytes that are there, up to a piece's size. Where the body is over, the state says so.
    fn read_body(&mut self) -> Option<Input> {
        if let State::Whole(..) = self.state
            && let State::Whole(message, _) = std::mem::replace(&mut self.state, State::Done)
        {
            self.state = State::Body(message.consume());
        }
        let State::Body((body, _, receipt)) = &mut self.state else { return None };
        // Nobody waits for what becomes of a body that is read here, and its end comes the sooner.
        *receipt = None;
        let mut piece = Vec::new();
        while piece.len() < READ_BYTES {
            match body.poll(READ_BYTES - piece.len()) {
                Poll::Ready(Some(bytes)) if piece.is_empty() => piece = bytes,
                Poll::Ready(Some(bytes)) => piece.extend_from_slice(&bytes),
                Poll::Ready(None) => {
                    if let State::Body((_, trailers, _)) = std::mem::replace(&mut self.state, State::Done) {
                        self.state = State::Trailers(trailers);
                    }
                    break;
                }
                Poll::Pending => break,
            }
        }
        if piece.is_empty() {
            return None;
        }
        match std::mem::replace(&mut self.state, State::Done) {
            State::Trailers(trailers) if self.exact => self.last(piece, trailers),
            state => {
                self.state = state;
                Some(Input::Data(piece, false))
            }
        }
    }

    /// The last bytes, as soon as it is known whether the end came with them, or trailers follow.
    fn last(&mut self, piece: Vec<u8>, mut trailers: TrailersReader) -> Option<Input> {
        let (state, ends) = match trailers.poll() {
            Poll::Pending => {
                self.state = State::Last(piece, trailers);
                return None;
            }
            Poll::Ready(Ok(None)) => (State::Done, true),
            Poll::Ready(Ok(Some(fields))) => (State::Came(Input::end(fields.copy_all())), false),
            Poll::Ready(Err(_)) => (State::Failed, false),
        };
        self.state = state;
        Some(Input::Data(piece, ends))
    }

    /// From now on the task that runs is told of what comes, if anything is to come.
    pub(crate) fn wait_here(&mut self) -> bool {
        match &mut self.state {
            State::Body((body, ..)) => body.wait_here(),
            State::Trailers(trailers) | State::Last(_, trailers) => trailers.wait_here(),
            State::Whole(..) | State::Came(_) | State::Failed | State::Done => false,
        }
    }

    /// The task that runs is told of it no more: it ends.
    pub(crate) fn part(&mut self) {
        match &mut self.state {
            State::Body((body, ..)) => body.part(),
            State::Trailers(trailers) | State::Last(_, trailers) => trailers.part(),
            State::Whole(..) | State::Came(_) | State::Failed | State::Done => {}
        }
    }
}
