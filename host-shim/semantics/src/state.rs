//! The state that host calls act on: the plugins, their virtual machines, and the streams that pass through them.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use proxy_wasm_abi::{
    bridge::AbiVersion,
    enums::Status,
    settings::{self, Profile, Settings},
};

use proxy_wasm_shared::Store;

use crate::{
    calls::foreign::Foreign,
    environment::{Capabilities, Host},
    metrics::Metrics,
    remains::Keeping,
    root::RootContext,
    routing::Routing,
    running::{Phase, Running},
    stream::{Stream, StreamContext},
    streams::Streams,
    vm::{VM_CONTEXT, Vm},
};

/// A plugin in a stream: which stream context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PluginInStream {
    /// The stream's id.
    pub(crate) stream: u32,
    /// The plugin, by its position in the chain.
    pub(crate) plugin: usize,
}

/// A callout: the plugin that made it, and the token by which its filter knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallId {
    /// The plugin, by its position in the chain.
    pub plugin: usize,
    /// Unique among the callouts of its filter.
    pub token: u32,
}

/// The state behind the host calls, which are its methods.
pub struct ChainState {
    pub(crate) settings: Settings,
    pub(crate) routing: Routing,
    pub(crate) host: Rc<dyn Host>,
    /// Lines for the host's log, which are written when the state is not borrowed.
    lines: RefCell<Vec<String>>,
    pub(crate) vms: Vec<Vm>,
    /// Of the plugins, in their order.
    pub(crate) plugins: Vec<RootContext>,
    pub(crate) streams: Streams,
    pub(crate) shared: Store,
    /// The plugin that gets `proxy_on_queue_ready`, by queue.
    pub(crate) queue_owners: Vec<(u32, usize)>,
    pub(crate) metrics: Metrics,
    pub(crate) keeping: Keeping,
    pub(crate) foreign: Foreign,
    pub(crate) running: Running,
    /// See [`is_timed`](Self::is_timed).
    timed: bool,
    pub(crate) capabilities: Capabilities,
    /// The monotonic clock, until something is waited for.
    pub(crate) time: Option<u64>,
    /// The log has the hint how a filter can reach a head for longer.
    hinted: Cell<bool>,
}

impl ChainState {
    pub(crate) fn new(settings: Settings, host: Rc<dyn Host>, versions: &[AbiVersion], timed: bool) -> Self {
        Self {
            timed,
            capabilities: host.capabilities(),
            time: None,
            plugins: settings.plugins.iter().map(|plugin| RootContext::new(plugin.vm as usize)).collect(),
            vms: versions.iter().map(|version| Vm::new(*version)).collect(),
            settings,
            routing: Routing::default(),
            host,
            lines: RefCell::default(),
            streams: Streams::default(),
            shared: Store::default(),
            queue_owners: Vec::new(),
            metrics: Metrics::default(),
            keeping: Keeping::default(),
            foreign: Foreign::default(),
            running: Running::default(),
            hinted: Cell::new(false),
        }
    }

    /// Writes a line to the host's log, as soon as the state is not borrowed.
    pub(crate) fn write_line(&self, line: String) {
        self.lines.borrow_mut().push(line);
    }

    pub(crate) fn has_lines(&self) -> bool {
        !self.lines.borrow().is_empty()
    }

    pub(crate) fn take_lines(&self) -> Vec<String> {
        self.lines.take()
    }

    /// See [`Chain::now`](crate::Chain::now).
    pub(crate) fn now(&mut self) -> u64 {
        *self.time.get_or_insert_with(|| self.host.monotonic_clock())
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

    /// Whether the operator has not had this hint yet: it is given once.
    pub(crate) fn is_first_hint(&self) -> bool {
        !self.hinted.replace(true)
    }

    /// The virtual machine whose filter runs.
    pub(crate) fn vm_index(&self) -> usize {
        self.plugins[self.running.plugin()].vm()
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
        let vm = self.plugins[call.plugin].vm();
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
        self.plugins.iter().position(|plugin| plugin.vm() == vm && plugin.id() == context)
    }

    /// The root context of an earlier plugin with the same settings, virtual machine included: they share it.
    pub(crate) fn twin_root(&self, plugin: usize) -> Option<u32> {
        let settings = &self.settings.plugins[plugin];
        let twin = self.settings.plugins[..plugin].iter().position(|other| other == settings)?;
        Some(self.plugins[twin].id())
    }

    /// The context that a host call acts on.
    pub(crate) fn context(&self) -> u32 {
        let vm = self.vm_index();
        let chosen = self.running.effective().filter(|context| self.exists(vm, *context));
        chosen.unwrap_or(self.running.context())
    }

    /// The plugin's stream context that a host call acts on, unless it acts on a root context or the virtual machine.
    pub(crate) fn acting(&self) -> Option<PluginInStream> {
        self.streams.find(self.vm_index(), self.context())
    }

    /// The plugin for which a host call acts.
    pub(crate) fn plugin_index(&self) -> usize {
        match self.acting() {
            Some(at) => at.plugin,
            None => self.root_of(self.vm_index(), self.context()).unwrap_or(self.running.plugin()),
        }
    }

    /// The settings of the plugin for which a host call acts.
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

    /// `proxy_clear_route_cache`: the stream takes its route anew, when one is needed.
    pub fn clear_route_cache(&mut self) {
        if let Some((stream, _)) = self.stream_mut() {
            stream.choice.clear();
        }
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
        self.running.choose(context);
        Ok(())
    }

    /// `proxy_done`: a root context that waits for it at shutdown; none does, as instances are not shut down.
    pub fn done(&mut self) -> Result<(), Status> {
        Err(Status::NotFound)
    }

    /// Tells whether `call` may be made now, and fails the plugin's start where Envoy would trap.
    pub fn allows(&mut self, call: &str) -> bool {
        let allowed = self.running.phase() != Phase::Starting || allowed_at_start(call);
        if !allowed {
            self.running.fail_start(|| format!("the module's start function called `{call}`"));
        }
        allowed && self.grants(call)
    }

    /// Tells whether the operator lets the filter make `call` at all, and logs it otherwise, as Envoy does.
    pub fn grants(&self, call: &str) -> bool {
        let is_restricted = self.is_restricted(call);
        if is_restricted {
            let plugin = self.settings.plugins.get(self.running.plugin()).map_or("", |plugin| &plugin.name);
            self.write_line(format!("[error] {plugin}: called `{call}`, which is not allowed"));
        }
        !is_restricted
    }

    /// Whether the settings keep the filter from this call. The plugins of a virtual machine have the same.
    pub fn is_restricted(&self, call: &str) -> bool {
        self.settings.plugins.get(self.running.plugin()).is_some_and(|plugin| !plugin.allows(call))
    }
}

/// The host calls that work while the module's start functions run. Source: Envoy's `WasmBase::startVm`.
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
