//! Has the runtime poll sockets while filters compute.
//!
//! A thread of the runtime that is in an instance polls nothing, and the others sleep until they are woken: where it was the
//! one that polls, nobody wakes them. In Envoy each worker polls its own sockets, so a filter that computes for long holds up
//! its own worker, and no other.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::runtime::Handle;

use super::ByDepth;

/// For how long a filter computes, at the most, until another thread polls.
const LOOK: Duration = Duration::from_millis(10);

/// Looks after these machines, until they are gone.
pub(super) fn begin(machines: &Arc<ByDepth>) -> std::io::Result<()> {
    let (machines, runtime) = (Arc::downgrade(machines), Handle::current());
    let look = move || {
        while let Some(machines) = machines.upgrade() {
            let is_busy = machines.iter().filter_map(OnceLock::get).flatten().any(|machine| machine.is_busy());
            drop(machines);
            if is_busy {
                // A task wakes a thread that sleeps, and having nothing else to do that one polls.
                runtime.spawn(async {});
            }
            std::thread::sleep(LOOK);
        }
    };
    std::thread::Builder::new().name(String::from("proxy-wasm watch")).spawn(look).map(drop)
}
