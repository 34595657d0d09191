//! Carries bytes between clients, upstreams, those who answer callouts, and the driver's rules.
//!
//! Everything that can move is moved without waiting; then the task that runs returns, and is called again when something can
//! move that it waits for. Callouts outlive the exchanges: whichever task runs waits for them, too.

use proxy_wasm_abi::limits::INSTANCE_CONCURRENCY;
use proxy_wasm_driver::{Action, Driver, Follows, Input, Peer, Turn, follows};
use proxy_wasm_semantics::{Chain, Direction, Guest, HeaderMap, Request as Head};

use crate::{
    bindings::wasi::{
        http::types::{Request, Response},
        random::random::get_random_bytes,
    },
    canonical::{self, Code},
    host, incoming, outgoing,
    peer::Streams,
    reader::{Look, Reader},
    task::{Phase, Task},
    vocabulary::failed,
    writer::Writer,
};

/// An instance's streams to the world.
#[derive(Default)]
pub(crate) struct Edge {
    tasks: Vec<Task>,
    /// The numbers of tasks so far.
    numbers: u32,
    /// Clients, upstreams, and those who answer callouts.
    peers: Vec<(Peer, Streams)>,
    /// What is left to write of bodies that nothing more is added to, each with the number of its task.
    ends: Vec<(u32, Writer)>,
    /// The host was told to begin no further task.
    is_held: bool,
}

/// Why a task runs.
pub(crate) enum Event {
    /// Something that it waits for has come.
    Arrived,
    /// Nobody wants its answer any more.
    Cancelled,
}

impl Edge {
    /// A request came: a task begins.
    pub(crate) fn begin<G: Guest>(&mut self, driver: &mut Driver<'_, G>, request: Request) -> u32 {
        self.numbers = self.numbers.wrapping_add(1);
        let mut task = Task::begin(self.numbers, request);
        let turn = &mut driver.turn();
        if let Err(reason) = turn.start(false) {
            self.refuse(turn.chain(), &mut task, reason);
        }
        self.run(driver, task)
    }

    /// Goes on with a task.
    pub(crate) fn resume<G: Guest>(&mut self, driver: &mut Driver<'_, G>, number: u32, event: &Event) -> u32 {
        let Some(at) = self.tasks.iter().position(|task| task.number == number) else { return 0 };
        let mut task = self.tasks.swap_remove(at);
        task.enter();
        let has_fired = task.timer_fired();
        let mut turn = driver.turn();
        match (event, &task.phase) {
            (Event::Arrived, Phase::Open(_) | Phase::Staying) if has_fired => turn.expire(),
            (Event::Arrived, _) => {}
            (Event::Cancelled, phase) => {
                if let Some(answer) = task.answer.take() {
                    answer.cancel();
                }
                match phase {
                    Phase::Open(id) => turn.client_gone(*id),
                    Phase::Starting(_) | Phase::Looking { .. } | Phase::Unread { .. } => task.phase = Phase::Writing,
                    Phase::Staying | Phase::Writing => {}
                }
            }
        }
        self.run(driver, task)
    }

    /// Runs a task as far as it comes; returns what the host is to do with it.
    fn run<G: Guest>(&mut self, driver: &mut Driver<'_, G>, mut task: Task) -> u32 {
        canonical::sweep();
        let code = self.advance(driver, &mut task);
        let returned = task.own.returned(&code);
        let mut turn = driver.turn();
        while let Some(moved) = turn.poll_moved() {
            self.tasks.iter_mut().filter(|task| task.has(moved)).for_each(Task::wake);
        }
        match code {
            Code::Wait => {
                host::flush_log();
                self.tasks.push(task);
            }
            Code::Exit => {
                self.part(turn.deadline());
                drop(task);
            }
        }
        // Plugins that start are not to be called before they have.
        let is_starting = self.tasks.iter().any(|task| matches!(task.phase, Phase::Starting(_)));
        let most = turn.chain().state().settings().upkeep.instance_concurrency.unwrap_or(INSTANCE_CONCURRENCY);
        self.hold(is_starting || self.tasks.len() >= most as usize);
        returned
    }

    fn advance<G: Guest>(&mut self, driver: &mut Driver<'_, G>, task: &mut Task) -> Code {
        loop {
            let mut turn = driver.turn();
            match std::mem::replace(&mut task.phase, Phase::Writing) {
                Phase::Starting(request) => {
                    if self.stays(&mut turn, task) {
                        task.phase = Phase::Starting(request);
                        return Code::Wait;
                    }
                    task.phase = Self::look(&turn, request);
                }
                Phase::Unread { head, body } => task.phase = Phase::Open(self.open(&mut turn, head, false, body)),
                Phase::Looking { head, mut body, trailers, until } => {
                    let look = body.look(trailers);
                    if look == Look::Unknown && host::now() < until {
                        task.set_timer(Some(until));
                        body.wait_here();
                        task.phase = Phase::Looking { head, body, trailers, until };
                        return Code::Wait;
                    }
                    task.phase = Phase::Open(self.open(&mut turn, head, look == Look::Nothing, body));
                }
                Phase::Open(id) => {
                    if !self.step(&mut turn, task, id) {
                        task.phase = Phase::Open(id);
                        // Where others are under way, they may move it.
                        if self.waits(&mut turn, task, Some(id)) || !self.tasks.is_empty() {
                            return Code::Wait;
                        }
                        turn.starved(id);
                        continue;
                    }
                    self.close(&mut turn, task, id);
                    task.phase = Phase::Staying;
                }
                Phase::Staying => {
                    if self.stays(&mut turn, task) {
                        task.phase = Phase::Staying;
                        return Code::Wait;
                    }
                    turn.finish();
                }
                Phase::Writing => {
                    task.set_timer(None);
                    self.pump_ends(task);
                    return if self.wait_for_ends(task) { Code::Wait } else { Code::Exit };
                }
            }
        }
    }

    /// Answers for plugins that did not start.
    #[cold]
    fn refuse<G: Guest>(&mut self, chain: &Chain<G>, task: &mut Task, reason: &str) {
        let Phase::Starting(request) = std::mem::replace(&mut task.phase, Phase::Writing) else { return };
        let head = chain.refuse(&request.get_headers().copy_all(), reason);
        let (response, writer) = outgoing::response(chain, &head, true);
        if let Some(answer) = task.answer.take() {
            answer.give(response);
        }
        self.ends.push((task.number, writer));
    }

    /// Takes a request apart, and looks whether something follows its head.
    fn look<G: Guest>(turn: &Turn<'_, '_, G>, request: Request) -> Phase {
        let (head, body) = incoming::request(request);
        let (trailers, patience, body) = match follows(&head, false) {
            Follows::Nothing => (false, 0, Reader::empty()),
            Follows::Body if turn.passes(Direction::Request) => return Phase::Unread { head, body },
            Follows::Body => (true, 0, body),
            Follows::Unknown { trailers, patience } => (trailers, patience, body),
        };
        let until = if patience > 0 { host::now().saturating_add(patience) } else { 0 };
        Phase::Looking { head, body, trailers, until }
    }

    fn open<G: Guest>(&mut self, turn: &mut Turn<'_, '_, G>, mut head: Head, end: bool, body: Reader) -> u32 {
        turn.complete(&mut head, host::now, get_random_bytes);
        let id = turn.open(head, end);
        let peer = Peer::Client(id);
        let is_ahead = body.is_ahead();
        let mut client = Streams::client(body);
        // The filters see the bytes that came with the head before anything goes on.
        if is_ahead
            && turn.wants(peer)
            && let Some(input) = client.read(|| false)
        {
            turn.input(peer, input);
        }
        self.peers.push((peer, client));
        id
    }

    fn close<G: Guest>(&mut self, turn: &mut Turn<'_, '_, G>, task: &mut Task, id: u32) {
        self.break_off(task, id);
        self.peers.retain(|(peer, _)| !matches!(peer, Peer::Client(of) | Peer::Upstream(of) if *of == id));
        turn.close(id);
        task.set_timer(None);
    }

    /// Moves everything that can move; tells whether the exchange is over.
    fn step<G: Guest>(&mut self, turn: &mut Turn<'_, '_, G>, task: &mut Task, id: u32) -> bool {
        loop {
            let more = turn.work();
            while let Some(action) = turn.poll(id) {
                self.perform(turn, task, action);
            }
            self.perform_calls(turn, task, Some(id));
            if turn.is_over(id) {
                return true;
            }
            if !(self.read(turn, Some(id)) | more) {
                return false;
            }
        }
    }

    /// Goes on for as long as the driver says.
    fn stays<G: Guest>(&mut self, turn: &mut Turn<'_, '_, G>, task: &mut Task) -> bool {
        while turn.stays() {
            let more = turn.work();
            self.perform_calls(turn, task, None);
            if !(self.read(turn, None) | more) && self.waits(turn, task, None) {
                return true;
            }
        }
        task.set_timer(None);
        false
    }

    fn perform_calls<G: Guest>(&mut self, turn: &mut Turn<'_, '_, G>, task: &mut Task, of: Option<u32>) {
        while let Some(action) = turn.poll_calls() {
            self.perform(turn, task, action);
        }
        for (peer, streams) in self.peers.iter_mut().filter(|(peer, _)| is_of(*peer, of)) {
            streams.pump(*peer, turn);
        }
        self.pump_ends(task);
    }

    fn pump_ends(&mut self, task: &Task) {
        self.ends.retain_mut(|(number, end)| *number != task.number || end.pump().is_pending());
    }

    fn wait_for_ends(&mut self, task: &Task) -> bool {
        let own = self.ends.iter_mut().filter(|(number, _)| *number == task.number);
        own.fold(false, |waits, (_, end)| end.wait_here() | waits)
    }

    fn perform<G: Guest>(&mut self, turn: &mut Turn<'_, '_, G>, task: &mut Task, action: Action) {
        let chain = turn.chain();
        match action {
            Action::Request { peer, to, headers, end, http2: _ } => {
                let source = Self::source(peer);
                let unread = source.filter(|_| !end).and_then(|source| self.hand_on(turn, source));
                match outgoing::request(chain, &to, &headers, end, unread) {
                    Ok((streams, sent)) => {
                        self.handed_on(source, sent);
                        self.peers.push((peer, streams));
                    }
                    Err(code) => turn.input(peer, failed(&code)),
                }
            }
            Action::Response { id, headers, end } => {
                let Some(answer) = task.answer.take() else { return };
                let source = Peer::Upstream(id);
                if let Some(response) = self.hand_on_whole(turn, source, &headers) {
                    outgoing::set_status(chain, &response, response.get_status_code(), &headers);
                    answer.give(response);
                    return;
                }
                if let Some(unread) = Some(source).filter(|_| !end).and_then(|source| self.hand_on(turn, source)) {
                    let (response, sent) = outgoing::response_with(chain, &headers, unread);
                    answer.give(response);
                    self.handed_on(Some(source), Some(sent));
                    return;
                }
                let (response, writer) = outgoing::response(chain, &headers, end);
                answer.give(response);
                if let Some(client) = self.streams(Peer::Client(id)) {
                    client.writer = Some(writer);
                }
            }
            Action::Write(peer, bytes) => {
                if let Some(writer) = self.writer(peer) {
                    writer.push(bytes);
                }
            }
            Action::Finish(peer, trailers) => match self.writer(peer) {
                Some(writer) => writer.end(trailers.map(|trailers| outgoing::fields(chain, &trailers))),
                // Its body was handed on.
                None => turn.written(peer),
            },
            Action::Abort(id) => self.break_off(task, id),
            Action::Release(released) => self.peers.retain(|(peer, _)| *peer != released),
        }
    }

    /// Whose body goes to a peer.
    fn source(peer: Peer) -> Option<Peer> {
        match peer {
            Peer::Client(id) => Some(Peer::Upstream(id)),
            Peer::Upstream(id) => Some(Peer::Client(id)),
            Peer::Callout(_) => None,
        }
    }

    /// The body that comes from a peer, where it is unread and nobody here can want it.
    fn hand_on<G: Guest>(&mut self, turn: &mut Turn<'_, '_, G>, source: Peer) -> Option<canonical::Incoming> {
        let streams = self.streams(source).filter(|streams| streams.is_unread())?;
        if turn.pass_on(source) { streams.hand_on() } else { None }
    }

    /// The same with its head, which is still the one that came.
    fn hand_on_whole<G: Guest>(
        &mut self,
        turn: &mut Turn<'_, '_, G>,
        source: Peer,
        head: &HeaderMap,
    ) -> Option<Response> {
        let streams = self.streams(source).filter(|streams| streams.is_whole(head))?;
        if turn.pass_on(source) { streams.hand_on_whole() } else { None }
    }

    fn handed_on(&mut self, source: Option<Peer>, sent: Option<canonical::Sent>) {
        if let Some((source, sent)) = source.zip(sent)
            && let Some(streams) = self.streams(source)
        {
            streams.handed_on(sent);
        }
    }

    fn streams(&mut self, peer: Peer) -> Option<&mut Streams> {
        Some(&mut self.peers.iter_mut().find(|(other, _)| *other == peer)?.1)
    }

    fn writer(&mut self, peer: Peer) -> Option<&mut Writer> {
        self.streams(peer)?.writer.as_mut()
    }

    /// Answers nothing, where the response has not begun, and breaks it off where it has not ended. Bytes that were let
    /// through before still go out; whether the client takes them no longer matters.
    fn break_off(&mut self, task: &mut Task, id: u32) {
        if let Some(answer) = task.answer.take() {
            answer.fail();
        }
        if let Some(mut writer) = self.streams(Peer::Client(id)).and_then(|client| client.writer.take()) {
            writer.break_off();
            self.ends.push((task.number, writer));
        }
    }

    /// Reads a piece of what has come from each peer of this exchange, and for callouts; tells whether there was any.
    fn read<G: Guest>(&mut self, turn: &mut Turn<'_, '_, G>, of: Option<u32>) -> bool {
        let mut moved = false;
        let mut index = 0;
        while let Some((peer, streams)) = self.peers.get_mut(index) {
            let peer = *peer;
            let is_callout = matches!(peer, Peer::Callout(_));
            let input = if is_of(peer, of) && turn.wants(peer) {
                streams.read(|| !is_callout && turn.passes(Direction::Response))
            } else {
                None
            };
            let Some(input) = input else {
                index += 1;
                continue;
            };
            moved = true;
            // With a callout's head goes what came with it.
            let is_read_on = is_callout && matches!(input, Input::Head(..));
            if is_callout && streams.is_over() {
                self.peers.remove(index);
            } else if !is_read_on {
                index += 1;
            }
            turn.input(peer, input);
        }
        moved
    }

    /// Has the task wait for its exchange and for callouts; tells whether there is anything to wait for.
    fn waits<G: Guest>(&mut self, turn: &mut Turn<'_, '_, G>, task: &mut Task, of: Option<u32>) -> bool {
        let mut waits = task.set_timer(turn.deadline());
        for (peer, streams) in self.peers.iter_mut().filter(|(peer, _)| is_of(*peer, of)) {
            waits |= streams.wait_here(turn.wants(*peer));
        }
        self.wait_for_ends(task);
        waits
    }

    /// The task that runs ends: callouts that it waited for, and the next deadline, are waited for by another one, now or
    /// when one begins.
    fn part(&mut self, deadline: Option<u64>) {
        self.peers.iter_mut().for_each(|(_, streams)| streams.part());
        canonical::part_from_left();
        host::part_from_log();
        // The last one that is left finds out whether anything can still move it.
        let leaves_calls = self.peers.iter().any(|(peer, _)| matches!(peer, Peer::Callout(_)));
        let leaves_deadline = deadline.is_some_and(|at| !self.tasks.iter().any(|task| task.is_told_of(at)));
        if leaves_calls || leaves_deadline || self.tasks.len() == 1 {
            self.tasks.first_mut().map(Task::wake);
        }
    }

    /// Lets the host begin further tasks, or not.
    fn hold(&mut self, held: bool) {
        if self.is_held != held {
            self.is_held = held;
            canonical::Task::hold_others(held);
        }
    }
}

/// Whether a peer belongs to this exchange, or to none.
fn is_of(peer: Peer, exchange: Option<u32>) -> bool {
    match peer {
        Peer::Client(id) | Peer::Upstream(id) => Some(id) == exchange,
        Peer::Callout(_) => true,
    }
}
