//! Pages of other origins: which policies become settings, and what is said of the others.

use proxy_wasm_adapter_migrate::{Migration, Outcome};

use crate::common::{CLUSTER, CODE, bootstrap, finding, losses, run, settings_of};

const POLICY: &str = "'@type': type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy";
const FILTER: &str = "          - {name: cors, typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors}}\n";

/// A chain with the filter before the Wasm filter, and a route that says this.
fn before(route: &str) -> Migration {
    let route = format!("              - {{match: {{prefix: /}}, route: {{cluster: backend}}, {route}}}");
    let text = bootstrap(&format!("{{name: mark, {CODE}}}"), &route, CLUSTER);
    run(&text.replace("          - name: wasm", &format!("{FILTER}          - name: wasm")))
}

fn typed(policy: &str) -> String {
    format!("typed_per_filter_config: {{cors: {{{POLICY}, {policy}}}}}")
}

#[test]
fn each_field_of_a_policy() {
    let migration = before(&typed(
        "allow_origin_string_match: [{exact: 'http://a'}, {safe_regex: {regex: 'b+'}}, {prefix: c, ignore_case: true}], allow_methods: GET, allow_headers: x-a, expose_headers: x-b, max_age: '5', allow_credentials: true, allow_private_network_access: true, forward_not_matching_preflights: false, shadow_enabled: {default_value: {numerator: 100}}",
    ));
    let settings: toml::Table = toml::from_str(settings_of(&migration)).unwrap();
    let cors = settings["virtual_host"][0]["route"][0]["cors"].as_table().unwrap();
    assert_eq!(cors["allow_origins"][0]["exact"].as_str(), Some("http://a"));
    assert_eq!(cors["allow_origins"][1]["regex"].as_str(), Some("b+"));
    assert_eq!(cors["allow_origins"][2]["ignore_case"].as_bool(), Some(true));
    for (key, value) in
        [("allow_methods", "GET"), ("allow_headers", "x-a"), ("expose_headers", "x-b"), ("max_age", "5")]
    {
        assert_eq!(cors[key].as_str(), Some(value), "{key}");
    }
    for (key, value) in
        [("allow_credentials", true), ("allow_private_network", true), ("forward_not_matching_preflights", false)]
    {
        assert_eq!(cors[key].as_bool(), Some(value), "{key}");
    }
    assert!(!cors.contains_key("enabled"));
    assert_eq!(finding(&migration, "CORS, before the plugins").outcome, Outcome::Carried);
    assert_eq!(finding(&migration, "`shadow_enabled`").outcome, Outcome::CarriedWithDifference);
    assert_eq!(losses(&migration), Vec::<String>::new());
}

#[test]
fn whether_a_policy_counts() {
    let off = before(&typed("filter_enabled: {default_value: {numerator: 0, denominator: HUNDRED}}"));
    assert!(settings_of(&off).contains("cors = { enabled = false }"), "{}", settings_of(&off));
    let share = before(&typed("filter_enabled: {default_value: {numerator: 5, denominator: HUNDRED}}"));
    assert!(finding(&share, "for a share of the requests").outcome.is_loss());
    let filter_config = "'@type': type.googleapis.com/envoy.config.route.v3.FilterConfig";
    let disabled = before(&format!("typed_per_filter_config: {{cors: {{{filter_config}, disabled: true}}}}"));
    assert!(settings_of(&disabled).contains("cors = { enabled = false }"));
    let within = before(&format!(
        "typed_per_filter_config: {{cors: {{{filter_config}, config: {{{POLICY}, allow_methods: GET}}}}}}"
    ));
    assert!(settings_of(&within).contains("cors = { allow_methods = \"GET\" }"));
    let wrong = before("typed_per_filter_config: {cors: {'@type': type.googleapis.com/google.protobuf.Struct}}");
    assert_eq!(finding(&wrong, "none of its own").outcome, Outcome::Wrong);
}

#[test]
fn where_the_filter_stands() {
    let route = format!(
        "              - {{match: {{prefix: /}}, route: {{cluster: backend}}, {}}}",
        typed("allow_methods: GET")
    );
    let text = bootstrap(&format!("{{name: mark, {CODE}}}"), &route, CLUSTER);
    let router = "          - name: envoy.filters.http.router";
    let behind = text.replace(router, &format!("{FILTER}{router}"));
    let migration = run(&behind);
    assert!(settings_of(&migration).contains("[routes]\ncors_behind_plugins = true\n"), "{}", settings_of(&migration));
    assert_eq!(losses(&migration), Vec::<String>::new());
    let second = format!(
        "          - {{name: second, typed_config: {{'@type': type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm, config: {{name: second, {CODE}}}}}}}\n"
    );
    let between = run(&behind.replace(router, &format!("{second}{router}")));
    assert!(finding(&between, "between Wasm filters").remedy.contains("be the first"));
    assert!(!settings_of(&between).contains("cors"));
    let twice = run(&behind.replace("          - name: wasm", &format!("{FILTER}          - name: wasm")));
    assert!(finding(&twice, "a second filter for CORS").outcome.is_loss());
    let none = run(&text);
    assert!(!settings_of(&none).contains("cors"));
    assert_eq!(finding(&none, "the chain has no filter for it").outcome, Outcome::CarriedWithDifference);
    assert_eq!(losses(&none), Vec::<String>::new());
}

#[test]
fn the_fields_of_old_count_where_no_level_speaks_of_the_filter() {
    let of_host = |more: &str| {
        let route = "              - {match: {prefix: /}, route: {cluster: backend, cors: {max_age: '5'}}}\n              - {match: {prefix: /}, redirect: {path_redirect: /}}";
        let text = bootstrap(&format!("{{name: mark, {CODE}}}"), route, CLUSTER);
        let host = format!(
            "              cors: {{allow_origin_string_match: [{{exact: o}}], max_age: '1'}}\n{more}              routes:"
        );
        let text = text.replace("              routes:", &host);
        run(&text.replace("          - name: wasm", &format!("{FILTER}          - name: wasm")))
    };
    let migration = of_host("");
    let settings: toml::Table = toml::from_str(settings_of(&migration)).unwrap();
    let routes = settings["virtual_host"][0]["route"].as_array().unwrap();
    assert_eq!(routes[0]["cors"].to_string(), r#"{ allow_origins = [{ exact = "o" }], max_age = "5" }"#);
    assert!(routes[1].get("cors").is_none());
    assert_eq!(losses(&migration), Vec::<String>::new());
    let typed = of_host(&format!("              {}\n", typed("allow_methods: GET")));
    assert_eq!(finding(&typed, "its `cors` says nothing").outcome, Outcome::CarriedWithDifference);
    assert!(!settings_of(&typed).contains("max_age"));
}
