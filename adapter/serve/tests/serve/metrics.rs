//! The filter's metrics, over all instances, and those of the host.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Method, Response};
use http_body_util::{Empty, Full};
use proxy_wasm_abi::settings::{Origin, Plugin, Settings};
use proxy_wasm_adapter::exports::Exports;
use proxy_wasm_adapter_serve::{Options, StatsTag};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Answer, Running, Upstream, Wasi, adapted, adapted_on, client, exchange, get, options, request};

/// Counts requests, keeps a gauge at 3, and records 7 in a histogram; `/trap` traps after that.
const COUNTER: &str = r#"(module
  (import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_increment_metric" (func $increment (param i32 i64) (result i32)))
  (import "env" "proxy_record_metric" (func $record (param i32 i64) (result i32)))
  (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "requests.total" "open" "took.ms" "unused" ":path")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.const 4096))
  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    (drop (call $define (i32.const 0) (i32.const 0) (i32.const 14) (i32.const 64)))
    (drop (call $define (i32.const 1) (i32.const 14) (i32.const 4) (i32.const 68)))
    (drop (call $define (i32.const 2) (i32.const 18) (i32.const 7) (i32.const 72)))
    (drop (call $define (i32.const 0) (i32.const 25) (i32.const 6) (i32.const 76)))
    (drop (call $record (i32.load (i32.const 68)) (i64.const 3)))
    (i32.const 1))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (drop (call $increment (i32.load (i32.const 64)) (i64.const 1)))
    (drop (call $record (i32.load (i32.const 72)) (i64.const 7)))
    (drop (call $get (i32.const 0) (i32.const 31) (i32.const 5) (i32.const 80) (i32.const 84)))
    (if (i32.eq (i32.load (i32.const 84)) (i32.const 5)) (then unreachable))
    (i32.const 0)))"#;

/// As in the measured configuration of Envoy.
const RETRIES: &str = "retry_policy = { retry_on = [\"5xx\", \"connect-failure\", \"reset\"], num_retries = 2 }";

async fn admin(server: &Running, method: Method, path: &str) -> Answer {
    let request = request(method, server.admin.unwrap(), path).body(Empty::new()).unwrap();
    exchange(&client(), request).await
}

async fn metrics(server: &Running) -> Vec<String> {
    let text = text(server, "/stats/prometheus").await;
    let others = ["_bucket", "envoy_", "proxy_wasm_adapter_"];
    text.lines().filter(|line| !others.iter().any(|other| line.contains(other))).map(str::to_owned).collect()
}

async fn text(server: &Running, path: &str) -> String {
    String::from_utf8(admin(server, Method::GET, path).await.body).unwrap()
}

/// Waits until all these lines are there.
async fn lines(server: &Running, wanted: &[&str]) {
    let mut shown = String::new();
    for _ in 0..1000 {
        shown = text(server, "/stats/prometheus").await;
        if wanted.iter().all(|wanted| shown.lines().any(|line| line == *wanted)) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let missing: Vec<_> = wanted.iter().filter(|wanted| !shown.lines().any(|line| line == **wanted)).collect();
    panic!("{missing:?} are not in\n{shown}");
}

async fn serve(wasi: Wasi, reuse: u32) -> Running {
    let mut options = Options::default();
    options.admin = Some(([127, 0, 0, 1], 0).into());
    options.max_instance_reuse = Some(reuse);
    Running::start_component(&adapted_on(wasi, &wat::parse_str(COUNTER).unwrap(), None), options).await.unwrap()
}

fn expected(requests: u32, open: u32) -> Vec<String> {
    let text = format!(
        "# TYPE requests_total counter\nrequests_total{{}} {requests}\n# TYPE unused counter\nunused{{}} 0\n\
         # TYPE open gauge\nopen{{}} {open}\n# TYPE took_ms histogram\ntook_ms_sum{{}} {}\ntook_ms_count{{}} {requests}",
        7 * requests
    );
    text.lines().map(str::to_owned).collect()
}

/// The body of a response may be there before its request has ended.
async fn soon(server: &Running, wanted: Vec<String>) {
    for _ in 0..500 {
        if metrics(server).await == wanted {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(metrics(server).await, wanted);
}

#[tokio::test]
async fn metrics_are_added_up() {
    for wasi in Wasi::ALL {
        let server = serve(wasi, 1000).await;
        assert_eq!(metrics(&server).await, expected(0, 3));
        for _ in 0..5 {
            assert_eq!(get(server.address, "/").await.status, 200);
        }
        soon(&server, expected(5, 3)).await;
        let requests = (0..20).map(|_| tokio::spawn(get(server.address, "/")));
        for request in requests.collect::<Vec<_>>() {
            assert_eq!(request.await.unwrap().status, 200);
        }
        lines(&server, &["requests_total{} 25"]).await;
    }
}

/// Counters stay, gauges go with their instance; the last request of an instance that traps is not counted.
#[tokio::test]
async fn ended_instances_count() {
    for wasi in Wasi::ALL {
        let server = serve(wasi, 1).await;
        for _ in 0..5 {
            assert_eq!(get(server.address, "/").await.status, 200);
        }
        soon(&server, expected(5, 0)).await;
        assert_eq!(get(server.address, "/trap").await.status, 503);
        assert_eq!(get(server.address, "/").await.status, 200);
        soon(&server, expected(6, 0)).await;
    }
}

/// By the names that Envoy has for them.
#[tokio::test]
async fn the_host_counts_its_requests_and_instances() {
    for wasi in Wasi::ALL {
        let server = serve(wasi, 1000).await;
        for path in ["/", "/", "/trap", "/"] {
            get(server.address, path).await;
        }
        lines(
            &server,
            &[
                "envoy_http_downstream_rq_total{envoy_http_conn_manager_prefix=\"main\"} 4",
                "envoy_http_downstream_rq_completed{envoy_http_conn_manager_prefix=\"main\"} 4",
                "envoy_http_downstream_rq_xx{envoy_response_code_class=\"2\",envoy_http_conn_manager_prefix=\"main\"} 3",
                "envoy_http_downstream_rq_xx{envoy_response_code_class=\"5\",envoy_http_conn_manager_prefix=\"main\"} 1",
                "envoy_http_downstream_rq_active{envoy_http_conn_manager_prefix=\"main\"} 0",
                "envoy_http_downstream_rq_time_count{envoy_http_conn_manager_prefix=\"main\"} 4",
                "envoy_http_downstream_rq_time_bucket{envoy_http_conn_manager_prefix=\"main\",le=\"+Inf\"} 4",
                "envoy_server_live{} 1",
                "proxy_wasm_adapter_instances_made{} 2",
                "proxy_wasm_adapter_instances_trapped{} 1",
                "proxy_wasm_adapter_instances_reused{} 2",
                "proxy_wasm_adapter_plugin_traps{plugin=\"t\"} 1",
                "proxy_wasm_adapter_queue_length{} 0",
            ],
        )
        .await;
    }
}

#[tokio::test]
async fn metrics_are_listed_by_their_whole_names() {
    let server = serve(Wasi::V0_2, 1000).await;
    get(server.address, "/").await;
    lines(&server, &["requests_total{} 1"]).await;
    assert_eq!(text(&server, "/stats?filter=requests%5C.total").await, "wasmcustom.requests.total: 1\n");
    let shown = text(&server, "/stats?filter=requests.total&format=json").await;
    assert_eq!(shown, "{\"stats\":[{\"name\":\"wasmcustom.requests.total\",\"value\":1}]}");
    assert!(text(&server, "/stats?format=prometheus").await.contains("requests_total{} 1\n"));
    for wrong in ["/stats?filter=(", "/stats?format=x"] {
        assert_eq!(admin(&server, Method::GET, wrong).await.status, 400);
    }
    let facts: serde_json::Value = serde_json::from_str(&text(&server, "/server_info").await).unwrap();
    assert_eq!(facts["state"], "LIVE");
}

#[tokio::test]
async fn tags_are_taken_from_names() {
    let mut options = Options::default();
    options.admin = Some(([127, 0, 0, 1], 0).into());
    options.stats_tag = vec![StatsTag::parse("what=(\\.(total))$").unwrap()];
    let component = adapted(&wat::parse_str(COUNTER).unwrap(), None);
    let server = Running::start_component(&component, options).await.unwrap();
    get(server.address, "/").await;
    lines(&server, &["requests{what=\"total\"} 1"]).await;
}

#[tokio::test]
async fn the_admin_address_answers_as_envoys_does() {
    let server = serve(Wasi::V0_2, 1000).await;
    let ready = admin(&server, Method::GET, "/ready").await;
    assert_eq!((ready.status.as_u16(), ready.body.as_slice()), (200, &b"LIVE\n"[..]));
    assert_eq!(ready.headers["content-type"], "text/plain; charset=UTF-8");
    assert_eq!(admin(&server, Method::HEAD, "/ready").await.status, 200);
    assert_eq!(admin(&server, Method::POST, "/ready").await.status, 405);
    assert_eq!(admin(&server, Method::GET, "/nothing").await.status, 404);
}

/// Envoy, too, counts no time-out of an upstream where a trap, or a client that leaves, cuts a request off.
#[tokio::test]
async fn what_is_cut_off_is_no_timeout_of_the_upstream() {
    let upstream = silent().await;
    let server = by_exchanges(COUNTER, &upstream).await;
    let address = server.address;
    let waiting = || tokio::spawn(async move { get(address, "/").await.status.as_u16() });

    let cut_off = waiting();
    reached(&upstream, 1).await;
    assert_eq!(get(address, "/trap").await.status, 503);
    assert_eq!(cut_off.await.unwrap(), 503);
    let leaves = waiting();
    reached(&upstream, 2).await;
    leaves.abort();
    is_over(&server, 2).await;
}

/// As in Envoy, whose filter answers at the body of a request that its upstream has already.
#[tokio::test]
async fn an_answer_of_the_filter_is_no_timeout_of_the_upstream() {
    /// Answers 418 at the body.
    const ANSWERS: &str = r#"(module
      (import "env" "proxy_send_local_response" (func $answer (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (func (export "proxy_abi_version_0_2_1"))
      (func (export "malloc") (param i32) (result i32) (i32.const 4096))
      (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
        (drop (call $answer
          (i32.const 418) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1)))
        (i32.const 1)))"#;
    let upstream = silent().await;
    let server = by_exchanges(ANSWERS, &upstream).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    // The head of a sized body would wait for bytes that the filter lets through.
    stream.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
    reached(&upstream, 1).await;
    stream.write_all(b"1\r\na\r\n").await.unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 418");
    is_over(&server, 1).await;
}

/// Counts are those of Envoy for the same requests, one after another.
#[tokio::test]
async fn tries_are_counted_as_retries() {
    let seen = Arc::new(Mutex::new(HashMap::<String, u32>::new()));
    let upstream = Upstream::start(move |request: http::Request<hyper::body::Incoming>| {
        let mut seen = seen.lock().unwrap();
        let times = seen.entry(request.uri().path().into()).or_default();
        *times += 1;
        let status = match (request.uri().path(), *times) {
            ("/all-fail", _) => 502,
            ("/first-fails", 1) => 503,
            _ => 200,
        };
        async move { Response::builder().status(status).body(Full::<Bytes>::default()).unwrap() }
    })
    .await;
    let dead = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let text = format!(
        "plugin_name = \"t\"\n[[route]]\nmatch = {{ path = \"/nobody\" }}\ncluster = \"dead\"\n{RETRIES}\n\
         [[route]]\nmatch = {{ prefix = \"/\" }}\ncluster = \"up\"\n{RETRIES}\n\
         [clusters]\nup = \"http://{}\"\ndead = \"http://{dead}\"\n",
        upstream.address
    );
    let input = proxy_wasm_adapter::settings::parse("test", &text).unwrap();
    let mut adapted = input.resolve(1, &|_| Ok(Vec::new())).unwrap();
    adapted.exports = Exports::Exchange;
    let component = proxy_wasm_adapter::adapt(&[wat::parse_str(COUNTER).unwrap()], &adapted).unwrap().component;
    let mut options = Options::default();
    options.admin = Some(([127, 0, 0, 1], 0).into());
    let server = Running::start_component(&component, options).await.unwrap();
    for (path, status) in [("/ok", 200), ("/first-fails", 200), ("/all-fail", 502), ("/nobody", 503)] {
        assert_eq!(get(server.address, path).await.status, status, "{path}");
    }
    let of = |cluster: &str, count: u32, name: &str, class: Option<u32>| {
        let class = class.map(|class| format!("envoy_response_code_class=\"{class}\",")).unwrap_or_default();
        format!("envoy_cluster_{name}{{{class}envoy_cluster_name=\"{cluster}\"}} {count}")
    };
    let wanted = [
        of("up", 6, "upstream_rq_total", None),
        of("up", 3, "upstream_rq_completed", None),
        of("up", 2, "upstream_rq_xx", Some(2)),
        of("up", 1, "upstream_rq_xx", Some(5)),
        of("up", 3, "upstream_rq_retry", None),
        of("up", 3, "retry_upstream_rq_completed", None),
        of("up", 3, "retry_upstream_rq_xx", Some(5)),
        of("dead", 2, "upstream_rq_retry", None),
        of("dead", 1, "upstream_rq_completed", None),
        of("dead", 1, "upstream_rq_xx", Some(5)),
    ];
    let shown = self::text(&server, "/stats/prometheus").await;
    for line in wanted {
        assert!(shown.lines().any(|shown| shown == line), "{line} is not in\n{shown}");
    }
    assert!(!shown.contains("envoy_cluster_retry_upstream_rq_completed{envoy_cluster_name=\"dead\"}"), "{shown}");
}

/// An upstream that answers nothing.
async fn silent() -> Upstream {
    Upstream::start(|_| std::future::pending::<Response<Full<Bytes>>>()).await
}

/// Waits until the upstream has so many connections.
async fn reached(upstream: &Upstream, count: usize) {
    while upstream.connections() < count {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// Waits until so many requests have been to the upstream and are over, none for the time that it took, and none as cancelled:
/// that are those that wait for a connection.
async fn is_over(server: &Running, requests: u32) {
    let counts = [("total", requests), ("active", 0), ("cancelled", 0), ("timeout", 0)];
    let wanted = counts.map(|(name, count)| of_route(&format!("upstream_rq_{name}"), count));
    lines(server, &wanted.each_ref().map(String::as_str)).await;
}

fn of_route(name: &str, count: u32) -> String {
    format!("envoy_cluster_{name}{{envoy_cluster_name=\"upstream\"}} {count}")
}

/// One virtual machine with this filter.
async fn by_exchanges(filter: &str, upstream: &Upstream) -> Running {
    let plugins = vec![Plugin { name: "t".into(), ..Plugin::default() }];
    let mut settings = Settings { plugins, ..Settings::default() };
    settings.set_upstream(Origin { tls: false, authority: upstream.address.to_string() }, 15_000);
    let mut adapted = proxy_wasm_adapter::Options::new(settings);
    adapted.exports = Exports::Exchange;
    let component = proxy_wasm_adapter::adapt(&[&wat::parse_str(filter).unwrap()], &adapted).unwrap().component;
    let options = options(|options| {
        options.admin = Some(([127, 0, 0, 1], 0).into());
        options.vms = Some(1);
    });
    Running::start_component(&component, options).await.unwrap()
}
