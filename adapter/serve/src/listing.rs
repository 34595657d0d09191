//! `/stats`: all metrics by their whole names, as text or as JSON, in Envoy's forms. Histograms are shown by their buckets,
//! as Envoy shows them for `?histogram_buckets=cumulative`: nothing finer is known.

use std::fmt::Write;

use proxy_wasm_abi::limits::HISTOGRAM_BOUNDS;
use serde_json::{Value as Json, json};

use super::samples::{Sample, Value};
use super::stats::Histogram;

/// Sorted by name, counters and gauges before histograms.
fn sorted(samples: &[Sample]) -> Vec<&Sample> {
    let mut sorted: Vec<&Sample> = samples.iter().collect();
    sorted.sort_by_key(|sample| (matches!(sample.value, Value::Histogram(_)), &sample.name));
    sorted
}

/// As text.
pub(super) fn text(samples: &[Sample]) -> String {
    let mut text = String::new();
    for Sample { name, value, .. } in sorted(samples) {
        // Writing to a string does not fail.
        let _ = match value {
            Value::Counter(value) | Value::Gauge(value) => writeln!(text, "{name}: {value}"),
            Value::Histogram(histogram) => {
                let buckets = cumulative(histogram).map(|(bound, count)| format!("B{}(0,{count})", shown(bound)));
                writeln!(text, "{name}: {}", buckets.collect::<Vec<_>>().join(" "))
            }
        };
    }
    text
}

/// As JSON.
pub(super) fn json(samples: &[Sample]) -> String {
    let (mut stats, mut histograms) = (Vec::new(), Vec::new());
    for Sample { name, value, .. } in sorted(samples) {
        match value {
            Value::Counter(value) | Value::Gauge(value) => stats.push(json!({"name": name, "value": value})),
            Value::Histogram(histogram) => {
                let bucket = |(bound, count)| json!({"upper_bound": bound, "interval": 0, "cumulative": count});
                let buckets: Vec<Json> = cumulative(histogram).map(bucket).collect();
                histograms.push(json!({"name": name, "buckets": buckets}));
            }
        }
    }
    if !histograms.is_empty() {
        stats.push(json!({"histograms": histograms}));
    }
    json!({"stats": stats}).to_string()
}

/// Each bound, and how many values it reaches.
fn cumulative(histogram: &Histogram) -> impl Iterator<Item = (f64, u64)> {
    HISTOGRAM_BOUNDS.into_iter().zip(&histogram.buckets).scan(0_u64, |count, (bound, values)| {
        *count = count.wrapping_add(*values);
        Some((bound, *count))
    })
}

/// A number with six digits at the most, as Envoy writes it.
fn shown(bound: f64) -> String {
    if bound < 1e6 { bound.to_string() } else { format!("{}e+06", bound / 1e6) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_envoys() {
        let sample = |name: &str, value| Sample { name: name.into(), tags: Vec::new(), value };
        let mut buckets = [0; HISTOGRAM_BOUNDS.len() + 1];
        (buckets[2], buckets[5]) = (1, 1);
        let samples = [
            sample("h.time", Value::Histogram(Histogram { buckets, sum: 44 })),
            sample("b", Value::Gauge(2)),
            sample("a", Value::Counter(1)),
        ];
        let expected = "a: 1\nb: 2\nh.time: B0.5(0,0) B1(0,0) B5(0,1) B10(0,1) B25(0,1) B50(0,2) B100(0,2) B250(0,2) \
                        B500(0,2) B1000(0,2) B2500(0,2) B5000(0,2) B10000(0,2) B30000(0,2) B60000(0,2) B300000(0,2) \
                        B600000(0,2) B1.8e+06(0,2) B3.6e+06(0,2)\n";
        assert_eq!(text(&samples), expected);
        let shown: Json = serde_json::from_str(&json(&samples)).unwrap();
        assert_eq!(shown["stats"][1], json!({"name": "b", "value": 2}));
        let bucket = &shown["stats"][2]["histograms"][0]["buckets"][2];
        assert_eq!(*bucket, json!({"upper_bound": 5.0, "interval": 0, "cumulative": 1}));
    }
}
