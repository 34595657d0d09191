//! A Wasm plugin: what it is configured with, and where its code is.

use proxy_wasm_abi::bridge::ALLOCATORS;
use proxy_wasm_abi::capabilities::is_capability;
use sha2::{Digest, Sha256};

use crate::any;
use crate::fields::Message;
use crate::node::{Node, Place};
use crate::protobuf;
use crate::read::Reader;

/// A plugin, whatever kind of file it was in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plugin {
    pub(crate) place: Place,
    pub(crate) name: String,
    /// The name of the filter in its chain, by which routes know it.
    pub(crate) filter_name: String,
    /// It runs only where a route says so.
    pub(crate) is_disabled: bool,
    pub(crate) root_id: String,
    pub(crate) vm_id: String,
    pub(crate) configuration: Vec<u8>,
    pub(crate) vm_configuration: Vec<u8>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) allow_on_headers_stop_iteration: bool,
    /// The host calls and callbacks that it may use; without any, all.
    pub(crate) allowed_capabilities: Vec<String>,
    pub(crate) failure_policy: Option<FailurePolicy>,
    pub(crate) code: Code,
}

impl Plugin {
    /// What messages call it.
    pub(crate) fn label(&self) -> String {
        match (self.name.as_str(), self.filter_name.as_str()) {
            ("", "") => "a plugin without a name".into(),
            ("", filter) => format!("the plugin of the filter `{filter}`"),
            (name, _) => format!("plugin `{name}`"),
        }
    }
}

/// What happens after a trap, in the words of `serve --failure-policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailurePolicy {
    Closed,
    Open,
    Reload,
}

impl FailurePolicy {
    pub(crate) fn option(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::Reload => "reload",
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Code {
    /// Where the input says that it is: a path or a URL.
    pub(crate) from: String,
    /// What stands in the input itself.
    pub(crate) inline: Option<Vec<u8>>,
    /// In hexadecimal digits; empty, if nothing is said.
    pub(crate) sha256: String,
}

/// The digest of bytes, in hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Which of Envoy's APIs a plugin is written for. In that before v3 configurations are also plain text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    V2,
    V3,
}

/// The bytes of a configuration.
fn configuration(reader: Reader<'_>, node: &Node, field: &str, version: Version) -> Vec<u8> {
    match node.as_text() {
        Some(text) if version == Version::V2 => text.as_bytes().to_vec(),
        _ => any::bytes(reader, node, field).unwrap_or_default(),
    }
}

/// Whether a `PluginConfig` names code that is compiled into the proxy.
pub(crate) fn is_native(node: &Node) -> bool {
    node.peek("vm_config").and_then(|vm| vm.peek_text("runtime")) == Some("envoy.wasm.runtime.null")
}

/// Reads `envoy.extensions.wasm.v3.PluginConfig`.
pub(crate) fn read(reader: Reader<'_>, node: &Node, version: Version) -> Plugin {
    let (report, object) = (reader.report, reader.object);
    node.of(Message::PluginConfig);
    let mut plugin = Plugin {
        place: node.place(),
        name: reader.text(node, "name").unwrap_or_default(),
        root_id: reader.text(node, "root_id").unwrap_or_default(),
        allow_on_headers_stop_iteration: reader.boolean(node, "allow_on_headers_stop_iteration").unwrap_or(false),
        ..Plugin::default()
    };
    if let Some(given) = node.get("configuration") {
        plugin.configuration = configuration(reader, given, "configuration", version);
    }
    policy(reader, node, &mut plugin);
    match node.get("vm_config") {
        Some(vm) => virtual_machine(reader, vm, &mut plugin, version),
        None => report.wrong(
            object,
            node.place(),
            "it has no `vm_config`, and so no code",
            "Give it a `vm_config` with `code`.",
        ),
    }
    // That of the virtual machine counts, where both are there, also where it is empty.
    // Source: `tests/migrations/capabilities`, on Envoy 1.40.
    let of_plugin = restriction(reader, node);
    let has_own = node.get("vm_config").is_some_and(|vm| vm.get("capability_restriction_config").is_some());
    if !has_own {
        plugin.allowed_capabilities = of_plugin;
    } else if !of_plugin.is_empty() {
        let what = "`capability_restriction_config` stands in the plugin and in `vm_config`: that of `vm_config` counts, as in Envoy";
        report.differs(object, node.place(), what, "Take the plugin's out, which is deprecated.");
    }
    plugin
}

fn policy(reader: Reader<'_>, node: &Node, plugin: &mut Plugin) {
    let names = ["UNSPECIFIED", "FAIL_RELOAD", "FAIL_CLOSED", "FAIL_OPEN"];
    let said = reader.choice(node, "failure_policy", &names);
    plugin.failure_policy = match said {
        Some(1) => Some(FailurePolicy::Reload),
        Some(2) => Some(FailurePolicy::Closed),
        Some(3) => Some(FailurePolicy::Open),
        _ => None,
    };
    let fail_open = reader.boolean(node, "fail_open");
    if fail_open == Some(true) {
        if said.is_some_and(|said| said != 0) {
            let remedy = "Take `fail_open` out, which is deprecated; Envoy refuses both.";
            reader.report.wrong(reader.object, node.place(), "it has both `fail_open` and `failure_policy`", remedy);
        }
        plugin.failure_policy = Some(FailurePolicy::Open);
    }
    if let Some(reload) = node.get("reload_config") {
        reload.mark_all();
        let remedy = "Give `serve` the base interval: `--reload-backoff 1s`.";
        reader.report.lost(reader.object, reload.place(), "`reload_config` is an option of `serve`", remedy);
    }
}

fn virtual_machine(reader: Reader<'_>, vm: &Node, plugin: &mut Plugin, version: Version) {
    vm.of(Message::VmConfig);
    plugin.vm_id = reader.text(vm, "vm_id").unwrap_or_default();
    if let Some(given) = vm.get("configuration") {
        plugin.vm_configuration = configuration(reader, given, "vm_config.configuration", version);
    }
    vm.pass(&["allow_precompiled", "nack_on_code_cache_miss"]);
    match reader.text(vm, "runtime").as_deref() {
        None | Some("" | "envoy.wasm.runtime.v8") => {}
        Some(runtime) => {
            let what = format!("the runtime `{runtime}` is not in Envoy 1.40, and has no meaning in a component");
            reader.report.differs(reader.object, vm.place(), what, "Take `runtime` out.");
        }
    }
    environment(reader, vm, plugin);
    plugin.allowed_capabilities = restriction(reader, vm);
    match vm.get("code") {
        Some(code) => plugin.code = read_code(reader, code),
        None => {
            reader.report.wrong(reader.object, vm.place(), "its `vm_config` has no `code`", "Say where its code is.")
        }
    }
}

fn environment(reader: Reader<'_>, vm: &Node, plugin: &mut Plugin) {
    let Some(variables) = vm.get("environment_variables") else { return };
    variables.of(Message::EnvironmentVariables);
    let hosts = reader.texts(variables, "host_env_keys");
    for entry in variables.get("key_values").map(Node::entries).unwrap_or_default() {
        entry.node.mark();
        if hosts.contains(&entry.key) {
            let what =
                format!("the environment variable `{}` is both in `host_env_keys` and in `key_values`", entry.key);
            reader.report.wrong(reader.object, entry.place, what, "Take it out of one; Envoy refuses both.");
        }
        match entry.node.as_text() {
            Some(text) => plugin.environment.push((entry.key.clone(), text.into())),
            None => {
                let what = format!("the environment variable `{}` is no text", entry.key);
                reader.report.wrong(
                    reader.object,
                    entry.node.place(),
                    what,
                    "Put it in quotes; Envoy refuses it as it is.",
                );
            }
        }
    }
    for key in hosts {
        let what = format!(
            "the environment variable `{key}` is the proxy's own: a component is made before it runs, and sees no host's"
        );
        let remedy =
            format!("Write its value into the settings file, as `environment = {{ {key} = \"…\" }}` of this plugin.");
        reader.report.lost(reader.object, variables.place(), what, remedy);
    }
}

/// The names that a `capability_restriction_config` allows; without any it restricts nothing (measured on Envoy 1.40).
///
/// Envoy takes any text for a name. One that is none here allows nothing, as in Envoy.
fn restriction(reader: Reader<'_>, node: &Node) -> Vec<String> {
    let Some(restriction) = node.get("capability_restriction_config") else { return Vec::new() };
    restriction.of(Message::CapabilityRestrictionConfig);
    let Some(allowed) = restriction.get("allowed_capabilities") else { return Vec::new() };
    allowed.mark_all();
    let (known, unknown): (Vec<_>, Vec<_>) = allowed.entries().iter().partition(|entry| is_capability(&entry.key));
    for entry in &unknown {
        let what = format!("`allowed_capabilities` names `{}`, which is neither a host call nor a callback", entry.key);
        reader.report.unknown(reader.object, entry.place, what, "Is it a slip? It allows nothing, in Envoy neither.");
    }
    let mut names: Vec<String> = known.into_iter().map(|entry| entry.key.clone()).collect();
    if names.is_empty() && !unknown.is_empty() {
        // Nothing is allowed, which no list says that has nothing in it.
        names.push(ALLOCATORS[0].into());
    }
    names.sort();
    names.dedup();
    names
}

/// Reads `envoy.config.core.v3.AsyncDataSource`.
fn read_code(reader: Reader<'_>, node: &Node) -> Code {
    node.of(Message::AsyncDataSource);
    let mut code = Code::default();
    // Before there was code from elsewhere, it had the fields of what is local.
    let is_old = ["filename", "inline_string", "inline_bytes"].iter().any(|field| node.peek(field).is_some());
    if let Some(local) = node.get("local").or(Some(node).filter(|_| is_old)) {
        local.of(Message::DataSource);
        local.pass(&["watched_directory"]);
        code.from = reader.text(local, "filename").unwrap_or_default();
        if let Some(text) = reader.text(local, "inline_string") {
            code.inline = Some(text.into_bytes());
        } else if let Some(text) = reader.text(local, "inline_bytes") {
            code.inline = protobuf::base64(&text);
            if code.inline.is_none() {
                reader.report.wrong(reader.object, local.place(), "`inline_bytes` is no base64", "Correct it.");
            }
        } else if let Some(variable) = reader.text(local, "environment_variable") {
            code.from = format!("${variable}");
        }
    } else if let Some(remote) = node.get("remote") {
        remote.of(Message::RemoteDataSource);
        remote.pass(&["retry_policy"]);
        code.sha256 = reader.text(remote, "sha256").unwrap_or_default().to_ascii_lowercase();
        if let Some(uri) = remote.get("http_uri") {
            uri.mark_all();
            code.from = uri.peek_text("uri").unwrap_or_default().into();
        }
    }
    if code.from.is_empty() && code.inline.is_none() {
        reader.report.wrong(
            reader.object,
            node.place(),
            "`code` names no file and no address",
            "Say where the code is.",
        );
    }
    code
}
