//! Filters and peers that take all that they can get: the host answers in time, keeps to its limits and serves on.

use std::process::Command;
use std::time::{Duration, Instant};

use http::StatusCode;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use proxy_wasm_adapter_testing::{Process, get};

/// What the host's memory may grow by, whatever a filter or a peer does: most is what the limits let a filter keep.
const GROWTH: u64 = 160 << 20;

/// How long any answer may take on a busy machine, with no waiting of its own.
const PATIENCE: Duration = Duration::from_secs(30);

/// A filter of these functions, served.
async fn serve(body: &str, options: &[&str]) -> (Process, tempfile::NamedTempFile) {
    let filter = format!(
        r#"(module
          (import "env" "proxy_http_call" (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
          (import "env" "proxy_send_local_response" (func $send (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
          (import "env" "proxy_set_effective_context" (func $effective (param i32) (result i32)))
          (import "env" "proxy_register_shared_queue" (func $register (param i32 i32 i32) (result i32)))
          (import "env" "proxy_enqueue_shared_queue" (func $enqueue (param i32 i32 i32) (result i32)))
          (import "env" "proxy_call_foreign_function" (func $foreign (param i32 i32 i32 i32 i32 i32) (result i32)))
          (import "env" "proxy_set_tick_period_milliseconds" (func $period (param i32) (result i32)))
          (memory (export "memory") 640)
          (data (i32.const 0) "a")
          (data (i32.const 16) "uncompress")
          (data (i32.const 64) "\03\00\00\00"
            "\07\00\00\00\03\00\00\00" "\05\00\00\00\01\00\00\00" "\0a\00\00\00\01\00\00\00"
            ":method\00GET\00" ":path\00/\00" ":authority\00a\00")
          (global $stream (mut i32) (i32.const 0))
          (global $count (mut i32) (i32.const 0))
          (func (export "proxy_abi_version_0_2_1"))
          (func (export "malloc") (param i32) (result i32) (i32.const 4096))
          (func $count_one (global.set $count (i32.add (global.get $count) (i32.const 1))))
          (func $answer (param $status i32) (result i32)
            (drop (call $send (local.get $status) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
              (i32.const 0) (i32.const -1)))
            (i32.const 1))
          {body})"#
    );
    let file = tempfile::Builder::new().suffix(".wasm").tempfile().unwrap();
    std::fs::write(file.path(), wat::parse_str(filter).unwrap()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_proxy-wasm-adapter"));
    command.arg("serve").arg(file.path()).args(["--listen", "127.0.0.1:0"]).args(options);
    (Process::spawn(&mut command), file)
}

/// The status of each of several answers, one after another.
async fn answers(process: &Process, times: usize) -> Vec<StatusCode> {
    let mut all = Vec::new();
    for _ in 0..times {
        let answer = tokio::time::timeout(PATIENCE, get(process.address, "/")).await.expect("an answer in time");
        all.push(answer.status);
    }
    all
}

/// A server that takes connections and says nothing.
async fn silent() -> (String, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    (url, task)
}

/// Those beyond the limit are answered 503, and all of them come back.
#[tokio::test]
async fn ten_thousand_callouts_that_nobody_answers() {
    let (url, _server) = silent().await;
    let filter = r#"
      (func (export "proxy_on_request_headers") (param $id i32) (param i32 i32) (result i32)
        (local $left i32)
        (global.set $stream (local.get $id))
        (local.set $left (i32.const 10000))
        (loop $again
          (if (i32.eqz (call $call (i32.const 0) (i32.const 1) (i32.const 64) (i32.const 61) (i32.const 0) (i32.const 0)
                (i32.const 0) (i32.const 0) (i32.const 500) (i32.const 160)))
            (then (call $count_one)))
          (local.set $left (i32.sub (local.get $left) (i32.const 1)))
          (br_if $again (local.get $left)))
        (i32.const 1))
      (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)
        (global.set $count (i32.sub (global.get $count) (i32.const 1)))
        (if (i32.eqz (global.get $count))
          (then (drop (call $effective (global.get $stream))) (drop (call $answer (i32.const 418))))))"#;
    let cluster = format!("a={url}");
    let (process, _file) = serve(filter, &["--cluster", &cluster, "--direct-response", "200"]).await;
    let before = process.peak_memory();
    assert_eq!(answers(&process, 3).await, [StatusCode::IM_A_TEAPOT; 3]);
    let growth = process.peak_memory() - before;
    assert!(growth < GROWTH, "{growth} bytes more");
}

/// It is refused at its bound, here with 64 items of 1 MiB; what is not taken out stays.
#[tokio::test]
async fn a_queue_that_only_grows() {
    let filter = r#"
      (func (export "proxy_on_configure") (param i32 i32) (result i32)
        (i32.eqz (call $register (i32.const 0) (i32.const 1) (i32.const 160))))
      (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (local $status i32)
        (loop $again
          (local.set $status (call $enqueue (i32.load (i32.const 160)) (i32.const 1048576) (i32.const 1048576)))
          (if (i32.eqz (local.get $status)) (then (call $count_one) (br $again))))
        (call $answer (i32.add (i32.const 200) (i32.add (global.get $count) (local.get $status)))))"#;
    for state in ["vm", "host"] {
        let (process, _file) = serve(filter, &["--state", state, "--direct-response", "200", "--vms", "1"]).await;
        let before = process.peak_memory();
        // 64 items, and INTERNAL_FAILURE.
        assert_eq!(answers(&process, 3).await, [StatusCode::from_u16(200 + 64 + 10).unwrap(); 3], "{state}");
        let growth = process.peak_memory() - before;
        assert!(growth < GROWTH, "{growth} bytes more");
    }
}

/// What a few bytes stand for has a limit.
#[tokio::test]
async fn a_bomb() {
    let filter = r#"
      (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (if (call $foreign (i32.const 18) (i32.const 8) (i32.const 65536) (i32.const 34603008) (i32.const 160) (i32.const 164))
          (then (return (call $answer (i32.const 500)))))
        (call $answer (i32.add (i32.const 200)
          (call $foreign (i32.const 16) (i32.const 10) (i32.load (i32.const 160)) (i32.load (i32.const 164)) (i32.const 160)
            (i32.const 164)))))"#;
    let (process, _file) = serve(filter, &["--foreign-function", "compress", "--direct-response", "200"]).await;
    let before = process.peak_memory();
    assert_eq!(answers(&process, 3).await, [StatusCode::from_u16(210).unwrap(); 3]);
    let growth = process.peak_memory() - before;
    assert!(growth < 2 * GROWTH, "{growth} bytes more");
}

#[tokio::test]
async fn a_tick_of_a_millisecond() {
    let filter = r#"
      (func (export "proxy_on_configure") (param i32 i32) (result i32)
        (i32.eqz (call $period (i32.const 1))))
      (func (export "proxy_on_tick") (param i32) (call $count_one))
      (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (if (i32.lt_u (global.get $count) (i32.const 100)) (then (return (call $answer (i32.const 418)))))
        (i32.const 0))"#;
    let (process, _file) = serve(filter, &["--direct-response", "200"]).await;
    let before = process.peak_memory();
    let begun = Instant::now();
    // The instance that ticks gets the requests.
    while answers(&process, 1).await != [StatusCode::OK] {
        assert!(begun.elapsed() < PATIENCE, "it does not tick");
    }
    let mut many = JoinSet::new();
    for _ in 0..50 {
        let address = process.address;
        many.spawn(async move {
            tokio::time::timeout(PATIENCE, get(address, "/")).await.expect("an answer in time").status
        });
    }
    while let Some(status) = many.join_next().await {
        assert!([StatusCode::OK, StatusCode::IM_A_TEAPOT].contains(&status.unwrap()));
    }
    let growth = process.peak_memory() - before;
    assert!(growth < GROWTH, "{growth} bytes more");
}

#[tokio::test]
async fn an_upstream_that_never_answers() {
    let (url, _server) = silent().await;
    let options = ["--upstream", url.as_str(), "--upstream-timeout", "300"];
    let filter = r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 0))"#;
    let (process, _file) = serve(filter, &options).await;
    let before = process.peak_memory();
    for _ in 0..5 {
        let mut many = JoinSet::new();
        for _ in 0..50 {
            let address = process.address;
            many.spawn(async move {
                tokio::time::timeout(PATIENCE, get(address, "/")).await.expect("an answer in time").status
            });
        }
        while let Some(status) = many.join_next().await {
            assert_eq!(status.unwrap(), StatusCode::GATEWAY_TIMEOUT);
        }
    }
    let growth = process.peak_memory() - before;
    assert!(growth < GROWTH, "{growth} bytes more");
}
