//! Things that filters share: data, among those of one VM id, and queues.
//!
//! A shim keeps it for the plugins of its instance, and a host for all instances. Whoever is told of items is a member: the
//! shim's one instance, or each instance of a host.

use std::collections::{BTreeMap, VecDeque};

use proxy_wasm_abi::{enums::Status, limits::SHARED_BYTES_MAX};

/// An instance that is told of items.
pub type Member = u64;

/// Shared data and shared queues.
#[derive(Debug, Default)]
pub struct Store {
    /// By VM id; most often there is one.
    data: Vec<(Vec<u8>, Data)>,
    /// The number of the last change, whatever the key: what compare-and-swap compares. Source: Envoy's `SharedData::nextCas`.
    changes: u32,
    /// By token, less 1.
    queues: Vec<Queue>,
    /// The tokens that members are to be told of, one for each item. Few wait at a time.
    ready: Vec<(Member, VecDeque<u32>)>,
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
    /// The members that registered it and have not left; the last is told of items.
    owners: Vec<Member>,
    /// Items that came while there was none to be told.
    untold: usize,
}

impl Store {
    /// A key's value, and the number of the change that made it.
    ///
    /// # Errors
    /// `NotFound` where it has none.
    pub fn get(&self, vm_id: &[u8], key: &[u8]) -> Result<(&[u8], u32), Status> {
        let data = self.data.iter().find(|(id, _)| id == vm_id).ok_or(Status::NotFound)?;
        data.1.get(key).map(|(value, change)| (value.as_slice(), *change)).ok_or(Status::NotFound)
    }

    /// Sets a key's value. `expected` is the change that the value must still be of; 0 is any, as it is for a new key.
    ///
    /// # Errors
    /// `CasMismatch` where it is of another change, `InternalFailure` where as much is kept as may be.
    pub fn set(&mut self, vm_id: &[u8], key: &[u8], value: &[u8], expected: u32) -> Result<(), Status> {
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

    /// The token of a queue of this VM, which comes into being. From now on this member is told of its items, and no other
    /// is; of those at once that nobody was told of.
    pub fn register_queue(&mut self, member: Member, vm_id: &[u8], name: &[u8]) -> u32 {
        let token = self.resolve_queue(vm_id, name).unwrap_or_else(|_| {
            let (vm_id, name) = (vm_id.to_vec(), name.to_vec());
            self.queues.push(Queue { vm_id, name, items: VecDeque::new(), owners: Vec::new(), untold: 0 });
            self.queues.len() as u32
        });
        if let Ok(queue) = self.queue(token) {
            queue.owners.retain(|owner| *owner != member);
            queue.owners.push(member);
            for _ in 0..std::mem::take(&mut queue.untold) {
                self.note_ready(member, token);
            }
        }
        token
    }

    /// The token of a queue that was registered.
    ///
    /// # Errors
    /// `NotFound` where there is none.
    pub fn resolve_queue(&self, vm_id: &[u8], name: &[u8]) -> Result<u32, Status> {
        let at = self.queues.iter().position(|queue| queue.vm_id == vm_id && queue.name == name);
        at.map(|at| at as u32 + 1).ok_or(Status::NotFound)
    }

    /// Puts an item at a queue's end.
    ///
    /// # Errors
    /// `NotFound` where there is no such queue, `InternalFailure` where as much is kept as may be.
    pub fn enqueue(&mut self, token: u32, item: &[u8]) -> Result<(), Status> {
        self.queue(token)?;
        self.hold(0, item.len())?;
        self.queue(token)?.items.push_back(item.to_vec());
        self.announce(token)
    }

    /// Takes the item at a queue's head.
    ///
    /// # Errors
    /// `NotFound` where there is no such queue, `Empty` where it has no items.
    pub fn dequeue(&mut self, token: u32) -> Result<Vec<u8>, Status> {
        let item = self.queue(token)?.items.pop_front().ok_or(Status::Empty)?;
        self.bytes -= item.len();
        Ok(item)
    }

    /// Whether a member is to be told of items.
    pub fn has_ready(&self, member: Member) -> bool {
        self.ready.iter().any(|(of, _)| *of == member)
    }

    /// Whether any member is.
    pub fn has_any_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The tokens that a member is to be told of, one for each item: it is told now.
    pub fn take_ready(&mut self, member: Member) -> VecDeque<u32> {
        let at = self.ready.iter().position(|(of, _)| *of == member);
        at.map(|at| self.ready.swap_remove(at).1).unwrap_or_default()
    }

    /// A member is gone. Items that it did not hear of are for those that registered the queue before it, or for later
    /// ones.
    pub fn leave(&mut self, member: Member) {
        self.queues.iter_mut().for_each(|queue| queue.owners.retain(|owner| *owner != member));
        for token in self.take_ready(member) {
            // It was a queue's when it came, and no queue ends.
            let _ = self.announce(token);
        }
    }

    fn announce(&mut self, token: u32) -> Result<(), Status> {
        let queue = self.queue(token)?;
        match queue.owners.last().copied() {
            Some(owner) => self.note_ready(owner, token),
            None => queue.untold += 1,
        }
        Ok(())
    }

    fn note_ready(&mut self, member: Member, token: u32) {
        match self.ready.iter_mut().find(|(of, _)| *of == member) {
            Some((_, ready)) => ready.push_back(token),
            None => self.ready.push((member, VecDeque::from([token]))),
        }
    }

    fn queue(&mut self, token: u32) -> Result<&mut Queue, Status> {
        let at = (token as usize).checked_sub(1).ok_or(Status::NotFound)?;
        self.queues.get_mut(at).ok_or(Status::NotFound)
    }

    /// Accounts for bytes that take the place of others.
    fn hold(&mut self, before: usize, after: usize) -> Result<(), Status> {
        let bytes = self.bytes - before + after;
        if bytes > SHARED_BYTES_MAX {
            return Err(Status::InternalFailure);
        }
        self.bytes = bytes;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compared_is_the_change() {
        let mut store = Store::default();
        assert_eq!(store.get(b"vm", b"k"), Err(Status::NotFound));
        store.set(b"vm", b"k", b"a", 7).unwrap();
        assert_eq!(store.get(b"vm", b"k"), Ok((b"a".as_slice(), 1)));
        assert_eq!(store.set(b"vm", b"k", b"b", 7), Err(Status::CasMismatch));
        store.set(b"vm", b"k", b"b", 1).unwrap();
        store.set(b"vm", b"k", b"", 0).unwrap();
        assert_eq!(store.get(b"vm", b"k"), Ok((b"".as_slice(), 3)));
        assert_eq!(store.get(b"", b"k"), Err(Status::NotFound), "each VM id has its own");
        assert_eq!(store.set(b"vm", b"k", &vec![0; SHARED_BYTES_MAX], 0), Err(Status::InternalFailure));
    }

    #[test]
    fn the_last_to_register_is_told() {
        let mut store = Store::default();
        assert_eq!(store.enqueue(1, b""), Err(Status::NotFound));
        assert_eq!((store.register_queue(1, b"", b"q"), store.register_queue(2, b"", b"q")), (1, 1));
        store.enqueue(1, b"a").unwrap();
        assert_eq!((store.has_ready(1), store.has_ready(2)), (false, true));
        // Items that it did not hear of are for the one that is left, and for later ones.
        store.leave(2);
        assert!(store.has_ready(1));
        store.leave(1);
        assert!(!store.has_ready(3));
        store.register_queue(3, b"", b"q");
        assert_eq!(store.take_ready(3), [1]);
        assert!(store.take_ready(3).is_empty());
        assert_eq!(store.dequeue(1), Ok(b"a".to_vec()));
        assert_eq!(store.dequeue(1), Err(Status::Empty));
        assert_eq!(store.dequeue(2), Err(Status::NotFound));
        assert_eq!(store.bytes, 0);
    }
}
