//! gRPC callouts.

use proxy_wasm_abi::{
    enums::Status,
    limits::{CALLOUTS_MAX, GRPC_TIMEOUT_DIGITS_MAX},
    pairs,
};

use super::CallResult;
use crate::{
    environment::Capabilities,
    grpc::{GrpcAction, GrpcRequest, is_call, is_stream},
    grpc_frames::frame,
    grpc_service::{EnvoyGrpc, GrpcService, Target},
    headers::{HeaderMap, Kind},
    local_reply::LocalReply,
    router::{UpstreamFailure, check_request, is_field_value},
    running::Action,
    state::{CallId, ChainState},
};

/// Where a call goes, and what its filter says to it.
#[derive(Clone, Copy, Debug)]
pub struct GrpcTarget<'a> {
    /// A cluster's name, or a serialized `GrpcService`.
    pub service: &'a [u8],
    /// The service's full name.
    pub name: &'a [u8],
    /// The method's name.
    pub method: &'a [u8],
    /// The initial metadata, as a serialized map.
    pub metadata: &'a [u8],
}

impl ChainState {
    /// `proxy_grpc_call`: returns the call's token.
    pub fn grpc_call(&mut self, target: GrpcTarget<'_>, request: &[u8], timeout_ms: u32) -> CallResult<u32> {
        let token = self.grpc_open(target, Some(timeout_ms))?;
        self.grpc_write(token, frame(request), true);
        Ok(token)
    }

    /// `proxy_grpc_stream`: returns the stream's token.
    pub fn grpc_stream(&mut self, target: GrpcTarget<'_>) -> CallResult<u32> {
        self.grpc_open(target, None)
    }

    /// `proxy_grpc_send`: what comes after the end is ignored.
    pub fn grpc_send(&mut self, token: u32, message: &[u8], end: bool) -> CallResult {
        if !is_stream(token) {
            return Err(Status::BadArgument);
        }
        self.vm_mut().grpc.get(token).ok_or(Status::NotFound)?;
        self.grpc_write(token, frame(message), end);
        Ok(())
    }

    /// `proxy_grpc_close`: ends a stream's request; cancels a call.
    pub fn grpc_close(&mut self, token: u32) -> CallResult {
        if !is_stream(token) {
            return self.grpc_cancel(token);
        }
        self.vm_mut().grpc.get(token).ok_or(Status::NotFound)?;
        self.grpc_write(token, Vec::new(), true);
        let grpc = &mut self.vm_mut().grpc;
        let Some(open) = grpc.get(token) else { return Ok(()) };
        open.local_closed = true;
        if open.remote_closed {
            grpc.remove(token);
        }
        Ok(())
    }

    /// `proxy_grpc_cancel`: no callback comes any more.
    pub fn grpc_cancel(&mut self, token: u32) -> CallResult {
        if !is_call(token) && !is_stream(token) {
            return Err(Status::BadArgument);
        }
        let grpc = &mut self.vm_mut().grpc;
        let id = grpc.get(token).ok_or(Status::NotFound)?.id;
        grpc.remove(token);
        // The edge has not begun it, so nobody is to see it.
        let begun = !grpc.actions.iter().any(|action| matches!(action, GrpcAction::Start(new) if new.id == id));
        grpc.actions.retain(|action| action.id() != id);
        if begun {
            grpc.actions.push_back(GrpcAction::Cancel(id));
        }
        Ok(())
    }

    fn grpc_write(&mut self, token: u32, bytes: Vec<u8>, end: bool) {
        let grpc = &mut self.vm_mut().grpc;
        let Some(open) = grpc.get(token).filter(|open| !open.ended && !open.remote_closed) else { return };
        open.ended = end;
        let id = open.id;
        grpc.actions.push_back(GrpcAction::Send { id, bytes, end });
    }

    fn grpc_open(&mut self, target: GrpcTarget<'_>, call_timeout_ms: Option<u32>) -> CallResult<u32> {
        let read = GrpcService::read(target.service);
        let (to, metadata) = match read {
            Some(GrpcService { target: Target::Envoy(to), initial_metadata }) => (to, initial_metadata),
            // Where Envoy is built without Google's client, it says this.
            Some(GrpcService { target: Target::Google, .. }) => return Err(Status::BadArgument),
            // A message without a target ends Envoy. Some clusters' names happen to be such messages.
            Some(GrpcService { target: Target::Unset, .. }) | None if self.has_cluster(target.service) => {
                (EnvoyGrpc { cluster: target.service.to_vec(), ..EnvoyGrpc::default() }, Vec::new())
            }
            _ => return Err(Status::ParseFailure),
        };
        let token = self.vm_mut().grpc.next_token(call_timeout_ms.is_none());
        let id = CallId { plugin: self.plugin_index(), token };
        let Some(origin) = self.endpoint(&to.cluster) else {
            self.unknown_cluster(&to.cluster);
            self.running.ask(Action::GrpcRefused(id, None));
            return Err(Status::InternalFailure);
        };
        let mut headers = head(&to, &metadata, target, call_timeout_ms);
        if self.grpc_is_web() {
            headers.set(b"content-type", "application/grpc-web+proto");
            headers.set(b"x-grpc-web", "1");
        }
        let refusal = if self.vm().grpc.outstanding() < CALLOUTS_MAX {
            check(&headers, self.capabilities).err()
        } else {
            Some(UpstreamFailure::Overflow.reply())
        };
        self.vm_mut().grpc.add(id);
        match refusal {
            Some(reply) => self.running.ask(Action::GrpcRefused(id, Some(reply))),
            None => {
                let timeout_ms = call_timeout_ms.unwrap_or(0);
                self.vm_mut().grpc.actions.push_back(GrpcAction::Start(GrpcRequest {
                    id,
                    origin,
                    headers,
                    timeout_ms,
                }));
            }
        }
        Ok(token)
    }

    fn has_cluster(&self, name: &[u8]) -> bool {
        self.settings.cluster(name).is_some()
    }
}

/// The request's head, in Envoy's order.
fn head(
    to: &EnvoyGrpc,
    service_metadata: &[(Vec<u8>, Vec<u8>)],
    target: GrpcTarget<'_>,
    call_timeout_ms: Option<u32>,
) -> HeaderMap {
    let authority = if to.authority.is_empty() { &to.cluster } else { &to.authority };
    let path = [b"/", target.name, b"/", target.method].concat();
    let mut headers = HeaderMap::from_pairs(
        Kind::Request,
        [(":method", b"POST".as_slice()), (":path", &path), (":authority", authority), ("te", b"trailers")],
    );
    if let Some(timeout_ms) = call_timeout_ms {
        headers.add(b"grpc-timeout", timeout(timeout_ms));
    }
    headers.add(b"content-type", "application/grpc");
    let own = service_metadata.iter().map(|(name, value)| (name.as_slice(), value.as_slice()));
    for (name, value) in own.chain(pairs::decode(target.metadata).unwrap_or_default()) {
        headers.add(name, value);
    }
    // Hosts are strict about a length, and nobody knows it here.
    headers.remove(b"content-length");
    if !to.skip_envoy_headers {
        headers.set(b"x-envoy-internal", "true");
    }
    if let Some(timeout_ms @ 1..) = call_timeout_ms {
        headers.set(b"x-envoy-expected-rq-timeout-ms", timeout_ms.to_string());
    }
    headers
}

/// `grpc-timeout`, in the finest unit that its digits allow.
fn timeout(milliseconds: u32) -> String {
    let digits = milliseconds.to_string();
    if digits.len() <= GRPC_TIMEOUT_DIGITS_MAX { digits + "m" } else { format!("{}S", milliseconds / 1000) }
}

/// Refuses a head that can't be sent.
fn check(headers: &HeaderMap, host: Capabilities) -> Result<(), LocalReply> {
    let refusal = match check_request(headers, host) {
        Ok(()) if headers.get(b":path").is_some_and(is_field_value) => return Ok(()),
        Ok(()) => LocalReply::new(503, "invalid header value for: :path", ""),
        Err(refusal) => refusal,
    };
    let reason = String::from_utf8_lossy(&refusal.body).replace(' ', "_");
    Err(LocalReply { details: format!("filter_removed_required_request_headers{{{reason}}}"), ..refusal })
}
