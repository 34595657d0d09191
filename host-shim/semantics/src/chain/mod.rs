//! The chain: the plugins of a component in the order in which a request passes them, and how the edge drives them.

mod borrowed;
mod start;

use std::{
    cell::{Cell, OnceCell, RefCell},
    rc::Rc,
};

use proxy_wasm_abi::{
    bridge::AbiVersion,
    callbacks::{CALLBACK_PARAMS_MAX, Id},
    settings::Settings,
};

use crate::{
    connection::{self, Request},
    environment::{Capabilities, Guest, Host},
    router::{self, UpstreamFailure},
    running::Action,
    state::{ChainState, PluginInStream},
    stream::{Direction, Effect, ResetReason, Stream, StreamContext},
};

pub use borrowed::Borrowed;

/// The plugins of a component, and the filters that implement them.
pub struct Chain<G> {
    pub(crate) state: RefCell<ChainState>,
    /// That of the state, for what is called while the state is not borrowed.
    pub(crate) host: Rc<dyn Host>,
    pub(crate) capabilities: Capabilities,
    /// By virtual machine.
    guests: Vec<G>,
    started: OnceCell<Result<(), String>>,
    /// The virtual machine whose filter runs, or ran last.
    running: Cell<usize>,
    /// The filter is being called: what finds it so at the next entry is what a trap left behind.
    called: Cell<bool>,
    /// It was written down with its plugins started, and no exchange came since.
    frozen: Cell<bool>,
    /// The streams in which something went on, since the driver asked last.
    moved: RefCell<Vec<u32>>,
}

/// The outcome of a callback.
pub(crate) struct Returned {
    pub(crate) value: u32,
    /// A local response was asked for.
    pub(crate) stop: bool,
    pub(crate) actions: Vec<Action>,
}

impl Returned {
    /// Takes out what asks to continue this message, and tells whether it was there.
    pub(crate) fn take_continue(&mut self, at: PluginInStream, direction: Direction) -> bool {
        let before = self.actions.len();
        self.actions.retain(|action| !matches!(action, Action::Continue(p, d) if *p == at && *d == direction));
        self.actions.len() < before
    }
}

impl<G: Guest> Chain<G> {
    /// Plugins that have not started. The filters are those of the virtual machines, in the order of their numbers.
    pub fn new(settings: Settings, host: Box<dyn Host>, filters: Vec<(AbiVersion, G)>) -> Self {
        let (versions, guests): (Vec<AbiVersion>, Vec<G>) = filters.into_iter().unzip();
        let timed = guests.iter().any(Guest::reads_properties);
        let host: Rc<dyn Host> = host.into();
        Self {
            state: RefCell::new(ChainState::new(settings, host.clone(), &versions, timed)),
            capabilities: host.capabilities(),
            host,
            guests,
            started: OnceCell::new(),
            running: Cell::new(0),
            called: Cell::new(false),
            frozen: Cell::new(false),
            moved: RefCell::default(),
        }
    }

    /// The state that host calls act on.
    ///
    /// # Panics
    /// If it is borrowed already: the marshalling never calls into a filter while it holds it.
    pub fn state(&self) -> Borrowed<'_> {
        Borrowed::new(&self.state, &*self.host)
    }

    /// The filters, by virtual machine.
    pub fn guests(&self) -> &[G] {
        &self.guests
    }

    /// The filter that runs, or ran last.
    pub fn guest(&self) -> &G {
        &self.guests[self.running.get()]
    }

    /// Whether any filter that is in use exports this callback.
    pub fn exports(&self, callback: Id) -> bool {
        let state = self.state.borrow();
        self.guests.iter().zip(&state.vms).any(|(guest, vm)| !vm.is_bypassed() && guest.exports(callback))
    }

    /// Whether the filter of a plugin exports this callback, and is in use.
    pub(crate) fn plugin_exports(&self, plugin: usize, callback: Id) -> bool {
        let state = self.state.borrow();
        let vm = state.plugins[plugin].vm();
        !state.vms[vm].is_bypassed() && self.guests[vm].exports(callback)
    }

    /// Calls the filter of a plugin, unless it lacks this callback: with the context, and these arguments behind it.
    fn call(&self, plugin: usize, context: u32, callback: Id, rest: &[u32]) -> Option<Returned> {
        if !self.plugin_exports(plugin, callback) {
            return None;
        }
        {
            let mut state = self.state.borrow_mut();
            state.running.enter(plugin, context);
            self.running.set(state.vm_index());
        }
        let mut arguments = [context; CALLBACK_PARAMS_MAX];
        let count = 1 + rest.len();
        arguments[1..count].copy_from_slice(rest);
        self.called.set(true);
        self.frozen.set(false);
        let value = self.guest().call(callback, &arguments[..count]);
        self.called.set(false);
        let (stop, actions) = self.state.borrow_mut().running.leave();
        Some(Returned { value, stop, actions })
    }

    /// Calls the filter of a plugin for its root context; what it asks for.
    pub(crate) fn call_root(&self, plugin: usize, callback: Id, arguments: &[u32]) -> Vec<Action> {
        let root = self.state.borrow().plugins[plugin].id();
        self.call(plugin, root, callback, arguments).map(|returned| returned.actions).unwrap_or_default()
    }

    /// Tells the filter of a plugin of a stream, once.
    pub(crate) fn create(&self, at: PluginInStream) {
        let root = {
            let mut state = self.state.borrow_mut();
            let root = state.plugins[at.plugin].id();
            let Some(stream) = state.streams.get_mut(at.stream) else { return };
            if !stream.context_mut(at.plugin).create() {
                return;
            }
            root
        };
        if let Some(returned) = self.call_stream(at, Id::ContextCreate, &[root]) {
            self.act(returned.actions);
        }
    }

    /// Calls the filter of a plugin for a stream.
    pub(crate) fn call_stream(&self, at: PluginInStream, callback: Id, arguments: &[u32]) -> Option<Returned> {
        let context = self.state.borrow().streams.get(at.stream)?.contexts().get(at.plugin)?.called()?;
        self.call(at.plugin, context, callback, arguments)
    }

    /// Opens a stream for a request and shows its head to the filters. Returns the stream's id.
    pub fn open(&self, request: Request<'_>, end: bool) -> u32 {
        let (id, headers) = {
            let mut state = self.state.borrow_mut();
            state.time = request.received.or(state.time);
            let now = state.fact_time();
            let (headers, facts) = connection::receive(request, &state.settings, now);
            // Before the filters see the head, as in Envoy: it says which of them there are.
            let choice = state.routing.choose(&state.settings, &headers, &*self.host);
            let mut contexts = Vec::with_capacity(state.plugins.len());
            for plugin in 0..state.plugins.len() {
                let vm = state.plugins[plugin].vm();
                contexts.push(match state.routing.leaves_out(&state.settings, &choice, plugin) {
                    true => StreamContext::left_out(vm),
                    false => StreamContext::new(vm, state.next_context_id(vm)),
                });
            }
            (state.streams.insert(Stream::new(facts, contexts, choice)), headers)
        };
        self.headers(id, Direction::Request, headers, end);
        id
    }

    /// How many plugins there are.
    pub(crate) fn len(&self) -> usize {
        self.state.borrow().plugins.len()
    }

    /// The monotonic clock when the edge last waited, or later: good enough for durations and time limits, and cheap.
    pub fn now(&self) -> u64 {
        self.state.borrow_mut().now()
    }

    /// Writes one line to the host's log.
    pub fn log(&self, line: &str) {
        self.host.log(line);
    }

    /// Something was waited for: the time is another.
    pub fn time_passed(&self) {
        self.state.borrow_mut().time = None;
    }

    /// Whether the client's connection, of HTTP/1, ends with its response.
    pub fn ends_connection(&self, id: u32) -> bool {
        self.state.borrow_mut().streams.get_mut(id).is_some_and(|stream| stream.facts.ends_connection)
    }

    /// Whether more of this message can be taken in now.
    pub fn wants(&self, id: u32, direction: Direction) -> bool {
        let mut state = self.state.borrow_mut();
        let set = state.settings.connection.buffer_limit;
        let Some(stream) = state.streams.get_mut(id) else { return false };
        if stream.stopped(direction) || stream.answered(direction) {
            return false;
        }
        let limit = stream.buffer_limit(set);
        stream.message(direction).wants_more(limit)
    }

    /// The next thing for the edge to do.
    pub fn next_effect(&self, id: u32) -> Option<Effect> {
        self.state.borrow_mut().streams.get_mut(id)?.next_effect()
    }

    /// Whether there is something for the edge to do.
    pub fn has_effects(&self, id: u32) -> bool {
        self.state.borrow().streams.get(id).is_some_and(Stream::has_effects)
    }

    /// The streams in which something went on since this was asked last: a piece of a message came to a filter, or what a
    /// callback asked for left something to do. It resets idle timeouts, and tells which streams the callback of another
    /// one moved.
    pub fn take_moved(&self) -> Vec<u32> {
        self.moved.take()
    }

    pub(crate) fn note_move(&self, stream: u32) {
        let mut moved = self.moved.borrow_mut();
        if moved.last() != Some(&stream) {
            moved.push(stream);
        }
    }

    fn note_effects(&self, stream: u32) {
        if self.has_effects(stream) {
            self.note_move(stream);
        }
    }

    /// Whether the response has left the filter, or the exchange was broken off.
    pub fn ended(&self, id: u32) -> bool {
        self.state.borrow().streams.get(id).is_none_or(Stream::response_ended)
    }

    /// The upstream's response can't be had, or not all of it.
    pub fn upstream_failed(&self, id: u32, failure: UpstreamFailure) {
        let reply = {
            let state = self.state.borrow();
            let Some(stream) = state.streams.get(id) else { return };
            if stream.answered(Direction::Response) {
                return;
            }
            let mut reply = failure.reply_of_try(stream.choice.attempts() > Some(1));
            if stream.message(Direction::Response).headers().is_some() {
                reply.details = failure.details_after_headers();
            }
            stream.choice.tell_client_of_failure(&mut reply.headers);
            reply
        };
        self.local_reply(id, reply);
    }

    /// Nothing moved for the idle timeout.
    pub fn idle_timeout(&self, id: u32) {
        let reply = {
            let state = self.state.borrow();
            let Some(stream) = state.streams.get(id) else { return };
            router::idle_timeout_reply(stream.message(Direction::Request).is_complete())
        };
        self.local_reply(id, reply);
    }

    /// The client is gone.
    pub fn client_gone(&self, id: u32) {
        let mut state = self.state.borrow_mut();
        let Some(stream) = state.streams.get_mut(id) else { return };
        // For the filter an exchange is over when its response has left it, whether or not the client took all of it.
        if !stream.response_ended() {
            stream.facts.response_flags |= router::flags::DOWNSTREAM_CONNECTION_TERMINATION;
            stream.facts.response_code_details = Some("downstream_remote_disconnect".into());
            stream.end_response();
        }
    }

    /// Ends the stream: `proxy_on_log` of all plugins, then `proxy_on_done` and `proxy_on_delete` of each.
    pub fn close(&self, id: u32) {
        {
            let mut state = self.state.borrow_mut();
            let Some(stream) = state.streams.get_mut(id) else { return };
            if let Some(status) = stream.message(Direction::Response).headers().and_then(router::status) {
                stream.facts.response_code = Some(status);
            }
            stream.finish();
        }
        let plugins = (0..self.len()).map(|plugin| PluginInStream { stream: id, plugin });
        for at in plugins.clone() {
            // One that the request never came to is to know what became of it.
            self.create(at);
            self.set_logging(at, true);
            self.call_last(at, Id::Log);
            self.set_logging(at, false);
        }
        {
            let state = &mut *self.state.borrow_mut();
            let Some(stream) = state.streams.get_mut(id) else { return };
            state.keeping.keep(stream);
            stream.destroy();
        }
        for at in plugins {
            self.call_last(at, Id::Done);
            self.call_last(at, Id::Delete);
        }
        self.state.borrow_mut().streams.remove(id);
    }

    fn set_logging(&self, at: PluginInStream, logging: bool) {
        if let Some(stream) = self.state.borrow_mut().streams.get_mut(at.stream) {
            stream.context_mut(at.plugin).set_logging(logging);
        }
    }

    /// Calls one of the last callbacks. Actions on its own stream come too late, as the response has ended; actions on
    /// another one are done.
    fn call_last(&self, at: PluginInStream, callback: Id) {
        if let Some(returned) = self.call_stream(at, callback, &[]) {
            self.act(returned.actions);
        }
    }

    /// Does what host calls asked for during a callback.
    pub(crate) fn act(&self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Continue(at, direction) => {
                    self.resume(at, direction);
                    self.note_effects(at.stream);
                }
                Action::Close(at) => {
                    if let Some(stream) = self.state.borrow_mut().streams.get_mut(at.stream)
                        && !stream.response_ended()
                    {
                        stream.facts.response_code_details.get_or_insert_with(|| "wasm_close_stream".into());
                        stream.reset(ResetReason::ClosedByFilter);
                    }
                    self.note_effects(at.stream);
                }
                Action::LocalReply(at, reply) => {
                    self.local_reply(at.stream, reply);
                    self.note_effects(at.stream);
                }
                Action::GrpcRefused(call, reply) => self.grpc_refused(call, reply),
            }
        }
    }
}
