//! The real filters, behind the bridge: the one module with unsafe code.

#![allow(unsafe_code, reason = "the filter's memory is another module's: it is reached through imported functions")]

use std::cell::{Cell, OnceCell};

use proxy_wasm_abi::{
    bridge::{ALLOCATORS, AbiVersion, Fact, START_FUNCTIONS},
    callbacks::{CALLBACKS, Id},
    settings::Settings,
};
use proxy_wasm_semantics::{Chain, Guest, Host};

use crate::{caller::Memory, trace};

// SAFETY: the adapter links these to the bridge module, whose signatures are made from the same tables.
#[link(wasm_import_module = "bridge")]
unsafe extern "C" {
    fn settings_read(into: *mut u8);
    safe fn fact(vm: u32, fact: u32) -> u64;
    safe fn foreign(function: u32);
    safe fn memory_pages(vm: u32) -> u32;
    fn memory_read(vm: u32, into: *mut u8, from: u32, len: usize);
    fn memory_write(vm: u32, into: u32, from: *const u8, len: usize);
    safe fn allocate(vm: u32, len: u32) -> u32;
    safe fn start(vm: u32, function: u32) -> u32;
    safe fn call(vm: u32, callback: u32, a: u32, b: u32, c: u32, d: u32, e: u32) -> u32;
}

const PAGE: u64 = 64 * 1024;

/// A filter.
pub struct BridgedFilter {
    /// The number of its virtual machine.
    vm: u32,
    /// Bit *i*: the filter exports callback *i*.
    callbacks: u64,
    /// Bytes of its memory when last looked at.
    memory_len: Cell<u64>,
    /// Its allocator runs.
    allocating: Cell<bool>,
}

impl BridgedFilter {
    fn new(vm: u32) -> Self {
        let callbacks = fact(vm, Fact::Callbacks as u32);
        Self { vm, callbacks, memory_len: Cell::new(0), allocating: Cell::new(false) }
    }

    fn fact(&self, about: Fact) -> u64 {
        fact(self.vm, about as u32)
    }

    /// Whether the filter's allocator runs.
    pub(crate) fn is_allocating(&self) -> bool {
        self.allocating.get()
    }
}

impl Memory for BridgedFilter {
    fn len(&self, needed: u64) -> u64 {
        if needed > self.memory_len.get() {
            self.memory_len.set(u64::from(memory_pages(self.vm)) * PAGE);
        }
        self.memory_len.get()
    }

    fn read(&self, at: u32, into: &mut [u8]) {
        // SAFETY: `into` is valid for writes of its length; the filter's range is checked by the caller, and if it were
        // not, the bridge's copy would trap rather than touch anything else.
        unsafe { memory_read(self.vm, into.as_mut_ptr(), at, into.len()) }
    }

    fn write(&self, at: u32, bytes: &[u8]) {
        // SAFETY: `bytes` is valid for reads of its length; for the filter's range see `read`.
        unsafe { memory_write(self.vm, at, bytes.as_ptr(), bytes.len()) }
    }

    fn allocate(&self, len: u32) -> u32 {
        let name = || ALLOCATORS.get(self.fact(Fact::Allocator) as usize).copied().unwrap_or_default();
        self.allocating.set(true);
        let at = trace::guest_call(trace(), name, &[len], true, || allocate(self.vm, len));
        self.allocating.set(false);
        at
    }

    fn foreign(&self, function: u32) {
        foreign(function);
    }
}

impl Guest for BridgedFilter {
    fn exports(&self, callback: Id) -> bool {
        self.callbacks >> (callback as usize) & 1 == 1
    }

    fn reads_properties(&self) -> bool {
        self.fact(Fact::ReadsProperties) != 0
    }

    fn call(&self, callback: Id, arguments: &[u32]) -> u32 {
        let row = &CALLBACKS[callback as usize];
        let old = || self.fact(Fact::CallbacksOf010) >> (callback as usize) & 1 == 1;
        let shown = match row.params_0_1_0 {
            Some(params) if trace().is_some() && old() => &arguments[..params],
            _ => arguments,
        };
        trace::guest_call(
            trace(),
            || row.name,
            shown,
            row.result,
            || {
                let argument = |index: usize| arguments.get(index).copied().unwrap_or_default();
                call(self.vm, callback as u32, argument(0), argument(1), argument(2), argument(3), argument(4))
            },
        )
    }

    fn start(&self) {
        let called = self.fact(Fact::StartFunctions);
        for (index, (name, params, result)) in (0..).zip(START_FUNCTIONS) {
            if called >> index & 1 == 1 {
                let arguments = &[0, 0][..*params];
                trace::guest_call(trace(), || *name, arguments, *result, || start(self.vm, index));
            }
        }
    }
}

thread_local! {
    static CHAIN: OnceCell<&'static Chain<BridgedFilter>> = const { OnceCell::new() };
    static EARLY_CALLS: Cell<u32> = const { Cell::new(0) };
    static HOST: Cell<Option<fn() -> Box<dyn Host>>> = const { Cell::new(None) };
}

/// The plugins of this instance, made at the first call. Only exports of the component may call it first: before that
/// the bridge is not linked.
///
/// # Panics
/// If the adapter wrote settings that this shim can't read.
pub fn chain(host: fn() -> Box<dyn Host>) -> &'static Chain<BridgedFilter> {
    CHAIN.with(|chain| {
        *chain.get_or_init(|| {
            HOST.set(Some(host));
            std::panic::set_hook(Box::new(|info| {
                if let Some(host) = HOST.get() {
                    host().log(&format!("[critical] the shim failed: {info}"));
                }
            }));
            Box::leak(Box::new(load(host())))
        })
    })
}

/// Where calls are traced to, in the tracing shim once the component was entered.
pub(crate) fn trace() -> Option<trace::Write> {
    let write: trace::Write = |line| {
        if let Some(host) = HOST.get() {
            host().log(line);
        }
    };
    (trace::ON && HOST.get().is_some()).then_some(write)
}

fn load(host: Box<dyn Host>) -> Chain<BridgedFilter> {
    let mut bytes = vec![0; fact(0, Fact::SettingsSize as u32) as usize];
    // SAFETY: the bridge writes as many bytes as it says, for which there is room.
    unsafe { settings_read(bytes.as_mut_ptr()) };
    let settings = Settings::decode(&bytes).expect("the adapter and the shim are of one version");
    let early = EARLY_CALLS.get();
    if early > 0 {
        let names: Vec<&str> = settings.plugins.iter().map(|plugin| plugin.name.as_str()).collect();
        host.log(&format!(
            "[warn] {}: {early} host calls came from the module's start section, before the host could answer them",
            names.join(", ")
        ));
    }
    let vms = settings.plugins.iter().map(|plugin| plugin.vm + 1).max().unwrap_or_default();
    let filter = |vm| {
        let filter = BridgedFilter::new(vm);
        let version = AbiVersion::from_u32(filter.fact(Fact::AbiVersion) as u32);
        (version.expect("the adapter knows the version"), filter)
    };
    let filters = (0..vms).map(filter).collect();
    Chain::new(settings, host, filters)
}

/// The plugins, once the component was entered. Counts the calls that come earlier.
pub(crate) fn current() -> Option<&'static Chain<BridgedFilter>> {
    let chain = CHAIN.with(|chain| chain.get().copied());
    if chain.is_none() {
        EARLY_CALLS.set(EARLY_CALLS.get() + 1);
    }
    chain
}
