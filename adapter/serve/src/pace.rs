//! How a client keeps pace with its request: how long the host waits for it, and how much comes of that.
//!
//! Whoever holds a turn and is waited for keeps others from getting one. So the time is counted during which the client
//! sends nothing of a body that is read, or takes nothing of a response, less what it moves at the least rate.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The rate that a client is expected to move bytes at, each second, where others wait for its turn.
const LEAST_RATE: u32 = 1024;

/// One request's client.
#[derive(Debug, Default)]
pub(super) struct Pace {
    upload: Mutex<Side>,
    download: Mutex<Side>,
}

#[derive(Debug, Default)]
struct Side {
    /// Since when the client is waited for, if it is.
    awaited: Option<Instant>,
    /// How long it was waited for before, less what it moved.
    debt: Duration,
}

impl Side {
    fn debt(&self, now: Instant) -> Duration {
        self.debt + self.awaited.map_or(Duration::ZERO, |awaited| now.saturating_duration_since(awaited))
    }

    fn moved(&mut self, bytes: usize, now: Instant) {
        // What it moved counts against what it owes, and is no credit for later.
        let worth = Duration::from_secs(1).saturating_mul(u32::try_from(bytes).unwrap_or(u32::MAX)) / LEAST_RATE;
        self.debt = self.debt(now).saturating_sub(worth);
        self.awaited = None;
    }
}

impl Pace {
    /// The next piece of the request is waited for.
    pub(super) fn awaits_upload(&self) {
        lock(&self.upload).awaited.get_or_insert_with(Instant::now);
    }

    /// So many bytes of it came.
    pub(super) fn uploaded(&self, bytes: usize) {
        lock(&self.upload).moved(bytes, Instant::now());
    }

    /// A piece of the response was handed over, and the client is to take it.
    pub(super) fn awaits_download(&self) {
        lock(&self.download).awaited.get_or_insert_with(Instant::now);
    }

    /// It took so many bytes.
    pub(super) fn downloaded(&self, bytes: usize) {
        lock(&self.download).moved(bytes, Instant::now());
    }

    /// How far it is behind.
    pub(super) fn debt(&self, now: Instant) -> Duration {
        lock(&self.upload).debt(now).max(lock(&self.download).debt(now))
    }
}

fn lock(side: &Mutex<Side>) -> MutexGuard<'_, Side> {
    side.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_is_owed_and_bytes_pay() {
        let mut side = Side::default();
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        side.awaited = Some(now);
        assert_eq!(side.debt(at(3)), Duration::from_secs(3));
        side.moved(1024, at(3));
        assert_eq!(side.debt(at(9)), Duration::from_secs(2), "nobody waits");
        side.moved(1 << 30, at(9));
        assert_eq!(side.debt(at(9)), Duration::ZERO);
        side.awaited = Some(at(9));
        assert_eq!(side.debt(at(10)), Duration::from_secs(1), "there is no credit");
    }
}
