//! `serve` as a process of its own: signals, and how much memory it takes.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Frame, Incoming};
use proxy_wasm_adapter_serve::{Options, run};

use proxy_wasm_adapter_testing::Process;

use crate::support::{Fed, Repeated, StartMode, Upstream, client, collect, get, guest, request};

/// Tells the test below that it is the child.
const CHILD: &str = "SERVE_TEST_CHILD";

/// Not a case: what the child runs.
#[test]
fn child() {
    if std::env::var_os(CHILD).is_some() {
        let mut options = Options::default();
        options.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        run(guest(StartMode::Starts), options).unwrap();
    }
}

/// With the guest.
fn start() -> Process {
    let mut command = Command::new(std::env::current_exe().unwrap());
    Process::spawn(command.args(["--exact", "process::child", "--nocapture"]).env(CHILD, "1"))
}

#[tokio::test]
async fn a_component_that_fails() {
    for (path, expected) in [
        ("/silent", "503: `plugin` returned without a response"),
        ("/internal", "503: the component answered with an error: ErrorCode::InternalError(None)"),
        ("/claim", "503: the response declares a content-length but has no body"),
    ] {
        let process = start();
        assert_eq!(get(process.address, path).await.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        let stderr = process.end();
        assert!(stderr.ends_with(&format!("Z [error] request 1: {expected}\n")), "{stderr}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_signal_ends_it_when_all_is_done() {
    for name in ["TERM", "INT"] {
        let mut process = start();
        let (sender, body) = Fed::new();
        sender.send(Frame::data(Bytes::from_static(b"begun, "))).await.unwrap();
        let post = request(Method::POST, process.address, "/echo").body(body.boxed()).unwrap();
        let response = client().request(post).await.unwrap();
        process.signal(name);
        while tokio::net::TcpStream::connect(process.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        assert!(process.is_running(), "it waits for the request");
        sender.send(Frame::data(Bytes::from_static(b"done"))).await.unwrap();
        drop(sender);
        assert_eq!(collect(response.into_body()).await.0, b"begun, done");
        tokio::task::spawn_blocking(|| process.ended(Duration::from_secs(60))).await.unwrap();
    }
}

/// As Envoy.
#[cfg(unix)]
#[tokio::test]
async fn other_signals_do_not_end_it() {
    let process = start();
    for name in ["HUP", "USR1"] {
        process.signal(name);
    }
    assert_eq!(get(process.address, "/ok").await.status, StatusCode::OK);
    let stderr = process.end();
    assert!(stderr.contains("[warn] SIGHUP changes nothing: restart to read files anew\n"), "{stderr}");
}

/// 1 GiB each way, and the process does not grow.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_gibibyte_streams_in_constant_memory() {
    const SIZE: u64 = 1 << 30;
    const ALLOWED_GROWTH: u64 = 32 << 20;
    let upstream = Upstream::start(|request: Request<Incoming>| async move {
        let mut received = 0;
        let mut body = request.into_body();
        while let Some(frame) = body.frame().await {
            received += frame.unwrap().data_ref().map_or(0, Bytes::len) as u64;
        }
        let down = if received == 0 { SIZE } else { 0 };
        Response::builder().header("x-received", received).body(Repeated { remaining: down }).unwrap()
    })
    .await;
    let process = start();
    let to = upstream.address.to_string();
    let forward = |method| request(method, process.address, "/forward").header("x-to", &to);

    // Small ones first, so that all that is made once is there.
    let post = forward(Method::POST).body(Repeated { remaining: 1 << 20 }.boxed()).unwrap();
    assert_eq!(client().request(post).await.unwrap().status(), StatusCode::OK);
    let before = process.peak_memory();

    let post = forward(Method::POST).body(Repeated { remaining: SIZE }.boxed()).unwrap();
    let response = client().request(post).await.unwrap();
    assert_eq!(response.headers()["x-received"], SIZE.to_string());
    let up = process.peak_memory();

    let get = forward(Method::GET).body(Empty::new().boxed()).unwrap();
    let mut body = client().request(get).await.unwrap().into_body();
    let mut received = 0;
    while let Some(frame) = body.frame().await {
        received += frame.unwrap().data_ref().map_or(0, Bytes::len) as u64;
    }
    assert_eq!(received, SIZE);
    let down = process.peak_memory();
    println!(
        "peak memory: {} KiB before, {} KiB after 1 GiB up, {} KiB after 1 GiB down",
        before >> 10,
        up >> 10,
        down >> 10
    );
    assert!(down - before < ALLOWED_GROWTH, "{before} bytes before, {up} after the upload, {down} after the download");
}
