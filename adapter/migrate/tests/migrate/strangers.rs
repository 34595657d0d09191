//! Configurations as strangers have them: what Envoy refuses in them, what it reads in its own way, and where else filters stand.

use proxy_wasm_adapter_migrate::{File, Kind, Outcome, migrate};

use crate::common::{CLUSTER, CODE, ROUTE, bootstrap, finding, losses, plain, run, settings_of, wasm, with};

const ROUTER: &str =
    "{name: r, typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}";

fn wasm_filter(name: &str) -> String {
    format!(
        "{{name: {name}, typed_config: {{'@type': type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm, config: {{name: {name}, {CODE}}}}}}}"
    )
}

/// A bootstrap whose one virtual host says this, and whose one route does.
fn routed(host: &str, route: &str) -> String {
    let route = format!("              - {{match: {{prefix: /}}, {route}}}");
    let text = bootstrap(&format!("{{name: mark, {CODE}}}"), &route, CLUSTER);
    let domains = "domains: [\"*\"]";
    assert!(text.contains(domains), "{text}");
    text.replacen(domains, host, 1)
}

#[test]
fn what_envoy_refuses_of_routes() {
    let star = "domains: [\"*\"]";
    for (host, route, what) in [
        ("domains: []", "direct_response: {status: 200}", "it has no `domains`"),
        ("domains: [a, A]", "direct_response: {status: 200}", "its domain `A` is also one of"),
        (star, "direct_response: {status: 99}", "none from 200 to 599"),
        (star, "direct_response: {status: 200}, redirect: {}", "it has both `redirect` and `direct_response`"),
        (star, "route: {cluster: backend, prefix_rewrite: /, regex_rewrite: {pattern: {regex: a}}}", "it has both"),
        (star, "redirect: {path_redirect: /a, prefix_rewrite: /b}", "it has both `path_redirect`"),
        (star, "route: {weighted_clusters: {clusters: [{name: backend, weight: 0}]}}", "come to 0"),
        (star, "route: {cluster: backend}, request_headers_to_remove: [Host]", "`Host` is added or removed"),
        (star, "route: {cluster: backend}, response_headers_to_add: [{header: {key: ':path', value: a}}]", "`:path`"),
        (star, "route: {cluster: backend}, request_headers_to_add: [{header: {key: '', value: a}}]", "without a name"),
        (star, "route: {cluster: backend}, request_headers_to_add: [{header: {key: a, value: '1%'}}]", "percent sign"),
    ] {
        let migration = run(&routed(host, route));
        let found = finding(&migration, what);
        assert_eq!(found.outcome, Outcome::Wrong, "{found}");
        assert!(found.line > 1 && !found.remedy.is_empty(), "{found:?}");
    }
}

#[test]
fn what_envoy_refuses_of_a_chain() {
    let migration = run(&plain("").replace("stat_prefix: http", "server_name: x"));
    assert_eq!(finding(&migration, "no `stat_prefix`").outcome, Outcome::CarriedWithDifference);
    let chain = |filters: &str| {
        let text = plain("");
        let (before, rest) = text.split_once("          http_filters:\n").unwrap();
        let (_, clusters) = rest.split_once("  clusters:\n").unwrap();
        run(&format!("{before}          http_filters: [{filters}]\n  clusters:\n{clusters}"))
    };
    let behind = chain(&format!("{ROUTER}, {}", wasm_filter("w")));
    assert_eq!(finding(&behind, "behind the router").outcome, Outcome::Wrong);
    let without = chain(&wasm_filter("w"));
    assert_eq!(finding(&without, "no router is the last").outcome, Outcome::CarriedWithDifference);
    let right = chain(&format!("{}, {ROUTER}", wasm_filter("w")));
    assert!(right.findings.iter().all(|finding| !finding.what.contains("router")), "{:#?}", right.findings);
}

/// A value that Envoy knows and the component does not costs its header, and no more.
#[test]
fn a_header_with_a_value_that_is_not_known() {
    let adds = "request_headers_to_add: [{header: {key: x-a, value: '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%'}}, {header: {key: x-b, value: b}}]";
    let migration = run(&routed("domains: [\"*\"]", &format!("route: {{cluster: backend}}, {adds}")));
    assert!(finding(&migration, "the header `x-a` is not added").outcome.is_loss());
    let settings = settings_of(&migration);
    assert!(settings.contains("x-b") && !settings.contains("x-a"), "{settings}");
    assert!(!migration.has_errors());
}

#[test]
fn expressions_of_re2() {
    let route = "              - {match: {safe_regex: {regex: '/a{x}[&&]\\Q.\\E'}}, route: {cluster: backend}}";
    let migration = run(&bootstrap(&format!("{{name: mark, {CODE}}}"), route, CLUSTER));
    assert_eq!(losses(&migration), Vec::<String>::new());
    let settings: toml::Table = toml::from_str(settings_of(&migration)).unwrap();
    let found = &settings["virtual_host"][0]["route"][0]["match"]["regex"];
    assert_eq!(found.as_str(), Some(r"/a\{x\}[\&\&]\."));
}

/// As files before 2021 have them: types by names, and configurations as plain text.
#[test]
fn files_of_the_api_v2() {
    let text = r#"static_resources:
  listeners:
  - name: main
    address: {socket_address: {address: 0.0.0.0, port_value: 8080}}
    filter_chains:
    - filters:
      - name: envoy.http_connection_manager
        config:
          stat_prefix: http
          route_config: {virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: web}}]}]}
          http_filters:
          - name: envoy.filters.http.wasm
            config:
              config:
                name: mark
                configuration: "mark = 1"
                vm_config: {runtime: envoy.wasm.runtime.v8, configuration: vm, code: {filename: /etc/a.wasm}}
          - {name: envoy.cors, config: {}}
          - {name: envoy.router, config: {}}
  clusters:
  - {name: web, type: strict_dns, hosts: [{socket_address: {address: web, port_value: 80}}]}
"#;
    let migration = run(text);
    let settings = settings_of(&migration);
    assert!(settings.contains("configuration = \"mark = 1\"") && settings.contains("vm_configuration = \"vm\""));
    assert!(!migration.has_errors(), "{:#?}", migration.findings);
    for what in ["the connection manager's `config`", "read as `typed_config`", "the router's `config`"] {
        let found = finding(&migration, what);
        assert!(found.remedy.contains("@type"), "{found:?}");
    }
    assert!(finding(&migration, "an HTTP filter that is no Wasm filter").outcome.is_loss());
    // Plain text is none of v3's configurations.
    let text = plain("").replacen("configuration: {", "configuration: x # {", 1);
    assert!(run(&text).has_errors());
}

/// Istio's own, which a dump has beside others.
#[test]
fn a_filter_compiled_into_the_proxy() {
    let native = "{name: stats, typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm, config: {vm_config: {runtime: envoy.wasm.runtime.null, code: {local: {inline_string: envoy.wasm.stats}}}}}}";
    let text = plain("").replace("          - name: wasm", &format!("          - {native}\n          - name: wasm"));
    let migration = run(&text);
    assert!(finding(&migration, "its runtime is null").outcome.is_loss());
    assert!(!migration.has_errors(), "{:#?}", migration.findings);
    assert_eq!(settings_of(&migration).matches("[[plugin]]").count(), 1);
}

#[test]
fn listeners_without_a_wasm_filter_need_no_routes() {
    let manager = "{name: m, typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: s, rds: {route_config_name: elsewhere}, http_filters: []}}";
    let other = format!("  - {{name: other, filter_chains: [{{filters: [{manager}]}}]}}\n  - name: main");
    let migration = run(&plain("").replacen("  - name: main", &other, 1));
    assert!(!migration.has_errors(), "{:#?}", migration.findings);
}

const OPTIONS: &str = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

fn with_filter(cluster: &str) -> String {
    let options = format!(
        "type: STRICT_DNS, typed_extension_protocol_options: {{envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {{'@type': {OPTIONS}, explicit_http_config: {{http_protocol_options: {{}}}}, http_filters: [{}, {{name: codec, typed_config: {{'@type': type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec}}}}]}}}}",
        wasm_filter("behind")
    );
    CLUSTER.replace("backend", cluster).replace("type: STRICT_DNS", &options)
}

/// A filter of a cluster runs for the routes to it.
#[test]
fn filters_of_clusters() {
    let plugin = format!("{{name: mark, {CODE}}}");
    let all = run(&bootstrap(&plugin, ROUTE, &with_filter("backend")));
    let settings = settings_of(&all);
    assert!(settings.contains("name = \"behind\"") && !settings.contains("disabled"), "{settings}");
    assert_eq!(finding(&all, "stands behind the router").outcome, Outcome::CarriedWithDifference);
    let routes = "              - {match: {prefix: /a}, route: {cluster: a}}\n              - {match: {prefix: /}, route: {cluster: backend}}";
    let some = run(&bootstrap(&plugin, routes, &format!("{}\n{CLUSTER}", with_filter("a"))));
    let settings: toml::Table = toml::from_str(settings_of(&some)).unwrap();
    assert_eq!(settings["plugin"][1]["disabled"].as_bool(), Some(true));
    let routes = &settings["virtual_host"][0]["route"];
    assert_eq!(routes[0]["plugins"]["behind"].as_bool(), Some(true));
    assert!(routes[1].get("plugins").is_none());
    let chance = "              - {match: {prefix: /}, route: {weighted_clusters: {clusters: [{name: a, weight: 1}, {name: backend, weight: 1}]}}}";
    let chance = run(&bootstrap(&plugin, chance, &format!("{}\n{CLUSTER}", with_filter("a"))));
    assert!(finding(&chance, "only sometimes lead").outcome.is_loss());
}

#[test]
fn filters_of_the_router() {
    let router = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";
    let with = format!("{router}, upstream_http_filters: [{}]", wasm_filter("behind"));
    let migration = run(&plain("").replacen(router, &with, 1));
    assert_eq!(settings_of(&migration).matches("[[plugin]]").count(), 2, "{:#?}", migration.findings);
    assert_eq!(finding(&migration, "stands behind the router").outcome, Outcome::CarriedWithDifference);
}

/// A Wasm filter that another filter chooses is named, whichever way it is written.
#[test]
fn a_filter_behind_a_matcher() {
    let action = "{name: c, typed_config: {'@type': type.googleapis.com/envoy.extensions.common.matching.v3.ExtensionWithMatcher, xds_matcher: {on_no_match: {action: {name: a, typed_config: {'@type': t/x.ExecuteFilterAction, typed_config: {name: w, typed_config: {'@type': t/udpa.type.v1.TypedStruct, type_url: t/envoy.extensions.filters.http.wasm.v3.Wasm}}}}}}}}";
    let text = plain("").replace("          - name: wasm", &format!("          - {action}\n          - name: wasm"));
    let migration = run(&text);
    let found = finding(&migration, "with a Wasm filter within");
    assert!(found.outcome.is_loss() && found.remedy.contains("Put the Wasm filter into the chain"), "{found:?}");
}

/// As documents and SDKs show them.
#[test]
fn filters_by_themselves() {
    for text in [wasm_filter("w"), format!("- {}\n- {ROUTER}\n", wasm_filter("w"))] {
        let migration = with(&[("filter.yaml", &text)], Some("http://web:80"), &|_| Some(wasm()));
        assert!(settings_of(&migration).contains("upstream = \"http://web:80\""), "{:#?}", migration.findings);
        assert!(!migration.has_losses(), "{:#?}", migration.findings);
    }
    let alone = run(&wasm_filter("w"));
    assert!(finding(&alone, "the input has no routes").remedy.contains("--upstream"));
}

/// `--from` says what can't be told.
#[test]
fn kinds_that_are_said() {
    let of = |text: &str, from: Option<Kind>| {
        let files = [File { name: "a.yaml".into(), bytes: text.as_bytes().into() }];
        let find = |_: proxy_wasm_adapter_migrate::Wanted<'_>| Some(wasm());
        migrate(&files, &proxy_wasm_adapter_migrate::Options { find: &find, upstream: None, listener: None, from })
    };
    let discovered = format!("{{name: w, config_discovery: {{}}, x: {CODE:?}}}");
    let unknown = of(&discovered, None);
    assert!(finding(&unknown, "it is no configuration that is known here").remedy.contains("--from"));
    assert_eq!(finding(&of(&discovered, Some(Kind::Filter)), "comes by discovery").outcome, Outcome::Wrong);
    // One that says itself what it is, and something else.
    let typed = "{'@type': type.googleapis.com/envoy.config.cluster.v3.Cluster, name: c}";
    assert_eq!(finding(&of(typed, Some(Kind::Listener)), "it is no listener").outcome, Outcome::Wrong);
    assert_eq!(finding(&of("- 1\n", Some(Kind::Cluster)), "it is no cluster").outcome, Outcome::Wrong);
    for kind in Kind::ALL {
        // Whatever is said of whatever: it is an answer.
        assert!(!of("{a: [b, {c: d}]}", Some(kind)).findings.is_empty(), "{}", kind.name());
    }
}

#[test]
fn what_tools_print() {
    let policy = "{apiVersion: gateway.envoyproxy.io/v1alpha1, kind: EnvoyExtensionPolicy, metadata: {name: p}, spec: {wasm: [{name: w, code: {http: {url: 'https://h/w.wasm'}}}]}}";
    let lists = run(&format!("{{envoyExtensionPolicies: [{policy}], gatewayClass: {{}}, xds: {{}}}}"));
    assert!(settings_of(&lists).contains("name = \"w\""), "{:#?}", lists.findings);
    let discovered = format!(
        "{{ecdsFilters: [{{ecdsFilter: {{'@type': t/envoy.config.core.v3.TypedExtensionConfig, name: wasm, typed_config: {}}}}}]}}",
        {
            let filter = wasm_filter("w");
            filter.split_once("typed_config: ").unwrap().1.strip_suffix('}').unwrap().to_owned()
        }
    );
    let text = plain("");
    let (before, rest) = text.split_once("          - name: wasm").unwrap();
    let (_, behind) = rest.split_once("  clusters:\n").unwrap();
    let referring = format!("{before}          - {{name: wasm, config_discovery: {{}}}}\n  clusters:\n{behind}");
    let joined = with(&[("a.yaml", &referring), ("ecds.yaml", &discovered)], None, &|_| Some(wasm()));
    assert!(settings_of(&joined).contains("name = \"w\""), "{:#?}", joined.findings);
    let hcl = run("Kind = \"service-defaults\"\nName = \"web\"\n");
    assert!(finding(&hcl, "is HCL").remedy.contains("consul config read"));
}

#[test]
fn a_policy_without_code() {
    let plugin =
        run("{apiVersion: extensions.istio.io/v1alpha1, kind: WasmPlugin, metadata: {name: p}, spec: {phase: AUTHN}}");
    assert_eq!(finding(&plugin, "it has no `url`").outcome, Outcome::Wrong);
    assert!(plugin.findings.iter().all(|finding| !finding.what.contains("oci://")));
}

/// Of what can't be read it is said once, and that it is something else is not said.
#[test]
fn a_config_map_with_a_slip() {
    let migration = run(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata:\n  envoy.yaml: |\n    static_resources:\n      listeners: [\n",
    );
    assert_eq!(migration.findings.len(), 1, "{:#?}", migration.findings);
}

/// `serve` asks for the name that Envoy asks for; what a client shows of itself is lost.
#[test]
fn tls_of_clusters() {
    let socket = |context: &str| {
        let typed = format!(
            "{{'@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, {context}}}"
        );
        let socket = format!("type: STRICT_DNS, transport_socket: {{name: tls, typed_config: {typed}}}");
        run(&bootstrap(&format!("{{name: mark, {CODE}}}"), ROUTE, &CLUSTER.replace("type: STRICT_DNS", &socket)))
    };
    let named =
        socket("sni: other.example, common_tls_context: {validation_context: {trusted_ca: {filename: /etc/ca.pem}}}");
    assert_eq!(named.components[0].serve_options[4..], ["--upstream-sni", "web:80=other.example"]);
    let found = finding(&named, "TLS is the host's");
    assert!(found.what.contains("`other.example`") && found.remedy.contains("`/etc/ca.pem`"), "{found:?}");
    let own = socket("sni: web");
    assert_eq!(own.components[0].serve_options.len(), 4);
    assert!(finding(&own, "without a `validation_context`").remedy.contains("--upstream-ca"));
    let shown = socket("common_tls_context: {tls_certificates: [{}]}");
    assert!(finding(&shown, "a client's certificate").outcome.is_loss());
}

/// Envoy never asks an endpoint of a later priority, unless it checks their health.
#[test]
fn later_priorities() {
    let spare = "endpoints: [{priority: 1, lb_endpoints: [{endpoint: {address: {socket_address: {address: spare, port_value: 80}}}}]}, ";
    let cluster = CLUSTER.replace("endpoints: [", spare);
    let plugin = format!("{{name: mark, {CODE}}}");
    let never = run(&bootstrap(&plugin, ROUTE, &cluster));
    assert_eq!(finding(&never, "Envoy never asks it").outcome, Outcome::CarriedWithDifference);
    assert!(!settings_of(&never).contains("spare"));
    let checked = cluster.replace("type: STRICT_DNS", "type: STRICT_DNS, outlier_detection: {}");
    assert!(finding(&run(&bootstrap(&plugin, ROUTE, &checked)), "does not know which are ill").outcome.is_loss());
}

#[test]
fn what_envoy_takes_and_nobody_asks_for() {
    let host = run(&routed("domains: [\"*\", \"*a*\", \"\"]", "route: {cluster: backend}"));
    assert!(finding(&host, "its domain `*a*` is that of no request").outcome == Outcome::CarriedWithDifference);
    assert!(!host.has_losses());
    let star = "domains: [\"*\"]";
    for (route, what) in [
        ("redirect: {port_redirect: 70000}", "`port_redirect` is no port"),
        ("redirect: {regex_rewrite: {substitution: x}}", "no `pattern`"),
    ] {
        assert_eq!(finding(&run(&routed(star, route)), what).outcome, Outcome::Wrong);
    }
    let prefix =
        routed(star, "route: {cluster: backend}").replace("match: {prefix: /}", "match: {path_separated_prefix: /a/}");
    assert_eq!(finding(&run(&prefix), "`/a/` is no `path_separated_prefix`").outcome, Outcome::Wrong);
    let range = routed(star, "route: {cluster: backend}")
        .replace("match: {prefix: /}", "match: {prefix: /, headers: [{name: a, range_match: {start: 5, end: 1}}]}");
    assert!(finding(&run(&range), "range_match, in which there is no number").outcome.is_loss());
    let name = run(&bootstrap(&format!("{{name: mark, {CODE}}}"), ROUTE, &CLUSTER.replace("STRICT_DNS", "STATIC")));
    assert_eq!(finding(&name, "its address is a name").outcome, Outcome::CarriedWithDifference);
    let port = run(&bootstrap(
        &format!("{{name: mark, {CODE}}}"),
        ROUTE,
        &CLUSTER.replace("port_value: 80", "port_value: 70000"),
    ));
    assert_eq!(finding(&port, "its `port_value` is no port").outcome, Outcome::Wrong);
    let placeholder = with(&[("a.yaml", &plain("").replace("/etc/envoy/mark.wasm", "'{{ .File }}'"))], None, &|_| None);
    assert_eq!(finding(&placeholder, "is a placeholder").outcome, Outcome::Wrong);
}
