//! HTTP callouts: requests of the filter's own, to a cluster by its name.
//!
//! A call that the host call accepts comes back as one `proxy_on_http_call_response` on the root context, whatever
//! becomes of it. An answer of Envoy's own (no connection, no answer in time, a request that it can't send) is a
//! response like any other; only one that breaks off after its head, or is too large, comes as none: no headers, no
//! body, and the status "reset".

use std::collections::VecDeque;

use proxy_wasm_abi::{
    callbacks::Id,
    limits::{CALLOUT_RESPONSE_MAX_BYTES, CALLOUTS_MAX},
    settings::Origin,
};

use crate::{
    chain::Chain,
    environment::Guest,
    headers::{HeaderMap, Kind},
    local_reply::LocalReply,
    router::UpstreamFailure,
    state::CallId,
    vm::Vm,
};

/// A callout for the edge to make.
#[derive(Debug, PartialEq, Eq)]
pub struct Callout {
    /// Whose it is.
    pub id: CallId,
    /// Where the cluster is.
    pub origin: Origin,
    /// Its head, pseudo-headers included.
    pub headers: HeaderMap,
    /// Its body; empty for none.
    pub body: Vec<u8>,
    /// Its trailers.
    pub trailers: Option<HeaderMap>,
    /// Milliseconds until its response is there; 0 is no limit.
    pub timeout_ms: u32,
}

/// A response to a callout.
#[derive(Debug)]
pub struct CalloutResponse {
    /// Its head, with `:status`.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
    /// Its trailers.
    pub trailers: Option<HeaderMap>,
}

impl CalloutResponse {
    /// Whether a body of so many bytes is more than Envoy keeps.
    pub fn is_too_large(bytes: usize) -> bool {
        bytes > CALLOUT_RESPONSE_MAX_BYTES
    }
}

impl From<LocalReply> for CalloutResponse {
    fn from(reply: LocalReply) -> Self {
        let mut headers = HeaderMap::new(Kind::Response);
        headers.add(b":status", reply.status.to_string());
        headers.add(b"content-length", reply.body.len().to_string());
        headers.add(b"content-type", "text/plain");
        Self { headers, body: reply.body, trailers: None }
    }
}

/// The callouts of a virtual machine.
#[derive(Debug, Default)]
pub(crate) struct Callouts {
    /// How many calls were accepted.
    accepted: u32,
    /// Those that have not come back.
    pub(crate) outstanding: usize,
    /// For the edge to make.
    requested: VecDeque<Callout>,
    /// Answered without being made.
    answered: VecDeque<(CallId, CalloutResponse)>,
    /// The response that the filter's callback can read.
    pub(crate) response: Option<CalloutResponse>,
    /// The latest failure's code, and its message while its callback runs.
    pub(crate) status: (u32, Vec<u8>),
}

impl Callouts {
    /// Takes a call on; returns its token.
    pub(crate) fn accept(&mut self, plugin: usize, call: impl FnOnce(CallId) -> Result<Callout, LocalReply>) -> u32 {
        self.accepted = self.accepted.wrapping_add(1);
        // The two low bits tell kinds of calls apart. Source: Envoy's `WasmBase::nextHttpCallId`.
        let token = self.accepted.wrapping_mul(4);
        let id = CallId { plugin, token };
        let made = if self.outstanding < CALLOUTS_MAX { call(id) } else { Err(UpstreamFailure::Overflow.reply()) };
        match made {
            Ok(callout) => self.requested.push_back(callout),
            Err(reply) => self.answered.push_back((id, reply.into())),
        }
        self.outstanding += 1;
        token
    }
}

/// The status code of a callout that came back as nothing. Source: Envoy's `Context::onHttpCallFailure`.
const RESET: u32 = 11;

impl<G: Guest> Chain<G> {
    /// The next callout to make.
    pub fn next_callout(&self) -> Option<Callout> {
        self.state.borrow_mut().vms.iter_mut().find_map(|vm| vm.callouts.requested.pop_front())
    }

    /// Whether callouts have not come back, or queues have items that no filter was told of.
    pub fn has_work(&self) -> bool {
        let state = self.state.borrow();
        state.has_ready_queues() || state.vms.iter().any(Vm::has_work)
    }

    /// The same without the gRPC streams that the filter keeps open: nothing need ever come of them.
    pub fn awaits_work(&self) -> bool {
        let state = self.state.borrow();
        state.has_ready_queues() || state.vms.iter().any(Vm::awaits_work)
    }

    /// Hands filters the answers to callouts that need not be made; returns whether there were any. Callouts that they
    /// make in turn are left for the next time: a filter that always makes another must not hold up everything else.
    pub fn answer_callouts(&self) -> bool {
        let waiting: usize = self.state.borrow().vms.iter().map(|vm| vm.callouts.answered.len()).sum();
        for _ in 0..waiting {
            let answered = self.state.borrow_mut().vms.iter_mut().find_map(|vm| vm.callouts.answered.pop_front());
            let Some((id, response)) = answered else { break };
            self.called_out(id, Some(response));
        }
        waiting > 0
    }

    /// A callout's whole response is here; it took so many milliseconds until its head came.
    pub fn callout_answered(&self, id: CallId, mut response: CalloutResponse, elapsed_ms: u64) {
        response.headers.set(b"x-envoy-upstream-service-time", elapsed_ms.to_string());
        self.called_out(id, Some(response));
    }

    /// A callout's response can't be had; `after_head` says that its head had come.
    pub fn callout_failed(&self, id: CallId, failure: UpstreamFailure, after_head: bool) {
        self.called_out(id, (!after_head).then(|| failure.reply().into()));
    }

    fn called_out(&self, id: CallId, response: Option<CalloutResponse>) {
        let (headers, body, trailers) = response.as_ref().map_or((0, 0, 0), |response| {
            let trailers = response.trailers.as_ref().map_or(0, HeaderMap::len);
            (response.headers.len() as u32, response.body.len() as u32, trailers as u32)
        });
        {
            let mut state = self.state.borrow_mut();
            let callouts = &mut state.vm_of(id).callouts;
            callouts.outstanding = callouts.outstanding.saturating_sub(1);
            if response.is_none() {
                callouts.status = (RESET, b"reset".to_vec());
            }
            callouts.response = response;
        }
        let actions = self.call_root(id.plugin, Id::HttpCallResponse, &[id.token, headers, body, trailers]);
        {
            let mut state = self.state.borrow_mut();
            let callouts = &mut state.vm_of(id).callouts;
            callouts.response = None;
            callouts.status.1.clear();
        }
        self.act(actions);
    }
}
