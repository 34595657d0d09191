//! A machine that serves a single request, and what its plugins have on their way when that is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed, Ordering::Release};
use std::time::Duration;

use super::{Live, Machine};
use crate::machines::Shop;

/// How long an instance that has served its one request is kept for what it has on its way.
const LAST_WORK: Duration = Duration::from_secs(15);

/// A machine for one request. Dropped, it stays for the callouts that are under way, by itself: nobody else looks after it.
pub(in crate::machines) struct Single(Arc<Machine>);

impl Single {
    pub(in crate::machines) fn new(shop: Arc<Shop>, depth: u32) -> Self {
        Self(Machine::new(shop, depth, true))
    }

    pub(in crate::machines) fn machine(&self) -> &Arc<Machine> {
        &self.0
    }

    /// Does this while somebody looks after the machine's deadlines.
    pub(in crate::machines) async fn during<T>(&self, done: impl Future<Output = T>) -> T {
        tokio::select! {
            biased;
            done = done => done,
            never = self.0.clone().keep() => match never {},
        }
    }
}

impl Drop for Single {
    fn drop(&mut self) {
        if self.0.is_calling_out() {
            self.0.shop.tasks.spawn(finish(self.0.clone()));
        }
    }
}

/// Stays with an instance until what it has on its way is back, or for long enough.
async fn finish(machine: Arc<Machine>) {
    let is_over = async {
        while machine.is_calling_out() {
            machine.over.notified().await;
        }
    };
    tokio::select! {
        () = is_over => {}
        never = machine.clone().keep() => match never {},
        () = tokio::time::sleep(LAST_WORK) => {}
    }
    // Callouts that are under way know the machine: without an instance they end.
    if let Some(live) = machine.lock().await.live.take() {
        live.abandon();
    }
}

impl Machine {
    /// Whether callouts are under way, or somebody is in the instance and may send one.
    fn is_calling_out(&self) -> bool {
        let has_callouts = |live: &Live| !live.callouts.is_empty();
        self.state.try_lock().map_or(true, |state| state.live.as_ref().is_some_and(has_callouts))
    }
}

impl Live {
    /// What it has under way ends by no fault of those who were asked.
    pub(super) fn abandon(&self) {
        self.callouts.values().for_each(|callout| callout.abandoned.store(true, Release));
    }
}

/// Somebody computes in a machine of a single request, of which nobody has a list, until it is dropped.
pub(super) struct Computing<'a>(&'a AtomicUsize);

impl<'a> Computing<'a> {
    pub(super) fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Relaxed);
        Self(count)
    }
}

impl Drop for Computing<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
