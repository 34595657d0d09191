//! What keeps requests out in Envoy, and is left behind.

use proxy_wasm_adapter_migrate::Outcome;

use crate::common::{finding, plain, run};

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
        "csrf.v3.CsrfPolicy",
        "ext_authz.v3.ExtAuthz",
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
