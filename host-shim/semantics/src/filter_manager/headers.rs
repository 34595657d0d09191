//! The head's way from filter to filter.

use std::ops::ControlFlow;

use proxy_wasm_abi::callbacks::Id;

use crate::{
    chain::{Chain, Returned},
    environment::Guest,
    headers::HeaderMap,
    router::{self, ChainEnd},
    state::PluginInStream,
    stream::{Direction, Iteration, PastLimit},
};

impl Direction {
    fn headers_callback(self) -> Id {
        match self {
            Self::Request => Id::RequestHeaders,
            Self::Response => Id::ResponseHeaders,
        }
    }
}

impl<G: Guest> Chain<G> {
    /// A head arrived.
    pub fn headers(&self, id: u32, direction: Direction, mut headers: HeaderMap, end: bool) {
        if !self.answered(id, direction) {
            if direction == Direction::Response {
                let state = &*self.state.borrow();
                let Some(stream) = state.streams.get(id) else { return };
                state.routing.respond(&state.settings, stream, &mut headers);
            }
            self.receive_headers(id, direction, headers, end);
        }
    }

    /// A head arrived, or the head of a local response.
    pub(super) fn receive_headers(&self, id: u32, direction: Direction, headers: HeaderMap, end: bool) {
        {
            let state = &mut *self.state.borrow_mut();
            let now = state.fact_time();
            let Some(stream) = state.streams.get_mut(id) else { return };
            if stream.stopped(direction) {
                return;
            }
            if direction == Direction::Response {
                if !stream.is_answered_locally() {
                    stream.facts.response_code = router::status(&headers);
                }
                stream.facts.response_code_details.get_or_insert_with(|| "via_upstream".into());
            }
            stream.arrived(direction, end, now);
            stream.message_mut(direction).set_headers(headers);
            if direction == Direction::Response {
                state.routing.tell(&state.settings, stream, ChainEnd::Last);
            }
        }
        if direction == Direction::Response || !self.answer_preflight(id, ChainEnd::First) {
            self.headers_from(id, direction, 0, end);
        }
    }

    /// Shows the head to the filters from this step on.
    pub(super) fn headers_from(&self, id: u32, direction: Direction, step: usize, end: bool) {
        for at in self.plugins_from(id, direction, step) {
            if self.headers_step(at, direction, end).is_break() {
                return;
            }
        }
        self.pass_headers(id, direction, end);
    }

    fn headers_step(&self, at: PluginInStream, direction: Direction, end: bool) -> ControlFlow<()> {
        const STOP: ControlFlow<()> = ControlFlow::Break(());
        if direction == Direction::Request {
            self.create(at);
        }
        let count = {
            self.note_move(at.stream);
            let mut state = self.state.borrow_mut();
            let Some(stream) = state.streams.get_mut(at.stream) else { return STOP };
            if stream.stopped(direction) {
                return STOP;
            }
            let context = stream.context_mut(at.plugin);
            if direction == Direction::Response && !context.is_created() {
                // The request never came to it, because an earlier filter answered it. Envoy does not call it either:
                // `chains/the-first-answers-the-request-headers`.
                context.side_mut(direction).skip_head();
                return ControlFlow::Continue(());
            }
            context.say_end_of_stream(end);
            context.side_mut(direction).show_head(end);
            stream.message(direction).headers().map_or(0, HeaderMap::len) as u32
        };
        let returned = self.call_stream(at, direction.headers_callback(), &[count, end.into()]);
        let iteration = self.headers_status(at.plugin, returned.as_ref());
        if iteration == Iteration::Passes {
            let mut state = self.state.borrow_mut();
            let Some(stream) = state.streams.get_mut(at.stream) else { return STOP };
            stream.side_mut(direction, at.plugin).close_head();
        }
        if let Some(returned) = returned {
            self.act(returned.actions);
        }
        let mut state = self.state.borrow_mut();
        let Some(stream) = state.streams.get_mut(at.stream) else { return STOP };
        if stream.stopped(direction) {
            return STOP;
        }
        let goes_on = stream.side_mut(direction, at.plugin).decide_head(iteration);
        if goes_on { ControlFlow::Continue(()) } else { STOP }
    }

    /// How far a headers callback lets the message go.
    ///
    /// `StopIteration` does not let the body pass, as its name says, but holds everything, as
    /// `StopAllIterationAndWatermark` does, unless the plugin's settings allow the former.
    ///
    /// Source: Envoy's `ContextBase::convertVmCallResultToFilterHeadersStatus`
    fn headers_status(&self, plugin: usize, returned: Option<&Returned>) -> Iteration {
        let Some(returned) = returned else { return Iteration::Passes };
        if returned.stop {
            return Iteration::HoldsAll(PastLimit::StopReading);
        }
        match returned.value {
            // 2 is the legacy ContinueAndEndStream, which Envoy takes as Continue:
            // `proxy_on_request_headers/continue-and-end`.
            0 | 2 => Iteration::Passes,
            1 if self.state.borrow().settings.plugins[plugin].allow_on_headers_stop_iteration => Iteration::HoldsHead,
            3 => Iteration::HoldsAll(PastLimit::Refuse),
            _ => Iteration::HoldsAll(PastLimit::StopReading),
        }
    }
}
