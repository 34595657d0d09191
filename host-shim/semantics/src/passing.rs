//! What leaves a filter that held it, and what leaves the last one: to the next hop, or to the edge.

use crate::{
    body_flow::Source,
    chain::Chain,
    environment::Guest,
    router,
    state::Place,
    stream::{Direction, Effect, Iteration},
};

impl<G: Guest> Chain<G> {
    /// Lets go what a filter held.
    pub(crate) fn resume(&self, place: Place, direction: Direction) {
        let id = place.stream;
        let step = self.step(place, direction);
        let (from, head) = {
            let mut state = self.state.borrow_mut();
            let Some(stream) = state.streams.get_mut(id) else { return };
            if stream.stopped(direction) {
                return;
            }
            let (message, side) = stream.parts(direction, place.plugin);
            if message.passed
                || message.headers.is_none()
                || (side.iteration == Iteration::Continue && side.headers_continued)
            {
                return;
            }
            // The filter has not seen what came after a head with which it stopped everything.
            let from = if side.stopped_all() { step } else { step + 1 };
            side.iteration = Iteration::Continue;
            let head = (!side.headers_continued)
                .then(|| message.complete && message.held.is_none() && message.trailers.is_none());
            side.headers_continued = true;
            (from, head)
        };
        if let Some(end) = head {
            self.headers_from(id, direction, step + 1, end);
        }
        let (has_held, trailers_reached, end) = {
            let mut state = self.state.borrow_mut();
            let Some(stream) = state.streams.get_mut(id) else { return };
            if stream.stopped(direction) {
                return;
            }
            let (message, side) = stream.parts(direction, place.plugin);
            let end = message.complete && message.trailers.is_none();
            (message.held.is_some(), side.trailers_reached, end)
        };
        if has_held {
            self.data_from(id, direction, from, Source::Held, end);
        }
        // Those that an earlier filter holds are not for this one to let go.
        if trailers_reached {
            self.trailers_from(id, direction, from);
        }
    }

    /// The head leaves the chain.
    pub(crate) fn pass_headers(&self, id: u32, direction: Direction, end: bool) {
        if let Some(stream) = self.state.borrow_mut().streams.get_mut(id) {
            stream.message(direction).passed = end;
        }
        match direction {
            Direction::Request => self.route(id, end),
            Direction::Response => {
                let mut state = self.state.borrow_mut();
                let Some(stream) = state.streams.get_mut(id) else { return };
                let Some(headers) = stream.response.headers.clone() else { return };
                if let Err(reply) = router::check_response(&headers) {
                    drop(state);
                    self.local_reply(id, reply);
                    return;
                }
                stream.response_started = true;
                stream.response_ended = end;
                stream.effects.push_back(Effect::Headers { direction, headers, end });
            }
        }
    }

    /// Body bytes leave the chain.
    pub(crate) fn pass_data(&self, id: u32, direction: Direction, source: Source, end: bool) {
        let mut state = self.state.borrow_mut();
        let Some(stream) = state.streams.get_mut(id) else { return };
        if stream.stopped(direction) {
            return;
        }
        let message = stream.message(direction);
        if message.passed {
            return;
        }
        let bytes = match source {
            Source::Chunk => message.chunk.take(),
            Source::Held => message.held.as_mut().map(|held| held.take()).unwrap_or_default(),
        };
        // Bytes that a filter took away leave nothing to send.
        if bytes.is_empty() && !end {
            return;
        }
        message.passed |= end;
        let changed = message.changed;
        if direction == Direction::Response {
            stream.response.body_bytes += bytes.len() as u64;
            stream.response_ended = end;
        }
        stream.effects.push_back(Effect::Data { direction, bytes, end, changed });
    }

    /// The trailers leave the chain.
    pub(crate) fn pass_trailers(&self, id: u32, direction: Direction) {
        let mut state = self.state.borrow_mut();
        let Some(stream) = state.streams.get_mut(id) else { return };
        if stream.stopped(direction) {
            return;
        }
        let message = stream.message(direction);
        let Some(trailers) = message.trailers.clone().filter(|_| !message.passed) else { return };
        if let Err(reply) = router::check_size(&trailers) {
            drop(state);
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
