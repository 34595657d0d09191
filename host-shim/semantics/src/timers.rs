//! The ticks of root contexts.

use proxy_wasm_abi::callbacks::Id;

use crate::{chain::Chain, environment::Guest, state::ChainState};

/// Nanoseconds, which clocks count, in a millisecond, which settings and filters count.
pub const NANOS_PER_MS: u64 = 1_000_000;

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

impl ChainState {
    /// `proxy_set_tick_period_milliseconds`: the first tick comes one period from now; 0 is no tick.
    pub fn set_tick_period(&mut self, period_ms: u32) {
        let tick = (period_ms > 0).then(|| Tick::after(period_ms, self.now()));
        let plugin = self.plugin_index();
        self.plugins[plugin].tick = tick;
    }
}

impl<G: Guest> Chain<G> {
    /// When the next tick is due, by the monotonic clock.
    pub fn tick_deadline(&self) -> Option<u64> {
        self.state.borrow().plugins.iter().filter_map(|plugin| plugin.tick).map(|tick| tick.due).min()
    }

    /// Runs the tick of each plugin that asked for ticks and whose tick is due by then; tells whether there was any. The
    /// next one comes a period after it.
    pub fn tick(&self, now: u64) -> bool {
        let mut any = false;
        for plugin in 0..self.len() {
            let due = self.state.borrow().plugins[plugin].tick.is_some_and(|tick| tick.due <= now);
            if due {
                any = true;
                self.tick_one(plugin);
            }
        }
        any
    }

    /// Runs the tick of each plugin that asked for ticks, due or not; tells whether there was any.
    pub fn tick_early(&self) -> bool {
        self.tick(u64::MAX)
    }

    fn tick_one(&self, plugin: usize) {
        let actions = self.call_root(plugin, Id::Tick, &[]);
        {
            let mut state = self.state.borrow_mut();
            let now = state.now();
            let tick = &mut state.plugins[plugin].tick;
            *tick = tick.map(|tick| Tick::after(tick.period_ms, now));
        }
        self.act(actions);
    }
}
