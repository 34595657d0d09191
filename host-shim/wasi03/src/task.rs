//! A call of an export: a request, up to what it leaves behind, or what the host has done beside requests.
//!
//! ```text
//!  Starting ──► Looking ──► Open ──► Staying ──► Writing ──► over
//!     │            │                                ▲
//!     ├────────────┴─ refused, or cancelled ────────┤
//!  WarmingUp, Tending, Listening ───────────────────┘
//! ```

use std::{num::NonZeroU32, task::Poll};

use proxy_wasm_semantics::{NANOS_PER_MS, Request as Head};

use crate::{
    bindings::wasi::http::types::Request,
    canonical::{self, Answer, Timer, Wake},
    host,
    reader::Reader,
};

/// Nanoseconds that the host has for others before what is late is done.
const MOMENT: u64 = NANOS_PER_MS;

/// A call that has not returned for good.
pub(crate) struct Task {
    /// It is known by this number.
    pub(crate) number: u32,
    /// Until it has answered.
    pub(crate) answer: Option<Answer>,
    /// Which request it is for, of all that came, until the host was told of its end.
    pub(crate) request: Option<NonZeroU32>,
    is_of_request: bool,
    /// The host said that its client has left, and it has not run since.
    pub(crate) is_left: bool,
    pub(crate) phase: Phase,
    /// A timer that fires at the next deadline or earlier.
    timer: Option<Timer>,
    /// By this others wake it, once one has.
    wake: Option<Wake>,
    // Behind what is in its set, which has to be empty when it is dropped.
    pub(crate) own: canonical::Task,
}

/// How far it is.
pub(crate) enum Phase {
    /// The plugins start, with what they wait for.
    Starting(Request),
    /// The same, with no request that waits.
    WarmingUp,
    /// It does what is due between requests.
    Tending,
    /// It waits for an exchange to end.
    Listening,
    /// It looks whether the request has a body, or `trailers`, until a time.
    Looking { head: Head<'static>, body: Reader, trailers: bool, until: u64 },
    /// Its body is for nobody here to read, or it has none, where it is said to `end`.
    Unread { head: Head<'static>, body: Reader, end: bool },
    /// The exchange is under way.
    Open(u32),
    /// The exchange is over, and left callouts behind.
    Staying,
    /// What it was given to write is written.
    Writing,
}

impl Task {
    pub(crate) fn begin(number: u32, request: Option<NonZeroU32>, phase: Phase) -> Self {
        let own = canonical::Task::begin(number);
        let is_of_request = request.is_some();
        Self {
            number,
            own,
            answer: Some(Answer::owed()),
            request,
            is_of_request,
            is_left: false,
            phase,
            timer: None,
            wake: None,
        }
    }

    /// Whether it is one of those that the settings limit.
    pub(crate) fn is_of_request(&self) -> bool {
        self.is_of_request
    }

    /// Whether callouts and ticks may come to it.
    pub(crate) fn acts(&self) -> bool {
        !matches!(self.phase, Phase::Listening)
    }

    /// Whether the plugins start in it: they are not to be called before they have.
    pub(crate) fn starts(&self) -> bool {
        matches!(self.phase, Phase::Starting(_) | Phase::WarmingUp)
    }

    /// It runs now.
    pub(crate) fn enter(&mut self) {
        self.own.enter();
        if let Some(wake) = &mut self.wake {
            wake.runs();
        }
    }

    /// Has it run, though nothing has come that it waits for.
    pub(crate) fn wake(&mut self) {
        self.wake.get_or_insert_with(Wake::new).wake(&self.own);
    }

    /// Whether this exchange is its own.
    pub(crate) fn has(&self, exchange: u32) -> bool {
        matches!(self.phase, Phase::Open(id) if id == exchange)
    }

    /// Has a timer fire at this time or earlier, if there is one. An earlier one is kept, to save making one each time.
    pub(crate) fn set_timer(&mut self, at: Option<u64>) -> bool {
        match at {
            None => self.let_timer_go(),
            Some(next) if self.timer.as_ref().is_some_and(|timer| timer.at <= next) => {}
            Some(next) => {
                self.let_timer_go();
                let timer = host::at_or_before(next);
                // The host tells of no time that has passed. Nor is the task just woken: where ticks take longer than their
                // period, the host would look at nothing else.
                let timer = if timer.is_past() { host::at(host::now() + MOMENT) } else { timer };
                if timer.is_past() {
                    self.wake();
                }
                self.timer = Some(timer);
            }
        }
        self.timer.is_some()
    }

    fn let_timer_go(&mut self) {
        if let Some(timer) = self.timer.take() {
            host::keep(timer);
        }
    }

    /// Whether it is told when this time comes, or earlier.
    pub(crate) fn is_told_of(&self, at: u64) -> bool {
        self.timer.as_ref().is_some_and(|timer| timer.at <= at)
    }

    /// Whether the timer has fired, once.
    pub(crate) fn timer_fired(&mut self) -> bool {
        let has_fired = self.timer.as_mut().is_some_and(|timer| timer.poll() == Poll::Ready(()));
        if has_fired {
            self.timer = None;
        }
        has_fired
    }
}
