//! What this host counts of itself: atomics, added to where it happens, and read when somebody looks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use http::StatusCode;
use proxy_wasm_abi::limits::HISTOGRAM_BOUNDS;

use super::clusters::Clusters;
use super::stats::Histogram as Buckets;

/// Something that is counted.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// How many there are of something now.
#[derive(Clone, Debug, Default)]
pub(super) struct Level(Arc<AtomicU64>);

impl Level {
    /// One more, until what is returned is dropped.
    pub(super) fn enter(&self) -> Held {
        self.0.fetch_add(1, Relaxed);
        Held(self.0.clone())
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// One of those that there are.
#[derive(Debug)]
pub(super) struct Held(Arc<AtomicU64>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Times in milliseconds, in Envoy's buckets.
#[derive(Debug, Default)]
pub(super) struct Times {
    buckets: [AtomicU64; HISTOGRAM_BOUNDS.len() + 1],
    sum: AtomicU64,
}

impl Times {
    pub(super) fn record(&self, time: Duration) {
        let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let bucket = HISTOGRAM_BOUNDS.partition_point(|bound| *bound < milliseconds as f64);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.sum.fetch_add(milliseconds, Relaxed);
    }

    pub(super) fn get(&self) -> Buckets {
        Buckets { buckets: self.buckets.each_ref().map(|bucket| bucket.load(Relaxed)), sum: self.sum.load(Relaxed) }
    }
}

/// Responses by the class of their status: `1xx` to `5xx`.
#[derive(Debug, Default)]
pub(super) struct Classes([Counter; 5]);

impl Classes {
    pub(super) fn add(&self, status: StatusCode) {
        if let Some(class) = self.0.get(usize::from(status.as_u16() / 100).wrapping_sub(1)) {
            class.add();
        }
    }

    /// Each class and its count.
    pub(super) fn get(&self) -> impl Iterator<Item = (usize, u64)> {
        (1..).zip(&self.0).map(|(class, count)| (class, count.get()))
    }
}

/// All of it.
#[derive(Debug)]
pub(super) struct Counters {
    pub(super) started: Instant,
    /// What stands in names where Envoy has its connection manager's `stat_prefix`.
    pub(super) prefix: String,
    pub(super) downstream: Downstream,
    pub(super) clusters: Clusters,
    pub(super) instances: Instances,
    /// Requests that were refused for want of a turn.
    pub(super) refused: Counter,
    /// Lines of the access log that were given up.
    pub(super) dropped_access_lines: Counter,
    /// By plugin: how often it trapped.
    traps: BTreeMap<String, Counter>,
}

/// The side of the clients. What each is, is what Envoy calls so.
#[derive(Debug, Default)]
pub(super) struct Downstream {
    pub(super) connections: Counter,
    pub(super) active_connections: Level,
    pub(super) requests: Counter,
    pub(super) http1_requests: Counter,
    pub(super) http2_requests: Counter,
    pub(super) active_requests: Level,
    /// Requests whose response began.
    pub(super) completed: Counter,
    pub(super) classes: Classes,
    /// Responses that began before all of the request was there.
    pub(super) answered_early: Counter,
    /// The client left before the response's end.
    pub(super) received_resets: Counter,
    /// The response was broken off on this side.
    pub(super) sent_resets: Counter,
    /// From the request's head to the response's end; not of those that were broken off.
    pub(super) times: Times,
}

/// Instances of the component.
#[derive(Debug, Default)]
pub(super) struct Instances {
    pub(super) made: Counter,
    /// Requests that were served by one that had served another.
    pub(super) reused: Counter,
    pub(super) trapped: Counter,
    pub(super) active: Level,
}

impl Counters {
    /// Counts from now on, for these plugins.
    pub(super) fn new(clusters: Clusters, plugins: impl IntoIterator<Item = String>) -> Self {
        Self {
            started: Instant::now(),
            prefix: "main".into(),
            downstream: Downstream::default(),
            clusters,
            instances: Instances::default(),
            refused: Counter::default(),
            dropped_access_lines: Counter::default(),
            traps: plugins.into_iter().map(|plugin| (plugin, Counter::default())).collect(),
        }
    }

    /// The same with this `stat_prefix`.
    pub(super) fn with_prefix(self, prefix: &str) -> Self {
        Self { prefix: prefix.into(), ..self }
    }

    /// These plugins trapped: those of one virtual machine fail together.
    pub(super) fn trapped<'a>(&self, plugins: impl IntoIterator<Item = &'a str>) {
        self.instances.trapped.add();
        plugins.into_iter().filter_map(|plugin| self.traps.get(plugin)).for_each(Counter::add);
    }

    /// How often each plugin trapped.
    pub(super) fn traps(&self) -> impl Iterator<Item = (&str, u64)> {
        self.traps.iter().map(|(plugin, count)| (plugin.as_str(), count.get()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_fall_with_what_holds_them() {
        let level = Level::default();
        let (one, two) = (level.enter(), level.enter());
        assert_eq!(level.get(), 2);
        drop((one, two));
        assert_eq!(level.get(), 0);
    }

    #[test]
    fn times_are_in_the_bucket_that_reaches_them() {
        let times = Times::default();
        [0, 1, 3, 250, 70_000].into_iter().for_each(|time| times.record(Duration::from_millis(time)));
        let Buckets { buckets, sum } = times.get();
        assert_eq!((buckets[0], buckets[1], buckets[2], buckets[7], buckets[15], sum), (1, 1, 1, 1, 1, 70_254));
    }

    #[test]
    fn classes_are_counted_by_their_first_digit() {
        let classes = Classes::default();
        for status in [200, 204, 404, 599, 999] {
            classes.add(StatusCode::from_u16(status).unwrap());
        }
        assert_eq!(classes.get().collect::<Vec<_>>(), [(1, 0), (2, 2), (3, 0), (4, 1), (5, 1)]);
    }
}
