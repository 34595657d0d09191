//! The tasks that an instance has at once, and what each does next: begins, runs as far as it comes, waits, ends.
//!
//! Everything that can move is moved without waiting; then the task that runs returns, and is called again when something can
//! move that it waits for. Callouts outlive the exchanges: whichever task runs waits for them, too.

mod carrying;

use std::num::NonZeroU32;

use proxy_wasm_abi::limits::INSTANCE_CONCURRENCY;
use proxy_wasm_driver::{Driver, Follows, Look, Peers, Turn, follows};
use proxy_wasm_semantics::{Chain, Direction, Guest, Remains, Request as Head};

use crate::{
    bindings::wasi::{http::types::Request, random::random::get_random_bytes},
    canonical::{self, Code, consume_request},
    host, incoming, outgoing,
    peer::Streams,
    reader::Reader,
    task::{Phase, Task},
    writer::Writer,
};

/// An instance's streams to the world.
#[derive(Default)]
pub(crate) struct Edge {
    tasks: Vec<Task>,
    /// The numbers of tasks so far.
    numbers: u32,
    /// How many requests came.
    requests: u32,
    /// The exchanges that ended and that the host was not told of, where it wants to be.
    ended: Option<Vec<Ended>>,
    peers: Peers<Streams>,
    /// What is left to write of bodies that nothing more is added to, each with the number of its task.
    ends: Vec<(u32, Writer)>,
    /// The host was told to begin no further task.
    is_held: bool,
    /// The host knows the plugin's interface: it begins no more of them by itself than the settings allow, and says by the time
    /// of a body's end what it came with.
    is_exact: bool,
}

/// An exchange that is over: the number of its request, and what is left of it.
pub(crate) struct Ended {
    pub(crate) number: NonZeroU32,
    pub(crate) remains: Option<Remains>,
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
        self.requests = self.requests.wrapping_add(1);
        let mut task = self.task(NonZeroU32::new(self.requests), Phase::Starting(request));
        let turn = &mut driver.turn();
        if let Err(reason) = turn.start(false) {
            self.refuse(turn.chain(), &mut task, reason);
        }
        self.run(driver, task)
    }

    /// Leaves it to the host to have as many requests at once as it is told, and no more.
    pub(crate) fn leave_limit<G: Guest>(&mut self, chain: &Chain<G>) -> u32 {
        self.is_exact = true;
        concurrency(chain)
    }

    /// The client of this request has left: its task takes note.
    pub(crate) fn client_left(&mut self, number: u32) {
        let is_its = |task: &&mut Task| task.request.is_some_and(|request| request.get() == number);
        if let Some(task) = self.tasks.iter_mut().find(is_its) {
            task.is_left = true;
            task.wake();
        }
    }

    fn task(&mut self, request: Option<NonZeroU32>, phase: Phase) -> Task {
        self.numbers = self.numbers.wrapping_add(1);
        Task::begin(self.numbers, request, phase)
    }

    /// The host has the plugins started: a task begins.
    pub(crate) fn start<G: Guest>(&mut self, driver: &mut Driver<'_, G>) -> u32 {
        let mut task = self.task(None, Phase::WarmingUp);
        if let Err(reason) = driver.turn().start(true) {
            task.phase = Phase::Writing;
            if let Some(answer) = task.answer.take() {
                answer.started(Err(reason));
            }
        }
        self.run(driver, task)
    }

    /// The host has what is due between requests done: a task begins.
    pub(crate) fn tend<G: Guest>(&mut self, driver: &mut Driver<'_, G>) -> u32 {
        let task = self.task(None, Phase::Tending);
        driver.turn().tend();
        self.run(driver, task)
    }

    /// The host wants to know when an exchange has ended: a task begins.
    pub(crate) fn listen<G: Guest>(&mut self, driver: &mut Driver<'_, G>) -> u32 {
        let task = self.task(None, Phase::Listening);
        self.run(driver, task)
    }

    /// The exchanges that ended since the last call. From the first call on they are kept.
    pub(crate) fn take_ended<G: Guest>(&mut self, chain: &Chain<G>) -> Vec<Ended> {
        self.ended.replace(Vec::new()).unwrap_or_else(|| {
            chain.state().take_remains();
            Vec::new()
        })
    }

    /// Goes on with a task.
    pub(crate) fn resume<G: Guest>(&mut self, driver: &mut Driver<'_, G>, number: u32, event: &Event) -> u32 {
        let Some(at) = self.tasks.iter().position(|task| task.number == number) else { return 0 };
        let mut task = self.tasks.swap_remove(at);
        task.enter();
        let has_fired = task.timer_fired();
        let mut turn = driver.turn();
        match event {
            Event::Arrived if task.is_left => {
                task.is_left = false;
                Self::give_up(&mut turn, &mut task);
                // One that is open gives its answer up when it is closed.
                if matches!(task.phase, Phase::Writing)
                    && let Some(answer) = task.answer.take()
                {
                    answer.fail();
                }
            }
            Event::Arrived => {
                if has_fired && matches!(task.phase, Phase::Open(_) | Phase::Staying | Phase::Tending) {
                    turn.expire();
                }
            }
            Event::Cancelled => {
                if let Some(answer) = task.answer.take() {
                    answer.cancel();
                }
                Self::give_up(&mut turn, &mut task);
            }
        }
        self.run(driver, task)
    }

    /// Nobody wants what a task is for.
    fn give_up<G: Guest>(turn: &mut Turn<'_, '_, G>, task: &mut Task) {
        match task.phase {
            Phase::Open(id) => turn.client_gone(id),
            Phase::Staying | Phase::Writing => {}
            Phase::Starting(_)
            | Phase::Looking { .. }
            | Phase::Unread { .. }
            | Phase::WarmingUp
            | Phase::Tending
            | Phase::Listening => task.phase = Phase::Writing,
        }
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
                // One that never came to be an exchange.
                self.tell(&mut task, None);
                drop(task);
            }
        }
        let requests = self.tasks.iter().filter(|task| task.is_of_request()).count();
        let is_full = !self.is_exact && requests >= concurrency(turn.chain()) as usize;
        self.hold(is_full || self.tasks.iter().any(Task::starts));
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
                    task.phase = self.look(&turn, request);
                }
                Phase::WarmingUp => {
                    if self.stays(&mut turn, task) {
                        task.phase = Phase::WarmingUp;
                        return Code::Wait;
                    }
                    if let Some(answer) = task.answer.take() {
                        answer.started(Ok(()));
                    }
                }
                Phase::Tending => {
                    if self.tends(&mut turn, task) {
                        task.phase = Phase::Tending;
                        return Code::Wait;
                    }
                    if let Some(answer) = task.answer.take() {
                        answer.idles(turn.rest().wake);
                    }
                }
                Phase::Listening => {
                    if self.ended.as_ref().is_none_or(Vec::is_empty) {
                        task.phase = Phase::Listening;
                        return Code::Wait;
                    }
                    if let Some(answer) = task.answer.take() {
                        answer.ends();
                    }
                }
                Phase::Unread { head, body, end } => task.phase = Phase::Open(self.open(&mut turn, head, end, body)),
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
                    if !turn.advance(&mut self.running(task), id) {
                        task.phase = Phase::Open(id);
                        // Where others are under way, they may move it.
                        if self.waits(&mut turn, task, Some(id)) || self.tasks.iter().any(Task::acts) {
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
        let head = chain.refuse(incoming::request(&request, false).field("content-type"), reason);
        let (response, writer) = outgoing::response(chain, &head, true);
        if let Some(answer) = task.answer.take() {
            answer.give(response);
        }
        self.ends.push((task.number, writer));
    }

    /// Takes a request apart, and looks whether something follows its head, unless that is known, or for nobody here to see.
    fn look<G: Guest>(&self, turn: &Turn<'_, '_, G>, request: Request) -> Phase {
        let head = incoming::request(&request, self.is_exact);
        let (trailers, patience) = match follows(&head, self.is_exact) {
            Follows::Nothing => {
                let body = Reader::whole_request(request, &head);
                return Phase::Unread { head, body, end: true };
            }
            Follows::Unknown { .. } if turn.is_unseen(&head) => {
                let body = Reader::whole_request(request, &head);
                return Phase::Unread { head, body, end: false };
            }
            Follows::Body if turn.passes(Direction::Request) => {
                let body = Reader::new(consume_request(request), self.is_exact);
                return Phase::Unread { head, body, end: false };
            }
            Follows::Body => (true, 0),
            Follows::Unknown { trailers, patience } => (trailers, patience),
        };
        let body = Reader::new(consume_request(request), self.is_exact);
        let until = if patience > 0 { host::now().saturating_add(patience) } else { 0 };
        Phase::Looking { head, body, trailers, until }
    }

    fn open<G: Guest>(&mut self, turn: &mut Turn<'_, '_, G>, mut head: Head, end: bool, body: Reader) -> u32 {
        turn.complete(&mut head, host::now, get_random_bytes);
        self.peers.open(turn, head, end, Streams::client(body), self.is_exact)
    }

    fn close<G: Guest>(&mut self, turn: &mut Turn<'_, '_, G>, task: &mut Task, id: u32) {
        self.break_off(task, id);
        self.peers.close(id);
        turn.close(id);
        if self.ended.is_some() {
            self.tell(task, turn.chain().state().take_remains());
        }
        task.set_timer(None);
    }

    /// An exchange is over: whoever listens is told, once.
    fn tell(&mut self, task: &mut Task, remains: Option<Remains>) {
        let Some((number, ended)) = task.request.take().zip(self.ended.as_mut()) else { return };
        ended.push(Ended { number, remains });
        self.tasks.iter_mut().filter(|task| !task.acts()).for_each(Task::wake);
    }

    /// Goes on for as long as the driver says.
    fn stays<G: Guest>(&mut self, turn: &mut Turn<'_, '_, G>, task: &mut Task) -> bool {
        while turn.stays() {
            if !turn.advance_calls(&mut self.running(task)) && self.waits(turn, task, None) {
                return true;
            }
        }
        task.set_timer(None);
        false
    }

    /// Goes on between requests, as long as anything is under way.
    fn tends<G: Guest>(&mut self, turn: &mut Turn<'_, '_, G>, task: &mut Task) -> bool {
        while turn.advance_calls(&mut self.running(task)) {}
        // The next tick is the host's to ask for, unless this goes on until then.
        let is_under_way = turn.has_calls() && self.waits(turn, task, None);
        if is_under_way && let Some(tick) = turn.chain().tick_deadline() {
            task.set_timer(Some(tick));
        }
        is_under_way
    }

    /// The task that runs ends: callouts that it waited for, and the next deadline, are waited for by another one, now or
    /// when one begins.
    fn part(&mut self, deadline: Option<u64>) {
        self.peers.all().for_each(|(_, streams)| streams.part());
        canonical::part_from_left();
        host::part_from_log();
        // The last one that is left finds out whether anything can still move it.
        let leaves_deadline = deadline.is_some_and(|at| !self.tasks.iter().any(|task| task.is_told_of(at)));
        let is_last = self.tasks.iter().filter(|task| task.acts()).count() == 1;
        if self.peers.have_callouts() || leaves_deadline || is_last {
            self.tasks.iter_mut().find(|task| task.acts()).map(Task::wake);
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

/// How many requests the settings let an instance have at once.
fn concurrency<G: Guest>(chain: &Chain<G>) -> u32 {
    chain.state().settings().upkeep.instance_concurrency.unwrap_or(INSTANCE_CONCURRENCY)
}
