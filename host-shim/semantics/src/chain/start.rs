//! The plugins' start: each virtual machine with its first plugin, each root context, and the callbacks that may refuse.

use proxy_wasm_abi::{callbacks::Id, grpc};

use super::{Chain, Returned};
use crate::{environment::Guest, headers::HeaderMap, local_reply, running::Phase, vm::VM_CONTEXT};

impl<G: Guest> Chain<G> {
    /// Starts the plugins, once; later calls return what the first did.
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

    /// Lets everything pass by the plugins of a virtual machine, whose filter is not called from now on. Too late once the
    /// plugins were started, but not in an instance that began with them started and did nothing yet.
    pub fn bypass(&self, vm: u32) {
        if self.is_started() && !self.frozen.get() {
            return;
        }
        let state = &mut *self.state.borrow_mut();
        let vm = vm as usize;
        if let Some(bypassed) = state.vms.get_mut(vm) {
            bypassed.bypass();
            state.plugins.iter_mut().filter(|plugin| plugin.vm() == vm).for_each(|plugin| plugin.tick = None);
        }
    }

    /// The instance is about to be written down, for others to begin from.
    pub fn freeze(&self) {
        self.frozen.set(true);
        self.time_passed();
    }

    /// Whether they were started, in good order or not.
    pub fn is_started(&self) -> bool {
        self.started.get().is_some()
    }

    /// Says that the plugins did not start, and why. Returns the head of the answer to a request of this `content-type`: 503 with
    /// nothing in it, or what that is in gRPC.
    #[cold]
    pub fn refuse(&self, content_type: Option<&[u8]>, reason: &str) -> HeaderMap {
        let what = match self.state().settings().plugins.as_slice() {
            [plugin] => format!("plugin `{}`", plugin.name),
            _ => "a plugin".into(),
        };
        self.log(&format!("[critical] {what} did not start: {reason}"));
        local_reply::unavailable(content_type.is_some_and(grpc::is_grpc))
    }

    fn start_now(&self) -> Result<(), String> {
        let count = self.state.borrow().plugins.len();
        for plugin in 0..count {
            self.start_plugin(plugin).map_err(|reason| {
                let name = &self.state.borrow().settings.plugins[plugin].name;
                if count > 1 { format!("plugin {} `{name}`: {reason}", plugin + 1) } else { reason }
            })?;
        }
        Ok(())
    }

    fn start_plugin(&self, plugin: usize) -> Result<(), String> {
        let (vm, bypassed, started) = {
            let state = self.state.borrow();
            let vm = state.plugins[plugin].vm();
            (vm, state.vms[vm].is_bypassed(), state.vms[vm].is_started())
        };
        if bypassed {
            return Ok(());
        }
        if !started {
            self.start_vm(plugin, vm)?;
        }
        let (root, vm_size, plugin_size) = {
            let mut state = self.state.borrow_mut();
            if let Some(root) = state.twin_root(plugin) {
                state.plugins[plugin].create(root);
                return Ok(());
            }
            let root = state.next_context_id(vm);
            state.plugins[plugin].create(root);
            let settings = &state.settings.plugins[plugin];
            (root, settings.vm_configuration.len() as u32, settings.configuration.len() as u32)
        };
        self.call(plugin, root, Id::ContextCreate, &[VM_CONTEXT]);
        self.must_accept(plugin, Id::VmStart, "proxy_on_vm_start", vm_size)?;
        self.enter_phase(Phase::Configuring);
        let configured = self.must_accept(plugin, Id::Configure, "proxy_on_configure", plugin_size);
        self.enter_phase(Phase::Running);
        configured
    }

    fn start_vm(&self, plugin: usize, vm: usize) -> Result<(), String> {
        {
            let mut state = self.state.borrow_mut();
            state.running.set_phase(Phase::Starting);
            state.vms[vm].start();
            state.running.enter(plugin, VM_CONTEXT);
        }
        self.running.set(vm);
        self.called.set(true);
        self.guests[vm].start();
        self.called.set(false);
        let mut state = self.state.borrow_mut();
        state.running.leave();
        state.running.set_phase(Phase::Running);
        state.running.take_start_failure().map_or(Ok(()), Err)
    }

    fn must_accept(&self, plugin: usize, callback: Id, name: &str, size: u32) -> Result<(), String> {
        let root = self.state.borrow().plugins[plugin].id();
        match self.call(plugin, root, callback, &[size]) {
            Some(Returned { value: 0, .. }) => Err(format!("`{name}` returned false")),
            _ => Ok(()),
        }
    }

    fn enter_phase(&self, phase: Phase) {
        self.state.borrow_mut().running.set_phase(phase);
    }
}
