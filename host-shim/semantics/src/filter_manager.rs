//! How a message passes the filters: Envoy's filter manager.
//!
//! Both directions are alike, so the code is one: a request passes the plugins in their order, a response in the reverse
//! one. A message arrives as [`headers`](Chain::headers), any number of [`data`](Chain::data) and at most one
//! [`trailers`](Chain::trailers). Each is shown to one filter after the other, until one holds it as its return value says;
//! what the last one lets go leaves the chain ([`passing`](crate::passing)).
//!
//! What is held is held once for all filters: a filter that continues passes on what is there, and the next one may hold it
//! again.

use std::ops::ControlFlow;

use proxy_wasm_abi::callbacks::Id;

use crate::{
    chain::{Chain, Returned},
    environment::Guest,
    headers::HeaderMap,
    local_reply::LocalReply,
    router,
    state::Place,
    stream::{BodyView, Direction, Iteration},
};

/// Which bytes a data step is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// Those that just arrived.
    Chunk,
    /// Those held so far.
    Held,
}

/// What the filter's return value means for body bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum DataStatus {
    Continue,
    Buffer,
    Watermark,
    NoBuffer,
}

impl Direction {
    fn headers_callback(self) -> Id {
        match self {
            Self::Request => Id::RequestHeaders,
            Self::Response => Id::ResponseHeaders,
        }
    }

    fn body_callback(self) -> Id {
        match self {
            Self::Request => Id::RequestBody,
            Self::Response => Id::ResponseBody,
        }
    }

    fn trailers_callback(self) -> Id {
        match self {
            Self::Request => Id::RequestTrailers,
            Self::Response => Id::ResponseTrailers,
        }
    }
}

impl<G: Guest> Chain<G> {
    /// The places of a stream from this step of a message's way on.
    fn places(&self, stream: u32, direction: Direction, from: usize) -> impl Iterator<Item = Place> + use<G> {
        let count = self.len();
        (from..count).map(move |step| {
            let plugin = if direction == Direction::Request { step } else { count - 1 - step };
            Place { stream, plugin }
        })
    }

    /// Which step of a message's way this place is.
    pub(crate) fn step(&self, place: Place, direction: Direction) -> usize {
        if direction == Direction::Request { place.plugin } else { self.len() - 1 - place.plugin }
    }

    /// A head arrived.
    pub fn headers(&self, id: u32, direction: Direction, headers: HeaderMap, end: bool) {
        if !self.answered(id, direction) {
            self.receive_headers(id, direction, headers, end);
        }
    }

    fn answered(&self, id: u32, direction: Direction) -> bool {
        self.state.borrow().streams.get(id).is_some_and(|stream| stream.answered(direction))
    }

    /// A head arrived, or the head of a local response.
    pub(crate) fn receive_headers(&self, id: u32, direction: Direction, headers: HeaderMap, end: bool) {
        {
            let mut state = self.state.borrow_mut();
            let now = state.now();
            let Some(stream) = state.streams.get_mut(id) else { return };
            if stream.stopped(direction) {
                return;
            }
            if direction == Direction::Response {
                if !stream.local_reply {
                    stream.facts.response_code = router::status(&headers);
                }
                stream.facts.response_code_details.get_or_insert_with(|| "via_upstream".into());
            }
            stream.arrived(direction, end, now);
            stream.message(direction).headers = Some(headers);
        }
        self.headers_from(id, direction, 0, end);
    }

    /// Shows the head to the filters from this step on.
    pub(crate) fn headers_from(&self, id: u32, direction: Direction, from: usize, end: bool) {
        for place in self.places(id, direction, from) {
            if self.headers_step(place, direction, end).is_break() {
                return;
            }
        }
        self.pass_headers(id, direction, end);
    }

    fn headers_step(&self, place: Place, direction: Direction, end: bool) -> ControlFlow<()> {
        if direction == Direction::Request {
            self.create(place);
        }
        let count = {
            let mut state = self.state.borrow_mut();
            let Some(stream) = state.streams.get_mut(place.stream) else { return ControlFlow::Break(()) };
            let filter = &mut stream.filters[place.plugin];
            if direction == Direction::Response && !filter.created {
                // The request never came to it.
                filter.response.headers_continued = true;
                return ControlFlow::Continue(());
            }
            filter.end_of_stream = end;
            let (message, side) = stream.parts(direction, place.plugin);
            side.headers_live = true;
            side.end_shown = end;
            message.headers.as_ref().map_or(0, HeaderMap::len) as u32
        };
        let returned = self.call_stream(place, direction.headers_callback(), &[count, end.into()]);
        let iteration = self.headers_status(place.plugin, returned.as_ref());
        {
            let mut state = self.state.borrow_mut();
            let permissive = state.is_permissive();
            let Some(stream) = state.streams.get_mut(place.stream) else { return ControlFlow::Break(()) };
            if iteration == Iteration::Continue && !permissive {
                stream.parts(direction, place.plugin).1.headers_live = false;
            }
        }
        if let Some(returned) = returned {
            self.act(returned.actions);
        }
        let mut state = self.state.borrow_mut();
        let Some(stream) = state.streams.get_mut(place.stream) else { return ControlFlow::Break(()) };
        if stream.stopped(direction) {
            return ControlFlow::Break(());
        }
        let (_, side) = stream.parts(direction, place.plugin);
        if side.headers_continued {
            // The callback itself continued the stream. Envoy sends the head twice where it then returns Continue, and
            // holds the body forever where it returns Pause: here the stream just goes on.
            return ControlFlow::Break(());
        }
        side.iteration = iteration;
        side.headers_continued = iteration == Iteration::Continue;
        if side.headers_continued { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    fn headers_status(&self, plugin: usize, returned: Option<&Returned>) -> Iteration {
        let Some(returned) = returned else { return Iteration::Continue };
        if returned.stop {
            return Iteration::StopAll { watermark: true };
        }
        match returned.value {
            // 2 is the legacy ContinueAndEndStream, which Envoy takes as Continue.
            0 | 2 => Iteration::Continue,
            1 if self.state.borrow().settings.plugins[plugin].allow_on_headers_stop_iteration => Iteration::StopSingle,
            3 => Iteration::StopAll { watermark: false },
            _ => Iteration::StopAll { watermark: true },
        }
    }

    /// Body bytes arrived, or the end of a body without trailers (then there may be none).
    pub fn data(&self, id: u32, direction: Direction, bytes: Vec<u8>, end: bool) {
        if !self.answered(id, direction) {
            self.receive_data(id, direction, bytes, end);
        }
    }

    /// Body bytes arrived, or those of a local response.
    pub(crate) fn receive_data(&self, id: u32, direction: Direction, bytes: Vec<u8>, end: bool) {
        {
            let mut state = self.state.borrow_mut();
            let now = if end { state.now() } else { 0 };
            let Some(stream) = state.streams.get_mut(id) else { return };
            if stream.stopped(direction) {
                return;
            }
            stream.arrived(direction, end, now);
            let message = stream.message(direction);
            if direction == Direction::Request {
                message.body_bytes += bytes.len() as u64;
            }
            message.chunk = bytes.into();
        }
        self.data_from(id, direction, 0, Source::Chunk, end);
    }

    /// Shows body bytes to the filters from this step on.
    pub(crate) fn data_from(&self, id: u32, direction: Direction, from: usize, source: Source, mut end: bool) {
        let has_trailers = || {
            let mut state = self.state.borrow_mut();
            state.streams.get_mut(id).is_some_and(|stream| stream.message(direction).trailers.is_some())
        };
        let had_trailers = has_trailers();
        let mut adder = None;
        let mut passes = true;
        for place in self.places(id, direction, from) {
            if self.data_step(place, direction, source, end).is_break() {
                passes = false;
                break;
            }
            if adder.is_none() && !had_trailers && has_trailers() {
                adder = Some(place);
                end = false;
            }
        }
        if passes {
            self.pass_data(id, direction, source, end);
        }
        if let Some(place) = adder {
            self.trailers_from(id, direction, self.step(place, direction) + 1);
        }
    }

    /// Shows body bytes to a filter and does what it says; breaks off where they go no further from here.
    fn data_step(&self, place: Place, direction: Direction, source: Source, end: bool) -> ControlFlow<()> {
        const STOP: ControlFlow<()> = ControlFlow::Break(());
        let (size, had_trailers, too_large) = {
            let mut state = self.state.borrow_mut();
            let limit = state.settings.connection.buffer_limit as usize;
            let Some(stream) = state.streams.get_mut(place.stream) else { return STOP };
            if stream.stopped(direction) {
                return STOP;
            }
            let created = stream.filters[place.plugin].created;
            let (message, side) = stream.parts(direction, place.plugin);
            if let Iteration::StopAll { watermark } = side.iteration {
                message.streaming = watermark;
                message.hold_chunk();
                drop(state);
                self.check_limit(place.stream, direction);
                return STOP;
            }
            if side.end_shown {
                return STOP;
            }
            if !created {
                return ControlFlow::Continue(());
            }
            let had_trailers = message.trailers.is_some();
            side.end_shown = end && !had_trailers;
            side.view = match source {
                Source::Chunk => BodyView::Chunk,
                Source::Held => BodyView::Held,
            };
            let mut too_large = false;
            if side.buffering {
                message.streaming = false;
                message.hold_chunk();
                // The filter sees even so what there is of it.
                too_large = message.held_len() > limit;
            }
            stream.filters[place.plugin].end_of_stream = end;
            (stream.body(direction, place.plugin).map_or(0, |body| body.len()) as u32, had_trailers, too_large)
        };
        let mut returned = self.call_stream(place, direction.body_callback(), &[size, end.into()]);
        let status = data_status(returned.as_ref());
        // Continuing before the last bytes are held would leave them behind: that comes after.
        let continued = end && returned.as_mut().is_some_and(|returned| returned.take_continue(place, direction));
        let was_buffering = {
            let mut state = self.state.borrow_mut();
            let Some(stream) = state.streams.get_mut(place.stream) else { return STOP };
            let (_, side) = stream.parts(direction, place.plugin);
            if status != DataStatus::Buffer {
                side.view = BodyView::Absent;
            }
            std::mem::replace(&mut side.buffering, status == DataStatus::Buffer)
        };
        if let Some(returned) = returned {
            self.act(returned.actions);
        }
        let mut state = self.state.borrow_mut();
        let Some(stream) = state.streams.get_mut(place.stream) else { return STOP };
        if stream.stopped(direction) {
            return STOP;
        }
        if too_large {
            drop(state);
            self.local_reply(place.stream, LocalReply::too_large(direction));
            return STOP;
        }
        let (message, side) = stream.parts(direction, place.plugin);
        if status == DataStatus::Continue {
            if side.iteration != Iteration::StopSingle {
                // It asked to buffer, and was continued meanwhile: what came now is among what is held.
                if was_buffering && source == Source::Chunk {
                    message.chunk = message.held.as_mut().map(|held| held.take()).unwrap_or_default().into();
                }
                return ControlFlow::Continue(());
            }
            if source == Source::Chunk {
                message.hold_chunk();
            }
            drop(state);
            // The filter may have made what it buffered larger.
            if !was_buffering || self.check_limit(place.stream, direction) {
                self.resume(place, direction);
            }
            return STOP;
        }
        side.iteration = Iteration::StopSingle;
        let added_trailers = !had_trailers && message.trailers.is_some();
        if status == DataStatus::NoBuffer {
            message.changed |= !message.chunk.take().is_empty();
            if message.complete && message.trailers.is_none() {
                message.held.get_or_insert_default();
            }
        } else {
            message.streaming = status == DataStatus::Watermark;
            if source == Source::Chunk {
                message.hold_chunk();
            }
        }
        drop(state);
        // A body that got trailers is not held either.
        if self.check_limit(place.stream, direction) && (added_trailers || continued) {
            self.resume(place, direction);
        }
        STOP
    }

    /// Trailers arrived; the body before them had no end of its own.
    pub fn trailers(&self, id: u32, direction: Direction, trailers: HeaderMap) {
        {
            let mut state = self.state.borrow_mut();
            let now = state.now();
            let Some(stream) = state.streams.get_mut(id) else { return };
            if stream.stopped(direction) || stream.answered(direction) {
                return;
            }
            stream.arrived(direction, true, now);
            stream.message(direction).trailers = Some(trailers);
        }
        self.trailers_from(id, direction, 0);
    }

    /// Shows the trailers to the filters from this step on.
    pub(crate) fn trailers_from(&self, id: u32, direction: Direction, from: usize) {
        if self.state.borrow().streams.get(id).is_none_or(|stream| stream.stopped(direction)) {
            return;
        }
        for place in self.places(id, direction, from) {
            if self.trailers_step(place, direction).is_break() {
                return;
            }
        }
        self.pass_trailers(id, direction);
    }

    fn trailers_step(&self, place: Place, direction: Direction) -> ControlFlow<()> {
        const STOP: ControlFlow<()> = ControlFlow::Break(());
        let count = {
            let mut state = self.state.borrow_mut();
            let Some(stream) = state.streams.get_mut(place.stream) else { return STOP };
            let created = stream.filters[place.plugin].created;
            let (message, side) = stream.parts(direction, place.plugin);
            side.trailers_reached = true;
            if side.stopped_all() {
                return STOP;
            }
            if !created {
                return ControlFlow::Continue(());
            }
            side.trailers_live = true;
            message.trailers.as_ref().map_or(0, HeaderMap::len) as u32
        };
        let mut returned = self.call_stream(place, direction.trailers_callback(), &[count]);
        let continued = returned.as_mut().is_some_and(|returned| returned.take_continue(place, direction));
        let pass = returned.as_ref().is_none_or(|returned| (returned.value == 0 || continued) && !returned.stop);
        {
            let mut state = self.state.borrow_mut();
            let permissive = state.is_permissive();
            let Some(stream) = state.streams.get_mut(place.stream) else { return STOP };
            let (_, side) = stream.parts(direction, place.plugin);
            side.end_shown = true;
            if pass && !permissive {
                side.trailers_live = false;
            }
        }
        if let Some(returned) = returned {
            self.act(returned.actions);
        }
        let held = {
            let mut state = self.state.borrow_mut();
            let Some(stream) = state.streams.get_mut(place.stream) else { return STOP };
            if stream.stopped(direction) {
                return STOP;
            }
            let (_, side) = stream.parts(direction, place.plugin);
            if !pass {
                if side.iteration == Iteration::Continue {
                    side.iteration = Iteration::StopSingle;
                }
                return STOP;
            }
            side.iteration == Iteration::StopSingle
        };
        if held {
            self.resume(place, direction);
            return STOP;
        }
        ControlFlow::Continue(())
    }

    /// Answers 413 or 500 where more is held than the settings allow; tells whether the message goes on.
    fn check_limit(&self, id: u32, direction: Direction) -> bool {
        {
            let mut state = self.state.borrow_mut();
            let limit = state.settings.connection.buffer_limit as usize;
            let Some(stream) = state.streams.get_mut(id) else { return false };
            let message = stream.message(direction);
            if message.held_len() <= limit || message.streaming {
                return true;
            }
        }
        self.local_reply(id, LocalReply::too_large(direction));
        false
    }
}

fn data_status(returned: Option<&Returned>) -> DataStatus {
    match returned {
        None => DataStatus::Continue,
        Some(returned) if returned.stop => DataStatus::NoBuffer,
        Some(returned) => match returned.value {
            0 => DataStatus::Continue,
            1 => DataStatus::Buffer,
            2 => DataStatus::Watermark,
            _ => DataStatus::NoBuffer,
        },
    }
}
