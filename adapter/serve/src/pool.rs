//! Idle instances, ready for the next request, and what they do meanwhile: ticks, the answers to callouts, queues.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use wasmtime::PoolConcurrencyLimitError;

use super::error::Error;
use super::instance::{Failure, Instance, Recipe};
use super::policy::{Policy, Service};
use super::program::Program;
use super::tasks::Tasks;
use super::trap::Report;

/// How long an instance is kept that no request needs.
const IDLE: Duration = Duration::from_secs(60);

/// How long a request waits for an instance that is being tended, before it gets a new one: a tick takes less, and a new
/// instance has its caches empty.
const TENDED_WAIT: Duration = Duration::from_millis(50);

/// How long an instance that has served enough is kept for what it has on its way.
const LAST_WORK: Duration = Duration::from_secs(15);

/// Makes instances, and keeps those that are idle.
pub(super) struct Pool {
    recipe: Recipe,
    program: Program,
    max_reuse: u32,
    policy: Policy,
    tasks: Tasks,
    resting: Mutex<Resting>,
    /// An instance rests that wants to be tended earlier than the others.
    earlier: Notify,
    /// An instance came back from being tended, or will not.
    tended: Notify,
}

#[derive(Default)]
struct Resting {
    /// The longest without a request first.
    idle: VecDeque<Idle>,
    /// How many are being tended, and will be idle again.
    tended: usize,
}

struct Idle {
    since: Instant,
    instance: Instance,
}

impl Resting {
    fn add(&mut self, idle: Idle) {
        let at = self.idle.partition_point(|other| other.since <= idle.since);
        self.idle.insert(at, idle);
    }

    fn next_wake(&self) -> Option<Instant> {
        self.idle.iter().filter_map(|idle| idle.instance.wake).min()
    }

    /// Takes an instance out whose time has come.
    fn take_due(&mut self, now: Instant) -> Option<Idle> {
        let due = self.idle.iter().position(|idle| idle.instance.is_due(now))?;
        self.tended += 1;
        self.idle.remove(due)
    }
}

impl Pool {
    /// A pool that holds one started instance.
    pub(super) async fn start(
        recipe: Recipe,
        program: Program,
        max_reuse: u32,
        policy: Policy,
        tasks: Tasks,
    ) -> Result<Self, Error> {
        let (earlier, tended) = (Notify::new(), Notify::new());
        let pool = Self { recipe, program, max_reuse, policy, tasks, resting: Mutex::default(), earlier, tended };
        let first =
            Instance::new(&pool.recipe, &pool.program, BTreeSet::new(), 0).await.map_err(|failure| match failure {
                Failure::Instantiate(error) => Error::Instantiate { reason: format!("{error:#}") },
                Failure::Refused(reason) => Error::Refused { reason },
                Failure::Trapped(error) => Error::StartTrapped { report: pool.report(&error).to_string() },
                Failure::Failed => Error::Refused { reason: String::from("it failed") },
            })?;
        pool.resting().add(Idle { since: Instant::now(), instance: first });
        Ok(pool)
    }

    /// What an error of one of its instances tells.
    pub(super) fn report(&self, error: &wasmtime::Error) -> Report {
        self.recipe.report(error)
    }

    /// Whether its instances are told when clients leave.
    pub(super) fn hears_of_departures(&self) -> bool {
        self.program.plugin.hears_of_departures()
    }

    /// Whether every request is answered 503 from now on.
    pub(super) fn is_closed(&self) -> bool {
        self.policy.service(Instant::now()) == Service::Nothing
    }

    /// An instance for one request of this depth: the one that was used last, whose memory is warm, or a new one.
    pub(super) async fn take(&self, depth: u32) -> Result<Instance, Failure> {
        let service = self.policy.service(Instant::now());
        if service == Service::Nothing {
            return Err(Failure::Failed);
        }
        if let Ok(Some(instance)) = tokio::time::timeout(TENDED_WAIT, self.take_idle()).await {
            if instance.served > 0 {
                self.recipe.counters.instances.reused.add();
            }
            return Ok(instance);
        }
        match service {
            Service::Instance => self.make(depth).await,
            Service::Present | Service::Nothing => Err(Failure::Failed),
        }
    }

    async fn make(&self, depth: u32) -> Result<Instance, Failure> {
        let now = Instant::now();
        let made = Instance::new(&self.recipe, &self.program, self.policy.bypassed(), depth).await;
        match &made {
            Ok(_) => {}
            Err(Failure::Trapped(error)) => {
                let vm = self.report(error).vm;
                self.recipe.counters.trapped(self.recipe.filters.names(vm));
                self.fail(now, vm);
            }
            // It is the others that wait for their callouts, and no fault of the plugin.
            Err(Failure::Instantiate(error)) if error.is::<PoolConcurrencyLimitError>() => {}
            Err(_) => self.fail(now, self.recipe.filters.only_vm()),
        }
        made
    }

    /// An instance trapped that was made then.
    pub(super) fn trapped(&self, loaded: Instant, error: &wasmtime::Error) {
        let report = self.report(error);
        tracing::error!("{report}");
        self.recipe.counters.trapped(self.recipe.filters.names(report.vm));
        self.fail(loaded, report.vm);
    }

    /// An instance failed that was made then, by this virtual machine if that is known.
    fn fail(&self, loaded: Instant, vm: Option<u32>) {
        self.policy.fail(loaded, vm, &self.recipe.filters.plugins(vm));
        let mut resting = self.resting();
        let (kept, dropped) = resting.idle.drain(..).partition(|idle: &Idle| self.is_wanted(&idle.instance));
        resting.idle = kept;
        // Dropping takes a while: not under the lock.
        drop(resting);
        let _: VecDeque<Idle> = dropped;
    }

    /// Whether requests may get this instance.
    fn is_wanted(&self, instance: &Instance) -> bool {
        !self.is_closed() && instance.bypassed == self.policy.bypassed() && !instance.is_bloated()
    }

    /// The idle instance that was used last; waits while none is idle but one soon will be.
    async fn take_idle(&self) -> Option<Instance> {
        loop {
            let tended = self.tended.notified();
            {
                let mut resting = self.resting();
                if let Some(idle) = resting.idle.pop_back() {
                    return Some(idle.instance);
                }
                if resting.tended == 0 {
                    return None;
                }
            }
            tended.await;
        }
    }

    /// Keeps an instance that served a request in good order, unless it has served enough.
    pub(super) fn put_back(self: &Arc<Self>, instance: Instance) {
        if !self.is_wanted(&instance) {
            return;
        }
        let idle = Idle { since: Instant::now(), instance };
        if idle.instance.has_upkeep() {
            self.resting().tended += 1;
            self.tasks.spawn(self.clone().tend(idle));
        } else if idle.instance.served < self.max_reuse {
            self.resting().add(idle);
        }
    }

    /// Tends idle instances when they want it, as long as it is polled.
    pub(super) async fn keep(self: Arc<Self>) {
        loop {
            let next = self.resting().next_wake();
            let wake = async {
                match next {
                    Some(next) => tokio::time::sleep_until(next.into()).await,
                    None => std::future::pending().await,
                }
            };
            // What became due meanwhile is found below, whatever it was that ended the wait.
            tokio::select! {
                () = self.earlier.notified() => {}
                () = self.recipe.shared.is_told() => {}
                () = wake => {}
            }
            let now = Instant::now();
            loop {
                let due = self.resting().take_due(now);
                let Some(idle) = due else { break };
                self.tasks.spawn(self.clone().tend(idle));
            }
        }
    }

    /// Tends an instance that was taken out for it, and lets it rest again.
    async fn tend(self: Arc<Self>, mut idle: Idle) {
        let loaded = idle.instance.loaded;
        let result = idle.instance.tend().await;
        let worn_out = {
            let mut resting = self.resting();
            resting.tended -= 1;
            let worn_out = idle.instance.served >= self.max_reuse;
            // A plugin that ticks keeps the caches of its last instance, however much that has served; not where each
            // request was to have its own.
            let last = resting.idle.is_empty() && resting.tended == 0 && self.max_reuse > 1;
            match &result {
                Ok(()) if !self.is_wanted(&idle.instance) => None,
                Ok(()) if worn_out && !(last && idle.instance.wake.is_some()) => Some(idle),
                Ok(()) => {
                    resting.add(idle);
                    None
                }
                Err(_) => None,
            }
        };
        self.tended.notify_waiters();
        self.earlier.notify_one();
        if let Err(error) = result {
            self.trapped(loaded, &error);
        }
        if let Some(idle) = worn_out {
            self.finish(idle.instance).await;
        }
    }

    /// Stays with an instance that has served enough until what it has on its way is back.
    async fn finish(&self, mut instance: Instance) {
        let end = Instant::now() + LAST_WORK;
        while instance.unfinished && Instant::now() < end {
            let wake = instance.wake.unwrap_or(end).min(end);
            tokio::time::sleep_until(wake.into()).await;
            if let Err(error) = instance.tend().await {
                self.trapped(instance.loaded, &error);
                return;
            }
        }
    }

    /// Waits until instances want more memory than all may have.
    pub(super) async fn is_pressed(&self) {
        self.recipe.budget.is_exceeded().await;
    }

    /// Drops the idle instances, save one: others need their memory.
    pub(super) fn drop_idle(&self) {
        let mut resting = self.resting();
        let kept = resting.idle.len().saturating_sub(1);
        let dropped: Vec<_> = resting.idle.drain(..kept).collect();
        // Dropping takes a while: not under the lock.
        drop(resting);
        drop(dropped);
    }

    /// Drops the instances that no request needed for a while, save one.
    pub(super) fn trim(&self) {
        let mut dropped = Vec::new();
        let mut resting = self.resting();
        while resting.idle.len() > 1 && resting.idle.front().is_some_and(|idle| idle.since.elapsed() > IDLE) {
            dropped.extend(resting.idle.pop_front());
        }
        // Dropping takes a while: not under the lock.
        drop(resting);
    }

    fn resting(&self) -> MutexGuard<'_, Resting> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
