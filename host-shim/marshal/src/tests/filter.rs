//! A filter with a memory of one page and an allocator that can be made to fail.

use std::{
    cell::{Cell, RefCell},
    rc::{Rc, Weak},
};

use proxy_wasm_abi::foreign_functions::FOREIGN_FUNCTIONS;
use proxy_wasm_abi::{
    bridge::AbiVersion,
    callbacks::Id,
    enums::{Errno, Status},
    limits::{HEADER_ENTRY_BYTES, HEADERS_MAX_BYTES},
    settings::{Cluster, Connection, Origin, Plugin as PluginSettings, Settings},
};
use proxy_wasm_semantics::{Capabilities, Chain, Direction, Effect, Guest, HeaderMap, Host, Kind, Request};

use crate::caller::{Caller, Memory};

/// Bytes of the filter's memory.
pub(super) const MEMORY: u32 = 64 * 1024;

/// Where the allocator starts.
const HEAP: u32 = 32 * 1024;

/// The behavior of the filter's allocator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Allocator {
    Works,
    ReturnsZero,
    /// Its memory begins in bounds and ends out of them.
    EndsOutOfBounds,
    ReturnsMax,
    /// The memory grows by it, and what it returns is in the new part.
    Grows,
}

type Script = Rc<dyn Fn(&Running<'_>)>;

/// The filter as the semantics and the marshalling know it.
pub(super) struct Fake {
    chain: Weak<Chain<Self>>,
    memory: RefCell<Vec<u8>>,
    next: Cell<u32>,
    allocator: Cell<Allocator>,
    allocations: Cell<u32>,
    script: (Id, Script),
    ran: Cell<bool>,
}

impl Memory for Fake {
    fn foreign(&self, function: u32) {
        let chain = self.chain.upgrade().expect("the chain calls");
        let name = FOREIGN_FUNCTIONS[function as usize].name;
        if name == "compress" {
            chain.state().run_foreign(proxy_wasm_semantics::foreign::compress);
        } else if name == "uncompress" {
            chain.state().run_foreign(proxy_wasm_semantics::foreign::uncompress);
        }
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

    fn call(&self, callback: Id, _arguments: &[u32]) -> u32 {
        if callback == self.script.0 && !self.ran.replace(true) {
            let chain = self.chain.upgrade().expect("the chain calls");
            (self.script.1)(&Running { chain: &chain });
        }
        u32::from(matches!(callback, Id::VmStart | Id::Configure))
    }

    fn start(&self) {}
}

/// A machine whose clocks don't move and whose random bytes count up; its log goes to the filter's memory of the test.
struct Machine(Rc<RefCell<Vec<String>>>);

impl Host for Machine {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            head_max_bytes: HEADERS_MAX_BYTES,
            header_entry_bytes: HEADER_ENTRY_BYTES,
            statuses: (200, 999),
            forbidden: &[],
        }
    }

    fn wall_clock(&self) -> u64 {
        0x0102_0304_0506_0708
    }

    fn monotonic_clock(&self) -> u64 {
        77
    }

    fn random(&self, bytes: &mut [u8]) {
        bytes.iter_mut().enumerate().for_each(|(number, byte)| *byte = (number as u8).wrapping_add(1));
    }

    fn log(&self, line: &str) {
        self.0.borrow_mut().push(line.into());
    }
}

/// The filter in a callback.
pub(super) struct Running<'a> {
    chain: &'a Chain<Fake>,
}

impl<'a> Running<'a> {
    fn fake(&self) -> &'a Fake {
        self.chain.guest()
    }

    /// Makes a host call; gives its status as the filter sees it.
    pub(super) fn proxy(&self, call: impl FnOnce(&Caller<'a, Fake>) -> Result<(), Status>) -> u32 {
        call(&Caller::new(self.chain)).err().unwrap_or(Status::Ok) as u32
    }

    /// Makes a WASI call; gives its error number as the filter sees it.
    pub(super) fn wasi(&self, call: impl FnOnce(&Caller<'a, Fake>) -> Result<(), Errno>) -> u32 {
        call(&Caller::new(self.chain)).err().unwrap_or(Errno::Success) as u32
    }

    pub(super) fn set_allocator(&self, allocator: Allocator) {
        self.fake().allocator.set(allocator);
    }

    /// How often the allocator was called since the last look.
    pub(super) fn allocations(&self) -> u32 {
        self.fake().allocations.take()
    }

    /// Writes bytes somewhere; gives their pointer and length.
    pub(super) fn bytes(&self, bytes: &[u8]) -> (u32, u32) {
        let at = self.fake().next.get();
        self.fake().next.set(at + bytes.len() as u32);
        self.fake().write(at, bytes);
        (at, bytes.len() as u32)
    }

    pub(super) fn write(&self, at: u32, bytes: &[u8]) {
        self.fake().write(at, bytes);
    }

    pub(super) fn write_u32(&self, at: u32, number: u32) {
        self.fake().write(at, &number.to_le_bytes());
    }

    pub(super) fn read(&self, at: u32, len: u32) -> Vec<u8> {
        let mut bytes = vec![0; len as usize];
        self.fake().read(at, &mut bytes);
        bytes
    }

    pub(super) fn u32_at(&self, at: u32) -> u32 {
        u32::from_le_bytes(self.read(at, 4).try_into().expect("four bytes"))
    }

    pub(super) fn u64_at(&self, at: u32) -> u64 {
        u64::from_le_bytes(self.read(at, 8).try_into().expect("eight bytes"))
    }

    /// The bytes that a host call handed over: a pointer at the first place, a size at the second.
    pub(super) fn given(&self, pointer: u32, size: u32) -> Vec<u8> {
        self.read(self.u32_at(pointer), self.u32_at(size))
    }
}

/// Runs an exchange and this script in its first callback of this kind. Gives the log.
///
/// # Panics
/// If there is no such callback.
pub(super) fn during(callback: Id, script: impl Fn(&Running<'_>) + 'static) -> Vec<String> {
    exchange(callback, script).0
}

/// The same; gives also what the exchange comes to.
pub(super) fn exchange(callback: Id, script: impl Fn(&Running<'_>) + 'static) -> (Vec<String>, Vec<Effect>) {
    let mut settings = Settings {
        plugins: vec![PluginSettings {
            name: "p".into(),
            configuration: b"plugin".to_vec(),
            vm_configuration: b"vm".to_vec(),
            environment: vec![("KEY".into(), "value".into()), ("E".into(), String::new())],
            ..PluginSettings::default()
        }],
        clusters: vec![Cluster { name: "auth".into(), origin: Origin { tls: false, authority: "10.0.0.1:80".into() } }]
            .into(),
        connection: Connection { forwarded_proto: false, request_id: false, ..Connection::default() },
        ..Settings::default()
    };
    settings.set_upstream(Origin { tls: false, authority: "up".into() }, 0);
    let log = Rc::new(RefCell::new(Vec::new()));
    let script: Script = Rc::new(script);
    let chain = Rc::new_cyclic(|chain: &Weak<Chain<Fake>>| {
        let fake = Fake {
            chain: chain.clone(),
            memory: RefCell::new(vec![0xaa; MEMORY as usize]),
            next: Cell::new(HEAP),
            allocator: Cell::new(Allocator::Works),
            allocations: Cell::new(0),
            script: (callback, script),
            ran: Cell::new(false),
        };
        Chain::new(settings, Box::new(Machine(log.clone())), vec![(AbiVersion::V0_2_1, fake)])
    });
    chain.start().expect("it starts");
    let request = Request {
        method: b"GET".to_vec(),
        path: b"/p".to_vec(),
        authority: b"h".to_vec(),
        scheme: b"http".to_vec(),
        headers: vec![("x".into(), b"1".to_vec()), ("empty".into(), Vec::new())],
        ..Request::default()
    };
    let id = chain.open(request, false);
    chain.data(id, Direction::Request, b"hello".to_vec(), true);
    chain.headers(id, Direction::Response, HeaderMap::from_pairs(Kind::Response, [(":status", "200")]), true);
    let effects = std::iter::from_fn(|| chain.next_effect(id)).collect();
    chain.close(id);
    assert!(chain.guest().ran.get(), "{callback:?} came");
    (log.take(), effects)
}
