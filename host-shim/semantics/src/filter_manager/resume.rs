//! A filter continues a message that it held.

use crate::{
    chain::Chain,
    environment::Guest,
    state::PluginInStream,
    stream::{Direction, Iteration, Source},
};

impl<G: Guest> Chain<G> {
    /// Sends on the pieces that a filter held: the head, then the body, then the trailers.
    ///
    /// Source: Envoy's `ActiveStreamFilterBase::commonContinue`
    pub(crate) fn resume(&self, at: PluginInStream, direction: Direction) {
        let id = at.stream;
        let step = self.step(at, direction);
        let (from, head) = {
            let mut state = self.state.borrow_mut();
            let Some(stream) = state.streams.get_mut(id) else { return };
            if stream.stopped(direction) {
                return;
            }
            let (message, side) = stream.parts(direction, at.plugin);
            if message.is_passed() || message.headers().is_none() || side.passes() {
                return;
            }
            let held_head = !side.head_went_on();
            let before = side.resume();
            // The filter has seen nothing since the head with which it stopped everything, so it is shown that first.
            let from = if matches!(before, Iteration::HoldsAll(_)) { step } else { step + 1 };
            (from, held_head.then(|| message.ends_without_trailers() && !message.has_held()))
        };
        if let Some(end) = head {
            self.headers_from(id, direction, step + 1, end);
        }
        let (has_held, reached_trailers, end) = {
            let mut state = self.state.borrow_mut();
            let Some(stream) = state.streams.get_mut(id) else { return };
            if stream.stopped(direction) {
                return;
            }
            let (message, side) = stream.parts(direction, at.plugin);
            (message.has_held(), side.reached_trailers(), message.ends_without_trailers())
        };
        if has_held {
            self.data_from(id, direction, from, Source::Held, end);
        }
        // Trailers that an earlier filter holds stay there: `chains/one-holds-request-trailers`.
        if reached_trailers {
            self.trailers_from(id, direction, from);
        }
    }
}
