//! All that can be shown now: what the filters count, and what this host counts of itself.
//!
//! What is the same as in Envoy has Envoy's name, the rest begins with `proxy_wasm_adapter`.

use super::clusters::Cluster;
use super::counters::{Classes, Counters};
use super::stats::{Histogram, Totals};
use super::tags::Tag;

/// Where filters' metrics are in Envoy.
pub(super) const CUSTOM: &str = "wasmcustom.";

/// Where the host's own are that Envoy has not.
pub(super) const OWN: &str = "proxy_wasm_adapter.";

/// A metric.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    /// As `/stats` shows it.
    pub(super) name: String,
    /// The tags that it has from its making.
    pub(super) tags: Vec<Tag>,
    pub(super) value: Value,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Counter(u64),
    Gauge(u64),
    Histogram(Histogram),
}

/// Metrics whose names begin alike: in the middle of the name is one part that is a tag.
struct Family<'a> {
    samples: &'a mut Vec<Sample>,
    before: &'static str,
    tag: &'static str,
    value: &'a str,
}

impl Family<'_> {
    fn add(&mut self, name: &str, value: Value) {
        let (before, part) = (self.before, self.value);
        let tag = Tag { cut: before.len()..before.len() + part.len() + 1, name: self.tag.into(), value: part.into() };
        self.samples.push(Sample { name: format!("{before}{part}.{name}"), tags: vec![tag], value });
    }

    fn counters(&mut self, counters: &[(&str, u64)]) {
        counters.iter().for_each(|(name, value)| self.add(name, Value::Counter(*value)));
    }

    fn classes(&mut self, before: &str, classes: &Classes) {
        classes.get().for_each(|(class, count)| self.add(&format!("{before}_{class}xx"), Value::Counter(count)));
    }
}

/// What the state of the server is, as Envoy counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServerState {
    Live = 0,
    Draining = 1,
}

/// What is known now besides the counters.
pub(super) struct Now {
    pub(super) state: ServerState,
    /// Requests that run, and that wait for their turn.
    pub(super) running: u64,
    pub(super) waiting: u64,
    /// Lines of the log that were given up.
    pub(super) dropped_lines: u64,
}

/// All of them.
pub(super) fn all(totals: Totals, counters: &Counters, now: &Now) -> Vec<Sample> {
    let custom = |name: Vec<u8>, value| {
        let name = format!("{CUSTOM}{}", String::from_utf8_lossy(&name));
        Sample { name, tags: Vec::new(), value }
    };
    let mut samples: Vec<Sample> = Vec::new();
    samples.extend(totals.counters.into_iter().map(|(name, value)| custom(name, Value::Counter(value))));
    samples.extend(totals.gauges.into_iter().map(|(name, value)| custom(name, Value::Gauge(value))));
    samples.extend(totals.histograms.into_iter().map(|(name, value)| custom(name, Value::Histogram(value))));
    downstream(&mut samples, counters);
    counters.clusters.all().for_each(|cluster| upstream(&mut samples, cluster));
    server(&mut samples, counters, now);
    own(&mut samples, counters, now);
    samples
}

fn downstream(samples: &mut Vec<Sample>, counters: &Counters) {
    let http = &counters.downstream;
    let mut family =
        Family { samples, before: "http.", tag: "envoy.http_conn_manager_prefix", value: &counters.prefix };
    family.counters(&[
        ("downstream_cx_total", http.connections.get()),
        ("downstream_rq_total", http.requests.get()),
        ("downstream_rq_http1_total", http.http1_requests.get()),
        ("downstream_rq_http2_total", http.http2_requests.get()),
        ("downstream_rq_completed", http.completed.get()),
        ("downstream_rq_response_before_rq_complete", http.answered_early.get()),
        ("downstream_rq_rx_reset", http.received_resets.get()),
        ("downstream_rq_tx_reset", http.sent_resets.get()),
    ]);
    family.classes("downstream_rq", &http.classes);
    family.add("downstream_cx_active", Value::Gauge(http.active_connections.get()));
    family.add("downstream_rq_active", Value::Gauge(http.active_requests.get()));
    family.add("downstream_rq_time", Value::Histogram(http.times.get()));
}

fn upstream(samples: &mut Vec<Sample>, cluster: &Cluster) {
    let mut family = Family { samples, before: "cluster.", tag: "envoy.cluster_name", value: &cluster.name };
    family.counters(&[
        ("upstream_cx_total", cluster.connections.get()),
        ("upstream_cx_connect_fail", cluster.connect_failures.get()),
        ("upstream_cx_connect_timeout", cluster.connect_timeouts.get()),
        ("upstream_rq_total", cluster.requests.get()),
        ("upstream_rq_completed", cluster.completed.get()),
        ("upstream_rq_retry", cluster.retries.get()),
        ("upstream_rq_timeout", cluster.timeouts.get()),
        ("upstream_rq_per_try_timeout", cluster.try_timeouts.get()),
        ("upstream_rq_cancelled", cluster.cancelled.get()),
        ("upstream_rq_rx_reset", cluster.resets.get()),
    ]);
    family.classes("upstream_rq", &cluster.classes);
    if cluster.retried.get() > 0 {
        family.counters(&[("retry.upstream_rq_completed", cluster.retried.get())]);
        family.classes("retry.upstream_rq", &cluster.retried_classes);
    }
    family.add("upstream_cx_active", Value::Gauge(cluster.active_connections.get()));
    family.add("upstream_rq_active", Value::Gauge(cluster.active_requests.get()));
    family.add("upstream_rq_time", Value::Histogram(cluster.times.get()));
}

fn server(samples: &mut Vec<Sample>, counters: &Counters, now: &Now) {
    let gauges = [
        ("live", (now.state == ServerState::Live).into()),
        ("state", now.state as u64),
        ("uptime", counters.started.elapsed().as_secs()),
        ("total_connections", counters.downstream.active_connections.get()),
    ];
    for (name, value) in gauges {
        samples.push(Sample { name: format!("server.{name}"), tags: Vec::new(), value: Value::Gauge(value) });
    }
}

fn own(samples: &mut Vec<Sample>, counters: &Counters, now: &Now) {
    let instances = &counters.instances;
    for (name, value) in [
        ("instances_made", Value::Counter(instances.made.get())),
        ("instances_reused", Value::Counter(instances.reused.get())),
        ("instances_trapped", Value::Counter(instances.trapped.get())),
        ("instances_active", Value::Gauge(instances.active.get())),
        ("requests_running", Value::Gauge(now.running)),
        ("queue_length", Value::Gauge(now.waiting)),
        ("queue_refused", Value::Counter(counters.refused.get())),
        ("dropped_log_lines", Value::Counter(now.dropped_lines)),
        ("dropped_access_log_lines", Value::Counter(counters.dropped_access_lines.get())),
    ] {
        samples.push(Sample { name: format!("{OWN}{name}"), tags: Vec::new(), value });
    }
    for (plugin, traps) in counters.traps() {
        let mut family = Family { samples, before: "proxy_wasm_adapter.plugin.", tag: "plugin", value: plugin };
        family.add("traps", Value::Counter(traps));
    }
}
