//! Clients that are silent, slow, or gone: nobody else waits for them, and nothing is lost with them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Running, Upstream, Wasi, adapted, adapted_on, get, logged, metric, options, raw};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

async fn connect(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

/// What comes until the server closes, which it does in time.
async fn rest(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer));
    // A reset ends it as well.
    let _ = read.await.expect("the server closes");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Envoy says the same to half a head, and nothing to who said nothing. That it closes the latter only when they are idle
/// for too long is what we do earlier.
#[tokio::test]
async fn heads_have_a_time_limit() {
    let server = Running::start(options(|options| options.request_headers_timeout = Duration::from_millis(200))).await;
    let late = "HTTP/1.1 408 Request Timeout\r\ncontent-length: 22\r\ncontent-type: text/plain\r\nconnection: \
                close\r\n\r\nrequest header timeout";
    for (bytes, answer) in [
        (&b""[..], ""),
        (b"GET / HT", late),
        (b"GET / HTTP/1.1\r\nhost: h\r\n", late),
        (&PREFACE[..10], late),
        // HEADERS whose CONTINUATION never comes: the connection ends.
        (&[PREFACE, b"\0\0\x03\x01\0\0\0\0\x01\x82\x86\x84"].concat(), ""),
    ] {
        let text = rest(connect(server.address, bytes).await).await;
        // What HTTP/2 begins with is no matter here.
        let text = if bytes.starts_with(PREFACE) { "" } else { &text };
        assert_eq!(text, answer, "{bytes:?}");
    }
    // A head after a request is no different, and a client that is between two is not bounded by it.
    let mut stream = connect(server.address, b"GET /ok HTTP/1.1\r\nhost: h\r\n\r\n").await;
    let mut first = [0; 12];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    stream.write_all(b"GET /ok HT").await.unwrap();
    assert!(rest(stream).await.ends_with(late));
}

/// Who says with a request that it sends nothing more, as `nc -N` does, gets what needs nobody else, as from Envoy. It may come
/// too late on a machine that is busy for that long.
#[tokio::test]
async fn who_ends_its_side_at_once_gets_its_answer() {
    let server = Running::start(options(|_| {})).await;
    let mut rounds = 0;
    let mut answered = 0;
    while answered < 12 {
        assert!(rounds < 20, "{answered} of 12 in a row at the most");
        rounds += 1;
        answered = 0;
        while answered < 12 {
            let request: &[u8] = match answered % 2 {
                0 => b"GET /ok HTTP/1.1\r\nhost: h\r\n\r\n",
                _ => b"POST /ok HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\nabc",
            };
            let mut stream = connect(server.address, request).await;
            stream.shutdown().await.unwrap();
            if !rest(stream).await.starts_with("HTTP/1.1 200") {
                break;
            }
            answered += 1;
        }
    }
}

#[tokio::test]
async fn idle_connections_have_one() {
    let server = Running::start(options(|options| options.idle_timeout = Duration::from_millis(200))).await;
    let text = rest(connect(server.address, b"GET /ok HTTP/1.1\r\nhost: h\r\n\r\n").await).await;
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    // GOAWAY says so over HTTP/2; its type is 7.
    let text = rest(connect(server.address, PREFACE).await).await;
    assert!(text.contains("\0\0\u{8}\u{7}"), "{text:?}");
}

/// The one that is idle for longest makes room.
#[tokio::test]
async fn silent_connections_keep_nobody_out() {
    let server = Running::start(options(|options| options.max_connections = Some(4))).await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(connect(server.address, b"").await);
    }
    for _ in 0..3 {
        assert_eq!(get(server.address, "/ok").await.body, b"ok");
    }
    let oldest = silent.remove(0);
    assert_eq!(rest(oldest).await, "");
}

/// They end by themselves, and nothing runs that the end would wait for.
#[tokio::test]
async fn whoever_sends_no_request_does_not_hold_the_end_up() {
    let mut server = Running::start(options(|options| options.shutdown_grace = 10 * PATIENCE)).await;
    let mut held = Vec::new();
    for bytes in [&b""[..], b"GET / HT", &PREFACE[..10], PREFACE, b"GET /ok HTTP/1.1\r\nhost: h\r\n\r\n"] {
        held.push(connect(server.address, bytes).await);
    }
    // The last one was served, so all were accepted.
    let last = held.last_mut().unwrap();
    last.read_exact(&mut [0; 12]).await.unwrap();
    server.end();
    tokio::time::timeout(PATIENCE, server.ended()).await.expect("it ends in time");
}

const SLOW_UPLOAD: &[u8] = b"POST /echo HTTP/1.1\r\nhost: h\r\ncontent-length: 1000\r\n\r\nx";

/// Lets a request pass when it is complete.
fn passes() -> Vec<u8> {
    adapted(
        &wat::parse_str(
            r#"(module
              (memory (export "memory") 1)
              (func (export "proxy_abi_version_0_2_1"))
              (func (export "malloc") (param i32) (result i32) (i32.const 4096))
              (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.eqz (local.get 2)))
              (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32) (i32.eqz (local.get 2))))"#,
        )
        .unwrap(),
        None,
    )
}

/// Where a turn is wanted, those go whose clients are slowest.
#[tokio::test]
async fn slow_uploads_keep_nobody_out() {
    for component in [passes(), crate::support::guest(crate::support::StartMode::Starts)] {
        let few = options(|options| {
            options.max_concurrency = 3;
            options.queue_timeout = PATIENCE;
        });
        let server = Running::start_component(&component, few).await.unwrap();
        let mut slow = Vec::new();
        for _ in 0..3 {
            slow.push(connect(server.address, SLOW_UPLOAD).await);
        }
        for _ in 0..4 {
            // Not those that are still to be accepted.
            assert_eq!(get(server.address, "/ok").await.status, StatusCode::OK);
        }
        drop(slow);
    }
}

/// So do those that take no response. Each is larger than what sockets hold.
#[tokio::test]
async fn clients_that_take_nothing_keep_nobody_out() {
    let upstream =
        Upstream::start(|_| async { http::Response::new(crate::support::Repeated { remaining: 1 << 30 }) }).await;
    let server = Running::start(options(|options| {
        options.max_concurrency = 2;
        options.queue_timeout = PATIENCE;
    }))
    .await;
    let request = format!("GET /forward HTTP/1.1\r\nhost: h\r\nx-to: {}\r\n\r\n", upstream.address);
    let mut stuck = Vec::new();
    for _ in 0..2 {
        let mut stream = connect(server.address, request.as_bytes()).await;
        stream.read_exact(&mut [0; 12]).await.unwrap();
        stuck.push(stream);
    }
    for _ in 0..3 {
        assert_eq!(get(server.address, "/ok").await.body, b"ok");
    }
}

#[tokio::test]
async fn the_queue_has_a_time_limit() {
    let server = Running::start(options(|options| {
        options.max_concurrency = 1;
        options.queue_timeout = Duration::from_millis(100);
    }))
    .await;
    // It computes, so nobody is to blame for it but the filter.
    let running = connect(server.address, b"GET /run HTTP/1.1\r\nhost: h\r\n\r\n").await;
    let begun = Instant::now();
    // It may be before the other.
    while get(server.address, "/ok").await.status != StatusCode::SERVICE_UNAVAILABLE {
        assert!(begun.elapsed() < PATIENCE);
    }
    drop(running);
}

/// Counts starts, requests, and those that are over; holds each request.
const HOLDS: &str = r#"(module
  (import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_increment_metric" (func $increment (param i32 i64) (result i32)))
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "startsseenended")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.const 4096))
  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    (drop (call $define (i32.const 0) (i32.const 0) (i32.const 6) (i32.const 64)))
    (drop (call $define (i32.const 0) (i32.const 6) (i32.const 4) (i32.const 68)))
    (drop (call $define (i32.const 0) (i32.const 10) (i32.const 5) (i32.const 72)))
    (drop (call $increment (i32.load (i32.const 64)) (i64.const 1)))
    (i32.const 1))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (drop (call $increment (i32.load (i32.const 68)) (i64.const 1)))
    (drop (call $log (i32.const 2) (i32.const 0) (i32.const 1)))
    (i32.const 1))
  (func (export "proxy_on_log") (param i32)
    (drop (call $increment (i32.load (i32.const 72)) (i64.const 1)))))"#;

/// Envoy counts each of them, and its VM is not made anew.
#[tokio::test]
async fn clients_that_leave_cost_no_instance_and_are_counted() {
    const CLIENTS: u64 = 30;
    for wasi in Wasi::ALL {
        let component = adapted_on(wasi, &wat::parse_str(HOLDS).unwrap(), None);
        let server =
            Running::start_component(&component, options(|options| options.admin = Some(any()))).await.unwrap();
        for left in 1..=CLIENTS {
            drop(connect(server.address, b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").await);
            let begun = Instant::now();
            while metric(&server, "ended").await < left {
                assert!(begun.elapsed() < PATIENCE, "{left}");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        assert_eq!((metric(&server, "seen").await, metric(&server, "ended").await), (CLIENTS, CLIENTS));
        assert_eq!(metric(&server, "starts").await, 1);
    }
}

/// The same over HTTP/2, where the connection stays, and all at once.
#[tokio::test]
async fn streams_that_are_reset_cost_no_instance() {
    const STREAMS: u64 = 20;
    for wasi in Wasi::ALL {
        let component = adapted_on(wasi, &wat::parse_str(HOLDS).unwrap(), None);
        let server =
            Running::start_component(&component, options(|options| options.admin = Some(any()))).await.unwrap();
        let mut bytes = PREFACE.to_vec();
        for stream in 0..u32::try_from(STREAMS).unwrap() {
            // GET / by http at host `h`, and CANCEL.
            bytes.extend_from_slice(b"\0\0\x06\x01\x05");
            bytes.extend_from_slice(&(2 * stream + 1).to_be_bytes());
            bytes.extend_from_slice(b"\x82\x86\x84\x41\x01h");
        }
        let mut connection = connect(server.address, &bytes).await;
        logged(&server, "s", 20).await;
        let (begun, starts) = (Instant::now(), metric(&server, "starts").await);
        for stream in 0..u32::try_from(STREAMS).unwrap() {
            connection.write_all(b"\0\0\x04\x03\0").await.unwrap();
            connection.write_all(&(2 * stream + 1).to_be_bytes()).await.unwrap();
            connection.write_all(&8_u32.to_be_bytes()).await.unwrap();
        }
        while metric(&server, "ended").await < STREAMS {
            assert!(begun.elapsed() < PATIENCE);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(metric(&server, "starts").await, starts);
        // Each had an instance of its own, and they are all there for others.
        drop(connect(server.address, b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").await);
        while metric(&server, "ended").await <= STREAMS {
            assert!(begun.elapsed() < PATIENCE);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(metric(&server, "starts").await, starts);
    }
}

fn any() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// A client that sends nothing of its body is told so where others need its turn.
#[tokio::test]
async fn a_slow_client_is_told() {
    let server = Running::start_component(&passes(), options(|options| options.max_concurrency = 1)).await.unwrap();
    let mut slow = TcpStream::connect(server.address).await.unwrap();
    // Once its head was answered it has its turn.
    slow.write_all(b"POST / HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 1000\r\n\r\n")
        .await
        .unwrap();
    slow.read_exact(&mut [0; 12]).await.unwrap();
    let other = raw(server.address, "GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await;
    assert!(other.starts_with("HTTP/1.1 200"), "{other}");
    let told = rest(slow).await;
    assert!(told.contains("HTTP/1.1 408 Request Timeout\r\n"), "{told}");
}
