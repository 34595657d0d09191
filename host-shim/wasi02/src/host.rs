//! Clocks, randomness and the log.

use std::cell::Cell;

use proxy_wasm_abi::{
    enums::Status,
    http2,
    limits::{HEADER_ENTRY_BYTES, HEADERS_MAX_BYTES},
};
use proxy_wasm_driver::Clock;
use proxy_wasm_semantics::{CallResult, Capabilities, Host, SharedData, SharedQueues};

use crate::bindings::{
    proxy_wasm::adapter::shared::{self, Error},
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
        Capabilities {
            head_max_bytes: HEADERS_MAX_BYTES,
            header_entry_bytes: HEADER_ENTRY_BYTES,
            statuses: (200, 999),
            // Those that all hosts forbid. Wasmtime forbids more, jco does not.
            forbidden: &["connection", "host", "keep-alive", http2::FIELD],
        }
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

fn status(error: Error) -> Status {
    match error {
        Error::NotFound => Status::NotFound,
        Error::CasMismatch => Status::CasMismatch,
        Error::Empty => Status::Empty,
        Error::Full => Status::InternalFailure,
    }
}

impl SharedData for WasiHost {
    fn get(&self, vm_id: &[u8], key: &[u8]) -> CallResult<(Vec<u8>, u32)> {
        shared::get(vm_id, key).ok_or(Status::NotFound)
    }

    fn set(&self, vm_id: &[u8], key: &[u8], value: &[u8], expected: u32) -> CallResult {
        shared::set(vm_id, key, value, expected).map_err(status)
    }
}

impl SharedQueues for WasiHost {
    fn register(&self, vm_id: &[u8], name: &[u8]) -> u32 {
        shared::register_queue(vm_id, name)
    }

    fn resolve(&self, vm_id: &[u8], name: &[u8]) -> CallResult<u32> {
        shared::resolve_queue(vm_id, name).ok_or(Status::NotFound)
    }

    fn enqueue(&self, token: u32, item: &[u8]) -> CallResult {
        shared::enqueue(token, item).map_err(status)
    }

    fn dequeue(&self, token: u32) -> CallResult<Vec<u8>> {
        shared::dequeue(token).map_err(status)
    }

    fn take_ready(&self) -> Vec<u32> {
        shared::ready_queues()
    }
}
