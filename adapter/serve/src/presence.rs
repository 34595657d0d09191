//! What a client does with its connection, as far as time limits go: nothing, sending a head, or waiting for an answer.
//!
//! hyper tells of a request once its head is there. What comes before, [`Watched`] sees in the bytes.

mod watched;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

pub(super) use watched::Watched;

/// How long a connection that was told to end may take for it without a request in flight: for the rest of a head, or to
/// acknowledge HTTP/2's GOAWAY.
pub(super) const CLOSE_WAIT: Duration = Duration::from_secs(1);

/// How long clients may take for what they do between requests. Zero is no limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// To send a head, the first one counted from when the connection was made.
    pub(super) head: Duration,
    /// To begin with the next one.
    pub(super) idle: Duration,
    /// To take anything of a response that is complete.
    pub(super) send: Duration,
}

/// What a client does.
#[derive(Debug)]
pub(super) struct Presence {
    state: Mutex<State>,
    /// It is told to end.
    told: Notify,
    /// Its time may be over earlier than planned.
    changed: Notify,
}

#[derive(Debug)]
struct State {
    /// Requests that are worked on.
    working: usize,
    /// Requests that are worked on no more, while the client has not taken the whole of their responses.
    sending: usize,
    /// Since when neither of them changed.
    settled: Instant,
    /// When bytes moved last.
    moved: Instant,
    /// Since when a head is on its way, if one is.
    head: Option<Instant>,
    closing: Closing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closing {
    No,
    /// It is told to end, and may take this long without a request in flight from then on.
    Asked(Instant, Duration),
    /// Another one needs its place.
    Evicted,
    /// Its head is late.
    HeadLate,
}

impl Presence {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        let (settled, moved, head) = (now, now, Some(now));
        let state = State { working: 0, sending: 0, settled, moved, head, closing: Closing::No };
        Self { state: Mutex::new(state), told: Notify::new(), changed: Notify::new() }
    }

    /// A request's head is there. It is in flight as long as the result lives.
    pub(super) fn begin(self: &Arc<Self>) -> InFlight {
        let mut state = self.state();
        state.working += 1;
        state.head = None;
        InFlight(Arc::new(Flight { presence: self.clone(), phase: Mutex::new(Phase::Working) }))
    }

    /// Since when nobody works for it, if that is so and nobody told it to end.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let state = self.state();
        let free = state.working == 0 && state.closing == Closing::No;
        free.then(|| if state.sending > 0 { state.moved.max(state.settled) } else { state.settled })
    }

    /// Has the connection end now, but for what it can be told at once.
    pub(super) fn evict(&self) {
        self.end(Closing::Evicted);
    }

    /// Whether it was told to end now, and has not yet.
    pub(super) fn is_leaving(&self) -> bool {
        self.state().closing == Closing::Evicted
    }

    /// Has the connection end as soon as no request is in flight, or so long after that.
    pub(super) fn close(&self, wait: Duration) {
        self.end(Closing::Asked(Instant::now(), wait));
    }

    fn end(&self, closing: Closing) {
        let mut state = self.state();
        if state.closing == Closing::No {
            state.closing = closing;
            self.told.notify_one();
            self.changed.notify_one();
        }
    }

    /// Waits until it is told to end.
    pub(super) async fn closes(&self) {
        while self.state().closing == Closing::No {
            self.told.notified().await;
        }
    }

    /// Waits until its time is over.
    pub(super) async fn expires(&self, limits: &Limits) {
        // A limit that begins to count meanwhile ends no earlier than this: so no request has to wake anybody.
        let glance = [limits.head, limits.idle, limits.send].into_iter().filter(|limit| !limit.is_zero()).min();
        loop {
            let now = Instant::now();
            let deadline = self.state().deadline(limits);
            if deadline.is_some_and(|deadline| deadline <= now) {
                if self.is_over(limits, now) {
                    return;
                }
                continue;
            }
            let glance = glance.and_then(|glance| now.checked_add(glance));
            let next = [deadline, glance].into_iter().flatten().min();
            let wait = async {
                match next {
                    Some(next) => tokio::time::sleep_until(next.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = wait => {}
                () = self.changed.notified() => {}
            }
        }
    }

    /// What follows from a deadline that has passed. One that was idle for too long is told first, as Envoy does.
    fn is_over(&self, limits: &Limits, now: Instant) -> bool {
        let over = {
            let mut state = self.state();
            let head_late = late(state.head, limits.head).is_some_and(|deadline| deadline <= now);
            if head_late {
                state.closing = Closing::HeadLate;
            }
            head_late || state.sending > 0 || state.closing != Closing::No
        };
        if !over {
            self.close(CLOSE_WAIT);
        }
        over
    }

    /// Bytes moved.
    fn moves(&self) {
        self.state().moved = Instant::now();
    }

    /// Bytes came that belong to no request in flight.
    fn head_begins(&self) {
        let mut state = self.state();
        if state.working + state.sending == 0 && state.head.is_none() {
            state.head = Some(Instant::now());
        }
    }

    /// Over HTTP/2: a head is on its way, or is not.
    fn set_head(&self, on_its_way: bool) {
        let mut state = self.state();
        state.head = on_its_way.then(|| state.head.unwrap_or_else(Instant::now));
    }

    fn is_working(&self) -> bool {
        self.state().working > 0
    }

    fn is_head_late(&self) -> bool {
        self.state().closing == Closing::HeadLate
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn deadline(&self, limits: &Limits) -> Option<Instant> {
        let unused = self.working + self.sending == 0;
        let head = late(self.head, limits.head);
        let rests = unused && self.head.is_none() && self.closing == Closing::No;
        let idle = late(rests.then_some(self.settled), limits.idle);
        let stuck = self.working == 0 && self.sending > 0;
        let send = late(stuck.then_some(self.moved.max(self.settled)), limits.send);
        let closing = match self.closing {
            Closing::Asked(since, wait) if unused => since.max(self.settled).checked_add(wait),
            Closing::Evicted => Some(self.settled),
            _ => None,
        };
        [head, idle, send, closing].into_iter().flatten().min()
    }
}

fn late(since: Option<Instant>, limit: Duration) -> Option<Instant> {
    since.filter(|_| !limit.is_zero())?.checked_add(limit)
}

/// A request that is in flight, until it is dropped.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Flight>);

/// How far it is.
#[derive(Debug)]
pub(super) struct Flight {
    presence: Arc<Presence>,
    phase: Mutex<Phase>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Working,
    Sending,
    Over,
}

impl InFlight {
    pub(super) fn flight(&self) -> Arc<Flight> {
        self.0.clone()
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.enter(Phase::Over);
    }
}

impl Flight {
    /// Nobody works on it any more.
    pub(super) fn is_worked_off(&self) {
        self.enter(Phase::Sending);
    }

    fn enter(&self, next: Phase) {
        // Held until both tell the same: the work ends while the response does.
        let mut phase = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        if *phase == Phase::Over || *phase == next {
            return;
        }
        let before = std::mem::replace(&mut *phase, next);
        let mut state = self.presence.state();
        match before {
            Phase::Working => state.working -= 1,
            Phase::Sending | Phase::Over => state.sending -= 1,
        }
        state.sending += usize::from(next == Phase::Sending);
        state.settled = Instant::now();
        if state.closing != Closing::No {
            self.presence.changed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits =
        Limits { head: Duration::from_secs(30), idle: Duration::from_secs(3600), send: Duration::from_secs(300) };

    /// How long the client has from now on.
    pub(in crate::presence) fn has(presence: &Presence) -> Option<u64> {
        let deadline = presence.state().deadline(&LIMITS)?;
        Some((deadline - Instant::now()).as_secs_f64().round() as u64)
    }

    #[tokio::test]
    async fn what_is_told_to_end_ends_with_its_last_request() {
        let presence = Arc::new(Presence::new());
        let request = presence.begin();
        presence.close(Duration::ZERO);
        presence.closes().await;
        let mut end = Box::pin(presence.expires(&LIMITS));
        assert!(tokio::time::timeout(Duration::from_millis(10), &mut end).await.is_err());
        drop(request);
        end.await;
    }

    #[tokio::test]
    async fn a_response_that_nobody_takes_ends() {
        let presence = Arc::new(Presence::new());
        let request = presence.begin();
        request.flight().is_worked_off();
        assert_eq!((has(&presence), presence.idle_since().is_some()), (Some(300), true));
        presence.evict();
        presence.expires(&LIMITS).await;
        drop(request);
        assert_eq!(has(&presence), Some(0));
    }
}
