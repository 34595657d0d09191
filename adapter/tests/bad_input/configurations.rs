//! Configurations of Envoy, and what stands beside them.

use super::{Case, filter};

const ENVOY: &str = include_str!("../../../examples/wat-minimal/envoy.yaml");
const POLICY: &str = "apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: hello}
spec: {url: hello.wasm}
";
const REQUESTS: &str = "requests: [{path: /}]\n";

fn case(name: &'static str, files: &[(&'static str, &str)], args: &[&'static str]) -> Case {
    let mut files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_bytes().to_vec())).collect();
    files.push(("hello.wasm", filter("")));
    Case { name, files, args: args.to_vec() }
}

pub(crate) fn cases() -> Vec<Case> {
    let envoy = [("envoy.yaml", ENVOY), ("requests.yaml", REQUESTS)];
    let (before, clusters) = ENVOY.split_once("  clusters:").expect("there are clusters");
    let (_, listener) = before.split_once("  listeners:\n").expect("there are listeners");
    let two = format!("{before}{}  clusters:{clusters}", listener.replace("name: web", "name: two"));
    let wrong = ENVOY.replacen("\"@type\"", "\"@typ\"", 1);
    let guarded = ENVOY.replacen(
        "http_filters:\n",
        "http_filters:\n          - {name: rbac, typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC}}\n",
        1,
    );
    assert_ne!(guarded, ENVOY);
    let of_proxies = |name: &str, app: &str| {
        format!(
            "{}  selector: {{matchLabels: {{app: {app}}}}}\n",
            POLICY.replace("{name: hello}", &format!("{{name: {name}}}"))
        )
        .replace("spec: {url: hello.wasm}\n", "spec:\n  url: hello.wasm\n")
    };
    let policies = [of_proxies("a", "web"), of_proxies("b", "web"), of_proxies("c", "api")].join("---\n");
    let policy = [("policy.yaml", POLICY), ("requests.yaml", REQUESTS)];
    let compare = ["compare", "--requests", "requests.yaml", "--code", "hello=hello.wasm", "--envoy-config"];
    let with = |more: &[&'static str]| [&compare[..], more].concat();
    vec![
        case("migrate-nothing", &[("envoy.yaml", "")], &["migrate", "envoy.yaml", "--check"]),
        case("migrate-stdin-twice", &envoy, &["migrate", "-", "-", "--check"]),
        case(
            "migrate-upstream-beside-routes",
            &envoy,
            &["migrate", "envoy.yaml", "--check", "--code", "hello=hello.wasm", "--upstream", "http://web:80"],
        ),
        case("test-stdin-twice", &envoy, &["test", "-", "--requests", "-", "--direct-response", "200"]),
        case("migrate-helm", &[("envoy.yaml", "{{ .Values.envoy }}\n")], &["migrate", "envoy.yaml", "--check"]),
        case("migrate-a-directory", &envoy, &["migrate", ".", "--check"]),
        case(
            "migrate-code-that-is-missing",
            &envoy,
            &["migrate", "envoy.yaml", "-o", "out", "--code", "hello=no.wasm"],
        ),
        case(
            "migrate-code-in-no-directory",
            &envoy,
            &["migrate", "envoy.yaml", "--check", "--code-dir", "nowhere", "--code-dir", "envoy.yaml"],
        ),
        case("migrate-code-not-at-hand", &envoy, &["migrate", "envoy.yaml", "--check"]),
        case(
            "migrate-code-for-nothing",
            &envoy,
            &["migrate", "envoy.yaml", "--check", "--code", "hello=hello.wasm", "--code", "helo=hello.wasm"],
        ),
        Case {
            files: vec![("envoy.yaml", ENVOY.into()), ("hello.wasm", super::adapted())],
            ..case("migrate-a-component", &envoy, &["migrate", "envoy.yaml", "-o", "out", "--code", "hello=hello.wasm"])
        },
        case(
            "migrate-an-unknown-listener",
            &[("envoy.yaml", &two)],
            &["migrate", "envoy.yaml", "--check", "--listener", "three", "--code", "hello=hello.wasm"],
        ),
        case("migrate-an-unknown-host", &envoy, &["migrate", "envoy.yaml", "-o", "out", "--host", "nginx"]),
        case(
            "migrate-of-an-unknown-kind",
            &[("a.yaml", "{name: a}\n")],
            &["migrate", "a.yaml", "--check", "--from", "nginx"],
        ),
        case(
            "migrate-of-another-kind",
            &[("a.yaml", "- {name: a}\n- 1\n")],
            &["migrate", "a.yaml", "--check", "--from", "cluster"],
        ),
        case("migrate-what-is-nothing", &[("a.yaml", "{name: a}\n")], &["migrate", "a.yaml", "--check"]),
        case(
            "migrate-hcl",
            &[("web.hcl", "Kind = \"service-defaults\"\nName = \"web\"\n")],
            &["migrate", "web.hcl", "--check"],
        ),
        case(
            "migrate-what-envoy-refuses",
            &[("envoy.yaml", &ENVOY.replace("domains: [\"*\"]", "domains: []"))],
            &["migrate", "envoy.yaml", "--check", "--code", "hello=hello.wasm"],
        ),
        case("serve-a-directory", &[], &["serve", "."]),
        case("serve-a-strict-filter", &[], &["serve", "hello.wasm", "--strict"]),
        case(
            "serve-a-configuration-with-losses",
            &[("envoy.yaml", &format!("admin: {{}}\n{ENVOY}"))],
            &["serve", "envoy.yaml", "--strict", "--code", "hello=hello.wasm"],
        ),
        case(
            "serve-a-configuration-without-its-guard",
            &[("envoy.yaml", &guarded)],
            &["serve", "envoy.yaml", "--code", "hello=hello.wasm"],
        ),
        case(
            "migrate-a-guard",
            &[("envoy.yaml", &guarded)],
            &["migrate", "envoy.yaml", "--strict", "--code", "hello=hello.wasm", "-o", "out"],
        ),
        case("migrate-a-filter", &[], &["migrate", "hello.wasm", "-o", "out"]),
        case(
            "migrate-what-leads-nowhere",
            &[(
                "plugin.yaml",
                "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {name: a}\nspec: {url: oci://a/b}\n",
            )],
            &["migrate", "plugin.yaml", "-o", "out", "--code", "b=hello.wasm"],
        ),
        case(
            "serve-one-route-in-place-of-those-that-were-migrated",
            &[
                (
                    "migration.json",
                    "{\"findings\": [], \"components\": [{\"listener\": \"web\", \"settings\": \"web.toml\"}]}",
                ),
                ("web.toml", "[[plugin]]\nfilter = \"hello.wasm\"\n[[route]]\nmatch = {path = \"/\"}\n[[route]]\n"),
            ],
            &["serve", ".", "--upstream", "http://127.0.0.1:1", "--access-log", "."],
        ),
        case(
            "serve-what-was-migrated-without-its-guard",
            &[(
                "migration.json",
                "{\"findings\": [{\"outcome\": \"unguarded\"}], \"components\": [{\"name\": \"web\", \"settings\": \"web.toml\"}]}",
            )],
            &["serve", "."],
        ),
        case(
            "serve-a-configuration-and-settings",
            &envoy,
            &["serve", "envoy.yaml", "--settings", "nowhere.toml", "--code", "hello=hello.wasm"],
        ),
        case("serve-a-configuration-and-a-filter", &envoy, &["serve", "envoy.yaml", "hello.wasm"]),
        case(
            "serve-what-was-migrated-wrongly",
            &[("migration.json", "{\"findings\": [{\"outcome\": \"wrong\"}], \"components\": []}")],
            &["serve", "."],
        ),
        case("adapt-a-configuration", &envoy, &["adapt", "envoy.yaml", "-o", "out.wasm"]),
        case("migrate-what-is-wrong", &[("envoy.yaml", &wrong)], &["migrate", "envoy.yaml", "-o", "out"]),
        case(
            "serve-two-listeners-of-one-name",
            &[("envoy.yaml", ENVOY), ("b.yaml", ENVOY)],
            &["serve", "envoy.yaml", "b.yaml", "--code", "hello=hello.wasm"],
        ),
        case("serve-two-listeners", &[("envoy.yaml", &two)], &["serve", "envoy.yaml", "--code", "hello=hello.wasm"]),
        case("compare-a-configuration-with-options", &envoy, &with(&["envoy.yaml", "--root-id", "x"])),
        case(
            "migrate-policies-for-other-proxies",
            &[("policies.yaml", &policies)],
            &["migrate", "policies.yaml", "--check", "--upstream", "http://a", "--code", "hello.wasm=hello.wasm"],
        ),
        case("compare-a-policy", &policy, &with(&["policy.yaml", "--code", "hello.wasm=hello.wasm"])),
        case(
            "compare-code-without-a-configuration",
            &envoy,
            &["compare", "hello.wasm", "--requests", "requests.yaml", "--code", "hello=hello.wasm"],
        ),
        case("compare-a-configuration-and-a-filter", &envoy, &with(&["envoy.yaml", "hello.wasm"])),
    ]
}
