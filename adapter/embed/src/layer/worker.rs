//! An instance, and the ways to those who wait for what it says.
//!
//! Whoever has something for an instance calls it, under its lock; what comes out for others goes into their mailboxes. So it
//! is the exchanges, callouts and deadlines that run, and no task belongs to a worker but the one that waits for its deadline.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::Waker;
use std::time::{Duration, Instant};

use http::request;
use tokio::sync::Notify;

use super::callout::{Callouts, Running};
use crate::event::{Action, Begin, CalloutId, Event, ExchangeId, Peer};
use crate::{Error, ExchangeError, Filter, Instance, Outcome, Trapped};

/// How long after an instance that failed was made none is made in its place. Source: Envoy's `FAIL_RELOAD`, which counts from
/// then, too.
const BACKOFF: Duration = Duration::from_secs(1);

/// How long requests wait for what plugins ask for at their start.
const WARM_UP: Duration = Duration::from_secs(15);

/// All workers of a layer.
pub(super) struct Workers {
    filter: Filter,
    client: Arc<dyn Callouts>,
    list: Box<[Arc<Worker>]>,
}

/// One of them.
pub(super) struct Worker {
    filter: Filter,
    client: Arc<dyn Callouts>,
    state: Mutex<State>,
    /// The deadline is another.
    earlier: Notify,
    /// An instance has what its plugins asked for at their start, or is lost.
    warmed: Notify,
    /// All workers of the layer.
    all: OnceLock<Vec<Weak<Worker>>>,
}

#[derive(Default)]
struct State {
    stage: Stage,
    mailboxes: HashMap<ExchangeId, Arc<Mailbox>>,
    callouts: HashMap<CalloutId, Running>,
    deadline: Option<Instant>,
    /// Somebody waits for it.
    is_timed: bool,
    /// How many instances there were: what belongs to an earlier one is lost.
    generation: u64,
}

#[derive(Default)]
enum Stage {
    #[default]
    Unmade,
    Running {
        instance: Box<Instance>,
        made: Instant,
        /// What its plugins asked for at their start is under way.
        is_warming: bool,
    },
    /// It failed: none is made before then.
    Failed { until: Instant },
}

/// What an instance said to an exchange, and has not been done yet.
#[derive(Default)]
pub(super) struct Mailbox(Mutex<Letters>);

#[derive(Default)]
struct Letters {
    actions: VecDeque<Letter>,
    waker: Option<Waker>,
}

/// Something for an exchange.
#[allow(clippy::large_enum_variant, reason = "nearly all are actions")]
pub(super) enum Letter {
    Do(Action),
    /// The filter trapped: nothing more comes.
    Lost,
}

/// An exchange under way in a worker.
pub(super) struct Seat {
    worker: Arc<Worker>,
    pub(super) id: ExchangeId,
    generation: u64,
    pub(super) mailbox: Arc<Mailbox>,
}

/// Why an exchange did not begin.
pub(super) enum Refused {
    /// Its head is too large.
    TooLarge,
    /// There is no instance for it.
    Unavailable,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Workers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workers").field("count", &self.list.len()).finish_non_exhaustive()
    }
}

impl Workers {
    pub(super) fn new(filter: Filter, count: usize, client: Arc<dyn Callouts>) -> Self {
        let worker = |_| {
            let (filter, client) = (filter.clone(), client.clone());
            Arc::new(Worker {
                filter,
                client,
                state: Mutex::default(),
                earlier: Notify::new(),
                warmed: Notify::new(),
                all: OnceLock::new(),
            })
        };
        let list: Box<[_]> = (0..count).map(worker).collect();
        for worker in &list {
            let _ = worker.all.set(list.iter().map(Arc::downgrade).collect());
        }
        Self { filter, client, list }
    }

    pub(super) fn with_count(&self, count: usize) -> Self {
        Self::new(self.filter.clone(), count, self.client.clone())
    }

    pub(super) fn with_client(&self, client: Arc<dyn Callouts>) -> Self {
        Self::new(self.filter.clone(), self.list.len(), client)
    }

    /// Makes an instance, unless there is one.
    pub(super) fn warm(&self) -> Result<(), Error> {
        let Some(worker) = self.list.first() else { return Ok(()) };
        worker.make(&mut lock(&worker.state))
    }

    /// A request came; `rest` says what came behind its first bytes. It waits until the plugins have what they asked for at
    /// their start, as Envoy's listeners do.
    pub(super) async fn open(
        &self,
        head: &request::Parts,
        tls: bool,
        begin: Begin,
        rest: impl FnOnce(Peer) -> Option<Event>,
    ) -> Result<Seat, Refused> {
        loop {
            let (warmed, until) = {
                let (worker, mut state) = self.choose();
                if let Err(error) = worker.make(&mut state) {
                    tracing::error!("there is no instance: {error}");
                }
                match state.stage.warms_until() {
                    Some(until) if Instant::now() < until => (worker.warmed.notified(), until),
                    _ => return Worker::open(worker, state, head, tls, begin, rest),
                }
            };
            let _ = tokio::time::timeout_at(until.into(), warmed).await;
        }
    }

    /// The worker of this thread, or one that is idle.
    fn choose(&self) -> (&Arc<Worker>, MutexGuard<'_, State>) {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local!(static THREAD: usize = THREADS.fetch_add(1, Relaxed));
        let own = THREAD.with(|thread| thread % self.list.len());
        let (before, after) = self.list.split_at(own);
        let idle = after.iter().chain(before).find_map(|worker| Some((worker, worker.state.try_lock().ok()?)));
        idle.unwrap_or_else(|| (&self.list[own], lock(&self.list[own].state)))
    }
}

impl Worker {
    fn open(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State>,
        head: &request::Parts,
        tls: bool,
        begin: Begin,
        rest: impl FnOnce(Peer) -> Option<Event>,
    ) -> Result<Seat, Refused> {
        let Stage::Running { instance, .. } = &mut state.stage else { return Err(Refused::Unavailable) };
        match instance.open(head, tls, begin) {
            Ok((id, outcome)) => {
                let mailbox = Arc::<Mailbox>::default();
                state.mailboxes.insert(id, mailbox.clone());
                let generation = state.generation;
                self.deliver(&mut state, outcome);
                if let Some(event) = rest(Peer::Client(id)) {
                    self.step(&mut state, vec![event]);
                }
                Ok(Seat { worker: self.clone(), id, generation, mailbox })
            }
            Err(ExchangeError::HeadTooLarge) => Err(Refused::TooLarge),
            Err(ExchangeError::Trapped(trapped)) => {
                self.lose(&mut state, &trapped);
                Err(Refused::Unavailable)
            }
        }
    }

    /// Makes an instance, where there is none and one may be made.
    fn make(self: &Arc<Self>, state: &mut State) -> Result<(), Error> {
        match state.stage {
            Stage::Running { .. } => return Ok(()),
            Stage::Failed { until } if Instant::now() < until => return Ok(()),
            Stage::Failed { .. } | Stage::Unmade => {}
        }
        let made = Instant::now();
        state.stage = Stage::Failed { until: made + BACKOFF };
        let mut instance = self.filter.instance()?;
        let begin = instance.take_begin();
        state.stage = Stage::Running { instance: Box::new(instance), made, is_warming: true };
        self.deliver(state, begin);
        Ok(())
    }

    /// Gives what an instance said to whom it concerns.
    fn deliver(self: &Arc<Self>, state: &mut State, outcome: Outcome) {
        for action in outcome.actions {
            let peer = match &action {
                Action::Request { peer, .. }
                | Action::Write(peer, _)
                | Action::Finish(peer, _)
                | Action::Release(peer) => *peer,
                Action::Response { id, .. } | Action::Abort(id) | Action::Want { id, .. } => Peer::Client(*id),
                Action::Over { id, .. } => {
                    if let Some(mailbox) = state.mailboxes.remove(id) {
                        mailbox.put(Letter::Do(action));
                    }
                    continue;
                }
            };
            match peer {
                Peer::Client(id) | Peer::Upstream(id) => {
                    if let Some(mailbox) = state.mailboxes.get(&id) {
                        mailbox.put(Letter::Do(action));
                    }
                }
                Peer::Callout(id) => self.call_out(state, id, action),
            }
        }
        if state.deadline != outcome.deadline {
            state.deadline = outcome.deadline;
            self.time(state);
        }
        self.settle(state);
    }

    /// Lets requests come, where nothing of the plugins' start is under way any more.
    fn settle(&self, state: &mut State) {
        let Stage::Running { made, is_warming, .. } = &mut state.stage else { return };
        // A time before there was the instance is none that anybody waits for: a tick at once.
        let is_due_at_once = state.deadline.is_some_and(|deadline| deadline <= *made);
        if *is_warming && state.callouts.is_empty() && !is_due_at_once {
            *is_warming = false;
            self.warmed.notify_waiters();
        }
    }

    /// Gives all instances their turn, where an item came to a queue that one of them waits for.
    fn spread(&self) {
        // Who drops the last of an exchange may be in no runtime.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if !self.filter.has_news() {
            return;
        }
        for worker in self.all.get().into_iter().flatten().filter_map(Weak::upgrade) {
            // Others may be computing, and nobody waits for them here.
            runtime.spawn(async move {
                let mut state = lock(&worker.state);
                if let Stage::Running { instance, .. } = &state.stage
                    && instance.has_news()
                {
                    worker.step(&mut state, Vec::new());
                }
            });
        }
    }

    fn call_out(self: &Arc<Self>, state: &mut State, id: CalloutId, action: Action) {
        match action {
            Action::Request { to, head, end, http2, .. } => {
                let back = Arc::downgrade(self);
                let generation = state.generation;
                let tell = move |events: Vec<Event>| {
                    let Some(worker) = Weak::upgrade(&back) else { return };
                    let mut state = lock(&worker.state);
                    if state.generation == generation {
                        worker.step(&mut state, events);
                    }
                    drop(state);
                    worker.spread();
                };
                state.callouts.insert(id, Running::start(&*self.client, id, to, head, end, http2, tell));
            }
            Action::Write(_, bytes) => {
                if let Some(running) = state.callouts.get(&id) {
                    running.write(bytes);
                }
            }
            Action::Finish(_, trailers) => {
                if let Some(running) = state.callouts.get(&id) {
                    running.finish(trailers);
                }
            }
            Action::Release(_) => drop(state.callouts.remove(&id)),
            Action::Response { .. } | Action::Abort(_) | Action::Want { .. } | Action::Over { .. } => {}
        }
    }

    fn step(self: &Arc<Self>, state: &mut State, events: Vec<Event>) {
        let Stage::Running { instance, .. } = &mut state.stage else { return };
        match instance.step(events) {
            Ok(outcome) => self.deliver(state, outcome),
            Err(trapped) => self.lose(state, &trapped),
        }
    }

    /// The filter trapped: everything that its instance had under way is lost.
    #[cold]
    fn lose(&self, state: &mut State, trapped: &Trapped) {
        let trace = trapped.backtrace().iter().take(8).fold(String::new(), |text, line| text + "\n    at " + line);
        tracing::error!("the filter trapped: {trapped}{trace}");
        let made = match state.stage {
            Stage::Running { made, .. } => made,
            Stage::Unmade | Stage::Failed { .. } => Instant::now(),
        };
        state.stage = Stage::Failed { until: made + BACKOFF };
        state.generation += 1;
        state.deadline = None;
        state.callouts.clear();
        self.warmed.notify_waiters();
        for (_, mailbox) in state.mailboxes.drain() {
            mailbox.put(Letter::Lost);
        }
    }

    /// Has somebody wait for the deadline.
    fn time(self: &Arc<Self>, state: &mut State) {
        if state.is_timed {
            self.earlier.notify_one();
            return;
        }
        if state.deadline.is_none() {
            return;
        }
        state.is_timed = true;
        let worker = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                // The last user of a layer is not to be outlived by its clock.
                let Some(present) = worker.upgrade() else { return };
                let Some(deadline) = present.next_deadline() else { return };
                let waits = async {
                    tokio::select! {
                        () = tokio::time::sleep_until(deadline.into()) => true,
                        () = present.earlier.notified() => false,
                    }
                };
                let slice = tokio::time::timeout(Duration::from_secs(1), waits);
                if slice.await.unwrap_or(false) {
                    present.step(&mut lock(&present.state), vec![Event::Timer]);
                    present.spread();
                }
            }
        });
    }

    fn next_deadline(&self) -> Option<Instant> {
        let mut state = lock(&self.state);
        state.is_timed = state.deadline.is_some();
        state.deadline
    }
}

impl Seat {
    /// Something came for this exchange; what the instance says to that is in the mailbox.
    pub(super) fn step(&self, events: Vec<Event>) {
        let mut state = lock(&self.worker.state);
        if state.generation == self.generation {
            self.worker.step(&mut state, events);
        }
    }

    /// Nobody wants its response any more.
    pub(super) fn leave(&self) {
        self.step(vec![Event::Gone(self.id)]);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.worker.spread();
    }
}

impl Stage {
    fn warms_until(&self) -> Option<Instant> {
        match self {
            Self::Running { made, is_warming: true, .. } => Some(*made + WARM_UP),
            Self::Running { .. } | Self::Unmade | Self::Failed { .. } => None,
        }
    }
}

impl Mailbox {
    fn put(&self, letter: Letter) {
        let mut letters = lock(&self.0);
        letters.actions.push_back(letter);
        let waker = letters.waker.take();
        drop(letters);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The next letter; whoever asks is woken when there is one.
    pub(super) fn take(&self, waker: &Waker) -> Option<Letter> {
        let mut letters = lock(&self.0);
        let letter = letters.actions.pop_front();
        if letter.is_none() && !letters.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            letters.waker = Some(waker.clone());
        }
        letter
    }
}
