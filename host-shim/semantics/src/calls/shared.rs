//! Shared data and shared queues.

use std::collections::VecDeque;

use proxy_wasm_abi::callbacks::Id;

use super::CallResult;
use crate::{
    chain::Chain,
    environment::{Guest, SharedState},
    state::State,
};

impl State {
    /// What the host keeps, where the settings leave it to the host.
    fn host_state(&self) -> Option<(&dyn SharedState, &[u8])> {
        let state = self.host.shared().filter(|_| self.settings.upkeep.host_state)?;
        Some((state, self.plugin().vm_id.as_bytes()))
    }

    /// `proxy_get_shared_data`: a key's value, and what `proxy_set_shared_data` compares.
    pub fn get_shared_data(&self, key: &[u8]) -> CallResult<(Vec<u8>, u32)> {
        if let Some((state, vm_id)) = self.host_state() {
            return state.get(vm_id, key);
        }
        self.shared.get(self.plugin().vm_id.as_bytes(), key).map(|(value, change)| (value.to_vec(), change))
    }

    /// `proxy_set_shared_data`
    pub fn set_shared_data(&mut self, key: &[u8], value: &[u8], expected: u32) -> CallResult {
        if let Some((state, vm_id)) = self.host_state() {
            return state.set(vm_id, key, value, expected);
        }
        let vm_id = self.plugin().vm_id.clone();
        self.shared.set(vm_id.as_bytes(), key, value, expected)
    }

    /// `proxy_register_shared_queue`: the queue's token. From now on this plugin, and no other, hears of its items.
    pub fn register_shared_queue(&mut self, name: &[u8]) -> u32 {
        let plugin = self.plugin_index();
        let token = match self.host_state() {
            Some((state, vm_id)) => state.register_queue(vm_id, name),
            None => {
                let vm_id = self.plugin().vm_id.clone();
                self.shared.register_queue(vm_id.as_bytes(), name)
            }
        };
        self.queue_owners.retain(|(queue, _)| *queue != token);
        self.queue_owners.push((token, plugin));
        token
    }

    /// `proxy_resolve_shared_queue`: the token of a queue of that VM; of this one, where none is named.
    pub fn resolve_shared_queue(&self, vm_id: &[u8], name: &[u8]) -> CallResult<u32> {
        let vm_id = if vm_id.is_empty() { self.plugin().vm_id.as_bytes() } else { vm_id };
        if let Some((state, _)) = self.host_state() {
            return state.resolve_queue(vm_id, name);
        }
        self.shared.resolve_queue(vm_id, name)
    }

    /// `proxy_enqueue_shared_queue`: the plugin that registered the queue hears of each item.
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

impl<G: Guest> Chain<G> {
    /// Tells the filters of what was put into their queues so far; tells whether there was anything. What they put there
    /// meanwhile waits for the next call: a filter that refills its own queue must not keep the host.
    pub fn announce_queues(&self) -> bool {
        let ready: VecDeque<u32> = {
            let mut state = self.state.borrow_mut();
            let watches = !state.queue_owners.is_empty();
            let told = if watches { state.host_state().map(|(state, _)| state.ready_queues()) } else { None };
            told.map_or_else(|| std::mem::take(&mut state.ready_queues), VecDeque::from)
        };
        for &token in &ready {
            let owner = self.state.borrow().queue_owners.iter().find(|(queue, _)| *queue == token).copied();
            if let Some((_, plugin)) = owner {
                let actions = self.call_root(plugin, Id::QueueReady, &[token]);
                self.act(actions);
            }
        }
        !ready.is_empty()
    }
}
