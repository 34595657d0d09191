//! What a component is made from: the settings file, and the files that it names.

use std::collections::{HashMap, HashSet};

use crate::actions::Targets;
use crate::clusters::Known;
use crate::listener::Draft;
use crate::node::{Node, Place};
use crate::plugin::{FailurePolicy, Plugin, sha256};
use crate::report::Report;
use crate::section::{self, Section, cluster_head};
use crate::{File, Options, Wanted, paths, yaml};

/// A file to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Its name, without a directory.
    pub name: String,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// What a component is made from.
#[derive(Clone, Debug)]
pub struct Component {
    /// Its name, which its files begin with.
    pub name: String,
    /// What the input calls the listener that it comes from, as [`bootstrap`](crate::bootstrap()) does.
    pub listener: String,
    /// Whether requests pass that Envoy refuses.
    pub is_unguarded: bool,
    /// Where the input listens, as `0.0.0.0:8080`, if it says so.
    pub listen: Option<String>,
    /// The settings file, which names the others.
    pub settings: Output,
    /// The filters, and configurations that are no text.
    pub files: Vec<Output>,
    /// The filter of each plugin, by the name of its file; none where its code was not found.
    pub filters: Vec<Option<String>>,
    /// The options that `serve` needs to do as Envoy.
    pub serve_options: Vec<String>,
    /// The input says where requests go.
    pub has_routes: bool,
    /// Whether it is known where requests go.
    pub is_routed: bool,
    /// The origins that the component sends requests to, such as `https://backend:443`.
    pub outbound: Vec<String>,
}

impl Component {
    /// Whether the code of all plugins is there.
    pub fn is_whole(&self) -> bool {
        self.filters.iter().all(Option::is_some)
    }

    pub(crate) fn summary(&self) -> serde_json::Value {
        let files: Vec<&str> = self.files.iter().map(|file| file.name.as_str()).collect();
        serde_json::json!({
            "name": self.name, "listener": self.listener, "settings": self.settings.name, "files": files, "whole": self.is_whole(),
            "serve_options": self.serve_options, "outbound": self.outbound,
        })
    }
}

/// The names of the files of all components.
#[derive(Debug, Default)]
pub(crate) struct Names {
    taken: HashSet<String>,
    /// The files of filters and configurations, each once.
    by_digest: HashMap<String, String>,
}

/// A name for files: letters, digits, `-`, `_` and `.`, and none that was taken.
fn file_name(text: &str, taken: &mut HashSet<String>) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
    let text: String = text.chars().map(allowed).take(80).collect();
    let text = text.trim_matches(['.', '-']).to_owned();
    let base = if text.is_empty() { "plugin".to_owned() } else { text };
    let mut name = base.clone();
    let mut number = 2;
    while taken.contains(&name) {
        name = format!("{base}-{number}");
        number += 1;
    }
    taken.insert(name.clone());
    name
}

/// The components, and what their settings files say.
pub(crate) fn write_all(
    report: &Report,
    drafts: Vec<Draft>,
    targets: &Targets<'_>,
    options: &Options<'_>,
    documents: &[Node],
    files: &[File],
) -> Vec<Component> {
    let mut names = Names::default();
    let of_routes: Vec<Leads> = drafts.iter().map(|draft| Leads::of(&draft.routes)).collect();
    let of_any: HashSet<&str> = of_routes.iter().flat_map(|leads| leads.clusters.iter().map(String::as_str)).collect();
    let mut written = Vec::new();
    for (draft, leads) in drafts.into_iter().zip(&of_routes) {
        let words = draft.words();
        let is_of_it = |name: &str| {
            leads.anywhere || leads.clusters.contains(name) || !of_any.contains(name) || words.contains(name)
        };
        let left_out = targets.clusters.iter().filter(|known| !is_of_it(known.name())).count();
        if left_out > 0 {
            let what = match left_out {
                1 => "one cluster is left out of it: only routes of other listeners lead there".into(),
                _ => format!("{left_out} clusters are left out of it: only routes of other listeners lead to them"),
            };
            let remedy =
                "A filter that calls one of them needs it in the settings file, as `[clusters.NAME]` with a `url`.";
            report.differs(&format!("listener `{}`", draft.name), draft.place, what, remedy);
        }
        let clusters: Vec<&Known> = targets.clusters.iter().filter(|known| is_of_it(known.name())).collect();
        written.push(write(report, draft, &clusters, targets, options, &mut names));
    }
    // Once for all: it goes through the whole input.
    let origins = written.iter().flat_map(|(_, sections)| sections).filter_map(|section| section.origin);
    let places = paths::of(origins, documents);
    let origin = |place: Place| {
        let file = files.get(place.file).map_or("", |file| file.name.as_str());
        format!("{file}:{}:{} {}", place.line, place.column, places.get(&place).map_or("", String::as_str))
            .trim_end()
            .to_owned()
    };
    let complete = |(mut component, sections): (Component, Vec<Section>)| {
        component.settings.bytes = section::write(&sections, origin).into_bytes();
        component
    };
    written.into_iter().map(complete).collect()
}

/// Where routes lead.
#[derive(Debug, Default)]
struct Leads {
    clusters: HashSet<String>,
    /// By a header of the request.
    anywhere: bool,
}

impl Leads {
    fn of(routes: &[Section]) -> Self {
        let mut leads = Self::default();
        for (key, value) in routes.iter().flat_map(|section| &section.keys) {
            match (key.as_str(), value) {
                ("cluster", value) => leads.clusters.extend(value.as_str().map(str::to_owned)),
                ("cluster_header", _) => leads.anywhere = true,
                ("weighted_clusters", toml::Value::Array(all)) => {
                    let name = |one: &toml::Value| one.get("cluster")?.as_str().map(str::to_owned);
                    leads.clusters.extend(all.iter().filter_map(name));
                }
                _ => {}
            }
        }
        leads
    }
}

fn write(
    report: &Report,
    draft: Draft,
    clusters: &[&Known],
    targets: &Targets<'_>,
    options: &Options<'_>,
    names: &mut Names,
) -> (Component, Vec<Section>) {
    let name = file_name(&draft.name, &mut names.taken);
    let mut codes = Codes { report, options, names, files: Vec::new() };
    let mut sections = vec![draft.top];
    let mut filters = Vec::new();
    for plugin in &draft.plugins {
        filters.push(codes.plugin(plugin, &mut sections));
    }
    let outputs = codes.files;
    let (mut outbound, mut names) = (Vec::new(), Vec::new());
    let has_routes = !draft.routes.is_empty();
    if !has_routes {
        match options.upstream {
            Some(url) => {
                if let Some(top) = sections.first_mut() {
                    top.set("upstream", url);
                }
                outbound.push(url.to_owned());
            }
            None => report.lost(
                &format!("`{name}`"),
                draft.place,
                "the input has no routes: where requests go is not known",
                "Give `--upstream URL`, or what the proxy itself has: `istioctl proxy-config all POD -o json`, or its `/config_dump`.",
            ),
        }
    }
    sections.extend(draft.routes);
    for known in clusters {
        if let Known::Cluster(cluster) = known
            && !targets.answers.contains_key(&cluster.name)
        {
            let mut section = Section::new(cluster_head(&cluster.name), cluster.place);
            cluster.write(&mut section);
            sections.push(section);
            outbound.extend(cluster.urls());
            names.extend(cluster.serve_options());
        }
    }
    outbound.sort();
    outbound.dedup();
    let component = Component {
        listener: draft.name,
        is_unguarded: false,
        listen: draft.address.and_then(|(host, port)| {
            let address = std::net::SocketAddr::new(host.parse().ok()?, port);
            Some(address.to_string())
        }),
        settings: Output { name: format!("{name}.toml"), bytes: Vec::new() },
        serve_options: ["--failure-policy".into(), failure_policy(report, &draft.plugins).option().into()]
            .into_iter()
            .chain(draft.stat_prefix.into_iter().flat_map(|prefix| ["--stat-prefix".into(), prefix]))
            .chain(names)
            .collect(),
        files: outputs,
        filters,
        has_routes,
        is_routed: has_routes || options.upstream.is_some(),
        outbound,
        name,
    };
    (component, sections)
}

/// One policy for all: the strictest, where they differ. Envoy's default is to fail closed.
fn failure_policy(report: &Report, plugins: &[Plugin]) -> FailurePolicy {
    let said = |plugin: &Plugin| plugin.failure_policy.unwrap_or(FailurePolicy::Closed);
    let first = plugins.first().map_or(FailurePolicy::Closed, said);
    let Some(other) = plugins.iter().find(|plugin| said(plugin) != first) else {
        if let (FailurePolicy::Open, Some(plugin)) = (first, plugins.first()) {
            report.differs(
                &plugin.label(),
                plugin.place,
                "to fail open becomes `serve --failure-policy open`: the request that traps is answered 503, those after it pass; \
                 and requests go by `wasi:http`, which costs more than exchanges",
                "",
            );
        }
        return first;
    };
    report.lost(
        &other.label(),
        other.place,
        "the plugins of the chain have different failure policies; `serve` has one for all, and it is run with `closed`",
        "Choose one for all with `serve --failure-policy`.",
    );
    FailurePolicy::Closed
}

struct Codes<'a> {
    report: &'a Report,
    options: &'a Options<'a>,
    names: &'a mut Names,
    files: Vec<Output>,
}

impl Codes<'_> {
    /// Writes the section of a plugin; gives back the file of its filter.
    fn plugin(&mut self, plugin: &Plugin, sections: &mut Vec<Section>) -> Option<String> {
        let mut section = Section::new("[[plugin]]", plugin.place);
        let label = base_name(&plugin.code.from)
            .or(Some(plugin.name.as_str()).filter(|name| !name.is_empty()))
            .unwrap_or("plugin");
        let label = label.strip_suffix(".wasm").unwrap_or(label).to_owned();
        let filter = self.code(plugin).map(|bytes| self.file(&label, "wasm", bytes));
        section.set("filter", filter.clone().unwrap_or_else(|| format!("{label}.wasm")));
        section.set_text("name", &plugin.name);
        section.set_text("root_id", &plugin.root_id);
        section.set_text("vm_id", &plugin.vm_id);
        for (key, bytes) in [("configuration", &plugin.configuration), ("vm_configuration", &plugin.vm_configuration)] {
            match std::str::from_utf8(bytes) {
                Ok(text) => section.set_text(key, text),
                Err(_) => {
                    let file = self.file(&format!("{label}.{key}"), "bin", bytes.clone());
                    section.set(&format!("{key}_file"), file);
                }
            }
        }
        if !plugin.environment.is_empty() {
            let entries =
                plugin.environment.iter().map(|(key, value)| (key.clone(), toml::Value::from(value.as_str())));
            section.set("environment", toml::Value::Table(entries.collect()));
        }
        if plugin.allow_on_headers_stop_iteration {
            section.set("allow_on_headers_stop_iteration", true);
        }
        if plugin.is_disabled {
            section.set("disabled", true);
        }
        if !plugin.allowed_capabilities.is_empty() {
            section.set("allowed_capabilities", plugin.allowed_capabilities.clone());
        }
        sections.push(section);
        filter
    }

    /// A file of these bytes, which is there once.
    fn file(&mut self, label: &str, extension: &str, bytes: Vec<u8>) -> String {
        let digest = format!("{}.{extension}", sha256(&bytes));
        let name = match self.names.by_digest.get(&digest) {
            Some(name) => name.clone(),
            None => {
                let name = format!("{}.{extension}", file_name(label, &mut self.names.taken));
                self.names.by_digest.insert(digest, name.clone());
                name
            }
        };
        if !self.files.iter().any(|file| file.name == name) {
            self.files.push(Output { name: name.clone(), bytes });
        }
        name
    }

    fn code(&mut self, plugin: &Plugin) -> Option<Vec<u8>> {
        let (code, object) = (&plugin.code, plugin.label());
        let wrong = |what: String, remedy: String| {
            self.report.wrong(&object, plugin.place, what, remedy);
            None
        };
        let wanted = Wanted { plugin: &plugin.name, from: &code.from };
        let Some(bytes) = code.inline.clone().or_else(|| (self.options.find)(wanted)) else {
            if code.from.is_empty() {
                // What is wrong with it was said where it was read.
                return None;
            }
            let from = without_secrets(&code.from);
            if yaml::is_placeholder(&from) {
                let what = format!("its code `{from}` is a placeholder, which has to be filled in first");
                return wrong(what, "Fill it in, or name the code by the plugin's name: `--code NAME=FILE`.".into());
            }
            return wrong(format!("its code `{from}` is not at hand"), fetch(&from));
        };
        let digest = sha256(&bytes);
        let is_wanted = code.sha256.is_empty() || code.sha256 == digest;
        if !is_wanted {
            return wrong(
                format!("its code has the sha256 {digest}, and the input wants {}", code.sha256),
                "Give the code that the input means, or correct the digest there.".into(),
            );
        }
        if !bytes.starts_with(b"\0asm") && !bytes.trim_ascii_start().starts_with(b"(module") {
            return wrong(
                "its code is no WebAssembly".into(),
                "Give the module itself, with `--code NAME=FILE`.".into(),
            );
        }
        Some(bytes)
    }
}

/// The last part of a path or an address.
fn base_name(from: &str) -> Option<&str> {
    let path = from.split(['?', '#', '@']).next().unwrap_or_default();
    path.rsplit('/').next().filter(|name| !name.is_empty()).map(|name| name.split(':').next().unwrap_or(name))
}

/// An address without user, password, and what stands behind a `?`.
fn without_secrets(from: &str) -> String {
    let Some((scheme, rest)) = from.split_once("://") else { return from.to_owned() };
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) =
        rest.split_once('/').map_or((rest, String::new()), |(authority, path)| (authority, format!("/{path}")));
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

/// The command that gets code from there.
fn fetch(from: &str) -> String {
    let name = base_name(from).unwrap_or("filter");
    let file = format!("{}.wasm", name.strip_suffix(".wasm").unwrap_or(name));
    match from.split_once("://") {
        Some(("http" | "https", _)) => format!("`curl -fLo {file} {from}`, then `--code {name}={file}`"),
        Some(("oci", image)) => format!(
            "`oras pull {image}`, or `crane export {image} - | tar xOf - plugin.wasm > {file}` for an image, then `--code {name}={file}`"
        ),
        _ => {
            let path = from.strip_prefix("file://").unwrap_or(from);
            // A path that is none of a container's is one of whoever started Envoy.
            let copy = match path.strip_prefix('/') {
                Some(_) => format!("; out of a container: `docker cp CONTAINER:{path} {file}`"),
                None => String::new(),
            };
            format!("Name the file with `--code {name}=FILE`, or its directory with `--code-dir`{copy}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_of_an_address_is_shown() {
        assert_eq!(without_secrets("https://u:p@h/x.wasm?token=t#f"), "https://h/x.wasm");
        assert_eq!(without_secrets("/a/b.wasm"), "/a/b.wasm");
    }

    #[test]
    fn names_of_code() {
        for (from, name) in
            [("/a/b.wasm", "b.wasm"), ("oci://r.example/ns/auth:1.0", "auth"), ("https://h/x.wasm?q", "x.wasm")]
        {
            assert_eq!(base_name(from), Some(name), "{from}");
        }
    }
}
