//! Shared data, shared queues and metrics.

use proxy_wasm_semantics::Guest;

use crate::caller::{Caller, Memory, Outcome};

impl<G: Guest + Memory> Caller<'_, G> {
    pub(crate) fn get_shared_data(&self, key: u32, key_len: u32, ptr: u32, size: u32, change: u32) -> Outcome {
        let key = self.bytes(key, key_len)?;
        let (value, number) = self.chain().get_shared_data(&key)?;
        self.give(&value, ptr, size)?;
        self.put_u32(change, number)
    }

    pub(crate) fn set_shared_data(&self, key: u32, key_len: u32, value: u32, value_len: u32, change: u32) -> Outcome {
        let (key, value) = (self.bytes(key, key_len)?, self.bytes(value, value_len)?);
        self.chain().set_shared_data(&key, &value, change)
    }

    pub(crate) fn register_shared_queue(&self, name: u32, name_len: u32, token: u32) -> Outcome {
        let name = self.bytes(name, name_len)?;
        let number = self.chain().register_shared_queue(&name);
        self.put_u32(token, number)
    }

    pub(crate) fn resolve_shared_queue(&self, vm: u32, vm_len: u32, name: u32, name_len: u32, token: u32) -> Outcome {
        let (vm_id, name) = (self.bytes(vm, vm_len)?, self.bytes(name, name_len)?);
        let number = self.chain().resolve_shared_queue(&vm_id, &name)?;
        self.put_u32(token, number)
    }

    pub(crate) fn enqueue_shared_queue(&self, token: u32, item: u32, item_len: u32) -> Outcome {
        let item = self.bytes(item, item_len)?;
        self.chain().enqueue_shared_queue(token, &item)
    }

    pub(crate) fn dequeue_shared_queue(&self, token: u32, ptr: u32, size: u32) -> Outcome {
        let item = self.chain().dequeue_shared_queue(token)?;
        self.give(&item, ptr, size)
    }

    pub(crate) fn define_metric(&self, kind: u32, name: u32, name_len: u32, id: u32) -> Outcome {
        let name = self.bytes(name, name_len)?;
        let number = self.state().define_metric(kind, &name)?;
        self.put_u32(id, number)
    }

    pub(crate) fn get_metric(&self, id: u32, value: u32) -> Outcome {
        let number = self.state().get_metric(id)?;
        self.put_u64(value, number)
    }
}
