//! One running component, from its start to its last request.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http::{Request, Version};
use tokio::sync::oneshot;
use wasmtime::{Store, WasmBacktrace, component};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p2::bindings::Proxy;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

use super::counters::{Counters, Held};
use super::departure::Departure;
use super::fields;
use super::filters::Filters;
use super::log_format::Form;
use super::logs::{Lines, Output, Stream};
use super::memory::Budget;
use super::meter::Meter;
use super::outgoing::Client;
use super::plugin::{Plugin, Remains};
use super::program::{Handler, Program};
use super::record::Record;
use super::request::RequestBody;
use super::shared::{Member, Shared};
use super::state::State;
use super::stats::{Share, Stats};
use super::trap::Report;

/// What a component answers: a response, or the error that it has instead of one.
pub(super) type Answer = Result<http::Response<HyperOutgoingBody>, ErrorCode>;

/// What every instance is made with, whatever runs it.
pub(super) struct Recipe {
    /// The filters in the component.
    pub(super) filters: Filters,
    pub(super) client: Arc<Client>,
    pub(super) output: Output,
    /// What the lines of its log look like.
    pub(super) form: Form,
    /// What all of them may take.
    pub(super) budget: Budget,
    pub(super) cpu_timeout: Duration,
    /// Where metrics are added up, if anyone wants to see them.
    pub(super) stats: Option<Arc<Stats>>,
    pub(super) counters: Arc<Counters>,
    /// Somebody wants to know what exchanges leave behind.
    pub(super) logs_access: bool,
    /// What they share.
    pub(super) shared: Shared,
}

impl Recipe {
    /// What an error of an instance tells.
    pub(super) fn report(&self, error: &wasmtime::Error) -> Report {
        Report::new(&self.filters, error)
    }
}

/// Why there is no new instance.
pub(super) enum Failure {
    /// It could not be instantiated.
    Instantiate(wasmtime::Error),
    /// The plugin refused to start, for this reason.
    Refused(String),
    /// The plugin trapped while it started.
    Trapped(wasmtime::Error),
    /// The plugin failed before, and is not made anew, or not yet.
    Failed,
}

impl Failure {
    /// A component whose start sections trap was instantiated in vain as much as one that cannot be.
    pub(super) fn of_instantiating(error: wasmtime::Error) -> Self {
        if error.is::<WasmBacktrace>() { Self::Trapped(error) } else { Self::Instantiate(error) }
    }
}

/// How long an instance may take between two requests without a sign of life: ours never waits there.
const TEND_LIMIT: Duration = Duration::from_secs(30);

/// A running component.
pub(super) struct Instance {
    /// Whoever reads an unfinished request body of this instance learns by it that no more will come.
    abandoned: Arc<AtomicBool>,
    store: Store<State>,
    handler: Proxy,
    plugin: Plugin,
    meter: Meter,
    logs: [Lines; 2],
    instance: component::Instance,
    /// Requests that it has served.
    pub(super) served: u32,
    /// When it wants to be tended, unless a request comes first.
    pub(super) wake: Option<Instant>,
    /// Something of it is on its way that is lost when it is let go.
    pub(super) unfinished: bool,
    /// When it was made.
    pub(super) loaded: Instant,
    /// The virtual machines whose plugins requests pass by.
    pub(super) bypassed: BTreeSet<u32>,
    /// What it adds to the metrics.
    stats: Option<Share>,
    _active: Held,
}

impl Instance {
    /// Instantiates the component and starts its plugins, save those of these virtual machines, for a request of this depth.
    pub(super) async fn new(
        recipe: &Recipe,
        program: &Program,
        bypassed: BTreeSet<u32>,
        depth: u32,
    ) -> Result<Self, Failure> {
        let mut instance = Self::unstarted(recipe, program).await?;
        instance.store.data_mut().set_depth(depth);
        for vm in &bypassed {
            let bypass = program.plugin.bypass(&mut instance.store, &instance.instance, *vm);
            instance.meter.run(bypass).await.map_err(Failure::Trapped)?;
        }
        instance.bypassed = bypassed;
        let start = instance.plugin.start(&mut instance.store);
        let result = instance.meter.run(start).await;
        instance.flush();
        result.map_err(Failure::Trapped)?.map_err(Failure::Refused)?;
        if instance.has_upkeep() {
            instance.tend().await.map_err(Failure::Trapped)?;
        } else {
            instance.collect().await.map_err(Failure::Trapped)?;
        }
        if recipe.logs_access {
            instance.remains().await.map_err(Failure::Trapped)?;
        }
        instance.store.data_mut().set_depth(0);
        Ok(instance)
    }

    async fn unstarted(recipe: &Recipe, program: &Program) -> Result<Self, Failure> {
        let logs =
            [Stream::Stdout, Stream::Stderr].map(|stream| Lines::new(recipe.output.clone(), recipe.form, stream));
        let abandoned = Arc::new(AtomicBool::new(false));
        let shared = Member::new(&recipe.shared);
        let memory = recipe.budget.limit();
        let state = State::new(recipe.client.clone(), abandoned.clone(), logs.clone(), shared, memory);
        let mut store = Store::new(program.pre.engine(), state);
        store.limiter(|state| &mut state.memory);
        let meter = Meter::new(recipe.cpu_timeout);
        meter.attach(&mut store);

        let instance = meter.run(program.pre.instantiate_async(&mut store)).await.map_err(Failure::of_instantiating)?;
        let Handler::V02(handler) = &program.handler else {
            return Err(Failure::Instantiate(wasmtime::Error::msg("the component is not for WASI 0.2")));
        };
        let handler = handler.load(&mut store, &instance).map_err(Failure::Instantiate)?;
        let plugin = program.plugin.load(&mut store, &instance).map_err(Failure::Instantiate)?;
        let stats = recipe.stats.clone().map(Share::new);
        recipe.counters.instances.made.add();
        Ok(Self {
            abandoned,
            store,
            handler,
            plugin,
            meter,
            logs,
            instance,
            served: 0,
            wake: None,
            unfinished: false,
            loaded: Instant::now(),
            bypassed: BTreeSet::new(),
            stats,
            _active: recipe.counters.instances.active.enter(),
        })
    }

    fn flush(&self) {
        self.logs.iter().for_each(Lines::flush);
    }

    /// Adds to the metrics what changed since the last time.
    async fn collect(&mut self) -> wasmtime::Result<()> {
        if let Some(share) = &mut self.stats {
            let stats = self.plugin.stats(&mut self.store);
            share.add(self.meter.run(stats).await?);
        }
        Ok(())
    }

    /// What the exchange that ended last left behind. From the first call on it is kept.
    async fn remains(&mut self) -> wasmtime::Result<Option<Remains>> {
        let exchange = self.plugin.exchange(&mut self.store);
        self.meter.run(exchange).await
    }

    /// Whether it wants to be tended by then.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.wake.is_some_and(|wake| wake <= now) || self.has_upkeep() && self.store.data().shared.has_ready_queues()
    }

    /// Whether it asked for more memory than it may have. What it has goes back with it.
    pub(super) fn is_bloated(&self) -> bool {
        self.store.data().memory.was_refused()
    }

    /// Whether it is to be tended between requests.
    pub(super) fn has_upkeep(&self) -> bool {
        self.plugin.acts_between_requests()
    }

    /// Lets the plugin do what is due between requests.
    ///
    /// After an error the instance must not be used again.
    pub(super) async fn tend(&mut self) -> wasmtime::Result<()> {
        let call = tokio::time::timeout(TEND_LIMIT, self.plugin.idle(&mut self.store));
        let result = self.meter.run(call).await;
        self.flush();
        let pending = result.map_err(|_| wasmtime::Error::msg("it waits for something between requests"))??;
        self.wake = pending.wake.and_then(|wake| Instant::now().checked_add(Duration::from_nanos(wake)));
        self.unfinished = pending.unfinished;
        self.collect().await
    }

    /// Serves one request of this depth; the answer goes to `answer` as soon as the component has it, and what the component
    /// has to say of it to its record. It is told when the client leaves, where that is given.
    ///
    /// After an error the instance must not be used again.
    pub(super) async fn handle(
        &mut self,
        mut request: Request<RequestBody>,
        depth: u32,
        record: &Arc<Record>,
        departure: Option<Departure>,
        answer: oneshot::Sender<Answer>,
    ) -> wasmtime::Result<()> {
        self.served += 1;
        self.store.data_mut().set_depth(depth);
        self.store.data_mut().notice.set(departure);
        let target = request.extensions_mut().remove();
        self.store.data_mut().targets.serve(target);
        self.store.data_mut().set_record(Some(record.clone()));
        *request.headers_mut() = fields::visible(std::mem::take(request.headers_mut()));
        if request.version() == Version::HTTP_2 {
            let http2 = self.plugin.http2(&mut self.store);
            self.meter.run(http2).await?;
        }
        let mut http = self.store.data_mut().http();
        // What the connection is, whatever the client calls it: filters and upstreams are told by it who may read along.
        let request = http.new_incoming_request(Scheme::Http, request)?;
        let answer = http.new_response_outparam(answer)?;
        let call = self.handler.wasi_http_incoming_handler().call_handle(&mut self.store, request, answer);
        let result = self.meter.run(call).await;
        self.flush();
        self.store.data_mut().set_record(None);
        result?;
        self.store.data_mut().notice.set(None);
        self.store.data_mut().set_depth(0);
        if record.is_logged() {
            record.tell(self.remains().await?);
        }
        self.collect().await
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // Before the store goes, and with it the senders of bodies, whose readers then look here.
        self.abandoned.store(true, Ordering::Release);
    }
}
