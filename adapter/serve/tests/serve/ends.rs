//! Where a message ends: with its head, with an empty body, with trailers; and what ends those that do not.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use proxy_wasm_abi::settings::{Origin, Settings};
use proxy_wasm_adapter_serve::Options;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{
    Repeated, Running, Upstream, adapted, adapted_with, client, exchange, get, h2_client, logged, raw, request,
};

/// A filter that logs a letter in each callback, the next one where it is told of the end: `a` for the request's head, `c`
/// its body, `e` its trailers, `f` the response's head, `h` its body, `j` its trailers. The arguments are what it does then
/// in the callbacks for the request's head and for its body.
fn filter(head: &str, body: &str) -> Vec<u8> {
    let filter = format!(
        r#"(module
          (import "env" "proxy_log" (func $proxy_log (param i32 i32 i32) (result i32)))
          (import "env" "proxy_http_call" (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
          (import "env" "proxy_send_local_response" (func $send (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 1)
          (data (i32.const 0) "abcdefghijklmnopqrstuvwxyz")
          (data (i32.const 64) "\03\00\00\00"
            "\07\00\00\00\03\00\00\00" "\05\00\00\00\01\00\00\00" "\0a\00\00\00\01\00\00\00"
            ":method\00GET\00" ":path\00/\00" ":authority\00a\00")
          (func $log (param i32) (drop (call $proxy_log (i32.const 2) (local.get 0) (i32.const 1))))
          (func $ask
            (drop (call $call (i32.const 0) (i32.const 1) (i32.const 64) (i32.const 61) (i32.const 0) (i32.const 0)
              (i32.const 0) (i32.const 0) (i32.const 5000) (i32.const 160))))
          (func $answer (param $status i32)
            (drop (call $send (local.get $status) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 2) (i32.const 0)
              (i32.const 0) (i32.const -1))))
          (func (export "proxy_abi_version_0_2_1"))
          (func (export "malloc") (param i32) (result i32) (i32.const 4096))
          (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32) (call $ask))
          (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (call $log (i32.add (i32.const 0) (local.get 2))) {head} (i32.const 0))
          (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
            (call $log (i32.add (i32.const 2) (local.get 2))) {body} (i32.const 0))
          (func (export "proxy_on_request_trailers") (param i32 i32) (result i32) (call $log (i32.const 4)) (i32.const 0))
          (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
            (call $log (i32.add (i32.const 5) (local.get 2))) (i32.const 0))
          (func (export "proxy_on_response_body") (param i32 i32 i32) (result i32)
            (call $log (i32.add (i32.const 7) (local.get 2))) (i32.const 0))
          (func (export "proxy_on_response_trailers") (param i32 i32) (result i32) (call $log (i32.const 9)) (i32.const 0))
          (func (export "proxy_on_log") (param i32) (call $log (i32.const 25))))"#
    );
    wat::parse_str(filter).unwrap()
}

async fn serve(filter: &[u8], upstream: Option<SocketAddr>, change: impl FnOnce(&mut Settings)) -> Running {
    let mut options = Options::default();
    options.upstream_h2c.extend(upstream.map(|address| address.to_string()));
    let component = adapted_with(filter, upstream, |settings| {
        if let Some(address) = upstream {
            let origin = Origin { tls: false, authority: address.to_string() };
            settings.set_upstream(origin, 15_000);
        }
        change(settings);
    });
    Running::start_component(&component, options).await.unwrap()
}

/// The letters of one exchange, without the last.
async fn letters(server: &Running) -> String {
    let log = logged(server, "z", 1).await;
    log.lines().filter_map(|line| line.rsplit_once(": ")).map(|(_, letter)| letter).filter(|at| *at != "z").collect()
}

const HEADERS: u8 = 1;
const DATA: u8 = 0;
const END: u8 = 1;

/// A frame: its payload's length, its type, its flags, its stream.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0, 0, payload.len() as u8, kind, flags, 0, 0, 0, stream];
    frame.extend_from_slice(payload);
    frame
}

/// Header fields, without compression.
fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
    fields.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

/// Posts by HTTP/2: a head of this content type, and frames behind it. The types of the frames that answer, `true` for the
/// last; and all that came.
async fn http2(server: &Running, content_type: &str, last: bool, more: &[Vec<u8>]) -> (Vec<(u8, bool)>, Vec<u8>) {
    const END_HEADERS: u8 = 4;
    let head =
        [(":method", "POST"), (":scheme", "http"), (":authority", "h"), (":path", "/"), ("content-type", content_type)];
    let head = frame(HEADERS, END_HEADERS | u8::from(last), 1, &fields(&head));
    let sent = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, 0, &[]), head, more.concat()].concat();
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(&sent).await.unwrap();
    let (mut kinds, mut came) = (Vec::new(), Vec::new());
    while !matches!(kinds.last(), Some((_, true))) {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        stream.read_exact(&mut payload).await.unwrap();
        came.extend(payload);
        if head[8] == 1 && matches!(head[3], DATA | HEADERS | 3) {
            kinds.push((head[3], head[4] & END > 0 || head[3] == 3));
        }
    }
    (kinds, came)
}

const ONLY_A_HEAD: [(u8, bool); 1] = [(HEADERS, true)];

#[tokio::test]
async fn a_local_response_in_grpc_is_only_a_head() {
    let server = serve(&filter("(call $answer (i32.const 403))", ""), None, |_| {}).await;
    let (frames, _) = http2(&server, "application/grpc", true, &[]).await;
    assert_eq!(frames, ONLY_A_HEAD);
    assert_eq!(letters(&server).await, "bg");
}

#[tokio::test]
async fn an_upstream_that_answers_with_only_a_head() {
    let upstream = Upstream::start(|_| async {
        let response = Response::builder().header("content-type", "application/grpc").header("grpc-status", "7");
        response.body(Empty::<Bytes>::new()).unwrap()
    })
    .await;
    let server = serve(&filter("", ""), Some(upstream.address), |_| {}).await;
    let (frames, came) = http2(&server, "application/grpc", true, &[]).await;
    assert_eq!(frames, ONLY_A_HEAD);
    assert!(!came.windows(14).any(|bytes| bytes == b"content-length"));
    assert_eq!(letters(&server).await, "bg");
}

#[tokio::test]
async fn a_trap_is_answered_in_grpc() {
    let server = serve(&filter("unreachable", ""), None, |_| {}).await;
    let (frames, _) = http2(&server, "application/grpc", true, &[]).await;
    assert_eq!(frames, ONLY_A_HEAD);
    let (answer, plain) = (request(Method::POST, server.address, "/"), request(Method::POST, server.address, "/"));
    let grpc = answer.header("content-type", "application/grpc").body(Empty::new()).unwrap();
    let answer = exchange(&h2_client(), grpc).await;
    assert_eq!((answer.status, answer.headers["grpc-status"].as_bytes()), (StatusCode::OK, b"14".as_slice()));
    assert!(!answer.headers.contains_key("content-length"), "{:?}", answer.headers);
    let answer = exchange(&client(), plain.body(Empty::new()).unwrap()).await;
    assert_eq!(
        (answer.status, answer.headers["content-length"].as_bytes()),
        (StatusCode::SERVICE_UNAVAILABLE, b"0".as_slice())
    );
}

/// An upstream that says what it got behind the head.
async fn telling() -> Upstream {
    Upstream::start(|request| async {
        let collected = request.into_body().collect().await.unwrap();
        let trailers = collected.trailers().map_or(0, HeaderMap::len);
        Response::new(Full::new(Bytes::from(format!("{} {trailers}", collected.to_bytes().len()))))
    })
    .await
}

#[tokio::test]
async fn trailers_after_an_empty_body() {
    let upstream = telling().await;
    let server = serve(&filter("", ""), Some(upstream.address), |_| {}).await;
    let trailers = frame(HEADERS, 4 | END, 1, &fields(&[("x-t", "1")]));
    let (_, came) = http2(&server, "text/plain", false, &[trailers]).await;
    assert!(came.windows(3).any(|bytes| bytes == b"0 1"), "{came:?}");
    assert_eq!(letters(&server).await, "aefi");

    let server = serve(&filter("", ""), Some(upstream.address), |_| {}).await;
    let sent =
        "POST / HTTP/1.1\r\nhost: h\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx-t: 1\r\n\r\n";
    let answer = raw(server.address, sent).await;
    assert!(answer.ends_with("0 1"), "{answer}");
    assert_eq!(letters(&server).await, "aefi");
}

#[tokio::test]
async fn an_empty_body_is_a_body() {
    let upstream = telling().await;
    let server = serve(&filter("", ""), Some(upstream.address), |_| {}).await;
    http2(&server, "text/plain", false, &[frame(DATA, END, 1, &[])]).await;
    assert_eq!(letters(&server).await, "adfi");
}

#[tokio::test]
async fn chunks_that_never_come_end_in_time() {
    let upstream = telling().await;
    let server = serve(&filter("", "(return (i32.const 1))"), Some(upstream.address), |settings| {
        settings.connection.stream_idle_timeout_ms = 300;
    })
    .await;
    for method in ["GET", "DELETE", "OPTIONS", "HEAD"] {
        let head = format!("{method} / HTTP/1.1\r\nhost: h\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n");
        let answer =
            tokio::time::timeout(Duration::from_secs(30), raw(server.address, &head)).await.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 408 "), "{method}: {answer}");
    }
}

/// A stream that stands still is given up, however much goes on beside it.
#[tokio::test]
async fn callouts_are_no_progress() {
    let cluster = Upstream::start(|_| async { Response::new(Empty::<Bytes>::new()) }).await;
    let server = serve(&filter("(call $ask) (return (i32.const 1))", ""), Some(cluster.address), |settings| {
        settings.connection.stream_idle_timeout_ms = 500;
    })
    .await;
    let answer = raw(server.address, "GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
    let answer = tokio::time::timeout(Duration::from_secs(60), answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 504 ") && answer.ends_with("stream timeout"), "{answer}");
}

/// Where others wait for their turn, a request goes whose filter asks without end.
#[tokio::test]
async fn endless_callouts_make_room() {
    let cluster = Upstream::start(|_| async { Response::new(Empty::<Bytes>::new()) }).await;
    let loops = filter("(if (i32.eqz (local.get 2)) (then (call $ask) (return (i32.const 1))))", "");
    let mut options = Options::default();
    options.max_concurrency = 2;
    options.queue_timeout = Duration::from_secs(60);
    let server = Running::start_component(&adapted(&loops, Some(cluster.address)), options).await.unwrap();
    let mut looping = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let post = request(Method::POST, server.address, "/").body(Full::new(Bytes::from_static(b"x"))).unwrap();
        looping.spawn(async move { exchange(&client(), post).await.status });
    }
    logged(&server, "a", 2).await;
    let begun = Instant::now();
    assert_eq!(get(server.address, "/").await.status, StatusCode::OK);
    assert!(begun.elapsed() < Duration::from_secs(60));
    assert_eq!(looping.join_next().await.unwrap().unwrap(), StatusCode::GATEWAY_TIMEOUT);
    assert!(looping.try_join_next().is_none(), "nobody waits for the other one's turn");
}

#[tokio::test]
async fn by_http2_more_of_a_body_is_held() {
    let upstream = telling().await;
    let held = "(if (i32.eqz (local.get 2)) (then (return (i32.const 1))))";
    let server = serve(&filter("", held), Some(upstream.address), |_| {}).await;
    let post = |size: usize| {
        let body = Full::new(Bytes::from(vec![b'z'; size]));
        request(Method::POST, server.address, "/").body(body).unwrap()
    };
    assert_eq!(exchange(&client(), post(2 << 20)).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    let answer = exchange(&h2_client(), post(2 << 20)).await;
    assert_eq!((answer.status, answer.body.as_slice()), (StatusCode::OK, b"2097152 0".as_slice()));
    let more = request(Method::POST, server.address, "/").body(Repeated { remaining: 17 << 20 }).unwrap();
    assert_eq!(exchange(&h2_client(), more).await.status, StatusCode::PAYLOAD_TOO_LARGE);
}
