//! Shared data and shared queues.

use std::collections::VecDeque;

use proxy_wasm_abi::callbacks::Id;

use super::CallResult;
use crate::{
    environment::{Guest, SharedState},
    plugin::Plugin,
    vm::{ROOT_CONTEXT, Vm},
};

impl Vm {
    /// What the host keeps, where the settings leave it to the host.
    fn host_state(&self) -> Option<(&dyn SharedState, &[u8])> {
        let state = self.host.shared().filter(|_| self.settings.upkeep.host_state)?;
        Some((state, self.settings.plugin.vm_id.as_bytes()))
    }

    /// `proxy_get_shared_data`: a key's value, and what `proxy_set_shared_data` compares.
    pub fn get_shared_data(&self, key: &[u8]) -> CallResult<(Vec<u8>, u32)> {
        if let Some((state, vm_id)) = self.host_state() {
            return state.get(vm_id, key);
        }
        self.shared.get(key).map(|(value, change)| (value.to_vec(), change))
    }

    /// `proxy_set_shared_data`
    pub fn set_shared_data(&mut self, key: &[u8], value: &[u8], expected: u32) -> CallResult {
        if let Some((state, vm_id)) = self.host_state() {
            return state.set(vm_id, key, value, expected);
        }
        self.shared.set(key, value, expected)
    }

    /// `proxy_register_shared_queue`: the queue's token.
    pub fn register_shared_queue(&mut self, name: &[u8]) -> u32 {
        if let Some((state, vm_id)) = self.host_state() {
            let token = state.register_queue(vm_id, name);
            self.watches_queues = true;
            return token;
        }
        self.shared.register_queue(self.settings.plugin.vm_id.as_bytes(), name)
    }

    /// `proxy_resolve_shared_queue`: the token of a queue of that VM; of this one, where none is named.
    pub fn resolve_shared_queue(&self, vm_id: &[u8], name: &[u8]) -> CallResult<u32> {
        let vm_id = if vm_id.is_empty() { self.settings.plugin.vm_id.as_bytes() } else { vm_id };
        if let Some((state, _)) = self.host_state() {
            return state.resolve_queue(vm_id, name);
        }
        self.shared.resolve_queue(vm_id, name)
    }

    /// `proxy_enqueue_shared_queue`: whoever registered the queue is told, once for each item.
    pub fn enqueue_shared_queue(&mut self, token: u32, item: &[u8]) -> CallResult {
        if let Some((state, _)) = self.host_state() {
            return state.enqueue(token, item);
        }
        self.shared.enqueue(token, item)?;
        self.ready_queues.push_back(token);
        Ok(())
    }

    /// `proxy_dequeue_shared_queue`
    pub fn dequeue_shared_queue(&mut self, token: u32) -> CallResult<Vec<u8>> {
        if let Some((state, _)) = self.host_state() {
            return state.dequeue(token);
        }
        self.shared.dequeue(token)
    }
}

impl<G: Guest> Plugin<G> {
    /// Tells the filter of what was put into queues so far; tells whether there was anything. What it puts there
    /// meanwhile waits for the next call: a filter that refills its own queue must not keep the host.
    pub fn announce_queues(&self) -> bool {
        let ready: VecDeque<u32> = {
            let mut vm = self.vm.borrow_mut();
            let told = if vm.watches_queues { vm.host_state().map(|(state, _)| state.ready_queues()) } else { None };
            told.map_or_else(|| std::mem::take(&mut vm.ready_queues), VecDeque::from)
        };
        for &token in &ready {
            if let Some(returned) = self.call(ROOT_CONTEXT, Id::QueueReady, &[ROOT_CONTEXT, token]) {
                self.act(returned.actions);
            }
        }
        !ready.is_empty()
    }
}
