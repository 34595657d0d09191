//! Clocks, randomness and the log.

use proxy_wasm_semantics::Host;

use crate::bindings::wasi::{
    cli::stderr,
    clocks::{monotonic_clock, wall_clock},
    random::random,
};

/// The imports of the world.
pub(crate) struct WasiHost;

impl Host for WasiHost {
    fn wall_clock(&self) -> u64 {
        let now = wall_clock::now();
        now.seconds.wrapping_mul(1_000_000_000).wrapping_add(now.nanoseconds.into())
    }

    fn monotonic_clock(&self) -> u64 {
        monotonic_clock::now()
    }

    fn random(&self, bytes: &mut [u8]) {
        bytes.copy_from_slice(&random::get_random_bytes(bytes.len() as u64));
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
