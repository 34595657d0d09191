//! One filter's side of one message: how far the filter lets the message go, and which parts of it the filter may touch.
//!
//! ```text
//!                        AwaitsHead
//!                             │
//!                the headers callback returns
//!          Continue           │ StopIteration      any other
//!       ┌─────────────────────┼──────────────────────┐
//!       │                     ▼                      ▼
//!       │                 HoldsHead              HoldsAll
//!       │            (sees what arrives)     (sees nothing of it)
//!       │   the filter        │                      │
//!       │   continues         │                      │
//!       ▼                     │                      │
//!     Passes ◄────────────────┴──────────────────────┘
//!       │  ▲
//!       │  │ the filter continues, or lets a later piece pass
//!       ▼  │
//!     HoldsRest    a body or trailers callback returned a pause
//! ```
//!
//! Envoy has this in two fields, which it sets apart: `iteration_state_` and `headers_continued_` of
//! `ActiveStreamFilterBase`. The states here are the combinations that occur.

use super::{
    Direction,
    message::{MapKind, PastLimit, Source},
};
use crate::vm::VM_CONTEXT;

/// How far a filter lets a message go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Iteration {
    /// The filter has not decided about the head yet.
    #[default]
    AwaitsHead,
    /// All that comes goes on, the head included.
    Passes,
    /// The head is held, and the filter sees the body all the same. (`StopSingleIteration`)
    HoldsHead,
    /// All is held, and the filter sees nothing until it continues. (`StopAllBuffer`, `StopAllWatermark`)
    HoldsAll(PastLimit),
    /// The head went on, and body or trailers are held. (`StopSingleIteration`)
    HoldsRest,
}

impl Iteration {
    fn head_went_on(self) -> bool {
        matches!(self, Self::Passes | Self::HoldsRest)
    }
}

/// How much of a message a filter has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Seen {
    /// Not its end.
    #[default]
    Part,
    /// Its end: nothing more is shown of a body. (Envoy's `end_stream_`)
    End,
}

/// How far the trailers came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Trailers {
    /// Not to this filter: they are still to come, or an earlier filter holds them.
    #[default]
    Elsewhere,
    /// To this filter, which made them, sees them, or holds everything.
    Here,
}

/// The parts of a message that a filter may touch now.
///
/// This is not an enum. Envoy's context has a pointer for each (`request_headers_`, `request_body_buffer_`,
/// `request_trailers_`), and any of them can be set together: a head held by `StopIteration` stays open while the body
/// arrives (`proxy_on_request_headers/a-held-map-can-be-changed`), and trailers can be added in the last body callback
/// (`proxy_on_request_trailers/made-at-the-end-of-a-body`).
#[derive(Debug, Default)]
struct Access {
    headers: bool,
    body: Option<Source>,
    trailers: bool,
}

/// A filter's side of a message.
#[derive(Debug, Default)]
pub(crate) struct Side {
    iteration: Iteration,
    seen: Seen,
    trailers: Trailers,
    access: Access,
    /// The latest body callback asked to buffer, so the next one is about everything held. (`buffering_request_body_`)
    buffers: bool,
}

impl Side {
    /// The head is shown to the filter.
    pub(crate) fn show_head(&mut self, end: bool) {
        self.access.headers = true;
        self.seen = if end { Seen::End } else { Seen::Part };
    }

    /// The head passes by the filter, which does not know of the stream.
    pub(crate) fn skip_head(&mut self) {
        self.iteration = Iteration::Passes;
    }

    /// The filter lets the head go, so it may touch it no more.
    pub(crate) fn close_head(&mut self) {
        self.access.headers = false;
    }

    /// The headers callback has returned, and what it asked for is done. Returns whether the head goes on now.
    pub(crate) fn decide_head(&mut self, iteration: Iteration) -> bool {
        // The callback itself continued the stream. Envoy sends the head twice if it then returns Continue, and holds the
        // body forever if it returns Pause: here the stream just goes on.
        if self.iteration.head_went_on() {
            return false;
        }
        self.iteration = iteration;
        iteration == Iteration::Passes
    }

    /// The filter sees nothing until it continues; then what happens past the buffer limit.
    pub(crate) fn holds_all(&self) -> Option<PastLimit> {
        match self.iteration {
            Iteration::HoldsAll(past_limit) => Some(past_limit),
            _ => None,
        }
    }

    /// A callback held something, and what comes later waits behind it.
    pub(crate) fn holds(&self) -> bool {
        matches!(self.iteration, Iteration::HoldsHead | Iteration::HoldsRest)
    }

    /// The filter holds what it was shown.
    pub(crate) fn hold(&mut self) {
        self.iteration = if self.iteration.head_went_on() { Iteration::HoldsRest } else { Iteration::HoldsHead };
    }

    /// Nothing is held here: there is nothing to resume.
    pub(crate) fn passes(&self) -> bool {
        self.iteration == Iteration::Passes
    }

    pub(crate) fn head_went_on(&self) -> bool {
        self.iteration.head_went_on()
    }

    /// The filter continues. Returns the state that it leaves.
    pub(crate) fn resume(&mut self) -> Iteration {
        std::mem::replace(&mut self.iteration, Iteration::Passes)
    }

    pub(crate) fn has_seen_end(&self) -> bool {
        self.seen == Seen::End
    }

    /// The body buffer is shown to the filter.
    pub(crate) fn show_body(&mut self, source: Source, is_end: bool) {
        self.access.body = Some(source);
        if is_end {
            self.seen = Seen::End;
        }
    }

    /// Whether the next body callback is about everything held.
    pub(crate) fn buffers(&self) -> bool {
        self.buffers
    }

    /// The body callback has returned. If it asked to buffer, the filter may go on touching what is held.
    pub(crate) fn close_body(&mut self, buffers: bool) {
        self.buffers = buffers;
        self.access.body = self.access.body.filter(|_| buffers).map(|_| Source::Held);
    }

    /// The trailers came as far as this filter.
    pub(crate) fn reach_trailers(&mut self) {
        self.trailers = Trailers::Here;
    }

    pub(crate) fn reached_trailers(&self) -> bool {
        self.trailers == Trailers::Here
    }

    /// The trailers are shown to the filter.
    pub(crate) fn show_trailers(&mut self) {
        self.access.trailers = true;
    }

    /// The filter made the trailers.
    pub(crate) fn make_trailers(&mut self) {
        self.reach_trailers();
        self.show_trailers();
    }

    /// The trailers callback has returned: the filter has seen all of the message.
    pub(crate) fn close_trailers(&mut self, passes: bool) {
        self.seen = Seen::End;
        self.access.trailers &= !passes;
    }

    /// The filter may touch nothing any more.
    pub(crate) fn close(&mut self) {
        self.access = Access::default();
    }

    /// The body buffer that the filter may touch now.
    pub(crate) fn open_body(&self) -> Option<Source> {
        self.access.body
    }

    /// Whether the filter may touch this map now.
    pub(crate) fn is_open(&self, map: MapKind) -> bool {
        match map {
            MapKind::Headers => self.access.headers,
            MapKind::Trailers => self.access.trailers,
        }
    }
}

/// Whether a plugin's filter knows of the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Presence {
    /// No: the request has not come to it. A response passes by it.
    #[default]
    Unknown,
    /// Since `proxy_on_context_create`.
    Created,
    /// `proxy_on_log` runs: it reads the maps of the whole exchange, and changes none. (Envoy's `access_log_phase_`)
    Logging,
    /// It never does: its route leaves the plugin out.
    LeftOut,
}

/// A plugin's stream context: its part in an exchange.
#[derive(Debug)]
pub(crate) struct StreamContext {
    vm: usize,
    context: u32,
    presence: Presence,
    request: Side,
    response: Side,
    /// `end_of_stream` of the latest callback, of either message: Envoy's context has one `end_of_stream_` for both.
    end_of_stream: bool,
    /// The property names that the filter declared.
    pub(crate) declared_properties: Vec<Vec<u8>>,
}

impl StreamContext {
    pub(crate) fn new(vm: usize, context: u32) -> Self {
        Self {
            vm,
            context,
            presence: Presence::Unknown,
            request: Side::default(),
            response: Side::default(),
            end_of_stream: false,
            declared_properties: Vec::new(),
        }
    }

    /// That of a plugin that never hears of the stream, and so has no id.
    pub(crate) fn left_out(vm: usize) -> Self {
        Self { presence: Presence::LeftOut, ..Self::new(vm, VM_CONTEXT) }
    }

    /// The id by which the filter can be called.
    pub(crate) fn called(&self) -> Option<u32> {
        (self.presence != Presence::LeftOut).then_some(self.context)
    }

    /// Its id, which is one of this virtual machine's; the machine's own where it has none.
    pub(crate) fn id(&self) -> (usize, u32) {
        (self.vm, self.context)
    }

    /// The filter is about to hear of the stream. Returns whether it does so for the first time.
    pub(crate) fn create(&mut self) -> bool {
        let is_new = self.presence == Presence::Unknown;
        if is_new {
            self.presence = Presence::Created;
        }
        is_new
    }

    pub(crate) fn is_created(&self) -> bool {
        self.presence != Presence::Unknown
    }

    /// `proxy_on_log` begins, or has returned.
    pub(crate) fn set_logging(&mut self, logging: bool) {
        if self.presence != Presence::LeftOut {
            self.presence = if logging { Presence::Logging } else { Presence::Created };
        }
    }

    pub(crate) fn is_logging(&self) -> bool {
        self.presence == Presence::Logging
    }

    /// Whether the filter may read this map now.
    pub(crate) fn shows(&self, direction: Direction, map: MapKind) -> bool {
        self.is_logging() || self.side(direction).is_open(map)
    }

    /// A callback is about to say this.
    pub(crate) fn say_end_of_stream(&mut self, end: bool) {
        self.end_of_stream = end;
    }

    pub(crate) fn was_told_end_of_stream(&self) -> bool {
        self.end_of_stream
    }

    pub(crate) fn side(&self, direction: Direction) -> &Side {
        match direction {
            Direction::Request => &self.request,
            Direction::Response => &self.response,
        }
    }

    pub(crate) fn side_mut(&mut self, direction: Direction) -> &mut Side {
        match direction {
            Direction::Request => &mut self.request,
            Direction::Response => &mut self.response,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Iteration::*, *};

    fn side(iteration: Iteration) -> Side {
        Side { iteration, ..Side::default() }
    }

    /// The states that deciding about the head, holding and resuming lead to.
    fn next(from: Iteration) -> [Iteration; 3] {
        let (mut decided, mut held, mut resumed) = (side(from), side(from), side(from));
        decided.decide_head(HoldsAll(PastLimit::Refuse));
        held.hold();
        resumed.resume();
        [decided.iteration, held.iteration, resumed.iteration]
    }

    #[test]
    fn the_picture_is_what_happens() {
        const ALL: Iteration = HoldsAll(PastLimit::Refuse);
        assert_eq!(next(AwaitsHead), [ALL, HoldsHead, Passes]);
        // A head that went on is decided about no more.
        assert_eq!(next(Passes), [Passes, HoldsRest, Passes]);
        assert_eq!(next(HoldsRest), [HoldsRest, HoldsRest, Passes]);
        assert_eq!(next(HoldsHead), [ALL, HoldsHead, Passes]);
    }

    #[test]
    fn a_filter_that_buffers_keeps_touching_what_is_held() {
        let mut side = side(Passes);
        side.show_body(Source::Chunk, false);
        side.close_body(true);
        assert_eq!(side.open_body(), Some(Source::Held));
        side.close_body(false);
        assert_eq!(side.open_body(), None);
    }

    #[test]
    fn a_callback_that_closed_everything_and_buffers_touches_nothing() {
        let mut side = side(Passes);
        side.show_body(Source::Chunk, false);
        side.close();
        side.close_body(true);
        assert_eq!(side.open_body(), None);
    }

    #[test]
    fn several_parts_are_open_together() {
        let mut side = side(AwaitsHead);
        side.show_head(false);
        side.decide_head(HoldsHead);
        side.show_body(Source::Chunk, true);
        side.make_trailers();
        assert!(side.is_open(MapKind::Headers) && side.is_open(MapKind::Trailers) && side.open_body().is_some());
    }
}
