//! How many requests run, and how many wait.
//!
//! A request that runs has an instance of its own, also while it waits for its client or for callouts. Where others wait for
//! their turn, those go that are furthest behind (see `pace`): so slow uploads, clients that take no response, and filters
//! that answer each callout with another one keep nobody else out.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::departure::Departure;
use super::pace::Pace;

/// How far a request must be behind before it makes room for another.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often requests are looked through while others wait.
const LOOK: Duration = Duration::from_millis(20);

/// Lets a bounded number of requests through, and a bounded number wait, for a bounded time.
pub(super) struct Gate {
    turns: Arc<Semaphore>,
    all: u32,
    waiting: AtomicUsize,
    max_waiting: usize,
    patience: Duration,
    running: Arc<Mutex<Running>>,
}

/// What runs.
#[derive(Debug, Default)]
struct Running {
    callers: HashMap<u64, Caller>,
    next: u64,
    looked: Option<Instant>,
}

/// The client of a request.
#[derive(Clone, Debug, Default)]
pub(super) struct Caller {
    pub(super) pace: Arc<Pace>,
    pub(super) departure: Departure,
}

/// A request that runs.
pub(super) struct Turn {
    _permit: OwnedSemaphorePermit,
    running: Arc<Mutex<Running>>,
    number: u64,
}

/// Why a request does not get a turn.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// As many requests wait as may.
    Full,
    /// It waited for too long.
    Late,
}

impl Gate {
    pub(super) fn new(max_running: u32, max_waiting: u32, patience: Duration) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(max_running as usize)),
            all: max_running,
            waiting: AtomicUsize::new(0),
            max_waiting: max_waiting as usize,
            patience,
            running: Arc::default(),
        }
    }

    /// Takes a turn if there is one.
    pub(super) fn enter_now(&self, caller: &Caller) -> Result<Turn, Refusal> {
        let permit = self.turns.clone().try_acquire_owned().map_err(|_| Refusal::Full)?;
        Ok(self.turn(permit, caller))
    }

    /// Waits for a turn.
    pub(super) async fn enter(&self, caller: &Caller) -> Result<Turn, Refusal> {
        if let Ok(turn) = self.enter_now(caller) {
            return Ok(turn);
        }
        let _place = self.queue()?;
        let mut permit = std::pin::pin!(self.turns.clone().acquire_owned());
        let end = Instant::now() + self.patience;
        loop {
            let now = Instant::now();
            if now >= end {
                return Err(Refusal::Late);
            }
            self.make_room(now);
            tokio::select! {
                biased;
                permit = &mut permit => return Ok(self.turn(permit.map_err(|_| Refusal::Full)?, caller)),
                () = tokio::time::sleep(LOOK.min(end - now)) => {}
            }
        }
    }

    fn turn(&self, permit: OwnedSemaphorePermit, caller: &Caller) -> Turn {
        let mut running = self.running();
        let number = running.next;
        running.next += 1;
        running.callers.insert(number, caller.clone());
        Turn { _permit: permit, running: self.running.clone(), number }
    }

    /// Has as many requests end as wait, as far as they are behind.
    fn make_room(&self, now: Instant) {
        let mut running = self.running();
        if running.looked.is_some_and(|looked| now.saturating_duration_since(looked) < LOOK) {
            return;
        }
        running.looked = Some(now);
        let callers = running.callers.values();
        let (leaving, staying): (Vec<_>, Vec<_>) = callers.partition(|caller| caller.departure.has_left());
        let behind = staying.into_iter().map(|caller| (caller.pace.debt(now).0, caller));
        let mut behind: Vec<_> = behind.filter(|(debt, _)| *debt >= PATIENCE).collect();
        behind.sort_unstable_by_key(|(debt, _)| std::cmp::Reverse(*debt));
        let wanted = self.waiting.load(Ordering::Relaxed).saturating_sub(leaving.len());
        behind.iter().take(wanted).for_each(|(_, caller)| caller.departure.leave());
    }

    /// Waits until no request runs.
    pub(super) async fn all_left(&self) {
        // The semaphore is never closed, so this fails never.
        let _ = self.turns.acquire_many(self.all).await;
    }

    /// How many requests run.
    pub(super) fn count(&self) -> usize {
        self.all as usize - self.turns.available_permits()
    }

    /// How many requests wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    fn queue(&self) -> Result<Place<'_>, Refusal> {
        let place = Place(&self.waiting);
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.max_waiting { Err(Refusal::Full) } else { Ok(place) }
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        lock(&self.running)
    }
}

fn lock(running: &Mutex<Running>) -> MutexGuard<'_, Running> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Turn {
    fn drop(&mut self) {
        let caller = lock(&self.running).callers.remove(&self.number);
        drop(caller);
    }
}

/// A place in the queue; a request whose client leaves gives it up.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    async fn is_pending<F: Future + Unpin>(future: &mut F) -> bool {
        std::future::poll_fn(|context| {
            std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(context).is_pending())
        })
        .await
    }

    #[tokio::test]
    async fn runs_queues_and_refuses() {
        let (gate, caller) = (Gate::new(1, 1, LONG), Caller::default());
        let first = gate.enter(&caller).await.unwrap();
        let mut second = Box::pin(gate.enter(&caller));
        assert!(is_pending(&mut second).await);
        assert_eq!(gate.enter(&caller).await.err(), Some(Refusal::Full), "the queue holds one");
        assert!(gate.enter_now(&caller).is_err());
        drop(first);
        let second = second.await.unwrap();
        assert_eq!(gate.count(), 1);
        drop(second);
        gate.all_left().await;
        assert_eq!(gate.count(), 0);
        assert!(gate.running().callers.is_empty());
    }

    #[tokio::test]
    async fn the_queue_ends() {
        let (gate, caller) = (Gate::new(1, 1, Duration::from_millis(10)), Caller::default());
        let _first = gate.enter(&caller).await.unwrap();
        assert_eq!(gate.enter(&caller).await.err(), Some(Refusal::Late));
    }

    #[tokio::test]
    async fn whose_client_is_behind_makes_room() {
        let gate = Gate::new(2, 9, LONG);
        let (slow, fast, next) = (Caller::default(), Caller::default(), Caller::default());
        slow.pace.awaits_upload();
        let turns = (gate.enter(&slow).await.unwrap(), gate.enter(&fast).await.unwrap());
        let mut waits = Box::pin(gate.enter(&next));
        tokio::select! {
            _ = &mut waits => panic!("there is no turn yet"),
            () = slow.departure.left() => {}
        }
        assert!(!fast.departure.has_left());
        drop(turns.0);
        waits.await.unwrap();
    }
}
