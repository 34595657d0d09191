//! `serve` as a process of its own: signals, and how much memory it takes.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Frame, Incoming};
use proxy_wasm_adapter::serve::{Options, run};

use crate::support::{Fed, Repeated, StartMode, Upstream, client, collect, guest, request};

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

/// A server that is a process of its own.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
    stderr: Option<JoinHandle<String>>,
}

impl Process {
    /// With the guest.
    pub(crate) fn start() -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        Self::spawn(command.args(["--exact", "process::child", "--nocapture"]).env(CHILD, "1"))
    }

    /// With this command, which says where it listens.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let address = lines
            .find_map(|line| line.strip_prefix("listening on http://").map(|address| address.parse().unwrap()))
            .expect("the child says where it listens");
        // A pipe that nobody reads would stop the child.
        let stderr = std::thread::spawn(move || lines.fold(String::new(), |text, line| text + &line + "\n"));
        Self { child, address, stderr: Some(stderr) }
    }

    /// Ends it. Gives what it wrote to stderr since it listens.
    pub(crate) fn end(mut self) -> String {
        self.child.kill().unwrap();
        self.stderr.take().unwrap().join().unwrap()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits until it has ended by itself, in good order. Gives what it wrote to stderr since it listens.
    pub(crate) fn ended(mut self, patience: Duration) -> String {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "{status}");
                return self.stderr.take().unwrap().join().unwrap();
            }
            assert!(begun.elapsed() < patience, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// The most memory that it ever had, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// The memory that it has, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    fn status(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_signal_ends_it_when_all_is_done() {
    for name in ["TERM", "INT"] {
        let mut process = Process::start();
        let (sender, body) = Fed::new();
        sender.send(Frame::data(Bytes::from_static(b"begun, "))).await.unwrap();
        let post = request(Method::POST, process.address, "/echo").body(body.boxed()).unwrap();
        let response = client().request(post).await.unwrap();
        process.signal(name);
        while tokio::net::TcpStream::connect(process.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        assert!(process.child.try_wait().unwrap().is_none(), "it waits for the request");
        sender.send(Frame::data(Bytes::from_static(b"done"))).await.unwrap();
        drop(sender);
        assert_eq!(collect(response.into_body()).await.0, b"begun, done");
        let status = tokio::task::spawn_blocking(move || process.child.wait()).await.unwrap().unwrap();
        assert!(status.success(), "{status}");
    }
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
    let process = Process::start();
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
