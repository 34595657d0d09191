//! The metrics that filters define, added up over instances.
//!
//! An instance is asked what changed when a request or a tick ends, so what one that traps did in its last request is not
//! counted. Counters and histograms go on from where an ended instance left them; a gauge is the sum of what it is in the
//! instances that live.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proxy_wasm_abi::limits::HISTOGRAM_BOUNDS;

use super::plugin::{Change, HistogramChange, Stat};

/// All metrics. The names are as the filter has them.
#[derive(Debug, Default)]
pub(super) struct Stats(Mutex<Totals>);

/// What there is now.
#[derive(Clone, Debug, Default)]
pub(super) struct Totals {
    pub(super) counters: BTreeMap<Vec<u8>, u64>,
    pub(super) gauges: BTreeMap<Vec<u8>, u64>,
    pub(super) histograms: BTreeMap<Vec<u8>, Histogram>,
}

/// The values of a histogram.
#[derive(Clone, Debug, Default)]
pub(super) struct Histogram {
    /// How many are in each bucket; the last has what is beyond the last bound.
    pub(super) buckets: [u64; HISTOGRAM_BOUNDS.len() + 1],
    pub(super) sum: u64,
}

impl Stats {
    /// What there is now.
    pub(super) fn totals(&self) -> Totals {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Totals> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The part of one instance.
#[derive(Debug)]
pub(super) struct Share {
    stats: Arc<Stats>,
    gauges: HashMap<Vec<u8>, u64>,
}

impl Share {
    pub(super) fn new(stats: Arc<Stats>) -> Self {
        Self { stats, gauges: HashMap::new() }
    }

    /// Adds what changed.
    pub(super) fn add(&mut self, changes: Vec<Stat>) {
        if changes.is_empty() {
            return;
        }
        let mut totals = self.stats.lock();
        for Stat { name, change } in changes {
            match change {
                Change::Counter(increase) => {
                    let total = totals.counters.entry(name).or_default();
                    *total = total.wrapping_add(increase);
                }
                Change::Gauge(value) => {
                    let before = self.gauges.insert(name.clone(), value).unwrap_or(0);
                    // Filters count gauges down below 0, as Envoy lets them.
                    let total = totals.gauges.entry(name).or_default();
                    *total = total.wrapping_add(value.wrapping_sub(before));
                }
                Change::Histogram(HistogramChange { buckets, sum }) => {
                    let total = totals.histograms.entry(name).or_default();
                    for (total, more) in total.buckets.iter_mut().zip(buckets) {
                        *total = total.wrapping_add(more);
                    }
                    total.sum = total.sum.wrapping_add(sum);
                }
            }
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut totals = self.stats.lock();
        for (name, value) in self.gauges.drain() {
            if let Some(total) = totals.gauges.get_mut(&name) {
                *total = total.wrapping_sub(value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ended_instances_counted_stays() {
        let stats = Arc::new(Stats::default());
        let (mut one, mut two) = (Share::new(stats.clone()), Share::new(stats.clone()));
        let stat = |name: &str, change| Stat { name: name.into(), change };
        one.add(vec![stat("c", Change::Counter(2)), stat("g", Change::Gauge(5))]);
        two.add(vec![stat("c", Change::Counter(3)), stat("g", Change::Gauge(1_u64.wrapping_neg()))]);
        one.add(vec![stat("g", Change::Gauge(7))]);
        let mut buckets = vec![0; HISTOGRAM_BOUNDS.len() + 1];
        buckets[1] = 4;
        one.add(vec![stat("h", Change::Histogram(HistogramChange { buckets, sum: 4 }))]);
        two.add(vec![stat("h", Change::Histogram(HistogramChange { buckets: Vec::new(), sum: 0 }))]);
        let totals = stats.totals();
        assert_eq!((totals.counters[&b"c"[..]], totals.gauges[&b"g"[..]]), (5, 6));
        assert_eq!((totals.histograms[&b"h"[..]].buckets[1], totals.histograms[&b"h"[..]].sum), (4, 4));

        drop(one);
        let totals = stats.totals();
        assert_eq!((totals.counters[&b"c"[..]], totals.gauges[&b"g"[..]]), (5, 1_u64.wrapping_neg()));
        drop(two);
        assert_eq!(stats.totals().gauges[&b"g"[..]], 0);
        assert_eq!(stats.totals().histograms[&b"h"[..]].sum, 4);
    }
}
