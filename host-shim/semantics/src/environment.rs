//! What the semantics need from outside: the host's clocks, randomness and log, and the filter.

use proxy_wasm_abi::callbacks::Id;

/// The machine below.
pub trait Host {
    /// Nanoseconds since 1970.
    fn wall_clock(&self) -> u64;

    /// Nanoseconds of a clock that never goes back.
    fn monotonic_clock(&self) -> u64;

    /// The monotonic clock when the edge last waited, or later: good enough for durations and time limits, and cheap.
    fn now(&self) -> u64 {
        self.monotonic_clock()
    }

    /// The random bytes of a request id: unlike any other's, but no secret.
    fn id_bytes(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        self.random(&mut bytes);
        bytes
    }

    /// Fills with random bytes that can't be guessed.
    fn random(&self, bytes: &mut [u8]);

    /// Writes one log record. Its text has no line break.
    fn log(&self, line: &str);
}

/// The filter.
pub trait Guest {
    /// Whether the filter exports this callback.
    fn exports(&self, callback: Id) -> bool;

    /// Whether the filter can read properties at all.
    fn reads_properties(&self) -> bool;

    /// Calls it. The arguments are those of ABI 0.2.1; a callback without a result returns 0.
    fn call(&self, callback: Id, arguments: &[u32]) -> u32;

    /// Runs the module's start functions.
    fn start(&self);

    /// Exports nothing from now on.
    fn bypass(&self);
}
