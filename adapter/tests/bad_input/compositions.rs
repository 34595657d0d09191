//! Components that can't be joined, or can't be served as they are.

use proxy_wasm_abi::settings::{Action, Route};
use proxy_wasm_adapter::shim::{Flavour, Shim};
use proxy_wasm_adapter::wasi::Wasi;
use proxy_wasm_adapter_testing::{filter, options, wat};

use super::{Case, adapted, cut_off};

pub(super) fn cases() -> Vec<Case> {
    let compose = |name, files: Vec<(&'static str, Vec<u8>)>| {
        let mut args = vec!["compose", "-o", "out.wasm"];
        args.extend(files.iter().map(|(file, _)| *file));
        Case { name, files, args }
    };
    let (middleware, service) = (("middleware.wasm", of_03(true)), ("service.wasm", of_03(false)));
    vec![
        compose(
            "compose-all-that-is-wrong",
            vec![
                ("text.wasm", b"hello".to_vec()),
                ("filter.wasm", filter("")),
                ("old.wasm", adapted()),
                ("other.wasm", wat("(component)")),
                ("cut-off.wasm", cut_off()),
                ("both.wasm", both()),
                ("service-first.wasm", of_03(false)),
                ("middleware-last.wasm", of_03(true)),
            ],
        ),
        Case {
            name: "compose-one-component",
            files: vec![service.clone()],
            args: vec!["compose", "service.wasm", "-o", "out.wasm"],
        },
        Case {
            name: "compose-missing-files",
            files: vec![middleware.clone()],
            args: vec!["compose", "middleware.wasm", "a.wasm", "b.wasm", "-o", "out.wasm"],
        },
        Case {
            name: "compose-onto-a-part",
            files: vec![middleware.clone(), service],
            args: vec!["compose", "middleware.wasm", "service.wasm", "-o", "./service.wasm"],
        },
        Case { name: "compose-from-stdin-twice", files: Vec::new(), args: vec!["compose", "-", "-", "-o", "out.wasm"] },
        next("next-is-for-0-2", adapted()),
        next("next-is-middleware", of_03(true)),
        next("next-is-a-filter", filter("")),
        next("next-has-no-handler", wat("(component)")),
        next("next-has-two-handlers", both()),
        next("next-goes-round-in-a-circle", circle()),
        compose("compose-a-circle", vec![middleware.clone(), ("circle.wasm", circle())]),
        Case {
            name: "next-is-missing",
            files: vec![("filter.wasm", filter(""))],
            args: vec!["adapt", "filter.wasm", "-o", "out.wasm", "--next", "next.wasm"],
        },
        {
            let mut case = traffic(
                "compare",
                "compare-what-is-composed-with-options",
                compose_parts(&[of_03(true), of_03(false)]),
            );
            case.args.extend(["--root-id", "a"]);
            case
        },
        traffic("compare", "compare-what-is-adapted-behind-others", compose_parts(&[other(), of_03(false)])),
        traffic("compare", "compare-what-others-composed", joined_of_02()),
        Case { name: "serve-middleware", files: vec![middleware], args: vec!["serve", "middleware.wasm"] },
        Case {
            name: "serve-middleware-of-0-2",
            files: vec![("middleware.wasm", middleware_of_02())],
            args: vec!["serve", "middleware.wasm"],
        },
    ]
}

/// A filter in front of this component.
fn next(name: &'static str, component: Vec<u8>) -> Case {
    Case {
        name,
        files: vec![("filter.wasm", filter("")), ("next.wasm", component)],
        args: vec!["adapt", "filter.wasm", "-o", "out.wasm", "--next", "next.wasm"],
    }
}

/// A composed component in the place of a filter.
fn traffic(command: &'static str, name: &'static str, composed: Vec<u8>) -> Case {
    let requests = b"requests: [{path: /, expect: {status: 200}}]".to_vec();
    Case {
        name,
        files: vec![("app.wasm", composed), ("requests.yaml", requests)],
        args: vec![command, "app.wasm", "--requests", "requests.yaml"],
    }
}

fn compose_parts(parts: &[Vec<u8>]) -> Vec<u8> {
    proxy_wasm_adapter_compose::compose(parts).unwrap()
}

/// Middleware of others, which answers by what it imports.
fn other() -> Vec<u8> {
    wat(r#"(component (import "wasi:http/handler@0.3.0" (instance $next)) (core module)
        (export "wasi:http/handler@0.3.0" (instance $next)))"#)
}

/// What `wac plug` makes of two components for WASI 0.2.
fn joined_of_02() -> Vec<u8> {
    const HANDLER: &str = "wasi:http/incoming-handler@0.2.6";
    wat(&format!(
        r#"(component
            (component (core module) (instance $own) (export "{HANDLER}" (instance $own)))
            (component (import "{HANDLER}" (instance $next)) (core module) (export "{HANDLER}" (instance $next)))
            (instance (instantiate 0))
            (alias export 0 "{HANDLER}" (instance))
            (instance (instantiate 1 (with "{HANDLER}" (instance 1))))
            (alias export 2 "{HANDLER}" (instance))
            (export "{HANDLER}" (instance 3)))"#
    ))
}

fn of_03(is_middleware: bool) -> Vec<u8> {
    let mut options = options();
    (options.wasi, options.shim) = (Wasi::V0_3, Shim::built_in(Wasi::V0_3, Flavour::Plain));
    if is_middleware {
        options.settings.routes = vec![Route { action: Action::Next { timeout_ms: 0 } }].into();
    }
    proxy_wasm_adapter::adapt(&[filter("")], &options).unwrap().component
}

fn both() -> Vec<u8> {
    wat(r#"(component (instance $i)
        (export "wasi:http/incoming-handler@0.2.0" (instance $i)) (export "wasi:http/handler@0.3.0" (instance $i)))"#)
}

fn middleware_of_02() -> Vec<u8> {
    wat(r#"(component (import "wasi:http/incoming-handler@0.2.6" (instance $i))
        (export "wasi:http/incoming-handler@0.2.6" (instance $i)))"#)
}

/// A composition in which a middleware is its own next handler: no such component can be made, but its bytes can.
fn circle() -> Vec<u8> {
    wat(r#"(component
        (component (import "wasi:http/handler@0.3.0" (instance $next)) (core module)
            (export "wasi:http/handler@0.3.0" (instance $next)))
        (instance (instantiate 0 (with "wasi:http/handler@0.3.0" (instance 1))))
        (alias export 0 "wasi:http/handler@0.3.0" (instance))
        (export "wasi:http/handler@0.3.0" (instance 1)))"#)
}
