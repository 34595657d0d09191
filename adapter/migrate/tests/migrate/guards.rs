//! What keeps requests out in Envoy, and is left behind.

use proxy_wasm_adapter_migrate::{File, Host, Options, Outcome, migrate};

use crate::common::{finding, plain, run, wasm};

const HTTP_FILTERS: &str = "envoy.extensions.filters.http.";

/// A chain with this filter before the plugin.
fn behind(kind: &str, more: &str) -> String {
    let filter = format!("          - {{name: guard, typed_config: {{'@type': type.googleapis.com/{kind}}}{more}}}\n");
    plain("").replace("          - name: wasm\n", &format!("{filter}          - name: wasm\n"))
}

#[test]
fn filters_that_keep_requests_out() {
    for kind in [
        "api_key_auth.v3.ApiKeyAuth",
        "basic_auth.v3.BasicAuth",
        "buffer.v3.Buffer",
        "csrf.v3.CsrfPolicy",
        "ext_authz.v3.ExtAuthz",
        "ext_proc.v3.ExternalProcessor",
        "jwt_authn.v3.JwtAuthentication",
        "local_ratelimit.v3.LocalRateLimit",
        "ratelimit.v3.RateLimit",
        "oauth2.v3.OAuth2",
        "rbac.v3.RBAC",
    ] {
        let migration = run(&behind(&format!("{HTTP_FILTERS}{kind}"), ""));
        let found = finding(&migration, "what it refuses in Envoy passes");
        assert_eq!(found.outcome, Outcome::Unguarded, "{kind}");
        assert!(!found.remedy.starts_with("See whether"), "{kind}: {}", found.remedy);
        assert!(migration.is_unguarded());
        assert!(migration.to_markdown(&[]).contains("see \"Unguarded\""));
    }
    let beside = run(&behind(&format!("{HTTP_FILTERS}compressor.v3.Compressor"), ""));
    assert_eq!((beside.is_unguarded(), beside.has_losses()), (false, true));
    assert!(!beside.to_markdown(&[]).contains("Unguarded"));
    // One that another filter runs.
    let rbac = format!("typed_config: {{'@type': type.googleapis.com/{HTTP_FILTERS}rbac.v3.RBAC}}");
    let picked = format!("extension_config: {{name: r, {rbac}}}, xds_matcher: {{}}");
    let matched = "envoy.extensions.common.matching.v3.ExtensionWithMatcher";
    let within = run(&behind(matched, "").replace(matched, &format!("{matched}, {picked}")));
    assert_eq!((within.is_unguarded(), within.has_losses()), (true, true));
    // Envoy does not run it for any request.
    let off = run(&behind(&format!("{HTTP_FILTERS}rbac.v3.RBAC"), ", disabled: true"));
    assert_eq!((off.is_unguarded(), off.has_losses()), (false, true));
}

#[test]
fn connections_that_are_kept_out() {
    let rbac = "    - filters:\n      - {name: rbac, typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC}}\n";
    let migration = run(&plain("").replacen("    - filters:\n", rbac, 1));
    assert_eq!(finding(&migration, "network.rbac").outcome, Outcome::Unguarded);
    for (asked, is_asked) in [("true", true), ("{value: true}", true), ("false", false)] {
        let tls = format!(
            "    - transport_socket: {{name: tls, typed_config: {{'@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext, require_client_certificate: {asked}}}}}\n      filters:\n"
        );
        let migration = run(&plain("").replacen("    - filters:\n", &tls, 1));
        assert_eq!(migration.is_unguarded(), is_asked, "{:#?}", migration.findings);
    }
    for (found, is_guard) in [
        ("source_prefix_ranges: [{address_prefix: 10.0.0.0, prefix_len: 8}]", true),
        ("source_type: SAME_IP_OR_LOOPBACK", true),
        ("source_type: ANY", false),
        ("server_names: [a.example]", false),
    ] {
        let chain = format!("    - filter_chain_match: {{{found}}}\n      filters:\n");
        let migration = run(&plain("").replacen("    - filters:\n", &chain, 1));
        assert_eq!((migration.is_unguarded(), migration.has_losses()), (is_guard, true), "{:#?}", migration.findings);
        // That of a chain which is not carried says nothing about the component.
        let other = format!("    - filter_chain_match: {{{found}}}\n      filters: []\n    - filters:\n");
        assert!(!run(&plain("").replacen("    - filters:\n", &other, 1)).is_unguarded());
    }
}

/// By options of the connection manager.
#[test]
fn requests_that_are_refused() {
    use Outcome::{NotCarried, Unguarded};
    let options = |options: &str| format!("common_http_protocol_options: {{{options}}}");
    for (option, what, outcome) in [
        ("path_with_escaped_slashes_action: REJECT_REQUEST".into(), "`%2F`", Some(Unguarded)),
        ("path_with_escaped_slashes_action: 2".into(), "`%2F`", Some(Unguarded)),
        ("path_with_escaped_slashes_action: UNESCAPE_AND_FORWARD".into(), "is not carried", Some(NotCarried)),
        ("path_with_escaped_slashes_action: KEEP_UNCHANGED".into(), "", None),
        ("server_header_transformation: PASS_THROUGH".into(), "", None),
        (options("headers_with_underscores_action: REJECT_REQUEST"), "with `_` in", Some(Unguarded)),
        (options("headers_with_underscores_action: 1"), "with `_` in", Some(Unguarded)),
        (options("max_response_headers_kb: 5"), "`max_response_headers_kb` is not read", Some(NotCarried)),
        (options("headers_with_underscores_action: DROP_HEADER"), "with `_` in", Some(NotCarried)),
        (options("headers_with_underscores_action: ALLOW"), "", None),
        (options("max_headers_count: 5"), "up to 100 headers", Some(NotCarried)),
        (options("idle_timeout: 5s"), "`idle_timeout`", Some(NotCarried)),
    ] {
        let migration = run(&plain("").replace("stat_prefix: http", &format!("stat_prefix: http\n          {option}")));
        match outcome {
            Some(outcome) => assert_eq!(finding(&migration, what).outcome, outcome, "{option}"),
            None => assert!(!migration.has_losses(), "{option}: {:#?}", migration.findings),
        }
    }
}

#[test]
fn policies_that_say_who_is_let_in() {
    let policy = "apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: hello}
spec: {url: hello.wasm}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: only-us}
spec: {action: ALLOW}
";
    let migration = run(policy);
    let found = finding(&migration, "says who is let in");
    assert_eq!((found.outcome, found.object.as_str()), (Outcome::Unguarded, "AuthorizationPolicy `only-us`"));
}

/// Nothing of it becomes a component.
#[test]
fn guards_of_another_listener() {
    let guard = behind(&format!("{HTTP_FILTERS}rbac.v3.RBAC"), "");
    let (_, listener) = guard.split_once("  listeners:\n").expect("there are listeners");
    let (listener, _) = listener.split_once("  clusters:").expect("there are clusters");
    let (before, wasm) = listener.split_once("          - name: wasm\n").expect("there is a plugin");
    let (_, router) = wasm.split_once("          - name: envoy.filters.http.router").expect("there is a router");
    let other =
        format!("{before}          - name: envoy.filters.http.router{router}").replace("name: main", "name: other");
    let both = plain("").replacen("  clusters:", &format!("{other}  clusters:"), 1);
    let migration = run(&both);
    assert_eq!((migration.components.len(), migration.is_unguarded()), (1, false), "{:#?}", migration.findings);
    assert_eq!(finding(&migration, "what it refuses in Envoy passes").outcome, Outcome::NotCarried);
}

/// What Envoy checks of a server's certificate, and what a host of components does instead.
#[test]
fn certificates_of_servers() {
    use Outcome::{CarriedWithDifference, NotCarried, Unguarded};
    let dns = |name: &str| format!("match_typed_subject_alt_names: [{{san_type: DNS, matcher: {{exact: {name}}}}}]");
    let ca = "trusted_ca: {filename: ca.pem}";
    for (validation, more, what, outcome) in [
        (format!("{ca}, verify_certificate_hash: [ab]"), "sni: a", "these certificates alone", Some(Unguarded)),
        (format!("{ca}, verify_certificate_spki: [ab]"), "sni: a", "these keys alone", Some(Unguarded)),
        (format!("{ca}, crl: {{filename: crl.pem}}"), "sni: a", "on this list", Some(Unguarded)),
        (format!("{ca}, {}", dns("b")), "sni: a", "for these names alone", Some(Unguarded)),
        (format!("{ca}, {}", dns("a")), "sni: a", "for these names alone", None),
        (format!("{ca}, match_subject_alt_names: [{{exact: a}}]"), "sni: a", "for these names alone", None),
        (format!("{ca}, {}", dns("a")), "sni: a", "which Envoy does not check here", None),
        (ca.into(), "sni: a", "which Envoy does not check here", Some(CarriedWithDifference)),
        (ca.into(), "auto_host_sni: true", "each request's `host`", Some(NotCarried)),
        (ca.into(), "auto_host_sni: false", "each request's `host`", None),
        ("trust_chain_verification: ACCEPT_UNTRUSTED".into(), "sni: a", "of any authority", Some(NotCarried)),
        ("allow_expired_certificate: true".into(), "sni: a", "that are over", Some(NotCarried)),
        ("allow_expired_certificate: false".into(), "sni: a", "that are over", None),
    ] {
        let context = format!(
            "{{name: tls, typed_config: {{'@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, \
             {more}, common_tls_context: {{validation_context: {{{validation}}}}}}}}}"
        );
        let migration =
            run(&plain("").replace("{name: backend,", &format!("{{name: backend, transport_socket: {context},")));
        let found =
            migration.findings.iter().find(|finding| finding.what.contains(what)).map(|finding| finding.outcome);
        assert_eq!(found, outcome, "{validation} {more}: {:#?}", migration.findings);
        assert_eq!(migration.is_unguarded(), outcome == Some(Unguarded));
    }
    let options = "typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {'@type': \
                   type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, explicit_http_config: \
                   {http_protocol_options: {}}, upstream_http_protocol_options: {auto_sni: true, auto_san_validation: true}}}";
    let context = "transport_socket: {name: tls, typed_config: {'@type': \
                   type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, common_tls_context: \
                   {validation_context: {trusted_ca: {filename: ca.pem}}}}}";
    let migration = run(&plain("").replace("{name: backend,", &format!("{{name: backend, {options}, {context},")));
    assert_eq!(finding(&migration, "each request's `host`").outcome, NotCarried);
    assert!(!finding(&migration, "TLS is the host's").what.contains("does not check"));
}

/// What keeps requests out of one listener is nothing of another one's.
#[test]
fn a_listener_that_is_asked_for_has_its_own_guards() {
    let guarded = behind(&format!("{HTTP_FILTERS}ext_authz.v3.ExtAuthz"), "");
    let listener = |text: &str, name: &str, port: &str| {
        let from = text.find("  - name: main").unwrap();
        let to = text.find("  clusters:").unwrap();
        text[from..to].replace("name: main", &format!("name: {name}")).replace("8080", port)
    };
    let open = plain("");
    let both = guarded.replace("  clusters:", &format!("{}  clusters:", listener(&open, "open", "8081")));
    let all = run(&both);
    let unguarded: Vec<bool> = all.components.iter().map(|component| component.is_unguarded).collect();
    assert_eq!((all.is_unguarded(), unguarded), (true, vec![true, false]), "{:#?}", all.findings);
    assert_eq!(finding(&all, "what it refuses in Envoy passes").listener.as_deref(), Some("main"));
    let markdown = all.to_markdown(&[Host::Serve]);
    assert_eq!(markdown.matches("--listener main` does, and does not start").count(), 1);
    let unit = |at: usize| all.components[at].run_files(Host::Serve)[0].file.bytes.clone();
    let warns = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains("# It lets in requests that Envoy refuses");
    assert_eq!([0, 1].map(|at| warns(&unit(at))), [true, false]);
    for (wanted, is_unguarded) in [("main", true), ("open", false)] {
        let options = Options { find: &|_| Some(wasm()), upstream: None, listener: Some(wanted), from: None };
        let file = File { name: "envoy.yaml".into(), bytes: both.as_bytes().into() };
        let one = migrate(&[file], &options);
        assert_eq!((one.components.len(), one.is_unguarded()), (1, is_unguarded), "{wanted}: {:#?}", one.findings);
    }
}

/// Policies for other routes are in one chain here, which is said.
#[test]
fn policies_for_other_routes() {
    let policy = |name: &str, route: &str| {
        format!(
            "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: EnvoyExtensionPolicy\nmetadata: {{name: {name}}}\nspec:\n  \
             targetRefs: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: {route}}}]\n  wasm:\n  - {{name: {name}, code: \
             {{type: HTTP, http: {{url: 'https://a/b.wasm'}}}}}}\n---\n"
        )
    };
    let differ = run(&(policy("a", "x") + &policy("b", "y")));
    assert_eq!(finding(&differ, "than EnvoyExtensionPolicy `a`").object, "EnvoyExtensionPolicy `b`");
    let same = run(&(policy("a", "x") + &policy("b", "x")));
    assert!(same.findings.iter().all(|finding| !finding.what.contains("for other proxies or routes")));
    let route =
        run(&(policy("a", "x") + "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: x}\n"));
    assert!(finding(&route, "it says where requests go").remedy.contains("egctl"));
}
