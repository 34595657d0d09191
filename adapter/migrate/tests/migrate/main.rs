//! Configurations in, settings and a report out.

#![allow(clippy::unwrap_used, reason = "a test may fail by it")]

mod common;
mod composite;
mod control_planes;
mod cors;
mod guards;
mod shapes;
mod strangers;

use std::path::Path;

use proptest::prelude::*;
use proxy_wasm_adapter::{Options as Adapt, adapt, settings};
use proxy_wasm_adapter_migrate::Outcome;

use common::{CLUSTER, CODE, CONFIGURATION, ROUTE, bootstrap, finding, losses, plain, run, settings_of, wasm, with};

#[test]
fn a_bootstrap_becomes_settings() {
    let migration = run(&plain(""));
    assert_eq!(losses(&migration), Vec::<String>::new());
    let text = settings_of(&migration);
    assert_eq!(
        text,
        r#"# envoy.yaml:22:23 static_resources.listeners[0].filter_chains[0].filters[0].typed_config.http_filters[0].typed_config.config
[[plugin]]
filter = "mark.wasm"
name = "mark"
root_id = "root"
configuration = """
mark = "seen"
"""

# envoy.yaml:17:17 static_resources.listeners[0].filter_chains[0].filters[0].typed_config.route_config.virtual_hosts[0].routes[0]
[[route]]
cluster = "backend"
timeout = 250

# envoy.yaml:26:5 static_resources.clusters[0]
[clusters.backend]
url = "http://web:80"
"#
    );
    let component = &migration.components[0];
    assert_eq!(component.serve_options, ["--failure-policy", "closed", "--stat-prefix", "http"]);
    assert_eq!(component.outbound, ["http://web:80"]);
}

/// The library reads what was written, and makes a component of it.
#[test]
fn the_settings_make_a_component() {
    let direct =
        r#"              - {match: {prefix: "/"}, direct_response: {status: 200, body: {inline_string: "a\"b\n"}}}"#;
    for (routes, cluster) in [(ROUTE, CLUSTER), (direct, CLUSTER)] {
        let plugin = format!("{{name: mark, configuration: {CONFIGURATION}, {CODE}}}");
        let migration = run(&bootstrap(&plugin, routes, cluster));
        let component = &migration.components[0];
        let input = settings::parse("main.toml", settings_of(&migration)).unwrap();
        assert_eq!(input.filters().unwrap(), [Path::new("mark.wasm")]);
        let options: Adapt = input.resolve(1, &|_| Err("no file is named".into())).unwrap();
        assert_eq!(options.settings.plugins[0].configuration, b"mark = \"seen\"\n");
        let filters: Vec<&[u8]> = component.files.iter().map(|file| file.bytes.as_slice()).collect();
        adapt(&filters, &options).unwrap();
    }
}

#[test]
fn each_field_that_nobody_reads_is_told() {
    let text = plain("").replace("stat_prefix: http", "stat_prefx: http\n          tracing: {}");
    let migration = run(&text);
    let slip = finding(&migration, "`stat_prefx` is no field");
    assert_eq!((slip.outcome, slip.line, slip.column), (Outcome::Unknown, 10, 11));
    assert!(slip.path.ends_with("typed_config.stat_prefx"), "{}", slip.path);
    assert_eq!(finding(&migration, "`tracing` is not carried").outcome, Outcome::NotCarried);
}

#[test]
fn plugin_fields() {
    for (more, outcome, what) in [
        (", fail_open: true", Outcome::CarriedWithDifference, "to fail open becomes"),
        (", failure_policy: FAIL_OPEN", Outcome::CarriedWithDifference, "to fail open becomes"),
        (", fail_open: true, failure_policy: fail_reload", Outcome::Wrong, "both `fail_open` and"),
        (", failure_policy: FAIL_CLOSE", Outcome::Wrong, "`failure_policy` is"),
        (", reload_config: {backoff: {base_interval: 2s}}", Outcome::NotCarried, "`reload_config`"),
        (
            ", capability_restriction_config: {allowed_capabilities: {prxy_log: {}}}",
            Outcome::Unknown,
            "names `prxy_log`, which is neither",
        ),
    ] {
        let migration = run(&plain(more));
        assert_eq!(finding(&migration, what).outcome, outcome, "{more}");
    }
    let unrestricted = run(&plain(", capability_restriction_config: {}"));
    assert_eq!(losses(&unrestricted), Vec::<String>::new());
    let restricted = |text: &str| settings_of(&run(&plain(text))).contains("allowed_capabilities = [\"malloc\"]");
    assert!(
        restricted(", capability_restriction_config: {allowed_capabilities: {prxy_log: {}}}"),
        "nothing is allowed"
    );
    let environment = "vm_config: {environment_variables: {key_values: {A: x}, host_env_keys: [TOKEN]}, code: {local: {filename: a.wasm}}}";
    let migration = run(&bootstrap(&format!("{{{environment}}}"), ROUTE, CLUSTER));
    assert!(settings_of(&migration).contains("environment = { A = \"x\" }"), "{}", settings_of(&migration));
    assert_eq!(finding(&migration, "`TOKEN` is the proxy's own").outcome, Outcome::NotCarried);
}

#[test]
fn code_that_is_not_there_or_another() {
    let missing = with(&[("envoy.yaml", &plain(""))], None, &|_| None);
    assert!(!missing.components[0].is_whole());
    assert!(finding(&missing, "`/etc/envoy/mark.wasm` is not at hand").remedy.contains("--code mark.wasm="));
    let remote = "vm_config: {code: {remote: {http_uri: {uri: 'https://u:secret@h/x.wasm?t=secret', cluster: c, timeout: 1s}, sha256: abc}}}";
    let text = bootstrap(&format!("{{{remote}}}"), ROUTE, CLUSTER);
    let missing = with(&[("envoy.yaml", &text)], None, &|_| None);
    assert!(finding(&missing, "not at hand").remedy.contains("curl -fLo x.wasm https://h/x.wasm"));
    assert!(!missing.to_markdown(&[]).contains("secret") && !missing.to_json().contains("secret"));
    assert!(finding(&run(&text), "has the sha256").what.contains("wants abc"));
}

/// The configuration is in the settings, and nowhere in the report.
#[test]
fn no_secret_in_the_report() {
    let migration = run(&plain(
        ", configuration: {'@type': type.googleapis.com/google.protobuf.StringValue, value: {hunter2: hunter2}}",
    ));
    assert!(migration.has_errors());
    assert!(!migration.to_markdown(&[]).contains("hunter2") && !migration.to_json().contains("hunter2"));
}

#[test]
fn routes_are_virtual_hosts() {
    let routes = r#"              - {name: v1, match: {path_separated_prefix: /v1, headers: [{name: x-a, string_match: {exact: "1", ignore_case: true}, invert_match: true}]}, route: {prefix_rewrite: /, weighted_clusters: {clusters: [{name: backend, weight: 90}, {name: backend, weight: 10}]}}, request_headers_to_add: [{header: {key: x, value: "%REQ(:path)%"}, append: false}]}
              - {match: {safe_regex: {regex: "/item/[0-9]+"}}, redirect: {https_redirect: true, response_code: found}}
              - {match: {prefix: /x, dynamic_metadata: [{filter: f}]}, route: {cluster: backend}}
              - {match: {path: /y, runtime_fraction: {default_value: {numerator: 50}}}, route: {cluster: backend}}
              - {match: {path: /n}, non_forwarding_action: {}}
              - {match: {prefx: /z}, route: {cluster: backend}}
              - {match: {prefix: /w, runtime_fraction: {default_value: {numerator: 10000, denominator: TEN_THOUSAND}, runtime_key: k}}, route: {cluster: backend}}
              - {match: {prefix: /}, route: {cluster: backend, hash_policy: [{connection_properties: {source_ip: true}}]}}"#;
    let migration = run(&bootstrap(&format!("{{{CODE}}}"), routes, CLUSTER));
    let text = settings_of(&migration);
    let table: toml::Table = toml::from_str(text).unwrap();
    let host = &table["virtual_host"][0];
    let routes = host["route"].as_array().unwrap();
    assert_eq!(routes.len(), 8);
    assert_eq!(
        host["route"][0],
        toml::from_str::<toml::Value>(
            r#"name = "v1"
            match = { separated_prefix = "/v1", headers = [{ name = "x-a", exact = "1", ignore_case = true, invert = true }] }
            prefix_rewrite = "/"
            weighted_clusters = [{ cluster = "backend", weight = 90 }, { cluster = "backend", weight = 10 }]
            request_headers = { add = [{ name = "x", value = "%REQ(:path)%", action = "overwrite" }] }"#
        )
        .unwrap()
    );
    assert_eq!(
        host["route"][1],
        toml::from_str::<toml::Value>(
            "match = { regex = '/item/[0-9]+' }\nredirect = { scheme = 'https', status = 302 }"
        )
        .unwrap()
    );
    // Nobody gets through who may not have got through.
    let refused =
        |text: &str| toml::from_str::<toml::Value>(&format!("match = {{ {text} }}\ndirect_response = 503")).unwrap();
    assert_eq!(routes[2], refused("prefix = '/x'"));
    assert_eq!(routes[3], refused("path = '/y'"));
    assert_eq!(routes[4], refused("path = '/n'"));
    assert_eq!(routes[5], refused("prefix = '/'"));
    assert_eq!(routes[6]["match"], toml::from_str::<toml::Value>("prefix = '/w'").unwrap());
    for field in ["dynamic_metadata", "runtime_fraction", "prefx"] {
        let what = format!("those of routes behind it too: its match has `{field}`");
        assert_eq!(finding(&migration, &what).outcome, Outcome::NotCarried);
    }
    assert_eq!(finding(&migration, "`prefx` is no field").outcome, Outcome::Unknown);
    assert_eq!(finding(&migration, "counts as its default says").outcome, Outcome::CarriedWithDifference);
    assert_eq!(finding(&migration, "`hash_policy` is not carried").outcome, Outcome::NotCarried);
}

#[test]
fn a_cluster_that_is_another_listener_is_its_answer() {
    let clusters = CLUSTER.replace("address: web, port_value: 80", "address: 127.0.0.1, port_value: 8099");
    let plugin = format!("{{{CODE}}}");
    let text = bootstrap(&plugin, ROUTE, &clusters).replace(
        "  clusters:\n",
        r#"  - address: {socket_address: {address: 127.0.0.1, port_value: 8099}}
    filter_chains:
    - filters:
      - name: h
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          route_config: {virtual_hosts: [{name: a, domains: ["*"], routes: [{match: {prefix: /}, direct_response: {status: 200, body: {inline_string: hi}}}]}]}
          http_filters: [{name: envoy.filters.http.router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]
  clusters:
"#,
    );
    let migration = run(&text);
    let settings = settings_of(&migration);
    assert!(
        settings.contains("direct_response = { body = \"hi\", status = 200 }") && !settings.contains("[clusters"),
        "{settings}"
    );
    assert!(migration.components[0].outbound.is_empty());
    assert_eq!(losses(&migration), Vec::<String>::new());
}

/// Envoy takes one value for a list of one; the examples of the Rust SDK have it so (measured on Envoy 1.40).
#[test]
fn one_value_is_a_list_of_one() {
    let text = plain("")
        .replace("  - name: main\n    address", "    name: main\n    address")
        .replace("    - filters:", "      filters:")
        .replace(r#"domains: ["*"]"#, r#"domains: "*""#);
    let migration = run(&text);
    assert_eq!(losses(&migration), Vec::<String>::new());
    assert!(settings_of(&migration).contains("[[route]]"));
}

#[test]
fn old_files() {
    let router = plain("").replace(
        "            typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}\n",
        "",
    );
    let migration = run(&router);
    assert_eq!(losses(&migration), Vec::<String>::new());
    assert_eq!(finding(&migration, "the router has no").outcome, Outcome::CarriedWithDifference);
    let v2 = run(&plain("").replace("            typed_config:\n              \"@type\": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm\n              config:", "            config:\n              config:"));
    let read = finding(&v2, "`config` is of Envoy's API v2");
    assert!(read.outcome == Outcome::CarriedWithDifference && read.remedy.contains("filters.http.wasm.v3.Wasm"));
    assert!(settings_of(&v2).contains("name = \"mark\""));
}

#[test]
fn a_config_dump_makes_the_same_settings() {
    let nodes: dumped::Dump = dumped::dump();
    let migration = with(&[("dump.json", &nodes.0)], None, &|_| Some(wasm()));
    assert_eq!(losses(&migration), Vec::<String>::new());
    let without_origins =
        |text: &str| text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
    assert_eq!(without_origins(settings_of(&migration)), without_origins(settings_of(&run(&plain("")))));
}

/// What `/config_dump` prints of the same configuration: the filter by discovery, clusters twice.
mod dumped {
    pub(super) struct Dump(pub(super) String);

    pub(super) fn dump() -> Dump {
        let plugin = r#"{"name": "mark", "root_id": "root", "vm_config": {"runtime": "envoy.wasm.runtime.v8", "code": {"local": {"filename": "/etc/envoy/mark.wasm"}}}, "configuration": {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": "mark = \"seen\"\n"}}"#;
        let cluster = r#"{"@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", "name": "backend", "type": "STRICT_DNS", "load_assignment": {"cluster_name": "backend", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"socket_address": {"address": "web", "port_value": 80}}}}]}]}}"#;
        let routes = r#"{"name": "local", "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "backend", "timeout": "0.250s"}}]}]}"#;
        let filters = r#"[{"name": "ns.mark", "config_discovery": {"config_source": {"ads": {}}, "type_urls": ["type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"]}}, {"name": "envoy.filters.http.router", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}]"#;
        let manager = format!(
            r#"{{"@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": "http", "route_config": {routes}, "http_filters": {filters}}}"#
        );
        let listener = format!(
            r#"{{"@type": "type.googleapis.com/envoy.config.listener.v3.Listener", "name": "main", "address": {{"socket_address": {{"address": "0.0.0.0", "port_value": 8080}}}}, "filter_chains": [{{"filters": [{{"name": "h", "typed_config": {manager}}}]}}]}}"#
        );
        Dump(format!(
            r#"{{"configs": [
{{"@type": "type.googleapis.com/envoy.admin.v3.BootstrapConfigDump", "bootstrap": {{"static_resources": {{"clusters": [{cluster}]}}}}}},
{{"@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump", "static_clusters": [{{"cluster": {cluster}, "last_updated": "x"}}]}},
{{"@type": "type.googleapis.com/envoy.admin.v3.ListenersConfigDump", "dynamic_listeners": [{{"name": "main", "active_state": {{"version_info": "1", "listener": {listener}}}}}]}},
{{"@type": "type.googleapis.com/envoy.admin.v3.EcdsConfigDump", "ecds_filters": [{{"ecds_filter": {{"@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig", "name": "ns.mark", "typed_config": {{"@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm", "config": {plugin}}}}}}}]}}]}}"#
        ))
    }
}

/// A filter for one kind of traffic is not there for another, and a cluster comes along.
/// A name may have anything in it, and stand there twice.
#[test]
fn names_of_clusters() {
    let odd = CLUSTER.replace("name: backend", r#"name: "outbound|80||a.b\n\"c\"""#);
    let migration = run(&bootstrap(&format!("{{{CODE}}}"), ROUTE, &format!("{CLUSTER}\n{odd}\n{CLUSTER}")));
    let table: toml::Table = toml::from_str(settings_of(&migration)).unwrap();
    assert!(table["clusters"].get("outbound|80||a.b\n\"c\"").is_some(), "{table}");
    assert_eq!(losses(&migration), Vec::<String>::new());
    let other = CLUSTER.replace("address: web", "address: other");
    let twice = run(&bootstrap(&format!("{{{CODE}}}"), ROUTE, &format!("{CLUSTER}\n{other}")));
    assert_eq!(finding(&twice, "another cluster has the name").outcome, Outcome::Wrong);
}

#[test]
fn bad_input() {
    for (text, what) in [
        ("", "it is empty"),
        ("# nothing\n", "no Wasm HTTP filter"),
        ("a: 1", "no configuration that is known"),
        ("a: {{ .Values.x }}", "has a key that is no text"),
        ("static_resources: {listeners: 5}", "no Wasm HTTP filter"),
        ("kind: HTTPRoute\napiVersion: x/v1\n", "it says where requests go"),
        ("kind: Deployment\napiVersion: apps/v1\n", "nothing to do with Wasm filters"),
    ] {
        let migration = run(text);
        assert!(migration.has_losses(), "{text}");
        finding(&migration, what);
    }
    let missing = run(&plain("").replace("route: {cluster: backend", "route: {cluster: other"));
    assert_eq!(finding(&missing, "`other`, which is not in the input").outcome, Outcome::Wrong);
    let port = run(&plain("").replace("port_value: 80}", "port: 80}"));
    assert_eq!(finding(&port, "the endpoint `web` has no port").outcome, Outcome::NotCarried);
    assert_eq!(finding(&port, "`backend`, which has no address here").outcome, Outcome::Wrong);
    let named = run(&plain("").replace("name: mark,", "name: n,"));
    assert_eq!(finding(&named, "`name` is true or false").outcome, Outcome::Wrong);
    let regex = run(&plain("").replace(r#"{prefix: "/"}"#, r#"{safe_regex: {regex: "(?=a)"}}"#));
    assert_eq!(finding(&regex, "none of RE2's").outcome, Outcome::Wrong);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is cut out of a file, and put in, there is a report.
    #[test]
    fn never_panics(at in 0usize..2000, length in 0usize..60, put in "[-\\[\\]{}:,&*!|>'\" \na0~]{0,8}") {
        let mut text = plain("");
        let at = at.min(text.len());
        let end = (at + length).min(text.len());
        text.replace_range(at..end, &put);
        let migration = run(&text);
        prop_assert!(!migration.findings.is_empty());
        for component in &migration.components {
            let settings = std::str::from_utf8(&component.settings.bytes).unwrap();
            prop_assert!(toml::from_str::<toml::Table>(settings).is_ok(), "{settings}");
        }
        let _ = (migration.to_markdown(&[]), migration.to_json());
    }
}

/// Settings with this route and this cluster, and what was said of them.
fn routed(route: &str, cluster: &str) -> (String, Vec<String>) {
    let routes = format!("              - {{match: {{prefix: /}}, route: {{cluster: backend, {route}}}}}");
    let migration = run(&bootstrap("{vm_config: {code: {local: {filename: f.wasm}}}}", &routes, cluster));
    let settings = settings_of(&migration).to_owned();
    let parsed = settings::parse("s", &settings).unwrap();
    let problems = parsed.resolve(1, &|_| Ok(Vec::new())).err().unwrap_or_default();
    assert!(problems.is_empty(), "{problems:?}\n{settings}");
    (settings, losses(&migration))
}

#[test]
fn retries() {
    let policy = "retry_policy: {retry_on: '5xx,made-up, retriable-status-codes', num_retries: 3, per_try_timeout: 0.5s, \
                  retriable_status_codes: [429], retry_back_off: {base_interval: 0.1s}, retry_host_predicate: \
                  [{name: envoy.retry_host_predicates.previous_hosts}], per_try_idle_timeout: 1s}";
    let (settings, losses) = routed(policy, CLUSTER);
    let wanted = "retry_policy = { base_interval = 100, num_retries = 3, per_try_timeout = 500, \
                  retriable_status_codes = [429], retry_on = [\"5xx\", \"retriable-status-codes\"] }";
    assert!(settings.contains(wanted), "{settings}");
    assert_eq!(losses.len(), 1, "{losses:?}");
    assert!(losses[0].contains("per_try_idle_timeout"), "{losses:?}");
}

#[test]
fn several_endpoints() {
    let endpoint = |host: &str, more: &str| {
        format!("{{endpoint: {{address: {{socket_address: {{address: {host}, port_value: 80}}}}}}{more}}}")
    };
    let cluster = format!(
        "  - {{name: backend, type: STRICT_DNS, lb_policy: RANDOM, load_assignment: {{cluster_name: backend, endpoints: [\
         {{lb_endpoints: [{}, {}]}}, {{priority: 1, lb_endpoints: [{}]}}]}}}}",
        endpoint("a", ""),
        endpoint("b", ", load_balancing_weight: 3"),
        endpoint("c", ""),
    );
    let (settings, losses) = routed("timeout: 1s", &cluster);
    let wanted = "endpoints = [\"http://a:80\", { url = \"http://b:80\", weight = 3 }]\nlb_policy = \"random\"";
    assert!(settings.contains(wanted), "{settings}");
    // Envoy never asks that of the later priority.
    assert_eq!(losses, Vec::<String>::new());
}

#[test]
fn http2_of_clusters() {
    let with = |options: &str| CLUSTER.replace("type: STRICT_DNS", &format!("type: STRICT_DNS, {options}"));
    let protocol = |explicit: &str| {
        with(&format!(
            "typed_extension_protocol_options: {{envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {{\"@type\": \
             type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, explicit_http_config: {explicit}}}}}"
        ))
    };
    for (cluster, is_http2) in [
        (with("http2_protocol_options: {}"), true),
        (protocol("{http2_protocol_options: {}}"), true),
        (protocol("{http_protocol_options: {}}"), false),
        (CLUSTER.to_owned(), false),
    ] {
        let (settings, _) = routed("timeout: 1s", &cluster);
        assert_eq!(settings.contains("http2 = true"), is_http2, "{cluster}\n{settings}");
    }
}

/// A component has the clusters of its own routes, those that no route leads to, and those that its filters name.
#[test]
fn clusters_of_other_listeners_routes_are_left_out() {
    let listener = |name: &str, configuration: &str, route: &str| {
        format!(
            r#"  - name: {name}
    filter_chains:
    - filters:
      - typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          route_config: {{virtual_hosts: [{{name: v, domains: ["*"], routes: [{{match: {{prefix: /}}, {route}}}]}}]}}
          http_filters:
          - name: w
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm, config: {{name: w, configuration: {{"@type": t/google.protobuf.StringValue, value: '{configuration}'}}, {CODE}}}}}
"#
        )
    };
    let cluster = |name: &str| CLUSTER.replace("backend", name) + "\n";
    let text = format!(
        "static_resources:\n  listeners:\n{}{}  clusters:\n{}",
        listener("one", "call = c", "route: {cluster: a}"),
        listener("two", "{}", "route: {weighted_clusters: {clusters: [{name: b, weight: 1}, {name: c, weight: 1}]}}"),
        ["a", "b", "c", "d"].map(cluster).concat(),
    );
    let migration = run(&text);
    let clusters = |index: usize| {
        let text = String::from_utf8(migration.components[index].settings.bytes.clone()).unwrap();
        text.lines().filter(|line| line.starts_with("[clusters.")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(clusters(0), ["[clusters.a]", "[clusters.c]", "[clusters.d]"], "{:#?}", migration.findings);
    assert_eq!(clusters(1), ["[clusters.b]", "[clusters.c]", "[clusters.d]"]);
    finding(&migration, "one cluster is left out of it");
}
