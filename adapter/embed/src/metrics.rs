//! Metrics that filters define.

use crate::wit;

/// What became of a metric, by the name that the filter gave it.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// The name: bytes of any kind.
    pub name: Vec<u8>,
    /// What became of it.
    pub change: Change,
}

/// What became of a metric, by its type.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A counter went up by so much.
    Counter(u64),
    /// A gauge has this value.
    Gauge(u64),
    /// A histogram got values.
    Histogram {
        /// How many in each bucket; empty for none at all. The upper bounds are those of Envoy: 0.5, 1, 5, 10, 25, 50, 100,
        /// 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000; the last bucket has what is
        /// beyond.
        buckets: Vec<u64>,
        /// The sum of the values.
        sum: u64,
    },
}

impl Metric {
    pub(crate) fn of(wit::Stat { name, change }: wit::Stat) -> Self {
        let change = match change {
            wit::StatChange::Counter(increase) => Change::Counter(increase),
            wit::StatChange::Gauge(value) => Change::Gauge(value),
            wit::StatChange::Histogram(wit::HistogramChange { buckets, sum }) => Change::Histogram { buckets, sum },
        };
        Self { name, change }
    }
}
