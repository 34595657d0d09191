//! `serve` as a process that has too little: file descriptors, memory, a reader of its log, or time to end.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use http::StatusCode;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use proxy_wasm_adapter_testing::{Process, get};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Logs 60 KB six hundred times, then lets the request pass.
const FLOOD: &str = r#"(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.const 100000))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (local $left i32)
    (local.set $left (i32.const 600))
    (memory.fill (i32.const 1024) (i32.const 65) (i32.const 60000))
    (loop $again
      (drop (call $log (i32.const 2) (i32.const 1024) (i32.const 60000)))
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br_if $again (local.get $left)))
    (i32.const 0)))"#;

/// Takes all the memory that it gets, and writes to it.
const GROWS: &str = r#"(module
  (import "env" "proxy_send_local_response" (func $send (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.const 4096))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (local $page i32)
    (loop $again
      (local.set $page (memory.grow (i32.const 256)))
      (if (i32.ne (local.get $page) (i32.const -1)) (then
        (memory.fill (i32.mul (local.get $page) (i32.const 65536)) (i32.const 1) (i32.const 16777216))
        (br $again))))
    (drop (call $send (i32.const 418) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
      (i32.const -1)))
    (i32.const 1)))"#;

/// Lets requests pass that have no body, and holds the others.
const PASSES: &str = r#"(module
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.const 4096))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.eqz (local.get 2))))"#;

/// Makes many callouts with each request, and waits for none.
const CALLS: &str = r#"(module
  (import "env" "proxy_http_call" (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "a")
  (data (i32.const 64) "\03\00\00\00"
    "\07\00\00\00\03\00\00\00" "\05\00\00\00\01\00\00\00" "\0a\00\00\00\01\00\00\00"
    ":method\00GET\00" ":path\00/\00" ":authority\00a\00")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.const 4096))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (local $left i32)
    (local.set $left (i32.const 200))
    (loop $again
      (drop (call $call (i32.const 0) (i32.const 1) (i32.const 64) (i32.const 61) (i32.const 0) (i32.const 0)
        (i32.const 0) (i32.const 0) (i32.const 30000) (i32.const 160)))
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br_if $again (local.get $left)))
    (i32.const 0)))"#;

/// The command that serves this filter.
pub(crate) fn command(filter: &str, options: &[&str]) -> (Command, tempfile::NamedTempFile) {
    let file = tempfile::Builder::new().suffix(".wasm").tempfile().unwrap();
    std::fs::write(file.path(), wat::parse_str(filter).unwrap()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_proxy-wasm-adapter"));
    command.arg("serve").arg(file.path()).args(["--listen", "127.0.0.1:0", "--direct-response", "200"]).args(options);
    (command, file)
}

async fn ended(mut child: Child) -> bool {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.success();
        }
        assert!(begun.elapsed() < PATIENCE, "it does not end");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Computes for a second or several at the path `/long`.
const COMPUTES: &str = r#"(module
  (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) ":path")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.const 4096))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (local $left i64)
    (drop (call $get (i32.const 0) (i32.const 0) (i32.const 5) (i32.const 64) (i32.const 68)))
    (if (i32.eq (i32.load (i32.const 68)) (i32.const 5)) (then
      (local.set $left (i64.const 1500000000))
      (loop $again
        (local.set $left (i64.sub (local.get $left) (i64.const 1)))
        (br_if $again (i64.ne (local.get $left) (i64.const 0))))))
    (i32.const 0)))"#;

/// As in Envoy, whose other workers go on.
#[tokio::test]
async fn others_are_served_while_a_filter_computes() {
    if std::thread::available_parallelism().unwrap().get() < 2 {
        return;
    }
    let (mut command, _file) = command(COMPUTES, &["--cpu-timeout", "10m"]);
    let process = Process::spawn(&mut command);
    for _ in 0..3 {
        let long = tokio::spawn(get(process.address, "/long"));
        tokio::time::sleep(Duration::from_millis(50)).await;
        for _ in 0..5 {
            assert_eq!(get(process.address, "/").await.status, StatusCode::OK);
        }
        assert!(!long.is_finished(), "they were answered behind it");
        assert_eq!(long.await.unwrap().status, StatusCode::OK);
    }
}

/// Requests are answered, and it ends.
#[tokio::test]
async fn a_log_that_nobody_reads_holds_up_nothing() {
    let (mut command, _file) = command(FLOOD, &["--cpu-timeout", "10m"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    let address: SocketAddr = line.trim().strip_prefix("listening on http://").unwrap().parse().unwrap();
    for _ in 0..4 {
        let answer = tokio::time::timeout(PATIENCE, get(address, "/")).await.expect("an answer in time");
        assert_eq!(answer.status, StatusCode::OK);
    }
    let status = Command::new("kill").args(["-s", "TERM", &child.id().to_string()]).status().unwrap();
    assert!(status.success() && ended(child).await);
}

/// What is lost is told of where there is a reader again.
#[tokio::test]
async fn lost_lines_are_counted() {
    let (mut command, _file) = command(FLOOD, &["--cpu-timeout", "10m"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    let address: SocketAddr = line.trim().strip_prefix("listening on http://").unwrap().parse().unwrap();
    let answer = tokio::time::timeout(PATIENCE, get(address, "/")).await.expect("an answer in time");
    assert_eq!(answer.status, StatusCode::OK);
    let read = std::thread::spawn(move || {
        let (mut logged, mut lost) = (0, 0);
        for line in stderr.lines().map_while(Result::ok) {
            match line.strip_suffix(" lines of the log were lost here: whoever reads it took too long") {
                Some(told) => lost += told.rsplit_once("[warn] ").unwrap().1.parse::<u64>().unwrap(),
                None if line.ends_with('A') => logged += 1,
                None => {}
            }
        }
        (logged, lost)
    });
    let status = Command::new("kill").args(["-s", "TERM", &child.id().to_string()]).status().unwrap();
    assert!(status.success() && ended(child).await);
    let (logged, lost) = read.join().unwrap();
    // `serve` has a few lines of its own.
    assert!(lost > 0 && (600..610).contains(&(logged + lost)), "{logged} and {lost}");
}

/// One instance after another takes what it may, and gives it back.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn memory_comes_back() {
    const LIMIT: u64 = 96 << 20;
    let (mut command, _file) = command(GROWS, &["--max-memory", "96MiB"]);
    let process = Process::spawn(&mut command);
    let before = process.memory();
    for _ in 0..4 {
        let answer = tokio::time::timeout(PATIENCE, get(process.address, "/")).await.expect("an answer in time");
        assert_eq!(answer.status, StatusCode::IM_A_TEAPOT);
    }
    let begun = Instant::now();
    while process.memory() > before + LIMIT / 4 {
        assert!(begun.elapsed() < PATIENCE, "{} bytes before, {} after", before, process.memory());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(process.peak_memory() < before + 2 * LIMIT, "{} bytes", process.peak_memory());
}

/// Together they take no more than all may, however many there are.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn memory_is_bounded_over_all_instances() {
    const TOTAL: u64 = 200 << 20;
    let (mut command, _file) = command(GROWS, &["--max-memory", "96MiB", "--max-total-memory", "200MiB"]);
    let process = Process::spawn(&mut command);
    let before = process.memory();
    let requests: Vec<_> = (0..20).map(|_| tokio::spawn(get(process.address, "/"))).collect();
    for request in requests {
        let answer = tokio::time::timeout(PATIENCE, request).await.expect("an answer in time").unwrap();
        assert_eq!(answer.status, StatusCode::IM_A_TEAPOT);
    }
    assert!(process.peak_memory() < before + TOTAL + (64 << 20), "{} bytes", process.peak_memory());
}

/// With 64 descriptors and 80 clients that say nothing, everybody else is served, and the log is not full of it.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn descriptors_that_run_out_keep_nobody_out() {
    for limits in [&[][..], &["--max-connections", "1000"]] {
        let (served, _file) = command(PASSES, limits);
        let mut shell = Command::new("bash");
        shell.args(["-c", "ulimit -n 64; exec \"$0\" \"$@\""]).arg(served.get_program()).args(served.get_args());
        let process = Process::spawn(&mut shell);
        let mut silent = Vec::new();
        for _ in 0..80 {
            silent.push(TcpStream::connect(process.address).await.unwrap());
        }
        for _ in 0..3 {
            let answer = tokio::time::timeout(PATIENCE, get(process.address, "/")).await.expect("an answer in time");
            assert_eq!(answer.status, StatusCode::OK);
        }
        drop(silent);
        let log = process.end();
        assert!(log.matches("cannot accept").count() <= 2, "{log}");
    }
}

/// The first signal waits for what runs, the second does not.
#[cfg(unix)]
#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let (mut command, _file) = command(PASSES, &["--shutdown-grace", "1h"]);
    let mut process = Process::spawn(&mut command);
    let mut stream = TcpStream::connect(process.address).await.unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\nx").await.unwrap();
    // It is being served once another one was that came later.
    assert_eq!(get(process.address, "/").await.status, StatusCode::OK);
    process.signal("TERM");
    while TcpStream::connect(process.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(process.is_running());
    process.signal("INT");
    let log = process.ended(PATIENCE);
    assert!(log.contains("told to end again"), "{log}");
}

/// An instance that still waits for callouts does not panic when everything ends.
#[cfg(unix)]
#[tokio::test]
async fn ending_with_callouts_on_their_way_is_no_panic() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let cluster = format!("a=http://{}", silent.local_addr().unwrap());
    for _ in 0..3 {
        let (mut command, _file) = command(CALLS, &["--cluster", &cluster, "--shutdown-grace", "100ms"]);
        let process = Process::spawn(&mut command);
        for _ in 0..3 {
            assert_eq!(get(process.address, "/").await.status, StatusCode::OK);
        }
        process.signal("TERM");
        let log = process.ended(PATIENCE);
        assert!(!log.contains("panicked"), "{log}");
    }
}

/// It is told to end while its plugin starts, which it never does.
#[tokio::test]
async fn a_start_is_ended() {
    let filter = r#"(module
      (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (data (i32.const 0) "begun")
      (func (export "proxy_abi_version_0_2_1"))
      (func (export "malloc") (param i32) (result i32) (i32.const 4096))
      (func (export "proxy_on_vm_start") (param i32 i32) (result i32)
        (drop (call $log (i32.const 2) (i32.const 0) (i32.const 5)))
        (loop (br 0))
        (i32.const 1))
      (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 0)))"#;
    let (mut command, _file) = command(filter, &["--cpu-timeout", "10m"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert!(line.ends_with("begun\n"), "{line}");
    let status = Command::new("kill").args(["-s", "TERM", &child.id().to_string()]).status().unwrap();
    assert!(status.success() && ended(child).await);
    line.clear();
    stderr.read_line(&mut line).unwrap();
    assert!(line.contains("told to end before it listened"), "{line}");
}
