//! A message of an exchange, as all plugins see it.
//!
//! ```text
//!   Open ──── its last piece arrives ───► Complete ──── its end leaves the last filter ───► Passed
//! ```
//!
//! Body bytes are in one of two buffers: the *chunk* just arrived and is on its way through the filters; what filters
//! *hold* stays, for all filters together, until the one that holds it continues.

use crate::{
    body::Body,
    headers::{HeaderMap, Kind},
};

/// How much of a message there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Arrival {
    /// More can arrive.
    #[default]
    Open,
    /// All of it has arrived.
    Complete,
    /// Its end left the last filter, too.
    Passed,
}

/// The consequence of holding more of a body than the buffer limit. The latest filter that held some of it
/// chooses: Envoy keeps one such choice for all filters (`decoder_filters_streaming_`, `encoder_filters_streaming_`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum PastLimit {
    /// The exchange is answered 413 or 500.
    #[default]
    Refuse,
    /// No more is read, until the filter continues.
    StopReading,
}

/// How much of a body may be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// So many bytes. What happens past them is a filter's choice.
    UpTo(usize),
    /// Nothing: the bodies of all exchanges together have all that is there. Nobody waits for room that others may never
    /// make: the exchange is answered 413 or 500, whatever a filter chose.
    None,
}

impl Room {
    pub(crate) fn is_passed_by(self, held: usize) -> bool {
        match self {
            Self::UpTo(limit) => held > limit,
            Self::None => held > 0,
        }
    }
}

/// Which of a message's buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The bytes that just arrived.
    Chunk,
    /// All bytes held so far.
    Held,
}

/// A message of the exchange.
#[derive(Debug, Default)]
pub(crate) struct Message {
    headers: Option<HeaderMap>,
    trailers: Option<HeaderMap>,
    chunk: Body,
    /// Stays, empty, once there were any: then a resumed message ends with body bytes, perhaps none, not with its head.
    held: Option<Body>,
    arrival: Arrival,
    past_limit: PastLimit,
    /// There was no memory for all that was to be held.
    cut: bool,
    changed: bool,
    body_bytes: u64,
}

impl Message {
    pub(crate) fn headers(&self) -> Option<&HeaderMap> {
        self.headers.as_ref()
    }

    pub(crate) fn trailers(&self) -> Option<&HeaderMap> {
        self.trailers.as_ref()
    }

    /// The head or the trailers.
    pub(crate) fn map(&self, kind: MapKind) -> Option<&HeaderMap> {
        match kind {
            MapKind::Headers => self.headers(),
            MapKind::Trailers => self.trailers(),
        }
    }

    /// The same, to change them.
    pub(crate) fn map_mut(&mut self, kind: MapKind) -> Option<&mut HeaderMap> {
        match kind {
            MapKind::Headers => self.headers.as_mut(),
            MapKind::Trailers => self.trailers.as_mut(),
        }
    }

    pub(crate) fn set_headers(&mut self, headers: HeaderMap) {
        self.headers = Some(headers);
    }

    pub(crate) fn set_trailers(&mut self, trailers: HeaderMap) {
        self.trailers = Some(trailers);
    }

    /// A filter gives the message trailers of its own.
    pub(crate) fn add_trailers(&mut self) {
        self.trailers = Some(HeaderMap::new(Kind::Trailers));
    }

    /// All of it has arrived.
    pub(crate) fn complete(&mut self) {
        self.arrival = self.arrival.max(Arrival::Complete);
    }

    /// Its end left the last filter.
    pub(crate) fn pass(&mut self) {
        self.arrival = Arrival::Passed;
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.arrival >= Arrival::Complete
    }

    pub(crate) fn is_passed(&self) -> bool {
        self.arrival == Arrival::Passed
    }

    /// All of it has arrived, and a body is its end, or its head.
    pub(crate) fn ends_without_trailers(&self) -> bool {
        self.is_complete() && self.trailers.is_none()
    }

    /// Body bytes arrived.
    pub(crate) fn receive(&mut self, bytes: Vec<u8>) {
        self.chunk = bytes.into();
    }

    pub(crate) fn body_mut(&mut self, source: Source) -> &mut Body {
        match source {
            Source::Chunk => &mut self.chunk,
            Source::Held => self.held.get_or_insert_default(),
        }
    }

    /// Takes the bytes out of a buffer.
    pub(crate) fn take(&mut self, source: Source) -> Vec<u8> {
        match source {
            Source::Chunk => self.chunk.take(),
            Source::Held => self.held.as_mut().map(Body::take).unwrap_or_default(),
        }
    }

    /// Chooses what happens where more is held than may be.
    pub(crate) fn choose(&mut self, past_limit: PastLimit) {
        self.past_limit = past_limit;
    }

    /// Moves bytes to those held, where they are not yet.
    pub(crate) fn hold(&mut self, source: Source) {
        if source == Source::Chunk {
            let chunk = self.chunk.take();
            self.cut |= self.held.get_or_insert_default().append(chunk).is_err();
        }
    }

    /// Whether there are bytes that just arrived.
    pub(crate) fn has_chunk(&self) -> bool {
        !self.chunk.is_empty()
    }

    /// There was no memory for all that was to be held.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut
    }

    /// Drops the bytes that just arrived. Where they were the end of the message, an empty body is held in their place,
    /// for otherwise nothing could carry the end when the filter continues.
    pub(crate) fn drop_chunk(&mut self) {
        self.changed |= !self.chunk.take().is_empty();
        if self.ends_without_trailers() {
            self.held.get_or_insert_default();
        }
    }

    /// Makes what is held the bytes that just arrived.
    pub(crate) fn unhold(&mut self) {
        self.chunk = self.take(Source::Held).into();
    }

    pub(crate) fn has_held(&self) -> bool {
        self.held.is_some()
    }

    pub(crate) fn held_len(&self) -> usize {
        self.held.as_ref().map_or(0, Body::len)
    }

    /// Whether more is held than may be, and the exchange is answered for it.
    pub(crate) fn is_too_large(&self, room: Room) -> bool {
        let is_refused = room == Room::None || self.past_limit == PastLimit::Refuse;
        self.cut || (is_refused && room.is_passed_by(self.held_len()))
    }

    /// Whether more of it can be taken in.
    pub(crate) fn wants_more(&self, limit: usize) -> bool {
        !self.is_complete() && (self.held_len() <= limit || self.past_limit == PastLimit::Refuse)
    }

    /// A filter changed body bytes.
    pub(crate) fn change(&mut self) {
        self.changed = true;
    }

    pub(crate) fn is_changed(&self) -> bool {
        self.changed
    }

    /// Counts body bytes, as Envoy does: a request's when they arrive, a response's when they are sent.
    pub(crate) fn count(&mut self, bytes: usize) {
        self.body_bytes += bytes as u64;
    }

    /// Request: bytes received. Response: bytes sent. (The properties `request.size` and `response.size`.)
    pub(crate) fn body_bytes(&self) -> u64 {
        self.body_bytes
    }
}

/// One of a message's two maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MapKind {
    Headers,
    Trailers,
}
