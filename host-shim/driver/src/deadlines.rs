//! Time limits: what arms them, and in which order they count.

use proxy_wasm_semantics::{Guest, NANOS_PER_MS, UpstreamFailure};

use crate::{calls::Kind, turn::Driver};

impl<G: Guest> Driver<'_, G> {
    pub(crate) fn next_deadline(&mut self) -> Option<u64> {
        self.arm_idle();
        let own = self.exchanges.iter().flat_map(|exchange| {
            let told = exchange.overtaken.as_ref().map(|overtaken| overtaken.until);
            [exchange.idle_deadline, exchange.upstream_deadline, exchange.tries.deadline(), told]
        });
        let tick = if self.ticks() { self.chain.tick_deadline() } else { None };
        own.chain([self.calls_deadline(), tick, self.stay.until()]).flatten().min()
    }

    /// Whether ticks come by the deadline. Where no exchange is they do not: the host has no time for it, or tends the instance.
    fn ticks(&self) -> bool {
        !self.exchanges.is_empty() || self.stay.is_attended()
    }

    /// When the next callout has taken too long.
    pub(crate) fn calls_deadline(&self) -> Option<u64> {
        self.calls.list.iter().filter_map(|call| call.deadline).min()
    }

    /// The time without progress begins for exchanges that moved since, and whose progress can be seen.
    pub(crate) fn arm_idle(&mut self) {
        if self.exchanges.iter().all(|exchange| exchange.idle_deadline.is_some() || exchange.is_unseen()) {
            return;
        }
        let idle_ms = self.chain.state().settings().connection.stream_idle_timeout_ms;
        if idle_ms == 0 {
            return;
        }
        let deadline = self.chain.now().saturating_add(idle_ms.saturating_mul(NANOS_PER_MS));
        for exchange in self.exchanges.iter_mut().filter(|exchange| !exchange.is_unseen()) {
            exchange.idle_deadline.get_or_insert(deadline);
        }
    }

    /// Does what is due by now: callouts that took too long, ticks, then each exchange's upstream before its idle timeout; of the
    /// upstream what it said before its time limit.
    pub(crate) fn expire(&mut self) {
        let now = self.chain.now();
        self.expire_calls(now);
        if self.ticks() {
            self.chain.tick(now);
        }
        self.note_moved(None);
        let is_due = |deadline: &mut Option<u64>| deadline.take_if(|deadline| *deadline <= now).is_some();
        for index in 0..self.exchanges.len() {
            let exchange = &mut self.exchanges[index];
            let id = exchange.id;
            if exchange.overtaken.as_ref().is_some_and(|overtaken| overtaken.until <= now) {
                self.tell_overtaken(id);
                self.announce(id);
            } else if is_due(&mut exchange.upstream_deadline) {
                self.upstream_timed_out(id);
                self.announce(id);
            } else if self.expire_try(id, now) {
                self.announce(id);
            } else if is_due(&mut self.exchanges[index].idle_deadline) {
                self.chain.idle_timeout(id);
                self.announce(id);
            }
        }
        self.note_moved(None);
    }

    /// Ends callouts that have taken too long.
    pub(crate) fn expire_calls(&mut self, now: u64) {
        let is_due = |deadline: Option<u64>| deadline.is_some_and(|deadline| deadline <= now);
        while let Some(call) = self.calls.list.iter().find(|call| is_due(call.deadline)) {
            let id = call.id;
            if matches!(call.kind, Kind::Http(_)) || self.show_grpc_head(id, false) {
                self.call_failed(id, UpstreamFailure::Timeout, None);
            }
        }
    }
}
