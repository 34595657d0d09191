//! gRPC callouts: calls of one message each way, and streams.
//!
//! A call comes back as one `proxy_on_grpc_receive` or one `proxy_on_grpc_close`. A stream shows everything:
//! `proxy_on_grpc_receive_initial_metadata`, `proxy_on_grpc_receive` for each message,
//! `proxy_on_grpc_receive_trailing_metadata`, `proxy_on_grpc_close`. All of it on the root context, and nothing more once
//! the filter has cancelled. An answer of Envoy's own looks like a response that is nothing but trailers.

use std::collections::VecDeque;

use proxy_wasm_abi::{
    callbacks::Id,
    grpc,
    settings::{GrpcTransport, Origin},
};

use crate::{
    body::Body,
    chain::Chain,
    environment::Guest,
    grpc_frames::{Decoder, Received, trailer_lines},
    headers::{HeaderMap, Kind},
    local_reply::LocalReply,
    router::{UpstreamFailure, status},
    state::{CallId, ChainState},
};

/// Something for the edge to do.
#[derive(Debug, PartialEq, Eq)]
pub enum GrpcAction {
    /// Send a request's head.
    Start(GrpcRequest),
    /// Send bytes of its body.
    Send {
        /// Whose.
        id: CallId,
        /// The bytes; perhaps none.
        bytes: Vec<u8>,
        /// The body ends after them.
        end: bool,
    },
    /// Let go of it.
    Cancel(CallId),
}

impl GrpcAction {
    /// Whose it is.
    pub(crate) fn id(&self) -> CallId {
        match self {
            Self::Start(request) => request.id,
            Self::Send { id, .. } | Self::Cancel(id) => *id,
        }
    }
}

/// A request's head.
#[derive(Debug, PartialEq, Eq)]
pub struct GrpcRequest {
    /// Whose it is.
    pub id: CallId,
    /// Where the cluster is.
    pub origin: Origin,
    /// The head, pseudo-headers included.
    pub headers: HeaderMap,
    /// Milliseconds until its response is complete; 0 is no limit.
    pub timeout_ms: u32,
}

/// The codes of gRPC that the host gives by itself.
pub(crate) mod code {
    pub(crate) const OK: u32 = 0;
    pub(crate) const UNKNOWN: u32 = 2;
    pub(crate) const INTERNAL: u32 = 13;
    pub(crate) const UNAVAILABLE: u32 = 14;
    /// A status that is none. Source: Envoy's `Grpc::Common::getGrpcStatus`, whose `InvalidCode` is -1.
    pub(crate) const INVALID: u32 = u32::MAX;
    /// The last one that is defined.
    pub(crate) const LAST: u32 = 16;
}

/// Where a response came from, in Envoy's words.
const VIA_UPSTREAM: &str = "via_upstream";

/// The gRPC callouts of a virtual machine.
#[derive(Debug, Default)]
pub(crate) struct GrpcCallouts {
    calls: u32,
    streams: u32,
    open: Vec<Open>,
    pub(crate) actions: VecDeque<GrpcAction>,
    refused: VecDeque<(CallId, Option<LocalReply>)>,
    refusing: bool,
    /// The metadata and the message that the filter's callback can read.
    pub(crate) initial: Option<HeaderMap>,
    pub(crate) message: Option<Body>,
    pub(crate) trailing: Option<HeaderMap>,
}

/// A call or stream that the filter can name.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) id: CallId,
    decoder: Decoder,
    /// A call's response: the last message.
    response: Option<Vec<u8>>,
    has_head: bool,
    /// The request has ended.
    pub(crate) ended: bool,
    /// The filter has closed it.
    pub(crate) local_closed: bool,
    /// The response has ended. The filter can name the stream until it closes or cancels it.
    pub(crate) remote_closed: bool,
}

/// Whether a token is a call's. Source: Envoy's `WasmBase::isGrpcCallId`.
pub(crate) fn is_call(token: u32) -> bool {
    token & 3 == 1
}

/// Whether a token is a stream's. Source: Envoy's `WasmBase::isGrpcStreamId`.
pub(crate) fn is_stream(token: u32) -> bool {
    token & 3 == 2
}

impl GrpcCallouts {
    pub(crate) fn next_token(&mut self, stream: bool) -> u32 {
        let (count, class) = if stream { (&mut self.streams, 2) } else { (&mut self.calls, 1) };
        *count = count.wrapping_add(1);
        count.wrapping_mul(4).wrapping_add(class)
    }

    pub(crate) fn add(&mut self, id: CallId) {
        self.open.push(Open {
            id,
            decoder: Decoder::default(),
            response: None,
            has_head: false,
            ended: false,
            local_closed: false,
            remote_closed: false,
        });
    }

    pub(crate) fn get(&mut self, token: u32) -> Option<&mut Open> {
        self.open.iter_mut().find(|open| open.id.token == token)
    }

    pub(crate) fn remove(&mut self, token: u32) {
        self.open.retain(|open| open.id.token != token);
    }

    /// Those whose response has not ended.
    pub(crate) fn outstanding(&self) -> usize {
        self.open.iter().filter(|open| !open.remote_closed).count()
    }

    /// Whether there is anything to do.
    pub(crate) fn is_busy(&self) -> bool {
        !self.actions.is_empty() || self.outstanding() > 0
    }

    /// Whether an answer is due: a stream that the filter keeps open can go on for ever.
    pub(crate) fn awaits(&self) -> bool {
        !self.actions.is_empty() || self.open.iter().any(|open| open.ended && !open.remote_closed)
    }
}

impl<G: Guest> Chain<G> {
    /// The next thing to do for gRPC callouts.
    pub fn next_grpc(&self) -> Option<GrpcAction> {
        self.state.borrow_mut().vms.iter_mut().find_map(|vm| vm.grpc.actions.pop_front())
    }

    /// A response's head is here, so many milliseconds after the request's; `end`: and nothing follows. Tells whether
    /// what follows is wanted.
    pub fn grpc_head(&self, id: CallId, mut headers: HeaderMap, end: bool, elapsed_ms: u64) -> bool {
        {
            let mut state = self.state.borrow_mut();
            let Some(open) = state.grpc(id) else { return false };
            open.has_head = true;
            // Envoy measures from the request's end.
            if open.ended {
                headers.set(b"x-envoy-upstream-service-time", elapsed_ms.to_string());
            }
            // The filter need not know.
            if state.grpc_is_web() && headers.contains(b"content-type") {
                headers.set(b"content-type", "application/grpc");
            }
        }
        match status(&headers) {
            Some(200) if !end => self.grpc_metadata(id, Id::GrpcReceiveInitialMetadata, headers),
            Some(200) => self.grpc_trailers_only(id, headers, VIA_UPSTREAM),
            _ if end && headers.contains(b"grpc-status") => self.grpc_trailers_only(id, headers, VIA_UPSTREAM),
            other => {
                let code = grpc::status_of_http(other.unwrap_or_default().into());
                self.grpc_metadata(id, Id::GrpcReceiveInitialMetadata, HeaderMap::new(Kind::Response));
                self.grpc_error(id, code, VIA_UPSTREAM);
            }
        }
        self.grpc_is_wanted(id)
    }

    /// Bytes of a response's body are here. Tells whether what follows is wanted.
    pub fn grpc_data(&self, id: CallId, bytes: &[u8]) -> bool {
        let frames = {
            let mut state = self.state.borrow_mut();
            let web = state.grpc_is_web();
            let Some(open) = state.grpc(id) else { return false };
            open.decoder.decode(bytes, web)
        };
        let Some(frames) = frames else {
            self.grpc_error(id, code::INTERNAL, VIA_UPSTREAM);
            return false;
        };
        for frame in frames {
            match frame {
                Received::Message(message) => self.grpc_message(id, message),
                Received::Compressed => self.grpc_error(id, code::INTERNAL, VIA_UPSTREAM),
                Received::Trailers(block) => {
                    let trailers = HeaderMap::from_pairs(Kind::Trailers, trailer_lines(&block));
                    self.grpc_trailers(id, trailers, VIA_UPSTREAM);
                }
            }
            if !self.grpc_is_wanted(id) {
                return false;
            }
        }
        true
    }

    /// A response's body is over.
    pub fn grpc_end(&self, id: CallId, trailers: Option<HeaderMap>) {
        match trailers {
            Some(trailers) => self.grpc_trailers(id, trailers, VIA_UPSTREAM),
            None => self.grpc_error(id, code::UNKNOWN, VIA_UPSTREAM),
        }
    }

    /// A response can't be had, or not all of it.
    pub fn grpc_failed(&self, id: CallId, failure: UpstreamFailure) {
        let Some(has_head) = self.state.borrow_mut().grpc(id).map(|open| open.has_head) else { return };
        if has_head {
            self.grpc_error(id, code::INTERNAL, &failure.details_after_headers());
        } else {
            self.grpc_answer(id, &failure.reply());
        }
    }

    /// A host call was refused after it had taken a token: the answer instead, or none where there is no cluster. A
    /// filter that tries again from the callback gets the next one when this one is through.
    pub(crate) fn grpc_refused(&self, id: CallId, reply: Option<LocalReply>) {
        {
            let mut state = self.state.borrow_mut();
            let grpc = &mut state.vm_of(id).grpc;
            grpc.refused.push_back((id, reply));
            if std::mem::replace(&mut grpc.refusing, true) {
                return;
            }
        }
        loop {
            let Some((id, reply)) = self.state.borrow_mut().vm_of(id).grpc.refused.pop_front() else { break };
            match reply {
                Some(reply) => self.grpc_answer(id, &reply),
                None => self.grpc_close(id, code::UNAVAILABLE, b"Cluster not available".to_vec()),
            }
        }
        self.state.borrow_mut().vm_of(id).grpc.refusing = false;
    }

    fn grpc_is_wanted(&self, id: CallId) -> bool {
        self.state.borrow_mut().grpc(id).is_some_and(|open| !open.remote_closed)
    }

    /// A response of the proxy's own.
    fn grpc_answer(&self, id: CallId, reply: &LocalReply) {
        self.grpc_trailers_only(id, reply.head(true, false), &reply.details);
    }

    fn grpc_trailers_only(&self, id: CallId, headers: HeaderMap, details: &str) {
        self.grpc_metadata(id, Id::GrpcReceiveInitialMetadata, HeaderMap::new(Kind::Response));
        self.grpc_trailers(id, headers, details);
    }

    fn grpc_trailers(&self, id: CallId, trailers: HeaderMap, details: &str) {
        let code = match trailers.get(b"grpc-status") {
            None => code::UNKNOWN,
            Some(value) => std::str::from_utf8(value)
                .ok()
                .and_then(|text| text.trim().parse().ok())
                .filter(|code| *code <= code::LAST)
                .unwrap_or(code::INVALID),
        };
        let message = match trailers.get(b"grpc-message") {
            None | Some(b"") => details.into(),
            Some(message) => [message, b"{", details.as_bytes(), b"}"].concat(),
        };
        self.grpc_metadata(id, Id::GrpcReceiveTrailingMetadata, trailers);
        self.grpc_closed(id, code, message);
    }

    fn grpc_error(&self, id: CallId, code: u32, details: &str) {
        self.grpc_metadata(id, Id::GrpcReceiveTrailingMetadata, HeaderMap::new(Kind::Trailers));
        self.grpc_closed(id, code, details.into());
    }

    /// Shows a stream's metadata; a call's is not shown.
    fn grpc_metadata(&self, id: CallId, callback: Id, map: HeaderMap) {
        if is_call(id.token) || !self.grpc_is_wanted(id) {
            return;
        }
        let count = map.len() as u32;
        let is_initial = callback == Id::GrpcReceiveInitialMetadata;
        {
            let mut state = self.state.borrow_mut();
            let grpc = &mut state.vm_of(id).grpc;
            *(if is_initial { &mut grpc.initial } else { &mut grpc.trailing }) = Some(map);
        }
        self.grpc_callback(callback, id, count);
    }

    fn grpc_message(&self, id: CallId, message: Vec<u8>) {
        if is_call(id.token) {
            if let Some(open) = self.state.borrow_mut().grpc(id) {
                open.response = Some(message);
            }
            return;
        }
        self.grpc_receive(id, message);
    }

    fn grpc_receive(&self, id: CallId, message: Vec<u8>) {
        let len = message.len() as u32;
        self.state.borrow_mut().vm_of(id).grpc.message = Some(message.into());
        self.grpc_callback(Id::GrpcReceive, id, len);
    }

    /// The response is over.
    fn grpc_closed(&self, id: CallId, mut code: u32, mut message: Vec<u8>) {
        let response = {
            let mut state = self.state.borrow_mut();
            let Some(open) = state.grpc(id) else { return };
            open.remote_closed = true;
            open.response.take()
        };
        if is_call(id.token) && code == code::OK {
            if let Some(response) = response {
                self.grpc_receive(id, response);
                self.state.borrow_mut().vm_of(id).grpc.remove(id.token);
                return;
            }
            (code, message) = (code::INTERNAL, Vec::new());
        }
        self.grpc_close(id, code, message);
        let mut state = self.state.borrow_mut();
        let grpc = &mut state.vm_of(id).grpc;
        if is_call(id.token) || grpc.get(id.token).is_some_and(|open| open.local_closed) {
            grpc.remove(id.token);
        }
    }

    fn grpc_close(&self, id: CallId, code: u32, message: Vec<u8>) {
        if self.plugin_exports(id.plugin, Id::GrpcClose) {
            self.state.borrow_mut().vm_of(id).callouts.status = (code, message);
            self.grpc_callback(Id::GrpcClose, id, code);
        }
    }

    fn grpc_callback(&self, callback: Id, id: CallId, third: u32) {
        let actions = self.call_root(id.plugin, callback, &[id.token, third]);
        {
            let mut state = self.state.borrow_mut();
            let vm = state.vm_of(id);
            (vm.grpc.initial, vm.grpc.message, vm.grpc.trailing) = (None, None, None);
            if callback == Id::GrpcClose {
                vm.callouts.status.1.clear();
            }
        }
        self.act(actions);
    }
}

impl ChainState {
    /// A call or stream that has not ended.
    pub(crate) fn grpc(&mut self, id: CallId) -> Option<&mut Open> {
        self.vm_of(id).grpc.get(id.token)
    }

    /// Whether gRPC-Web stands in for gRPC.
    pub(crate) fn grpc_is_web(&self) -> bool {
        self.settings.upkeep.grpc_transport == GrpcTransport::GrpcWeb
    }
}
