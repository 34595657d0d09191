//! Consul's `service-defaults`, with its extension `builtin/wasm`.
//!
//! Consul reads the names of fields in any case: `PluginConfig`, `pluginConfig`, `plugin_config`.

use crate::node::{Node, Value};
use crate::plugin::{Code, Plugin};
use crate::report::Report;

/// Whether it is one: as a configuration entry, or as an object of Kubernetes.
pub(crate) fn is_service_defaults(object: &Node) -> bool {
    field(object, "kind").and_then(Node::as_text).is_some_and(|kind| same(kind, "service-defaults"))
}

/// The plugins of its extensions.
pub(crate) fn read(report: &Report, object: &Node) -> Vec<Plugin> {
    object.mark_all();
    let name = field(object, "name").or_else(|| field(field(object, "metadata")?, "name")).and_then(Node::as_text);
    let label = format!("service-defaults `{}`", name.unwrap_or_default());
    let spec = field(object, "spec").unwrap_or(object);
    let mut plugins = Vec::new();
    for extension in field(spec, "EnvoyExtensions").map(Node::many).unwrap_or_default() {
        let kind = text(extension, "Name");
        if kind != "builtin/wasm" {
            let what = format!("the extension `{kind}` has nothing to do with Wasm filters");
            report.lost(&label, extension.place(), what, "See what depends on it.");
            continue;
        }
        let Some(arguments) = field(extension, "Arguments") else {
            report.wrong(&label, extension.place(), "it has no `Arguments`", "Give it a `PluginConfig`.");
            continue;
        };
        if !matches!(text(arguments, "Protocol").as_str(), "" | "http") {
            let remedy = "Leave it in Envoy: WASI has no proxy world for TCP.";
            report.lost(&label, arguments.place(), "a plugin for TCP", remedy);
            continue;
        }
        let listener = text(arguments, "ListenerType");
        if !listener.is_empty() {
            let what = format!("it is for {listener} traffic; the component is for all that is sent to it");
            report.differs(&label, arguments.place(), what, "Send it only that.");
        }
        match field(arguments, "PluginConfig") {
            Some(config) => {
                let plugin = plugin(report, &label, config);
                report.carried(&label, config.place(), format!("plugin `{}`", plugin.name));
                plugins.push(plugin);
            }
            None => {
                report.wrong(&label, arguments.place(), "it has no `PluginConfig`", "Give it one, with `VmConfig`.")
            }
        }
    }
    if plugins.is_empty() {
        report.lost(&label, object.place(), "it has no Wasm filter for HTTP", "Leave it out.");
    }
    plugins
}

fn plugin(report: &Report, label: &str, config: &Node) -> Plugin {
    let mut plugin = Plugin {
        place: config.place(),
        name: text(config, "Name"),
        root_id: text(config, "RootID"),
        configuration: text(config, "Configuration").into_bytes(),
        ..Plugin::default()
    };
    let restricts = field(config, "CapabilityRestrictionConfiguration")
        .and_then(|restriction| field(restriction, "AllowedCapabilities"))
        .is_some_and(|allowed| !allowed.entries().is_empty());
    if restricts {
        let what = "`CapabilityRestrictionConfiguration` is not carried: the filter may do more than in Envoy";
        report.lost(label, config.place(), what, "`inspect` lists what the filter calls; trust it with that.");
    }
    let Some(vm) = field(config, "VmConfig") else {
        report.wrong(label, config.place(), "it has no `VmConfig`, and so no code", "Give it one, with `Code`.");
        return plugin;
    };
    plugin.vm_id = text(vm, "VmID");
    plugin.vm_configuration = text(vm, "Configuration").into_bytes();
    if let Some(variables) = field(vm, "EnvironmentVariables") {
        for entry in field(variables, "KeyValues").map(Node::entries).unwrap_or_default() {
            plugin.environment.push((entry.key.clone(), entry.node.as_text().unwrap_or_default().into()));
        }
        for key in field(variables, "HostEnvKeys").map(Node::many).unwrap_or_default() {
            let key = key.as_text().unwrap_or_default();
            let what = format!("the environment variable `{key}` is the proxy's own: a component sees no host's");
            report.lost(label, variables.place(), what, "Write its value into the settings file.");
        }
    }
    let code = field(vm, "Code");
    let remote = code.and_then(|code| field(code, "Remote"));
    let local = code.and_then(|code| field(code, "Local"));
    plugin.code = match (local, remote) {
        (Some(local), _) => Code { from: text(local, "Filename"), ..Code::default() },
        (None, Some(remote)) => Code {
            from: field(remote, "HttpURI").map(|uri| text(uri, "URI")).unwrap_or_default(),
            sha256: text(remote, "SHA256").to_ascii_lowercase(),
            ..Code::default()
        },
        (None, None) => Code::default(),
    };
    if plugin.code.from.is_empty() {
        report.wrong(label, vm.place(), "its `Code` names no file and no address", "Say where the code is.");
    }
    plugin
}

/// Whether two names are the same to Consul.
fn same(a: &str, b: &str) -> bool {
    let letters =
        |text: &str| text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    letters(a) == letters(b)
}

fn field<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
    let found = node.entries().iter().rfind(|entry| same(&entry.key, name)).map(|entry| &entry.node);
    found.filter(|node| !node.is_null())
}

fn text(node: &Node, name: &str) -> String {
    match field(node, name).map(Node::value) {
        Some(Value::Text(text)) => text.clone(),
        _ => String::new(),
    }
}
