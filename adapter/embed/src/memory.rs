//! How much memory instances may take: each, and all of them together.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use wasmtime::ResourceLimiter;

/// What instances may take, in bytes.
pub struct Budget {
    each: usize,
    total: usize,
    grown: AtomicUsize,
    refused: Box<dyn Fn(Refusal) + Send + Sync>,
}

/// Why an instance got no more memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It would have so many bytes, and each may have `limit`.
    OfEach {
        /// Over all of its core modules.
        wanted: usize,
        /// The limit.
        limit: usize,
    },
    /// It asked for so many bytes more, and all may have `limit` beyond what each begins with.
    OfAll {
        /// More than it had.
        wanted: usize,
        /// The limit.
        limit: usize,
    },
}

impl Budget {
    /// Each may take so much, and all together so much beyond what each begins with; who is refused is told of there.
    pub fn new(each: usize, total: usize, refused: impl Fn(Refusal) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { each, total, grown: AtomicUsize::new(0), refused: Box::new(refused) })
    }

    fn take(&self, bytes: usize) -> bool {
        let within = |grown: usize| grown.checked_add(bytes).filter(|grown| *grown <= self.total);
        self.grown.fetch_update(Relaxed, Relaxed, within).is_ok()
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget").field("each", &self.each).field("total", &self.total).finish_non_exhaustive()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OfEach { wanted, limit } => {
                write!(f, "an instance asked for {wanted} bytes of memory; it may have {limit}")
            }
            Self::OfAll { wanted, limit } => {
                write!(f, "an instance asked for {wanted} bytes of memory more; all together may have {limit}")
            }
        }
    }
}

/// Bounds the memory of one instance, over all its core modules.
#[derive(Debug)]
pub struct MemoryLimit {
    budget: Arc<Budget>,
    used: usize,
    /// Of what all may have.
    grown: usize,
    was_refused: bool,
}

impl MemoryLimit {
    /// For an instance that takes from this budget.
    pub fn new(budget: Arc<Budget>) -> Self {
        Self { budget, used: 0, grown: 0, was_refused: false }
    }

    /// Whether it was ever refused memory: its filter would only ask again.
    pub fn was_refused(&self) -> bool {
        self.was_refused
    }

    /// The bytes that it has.
    pub(crate) fn used(&self) -> usize {
        self.used
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let budget = &*self.budget;
        let more = desired.saturating_sub(current);
        let used = self.used.saturating_add(more);
        // What a memory begins with is the same for all instances: their number bounds it.
        let grows = current > 0;
        let refusal = if used > budget.each {
            Refusal::OfEach { wanted: used, limit: budget.each }
        } else if grows && !budget.take(more) {
            Refusal::OfAll { wanted: more, limit: budget.total }
        } else {
            self.used = used;
            self.grown += if grows { more } else { 0 };
            return Ok(true);
        };
        self.was_refused = true;
        (budget.refused)(refusal);
        Ok(false)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(current == 0 || desired.saturating_mul(size_of::<usize>()) <= self.budget.each)
    }
}

impl Drop for MemoryLimit {
    fn drop(&mut self) {
        self.budget.grown.fetch_sub(self.grown, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn grow(limit: &mut MemoryLimit, from: usize, to: usize) -> bool {
        limit.memory_growing(from, to, None).unwrap()
    }

    #[test]
    fn memory_is_bounded_over_all_modules() {
        let told = Arc::<Mutex<Vec<Refusal>>>::default();
        let kept = told.clone();
        let mut limit =
            MemoryLimit::new(Budget::new(100, usize::MAX, move |refusal| kept.lock().unwrap().push(refusal)));
        assert!(grow(&mut limit, 0, 60));
        assert!(!limit.was_refused());
        assert!(!grow(&mut limit, 0, 50) && limit.was_refused());
        assert!(grow(&mut limit, 60, 100));
        assert_eq!(limit.used(), 100);
        assert_eq!(*told.lock().unwrap(), [Refusal::OfEach { wanted: 110, limit: 100 }]);
    }

    #[test]
    fn memory_is_bounded_over_all_instances() {
        let budget = Budget::new(90, 50, |_| {});
        let mut limits = [0; 2].map(|_| MemoryLimit::new(budget.clone()));
        assert!(grow(&mut limits[0], 0, 40) && grow(&mut limits[0], 40, 80));
        assert!(grow(&mut limits[1], 0, 40) && !grow(&mut limits[1], 40, 60) && limits[1].was_refused());
        let [one, mut other] = limits;
        drop(one);
        assert!(grow(&mut other, 40, 60));
        drop(other);
        assert_eq!(budget.grown.load(Relaxed), 0);
    }
}
