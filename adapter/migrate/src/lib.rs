//! Reads what Envoy, or a control plane of it, is configured with for Wasm filters, and writes settings for the adapter, with a report of
//! what was carried and what was not.
//!
//! ```text
//! files ─► yaml ─► gather ─► listener ─┬─► plugin, any ─┐
//!          with    what is   which     ├─► routes       ├─► section ─► settings files
//!          places  in them   chains    └─► clusters     ┘
//!                                       leftovers ────────► report ──► migration.md, migration.json
//! ```
//!
//! Every value of the input remembers whether it was read; what was not is in the report. So nothing is lost in silence.
//!
//! Architecture invariant: this does no I/O and prints nothing. It never puts a value of a filter's configuration or environment into
//! the report.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may fail by it"))]

mod access_log;
mod actions;
mod any;
mod api;
mod bootstrap;
mod checks;
mod clients;
mod clusters;
mod composite;
mod config_map;
mod consul;
mod cors;
mod enabling;
mod envoy_filter;
mod fields;
mod filter;
mod formatter;
mod gather;
mod header_changes;
mod hints;
mod hosts;
mod json;
mod kind;
mod kubernetes;
mod leftovers;
mod listener;
mod markdown;
mod matching;
mod metadata;
mod neighbours;
mod node;
mod output;
mod paths;
mod plugin;
mod protobuf;
mod re2;
mod read;
mod refusals;
mod report;
mod retries;
mod routes;
mod scalars;
mod section;
mod tls;
mod upstream;
mod yaml;

pub use bootstrap::bootstrap;
pub use hosts::{Host, RunFile};
pub use kind::Kind;
pub use node::Place;
pub use output::{Component, Output};
pub use report::{Finding, Outcome};

use actions::Targets;
use gather::Resources;
use listener::Draft;
use node::Node;
use report::Report;

/// A file of the input.
#[derive(Clone, Debug)]
pub struct File {
    /// What messages call it.
    pub name: String,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// The code that a plugin wants.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The plugin's name.
    pub plugin: &'a str,
    /// The path or address that the input gives, as it stands there.
    pub from: &'a str,
}

/// What the input does not say.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Finds code: the bytes of a WebAssembly module.
    pub find: &'a dyn Fn(Wanted<'_>) -> Option<Vec<u8>>,
    /// The URL that requests go to, for input that has no routes, such as a policy.
    pub upstream: Option<&'a str>,
    /// The one listener to take.
    pub listener: Option<&'a str>,
    /// What the files are, where that can't be recognized.
    pub from: Option<Kind>,
}

/// What came out.
#[derive(Clone, Debug)]
pub struct Migration {
    /// One for each listener with Wasm filters.
    pub components: Vec<Component>,
    /// What became of every part of the input, in its order.
    pub findings: Vec<Finding>,
    /// Whether it is what Envoy can be started with.
    pub is_bootstrap: bool,
}

impl Migration {
    /// Whether something of the input is lost.
    pub fn has_losses(&self) -> bool {
        self.findings.iter().any(|finding| finding.outcome.is_loss())
    }

    /// Whether something is left behind that keeps requests out.
    pub fn is_unguarded(&self) -> bool {
        self.findings.iter().any(|finding| finding.outcome == Outcome::Unguarded)
    }

    /// Whether something keeps a component from being made.
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.outcome == Outcome::Wrong)
    }

    /// The report as Markdown, with the files for these hosts.
    pub fn to_markdown(&self, hosts: &[Host]) -> String {
        markdown::write(self, hosts)
    }

    /// The report as JSON.
    pub fn to_json(&self) -> String {
        let components: Vec<_> = self.components.iter().map(Component::summary).collect();
        let all = serde_json::json!({ "components": components, "findings": self.findings });
        serde_json::to_string_pretty(&all).expect("JSON has all of it")
    }
}

/// Migrates what is in these files, taken together.
pub fn migrate(files: &[File], options: &Options<'_>) -> Migration {
    let report = Report::default();
    let mut documents: Vec<Node> = Vec::new();
    for (index, file) in files.iter().enumerate() {
        match yaml::read(index, &file.name, &file.bytes) {
            Ok(read) => {
                for document in first_of_bootstrap(&report, read) {
                    match config_map::unfold(&report, index, file, &document) {
                        Some(within) => documents.extend(within),
                        None => documents.push(document),
                    }
                }
            }
            Err(error) => report.wrong("the file", error.place, format!("it {}", error.what), error.remedy),
        }
    }
    let mut resources = Resources::default();
    for document in &documents {
        resources.take(&report, document, options.from);
    }
    let mut components = components(&report, &resources, options, &documents, files);
    for document in &documents {
        leftovers::report(&report, document);
    }
    let findings = paths::resolve(report.take(), &documents, files);
    for component in &mut components {
        let is_it = |finding: &Finding| finding.outcome == Outcome::Unguarded && finding.concerns(&component.listener);
        component.is_unguarded = findings.iter().any(is_it);
    }
    Migration { components, findings, is_bootstrap: bootstrap(files, options.from).is_some() }
}

/// Of several documents Envoy reads the first. Objects of Kubernetes come several in a file.
fn first_of_bootstrap(report: &Report, mut documents: Vec<Node>) -> Vec<Node> {
    let is_bootstrap = documents.first().is_some_and(|first| first.peek("static_resources").is_some());
    if is_bootstrap {
        for other in documents.drain(1..).filter(|other| !other.is_null()) {
            report.lost(
                "the file",
                other.place(),
                "Envoy reads only the first document of a file",
                "Give the others as files of their own.",
            );
        }
    }
    documents.retain(|document| !document.is_null());
    documents
}

fn components(
    report: &Report,
    resources: &Resources<'_>,
    options: &Options<'_>,
    documents: &[Node],
    files: &[File],
) -> Vec<Component> {
    let clusters = clusters::read_all(report, &resources.clusters);
    let (answers, folded) = listener::answers(report, resources, &clusters);
    let targets = Targets::new(&clusters, &answers, &folded);
    let is_wanted = |draft: &Draft| options.listener.is_none_or(|wanted| draft.name == wanted);
    let (mut drafts, mut others) = (Vec::new(), Vec::new());
    let mut take = |node: &Node, noted: usize, draft: Option<Draft>| match draft {
        Some(draft) if is_wanted(&draft) => {
            report.is_of(noted, &draft.name);
            drafts.push(draft);
        }
        // Of others nothing is said where one was asked for.
        draft if options.listener.is_some() => {
            report.forget(noted);
            node.mark_all();
            others.extend(draft.map(|draft| draft.name));
        }
        _ => {}
    };
    for node in &resources.listeners {
        let noted = report.len();
        take(node, noted, listener::read(report, node, resources, &targets));
    }
    for node in &resources.managers {
        let noted = report.len();
        let reader = read::Reader { report, object: "the connection manager" };
        take(node, noted, listener::manager(reader, node, "manager", resources, &targets));
    }
    let objects = filter::alone(report, resources).into_iter().chain(kubernetes::read(report, &resources.objects));
    for draft in objects.chain(envoy_filter::read(report, resources)) {
        if is_wanted(&draft) {
            drafts.push(draft);
        } else {
            others.push(draft.name);
        }
    }
    if let Some(wanted) = options.listener.filter(|_| drafts.is_empty() && !others.is_empty()) {
        let place = documents.first().map(Node::place).unwrap_or_default();
        let what = format!("there is no listener `{wanted}` with Wasm HTTP filters in it");
        let names: Vec<_> = others.iter().map(|name| format!("`{name}`")).collect();
        report.wrong("the input", place, what, format!("Choose one of {}.", names.join(", ")));
    }
    // Where nothing could be read, that was said.
    if drafts.is_empty() && !report.has_errors() {
        let place = documents.first().map(Node::place).unwrap_or_default();
        report.wrong(
            "the input",
            place,
            "there is no Wasm HTTP filter in it that becomes a component",
            "See what the report says of its parts.",
        );
    }
    output::write_all(report, drafts, &targets, options, documents, files)
}
