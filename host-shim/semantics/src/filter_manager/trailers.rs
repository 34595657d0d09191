//! The trailers' way from filter to filter.

use std::ops::ControlFlow;

use proxy_wasm_abi::callbacks::Id;

use crate::{chain::Chain, environment::Guest, headers::HeaderMap, state::PluginInStream, stream::Direction};

impl Direction {
    fn trailers_callback(self) -> Id {
        match self {
            Self::Request => Id::RequestTrailers,
            Self::Response => Id::ResponseTrailers,
        }
    }
}

impl<G: Guest> Chain<G> {
    /// Trailers arrived; the body before them had no end of its own.
    pub fn trailers(&self, id: u32, direction: Direction, trailers: HeaderMap) {
        {
            let mut state = self.state.borrow_mut();
            let now = state.fact_time();
            let Some(stream) = state.streams.get_mut(id) else { return };
            if stream.stopped(direction) || stream.answered(direction) {
                return;
            }
            stream.arrived(direction, true, now);
            stream.message_mut(direction).set_trailers(trailers);
        }
        self.trailers_from(id, direction, 0);
    }

    /// Shows the trailers to the filters from this step on.
    pub(super) fn trailers_from(&self, id: u32, direction: Direction, step: usize) {
        if self.state.borrow().streams.get(id).is_none_or(|stream| stream.stopped(direction)) {
            return;
        }
        for at in self.plugins_from(id, direction, step) {
            if self.trailers_step(at, direction).is_break() {
                return;
            }
        }
        self.pass_trailers(id, direction);
    }

    fn trailers_step(&self, at: PluginInStream, direction: Direction) -> ControlFlow<()> {
        const STOP: ControlFlow<()> = ControlFlow::Break(());
        let count = {
            self.note_move(at.stream);
            let mut state = self.state.borrow_mut();
            let Some(stream) = state.streams.get_mut(at.stream) else { return STOP };
            let is_created = stream.context_mut(at.plugin).is_created();
            let (message, side) = stream.parts(direction, at.plugin);
            side.reach_trailers();
            if side.holds_all().is_some() {
                return STOP;
            }
            if !is_created {
                return ControlFlow::Continue(());
            }
            side.show_trailers();
            message.trailers().map_or(0, HeaderMap::len) as u32
        };
        let mut returned = self.call_stream(at, direction.trailers_callback(), &[count]);
        // Unlike in headers, continuing within the call wins over a pause: `proxy_continue_stream/in-trailers`.
        let continued = returned.as_mut().is_some_and(|returned| returned.take_continue(at, direction));
        let passes = returned.as_ref().is_none_or(|returned| (returned.value == 0 || continued) && !returned.stop);
        {
            let mut state = self.state.borrow_mut();
            let Some(stream) = state.streams.get_mut(at.stream) else { return STOP };
            stream.side_mut(direction, at.plugin).close_trailers(passes);
        }
        if let Some(returned) = returned {
            self.act(returned.actions);
        }
        let holds = {
            let mut state = self.state.borrow_mut();
            let Some(stream) = state.streams.get_mut(at.stream) else { return STOP };
            if stream.stopped(direction) {
                return STOP;
            }
            let side = stream.side_mut(direction, at.plugin);
            if !passes {
                side.hold();
                return STOP;
            }
            side.holds()
        };
        // The filter still holds what came before. That goes first, and `resume` sends the trailers behind it:
        // `proxy_on_request_trailers/after-a-buffered-body`.
        if holds {
            self.resume(at, direction);
            return STOP;
        }
        ControlFlow::Continue(())
    }
}
