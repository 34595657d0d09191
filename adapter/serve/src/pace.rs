//! How a request keeps pace: how long the host waits for its client, or its filter for callouts, and how much comes of that.
//!
//! Whoever holds a turn and is waited for keeps others from getting one. So the time is counted during which the client
//! sends nothing of a body that is read, or takes nothing of a response, less what it moves at the least rate. And the time
//! is counted that a filter goes on with callouts, each asked for when one before it came back: some ask without end.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The rate that a client is expected to move bytes at, each second, where others wait for its turn.
const LEAST_RATE: u32 = 1024;

/// Rounds of callouts that a filter has for nothing. Filters ask for a key, a token, a verdict: each is one.
const FREE_ROUNDS: u32 = 16;

/// One request's pace.
#[derive(Debug, Default)]
pub(super) struct Pace {
    upload: Mutex<Side>,
    download: Mutex<Side>,
    callouts: Mutex<Callouts>,
}

/// Who is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waited {
    Client,
    Callouts,
}

/// Callouts since the client moved anything.
#[derive(Debug, Default)]
struct Callouts {
    /// Since when there are any.
    since: Option<Instant>,
    /// How often one was asked for after others had come back.
    rounds: u32,
    came_back: bool,
}

impl Callouts {
    fn asked(&mut self, now: Instant) {
        self.since.get_or_insert(now);
        if std::mem::take(&mut self.came_back) {
            self.rounds = self.rounds.saturating_add(1);
        }
    }

    fn debt(&self, now: Instant) -> Duration {
        let since = self.since.filter(|_| self.rounds >= FREE_ROUNDS);
        since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
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
        self.moved(bytes);
    }

    /// A piece of the response was handed over, and the client is to take it.
    pub(super) fn awaits_download(&self) {
        lock(&self.download).awaited.get_or_insert_with(Instant::now);
    }

    /// It took so many bytes.
    pub(super) fn downloaded(&self, bytes: usize) {
        lock(&self.download).moved(bytes, Instant::now());
        self.moved(bytes);
    }

    fn moved(&self, bytes: usize) {
        if bytes > 0 {
            *lock(&self.callouts) = Callouts::default();
        }
    }

    /// The component sends a request: a callout, or the one that its filter let through.
    pub(super) fn asks(&self) {
        lock(&self.callouts).asked(Instant::now());
    }

    /// One of them came back.
    pub(super) fn hears(&self) {
        lock(&self.callouts).came_back = true;
    }

    /// How far it is behind, and whom that is to be said of.
    pub(super) fn debt(&self, now: Instant) -> (Duration, Waited) {
        let client = lock(&self.upload).debt(now).max(lock(&self.download).debt(now));
        let callouts = lock(&self.callouts).debt(now);
        if callouts > client { (callouts, Waited::Callouts) } else { (client, Waited::Client) }
    }
}

fn lock<T>(side: &Mutex<T>) -> MutexGuard<'_, T> {
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

    #[test]
    fn callouts_after_callouts_are_owed() {
        let mut callouts = Callouts::default();
        let now = Instant::now();
        let later = now + Duration::from_secs(3);
        for _ in 0..100 {
            callouts.asked(now);
        }
        callouts.came_back = true;
        assert_eq!(callouts.debt(later), Duration::ZERO, "all at once are one round");
        for _ in 0..FREE_ROUNDS {
            callouts.asked(now);
            callouts.came_back = true;
        }
        assert_eq!(callouts.debt(later), Duration::from_secs(3));
        let pace = Pace { callouts: Mutex::new(callouts), ..Pace::default() };
        assert_eq!(pace.debt(later), (Duration::from_secs(3), Waited::Callouts));
        pace.uploaded(0);
        assert_eq!(pace.debt(later).1, Waited::Callouts);
        pace.downloaded(1);
        assert_eq!(pace.debt(later), (Duration::ZERO, Waited::Client));
    }
}
