//! How much runs, how often, for how long.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Frame;
use proxy_wasm_adapter_serve::Options;

use crate::support::{Fed, Running, client, collect, get, options, request};

#[tokio::test]
async fn instances_are_reused_as_often_as_allowed() {
    let server = Running::start(options(|options| options.max_instance_reuse = Some(3))).await;
    let mut seen = Vec::new();
    for _ in 0..5 {
        // One at a time, so that the instance is back when the next request comes.
        let mut before = get(server.address, "/number").await.body;
        seen.append(&mut before);
    }
    // A request may come before the last one's instance is back, and get a new one: then there are more of `a`.
    assert!(seen.iter().all(|letter| (b'a'..=b'c').contains(letter)), "{seen:?}");
    assert!(seen.iter().filter(|letter| **letter == b'a').count() >= 2, "{seen:?}");

    let server = Running::start(options(|options| options.max_instance_reuse = Some(1))).await;
    for _ in 0..3 {
        assert_eq!(get(server.address, "/number").await.body, b"a");
    }
}

#[tokio::test]
async fn two_hundred_requests_at_once_are_all_answered_with_their_own() {
    let server = Running::start(Options::default()).await;
    let client = client();
    let mut open = Vec::new();
    for number in 0..200 {
        let (sender, body) = Fed::new();
        sender.send(Frame::data(Bytes::from(format!("request {number} ")))).await.unwrap();
        let post = request(Method::POST, server.address, "/echo").header("x-number", number).body(body.boxed());
        let response = client.request(post.unwrap()).await.unwrap();
        open.push((number, sender, response));
    }
    // All 200 are in the middle of their exchange now.
    for (number, sender, response) in open {
        assert_eq!(response.headers()["x-number"], number.to_string());
        sender.send(Frame::data(Bytes::from_static(b"ends"))).await.unwrap();
        drop(sender);
        let (body, _, error) = collect(response.into_body()).await;
        assert!(error.is_none());
        assert_eq!(body, format!("request {number} ends").into_bytes());
    }
}

#[tokio::test]
async fn requests_wait_for_their_turn_and_the_queue_ends() {
    let server = Running::start(options(|options| {
        options.max_concurrency = 1;
        options.max_queue = 1;
    }))
    .await;
    let client = client();
    let (sender, body) = Fed::new();
    sender.send(Frame::data(Bytes::from_static(b"x"))).await.unwrap();
    let post = request(Method::POST, server.address, "/echo").body(body.boxed()).unwrap();
    let running = client.request(post).await.unwrap();

    // Two more: one waits, the other is refused; which is which is open.
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let address = server.address;
        waiting.spawn(async move { get(address, "/ok").await.status });
    }
    assert_eq!(waiting.join_next().await.unwrap().unwrap(), StatusCode::SERVICE_UNAVAILABLE);
    drop(sender);
    assert_eq!(collect(running.into_body()).await.0, b"x");
    assert_eq!(waiting.join_next().await.unwrap().unwrap(), StatusCode::OK);
}

#[tokio::test]
async fn endless_computation_is_stopped() {
    let server = Running::start(options(|options| options.cpu_timeout = Duration::from_millis(100))).await;
    // More of them than the runtime has threads: a request that needs none still gets its turn.
    let mut spinning = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let address = server.address;
        spinning.spawn(async move { get(address, "/run").await.status });
    }
    assert_eq!(get(server.address, "/ok").await.body, b"ok");
    while let Some(status) = spinning.join_next().await {
        assert_eq!(status.unwrap(), StatusCode::SERVICE_UNAVAILABLE);
    }
}

#[tokio::test]
async fn memory_is_bounded_where_asked() {
    assert_eq!(get(Running::start(Options::default()).await.address, "/grow").await.status, StatusCode::OK);
    let server = Running::start(options(|options| options.max_memory = 32 << 20)).await;
    assert_eq!(get(server.address, "/grow").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(get(server.address, "/ok").await.status, StatusCode::OK);
}

#[tokio::test]
async fn shutting_down_finishes_what_is_in_flight() {
    let mut server = Running::start(Options::default()).await;
    let client = client();
    let (sender, body) = Fed::new();
    sender.send(Frame::data(Bytes::from_static(b"begun, "))).await.unwrap();
    let post = request(Method::POST, server.address, "/echo").body(body.boxed()).unwrap();
    let response = client.request(post).await.unwrap();

    server.end();
    // It no longer listens once this fails; what is in flight goes on.
    while tokio::net::TcpStream::connect(server.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    sender.send(Frame::data(Bytes::from_static(b"done"))).await.unwrap();
    drop(sender);
    let (body, _, error) = collect(response.into_body()).await;
    assert!(error.is_none());
    assert_eq!(body, b"begun, done");
    server.ended().await;
}

#[tokio::test]
async fn the_grace_period_ends() {
    let mut server = Running::start(options(|options| options.shutdown_grace = Duration::from_millis(50))).await;
    let (sender, body) = Fed::new();
    sender.send(Frame::data(Bytes::from_static(b"begun"))).await.unwrap();
    let post = request(Method::POST, server.address, "/echo").body(body.boxed()).unwrap();
    let response = client().request(post).await.unwrap();
    server.end();
    server.ended().await;
    assert!(collect(response.into_body()).await.2.is_some(), "the request was never finished");
    drop(sender);
}
