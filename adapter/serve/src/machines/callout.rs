//! A callout: a request that a filter makes by itself, by HTTP or gRPC.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use http::Request;
use proxy_wasm_adapter_embed::{CalloutId, Origin, Peer};

use super::machine::Machine;
use super::pipe::Writer;
use super::sending::{Incoming, send};
use crate::outgoing::Sender;
use crate::record::Record;

/// Sends it; returns where its body goes, and what has to run for its answer.
pub(super) fn begin(
    machine: &Arc<Machine>,
    id: CalloutId,
    to: Origin,
    head: Request<()>,
    end: bool,
    http2: bool,
    record: Option<Arc<Record>>,
) -> (Option<Writer>, impl Future<Output = ()> + Send + use<>) {
    let sender = Sender { abandoned: Arc::<AtomicBool>::default(), depth: machine.depth(), record };
    let (writer, mut incoming) = send(machine.shop(), sender, &to, head, end, http2);
    let machine = machine.clone();
    let answer = async move {
        let peer = Peer::Callout(id);
        while !matches!(incoming, Incoming::Over) {
            let events = std::future::poll_fn(|context| incoming.poll(peer, true, context)).await;
            if machine.hear(id, events).await.is_err() {
                return;
            }
        }
        machine.forget_callout(id).await;
    };
    (writer, answer)
}
