//! Inputs, and what to look for in what comes of them.

use proxy_wasm_adapter_migrate::{File, Finding, Migration, Options, Wanted, migrate};

pub(crate) const FILTER: &str = r#"(module
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024)))"#;

pub(crate) fn wasm() -> Vec<u8> {
    wat::parse_str(FILTER).unwrap()
}

pub(crate) fn with(
    files: &[(&str, &str)],
    upstream: Option<&str>,
    find: &dyn Fn(Wanted<'_>) -> Option<Vec<u8>>,
) -> Migration {
    let files: Vec<File> =
        files.iter().map(|(name, text)| File { name: (*name).into(), bytes: text.as_bytes().into() }).collect();
    migrate(&files, &Options { find, upstream, listener: None, from: None })
}

pub(crate) fn run(text: &str) -> Migration {
    with(&[("envoy.yaml", text)], None, &|_| Some(wasm()))
}

pub(crate) fn settings_of(migration: &Migration) -> &str {
    let [component] = migration.components.as_slice() else { panic!("{:#?}", migration.findings) };
    std::str::from_utf8(&component.settings.bytes).unwrap()
}

pub(crate) fn finding<'a>(migration: &'a Migration, what: &str) -> &'a Finding {
    migration
        .findings
        .iter()
        .find(|finding| finding.what.contains(what))
        .unwrap_or_else(|| panic!("no `{what}` in {:#?}", migration.findings))
}

pub(crate) fn losses(migration: &Migration) -> Vec<String> {
    migration
        .findings
        .iter()
        .filter(|finding| finding.outcome.is_loss())
        .map(|finding| format!("{}: {}", finding.path, finding.what))
        .collect()
}

pub(crate) const CONFIGURATION: &str =
    r#"{"@type": type.googleapis.com/google.protobuf.StringValue, value: "mark = \"seen\"\n"}"#;

/// A bootstrap with these parts.
pub(crate) fn bootstrap(plugin: &str, routes: &str, clusters: &str) -> String {
    format!(
        r#"static_resources:
  listeners:
  - name: main
    address: {{socket_address: {{address: 0.0.0.0, port_value: 8080}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: http
          route_config:
            name: local
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
{routes}
          http_filters:
          - name: wasm
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
              config: {plugin}
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
{clusters}
"#
    )
}

pub(crate) const ROUTE: &str = r#"              - {match: {prefix: "/"}, route: {cluster: backend, timeout: 0.25s}}"#;
pub(crate) const CLUSTER: &str = "  - {name: backend, type: STRICT_DNS, load_assignment: {cluster_name: backend, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: web, port_value: 80}}}}]}]}}";
pub(crate) const CODE: &str =
    "vm_config: {runtime: envoy.wasm.runtime.v8, code: {local: {filename: /etc/envoy/mark.wasm}}}";

pub(crate) fn plain(more: &str) -> String {
    bootstrap(&format!("{{name: mark, rootId: root, configuration: {CONFIGURATION}, {CODE}{more}}}"), ROUTE, CLUSTER)
}
