//! How long a filter computes without waiting, and when it is stopped.
//!
//! A thread moves the engine's epoch on; a store whose epoch passed asks its [`Meter`] what to do: give other requests
//! their turn, or stop. What counts is time on the processor since the component last waited for something, so a
//! stream may live as long as it likes while an endless loop is found in any phase.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use proxy_wasm_adapter_embed::epoch::TICK;
use wasmtime::{Store, UpdateDeadline};

/// Measures one store.
#[derive(Clone)]
pub(super) struct Meter(Arc<Inner>);

struct Inner {
    limit: Duration,
    /// What the times below count from.
    origin: Instant,
    /// When the present poll began, in nanoseconds.
    began: AtomicU64,
    /// Time used by earlier polls since the component last waited, in nanoseconds.
    used: AtomicU64,
    /// The present poll ends because the meter asked for it, not because the component waits.
    yielding: AtomicBool,
}

impl Meter {
    /// A meter that stops what computes for longer than `limit`.
    pub(super) fn new(limit: Duration) -> Self {
        Self(Arc::new(Inner {
            limit,
            origin: Instant::now(),
            began: AtomicU64::new(0),
            used: AtomicU64::new(0),
            yielding: AtomicBool::new(false),
        }))
    }

    /// Lets this meter decide for a store at each tick.
    pub(super) fn attach<T>(&self, store: &mut Store<T>) {
        let meter = self.clone();
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(move |_| Ok(meter.tick()));
    }

    /// Runs something in the metered store.
    pub(super) async fn run<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        self.0.used.store(0, Relaxed);
        std::future::poll_fn(|context| {
            let began = self.0.now();
            self.0.began.store(began, Relaxed);
            let poll = future.as_mut().poll(context);
            if poll.is_pending() {
                let used = if self.0.yielding.swap(false, Relaxed) {
                    self.0.used.load(Relaxed) + (self.0.now() - began)
                } else {
                    0
                };
                self.0.used.store(used, Relaxed);
            }
            poll
        })
        .await
    }

    fn tick(&self) -> UpdateDeadline {
        let used = self.0.used.load(Relaxed) + self.0.now().saturating_sub(self.0.began.load(Relaxed));
        let used = Duration::from_nanos(used);
        if used >= self.0.limit {
            return UpdateDeadline::Interrupt;
        }
        if used < TICK {
            // The epoch passed while the component waited.
            return UpdateDeadline::Continue(1);
        }
        self.0.yielding.store(true, Relaxed);
        UpdateDeadline::Yield(1)
    }
}

/// Measures a store that others poll, by the ticks at which it computes.
#[derive(Clone)]
pub(super) struct Pulse(Arc<Beats>);

struct Beats {
    most: u32,
    /// Since the component last waited.
    count: AtomicU32,
    /// The present poll ends because of a tick, not because the component waits.
    yielding: AtomicBool,
}

impl Pulse {
    /// One that stops what computes for longer than `limit`.
    pub(super) fn new(limit: Duration) -> Self {
        let ticks = limit.as_millis().div_ceil(TICK.as_millis());
        // One may have passed while it waited.
        let most = u32::try_from(ticks).unwrap_or(u32::MAX).saturating_add(1);
        Self(Arc::new(Beats { most, count: AtomicU32::new(0), yielding: AtomicBool::new(false) }))
    }

    /// Lets it decide for a store at each tick.
    pub(super) fn attach<T>(&self, store: &mut Store<T>) {
        let pulse = self.clone();
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(move |_| Ok(pulse.tick()));
    }

    /// A poll of the store ended: unless that was for a tick, it waits.
    pub(super) fn waits(&self) {
        if !self.0.yielding.swap(false, Relaxed) {
            self.0.count.store(0, Relaxed);
        }
    }

    /// Runs something in its store.
    pub(super) async fn run<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        std::future::poll_fn(|context| {
            let poll = future.as_mut().poll(context);
            self.waits();
            poll
        })
        .await
    }

    fn tick(&self) -> UpdateDeadline {
        match self.0.count.fetch_add(1, Relaxed) {
            0 => UpdateDeadline::Continue(1),
            count if count >= self.0.most => UpdateDeadline::Interrupt,
            _ => {
                self.0.yielding.store(true, Relaxed);
                UpdateDeadline::Yield(1)
            }
        }
    }
}

impl Inner {
    fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}
