//! What an instance may take: memory, and time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use wasmtime::{Engine, ResourceLimiter};

/// How often the epoch moves on.
const TICK: Duration = Duration::from_millis(10);

/// The ticks within which this time passes for certain: one may come at once.
pub(crate) fn ticks(limit: Duration) -> u64 {
    u64::try_from(limit.as_millis().div_ceil(TICK.as_millis())).unwrap_or(u64::MAX / 2).saturating_add(1)
}

/// Bounds the memory of one instance, over all its core modules.
#[derive(Debug)]
pub(crate) struct MemoryLimit {
    used: usize,
    limit: usize,
    /// Of what all may have together.
    grown: usize,
    grown_of_all: Arc<AtomicUsize>,
    limit_of_all: usize,
    was_refused: bool,
}

impl MemoryLimit {
    /// For an instance that may have so much, as one of those that add up there what they have on top of what each begins
    /// with.
    pub(crate) fn new(limit: usize, grown_of_all: Arc<AtomicUsize>, limit_of_all: usize) -> Self {
        Self { used: 0, limit, grown: 0, grown_of_all, limit_of_all, was_refused: false }
    }

    fn take(&self, bytes: usize) -> bool {
        let within = |grown: usize| grown.checked_add(bytes).filter(|grown| *grown <= self.limit_of_all);
        self.grown_of_all.fetch_update(Relaxed, Relaxed, within).is_ok()
    }

    /// Whether it asked for more than it may have.
    pub(crate) fn was_refused(&self) -> bool {
        self.was_refused
    }

    /// The bytes that it has.
    pub(crate) fn used(&self) -> usize {
        self.used
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        let used = self.used.saturating_add(more);
        // What a memory begins with is the same for all instances: their number bounds it.
        let grows = current > 0;
        if used > self.limit || grows && !self.take(more) {
            self.was_refused = true;
            return Ok(false);
        }
        self.used = used;
        self.grown += if grows { more } else { 0 };
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired.saturating_mul(size_of::<usize>()) <= self.limit)
    }
}

impl Drop for MemoryLimit {
    fn drop(&mut self) {
        self.grown_of_all.fetch_sub(self.grown, Relaxed);
    }
}

/// Moves an engine's epoch on, until it is dropped.
#[derive(Debug)]
pub(crate) struct Ticker {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Ticker {
    /// A thread of its own: all others may be busy in filters, which is when ticks matter.
    pub(crate) fn spawn(engine: &Engine) -> std::io::Result<Self> {
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
    fn memory_is_bounded_over_all_modules() {
        let mut limit = MemoryLimit::new(100, Arc::default(), usize::MAX);
        assert!(limit.memory_growing(0, 60, None).unwrap());
        assert!(!limit.was_refused());
        assert!(!limit.memory_growing(0, 50, None).unwrap() && limit.was_refused());
        assert!(limit.memory_growing(60, 100, None).unwrap());
        assert_eq!(limit.used(), 100);
    }

    #[test]
    fn memory_is_bounded_over_all_instances() {
        let of_all = Arc::<AtomicUsize>::default();
        let mut limits = [0; 2].map(|_| MemoryLimit::new(90, of_all.clone(), 50));
        let grow = |limit: &mut MemoryLimit, from, to| limit.memory_growing(from, to, None).unwrap();
        assert!(grow(&mut limits[0], 0, 40) && grow(&mut limits[0], 40, 80));
        assert!(grow(&mut limits[1], 0, 40) && !grow(&mut limits[1], 40, 60) && limits[1].was_refused());
        let [one, mut other] = limits;
        drop(one);
        assert!(grow(&mut other, 40, 60));
        drop(other);
        assert_eq!(of_all.load(Relaxed), 0);
    }

    #[test]
    fn a_limit_is_never_less_than_its_time() {
        assert_eq!([0, 1, 10, 11].map(|ms| ticks(Duration::from_millis(ms))), [1, 2, 2, 3]);
    }
}
