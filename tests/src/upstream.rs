//! An upstream that does what it is told and records what it gets.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use proxy_wasm_adapter_peers::http1::Head;
use proxy_wasm_adapter_peers::http1::blocking::{Body, Reader};

use crate::http2::{self, Ending};
use crate::message::{Action, Step, bytes, framed};
use crate::{port, tcp};

/// Waits until what an action names has happened; whether it did.
pub type Waits = Arc<dyn Fn(&Action) -> bool + Send + Sync>;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its head.
    pub head: Head,
    /// Its body, as far as it came.
    pub body: Body,
    /// How it ended, if it did, where it came by HTTP/2.
    pub ending: Option<Option<Ending>>,
}

impl Request {
    /// Whether it was sent to learn what becomes of a client's connection.
    pub fn asks_on(&self) -> bool {
        self.head.start.windows(9).any(|part| part == b"/and-then")
    }
}

/// What an upstream speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2 without TLS, known before.
    Http2,
}

/// What the upstream does with each request.
#[derive(Clone, Default)]
pub struct Behaviour {
    /// The steps, the reading of the whole request first unless one of them reads.
    pub steps: Vec<Step>,
    /// How to wait for the filter's log and for the client.
    pub wait: Option<Waits>,
}

/// A server on a port of its own, one thread for each connection.
#[derive(Debug)]
pub struct Upstream {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

/// What its connections have in common.
#[derive(Default)]
pub(crate) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    behaviour: Behaviour,
    /// What requests after the first get instead, each in turn; the last one all that follow.
    further: Vec<Vec<Step>>,
    requests: Vec<Request>,
    /// Heads that came.
    heads: usize,
    /// The first of what came over HTTP/1.
    received: Vec<u8>,
    /// Requests that are being answered.
    busy: usize,
    /// What came before this exchange is not recorded.
    generation: usize,
    stopped: bool,
}

/// The place of a request among those of its exchange.
pub(crate) struct Slot {
    place: usize,
    generation: usize,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

impl Upstream {
    /// Starts one that speaks HTTP/1.1.
    ///
    /// # Errors
    /// There is no port.
    pub fn start() -> io::Result<Self> {
        Self::on(TcpListener::bind("127.0.0.1:0")?, Version::Http1)
    }

    /// Starts one that speaks this at the port of this name; see [`port`].
    ///
    /// # Errors
    /// There is no port.
    pub fn start_named(name: &str, version: Version) -> io::Result<Self> {
        Self::on(port::listen(name)?, version)
    }

    fn on(listener: TcpListener, version: Version) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let of_thread = shared.clone();
        let accepting = thread::spawn(move || {
            for stream in listener.incoming() {
                if of_thread.lock().stopped {
                    return;
                }
                let shared = of_thread.clone();
                // A connection that fails is the other side's affair.
                thread::spawn(move || {
                    stream.and_then(|stream| match version {
                        Version::Http1 => serve(&shared, stream),
                        Version::Http2 => http2::server::serve(&shared, stream),
                    })
                });
            }
        });
        Ok(Self { address, shared, accepting: Some(accepting) })
    }

    /// Forgets what came, and does this from now on.
    pub fn behave(&self, behaviour: Behaviour) {
        let mut state = self.shared.lock();
        state.behaviour = behaviour;
        state.further.clear();
        state.requests.clear();
        state.heads = 0;
        state.received.clear();
        state.busy = 0;
        state.generation += 1;
    }

    /// Does this with the requests after the first, each in turn; the last one with all that follow.
    pub fn behave_then(&self, further: Vec<Vec<Step>>) {
        self.shared.lock().further = further;
    }

    /// Whether a request's head is there, after waiting for it.
    pub fn wait_for_head(&self, time: Duration) -> bool {
        self.shared.wait(time, |state| state.heads > 0)
    }

    /// Whether this came, which HTTP/1 has to carry, after waiting for it.
    pub fn wait_for_text(&self, text: &[u8], time: Duration) -> bool {
        // Bytes are there before anyone has read a head from them: only then it is a request that is waited for in the end.
        let came = |state: &State| state.received.windows(text.len()).any(|window| window == text);
        self.shared.wait(time, |state| state.heads > 0 && came(state))
    }

    /// The requests, after waiting until each is answered.
    pub fn requests(&self, time: Duration) -> Vec<Request> {
        self.shared.wait(time, |state| state.busy == 0);
        self.shared.lock().requests.clone()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        // Wakes the thread that accepts. When it has ended, the port is free for the next one of this name.
        if TcpStream::connect(self.address).is_ok()
            && let Some(accepting) = self.accepting.take()
        {
            let _ = accepting.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, time: Duration, ready: impl Fn(&State) -> bool) -> bool {
        let deadline = Instant::now() + time;
        let mut state = self.lock();
        while !ready(&state) {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else { return false };
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Notes a request whose head is there; what to do with it.
    pub(crate) fn begin(&self, request: Request) -> (Slot, Behaviour) {
        let mut state = self.lock();
        state.heads += 1;
        state.busy += 1;
        state.requests.push(request);
        let slot = Slot { place: state.requests.len() - 1, generation: state.generation };
        let mut behaviour = state.behaviour.clone();
        let latest = state.further.len().min(slot.place);
        if let Some(steps) = latest.checked_sub(1).and_then(|at| state.further.get(at)) {
            behaviour.steps.clone_from(steps);
        }
        drop(state);
        self.changed.notify_all();
        (slot, behaviour)
    }

    /// Notes what became of a request that is answered.
    pub(crate) fn end(&self, slot: Slot, request: Request) {
        let mut state = self.lock();
        if state.generation == slot.generation {
            state.busy -= 1;
            state.requests[slot.place] = request;
        }
        drop(state);
        self.changed.notify_all();
    }
}

/// As much is kept of what came as any case waits for: bodies may be of any size.
const KEPT: usize = 64 * 1024;

/// Reads from a connection, and keeps what came for others to wait for.
struct Tee<'a> {
    stream: &'a TcpStream,
    shared: &'a Shared,
}

impl Read for Tee<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.stream.read(buffer)?;
        let mut state = self.shared.lock();
        let room = KEPT.saturating_sub(state.received.len());
        state.received.extend_from_slice(&buffer[..size.min(room)]);
        drop(state);
        self.shared.changed.notify_all();
        Ok(size)
    }
}

fn serve(shared: &Shared, stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = Reader::new(Tee { stream: &stream, shared });
    while let Some(head) = reader.head()? {
        let mut request = Request { head, body: Body { cut: true, ..Body::default() }, ending: None };
        let (slot, behaviour) = shared.begin(request.clone());
        let result = answer(&behaviour, &mut request, &mut reader, &stream);
        shared.end(slot, request);
        if !result? {
            break;
        }
    }
    Ok(())
}

/// Whether the connection goes on.
fn answer(
    behaviour: &Behaviour,
    request: &mut Request,
    reader: &mut Reader<Tee<'_>>,
    mut stream: &TcpStream,
) -> io::Result<bool> {
    let reads = |step: &Step| matches!(step, Step::Other(Action::ReadHead(_) | Action::ReadAll(_)));
    let mut whole = false;
    if !behaviour.steps.iter().any(reads) {
        request.body = reader.request_body(&request.head);
        whole = true;
    }
    for step in &behaviour.steps {
        match step {
            Step::Text(text) => stream.write_all(&bytes(text))?,
            Step::Other(Action::Fill(byte, count)) => stream.write_all(&vec![*byte; *count])?,
            Step::Other(Action::Message(text)) => stream.write_all(&framed(text))?,
            Step::Other(action @ (Action::Await(_) | Action::AwaitClient(_))) => {
                if let Some(wait) = &behaviour.wait
                    && !wait(action)
                {
                    return Ok(false);
                }
            }
            Step::Other(Action::Pause(milliseconds)) => thread::sleep(Duration::from_millis(*milliseconds)),
            Step::Other(Action::ReadAll(_)) => {
                request.body = reader.request_body(&request.head);
                whole = true;
            }
            Step::Other(Action::ReadHead(_) | Action::AwaitUpstream(_)) => {}
            Step::Other(
                action @ (Action::Head(_)
                | Action::Trailers(_)
                | Action::End(_)
                | Action::Rst(_)
                | Action::Frame(..)
                | Action::Read(_)
                | Action::Give(_)),
            ) => panic!("{action:?} is for HTTP/2"),
            Step::Other(Action::Hang(_)) => {
                while reader.head()?.is_some() {}
                return Ok(false);
            }
            Step::Other(Action::Close(_)) => {
                stream.shutdown(std::net::Shutdown::Both)?;
                return Ok(false);
            }
            Step::Other(Action::Reset(_)) => {
                tcp::reset(stream)?;
                return Ok(false);
            }
        }
    }
    if !whole {
        // Tells how much of it came before the other side gave up.
        request.body = reader.request_body(&request.head);
    }
    Ok(!request.body.cut)
}
