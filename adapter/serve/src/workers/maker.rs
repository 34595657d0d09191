//! What each instance is made with, and when it ends.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::{Sleep, sleep_until};
use wasmtime::{Store, StoreContextMut, component::GuestTaskId};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, Proxy, ShouldAccept, WorkerExpiration, WorkerState, WorkerStatus,
};

use super::Load;
use super::answer::Fate;
use crate::counters::Held;
use crate::instance::Recipe;
use crate::logs::{Lines, Stream};
use crate::memory::MemoryLimit;
use crate::meter::Pulse;
use crate::policy::{Policy, Service};
use crate::program::Handler;
use crate::shared::Member;
use crate::state::State;

/// How long an instance is kept that no request needs.
const IDLE: Duration = Duration::from_secs(60);

/// How long an instance without requests is kept for what it has on its way.
const LAST_WORK: Duration = Duration::from_secs(15);

/// Makes instances for requests of one depth.
pub(super) struct Maker {
    recipe: Arc<Recipe>,
    policy: Arc<Policy>,
    load: Load,
    depth: u32,
}

impl Maker {
    pub(super) fn new(recipe: Arc<Recipe>, policy: Arc<Policy>, load: Load, depth: u32) -> Self {
        Self { recipe, policy, load, depth }
    }
}

impl HandlerState for Maker {
    type StoreData = State;
    type WorkerExpiration = Expiration;
    type WorkerState = Worker;

    async fn instantiate(&self) -> wasmtime::Result<Instance<State, Expiration, Worker>> {
        if self.policy.service(Instant::now()) != Service::Instance {
            return Err(wasmtime::Error::msg("the filter failed before, and is not made anew, or not yet"));
        }
        let recipe = &self.recipe;
        let Handler::V03(pre) = &recipe.program.handler else {
            return Err(wasmtime::Error::msg("the component is not for WASI 0.3"));
        };
        let logs =
            [Stream::Stdout, Stream::Stderr].map(|stream| Lines::new(recipe.output.clone(), recipe.form, stream));
        let abandoned = Arc::new(AtomicBool::new(false));
        let memory = MemoryLimit::new(recipe.budget.clone(), recipe.max_memory);
        let shared = Member::new(&recipe.shared);
        let mut state = State::new(recipe.client.clone(), abandoned.clone(), logs.clone(), shared, memory);
        state.set_depth(self.depth);
        let mut store = Store::new(recipe.program.pre.engine(), state);
        store.limiter(|state| &mut state.memory);
        let pulse = Pulse::new(recipe.cpu_timeout);
        pulse.attach(&mut store);
        let (fate, over) = (Fate::new(), Arc::<AtomicBool>::default());
        let loaded = Instant::now();
        let made = pre.instantiate_async(&mut store).await;
        let service = made.inspect_err(|error| trapped(recipe, &self.policy, loaded, error))?;
        recipe.counters.instances.made.add();
        Ok(Instance {
            store,
            proxy: Proxy::P3(service),
            view: State::http,
            expiration: Expiration {
                pulse,
                fate: fate.clone(),
                over: over.clone(),
                followed: loaded,
                sleep: Box::pin(sleep_until((loaded + IDLE).into())),
            },
            state: Worker {
                recipe: recipe.clone(),
                policy: self.policy.clone(),
                load: self.load,
                fate,
                over,
                abandoned,
                logs,
                loaded,
                served: AtomicBool::new(false),
                _active: recipe.counters.instances.active.enter(),
            },
        })
    }
}

/// An instance trapped that was made then.
fn trapped(recipe: &Recipe, policy: &Policy, loaded: Instant, error: &wasmtime::Error) {
    let report = recipe.report(error);
    tracing::error!("{report}");
    let filters = &recipe.program.filters;
    recipe.counters.trapped(filters.names(report.vm));
    policy.fail(loaded, report.vm, &filters.plugins(report.vm));
}

/// One instance, as far as others ask for it.
pub(super) struct Worker {
    recipe: Arc<Recipe>,
    policy: Arc<Policy>,
    load: Load,
    fate: Fate,
    /// Its time was over: what it ends with is no trap.
    over: Arc<AtomicBool>,
    /// Whoever reads an unfinished request body of this instance learns by it that no more will come.
    abandoned: Arc<AtomicBool>,
    logs: [Lines; 2],
    loaded: Instant,
    /// It had a request.
    served: AtomicBool,
    _active: Held,
}

impl WorkerState for Worker {
    type StoreData = State;
    type RequestData = oneshot::Sender<Fate>;

    fn should_accept_request(&self, concurrent: usize, total: usize) -> ShouldAccept {
        if total >= self.load.reuse as usize || self.policy.service(Instant::now()) == Service::Nothing {
            ShouldAccept::Never
        } else if concurrent >= self.load.concurrency as usize {
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

    fn on_request_start(
        &self,
        _: StoreContextMut<'_, State>,
        told: oneshot::Sender<Fate>,
        _: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        let _ = told.send(self.fate.clone());
        if self.served.swap(true, Ordering::Relaxed) {
            self.recipe.counters.instances.reused.add();
        }
        // The time limits are the filter's, and those of its streams.
        Box::pin(std::future::pending())
    }

    fn drop(&self, store: Store<State>, result: Result<(), wasmtime::Error>) {
        self.logs.iter().for_each(Lines::flush);
        if let Err(error) = result
            && !self.over.load(Ordering::Relaxed)
        {
            self.fate.seal();
            trapped(&self.recipe, &self.policy, self.loaded, &error);
        }
        // Before the store goes, and with it the senders of bodies, whose readers then look here.
        self.abandoned.store(true, Ordering::Release);
        drop(store);
    }
}

/// When an instance that no request needs is let go.
pub(super) struct Expiration {
    pulse: Pulse,
    fate: Fate,
    over: Arc<AtomicBool>,
    /// When a response was last seen to be under way.
    followed: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl WorkerExpiration for Expiration {
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>, status: WorkerStatus, since: Instant) -> Poll<()> {
        /// Who knows of an instance's fate besides those who read its responses: the worker, and what ends it.
        const HOLDERS: usize = 2;
        self.pulse.waits();
        if self.fate.is_known_to_more_than(HOLDERS) {
            self.followed = Instant::now();
        }
        let limit = match status {
            WorkerStatus::Requests => return Poll::Pending,
            WorkerStatus::PostReturn => LAST_WORK,
            WorkerStatus::Idle => IDLE,
        };
        let end = (since.max(self.followed) + limit).into();
        if self.sleep.deadline() != end {
            self.sleep.as_mut().reset(end);
        }
        std::task::ready!(self.sleep.as_mut().poll(context));
        self.over.store(true, Ordering::Relaxed);
        Poll::Ready(())
    }
}
