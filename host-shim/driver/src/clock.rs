//! The monotonic clock of an instance, which may have been written down and begun again elsewhere.
//!
//! ```text
//!   Ahead of the host's by a constant, at first 0 ── freeze ──► Stands ── read ──► Ahead
//! ```
//!
//! So a filter's clock never goes back, and what was due a second after the instance was written down is due a second after
//! one that begins from it first looks.

/// How an instance's clock differs from its host's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// By so many nanoseconds; a host's clock that shows more than this one is behind by what wraps around.
    Ahead(u64),
    /// It stands at this time, since the instance was written down.
    Stands(u64),
}

impl Clock {
    /// The host's own.
    pub const fn new() -> Self {
        Self::Ahead(0)
    }

    /// The time, and the clock from now on; `host` reads the host's.
    pub fn read(self, host: fn() -> u64) -> (u64, Self) {
        let now = host();
        match self {
            Self::Ahead(by) => (now.wrapping_add(by), self),
            Self::Stands(at) => (at, Self::Ahead(at.wrapping_sub(now))),
        }
    }

    /// It stands until it is read.
    #[must_use]
    pub fn freeze(self, host: fn() -> u64) -> Self {
        Self::Stands(self.read(host).0)
    }

    /// What the host's clock shows at a time of this one that was reckoned from what it showed. Never before the host's own
    /// beginning.
    pub fn to_host(self, at: u64) -> u64 {
        match self {
            Self::Ahead(by) => {
                let on_host = at.wrapping_sub(by);
                // Of two times that wrap around, the one before the host's clock began is due at once.
                if (by as i64) > 0 && at < by { 0 } else { on_host }
            }
            Self::Stands(_) => at,
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_on_where_it_stood() {
        let clock = Clock::new();
        assert_eq!(clock.read(|| 7), (7, clock));
        let frozen = clock.freeze(|| 500);
        for (host, later) in [(3, 13), (900, 910)] {
            let (now, clock) = frozen.read(if host == 3 { || 3 } else { || 900 });
            assert_eq!(now, 500);
            assert_eq!(clock.to_host(510), later);
            assert_eq!(clock.read(if host == 3 { || 13 } else { || 910 }).0, 510);
        }
    }

    #[test]
    fn a_time_before_the_hosts_clock_began_is_due_at_once() {
        let (_, clock) = Clock::new().freeze(|| 500).read(|| 3);
        assert_eq!(clock.to_host(100), 0);
        assert_eq!(Clock::new().to_host(u64::MAX), u64::MAX);
        let (_, behind) = Clock::new().freeze(|| 3).read(|| 500);
        assert_eq!(behind.to_host(u64::MAX - 1), u64::MAX - 1 - (3_u64.wrapping_sub(500)));
    }
}
