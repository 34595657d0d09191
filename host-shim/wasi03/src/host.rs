//! Clocks, randomness and the log.

use std::cell::{Cell, RefCell};

use proxy_wasm_driver::{CAPABILITIES, Clock};
use proxy_wasm_semantics::{Capabilities, Host, SharedData, SharedQueues};

use crate::{
    bindings::{
        proxy_wasm::adapter0_1_0::shared,
        wasi::{
            clocks::{monotonic_clock, system_clock},
            random::random,
        },
    },
    canonical::{self, Stderr, Timer},
};

/// The imports of the world.
pub(crate) struct WasiHost;

thread_local! {
    static CLOCK: Cell<Clock> = const { Cell::new(Clock::new()) };
    static STDERR: RefCell<Option<Stderr>> = const { RefCell::new(None) };
    /// The timer that a task left behind, for the next one: most tasks end long before their deadline, and to have the host
    /// make one and let it go again costs more than to be woken once for nothing.
    static SPARE: RefCell<Option<Timer>> = const { RefCell::new(None) };
}

/// The monotonic clock of this instance.
pub(crate) fn now() -> u64 {
    let (now, clock) = CLOCK.get().read(monotonic_clock::now);
    CLOCK.set(clock);
    now
}

/// A timer that fires when that clock shows this time.
pub(crate) fn at(time: u64) -> Timer {
    Timer::new(time, CLOCK.get().to_host(time))
}

/// The same, or a spare one that fires earlier.
pub(crate) fn at_or_before(time: u64) -> Timer {
    match SPARE.take() {
        Some(mut spare) if spare.at <= time => {
            spare.wait_here();
            spare
        }
        _ => at(time),
    }
}

/// Keeps a timer that nobody waits for any more; of two the one that fires first, which more can use.
pub(crate) fn keep(mut timer: Timer) {
    if timer.is_past() {
        return;
    }
    timer.leave();
    SPARE.with_borrow_mut(|spare| {
        if spare.as_ref().is_none_or(|other| timer.at <= other.at) {
            *spare = Some(timer);
        }
    });
}

/// The instance is written down: that clock stands until it is read, and the log is let go of.
pub(crate) fn let_go() {
    CLOCK.set(CLOCK.get().freeze(monotonic_clock::now));
    STDERR.take();
    SPARE.take();
    canonical::let_go();
}

/// Goes on with lines that the host has not taken yet, in the task that runs.
pub(crate) fn flush_log() {
    STDERR.with_borrow_mut(|stderr| stderr.as_mut().map(Stderr::flush));
}

/// The task that runs ends.
pub(crate) fn part_from_log() {
    STDERR.with_borrow_mut(|stderr| stderr.as_mut().map(Stderr::part));
}

impl Host for WasiHost {
    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn wall_clock(&self) -> u64 {
        let now = system_clock::now();
        // A clock that stands before 1970 shows 1970.
        u64::try_from(now.seconds)
            .map_or(0, |seconds| seconds.wrapping_mul(1_000_000_000).wrapping_add(now.nanoseconds.into()))
    }

    fn monotonic_clock(&self) -> u64 {
        now()
    }

    fn random(&self, mut bytes: &mut [u8]) {
        // The host may give fewer than it was asked for.
        while !bytes.is_empty() {
            let some = random::get_random_bytes(bytes.len() as u64);
            let (filled, rest) = bytes.split_at_mut(some.len().min(bytes.len()));
            filled.copy_from_slice(&some[..filled.len()]);
            bytes = rest;
        }
    }

    fn shared_data(&self) -> Option<&dyn SharedData> {
        Some(self)
    }

    fn shared_queues(&self) -> Option<&dyn SharedQueues> {
        Some(self)
    }

    fn log(&self, line: &str) {
        STDERR.with_borrow_mut(|stderr| {
            stderr.get_or_insert_with(Stderr::new).write([line.as_bytes(), b"\n"].concat());
        });
    }
}

proxy_wasm_driver::shared!(WasiHost, shared);
