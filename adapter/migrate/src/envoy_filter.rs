//! Istio's `EnvoyFilter`: the Wasm filters that its patches insert, with the configurations and clusters that come along.
//!
//! What it does to the rest of a proxy depends on the proxy, and is in the report.

use crate::filter::http_filter;
use crate::gather::Resources;
use crate::listener::Draft;
use crate::node::{Node, Value};
use crate::plugin::Plugin;
use crate::read::Reader;
use crate::report::Report;
use crate::section::Section;

/// What Istio calls traffic of every kind.
const ANY: &str = "ANY";

/// Takes up what other resources are joined with by name: configurations of filters, and clusters.
pub(crate) fn gather<'n>(resources: &mut Resources<'n>, object: &'n Node) {
    let patches = object.peek("spec").and_then(|spec| spec.peek("configPatches")).map(Node::many).unwrap_or_default();
    for entry in patches {
        let Some(patch) = entry.peek("patch") else { continue };
        let Some(value) = patch.peek("value") else { continue };
        match entry.peek_text("applyTo").unwrap_or_default() {
            "EXTENSION_CONFIG" => resources.extensions.push(value),
            "CLUSTER" if patch.peek_text("operation") == Some("ADD") => resources.clusters.push(value),
            _ => {}
        }
    }
}

/// The components of all `EnvoyFilter`s: one for each kind of traffic, since a filter for one is not there for another.
pub(crate) fn read(report: &Report, resources: &Resources<'_>) -> Vec<Draft> {
    let mut objects: Vec<&Node> =
        resources.objects.iter().filter(|object| object.peek_text("kind") == Some("EnvoyFilter")).copied().collect();
    // Istio applies the lowest priority first; of the same, the oldest, which files do not tell.
    objects.sort_by_key(|object| match object.peek("spec").and_then(|spec| spec.peek("priority")).map(Node::value) {
        Some(Value::Int(priority)) => *priority,
        _ => 0,
    });
    let mut inserted: Vec<(String, Plugin)> = Vec::new();
    for object in objects {
        patches(report, object, resources, &mut inserted);
    }
    let mut contexts: Vec<&str> = Vec::new();
    for (context, _) in &inserted {
        if context != ANY && !contexts.contains(&context.as_str()) {
            contexts.push(context);
        }
    }
    if contexts.is_empty() && !inserted.is_empty() {
        contexts.push(ANY);
    }
    let has_several = contexts.len() > 1;
    let draft = |context: &str| {
        let within = inserted.iter().filter(|(of, _)| of == context || of == ANY);
        let plugins: Vec<Plugin> = within.map(|(_, plugin)| plugin.clone()).collect();
        let name = context.to_ascii_lowercase().replace('_', "-");
        Some(Draft {
            name: if has_several { format!("envoy-filters-{name}") } else { "envoy-filters".into() },
            place: plugins.first()?.place,
            plugins,
            top: Section { head: String::new(), origin: None, keys: Vec::new() },
            routes: Vec::new(),
            address: None,
            stat_prefix: None,
        })
    };
    contexts.into_iter().filter_map(draft).collect()
}

fn patches(report: &Report, object: &Node, resources: &Resources<'_>, inserted: &mut Vec<(String, Plugin)>) {
    object.mark().pass(&["apiVersion", "kind", "metadata", "status"]);
    let name = object.peek("metadata").and_then(|metadata| metadata.peek_text("name")).unwrap_or_default();
    let label = format!("EnvoyFilter `{name}`");
    let reader = Reader { report, object: &label };
    let Some(spec) = object.get("spec") else {
        report.wrong(&label, object.place(), "it has no `spec`", "Give the whole object.");
        return;
    };
    spec.pass(&["priority"]);
    for field in ["workloadSelector", "targetRefs"] {
        if let Some(node) = spec.get(field) {
            node.mark_all();
            let what = format!("`{field}` chooses proxies; the component is for all that is sent to it");
            report.differs(&label, node.place(), what, "Send it only that.");
        }
    }
    for entry in reader.list(spec, "configPatches") {
        let context = match entry.get("match") {
            Some(matched) => {
                matched.mark_all();
                let what = "`match` chooses proxies, listeners and routes; the component is for all that is sent to it";
                report.differs(&label, matched.place(), what, "Send it only that.");
                matched.peek_text("context").unwrap_or(ANY).to_owned()
            }
            None => ANY.into(),
        };
        let kind = reader.text(entry, "applyTo").unwrap_or_default();
        let Some(patch) = entry.get("patch") else {
            report.wrong(&label, entry.place(), "a patch has no `patch`", "Say what it does.");
            continue;
        };
        patch.pass(&["filterClass"]);
        let operation = reader.text(patch, "operation").unwrap_or_default();
        let value = patch.get("value");
        let is_inserted = matches!(operation.as_str(), "INSERT_BEFORE" | "INSERT_AFTER" | "INSERT_FIRST" | "ADD");
        match (kind.as_str(), value) {
            ("HTTP_FILTER", Some(value)) if is_inserted => {
                let Some(plugin) = filter(reader, value, resources) else { continue };
                match operation.as_str() {
                    "INSERT_FIRST" => inserted.insert(0, (context, plugin)),
                    "INSERT_AFTER" if !inserted.is_empty() => {
                        let what = "`INSERT_AFTER` names a filter of the proxy; here its filter stands behind those before it in the input";
                        report.differs(
                            &label,
                            patch.place(),
                            what,
                            "Move its `[[plugin]]` in the settings file, if that is not its place.",
                        );
                        inserted.push((context, plugin));
                    }
                    _ => inserted.push((context, plugin)),
                }
            }
            // These were taken up before, and whoever reads them marks them.
            ("EXTENSION_CONFIG", Some(_)) => {}
            ("CLUSTER", Some(_)) if operation == "ADD" => {}
            _ => {
                entry.mark_all();
                let what =
                    format!("its patch `{operation}` of `{kind}` changes what a proxy has, which is not known here");
                report.lost(
                    &label,
                    entry.place(),
                    what,
                    "For the whole of it, give what the proxy has: `istioctl proxy-config all POD -o json`.",
                );
            }
        }
    }
}

/// The plugin of an inserted filter, unless it is one of Istio's own.
fn filter(reader: Reader<'_>, value: &Node, resources: &Resources<'_>) -> Option<Plugin> {
    let name = value.peek_text("name").unwrap_or_default();
    let extension = resources.extensions.iter().find(|extension| extension.peek_text("name") == Some(name)).copied();
    let extension = extension.filter(|_| value.peek("config_discovery").is_some());
    if is_native(value) || extension.is_some_and(is_native) {
        value.mark_all();
        if let Some(extension) = extension {
            extension.mark_all();
        }
        let what = format!(
            "the filter `{name}` is compiled into Istio's proxy (its runtime is null): there is no WebAssembly to take along"
        );
        reader.report.lost(reader.object, value.place(), what, "The host's own metrics and logs may do the same.");
        return None;
    }
    http_filter(reader.report, value, resources, None)
}

/// Whether its code is compiled into the proxy.
fn is_native(node: &Node) -> bool {
    node.peek_text("runtime") == Some("envoy.wasm.runtime.null")
        || node.items().iter().any(is_native)
        || node.entries().iter().any(|entry| is_native(&entry.node))
}
