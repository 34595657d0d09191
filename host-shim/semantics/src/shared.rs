//! What plugins share: data, among those of one VM id, and queues.

use std::collections::{BTreeMap, VecDeque};

use proxy_wasm_abi::{enums::Status, limits::SHARED_BYTES_MAX};

use crate::calls::CallResult;

/// Shared data and shared queues.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// By VM id; most often there is one.
    data: Vec<(Vec<u8>, Data)>,
    /// The number of the last change, whatever the key: what compare-and-swap compares. Source: Envoy's
    /// `SharedData::nextCas`.
    changes: u32,
    /// By token, less 1.
    queues: Vec<Queue>,
    /// Bytes of keys, values and items.
    bytes: usize,
}

/// Values by key, each with the number of the change that made it.
type Data = BTreeMap<Vec<u8>, (Vec<u8>, u32)>;

#[derive(Debug)]
struct Queue {
    vm_id: Vec<u8>,
    name: Vec<u8>,
    items: VecDeque<Vec<u8>>,
}

impl Shared {
    /// A key's value, and the number of the change that made it.
    pub(crate) fn get(&self, vm_id: &[u8], key: &[u8]) -> CallResult<(&[u8], u32)> {
        let data = self.data.iter().find(|(id, _)| id == vm_id).ok_or(Status::NotFound)?;
        data.1.get(key).map(|(value, change)| (value.as_slice(), *change)).ok_or(Status::NotFound)
    }

    /// Sets a key's value. `expected` is the change that the value must still be of; 0 is any, as it is for a new key.
    pub(crate) fn set(&mut self, vm_id: &[u8], key: &[u8], value: &[u8], expected: u32) -> CallResult {
        let old = self.get(vm_id, key).ok();
        if expected != 0 && old.is_some_and(|(_, change)| change != expected) {
            return Err(Status::CasMismatch);
        }
        let before = old.map_or(0, |(value, _)| key.len() + value.len());
        self.hold(before, key.len() + value.len())?;
        // 0 stands for any change, so it is never one's number.
        self.changes = self.changes.checked_add(1).unwrap_or(1);
        let change = (value.to_vec(), self.changes);
        match self.data.iter_mut().find(|(id, _)| id == vm_id) {
            Some((_, data)) => data.insert(key.to_vec(), change),
            None => {
                self.data.push((vm_id.to_vec(), BTreeMap::from([(key.to_vec(), change)])));
                None
            }
        };
        Ok(())
    }

    /// The token of a queue of this VM, which comes into being.
    pub(crate) fn register_queue(&mut self, vm_id: &[u8], name: &[u8]) -> u32 {
        self.resolve_queue(vm_id, name).unwrap_or_else(|_| {
            self.queues.push(Queue { vm_id: vm_id.to_vec(), name: name.to_vec(), items: VecDeque::new() });
            self.queues.len() as u32
        })
    }

    /// The token of a queue that was registered.
    pub(crate) fn resolve_queue(&self, vm_id: &[u8], name: &[u8]) -> CallResult<u32> {
        let at = self.queues.iter().position(|queue| queue.vm_id == vm_id && queue.name == name);
        at.map(|at| at as u32 + 1).ok_or(Status::NotFound)
    }

    /// Puts an item at a queue's end.
    pub(crate) fn enqueue(&mut self, token: u32, item: &[u8]) -> CallResult {
        self.queue(token)?;
        self.hold(0, item.len())?;
        self.queue(token)?.items.push_back(item.to_vec());
        Ok(())
    }

    /// Takes the item at a queue's head.
    pub(crate) fn dequeue(&mut self, token: u32) -> CallResult<Vec<u8>> {
        let item = self.queue(token)?.items.pop_front().ok_or(Status::Empty)?;
        self.bytes -= item.len();
        Ok(item)
    }

    fn queue(&mut self, token: u32) -> CallResult<&mut Queue> {
        let at = (token as usize).checked_sub(1).ok_or(Status::NotFound)?;
        self.queues.get_mut(at).ok_or(Status::NotFound)
    }

    /// Accounts for bytes that take the place of others.
    fn hold(&mut self, before: usize, after: usize) -> CallResult {
        let bytes = self.bytes - before + after;
        if bytes > SHARED_BYTES_MAX {
            return Err(Status::InternalFailure);
        }
        self.bytes = bytes;
        Ok(())
    }
}
