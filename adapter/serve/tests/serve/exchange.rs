//! Requests and responses that go well.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body_util::{Empty, Full};
use hyper::body::Frame;
use proxy_wasm_adapter_serve::Options;

use crate::support::{Fed, Running, client, collect, exchange, get, h2_client, raw, request};

#[tokio::test]
async fn answers() {
    let server = Running::start(Options::default()).await;
    let answer = get(server.address, "/ok").await;
    assert_eq!((answer.status, answer.body.as_slice(), answer.broken), (StatusCode::OK, &b"ok"[..], false));
}

#[tokio::test]
async fn answers_over_http2() {
    let server = Running::start(Options::default()).await;
    let get = request(Method::GET, server.address, "/ok").body(Empty::new()).unwrap();
    let answer = exchange(&h2_client(), get).await;
    assert_eq!((answer.status, answer.body.as_slice()), (StatusCode::OK, &b"ok"[..]));
}

#[tokio::test]
async fn the_do_nothing_fixture_answers() {
    let text = include_str!("../../../../tests/fixtures/do-nothing.wat");
    let server = Running::start_component(&wat::parse_str(text).unwrap(), Options::default()).await.unwrap();
    for _ in 0..3 {
        let answer = get(server.address, "/anything").await;
        assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, 0));
        assert_eq!(answer.headers["content-length"], "0");
    }
}

#[tokio::test]
async fn bodies_and_trailers_stream_both_ways() {
    let server = Running::start(Options::default()).await;
    // HTTP/1.1 carries the trailers that are announced, to who takes them.
    for client in [client(), h2_client()] {
        let (sender, body) = Fed::new();
        let post = request(Method::POST, server.address, "/echo")
            .header("x-case", "streams")
            .header("te", "trailers")
            .header("trailer", "x-sum")
            .body(http_body_util::BodyExt::boxed(body))
            .unwrap();
        sender.send(Frame::data(Bytes::from_static(b"first "))).await.unwrap();
        let response = client.request(post).await.unwrap();
        // The response's head is here while the request goes on: nothing is held back.
        assert_eq!(response.headers()["x-case"], "streams");
        sender.send(Frame::data(Bytes::from_static(b"second"))).await.unwrap();
        let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), HeaderValue::from_static("12"))]);
        sender.send(Frame::trailers(trailers.clone())).await.unwrap();
        drop(sender);
        let (body, received, error) = collect(response.into_body()).await;
        assert!(error.is_none());
        assert_eq!(body, b"first second");
        assert_eq!(received, Some(trailers));
    }
}

#[tokio::test]
async fn values_that_are_not_utf8_pass() {
    let server = Running::start(Options::default()).await;
    let value = HeaderValue::from_bytes(b"caf\xe9").unwrap();
    let post = request(Method::POST, server.address, "/echo").header("x-raw", &value).body(Full::from("")).unwrap();
    assert_eq!(exchange(&client(), post).await.headers["x-raw"], value);
}

#[tokio::test]
async fn a_head_response_keeps_its_content_length() {
    let server = Running::start(Options::default()).await;
    let close = "host: h\r\nconnection: close\r\n\r\n";
    // Declared by a component that opens no body, and by one whose body is too short and too long.
    for (path, length) in [("/claim", "10"), ("/under", "10"), ("/exceed", "3")] {
        let answer = raw(server.address, &format!("HEAD {path} HTTP/1.1\r\n{close}")).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains(&format!("content-length: {length}\r\n")), "{path}: {answer}");
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    }
    let head = request(Method::HEAD, server.address, "/claim").body(Empty::new()).unwrap();
    assert_eq!(exchange(&h2_client(), head).await.headers["content-length"], "10");
    let answer = raw(server.address, &format!("GET /bare HTTP/1.1\r\n{close}")).await;
    assert!(answer.starts_with("HTTP/1.1 204 No Content\r\n") && !answer.contains("content-length"), "{answer}");
}

#[tokio::test]
async fn a_request_without_a_host_is_bad() {
    let server = Running::start(Options::default()).await;
    let answer = raw(server.address, "GET /ok HTTP/1.1\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let server = Running::start(Options::default()).await;
    for client in [client(), h2_client()] {
        // As much as fits passes, there and back.
        let send = |size| {
            let post = request(Method::POST, server.address, "/echo").header("x-large", "x".repeat(size));
            exchange(&client, post.body(Full::from("")).unwrap())
        };
        let answer = send(50 << 10).await;
        assert_eq!((answer.status, answer.headers["x-large"].len()), (StatusCode::OK, 50 << 10));
        assert_eq!(send(70 << 10).await.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    }
}

#[tokio::test]
async fn logs_come_line_by_line() {
    let server = Running::start(Options::default()).await;
    assert_eq!(get(server.address, "/print").await.body, b"ok");
    // The end of a response and the end of the component's work are two events.
    let logs = server.logs.clone();
    finish(server).await;
    let text = String::from_utf8(logs.lock().unwrap().clone()).unwrap();
    let lines: Vec<_> = text.lines().map(|line| line.split_once("Z ").unwrap().1).collect();
    assert_eq!(lines, ["[info] request 1: the first half, the second", "[info] request 1: no end"]);
}

async fn finish(mut server: Running) {
    server.end();
    server.ended().await;
}
