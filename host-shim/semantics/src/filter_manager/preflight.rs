//! The table of routes answers a preflight of another origin's page.

use crate::{
    chain::Chain,
    environment::Guest,
    router::{self, ChainEnd},
    routing::Routing,
    stream::Direction,
};

impl<G: Guest> Chain<G> {
    /// Whether the request is a preflight that is answered at this end of the chain. The answer is no local reply: the
    /// route changes nothing of it (`routes/cors-before-the-plugins`).
    pub(crate) fn answer_preflight(&self, id: u32, end: ChainEnd) -> bool {
        if !Routing::ANSWERS_PREFLIGHTS {
            return false;
        }
        let headers = {
            let state = &mut *self.state.borrow_mut();
            let Some(stream) = state.streams.get_mut(id) else { return false };
            let Some(headers) = state.routing.ask(&state.settings, stream, &*self.host, end) else { return false };
            stream.answer_locally();
            stream.facts.response_code = router::status(&headers);
            stream.facts.response_code_details = Some("cors_response".into());
            headers
        };
        self.receive_headers(id, Direction::Response, headers, true);
        true
    }
}
