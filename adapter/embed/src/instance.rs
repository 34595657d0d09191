//! A running filter with all its exchanges.

use std::time::Instant;

use http::request;
use wasmtime::component::TypedFunc;
use wasmtime::{PoolConcurrencyLimitError, Store};

use crate::error::{Error, ExchangeError, Trapped};
use crate::event::{Action, Begin, Event, ExchangeId, Failure, Origin, Peer, Remains};
use crate::filter::Filter;
use crate::head;
use crate::host::Host;
use crate::metrics::Metric;
use crate::shared::Member;
use crate::wit;

/// What is to be done after a call.
#[derive(Debug, Default)]
pub struct Outcome {
    /// In this order.
    pub actions: Vec<Action>,
    /// When to give [`Event::Timer`] at the latest, whatever comes: a tick is due, or a time limit ends. It replaces that of
    /// the call before. Nothing is due where there is none.
    pub deadline: Option<Instant>,
}

/// A running filter: a worker's virtual machine in Envoy. It holds any number of exchanges at once, and each call takes what
/// came and returns what is to be done: nothing in it waits, sends or spawns.
///
/// It is `Send`, and each call needs it alone: a worker thread has one, or it stands in a mutex.
///
/// After [`Trapped`] it is lost with all its exchanges, and every further call fails at once.
pub struct Instance {
    store: Store<Host>,
    open: TypedFunc<wit::Open, ((u32, wit::Outcome),)>,
    step: TypedFunc<(Vec<wit::Event>,), (wit::Outcome,)>,
    stats: Option<TypedFunc<(), (Vec<wit::Stat>,)>>,
    ticks: u64,
    /// What is to be done since it was started.
    begin: Outcome,
}

impl Instance {
    pub(crate) fn new(filter: &Filter) -> Result<Self, Error> {
        let options = filter.options();
        let member = Member::new(filter.shared());
        let host = Host::new(filter.memory_limit(), filter.clock(), member, options.log.clone());
        let mut store = Store::new(filter.pre().engine(), host);
        store.limiter(|host| &mut host.memory);
        store.set_epoch_deadline(filter.ticks());
        let failed = |error: wasmtime::Error| match error.is::<PoolConcurrencyLimitError>() {
            true => Error::NoPlace(format!("{error:#}")),
            false => Error::Instantiate(format!("{error:#}")),
        };
        let instance = filter.pre().instantiate(&mut store).map_err(failed)?;
        let exports = filter.exports();
        let start: TypedFunc<(), (Result<(), String>,)> =
            instance.get_typed_func(&mut store, exports.start).map_err(failed)?;
        let open = instance.get_typed_func(&mut store, exports.open).map_err(failed)?;
        let step = instance.get_typed_func(&mut store, exports.step).map_err(failed)?;
        let stats = exports.stats.as_ref().map(|stats| instance.get_typed_func(&mut store, stats));
        let stats = stats.transpose().map_err(failed)?;
        if let Some(remains) = exports.remains.as_ref().filter(|_| options.keep_remains) {
            let remains: TypedFunc<(), (Option<wit::Remains>,)> =
                instance.get_typed_func(&mut store, remains).map_err(failed)?;
            remains.call(&mut store, ()).map_err(failed)?;
        }
        let mut instance = Self { store, open, step, stats, ticks: filter.ticks(), begin: Outcome::default() };
        let (started,) =
            start.call(&mut instance.store, ()).map_err(|error| Error::StartTrapped(Trapped::new(error)))?;
        started.map_err(Error::Refused)?;
        instance.begin = instance.step([]).map_err(Error::StartTrapped)?;
        Ok(instance)
    }

    /// What is to be done since the plugins started: callouts that they make while they start, and the first tick. It is there
    /// once, and comes before everything else.
    pub fn take_begin(&mut self) -> Outcome {
        std::mem::take(&mut self.begin)
    }

    /// A request came, over TLS where `tls` says so. Its fields are shown to the filters as they are, but for those of its
    /// connection, as in Envoy.
    ///
    /// # Errors
    /// [`ExchangeError::HeadTooLarge`], after which all is as before, and [`ExchangeError::Trapped`].
    pub fn open(
        &mut self,
        request: &request::Parts,
        tls: bool,
        begin: Begin,
    ) -> Result<(ExchangeId, Outcome), ExchangeError> {
        let packed = head::of_request(request, tls).map_err(|head::TooLarge| ExchangeError::HeadTooLarge)?;
        let http2 = request.version >= http::Version::HTTP_2;
        let (end, first, first_ends) = match begin {
            Begin::Nothing => (true, None, false),
            Begin::Later => (false, None, false),
            Begin::Part(bytes) => (false, Some(bytes), false),
            Begin::Whole(bytes) => (false, Some(bytes), true),
        };
        self.store.set_epoch_deadline(self.ticks);
        let arguments = (packed, http2, end, first, first_ends);
        let ((id, outcome),) = self.open.call(&mut self.store, arguments).map_err(Trapped::new)?;
        Ok((ExchangeId(id), self.outcome(outcome)?))
    }

    /// Something came, or nothing: then what became due otherwise is done.
    ///
    /// Of a peer that is not wanted only what was on its way is given. Events of exchanges that are over are ignored.
    ///
    /// # Errors
    /// The filter trapped.
    pub fn step(&mut self, events: impl IntoIterator<Item = Event>) -> Result<Outcome, Trapped> {
        self.step_by(events.into_iter().map(event).collect())
    }

    fn step_by(&mut self, events: Vec<wit::Event>) -> Result<Outcome, Trapped> {
        let outcome = self.call_step(events)?;
        self.outcome(outcome)
    }

    fn call_step(&mut self, events: Vec<wit::Event>) -> Result<wit::Outcome, Trapped> {
        self.store.set_epoch_deadline(self.ticks);
        let (outcome,) = self.step.call(&mut self.store, (events,)).map_err(Trapped::new)?;
        Ok(outcome)
    }

    /// Whether an item came to a queue that a filter of this instance waits for: then [`step`](Self::step) is due, with
    /// nothing.
    pub fn has_news(&self) -> bool {
        self.store.data().shared.has_ready_queues()
    }

    /// The metrics that the filters defined or changed since the last call.
    ///
    /// # Errors
    /// The filter trapped: it did before.
    pub fn metrics(&mut self) -> Result<Vec<Metric>, Trapped> {
        let Some(stats) = &self.stats else { return Ok(Vec::new()) };
        self.store.set_epoch_deadline(self.ticks);
        let (stats,) = stats.call(&mut self.store, ()).map_err(Trapped::new)?;
        Ok(stats.into_iter().map(Metric::of).collect())
    }

    /// Bytes of memory that it has, over filter and shim.
    pub fn memory(&self) -> usize {
        self.store.data().memory.used()
    }

    /// Whether it was refused memory: what it has goes back only with it.
    pub fn was_refused_memory(&self) -> bool {
        self.store.data().memory.was_refused()
    }

    /// What the instance gave, on `http` types. A request that none of them can hold is refused here, and the instance goes on
    /// with that.
    fn outcome(&mut self, mut outcome: wit::Outcome) -> Result<Outcome, Trapped> {
        let mut actions = Vec::with_capacity(outcome.actions.len());
        loop {
            let mut invalid = Vec::new();
            for action in outcome.actions {
                match self.action(action) {
                    Ok(action) => actions.push(action),
                    Err(peer) => invalid.push(event(Event::Failed {
                        peer,
                        failure: Failure::ConnectionFailed,
                        cause: "the host refuses the request's method or path".into(),
                    })),
                }
            }
            if invalid.is_empty() {
                break;
            }
            outcome = self.call_step(invalid)?;
        }
        let clock = self.store.data().clock;
        Ok(Outcome { actions, deadline: outcome.deadline.map(|deadline| clock.at(deadline)) })
    }

    fn action(&self, action: wit::Action) -> Result<Action, Peer> {
        let host = self.store.data();
        let mut refused = |name: &[u8]| host.refused(name);
        Ok(match action {
            wit::Action::Request(wit::OutgoingRequest { peer, tls, authority, head, end, http2 }) => {
                let peer = Peer::of(peer);
                let head = head::request(head, &mut refused).map_err(|head::Invalid| peer)?;
                Action::Request { peer, to: Origin { tls, authority }, head, end, http2 }
            }
            wit::Action::Response(wit::OutgoingResponse { id, head, end }) => {
                Action::Response { id: ExchangeId(id), head: head::response(head, &mut refused), end }
            }
            wit::Action::Write(wit::OutgoingPiece { peer, bytes }) => Action::Write(Peer::of(peer), bytes),
            wit::Action::Finish(wit::BodyEnd { peer, trailers }) => {
                let trailers = trailers.map(|trailers| head::trailers(trailers, &mut refused));
                Action::Finish(Peer::of(peer), trailers)
            }
            wit::Action::Abort(id) => Action::Abort(ExchangeId(id)),
            wit::Action::Release(peer) => Action::Release(Peer::of(peer)),
            wit::Action::Want(wit::Wanted { id, request, response }) => {
                Action::Want { id: ExchangeId(id), request, response }
            }
            wit::Action::Over(wit::Finished { id, remains }) => {
                Action::Over { id: ExchangeId(id), remains: remains.map(Remains::of) }
            }
        })
    }
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance").field("memory", &self.memory()).finish_non_exhaustive()
    }
}

fn event(event: Event) -> wit::Event {
    match event {
        Event::Head { peer, head, end } => match head::of_response(head.status(), head.headers()) {
            Ok(head) => wit::Event::Head(wit::ResponseHead { peer: peer.to_wit(), head, end }),
            Err(head::TooLarge) => wit::Event::Failed(wit::FailedRequest {
                peer: peer.to_wit(),
                failure: wit::Failure::ProtocolError,
                cause: "its head is too large".into(),
            }),
        },
        Event::Data { peer, bytes, end } => wit::Event::Data(wit::Piece { peer: peer.to_wit(), bytes, end }),
        Event::End { peer, trailers } => wit::Event::End(wit::BodyEnd {
            peer: peer.to_wit(),
            trailers: trailers.as_ref().and_then(head::of_trailers),
        }),
        Event::Broken(peer) => wit::Event::Broken(peer.to_wit()),
        Event::Failed { peer, failure, cause } => {
            wit::Event::Failed(wit::FailedRequest { peer: peer.to_wit(), failure: failure.to_wit(), cause })
        }
        Event::Refused(peer) => wit::Event::Refused(peer.to_wit()),
        Event::Gone(id) => wit::Event::Gone(id.0),
        Event::Timer => wit::Event::Timer,
    }
}
