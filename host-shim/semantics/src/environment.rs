//! The semantics' needs from outside: the host's clocks, randomness and log, and the filter.

use proxy_wasm_abi::callbacks::Id;

use crate::calls::CallResult;

/// The limits of a host, which Envoy has not: what is beyond them is refused before the host is asked, since some trap.
#[derive(Clone, Copy, Debug)]
pub struct Capabilities {
    /// Bytes of a head, or of trailers.
    pub head_max_bytes: usize,
    /// Bytes that each header counts there on top of its name and value.
    pub header_entry_bytes: usize,
    /// The least and the greatest status of a response.
    pub statuses: (u16, u16),
    /// The fields that it lets nobody send, in lower case. What it refuses besides, it says itself.
    pub forbidden: &'static [&'static str],
}

/// The machine below.
pub trait Host {
    /// Its limits.
    fn capabilities(&self) -> Capabilities;

    /// Nanoseconds since 1970.
    fn wall_clock(&self) -> u64;

    /// Nanoseconds of a clock that never goes back.
    fn monotonic_clock(&self) -> u64;

    /// Fills with random bytes that can't be guessed.
    fn random(&self, bytes: &mut [u8]);

    /// Shared data that this machine keeps for other instances, too.
    fn shared_data(&self) -> Option<&dyn SharedData> {
        None
    }

    /// Shared queues that this machine keeps for other instances, too.
    fn shared_queues(&self) -> Option<&dyn SharedQueues> {
        None
    }

    /// Writes one log record. Its text has no line break.
    fn log(&self, line: &str);
}

/// Shared data, by VM id: see `wit/`.
pub trait SharedData {
    /// A key's value, and the number of the change that made it.
    fn get(&self, vm_id: &[u8], key: &[u8]) -> CallResult<(Vec<u8>, u32)>;

    /// Sets a key's value, if it is still of this change.
    fn set(&self, vm_id: &[u8], key: &[u8], value: &[u8], expected: u32) -> CallResult;
}

/// Shared queues, by VM id: see `wit/`.
pub trait SharedQueues {
    /// The token of a queue, of which this instance is told from now on.
    fn register(&self, vm_id: &[u8], name: &[u8]) -> u32;

    /// The token of a queue that was registered.
    fn resolve(&self, vm_id: &[u8], name: &[u8]) -> CallResult<u32>;

    /// Puts an item at a queue's end.
    fn enqueue(&self, token: u32, item: &[u8]) -> CallResult;

    /// Takes the item at a queue's head.
    fn dequeue(&self, token: u32) -> CallResult<Vec<u8>>;

    /// The tokens of the queues that got items, one for each.
    fn take_ready(&self) -> Vec<u32>;
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
}
