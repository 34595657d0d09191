//! Counters, gauges and histograms.

use proxy_wasm_abi::{
    enums::{MetricType, Status},
    limits::METRICS_MAX,
};

use crate::calls::CallResult;

/// The metrics of a VM.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    stats: Vec<Stat>,
    /// For each type, which stats its ids stand for, in the order in which they were given out.
    ids: [Vec<usize>; 3],
}

#[derive(Debug)]
struct Stat {
    kind: MetricType,
    name: Vec<u8>,
    value: u64,
}

/// The two low bits of an id are its type, the rest counts the ids of that type. Source: Envoy.
const ID_STEP: u32 = 4;

impl Metrics {
    /// The id of a metric. Each definition gives another one; those with one name are one metric.
    pub(crate) fn define(&mut self, kind: MetricType, name: &[u8]) -> CallResult<u32> {
        let known = self.stats.iter().position(|stat| stat.kind == kind && stat.name == name);
        if self.ids.iter().map(Vec::len).sum::<usize>() >= METRICS_MAX {
            return Err(Status::InternalFailure);
        }
        let stat = known.unwrap_or_else(|| {
            self.stats.push(Stat { kind, name: name.to_vec(), value: 0 });
            self.stats.len() - 1
        });
        let ids = &mut self.ids[kind as usize];
        ids.push(stat);
        Ok(ids.len() as u32 * ID_STEP + kind as u32)
    }

    /// Adds to a counter or a gauge. A counter takes only what is above 0.
    pub(crate) fn increment(&mut self, id: u32, by: i64) -> CallResult {
        match kind(id)? {
            MetricType::Counter if by <= 0 => return Err(Status::BadArgument),
            MetricType::Histogram => return Err(Status::BadArgument),
            _ => {}
        }
        let stat = self.stat(id)?;
        stat.value = stat.value.wrapping_add_signed(by);
        Ok(())
    }

    /// Sets a gauge; adds to a counter; records a value of a histogram.
    pub(crate) fn record(&mut self, id: u32, value: u64) -> CallResult {
        let stat = self.stat(id)?;
        stat.value = match stat.kind {
            MetricType::Counter => stat.value.wrapping_add(value),
            MetricType::Gauge | MetricType::Histogram => value,
        };
        Ok(())
    }

    /// The value of a counter or a gauge.
    pub(crate) fn get(&mut self, id: u32) -> CallResult<u64> {
        match kind(id)? {
            MetricType::Histogram => Err(Status::BadArgument),
            _ => Ok(self.stat(id)?.value),
        }
    }

    fn stat(&mut self, id: u32) -> CallResult<&mut Stat> {
        let ids = self.ids.get((id % ID_STEP) as usize).ok_or(Status::NotFound)?;
        let at = (id / ID_STEP).checked_sub(1).and_then(|at| ids.get(at as usize)).ok_or(Status::NotFound)?;
        self.stats.get_mut(*at).ok_or(Status::NotFound)
    }
}

/// The type that an id says; one that no id has is refused where the type matters.
fn kind(id: u32) -> CallResult<MetricType> {
    MetricType::from_u32(id % ID_STEP).ok_or(Status::BadArgument)
}
