//! What host calls act on: the plugins, their virtual machines, and the streams that pass through them.

use std::{cell::Cell, collections::VecDeque};

use proxy_wasm_abi::{
    bridge::AbiVersion,
    enums::Status,
    settings::{self, Profile, Settings},
};

use crate::{
    calls::foreign::Foreign,
    environment::Host,
    local_reply::LocalReply,
    metrics::Metrics,
    remains::Keeping,
    shared::Shared,
    stream::{Direction, Stream, StreamContext},
    streams::Streams,
    timers::Tick,
    vm::{VM_CONTEXT, Vm},
};

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

/// A plugin in a stream: which stream context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PluginInStream {
    /// The stream's id.
    pub(crate) stream: u32,
    /// The plugin, by its place in the chain.
    pub(crate) plugin: usize,
}

/// A callout: the plugin that made it, and the token by which its filter knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallId {
    /// The plugin, by its place in the chain.
    pub plugin: usize,
    /// Unlike any other's of that filter.
    pub token: u32,
}

/// What a host call asked for, done when the callback has returned.
#[derive(Debug)]
pub(crate) enum Action {
    Continue(PluginInStream, Direction),
    Close(PluginInStream),
    LocalReply(PluginInStream, LocalReply),
    /// A gRPC callout came to nothing before it was made.
    GrpcRefused(CallId, Option<LocalReply>),
}

/// A plugin of the chain.
#[derive(Debug)]
pub(crate) struct Plugin {
    /// Its virtual machine.
    pub(crate) vm: usize,
    /// Its root context; that of the virtual machine until it has one.
    pub(crate) root: u32,
    pub(crate) tick: Option<Tick>,
    /// The property names that the root context declared.
    declared_properties: Vec<Vec<u8>>,
    /// The expressions that the root context and its streams made.
    #[cfg(feature = "extra")]
    pub(crate) expressions: proxy_wasm_foreign::cel::Expressions,
}

/// The state behind the host calls, which are its methods.
pub struct State {
    pub(crate) settings: Settings,
    pub(crate) host: Box<dyn Host>,
    pub(crate) vms: Vec<Vm>,
    pub(crate) plugins: Vec<Plugin>,
    pub(crate) streams: Streams,
    pub(crate) shared: Shared,
    /// The queues that something was put into, item by item.
    pub(crate) ready_queues: VecDeque<u32>,
    /// Which plugin is told of a queue.
    pub(crate) queue_owners: Vec<(u32, usize)>,
    pub(crate) metrics: Metrics,
    pub(crate) keeping: Keeping,
    pub(crate) foreign: Foreign,
    pub(crate) phase: Phase,
    /// The plugin whose callback runs.
    plugin: usize,
    /// The context whose callback runs.
    current: u32,
    /// What `proxy_set_effective_context` chose; 0 is nothing.
    effective: u32,
    pub(crate) actions: Vec<Action>,
    /// A local response was asked for, so the callback's return value counts as a stop.
    pub(crate) stop: bool,
    /// See [`is_timed`](Self::is_timed).
    timed: bool,
    /// The monotonic clock, until something is waited for.
    pub(crate) time: Option<u64>,
    /// A piece of a message came to a filter, since the edge asked last.
    pub(crate) progressed: bool,
    /// A filter was told how it could reach a head for longer.
    pub(crate) hinted: Cell<bool>,
    /// Why the plugin can't start, where a host call found out.
    pub(crate) start_failure: Option<String>,
}

impl State {
    pub(crate) fn new(settings: Settings, host: Box<dyn Host>, versions: &[AbiVersion], timed: bool) -> Self {
        let plugin = |plugin: &settings::Plugin| Plugin {
            vm: plugin.vm as usize,
            root: VM_CONTEXT,
            tick: None,
            declared_properties: Vec::new(),
            #[cfg(feature = "extra")]
            expressions: proxy_wasm_foreign::cel::Expressions::default(),
        };
        Self {
            timed,
            time: None,
            plugins: settings.plugins.iter().map(plugin).collect(),
            vms: versions.iter().map(|version| Vm::new(*version)).collect(),
            settings,
            host,
            streams: Streams::default(),
            shared: Shared::default(),
            ready_queues: VecDeque::new(),
            queue_owners: Vec::new(),
            metrics: Metrics::default(),
            keeping: Keeping::default(),
            foreign: Foreign::default(),
            phase: Phase::Running,
            plugin: 0,
            current: VM_CONTEXT,
            effective: VM_CONTEXT,
            actions: Vec::new(),
            stop: false,
            progressed: false,
            hinted: Cell::new(false),
            start_failure: None,
        }
    }

    /// See [`Chain::now`](crate::Chain::now).
    pub(crate) fn now(&mut self) -> u64 {
        let host = &self.host;
        *self.time.get_or_insert_with(|| host.monotonic_clock())
    }

    /// The time, for what only properties tell; no clock is asked where no filter can read them.
    pub(crate) fn fact_time(&mut self) -> u64 {
        if self.timed { self.now() } else { 0 }
    }

    /// Whether a filter can see times, as properties.
    pub fn is_timed(&self) -> bool {
        self.timed
    }

    /// The settings of the component.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn enter(&mut self, plugin: usize, context: u32) {
        self.plugin = plugin;
        self.current = context;
        self.effective = VM_CONTEXT;
        self.stop = false;
    }

    pub(crate) fn leave(&mut self) -> (bool, Vec<Action>) {
        self.current = VM_CONTEXT;
        self.effective = VM_CONTEXT;
        (std::mem::take(&mut self.stop), std::mem::take(&mut self.actions))
    }

    /// The virtual machine whose filter runs.
    pub(crate) fn vm_index(&self) -> usize {
        self.plugins[self.plugin].vm
    }

    pub(crate) fn vm(&self) -> &Vm {
        &self.vms[self.vm_index()]
    }

    pub(crate) fn vm_mut(&mut self) -> &mut Vm {
        let vm = self.vm_index();
        &mut self.vms[vm]
    }

    /// The virtual machine that made this callout.
    pub(crate) fn vm_of(&mut self, call: CallId) -> &mut Vm {
        let vm = self.plugins[call.plugin].vm;
        &mut self.vms[vm]
    }

    pub(crate) fn next_context_id(&mut self, vm: usize) -> u32 {
        loop {
            let id = self.vms[vm].next_context_id();
            // A live one is never given twice.
            if !self.exists(vm, id) {
                return id;
            }
        }
    }

    fn exists(&self, vm: usize, context: u32) -> bool {
        context == VM_CONTEXT || self.root_of(vm, context).is_some() || self.streams.find(vm, context).is_some()
    }

    /// The plugin whose root context this is.
    fn root_of(&self, vm: usize, context: u32) -> Option<usize> {
        self.plugins.iter().position(|plugin| plugin.vm == vm && plugin.root == context)
    }

    /// The root context of an earlier plugin of the same virtual machine that is told the very same: they share it.
    pub(crate) fn twin_root(&self, plugin: usize) -> Option<u32> {
        let told = &self.settings.plugins[plugin];
        let twin = self.settings.plugins[..plugin].iter().position(|other| other == told)?;
        Some(self.plugins[twin].root)
    }

    /// The context that a host call acts on.
    pub(crate) fn context(&self) -> u32 {
        if self.effective != VM_CONTEXT && self.exists(self.vm_index(), self.effective) {
            self.effective
        } else {
            self.current
        }
    }

    /// The plugin's stream context that a host call acts on, unless it acts on a root context or the virtual machine.
    pub(crate) fn acting(&self) -> Option<PluginInStream> {
        self.streams.find(self.vm_index(), self.context())
    }

    /// The plugin for which a host call acts.
    pub(crate) fn plugin_index(&self) -> usize {
        match self.acting() {
            Some(at) => at.plugin,
            None => self.root_of(self.vm_index(), self.context()).unwrap_or(self.plugin),
        }
    }

    /// What the plugin was told for which a host call acts.
    pub(crate) fn plugin(&self) -> &settings::Plugin {
        &self.settings.plugins[self.plugin_index()]
    }

    /// The stream that a host call acts on, and what the plugin has of it.
    pub(crate) fn stream(&self) -> Option<(&Stream, &StreamContext)> {
        let at = self.acting()?;
        let stream = self.streams.get(at.stream)?;
        Some((stream, stream.contexts().get(at.plugin)?))
    }

    /// The stream that a host call acts on, and the plugin.
    pub(crate) fn stream_mut(&mut self) -> Option<(&mut Stream, usize)> {
        let at = self.acting()?;
        Some((self.streams.get_mut(at.stream)?, at.plugin))
    }

    /// Maps stay readable, once they are there, as other hosts leave them.
    pub(crate) fn is_permissive(&self) -> bool {
        self.settings.upkeep.profile == Profile::Permissive
    }

    /// The property names that the context declared.
    pub(crate) fn declared_properties(&mut self) -> &mut Vec<Vec<u8>> {
        let plugin = self.plugin_index();
        let at = self.acting();
        match at.and_then(|at| self.streams.get_mut(at.stream)) {
            Some(stream) => &mut stream.context_mut(plugin).declared_properties,
            None => &mut self.plugins[plugin].declared_properties,
        }
    }

    /// `proxy_set_effective_context`
    pub fn set_effective_context(&mut self, context: u32) -> Result<(), Status> {
        if !self.exists(self.vm_index(), context) {
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
