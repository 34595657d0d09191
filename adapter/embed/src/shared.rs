//! Shared data and shared queues over all instances of a filter: `proxy-wasm:adapter/shared` (see `wit/`), for components
//! that were adapted with `state = "host"`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proxy_wasm_abi::enums::Status;
use proxy_wasm_shared::Store;
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Linker, Lower};

use crate::host::Host;

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
#[derive(Clone, Debug, Default)]
pub(crate) struct Shared(Arc<Mutex<Kept>>);

/// A VM id, and a key or the name of a queue.
type Key = (Vec<u8>, Vec<u8>);

#[derive(Debug, Default)]
struct Kept {
    store: Store,
    members: u64,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether any instance is to be told of items.
    pub(crate) fn has_ready_queues(&self) -> bool {
        self.lock().store.has_any_ready()
    }
}

/// The part of one instance.
#[derive(Debug)]
pub(crate) struct Member {
    shared: Shared,
    id: u64,
}

impl Member {
    pub(crate) fn new(shared: &Shared) -> Self {
        let id = {
            let mut kept = shared.lock();
            kept.members += 1;
            kept.members
        };
        Self { shared: shared.clone(), id }
    }

    /// Whether the instance is to be told of items.
    pub(crate) fn has_ready_queues(&self) -> bool {
        self.shared.lock().store.has_ready(self.id)
    }

    /// Does something with what is shared, for this member.
    fn act<T>(&self, act: impl FnOnce(&mut Store, u64) -> T) -> T {
        act(&mut self.shared.lock().store, self.id)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.act(|store, id| store.leave(id));
    }
}

/// Offers the interface.
pub(crate) fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    type Context<'a> = StoreContextMut<'a, Host>;
    let mut interface = linker.instance(INTERFACE)?;
    interface.func_wrap("get", |store: Context<'_>, (vm_id, key): Key| {
        let get = |store: &mut Store, _| {
            let value = store.get(&vm_id, &key).ok();
            value.map(|(value, change)| (value.to_vec(), change))
        };
        Ok((store.data().shared.act(get),))
    })?;
    interface.func_wrap(
        "set",
        |store: Context<'_>, (vm_id, key, value, expected): (Vec<u8>, Vec<u8>, Vec<u8>, u32)| {
            let set = |store: &mut Store, _| store.set(&vm_id, &key, &value, expected).map_err(Refusal::from);
            Ok((store.data().shared.act(set),))
        },
    )?;
    interface.func_wrap("register-queue", |store: Context<'_>, (vm_id, name): Key| {
        Ok((store.data().shared.act(|store, id| store.register_queue(id, &vm_id, &name)),))
    })?;
    interface.func_wrap("resolve-queue", |store: Context<'_>, (vm_id, name): Key| {
        Ok((store.data().shared.act(|store, _| store.resolve_queue(&vm_id, &name).ok()),))
    })?;
    interface.func_wrap("enqueue", |store: Context<'_>, (token, item): (u32, Vec<u8>)| {
        Ok((store.data().shared.act(|store, _| store.enqueue(token, &item).map_err(Refusal::from)),))
    })?;
    interface.func_wrap("dequeue", |store: Context<'_>, (token,): (u32,)| {
        Ok((store.data().shared.act(|store, _| store.dequeue(token).map_err(Refusal::from)),))
    })?;
    interface.func_wrap("ready-queues", |store: Context<'_>, (): ()| {
        Ok((store.data().shared.act(|store, id| Vec::<u32>::from(store.take_ready(id))),))
    })
}
