//! The tick of the root context.

use proxy_wasm_abi::callbacks::Id;

use crate::{environment::Guest, plugin::Plugin, vm::ROOT_CONTEXT, vm::Vm};

const NANOS_PER_MS: u64 = 1_000_000;

/// A tick to come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tick {
    period_ms: u32,
    /// By the monotonic clock.
    due: u64,
}

impl Tick {
    fn after(period_ms: u32, now: u64) -> Self {
        Self { period_ms, due: now.saturating_add(u64::from(period_ms) * NANOS_PER_MS) }
    }
}

impl Vm {
    /// `proxy_set_tick_period_milliseconds`: the first tick comes one period from now; 0 is no tick.
    pub fn set_tick_period(&mut self, period_ms: u32) {
        self.tick = (period_ms > 0).then(|| Tick::after(period_ms, self.host.now()));
    }
}

impl<G: Guest> Plugin<G> {
    /// When the next tick is due, by the monotonic clock.
    pub fn tick_deadline(&self) -> Option<u64> {
        self.vm.borrow().tick.map(|tick| tick.due)
    }

    /// Runs the tick, due or not, if the filter asked for ticks; tells whether it did. The next one comes a period after
    /// it.
    pub fn tick(&self) -> bool {
        if self.vm.borrow().tick.is_none() {
            return false;
        }
        let returned = self.call(ROOT_CONTEXT, Id::Tick, &[ROOT_CONTEXT]);
        {
            let mut vm = self.vm.borrow_mut();
            let now = vm.host.now();
            vm.tick = vm.tick.map(|tick| Tick::after(tick.period_ms, now));
        }
        if let Some(returned) = returned {
            self.act(returned.actions);
        }
        true
    }
}
