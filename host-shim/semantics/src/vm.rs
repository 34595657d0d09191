//! The virtual machine: its contexts, and which of them a host call acts on.

use std::collections::VecDeque;

use proxy_wasm_abi::{
    bridge::AbiVersion,
    enums::{LogLevel, Status},
    settings::Settings,
};

use crate::{
    callouts::Callouts,
    calls::foreign::Foreign,
    environment::Host,
    grpc::GrpcCallouts,
    local_reply::LocalReply,
    metrics::Metrics,
    shared::Shared,
    stream::{Direction, Stream},
    streams::Streams,
    timers::Tick,
};

/// The context id of the VM itself.
pub(crate) const VM_CONTEXT: u32 = 0;

/// The context id of the plugin's root context.
pub const ROOT_CONTEXT: u32 = 1;

/// What the filter is doing, where that decides what it may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The module's start functions run: only a few host calls work.
    Starting,
    /// `proxy_on_configure` runs: the plugin configuration can be read.
    Configuring,
    /// Anything else.
    Running,
}

/// What a host call asked for, done when the callback has returned.
#[derive(Debug)]
pub(crate) enum Action {
    Continue(u32, Direction),
    Close(u32),
    LocalReply(u32, LocalReply),
    /// A gRPC callout came to nothing before it was made.
    GrpcRefused(u32, Option<LocalReply>),
}

/// The state of a virtual machine with one plugin. Host calls are its methods.
pub struct Vm {
    pub(crate) settings: Settings,
    pub(crate) version: AbiVersion,
    pub(crate) host: Box<dyn Host>,
    pub(crate) streams: Streams,
    pub(crate) callouts: Callouts,
    pub(crate) grpc: GrpcCallouts,
    pub(crate) shared: Shared,
    /// The queues that something was put into, item by item.
    pub(crate) ready_queues: VecDeque<u32>,
    /// The host has queues of which this virtual machine is told.
    pub(crate) watches_queues: bool,
    pub(crate) metrics: Metrics,
    pub(crate) foreign: Foreign,
    /// The names that the root context declared.
    declared_properties: Vec<Vec<u8>>,
    pub(crate) tick: Option<Tick>,
    pub(crate) phase: Phase,
    next_context: u32,
    /// The context whose callback runs.
    current: u32,
    /// What `proxy_set_effective_context` chose; 0 is nothing.
    effective: u32,
    pub(crate) actions: Vec<Action>,
    /// A local response was asked for, so the callback's return value counts as a stop.
    pub(crate) stop: bool,
    /// The filter can see times, as properties.
    pub(crate) timed: bool,
    /// The unimplemented host calls that were made.
    unimplemented: Vec<&'static str>,
    /// Why the plugin can't start, where a host call found out.
    pub(crate) start_failure: Option<String>,
}

impl Vm {
    pub(crate) fn new(settings: Settings, version: AbiVersion, host: Box<dyn Host>, timed: bool) -> Self {
        Self {
            timed,
            settings,
            version,
            host,
            streams: Streams::default(),
            callouts: Callouts::default(),
            grpc: GrpcCallouts::default(),
            shared: Shared::default(),
            ready_queues: VecDeque::new(),
            watches_queues: false,
            metrics: Metrics::default(),
            foreign: Foreign::default(),
            declared_properties: Vec::new(),
            tick: None,
            phase: Phase::Running,
            next_context: ROOT_CONTEXT + 1,
            current: VM_CONTEXT,
            effective: VM_CONTEXT,
            actions: Vec::new(),
            stop: false,
            unimplemented: Vec::new(),
            start_failure: None,
        }
    }

    /// The time, for what only properties tell; no clock is asked where the filter can't read them.
    pub(crate) fn now(&self) -> u64 {
        if self.timed { self.host.now() } else { 0 }
    }

    /// The settings of the plugin.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn next_context_id(&mut self) -> u32 {
        let id = self.next_context;
        // After four thousand million streams the ids start over; a live one is never given twice.
        loop {
            self.next_context = self.next_context.checked_add(1).unwrap_or(ROOT_CONTEXT + 1);
            if !self.streams.contains(self.next_context) {
                return id;
            }
        }
    }

    pub(crate) fn enter(&mut self, context: u32) {
        self.current = context;
        self.effective = VM_CONTEXT;
        self.stop = false;
    }

    pub(crate) fn leave(&mut self) -> (bool, Vec<Action>) {
        self.current = VM_CONTEXT;
        self.effective = VM_CONTEXT;
        (std::mem::take(&mut self.stop), std::mem::take(&mut self.actions))
    }

    fn exists(&self, context: u32) -> bool {
        context <= ROOT_CONTEXT || self.streams.contains(context)
    }

    /// The context that a host call acts on.
    pub(crate) fn context(&self) -> u32 {
        if self.effective != VM_CONTEXT && self.exists(self.effective) { self.effective } else { self.current }
    }

    /// The stream that a host call acts on, unless it acts on the root or the VM.
    pub(crate) fn stream(&self) -> Option<&Stream> {
        self.streams.get(self.context())
    }

    pub(crate) fn stream_mut(&mut self) -> Option<&mut Stream> {
        let context = self.context();
        self.streams.get_mut(context)
    }

    /// The property names that the context declared.
    pub(crate) fn declared_properties(&mut self) -> &mut Vec<Vec<u8>> {
        let context = self.context();
        match self.streams.get_mut(context) {
            Some(stream) => &mut stream.declared_properties,
            None => &mut self.declared_properties,
        }
    }

    /// Tells the operator, once, that the filter asked for what is not there: some filters go on as if nothing had
    /// happened.
    pub fn note_unimplemented(&mut self, call: &'static str) {
        if !self.unimplemented.contains(&call) {
            self.unimplemented.push(call);
            let text = format!("the filter called `{call}`, which is not implemented, and was told so (12)");
            // The level is a valid one.
            let _ = self.log(LogLevel::Warn as u32, text.as_bytes());
        }
    }

    /// `proxy_set_effective_context`
    pub fn set_effective_context(&mut self, context: u32) -> Result<(), Status> {
        if !self.exists(context) {
            return Err(Status::BadArgument);
        }
        self.effective = context;
        Ok(())
    }

    /// `proxy_done`: a root context that waits for it at shutdown; none does, as instances are not shut down.
    pub fn done(&mut self) -> Result<(), Status> {
        Err(Status::NotFound)
    }

    /// Tells whether `call` may be made now, and fails the plugin's start where Envoy would trap.
    pub fn allows(&mut self, call: &str) -> bool {
        let allowed = self.phase != Phase::Starting || allowed_at_start(call);
        if !allowed {
            self.start_failure.get_or_insert_with(|| format!("the module's start function called `{call}`"));
        }
        allowed
    }
}

/// The host calls that work while the module's start functions run. Source: Envoy.
fn allowed_at_start(call: &str) -> bool {
    const REFUSED_WASI: &[&str] = &["fd_read", "fd_seek", "fd_close", "path_open", "proc_exit", "sched_yield"];
    match call.strip_prefix("proxy_") {
        Some(name) => name == "log",
        None => !REFUSED_WASI.contains(&call),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_functions_may_log_but_not_look_at_requests() {
        assert!(allowed_at_start("proxy_log"));
        assert!(allowed_at_start("fd_write"));
        assert!(!allowed_at_start("proxy_get_property"));
        assert!(!allowed_at_start("fd_read"));
    }
}
