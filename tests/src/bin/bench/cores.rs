//! Who gets which processor.

#[cfg(target_os = "linux")]
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// One processor for the host, and the others for who asks and for the upstream: what a request costs is then not what threads
/// of both cost each other. What this process starts has those that it has then itself.
#[cfg(target_os = "linux")]
pub(crate) struct Cores {
    host: CpuSet,
    others: CpuSet,
}

#[cfg(target_os = "linux")]
impl Cores {
    /// None, where there are not two.
    pub(crate) fn split() -> Option<Self> {
        let mut others = sched_getaffinity(None).ok()?;
        let first = (0..CpuSet::MAX_CPU).find(|&at| others.is_set(at))?;
        others.unset(first);
        let mut host = CpuSet::new();
        host.set(first);
        (others.count() > 0).then_some(Self { host, others })
    }

    /// Starts a host on its own, with one thread for each processor that it sees.
    pub(crate) fn start<T>(&self, start: impl FnOnce() -> T) -> T {
        let _ = sched_setaffinity(None, &self.host);
        let started = start();
        self.leave();
        started
    }

    /// Leaves the host's to the host.
    pub(crate) fn leave(&self) {
        // Where that is not allowed, all share them.
        let _ = sched_setaffinity(None, &self.others);
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) struct Cores;

#[cfg(not(target_os = "linux"))]
impl Cores {
    pub(crate) fn split() -> Option<Self> {
        None
    }

    pub(crate) fn start<T>(&self, start: impl FnOnce() -> T) -> T {
        start()
    }

    pub(crate) fn leave(&self) {}
}
