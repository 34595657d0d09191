//! gRPC callouts: calls of one message each way, and streams.
//!
//! A call comes back as one `proxy_on_grpc_receive` or one `proxy_on_grpc_close`. A stream shows everything:
//! `proxy_on_grpc_receive_initial_metadata`, `proxy_on_grpc_receive` for each message,
//! `proxy_on_grpc_receive_trailing_metadata`, `proxy_on_grpc_close`. All of it on the root context, and nothing more once
//! the filter has cancelled. What Envoy answers itself looks like a response that is nothing but trailers.

use std::collections::VecDeque;

use proxy_wasm_abi::{
    callbacks::Id,
    settings::{GrpcTransport, Origin},
};

use crate::{
    body::Body,
    environment::Guest,
    grpc_frames::{Decoder, Received, trailer_lines},
    headers::{HeaderMap, Kind},
    local_reply::{LocalReply, grpc_status_of_http},
    plugin::Plugin,
    router::{UpstreamFailure, status},
    vm::{ROOT_CONTEXT, Vm},
};

/// Something for the edge to do.
#[derive(Debug, PartialEq, Eq)]
pub enum GrpcAction {
    /// Send a request's head.
    Start(GrpcRequest),
    /// Send bytes of its body.
    Send {
        /// Whose.
        token: u32,
        /// The bytes; perhaps none.
        bytes: Vec<u8>,
        /// The body ends after them.
        end: bool,
    },
    /// Let go of it.
    Cancel(u32),
}

impl GrpcAction {
    /// Whose it is.
    pub(crate) fn token(&self) -> u32 {
        match self {
            Self::Start(request) => request.token,
            Self::Send { token, .. } | Self::Cancel(token) => *token,
        }
    }
}

/// A request's head.
#[derive(Debug, PartialEq, Eq)]
pub struct GrpcRequest {
    /// What the filter knows it by.
    pub token: u32,
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
    /// A status that is none. Source: Envoy.
    pub(crate) const INVALID: u32 = u32::MAX;
    /// The last one that is defined.
    pub(crate) const LAST: u32 = 16;
}

/// Where a response came from, in Envoy's words.
const VIA_UPSTREAM: &str = "via_upstream";

/// What the virtual machine knows of its gRPC callouts.
#[derive(Debug, Default)]
pub(crate) struct GrpcCallouts {
    calls: u32,
    streams: u32,
    open: Vec<Open>,
    pub(crate) actions: VecDeque<GrpcAction>,
    refused: VecDeque<(u32, Option<LocalReply>)>,
    refusing: bool,
    /// What the filter's callback can read.
    pub(crate) initial: Option<HeaderMap>,
    pub(crate) message: Option<Body>,
    pub(crate) trailing: Option<HeaderMap>,
}

/// A call or stream that the filter can name.
#[derive(Debug)]
pub(crate) struct Open {
    token: u32,
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

/// Whether a token is a call's. Source: Envoy.
pub(crate) fn is_call(token: u32) -> bool {
    token & 3 == 1
}

/// Whether a token is a stream's. Source: Envoy.
pub(crate) fn is_stream(token: u32) -> bool {
    token & 3 == 2
}

impl GrpcCallouts {
    pub(crate) fn next_token(&mut self, stream: bool) -> u32 {
        let (count, class) = if stream { (&mut self.streams, 2) } else { (&mut self.calls, 1) };
        *count = count.wrapping_add(1);
        count.wrapping_mul(4).wrapping_add(class)
    }

    pub(crate) fn add(&mut self, token: u32) {
        self.open.push(Open {
            token,
            decoder: Decoder::default(),
            response: None,
            has_head: false,
            ended: false,
            local_closed: false,
            remote_closed: false,
        });
    }

    pub(crate) fn get(&mut self, token: u32) -> Option<&mut Open> {
        self.open.iter_mut().find(|open| open.token == token)
    }

    pub(crate) fn remove(&mut self, token: u32) {
        self.open.retain(|open| open.token != token);
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

impl<G: Guest> Plugin<G> {
    /// The next thing to do for gRPC callouts.
    pub fn next_grpc(&self) -> Option<GrpcAction> {
        self.vm.borrow_mut().grpc.actions.pop_front()
    }

    /// A response's head is here, so many milliseconds after the request's; `end`: and nothing follows. Tells whether
    /// what follows is wanted.
    pub fn grpc_head(&self, token: u32, mut headers: HeaderMap, end: bool, elapsed_ms: u64) -> bool {
        {
            let mut vm = self.vm.borrow_mut();
            let Some(open) = vm.grpc.get(token) else { return false };
            open.has_head = true;
            // Envoy measures from the request's end.
            if open.ended {
                headers.set(b"x-envoy-upstream-service-time", elapsed_ms.to_string());
            }
            // The filter need not know.
            if vm.grpc_is_web() && headers.contains(b"content-type") {
                headers.set(b"content-type", "application/grpc");
            }
        }
        match status(&headers) {
            Some(200) if !end => self.grpc_metadata(token, Id::GrpcReceiveInitialMetadata, headers),
            Some(200) => self.grpc_trailers_only(token, headers, VIA_UPSTREAM),
            _ if end && headers.contains(b"grpc-status") => self.grpc_trailers_only(token, headers, VIA_UPSTREAM),
            other => {
                let code = grpc_status_of_http(other.unwrap_or_default().into());
                self.grpc_metadata(token, Id::GrpcReceiveInitialMetadata, HeaderMap::new(Kind::Response));
                self.grpc_error(token, code, VIA_UPSTREAM);
            }
        }
        self.grpc_is_wanted(token)
    }

    /// Bytes of a response's body are here. Tells whether what follows is wanted.
    pub fn grpc_data(&self, token: u32, bytes: &[u8]) -> bool {
        let frames = {
            let mut vm = self.vm.borrow_mut();
            let web = vm.grpc_is_web();
            let Some(open) = vm.grpc.get(token) else { return false };
            open.decoder.decode(bytes, web)
        };
        let Some(frames) = frames else {
            self.grpc_error(token, code::INTERNAL, VIA_UPSTREAM);
            return false;
        };
        for frame in frames {
            match frame {
                Received::Message(message) => self.grpc_message(token, message),
                Received::Compressed => self.grpc_error(token, code::INTERNAL, VIA_UPSTREAM),
                Received::Trailers(block) => {
                    let trailers = HeaderMap::from_pairs(Kind::Trailers, trailer_lines(&block));
                    self.grpc_trailers(token, trailers, VIA_UPSTREAM);
                }
            }
            if !self.grpc_is_wanted(token) {
                return false;
            }
        }
        true
    }

    /// A response's body is over.
    pub fn grpc_end(&self, token: u32, trailers: Option<HeaderMap>) {
        match trailers {
            Some(trailers) => self.grpc_trailers(token, trailers, VIA_UPSTREAM),
            None => self.grpc_error(token, code::UNKNOWN, VIA_UPSTREAM),
        }
    }

    /// A response can't be had, or not all of it.
    pub fn grpc_failed(&self, token: u32, failure: UpstreamFailure) {
        let Some(has_head) = self.vm.borrow_mut().grpc.get(token).map(|open| open.has_head) else { return };
        if has_head {
            self.grpc_error(token, code::INTERNAL, &failure.details_after_headers());
        } else {
            self.grpc_answer(token, &failure.reply());
        }
    }

    /// A host call was refused after it had taken a token: the answer instead, or none where there is no cluster. A
    /// filter that tries again from the callback gets the next one when this one is through.
    pub(crate) fn grpc_refused(&self, token: u32, reply: Option<LocalReply>) {
        {
            let grpc = &mut self.vm.borrow_mut().grpc;
            grpc.refused.push_back((token, reply));
            if std::mem::replace(&mut grpc.refusing, true) {
                return;
            }
        }
        loop {
            let Some((token, reply)) = self.vm.borrow_mut().grpc.refused.pop_front() else { break };
            match reply {
                Some(reply) => self.grpc_answer(token, &reply),
                None => self.grpc_close(token, code::UNAVAILABLE, b"Cluster not available".to_vec()),
            }
        }
        self.vm.borrow_mut().grpc.refusing = false;
    }

    fn grpc_is_wanted(&self, token: u32) -> bool {
        self.vm.borrow_mut().grpc.get(token).is_some_and(|open| !open.remote_closed)
    }

    /// A response of the proxy's own.
    fn grpc_answer(&self, token: u32, reply: &LocalReply) {
        self.grpc_trailers_only(token, reply.head(true, false), &reply.details);
    }

    fn grpc_trailers_only(&self, token: u32, headers: HeaderMap, details: &str) {
        self.grpc_metadata(token, Id::GrpcReceiveInitialMetadata, HeaderMap::new(Kind::Response));
        self.grpc_trailers(token, headers, details);
    }

    fn grpc_trailers(&self, token: u32, trailers: HeaderMap, details: &str) {
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
        self.grpc_metadata(token, Id::GrpcReceiveTrailingMetadata, trailers);
        self.grpc_closed(token, code, message);
    }

    fn grpc_error(&self, token: u32, code: u32, details: &str) {
        self.grpc_metadata(token, Id::GrpcReceiveTrailingMetadata, HeaderMap::new(Kind::Trailers));
        self.grpc_closed(token, code, details.into());
    }

    /// Shows a stream's metadata; a call's is not shown.
    fn grpc_metadata(&self, token: u32, callback: Id, map: HeaderMap) {
        if is_call(token) || !self.grpc_is_wanted(token) {
            return;
        }
        let count = map.len() as u32;
        let is_initial = callback == Id::GrpcReceiveInitialMetadata;
        {
            let grpc = &mut self.vm.borrow_mut().grpc;
            *(if is_initial { &mut grpc.initial } else { &mut grpc.trailing }) = Some(map);
        }
        self.grpc_callback(callback, token, count);
    }

    fn grpc_message(&self, token: u32, message: Vec<u8>) {
        if is_call(token) {
            if let Some(open) = self.vm.borrow_mut().grpc.get(token) {
                open.response = Some(message);
            }
            return;
        }
        self.grpc_receive(token, message);
    }

    fn grpc_receive(&self, token: u32, message: Vec<u8>) {
        let len = message.len() as u32;
        self.vm.borrow_mut().grpc.message = Some(message.into());
        self.grpc_callback(Id::GrpcReceive, token, len);
    }

    /// The response is over.
    fn grpc_closed(&self, token: u32, mut code: u32, mut message: Vec<u8>) {
        let response = {
            let mut vm = self.vm.borrow_mut();
            let Some(open) = vm.grpc.get(token) else { return };
            open.remote_closed = true;
            open.response.take()
        };
        if is_call(token) && code == code::OK {
            if let Some(response) = response {
                self.grpc_receive(token, response);
                self.vm.borrow_mut().grpc.remove(token);
                return;
            }
            (code, message) = (code::INTERNAL, Vec::new());
        }
        self.grpc_close(token, code, message);
        let grpc = &mut self.vm.borrow_mut().grpc;
        if is_call(token) || grpc.get(token).is_some_and(|open| open.local_closed) {
            grpc.remove(token);
        }
    }

    fn grpc_close(&self, token: u32, code: u32, message: Vec<u8>) {
        if self.guest.exports(Id::GrpcClose) {
            self.vm.borrow_mut().callouts.status = (code, message);
            self.grpc_callback(Id::GrpcClose, token, code);
        }
    }

    fn grpc_callback(&self, callback: Id, token: u32, third: u32) {
        let returned = self.call(ROOT_CONTEXT, callback, &[ROOT_CONTEXT, token, third]);
        {
            let vm = &mut *self.vm.borrow_mut();
            (vm.grpc.initial, vm.grpc.message, vm.grpc.trailing) = (None, None, None);
            if callback == Id::GrpcClose {
                vm.callouts.status.1.clear();
            }
        }
        if let Some(returned) = returned {
            self.act(returned.actions);
        }
    }
}

impl Vm {
    /// Whether gRPC-Web stands in for gRPC.
    pub(crate) fn grpc_is_web(&self) -> bool {
        self.settings.upkeep.grpc_transport == GrpcTransport::GrpcWeb
    }
}
