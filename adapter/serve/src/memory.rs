//! How much memory instances may take: each, and all of them together.

use std::sync::Arc;

use proxy_wasm_adapter_embed::memory::{self, MemoryLimit, Refusal};
use tokio::sync::Notify;

/// What is taken where the system does not say how much memory it has.
const UNKNOWN: usize = 4 << 30;

/// What instances may take.
#[derive(Debug)]
pub(super) struct Budget {
    kept: Arc<memory::Budget>,
    exceeded: Arc<Notify>,
}

impl Budget {
    /// `each` may take so many bytes, and all of them `total` beyond what each begins with.
    pub(super) fn new(each: usize, total: usize) -> Self {
        let exceeded = Arc::<Notify>::default();
        let told = exceeded.clone();
        let refused = move |refusal: Refusal| match refusal {
            Refusal::OfEach { wanted, limit } => {
                tracing::warn!(wanted, limit, "an instance asked for more memory than --max-memory");
            }
            Refusal::OfAll { wanted, limit } => {
                told.notify_one();
                tracing::warn!(wanted, limit, "instances asked for more memory together than --max-total-memory");
            }
        };
        Self { kept: memory::Budget::new(each, total, refused), exceeded }
    }

    /// For a library's instances.
    pub(super) fn kept(&self) -> Arc<memory::Budget> {
        self.kept.clone()
    }

    /// The part of a new instance.
    pub(super) fn limit(&self) -> MemoryLimit {
        MemoryLimit::new(self.kept.clone())
    }

    /// Waits until instances want more than all may have.
    pub(super) async fn is_exceeded(&self) {
        self.exceeded.notified().await;
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
