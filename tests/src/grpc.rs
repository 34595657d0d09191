//! A gRPC server that does what it is told and records what it gets: HTTP/2, and any bytes in its bodies.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use proxy_wasm_adapter_peers::http1::Head;
use proxy_wasm_adapter_peers::http1::blocking::Body;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use crate::message::{Action, bytes};
use crate::port;
use crate::upstream::{Request, Waits};

/// One thing that the server does. It reads all of the request first, unless `early` comes first.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GrpcStep {
    /// Goes on while the request has not ended.
    Early(bool),
    /// Sends the response's head: `:status`, 200 if it is not there, and headers.
    Head(Vec<(String, String)>),
    /// Sends a message.
    Message(String),
    /// Sends these bytes of the body.
    Bytes(String),
    /// Ends the response with these trailers.
    Trailers(Vec<(String, String)>),
    /// Waits until the filter logged a line with this in it, since the exchange began.
    Await(String),
    /// Sends nothing more.
    Hang(bool),
    /// Resets the stream.
    Reset(bool),
}

/// A server on a port of its own.
#[derive(Debug)]
pub struct GrpcServer {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    _runtime: tokio::runtime::Runtime,
}

#[derive(Default)]
struct Shared(Mutex<State>);

#[derive(Default)]
struct State {
    steps: Vec<GrpcStep>,
    wait: Option<Waits>,
    requests: Vec<Request>,
    /// Requests that have not ended.
    reading: usize,
    /// What came before this exchange is not recorded.
    generation: usize,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl GrpcServer {
    /// Starts it.
    ///
    /// # Errors
    /// There is no port.
    pub fn start() -> Result<Self> {
        Self::on(std::net::TcpListener::bind("127.0.0.1:0")?)
    }

    /// Starts it at the port of this name; see [`port`].
    ///
    /// # Errors
    /// There is no port.
    pub fn start_named(name: &str) -> Result<Self> {
        Self::on(port::listen(name)?)
    }

    fn on(listener: std::net::TcpListener) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let listener = runtime.block_on(async { TcpListener::from_std(listener) })?;
        let shared = Arc::new(Shared::default());
        let accepting = shared.clone();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = accepting.clone();
                let service = service_fn(move |request| answer(shared.clone(), request));
                let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
            }
        });
        Ok(Self { address, shared, _runtime: runtime })
    }

    /// Forgets what came, and does this from now on.
    pub fn behave(&self, steps: Vec<GrpcStep>, wait: Waits) {
        let mut state = self.shared.lock();
        let generation = state.generation + 1;
        *state = State { steps, wait: Some(wait), generation, ..State::default() };
    }

    /// The requests, after waiting until each has ended.
    pub fn requests(&self, time: Duration) -> Vec<Request> {
        let deadline = Instant::now() + time;
        loop {
            let state = self.shared.lock();
            if state.reading == 0 || Instant::now() > deadline {
                return state.requests.clone();
            }
            drop(state);
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

async fn answer(
    shared: Arc<Shared>,
    request: hyper::Request<Incoming>,
) -> Result<Response<Answer>, Box<dyn std::error::Error + Send + Sync>> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    let head = Head {
        start: format!("{} {path} HTTP/2", parts.method).into_bytes(),
        headers: parts.headers.iter().map(|(name, value)| (name.as_str().into(), value.as_bytes().into())).collect(),
    };
    let (index, generation, steps, wait) = {
        let mut state = shared.lock();
        state.requests.push(Request { head, body: Body { cut: true, ..Body::default() }, ending: None });
        state.reading += 1;
        (state.requests.len() - 1, state.generation, state.steps.clone(), state.wait.clone())
    };
    let (ended, mut end) = watch::channel(false);
    tokio::spawn(read(shared, index, generation, body, ended));
    if !matches!(steps.first(), Some(GrpcStep::Early(_))) {
        let _ = end.wait_for(|end| *end).await;
    }
    let mut steps = steps.into_iter();
    let mut response = Response::new(());
    for step in steps.by_ref() {
        match step {
            GrpcStep::Head(headers) => {
                let status = headers.iter().find(|(name, _)| name == ":status");
                *response.status_mut() = status.map_or(Ok(StatusCode::OK), |(_, status)| status.parse())?;
                *response.headers_mut() = fields(&headers);
                break;
            }
            GrpcStep::Await(text) => wait_for(wait.clone(), text).await,
            GrpcStep::Reset(_) => return Err("a reset".into()),
            GrpcStep::Hang(_) => std::future::pending::<()>().await,
            _ => {}
        }
    }
    let (sender, frames) = mpsc::channel(1);
    let rest: Vec<GrpcStep> = steps.collect();
    let ended = rest.is_empty();
    tokio::spawn(send(rest, wait, sender));
    Ok(response.map(|()| Answer { frames, ended }))
}

async fn read(shared: Arc<Shared>, index: usize, generation: usize, mut body: Incoming, ended: watch::Sender<bool>) {
    let mut read = Body { cut: true, ..Body::default() };
    loop {
        match body.frame().await {
            None => {
                read.cut = false;
                break;
            }
            Some(Err(_)) => break,
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    read.bytes.extend_from_slice(data);
                }
            }
        }
    }
    {
        let mut state = shared.lock();
        if state.generation == generation {
            state.requests[index].body = read;
            state.reading -= 1;
        }
    }
    let _ = ended.send(true);
}

async fn send(steps: Vec<GrpcStep>, wait: Option<Waits>, to: mpsc::Sender<io::Result<Frame<Bytes>>>) {
    for step in steps {
        let frame = match step {
            GrpcStep::Message(text) => {
                let message = bytes(&text);
                let prefix = [&[0], (message.len() as u32).to_be_bytes().as_slice()].concat();
                Ok(Frame::data([prefix, message].concat().into()))
            }
            GrpcStep::Bytes(text) => Ok(Frame::data(bytes(&text).into())),
            GrpcStep::Trailers(trailers) => Ok(Frame::trailers(fields(&trailers))),
            GrpcStep::Reset(_) => Err(io::Error::other("a reset")),
            GrpcStep::Await(text) => {
                wait_for(wait.clone(), text).await;
                continue;
            }
            GrpcStep::Hang(_) => return to.closed().await,
            GrpcStep::Early(_) | GrpcStep::Head(_) => continue,
        };
        if to.send(frame).await.is_err() {
            return;
        }
    }
}

async fn wait_for(wait: Option<Waits>, text: String) {
    if let Some(wait) = wait {
        let _ = tokio::task::spawn_blocking(move || wait(&Action::Await(text))).await;
    }
}

fn fields(headers: &[(String, String)]) -> HeaderMap {
    let own = headers.iter().filter(|(name, _)| !name.starts_with(':'));
    own.filter_map(|(name, value)| {
        Some((HeaderName::try_from(name).ok()?, HeaderValue::from_bytes(&bytes(value)).ok()?))
    })
    .collect()
}

/// The response's body.
struct Answer {
    frames: mpsc::Receiver<io::Result<Frame<Bytes>>>,
    ended: bool,
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.frames.poll_recv(context)
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}
