//! Shared data and shared queues over all instances: `proxy-wasm:adapter/shared` (see `wit/`), for components
//! that were adapted with `state = "host"`.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proxy_wasm_abi::enums::Status;
use proxy_wasm_shared::Store;
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Linker, Lower};

/// The interface's name.
const INTERFACE: &str = "proxy-wasm:adapter/shared@0.1.0";

/// Why nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ComponentType, Lower)]
#[component(enum)]
#[repr(u8)]
enum Refusal {
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

/// What instances share.
pub struct Shared {
    kept: Mutex<Kept>,
    tell: Box<dyn Fn() + Send + Sync>,
}

/// A VM id, and a key or the name of a queue.
type Key = (Vec<u8>, Vec<u8>);

#[derive(Debug, Default)]
struct Kept {
    store: Store,
    members: u64,
}

impl Shared {
    /// `tell` is called when there may be items of which an instance is to be told: [`Member::has_ready_queues`] says which.
    pub fn new(tell: impl Fn() + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { kept: Mutex::default(), tell: Box::new(tell) })
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether any instance is to be told of items.
    pub(crate) fn has_ready_queues(&self) -> bool {
        self.lock().store.has_any_ready()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("kept", &self.kept).finish_non_exhaustive()
    }
}

/// The part of one instance.
#[derive(Debug)]
pub struct Member {
    shared: Arc<Shared>,
    id: u64,
}

impl Member {
    /// A further one.
    pub fn new(shared: &Arc<Shared>) -> Self {
        let id = {
            let mut kept = shared.lock();
            kept.members += 1;
            kept.members
        };
        Self { shared: shared.clone(), id }
    }

    /// Whether the instance is to be told of items.
    pub fn has_ready_queues(&self) -> bool {
        self.kept().store.has_ready(self.id)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.shared.lock()
    }

    fn get(&self, vm_id: &[u8], key: &[u8]) -> Option<(Vec<u8>, u32)> {
        self.kept().store.get(vm_id, key).ok().map(|(value, change)| (value.to_vec(), change))
    }

    fn set(&self, vm_id: &[u8], key: &[u8], value: &[u8], expected: u32) -> Result<(), Refusal> {
        Ok(self.kept().store.set(vm_id, key, value, expected)?)
    }

    fn register(&self, vm_id: &[u8], name: &[u8]) -> u32 {
        let token = self.kept().store.register_queue(self.id, vm_id, name);
        if self.has_ready_queues() {
            (self.shared.tell)();
        }
        token
    }

    fn resolve(&self, vm_id: &[u8], name: &[u8]) -> Option<u32> {
        self.kept().store.resolve_queue(vm_id, name).ok()
    }

    fn enqueue(&self, token: u32, item: &[u8]) -> Result<(), Refusal> {
        self.kept().store.enqueue(token, item)?;
        (self.shared.tell)();
        Ok(())
    }

    fn dequeue(&self, token: u32) -> Result<Vec<u8>, Refusal> {
        Ok(self.kept().store.dequeue(token)?)
    }

    fn ready_queues(&self) -> Vec<u32> {
        self.kept().store.take_ready(self.id).into()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kept().store.leave(self.id);
        (self.shared.tell)();
    }
}

/// Offers the interface to components in stores with this data; `member` finds an instance's part in it.
///
/// # Errors
/// Wasmtime's: the linker has it.
pub fn add_to_linker<T: 'static>(linker: &mut Linker<T>, member: fn(&T) -> &Member) -> wasmtime::Result<()> {
    type Context<'a, T> = StoreContextMut<'a, T>;
    let mut interface = linker.instance(INTERFACE)?;
    interface.func_wrap("get", move |store: Context<'_, T>, (vm_id, key): Key| {
        Ok((member(store.data()).get(&vm_id, &key),))
    })?;
    interface.func_wrap(
        "set",
        move |store: Context<'_, T>, (vm_id, key, value, expected): (Vec<u8>, Vec<u8>, Vec<u8>, u32)| {
            Ok((member(store.data()).set(&vm_id, &key, &value, expected),))
        },
    )?;
    interface.func_wrap("register-queue", move |store: Context<'_, T>, (vm_id, name): Key| {
        Ok((member(store.data()).register(&vm_id, &name),))
    })?;
    interface.func_wrap("resolve-queue", move |store: Context<'_, T>, (vm_id, name): Key| {
        Ok((member(store.data()).resolve(&vm_id, &name),))
    })?;
    interface.func_wrap("enqueue", move |store: Context<'_, T>, (token, item): (u32, Vec<u8>)| {
        Ok((member(store.data()).enqueue(token, &item),))
    })?;
    interface.func_wrap("dequeue", move |store: Context<'_, T>, (token,): (u32,)| {
        Ok((member(store.data()).dequeue(token),))
    })?;
    interface.func_wrap("ready-queues", move |store: Context<'_, T>, (): ()| Ok((member(store.data()).ready_queues(),)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_to_register_is_told() {
        let shared = Shared::new(|| {});
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
