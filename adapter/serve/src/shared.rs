//! Shared data and shared queues over all instances: `proxy-wasm:adapter/shared` (see `wit/`), for components that were
//! adapted with `--state host`.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proxy_wasm_abi::limits::SHARED_BYTES_MAX;
use tokio::sync::Notify;
use wasmtime::component::{ComponentType, Linker, Lower};

use super::state::State;

/// The interface's name.
const INTERFACE: &str = "proxy-wasm:adapter/shared@0.1.0";

/// Why nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ComponentType, Lower)]
#[component(enum)]
#[repr(u8)]
pub(super) enum Refusal {
    #[component(name = "not-found")]
    NotFound,
    #[component(name = "cas-mismatch")]
    CasMismatch,
    #[component(name = "empty")]
    Empty,
    #[component(name = "full")]
    Full,
}

/// What all instances share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    kept: Mutex<Kept>,
    /// An item came, of which an instance is to be told.
    pub(super) told: Notify,
}

/// A VM id, and a key or the name of a queue.
type Key = (Vec<u8>, Vec<u8>);

/// A value, and the number of the change that made it.
type Entry = (Vec<u8>, u32);

#[derive(Debug, Default)]
struct Kept {
    data: BTreeMap<Key, Entry>,
    /// The number of the last change, whatever the key, as in Envoy.
    changes: u32,
    /// By token, less 1.
    queues: Vec<Queue>,
    /// Tokens that each instance is to be told of.
    ready: HashMap<u64, VecDeque<u32>>,
    /// Bytes of keys, values and items.
    bytes: usize,
    members: u64,
}

#[derive(Debug)]
struct Queue {
    vm_id: Vec<u8>,
    name: Vec<u8>,
    items: VecDeque<Vec<u8>>,
    /// The instances that registered it and live; the last is told of items.
    owners: Vec<u64>,
    /// Items that came while there was none to be told.
    untold: usize,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn get(&self, vm_id: Vec<u8>, key: Vec<u8>) -> Option<Entry> {
        self.data.get(&(vm_id, key)).cloned()
    }

    fn set(&mut self, vm_id: Vec<u8>, key: Vec<u8>, value: Vec<u8>, expected: u32) -> Result<(), Refusal> {
        let key = (vm_id, key);
        let old = self.data.get(&key);
        if expected != 0 && old.is_some_and(|(_, change)| *change != expected) {
            return Err(Refusal::CasMismatch);
        }
        let before = old.map_or(0, |(value, _)| key.1.len() + value.len());
        self.hold(before, key.1.len() + value.len())?;
        // 0 stands for any change, so it is never one's number.
        self.changes = self.changes.checked_add(1).unwrap_or(1);
        self.data.insert(key, (value, self.changes));
        Ok(())
    }

    fn resolve(&self, vm_id: &[u8], name: &[u8]) -> Option<u32> {
        let at = self.queues.iter().position(|queue| queue.vm_id == vm_id && queue.name == name)?;
        u32::try_from(at + 1).ok()
    }

    /// Tells whether the instance has something to be told now.
    fn register(&mut self, member: u64, vm_id: Vec<u8>, name: Vec<u8>) -> (u32, bool) {
        let token = self.resolve(&vm_id, &name).unwrap_or_else(|| {
            self.queues.push(Queue { vm_id, name, items: VecDeque::new(), owners: Vec::new(), untold: 0 });
            u32::try_from(self.queues.len()).unwrap_or(u32::MAX)
        });
        let Some(queue) = self.queue(token) else { return (token, false) };
        queue.owners.retain(|owner| *owner != member);
        queue.owners.push(member);
        let untold = std::mem::take(&mut queue.untold);
        self.ready.entry(member).or_default().extend(std::iter::repeat_n(token, untold));
        (token, untold > 0)
    }

    fn enqueue(&mut self, token: u32, item: Vec<u8>) -> Result<(), Refusal> {
        self.queue(token).ok_or(Refusal::NotFound)?;
        self.hold(0, item.len())?;
        let queue = self.queue(token).ok_or(Refusal::NotFound)?;
        queue.items.push_back(item);
        match queue.owners.last().copied() {
            Some(owner) => self.ready.entry(owner).or_default().push_back(token),
            None => queue.untold += 1,
        }
        Ok(())
    }

    fn dequeue(&mut self, token: u32) -> Result<Vec<u8>, Refusal> {
        let queue = self.queue(token).ok_or(Refusal::NotFound)?;
        let item = queue.items.pop_front().ok_or(Refusal::Empty)?;
        self.bytes -= item.len();
        Ok(item)
    }

    fn queue(&mut self, token: u32) -> Option<&mut Queue> {
        self.queues.get_mut((token as usize).checked_sub(1)?)
    }

    fn leave(&mut self, member: u64) {
        self.queues.iter_mut().for_each(|queue| queue.owners.retain(|owner| *owner != member));
        for token in self.ready.remove(&member).unwrap_or_default() {
            let owner = self.queue(token).and_then(|queue| queue.owners.last().copied());
            match owner {
                Some(owner) => self.ready.entry(owner).or_default().push_back(token),
                None => self.queue(token).into_iter().for_each(|queue| queue.untold += 1),
            }
        }
    }

    /// Accounts for bytes that take the place of others.
    fn hold(&mut self, before: usize, after: usize) -> Result<(), Refusal> {
        let bytes = self.bytes - before + after;
        if bytes > SHARED_BYTES_MAX {
            return Err(Refusal::Full);
        }
        self.bytes = bytes;
        Ok(())
    }
}

/// The part of one instance.
#[derive(Clone, Debug)]
pub(super) struct Member(Arc<Membership>);

#[derive(Debug)]
struct Membership {
    shared: Arc<Shared>,
    id: u64,
}

impl Member {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        let id = {
            let mut kept = shared.lock();
            kept.members += 1;
            kept.members
        };
        Self(Arc::new(Membership { shared: shared.clone(), id }))
    }

    /// Whether the instance is to be told of items.
    pub(super) fn has_ready_queues(&self) -> bool {
        self.kept().ready.get(&self.0.id).is_some_and(|ready| !ready.is_empty())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.shared.lock()
    }

    fn register(&self, vm_id: Vec<u8>, name: Vec<u8>) -> u32 {
        let (token, is_ready) = self.kept().register(self.0.id, vm_id, name);
        if is_ready {
            self.0.shared.told.notify_one();
        }
        token
    }

    fn enqueue(&self, token: u32, item: Vec<u8>) -> Result<(), Refusal> {
        self.kept().enqueue(token, item)?;
        self.0.shared.told.notify_one();
        Ok(())
    }

    fn ready_queues(&self) -> Vec<u32> {
        self.kept().ready.remove(&self.0.id).unwrap_or_default().into()
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.shared.lock().leave(self.id);
        self.shared.told.notify_one();
    }
}

/// Offers the interface to components.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(INTERFACE)?;
    interface.func_wrap("get", |store, (vm_id, key): Key| Ok((store.data().shared.kept().get(vm_id, key),)))?;
    interface.func_wrap("set", |store, (vm_id, key, value, expected): (Vec<u8>, Vec<u8>, Vec<u8>, u32)| {
        Ok((store.data().shared.kept().set(vm_id, key, value, expected),))
    })?;
    interface
        .func_wrap("register-queue", |store, (vm_id, name): Key| Ok((store.data().shared.register(vm_id, name),)))?;
    interface.func_wrap("resolve-queue", |store, (vm_id, name): Key| {
        Ok((store.data().shared.kept().resolve(&vm_id, &name),))
    })?;
    interface
        .func_wrap("enqueue", |store, (token, item): (u32, Vec<u8>)| Ok((store.data().shared.enqueue(token, item),)))?;
    interface.func_wrap("dequeue", |store, (token,): (u32,)| Ok((store.data().shared.kept().dequeue(token),)))?;
    interface.func_wrap("ready-queues", |store, (): ()| Ok((store.data().shared.ready_queues(),)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compared_is_the_change() {
        let mut kept = Kept::default();
        let (id, key) = (b"vm".to_vec(), b"k".to_vec());
        assert_eq!(kept.get(id.clone(), key.clone()), None);
        kept.set(id.clone(), key.clone(), b"a".to_vec(), 7).unwrap();
        assert_eq!(kept.get(id.clone(), key.clone()), Some((b"a".to_vec(), 1)));
        assert_eq!(kept.set(id.clone(), key.clone(), b"b".to_vec(), 7), Err(Refusal::CasMismatch));
        kept.set(id.clone(), key.clone(), b"b".to_vec(), 1).unwrap();
        kept.set(id.clone(), key.clone(), Vec::new(), 0).unwrap();
        assert_eq!(kept.get(id.clone(), key.clone()), Some((Vec::new(), 3)));
        assert_eq!(kept.get(Vec::new(), key.clone()), None, "each VM id has its own");
        assert_eq!(kept.set(id, key, vec![0; SHARED_BYTES_MAX], 0), Err(Refusal::Full));
    }

    #[test]
    fn the_last_to_register_is_told() {
        let shared = Arc::<Shared>::default();
        let [one, two] = [Member::new(&shared), Member::new(&shared)];
        assert_eq!(one.enqueue(1, Vec::new()), Err(Refusal::NotFound));
        let register = |member: &Member| member.register(Vec::new(), b"q".to_vec());
        assert_eq!((register(&one), register(&two)), (1, 1));
        one.enqueue(1, b"a".to_vec()).unwrap();
        assert_eq!((one.has_ready_queues(), two.has_ready_queues()), (false, true));
        // What it was not told of is for the one that is left, and for whoever comes.
        drop(two);
        assert!(one.has_ready_queues());
        drop(one);
        let three = Member::new(&shared);
        assert!(!three.has_ready_queues());
        register(&three);
        assert_eq!(three.ready_queues(), [1]);
        assert!(three.ready_queues().is_empty());
        assert_eq!(three.kept().dequeue(1), Ok(b"a".to_vec()));
        assert_eq!(three.kept().dequeue(1), Err(Refusal::Empty));
        assert_eq!(three.kept().dequeue(2), Err(Refusal::NotFound));
        assert_eq!(three.kept().bytes, 0);
    }
}
