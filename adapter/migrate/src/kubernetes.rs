//! Objects of Kubernetes: Istio's `WasmPlugin`, Envoy Gateway's `EnvoyExtensionPolicy`, and what is refused by name.

use std::collections::BTreeMap;

use crate::listener::Draft;
use crate::node::{Node, Value};
use crate::plugin::{Code, FailurePolicy, Plugin};
use crate::read::Reader;
use crate::report::Report;
use crate::section::Section;

/// The components of these objects: plugins of one kind are one chain.
pub(crate) fn read(report: &Report, objects: &[&Node]) -> Vec<Draft> {
    let mut istio = Vec::new();
    let mut gateway = Vec::new();
    for object in objects {
        let kind = object.peek_text("kind").unwrap_or_default();
        let group = object.peek_text("apiVersion").unwrap_or_default();
        match kind {
            "WasmPlugin" if group.starts_with("extensions.istio.io/") => istio.extend(wasm_plugin(report, object)),
            // `envoy_filter` reads these.
            "EnvoyFilter" => {}
            "EnvoyExtensionPolicy" => gateway.extend(extension_policy(report, object)),
            _ => other(report, object, kind, group),
        }
    }
    // Istio's order: phase, then priority with the highest first and those without last, then name and namespace.
    istio.sort_by(|a, b| a.order.cmp(&b.order));
    let istio: Vec<Plugin> = istio.into_iter().map(|ordered| ordered.plugin).collect();
    [("wasm-plugins", istio), ("extension-policies", gateway)]
        .into_iter()
        .filter_map(|(name, plugins)| {
            let place = plugins.first()?.place;
            let top = Section { head: String::new(), origin: None, keys: Vec::new() };
            Some(Draft { name: name.into(), place, plugins, top, routes: Vec::new(), address: None })
        })
        .collect()
}

fn other(report: &Report, object: &Node, kind: &str, group: &str) {
    object.mark_all();
    let name = object.peek("metadata").and_then(|metadata| metadata.peek_text("name")).unwrap_or_default();
    let label = if kind.is_empty() { "the object".to_owned() } else { format!("{kind} `{name}`") };
    let (what, remedy) = match kind {
        "TrafficExtension" => (
            "what it puts into which proxy is decided in the mesh, and is not read here",
            "Give what the proxy has of it: `istioctl proxy-config all POD -o json`.",
        ),
        "WasmPlugin" if group.starts_with("extensions.higress.io/") => (
            "a WasmPlugin of Higress, whose rules are not read here",
            "Give what the gateway has of it: its `/config_dump`.",
        ),
        _ => (
            "an object that has nothing to do with Wasm filters, or is not read here",
            "Take it out, or see what depends on it.",
        ),
    };
    report.lost(&label, object.place(), what, remedy);
}

struct Ordered {
    order: (usize, bool, std::cmp::Reverse<i64>, String),
    plugin: Plugin,
}

/// Name and namespace of an object.
fn names(object: &Node) -> (&str, Option<&str>) {
    object.mark().pass(&["apiVersion", "kind", "metadata", "status"]);
    let metadata = object.peek("metadata");
    let text = |field| metadata.and_then(|metadata| metadata.peek_text(field));
    (text("name").unwrap_or_default(), text("namespace"))
}

fn wasm_plugin(report: &Report, object: &Node) -> Option<Ordered> {
    let (name, namespace) = names(object);
    let label = format!("WasmPlugin `{name}`");
    let reader = Reader { report, object: &label };
    let Some(spec) = object.get("spec") else {
        report.wrong(&label, object.place(), "it has no `spec`", "Give the whole object.");
        return None;
    };
    spec.pass(&["imagePullPolicy", "imagePullSecret", "verificationKey"]);
    if reader.choice(spec, "type", &["UNSPECIFIED_PLUGIN_TYPE", "HTTP", "NETWORK"]) == Some(2) {
        spec.mark_all();
        report.lost(&label, spec.place(), "a plugin for TCP", "Leave it in Envoy: WASI has no proxy world for TCP.");
        return None;
    }
    let phases = ["UNSPECIFIED_PHASE", "AUTHN", "AUTHZ", "STATS"];
    // Without a phase a plugin stands behind those with one, in front of the router.
    let phase = match reader.choice(spec, "phase", &phases) {
        None | Some(0) => phases.len(),
        Some(phase) => phase,
    };
    let priority = reader.number(spec, "priority");
    let namespace = namespace.unwrap_or("default");
    let mut plugin = Plugin {
        place: object.place(),
        name: format!("{namespace}.{name}"),
        root_id: reader.text(spec, "pluginName").unwrap_or_default(),
        code: Code { from: reader.text(spec, "url").unwrap_or_default(), ..Code::default() },
        failure_policy: match reader.choice(spec, "failStrategy", &["FAIL_CLOSE", "FAIL_OPEN", "FAIL_RELOAD"]) {
            Some(1) => Some(FailurePolicy::Open),
            Some(2) => Some(FailurePolicy::Reload),
            _ => None,
        },
        ..Plugin::default()
    };
    if !plugin.code.from.is_empty() && !plugin.code.from.contains("://") {
        plugin.code.from = format!("oci://{}", plugin.code.from);
    }
    if spec.get("sha256").is_some() {
        report.differs(
            &label,
            spec.place(),
            "`sha256` may be an image's or a module's, and is not checked",
            "Compare it yourself.",
        );
    }
    if let Some(config) = spec.get("pluginConfig") {
        config.mark_all();
        if !config.entries().is_empty() {
            plugin.configuration = go_json(config).into_bytes();
        }
    }
    variables(reader, spec, &mut plugin);
    selection(report, &label, spec, &["selector", "targetRef", "targetRefs", "match"]);
    report.carried(&label, object.place(), format!("plugin `{}`", plugin.name));
    let order = (phase, priority.is_none(), std::cmp::Reverse(priority.unwrap_or(0)), format!("{name}.{namespace}"));
    Some(Ordered { order, plugin })
}

/// `vmConfig.env`, without what Istio's agent keeps to itself.
fn variables(reader: Reader<'_>, spec: &Node, plugin: &mut Plugin) {
    let Some(vm) = spec.get("vmConfig") else { return };
    for variable in reader.list(vm, "env") {
        let name = reader.text(variable, "name").unwrap_or_default();
        let is_host = reader.choice(variable, "valueFrom", &["INLINE", "HOST"]) == Some(1);
        let value = reader.text(variable, "value");
        match value {
            _ if name.starts_with("ISTIO_META_WASM_") => {}
            _ if is_host => {
                let what = format!("the environment variable `{name}` is the proxy's own: a component sees no host's");
                reader.report.lost(reader.object, variable.place(), what, format!("Write its value into the settings file, as `environment = {{ {name} = \"…\" }}` of this plugin."));
            }
            value => plugin.environment.push((name, value.unwrap_or_default())),
        }
    }
}

/// Which proxies and which traffic it is for, which is not a component's to say.
fn selection(report: &Report, label: &str, spec: &Node, fields: &[&str]) {
    for field in fields {
        if let Some(node) = spec.get(field) {
            node.mark_all();
            report.differs(
                label,
                node.place(),
                format!("`{field}` chooses proxies or traffic; the component is for all that is sent to it"),
                "Send it only that.",
            );
        }
    }
}

fn extension_policy(report: &Report, object: &Node) -> Vec<Plugin> {
    let (name, namespace) = names(object);
    let label = format!("EnvoyExtensionPolicy `{name}`");
    let reader = Reader { report, object: &label };
    let Some(spec) = object.get("spec") else { return Vec::new() };
    for field in ["targetRef", "targetRefs", "targetSelectors"] {
        if let Some(node) = spec.get(field) {
            node.mark_all();
            let remedy = "For the routes too: `egctl x translate --from gateway-api --to xds -f FILE -o yaml`.";
            report.differs(&label, node.place(), format!("`{field}` names routes or gateways that are not in the policy; the component is for all that is sent to it"), remedy);
        }
    }
    let mut plugins = Vec::new();
    for (index, wasm) in reader.list(spec, "wasm").iter().enumerate() {
        let namespace = namespace.unwrap_or("default");
        let mut plugin = Plugin {
            place: wasm.place(),
            name: reader.text(wasm, "name").unwrap_or_default(),
            root_id: reader.text(wasm, "rootID").unwrap_or_default(),
            vm_id: format!("envoyextensionpolicy/{namespace}/{name}/wasm/{index}"),
            failure_policy: (reader.boolean(wasm, "failOpen") == Some(true)).then_some(FailurePolicy::Open),
            ..Plugin::default()
        };
        if let Some(config) = wasm.get("config") {
            config.mark_all();
            plugin.configuration = json(config).into_bytes();
            report.differs(
                &label,
                config.place(),
                "`config` is given to the filter as JSON with its keys in order and no spaces, as Kubernetes stores it",
                "",
            );
        }
        if let Some(code) = wasm.get("code") {
            code.mark_all();
            let source = code.peek("http").or_else(|| code.peek("image"));
            plugin.code.from = source.and_then(|source| source.peek_text("url")).unwrap_or_default().into();
            if code.peek("image").is_some() && !plugin.code.from.contains("://") {
                plugin.code.from = format!("oci://{}", plugin.code.from);
            }
            if let Some(digest) = code.peek("http").and_then(|http| http.peek_text("sha256")) {
                plugin.code.sha256 = digest.to_ascii_lowercase();
            }
        }
        for key in wasm.get("env").map(|env| reader.texts(env, "hostKeys")).unwrap_or_default() {
            report.lost(
                &label,
                wasm.place(),
                format!("the environment variable `{key}` is the proxy's own: a component sees no host's"),
                "Write its value into the settings file.",
            );
        }
        report.carried(&label, wasm.place(), format!("plugin `{}`", plugin.name));
        plugins.push(plugin);
    }
    plugins
}

/// JSON as Istio writes it: that of Kubernetes, with `<`, `>` and `&` escaped.
///
/// Source: what istiod does with `pluginConfig`, by the JSON of Go's protobuf library.
fn go_json(node: &Node) -> String {
    let escapes =
        [('<', "\\u003c"), ('>', "\\u003e"), ('&', "\\u0026"), ('\u{2028}', "\\u2028"), ('\u{2029}', "\\u2029")];
    escapes.into_iter().fold(json(node), |text, (char, escape)| text.replace(char, escape))
}

/// JSON as Kubernetes stores it: keys in order, no spaces, and a plain `1.5` a number, though it is none for Envoy.
fn json(node: &Node) -> String {
    match node.value() {
        Value::Null => "null".into(),
        Value::Bool(is) => is.to_string(),
        #[allow(clippy::cast_precision_loss, reason = "they are doubles there")]
        Value::Int(int) => double(*int as f64),
        Value::Float(float) => double(*float),
        Value::Text(text) if node.is_plain() => match text.parse::<f64>() {
            // Words such as `inf` and `nan` are no numbers of JSON.
            Ok(float)
                if float.is_finite() && text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte)) =>
            {
                double(float)
            }
            _ => quoted(text),
        },
        Value::Text(text) => quoted(text),
        Value::List(items) => format!("[{}]", items.iter().map(json).collect::<Vec<_>>().join(",")),
        Value::Map(entries) => {
            let sorted: BTreeMap<&str, &Node> = entries.iter().map(|entry| (entry.key.as_str(), &entry.node)).collect();
            let entries = sorted.into_iter().map(|(key, node)| format!("{}:{}", quoted(key), json(node)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A double as Go's JSON writes it: the fewest digits, with an exponent only where it is very large or small.
fn double(float: f64) -> String {
    let is_plain = float == 0.0 || (1e-6..1e21).contains(&float.abs());
    if is_plain { float.to_string() } else { format!("{float:e}").replace('e', "e+").replace("e+-", "e-") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_go_writes_them() {
        for (float, text) in [
            (1.0, "1"),
            (1.5, "1.5"),
            (1e21, "1e+21"),
            (1e-7, "1e-7"),
            (12345678901234567890.0, "12345678901234567000"),
        ] {
            assert_eq!(double(float), text);
        }
    }
}
