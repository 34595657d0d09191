//! What a comparison found: the two sides, line by line, aligned.

mod terminal;

use serde::Serialize;

pub use terminal::{Style, terminal};

/// A comparison of one filter, or of a chain, on two sides.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Version of this format.
    pub version: u32,
    /// The command that compared, as one would type it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// What was compared, in the order in which requests pass it.
    pub filters: Vec<ReportedFilter>,
    /// Envoy.
    pub envoy: Side,
    /// The other side: the adapted component on a host.
    pub here: Side,
    /// Nothing differs, and every expectation is met.
    pub same: bool,
    /// The plugin's start, then each request in the order of the request file.
    pub parts: Vec<Part>,
    /// What is made equal on both sides before lines are compared, in words.
    pub normalised: Vec<String>,
    /// Differences that are known, and left out of the verdict.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<KnownDifference>,
    /// What else the reader should know, such as what could not be compared.
    pub notes: Vec<String>,
}

/// Differences that are known, of one reason.
#[derive(Clone, Debug, Serialize)]
pub struct KnownDifference {
    /// Why.
    pub reason: String,
    /// How many rows of the report differ by it.
    pub lines: usize,
}

/// A filter that was compared.
#[derive(Clone, Debug, Serialize)]
pub struct ReportedFilter {
    /// The file's name as it was given.
    pub file: String,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
    /// Its size in bytes.
    pub bytes: usize,
}

/// One of the two sides.
#[derive(Clone, Debug, Serialize)]
pub struct Side {
    /// What it is, with its version: `Envoy 1.40.0`.
    pub name: String,
    /// The command that ran it, as one would type it; only where the files that it names are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

/// The plugin's start, or one request.
#[derive(Clone, Debug, Serialize)]
pub struct Part {
    /// `start`, or the request's name.
    pub name: String,
    /// Nothing differs in it, and every expectation is met.
    pub same: bool,
    /// What was seen, kind by kind.
    pub sections: Vec<Section>,
    /// What the request file expected and a side did not do, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unmet: Vec<String>,
}

/// One kind of what was seen.
#[derive(Clone, Debug, Serialize)]
pub struct Section {
    /// What it shows.
    pub kind: Kind,
    /// For [`Kind::Callout`], the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Nothing differs in it.
    pub same: bool,
    /// The lines, aligned.
    pub rows: Vec<Row>,
}

/// What a section shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// What the client got.
    Response,
    /// What the upstream got.
    Upstream,
    /// What a callout cluster got.
    Callout,
    /// What the filter logged.
    Log,
    /// Every callback and host call, with arguments and results.
    Trace,
}

impl Kind {
    /// Its name in reports and lists.
    pub fn name(self) -> &'static str {
        match self {
            Self::Response => "response",
            Self::Upstream => "upstream",
            Self::Callout => "callout",
            Self::Log => "log",
            Self::Trace => "trace",
        }
    }
}

/// A line of each side, or of one only.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// In a trace, the callback it belongs to, such as `proxy_on_request_headers`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// In a trace, how deep the call is nested: 0 for a callback, 1 for a host call in it, 2 for the allocator in that.
    pub depth: u32,
    /// Envoy's line, where it has one here.
    pub envoy: Option<String>,
    /// The other side's.
    pub here: Option<String>,
    /// The lines are equal, once what `normalised` names is made equal, or their difference is known.
    pub same: bool,
    /// Why they differ, where that is known and left out of the verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known: Option<String>,
}

/// What a report comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) parts: usize,
    pub(super) different_parts: usize,
    pub(super) lines: usize,
    pub(super) different_lines: usize,
    /// Lines that differ without an equal one between them are one difference, as they are one step for a reader.
    pub(super) differences: usize,
    pub(super) lines_of_traces: usize,
    pub(super) unmet: usize,
}

impl Totals {
    pub(super) fn of(report: &Report) -> Self {
        let mut totals = Self { parts: report.parts.len(), ..Self::default() };
        for part in &report.parts {
            totals.different_parts += usize::from(!part.same);
            totals.unmet += part.unmet.len();
            for section in &part.sections {
                let rows = &section.rows;
                totals.lines += rows.len();
                totals.different_lines += rows.iter().filter(|row| !row.same).count();
                totals.differences += rows.chunk_by(|a, b| a.same == b.same).filter(|run| !run[0].same).count();
                totals.lines_of_traces += if section.kind == Kind::Trace { rows.len() } else { 0 };
            }
        }
        totals
    }
}

/// `1 line`, `1,234 lines`
pub(super) fn count(number: usize, what: &str) -> String {
    format!("{} {what}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// A number with a comma before each three digits.
pub(super) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
