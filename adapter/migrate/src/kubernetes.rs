//! Objects of Kubernetes: Istio's `WasmPlugin` and `TrafficExtension`, Envoy Gateway's `EnvoyExtensionPolicy`, and what is
//! refused by name.

use std::collections::BTreeMap;

use crate::consul;
use crate::json;
use crate::listener::Draft;
use crate::node::{Node, Place, Value};
use crate::plugin::{Code, FailurePolicy, Plugin};
use crate::read::Reader;
use crate::report::Report;
use crate::section::Section;

/// The component of Higress's plugins.
const HIGRESS: &str = "higress-plugins";

/// Whose `WasmPlugin` it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Istio,
    Higress,
}

/// The components of these objects: plugins of one kind are one chain.
pub(crate) fn read(report: &Report, objects: &[&Node]) -> Vec<Draft> {
    let mut istio = Vec::new();
    let (mut gateway, mut policies) = (Vec::new(), Vec::new());
    let mut higress = Vec::new();
    let mut consul = Vec::new();
    for object in objects {
        let kind = object.peek_text("kind").unwrap_or_default();
        let group = object.peek_text("apiVersion").unwrap_or_default();
        match kind {
            "WasmPlugin" | "TrafficExtension" if group.starts_with("extensions.istio.io/") => {
                istio.extend(wasm_plugin(report, object, Form::Istio));
            }
            "WasmPlugin" if group.starts_with("extensions.higress.io/") => {
                higress.extend(wasm_plugin(report, object, Form::Higress));
            }
            _ if consul::is_service_defaults(object) => consul.extend(consul::read(report, object)),
            // `envoy_filter` reads these.
            "EnvoyFilter" => {}
            "EnvoyExtensionPolicy" => {
                let (plugins, chosen) = extension_policy(report, object);
                gateway.extend(plugins);
                policies.extend(chosen);
            }
            _ => other(report, object, kind),
        }
    }
    // Istio's order: phase, then priority with the highest first and those without last, then name and namespace.
    let in_order = |mut plugins: Vec<Ordered>| -> Vec<Plugin> {
        plugins.sort_by(|a, b| a.order.cmp(&b.order));
        plugins.into_iter().map(|ordered| ordered.plugin).collect()
    };
    for plugins in [&istio, &higress] {
        compare_proxies(report, plugins.iter().filter_map(|plugin| plugin.proxies.as_ref()));
    }
    compare_proxies(report, policies.iter());
    let (istio, higress) = (in_order(istio), in_order(higress));
    [("wasm-plugins", istio), ("extension-policies", gateway), (HIGRESS, higress), ("service-defaults", consul)]
        .into_iter()
        .filter_map(|(name, plugins)| {
            let place = plugins.first()?.place;
            let mut top = Section { head: String::new(), origin: None, keys: Vec::new() };
            if name == HIGRESS {
                top.set("profile", "permissive");
            }
            Some(Draft { name: name.into(), place, plugins, top, routes: Vec::new(), address: None, stat_prefix: None })
        })
        .collect()
}

/// Objects by which Istio and Envoy Gateway say where requests go.
const ROUTES: [&str; 12] = [
    "BackendTLSPolicy",
    "BackendTrafficPolicy",
    "ClientTrafficPolicy",
    "DestinationRule",
    "GRPCRoute",
    "Gateway",
    "HTTPRoute",
    "Ingress",
    "ServiceEntry",
    "Sidecar",
    "TLSRoute",
    "VirtualService",
];

/// Objects by which Istio and Envoy Gateway say who is let in.
const GUARDS: &[&str] = &["AuthorizationPolicy", "PeerAuthentication", "RequestAuthentication", "SecurityPolicy"];

fn other(report: &Report, object: &Node, kind: &str) {
    object.mark_all();
    let name = object.peek("metadata").and_then(|metadata| metadata.peek_text("name")).unwrap_or_default();
    let label = if kind.is_empty() { "the object".to_owned() } else { format!("{kind} `{name}`") };
    if GUARDS.contains(&kind) {
        let what = "it says who is let in, and is not carried: what it refuses in Envoy passes";
        report.unguarded(&label, object.place(), what, "Check it in front of the component, or in a filter.");
        return;
    }
    let (what, remedy) = if ROUTES.contains(&kind) {
        (
            "it says where requests go, and how; that is not read from objects of Kubernetes",
            "Give what the proxy has of it: `istioctl proxy-config all POD -o json`, or `egctl x translate --from \
             gateway-api --to xds -f FILE -o yaml`.",
        )
    } else {
        (
            "an object that has nothing to do with Wasm filters, or is not read here",
            "Take it out, or see what depends on it.",
        )
    };
    report.lost(&label, object.place(), what, remedy);
}

struct Ordered {
    order: (usize, bool, std::cmp::Reverse<i64>, String),
    plugin: Plugin,
    /// Which proxies it is for, if not for all.
    proxies: Option<Proxies>,
}

/// The proxies, or the routes, that an object chooses.
struct Proxies {
    label: String,
    place: Place,
    /// What it says of them.
    chosen: String,
}

/// Says of plugins for other proxies than the first one's that they are all in one chain here.
fn compare_proxies<'a>(report: &Report, mut all: impl Iterator<Item = &'a Proxies>) {
    let Some(first) = all.next() else { return };
    for other in all.filter(|other| other.chosen != first.chosen) {
        let what = format!("it is for other proxies or routes than {}, and here requests pass both", first.label);
        let remedy = "Migrate the objects of one workload or route at a time, each in a file of its own.";
        report.differs(&other.label, other.place, what, remedy);
    }
}

/// Name and namespace of an object.
fn names(object: &Node) -> (&str, Option<&str>) {
    object.mark().pass(&["apiVersion", "kind", "metadata", "status"]);
    let metadata = object.peek("metadata");
    let text = |field| metadata.and_then(|metadata| metadata.peek_text(field));
    (text("name").unwrap_or_default(), text("namespace"))
}

fn wasm_plugin(report: &Report, object: &Node, form: Form) -> Option<Ordered> {
    let (name, namespace) = names(object);
    let label = format!("{} `{name}`", object.peek_text("kind").unwrap_or("WasmPlugin"));
    let reader = Reader { report, object: &label };
    let Some(spec) = object.get("spec") else {
        report.wrong(&label, object.place(), "it has no `spec`", "Give the whole object.");
        return None;
    };
    // A TrafficExtension has what is Wasm's own one level deeper.
    let whole = spec;
    let is_extension = object.peek_text("kind") == Some("TrafficExtension");
    if is_extension && let Some(lua) = spec.get("lua") {
        lua.mark_all();
        whole.mark_all();
        report.lost(&label, lua.place(), "a filter in Lua", "Leave it in Envoy.");
        return None;
    }
    let spec = match spec.get("wasm") {
        Some(wasm) if is_extension => wasm.mark(),
        _ => spec,
    };
    spec.pass(&["imagePullPolicy", "imagePullSecret", "verificationKey"]);
    if reader.choice(spec, "type", &["UNSPECIFIED_PLUGIN_TYPE", "HTTP", "NETWORK"]) == Some(2) {
        spec.mark_all();
        report.lost(&label, spec.place(), "a plugin for TCP", "Leave it in Envoy: WASI has no proxy world for TCP.");
        return None;
    }
    let phases = ["UNSPECIFIED_PHASE", "AUTHN", "AUTHZ", "STATS"];
    // Without a phase a plugin stands behind those with one, in front of the router.
    let phase = match reader.choice(whole, "phase", &phases) {
        None | Some(0) => phases.len(),
        Some(phase) => phase,
    };
    let priority = reader.number(whole, "priority");
    let namespace = namespace.unwrap_or("default");
    let mut plugin = Plugin {
        place: spec.peek("url").map_or(object.place(), Node::place),
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
    if plugin.code.from.is_empty() {
        report.wrong(&label, spec.place(), "it has no `url`, and so no code", "Say where the code is.");
    } else if !plugin.code.from.contains("://") {
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
        check_table(reader, config, "pluginConfig");
        if !config.entries().is_empty() {
            plugin.configuration = json::of_go(config).into_bytes();
        }
    }
    if form == Form::Higress {
        plugin.configuration = higress(reader, spec)?.into_bytes();
    }
    variables(reader, spec, &mut plugin);
    let choosers = ["selector", "targetRef", "targetRefs"];
    selection(report, &label, whole, &choosers);
    selection(report, &label, whole, &["match"]);
    let chosen = choosers.iter().find_map(|field| whole.peek(field));
    let proxies = chosen.map(|node| Proxies { label: label.clone(), place: node.place(), chosen: json::of(node) });
    report.carried(&label, object.place(), format!("plugin `{}`", plugin.name));
    let order = (phase, priority.is_none(), std::cmp::Reverse(priority.unwrap_or(0)), format!("{name}.{namespace}"));
    Some(Ordered { order, plugin, proxies })
}

/// Higress's configuration: that for all, with the rules in it, which the filter itself reads. Nothing, if it is for nobody.
///
/// Source: `convertIstioWasmPlugin` in Higress.
fn higress(reader: Reader<'_>, spec: &Node) -> Option<String> {
    let is_off = reader.boolean(spec, "defaultConfigDisable") == Some(true);
    let mut fields: BTreeMap<String, String> = BTreeMap::new();
    if let Some(config) = spec.get("defaultConfig") {
        config.mark_all();
        check_table(reader, config, "defaultConfig");
        if !is_off {
            fields = members(config);
        }
    }
    let mut rules = Vec::new();
    for rule in reader.list(spec, "matchRules") {
        rule.mark();
        let config = rule.get("config").inspect(|config| check_table(reader, config, "config"));
        let mut rule_fields = config.map(members).unwrap_or_default();
        rule.mark_all();
        if rule.peek("configDisable").is_some_and(|is| *is.value() == Value::Bool(true)) {
            continue;
        }
        let mut is_for_any = false;
        for (field, key) in [("ingress", "_match_route_"), ("service", "_match_service_"), ("domain", "_match_domain_")]
        {
            let items = rule.peek(field).map(Node::many).unwrap_or_default();
            if !items.is_empty() {
                is_for_any = true;
                rule_fields
                    .insert(key.into(), format!("[{}]", items.iter().map(json::of).collect::<Vec<_>>().join(",")));
            }
        }
        if is_for_any {
            rules.push(object_of(&rule_fields));
        }
    }
    if !rules.is_empty() {
        let what = "rules by route and service are told apart by `xds.route_name` and `xds.cluster_name`, which the component takes from its own routes";
        let remedy = "Name routes and clusters in the settings file as the gateway does, or give its `/config_dump`.";
        reader.report.differs(reader.object, spec.place(), what, remedy);
        fields.insert("_rules_".into(), format!("[{}]", rules.join(",")));
    } else if is_off {
        reader.report.lost(reader.object, spec.place(), "it is off for all, and on for nobody", "Leave it out.");
        return None;
    }
    Some(json::escaped_as_go(if fields.is_empty() { String::new() } else { object_of(&fields) }))
}

/// A filter's configuration is a table in Kubernetes, which refuses anything else.
fn check_table(reader: Reader<'_>, config: &Node, field: &str) {
    if !matches!(config.value(), Value::Map(_) | Value::Null) {
        let what = format!("its `{field}` is no table, and Kubernetes refuses it");
        let remedy = "Write keys and values; or give the filter its text by a settings file: `configuration = \"…\"`.";
        reader.report.wrong(reader.object, config.place(), what, remedy);
    }
}

/// The fields of a table, each as JSON.
fn members(node: &Node) -> BTreeMap<String, String> {
    node.mark_all();
    node.entries().iter().map(|entry| (entry.key.clone(), json::of(&entry.node))).collect()
}

fn object_of(fields: &BTreeMap<String, String>) -> String {
    let fields: Vec<String> = fields.iter().map(|(key, value)| format!("{}:{value}", json::quoted(key))).collect();
    format!("{{{}}}", fields.join(","))
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

/// The plugins of a policy, and what it is for.
fn extension_policy(report: &Report, object: &Node) -> (Vec<Plugin>, Option<Proxies>) {
    let (name, namespace) = names(object);
    let label = format!("EnvoyExtensionPolicy `{name}`");
    let reader = Reader { report, object: &label };
    let Some(spec) = object.get("spec") else { return (Vec::new(), None) };
    let mut chosen = None;
    for field in ["targetRef", "targetRefs", "targetSelectors"] {
        if let Some(node) = spec.get(field) {
            node.mark_all();
            chosen = Some(Proxies { label: label.clone(), place: node.place(), chosen: json::of(node) });
            let remedy = "For the routes too: `egctl x translate --from gateway-api --to xds -f FILE -o yaml`.";
            report.differs(&label, node.place(), format!("`{field}` names routes or gateways that are not in the policy; the component is for all that is sent to it"), remedy);
        }
    }
    for field in ["extProc", "lua", "dynamicModule"] {
        if let Some(other) = spec.get(field) {
            other.mark_all();
            report.lost(&label, other.place(), format!("`{field}` is no Wasm filter"), "Leave it in Envoy.");
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
            plugin.configuration = json::of(config).into_bytes();
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
    (plugins, chosen)
}
