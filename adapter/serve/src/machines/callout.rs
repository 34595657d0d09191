//! A callout: a request that a filter makes by itself, by HTTP or gRPC.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use futures_util::future::{AbortHandle, Abortable};
use futures_util::stream::{FuturesUnordered, StreamExt};
use http::Request;
use proxy_wasm_adapter_embed::{CalloutId, Origin, Peer};
use tokio::sync::mpsc;

use super::machine::{Machine, Numbered};
use super::pipe::Writer;
use super::sending::{Incoming, send};
use crate::log_format;
use crate::outgoing::Sender;
use crate::tasks::Tasks;

/// What runs for a callout's answer.
type Answer = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The callouts of one machine, all in one task: what comes of several at once is heard in the order in which it came, as in
/// Envoy, where a worker is one thread.
#[derive(Default)]
pub(super) struct Callouts(OnceLock<mpsc::UnboundedSender<Abortable<Answer>>>);

impl Callouts {
    /// Where they go to, and what has to run for them.
    fn begin() -> (mpsc::UnboundedSender<Abortable<Answer>>, impl Future<Output = ()> + Send + use<>) {
        let (sender, mut begun) = mpsc::unbounded_channel();
        let running = async move {
            let mut under_way = FuturesUnordered::new();
            loop {
                tokio::select! {
                    biased;
                    answer = begun.recv() => match answer {
                        Some(answer) => under_way.push(answer),
                        None => return,
                    },
                    Some(_) = under_way.next() => {}
                }
            }
        };
        (sender, running)
    }

    /// Runs this until it is over or aborted, in their task, which is one of these. What it logs is of the request that is
    /// worked on now.
    pub(super) fn run(&self, tasks: &Tasks, answer: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        let (handle, registration) = AbortHandle::new_pair();
        let sender = self.0.get_or_init(|| {
            let (sender, running) = Self::begin();
            tasks.spawn(running);
            sender
        });
        // Where its task is over, so is everything.
        let _ = sender.send(Abortable::new(Box::pin(log_format::of_the_same(answer)), registration));
        handle
    }
}

/// Sends it; returns where its body goes, and what has to run for its answer.
pub(super) fn begin(
    machine: &Arc<Machine>,
    callout: Numbered<CalloutId>,
    sender: Sender,
    to: Origin,
    head: Request<()>,
    end: bool,
    http2: bool,
) -> (Option<Writer>, impl Future<Output = ()> + Send + use<>) {
    let (writer, mut incoming) = send(machine.shop(), sender, &to, head, end, http2);
    let machine = machine.clone();
    let answer = async move {
        let peer = Peer::Callout(callout.id);
        while !matches!(incoming, Incoming::Over) {
            let events = std::future::poll_fn(|context| incoming.poll(peer, true, context)).await;
            if machine.hear(callout, events).await.is_err() {
                return;
            }
        }
        machine.forget_callout(callout).await;
    };
    (writer, answer)
}
