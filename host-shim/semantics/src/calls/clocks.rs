//! Clocks and randomness.

use crate::state::ChainState;

impl ChainState {
    /// `proxy_get_current_time_nanoseconds`, and WASI's real-time clock: nanoseconds since 1970.
    pub fn wall_clock(&self) -> u64 {
        self.host.wall_clock()
    }

    /// WASI's monotonic clock, in nanoseconds.
    pub fn monotonic_clock(&self) -> u64 {
        self.host.monotonic_clock()
    }

    /// WASI's `random_get`.
    pub fn random(&self, bytes: &mut [u8]) {
        self.host.random(bytes);
    }
}
