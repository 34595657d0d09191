//! An instance's life beside its exchanges: what it waits for when it starts, what it stays for when an exchange is over,
//! and what it does between two of them.

use proxy_wasm_abi::limits::{CALLOUT_LINGER_MS, START_WAIT_MS};
use proxy_wasm_semantics::{Guest, NANOS_PER_MS};

use crate::{calls::Kind, turn::Driver};

/// The shortest and the longest time between two looks at callouts that nothing else waits for.
const LOOK_MIN: u64 = NANOS_PER_MS;
const LOOK_MAX: u64 = 50 * NANOS_PER_MS;

/// How often an edge looks at what came where it tends callouts between exchanges: for a response's head, for its body, and
/// for the body's end. Not until nothing moves: a filter that always asks for more would never let go of its host.
const LOOKS: u32 = 3;

/// The work for which an instance without an exchange stays.
#[derive(Default)]
pub(crate) struct Stay {
    purpose: Option<Purpose>,
    /// The host calls between exchanges, too, so no exchange has to stay for what outlives it.
    tended: bool,
    /// The host gives the instance time whenever it asks for it, exchange or none.
    attended: bool,
    /// How often the edge looks before it rests.
    looks: u32,
}

/// The time between exchanges, after what was due was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rest {
    /// The nanoseconds until there may be more to do.
    pub wake: Option<u64>,
    /// Something is under way that the filter waits for.
    pub unfinished: bool,
}

/// Until when, by the monotonic clock.
#[derive(Clone, Copy)]
enum Purpose {
    /// The plugins start: for what they asked for, then for so many ticks, each after what the one before asked for is
    /// back.
    WarmUp { until: u64, ticks: u32 },
    /// An exchange is over: for the callouts that are left, and for those that the filter then asks for.
    Linger { until: u64 },
}

impl Stay {
    /// Whether ticks come where no exchange is.
    pub(crate) fn is_attended(&self) -> bool {
        self.attended
    }

    pub(crate) fn until(&self) -> Option<u64> {
        self.purpose.map(|purpose| match purpose {
            Purpose::WarmUp { until, .. } | Purpose::Linger { until } => until,
        })
    }
}

impl<G: Guest> Driver<'_, G> {
    pub(crate) fn warm_up(&mut self, waits: bool) {
        let ticks = self.chain.state().settings().upkeep.startup_ticks;
        if waits || ticks > 0 {
            let until = self.chain.now().saturating_add(START_WAIT_MS * NANOS_PER_MS);
            self.stay.purpose = Some(Purpose::WarmUp { until, ticks });
        }
    }

    pub(crate) fn linger(&mut self) {
        if !self.stay.tended && self.exchanges.is_empty() && self.awaits() {
            let until = self.chain.now().saturating_add(CALLOUT_LINGER_MS * NANOS_PER_MS);
            self.stay.purpose = Some(Purpose::Linger { until });
        }
    }

    pub(crate) fn stays(&mut self) -> bool {
        let Some(until) = self.stay.until() else { return false };
        self.expire_calls(self.chain.now());
        loop {
            if self.chain.now() >= until || !(self.awaits() || self.ticks_early()) {
                self.stay.purpose = None;
                return false;
            }
            if self.awaits() {
                return true;
            }
            self.chain.time_passed();
        }
    }

    /// Runs one more tick of the plugins' start, if there is one.
    fn ticks_early(&mut self) -> bool {
        match &mut self.stay.purpose {
            Some(Purpose::WarmUp { ticks: ticks @ 1.., .. }) => {
                *ticks -= 1;
                self.chain.tick_early()
            }
            _ => false,
        }
    }

    /// Whether an answer is due, or bytes wait to be written. A gRPC stream that the filter keeps open is nothing to wait for:
    /// nothing need ever come of it.
    fn awaits(&self) -> bool {
        let is_writing = |kind: &Kind| matches!(kind, Kind::Grpc);
        self.chain.awaits_work()
            || self.calls.list.iter().any(|call| is_writing(&call.kind) && call.outgoing.is_unwritten())
    }

    /// Whether the plugins run: one that refused to start, or that nobody started, does nothing between exchanges.
    fn runs(&self) -> bool {
        self.chain.is_started() && self.chain.start().is_ok()
    }

    pub(crate) fn attend(&mut self) {
        self.stay.tended = true;
        self.stay.attended = true;
        // What came is told in calls, in whatever order the host saw it.
        self.ends_apart = true;
    }

    pub(crate) fn tend(&mut self) {
        if !self.runs() {
            return;
        }
        self.stay.looks = LOOKS;
        self.stay.tended = true;
        self.chain.tick(self.chain.now());
        // Queues that the host keeps may have items that nothing here knows of.
        self.told |= self.chain.announce_queues();
        self.note_moved(None);
    }

    /// The same while exchanges go on.
    pub(crate) fn hear(&mut self) -> bool {
        let heard = self.runs() && self.chain.announce_host_queues();
        if heard {
            self.note_moved(None);
        }
        heard
    }

    pub(crate) fn looks(&mut self) -> bool {
        let left = self.stay.looks.checked_sub(1);
        self.stay.looks = left.unwrap_or(0);
        left.is_some()
    }

    pub(crate) fn rest(&mut self) -> Rest {
        if !self.runs() {
            return Rest::default();
        }
        self.expire_calls(self.chain.now());
        self.chain.time_passed();
        let now = self.chain.now();
        let tick = self.chain.tick_deadline().map(|due| due.saturating_sub(now));
        let look = self.chain.has_work().then(|| self.next_look(now));
        let deadline = self.calls_deadline().map(|deadline| deadline.saturating_sub(now));
        let wake = [tick, look, deadline].into_iter().flatten().min();
        Rest { wake, unfinished: self.chain.has_work() }
    }

    /// A tenth of the time that the youngest callout is on its way: soon for one that takes little, and no busy loop for
    /// one that takes long.
    fn next_look(&self, now: u64) -> u64 {
        let since = self.calls.list.iter().map(|call| match call.kind {
            Kind::Http(_) => call.started,
            Kind::Grpc => call.moved,
        });
        let youngest = since.map(|since| now.saturating_sub(since)).min();
        youngest.map_or(LOOK_MIN, |age| (age / 10).clamp(LOOK_MIN, LOOK_MAX))
    }
}
