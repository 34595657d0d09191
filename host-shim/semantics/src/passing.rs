//! What leaves the filter: messages that it lets go, to the next hop or to the edge.

use crate::{
    environment::Guest,
    filter_manager::Source,
    plugin::Plugin,
    router,
    stream::{Direction, Effect, Iteration},
};

impl<G: Guest> Plugin<G> {
    /// Lets go what the filter held.
    pub(crate) fn resume(&self, id: u32, direction: Direction) {
        let (from_filter, head) = {
            let mut vm = self.vm.borrow_mut();
            let Some(stream) = vm.streams.get_mut(id) else { return };
            if stream.stopped(direction) {
                return;
            }
            let message = stream.message(direction);
            if message.passed
                || message.headers.is_none()
                || (message.iteration == Iteration::Continue && message.headers_continued)
            {
                return;
            }
            let from_filter = message.stopped_all();
            message.iteration = Iteration::Continue;
            let head = (!message.headers_continued)
                .then(|| message.complete && message.held.is_none() && message.trailers.is_none());
            message.headers_continued = true;
            (from_filter, head)
        };
        if let Some(end) = head {
            self.pass_headers(id, direction, end);
        }
        let (bytes, had_trailers, complete) = {
            let mut vm = self.vm.borrow_mut();
            let Some(stream) = vm.streams.get_mut(id) else { return };
            if stream.stopped(direction) {
                return;
            }
            let message = stream.message(direction);
            let had_trailers = message.trailers.is_some();
            let bytes = if from_filter { None } else { message.held.as_mut().map(|held| held.take()) };
            (bytes, had_trailers, message.complete)
        };
        let end = complete && !had_trailers;
        if let Some(bytes) = bytes {
            self.pass_data(id, direction, bytes, end);
        } else if from_filter && self.has_held(id, direction) {
            self.data_step(id, direction, Source::Held, end);
        }
        if had_trailers {
            // The body step may have held the stream again.
            if self.is_stopped_all(id, direction) {
                return;
            }
            if from_filter { self.trailers_step(id, direction) } else { self.pass_trailers(id, direction) }
        }
    }

    fn has_held(&self, id: u32, direction: Direction) -> bool {
        let mut vm = self.vm.borrow_mut();
        vm.streams.get_mut(id).is_some_and(|stream| stream.message(direction).held.is_some())
    }

    fn is_stopped_all(&self, id: u32, direction: Direction) -> bool {
        let mut vm = self.vm.borrow_mut();
        vm.streams.get_mut(id).is_none_or(|stream| stream.message(direction).stopped_all())
    }

    /// The head leaves the filter.
    pub(crate) fn pass_headers(&self, id: u32, direction: Direction, end: bool) {
        if let Some(stream) = self.vm.borrow_mut().streams.get_mut(id) {
            stream.message(direction).passed = end;
        }
        match direction {
            Direction::Request => self.route(id, end),
            Direction::Response => {
                let mut vm = self.vm.borrow_mut();
                let Some(stream) = vm.streams.get_mut(id) else { return };
                let Some(headers) = stream.response.headers.clone() else { return };
                if let Err(reply) = router::check_response(&headers) {
                    drop(vm);
                    self.local_reply(id, reply);
                    return;
                }
                stream.response_started = true;
                stream.response_ended = end;
                stream.effects.push_back(Effect::Headers { direction, headers, end });
            }
        }
    }

    /// Body bytes leave the filter.
    pub(crate) fn pass_data(&self, id: u32, direction: Direction, bytes: Vec<u8>, end: bool) {
        let mut vm = self.vm.borrow_mut();
        let Some(stream) = vm.streams.get_mut(id) else { return };
        // Bytes that the filter took away leave nothing to send.
        if stream.stopped(direction) || (bytes.is_empty() && !end) {
            return;
        }
        stream.message(direction).passed |= end;
        if direction == Direction::Response {
            stream.response.body_bytes += bytes.len() as u64;
            stream.response_ended = end;
        }
        let changed = stream.message(direction).changed;
        stream.effects.push_back(Effect::Data { direction, bytes, end, changed });
    }

    /// The trailers leave the filter.
    pub(crate) fn pass_trailers(&self, id: u32, direction: Direction) {
        let mut vm = self.vm.borrow_mut();
        let Some(stream) = vm.streams.get_mut(id) else { return };
        if stream.stopped(direction) {
            return;
        }
        let Some(trailers) = stream.message(direction).trailers.clone() else { return };
        if let Err(reply) = router::check_size(&trailers) {
            drop(vm);
            self.local_reply(id, reply);
            return;
        }
        stream.message(direction).passed = true;
        if direction == Direction::Response {
            stream.response_ended = true;
        }
        stream.effects.push_back(Effect::Trailers { direction, trailers });
    }
}
