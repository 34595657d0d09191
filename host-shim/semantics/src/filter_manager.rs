//! How a message comes to the filter: Envoy's filter manager for one filter and the hop behind it.
//!
//! Both directions are alike, so the code is one. A message arrives as [`headers`](Plugin::headers), any number of
//! [`data`](Plugin::data) and at most one [`trailers`](Plugin::trailers); each is shown to the filter unless it stopped
//! everything, and passed on ([`passing`](crate::passing)) or held as the filter's return value says.

use proxy_wasm_abi::callbacks::Id;

use crate::{
    environment::Guest,
    headers::HeaderMap,
    local_reply::LocalReply,
    plugin::{Plugin, Returned},
    router,
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

impl<G: Guest> Plugin<G> {
    /// A head arrived.
    pub fn headers(&self, id: u32, direction: Direction, headers: HeaderMap, end: bool) {
        if !self.answered(id, direction) {
            self.receive_headers(id, direction, headers, end);
        }
    }

    fn answered(&self, id: u32, direction: Direction) -> bool {
        self.vm.borrow().streams.get(id).is_some_and(|stream| stream.answered(direction))
    }

    /// A head arrived, or the head of a local response.
    pub(crate) fn receive_headers(&self, id: u32, direction: Direction, headers: HeaderMap, end: bool) {
        let count = headers.len() as u32;
        {
            let mut vm = self.vm.borrow_mut();
            let now = vm.now();
            let Some(stream) = vm.streams.get_mut(id) else { return };
            if stream.stopped(direction) {
                return;
            }
            if direction == Direction::Response {
                if !stream.local_reply {
                    stream.facts.response_code = router::status(&headers);
                }
                stream.facts.response_code_details.get_or_insert_with(|| "via_upstream".into());
            }
            stream.end_of_stream = end;
            stream.arrived(direction, end, now);
            let message = stream.message(direction);
            message.headers = Some(headers);
            message.headers_live = true;
            message.end_shown = end;
        }
        let returned = self.call(id, direction.headers_callback(), &[id, count, end.into()]);
        let iteration = self.headers_status(returned.as_ref());
        {
            let mut vm = self.vm.borrow_mut();
            let Some(stream) = vm.streams.get_mut(id) else { return };
            if iteration == Iteration::Continue {
                stream.message(direction).headers_live = false;
            }
        }
        if let Some(returned) = returned {
            self.act(returned.actions);
        }
        let pass = {
            let mut vm = self.vm.borrow_mut();
            let Some(stream) = vm.streams.get_mut(id) else { return };
            if stream.stopped(direction) {
                return;
            }
            let message = stream.message(direction);
            if message.headers_continued {
                // The callback itself continued the stream. Envoy sends the head twice where it then returns Continue,
                // and holds the body forever where it returns Pause: here the stream just goes on.
                return;
            }
            message.iteration = iteration;
            message.headers_continued = iteration == Iteration::Continue;
            message.headers_continued
        };
        if pass {
            self.pass_headers(id, direction, end);
        }
    }

    fn headers_status(&self, returned: Option<&Returned>) -> Iteration {
        let Some(returned) = returned else { return Iteration::Continue };
        if returned.stop {
            return Iteration::StopAll { watermark: true };
        }
        match returned.value {
            // 2 is the legacy ContinueAndEndStream, which Envoy takes as Continue.
            0 | 2 => Iteration::Continue,
            1 if self.vm.borrow().settings.plugin.allow_on_headers_stop_iteration => Iteration::StopSingle,
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
            let mut vm = self.vm.borrow_mut();
            let now = if end { vm.now() } else { 0 };
            let Some(stream) = vm.streams.get_mut(id) else { return };
            if stream.stopped(direction) {
                return;
            }
            stream.arrived(direction, end, now);
            let message = stream.message(direction);
            if direction == Direction::Request {
                message.body_bytes += bytes.len() as u64;
            }
            if let Iteration::StopAll { watermark } = message.iteration {
                message.streaming = watermark;
                message.hold(bytes);
                drop(vm);
                self.check_limit(id, direction);
                return;
            }
            if message.end_shown {
                return;
            }
            if message.buffering {
                message.streaming = false;
                message.hold(bytes);
            } else {
                message.chunk = bytes.into();
            }
        }
        if self.check_limit(id, direction) {
            self.data_step(id, direction, Source::Chunk, end);
        }
    }

    /// Shows body bytes to the filter and does what it says.
    pub(crate) fn data_step(&self, id: u32, direction: Direction, source: Source, end: bool) {
        let (size, had_trailers) = {
            let mut vm = self.vm.borrow_mut();
            let Some(stream) = vm.streams.get_mut(id) else { return };
            stream.end_of_stream = end;
            let message = stream.message(direction);
            message.end_shown = end && message.trailers.is_none();
            message.view = match source {
                Source::Chunk => BodyView::Chunk,
                Source::Held => BodyView::Held,
            };
            (message.body().map_or(0, |body| body.len()) as u32, message.trailers.is_some())
        };
        let mut returned = self.call(id, direction.body_callback(), &[id, size, end.into()]);
        let status = data_status(returned.as_ref());
        // Continuing before the last bytes are held would leave them behind: that comes after.
        let continued = end && returned.as_mut().is_some_and(|returned| returned.take_continue(id, direction));
        let was_buffering = {
            let mut vm = self.vm.borrow_mut();
            let Some(stream) = vm.streams.get_mut(id) else { return };
            let message = stream.message(direction);
            let was_buffering = message.buffering;
            message.buffering = status == DataStatus::Buffer;
            if status != DataStatus::Buffer {
                message.view = BodyView::Absent;
            }
            was_buffering
        };
        if let Some(returned) = returned {
            self.act(returned.actions);
        }
        let mut vm = self.vm.borrow_mut();
        let Some(stream) = vm.streams.get_mut(id) else { return };
        if stream.stopped(direction) {
            return;
        }
        let message = stream.message(direction);
        if status == DataStatus::Continue {
            if message.iteration == Iteration::StopSingle {
                if source == Source::Chunk {
                    let chunk = message.chunk.take();
                    message.hold(chunk);
                }
                drop(vm);
                // The filter may have made what it buffered larger.
                if !was_buffering || self.check_limit(id, direction) {
                    self.resume(id, direction);
                }
                return;
            }
            let mut bytes = message.held.as_mut().map(|held| held.take()).unwrap_or_default();
            if bytes.is_empty() {
                bytes = message.chunk.take();
            } else {
                bytes.extend(message.chunk.take());
            }
            let added_trailers = !had_trailers && message.trailers.is_some();
            drop(vm);
            self.pass_data(id, direction, bytes, end && !added_trailers);
            if added_trailers {
                self.pass_trailers(id, direction);
            }
            return;
        }
        message.iteration = Iteration::StopSingle;
        let added_trailers = !had_trailers && message.trailers.is_some();
        if status == DataStatus::NoBuffer {
            message.changed |= !message.chunk.take().is_empty();
            if message.complete && message.trailers.is_none() {
                message.held.get_or_insert_default();
            }
        } else {
            message.streaming = status == DataStatus::Watermark;
            if source == Source::Chunk {
                let chunk = message.chunk.take();
                message.hold(chunk);
            }
        }
        drop(vm);
        // A body that got trailers is not held either.
        if self.check_limit(id, direction) && (added_trailers || continued) {
            self.resume(id, direction);
        }
    }

    /// Trailers arrived; the body before them had no end of its own.
    pub fn trailers(&self, id: u32, direction: Direction, trailers: HeaderMap) {
        {
            let mut vm = self.vm.borrow_mut();
            let now = vm.now();
            let Some(stream) = vm.streams.get_mut(id) else { return };
            if stream.stopped(direction) || stream.answered(direction) {
                return;
            }
            stream.arrived(direction, true, now);
            let message = stream.message(direction);
            message.trailers = Some(trailers);
            if message.stopped_all() {
                return;
            }
        }
        self.trailers_step(id, direction);
    }

    /// Shows the trailers to the filter and does what it says.
    pub(crate) fn trailers_step(&self, id: u32, direction: Direction) {
        let count = {
            let mut vm = self.vm.borrow_mut();
            let Some(stream) = vm.streams.get_mut(id) else { return };
            let message = stream.message(direction);
            message.trailers_live = true;
            message.trailers.as_ref().map_or(0, HeaderMap::len) as u32
        };
        let mut returned = self.call(id, direction.trailers_callback(), &[id, count]);
        let continued = returned.as_mut().is_some_and(|returned| returned.take_continue(id, direction));
        let pass = returned.as_ref().is_none_or(|returned| (returned.value == 0 || continued) && !returned.stop);
        {
            let mut vm = self.vm.borrow_mut();
            let Some(stream) = vm.streams.get_mut(id) else { return };
            let message = stream.message(direction);
            message.end_shown = true;
            if pass {
                message.trailers_live = false;
            }
        }
        if let Some(returned) = returned {
            self.act(returned.actions);
        }
        let held = {
            let mut vm = self.vm.borrow_mut();
            let Some(stream) = vm.streams.get_mut(id) else { return };
            if stream.stopped(direction) {
                return;
            }
            let message = stream.message(direction);
            if !pass {
                if message.iteration == Iteration::Continue {
                    message.iteration = Iteration::StopSingle;
                }
                return;
            }
            message.iteration == Iteration::StopSingle
        };
        if held {
            self.resume(id, direction);
        } else {
            self.pass_trailers(id, direction);
        }
    }

    /// Answers 413 or 500 where more is held than the settings allow; tells whether the message goes on.
    fn check_limit(&self, id: u32, direction: Direction) -> bool {
        {
            let mut vm = self.vm.borrow_mut();
            let limit = vm.settings.connection.buffer_limit as usize;
            let Some(stream) = vm.streams.get_mut(id) else { return false };
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
