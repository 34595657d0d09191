//! Components that fail.

use http::{Method, StatusCode};
use http_body_util::Empty;
use proxy_wasm_abi::settings::{Plugin, Settings};
use proxy_wasm_adapter_serve::{Error, Options};

use crate::support::{Running, StartMode, Wasi, adapted_chain, client, collect, get, guest, h2_client, raw, request};

/// One connection must not end with a failed request.
async fn fails_closed(path: &str) {
    let server = Running::start(Options::default()).await;
    for client in [client(), h2_client()] {
        let send = |path| {
            let get = request(Method::GET, server.address, path).body(http_body_util::BodyExt::boxed(Empty::new()));
            client.request(get.unwrap())
        };
        let response = send(path).await.unwrap();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
        // As Envoy: over HTTP/2 the end of the head says that there is no body.
        let length = response.headers().get("content-length").map(|length| length.as_bytes());
        assert_eq!(length, (response.version() == http::Version::HTTP_11).then_some(b"0".as_slice()));
        assert_eq!(collect(response.into_body()).await.0, b"");
        let next = send("/ok").await.unwrap();
        assert_eq!(next.status(), StatusCode::OK, "after {path}");
        assert_eq!(collect(next.into_body()).await.0, b"ok");
    }
}

#[tokio::test]
async fn a_trap_answers_503_and_the_next_request_is_fine() {
    fails_closed("/trap").await;
}

#[tokio::test]
async fn no_response_is_503() {
    fails_closed("/silent").await;
}

#[tokio::test]
async fn an_error_instead_of_a_response_is_503() {
    fails_closed("/internal").await;
}

#[tokio::test]
async fn a_declared_body_that_is_not_there_is_503() {
    fails_closed("/claim").await;
}

#[tokio::test]
async fn a_component_can_close_the_stream() {
    let server = Running::start(Options::default()).await;
    assert_eq!(raw(server.address, "GET /quit HTTP/1.1\r\nhost: h\r\n\r\n").await, "");
    assert_eq!(get(server.address, "/ok").await.body, b"ok");
}

/// A response that breaks off must not look complete, and must not hang.
#[tokio::test]
async fn a_response_that_is_not_finished_is_reset() {
    let server = Running::start(Options::default()).await;
    for (path, begin) in [("/late-trap", "01234"), ("/dangle", "012"), ("/under", "012")] {
        for client in [client(), h2_client()] {
            let get = request(Method::GET, server.address, path).body(http_body_util::BodyExt::boxed(Empty::new()));
            // An HTTP/2 response may be reset before its head was written.
            let Ok(response) = client.request(get.unwrap()).await else { continue };
            assert_eq!(response.status(), StatusCode::OK);
            let (body, _, error) = collect(response.into_body()).await;
            assert!(error.is_some(), "{path} looks complete");
            assert!(begin.as_bytes().starts_with(&body), "{path}");
        }
        let answer = raw(server.address, &format!("GET {path} HTTP/1.1\r\nhost: h\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && !answer.ends_with("\r\n0\r\n\r\n"), "{answer}");
    }
    assert_eq!(get(server.address, "/ok").await.body, b"ok");
}

#[tokio::test]
async fn a_response_that_is_too_long_is_cut_off() {
    let server = Running::start(Options::default()).await;
    let answer = get(server.address, "/exceed").await;
    assert_eq!((answer.body.as_slice(), answer.broken), (&b"012"[..], false));
}

#[tokio::test]
async fn a_plugin_that_refuses_is_never_served() {
    let error = Running::start_component(&guest(StartMode::Refuses), Options::default()).await.err().unwrap();
    assert!(matches!(error, Error::Refused { .. }));
    assert_eq!(
        error.to_string(),
        "the plugin cannot start: proxy_on_configure returned false. Look at its log and its configuration"
    );
}

#[tokio::test]
async fn a_component_that_traps_at_its_start_is_never_served() {
    let error = Running::start_component(&guest(StartMode::Traps), Options::default()).await.err().unwrap();
    assert!(matches!(error, Error::StartTrapped { .. }));
    let text = error.to_string();
    let expected = "the plugin cannot start: `plugin` trapped in the host call `proxy_get_property`: wasm trap: wasm \
                    `unreachable` instruction executed\n    at ";
    assert!(text.starts_with(expected), "{text}");
}

/// The whole way: what a real shim's and filter's backtrace tells.
#[tokio::test]
async fn an_adapted_filter_that_traps_is_told_apart_from_the_shim() {
    // Its allocator traps, which the shim calls when it hands the configuration over.
    let filter = r#"(module $broken
      (import "env" "proxy_get_buffer_bytes" (func $get (param i32 i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (func (export "proxy_abi_version_0_2_1"))
      (func $my_allocator (export "malloc") (param i32) (result i32) unreachable)
      (func $read_configuration (param i32)
        (drop (call $get (i32.const 7) (i32.const 0) (local.get 0) (i32.const 16) (i32.const 20))))
      (func (export "proxy_on_configure") (param i32 i32) (result i32)
        (call $read_configuration (local.get 1))
        (i32.const 1)))"#;
    let plugins = vec![Plugin { name: String::from("auth"), configuration: b"x".to_vec(), ..Plugin::default() }];
    let settings = Settings { plugins, ..Settings::default() };
    let filter = wat::parse_str(filter).unwrap();
    let adapted = proxy_wasm_adapter::adapt(&[filter], &proxy_wasm_adapter::Options::new(settings)).unwrap();
    let error = Running::start_component(&adapted.component, Options::default()).await.err().unwrap();
    assert_eq!(
        error.to_string(),
        "the plugin cannot start: `auth` trapped in `proxy_on_configure`, in the host call `proxy_get_buffer_bytes`: \
         wasm trap: wasm `unreachable` instruction executed\n    \
         at broken!my_allocator\n    \
         at SHIM!proxy_get_buffer_bytes\n    \
         at broken!read_configuration\n    \
         at broken!proxy_on_configure"
            .replace("SHIM", "proxy-wasm shim")
    );
}

/// Which of several plugins it is, stripped filters too.
#[tokio::test]
async fn a_plugin_of_a_chain_that_traps_is_named() {
    let filter = |vm_start: &str| {
        let text = format!(
            r#"(module
              (memory (export "memory") 1)
              (func (export "proxy_abi_version_0_2_1"))
              (func (export "malloc") (param i32) (result i32) (i32.const 4096))
              (func (export "proxy_on_vm_start") (param i32 i32) (result i32) {vm_start})
              (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 0)))"#
        );
        wat::parse_str(text).unwrap()
    };
    let (good, bad) = (filter("(i32.const 1)"), filter("unreachable"));
    let chain = [("first", good.clone()), ("second", bad.clone()), ("", good), ("", bad)];
    let component = adapted_chain(Wasi::V0_2, &chain, |_| {});
    let error = Running::start_component(&component, Options::default()).await.err().unwrap();
    assert_eq!(
        error.to_string(),
        "the plugin cannot start: `second` or `plugin 4` trapped in `proxy_on_vm_start`: wasm trap: wasm `unreachable` \
         instruction executed\n    at filter!proxy_on_vm_start"
    );
}

#[tokio::test]
async fn what_is_no_component_is_refused() {
    let start =
        |bytes: Vec<u8>| async move { Running::start_component(&bytes, Options::default()).await.err().unwrap() };
    assert!(matches!(start(b"text".to_vec()).await, Error::Compile { .. }));
    assert!(matches!(start(wat::parse_str("(module)").unwrap()).await, Error::Compile { .. }));
    assert!(matches!(start(wat::parse_str("(component)").unwrap()).await, Error::NoHandler { .. }));
    let import = r#"(component (import "wasi:filesystem/preopens@0.2.0" (instance (export "f" (func)))))"#;
    let error = start(wat::parse_str(import).unwrap()).await;
    assert!(matches!(&error, Error::Link { reason } if reason.contains("wasi:filesystem/preopens")), "{error}");
}
