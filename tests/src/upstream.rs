//! An upstream that does what it is told and records what it gets.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::http1::{Body, Head, Reader};
use crate::message::{Action, Step, bytes};
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

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    behaviour: Behaviour,
    requests: Vec<Request>,
    /// Heads that came.
    heads: usize,
    /// Requests that are being answered.
    busy: usize,
    stopped: bool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

impl Upstream {
    /// Starts it.
    ///
    /// # Errors
    /// There is no port.
    pub fn start() -> io::Result<Self> {
        Self::on(TcpListener::bind("127.0.0.1:0")?)
    }

    /// Starts it at the port of this name; see [`port`].
    ///
    /// # Errors
    /// There is no port.
    pub fn start_named(name: &str) -> io::Result<Self> {
        Self::on(port::listen(name)?)
    }

    fn on(listener: TcpListener) -> io::Result<Self> {
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
                thread::spawn(move || stream.and_then(|stream| serve(&shared, stream)));
            }
        });
        Ok(Self { address, shared, accepting: Some(accepting) })
    }

    /// Forgets what came, and does this from now on.
    pub fn behave(&self, behaviour: Behaviour) {
        let mut state = self.shared.lock();
        state.behaviour = behaviour;
        state.requests.clear();
        state.heads = 0;
    }

    /// Whether a request's head is there, after waiting for it.
    pub fn wait_for_head(&self, time: Duration) -> bool {
        self.shared.wait(time, |state| state.heads > 0)
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

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

fn serve(shared: &Shared, stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = Reader::new(stream.try_clone()?);
    while let Some(head) = reader.head()? {
        let behaviour = shared.lock().behaviour.clone();
        let mut request = Request { head, body: Body { cut: true, ..Body::default() } };
        shared.change(|state| {
            state.heads += 1;
            state.busy += 1;
        });
        let result = answer(&behaviour, &mut request, &mut reader, &stream);
        shared.change(|state| {
            state.busy -= 1;
            state.requests.push(request);
        });
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
    reader: &mut Reader<TcpStream>,
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
            Step::Other(action @ (Action::Await(_) | Action::AwaitClient(_))) => {
                if let Some(wait) = &behaviour.wait
                    && !wait(action)
                {
                    return Ok(false);
                }
            }
            Step::Other(Action::ReadAll(_)) => {
                request.body = reader.request_body(&request.head);
                whole = true;
            }
            Step::Other(Action::ReadHead(_) | Action::AwaitUpstream(_)) => {}
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
