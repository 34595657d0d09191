//! Idle instances, ready for the next request.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::error::Error;
use super::instance::{Failure, Instance, Recipe};
use super::trap::Report;

/// How long an instance is kept that no request needs.
const IDLE: Duration = Duration::from_secs(60);

/// Makes instances, and keeps those that are idle.
pub(super) struct Pool {
    recipe: Recipe,
    max_reuse: u32,
    /// The longest idle first.
    idle: Mutex<VecDeque<(Instant, Instance)>>,
}

impl Pool {
    /// A pool that holds one started instance.
    pub(super) async fn start(recipe: Recipe, max_reuse: u32) -> Result<Self, Error> {
        let pool = Self { recipe, max_reuse, idle: Mutex::default() };
        let first = Instance::new(&pool.recipe).await.map_err(|failure| match failure {
            Failure::Instantiate(error) => Error::Instantiate { reason: format!("{error:#}") },
            Failure::Refused(reason) => Error::Refused { reason },
            Failure::Trapped(error) => Error::StartTrapped { report: pool.report(&error).to_string() },
        })?;
        pool.put_back(first);
        Ok(pool)
    }

    /// What an error of one of its instances tells.
    pub(super) fn report(&self, error: &wasmtime::Error) -> Report {
        self.recipe.report(error)
    }

    /// An instance for one request: the one that was used last, whose memory is warm, or a new one.
    pub(super) async fn take(&self) -> Result<Instance, Failure> {
        let idle = self.idle().pop_back();
        match idle {
            Some((_, instance)) => Ok(instance),
            None => Instance::new(&self.recipe).await,
        }
    }

    /// Keeps an instance that served a request in good order, unless it has served enough.
    pub(super) fn put_back(&self, instance: Instance) {
        if instance.served < self.max_reuse {
            self.idle().push_back((Instant::now(), instance));
        }
    }

    /// Drops the instances that no request needed for a while, save one.
    pub(super) fn trim(&self) {
        let mut dropped = Vec::new();
        let mut idle = self.idle();
        while idle.len() > 1 && idle.front().is_some_and(|(since, _)| since.elapsed() > IDLE) {
            dropped.extend(idle.pop_front());
        }
        // Dropping takes a while: not under the lock.
        drop(idle);
    }

    fn idle(&self) -> MutexGuard<'_, VecDeque<(Instant, Instance)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
