//! What each instance is made with, and when it ends.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
use super::tender::{Requests, Tender};
use crate::counters::Held;
use crate::departure::Departure;
use crate::instance::{Failure, Recipe};
use crate::logs::{Lines, Stream};
use crate::meter::Pulse;
use crate::policy::{Policy, Service};
use crate::program::{Handler, Program};
use crate::record::Record;
use crate::shared::Member;
use crate::state::State;
use crate::stats::Share;

/// How long an instance is kept that no request needs.
const IDLE: Duration = Duration::from_secs(60);

/// How long an instance without requests is kept for what it has on its way.
const LAST_WORK: Duration = Duration::from_secs(15);

/// How long an instance that ends may take to tell what became of its last exchange.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Makes instances for requests of one depth.
pub(super) struct Maker {
    recipe: Arc<Recipe>,
    program: Arc<Program>,
    policy: Arc<Policy>,
    load: Load,
    depth: u32,
    /// This host ends.
    ending: Arc<AtomicBool>,
    /// One that was made before there was a request.
    ready: Mutex<Option<Ready>>,
}

type Made = Instance<State, Expiration, Worker>;

/// An instance that lives until a request wants it.
struct Ready {
    wanted: oneshot::Sender<()>,
    /// Nothing comes where it trapped meanwhile.
    instance: oneshot::Receiver<Made>,
}

impl Maker {
    pub(super) fn new(
        recipe: Arc<Recipe>,
        program: Arc<Program>,
        policy: Arc<Policy>,
        load: Load,
        depth: u32,
        ending: Arc<AtomicBool>,
    ) -> Self {
        Self { recipe, program, policy, load, depth, ending, ready: Mutex::default() }
    }

    /// Makes an instance for the first request, whenever that comes: its plugins tick meanwhile.
    pub(super) async fn make_ready(&self) -> Result<(), Failure> {
        let mut made = self.make().await?;
        let (wanted, wait) = oneshot::channel::<()>();
        let (give, instance) = oneshot::channel();
        tokio::spawn(async move {
            let lived = {
                let pulse = made.expiration.pulse.clone();
                let living = made.store.run_concurrent(async |_| drop(wait.await));
                pulse.run(living).await
            };
            match lived {
                // It is not sent where this host ends.
                Ok(()) => drop(give.send(made)),
                Err(error) => made.state.drop(made.store, Err(error)),
            }
        });
        *self.ready() = Some(Ready { wanted, instance });
        Ok(())
    }

    fn ready(&self) -> MutexGuard<'_, Option<Ready>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes an instance, and starts its plugins, save those that failed before.
    async fn make(&self) -> Result<Made, Failure> {
        let (recipe, program) = (&self.recipe, &self.program);
        let Handler::V03(handler) = &program.handler else {
            return Err(Failure::Instantiate(wasmtime::Error::msg("the component is not for WASI 0.3")));
        };
        let logs =
            [Stream::Stdout, Stream::Stderr].map(|stream| Lines::new(recipe.output.clone(), recipe.form, stream));
        let abandoned = Arc::new(AtomicBool::new(false));
        let memory = recipe.budget.limit();
        let member = Member::new(&recipe.shared);
        let mut state = State::new(recipe.client.clone(), abandoned.clone(), logs.clone(), member.clone(), memory);
        state.set_depth(self.depth);
        let mut store = Store::new(program.pre.engine(), state);
        store.limiter(|state| &mut state.memory);
        let pulse = Pulse::new(recipe.cpu_timeout);
        pulse.attach(&mut store);
        let loaded = Instant::now();
        let instance = program.pre.instantiate_async(&mut store);
        let instance = pulse.run(instance).await.map_err(Failure::of_instantiating)?;
        let service = handler.load(&mut store, &instance).map_err(Failure::Instantiate)?;
        let plugins = program.plugins.load(&mut store, &instance).map_err(Failure::Instantiate)?;

        let bypassed = self.policy.bypassed();
        for vm in &bypassed {
            pulse.run(plugins.bypass(&mut store, *vm)).await.map_err(Failure::Trapped)?;
        }
        let started = pulse.run(plugins.start(&mut store)).await;
        logs.iter().for_each(Lines::flush);
        started.map_err(Failure::Trapped)?.map_err(Failure::Refused)?;
        let concurrency = pulse.run(plugins.concurrency(&mut store)).await.map_err(Failure::Trapped)?;
        let mut requests = None;
        if let Some(ends) = plugins.ends {
            // From now on they are kept.
            pulse.run(ends.exchanges.call_async(&mut store, ())).await.map_err(Failure::Trapped)?;
            let open = requests.insert(Arc::<Requests>::default()).clone();
            let mut share = recipe.stats.clone().map(Share::new);
            if let Some((share, stats)) = share.as_mut().zip(plugins.stats) {
                let changes = pulse.run(stats.call_async(&mut store, ())).await;
                share.add(changes.map_err(Failure::Trapped)?.0);
            }
            let share = share.map(Mutex::new);
            let tender = Tender { plugins, requests: open, share, member };
            store.spawn(tender).map_err(Failure::Instantiate)?;
        }

        recipe.counters.instances.made.add();
        let (fate, over) = (Fate::new(), Arc::<AtomicBool>::default());
        Ok(Instance {
            store,
            proxy: Proxy::P3(service),
            view: State::http,
            expiration: Expiration {
                pulse: pulse.clone(),
                fate: fate.clone(),
                over: over.clone(),
                followed: Instant::now(),
                sleep: Box::pin(sleep_until((Instant::now() + IDLE).into())),
            },
            state: Worker {
                recipe: recipe.clone(),
                policy: self.policy.clone(),
                load: Load { concurrency: concurrency.unwrap_or(u32::MAX).min(self.load.concurrency), ..self.load },
                bypassed,
                requests,
                pulse,
                ending: self.ending.clone(),
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

impl HandlerState for Maker {
    type StoreData = State;
    type WorkerExpiration = Expiration;
    type WorkerState = Worker;

    async fn instantiate(&self) -> wasmtime::Result<Made> {
        if self.policy.service(Instant::now()) != Service::Instance {
            return Err(wasmtime::Error::msg("the filter failed before, and is not made anew, or not yet"));
        }
        let ready = self.ready().take();
        if let Some(Ready { wanted, instance }) = ready {
            let _ = wanted.send(());
            if let Ok(instance) = instance.await {
                return Ok(instance);
            }
        }
        let (recipe, now) = (&self.recipe, Instant::now());
        self.make().await.map_err(|failure| match failure {
            Failure::Trapped(error) => {
                trapped(recipe, &self.policy, now, &error);
                error
            }
            Failure::Instantiate(error) => {
                self.fail(now);
                error
            }
            Failure::Refused(reason) => {
                self.fail(now);
                wasmtime::Error::msg(format!("the plugin cannot start: {reason}"))
            }
            Failure::Failed => wasmtime::Error::msg("the plugin failed before"),
        })
    }
}

impl Maker {
    /// An instance could not be made, or its plugins did not start.
    fn fail(&self, began: Instant) {
        let filters = &self.recipe.filters;
        let vm = filters.only_vm();
        self.policy.fail(began, vm, &filters.plugins(vm));
    }
}

/// An instance trapped that was made then.
fn trapped(recipe: &Recipe, policy: &Policy, loaded: Instant, error: &wasmtime::Error) {
    let report = recipe.report(error);
    tracing::error!("{report}");
    let filters = &recipe.filters;
    recipe.counters.trapped(filters.names(report.vm));
    policy.fail(loaded, report.vm, &filters.plugins(report.vm));
}

/// One instance, as far as others ask for it.
pub(super) struct Worker {
    recipe: Arc<Recipe>,
    policy: Arc<Policy>,
    load: Load,
    /// The virtual machines whose plugins requests pass by.
    bypassed: BTreeSet<u32>,
    /// Its requests, where the component tells of their ends.
    requests: Option<Arc<Requests>>,
    pulse: Pulse,
    /// This host ends, and the instance with it.
    ending: Arc<AtomicBool>,
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

/// What an instance is told with a request.
pub(super) struct Told {
    pub(super) taken: oneshot::Sender<Taken>,
    pub(super) record: Arc<Record>,
    pub(super) departure: Departure,
}

/// What whoever waits for a response knows of its instance.
pub(super) struct Taken {
    /// Whoever reads the response wants to know of a trap.
    pub(super) fate: Fate,
    requests: Option<(u32, Arc<Requests>)>,
}

impl Taken {
    /// The client has left.
    pub(super) fn leave(&self) {
        if let Some((number, requests)) = &self.requests {
            requests.leave(*number);
        }
    }
}

impl WorkerState for Worker {
    type StoreData = State;
    type RequestData = Told;

    fn should_accept_request(&self, concurrent: usize, total: usize) -> ShouldAccept {
        let is_worn_out = total >= self.load.reuse as usize;
        if is_worn_out
            || self.policy.service(Instant::now()) == Service::Nothing
            || self.bypassed != self.policy.bypassed()
        {
            ShouldAccept::Never
        } else if concurrent >= self.load.concurrency as usize {
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

    fn on_request_start(
        &self,
        mut store: StoreContextMut<'_, State>,
        told: Told,
        task: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        let Told { taken, record, departure } = told;
        store.data_mut().calls.begin(task, &record);
        let requests = self.requests.clone().map(|requests| (requests.begin(record), requests));
        let _ = taken.send(Taken { fate: self.fate.clone(), requests: requests.clone() });
        if self.served.swap(true, Ordering::Relaxed) {
            self.recipe.counters.instances.reused.add();
        }
        // The time limits are the filter's, and those of its streams.
        Box::pin(async move {
            departure.left().await;
            if let Some((number, requests)) = requests {
                requests.leave(number);
            }
            std::future::pending().await
        })
    }

    fn drop(&self, store: Store<State>, result: Result<(), wasmtime::Error>) {
        self.logs.iter().for_each(Lines::flush);
        match (result, &self.requests) {
            // It has served enough: that its last exchange is over is still to be told.
            (Ok(()), Some(requests)) if requests.has_open() => {
                let (requests, pulse) = (requests.clone(), self.pulse.clone());
                let (logs, abandoned) = (self.logs.clone(), self.abandoned.clone());
                tokio::spawn(async move {
                    let mut store = store;
                    let told = pulse.run(store.run_concurrent(async |_| requests.are_closed().await));
                    // What it fails with is of no request any more.
                    let _ = tokio::time::timeout(LAST_WORDS, told).await;
                    logs.iter().for_each(Lines::flush);
                    abandoned.store(true, Ordering::Release);
                });
                return;
            }
            // It was dropped, which looks like a failure.
            (Err(_), requests) if self.ending.load(Ordering::Relaxed) => {
                let was_busy = requests.as_ref().is_none_or(|requests| requests.has_open());
                if was_busy {
                    tracing::warn!("an instance was dropped with what it had under way: this host ends");
                }
            }
            (Err(error), _) if !self.over.load(Ordering::Relaxed) => {
                self.fate.seal();
                trapped(&self.recipe, &self.policy, self.loaded, &error);
            }
            _ => {}
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
