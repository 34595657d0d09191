//! Virtual machines, each of which has many exchanges at once, as that of a worker in Envoy: by the interface
//! `proxy-wasm:adapter/exchange`, which takes a whole head in and gives all that is to be done out, where `wasi:http` takes
//! dozens of calls.
//!
//! | file | idea |
//! |---|---|
//! | `machine` | an instance and all that it has under way |
//! | `exchange` | carries bytes between a client, an upstream and the instance |
//! | `sending` | requests that an instance sends, and what comes of them |
//! | `callout` | those that a filter makes by itself |
//! | `pipe` | a body between an instance and a connection |
//! | `watch` | sockets are polled while filters compute |

mod callout;
mod exchange;
mod machine;
mod pipe;
mod sending;
#[cfg(test)]
mod tests;
mod watch;

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use http::Request;
use proxy_wasm_adapter_embed::{Error as EmbedError, Filter, Level, Options as Embedded, Trapped};
use tokio::sync::oneshot;

use self::machine::{Machine, NotOpened, Single};
use super::body::End;
use super::departure::Departure;
use super::error::Error;
use super::fields;
use super::instance::{Answer, Recipe};
use super::logs::{Lines, Stream};
use super::options::Options;
use super::policy::{FailurePolicy, Policy, Service};
use super::record::Record;
use super::request::RequestBody;
use super::tasks::Tasks;
use super::trap::Report;

/// What machines are made of.
struct Shop {
    recipe: Recipe,
    filter: Filter,
    policy: Policy,
    tasks: Tasks,
    /// How many machines of single requests compute now.
    computing: AtomicUsize,
}

impl Shop {
    /// An instance could not be made just now, or its plugins did not start.
    fn did_not_start(&self, error: &EmbedError) {
        let now = Instant::now();
        if let EmbedError::StartTrapped(trapped) = error {
            return self.failed(now, trapped);
        }
        tracing::error!("503: there is no instance: {error}");
        // It is the others that wait for their callouts, and no fault of the plugin.
        if matches!(error, EmbedError::NoPlace(_)) {
            return;
        }
        let filters = &self.recipe.filters;
        let vm = filters.only_vm();
        self.policy.fail(now, vm, &filters.plugins(vm));
    }

    /// An instance trapped that was made then.
    fn failed(&self, loaded: Instant, trapped: &Trapped) {
        let report = Report::new(&self.recipe.filters, trapped.error());
        tracing::error!("{report}");
        let filters = &self.recipe.filters;
        self.recipe.counters.trapped(filters.names(report.vm));
        self.policy.fail(loaded, report.vm, &filters.plugins(report.vm));
    }
}

/// Made when the first request of a depth comes.
type ByDepth = Vec<OnceLock<Vec<Arc<Machine>>>>;

/// All machines.
pub(super) struct Machines {
    shop: Arc<Shop>,
    stock: Stock,
}

/// Which machine a request gets.
enum Stock {
    /// One of so many for each depth, as others do at the same time.
    Shared(usize, Arc<ByDepth>),
    /// One of its own; here is the first.
    Single(Mutex<Option<Single>>),
}

impl Machines {
    /// As many as the options say, each with its plugins started; or one to begin with, where each request is to have its own.
    pub(super) async fn start(
        component: &[u8],
        recipe: Recipe,
        options: &Options,
        policy: Policy,
        tasks: Tasks,
    ) -> Result<Self, Error> {
        if options.failure_policy == Some(FailurePolicy::Open) {
            return Err(Error::NoBypassByExchange);
        }
        let count = options.vms.map_or_else(
            || std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            |count| count as usize,
        );
        let is_single = options.reuse() == 1;
        let lines = Lines::new(recipe.output.clone(), recipe.form, Stream::Stderr);
        let embedded = Embedded {
            budget: Some(recipe.budget.kept()),
            time_limit: options.cpu_timeout,
            keep_remains: recipe.logs_access,
            cache: options.cache.clone(),
            optimization: options.optimize.into(),
            pool: is_single.then_some(options.max_concurrency),
            log: Arc::new(move |level: Level, text: &str| lines.write(format!("[{level}] {text}\n").as_bytes())),
            ..Embedded::default()
        };
        let filter = Filter::from_component(component, embedded).map_err(|error| failed(&recipe, error))?;
        let shop = Arc::new(Shop { recipe, filter, policy, tasks, computing: AtomicUsize::new(0) });
        let by_depth = Arc::new((0..=options.max_nesting).map(|_| OnceLock::new()).collect());
        watch::begin(&shop, &by_depth).map_err(Error::Runtime)?;
        let first = is_single.then(|| Single::new(shop.clone(), 0));
        if let Some(first) = &first {
            first.machine().start().await.map_err(|error| failed(&shop.recipe, error))?;
        }
        let stock = match first {
            Some(first) => Stock::Single(Mutex::new(Some(first))),
            None => Stock::Shared(count, by_depth),
        };
        let machines = Self { shop, stock };
        for machine in machines.of_depth(0).into_iter().flatten() {
            machine.start().await.map_err(|error| failed(&machines.shop.recipe, error))?;
        }
        Ok(machines)
    }

    /// Those that requests of this depth share, made now where there are none.
    fn of_depth(&self, depth: u32) -> Option<&[Arc<Machine>]> {
        let Stock::Shared(count, by_depth) = &self.stock else { return None };
        let machines = by_depth.get(depth as usize)?.get_or_init(|| {
            // Those within others are few.
            let count = if depth == 0 { *count } else { 1 };
            let machines: Vec<_> = (0..count).map(|_| Machine::new(self.shop.clone(), depth, false)).collect();
            for machine in &machines {
                let keep = machine.clone().keep();
                self.shop.tasks.spawn(async { match keep.await {} });
            }
            machines
        });
        Some(machines)
    }

    /// The one of the thread that asks: its memory is warm there, and nobody else holds it.
    fn choose(&self, depth: u32) -> Option<Arc<Machine>> {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static THREAD: Cell<Option<usize>> = const { Cell::new(None) };
        }
        let thread = THREAD.get().unwrap_or_else(|| {
            let number = THREADS.fetch_add(1, Relaxed);
            THREAD.set(Some(number));
            number
        });
        let machines = self.of_depth(depth)?;
        machines.get(thread % machines.len()).cloned()
    }

    /// One for a single request, where each is to have its own.
    fn single(&self, depth: u32) -> Option<Single> {
        let Stock::Single(first) = &self.stock else { return None };
        let first = if depth == 0 { first.lock().unwrap_or_else(PoisonError::into_inner).take() } else { None };
        Some(first.unwrap_or_else(|| Single::new(self.shop.clone(), depth)))
    }

    /// Whether every request is answered 503 from now on.
    pub(super) fn is_closed(&self) -> bool {
        self.shop.policy.service(Instant::now()) == Service::Nothing
    }

    /// Serves one request of this depth to its end.
    pub(super) async fn serve(
        &self,
        mut request: Box<Request<RequestBody>>,
        depth: u32,
        record: Arc<Record>,
        departure: Departure,
        answer: oneshot::Sender<Answer>,
        end: oneshot::Sender<End>,
    ) {
        let single = self.single(depth);
        let machine = single.as_ref().map(|single| single.machine().clone()).or_else(|| self.choose(depth));
        let Some(machine) = machine.filter(|_| !self.is_closed()) else {
            let _ = end.send(End::Unavailable);
            return;
        };
        *request.headers_mut() = fields::sendable(std::mem::take(request.headers_mut()));
        let carried = match &single {
            Some(single) => Box::pin(single.during(exchange::carry(machine, request, record, departure, answer))).await,
            None => exchange::carry(machine, request, record, departure, answer).await,
        };
        let ended = match carried {
            Ok(()) => End::Returned,
            Err(NotOpened::Lost) => End::TornDown,
            Err(NotOpened::Refused(reason)) => {
                tracing::error!("503: {reason}");
                End::Unavailable
            }
            Err(NotOpened::Failed) => {
                tracing::debug!("503: the plugin failed before");
                End::Unavailable
            }
            Err(NotOpened::Start(error)) => {
                self.shop.did_not_start(&error);
                End::Unavailable
            }
        };
        let _ = end.send(ended);
        drop(single);
        self.look_at_queues();
    }

    /// An exchange may have put items into queues that others wait for. They may be computing, and nobody waits for them here.
    fn look_at_queues(&self) {
        if !self.shop.filter.has_news() {
            return;
        }
        let Stock::Shared(_, by_depth) = &self.stock else { return };
        for machine in by_depth.iter().filter_map(OnceLock::get).flatten() {
            let machine = machine.clone();
            self.shop.tasks.spawn(async move { machine.look_at_queues().await });
        }
    }
}

fn failed(recipe: &Recipe, error: EmbedError) -> Error {
    match error {
        EmbedError::NoExchange => Error::NoExchange,
        EmbedError::Compile(reason) => Error::Compile { reason },
        EmbedError::Refused(reason) => Error::Refused { reason },
        EmbedError::StartTrapped(trapped) => Error::StartTrapped { report: recipe.report(trapped.error()).to_string() },
        EmbedError::Thread(error) => Error::Runtime(error),
        EmbedError::Instantiate(reason) | EmbedError::NoPlace(reason) => Error::Instantiate { reason },
        error => Error::Instantiate { reason: error.to_string() },
    }
}
