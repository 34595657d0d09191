//! The bridge: the module generated for each component, between the shim and its filters.
//!
//! It has no memory of its own and imports them all: the shim's as `shim` `memory`, a filter's as `memory` of
//! [`filter_module`]. The shim imports these functions from the module named [`MODULE`]. All callbacks are behind one
//! function, and all that is asked of a filter behind another: each import costs every new instance some time.
//!
//! A filter is named by the number of its virtual machine, `vm`: see [`Plugin::vm`](crate::settings::Plugin::vm).
//!
//! | export | signature | meaning |
//! |---|---|---|
//! | `settings_read` | `(shim: i32)` | copies the encoded [`Settings`](crate::settings::Settings) to the shim's memory |
//! | `fact` | `(vm: i32, fact: i32) -> i64` | a [`Fact`] about a filter; 0 for one that there is not |
//! | `memory_pages` | `(vm: i32) -> i32` | the filter's memory, in pages of 64 KiB |
//! | `memory_read` | `(vm: i32, shim: i32, filter: i32, len: i32)` | copies out of the filter's memory |
//! | `memory_write` | `(vm: i32, filter: i32, shim: i32, len: i32)` | copies into the filter's memory |
//! | `allocate` | `(vm: i32, len: i32) -> i32` | calls the filter's allocator; 0 where there is none |
//! | `call` | `(vm: i32, i: i32, argument: i32 × 5) -> i32` | calls callback *i* with its ABI 0.2.1 arguments, those that it lacks 0; 0 where it has no result or is not there |
//! | `foreign` | `(i: i32)` | calls what the shim exports for row *i* of [`FOREIGN_FUNCTIONS`](crate::foreign_functions::FOREIGN_FUNCTIONS), if a filter names that function |
//! | `start` | `(vm: i32, i: i32) -> i32` | calls function *i* of [`START_FUNCTIONS`]; 0 where it has no result |
//!
//! Who calls `memory_read` and `memory_write` has checked both ranges: out of bounds they trap.

/// The name of the module that the shim imports.
pub const MODULE: &str = "bridge";

/// The module name under which the bridge imports the shim's memory.
pub const SHIM: &str = "shim";

/// The module name under which the bridge imports the filter of a virtual machine.
pub fn filter_module(vm: usize) -> String {
    if vm == 0 { "filter".into() } else { format!("filter-{}", vm + 1) }
}

/// A question of the shim about a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Fact {
    /// Bytes of the encoded settings, whichever the filter.
    SettingsSize = 0,
    /// Its [`AbiVersion`] as a number.
    AbiVersion = 1,
    /// Bit *i*: it exports callback *i* of the table.
    Callbacks = 2,
    /// Bit *i*: it does so with the fewer parameters of ABI 0.1.0.
    CallbacksOf010 = 3,
    /// 1 where it imports `proxy_get_property`: only so does it see times.
    ReadsProperties = 4,
    /// Which of [`ALLOCATORS`] it has; past the end for none.
    Allocator = 5,
    /// Bit *i*: function *i* of [`START_FUNCTIONS`] is to be called, in this order.
    StartFunctions = 6,
}

impl Fact {
    /// All of them, each at the place of its number.
    pub const ALL: [Self; 7] = [
        Self::SettingsSize,
        Self::AbiVersion,
        Self::Callbacks,
        Self::CallbacksOf010,
        Self::ReadsProperties,
        Self::Allocator,
        Self::StartFunctions,
    ];
}

/// The filter's functions that allocate in its memory; the first that it has is used.
pub const ALLOCATORS: &[&str] = &["malloc", "proxy_on_memory_allocate"];

/// The exports that run before the first callback: name, number of parameters, whether there is a result. All are `i32`.
pub const START_FUNCTIONS: &[(&str, usize, bool)] =
    &[("_initialize", 0, false), ("main", 2, true), ("__main_void", 0, true), ("_start", 0, false)];

/// The bridge's functions: name, parameters, results.
pub const FUNCTIONS: &[(&str, &[crate::host_calls::Type], &[crate::host_calls::Type])] = {
    use crate::host_calls::Type::{I32, I64};
    &[
        ("settings_read", &[I32], &[]),
        ("fact", &[I32, I32], &[I64]),
        ("memory_pages", &[I32], &[I32]),
        ("memory_read", &[I32, I32, I32, I32], &[]),
        ("memory_write", &[I32, I32, I32, I32], &[]),
        ("allocate", &[I32, I32], &[I32]),
        ("call", &[I32, I32, I32, I32, I32, I32, I32], &[I32]),
        ("foreign", &[I32], &[]),
        ("start", &[I32, I32], &[I32]),
    ]
};

/// The version of the ABI that a filter was built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
#[allow(missing_docs, reason = "the names say it")]
pub enum AbiVersion {
    V0_1_0 = 0,
    V0_2_0 = 1,
    V0_2_1 = 2,
}

impl AbiVersion {
    /// All versions, oldest first.
    pub const ALL: [Self; 3] = [Self::V0_1_0, Self::V0_2_0, Self::V0_2_1];

    /// The version with this number.
    pub fn from_u32(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|version| *version as u32 == number)
    }

    /// The version as the specification writes it.
    pub fn name(self) -> &'static str {
        ["0.1.0", "0.2.0", "0.2.1"][self as usize]
    }

    /// The export that marks a filter of this version.
    pub fn marker(self) -> &'static str {
        ["proxy_abi_version_0_1_0", "proxy_abi_version_0_2_0", "proxy_abi_version_0_2_1"][self as usize]
    }
}
