//! What comes: the filters are told of it, and of what can't come any more.

use proxy_wasm_abi::settings::Origin;
use proxy_wasm_semantics::{Chain, Direction, Guest, UpstreamFailure};

use crate::{
    action::{Action, Input, Peer},
    flow::Incoming,
    retries::Outcome,
    turn::Driver,
};

impl<G: Guest> Driver<'_, G> {
    /// More of the request came.
    pub(crate) fn request_input(&mut self, id: u32, input: Input) {
        let Some(exchange) = self.exchange(id) else { return };
        exchange.note_progress();
        let direction = Direction::Request;
        let ends = matches!(input, Input::End(_) | Input::Data(_, true));
        if let (Input::Data(bytes, _), Some(outstanding)) = (&input, &mut exchange.outstanding) {
            *outstanding = outstanding.saturating_sub(bytes.len() as u64);
        }
        match input {
            Input::Data(bytes, end) => self.chain.data(id, direction, bytes, end),
            Input::End(None) => self.chain.data(id, direction, Vec::new(), true),
            Input::End(Some(trailers)) => self.chain.trailers(id, direction, trailers),
            Input::Head(..) | Input::Broken | Input::Failed(..) => self.client_left(id),
        }
        if ends {
            self.tell_overtaken(id);
        } else {
            self.look_for_end(id);
        }
    }

    /// More of the upstream's response came, or the news that it will not.
    pub(crate) fn response_input(&mut self, id: u32, input: Input) {
        let Some(exchange) = self.exchange(id).filter(|exchange| exchange.upstream.is_open()) else { return };
        exchange.note_progress();
        if let Some(input) = self.unless_overtaken(id, input) {
            self.tell_response(id, input);
        }
    }

    /// The filters are told of it.
    pub(crate) fn tell_response(&mut self, id: u32, input: Input) {
        if let Input::Head(headers, _) = &input
            && self.tries_again(id, Outcome::Head(headers))
        {
            return;
        }
        let Some(exchange) = self.exchange(id) else { return };
        let direction = Direction::Response;
        let mut end = matches!(input, Input::End(_) | Input::Data(_, true));
        if let Input::Head(_, ended) = &input {
            end = *ended;
            exchange.upstream = Incoming::after_head(end);
            exchange.tries.settle();
        }
        if end {
            exchange.upstream = Incoming::Over;
            exchange.upstream_deadline = None;
        }
        match input {
            Input::Head(headers, _) => self.chain.headers(id, direction, headers, end),
            Input::Data(bytes, end) => self.chain.data(id, direction, bytes, end),
            Input::End(None) => self.chain.data(id, direction, Vec::new(), true),
            Input::End(Some(trailers)) => self.chain.trailers(id, direction, trailers),
            Input::Broken => self.upstream_failed(id, UpstreamFailure::ProtocolError, Some(BREAKS_OFF)),
            Input::Failed(failure, cause) => self.upstream_failed(id, failure, cause.as_deref()),
        }
    }

    /// The upstream's answer can't be had, unless by another try.
    pub(crate) fn upstream_failed(&mut self, id: u32, failure: UpstreamFailure, cause: Option<&str>) {
        if let Some(to) = self.exchange(id).and_then(|exchange| exchange.destination.clone()) {
            warn(self.chain, "upstream", to.origin(), failure, cause);
        }
        if !self.tries_again(id, Outcome::Failed(failure)) {
            self.give_up_upstream(id, failure);
        }
    }

    /// It can't be had at all.
    pub(crate) fn fail_upstream(&mut self, id: u32, failure: UpstreamFailure, cause: Option<&str>) {
        if let Some(to) = self.exchange(id).and_then(|exchange| exchange.destination.clone()) {
            warn(self.chain, "upstream", to.origin(), failure, cause);
        }
        self.give_up_upstream(id, failure);
    }

    fn give_up_upstream(&mut self, id: u32, failure: UpstreamFailure) {
        if let Some(exchange) = self.exchange(id) {
            exchange.leave_upstream();
        }
        self.chain.upstream_failed(id, failure);
    }

    /// The upstream took too long.
    pub(crate) fn upstream_timed_out(&mut self, id: u32) {
        self.release_upstream(id, UpstreamFailure::Timeout);
    }

    /// Nothing more is wanted of the upstream, which failed so.
    pub(crate) fn release_upstream(&mut self, id: u32, failure: UpstreamFailure) {
        let Some(exchange) = self.exchange(id) else { return };
        exchange.actions.push_back(Action::Release(Peer::Upstream(id)));
        self.give_up_upstream(id, failure);
    }

    /// The client is gone.
    pub(crate) fn client_left(&mut self, id: u32) {
        self.chain.client_gone(id);
        if let Some(exchange) = self.exchange(id) {
            exchange.overtaken = None;
            exchange.abort();
        }
    }
}

/// The log's words for a body that breaks off.
pub(crate) const BREAKS_OFF: &str = "its answer breaks off";

/// Tells the operator who failed, and why.
pub(crate) fn warn<G: Guest>(
    chain: &Chain<G>,
    what: &str,
    origin: Option<&Origin>,
    failure: UpstreamFailure,
    cause: Option<&str>,
) {
    let whom = match origin {
        Some(Origin { tls, authority }) => format!("{what} {}://{authority}", if *tls { "https" } else { "http" }),
        None => "the next handler".into(),
    };
    let mut line = format!("[warn] {whom}: {}", failure.reason());
    if let Some(cause) = cause {
        line.push_str(": ");
        line.push_str(cause);
    }
    chain.log(&line);
}
