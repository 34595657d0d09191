//! The entry points of an edge.

use proxy_wasm_abi::callbacks::Id;
use proxy_wasm_semantics::{Chain, Direction, Guest, Request};

use crate::{
    action::{Action, Input, Peer},
    bodies::{declared_length, is_mostly_nothing},
    calls::Calls,
    exchange::Exchange,
    stay::{Rest, Stay},
};

/// Request ids that one call for random bytes is enough for.
const IDS_AT_ONCE: u64 = 16;

/// All exchanges and callouts of a chain.
pub struct Driver<'a, G> {
    pub(crate) chain: &'a Chain<G>,
    /// Few at a time, most often one.
    pub(crate) exchanges: Vec<Exchange>,
    /// Those that callbacks of others moved, until the edge asks.
    moved: Vec<u32>,
    pub(crate) calls: Calls,
    pub(crate) stay: Stay,
    /// Random bytes for the ids of the requests to come.
    id_bytes: Vec<u8>,
    /// A filter was told of a callout since `work` looked last.
    pub(crate) told: bool,
    /// And that moved an exchange.
    pub(crate) fruitful: bool,
    /// The end of a body may come later than what happened after it.
    pub(crate) ends_apart: bool,
}

/// The time from one wait of the edge to the next, in which all that moves is done at once: the clock is read once at the
/// most, where something first needs it.
pub struct Turn<'t, 'a, G> {
    driver: &'t mut Driver<'a, G>,
}

impl<'a, G: Guest> Driver<'a, G> {
    /// Nothing is under way.
    pub fn new(chain: &'a Chain<G>) -> Self {
        Self {
            chain,
            exchanges: Vec::new(),
            moved: Vec::new(),
            calls: Calls::default(),
            stay: Stay::default(),
            id_bytes: Vec::new(),
            told: false,
            fruitful: false,
            ends_apart: false,
        }
    }

    /// The host tells of a body's end apart from its bytes, so that what an upstream says may overtake the end of its request:
    /// a failure waits for it for a moment, and where all declared bytes have come an answer does, too.
    #[must_use]
    pub fn with_ends_apart(mut self) -> Self {
        self.ends_apart = true;
        self
    }

    /// Begins a turn: the edge has waited, so the time is another.
    pub fn turn(&mut self) -> Turn<'_, 'a, G> {
        self.chain.time_passed();
        Turn { driver: self }
    }

    /// Takes note of the exchanges that callbacks moved, but the `current` one, whose event it was.
    pub(crate) fn note_moved(&mut self, current: Option<u32>) {
        for id in self.chain.take_moved() {
            if Some(id) == current {
                continue;
            }
            let Some(exchange) = self.exchange(id) else { continue };
            exchange.note_progress();
            self.announce(id);
            self.fruitful |= current.is_none();
        }
    }

    /// An exchange has something to do that is not of its own event.
    pub(crate) fn announce(&mut self, id: u32) {
        if self.exchange(id).is_some_and(|exchange| !std::mem::replace(&mut exchange.announced, true)) {
            self.moved.push(id);
        }
    }
}

impl<'a, G: Guest> Turn<'_, 'a, G> {
    /// Starts the plugins, once. Callouts that they make while they are configured are waited for where ticks follow, or
    /// where nothing else `waits` for the plugins: the edge goes on as [`stays`](Self::stays) says.
    ///
    /// # Errors
    /// Says which callback refused.
    pub fn start(&mut self, waits: bool) -> Result<(), &'a str> {
        let first = !self.driver.chain.is_started();
        self.driver.chain.start()?;
        if first {
            self.driver.warm_up(waits);
        }
        Ok(())
    }

    /// Adds to a request what is not in its head, where that is wanted: the time, by the monotonic clock, and random bytes.
    /// They are not asked for through [`Host`](proxy_wasm_semantics::Host): that is an indirect call, and the first one costs
    /// a new instance a page of memory.
    pub fn complete(&mut self, request: &mut Request<'_>, now: fn() -> u64, random: fn(u64) -> Vec<u8>) {
        let state = self.driver.chain.state();
        if state.is_timed() {
            request.received = Some(now());
        }
        if state.settings().connection.request_id {
            let stock = &mut self.driver.id_bytes;
            if stock.is_empty() {
                *stock = random(IDS_AT_ONCE * request.id.len() as u64);
            }
            let rest = stock.len().saturating_sub(request.id.len());
            request.id = stock[rest..].try_into().unwrap_or_default();
            stock.truncate(rest);
        }
    }

    /// A request came; `end`: and nothing follows. Returns the exchange's id, which is the stream's.
    pub fn open(&mut self, request: Request<'_>, end: bool) -> u32 {
        let driver = &mut *self.driver;
        let chain = driver.chain;
        // One that came due while the host gave the instance no time.
        if chain.tick_deadline().is_some() {
            chain.tick(chain.now());
        }
        let to_head = *request.method == *b"HEAD";
        let says_empty = chain.state().settings().upkeep.opens_bodies;
        let outstanding = if driver.ends_apart { declared_length(&request) } else { None };
        let id = chain.open(request, end);
        driver.exchanges.push(Exchange::new(id, to_head, says_empty).awaiting(outstanding));
        driver.note_moved(Some(id));
        id
    }

    /// What is driven.
    pub fn chain(&self) -> &'a Chain<G> {
        self.driver.chain
    }

    /// The next thing to do for an exchange, or nothing.
    pub fn poll(&mut self, id: u32) -> Option<Action> {
        let action = self.driver.next_action(id);
        self.driver.note_moved(Some(id));
        action
    }

    /// The next thing to do for callouts, or nothing.
    pub fn poll_calls(&mut self) -> Option<Action> {
        self.driver.calls.next_action()
    }

    /// The next exchange that the callback of another one moved, or that of a tick, a callout or a queue: it has something
    /// to do, or takes more of what comes.
    pub fn poll_moved(&mut self) -> Option<u32> {
        let id = self.driver.moved.pop()?;
        if let Some(exchange) = self.driver.exchange(id) {
            exchange.announced = false;
        }
        Some(id)
    }

    /// Whether more is wanted from this peer now. The edge reads nothing that is not wanted.
    pub fn wants(&mut self, peer: Peer) -> bool {
        match peer {
            Peer::Client(id) => self.driver.wants_request(id),
            Peer::Upstream(id) => self.driver.wants_response(id),
            Peer::Callout(_) => true,
        }
    }

    /// Whether no filter can want anything that follows a head: by a callback of its own, or, at the exchange's end, by what
    /// came of it.
    pub fn passes(&self, direction: Direction) -> bool {
        self.driver.passes(direction)
    }

    /// Whether no filter can want anything of this request but that it comes, and whether something follows its head makes no
    /// difference: it hardly ever does. Then the edge need not look for it. Where it may be sent once more, it is to be read.
    pub fn is_unseen(&self, request: &Request<'_>) -> bool {
        let sees_heads = self.driver.chain.exports(Id::RequestHeaders);
        !cfg!(feature = "routing")
            && !sees_heads
            && self.driver.passes(Direction::Request)
            && is_mostly_nothing(request)
    }

    /// Asked where the edge was given the head of this peer's message to send on, and has read nothing of what follows it:
    /// whether that may go on unread, as [`passes`](Self::passes) says. Then the edge hands it on as it is, gives no
    /// input but its end, and has nothing to break off. The upstream's time limit ends with the head of such a response, and
    /// begins with the end of such a request; time without progress is not counted.
    pub fn pass_on(&mut self, from: Peer) -> bool {
        match from {
            Peer::Client(id) => self.driver.pass_on(id, Direction::Request),
            Peer::Upstream(id) => self.driver.pass_on(id, Direction::Response),
            Peer::Callout(_) => false,
        }
    }

    /// Something came from a peer. Of a response, what has come with the head is to follow it before [`work`](Self::work).
    pub fn input(&mut self, peer: Peer, input: Input) {
        let current = match peer {
            Peer::Client(id) => {
                self.driver.request_input(id, input);
                Some(id)
            }
            Peer::Upstream(id) => {
                self.driver.response_input(id, input);
                Some(id)
            }
            Peer::Callout(id) => {
                self.driver.call_input(id, input);
                None
            }
        };
        self.driver.note_moved(current);
    }

    /// Everything that the edge was given for this peer is written, and ended where it was told to.
    pub fn written(&mut self, peer: Peer) {
        match peer {
            Peer::Client(id) | Peer::Upstream(id) => self.driver.exchange_written(id, peer),
            Peer::Callout(id) => self.driver.call_written(id, false),
        }
    }

    /// This peer takes no more. It may still answer.
    pub fn refused(&mut self, peer: Peer) {
        match peer {
            Peer::Client(id) => self.client_gone(id),
            Peer::Upstream(id) => self.driver.upstream_refuses(id),
            Peer::Callout(id) => self.driver.call_written(id, true),
        }
    }

    /// The client of an exchange has left.
    pub fn client_gone(&mut self, id: u32) {
        self.driver.client_left(id);
        self.driver.note_moved(Some(id));
    }

    /// There is nothing that the edge could wait for: the filter holds the exchange, no time limit is set, and nothing can
    /// come that would resume it.
    pub fn starved(&mut self, id: u32) {
        self.driver.chain.idle_timeout(id);
        self.driver.note_moved(Some(id));
    }

    /// Whether an exchange is over: the response is written, or it was broken off. Then the edge lets go of what it has of it,
    /// and closes it.
    pub fn is_over(&self, id: u32) -> bool {
        self.driver.exchange_is_over(id)
    }

    /// Ends an exchange for the filters. Callouts outlive it: [`stays`](Self::stays) says for how long the edge does.
    pub fn close(&mut self, id: u32) {
        let driver = &mut *self.driver;
        driver.exchanges.retain(|exchange| exchange.id != id);
        driver.moved.retain(|moved| *moved != id);
        driver.chain.close(id);
        driver.note_moved(None);
        driver.linger();
    }

    /// Tells filters of what needs no waiting, makes the callouts that they asked for, and counts rounds. Says whether there
    /// is more to do.
    pub fn work(&mut self) -> bool {
        self.driver.work()
    }

    /// When to wake up at the latest, by the monotonic clock, whatever comes. Here the time without progress begins for those
    /// exchanges that moved since the edge asked last.
    pub fn deadline(&mut self) -> Option<u64> {
        self.driver.next_deadline()
    }

    /// A deadline has passed, or may have: does what is due.
    pub fn expire(&mut self) {
        self.driver.expire();
    }

    /// Whether the edge stays, though no exchange is under way: for callouts that are left, or for the plugins' start.
    pub fn stays(&mut self) -> bool {
        self.driver.stays()
    }

    /// The exchange and what it left behind are over: writes the metrics that changed, where the settings ask for it.
    pub fn finish(&mut self) {
        self.driver.chain.state().log_metrics();
    }

    /// From now on the host gives the instance time whenever [`deadline`](Self::deadline) asks for it, also where no exchange is
    /// under way: so no exchange stays for callouts, and ticks come by the deadline.
    pub fn attend(&mut self) {
        self.driver.attend();
    }

    /// Begins what is due between requests: from now on the host gives the instance time for it, so no exchange stays for
    /// callouts. The edge then looks at what came as often as [`looks`](Self::looks) says, and asks for
    /// [`rest`](Self::rest).
    pub fn tend(&mut self) {
        self.driver.tend();
    }

    /// Tells plugins of items in queues that the host keeps; whether there were any.
    pub fn hear(&mut self) -> bool {
        self.driver.hear()
    }

    /// Whether the edge looks once more at what came, without waiting.
    pub fn looks(&mut self) -> bool {
        self.driver.looks()
    }

    /// Ends what was due between requests.
    pub fn rest(&mut self) -> Rest {
        self.driver.rest()
    }

    /// Whether callouts are under way, whatever they wait for.
    pub fn has_calls(&self) -> bool {
        !self.driver.calls.list.is_empty()
    }
}
