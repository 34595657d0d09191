//! The upstream and the callout clusters: servers that answer as the request file says and keep what they got.
//!
//! Both sides are asked one after the other, so both use the same servers.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use proxy_wasm_adapter_peers::http1::Length;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::http1::{self, Coming, Reader};
use super::message::{End, Message};
use super::requests::{Answer, Body, Fail, Headers};

/// How long the end of a request is waited for when its client has what it wanted.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long what was written has before the connection is reset.
const BEFORE_RESET: Duration = Duration::from_millis(50);

/// One server.
pub(super) struct Origin {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
    /// Keeps the port where no connection is taken.
    _port: TcpSocket,
    accepting: Mutex<Option<JoinSet<()>>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Something ended.
    changed: Notify,
}

#[derive(Default)]
struct State {
    answer: Answer,
    /// What came since the last call of [`Origin::behave`].
    requests: Vec<Seen>,
}

/// A request that may still be coming.
type Seen = Arc<Mutex<Message>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Origin {
    /// Takes a port; connections are taken from the first call of [`behave`](Self::behave) on.
    pub(super) fn new(address: SocketAddr) -> io::Result<Self> {
        let (port, address) = reserve(address)?;
        Ok(Self { address, shared: Arc::default(), _port: port, accepting: Mutex::default() })
    }

    /// Forgets what came, and answers like this from now on.
    pub(super) async fn behave(&self, answer: &Answer) -> io::Result<()> {
        {
            let mut state = lock(&self.shared.state);
            state.answer = answer.clone();
            state.requests.clear();
        }
        if answer.fail == Some(Fail::Refuse) {
            let accepting = lock(&self.accepting).take();
            // Until the task is over, the system takes connections for it.
            if let Some(mut accepting) = accepting {
                accepting.shutdown().await;
            }
            return nobody_listens(self.address).await;
        }
        let mut accepting = lock(&self.accepting);
        if accepting.is_none() {
            let listener = shared_socket(self.address)?.listen(128)?;
            let mut tasks = JoinSet::new();
            tasks.spawn(accept(listener, self.shared.clone()));
            *accepting = Some(tasks);
        }
        Ok(())
    }

    /// What came, after each request ended or was given up.
    pub(super) async fn requests(&self) -> Vec<Message> {
        let ended = async {
            loop {
                let changed = self.shared.changed.notified();
                let open = |seen: &Seen| lock(seen).end == End::Open;
                if !lock(&self.shared.state).requests.iter().any(open) {
                    return;
                }
                changed.await;
            }
        };
        // One that is still open is shown as such.
        let _ = tokio::time::timeout(PATIENCE, ended).await;
        let requests = lock(&self.shared.state).requests.clone();
        requests.iter().map(|seen| lock(seen).clone()).collect()
    }
}

/// Keeps a port for servers that share it, such as Envoy's listeners; without one of them no connection is taken.
pub(super) fn reserve(address: SocketAddr) -> io::Result<(TcpSocket, SocketAddr)> {
    // Only now may others of ours have the port, too: asked for any port, the system would give one that they have.
    let port = socket(address)?;
    #[cfg(unix)]
    port.set_reuseport(true)?;
    let address = port.local_addr()?;
    Ok((port, address))
}

/// A socket of this address.
fn socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = new_socket(address)?;
    socket.bind(address)?;
    Ok(socket)
}

/// A socket of this address, which others of ours have, too.
fn shared_socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = new_socket(address)?;
    #[cfg(unix)]
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

fn new_socket(address: SocketAddr) -> io::Result<TcpSocket> {
    if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }
}

/// Returns when connections are refused. A process that is being started has every socket of this one until it runs its own
/// program, and for so long the system takes connections that nobody serves.
async fn nobody_listens(address: SocketAddr) -> io::Result<()> {
    let refused = async {
        loop {
            match TcpStream::connect(address).await {
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return,
                _ => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
    };
    let late =
        |_| io::Error::new(io::ErrorKind::TimedOut, format!("{address} takes connections, though it was closed"));
    tokio::time::timeout(PATIENCE, refused).await.map_err(late)
}

/// Takes connections until it is dropped, and they with it.
async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((connection, _)) => {
                connections.spawn(serve(connection, shared.clone()));
            }
            // For want of file descriptors: some come back.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(mut connection: TcpStream, shared: Arc<Shared>) {
    let _ = connection.set_nodelay(true);
    let reset = {
        let (from, mut to) = connection.split();
        let mut reader = Reader::new(from);
        loop {
            let mut message = Message::default();
            let length = match reader.request(&mut message).await {
                Ok(Some(length)) => length,
                Ok(None) => return,
                Err(end) => {
                    lock(&shared.state).requests.push(Arc::new(Mutex::new(Message { end, ..message })));
                    return;
                }
            };
            let method = message.first.as_deref().and_then(|first| first.split(' ').next()).unwrap_or("").to_owned();
            let seen = Arc::new(Mutex::new(message));
            let answer = {
                let mut state = lock(&shared.state);
                state.requests.push(seen.clone());
                state.answer.clone()
            };
            let goes_on = exchange(&answer, &method, length, &mut reader, &mut to, &seen).await;
            shared.changed.notify_waiters();
            match goes_on {
                Ok(()) => {}
                Err(After::Close) => return,
                Err(After::Reset) => break true,
            }
        }
    };
    if reset {
        let _ = connection.set_zero_linger();
    }
}

/// What becomes of a connection that does not go on.
enum After {
    Close,
    Reset,
}

/// Takes the rest of a request and answers it.
async fn exchange(
    answer: &Answer,
    method: &str,
    length: Length,
    reader: &mut Reader<impl AsyncRead + Unpin>,
    to: &mut (impl AsyncWrite + Unpin),
    seen: &Seen,
) -> Result<(), After> {
    let reading = async {
        let result = reader.body(length, &mut Coming(seen.clone())).await;
        let end = result.err().unwrap_or(End::Complete);
        let complete = end == End::Complete;
        lock(seen).end = end;
        complete
    };
    if answer.early {
        let (complete, written) = tokio::join!(reading, respond(answer, method, to));
        written?;
        return if complete { Ok(()) } else { Err(After::Close) };
    }
    if !reading.await {
        return Err(After::Close);
    }
    // A peer that goes away meanwhile is seen by the next write, or not at all: then it does not matter.
    respond(answer, method, to).await
}

async fn respond(answer: &Answer, method: &str, to: &mut (impl AsyncWrite + Unpin)) -> Result<(), After> {
    tokio::time::sleep(answer.after).await;
    let (most, after) = match answer.fail {
        None | Some(Fail::Refuse) => (None, None),
        Some(Fail::Reset(None)) => return Err(After::Reset),
        Some(Fail::Close(None)) => return Err(After::Close),
        Some(Fail::Reset(most)) => (most, Some(After::Reset)),
        Some(Fail::Close(most)) => (most, Some(After::Close)),
    };
    let mut body = answer.body.clone();
    body.chunked |= !answer.trailers.is_empty();
    let mut headers = answer.headers.clone();
    if !matches!(answer.status, 204 | 304) {
        headers.extend(http1::framing(&headers, &body));
    }
    let head = http1::response_head(answer.status, &headers);
    let result = if method == "HEAD" || matches!(answer.status, 204 | 304) {
        http1::write(to, head, &Headers::new(), &Body::default(), &Headers::new(), None).await
    } else {
        http1::write(to, head, &headers, &body, &answer.trailers, most).await
    };
    result.map_err(|_| After::Close)?;
    match after {
        // What was written has to arrive before the reset, which overtakes it.
        Some(After::Reset) => {
            tokio::time::sleep(BEFORE_RESET).await;
            Err(After::Reset)
        }
        Some(after) => Err(after),
        None => Ok(()),
    }
}
