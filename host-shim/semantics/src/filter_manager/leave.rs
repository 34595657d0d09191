//! Pieces that the last filter let go leave the chain: a request to the router, a response to the edge.

use crate::{
    chain::Chain,
    environment::Guest,
    router::{self, ChainEnd},
    stream::{Direction, Effect, Source},
};

impl<G: Guest> Chain<G> {
    /// The head leaves the chain.
    pub(super) fn pass_headers(&self, id: u32, direction: Direction, end: bool) {
        if end && let Some(stream) = self.state.borrow_mut().streams.get_mut(id) {
            stream.message_mut(direction).pass();
        }
        match direction {
            Direction::Request if self.answer_preflight(id, ChainEnd::Last) => {}
            Direction::Request => self.route(id, end),
            Direction::Response => {
                let mut borrowed = self.state.borrow_mut();
                let state = &mut *borrowed;
                let Some(stream) = state.streams.get_mut(id) else { return };
                state.routing.tell(&state.settings, stream, ChainEnd::First);
                let Some(headers) = stream.message(direction).headers().cloned() else { return };
                if let Err(reply) = router::check_response(&headers, self.capabilities) {
                    drop(borrowed);
                    self.local_reply(id, reply);
                    return;
                }
                stream.start_response();
                if end {
                    stream.end_response();
                }
                stream.push(Effect::Response { headers, end });
            }
        }
    }

    /// Body bytes leave the chain.
    pub(super) fn pass_data(&self, id: u32, direction: Direction, source: Source, end: bool) {
        let mut state = self.state.borrow_mut();
        let Some(stream) = state.streams.get_mut(id) else { return };
        if stream.stopped(direction) {
            return;
        }
        let message = stream.message_mut(direction);
        if message.is_passed() {
            return;
        }
        let bytes = message.take(source);
        // A filter took the bytes away, so there is nothing to send.
        if bytes.is_empty() && !end {
            return;
        }
        if end {
            message.pass();
        }
        let changed = message.is_changed();
        if direction == Direction::Response {
            message.count(bytes.len());
            if end {
                stream.end_response();
            }
        }
        stream.push(Effect::Data { direction, bytes, end, changed });
    }

    /// The trailers leave the chain.
    pub(super) fn pass_trailers(&self, id: u32, direction: Direction) {
        let mut state = self.state.borrow_mut();
        let Some(stream) = state.streams.get_mut(id) else { return };
        let message = stream.message(direction);
        if stream.stopped(direction) || message.is_passed() {
            return;
        }
        let Some(trailers) = message.trailers().cloned() else { return };
        if let Err(reply) = router::check_size(&trailers, self.capabilities) {
            drop(state);
            self.local_reply(id, reply);
            return;
        }
        stream.message_mut(direction).pass();
        if direction == Direction::Response {
            stream.end_response();
        }
        stream.push(Effect::Trailers { direction, trailers });
    }
}
