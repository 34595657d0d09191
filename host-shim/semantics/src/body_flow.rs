//! How a body goes from filter to filter, and what is held of it.
//!
//! What is held is held once for all filters: one that continues passes on what is there, and the next one may hold it
//! again.

use std::ops::ControlFlow;

use proxy_wasm_abi::callbacks::Id;

use crate::{
    chain::{Chain, Returned},
    environment::Guest,
    local_reply::LocalReply,
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
    fn body_callback(self) -> Id {
        match self {
            Self::Request => Id::RequestBody,
            Self::Response => Id::ResponseBody,
        }
    }
}

impl<G: Guest> Chain<G> {
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
            let now = if end { state.fact_time() } else { 0 };
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
            state.progressed = true;
            let set = state.settings.connection.buffer_limit;
            let Some(stream) = state.streams.get_mut(place.stream) else { return STOP };
            if stream.stopped(direction) {
                return STOP;
            }
            let limit = stream.buffer_limit(set);
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
            self.refuse_body(place.stream, direction);
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

    /// Answers 413 or 500 where more is held than the settings allow; tells whether the message goes on.
    fn check_limit(&self, id: u32, direction: Direction) -> bool {
        {
            let mut state = self.state.borrow_mut();
            let set = state.settings.connection.buffer_limit;
            let Some(stream) = state.streams.get_mut(id) else { return false };
            let limit = stream.buffer_limit(set);
            let message = stream.message(direction);
            if message.held_len() <= limit || message.streaming {
                return true;
            }
        }
        self.refuse_body(id, direction);
        false
    }
}

impl<G: Guest> Chain<G> {
    /// Answers 413 or 500, as more is held of a body than may be.
    #[cold]
    fn refuse_body(&self, id: u32, direction: Direction) {
        let text = "[warn] refused: a filter holds more of a body than `--buffer-limit` (16 MiB over HTTP/2)";
        self.state.borrow().host.log(text);
        self.local_reply(id, LocalReply::too_large(direction));
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
