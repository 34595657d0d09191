//! Metrics in Prometheus' text format, as Envoy's `/stats/prometheus` shows them.
//!
//! Envoy puts `envoy_` before a name, but not before a filter's, of which it leaves `wasmcustom.` away; this host's own, that
//! Envoy has not, have neither. Characters that Prometheus does not take become `_`, and a name that begins with a digit is
//! left out. Tags become labels; of a name that nobody gave tags these are the status code at its end, as in
//! `upstream_rq_503` or `upstream_rq_5xx`.

use std::collections::BTreeMap;
use std::fmt::Write;

use proxy_wasm_abi::limits::HISTOGRAM_BOUNDS;

use super::samples::{CUSTOM, OWN, Sample, Value};
use super::stats::Histogram;
use super::tags::{self, StatsTag};

/// A metric as Prometheus has it: its name, and its labels.
type Series = (String, String);

/// The text.
pub(super) fn text(samples: &[Sample], wanted: &[StatsTag]) -> String {
    // Filters name their metrics with and without dots, and mean one: what comes to one name is added up.
    let (mut counters, mut gauges) = (BTreeMap::<Series, u64>::new(), BTreeMap::<Series, u64>::new());
    let mut histograms = BTreeMap::<Series, Histogram>::new();
    for sample in samples {
        let Some(series) = series(sample, wanted) else { continue };
        match &sample.value {
            Value::Counter(value) | Value::Gauge(value) => {
                let shown = if matches!(sample.value, Value::Counter(_)) { &mut counters } else { &mut gauges };
                let total = shown.entry(series).or_default();
                *total = total.wrapping_add(*value);
            }
            Value::Histogram(histogram) => {
                let total = histograms.entry(series).or_default();
                total.sum = total.sum.wrapping_add(histogram.sum);
                let buckets = total.buckets.iter_mut().zip(histogram.buckets);
                buckets.for_each(|(total, more)| *total = total.wrapping_add(more));
            }
        }
    }
    let mut text = String::new();
    for (kind, values) in [("counter", &counters), ("gauge", &gauges)] {
        let mut heading = Heading::new(kind);
        for ((name, labels), value) in values {
            heading.write(&mut text, name);
            line(&mut text, name, "", labels, value);
        }
    }
    let mut heading = Heading::new("histogram");
    for ((name, labels), histogram) in &histograms {
        heading.write(&mut text, name);
        show_histogram(&mut text, name, labels, histogram);
    }
    text
}

fn show_histogram(text: &mut String, name: &str, label: &str, histogram: &Histogram) {
    let comma = if label.is_empty() { "" } else { "," };
    let bounds = HISTOGRAM_BOUNDS.iter().map(ToString::to_string).chain([String::from("+Inf")]);
    let mut count = 0_u64;
    for (bound, values) in bounds.zip(histogram.buckets) {
        count = count.wrapping_add(values);
        line(text, name, "_bucket", &format!("{label}{comma}le=\"{bound}\""), &count);
    }
    line(text, name, "_sum", label, &histogram.sum);
    line(text, name, "_count", label, &count);
}

fn line(text: &mut String, name: &str, suffix: &str, label: &str, value: &u64) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{name}{suffix}{{{label}}} {value}");
}

/// The line before the first value of each name.
struct Heading {
    kind: &'static str,
    last: Option<String>,
}

impl Heading {
    fn new(kind: &'static str) -> Self {
        Self { kind, last: None }
    }

    fn write(&mut self, text: &mut String, name: &str) {
        if self.last.as_deref() != Some(name) {
            let _ = writeln!(text, "# TYPE {name} {}", self.kind);
            self.last = Some(name.to_owned());
        }
    }
}

/// What a metric is in Prometheus, unless Envoy leaves it out.
fn series(sample: &Sample, wanted: &[StatsTag]) -> Option<Series> {
    if sample.name == CUSTOM {
        return None;
    }
    let tags = tags::of(&sample.name, &sample.tags, wanted);
    let left = tags::cut(&sample.name, &tags);
    let name = match left.strip_prefix(CUSTOM) {
        Some(name) => allowed(name),
        None if left.starts_with(OWN) => allowed(&left),
        None => format!("envoy_{}", allowed(&left)),
    };
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let label = |tag: &tags::Tag| format!("{}=\"{}\"", allowed(&tag.name), escaped(&tag.value));
    Some((name, tags.iter().map(label).collect::<Vec<_>>().join(",")))
}

/// A name of characters that Prometheus takes.
fn allowed(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect()
}

/// A label's value.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::super::tags::Tag;
    use super::*;

    /// A filter's metric.
    fn sample(name: &str, value: Value) -> Sample {
        Sample { name: format!("{CUSTOM}{name}"), tags: Vec::new(), value }
    }

    /// Seen on Envoy 1.40.
    #[test]
    fn names_are_envoys() {
        let shown = |name: &str| {
            let sample = sample(name, Value::Counter(1));
            series(&sample, &[]).map(|(name, label)| format!("{name}{{{label}}}"))
        };
        for (name, expected) in [
            ("requests.total", "requests_total{}"),
            ("gau-ge", "gau_ge{}"),
            ("a:b", "a_b{}"),
            ("weird name|q\" /x", "weird_name_q___x{}"),
            ("é", "_{}"),
            ("up_rq_200", "up_rq{envoy_response_code=\"200\"}"),
            ("cluster.c1.up_rq_5xx", "cluster_c1_up_rq_xx{envoy_response_code_class=\"5\"}"),
            ("http.ing.rq_503", "http_ing_rq_503{}"),
            ("_rq_timeout", "_rq_timeout{}"),
            ("wasmcustom.z", "wasmcustom_z{}"),
            ("trail.", "trail{}"),
            ("mid..dot", "mid__dot{}"),
        ] {
            assert_eq!(shown(name).as_deref(), Some(expected));
        }
        assert_eq!((shown("9start"), shown("")), (None, None));
    }

    #[test]
    fn all_three_types() {
        let mut samples: Vec<Sample> = [("b_rq_200", 1), ("b_rq_404", 2), ("a.b", 3), ("a_b", 4)]
            .map(|(name, value)| sample(name, Value::Counter(value)))
            .into();
        samples.push(sample("a.b", Value::Gauge(5)));
        let mut buckets = [0; HISTOGRAM_BOUNDS.len() + 1];
        // 0, 1, 3, 250 and 70000.
        for bucket in [0, 1, 2, 7, 15] {
            buckets[bucket] = 1;
        }
        samples.push(sample("lat.ms", Value::Histogram(Histogram { buckets, sum: 70254 })));
        let expected = r#"# TYPE a_b counter
a_b{} 7
# TYPE b_rq counter
b_rq{envoy_response_code="200"} 1
b_rq{envoy_response_code="404"} 2
# TYPE a_b gauge
a_b{} 5
# TYPE lat_ms histogram
lat_ms_bucket{le="0.5"} 1
lat_ms_bucket{le="1"} 2
lat_ms_bucket{le="5"} 3
lat_ms_bucket{le="10"} 3
lat_ms_bucket{le="25"} 3
lat_ms_bucket{le="50"} 3
lat_ms_bucket{le="100"} 3
lat_ms_bucket{le="250"} 4
lat_ms_bucket{le="500"} 4
lat_ms_bucket{le="1000"} 4
lat_ms_bucket{le="2500"} 4
lat_ms_bucket{le="5000"} 4
lat_ms_bucket{le="10000"} 4
lat_ms_bucket{le="30000"} 4
lat_ms_bucket{le="60000"} 4
lat_ms_bucket{le="300000"} 5
lat_ms_bucket{le="600000"} 5
lat_ms_bucket{le="1800000"} 5
lat_ms_bucket{le="3600000"} 5
lat_ms_bucket{le="+Inf"} 5
lat_ms_sum{} 70254
lat_ms_count{} 5
"#;
        assert_eq!(text(&samples, &[]), expected);
    }

    /// Seen on Envoy 1.40.
    #[test]
    fn tags_become_labels() {
        let tag = Tag { cut: 8..16, name: "envoy.cluster_name".into(), value: "up\"st.1".into() };
        let name = String::from("cluster.up\"st.1.upstream_rq_5xx");
        let upstream = Sample { name, tags: vec![tag], value: Value::Counter(3) };
        let samples = [upstream, sample("seen", Value::Counter(1)), sample("9", Value::Counter(1))];
        let wanted = [StatsTag::parse("a.b-c=(up)").unwrap()];
        let expected = "# TYPE envoy_cluster_upstream_rq_xx counter\n\
                        envoy_cluster_upstream_rq_xx{envoy_response_code_class=\"5\",a_b_c=\"up\",\
                        envoy_cluster_name=\"up\\\"st.1\"} 3\n# TYPE seen counter\nseen{} 1\n";
        assert_eq!(text(&samples, &wanted), expected);
    }
}
