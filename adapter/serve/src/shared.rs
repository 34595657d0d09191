//! Shared data and shared queues over all instances: `proxy-wasm:adapter/shared` (see `wit/`), for components that were
//! adapted with `--state host`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proxy_wasm_abi::enums::Status;
use proxy_wasm_shared::Store;
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

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        match status {
            Status::NotFound => Self::NotFound,
            Status::CasMismatch => Self::CasMismatch,
            Status::Empty => Self::Empty,
            _ => Self::Full,
        }
    }
}

/// What all instances share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    kept: Mutex<Kept>,
    /// An item came, of which an instance is to be told: whoever tends them all is woken, though it may not wait yet.
    pub(super) told: Notify,
    /// The same, for those that tend one each, and look before they wait.
    changed: Notify,
}

/// A VM id, and a key or the name of a queue.
type Key = (Vec<u8>, Vec<u8>);

#[derive(Debug, Default)]
struct Kept {
    store: Store,
    members: u64,
}

impl Shared {
    fn tell(&self) {
        self.told.notify_one();
        self.changed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
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
        self.kept().store.has_ready(self.0.id)
    }

    /// Waits until it is.
    pub(super) async fn has_news(&self) {
        loop {
            let changed = self.0.shared.changed.notified();
            if self.has_ready_queues() {
                return;
            }
            changed.await;
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.shared.lock()
    }

    fn get(&self, vm_id: &[u8], key: &[u8]) -> Option<(Vec<u8>, u32)> {
        self.kept().store.get(vm_id, key).ok().map(|(value, change)| (value.to_vec(), change))
    }

    fn set(&self, vm_id: &[u8], key: &[u8], value: &[u8], expected: u32) -> Result<(), Refusal> {
        Ok(self.kept().store.set(vm_id, key, value, expected)?)
    }

    fn register(&self, vm_id: &[u8], name: &[u8]) -> u32 {
        let token = self.kept().store.register_queue(self.0.id, vm_id, name);
        if self.has_ready_queues() {
            self.0.shared.tell();
        }
        token
    }

    fn resolve(&self, vm_id: &[u8], name: &[u8]) -> Option<u32> {
        self.kept().store.resolve_queue(vm_id, name).ok()
    }

    fn enqueue(&self, token: u32, item: &[u8]) -> Result<(), Refusal> {
        self.kept().store.enqueue(token, item)?;
        self.0.shared.tell();
        Ok(())
    }

    fn dequeue(&self, token: u32) -> Result<Vec<u8>, Refusal> {
        Ok(self.kept().store.dequeue(token)?)
    }

    fn ready_queues(&self) -> Vec<u32> {
        self.kept().store.take_ready(self.0.id).into()
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.shared.lock().store.leave(self.id);
        self.shared.tell();
    }
}

/// Offers the interface to components.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(INTERFACE)?;
    interface.func_wrap("get", |store, (vm_id, key): Key| Ok((store.data().shared.get(&vm_id, &key),)))?;
    interface.func_wrap("set", |store, (vm_id, key, value, expected): (Vec<u8>, Vec<u8>, Vec<u8>, u32)| {
        Ok((store.data().shared.set(&vm_id, &key, &value, expected),))
    })?;
    interface
        .func_wrap("register-queue", |store, (vm_id, name): Key| Ok((store.data().shared.register(&vm_id, &name),)))?;
    interface
        .func_wrap("resolve-queue", |store, (vm_id, name): Key| Ok((store.data().shared.resolve(&vm_id, &name),)))?;
    interface.func_wrap("enqueue", |store, (token, item): (u32, Vec<u8>)| {
        Ok((store.data().shared.enqueue(token, &item),))
    })?;
    interface.func_wrap("dequeue", |store, (token,): (u32,)| Ok((store.data().shared.dequeue(token),)))?;
    interface.func_wrap("ready-queues", |store, (): ()| Ok((store.data().shared.ready_queues(),)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_to_register_is_told() {
        let shared = Arc::<Shared>::default();
        let [one, two] = [Member::new(&shared), Member::new(&shared)];
        assert_eq!(one.enqueue(1, b""), Err(Refusal::NotFound));
        let register = |member: &Member| member.register(b"", b"q");
        assert_eq!((register(&one), register(&two)), (1, 1));
        one.enqueue(1, b"a").unwrap();
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
        assert_eq!(three.dequeue(1), Ok(b"a".to_vec()));
        assert_eq!(three.dequeue(1), Err(Refusal::Empty));
        assert_eq!(three.dequeue(2), Err(Refusal::NotFound));
    }
}
