//! A client that leaves before its response is complete, and how the component is told.
//!
//! `wasi:http` 0.2 has no word for it. A component notices where it writes the response, or reads a request that broke off;
//! not where it waits for anything else, and then it would have to be dropped in the middle: an instance lost, with what
//! its filter had counted, and the next request would pay for another.
//!
//! So this host ends the component's `wasi:io/poll.poll` without anything being ready. WASI knows no such result, and our
//! shim takes it for what it means: it ends the exchange as Envoy does, and the filter gets its last callbacks. It is told
//! once for a request, and has a while; then the instance is dropped after all. So is one of a component that is none of
//! ours, at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::WasiView;
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::io::poll::Host;

use super::state::State;

/// The interface's name, as `wasmtime-wasi` offers it.
const INTERFACE: &str = "wasi:io/poll@0.2.12";

/// How long a component may take to end an exchange whose client has left.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether the client of a request has left, or is treated as if it had: others may need its turn.
#[derive(Clone, Debug, Default)]
pub(super) struct Departure(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    left: AtomicBool,
    notify: Notify,
}

impl Departure {
    /// It has.
    pub(super) fn leave(&self) {
        self.0.left.store(true, Ordering::Release);
        self.0.notify.notify_waiters();
    }

    /// Whether it has.
    pub(super) fn has_left(&self) -> bool {
        self.0.left.load(Ordering::Acquire)
    }

    /// Waits until it has.
    pub(super) async fn left(&self) {
        loop {
            let notified = self.0.notify.notified();
            if self.has_left() {
                return;
            }
            notified.await;
        }
    }

    /// Waits until it has left for longer than a component may take for that.
    pub(super) async fn is_overdue(&self, is_told: bool) {
        self.left().await;
        if is_told {
            tokio::time::sleep(PATIENCE).await;
        }
    }
}

/// What a store is to be told of the client whose request it serves.
#[derive(Debug, Default)]
pub(super) struct Notice(Option<Departure>);

impl Notice {
    /// It serves this one's request from now on, or nobody's.
    pub(super) fn set(&mut self, departure: Option<Departure>) {
        self.0 = departure;
    }
}

/// Has components wait in our way.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let result = linker.instance(INTERFACE).and_then(|mut interface| {
        interface.func_wrap_async("poll", |mut store, (pollables,): (Vec<Resource<DynPollable>>,)| {
            Box::new(async move { Ok((poll(store.data_mut(), pollables).await?,)) })
        })
    });
    linker.allow_shadowing(false);
    result
}

async fn poll(state: &mut State, pollables: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
    let Some(departure) = state.notice.0.clone() else { return state.ctx().table.poll(pollables).await };
    tokio::select! {
        biased;
        () = departure.left() => {}
        ready = state.ctx().table.poll(pollables) => return ready,
    }
    state.notice.set(None);
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_waits_is_told() {
        let departure = Departure::default();
        let waits = tokio::spawn({
            let departure = departure.clone();
            async move { departure.left().await }
        });
        tokio::task::yield_now().await;
        departure.leave();
        waits.await.unwrap();
        departure.left().await;
    }
}
