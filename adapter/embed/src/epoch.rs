//! How long an instance may compute.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use wasmtime::Engine;

/// How often the epoch moves on.
pub const TICK: Duration = Duration::from_millis(10);

/// The ticks within which this time passes for certain: one may come at once.
pub(crate) fn ticks(limit: Duration) -> u64 {
    u64::try_from(limit.as_millis().div_ceil(TICK.as_millis())).unwrap_or(u64::MAX / 2).saturating_add(1)
}

/// Moves an engine's epoch on, until it is dropped.
#[derive(Debug)]
pub struct Ticker {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Ticker {
    /// A thread of its own: all others may be busy in filters, which is when ticks matter.
    ///
    /// # Errors
    /// The system has none.
    pub fn spawn(engine: &Engine) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (engine, stopped) = (engine.weak(), stop.clone());
        let thread = std::thread::Builder::new().name(String::from("proxy-wasm epoch")).spawn(move || {
            while !stopped.load(Relaxed) {
                std::thread::park_timeout(TICK);
                match engine.upgrade() {
                    Some(engine) => engine.increment_epoch(),
                    None => return,
                }
            }
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It cannot panic, and there is nothing to do if it did.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_never_less_than_its_time() {
        assert_eq!([0, 1, 10, 11].map(|ms| ticks(Duration::from_millis(ms))), [1, 2, 2, 3]);
    }
}
