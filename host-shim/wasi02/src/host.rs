//! Clocks, randomness and the log.

use std::cell::Cell;

use proxy_wasm_driver::{CAPABILITIES, Clock};
use proxy_wasm_semantics::{Capabilities, Host, SharedData, SharedQueues};

use crate::bindings::{
    proxy_wasm::adapter::shared,
    wasi::{
        cli::stderr,
        clocks::{monotonic_clock, wall_clock},
        io::poll::Pollable,
        random::random,
    },
};

thread_local! {
    static CLOCK: Cell<Clock> = const { Cell::new(Clock::new()) };
}

/// The monotonic clock of this instance.
pub(crate) fn now() -> u64 {
    let (now, clock) = CLOCK.get().read(monotonic_clock::now);
    CLOCK.set(clock);
    now
}

/// A time of that clock as the host's shows it.
pub(crate) fn on_host(time: u64) -> u64 {
    CLOCK.get().to_host(time)
}

/// What comes ready when that clock shows this time.
pub(crate) fn at(time: u64) -> Pollable {
    monotonic_clock::subscribe_instant(on_host(time))
}

/// That clock stands until it is read: the instance is written down.
pub(crate) fn stop_clock() {
    CLOCK.set(CLOCK.get().freeze(monotonic_clock::now));
}

/// The imports of the world.
pub(crate) struct WasiHost;

impl Host for WasiHost {
    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn wall_clock(&self) -> u64 {
        let now = wall_clock::now();
        now.seconds.wrapping_mul(1_000_000_000).wrapping_add(now.nanoseconds.into())
    }

    fn monotonic_clock(&self) -> u64 {
        now()
    }

    fn random(&self, bytes: &mut [u8]) {
        bytes.copy_from_slice(&random::get_random_bytes(bytes.len() as u64));
    }

    fn shared_data(&self) -> Option<&dyn SharedData> {
        Some(self)
    }

    fn shared_queues(&self) -> Option<&dyn SharedQueues> {
        Some(self)
    }

    fn log(&self, line: &str) {
        /// Bytes that one blocking write takes at the most.
        const WRITE_MAX: usize = 4096;
        let stream = stderr::get_stderr();
        let line = [line.as_bytes(), b"\n"].concat();
        for part in line.chunks(WRITE_MAX) {
            // A log that can't be written is no reason to fail the exchange.
            if stream.blocking_write_and_flush(part).is_err() {
                return;
            }
        }
    }
}

proxy_wasm_driver::shared!(WasiHost, shared);
