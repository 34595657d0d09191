//! A line for each request.

use std::path::Path;

use http::{Method, Response};
use http_body_util::Full;
use proxy_wasm_abi::settings::Origin;
use proxy_wasm_adapter::exports::Exports;
use proxy_wasm_adapter::shim::{Flavour, Shim};
use proxy_wasm_adapter_serve::{AccessFormat, Options, Place};

use crate::support::{Running, Upstream, Wasi, adapted_on_with, client, exchange, get, raw, request};

/// Sets the property `mine`, and answers or traps where the path's second character says so: `d`, `t`.
const FILTER: &str = r#"(module
  (import "env" "proxy_set_property" (func $set (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_send_local_response" (func $respond (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "mine" "value" ":path" "denied" "\00\00\00\00")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.const 4096))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (drop (call $set (i32.const 0) (i32.const 4) (i32.const 4) (i32.const 5)))
    (drop (call $get (i32.const 0) (i32.const 9) (i32.const 5) (i32.const 64) (i32.const 68)))
    (if (i32.eq (i32.load8_u offset=1 (i32.load (i32.const 64))) (i32.const 116)) (then unreachable))
    (if (i32.eq (i32.load8_u offset=1 (i32.load (i32.const 64))) (i32.const 100)) (then
      (drop (call $respond (i32.const 403) (i32.const 14) (i32.const 6) (i32.const 14) (i32.const 6)
        (i32.const 20) (i32.const 4) (i32.const -1)))
      (return (i32.const 1))))
    (i32.const 0)))"#;

async fn serve(wasi: Wasi, upstream: &str, format: AccessFormat, file: &Path) -> Running {
    let component = adapted_on_with(wasi, &wat::parse_str(FILTER).unwrap(), None, |settings| {
        let origin = Origin { tls: false, authority: upstream.into() };
        settings.set_upstream(origin, 15_000);
    });
    let mut options = Options::default();
    options.access_log = Some(Place::File(file.into()));
    options.access_log_format = Some(format);
    options.admin = Some(([127, 0, 0, 1], 0).into());
    Running::start_component(&component, options).await.unwrap()
}

/// Waits for so many lines.
async fn lines(file: &Path, count: usize) -> Vec<String> {
    for _ in 0..1000 {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        if text.lines().count() >= count {
            return text.lines().map(str::to_owned).collect();
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("there are not {count} lines: {:?}", std::fs::read_to_string(file));
}

#[tokio::test]
async fn lines_tell_what_the_filter_did() {
    for wasi in Wasi::ALL {
        let upstream = Upstream::start(|_| async { Response::new(Full::from("hello")) }).await;
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("log");
        let format = "%REQ(:METHOD)% %REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %RESPONSE_FLAGS% %BYTES_RECEIVED% \
                      %BYTES_SENT% %UPSTREAM_HOST% %UPSTREAM_CLUSTER% %FILTER_STATE(wasm.mine:PLAIN)%";
        let to = upstream.address.to_string();
        let server = serve(wasi, &to, AccessFormat::text(format).unwrap(), &file).await;
        // One after another, each on a connection of its own: lines come as requests end.
        for (count, path) in (1..).zip(["/", "/deny", "/trap"]) {
            get(server.address, path).await;
            lines(&file, count).await;
        }
        let request = request(Method::POST, server.address, "/post").body(Full::from("abc")).unwrap();
        exchange(&client(), request).await;
        let expected = [
            format!("GET / 200 via_upstream - 0 5 {to} upstream value"),
            String::from("GET /deny 403 denied - 0 6 - upstream value"),
            String::from("GET /trap 503 wasm_fail_stream - 0 0 - upstream -"),
            format!("POST /post 200 via_upstream - 3 5 {to} upstream value"),
        ];
        assert_eq!(lines(&file, 4).await, expected);
    }
}

/// Two endpoints of a cluster, of which the first is down, behind a route that changes the path.
fn routed(wasi: Wasi, exports: Exports, [down, up]: [&str; 2]) -> Vec<u8> {
    let text = format!(
        "plugin_name = \"t\"\n[[route]]\nmatch = {{ prefix = \"/api/\" }}\ncluster = \"a\"\nprefix_rewrite = \"/\"\n\
         retry_policy = {{ retry_on = [\"connect-failure\"], num_retries = 1 }}\n\
         [clusters.a]\nendpoints = [\"http://{down}\", \"http://{up}\"]\n"
    );
    let input = proxy_wasm_adapter::settings::parse("test", &text).unwrap();
    let mut options = input.resolve(1, &|_| Ok(Vec::new())).unwrap();
    (options.wasi, options.exports) = (wasi, exports);
    options.shim = Shim::built_in(wasi, Flavour::Plain);
    proxy_wasm_adapter::adapt(&[wat::parse_str(FILTER).unwrap()], &options).unwrap().component
}

#[tokio::test]
async fn tries_and_clusters_of_a_table_are_told() {
    let ways = [(Wasi::V0_2, Exports::Exchange), (Wasi::V0_2, Exports::Handler), (Wasi::V0_3, Exports::Handler)];
    for (wasi, exports) in ways {
        let seen = |request: http::Request<hyper::body::Incoming>| {
            let host = format!("{} {}", request.headers()["host"].to_str().unwrap(), request.uri().path());
            async move { Response::new(Full::from(host)) }
        };
        let upstream = Upstream::start(seen).await;
        let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
        let up = upstream.address.to_string();
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("log");
        let format =
            "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %UPSTREAM_HOST% %UPSTREAM_CLUSTER% %UPSTREAM_REQUEST_ATTEMPT_COUNT%";
        let mut options = Options::default();
        options.access_log = Some(Place::File(file.clone()));
        options.access_log_format = Some(AccessFormat::text(format).unwrap());
        options.admin = Some(([127, 0, 0, 1], 0).into());
        options.stat_prefix = "ingress".into();
        let server = Running::start_component(&routed(wasi, exports, [&free, &up]), options).await.unwrap();
        let mut attempts = Vec::new();
        for count in 1..=2 {
            let request = request(Method::GET, server.address, "/api/x").header("host", "shop.example");
            let answer = exchange(&client(), request.body(Full::default()).unwrap()).await;
            // As behind Envoy, and not the address that it was sent to.
            assert_eq!(String::from_utf8(answer.body).unwrap(), "shop.example /x", "{wasi:?} {exports:?}");
            let line = lines(&file, count).await.remove(count - 1);
            attempts.push(line.strip_prefix(&format!("/api/x {up} a ")).expect(&line).to_owned());
        }
        // Where it begins is left to chance.
        attempts.sort();
        assert!([["1", "2"], ["2", "2"]].contains(&[&*attempts[0], &*attempts[1]]), "{attempts:?}");
        let stats = String::from_utf8(get(server.admin.unwrap(), "/stats").await.body).unwrap();
        let shown: Vec<&str> = stats.lines().filter(|line| line.contains(".a.upstream_rq_total")).collect();
        assert_eq!(shown, ["cluster.a.upstream_rq_total: 2"], "once for both endpoints");
        assert!(stats.lines().any(|line| line == "http.ingress.downstream_rq_total: 2"), "{stats}");
    }
}

#[tokio::test]
async fn an_upstream_that_refuses_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("log");
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let format = r#"{"code": "%RESPONSE_CODE%", "flags": "%RESPONSE_FLAGS%", "host": "%UPSTREAM_HOST%"}"#;
    let server = serve(Wasi::V0_2, &free.to_string(), AccessFormat::json(format).unwrap(), &file).await;
    get(server.address, "/").await;
    assert_eq!(lines(&file, 1).await, [format!("{{\"code\":503,\"flags\":\"UF\",\"host\":\"{free}\"}}")]);
    let metrics = String::from_utf8(get(server.admin.unwrap(), "/stats/prometheus").await.body).unwrap();
    // As Envoy was seen to count: a request without a connection is none to the upstream.
    for (name, count) in [("cx_total", 1), ("cx_connect_fail", 1), ("cx_connect_timeout", 0), ("rq_total", 0)] {
        let line = format!("envoy_cluster_upstream_{name}{{envoy_cluster_name=\"upstream\"}} {count}");
        assert!(metrics.lines().any(|shown| shown == line), "{line} is not in\n{metrics}");
    }
}

/// Lines and details are those of Envoy for the same requests.
#[tokio::test]
async fn what_is_no_request_has_a_line() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("log");
    let format = "%REQ(:METHOD)% %REQ(:PATH)% %PROTOCOL% %RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %RESPONSE_FLAGS% \
                  %UPSTREAM_HOST% %BYTES_SENT% %REQ(:AUTHORITY)%";
    let server = serve(Wasi::V0_2, "127.0.0.1:1", AccessFormat::text(format).unwrap(), &file).await;
    let many = format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: 1\r\n".repeat(100));
    let large = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "x".repeat(70_000));
    let expected = [
        ("nonsense\r\n\r\n", "- - HTTP/1.1 400 http1.codec_error DPE - 11 -"),
        ("GET /a HTTP/1.0\r\n\r\n", "- - HTTP/1.1 426 low_version DPE - 16 -"),
        (
            "GET /f HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\n",
            "- - HTTP/1.1 501 http1.invalid_transfer_encoding DPE - 15 -",
        ),
        ("CONNECT a:80 HTTP/1.1\r\nhost: a\r\n\r\n", "CONNECT - HTTP/1.1 404 route_not_found NR - 0 a:80"),
        ("GET /f HTTP/1.1\r\n\r\n", "GET /f HTTP/1.1 400 missing_host_header - - 0 -"),
        ("GET /f#g HTTP/1.1\r\nhost: a\r\n\r\n", "GET /f#g HTTP/1.1 400 path_normalization_failed - - 0 a"),
        ("QUERY /f HTTP/1.1\r\nhost: a\r\n\r\n", "QUERY /f HTTP/1.1 400 query_missing_content_type - - 0 a"),
        (
            "POST /f HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
            "POST /f HTTP/1.1 403 upgrade_failed - - 0 a",
        ),
        (
            "OPTIONS * HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
            "OPTIONS * HTTP/1.1 404 absolute_path_rejected - - 0 a",
        ),
        ("GET /f HTTP/1.1\r\nhost: a b\r\n\r\n", "- - HTTP/1.1 400 http.invalid_authority DPE - 11 -"),
        ("GET ftp://a/ HTTP/1.1\r\nhost: a\r\n\r\n", "- - HTTP/1.1 400 http1.invalid_scheme DPE - 11 -"),
        ("GET http://a:x/ HTTP/1.1\r\nhost: a\r\n\r\n", "- - HTTP/1.1 400 http1.invalid_url DPE - 11 -"),
        ("GET /\u{1} HTTP/1.1\r\nhost: a\r\n\r\n", "- - HTTP/1.1 400 http1.invalid_characters DPE - 11 -"),
        (
            "GET / HTTP/1.1\r\nhost: a\r\nconnection: x-forwarded-for\r\n\r\n",
            "- - HTTP/1.1 400 http1.connection_header_rejected DPE - 11 -",
        ),
        (
            "POST /f HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
            "- - HTTP/1.1 400 http1.content_length_and_chunked_not_allowed DPE - 11 -",
        ),
        (
            "POST /f HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nx\r\n",
            "POST /f HTTP/1.1 400 http1.codec_error DPE - 11 a",
        ),
        (&many, "- - HTTP/1.1 431 http1.too_many_headers DPE - 31 -"),
        (&large, "- - HTTP/1.1 431 http1.headers_too_large DPE - 31 -"),
    ];
    for (count, (request, _)) in (1..).zip(expected) {
        raw(server.address, request).await;
        lines(&file, count).await;
    }
    assert_eq!(lines(&file, expected.len()).await, expected.map(|(_, line)| line));
}
