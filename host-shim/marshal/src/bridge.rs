//! The real filter, behind the bridge: the one module with unsafe code.

#![allow(unsafe_code, reason = "the filter's memory is another module's: it is reached through imported functions")]

use std::cell::{Cell, OnceCell};

use proxy_wasm_abi::{
    bridge::{ALLOCATORS, AbiVersion, START_FUNCTIONS},
    callbacks::{CALLBACKS, Id},
    settings::Settings,
};
use proxy_wasm_semantics::{Guest, Host, Plugin};

use crate::{caller::Memory, trace};

// SAFETY: the adapter links these to the bridge module, whose signatures are made from the same tables.
#[link(wasm_import_module = "bridge")]
unsafe extern "C" {
    safe fn settings_size() -> u32;
    fn settings_read(into: *mut u8);
    safe fn abi_version() -> u32;
    safe fn callbacks() -> u64;
    safe fn callbacks_of_0_1_0() -> u64;
    safe fn reads_properties() -> u32;
    safe fn allocator() -> u32;
    safe fn foreign(function: u32);
    safe fn start_functions() -> u32;
    safe fn memory_pages() -> u32;
    fn memory_read(into: *mut u8, from: u32, len: usize);
    fn memory_write(into: u32, from: *const u8, len: usize);
    safe fn allocate(len: u32) -> u32;
    safe fn start(function: u32) -> u32;
    safe fn call(callback: u32, a: u32, b: u32, c: u32, d: u32, e: u32) -> u32;
}

const PAGE: u64 = 64 * 1024;

/// The filter.
pub struct Filter {
    /// Bit *i*: the filter exports callback *i*.
    callbacks: Cell<u64>,
    /// Bytes of its memory when last looked at.
    memory_len: Cell<u64>,
    /// Its allocator runs.
    allocating: Cell<bool>,
}

impl Filter {
    /// Whether the filter's allocator runs.
    pub(crate) fn is_allocating(&self) -> bool {
        self.allocating.get()
    }
}

impl Memory for Filter {
    fn len(&self, needed: u64) -> u64 {
        if needed > self.memory_len.get() {
            self.memory_len.set(u64::from(memory_pages()) * PAGE);
        }
        self.memory_len.get()
    }

    fn read(&self, at: u32, into: &mut [u8]) {
        // SAFETY: `into` is valid for writes of its length; the filter's range is checked by the caller, and if it were
        // not, the bridge's copy would trap rather than touch anything else.
        unsafe { memory_read(into.as_mut_ptr(), at, into.len()) }
    }

    fn write(&self, at: u32, bytes: &[u8]) {
        // SAFETY: `bytes` is valid for reads of its length; for the filter's range see `read`.
        unsafe { memory_write(at, bytes.as_ptr(), bytes.len()) }
    }

    fn allocate(&self, len: u32) -> u32 {
        let name = || ALLOCATORS.get(allocator() as usize).copied().unwrap_or_default();
        self.allocating.set(true);
        let at = trace::guest_call(trace(), name, &[len], true, || allocate(len));
        self.allocating.set(false);
        at
    }

    fn foreign(&self, function: u32) {
        foreign(function);
    }
}

impl Guest for Filter {
    fn exports(&self, callback: Id) -> bool {
        self.callbacks.get() >> (callback as usize) & 1 == 1
    }

    fn bypass(&self) {
        self.callbacks.set(0);
    }

    fn reads_properties(&self) -> bool {
        reads_properties() != 0
    }

    fn call(&self, callback: Id, arguments: &[u32]) -> u32 {
        let row = &CALLBACKS[callback as usize];
        let old = || callbacks_of_0_1_0() >> (callback as usize) & 1 == 1;
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
                call(callback as u32, argument(0), argument(1), argument(2), argument(3), argument(4))
            },
        )
    }

    fn start(&self) {
        for (index, (name, params, result)) in (0..).zip(START_FUNCTIONS) {
            if start_functions() >> index & 1 == 1 {
                let arguments = &[0, 0][..*params];
                trace::guest_call(trace(), || *name, arguments, *result, || start(index));
            }
        }
    }
}

thread_local! {
    static PLUGIN: OnceCell<&'static Plugin<Filter>> = const { OnceCell::new() };
    static EARLY_CALLS: Cell<u32> = const { Cell::new(0) };
    static HOST: Cell<Option<fn() -> Box<dyn Host>>> = const { Cell::new(None) };
}

/// The plugin of this instance, made at the first call. Only exports of the component may call it first: before that
/// the bridge is not linked.
///
/// # Panics
/// If the adapter wrote settings that this shim can't read.
pub fn plugin(host: fn() -> Box<dyn Host>) -> &'static Plugin<Filter> {
    PLUGIN.with(|plugin| {
        *plugin.get_or_init(|| {
            HOST.set(Some(host));
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

fn load(host: Box<dyn Host>) -> Plugin<Filter> {
    let mut bytes = vec![0; settings_size() as usize];
    // SAFETY: the bridge writes `settings_size` bytes, for which there is room.
    unsafe { settings_read(bytes.as_mut_ptr()) };
    let settings = Settings::decode(&bytes).expect("the adapter and the shim are of one version");
    let version = AbiVersion::from_u32(abi_version()).expect("the adapter knows the version");
    let early = EARLY_CALLS.get();
    if early > 0 {
        host.log(&format!(
            "[warn] {}: {early} host calls came from the module's start section, before the host could answer them",
            settings.plugin.name
        ));
    }
    let filter = Filter { callbacks: Cell::new(callbacks()), memory_len: Cell::new(0), allocating: Cell::new(false) };
    Plugin::new(settings, version, host, filter)
}

/// The plugin, once the component was entered; counts the calls that come earlier.
pub(crate) fn current() -> Option<&'static Plugin<Filter>> {
    let plugin = PLUGIN.with(|plugin| plugin.get().copied());
    if plugin.is_none() {
        EARLY_CALLS.set(EARLY_CALLS.get() + 1);
    }
    plugin
}
