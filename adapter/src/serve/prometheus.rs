//! Metrics in Prometheus' text format, as Envoy's `/stats/prometheus` shows those of a filter.
//!
//! Envoy's `wasmcustom.` does not show there, nor its own `envoy_`. Characters that Prometheus does not take become `_`,
//! and a name that begins with a digit is left out. A status code at the end, as in `upstream_rq_503` or
//! `upstream_rq_5xx`, becomes a label.

use std::collections::BTreeMap;
use std::fmt::Write;

use proxy_wasm_abi::limits::HISTOGRAM_BOUNDS;

use super::stats::{Histogram, Totals};

/// A metric as Prometheus has it: its name, and its label.
type Series = (String, String);

/// The text.
pub(super) fn text(totals: &Totals) -> String {
    let mut text = String::new();
    // Filters name their metrics with and without dots, and mean one: what comes to one name is added up.
    for (kind, values) in [("counter", &totals.counters), ("gauge", &totals.gauges)] {
        let mut shown: BTreeMap<Series, u64> = BTreeMap::new();
        for (name, value) in values {
            if let Some(series) = series(name) {
                let total = shown.entry(series).or_default();
                *total = total.wrapping_add(*value);
            }
        }
        let mut heading = Heading::new(kind);
        for ((name, label), value) in &shown {
            heading.write(&mut text, name);
            line(&mut text, name, "", label, value);
        }
    }
    let mut shown: BTreeMap<Series, Histogram> = BTreeMap::new();
    for (name, histogram) in &totals.histograms {
        if let Some(series) = series(name) {
            let total = shown.entry(series).or_default();
            total.sum = total.sum.wrapping_add(histogram.sum);
            total.buckets.iter_mut().zip(histogram.buckets).for_each(|(total, more)| *total = total.wrapping_add(more));
        }
    }
    let mut heading = Heading::new("histogram");
    for ((name, label), histogram) in &shown {
        heading.write(&mut text, name);
        show_histogram(&mut text, name, label, histogram);
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

/// What a filter's name is in Prometheus, unless Envoy leaves it out.
fn series(name: &[u8]) -> Option<Series> {
    let name = String::from_utf8_lossy(name);
    let (name, label) = without_code(&name);
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let name: String = name.chars().map(|c| if is_allowed(c) { c } else { '_' }).collect();
    (!name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit())).then_some((name, label))
}

/// A name without the status code at its end, and the label that the code becomes.
fn without_code(name: &str) -> (String, String) {
    if let Some((before, code)) = name.rsplit_once("_rq_") {
        match code.as_bytes() {
            [a, b, c] if [a, b, c].iter().all(|digit| digit.is_ascii_digit()) => {
                return (format!("{before}_rq"), format!("envoy_response_code=\"{code}\""));
            }
            [class, b'x', b'x'] if class.is_ascii_digit() => {
                let label = format!("envoy_response_code_class=\"{}\"", char::from(*class));
                return (format!("{before}_rq_xx"), label);
            }
            _ => {}
        }
    }
    (name.to_owned(), String::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen on Envoy 1.40.
    #[test]
    fn names_are_envoys() {
        let shown = |name: &str| series(name.as_bytes()).map(|(name, label)| format!("{name}{{{label}}}"));
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
        ] {
            assert_eq!(shown(name).as_deref(), Some(expected));
        }
        assert_eq!((shown("9start"), shown("")), (None, None));
    }

    #[test]
    fn all_three_types() {
        let mut totals = Totals::default();
        for (name, value) in [("b_rq_200", 1), ("b_rq_404", 2), ("a.b", 3), ("a_b", 4)] {
            totals.counters.insert(name.into(), value);
        }
        totals.gauges.insert(b"a.b".to_vec(), 5);
        let mut buckets = [0; HISTOGRAM_BOUNDS.len() + 1];
        // 0, 1, 3, 250 and 70000.
        for bucket in [0, 1, 2, 7, 15] {
            buckets[bucket] = 1;
        }
        totals.histograms.insert(b"lat.ms".to_vec(), Histogram { buckets, sum: 70254 });
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
        assert_eq!(text(&totals), expected);
    }
}
