//! A filter with a memory of one page and an allocator that can be made to fail; the test says what it does in each of its
//! callbacks.

use std::{
    cell::{Cell, RefCell},
    rc::Weak,
};

use proxy_wasm_abi::{
    callbacks::{CALLBACKS, Id},
    enums::{Errno, Status},
    foreign_functions::FOREIGN_FUNCTIONS,
};
use proxy_wasm_semantics::{Chain, Guest, foreign};

use crate::caller::{Caller, Memory};

/// Bytes of the filter's memory.
pub const MEMORY: u32 = 64 * 1024;

/// Where the allocator starts.
const HEAP: u32 = 32 * 1024;

/// Where the memory ends that grows.
const MEMORY_MAX: u32 = 16 * MEMORY;

/// The behavior of the filter's allocator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Allocator {
    /// It gives memory out, and takes none back.
    Works,
    /// It has none.
    ReturnsZero,
    /// Its memory begins in bounds and ends out of them.
    EndsOutOfBounds,
    /// The last address there is.
    ReturnsMax,
    /// The memory grows by it, and what it returns is in the new part.
    Grows,
}

/// Its acts in a callback, and the value that it returns from it.
pub(super) type Script = Box<dyn Fn(&Running<'_>, Id) -> u32>;

/// The filter as the semantics and the marshalling know it.
pub struct Fake {
    chain: Weak<Chain<Self>>,
    memory: RefCell<Vec<u8>>,
    next: Cell<u32>,
    allocator: Cell<Allocator>,
    allocations: Cell<u32>,
    script: Script,
}

impl Fake {
    pub(super) fn new(chain: Weak<Chain<Self>>, script: Script) -> Self {
        Self {
            chain,
            memory: RefCell::new(vec![0xaa; MEMORY as usize]),
            next: Cell::new(HEAP),
            allocator: Cell::new(Allocator::Works),
            allocations: Cell::new(0),
            script,
        }
    }
}

impl Memory for Fake {
    fn foreign(&self, function: u32) {
        let chain = self.chain.upgrade().expect("the chain calls");
        let run = match FOREIGN_FUNCTIONS[function as usize].name {
            "clear_route_cache" => foreign::clear_route_cache,
            "compress" => foreign::compress,
            "uncompress" => foreign::uncompress,
            "declare_property" => foreign::declare_property,
            #[cfg(feature = "extra")]
            "verify_signature" => foreign::verify_signature,
            #[cfg(feature = "extra")]
            "sign" => foreign::sign,
            #[cfg(feature = "extra")]
            "expr_create" => foreign::expr_create,
            #[cfg(feature = "extra")]
            "expr_evaluate" => foreign::expr_evaluate,
            #[cfg(feature = "extra")]
            "expr_delete" => foreign::expr_delete,
            #[cfg(feature = "extra")]
            "set_envoy_filter_state" => foreign::set_envoy_filter_state,
            // The component lacks it.
            _ => return,
        };
        chain.state().run_foreign(run);
    }

    fn len(&self, _needed: u64) -> u64 {
        self.memory.borrow().len() as u64
    }

    fn read(&self, at: u32, into: &mut [u8]) {
        // Panics where the marshalling did not check: in the real filter that is a trap.
        into.copy_from_slice(&self.memory.borrow()[at as usize..][..into.len()]);
    }

    fn write(&self, at: u32, bytes: &[u8]) {
        self.memory.borrow_mut()[at as usize..][..bytes.len()].copy_from_slice(bytes);
    }

    fn allocate(&self, len: u32) -> u32 {
        // The state must not be borrowed: the allocator may log.
        drop(self.chain.upgrade().expect("the chain calls").state());
        assert!(len > 0, "no bytes need no memory");
        self.allocations.set(self.allocations.get() + 1);
        match self.allocator.get() {
            Allocator::Works => {
                let at = self.next.get();
                self.next.set(at + len);
                at
            }
            Allocator::ReturnsZero => 0,
            Allocator::EndsOutOfBounds => MEMORY - len + 1,
            Allocator::ReturnsMax => u32::MAX,
            Allocator::Grows => {
                let at = self.memory.borrow().len() as u32;
                if at == MEMORY_MAX {
                    return 0;
                }
                self.memory.borrow_mut().resize((at + MEMORY) as usize, 0);
                at
            }
        }
    }
}

impl Guest for Fake {
    fn exports(&self, _callback: Id) -> bool {
        true
    }

    fn reads_properties(&self) -> bool {
        true
    }

    fn call(&self, callback: Id, arguments: &[u32]) -> u32 {
        let declared = &CALLBACKS[callback as usize];
        assert_eq!(arguments.len(), declared.params, "arguments of {}", declared.name);
        let chain = self.chain.upgrade().expect("the chain calls");
        (self.script)(&Running { chain: &chain }, callback)
    }

    fn start(&self) {}
}

/// The filter in a callback.
pub struct Running<'a> {
    chain: &'a Chain<Fake>,
}

impl<'a> Running<'a> {
    fn fake(&self) -> &'a Fake {
        self.chain.guest()
    }

    /// Makes a host call; gives its status as the filter sees it.
    pub(crate) fn proxy(&self, call: impl FnOnce(&Caller<'a, Fake>) -> Result<(), Status>) -> u32 {
        call(&Caller::new(self.chain)).err().unwrap_or(Status::Ok) as u32
    }

    /// Makes a WASI call; gives its error number as the filter sees it.
    pub(crate) fn wasi(&self, call: impl FnOnce(&Caller<'a, Fake>) -> Result<(), Errno>) -> u32 {
        call(&Caller::new(self.chain)).err().unwrap_or(Errno::Success) as u32
    }

    /// From now on.
    pub fn set_allocator(&self, allocator: Allocator) {
        self.fake().allocator.set(allocator);
    }

    /// How often the allocator was called since the last look.
    pub(crate) fn allocations(&self) -> u32 {
        self.fake().allocations.take()
    }

    /// Writes bytes somewhere; gives their pointer and length.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> (u32, u32) {
        let at = self.fake().next.get();
        self.fake().next.set(at + bytes.len() as u32);
        self.fake().write(at, bytes);
        (at, bytes.len() as u32)
    }

    /// Writes bytes here.
    pub fn write(&self, at: u32, bytes: &[u8]) {
        self.fake().write(at, bytes);
    }

    pub(crate) fn write_u32(&self, at: u32, number: u32) {
        self.fake().write(at, &number.to_le_bytes());
    }

    pub(crate) fn read(&self, at: u32, len: u32) -> Vec<u8> {
        let mut bytes = vec![0; len as usize];
        self.fake().read(at, &mut bytes);
        bytes
    }

    pub(crate) fn u32_at(&self, at: u32) -> u32 {
        u32::from_le_bytes(self.read(at, 4).try_into().expect("four bytes"))
    }

    pub(crate) fn u64_at(&self, at: u32) -> u64 {
        u64::from_le_bytes(self.read(at, 8).try_into().expect("eight bytes"))
    }

    /// The bytes that a host call handed over: a pointer at the first place, a size at the second.
    pub(crate) fn given(&self, pointer: u32, size: u32) -> Vec<u8> {
        self.read(self.u32_at(pointer), self.u32_at(size))
    }
}
