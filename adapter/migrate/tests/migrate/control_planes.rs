//! What control planes are given: Istio, Envoy Gateway, Higress and Consul.

use proxy_wasm_adapter_migrate::Outcome;

use crate::common::{finding, losses, settings_of, wasm, with};

#[test]
fn istio_wasm_plugins_in_order() {
    let text = r#"apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: late, namespace: ns}
spec: {url: registry.example/late:1, phase: AUTHN, pluginConfig: {b: 1.5, a: <x>, n: 12345678901234567890}}
---
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: first}
spec: {url: file:///x/first.wasm, phase: AUTHN, priority: 10, pluginName: root, failStrategy: FAIL_OPEN, match: [{mode: CLIENT}]}
"#;
    let migration = with(&[("plugins.yaml", text)], Some("http://web"), &|_| Some(wasm()));
    let table: toml::Table = toml::from_str(settings_of(&migration)).unwrap();
    assert_eq!(table["upstream"].as_str(), Some("http://web"));
    let plugins = table["plugin"].as_array().unwrap();
    assert_eq!(plugins[0]["name"].as_str(), Some("default.first"));
    assert_eq!(plugins[0]["root_id"].as_str(), Some("root"));
    assert_eq!(plugins[1]["configuration"].as_str(), Some(r#"{"a":"\u003cx\u003e","b":1.5,"n":12345678901234567000}"#));
    assert!(finding(&migration, "different failure policies").outcome.is_loss());
    let without = with(&[("plugins.yaml", text)], None, &|_| Some(wasm()));
    assert!(finding(&without, "the input has no routes").remedy.contains("--upstream"));
    assert!(!without.components[0].is_routed && migration.components[0].is_routed);
    assert!(!migration.is_bootstrap && !migration.to_markdown(&[]).contains("--envoy-config plugins.yaml"));
    let text = text.replace("pluginConfig: {b: 1.5", "pluginConfig: text, more: {b: 1.5");
    let wrong = with(&[("plugins.yaml", &text)], Some("http://web"), &|_| Some(wasm()));
    assert_eq!(finding(&wrong, "its `pluginConfig` is no table").outcome, Outcome::Wrong);
}

#[test]
fn istio_envoy_filters() {
    let wasm = "{'@type': type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm, config: {name: NAME, vm_config: {RUNTIMEcode: {local: {filename: /x.wasm}}}}}";
    let value = |name: &str, runtime: &str| {
        format!("{{name: {name}, typed_config: {}}}", wasm.replace("NAME", name).replace("RUNTIME", runtime))
    };
    let text = format!(
        "apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {{name: f}}\nspec:\n  configPatches:\n  \
         - {{applyTo: HTTP_FILTER, patch: {{operation: INSERT_BEFORE, value: {{name: found, config_discovery: {{}}}}}}}}\n  \
         - {{applyTo: EXTENSION_CONFIG, patch: {{operation: ADD, value: {}}}}}\n  \
         - {{applyTo: HTTP_FILTER, patch: {{operation: INSERT_BEFORE, value: {}}}}}\n  \
         - {{applyTo: CLUSTER, patch: {{operation: ADD, value: {{name: c}}}}}}\n",
        value("found", ""),
        value("stats", "runtime: envoy.wasm.runtime.null, ")
    );
    let migration = with(&[("f.yaml", &text)], Some("http://web"), &|_| Some(self::wasm()));
    let table: toml::Table = toml::from_str(settings_of(&migration)).unwrap();
    assert_eq!(table["plugin"].as_array().unwrap().len(), 1);
    assert_eq!(table["plugin"][0]["name"].as_str(), Some("found"));
    finding(&migration, "compiled into Istio's proxy");
    finding(&migration, "it has no endpoint");
    assert_eq!(losses(&migration).len(), 1, "{:#?}", migration.findings);
}

#[test]
fn envoy_filters_of_two_contexts() {
    let filter = |name: &str| {
        format!(
            "{{name: {name}, typed_config: {{'@type': type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm, \
             config: {{name: {name}, vm_config: {{code: {{local: {{filename: {name}.wasm}}}}}}}}}}}}"
        )
    };
    let insert = |context: &str, operation: &str, name: &str| {
        format!(
            "  - {{applyTo: HTTP_FILTER, match: {{context: {context}}}, patch: {{operation: {operation}, value: {}}}}}\n",
            filter(name)
        )
    };
    let text = [
        "apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {name: f}\nspec:\n  configPatches:\n",
        &insert("GATEWAY", "INSERT_BEFORE", "g"),
        &insert("SIDECAR_INBOUND", "INSERT_BEFORE", "s"),
        &insert("ANY", "INSERT_FIRST", "a"),
        "  - {applyTo: CLUSTER, patch: {operation: ADD, value: {name: c, load_assignment: {endpoints: [{lb_endpoints: \
         [{endpoint: {address: {socket_address: {address: h, port_value: 80}}}}]}]}}}}\n",
        "  - {applyTo: LISTENER, patch: {operation: MERGE, value: {name: x}}}\n",
    ]
    .concat();
    let migration = with(&[("f.yaml", &text)], Some("http://web"), &|_| Some(wasm()));
    let chains: Vec<_> = migration
        .components
        .iter()
        .map(|component| {
            let table: toml::Table = toml::from_str(std::str::from_utf8(&component.settings.bytes).unwrap()).unwrap();
            assert_eq!(table["clusters"]["c"]["url"].as_str(), Some("http://h:80"));
            let names = table["plugin"].as_array().unwrap().iter();
            (
                component.name.clone(),
                names.map(|plugin| plugin["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>(),
            )
        })
        .collect();
    let expected = [("envoy-filters-gateway", vec!["a", "g"]), ("envoy-filters-sidecar-inbound", vec!["a", "s"])];
    assert_eq!(chains, expected.map(|(name, of)| (name.to_owned(), of.into_iter().map(String::from).collect())));
    assert_eq!(losses(&migration).len(), 1, "{:#?}", migration.findings);
    finding(&migration, "its patch `MERGE` of `LISTENER`");
    finding(&migration, "`match` chooses proxies");
}

#[test]
fn envoy_gateway_policies() {
    let text = "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: EnvoyExtensionPolicy\nmetadata: {name: p, namespace: ns}\nspec:\n  \
                targetRefs: [{kind: HTTPRoute, name: r}]\n  wasm:\n  - {name: w, rootID: root, failOpen: true, config: {b: [1, 1.5], a: x}, code: {type: HTTP, http: {url: https://h/w.wasm}}}\n";
    let migration = with(&[("p.yaml", text)], Some("http://web"), &|_| Some(wasm()));
    assert_eq!(losses(&migration), Vec::<String>::new());
    let table: toml::Table = toml::from_str(settings_of(&migration)).unwrap();
    let plugin = &table["plugin"][0];
    assert_eq!(plugin["configuration"].as_str(), Some(r#"{"a":"x","b":[1,1.5]}"#));
    assert_eq!(plugin["vm_id"].as_str(), Some("envoyextensionpolicy/ns/p/wasm/0"));
    assert_eq!(migration.components[0].serve_options, ["--failure-policy", "open"]);
}

#[test]
fn a_traffic_extension_is_a_plugin() {
    let text = "apiVersion: extensions.istio.io/v1alpha1
kind: TrafficExtension
metadata: {name: auth, namespace: shop}
spec:
  phase: AUTHN
  priority: 5
  targetRefs: [{kind: Gateway, name: g}]
  wasm:
    url: oci://registry.example/auth:1.0
    pluginName: root
    failStrategy: FAIL_OPEN
    pluginConfig: {b: 1.5, a: <x>}
";
    let migration = with(&[("t.yaml", text)], Some("http://web:80"), &|_| Some(wasm()));
    let settings = settings_of(&migration);
    assert!(settings.contains("name = \"shop.auth\"\nroot_id = \"root\""), "{settings}");
    assert!(settings.contains(r#"configuration = '{"a":"\u003cx\u003e","b":1.5}'"#), "{settings}");
    assert_eq!(losses(&migration), Vec::<String>::new());
    let lua = "apiVersion: extensions.istio.io/v1alpha1\nkind: TrafficExtension\nmetadata: {name: l}\nspec: {lua: {inlineCode: x}}\n";
    finding(&with(&[("t.yaml", lua)], None, &|_| None), "a filter in Lua");
}

#[test]
fn the_rules_of_higress_are_in_the_configuration() {
    let text = "apiVersion: extensions.higress.io/v1alpha1
kind: WasmPlugin
metadata: {name: limit, namespace: higress-system}
spec:
  url: oci://registry.example/limit:1.0
  defaultConfig: {per: 1}
  matchRules:
  - {ingress: [a, b], config: {per: 2}}
  - {domain: ['*.example'], config: {per: 3}, configDisable: true}
  - {domain: [x.example], service: [s.static]}
";
    let migration = with(&[("h.yaml", text)], Some("http://web:80"), &|_| Some(wasm()));
    let settings = settings_of(&migration);
    assert!(settings.starts_with("profile = \"permissive\"\n"), "{settings}");
    let rules = r#"'{"_rules_":[{"_match_route_":["a","b"],"per":2},{"_match_domain_":["x.example"],"_match_service_":["s.static"]}],"per":1}'"#;
    assert!(settings.contains(rules), "{settings}");
    let off = text.replace("defaultConfig:", "defaultConfigDisable: true\n  defaultConfig:");
    let migration = with(&[("h.yaml", &off)], Some("http://web:80"), &|_| Some(wasm()));
    assert!(!settings_of(&migration).contains("\"per\":1}"));
}

#[test]
fn an_extension_of_consul_is_a_plugin() {
    let text = r#"Kind: service-defaults
Name: api
Protocol: http
EnvoyExtensions:
- Name: builtin/wasm
  Required: true
  Arguments:
    Protocol: http
    ListenerType: inbound
    PluginConfig:
      Name: auth
      RootID: root
      VmConfig:
        VmID: vm
        Code: {Remote: {HttpURI: {Service: {Name: files}, URI: "http://files/auth.wasm"}, SHA256: DIGEST}}
        EnvironmentVariables: {KeyValues: {A: b}}
      Configuration: '{"a": 1}'
- {Name: builtin/lua}
"#;
    let text = text.replace("DIGEST", &proxy_wasm_adapter::digest::sha256(&wasm()));
    let migration = with(&[("c.yaml", &text)], Some("http://web:80"), &|_| Some(wasm()));
    let settings = settings_of(&migration);
    assert!(settings.contains("name = \"auth\"\nroot_id = \"root\"\nvm_id = \"vm\""), "{settings}");
    assert!(settings.contains(r#"configuration = '{"a": 1}'"#), "{settings}");
    finding(&migration, "builtin/lua");
    let object = "apiVersion: consul.hashicorp.com/v1alpha1\nkind: ServiceDefaults\nmetadata: {name: api}\nspec: {envoyExtensions: [{name: builtin/wasm, arguments: {protocol: http, pluginConfig: {name: a, vmConfig: {code: {local: {filename: /x.wasm}}}}}}]}\n";
    let migration = with(&[("c.yaml", object)], Some("http://web:80"), &|_| Some(wasm()));
    assert!(settings_of(&migration).contains("name = \"a\""));
}
