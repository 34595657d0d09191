//! gRPC callouts on their way: bodies that flow both ways at once.

use proxy_wasm_abi::settings::GrpcTransport;
use proxy_wasm_semantics::{CallId, Destination, GrpcAction, GrpcRequest, Guest, UpstreamFailure};

use crate::{
    action::{Action, Input, Peer},
    arrivals::BREAKS_OFF,
    calls::{Call, Kind},
    turn::Driver,
};

impl<G: Guest> Driver<'_, G> {
    /// Hands to the edge what filters asked for.
    pub(crate) fn start_grpc(&mut self) {
        while let Some(action) = self.chain.next_grpc() {
            match action {
                GrpcAction::Start(GrpcRequest { id, origin, headers, timeout_ms }) => {
                    let http2 = self.chain.state().settings().upkeep.grpc_transport == GrpcTransport::Http2;
                    let (peer, to) = (Peer::Callout(id), Destination::Cluster(origin.clone()));
                    let now = self.chain.now();
                    self.calls.list.push(Call::new(id, origin, Kind::Grpc, false, now, timeout_ms));
                    self.calls.actions.push_back(Action::Request { peer, to, headers, end: false, http2 });
                }
                GrpcAction::Send { id, bytes, end } => {
                    let peer = Peer::Callout(id);
                    let Some(call) = self.calls.get(id) else { continue };
                    if !call.outgoing.hand_over(end) {
                        continue;
                    }
                    if !bytes.is_empty() {
                        self.calls.actions.push_back(Action::Write(peer, bytes));
                    }
                    if end {
                        self.calls.actions.push_back(Action::Finish(peer, None));
                    }
                }
                GrpcAction::Cancel(id) => {
                    self.calls.release(id);
                }
            }
        }
    }

    pub(crate) fn grpc_input(&mut self, id: CallId, input: Input) {
        let now = self.chain.now();
        let Some(call) = self.calls.get(id) else { return };
        match input {
            Input::Head(headers, end) => {
                call.answered(headers, now);
                if end {
                    self.grpc_end(id, Input::End(None));
                }
            }
            Input::Data(bytes, end) => {
                if !self.show_grpc_head(id, false) {
                    return;
                }
                self.told = true;
                if let Some(call) = self.calls.get(id) {
                    call.moved = now;
                }
                if !self.chain.grpc_data(id, &bytes) {
                    self.calls.release(id);
                } else if end {
                    self.grpc_end(id, Input::End(None));
                }
            }
            Input::End(_) | Input::Broken | Input::Failed(..) => self.grpc_end(id, input),
        }
    }

    fn grpc_end(&mut self, id: CallId, input: Input) {
        // A head with a status in it is most often all there is: what comes next tells.
        if !self.show_grpc_head(id, matches!(input, Input::End(None))) {
            return;
        }
        match input {
            Input::End(trailers) => {
                self.calls.release(id);
                self.told = true;
                self.chain.grpc_end(id, trailers);
            }
            Input::Failed(failure, cause) => self.call_failed(id, failure, cause.as_deref()),
            _ => self.call_failed(id, UpstreamFailure::ConnectionTerminated, Some(BREAKS_OFF)),
        }
    }

    /// Shows the filter a head that waits; `end`: nothing follows it. Tells whether what follows is wanted.
    pub(crate) fn show_grpc_head(&mut self, id: CallId, end: bool) -> bool {
        let Some(call) = self.calls.get(id) else { return false };
        let Some((headers, elapsed_ms)) = call.head.take() else { return true };
        self.told = true;
        let is_wanted = self.chain.grpc_head(id, headers, end, elapsed_ms);
        if !is_wanted {
            self.calls.release(id);
        }
        is_wanted
    }

    /// Shows the heads after which nothing came at once. One with a status in it goes on waiting: most often it is all there
    /// is.
    pub(crate) fn show_grpc_heads(&mut self) {
        let is_shown = |call: &&Call| {
            let shown = call.head.as_ref().is_some_and(|(headers, _)| !headers.contains(b"grpc-status"));
            matches!(call.kind, Kind::Grpc) && shown
        };
        while let Some(id) = self.calls.list.iter().find(is_shown).map(|call| call.id) {
            self.show_grpc_head(id, false);
        }
    }
}
