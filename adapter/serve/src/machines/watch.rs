//! Has the runtime poll sockets while filters compute.
//!
//! A thread of the runtime that is in an instance polls nothing, and the others sleep until they are woken: where it was the
//! one that polls, nobody wakes them. In Envoy each worker polls its own sockets, so a filter that computes for long holds up
//! its own worker, and no other.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::runtime::Handle;

use super::{ByDepth, Shop};

/// For how long a filter computes, at the most, until another thread polls.
const LOOK: Duration = Duration::from_millis(10);

/// Looks after these machines and those of single requests, until the shop is gone.
pub(super) fn begin(shop: &Arc<Shop>, machines: &Arc<ByDepth>) -> std::io::Result<()> {
    let (shop, machines, runtime) = (Arc::downgrade(shop), Arc::downgrade(machines), Handle::current());
    let look = move || {
        while let Some(shop) = shop.upgrade() {
            let is_busy = |machines: Arc<ByDepth>| {
                machines.iter().filter_map(OnceLock::get).flatten().any(|machine| machine.is_busy())
            };
            let is_busy = shop.computing.load(Relaxed) > 0 || machines.upgrade().is_some_and(is_busy);
            drop(shop);
            if is_busy {
                // A task wakes a thread that sleeps, and having nothing else to do that one polls.
                runtime.spawn(async {});
            }
            std::thread::sleep(LOOK);
        }
    };
    std::thread::Builder::new().name(String::from("proxy-wasm watch")).spawn(look).map(drop)
}
