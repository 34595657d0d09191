//! How many requests run, and how many wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Lets a bounded number of requests through, and a bounded number wait.
pub(super) struct Gate {
    turns: Arc<Semaphore>,
    all: u32,
    waiting: AtomicUsize,
    max_waiting: usize,
}

/// A request that runs.
pub(super) struct Turn {
    _permit: OwnedSemaphorePermit,
}

/// As many requests wait as may.
#[derive(Debug)]
pub(super) struct Full;

impl Gate {
    pub(super) fn new(max_running: u32, max_waiting: u32) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(max_running as usize)),
            all: max_running,
            waiting: AtomicUsize::new(0),
            max_waiting: max_waiting as usize,
        }
    }

    /// Takes a turn if there is one.
    pub(super) fn enter_now(&self) -> Result<Turn, Full> {
        let permit = self.turns.clone().try_acquire_owned().map_err(|_| Full)?;
        Ok(Turn { _permit: permit })
    }

    /// Waits for a turn.
    pub(super) async fn enter(&self) -> Result<Turn, Full> {
        if let Ok(turn) = self.enter_now() {
            return Ok(turn);
        }
        let _place = self.queue()?;
        let permit = self.turns.clone().acquire_owned().await.map_err(|_| Full)?;
        Ok(Turn { _permit: permit })
    }

    /// Waits until no request runs.
    pub(super) async fn all_left(&self) {
        // The semaphore is never closed, so this fails never.
        let _ = self.turns.acquire_many(self.all).await;
    }

    /// How many requests run.
    pub(super) fn running(&self) -> usize {
        self.all as usize - self.turns.available_permits()
    }

    fn queue(&self) -> Result<Place<'_>, Full> {
        let place = Place(&self.waiting);
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.max_waiting { Err(Full) } else { Ok(place) }
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

    #[tokio::test]
    async fn runs_queues_and_refuses() {
        let gate = Arc::new(Gate::new(1, 1));
        let first = gate.enter().await.unwrap();
        let mut second = Box::pin(gate.enter());
        assert!(futures_pending(&mut second).await);
        assert!(gate.enter().await.is_err(), "the queue holds one");
        assert!(gate.enter_now().is_err());
        drop(first);
        let second = second.await.unwrap();
        assert_eq!(gate.running(), 1);
        drop(second);
        gate.all_left().await;
        assert_eq!(gate.running(), 0);
    }

    async fn futures_pending<F: Future + Unpin>(future: &mut F) -> bool {
        std::future::poll_fn(|context| {
            std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(context).is_pending())
        })
        .await
    }
}
