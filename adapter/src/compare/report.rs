//! What a comparison found: the two sides, line by line, aligned.

mod terminal;

use serde::Serialize;

pub use terminal::{Style, terminal};

/// A comparison of one filter, or of a chain, on two sides.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Version of this format.
    pub version: u32,
    /// What was compared, in the order in which requests pass it.
    pub filters: Vec<Filter>,
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
    /// What else the reader should know, such as what could not be compared.
    pub notes: Vec<String>,
}

/// A filter that was compared.
#[derive(Clone, Debug, Serialize)]
pub struct Filter {
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
    /// The command that ran it, as one would type it; none for an endpoint that ran already.
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
    /// The lines are equal, once what `normalised` names is made equal.
    pub same: bool,
}
