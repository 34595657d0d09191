//! Counters, gauges and histograms.

use proxy_wasm_abi::{
    enums::{MetricType, Status},
    limits::{HISTOGRAM_BOUNDS, METRICS_MAX},
};

use crate::calls::CallResult;

/// The metrics of all virtual machines.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    stats: Vec<Stat>,
    /// All stats, by type and name.
    sorted: Vec<usize>,
    /// For each reader, the stats that changed since it looked.
    changed: [Vec<usize>; 2],
}

/// The ids by which a virtual machine knows metrics.
#[derive(Debug, Default)]
pub(crate) struct MetricIds {
    /// For each type, the stat behind each id, in the order in which ids were given out.
    of_type: [Vec<usize>; 3],
    /// The last id of each stat; 0 is none.
    last: Vec<u32>,
}

/// Who asks what changed, each by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reader {
    Host,
    Log,
}

#[derive(Debug)]
struct Stat {
    kind: MetricType,
    name: Vec<u8>,
    /// A counter's or a gauge's value; the number of values of a histogram.
    value: u64,
    /// The sum of a histogram's values.
    sum: u64,
    /// Changes that the host has not read.
    untold: Untold,
    /// Whether it is in the list of each reader.
    changed: [bool; 2],
}

#[derive(Debug, Default)]
struct Untold {
    increase: u64,
    sum: u64,
    buckets: Vec<u64>,
}

/// A metric's change since the host asked last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its name, as the filter defined it.
    pub name: Vec<u8>,
    /// Its type and the change.
    pub kind: ChangeKind,
}

/// A change, by the metric's type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// A counter went up by so much.
    Counter(u64),
    /// A gauge has this value.
    Gauge(u64),
    /// A histogram got values.
    Histogram {
        /// How many in each bucket of [`HISTOGRAM_BOUNDS`], and beyond the last bound.
        buckets: Vec<u64>,
        /// Their sum.
        sum: u64,
    },
}

/// The two low bits of an id are its type, the rest counts the ids of that type. Source: Envoy's
/// `WasmBase::nextCounterMetricId`.
const ID_STEP: u32 = 4;

impl Metrics {
    /// The id of a metric. Each definition gives another one; those with one name are one metric.
    pub(crate) fn define(&mut self, ids: &mut MetricIds, kind: MetricType, name: &[u8]) -> CallResult<u32> {
        let by = |at: &usize| {
            let stat = &self.stats[*at];
            (stat.kind as u32, &*stat.name).cmp(&(kind as u32, name))
        };
        let stat = match self.sorted.binary_search_by(by) {
            Ok(found) => self.sorted[found],
            Err(_) if self.stats.len() >= METRICS_MAX => return Err(Status::InternalFailure),
            Err(place) => {
                let at = self.stats.len();
                let untold = Untold::default();
                self.stats.push(Stat { kind, name: name.to_vec(), value: 0, sum: 0, untold, changed: [false; 2] });
                self.sorted.insert(place, at);
                self.mark(at);
                at
            }
        };
        Ok(ids.give(kind, stat))
    }

    /// Adds to a counter or a gauge. A counter takes only what is above 0.
    pub(crate) fn increment(&mut self, ids: &MetricIds, id: u32, by: i64) -> CallResult {
        let kind = kind(id)?;
        if kind == MetricType::Histogram {
            return Err(Status::BadArgument);
        }
        let at = ids.find(id)?;
        if kind == MetricType::Counter && by <= 0 {
            return Err(Status::BadArgument);
        }
        let stat = &mut self.stats[at];
        stat.value = stat.value.wrapping_add_signed(by);
        stat.untold.increase = stat.untold.increase.wrapping_add_signed(by);
        self.mark(at);
        Ok(())
    }

    /// Sets a gauge; adds to a counter; records a value of a histogram.
    pub(crate) fn record(&mut self, ids: &MetricIds, id: u32, value: u64) -> CallResult {
        let at = ids.find(id)?;
        let stat = &mut self.stats[at];
        match stat.kind {
            MetricType::Counter => {
                stat.value = stat.value.wrapping_add(value);
                stat.untold.increase = stat.untold.increase.wrapping_add(value);
            }
            MetricType::Gauge => stat.value = value,
            MetricType::Histogram => {
                stat.value = stat.value.wrapping_add(1);
                stat.sum = stat.sum.wrapping_add(value);
                stat.untold.sum = stat.untold.sum.wrapping_add(value);
                stat.untold.buckets.resize(HISTOGRAM_BOUNDS.len() + 1, 0);
                let bucket = HISTOGRAM_BOUNDS.partition_point(|bound| *bound < value as f64);
                stat.untold.buckets[bucket] += 1;
            }
        }
        self.mark(at);
        Ok(())
    }

    /// The value of a counter or a gauge.
    pub(crate) fn get(&self, ids: &MetricIds, id: u32) -> CallResult<u64> {
        match kind(id)? {
            MetricType::Histogram => Err(Status::BadArgument),
            _ => ids.find(id).map(|at| self.stats[at].value),
        }
    }

    /// The metrics that changed since the host asked last.
    pub(crate) fn changes(&mut self) -> Vec<Change> {
        let stats = &mut self.stats;
        let changed = std::mem::take(&mut self.changed[Reader::Host as usize]);
        let change = |at: usize| {
            let stat = &mut stats[at];
            stat.changed[Reader::Host as usize] = false;
            let untold = std::mem::take(&mut stat.untold);
            let kind = match stat.kind {
                MetricType::Counter => ChangeKind::Counter(untold.increase),
                MetricType::Gauge => ChangeKind::Gauge(stat.value),
                MetricType::Histogram => ChangeKind::Histogram { buckets: untold.buckets, sum: untold.sum },
            };
            Change { name: stat.name.clone(), kind }
        };
        changed.into_iter().map(change).collect()
    }

    /// A line for each metric that changed since these were written last.
    pub(crate) fn lines(&mut self) -> Vec<Vec<u8>> {
        let stats = &mut self.stats;
        let changed = std::mem::take(&mut self.changed[Reader::Log as usize]);
        let line = |at: usize| {
            let stat = &mut stats[at];
            stat.changed[Reader::Log as usize] = false;
            let (kind, value) = match stat.kind {
                MetricType::Counter => ("counter", stat.value.to_string()),
                MetricType::Gauge => ("gauge", stat.value.to_string()),
                MetricType::Histogram => ("histogram", format!("count {} sum {}", stat.value, stat.sum)),
            };
            [b"metric ", kind.as_bytes(), b" ", &stat.name, b" ", value.as_bytes()].concat()
        };
        changed.into_iter().map(line).collect()
    }

    fn mark(&mut self, at: usize) {
        for reader in [Reader::Host, Reader::Log] {
            let is_marked = &mut self.stats[at].changed[reader as usize];
            if !std::mem::replace(is_marked, true) {
                self.changed[reader as usize].push(at);
            }
        }
    }
}

impl MetricIds {
    fn give(&mut self, kind: MetricType, stat: usize) -> u32 {
        if self.last.len() <= stat {
            self.last.resize(stat + 1, 0);
        }
        let last = &mut self.last[stat];
        let is_full = self.of_type.iter().map(Vec::len).sum::<usize>() >= METRICS_MAX;
        if *last == 0 || !is_full {
            let ids = &mut self.of_type[kind as usize];
            ids.push(stat);
            *last = ids.len() as u32 * ID_STEP + kind as u32;
        }
        *last
    }

    fn find(&self, id: u32) -> CallResult<usize> {
        let ids = self.of_type.get((id % ID_STEP) as usize).ok_or(Status::NotFound)?;
        id.checked_sub(ID_STEP).and_then(|id| ids.get((id / ID_STEP) as usize)).copied().ok_or(Status::NotFound)
    }
}

/// The type that an id says; one that no id has is refused where the type matters.
fn kind(id: u32) -> CallResult<MetricType> {
    MetricType::from_u32(id % ID_STEP).ok_or(Status::BadArgument)
}
