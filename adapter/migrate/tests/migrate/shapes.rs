//! The shapes in which configurations come, and what each part of a route says of filters.

use proxy_wasm_adapter_migrate::Outcome;

use crate::common::{CLUSTER, CODE, ROUTE, bootstrap, finding, losses, plain, run, settings_of, wasm, with};

/// A text, with each line this far to the right.
fn indented(text: &str, by: usize) -> String {
    text.lines().map(|line| format!("{:by$}{line}\n", "")).collect()
}

/// What is in a ConfigMap is read, and stands where it does in the file.
#[test]
fn a_config_map_with_a_configuration() {
    let inner = plain("").replace("stat_prefix: http", "stat_prefx: http");
    let line = 1 + inner.lines().position(|line| line.contains("stat_prefx")).unwrap();
    let column = 1 + inner.lines().find_map(|line| line.find("stat_prefx")).unwrap();
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: proxy}\ndata:\n  other: x\n  envoy.yaml: |\n";
    let migration = run(&format!("{map}{}", indented(&inner, 4)));
    assert!(settings_of(&migration).contains("name = \"mark\""));
    let slip = finding(&migration, "`stat_prefx` is no field");
    assert_eq!((slip.line, slip.column), (line + map.lines().count(), column + 4));
    let without = run("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {a: b}\n");
    assert!(finding(&without, "it holds no configuration of Envoy's").outcome.is_loss());
    let broken = run(&format!("{map}    static_resources:\n      listeners: [\n"));
    let error = finding(&broken, "is not YAML");
    assert!(error.line > 6 && error.object.contains("`envoy.yaml`"), "{error:?}");
}

#[test]
fn dumps_by_namespace_and_pod() {
    let bootstrap: serde_json::Value = serde_json::json!({"configs": [{
        "@type": "type.googleapis.com/envoy.admin.v3.BootstrapConfigDump", "bootstrap": {"static_resources": {"listeners": [], "clusters": []}},
    }]});
    let text = serde_json::json!({"ns": {"pod": bootstrap}}).to_string();
    let migration = with(&[("dump.json", &text)], None, &|_| Some(wasm()));
    assert!(migration.findings.iter().all(|finding| !finding.what.contains("no configuration that is known")));
}

/// As Envoy Gateway writes them: all in the default chain.
#[test]
fn a_listener_with_a_default_chain_alone() {
    let filters = format!(
        "[{{name: m, typed_config: {{'@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: s, route_config: {{virtual_hosts: [{{name: v, domains: ['*'], routes: [{{match: {{prefix: /}}, direct_response: {{status: 200}}}}]}}]}}, http_filters: [{{name: w, typed_config: {{'@type': type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm, config: {{name: mark, {CODE}}}}}}}]}}}}]"
    );
    let migration = run(&format!("- {{name: l, default_filter_chain: {{filters: {filters}}}}}\n"));
    assert!(settings_of(&migration).contains("name = \"mark\""));
}

/// Envoy reads it so; YAML does not.
#[test]
fn quoted_text_that_goes_on_too_far_left() {
    let text = plain("").replace("stat_prefix: http", "stat_prefix: \"ht\n\n  tp\"");
    assert_eq!(losses(&run(&text)), Vec::<String>::new());
    // Where it is not within quotes, it is an error still.
    assert!(run("a: b\n c: d\n").has_errors());
}

#[test]
fn a_plugin_without_a_name_is_called_by_its_filter() {
    let text = bootstrap(&format!("{{{CODE}}}"), ROUTE, CLUSTER);
    let migration = with(&[("envoy.yaml", &text)], None, &|_| None);
    assert_eq!(finding(&migration, "is not at hand").object, "the plugin of the filter `wasm`");
}

/// Each at an address of its own: the one that answers is meant.
#[test]
fn two_listeners_at_one_port() {
    let answer = plain("")
        .replace("name: main", "name: answer")
        .replace("0.0.0.0", "127.0.0.1")
        .replace("route: {cluster: backend, timeout: 0.25s}", "direct_response: {status: 200}");
    let (before, _) = answer.split_once("          - name: wasm").unwrap();
    let (_, listener) = before.split_once("  listeners:\n").unwrap();
    let text = plain("")
        .replace("address: web, port_value: 80", "address: 127.0.0.1, port_value: 8080")
        .replace("  clusters:\n", &format!("{listener}          - {{name: envoy.filters.http.router}}\n  clusters:\n"));
    let migration = run(&text);
    assert!(settings_of(&migration).contains("direct_response = { status = 200 }"), "{}", settings_of(&migration));
    assert!(migration.findings.iter().all(|finding| !finding.what.contains("does more than answer")));
}

const FILTER_CONFIG: &str = "type.googleapis.com/envoy.config.route.v3.FilterConfig";

/// A bootstrap whose one route says this of the filter `wasm`, which is off in the chain or not.
fn said_of_wasm(says: &str, is_disabled: bool) -> String {
    let route = format!(
        "              - {{match: {{prefix: /}}, route: {{cluster: backend}}, typed_per_filter_config: {{wasm: {says}}}}}"
    );
    let text = bootstrap(&format!("{{name: mark, {CODE}}}"), &route, CLUSTER);
    if is_disabled { text.replace("- name: wasm", "- name: wasm\n            disabled: true") } else { text }
}

#[test]
fn routes_say_which_filters_run() {
    let off = run(&said_of_wasm(&format!("{{'@type': {FILTER_CONFIG}, disabled: true}}"), false));
    assert!(settings_of(&off).contains("plugins = { mark = false }"), "{}", settings_of(&off));
    let on = run(&said_of_wasm(&format!("{{'@type': {FILTER_CONFIG}, config: {{}}}}"), true));
    let settings = settings_of(&on);
    assert!(settings.contains("plugins = { mark = true }") && settings.contains("disabled = true"), "{settings}");
    assert_eq!(losses(&on), Vec::<String>::new());
    let never = run(&plain("").replace("- name: wasm", "- name: wasm\n            disabled: true"));
    assert!(finding(&never, "no route enables it").outcome.is_loss());
    for (says, what) in [
        (format!("{{'@type': {FILTER_CONFIG}}}"), "has a `FilterConfig` here that says nothing"),
        (format!("{{'@type': {FILTER_CONFIG}, config: {{a: b}}}}"), "has a configuration for a route"),
        (
            "{'@type': type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm}".into(),
            "has a configuration for a route",
        ),
        ("{disabled: true}".into(), "without an `@type`"),
    ] {
        assert_eq!(finding(&run(&said_of_wasm(&says, false)), what).outcome, Outcome::Wrong, "{says}");
    }
}

#[test]
fn metadata_of_each_level() {
    let route = "              - {match: {prefix: /}, route: {cluster: backend}, metadata: {filter_metadata: {n: {k: 1.5, l: [a, 2], none: null}}}}";
    let cluster = CLUSTER.replace("type: STRICT_DNS", "type: STRICT_DNS, metadata: {filter_metadata: {c: {x: true}}}");
    let text = bootstrap(&format!("{{name: mark, {CODE}}}"), route, &cluster).replace(
        "  - name: main",
        "  - name: main\n    traffic_direction: INBOUND\n    metadata: {filter_metadata: {l.m: {a: text, b: 2}}}",
    );
    let migration = run(&text);
    let settings: toml::Table = toml::from_str(settings_of(&migration)).unwrap();
    // Of YAML, Envoy reads a fraction as text.
    let route = settings["virtual_host"][0]["route"][0]["metadata"]["n"].clone();
    assert_eq!(route.to_string(), r#"{ k = "1.5", l = ["a", 2] }"#);
    assert_eq!(settings["clusters"]["backend"]["metadata"]["c"]["x"].as_bool(), Some(true));
    let properties = settings["properties"].as_table().unwrap();
    assert_eq!(properties["xds.listener_direction"].as_integer(), Some(1));
    assert_eq!(properties["xds.listener_metadata.filter_metadata.l\\.m.a"].as_str(), Some("text"));
    assert_eq!(properties["xds.listener_metadata.filter_metadata.l\\.m.b"].as_float(), Some(2.0));
    assert_eq!(finding(&migration, "a null in metadata").outcome, Outcome::CarriedWithDifference);
    assert_eq!(losses(&migration), Vec::<String>::new());
}

/// What Envoy takes becomes settings that can be read, whatever is left out.
#[test]
fn routes_for_nobody() {
    for (before, what, outcome) in [
        (
            "- {match: {path: a/b}, route: {cluster: backend}}",
            "no path begins as `a/b`",
            Outcome::CarriedWithDifference,
        ),
        ("- {match: {prefix: a}, route: {cluster: backend}}", "no path begins as `a`", Outcome::CarriedWithDifference),
        (
            "- {match: {prefix: /, runtime_fraction: {default_value: {numerator: 0}}}, route: {cluster: backend}}",
            "`runtime_fraction` is 0",
            Outcome::CarriedWithDifference,
        ),
        (
            "- {match: {prefix: /a}, route: {inline_cluster_specifier_plugin: {}}}",
            "how it finds its cluster",
            Outcome::NotCarried,
        ),
        (
            "- {match: {path_match_policy: {typed_config: {path_template: '/t/{a}'}}}, route: {cluster: backend}}",
            "`path_match_policy`",
            Outcome::NotCarried,
        ),
        ("- {match: {prefix: /}}", "it has no action", Outcome::Wrong),
    ] {
        let migration = run(&plain("").replace(ROUTE, &format!("              {before}\n{ROUTE}")));
        assert_eq!(finding(&migration, what).outcome, outcome, "{before}");
    }
}

#[test]
fn tables_and_clusters_of_nothing() {
    let none = run(&bootstrap(&format!("{{name: mark, {CODE}}}"), "", CLUSTER).replace("virtual_hosts:", "x_hosts:"));
    assert_eq!(finding(&none, "answered 404").outcome, Outcome::CarriedWithDifference);
    assert!(
        settings_of(&none).contains("[[virtual_host]]\nname = \"none\"\ndomains = [\"*\"]\n"),
        "{}",
        settings_of(&none)
    );
    let empty = run(&plain("").replace(CLUSTER, "  - {name: backend, type: STATIC}"));
    assert_eq!(finding(&empty, "the cluster `backend` has no endpoint").outcome, Outcome::CarriedWithDifference);
    assert!(!empty.has_losses(), "{:#?}", empty.findings);
}

/// The report has the options that make `serve` write the same log.
#[test]
fn access_logs() {
    for (log, what, remedy) in [
        ("wasm.v3.WasmAccessLog", "an access logger in Wasm", "proxy_on_log"),
        ("grpc.v3.HttpGrpcAccessLogConfig", "HttpGrpcAccessLogConfig` is not carried", "`serve --access-log FILE`"),
        ("stream.v3.StdoutAccessLog", "where `serve` is told to", "`--access-log -`"),
        ("file.v3.FileAccessLog, path: /dev/stdout", "where `serve` is told to", "`--access-log -`"),
        (
            "file.v3.FileAccessLog, path: /var/log/a b, format: \"it's %PROTOCOL%\\n\"",
            "where `serve` is told to",
            r"`--access-log '/var/log/a b' --access-log-format 'it'\''s %PROTOCOL%'`",
        ),
        (
            "stream.v3.StderrAccessLog, log_format: {json_format: {b: '%PROTOCOL%', a: {c: 1}}}",
            "where `serve` is told to",
            r#"`--access-log /dev/stderr --access-log-json '{"a":{"c":1},"b":"%PROTOCOL%"}'`"#,
        ),
        (
            "stream.v3.StdoutAccessLog, log_format: {text_format_source: {inline_string: \"a\\nb\\n\"}}",
            "where `serve` is told to",
            "`--access-log FILE`, with",
        ),
        (
            "stream.v3.StdoutAccessLog, log_format: {text_format_source: {filename: format.txt}}",
            "where `serve` is told to",
            "`--access-log FILE`, with",
        ),
        ("stream.v3.StdoutAccessLog}, filter: {traceable_filter: {}", "whatever its `filter` says", "`--access-log -`"),
    ] {
        let log = format!(
            "access_log: [{{name: a, typed_config: {{'@type': type.googleapis.com/envoy.extensions.access_loggers.{log}}}}}]"
        );
        let migration = run(&plain("").replace("stat_prefix: http", &format!("stat_prefix: http\n          {log}")));
        let found = finding(&migration, what);
        assert!(found.remedy.contains(remedy), "{log}: {found:?}");
        assert_eq!(migration.findings.iter().filter(|found| found.path.contains("access_log")).count(), 1);
    }
}

#[test]
fn mistakes_with_their_remedies() {
    let placeholder = plain("").replace("port_value: 8080", "port_value: ${PORT}");
    assert!(finding(&run(&placeholder), "is not YAML").remedy.contains("envsubst"));
    let quoted = plain("").replace("port_value: 8080", "port_value: \"${PORT}\"");
    assert_eq!(finding(&run(&quoted), "`port_value` is a placeholder").outcome, Outcome::Wrong);
    let old = plain("").replace("wasm.v3.Wasm", "wasm.v2.Wasm");
    assert!(finding(&run(&old), "is none that Envoy 1.40 knows").remedy.contains("wasm.v3.Wasm"));
    let csrf = "          - {name: csrf, typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.http.csrf.v3.CsrfPolicy}}\n          - name: wasm";
    let beside = run(&plain("").replace("          - name: wasm", csrf));
    assert!(finding(&beside, "an HTTP filter that is no Wasm filter").remedy.contains("origins"));
}
