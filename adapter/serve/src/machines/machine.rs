//! A virtual machine: an instance and all that it has under way.

mod single;
mod turn;

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use futures_util::future::AbortHandle;
use proxy_wasm_adapter_embed::{Action, CalloutId, Event, ExchangeId, Instance, Outcome, Peer, Trapped};
use tokio::sync::{Mutex, MutexGuard, Notify, mpsc};

use self::single::Computing;
pub(super) use self::single::Single;
pub(super) use self::turn::Turn;
use super::Shop;
use super::callout::{self, Callouts};
use super::pipe::Writer;
use crate::outgoing::{Purpose, Sender};
use crate::plugin;
use crate::policy::Service;
use crate::record::Record;
use crate::stats::Share;

/// There is no instance: it trapped.
#[derive(Debug)]
pub(super) struct Lost;

/// One instance at a time: one that traps makes room for another.
pub(super) struct Machine {
    shop: Arc<Shop>,
    /// Of the requests that it gets: what it sends is sent at this depth.
    depth: u32,
    /// It serves one request: nobody needs another instance of it.
    is_single: bool,
    callouts: Callouts,
    /// Who waits for it lets others have the thread: a filter may compute for long.
    state: Mutex<State>,
    /// The deadline came nearer.
    nearer: Notify,
    /// An instance has what its plugins asked for at their start, or is lost.
    warmed: Notify,
    /// Nothing that the plugins of a single request asked for is under way any more.
    over: Notify,
}

/// How long requests wait for what plugins ask for at their start.
const WARM_UP: Duration = Duration::from_secs(15);

#[derive(Default)]
struct State {
    live: Option<Live>,
    /// How many instances there were.
    made: u64,
    /// Until when the timer sleeps.
    sleeps_until: Option<Instant>,
}

/// What is lost with an instance.
struct Live {
    instance: Instance,
    /// Which one it is of all that there were.
    generation: u64,
    loaded: Instant,
    /// Callouts of its plugins' start are under way.
    is_warming: bool,
    deadline: Option<Instant>,
    /// Where each is told what to do. Dropped, it has lost its instance.
    exchanges: HashMap<ExchangeId, mpsc::UnboundedSender<Action>>,
    callouts: HashMap<CalloutId, Callout>,
    share: Option<Share>,
    _active: crate::counters::Held,
}

/// What an instance knows by a number. The next one numbers its own anew, and is told nothing of these.
#[derive(Clone, Copy)]
pub(super) struct Numbered<T> {
    pub(super) id: T,
    generation: u64,
}

/// A callout under way.
struct Callout {
    writer: Option<Writer>,
    answer: AbortHandle,
    /// Its instance is lost.
    abandoned: Arc<AtomicBool>,
}

/// What an exchange is to do.
#[derive(Default)]
pub(super) struct Due {
    pub(super) actions: Vec<Action>,
    /// And then to give the instance its turn once more.
    pub(super) again: bool,
}

impl Machine {
    /// For requests of this depth, or for a single one.
    pub(super) fn new(shop: Arc<Shop>, depth: u32, is_single: bool) -> Arc<Self> {
        Arc::new(Self {
            shop,
            depth,
            is_single,
            callouts: Callouts::default(),
            state: Mutex::default(),
            nearer: Notify::new(),
            warmed: Notify::new(),
            over: Notify::new(),
        })
    }

    pub(super) fn shop(&self) -> &Arc<Shop> {
        &self.shop
    }

    pub(super) fn depth(&self) -> u32 {
        self.depth
    }

    /// Waits until nobody else is in the instance, which is mostly so.
    async fn lock(&self) -> MutexGuard<'_, State> {
        match self.state.try_lock() {
            Ok(state) => state,
            Err(_) => self.state.lock().await,
        }
    }

    /// Whether somebody is in the instance now.
    pub(super) fn is_busy(&self) -> bool {
        self.state.try_lock().is_err()
    }

    /// Does what computes in the instance. Of those with a single request nobody has a list, so they are counted.
    fn computing<T>(&self, compute: impl FnOnce() -> T) -> T {
        let _counted = self.is_single.then(|| Computing::begin(&self.shop.computing));
        compute()
    }

    /// Has an instance, made now where there is none.
    pub(super) async fn start(self: &Arc<Self>) -> Result<(), proxy_wasm_adapter_embed::Error> {
        let mut state = self.lock().await;
        self.ensure(&mut state)
    }

    fn ensure(self: &Arc<Self>, state: &mut State) -> Result<(), proxy_wasm_adapter_embed::Error> {
        if state.live.is_some() {
            return Ok(());
        }
        let loaded = Instant::now();
        let mut instance = self.computing(|| self.shop.filter.instance())?;
        let counters = &self.shop.recipe.counters;
        counters.instances.made.add();
        let begin = instance.take_begin();
        let share = self.shop.recipe.stats.clone().map(Share::new);
        state.made += 1;
        state.live = Some(Live {
            instance,
            generation: state.made,
            loaded,
            is_warming: true,
            deadline: None,
            exchanges: HashMap::new(),
            callouts: HashMap::new(),
            share,
            _active: counters.instances.active.enter(),
        });
        self.carry_out(state, begin, None, None);
        Ok(())
    }

    /// An instance that has what its plugins asked for at their start, or has waited for that long enough. One that is lost
    /// meanwhile is not made anew for the same request: the next one might be lost by the same answer.
    async fn warm(self: &Arc<Self>) -> Result<MutexGuard<'_, State>, NotOpened> {
        let mut awaited = None;
        loop {
            let mut state = self.lock().await;
            let present = state.live.as_ref().map(|live| live.generation);
            if awaited.is_some() && awaited != present {
                return Err(NotOpened::Lost);
            }
            if state.live.is_none() && self.shop.policy.service(Instant::now()) != Service::Instance {
                return Err(NotOpened::Failed);
            }
            self.ensure(&mut state).map_err(NotOpened::Start)?;
            let Some(live) = &state.live else { return Err(NotOpened::Lost) };
            awaited = Some(live.generation);
            let until = live.loaded + WARM_UP;
            if !live.is_warming || Instant::now() >= until {
                return Ok(state);
            }
            // It is told under the lock that is held now.
            let warmed = self.warmed.notified();
            drop(state);
            let _ = tokio::time::timeout_at(until.into(), warmed).await;
        }
    }

    /// Lets requests come, where nothing of the plugins' start is under way any more, or a single one's instance go.
    fn settle(&self, live: &mut Live) {
        let is_due_at_once = live.deadline.is_some_and(|deadline| deadline <= live.loaded);
        if live.is_warming && live.callouts.is_empty() && !is_due_at_once {
            live.is_warming = false;
            self.warmed.notify_waiters();
        }
        if self.is_single && live.callouts.is_empty() {
            self.over.notify_one();
        }
    }

    /// Something of a callout came, unless that is over.
    pub(super) async fn hear(self: &Arc<Self>, callout: Numbered<CalloutId>, events: Vec<Event>) -> Result<(), Lost> {
        let mut state = self.lock().await;
        if !state.live_of(callout).is_some_and(|live| live.callouts.contains_key(&callout.id)) {
            return Err(Lost);
        }
        self.tell(&mut state, None, None, events).map(drop)
    }

    /// Tells the instance that there is what came, and returns what the exchange is to do that it came for.
    fn tell(
        self: &Arc<Self>,
        state: &mut State,
        own: Option<ExchangeId>,
        record: Option<&Arc<Record>>,
        events: impl IntoIterator<Item = Event>,
    ) -> Result<Due, Lost> {
        let Some(live) = &mut state.live else { return Err(Lost) };
        match self.computing(|| live.instance.step(events)) {
            Ok(outcome) => Ok(self.carry_out(state, outcome, own, record)),
            Err(trapped) => {
                self.lose(state, &trapped);
                Err(Lost)
            }
        }
    }

    /// Hands actions to those whom they are for; returns those of the exchange whose event it was.
    fn carry_out(
        self: &Arc<Self>,
        state: &mut State,
        outcome: Outcome,
        own: Option<ExchangeId>,
        record: Option<&Arc<Record>>,
    ) -> Due {
        let Some(live) = &mut state.live else { return Due::default() };
        let mut actions = Vec::with_capacity(outcome.actions.len());
        let mut is_over = false;
        for action in outcome.actions {
            let (id, callout) = match &action {
                Action::Request { peer, .. }
                | Action::Write(peer, _)
                | Action::Finish(peer, _)
                | Action::Release(peer) => match peer {
                    Peer::Client(id) | Peer::Upstream(id) => (Some(*id), None),
                    Peer::Callout(id) => (None, Some(*id)),
                },
                Action::Response { id, .. } | Action::Abort(id) | Action::Want { id, .. } => (Some(*id), None),
                Action::Over { id, .. } => {
                    is_over = true;
                    (Some(*id), None)
                }
            };
            if let Some(callout) = callout {
                self.call_out(live, callout, action, record);
                continue;
            }
            let Some(id) = id else { continue };
            let is_last = matches!(action, Action::Over { .. });
            if Some(id) == own {
                actions.push(action);
            } else if let Some(exchange) = live.exchanges.get(&id) {
                // One whose task has ended needs nothing any more.
                let _ = exchange.send(action);
            }
            if is_last && Some(id) != own {
                live.exchanges.remove(&id);
            }
        }
        // A time before there was the instance is none that anybody waits for.
        let is_at_once = outcome.deadline.is_some_and(|deadline| deadline <= live.loaded);
        let again = is_at_once && own.is_some();
        // Where another one asks for its turn meanwhile, that does as well.
        live.deadline = outcome.deadline.filter(|_| !again);
        // An exchange is over, or a tick is, or what else the plugins do by themselves.
        if (is_over || own.is_none())
            && let Some(share) = &mut live.share
            && let Ok(metrics) = live.instance.metrics()
        {
            share.add(metrics.into_iter().map(plugin::Stat::from).collect());
        }
        self.settle(live);
        if let Some(deadline) = live.deadline
            && state.sleeps_until.is_none_or(|until| deadline < until)
        {
            self.nearer.notify_one();
        }
        Due { actions, again }
    }

    /// A callout has come back.
    pub(super) async fn forget_callout(&self, callout: Numbered<CalloutId>) {
        if let Some(live) = self.lock().await.live_of(callout) {
            live.callouts.remove(&callout.id);
            self.settle(live);
        }
    }

    /// An exchange is over for its task.
    pub(super) async fn forget(self: &Arc<Self>, exchange: Numbered<ExchangeId>) {
        let mut state = self.lock().await;
        let Some(live) = state.live_of(exchange) else { return };
        live.exchanges.remove(&exchange.id);
        let is_idle = live.exchanges.is_empty() && live.callouts.is_empty();
        if is_idle && !self.is_single && live.instance.was_refused_memory() {
            // What it has goes back with it.
            state.live = None;
            state.sleeps_until = None;
            if let Err(error) = self.ensure(&mut state) {
                self.shop.did_not_start(&error);
            }
        }
    }

    fn call_out(self: &Arc<Self>, live: &mut Live, id: CalloutId, action: Action, record: Option<&Arc<Record>>) {
        match action {
            Action::Request { to, head, end, http2, .. } => {
                let callout = Numbered { id, generation: live.generation };
                let abandoned = Arc::<AtomicBool>::default();
                let sender = Sender {
                    abandoned: abandoned.clone(),
                    depth: self.depth,
                    record: record.cloned(),
                    purpose: Purpose::Callout,
                };
                let (writer, answer) = callout::begin(self, callout, sender, to, head, end, http2);
                live.callouts
                    .insert(id, Callout { writer, answer: self.callouts.run(&self.shop.tasks, answer), abandoned });
            }
            Action::Write(_, bytes) => {
                if let Some(writer) = live.callouts.get(&id).and_then(|callout| callout.writer.as_ref()) {
                    writer.write(bytes);
                }
            }
            Action::Finish(_, trailers) => {
                if let Some(writer) = live.callouts.get_mut(&id).and_then(|callout| callout.writer.take()) {
                    writer.finish(trailers);
                }
            }
            // What it has to say no more is ignored, also where it hears this by itself.
            _ => drop(live.callouts.remove(&id)),
        }
    }

    /// The instance trapped: all that it had under way is lost with it.
    fn lose(&self, state: &mut State, trapped: &Trapped) {
        let Some(live) = state.live.take() else { return };
        live.abandon();
        state.sleeps_until = None;
        self.warmed.notify_waiters();
        self.shop.failed(live.loaded, trapped);
    }

    /// Wakes the instance when it asked for it, as long as it is polled.
    pub(super) async fn keep(self: Arc<Self>) -> Infallible {
        loop {
            let deadline = {
                let mut state = self.lock().await;
                state.sleeps_until = state.live.as_ref().and_then(|live| live.deadline);
                state.sleeps_until
            };
            let due = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.nearer.notified() => continue,
                () = due => {}
            }
            let mut state = self.lock().await;
            let deadline = state.live.as_ref().and_then(|live| live.deadline);
            if deadline.is_some_and(|at| at <= Instant::now()) {
                // Of a trap everyone is told who has to know.
                let _ = self.tell(&mut state, None, None, [Event::Timer]);
            }
        }
    }

    /// Gives the instance its turn, where an item came to a queue that it waits for.
    pub(super) async fn look_at_queues(self: &Arc<Self>) {
        let mut state = self.lock().await;
        if state.live.as_ref().is_some_and(|live| live.instance.has_news()) {
            let _ = self.tell(&mut state, None, None, []);
        }
    }
}

impl State {
    /// The instance that this belongs to, unless it is lost.
    fn live_of<T>(&mut self, numbered: Numbered<T>) -> Option<&mut Live> {
        self.live.as_mut().filter(|live| live.generation == numbered.generation)
    }
}

impl Drop for Callout {
    fn drop(&mut self) {
        self.answer.abort();
    }
}

/// Why an exchange did not begin.
pub(super) enum NotOpened {
    /// The plugin failed before, and there is no other instance, or not yet.
    Failed,
    /// There is no instance.
    Start(proxy_wasm_adapter_embed::Error),
    /// The filter can't be shown this request.
    Refused(String),
    /// It trapped.
    Lost,
}
