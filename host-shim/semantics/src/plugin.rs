//! A plugin: its VM, the filter in it, and how the edge drives them.

use std::cell::{Cell, OnceCell, RefCell, RefMut};

use proxy_wasm_abi::{bridge::AbiVersion, callbacks::Id, settings::Settings};

use crate::{
    connection::{self, Request},
    environment::{Guest, Host},
    router::{self, UpstreamFailure},
    stream::{Direction, Effect, ResetReason, Stream},
    vm::{Action, Phase, ROOT_CONTEXT, VM_CONTEXT, Vm},
};

/// A plugin and the filter that implements it.
pub struct Plugin<G> {
    pub(crate) vm: RefCell<Vm>,
    pub(crate) guest: G,
    started: OnceCell<Result<(), String>>,
    /// The filter is being called: what finds it so at the next entry is what a trap left behind.
    called: Cell<bool>,
}

/// What a callback came to.
pub(crate) struct Returned {
    pub(crate) value: u32,
    /// A local response was asked for.
    pub(crate) stop: bool,
    pub(crate) actions: Vec<Action>,
}

impl Returned {
    /// Takes out what asks to continue this message, and tells whether it was there.
    pub(crate) fn take_continue(&mut self, id: u32, direction: Direction) -> bool {
        let before = self.actions.len();
        self.actions.retain(|action| !matches!(action, Action::Continue(i, d) if *i == id && *d == direction));
        self.actions.len() < before
    }
}

impl<G: Guest> Plugin<G> {
    /// A plugin that has not started.
    pub fn new(settings: Settings, version: AbiVersion, host: Box<dyn Host>, guest: G) -> Self {
        Self {
            vm: RefCell::new(Vm::new(settings, version, host, guest.reads_properties())),
            guest,
            started: OnceCell::new(),
            called: Cell::new(false),
        }
    }

    /// The state that host calls act on.
    ///
    /// # Panics
    /// If it is borrowed already: the marshalling never calls into the filter while it holds it.
    pub fn vm(&self) -> RefMut<'_, Vm> {
        self.vm.borrow_mut()
    }

    /// The filter.
    pub fn guest(&self) -> &G {
        &self.guest
    }

    /// Starts the plugin, once; later calls return what the first did.
    ///
    /// # Errors
    /// Says which callback refused. After a trap, on hosts that go on using the instance, the plugin has failed for
    /// good, as in Envoy.
    pub fn start(&self) -> Result<(), &str> {
        if self.called.get() {
            return Err("the filter trapped earlier");
        }
        self.started.get_or_init(|| self.start_now()).as_ref().map(|&()| ()).map_err(String::as_str)
    }

    /// Lets everything pass without the filter, which is never started: what is called from here on is what the filter's
    /// host does by itself.
    pub fn bypass(&self) {
        if self.started.set(Ok(())).is_ok() {
            self.guest.bypass();
        }
    }

    /// Whether it was started, in good order or not.
    pub fn is_started(&self) -> bool {
        self.started.get().is_some()
    }

    fn start_now(&self) -> Result<(), String> {
        self.enter_phase(Phase::Starting);
        self.vm.borrow_mut().enter(VM_CONTEXT);
        self.called.set(true);
        self.guest.start();
        self.called.set(false);
        self.vm.borrow_mut().leave();
        self.enter_phase(Phase::Running);
        if let Some(failure) = self.vm.borrow_mut().start_failure.take() {
            return Err(failure);
        }
        let (vm_size, plugin_size) = {
            let vm = self.vm.borrow();
            (vm.settings.plugin.vm_configuration.len() as u32, vm.settings.plugin.configuration.len() as u32)
        };
        self.call(ROOT_CONTEXT, Id::ContextCreate, &[ROOT_CONTEXT, VM_CONTEXT]);
        self.must_accept(Id::VmStart, "proxy_on_vm_start", vm_size)?;
        self.enter_phase(Phase::Configuring);
        let configured = self.must_accept(Id::Configure, "proxy_on_configure", plugin_size);
        self.enter_phase(Phase::Running);
        configured
    }

    fn must_accept(&self, callback: Id, name: &str, size: u32) -> Result<(), String> {
        match self.call(ROOT_CONTEXT, callback, &[ROOT_CONTEXT, size]) {
            Some(Returned { value: 0, .. }) => Err(format!("`{name}` returned false")),
            _ => Ok(()),
        }
    }

    fn enter_phase(&self, phase: Phase) {
        self.vm.borrow_mut().phase = phase;
    }

    /// Calls the filter, unless it lacks this callback.
    pub(crate) fn call(&self, context: u32, callback: Id, arguments: &[u32]) -> Option<Returned> {
        if !self.guest.exports(callback) {
            return None;
        }
        self.vm.borrow_mut().enter(context);
        self.called.set(true);
        let value = self.guest.call(callback, arguments);
        self.called.set(false);
        let (stop, actions) = self.vm.borrow_mut().leave();
        Some(Returned { value, stop, actions })
    }

    /// Opens a stream for a request and shows its head to the filter. Returns the stream's context id.
    pub fn open(&self, request: Request, end: bool) -> u32 {
        let (id, headers) = {
            let mut vm = self.vm.borrow_mut();
            let (headers, facts) = connection::receive(request, &vm.settings, &*vm.host, vm.now());
            let id = vm.next_context_id();
            vm.streams.insert(id, Stream::new(facts));
            (id, headers)
        };
        if let Some(returned) = self.call(id, Id::ContextCreate, &[id, ROOT_CONTEXT]) {
            self.act(returned.actions);
        }
        self.headers(id, Direction::Request, headers, end);
        id
    }

    /// Whether more of this message can be taken in now.
    pub fn wants(&self, id: u32, direction: Direction) -> bool {
        let mut vm = self.vm.borrow_mut();
        let limit = vm.settings.connection.buffer_limit as usize;
        let Some(stream) = vm.streams.get_mut(id) else { return false };
        if stream.stopped(direction) || stream.answered(direction) {
            return false;
        }
        let message = stream.message(direction);
        !message.complete && (message.held_len() <= limit || !message.streaming)
    }

    /// The next thing for the edge to do.
    pub fn next_effect(&self, id: u32) -> Option<Effect> {
        self.vm.borrow_mut().streams.get_mut(id)?.effects.pop_front()
    }

    /// Whether there is something for the edge to do.
    pub fn has_effects(&self, id: u32) -> bool {
        self.vm.borrow().streams.get(id).is_some_and(|stream| !stream.effects.is_empty())
    }

    /// Whether the response has left the filter, or the exchange was broken off.
    pub fn ended(&self, id: u32) -> bool {
        self.vm.borrow().streams.get(id).is_none_or(|stream| stream.response_ended)
    }

    /// The upstream's response can't be had, or not all of it.
    pub fn upstream_failed(&self, id: u32, failure: UpstreamFailure) {
        let mut reply = failure.reply();
        {
            let vm = self.vm.borrow();
            let Some(stream) = vm.streams.get(id) else { return };
            if stream.answered(Direction::Response) {
                return;
            }
            if stream.response.headers.is_some() {
                reply.details = failure.details_after_headers();
            }
        }
        self.local_reply(id, reply);
    }

    /// Nothing moved for the idle timeout.
    pub fn idle_timeout(&self, id: u32) {
        let reply = {
            let vm = self.vm.borrow();
            let Some(stream) = vm.streams.get(id) else { return };
            router::idle_timeout_reply(stream.request.complete)
        };
        self.local_reply(id, reply);
    }

    /// The client is gone.
    pub fn client_gone(&self, id: u32) {
        let mut vm = self.vm.borrow_mut();
        let Some(stream) = vm.streams.get_mut(id) else { return };
        // For the filter an exchange is over when its response has left it, whether or not the client took all of it.
        if !stream.response_ended {
            stream.facts.response_flags |= router::flags::DOWNSTREAM_CONNECTION_TERMINATION;
            stream.facts.response_code_details = Some("downstream_remote_disconnect".into());
            stream.response_ended = true;
        }
    }

    /// Ends the stream: `proxy_on_log`, `proxy_on_done`, `proxy_on_delete`.
    pub fn close(&self, id: u32) {
        {
            let mut vm = self.vm.borrow_mut();
            // Only these callbacks can see how long it took.
            let watched = vm.timed && (self.guest.exports(Id::Log) || self.guest.exports(Id::Done));
            let now = if watched { vm.host.monotonic_clock() } else { vm.now() };
            let Some(stream) = vm.streams.get_mut(id) else { return };
            if let Some(status) = stream.response.headers.as_ref().and_then(router::status) {
                stream.facts.response_code = Some(status);
            }
            stream.facts.duration = Some(now.saturating_sub(stream.facts.start_monotonic));
            stream.response_ended = true;
            stream.logging = true;
        }
        self.call_last(id, Id::Log);
        if let Some(stream) = self.vm.borrow_mut().streams.get_mut(id) {
            stream.logging = false;
            stream.destroyed = true;
        }
        self.call_last(id, Id::Done);
        self.call_last(id, Id::Delete);
        self.vm.borrow_mut().streams.remove(id);
    }

    /// Calls one of the last callbacks. What it asks for its own stream comes too late, as the response has ended; what
    /// it asks for another one is done.
    fn call_last(&self, id: u32, callback: Id) {
        if let Some(returned) = self.call(id, callback, &[id]) {
            self.act(returned.actions);
        }
    }

    /// Does what host calls asked for during a callback.
    pub(crate) fn act(&self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Continue(id, direction) => self.resume(id, direction),
                Action::Close(id) => {
                    if let Some(stream) = self.vm.borrow_mut().streams.get_mut(id)
                        && !stream.response_ended
                    {
                        stream.facts.response_code_details.get_or_insert_with(|| "wasm_close_stream".into());
                        stream.reset(ResetReason::ClosedByFilter);
                    }
                }
                Action::LocalReply(id, reply) => self.local_reply(id, reply),
                Action::GrpcRefused(token, reply) => self.grpc_refused(token, reply),
            }
        }
    }
}
