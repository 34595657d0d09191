//! Shared data and shared queues: in the shim's own store, or the host's where the settings leave them to it.
//!
//! They are methods of the chain, not of the state: a host that is asked is asked while nothing is borrowed.

use proxy_wasm_abi::callbacks::Id;
use proxy_wasm_abi::settings::SharedStateIn;

use super::CallResult;
use crate::{
    chain::Chain,
    environment::{Guest, SharedData, SharedQueues},
    state::ChainState,
};

/// The one member of the shim's own store.
const MEMBER: u64 = 0;

impl ChainState {
    /// Whether queues have items that no filter was told of.
    pub(crate) fn has_ready_queues(&self) -> bool {
        self.shared.has_ready(MEMBER)
    }
}

impl<G: Guest> Chain<G> {
    fn host_data(&self) -> Option<&dyn SharedData> {
        self.host.shared_data().filter(|_| self.leaves_state_to_host())
    }

    fn host_queues(&self) -> Option<&dyn SharedQueues> {
        self.host.shared_queues().filter(|_| self.leaves_state_to_host())
    }

    fn leaves_state_to_host(&self) -> bool {
        self.state.borrow().settings.upkeep.state == SharedStateIn::Host
    }

    /// That of the plugin for which a host call acts.
    fn vm_id(&self) -> Vec<u8> {
        self.state.borrow().plugin().vm_id.as_bytes().to_vec()
    }

    /// `proxy_get_shared_data`: a key's value, and what `proxy_set_shared_data` compares.
    pub fn get_shared_data(&self, key: &[u8]) -> CallResult<(Vec<u8>, u32)> {
        let vm_id = self.vm_id();
        match self.host_data() {
            Some(data) => data.get(&vm_id, key),
            None => self.state.borrow().shared.get(&vm_id, key).map(|(value, change)| (value.to_vec(), change)),
        }
    }

    /// `proxy_set_shared_data`
    pub fn set_shared_data(&self, key: &[u8], value: &[u8], expected: u32) -> CallResult {
        let vm_id = self.vm_id();
        match self.host_data() {
            Some(data) => data.set(&vm_id, key, value, expected),
            None => self.state.borrow_mut().shared.set(&vm_id, key, value, expected),
        }
    }

    /// `proxy_register_shared_queue`: the queue's token. From now on this plugin is told of the queue, and no other is.
    pub fn register_shared_queue(&self, name: &[u8]) -> u32 {
        let vm_id = self.vm_id();
        let token = match self.host_queues() {
            Some(queues) => queues.register(&vm_id, name),
            None => self.state.borrow_mut().shared.register_queue(MEMBER, &vm_id, name),
        };
        let mut state = self.state.borrow_mut();
        let plugin = state.plugin_index();
        state.queue_owners.retain(|(queue, _)| *queue != token);
        state.queue_owners.push((token, plugin));
        token
    }

    /// `proxy_resolve_shared_queue`: the token of a queue of that VM; of this one, where none is named.
    pub fn resolve_shared_queue(&self, vm_id: &[u8], name: &[u8]) -> CallResult<u32> {
        let vm_id = if vm_id.is_empty() { self.vm_id() } else { vm_id.to_vec() };
        match self.host_queues() {
            Some(queues) => queues.resolve(&vm_id, name),
            None => self.state.borrow().shared.resolve_queue(&vm_id, name),
        }
    }

    /// `proxy_enqueue_shared_queue`: whoever registered the queue is told, once for each item.
    pub fn enqueue_shared_queue(&self, token: u32, item: &[u8]) -> CallResult {
        match self.host_queues() {
            Some(queues) => queues.enqueue(token, item),
            None => self.state.borrow_mut().shared.enqueue(token, item),
        }
    }

    /// `proxy_dequeue_shared_queue`
    pub fn dequeue_shared_queue(&self, token: u32) -> CallResult<Vec<u8>> {
        match self.host_queues() {
            Some(queues) => queues.dequeue(token),
            None => self.state.borrow_mut().shared.dequeue(token),
        }
    }

    /// Tells the filters of the items that are in their queues; returns whether there were any. Items that they put there
    /// meanwhile wait for the next call: a filter that refills its own queue must not keep the host.
    pub fn announce_queues(&self) -> bool {
        let watches = !self.state.borrow().queue_owners.is_empty();
        let ready = match self.host_queues().filter(|_| watches) {
            Some(queues) => queues.take_ready().into(),
            None => self.state.borrow_mut().shared.take_ready(MEMBER),
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

    /// The same of queues that the host keeps, which are no [work](Self::has_work): other instances put items there.
    pub fn announce_host_queues(&self) -> bool {
        self.leaves_state_to_host() && self.announce_queues()
    }
}
