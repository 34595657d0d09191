//! How much memory instances may take: each, and all of them together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::sync::Notify;
use wasmtime::ResourceLimiter;

/// What is taken where the system does not say how much memory it has.
const UNKNOWN: usize = 4 << 30;

/// What all instances may take beyond what each begins with.
#[derive(Debug)]
pub(super) struct Budget {
    grown: AtomicUsize,
    limit: usize,
    /// Somebody was refused.
    pub(super) exceeded: Notify,
}

impl Budget {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { grown: AtomicUsize::new(0), limit, exceeded: Notify::new() })
    }

    /// All of it.
    pub(super) fn total(&self) -> usize {
        self.limit
    }

    fn take(&self, bytes: usize) -> bool {
        let taken = self
            .grown
            .fetch_update(Relaxed, Relaxed, |grown| grown.checked_add(bytes).filter(|grown| *grown <= self.limit));
        taken.inspect_err(|_| self.exceeded.notify_one()).is_ok()
    }
}

/// Bounds the memory of one instance, over all its core modules.
pub(super) struct MemoryLimit {
    budget: Arc<Budget>,
    used: usize,
    limit: usize,
    /// Of what all may take.
    grown: usize,
    /// It was refused memory.
    refused: bool,
}

impl MemoryLimit {
    pub(super) fn new(budget: Arc<Budget>, limit: usize) -> Self {
        Self { budget, used: 0, limit, grown: 0, refused: false }
    }

    /// Whether it was ever refused memory: its filter would only ask again.
    pub(super) fn was_refused(&self) -> bool {
        self.refused
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        let used = self.used.saturating_add(more);
        // What a memory begins with is the same for all instances, so their number bounds it.
        let grows = current > 0;
        if used > self.limit {
            tracing::warn!(wanted = used, limit = self.limit, "an instance asked for more memory than --max-memory");
        } else if grows && !self.budget.take(more) {
            let limit = self.budget.limit;
            tracing::warn!(wanted = more, limit, "instances asked for more memory together than --max-total-memory");
        } else {
            self.used = used;
            self.grown += if grows { more } else { 0 };
            return Ok(true);
        }
        self.refused = true;
        Ok(false)
    }

    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(true)
    }
}

impl Drop for MemoryLimit {
    fn drop(&mut self) {
        self.budget.grown.fetch_sub(self.grown, Relaxed);
    }
}

/// Three quarters of the memory that this process may take, by its machine and its control group.
pub(super) fn default_total() -> usize {
    of_system().unwrap_or(UNKNOWN) / 4 * 3
}

#[cfg(target_os = "linux")]
fn of_system() -> Option<usize> {
    let read = |path| std::fs::read_to_string(path).ok();
    let total = read("/proc/meminfo").and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?.trim().strip_suffix("kB")?;
        line.trim().parse::<usize>().ok()?.checked_mul(1024)
    });
    let groups = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let groups = groups.into_iter().filter_map(|path| read(path)?.trim().parse().ok());
    total.into_iter().chain(groups).min()
}

#[cfg(not(target_os = "linux"))]
fn of_system() -> Option<usize> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_and_all_are_bounded() {
        let budget = Budget::new(100);
        let mut one = MemoryLimit::new(budget.clone(), 90);
        let mut two = MemoryLimit::new(budget.clone(), 90);
        let grow = |memory: &mut MemoryLimit, from, to| memory.memory_growing(from, to, None).unwrap();
        assert!(grow(&mut one, 0, 20) && grow(&mut one, 20, 90) && !grow(&mut one, 90, 91));
        assert!(one.was_refused());
        assert!(grow(&mut two, 0, 20) && !grow(&mut two, 20, 60) && two.was_refused());
        drop(one);
        assert!(grow(&mut two, 20, 60));
        drop(two);
        assert_eq!(budget.grown.load(Relaxed), 0);
    }
}
